//! What an attempt's answer means for its call and for all others: understood, refused, in doubt, or not from the API.

use std::sync::atomic::Ordering;

use super::attempt::{Fault, PROXY_LOGIN};
use super::attempt_state::{Answer, Attempt, Outcome};
use super::breaker::{AnswerHealth, Effect};
use super::call::{Call, CallError, CallErrorKind, CallKind, Reply, Stranger, Unreadable};
use super::client::Client;
use super::turns::{Blocked, Scope};

impl Client {
    /// Returns whether this failure shows that no call can succeed, so that waiting does not help. A proxy that
    /// requires a login and a redirect always show that; other signs of a wrong address only before the first success.
    pub(super) fn is_hopeless(&self, why: &CallError, call: &Call) -> bool {
        let never_succeeded = self.known_good.get().is_none();
        match why.kind {
            CallErrorKind::NotTheApi(Stranger::ProxyLogin) | CallErrorKind::CertificateRefused => {
                true
            }
            // This failure may concern only this call.
            _ if call.tentative => false,
            CallErrorKind::NotTheApi(Stranger::Redirect) => true,
            CallErrorKind::NotTheApi(Stranger::Page) | CallErrorKind::UnknownHost => {
                never_succeeded
            }
            _ => false,
        }
    }

    /// Reports what the attempt showed to all parts that depend on it, and returns what it means for the call.
    pub(super) fn report_attempt<T>(
        &self,
        shot: Attempt<'_>,
        parse: impl FnOnce(Reply) -> Result<T, Unreadable>,
    ) -> Outcome<T> {
        let tentative = shot.tentative;
        let (health, outcome) = match shot.result {
            Err(fault) => from_fault(fault, shot.sent),
            Ok(answer) => {
                if !self.refuses_the_token(&answer.reply) {
                    self.tokens.accepted(&shot.bearer, shot.departed);
                }
                self.judge(answer, shot.kind, shot.alone, parse)
            }
        };
        if matches!(
            health,
            AnswerHealth::Refused { .. } | AnswerHealth::Firewall
        ) {
            self.tally.throttled.fetch_add(1, Ordering::Relaxed);
        }
        // Counts the calls that the system accepted. A call that did not reach the system, or that made it fail, says
        // nothing about the possible pace.
        if matches!(outcome, Outcome::Final(_)) {
            self.turns.accepted(shot.kind);
        }
        let outcome = match outcome {
            // The machine has lost this local address, or its route. Calls from the other addresses continue.
            Outcome::NotConnected(why)
                if why.kind == CallErrorKind::Connect
                    && !self.turns.hold_address(
                        shot.from,
                        shot.departed,
                        Blocked::NoConnection,
                    ) =>
            {
                return Outcome::Refused(why);
            }
            outcome => outcome,
        };
        let says_nothing = match &outcome {
            Outcome::Unprocessed(_) => true,
            Outcome::Unsendable(why) => why.kind == CallErrorKind::Unsendable,
            _ => false,
        };
        // The failure of a tentative call may concern only this call.
        if says_nothing || (tentative && matches!(health, AnswerHealth::Failed(_))) {
            return outcome;
        }
        match health {
            AnswerHealth::Good => self.turns.reached(shot.from, shot.departed),
            // Calls from the other addresses continue.
            AnswerHealth::Firewall
                if !self
                    .turns
                    .hold_address(shot.from, shot.departed, Blocked::Firewall) =>
            {
                return outcome;
            }
            AnswerHealth::Firewall | AnswerHealth::Refused { .. } | AnswerHealth::Failed(_) => {}
        }
        if let Effect::HoldAll(hold) = shot.admission.report(&health) {
            let scope = match health {
                AnswerHealth::Firewall => Scope::Addresses,
                _ => Scope::Target,
            };
            self.turns.hold_all(hold, scope);
        }
        outcome
    }

    fn judge<T>(
        &self,
        answer: Answer,
        kind: CallKind,
        alone: bool,
        parse: impl FnOnce(Reply) -> Result<T, Unreadable>,
    ) -> (AnswerHealth, Outcome<T>) {
        let Answer {
            reply,
            retry_after: wait,
            elsewhere,
        } = answer;
        let status = reply.status;
        let attempts = reply.attempts;
        let why = |kind, text: String| CallError {
            kind,
            text,
            status: Some(status),
            attempts,
        };
        let said = |text: &str| why(CallErrorKind::Status(status), format!("{status}: {text}"));
        let failed = |why: CallError| {
            (
                AnswerHealth::Failed(why.text.clone()),
                Outcome::Unclear(why),
            )
        };
        let stranger =
            |stranger, text: String| failed(why(CallErrorKind::NotTheApi(stranger), text));
        match status {
            429 => {
                let refused = said("too many calls");
                (
                    AnswerHealth::Refused { status, wait },
                    Outcome::Refused(refused),
                )
            }
            403 if !alone && (self.is_firewall)(&reply) => (
                AnswerHealth::Firewall,
                Outcome::Refused(said("a firewall blocks all calls")),
            ),
            _ if self.refuses_the_token(&reply) => {
                (AnswerHealth::Good, Outcome::Unauthorized(reply))
            }
            425 => (AnswerHealth::Good, Outcome::TooEarly(said("too early"))),
            408 => failed(said("the server waited too long for the call")),
            503 if !alone => {
                // The answer asks to wait, but does not say that nothing was processed.
                let busy = said("the system is not available");
                (
                    AnswerHealth::Refused { status, wait },
                    Outcome::Unclear(busy),
                )
            }
            500..=599 => failed(said(meaning_of_failure(status))),
            407 => stranger(Stranger::ProxyLogin, PROXY_LOGIN.to_owned()),
            200..=299 | 400..=499 if !alone && self.is_strangers(&reply, kind) => {
                let what = if reply.is_html() {
                    "a web page"
                } else {
                    "a body that the API does not send"
                };
                stranger(Stranger::Page, instead(status, what))
            }
            200..=299 | 400..=499 => {
                let is_text = reply.is_success() && reply.is_text();
                match parse(reply) {
                    Ok(parsed) => (AnswerHealth::Good, Outcome::Final(parsed)),
                    Err(_) if is_text => stranger(Stranger::Page, instead(status, "plain text")),
                    // Answers to writes are not parsed here.
                    Err(error) => {
                        debug_assert!(kind != CallKind::Write);
                        failed(why(CallErrorKind::Unreadable, error.0))
                    }
                }
            }
            _ => {
                let place = elsewhere.unwrap_or_else(|| "elsewhere".to_owned());
                let text = format!(
                    "{status}: redirected to {place}; redirects are not followed, correct the base URL"
                );
                stranger(Stranger::Redirect, text)
            }
        }
    }

    /// Returns whether the answer is not from the API: a web page, or a 404 that is not the API's own.
    fn is_strangers(&self, reply: &Reply, kind: CallKind) -> bool {
        if (self.is_own_error)(reply) {
            return false;
        }
        // Any web server in front may refuse a filter that is too long, and a 404 to a write is about that write.
        let unknown = reply.status == 404 && kind != CallKind::Write;
        unknown || (reply.is_html() && !matches!(reply.status, 401 | 403 | 413 | 414 | 431))
    }
}

/// Returns what a status of 5xx says about the place of the failure.
const fn meaning_of_failure(status: u16) -> &'static str {
    match status {
        501 => {
            "the system does not support this method at this address: check the base URL, and gateways before the system"
        }
        502 => "a gateway got no valid answer from the system",
        504 => "a gateway got no answer from the system in time",
        505 => "the system does not support this version of HTTP",
        507 => "the system has no storage left",
        511 => "the network requires a sign-in first",
        _ => "the system failed",
    }
}

fn instead(status: u16, what: &str) -> String {
    format!(
        "{status}: {what} came instead of the API's answer; correct the base URL, or sign in where a portal asks for it"
    )
}

fn from_fault<T>(fault: Fault, attempts: u32) -> (AnswerHealth, Outcome<T>) {
    let health = AnswerHealth::Failed(fault.text.clone());
    let why = CallError {
        kind: fault.kind,
        text: fault.text,
        status: fault.status,
        attempts,
    };
    let outcome = match why.kind {
        // `NotTheApi` is a proxy's answer here, before anything was sent.
        CallErrorKind::Connect | CallErrorKind::UnknownHost | CallErrorKind::NotTheApi(_) => {
            Outcome::NotConnected(why)
        }
        CallErrorKind::Unprocessed => Outcome::Unprocessed(why),
        CallErrorKind::Tls | CallErrorKind::Unsendable => Outcome::Unsendable(why),
        _ => Outcome::Unclear(why),
    };
    (health, outcome)
}

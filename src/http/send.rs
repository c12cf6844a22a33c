//! One attempt of a call: through the gate, with a token, in its turn, and onto the wire. [`super::answer`] decides
//! what its answer means.

use reqwest::Request;
use reqwest::header::{
    AGE, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use serde::de::IgnoredAny;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::attempt::{self, Fault, LONGEST_BODY};
use super::attempt_state::{Answer, Attempt, Departure, Outcome, Ready, destination};
use super::bearer::Bearer;
use super::call::{Call, CallError, CallErrorKind, CallKind, Method, Reply, new_id};
use super::client::{CallState, Client};
use super::gate::Admission;
use super::logged_attempt::LoggedAttempt;
use super::pending_write::MaySend;
use super::retry::read_retry_after;
use super::skew::Skew;
use super::trace::{Waited, timed};
use super::turns::{Ask, Departs, refuse_late};

impl Client {
    /// Waits for the call's turn, and makes one attempt.
    pub(super) async fn attempt(
        &self,
        call: &Call,
        course: &mut CallState,
    ) -> Result<Attempt<'_>, CallError> {
        loop {
            let admission = timed(&mut course.waited.hold, pin!(self.admission(call))).await;
            let admission = admission.map_err(|why| why.after(course.sent))?;
            let sent = self.try_send(admission, call, course, None, None).await;
            if let Some(shot) = sent.map_err(|why| why.after(course.sent))? {
                return Ok(self.examined(call, shot).await);
            }
        }
    }

    /// Determines whether an apparent refusal of all calls concerns this call only.
    pub(super) async fn examined<'a>(&'a self, call: &Call, mut shot: Attempt<'a>) -> Attempt<'a> {
        if self.looks_blocked(&shot) {
            shot.alone = self.is_refused_alone(call, &shot).await;
        } else if is_busy(&shot) {
            // The call was refused before, and others have been answered since.
            shot.alone = !shot.admission.is_probe() && self.suspects.is_alone(call);
        }
        shot
    }

    /// Waits until calls continue, or until this call is the probe that finds out whether they can.
    pub(super) async fn admission(&self, call: &Call) -> Result<Admission<'_>, CallError> {
        loop {
            let suspect = self.suspects.has(call);
            let admission = if suspect {
                self.gate.enter_last().await?
            } else {
                self.gate.enter().await?
            };
            // A call that may fail for reasons of its own is not suitable as a probe.
            if (admission.probes_outage() || (suspect && admission.is_probe()))
                && let Some(known) = self.known_good.get()
            {
                let mut course = CallState::probe();
                let sent = self.try_send(admission, known, &mut course, None, None);
                // A probe is rare, and would make the future of every call larger.
                if let Some(shot) = Box::pin(sent).await? {
                    let parse = |reply: Reply| reply.json::<IgnoredAny>().map(|_| ());
                    match self.report_attempt(shot, parse) {
                        // The certificate cannot be accepted: waiting does not help any call.
                        Outcome::Unsendable(why) => return Err(why),
                        Outcome::Unclear(why) if self.is_hopeless(&why, known) => {
                            return Err(why.hopeless());
                        }
                        Outcome::Final(()) => self.suspects.succeeded(known),
                        _ => {}
                    }
                }
                continue;
            }
            return Ok(admission);
        }
    }

    pub(super) fn refuses_the_token(&self, reply: &Reply) -> bool {
        reply.status == 401 || (self.is_unauthorized)(reply)
    }

    fn looks_blocked(&self, shot: &Attempt<'_>) -> bool {
        let answer = shot.result.as_ref();
        answer.is_ok_and(|answer| answer.reply.status == 403 && (self.is_firewall)(&answer.reply))
    }

    /// Returns whether an apparent firewall's block of all calls concerns this call only: it was refused before, calls
    /// of its kind have succeeded since, and a call that was accepted before is still accepted.
    async fn is_refused_alone(&self, call: &Call, shot: &Attempt<'_>) -> bool {
        !shot.admission.is_probe()
            && self.suspects.is_alone(call)
            && self
                .is_still_good(Arc::clone(&shot.bearer), Some(shot.from))
                .await
                == Some(true)
    }

    /// Returns whether a call that was accepted before is still accepted with this token; `None`: unknown. While calls
    /// are held it returns `false` and does not wait, because the call that has to end the hold may be waiting for the
    /// token. `from`: the local address to use.
    pub(super) async fn is_still_good(
        &self,
        bearer: Arc<Bearer>,
        from: Option<usize>,
    ) -> Option<bool> {
        let known = self.known_good.get()?;
        let Some(admission) = self.gate.try_enter() else {
            return Some(false);
        };
        let mut course = CallState::probe();
        let sent = self.try_send(admission, known, &mut course, Some(bearer), from);
        let Some(shot) = Box::pin(sent).await.ok()? else {
            return Some(false);
        };
        match self.report_attempt(shot, |_| Ok(())) {
            Outcome::Final(()) => Some(true),
            Outcome::Unauthorized(_) => Some(false),
            _ => None,
        }
    }

    /// Sends one attempt when its turn has come. `None`: a hold began before that.
    async fn try_send<'a>(
        &'a self,
        mut admission: Admission<'a>,
        call: &Call,
        course: &mut CallState,
        bearer: Option<Arc<Bearer>>,
        from: Option<usize>,
    ) -> Result<Option<Attempt<'a>>, CallError> {
        loop {
            let waited = &mut course.waited;
            let ready = self.line_up(
                admission,
                call,
                (bearer.clone(), from),
                Duration::ZERO,
                waited,
            );
            let Some(ready) = ready.await? else {
                return Ok(None);
            };
            match self.depart(ready, call, course, &|| true).await? {
                Departure::Sent(shot) => return Ok(Some(shot)),
                Departure::Held => return Ok(None),
                Departure::Missed(unused) => admission = unused,
            }
        }
    }

    /// Waits for the token and for a turn; the attempt is ready to be sent `lead` before its turn. `None`: a hold began
    /// meanwhile. The caller may give the token and the local address.
    pub(super) async fn line_up<'a>(
        &'a self,
        admission: Admission<'a>,
        call: &Call,
        (bearer, from): (Option<Arc<Bearer>>, Option<usize>),
        lead: Duration,
        waited: &mut Waited,
    ) -> Result<Option<Ready<'a>>, CallError> {
        let (bearer, renewable) = match bearer {
            Some(bearer) => (bearer, false),
            None => (
                timed(&mut waited.token, pin!(self.tokens.current())).await?,
                true,
            ),
        };
        let taken = self.turns.take(Ask {
            kind: call.kind,
            from,
            lead,
            send_deadline: call.send_deadline,
            waited,
        });
        let taken = taken.await?;
        if !admission.is_valid() || !taken.turn.is_open() {
            return Ok(None);
        }
        // During the wait, the values that the call relies on may have become too old.
        refuse_late(call.send_deadline, taken.queued_at.elapsed())?;
        Ok(Some(Ready {
            admission,
            bearer,
            renewable,
            taken,
        }))
    }

    /// Sends an attempt that is ready, in its turn. `may_send` is asked after the last wait.
    pub(super) async fn depart<'a>(
        &'a self,
        ready: Ready<'a>,
        call: &Call,
        course: &mut CallState,
        may_send: MaySend<'_>,
    ) -> Result<Departure<'a>, CallError> {
        let Ready {
            admission,
            bearer,
            renewable,
            mut taken,
        } = ready;
        loop {
            if !admission.is_valid() || !taken.turn.is_open() || !may_send() {
                return Ok(Departure::Held);
            }
            refuse_late(call.send_deadline, taken.queued_at.elapsed())?;
            if renewable && bearer.is_over() {
                return Ok(Departure::Missed(admission));
            }
            match taken.turn.depart() {
                Departs::Now => break,
                Departs::At(time) => timed(&mut course.waited.rate, pin!(sleep_until(time))).await,
                Departs::Missed => return Ok(Departure::Missed(admission)),
            }
        }
        let departed = Instant::now();
        let flight = self.tally.departs(call.kind, course.sent > 0, departed);
        course.sent += 1;
        let mut logged = LoggedAttempt::departs(call, course, departed);
        let http = &self.http[taken.from];
        let sending = self.send(
            http,
            call,
            &bearer,
            course.sent,
            departed,
            logged.as_deref_mut(),
        );
        let result = sending.await;
        if let Some(logged) = logged {
            logged.ends(&result);
        }
        if result.is_ok() {
            flight.answered();
        }
        Ok(Departure::Sent(Attempt {
            admission,
            kind: call.kind,
            tentative: call.tentative,
            sent: course.sent,
            departed,
            result,
            alone: false,
            bearer,
            from: taken.from,
        }))
    }

    async fn send(
        &self,
        http: &reqwest::Client,
        call: &Call,
        bearer: &Bearer,
        attempt: u32,
        departed: Instant,
        logged: Option<&mut LoggedAttempt<'_>>,
    ) -> Result<Answer, Fault> {
        // The request is not kept in this future while the answer is awaited.
        let (executing, correlation) = {
            let (request, correlation) = self.request(call, bearer)?;
            if let Some(logged) = logged {
                let ids = [&self.request_id, &self.correlation];
                logged.sends(&request, ids.map(Option::as_ref));
            }
            (http.execute(request), correlation)
        };
        let deadline = departed + self.timeout;
        let answered = timeout_at(deadline, executing).await;
        let mut response = answered
            .map_err(|_| attempt::late())?
            .map_err(attempt::classify)?;
        let status = response.status().as_u16();
        let headers = response.headers();
        self.compare_clocks(headers, departed);
        let retry_after = read_retry_after(headers);
        let location = attempt::text(headers, &LOCATION);
        let elsewhere = location.map(|place| destination(response.url(), place));
        let content_type = attempt::text(headers, &CONTENT_TYPE).map(str::to_owned);
        let expected = response.content_length().unwrap_or(0).min(64 * 1024);
        let mut body = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        let read = attempt::read_body(&mut response, &mut body, LONGEST_BODY);
        let read = timeout_at(deadline, read)
            .await
            .unwrap_or_else(|_| Err(attempt::late()))
            .and_then(|()| {
                let headers = response.headers();
                body = attempt::decoded(headers, std::mem::take(&mut body), LONGEST_BODY)?;
                Ok(())
            });
        if let Err(mut fault) = read {
            // These statuses are enough without the body: 204 has none, and 401, 425 and 429 mean the same for each call.
            // The others say that a write was not processed; the body of a read is its answer.
            let is_enough = match status {
                204 | 401 | 425 | 429 => true,
                400 | 404 | 409 | 422 => call.kind == CallKind::Write,
                _ => false,
            };
            if !is_enough {
                fault.status = Some(status);
                return Err(fault);
            }
            body.clear();
        }
        Ok(Answer {
            reply: Reply {
                status,
                body,
                content_type,
                attempts: attempt,
                correlation,
            },
            retry_after,
            elsewhere,
        })
    }

    /// Compares the clocks once, with the first answer that has a `Date` and does not come from a cache, whose `Date`
    /// may be old.
    fn compare_clocks(&self, headers: &HeaderMap, departed: Instant) {
        if self.skew.get().is_none()
            && !headers.contains_key(AGE)
            && let Some(skew) = Skew::of(
                attempt::text(headers, &DATE),
                SystemTime::now(),
                departed.elapsed(),
            )
        {
            // Another call may have set it first, which is equally good.
            let _ = self.skew.set(skew);
        }
    }

    fn request(&self, call: &Call, bearer: &Bearer) -> Result<(Request, Option<String>), Fault> {
        let unsendable = |text: String| Fault::new(CallErrorKind::Unsendable, text);
        let url = call
            .path
            .url(&self.base, &self.base_path, &call.query)
            .map_err(|error| unsendable(error.to_string()))?;
        let method = match call.method {
            Method::Get => reqwest::Method::GET,
            Method::Patch => reqwest::Method::PATCH,
        };
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(AUTHORIZATION, bearer.header.clone());
        if let Some(name) = &self.request_id {
            put_id(headers, name, &new_id())?;
        }
        let mut correlation = None;
        if let Some(name) = &self.correlation {
            let id = match (call.kind, &call.correlation) {
                (CallKind::Write, Some(noted)) => noted.clone(),
                _ => new_id(),
            };
            put_id(headers, name, &id)?;
            correlation = Some(id);
        }
        if let Some(body) = &call.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.clone().into());
        }
        Ok((request, correlation))
    }
}

fn is_busy(shot: &Attempt<'_>) -> bool {
    let answer = shot.result.as_ref();
    answer.is_ok_and(|answer| answer.reply.status == 503)
}

fn put_id(headers: &mut HeaderMap, name: &HeaderName, id: &str) -> Result<(), Fault> {
    let value = HeaderValue::from_str(id).map_err(|_| {
        Fault::new(
            CallErrorKind::Unsendable,
            format!("the value for {name} cannot be a header"),
        )
    })?;
    headers.insert(name.clone(), value);
    Ok(())
}

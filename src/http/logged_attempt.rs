//! Logs each attempt of a call through `tracing` once it has ended: the records `call` of docs/log.md.

use reqwest::Request;
use reqwest::header::HeaderName;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Level;

use super::attempt::{self, Fault};
use super::attempt_state::Answer;
use super::call::{Call, CallKind, Method};
use super::client::CallState;
use super::trace::{Waited, event, is_heard, millis};

/// An attempt that will be logged. If it is dropped without an answer, it is logged as given up.
pub(super) struct LoggedAttempt<'a> {
    call: &'a Call,
    is_probe: bool,
    attempt: u32,
    waited: Waited,
    departed: Instant,
    path: Option<String>,
    request_id: Option<String>,
    correlation: Option<String>,
    over: bool,
}

impl<'a> LoggedAttempt<'a> {
    /// Begins the log record of an attempt that is sent now; `None`: there is no log.
    pub(super) fn departs(
        call: &'a Call,
        course: &mut CallState,
        now: Instant,
    ) -> Option<Box<Self>> {
        let waited = std::mem::take(&mut course.waited);
        is_heard().then(|| {
            Box::new(Self {
                call,
                is_probe: course.is_probe,
                attempt: course.sent,
                waited,
                departed: now,
                path: None,
                request_id: None,
                correlation: None,
                over: false,
            })
        })
    }

    /// Adds the request, as it was built.
    pub(super) fn sends(&mut self, request: &Request, ids: [Option<&HeaderName>; 2]) {
        self.path = Some(request.url().path().to_owned());
        let value =
            |name: Option<&HeaderName>| attempt::text(request.headers(), name?).map(str::to_owned);
        let [request_id, correlation] = ids;
        self.request_id = value(request_id);
        self.correlation = value(correlation);
    }

    /// Logs the result.
    pub(super) fn ends(mut self, result: &Result<Answer, Fault>) {
        self.over = true;
        match result {
            Ok(answer) => {
                self.log(Some(answer.reply.status), answer.retry_after, None);
                if let Some(to) = &answer.elsewhere
                    && matches!(answer.reply.status, 300..=399)
                {
                    event!(
                        WARN,
                        event = "redirect_refused",
                        status = answer.reply.status,
                        to
                    );
                }
            }
            Err(fault) => self.log(fault.status, None, Some(&fault.text)),
        }
    }

    fn kind(&self) -> &'static str {
        match self.call.kind {
            _ if self.is_probe => "probe",
            CallKind::Find => "find",
            CallKind::Read => "read",
            CallKind::Write => "write",
        }
    }

    fn log(&self, status: Option<u16>, retry_after: Option<Duration>, error: Option<&str>) {
        let (waited, call) = (&self.waited, self.call);
        let path = self.path.as_deref().unwrap_or(call.path.as_str());
        let method = match call.method {
            Method::Get => "GET",
            Method::Patch => "PATCH",
        };
        macro_rules! call {
            ($($parent:tt)*) => {
                tracing::event!(
                    $($parent)* Level::DEBUG,
                    event = "call",
                    kind = self.kind(),
                    method,
                    path,
                    attempt = self.attempt,
                    status,
                    ms = millis(self.departed.elapsed()),
                    error,
                    retry_after_ms = retry_after.map(millis),
                    waited_ms.hold = some(waited.hold),
                    waited_ms.token = some(waited.token),
                    waited_ms.quota = some(waited.quota),
                    waited_ms.rate = some(waited.rate),
                    waited_ms.back_off = some(waited.back_off),
                    request_id = self.request_id.as_deref(),
                    correlation_id = self.correlation.as_deref(),
                )
            };
        }
        if self.is_probe {
            // The probe is for a customer of another line than the one that waits for it.
            call!(parent: None::<tracing::span::Id>,);
        } else {
            call!();
        }
    }
}

impl Drop for LoggedAttempt<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.log(
                None,
                None,
                Some("given up by this process before an answer came"),
            );
        }
    }
}

/// Returns a wait in milliseconds; `None` if it is less than one.
fn some(time: Duration) -> Option<u64> {
    let millis = millis(time);
    (millis > 0).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::super::Path;
    use super::super::trace::timed;
    use super::*;
    use std::pin::pin;

    #[tokio::test]
    async fn without_subscriber_no_attempt_is_logged_and_no_time_measured() {
        let (call, mut course) = (Call::get(CallKind::Read, Path::new("/x")), CallState::new());
        let wait = tokio::time::sleep(Duration::from_millis(5));
        timed(&mut course.waited.rate, pin!(wait)).await;
        assert_eq!(course.waited.rate, Duration::ZERO);
        assert!(LoggedAttempt::departs(&call, &mut course, Instant::now()).is_none());
    }
}

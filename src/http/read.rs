//! A read: repeated until there is an answer, or until repeating is hopeless.

use super::attempt_state::Outcome;
use super::call::{Call, CallError, CallErrorKind, NoAnswer, Reply, Unreadable};
use super::client::{CallState, Client, MOST_RENEWALS};
use super::trace::timed;

impl Client {
    /// Sends the call until `parse` accepts an answer, or until repeating is hopeless. `parse` gets every final reply
    /// (2xx, 400, 401 after a renewal, 403, 404, 409, 422 …).
    pub async fn read<T>(
        &self,
        call: &Call,
        parse: impl Fn(&Reply) -> Result<T, Unreadable>,
    ) -> Result<T, NoAnswer> {
        let mut course = CallState::new();
        loop {
            // In a box of its own: allocators are slow above 1 KiB, and the futures of callers contain this one.
            let shot = Box::pin(self.attempt(call, &mut course)).await?;
            let bearer = shot.bearer.clone();
            let why = match self.report_attempt(shot, |reply| {
                let success = reply.is_success();
                parse(&reply).map(|parsed| (parsed, success))
            }) {
                Outcome::Final((parsed, success)) => {
                    self.answered(call, &course, success);
                    return Ok(parsed);
                }
                Outcome::Unauthorized(reply) => {
                    let again = course.renewed > 0;
                    let renewing = self.renewed_after(&bearer, again);
                    if course.renewed < MOST_RENEWALS {
                        let renewed = timed(&mut course.waited.token, Box::pin(renewing)).await;
                        if renewed.map_err(|why| why.after(course.sent))? {
                            course.renewed += 1;
                            continue;
                        }
                    }
                    if self.stop.is_cancelled() {
                        // There may be a new token, but the wait for it was cancelled.
                        return Err(CallError::cancelled().after(course.sent));
                    }
                    return parse(&reply).map_err(|error| {
                        CallError::new(CallErrorKind::Unreadable, error.0).after(course.sent)
                    });
                }
                Outcome::Refused(why) => {
                    // This call waits with all others, but not forever if only this call is refused.
                    if course.begun.elapsed() >= self.give_up_after {
                        return Err(why);
                    }
                    continue;
                }
                Outcome::Unsendable(why) => return Err(why),
                Outcome::Unprocessed(_) if course.may_repeat_freely() => continue,
                Outcome::TooEarly(why)
                | Outcome::NotConnected(why)
                | Outcome::Unprocessed(why)
                | Outcome::Unclear(why) => why,
            };
            if self.is_hopeless(&why, call) {
                return Err(why.hopeless());
            }
            if call.tentative && why.kind != CallErrorKind::Connect {
                return Err(why);
            }
            Box::pin(self.before_retry(why, &mut course)).await?;
        }
    }
}

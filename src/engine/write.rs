//! Carries one write to a certain end. It waits for its turn, records its intent on disk, and is sent. The answer is
//! trusted only if it says what was requested; if in doubt, the value is read back. The write is sent again only after
//! a reading has shown that it did not take effect.

use super::read_back;
use super::write_breaker::Refusable;
use super::write_result::{Next, Sent, StepOutcome, WriteRequest};
use super::{Context, Halt, WriteLog, spans};
use crate::domain::{Failed, StoredValue, counted};
use crate::ledger::{Intent, NEVER_SENT, Noted, Verdict, WriteId, WriteVerdict};
use crate::moment::Moment;
use crate::system::{Fatal, SystemError, WriteOp, Written, new_correlation};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument;

/// The state of the attempts of one write so far.
#[derive(Debug, Default)]
struct Tries {
    /// The attempts after which a reading showed that nothing happened; attempts that were held back do not count.
    ineffective: u32,
    held_back: u32,
    /// The correlation ID of the last attempt, if it had no response: the next attempt carries the same.
    ///
    /// It is not kept for another process: the killed process may have had a response that it did not record, and a
    /// system that keeps responses for an ID (Adobe: ten days) would return that response without doing anything.
    unanswered_id: Option<String>,
    /// Whether the present attempt carries the correlation ID of the attempt before.
    repeats_the_id: bool,
    /// The attempts that were not sent, because the reading was too old when their turn came.
    late: u32,
}

/// After this many attempts that were too late, each further one gets more time, whatever the reason (a slow disk).
const MOST_LATE: u32 = 10;
/// If the run is being stopped, a write ends after this many attempts that were too late.
const MOST_LATE_AT_THE_END: u32 = 2;

/// A write that is held back more often than this counts as refused because of its content: a firewall may block it.
/// Each time all calls are held, so this must not continue without end.
const MOST_HELD_BACK: u32 = 30;

/// How long to wait after a write without an answer, on a system that sends e-mails for each write that takes effect.
const SETTLING: Duration = Duration::from_secs(10);

/// A reading this recent is enough for a write, however small the maximum age is: it takes time to record the intent.
pub(super) const JUST_SEEN: Duration = Duration::from_millis(250);

/// Carries one write to its end.
pub(super) async fn carry_out<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
) -> Result<StepOutcome, Halt> {
    let mut sent = Sent {
        unanswered: request.doubted.is_some(),
        last: request.doubted.map(Box::new),
        ..Sent::default()
    };
    let mut tries = Tries::default();
    let max_age = context.settings.max_age;
    let mut send_deadline = request.read_at + max_age;
    let mut slack = Duration::ZERO;
    let mut is_to_be_looked_at = false;
    loop {
        // Held until the result of this attempt is known; the first writes are sent one by one.
        let _permit = context.ramp.permit(request.unit).await?;
        if std::mem::take(&mut is_to_be_looked_at) || Moment::now() > send_deadline {
            let looked_at = Moment::now();
            let is_ours = request.doubted.is_some() || tries.ineffective > 0;
            if let Some(ended) = read_back::again(context, request, is_ours, &sent).await? {
                return Ok(ended);
            }
            let left = max_age.saturating_sub(looked_at.elapsed());
            send_deadline = Moment::now() + left.max(JUST_SEEN) + slack;
        }
        let order = request.operation(send_deadline, slack);
        match attempt(context, request, order, &mut sent, &mut tries).await? {
            Next::End(ended) => return Ok(ended),
            // Without more time, a turn that takes longer than a reading may be old would repeat the reading for ever.
            Next::ReadFirst(turn) => {
                tries.late += 1;
                // Units under way are finished, but not at any price: nothing was sent, and a later process can continue here.
                if context.is_stopping() && tries.late > MOST_LATE_AT_THE_END {
                    return Err(Halt::Stopping);
                }
                // Also if the deadline has not passed yet: the turn would come after it.
                is_to_be_looked_at = true;
                slack = slack.max(turn * 3);
                if tries.late > MOST_LATE {
                    slack = (slack * 2).max(JUST_SEEN);
                }
            }
            Next::AfterAWhile {
                correlation: same,
                why,
            } => {
                tries.unanswered_id = same;
                sent.unanswered = true;
                tries.ineffective += 1;
                if tries.ineffective > context.settings.retries {
                    let words = match sent.attempts {
                        1 => format!("it did not take effect ({why})"),
                        many => {
                            format!("{many} attempts did not take effect (the last one: {why})")
                        }
                    };
                    let trouble = SystemError::new(Failed::Unavailable, words);
                    let patience = context.settings.give_up_after;
                    context.write_breaker.ineffective(
                        Refusable::of(&request.write),
                        request.unit,
                        &trouble,
                        patience,
                    )?;
                    return Ok(StepOutcome::Failed(trouble, sent));
                }
                if context.system.sends_emails() {
                    // Each write that takes effect sends e-mails to people, so the value is read once more, after a pause.
                    tokio::time::sleep(SETTLING).await;
                    is_to_be_looked_at = true;
                } else {
                    back_off(tries.ineffective).await;
                }
            }
        }
    }
}

/// Waits for the write's turn and sends it. Repeats that as long as the write certainly was not processed.
async fn attempt<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    order: WriteOp<'_>,
    sent: &mut Sent,
    tries: &mut Tries,
) -> Result<Next, Halt> {
    let log = context.log.of(request.chunk);
    let mut prepared = match context.system.prepare_write(order).await {
        Ok(prepared) => prepared,
        Err(unsent) => return without_intent(context, request, unsent, sent, tries).await,
    };
    loop {
        let lead = context.lead_time.get();
        if let Err(unsent) = prepared.turn(lead).await {
            return without_intent(context, request, unsent, sent, tries).await;
        }
        // A new ID, never derived from the values: the same change after an undo is another intent.
        tries.repeats_the_id = tries.unanswered_id.is_some();
        let id = tries.unanswered_id.take().unwrap_or_else(new_correlation);
        sent.attempts += 1;
        sent.correlation = Some(id.clone());
        let intent = Intent {
            unit: request.unit,
            line: request.line,
            attempt: sent.attempts,
            customer: request.customer.clone(),
            reseller: request.reseller.cloned(),
            write: request.write.clone(),
            correlation: id.clone(),
            at_ms: super::context::wall_clock_ms(),
        };
        let noted = context.lead_time.measured(log.intend(intent)).await?;
        let Noted::Granted(recorded, lease) = noted else {
            // Another process has taken over the unit.
            return Err(Halt::Stopping);
        };
        context.common_failures.sends(request.line);
        sent.number = context.write_breaker.number();
        // Once the lease has ended, another process may have the unit.
        let may_send = || lease.holds();
        let sending = prepared
            .send(&id, &may_send)
            .instrument(spans::of_attempt(sent.attempts, &id));
        let written = unless_replayed(sending.await, tries.repeats_the_id);
        if tries.repeats_the_id && is_unsent(&written) {
            tries.unanswered_id = Some(id.clone());
        }
        let Written::Again(trouble) = written else {
            return after_sending(context, request, recorded, written, &id, sent, tries).await;
        };
        // Recorded before any wait: a process that is killed during the wait leaves nothing in doubt.
        let settled = WriteVerdict {
            verdict: Verdict::NotApplied,
            http_status: Some(trouble.http_status.unwrap_or(NEVER_SENT)),
            effect: None,
        };
        sent.last = Some(Box::new((recorded, settled.http_status)));
        log.verdict(recorded, settled).await?;
        if trouble.http_status.is_none() {
            sent.attempts -= 1;
            if !lease.holds() {
                return Ok(Next::ReadFirst(Duration::ZERO));
            }
            context.lead_time.was_not_sent(lead);
            continue;
        }
        tries.held_back += 1;
        if tries.held_back > MOST_HELD_BACK {
            let why = held_back_too_often(context, request, tries.held_back)?;
            return unless_landed(context, request, why, sent, tries).await;
        }
    }
}

/// Decides what follows when a write was not sent and has no intent on record.
async fn without_intent<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    unsent: Written,
    sent: &mut Sent,
    tries: &Tries,
) -> Result<Next, Halt> {
    let trouble = match unsent {
        Written::Expired(turn) => return Ok(Next::ReadFirst(turn)),
        Written::Stale { now } => request.moved_on(context, &StoredValue::Account(now), false),
        Written::Refused(trouble) => {
            sent.http_status = trouble.http_status;
            match read_back::refused(context, request, trouble).await? {
                None => return Ok(Next::End(StepOutcome::Done(sent.clone()))),
                Some(trouble) => {
                    request.was_refused(context, &trouble, sent.number)?;
                    trouble
                }
            }
        }
        Written::NotSent(trouble) | Written::Again(trouble) | Written::InDoubt(trouble) => {
            context.trouble(trouble).await?
        }
        Written::Applied { .. } | Written::Stored { .. } => {
            SystemError::new(Failed::BadAnswer, "an answer came to what was not sent")
        }
    };
    unless_landed(context, request, trouble, sent, tries).await
}

/// Ends the write with a failure, unless an earlier attempt without an answer has taken effect meanwhile.
async fn unless_landed<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    trouble: SystemError,
    sent: &Sent,
    tries: &Tries,
) -> Result<Next, Halt> {
    if request.doubted.is_some() || tries.ineffective > 0 {
        let (verdict, next) = read_back::late(context, request, trouble, sent).await?;
        if verdict == Verdict::Unknown && matches!(next, Next::End(StepOutcome::Failed(..))) {
            read_back::is_uncertain(context, request, sent).await?;
        }
        return Ok(next);
    }
    Ok(Next::End(StepOutcome::Failed(trouble, sent.clone())))
}

/// Records what became of a write that was sent.
async fn after_sending<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    id: WriteId,
    written: Written,
    correlation: &str,
    sent: &mut Sent,
    tries: &Tries,
) -> Result<Next, Halt> {
    let doubted_before = request.doubted.is_some() || tries.ineffective > 0;
    let is_doubt = matches!(written, Written::InDoubt(_) | Written::Stored { .. });
    let is_unsent = is_unsent(&written);
    let nothing_happened = !doubted_before && (is_unsent || matches!(written, Written::Refused(_)));
    let mut concluded = conclude(context, request, written, correlation, sent).await;
    // If the answer itself was in doubt, the value has just been read.
    if doubted_before
        && !is_doubt
        && let Ok((_, Next::End(StepOutcome::Failed(trouble, _)))) = concluded
    {
        concluded = read_back::late(context, request, trouble, sent).await;
    }
    let verdict = match &concluded {
        Ok((verdict, _)) => Some(*verdict),
        // The run ends here. A certain result is still recorded; an uncertain one stays open.
        Err(_) => nothing_happened.then_some(Verdict::NotApplied),
    };
    if let Some(verdict) = verdict {
        let never_sent = is_unsent && verdict == Verdict::NotApplied;
        let effect = match &concluded {
            Ok((_, Next::End(StepOutcome::Failed(_, sent)))) => sent.effect.clone(),
            _ => None,
        };
        let settled = WriteVerdict {
            verdict,
            http_status: never_sent.then_some(NEVER_SENT).or(sent.http_status),
            effect,
        };
        context.log.of(request.chunk).verdict(id, settled).await?;
    }
    let (_, next) = concluded?;
    if matches!(next, Next::AfterAWhile { .. }) {
        sent.last = Some(Box::new((id, sent.http_status)));
    }
    if is_doubt
        && let Next::End(StepOutcome::Failed(trouble, _)) = &next
        && trouble.reason == Failed::BadAnswer
    {
        request.was_refused(context, trouble, sent.number)?;
    }
    Ok(next)
}

/// Returns whether nothing was sent, so that a correlation ID that had no response before still has none.
fn is_unsent(written: &Written) -> bool {
    use Written::{Again, Expired, NotSent, Stale};
    match written {
        Again(trouble) => trouble.http_status.is_none(),
        other => matches!(other, NotSent(_) | Expired(_) | Stale { .. }),
    }
}

/// Turns an acceptance under a repeated correlation ID into a doubt: it may be the response to the earlier attempt,
/// returned without doing anything. Only a read-back is trusted.
fn unless_replayed(written: Written, repeats_the_id: bool) -> Written {
    match written {
        Written::Applied { http_status } | Written::Stored { http_status, .. }
            if repeats_the_id =>
        {
            Written::InDoubt(SystemError {
                http_status: Some(http_status),
                ..SystemError::new(
                    Failed::BadAnswer,
                    "the answer may be the one to an earlier attempt with the same correlation ID",
                )
            })
        }
        other => other,
    }
}

fn held_back_too_often<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    times: u32,
) -> Result<SystemError, Halt> {
    let times = counted(times.into(), "time");
    let words =
        format!("refused {times} while other calls were not; the system never processed it");
    let trouble = SystemError::new(Failed::Unavailable, words);
    let patience = context.settings.give_up_after;
    context.write_breaker.ineffective(
        Refusable::of(&request.write),
        request.unit,
        &trouble,
        patience,
    )?;
    Ok(trouble)
}

/// Decides what an answer means for the write, and what follows. If the run ends here and the effect is unknown, the
/// write stays unsettled in the ledger, and `resume` reads before it writes.
///
/// Rare cases are boxed: otherwise every unit would need memory for them.
async fn conclude<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    written: Written,
    correlation: &str,
    sent: &mut Sent,
) -> Result<(Verdict, Next), Halt> {
    let not_applied = |trouble, sent: &Sent| {
        let end = Next::End(StepOutcome::Failed(trouble, sent.clone()));
        (Verdict::NotApplied, end)
    };
    match written {
        Written::Applied { http_status } => {
            context.write_accepted(&request.write, sent.number);
            sent.http_status = Some(http_status);
            Ok((Verdict::Applied, Next::End(StepOutcome::Done(sent.clone()))))
        }
        Written::Expired(turn) => Ok((Verdict::NotApplied, Next::ReadFirst(turn))),
        Written::NotSent(trouble) | Written::Again(trouble) => {
            Ok(not_applied(context.trouble(trouble).await?, sent))
        }
        Written::Stale { now } => {
            let seen = StoredValue::Account(now);
            Ok(not_applied(request.moved_on(context, &seen, false), sent))
        }
        Written::Refused(trouble) => {
            sent.http_status = trouble.http_status;
            Ok(match read_back::refused(context, request, trouble).await? {
                None => (Verdict::Applied, Next::End(StepOutcome::Done(sent.clone()))),
                Some(trouble) => {
                    request.was_refused(context, &trouble, sent.number)?;
                    not_applied(trouble, sent)
                }
            })
        }
        // The write took effect and did more than that: a read-back cannot correct it, and nothing more may be sent.
        Written::InDoubt(trouble) if trouble.fatal == Some(Fatal::Unsafe) => {
            Err(Halt::Fatal(Fatal::Unsafe, trouble.message))
        }
        Written::Stored { http_status, value } => {
            sent.http_status = Some(http_status);
            let next = read_back::stored(context, request, value, correlation, sent).await?;
            Ok((next.verdict(&request.write), next))
        }
        Written::InDoubt(trouble) => {
            sent.http_status = trouble.http_status.or(sent.http_status);
            let is_bad = trouble.reason == Failed::BadAnswer;
            let next = read_back::in_doubt(context, request, trouble, correlation, sent).await?;
            sent.bad_answer |= is_bad;
            Ok((next.verdict(&request.write), next))
        }
    }
}

/// Waits a random time (full jitter) between zero and a bound that doubles each time, up to eight seconds.
async fn back_off(ineffective: u32) {
    let bound = Duration::from_millis(250).saturating_mul(1 << ineffective.min(5));
    tokio::time::sleep_until(Instant::now() + bound.mul_f64(fastrand::f64())).await;
}

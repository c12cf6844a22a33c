//! Finds out what became of a write when its answer does not tell: reads the value back, and judges the write by it.

use super::customer_state::taken;
use super::events::Event;
use super::halt::{OrHalt, StepError, StepResult};
use super::write_result::{Next, Sent, StepOutcome, WriteRequest};
use super::{Context, Halt, WriteLog, reading};
use crate::domain::{AccountId, CustomerId, Failed, LocationState, Profile, StoredValue};
use crate::ledger::{Judgement, Verdict, Write, WriteVerdict, judge};
use crate::system::{Location, SystemError};

/// Makes the outcome of a write for which the system stored another value than requested.
fn altered(request: &WriteRequest<'_>, effect: StoredValue, sent: &Sent) -> StepOutcome {
    let (asked, stored) = match (&request.write, &effect) {
        (Write::Account { after, .. }, StoredValue::Account(stored)) => {
            (text(after.as_ref()), text(stored.as_ref()))
        }
        (Write::Location { after, .. }, StoredValue::Location(stored)) => {
            if after.service == stored.service {
                let profile =
                    |spot: &LocationState| spot.profile.map_or("none", Profile::as_str).to_owned();
                (profile(after), profile(stored))
            } else {
                (text(after.service.as_ref()), text(stored.service.as_ref()))
            }
        }
        (Write::Account { .. } | Write::Location { .. }, _) => (String::new(), String::new()),
    };
    let words = format!("`{asked}` was written, and the system stored `{stored}`");
    let sent = Sent {
        effect: Some(effect),
        ..sent.clone()
    };
    StepOutcome::Failed(SystemError::new(Failed::Altered, words), sent)
}

fn text<T: AsRef<str>>(id: Option<&T>) -> String {
    id.map_or("none", AsRef::as_ref).to_owned()
}

/// Handles an answer that says that another value was stored. Reads it back: some answers show values that are not stored.
pub(super) async fn stored<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    told: StoredValue,
    correlation: &str,
    sent: &Sent,
) -> Result<Next, Halt> {
    let doubt = || SystemError {
        http_status: sent.http_status,
        ..SystemError::new(
            Failed::BadAnswer,
            "the answer does not confirm the requested value",
        )
    };
    // The former value in the answer proves nothing: it may have been read before the write took effect.
    if judge(&request.write, &told) == Judgement::DidNot {
        return in_doubt(context, request, doubt(), correlation, sent).await;
    }
    let seen = match look(context, request).await.or_halt()? {
        Ok(seen) => seen,
        // Only the answer is known, and it is about this write.
        Err(_) => told.clone(),
    };
    Ok(match judge(&request.write, &seen) {
        Judgement::TookEffect => {
            context.write_accepted(&request.write, sent.number);
            Next::End(StepOutcome::Done(sent.clone()))
        }
        Judgement::DidNot => return in_doubt(context, request, doubt(), correlation, sent).await,
        Judgement::Altered => {
            context.write_stored_otherwise(&request.write, sent.number);
            Next::End(altered(request, told, sent))
        }
        Judgement::ConcurrentChange => {
            context.write_stored_otherwise(&request.write, sent.number);
            Next::End(changed_since(context, request, told, seen, sent))
        }
    })
}

/// Makes the outcome of a write for which the answer tells another value than requested, and a reading a third one: the
/// answer tells what this write did. If the values differ, another client has changed the value since, and keeps it.
fn changed_since<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    told: StoredValue,
    seen: StoredValue,
    sent: &Sent,
) -> StepOutcome {
    if told == seen {
        return altered(request, told, sent);
    }
    let trouble = request.moved_on(context, &seen, true);
    let sent = Sent {
        seen: Some(seen),
        ..sent.clone()
    };
    // What the system made of a temporary ID is of no interest once the customer has another ID.
    if request.write.is_temporary() {
        return StepOutcome::Failed(trouble, sent);
    }
    altered(request, told, &sent)
}

/// Finds out why a write was refused: the customer that has the wanted ID decides. Returns `None` if the write had
/// taken effect after all.
pub(super) async fn refused<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    trouble: SystemError,
) -> Result<Option<SystemError>, Halt> {
    let trouble = context.trouble(trouble).await?;
    let Write::Account {
        after: Some(after), ..
    } = &request.write
    else {
        return Ok(Some(trouble));
    };
    let may_be_taken = matches!(trouble.reason, Failed::Conflict | Failed::Rejected);
    if !may_be_taken || !context.system.capabilities().searches_live {
        return Ok(Some(trouble));
    }
    Ok(match holder(context, request, after).await.or_halt()? {
        Ok(Some(holder)) if holder == *request.customer => None,
        Ok(Some(holder)) => Some(SystemError {
            http_status: trouble.http_status,
            ..taken(after, &holder)
        }),
        Ok(None) => Some(taken_but_for_case(context, request, after, trouble)),
        Err(_) => Some(trouble),
    })
}

/// Explains a refusal by a system that ignores case: another customer has the ID in another case.
fn taken_but_for_case<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    after: &AccountId,
    refusal: SystemError,
) -> SystemError {
    let is_own = |other: &str| match &request.write {
        Write::Account { before, .. } => before.as_ref().is_some_and(|own| own.as_str() == other),
        Write::Location { .. } => false,
    };
    match context.system.equal_but_for_case(after) {
        Some(other) if !is_own(&other) => SystemError {
            http_status: refusal.http_status,
            ..SystemError::new(
                Failed::Conflict,
                format!(
                    "the new account ID `{after}` is refused: another customer has `{other}`, which differs in case only ({})",
                    refusal.message
                ),
            )
        },
        _ => refusal,
    }
}

async fn holder<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    account: &AccountId,
) -> StepResult<Option<CustomerId>> {
    let found = context.find(account, request.reseller).await?;
    let own = found
        .iter()
        .find(|customer| customer.id == *request.customer);
    Ok(own.or(found.first()).map(|customer| customer.id.clone()))
}

/// Handles a failed attempt after an attempt without an answer, which may have taken effect after it was read back.
pub(super) async fn late<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    trouble: SystemError,
    sent: &Sent,
) -> Result<(Verdict, Next), Halt> {
    let mut sent = sent.clone();
    let (verdict, ended) = match look(context, request).await.or_halt()? {
        Ok(seen) => match judge(&request.write, &seen) {
            Judgement::TookEffect => {
                context.write_accepted(&request.write, sent.number);
                (Verdict::Applied, StepOutcome::Done(sent))
            }
            Judgement::Altered => {
                context.write_stored_otherwise(&request.write, sent.number);
                (Verdict::Applied, altered(request, seen, &sent))
            }
            Judgement::DidNot => (Verdict::NotApplied, StepOutcome::Failed(trouble, sent)),
            Judgement::ConcurrentChange => {
                let mut words = request.moved_on(context, &seen, true);
                words.http_status = trouble.http_status;
                if trouble.reason != Failed::Stale {
                    words.message =
                        format!("{}. The last attempt: {}", words.message, trouble.message);
                }
                sent.seen = Some(seen);
                let ended = Next::End(StepOutcome::Failed(words, sent));
                return Ok((ended.verdict(&request.write), ended));
            }
        },
        Err(unseen) => (
            Verdict::Unknown,
            StepOutcome::InDoubt(unread(trouble, &unseen), sent),
        ),
    };
    Ok((verdict, Next::End(ended)))
}

/// Reads the value again before a write, because the last reading is too old. Returns `None` if nothing has changed.
/// `is_ours`: an earlier attempt had no answer, so a value as requested may be its effect.
pub(super) async fn again<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    is_ours: bool,
    sent: &Sent,
) -> Result<Option<StepOutcome>, Halt> {
    let mut sent = sent.clone();
    let seen = match look(context, request).await.or_halt()? {
        Ok(seen) => seen,
        Err(trouble) if is_ours => return Ok(Some(StepOutcome::InDoubt(trouble, sent))),
        Err(trouble) => return Ok(Some(StepOutcome::Failed(trouble, sent))),
    };
    Ok(match judge(&request.write, &seen) {
        Judgement::DidNot => None,
        Judgement::TookEffect if is_ours => {
            context.write_accepted(&request.write, sent.number);
            Some(StepOutcome::Done(sent))
        }
        Judgement::Altered if is_ours => {
            context.write_stored_otherwise(&request.write, sent.number);
            Some(altered(request, seen, &sent))
        }
        Judgement::TookEffect | Judgement::Altered | Judgement::ConcurrentChange => {
            let trouble = request.moved_on(context, &seen, is_ours);
            sent.seen = Some(seen);
            if is_ours && !request.write.is_temporary() {
                is_uncertain(context, request, &sent).await?;
            }
            Some(StepOutcome::Failed(trouble, sent))
        }
    })
}

/// Records for the last attempt that its effect is not certain after all.
pub(super) async fn is_uncertain<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    sent: &Sent,
) -> Result<(), Halt> {
    let Some((attempt, http_status)) = sent.last.as_deref().copied() else {
        return Ok(());
    };
    let settled = WriteVerdict {
        verdict: Verdict::Unknown,
        http_status,
        effect: None,
    };
    Ok(context
        .log
        .of(request.chunk)
        .verdict(attempt, settled)
        .await?)
}

fn unread(mut doubt: SystemError, why: &SystemError) -> SystemError {
    doubt.message = format!("{}; reading back failed: {}", doubt.message, why.message);
    doubt
}

/// Reads the value back, and decides by it what follows.
pub(super) async fn in_doubt<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
    doubt: SystemError,
    correlation: &str,
    sent: &Sent,
) -> Result<Next, Halt> {
    // If the run ends here, the intent stays open in the ledger, and `resume` reads before it writes.
    let seen = match look(context, request).await.or_halt()? {
        Ok(seen) => seen,
        Err(trouble) => {
            let doubt = unread(doubt, &trouble);
            return Ok(Next::End(StepOutcome::InDoubt(doubt, sent.clone())));
        }
    };
    match judge(&request.write, &seen) {
        Judgement::TookEffect => {
            context.write_accepted(&request.write, sent.number);
            Ok(Next::End(StepOutcome::Done(sent.clone())))
        }
        Judgement::Altered => {
            context.write_stored_otherwise(&request.write, sent.number);
            let effect = seen;
            Ok(Next::End(altered(request, effect, sent)))
        }
        // A write was sent, so the message must not say that nothing was written.
        Judgement::ConcurrentChange => {
            let trouble = request.moved_on(context, &seen, true);
            let sent = Sent {
                seen: Some(seen),
                ..sent.clone()
            };
            Ok(Next::End(StepOutcome::Failed(trouble, sent)))
        }
        Judgement::DidNot
            if sent.attempts > context.settings.retries && is_unshown(&request.write, &seen) =>
        {
            let mut doubt = doubt;
            doubt.message = format!(
                "{}; the system does not show profiles, so idshift cannot tell whether the write took effect",
                doubt.message
            );
            Ok(Next::End(StepOutcome::InDoubt(doubt, sent.clone())))
        }
        // A repetition would be answered in the same way.
        Judgement::DidNot if is_hopeless(&doubt, sent) => {
            Ok(Next::End(StepOutcome::Failed(doubt, sent.clone())))
        }
        Judgement::DidNot => {
            // The system may answer a duplicate with a raw 500, so the holder of the new ID is looked up before a repetition.
            if let Write::Account {
                after: Some(after), ..
            } = &request.write
                && context.system.capabilities().unique_accounts
                && let Ok(Some(holder)) = holder(context, request, after).await.or_halt()?
                && holder != *request.customer
            {
                let trouble = SystemError {
                    http_status: doubt.http_status,
                    ..taken(after, &holder)
                };
                return Ok(Next::End(StepOutcome::Failed(trouble, sent.clone())));
            }
            // Any response uses up the correlation ID, even one that cannot be read (`BadAnswer` without a status).
            let had_no_response = doubt.http_status.is_none() && doubt.reason != Failed::BadAnswer;
            let same = had_no_response.then(|| correlation.to_owned());
            if let Some(times) = context.write_breaker.without_effect() {
                let why = doubt.message.clone();
                context.emit(Event::NoEffect { times, why });
            }
            Ok(Next::AfterAWhile {
                correlation: same,
                why: doubt.message.clone(),
            })
        }
    }
}

/// Returns the present value of what the write wants to set.
pub(super) async fn look<N: WriteLog>(
    context: &Context<N>,
    request: &WriteRequest<'_>,
) -> StepResult<StoredValue> {
    let (system, id) = (&context.system, request.customer);
    match &request.write {
        Write::Account { before, after, .. } => {
            let accounts = [after, before].into_iter().flatten();
            let found = reading::customer(system, id, request.reseller, false, accounts).await;
            Ok(StoredValue::Account(context.classify(found).await?.account))
        }
        Write::Location { location, .. } => {
            let found = reading::location(system, id, location).await;
            let Some(found) = context.classify(found).await? else {
                let words = format!("the location `{location}` is gone");
                return Err(StepError::line(Failed::NotFound, words));
            };
            let Location {
                service, profile, ..
            } = found;
            Ok(StoredValue::Location(LocationState { service, profile }))
        }
    }
}

/// Returns whether the effect of the write cannot be seen: it sets only a profile, and the system shows none.
fn is_unshown(write: &Write, seen: &StoredValue) -> bool {
    let Write::Location { before, after, .. } = write else {
        return false;
    };
    let StoredValue::Location(now) = seen else {
        return false;
    };
    let same_service = after.service.is_none() || after.service == before.service;
    after.profile.is_some() && now.profile.is_none() && same_service
}

/// Returns whether it is useless to send a write again that did not take effect: it was redirected, a proxy wants a
/// password, or for the second time the answer was not what the API specifies.
fn is_hopeless(doubt: &SystemError, sent: &Sent) -> bool {
    doubt.reason == Failed::BadAnswer
        && (sent.bad_answer || matches!(doubt.http_status, Some(300..=399 | 407)))
}

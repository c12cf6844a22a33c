//! Customers that are known without a search: from this run's own writes, from its plan, from earlier runs.
//!
//! They are read again by their own IDs, never searched.

use super::case::Case;
use super::customer_state::{CustomerState, DesiredState, PriorWrite, has_temporary_id, moved_on};
use super::halt::{OrHalt, StepError, StepResult};
use super::{Halt, Taken, WriteLog, reading};
use crate::domain::{AccountId, CustomerId, Failed, Outcome, Status, StoredValue};
use crate::ledger::{Judgement, Verdict, Write, WriteRecord, WriteVerdict, judge};
use crate::moment::Moment;
use crate::system::{Customer, SystemError};
use std::sync::Arc;

impl<N: WriteLog> Case<'_, N> {
    /// Returns the present state of the customer that this run or its plan has chosen.
    pub(super) async fn by_this_run(
        &self,
        id: &CustomerId,
        desired: &DesiredState<'_>,
    ) -> StepResult<CustomerState> {
        // The customer may have any account ID that this run has given it, temporary ones too.
        let given = self
            .recorded()
            .filter_map(|write| write.account_stored().flatten());
        let mut given: Vec<AccountId> = given.collect();
        given.dedup();
        let (customer, at) = self.present(id, desired, &given).await?;
        let mut state = CustomerState::of(customer, desired.reseller, at);
        let mine = self.recorded();
        let ids = mine
            .clone()
            .filter(|write| matches!(write.intent.write, Write::Account { .. }));
        let newer = self.context.settings.history.written_since(&state.id, None);
        let seen_now = StoredValue::Account(state.now.clone());
        resolve_open_writes(&self.log, ids, &seen_now, newer).await?;
        let mut written = false;
        // A write that was never processed says nothing about the state of the customer before this run.
        let counts = |write: &WriteRecord| {
            write.verdict == Some(Verdict::Applied) || (write.may_have_landed() && !newer)
        };
        for write in mine.filter(|write| counts(write)) {
            match &write.intent.write {
                Write::Account {
                    before, temporary, ..
                } => {
                    if !written {
                        state.original.clone_from(before);
                        written = true;
                    }
                    let altered = altered_by(write, &seen_now);
                    // Recognised by the customer, not by the text, which the system may have stored in its own spelling.
                    let is_there = altered.is_some()
                        || judge(&write.intent.write, &seen_now) == Judgement::TookEffect;
                    if *temporary && is_there {
                        state.parked.clone_from(&state.now);
                    }
                    if !temporary && altered.is_some() {
                        state.altered = altered;
                    }
                }
                Write::Location {
                    location, before, ..
                } => {
                    state
                        .original_locations
                        .entry(location.clone())
                        .or_insert_with(|| before.clone());
                }
            }
        }
        if written {
            state.check_left_by_this_run(desired, self.prior_write(None))?;
            return Ok(state);
        }
        let mut planned = self.task.expected.iter();
        let planned = planned.find(|outcome| self.is_mine(outcome.line));
        // Without this check, a customer known by its own ID would be written even if another client has changed its account ID.
        let undoes = self.context.settings.undoes.is_some();
        // An undo at a location says nothing about the account ID of a customer that it does not rename. The outcome of a
        // line in doubt has the account ID that the customer had then.
        let is_unsaid = |planned: &Outcome| {
            let of_then = undoes && planned.status == Status::InDoubt;
            !desired.new_account.asks() && (planned.account.before.is_none() || of_then)
        };
        let believed = match planned {
            Some(planned) if is_unsaid(planned) => None,
            Some(planned) => Some(planned.account.before.as_ref()),
            None => desired.account.map(Some),
        };
        let now = state.now.as_ref();
        let renamed = desired.new_account.asks() && desired.is_fulfilled_by(now);
        if let Some(run) = self.context.settings.history.temporary_of(&state.id, now) {
            // A write of the run that this run undoes may have taken effect late.
            if self.context.settings.undoes.as_deref() == Some(run) {
                return Ok(state);
            }
            let words = has_temporary_id(&state.id, run);
            return Err(StepError::line(Failed::Stale, words));
        }
        if let Some(believed) = believed.filter(|believed| *believed != now && !renamed) {
            return Err(moved_on(believed, now, self.prior_write(None)).into());
        }
        Ok(state)
    }

    /// Returns the customer that an earlier run meant by the same line, or that a report names, if it has the old
    /// account ID or already the new one. If it has neither, or is gone, no other customer is searched: the customer
    /// that has the old account ID now may belong to another line.
    pub(super) async fn by_prior_run(
        &self,
        desired: &DesiredState<'_>,
    ) -> StepResult<Option<CustomerState>> {
        let Some(id) = self.task.customer_by_prior_run(self.member) else {
            return Ok(None);
        };
        // Test: `recognition::line_naming_another_customer_*`.
        if desired.customer.is_some_and(|given| given != id) {
            return Ok(None);
        }
        let (customer, at) = match self.present(id, desired, &[]).await.or_halt()? {
            Ok(found) => found,
            // Test: `recognition::new_owner_of_the_old_*`.
            Err(error) if is_gone(&error) => {
                return Err(self.given_away(id, desired, "is gone", error).await?);
            }
            Err(error) => return Err(error.into()),
        };
        let state = CustomerState::of(customer, desired.reseller, at);
        let now = state.now.as_ref();
        if now == desired.account {
            return Ok(Some(state));
        }
        if desired.is_fulfilled_by(now) {
            // The cell or the ID was altered since the report: if another customer has the line's ID, that one may be
            // meant (test: `meant_customer::edited_report_line_is_not_applied_*`).
            let is_altered = self
                .context
                .settings
                .history
                .reported
                .get(&desired.rename_line)
                == Some(&false);
            if is_altered && self.holder_besides(id, desired).await?.is_some() {
                let account = desired.account.map_or("", AccountId::as_str);
                let words = format!(
                    "the report names customer `{id}`, but `{account}` belongs to another customer: name the customer \
                     in `customerId`, and leave `accountId` empty"
                );
                return Err(StepError::line(Failed::Mismatch, words));
            }
            return Ok(Some(state));
        }
        // Test: `stale_writes::a_write_that_parks_a_customer_*`.
        if let Some(run) = self.context.settings.history.temporary_of(&state.id, now) {
            let words = has_temporary_id(&state.id, run);
            return Err(StepError::line(Failed::Stale, words));
        }
        // Test: `resume::swap_is_not_repeated_*`.
        let moved = moved_on(desired.account, now, PriorWrite::None);
        Err(self.given_away(id, desired, &has_now(now), moved).await?)
    }

    /// Returns why a line is refused when its customer has neither account ID any more: another customer has the old
    /// one now, or `otherwise`.
    async fn given_away(
        &self,
        id: &CustomerId,
        desired: &DesiredState<'_>,
        state: &str,
        otherwise: SystemError,
    ) -> StepResult<StepError> {
        let holder = self.holder_besides(id, desired).await?;
        let account = desired.account.zip(holder);
        Ok(account.map_or_else(
            || otherwise.into(),
            |(account, holder)| means_former(id, state, account, &holder),
        ))
    }

    /// Returns another customer that has the account ID of the lines.
    async fn holder_besides(
        &self,
        id: &CustomerId,
        desired: &DesiredState<'_>,
    ) -> StepResult<Option<CustomerId>> {
        let Some(account) = desired.account else {
            return Ok(None);
        };
        let found = self.context.find(account, desired.reseller).await?;
        let mut others = found.into_iter().map(|holder| holder.id);
        Ok(others.find(|holder| holder != id))
    }

    /// Checks a customer that a line found by its account ID. If an earlier run carried out the same request for
    /// another customer, the line still means that other customer: the account ID was given away since. Otherwise the
    /// found customer may belong to another line.
    pub(super) async fn as_applied_before(
        &self,
        desired: &DesiredState<'_>,
        account: &AccountId,
        state: CustomerState,
    ) -> StepResult<CustomerState> {
        let id = match self.applied_before(desired, account).await? {
            Some(id) if id != state.id => id,
            _ => {
                let history = &self.context.settings.history;
                history.against((account, &state.id), desired.reseller)?;
                return Ok(state);
            }
        };
        let now = match self.present(&id, desired, &[]).await.or_halt()? {
            Ok((customer, at)) => {
                if desired.is_fulfilled_by(customer.account.as_ref()) {
                    return Ok(CustomerState::of(customer, desired.reseller, at));
                }
                has_now(customer.account.as_ref())
            }
            Err(error) if is_gone(&error) => "is gone".to_owned(),
            Err(error) => return Err(error.into()),
        };
        Err(means_former(&id, &now, account, &state.id))
    }

    /// Returns the customer for which the newest earlier run carried out this request.
    async fn applied_before(
        &self,
        desired: &DesiredState<'_>,
        account: &AccountId,
    ) -> StepResult<Option<CustomerId>> {
        let Some(prior) = &self.context.settings.history.prior_renames else {
            return Ok(None);
        };
        if !prior.is_ready() {
            // Calls that are under way continue meanwhile. If the thread fails, `customer_of` reads the data itself.
            let renames = Arc::clone(prior);
            if let Ok(read) = tokio::task::spawn_blocking(move || renames.prepare()).await {
                read?;
            }
        }
        Ok(prior.customer_of(account, desired.target(), desired.reseller)?)
    }

    /// What an earlier run has made of an account ID that no customer has. It is for a message: where that cannot be read,
    /// nothing is said of it.
    pub(super) async fn taken_before(
        &self,
        account: &AccountId,
        desired: &DesiredState<'_>,
    ) -> Option<Taken> {
        let prior = Arc::clone(self.context.settings.history.prior_renames.as_ref()?);
        let (account, reseller) = (account.clone(), desired.reseller.cloned());
        let asked = move || prior.taken_by(&account, reseller.as_ref());
        tokio::task::spawn_blocking(asked).await.ok()?.ok()?
    }

    /// Handles a line that names a customer, while its account ID belongs to another one. The line is already done if
    /// an earlier run carried out the request for the named customer and this customer has the new ID: the account ID
    /// was given away by the same run or since. Otherwise the line is refused with `why`.
    pub(super) async fn named_as_applied_before(
        &self,
        account: &AccountId,
        desired: &DesiredState<'_>,
        why: SystemError,
    ) -> StepResult<CustomerState> {
        let Some(named) = desired.customer.filter(|_| desired.new_account.asks()) else {
            return Err(why.into());
        };
        if self.applied_before(desired, account).await?.as_ref() != Some(named) {
            return Err(why.into());
        }
        match self.present(named, desired, &[]).await.or_halt()? {
            Ok((customer, at)) if desired.is_fulfilled_by(customer.account.as_ref()) => {
                Ok(CustomerState::of(customer, desired.reseller, at))
            }
            Ok(_) | Err(_) => Err(why.into()),
        }
    }

    /// Returns the customer with this ID as it is now, from the look-up if that is recent. `given`: account IDs that it
    /// may have besides those of its lines.
    pub(super) async fn present(
        &self,
        id: &CustomerId,
        desired: &DesiredState<'_>,
        given: &[AccountId],
    ) -> StepResult<(Customer, Moment)> {
        if let Some([customer]) = self.seen.customer(id, desired.reseller)
            && customer.id == *id
        {
            return Ok((customer.clone(), self.seen.at()));
        }
        let at = Moment::now();
        let told = [desired.account, desired.target()].into_iter().flatten();
        let accounts: Vec<&AccountId> = told.chain(given).collect();
        let (system, reseller) = (&self.context.system, desired.reseller);
        let found = reading::customer(system, id, reseller, desired.locations, accounts);
        let customer = self.context.classify(found.await).await?;
        Ok((customer, at))
    }
}

/// Returns whether the customer does not exist any more, or not for this token.
fn is_gone(error: &SystemError) -> bool {
    let reason = error.reason;
    matches!(
        reason,
        Failed::NotFound | Failed::Unauthorized | Failed::Forbidden
    )
}

fn has_now(account: Option<&AccountId>) -> String {
    let account = account.map_or("none", AccountId::as_str);
    format!("has the account ID `{account}` now")
}

/// Makes the error for a line that means a customer of an earlier run, while its account ID belongs to another one.
fn means_former(
    former: &CustomerId,
    state: &str,
    account: &AccountId,
    holder: &CustomerId,
) -> StepError {
    let words = format!(
        "in an earlier run this line referred to customer `{former}`, which {state}; `{account}` belongs to customer \
         `{holder}` now. Name the customer in `customerId`, and leave `accountId` empty; nothing was written"
    );
    StepError::line(Failed::Mismatch, words)
}

/// Returns why the line of this write has failed, if the present value is what the system made of the write.
pub(super) fn altered_by(write: &WriteRecord, seen: &StoredValue) -> Option<SystemError> {
    let is_there = match (&write.effect, seen) {
        (Some(StoredValue::Account(stored)), StoredValue::Account(now)) => stored == now,
        (Some(StoredValue::Location(stored)), StoredValue::Location(now)) => {
            stored.service == now.service
        }
        (Some(_), _) => false,
        (None, seen) => judge(&write.intent.write, seen) == Judgement::Altered,
    };
    let words = "the system stored another value than was written";
    is_there.then(|| SystemError::new(Failed::Altered, words))
}

/// Settles the writes of this run to one account ID or location by its present value. The last write that requested
/// this value has taken effect, even if it was not found at first. A write that was not done is not left open, whatever
/// becomes of the line. `newer`: another run has written the same thing since, so the present value is its effect.
pub(super) async fn resolve_open_writes<'a, N: WriteLog>(
    log: &N,
    writes: impl DoubleEndedIterator<Item = &'a WriteRecord>,
    seen: &StoredValue,
    newer: bool,
) -> Result<(), Halt> {
    let mut later = false;
    for write in writes.rev() {
        if write.verdict == Some(Verdict::Applied) {
            return Ok(());
        }
        let open = write.in_doubt();
        let verdict = match judge(&write.intent.write, seen) {
            // If the write cannot have landed, another client wrote this value.
            Judgement::TookEffect | Judgement::Altered if write.may_have_landed() && !newer => {
                Some(Verdict::Applied)
            }
            Judgement::TookEffect | Judgement::Altered if open && newer => {
                Some(Verdict::NotApplied)
            }
            Judgement::DidNot if open && !later => Some(Verdict::NotApplied),
            // The customer was not parked, or has got another ID since.
            Judgement::ConcurrentChange if open && write.intent.write.is_temporary() => {
                Some(Verdict::NotApplied)
            }
            // The write was not found at first; the present value may be what the system made of it.
            Judgement::ConcurrentChange
                if !open
                    && !later
                    && !newer
                    && write.may_have_landed()
                    && !write.intent.write.is_temporary() =>
            {
                Some(Verdict::Unknown)
            }
            Judgement::TookEffect
            | Judgement::Altered
            | Judgement::DidNot
            | Judgement::ConcurrentChange => None,
        };
        let is_altered = judge(&write.intent.write, seen) == Judgement::Altered;
        later = true;
        if let Some(verdict) = verdict {
            let settled = WriteVerdict {
                verdict,
                http_status: write.http_status,
                effect: (is_altered && verdict == Verdict::Applied).then(|| seen.clone()),
            };
            log.verdict(write.id, settled).await?;
        }
        if verdict == Some(Verdict::Applied) {
            return Ok(());
        }
    }
    Ok(())
}

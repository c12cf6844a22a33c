//! Which customer a line means, and the present state of that customer.
//!
//! Only an exact match counts. If no customer has the current account ID, the new one is searched, because an earlier
//! run may have done the work. `known_customers` handles customers that are known without a search.

use super::case::Case;
use super::customer_state::{CustomerState, DesiredState, has_temporary_id};
use super::halt::{OrHalt, StepError, StepResult};
use super::{Taken, UnitTask, WriteLog, spans};
use crate::domain::{AccountId, CustomerId, Failed, Line, NewAccount};
use crate::moment::Moment;
use crate::plan::{AliasConflicts, Member};
use crate::system::{Customer, SystemError};
use tracing::Instrument;

impl<N: WriteLog> Case<'_, N> {
    /// Finds the customer of a member, or returns why it cannot be determined.
    pub(super) async fn locate(&self) -> StepResult<CustomerState> {
        let span = spans::of_member(self.member);
        self.located().instrument(span).await
    }

    async fn located(&self) -> StepResult<CustomerState> {
        let desired = DesiredState::of(self.member);
        let state = if let Some(id) = self.task.customer_by_this_run(self.member) {
            self.by_this_run(id, &desired).await?
        } else if let Some(known) = self.by_prior_run(&desired).await? {
            known
        } else if let Some(account) = desired.account {
            let found = self
                .searched(account, &desired, neighbour(self.task, self.member))
                .await;
            let found = match found {
                // A list does not show all customers, but the line says which customer is meant.
                Err(StepError::Line(why))
                    if !self.context.system.capabilities().searches_live
                        && desired.customer.is_some() =>
                {
                    self.unsearched(account, &desired, why).await?
                }
                Err(StepError::Line(why)) if why.reason == Failed::Mismatch => {
                    self.named_as_applied_before(account, &desired, why).await?
                }
                found => found?,
            };
            // A line that names its customer, or that requests no new account ID, means the customer that it finds
            // (tests: `recognition::line_without_a_rename_*`, `prior_runs::corrected_line_of_a_chain_*`).
            let by_account_alone = desired.customer.is_none()
                && desired.new_account.asks()
                && found.now.as_ref() == Some(account);
            if by_account_alone {
                self.as_applied_before(&desired, account, found).await?
            } else {
                found
            }
        } else if let Some(id) = desired.customer {
            let (customer, at) = self.present(id, &desired, &[]).await?;
            CustomerState::of(customer, desired.reseller, at)
        } else {
            let words = "the line names no customer";
            return Err(StepError::line(Failed::Invalid, words));
        };
        self.check_fence(&state).await?;
        self.check_temporary_id(&desired, &state)?;
        self.check_aliases(&state).await?;
        Ok(state)
    }

    /// Refuses to rename a customer that has a temporary ID of another run, because that ID would be recorded as the
    /// former one. A line that names this ID itself is accepted.
    fn check_temporary_id(
        &self,
        desired: &DesiredState<'_>,
        state: &CustomerState,
    ) -> Result<(), SystemError> {
        let settings = &self.context.settings;
        let run = settings
            .history
            .temporary_of(&state.id, state.now.as_ref())
            .filter(|run| settings.undoes.as_deref() != Some(*run));
        match run {
            Some(run) if desired.new_account.asks() && desired.account != state.now.as_ref() => {
                let words = has_temporary_id(&state.id, run);
                Err(SystemError::new(Failed::Mismatch, words))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a customer if another line names it by its other ID and requests something else.
    async fn check_aliases(&self, state: &CustomerState) -> StepResult<()> {
        let Some(alias_conflicts) = &self.context.settings.alias_conflicts else {
            return Ok(());
        };
        let account = state.original.as_ref();
        let counts = |line| !self.context.settings.history.means_another(line, &state.id);
        if let Some(line) =
            alias_conflicts.against(&self.task.unit, self.member, (&state.id, account), counts)
        {
            let words = format!(
                "line {line} also names this customer, by its other ID, and asks for other values; nothing was written"
            );
            return Err(StepError::line(Failed::Invalid, words));
        }
        match account {
            Some(account) => {
                self.check_renamed_before(alias_conflicts, account, state)
                    .await
            }
            None => Ok(()),
        }
    }

    /// Refuses a customer that may have got its account ID from another line of the file, in an earlier run.
    async fn check_renamed_before(
        &self,
        alias_conflicts: &AliasConflicts,
        account: &AccountId,
        state: &CustomerState,
    ) -> StepResult<()> {
        // Tests: `recognition::planned_line_is_applied_*`, `resume::adobe_references_are_not_moved_*`.
        if self.task.known_customer(self.member).is_some() || self.context.has_given(account) {
            return Ok(());
        }
        let ordered = self.context.system.capabilities().unique_accounts;
        let others: Vec<_> = alias_conflicts
            .perhaps_renamed_by(&self.task.unit, self.member, (&state.id, account), ordered)
            .filter(|(line, _)| {
                !self
                    .context
                    .settings
                    .history
                    .means_another(*line, &state.id)
            })
            .collect();
        for (line, source) in others {
            match self.context.find(source, state.reseller.as_ref()).await {
                Ok(found) if found.is_empty() => {}
                Ok(_) => continue,
                // If customers cannot be searched, the line is accepted as it is.
                Err(StepError::Line(error)) if error.reason == Failed::Invalid => continue,
                Err(error) => return Err(error),
            }
            let words = format!(
                "no customer has the account ID `{source}` that line {line} renames to `{account}`, so customer `{}` \
                 may be the customer of that line, renamed earlier: remove one of the two lines; nothing was written",
                state.id
            );
            return Err(StepError::line(Failed::Invalid, words));
        }
        Ok(())
    }

    /// Returns the customer that has this account ID or, if there is none, the new one.
    async fn searched(
        &self,
        account: &AccountId,
        desired: &DesiredState<'_>,
        neighbour: Option<Line>,
    ) -> StepResult<CustomerState> {
        if let Some(found) = self.seen.account(account, desired.reseller) {
            let found = self.context.before_this_run(account, found.to_vec());
            if !found.is_empty() {
                return Ok(choose(account, found, desired, self.seen.at())?);
            }
        }
        let known_absent = self
            .seen
            .account(account, desired.reseller)
            .is_some_and(<[_]>::is_empty);
        if known_absent
            && neighbour.is_none()
            && self.context.system.capabilities().unique_accounts
            && let Some(target) = desired.target()
            && let Some([customer]) = self.seen.account(target, desired.reseller)
            && desired.customer.is_none_or(|id| *id == customer.id)
        {
            let customer = customer.clone();
            return Ok(CustomerState::of(
                customer,
                desired.reseller,
                self.seen.at(),
            ));
        }
        let at = Moment::now();
        let found = match self
            .context
            .find(account, desired.reseller)
            .await
            .or_halt()?
        {
            Ok(found) => self.context.before_this_run(account, found),
            Err(error) => return self.unsearched(account, desired, error).await,
        };
        if !found.is_empty() {
            return Ok(choose(account, found, desired, at)?);
        }
        let Some(target) = desired.target().filter(|target| *target != account) else {
            let why = self.not_found(account, desired).await;
            return self.cleared(desired, why).await;
        };
        if let Some(line) = neighbour {
            let words = format!(
                "no customer has the account ID `{account}`, and `{target}` is the account ID of the customer of line \
                 {line}"
            );
            return Err(StepError::line(Failed::NotFound, words));
        }
        let found = self.context.find(target, desired.reseller).await?;
        match <[Customer; 1]>::try_from(self.context.before_this_run(target, found)) {
            Ok([customer]) if desired.customer.is_none_or(|id| *id == customer.id) => {
                Ok(CustomerState::of(customer, desired.reseller, at))
            }
            Ok([customer]) => {
                let words = format!(
                    "no customer has the account ID `{account}`, and `{target}` belongs to customer `{}`",
                    customer.id
                );
                Err(StepError::line(Failed::NotFound, words))
            }
            Err(none) if none.is_empty() => Err(self.not_found(account, desired).await.into()),
            Err(several) => Err(ambiguous(target, &several).into()),
        }
    }

    /// Makes the error for an account ID that no customer has. Names the spelling that the system has, or the earlier run that
    /// changed the ID.
    async fn not_found(&self, account: &AccountId, desired: &DesiredState<'_>) -> SystemError {
        let more = match self.context.system.equal_but_for_case(account) {
            Some(other) => {
                format!("; the system finds `{other}` in its place, which differs in case")
            }
            None => match self.taken_before(account, desired).await {
                Some(taken) => changed_by(&taken),
                None => String::new(),
            },
        };
        let words = format!("no customer has the account ID `{account}`{more}");
        SystemError::new(Failed::NotFound, words)
    }

    /// Handles an account ID that cannot be searched. If the line also names the customer, its ID is only compared.
    async fn unsearched(
        &self,
        account: &AccountId,
        desired: &DesiredState<'_>,
        trouble: SystemError,
    ) -> StepResult<CustomerState> {
        let Some(id) = desired.customer else {
            return Err(trouble.into());
        };
        let (customer, at) = self.present(id, desired, &[]).await?;
        let now = customer.account.as_ref();
        let renamed = desired.new_account.asks() && desired.is_fulfilled_by(now);
        if now == Some(account) || renamed {
            return Ok(CustomerState::of(customer, desired.reseller, at));
        }
        let words = format!(
            "customer `{id}` has the account ID `{}`, not `{account}`",
            now.map_or("", AccountId::as_str)
        );
        Err(StepError::line(Failed::Mismatch, words))
    }

    /// Handles an account ID that no customer has. If the line names its customer and removes the ID, that may already be done.
    async fn cleared(
        &self,
        desired: &DesiredState<'_>,
        not_found: SystemError,
    ) -> StepResult<CustomerState> {
        let (NewAccount::Clear, Some(id)) = (desired.new_account, desired.customer) else {
            return Err(not_found.into());
        };
        let at = Moment::now();
        match self
            .context
            .read(id, desired.reseller, desired.locations)
            .await?
        {
            Some(customer) if customer.account.is_none() => {
                Ok(CustomerState::of(customer, desired.reseller, at))
            }
            _ => Err(not_found.into()),
        }
    }

    /// Refuses customers of another tenant. If the answer does not contain the customer's tenant, the customer is read
    /// once more; if the tenant is still missing, the customer is refused.
    async fn check_fence(&self, state: &CustomerState) -> StepResult<()> {
        let Some(fence) = &self.context.settings.fence else {
            return Ok(());
        };
        let id = &state.id;
        let mut owner = state.owner.clone();
        if owner.is_none() {
            let read = self.context.read(id, state.reseller.as_ref(), false);
            owner = read.await?.and_then(|customer| customer.owner);
        }
        let words = match owner {
            Some(owner) if owner == *fence => return Ok(()),
            Some(owner) => {
                format!(
                    "customer `{id}` belongs to `{owner}`, but tenant_fence allows only customers of `{fence}`"
                )
            }
            None => format!(
                "the system does not say whether customer `{id}` belongs to `{fence}` (tenant_fence)"
            ),
        };
        Err(StepError::line(Failed::Forbidden, words))
    }
}

/// Returns the line of this chain or swap that names, as its current account ID, the new ID of the member. A customer found
/// under that ID belongs to that line. For a line that stands alone, it would be the line's own customer, already renamed.
fn neighbour(task: &UnitTask, member: &Member) -> Option<Line> {
    let desired = DesiredState::of(member);
    // A line that names its customer can tell them apart.
    let target = desired.target().filter(|_| desired.customer.is_none())?;
    let others = task
        .unit
        .members
        .iter()
        .filter(|other| other.first_line() != member.first_line())
        .map(DesiredState::of);
    let mut holders = others.filter(|other| other.account == Some(target));
    holders.next().map(|other| other.rename_line)
}

/// Chooses one of the customers that have the account ID: the only one, or the customer that the line names.
fn choose(
    account: &AccountId,
    found: Vec<Customer>,
    desired: &DesiredState<'_>,
    at: Moment,
) -> Result<CustomerState, SystemError> {
    let named = desired.customer;
    match <[Customer; 1]>::try_from(found) {
        Ok([only]) if named.is_none_or(|id| *id == only.id) => {
            Ok(CustomerState::of(only, desired.reseller, at))
        }
        Ok([only]) => Err(SystemError::new(
            Failed::Mismatch,
            format!(
                "account ID `{account}` belongs to customer `{}`, not to `{}`",
                only.id,
                named.map_or("", CustomerId::as_str)
            ),
        )),
        Err(several) => match several.iter().find(|customer| named == Some(&customer.id)) {
            Some(customer) => Ok(CustomerState::of(customer.clone(), desired.reseller, at)),
            None => Err(ambiguous(account, &several)),
        },
    }
}

fn ambiguous(account: &AccountId, several: &[Customer]) -> SystemError {
    let ids: Vec<_> = several
        .iter()
        .take(5)
        .map(|customer| format!("`{}`", customer.id))
        .collect();
    SystemError::new(
        Failed::Ambiguous,
        format!(
            "{} customers have the account ID `{account}` ({}): name one in `customerId`",
            several.len(),
            ids.join(", ")
        ),
    )
}

/// Makes the error for two lines of a chain or swap that found one customer: an account ID has moved to it since.
pub(super) fn same_customer(id: &CustomerId) -> SystemError {
    let words = format!("another line of this chain or swap has found the same customer `{id}`");
    SystemError::new(Failed::Mismatch, words)
}

/// Returns the part of the message that names the run which changed the account ID, and says how to correct the line.
fn changed_by(taken: &Taken) -> String {
    let Taken { run, customer, now } = taken;
    let (made, correct) = match now {
        Some(now) => (
            format!("changed it to `{now}`"),
            format!("write `{now}` in `accountId`, or"),
        ),
        None => (
            String::from("removed it"),
            String::from("leave `accountId` empty and"),
        ),
    };
    format!(
        "; run {run} has {made} (customer `{customer}`), and the file still has the old ID: if this customer is meant, {correct} \
         write `{customer}` in `customerId`"
    )
}

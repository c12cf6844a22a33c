//! The customers of a cycle: which account ID each has, which can get their new ID, and how to undo the changes.

use super::case::Case;
use super::customer_state::{CustomerState, DesiredState};
use super::halt::OrHalt;
use super::write_result::{Sent, StepOutcome};
use super::{Halt, WriteLog, reading};
use crate::domain::{AccountId, CustomerId, Failed, Line, is_respelling};
use crate::moment::Moment;
use crate::plan::temporary_id;
use crate::system::SystemError;
use std::collections::HashSet;
use std::time::Duration;

/// How long to wait before reading whether a write without an answer took effect late.
const LATE: Duration = Duration::from_secs(3);
/// A customer of a cycle, and its present state.
pub(super) struct CycleMember<'a, N> {
    pub(super) case: Case<'a, N>,
    pub(super) desired: DesiredState<'a>,
    pub(super) state: CustomerState,
    /// The last write that moved this customer.
    pub(super) sent: Sent,
    /// Whether an earlier write had no answer and may still take effect.
    pub(super) may_land_late: bool,
    /// Whether the customer is rolled back, to the former account ID in the spelling in which the system stores it.
    pub(super) is_rolled_back: bool,
}

/// A rename of one customer that did not succeed.
pub(super) struct Stuck {
    /// The line of the customer that was to be renamed.
    pub(super) line: Line,
    pub(super) trouble: SystemError,
    pub(super) sent: Sent,
    /// Whether it is unknown if the rename took effect.
    pub(super) in_doubt: bool,
}

impl Stuck {
    /// Makes the value for a rename that was not sent.
    fn unsent(line: Line, trouble: SystemError) -> Self {
        Self {
            line,
            trouble,
            sent: Sent::default(),
            in_doubt: false,
        }
    }
}

/// Why a cycle was not completed.
pub(super) enum Broken {
    /// A customer could not be given an ID.
    Now(Stuck),
    /// An earlier process of this run gave up, and has recorded that as the outcome of some of the lines.
    Before,
}

impl<N: WriteLog> CycleMember<'_, N> {
    pub(super) fn is_renamed(&self) -> bool {
        self.desired.is_fulfilled_by(self.state.now.as_ref())
    }

    pub(super) fn is_displaced(&self) -> bool {
        self.state.now != self.state.original
    }

    /// Returns whether the customer still has to be rolled back. A customer that got an ID from another client meanwhile
    /// keeps it.
    fn is_to_restore(&self) -> bool {
        self.is_displaced() && !self.is_rolled_back && self.sent.seen.is_none()
    }
}

/// The customers of a cycle, and the account IDs that they have now.
pub(super) struct CycleState<'a, N> {
    pub(super) members: Vec<CycleMember<'a, N>>,
    pub(super) occupied: HashSet<AccountId>,
    pub(super) own: Vec<CustomerId>,
    pub(super) run: &'a str,
}

impl<'a, N: WriteLog> CycleState<'a, N> {
    pub(super) fn of(members: Vec<CycleMember<'a, N>>, run: &'a str) -> Self {
        let occupied = members
            .iter()
            .filter_map(|one| one.state.now.clone())
            .collect();
        let own = members.iter().map(|one| one.state.id.clone()).collect();
        Self {
            members,
            occupied,
            own,
            run,
        }
    }

    fn is_taken(&self, account: Option<&AccountId>) -> bool {
        account.is_some_and(|account| self.occupied.contains(account))
    }

    /// Returns whether another customer of the cycle has this account ID, stored by the system in another spelling.
    fn is_taken_otherwise(&self, at: usize, account: Option<&AccountId>) -> bool {
        let alters =
            |one: &CycleMember<'_, N>| one.state.altered.is_some() || one.sent.effect.is_some();
        let Some(account) = account.filter(|_| self.members.iter().any(alters)) else {
            return false;
        };
        let own = self.members[at].state.now.as_ref();
        let others = self
            .occupied
            .iter()
            .filter(|occupied| Some(*occupied) != own);
        others
            .into_iter()
            .any(|occupied| is_respelling(account.as_str(), occupied.as_str()))
    }

    /// Gives all customers their new IDs. If no customer can get its ID, parks one first. Returns the rename that did
    /// not succeed.
    pub(super) async fn assign(&mut self) -> Result<Option<Stuck>, Halt> {
        // Checked before any customer is parked: a customer cannot get its ID if a customer outside of the cycle has it.
        for one in self.members.iter().filter(|one| !one.is_renamed()) {
            let line = one.desired.rename_line;
            if let Some(trouble) = &one.state.altered {
                return Ok(Some(Stuck {
                    sent: one.case.sent_before(line),
                    ..Stuck::unsent(line, trouble.clone())
                }));
            }
            let target = one.desired.target();
            let free = one.case.check_target(&one.state, target, &self.own);
            if let Err(error) = free.await.or_halt()? {
                return Ok(Some(Stuck::unsent(line, error)));
            }
        }
        loop {
            let mut moved = false;
            // In the order of the plan. The first customer is the one that is parked, so it comes last.
            for at in (1..self.members.len()).chain([0]) {
                let target = self.members[at].desired.target();
                if self.members[at].is_renamed() || self.is_taken(target) {
                    continue;
                }
                if let Some(stuck) = self.step(at, target.cloned(), false).await? {
                    return Ok(Some(stuck));
                }
                moved = true;
            }
            let Some(at) = self.members.iter().position(|one| !one.is_renamed()) else {
                return Ok(None);
            };
            if moved {
                continue;
            }
            let line = self.members[at].desired.rename_line;
            let temp_id = temporary_id(self.run, u64::from(line));
            let Ok(temp_id) = AccountId::new(&temp_id) else {
                let words = format!("`{temp_id}` is no account ID");
                let error = SystemError::new(Failed::Invalid, words);
                return Ok(Some(Stuck::unsent(line, error)));
            };
            if let Some(stuck) = self.step(at, Some(temp_id), true).await? {
                return Ok(Some(stuck));
            }
        }
    }

    /// Rolls all customers back to the IDs that this run found. Returns the error if that is not possible for a customer.
    pub(super) async fn roll_back(&mut self) -> Result<Option<SystemError>, Halt> {
        loop {
            let mut moved = false;
            for at in (0..self.members.len()).rev() {
                let original = self.members[at].state.original.clone();
                let is_taken = self.is_taken(original.as_ref())
                    || self.is_taken_otherwise(at, original.as_ref());
                if !self.members[at].is_to_restore() || is_taken {
                    continue;
                }
                let one = &self.members[at];
                let free = one.case.check_free_now(&one.state, original.as_ref());
                if let Err(error) = free.await.or_halt()? {
                    return Ok(Some(error));
                }
                match self.step(at, original, false).await? {
                    None => moved = true,
                    // The system stored another spelling of the former ID, which is as close to it as the system allows.
                    Some(Stuck { sent, .. }) if sent.effect.is_some() => {
                        moved = true;
                        self.members[at].is_rolled_back = true;
                    }
                    Some(Stuck { trouble, .. }) => return Ok(Some(trouble)),
                }
            }
            if !self.members.iter().any(CycleMember::is_to_restore) {
                return Ok(None);
            }
            if !moved {
                let words = if self.members.iter().any(|one| one.sent.seen.is_some()) {
                    "another client has changed one of them, so the swap could not be rolled back"
                } else {
                    "the former account IDs are taken, so the swap could not be rolled back"
                };
                return Ok(Some(SystemError::new(Failed::Conflict, words)));
            }
        }
    }

    /// Returns whether a write that parks a customer had no answer and took effect after later writes, so that its
    /// customer is parked again.
    pub(super) async fn is_parked_late(&mut self) -> Result<bool, Halt> {
        if !self.members.iter().any(|one| one.may_land_late) {
            return Ok(false);
        }
        tokio::time::sleep(LATE).await;
        let mut parked_late = false;
        for one in self.members.iter_mut().filter(|one| one.may_land_late) {
            let temp_id = temporary_id(self.run, u64::from(one.desired.rename_line));
            let state = &mut one.state;
            let Ok(temp_id) = AccountId::new(&temp_id) else {
                continue;
            };
            let accounts: Vec<&AccountId> = state.now.iter().chain([&temp_id]).collect();
            let system = &one.case.context.system;
            let at = Moment::now();
            let found =
                reading::customer(system, &state.id, state.reseller.as_ref(), false, accounts);
            // A customer that cannot be read now had the right ID after its last write.
            let Ok(found) = one.case.context.classify(found.await).await.or_halt()? else {
                continue;
            };
            let is_temporary =
                |account: &AccountId| is_respelling(temp_id.as_str(), account.as_str());
            let temporary = found.account.filter(is_temporary);
            if temporary.is_some() && state.now != temporary {
                if let Some(before) = state.now.take() {
                    self.occupied.remove(&before);
                }
                self.occupied.extend(temporary.clone());
                state.now.clone_from(&temporary);
                state.parked = temporary;
                state.read_at = at;
                parked_late = true;
            }
        }
        Ok(parked_late)
    }

    /// Gives one customer an account ID. Returns the rename if it did not succeed.
    async fn step(
        &mut self,
        at: usize,
        to: Option<AccountId>,
        temporary: bool,
    ) -> Result<Option<Stuck>, Halt> {
        let member = &mut self.members[at];
        let line = member.desired.rename_line;
        let from = member.state.now.clone();
        let write = member.case.move_to(&mut member.state, line, to, temporary);
        let renamed = write.await?;
        let has_moved = match &renamed {
            StepOutcome::Done(sent) => {
                member.may_land_late |= member.sent.unanswered;
                member.sent = sent.clone();
                true
            }
            // The customer was renamed, but to a spelling that the system chose.
            StepOutcome::Failed(_, sent) if sent.effect.is_some() => {
                member.sent = sent.clone();
                true
            }
            StepOutcome::Failed(_, sent) => {
                member.sent.seen.clone_from(&sent.seen);
                member.may_land_late |= temporary && sent.unanswered;
                false
            }
            StepOutcome::InDoubt(..) | StepOutcome::NotAsked | StepOutcome::Already => false,
        };
        if has_moved {
            if let Some(from) = from {
                self.occupied.remove(&from);
            }
            self.occupied.extend(member.state.now.clone());
        }
        let in_doubt = matches!(renamed, StepOutcome::InDoubt(..));
        Ok(match renamed {
            StepOutcome::Failed(trouble, sent) | StepOutcome::InDoubt(trouble, sent) => {
                Some(Stuck {
                    line,
                    trouble,
                    sent,
                    in_doubt,
                })
            }
            StepOutcome::Done(_) | StepOutcome::NotAsked | StepOutcome::Already => None,
        })
    }
}

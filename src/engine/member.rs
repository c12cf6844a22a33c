//! One customer's lines: the rename they share, their locations, and an outcome for each.

use super::case::Case;
use super::customer_state::{CustomerState, DesiredState, taken};
use super::halt::{OrHalt, StepError, StepResult};
use super::location::{Attempted, ResolvedLocation};
use super::write::carry_out;
use super::write_result::{Sent, SentAttempt, StepOutcome, WriteRequest};
use super::{Halt, WriteLog, location, spans};
use crate::domain::{AccountId, Change, CustomerId, Failed, Line, LocationId, Status, StoredValue};
use crate::ledger::{Verdict, Write, WriteRecord};
use crate::moment::Moment;
use crate::plan::Shape;
use crate::system::SystemError;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use tracing::Instrument;

impl<N: WriteLog> Case<'_, N> {
    /// Carries out a member that stands alone: finds the customer, renames it, and writes its locations.
    pub(super) async fn alone(&self) -> Result<StepOutcome, Halt> {
        if self
            .member
            .changes
            .iter()
            .all(|change| !change.asks_anything())
        {
            self.nothing_asked().await?;
            return Ok(StepOutcome::NotAsked);
        }
        // Not in the head of the `match`, where the future would be kept until the end, and twice.
        let located = self.locate().await;
        match located.or_halt()? {
            Ok(mut state) => self.onward(&mut state, &[]).await,
            Err(trouble) => {
                self.fail(&trouble).await?;
                Ok(StepOutcome::unsent(trouble))
            }
        }
    }

    /// Carries out a located member. `own` are customers that are about to release their account IDs.
    pub(super) async fn onward(
        &self,
        state: &mut CustomerState,
        own: &[CustomerId],
    ) -> Result<StepOutcome, Halt> {
        let renamed = match self.rename(state, own).await.or_halt()? {
            Ok(renamed) => renamed,
            Err(error) => StepOutcome::unsent(error),
        };
        self.finish_lines(state, &renamed).await?;
        Ok(renamed)
    }

    async fn rename(
        &self,
        state: &mut CustomerState,
        own: &[CustomerId],
    ) -> StepResult<StepOutcome> {
        self.check_locations(state).await?;
        let desired = DesiredState::of(self.member);
        if !desired.new_account.asks() {
            return Ok(StepOutcome::NotAsked);
        }
        if let Some(trouble) = &state.altered {
            let sent = self.sent_before(desired.rename_line);
            return Ok(StepOutcome::Failed(trouble.clone(), sent));
        }
        if desired.is_fulfilled_by(state.now.as_ref()) {
            return Ok(if state.original == state.now {
                StepOutcome::Already
            } else {
                StepOutcome::Done(self.sent_before(desired.rename_line))
            });
        }
        self.check_target(state, desired.target(), own).await?;
        if self.context.is_plan() {
            self.check_newer_runs(state, None)?;
            self.count_contacts(state).await?;
            return Ok(StepOutcome::Done(Sent::default()));
        }
        let target = desired.target().cloned();
        let moved = self.move_to(state, desired.rename_line, target, false);
        Ok(moved.await?)
    }

    /// In a plan: reads to how many people the write would send an e-mail, if the system sends e-mails.
    async fn count_contacts(&self, state: &mut CustomerState) -> StepResult<()> {
        if !self.context.system.sends_emails() || state.contacts.is_some() {
            return Ok(());
        }
        let read = self.context.read(&state.id, state.reseller.as_ref(), false);
        let Some(customer) = read.await? else {
            let words = format!("there is no customer `{}`", state.id);
            return Err(StepError::line(Failed::NotFound, words));
        };
        state.contacts = customer.contacts;
        Ok(())
    }

    /// Writes one account ID, and updates the known state of the customer.
    pub(super) async fn move_to(
        &self,
        state: &mut CustomerState,
        line: Line,
        after: Option<AccountId>,
        temporary: bool,
    ) -> Result<StepOutcome, Halt> {
        let write = Write::Account {
            before: state.now.clone(),
            after: after.clone(),
            temporary,
        };
        // Before the write is sent: customers that are listed meanwhile may already show it, also while it is in doubt.
        if let Some(after) = &after {
            self.context.gave(after, &state.id);
        }
        let ended = self.write(state, line, write).await?;
        let now = match &ended {
            StepOutcome::Done(_) => Some(after),
            StepOutcome::Failed(_, sent) => match (&sent.effect, &sent.seen) {
                // Another client has changed it since.
                (Some(_), Some(StoredValue::Account(now))) => Some(now.clone()),
                (Some(StoredValue::Account(stored)), _) => Some(stored.clone()),
                _ => None,
            },
            _ => None,
        };
        if let Some(now) = now {
            state.parked = now.clone().filter(|_| temporary);
            state.now = now;
            state.read_at = Moment::now();
        }
        Ok(match ended {
            StepOutcome::Done(sent) => StepOutcome::Done(sent),
            // A temporary ID need not be stored as it was sent.
            StepOutcome::Failed(_, sent) if temporary && sent.effect.is_some() => {
                StepOutcome::Done(sent)
            }
            StepOutcome::Failed(error, sent) if sent.effect.is_some() => {
                self.context.altered.fetch_add(1, Ordering::Relaxed);
                StepOutcome::Failed(error, sent)
            }
            other => other,
        })
    }

    pub(super) async fn write(
        &self,
        state: &CustomerState,
        line: Line,
        write: Write,
    ) -> Result<StepOutcome, Halt> {
        let location = match &write {
            Write::Account { .. } => None,
            Write::Location { location, .. } => Some(location),
        };
        if let Err(error) = self.check_newer_runs(state, location) {
            return Ok(StepOutcome::Failed(error, self.sent_before(line)));
        }
        // `cycle::carry_out` decides for the account IDs of a swap.
        let ends_swap = self.task.unit.shape == Shape::Cycle && location.is_none();
        if self.context.only_resolves() && !ends_swap {
            return Err(Halt::Stopping);
        }
        let wish = WriteRequest {
            chunk: self.task.chunk.as_ref(),
            unit: self.task.unit.number,
            line,
            customer: &state.id,
            reseller: state.reseller.as_ref(),
            doubted: self.doubted(line, &write),
            read_at: match write {
                Write::Account { .. } => state.read_at,
                Write::Location { .. } => state.locations_read_at,
            },
            write,
        };
        let before = self.sent_before(line).attempts;
        // Boxed: see `executor::carry_out`.
        let span = spans::of_line(wish.line, wish.customer);
        let writing = carry_out(self.context, &wish).instrument(span);
        let mut ended = Box::pin(writing).await?;
        if let Some(sent) = ended.sent_mut() {
            sent.attempts += before;
        }
        Ok(ended)
    }

    /// Returns the last attempt of an earlier process that may have taken effect.
    fn doubted(&self, line: Line, write: &Write) -> Option<SentAttempt> {
        let mut recorded = self.task.recorded.iter();
        let doubted = recorded.rfind(|one| {
            let same = one.intent.line == line && one.intent.write.wants_the_same(write);
            same && one.may_have_landed()
        });
        doubted.map(|one| (one.id, one.http_status))
    }

    /// Refuses a write if another run has requested something for this customer since this run was begun, because that
    /// is newer. A swap in which a customer is parked must be finished by this run: no run requested half of a swap.
    pub(super) fn check_newer_runs(
        &self,
        state: &CustomerState,
        location: Option<&LocationId>,
    ) -> Result<(), SystemError> {
        let history = &self.context.settings.history;
        let Some(run) = history.wanted_since(&state.id, location) else {
            return Ok(());
        };
        let has_parked = |recorded: &WriteRecord| {
            recorded.intent.write.is_temporary() && recorded.verdict != Some(Verdict::NotApplied)
        };
        if state.parked.is_some() || self.task.recorded.iter().any(has_parked) {
            return Ok(());
        }
        let words =
            format!("run {run} is newer and has changed this customer; nothing more was written");
        Err(SystemError::new(Failed::Stale, words))
    }

    /// Returns what was sent for a line before this process began.
    pub(super) fn sent_before(&self, line: Line) -> Sent {
        let mine = self
            .task
            .recorded
            .iter()
            .filter(|recorded| recorded.intent.line == line);
        mine.fold(Sent::default(), |sent, recorded| Sent {
            bad_answer: false,
            number: sent.number,
            attempts: sent.attempts + 1,
            correlation: Some(recorded.intent.correlation.clone()),
            http_status: sent.http_status,
            unanswered: sent.unanswered || recorded.may_have_landed(),
            last: None,
            seen: None,
            effect: None,
        })
    }

    /// Checks that no customer outside of this unit has the requested ID, as far as that is known or can be looked up
    /// (in a plan, and if the system would not refuse a duplicate).
    pub(super) async fn check_target(
        &self,
        state: &CustomerState,
        target: Option<&AccountId>,
        own: &[CustomerId],
    ) -> StepResult<()> {
        let capabilities = self.context.system.capabilities();
        let Some(target) = target.filter(|_| capabilities.unique_accounts) else {
            return Ok(());
        };
        let reseller = state.reseller.as_ref();
        let holders = match self.seen.account(target, reseller) {
            Some(found) => found.to_vec(),
            None if self.context.is_plan() || !capabilities.refuses_duplicates => {
                self.context.find(target, reseller).await?
            }
            None => return Ok(()),
        };
        let other = holders
            .iter()
            .find(|holder| holder.id != state.id && !own.contains(&holder.id));
        other.map_or(Ok(()), |holder| Err(taken(target, &holder.id).into()))
    }

    /// Checks that no other customer has this account ID now, if the system would not refuse a second one.
    pub(super) async fn check_free_now(
        &self,
        state: &CustomerState,
        account: Option<&AccountId>,
    ) -> StepResult<()> {
        let capabilities = self.context.system.capabilities();
        let Some(account) =
            account.filter(|_| capabilities.unique_accounts && !capabilities.refuses_duplicates)
        else {
            return Ok(());
        };
        let holders = self.context.find(account, state.reseller.as_ref());
        let holders = holders.await?;
        let other = holders.iter().find(|holder| holder.id != state.id);
        other.map_or(Ok(()), |holder| Err(taken(account, &holder.id).into()))
    }

    /// Carries out what the lines request for locations, and gives each line its outcome.
    pub(super) async fn finish_lines(
        &self,
        state: &mut CustomerState,
        renamed: &StepOutcome,
    ) -> Result<(), Halt> {
        let open = || {
            self.member
                .changes
                .iter()
                .filter(|change| !self.task.is_done(change.line))
        };
        let wants_location = |change: &&Change| {
            change.asks_location() && (renamed.is_done() || !change.new_account.asks())
        };
        let learnt = if open().any(|change| wants_location(&change)) {
            let learnt = location::learn(self.context, state, &self.member.changes);
            learnt.await.or_halt()?
        } else {
            Ok(())
        };
        let contradictions = self.contradictions(state);
        let mut would_rename = false;
        let mut attempted: Vec<Attempted<'_>> = Vec::new();
        for change in open() {
            let (placed, touched) = if wants_location(&change) {
                self.location_outcome(state, change, &learnt, &contradictions, &attempted)
                    .await?
            } else {
                (StepOutcome::NotAsked, None)
            };
            attempted.extend(Attempted::of(change, &placed, touched.as_ref()));
            let outcome = self.outcome(state, change, renamed, &placed, touched);
            would_rename |= outcome.status == Status::WouldChange && change.new_account.asks();
            self.context.finish(&self.log, outcome, self.began).await?;
        }
        if would_rename && matches!(renamed, StepOutcome::Done(_)) {
            let tally = &self.context.tally;
            tally.planned_account_writes.fetch_add(1, Ordering::Relaxed);
            let contacts = u64::from(state.contacts.unwrap_or(0));
            tally.planned_emails.fetch_add(contacts, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Carries out what one line requests for a location. `learnt`: whether the customer's locations are known.
    async fn location_outcome(
        &self,
        state: &mut CustomerState,
        change: &Change,
        learnt: &Result<(), SystemError>,
        contradictions: &HashMap<Line, SystemError>,
        attempted: &[Attempted<'_>],
    ) -> Result<(StepOutcome, Option<ResolvedLocation>), Halt> {
        if let Err(error) = learnt {
            let outcome = if self.leaves_in_doubt(error) {
                StepOutcome::InDoubt(error.clone(), self.sent_before(change.line))
            } else {
                StepOutcome::unsent(error.clone())
            };
            return Ok((outcome, None));
        }
        let mut attempted = attempted.iter();
        if let Some(same) = attempted.find(|one| one.decides(state, change)) {
            return Ok((same.outcome.clone(), Some(same.location.clone())));
        }
        match contradictions.get(&change.line) {
            Some(error) => Ok((StepOutcome::unsent(error.clone()), None)),
            None => self.set_location(state, change).await,
        }
    }

    async fn nothing_asked(&self) -> Result<(), Halt> {
        self.fail(&SystemError::new(Failed::Invalid, "")).await
    }

    /// Handles lines that wait for an ID that was not freed. Changes that do not need the ID are still carried out.
    pub(super) async fn block(&self, why: &str) -> Result<(), Halt> {
        let trouble = SystemError::new(Failed::Blocked, why);
        let independent = |change: &Change| !change.new_account.asks() && change.asks_location();
        if !self.member.changes.iter().any(independent) {
            return self.fail(&trouble).await;
        }
        let located = self.locate().await;
        match located.or_halt()? {
            Ok(mut state) => {
                let blocked = StepOutcome::unsent(trouble);
                self.finish_lines(&mut state, &blocked).await
            }
            Err(other) => self.fail(&other).await,
        }
    }
}

//! What all executors of a run share: the system, the log, the settings, and what is known about the token.

use super::common_failures::CommonFailures;
use super::halt::{Halt, StepError, StepResult};
use super::lead_time::LeadTime;
use super::ramp::Ramp;
use super::settings::{Lookup, Mode, Settings};
use super::write_breaker::{Refusable, WriteBreaker};
use super::{Event, Tally, WriteLog, spans, token_check};
use crate::domain::{AccountId, CustomerId, Failed, Outcome, Reseller, Status};
use crate::ledger::{LedgerError, Write};
use crate::moment::Moment;
use crate::system::{Customer, Location, System, SystemError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;
use tracing::Instrument;

/// How long the token counts as valid after a good answer.
const TOKEN_TRUST: Duration = Duration::from_secs(10);
/// Maximum number of refusals in a row for which the token still counts as valid after a good answer. Without it, if a
/// token became invalid in the middle of a run, each call during that time would count as a forbidden customer.
const TRUSTED_REFUSALS: u64 = 3;

/// What all executors of a run share.
pub struct Context<N> {
    /// The remote system.
    pub system: Arc<System>,
    /// The log of intents and outcomes.
    pub log: N,
    /// How the run is carried out.
    pub settings: Settings,
    /// Counts that a display can read.
    pub tally: Arc<Tally>,
    /// Rare events for listeners.
    pub events: broadcast::Sender<Event>,
    pub(super) stopping: AtomicBool,
    pub(super) bulk: AtomicBool,
    pub(super) bulk_worked: AtomicBool,
    started: Moment,
    token_good_at_ms: AtomicU64,
    /// Answers of 401 since the last good one.
    refused_in_a_row: AtomicU64,
    token_check: tokio::sync::Mutex<()>,
    /// How many writes of this process the system stored with another value than requested.
    pub(super) altered: AtomicU64,
    /// How long it takes to record an intent.
    pub(super) lead_time: LeadTime,
    pub(super) write_breaker: WriteBreaker,
    pub(super) common_failures: CommonFailures,
    pub(super) ramp: Ramp,
    given: Mutex<HashMap<AccountId, Vec<CustomerId>>>,
    /// Why the ledger cannot be used, if that was found out outside of the engine.
    ledger_failure: Mutex<Option<LedgerError>>,
    ledger_fails: Notify,
}

impl<N: WriteLog> Context<N> {
    /// Puts together what a run needs.
    pub fn new(
        system: Arc<System>,
        log: N,
        mut settings: Settings,
        tally: Arc<Tally>,
        events: broadcast::Sender<Event>,
    ) -> Self {
        let stops = !settings
            .max_failures
            .is_some_and(|most| most.is_everything());
        let known = Arc::clone(&settings.known_failures);
        let counts = stops && !settings.is_of_failures;
        Self {
            write_breaker: WriteBreaker::new(stops),
            common_failures: CommonFailures::new(counts, settings.must_find, known),
            ramp: Ramp::new(),
            given: Mutex::new(std::mem::take(&mut settings.given)),
            bulk: AtomicBool::new(settings.lookup != Lookup::Each),
            bulk_worked: AtomicBool::new(false),
            system,
            log,
            settings,
            tally,
            events,
            stopping: AtomicBool::new(false),
            started: Moment::now(),
            token_good_at_ms: AtomicU64::new(0),
            refused_in_a_row: AtomicU64::new(0),
            token_check: tokio::sync::Mutex::new(()),
            altered: AtomicU64::new(0),
            lead_time: LeadTime::default(),
            ledger_failure: Mutex::default(),
            ledger_fails: Notify::new(),
        }
    }

    /// Notes that the ledger cannot be used: no further unit is begun, as when the engine finds that out.
    pub fn ledger_failed(&self, error: LedgerError) {
        let mut failure = self
            .ledger_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *failure = Some(error);
        self.ledger_fails.notify_one();
    }

    /// Returns the error once [`Context::ledger_failed`] was called.
    pub(super) async fn ledger_failure(&self) -> LedgerError {
        loop {
            self.ledger_fails.notified().await;
            let failure = self.ledger_failure.lock();
            if let Some(error) = failure.unwrap_or_else(PoisonError::into_inner).take() {
                return error;
            }
        }
    }

    pub(super) fn is_plan(&self) -> bool {
        self.settings.mode == Mode::Plan
    }

    /// Returns whether the run only finds out what became of earlier writes.
    pub(super) fn only_resolves(&self) -> bool {
        self.settings.mode == Mode::Resolve
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn emit(&self, event: Event) {
        // There may be no receiver; that is no error.
        let _ = self.events.send(event);
    }

    /// Counts a line's outcome immediately; the future records it.
    pub(super) fn finish<'a>(
        &'a self,
        log: &'a N,
        mut outcome: Outcome,
        began: Instant,
    ) -> impl Future<Output = Result<(), Halt>> + Send + use<'a, N> {
        outcome.finished_at_ms = wall_clock_ms();
        outcome.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.tally.count(&outcome);
        self.common_failures.ended(&outcome);
        if outcome.status == Status::Failed(Failed::Unauthorized) {
            self.write_breaker.unauthorized(outcome.line);
        }
        let noted = log.outcome(outcome);
        async move { Ok(noted.await?) }
    }

    pub(super) async fn find(
        &self,
        account: &AccountId,
        reseller: Option<&Reseller>,
    ) -> StepResult<Vec<Customer>> {
        let number = self.write_breaker.number();
        let asking = self.system.find(account, reseller);
        let answer = asking.instrument(spans::of_account(account)).await;
        self.note_look_up(number, &answer, || format!("account ID `{account}`"))?;
        self.classify(answer).await
    }

    pub(super) async fn read(
        &self,
        customer: &CustomerId,
        reseller: Option<&Reseller>,
        locations: bool,
    ) -> StepResult<Option<Customer>> {
        let number = self.write_breaker.number();
        let asking = self.system.read(customer, reseller, locations);
        let answer = asking.instrument(spans::of_customer(customer)).await;
        self.note_look_up(number, &answer, || format!("customer `{customer}`"))?;
        self.classify(answer).await
    }

    pub(super) async fn locations(&self, customer: &CustomerId) -> StepResult<Vec<Location>> {
        let number = self.write_breaker.number();
        let asking = self.system.locations(customer);
        let answer = asking.instrument(spans::of_customer(customer)).await;
        self.note_look_up(number, &answer, || {
            format!("the locations of customer `{customer}`")
        })?;
        self.classify(answer).await
    }

    fn note_look_up<T>(
        &self,
        number: u64,
        answer: &Result<T, SystemError>,
        example: impl FnOnce() -> String,
    ) -> Result<(), Halt> {
        match answer {
            Ok(_) => {
                self.write_breaker.looked_up(number);
                Ok(())
            }
            Err(trouble) if trouble.fatal.is_some() => Ok(()),
            Err(trouble) => {
                let kind = Refusable::LookUp;
                self.write_breaker
                    .refused(kind, number, None, trouble, example)
            }
        }
    }

    /// Separates a failure of the line from the end of the run.
    pub(super) async fn classify<T>(&self, answer: Result<T, SystemError>) -> StepResult<T> {
        match answer {
            Ok(answer) => {
                self.token_is_good();
                Ok(answer)
            }
            Err(trouble) => Err(StepError::Line(self.trouble(trouble).await?)),
        }
    }

    /// Returns a failure of the line, unless it ends the run.
    pub(super) async fn trouble(&self, trouble: SystemError) -> Result<SystemError, Halt> {
        if let Some(fatal) = trouble.fatal {
            return Err(Halt::Fatal(fatal, trouble.message));
        }
        if trouble.reason == Failed::Unauthorized {
            self.confirm_token().await?;
        }
        Ok(trouble)
    }

    /// Notes that the write that was sent with this number took effect as requested.
    pub(super) fn write_accepted(&self, write: &Write, number: u64) {
        self.ramp.took_effect();
        self.write_stored_otherwise(write, number);
    }

    /// Notes that a write took effect, but that the system stored another value than requested. It was accepted, but is
    /// no reason to send more writes together: the next one may be altered, too.
    pub(super) fn write_stored_otherwise(&self, write: &Write, number: u64) {
        self.write_breaker.accepted(Refusable::of(write), number);
        self.token_is_good();
    }

    /// Notes that this run gives a customer this account ID, or tries to.
    pub(super) fn gave(&self, account: &AccountId, customer: &CustomerId) {
        if self.system.capabilities().unique_accounts {
            return;
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given
            .entry(account.clone())
            .or_default()
            .push(customer.clone());
    }

    /// Returns whether this run has given this account ID to a customer, on systems where several customers may have one.
    pub(super) fn has_given(&self, account: &AccountId) -> bool {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.contains_key(account)
    }

    /// Removes the customers to which this run gave this account ID: a line means the customer that had it before.
    pub(super) fn before_this_run(
        &self,
        account: &AccountId,
        mut found: Vec<Customer>,
    ) -> Vec<Customer> {
        if self.system.capabilities().unique_accounts {
            return found;
        }
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(given) = given.get(account) {
            found.retain(|customer| !given.contains(&customer.id));
        }
        found
    }

    pub(super) fn token_is_good(&self) {
        self.refused_in_a_row.store(0, Ordering::Relaxed);
        self.token_good_at_ms
            .store(self.elapsed_ms().max(1), Ordering::Relaxed);
    }

    /// Returns whether any call had a good answer so far.
    pub(super) fn has_been_answered(&self) -> bool {
        self.token_good_at_ms.load(Ordering::Relaxed) > 0
    }

    /// Returns why the run ends, if lines failed with a 401 shortly before its end and the token is refused: the token is
    /// then the cause, not the lines.
    pub(super) async fn ends_with_a_refused_token(&self) -> Option<Halt> {
        if !self.write_breaker.doubts_the_token() {
            return None;
        }
        let checked = token_check::is_accepted(&self.system).await;
        checked
            .err()
            .map(|(fatal, words)| Halt::Fatal(fatal, words))
    }

    fn token_was_good_lately(&self) -> bool {
        let good_at = self.token_good_at_ms.load(Ordering::Relaxed);
        let trust = u64::try_from(TOKEN_TRUST.as_millis()).unwrap_or(u64::MAX);
        good_at > 0
            && self.elapsed_ms() < good_at.saturating_add(trust)
            && self.refused_in_a_row.load(Ordering::Relaxed) <= TRUSTED_REFUSALS
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Handles a 401, which may be about this customer or about the token. If no call has succeeded lately, or several
    /// in a row were refused, it sends a request that every valid token may send. If that is refused too, the run has
    /// to end: the token is the cause, not the line.
    async fn confirm_token(&self) -> Result<(), Halt> {
        self.refused_in_a_row.fetch_add(1, Ordering::Relaxed);
        if self.token_was_good_lately() {
            return Ok(());
        }
        let _one_at_a_time = self.token_check.lock().await;
        if self.token_was_good_lately() {
            return Ok(());
        }
        match token_check::is_accepted(&self.system).await {
            Ok(true) => self.token_is_good(),
            Ok(false) => {}
            Err((fatal, words)) => return Err(Halt::Fatal(fatal, words)),
        }
        Ok(())
    }
}

#[cfg(test)]
thread_local! {
    /// The offset of the wall clock in milliseconds: no decision may depend on the wall clock.
    pub(super) static CLOCK_IS_OFF_BY: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
}

pub(super) fn wall_clock_ms() -> i64 {
    #[cfg(test)]
    let off = CLOCK_IS_OFF_BY.get();
    #[cfg(not(test))]
    let off = 0;
    off + std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

//! What all executors of a run share: the system, the notes, the settings, and what is known of the token.

use super::common_failures::CommonFailures;
use super::halt::{Halt, StepError, StepResult};
use super::lead::Lead;
use super::ramp::Ramp;
use super::settings::{Lookup, Mode, Settings};
use super::write_breaker::{Refusable, WriteBreaker};
use super::{Event, Tally, WriteLog, spans, token_check};
use crate::domain::{AccountId, CustomerId, Failed, Outcome, Reseller, Status};
use crate::ledger::{LedgerError, Write};
use crate::system::{Customer, Location, System, SystemError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;
use tracing::Instrument;

/// How long one good answer vouches for the token.
const TOKEN_TRUST: Duration = Duration::from_secs(10);
/// The maximum number of refusals in a row after a good answer for which the token still counts as valid. Without it,
/// each call after a token became invalid in the middle of a run would count as a forbidden customer during that time.
const TRUSTED_REFUSALS: u64 = 3;

/// What all executors of a run share.
pub struct Context<N> {
    /// The remote system.
    pub system: Arc<System>,
    /// Where intents and outcomes go.
    pub log: N,
    /// How the run is carried out.
    pub settings: Settings,
    /// Counts for whoever looks.
    pub tally: Arc<Tally>,
    /// Rare events for whoever listens.
    pub events: broadcast::Sender<Event>,
    pub(super) stopping: AtomicBool,
    pub(super) bulk: AtomicBool,
    pub(super) bulk_worked: AtomicBool,
    started: Instant,
    token_good_at_ms: AtomicU64,
    /// Answers of 401 since the last good one.
    refused_in_a_row: AtomicU64,
    token_check: tokio::sync::Mutex<()>,
    /// Writes of this process of which the system stored another value than was asked.
    pub(super) altered: AtomicU64,
    /// How long it takes to record an intent.
    pub(super) lead: Lead,
    pub(super) write_breaker: WriteBreaker,
    pub(super) common_failures: CommonFailures,
    pub(super) ramp: Ramp,
    given: Mutex<HashMap<AccountId, Vec<CustomerId>>>,
    /// Why the ledger cannot be used, where that was found out outside of the engine.
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
            started: Instant::now(),
            token_good_at_ms: AtomicU64::new(0),
            refused_in_a_row: AtomicU64::new(0),
            token_check: tokio::sync::Mutex::new(()),
            altered: AtomicU64::new(0),
            lead: Lead::default(),
            ledger_failure: Mutex::default(),
            ledger_fails: Notify::new(),
        }
    }

    /// The ledger cannot be used: no unit is begun any more, as where the engine finds that out.
    pub fn ledger_failed(&self, error: LedgerError) {
        let mut failure = self
            .ledger_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *failure = Some(error);
        self.ledger_fails.notify_one();
    }

    /// Returns once that was said.
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

    /// Whether only what became of earlier writes is found out.
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

    /// Tells a trouble of the line from the end of the run.
    pub(super) async fn classify<T>(&self, answer: Result<T, SystemError>) -> StepResult<T> {
        match answer {
            Ok(answer) => {
                self.token_is_good();
                Ok(answer)
            }
            Err(trouble) => Err(StepError::Line(self.trouble(trouble).await?)),
        }
    }

    /// Passes a trouble of the line on, unless it is the run's.
    pub(super) async fn trouble(&self, trouble: SystemError) -> Result<SystemError, Halt> {
        if let Some(fatal) = trouble.fatal {
            return Err(Halt::Fatal(fatal, trouble.message));
        }
        if trouble.reason == Failed::Unauthorized {
            self.confirm_token().await?;
        }
        Ok(trouble)
    }

    /// A write took effect as it was asked, which was sent with this number.
    pub(super) fn write_accepted(&self, write: &Write, number: u64) {
        self.ramp.took_effect();
        self.write_stored_otherwise(write, number);
    }

    /// A write took effect, and the system stored another value than was asked. It was accepted, but is no reason to send
    /// more writes together: the next one may be altered, too.
    pub(super) fn write_stored_otherwise(&self, write: &Write, number: u64) {
        self.write_breaker.accepted(Refusable::of(write), number);
        self.token_is_good();
    }

    /// This run gives a customer this account ID, or tries to.
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

    /// Whether this run has given this account ID to a customer, where that is not told from the ID alone.
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

    /// Whether any call was answered well so far.
    pub(super) fn has_been_answered(&self) -> bool {
        self.token_good_at_ms.load(Ordering::Relaxed) > 0
    }

    /// Whether lines have failed for a 401 shortly before the end, and the token is refused: then no line is to blame.
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

    /// A 401 may mean this customer or this token. Where no call has succeeded lately, or several in a row were
    /// refused, something that every
    /// good token may ask is asked: refused too means that the run has to end, and no line is to blame.
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
    /// How far the wall clock was set, in milliseconds: no decision may rest on it.
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

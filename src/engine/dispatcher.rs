//! Admits units, counts outcomes, and stops the run. Only this module handles signals, guards and the system's health.
//!
//! Shutdown has two steps. First no new unit is begun, and units under way finish (chains stop between two
//! members, where they can continue later). In the second step the process ends immediately: the ledger makes
//! that safe.

use super::lookup::{LookupCache, look_up};
use super::{
    Context, Ending, Event, Halt, UnitTask, Wave, WaveLog, WriteLog, executor, spans, wave_check,
    with_health,
};
use crate::ledger::{LedgerError, StopReason};
use crate::moment::Moment;
use crate::system::Fatal;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// The number of batches that are looked up at the same time, so that writes never wait for a look-up.
const LOOKUPS_AHEAD: usize = 4;
/// This many altered values stop the run.
const MOST_ALTERED: u64 = 5;
const UNTIL: &str = "--until was reached";

struct Dispatcher<N> {
    context: Arc<Context<N>>,
    tasks: mpsc::Receiver<Vec<UnitTask>>,
    /// Tasks that are not part of the present wave. No further tasks are taken before the wave ends.
    held: Option<Vec<UnitTask>>,
    ready: VecDeque<(UnitTask, Arc<LookupCache>)>,
    lookups: JoinSet<Result<(Vec<UnitTask>, LookupCache), Halt>>,
    units: JoinSet<Result<(), Halt>>,
    ending: Option<Ending>,
    /// Cancelling it ends every wait of the system's calls.
    stop: CancellationToken,
    deadline: Option<Moment>,
    fed: bool,
}

/// Carries out all units that `tasks` brings, until `tasks` ends or something stops the run: first in waves, each of which
/// is read back before the next unit is begun, then the rest. No batch has units of two waves. `stop` is the token that
/// ends the waits of the system's calls; it is also cancelled here when the run ends because no further call is useful.
pub async fn run<N: WriteLog>(
    context: Arc<Context<N>>,
    tasks: mpsc::Receiver<Vec<UnitTask>>,
    record: &impl WaveLog,
    stop: CancellationToken,
) -> Ending {
    let health = context.system.health();
    let events = context.events.clone();
    let mut dispatcher = Dispatcher::new(context, tasks, stop);
    let passes = async {
        if !dispatcher.context.only_resolves() {
            dispatcher.waves(record).await;
        }
        dispatcher.carry_out(None).await;
        dispatcher.check_token().await;
        dispatcher.close().await
    };
    with_health(health, &events, passes).await
}

/// Returns the result of a task. A panic in a task is a bug of idshift.
fn result_of<T>(task: Result<Result<T, Halt>, JoinError>) -> Result<T, Halt> {
    task.unwrap_or_else(|bug| Err(Halt::Bug(bug.to_string())))
}

async fn reached(deadline: Option<Moment>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline.timer()).await;
    }
}

impl<N: WriteLog> Dispatcher<N> {
    fn new(
        context: Arc<Context<N>>,
        tasks: mpsc::Receiver<Vec<UnitTask>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            stop,
            tasks,
            held: None,
            ready: VecDeque::new(),
            lookups: JoinSet::new(),
            units: JoinSet::new(),
            ending: None,
            deadline: context.settings.until.map(|until| Moment::now() + until),
            fed: false,
            context,
        }
    }

    /// Carries out the waves. Each wave begins only after the wave before it was found to be right.
    async fn waves(&mut self, record: &impl WaveLog) {
        let waves = Arc::clone(&self.context.settings.waves);
        for wave in waves.iter() {
            let is_open = if wave.is_resumed {
                self.read_back(record, wave, false).await;
                self.ending.is_none()
            } else {
                self.noted(record.begin(wave))
            };
            if !is_open {
                return;
            }
            let has_begun_any = self.carry_out(Some(wave)).await;
            if self.ending.is_none() && (has_begun_any || !wave.is_resumed) {
                self.read_back(record, wave, true).await;
            }
            if self.ending.is_some() || !self.noted(record.verified(wave)) {
                return;
            }
            self.context.emit(Event::WaveVerified {
                wave: wave.number,
                of: self.context.settings.wave_count.max(wave.number),
                lines: wave.lines.len(),
            });
        }
    }

    /// Reads a wave back. Ends the run if the wave is not right, or if it cannot be read back.
    async fn read_back(&mut self, record: &impl WaveLog, wave: &Wave, is_over: bool) {
        let (context, stop) = (Arc::clone(&self.context), self.stop.clone());
        let read = tokio::select! {
            biased;
            () = stop.cancelled() => return self.end(Ending::Interrupted),
            error = context.ledger_failure() => return self.end(Ending::Ledger(error)),
            read = wave_check::read_back(&context, record, wave, is_over) => read,
        };
        match read {
            Ok(None) => {}
            Ok(Some(why)) => self.end(Ending::Stopped(StopReason::Canary, why)),
            Err(Halt::Stopping | Halt::Fatal(Fatal::Cancelled, _)) => self.end(Ending::Interrupted),
            Err(halt) => self.halted(halt),
        }
    }

    /// Returns whether something was recorded; if not, ends the run.
    fn noted(&mut self, recorded: Result<(), LedgerError>) -> bool {
        let failed = recorded.map_err(|error| self.end(Ending::Ledger(error)));
        failed.is_ok()
    }

    /// Carries out the units of a wave, or all others, and waits until they have ended. Returns whether there were any.
    async fn carry_out(&mut self, wave: Option<&Wave>) -> bool {
        let mut has_begun_any = false;
        if let Some(held) = self.held.take() {
            self.take(held, wave);
        }
        let drain = self.context.settings.drain.clone();
        let stop = self.stop.clone();
        let (context, tally) = (Arc::clone(&self.context), Arc::clone(&self.context.tally));
        loop {
            // Checked before a unit is begun: a wait that ends because the run is being stopped must not let other units begin.
            let is_over = self.units.is_empty() && self.has_begun_all();
            if stop.is_cancelled() && self.ending.is_none() && !is_over {
                self.end(Ending::Interrupted);
            }
            has_begun_any |= self.admit();
            let begins_none = self.ending.is_some() || self.has_begun_wave();
            if self.units.is_empty() && begins_none {
                return has_begun_any;
            }
            let wants_more = self.wants_more();
            // Once all units are begun, a stop has no effect: all of them are finished.
            let stops = self.ending.is_none() && !self.has_begun_all();
            let until = self.deadline.filter(|_| stops);
            tokio::select! {
                biased;
                () = stop.cancelled(), if self.ending.is_none() => {
                    self.end(Ending::Interrupted);
                }
                // Polled before the units: many units that end one after another would hide the failure of the ledger.
                error = context.ledger_failure(), if self.ending.is_none() => {
                    self.end(Ending::Ledger(error));
                }
                Some(done) = self.units.join_next(), if !self.units.is_empty() => {
                    self.ended(result_of(done));
                    // Also takes the units that ended meanwhile, without polling the other branches in between.
                    while let Some(done) = self.units.try_join_next() {
                        self.ended(result_of(done));
                    }
                }
                Some(found) = self.lookups.join_next(), if !self.lookups.is_empty() => {
                    self.looked_up(result_of(found));
                }
                batch = self.tasks.recv(), if wants_more => match batch {
                    Some(batch) => self.take(batch, wave),
                    None => self.fed = true,
                },
                why = drain.asked(), if stops => {
                    self.end(Ending::Stopped(StopReason::Drained, why.to_owned()));
                }
                () = tally.budget.heard(), if stops => self.count_failures(),
                () = reached(until), if until.is_some() => {
                    self.end(Ending::Stopped(StopReason::Until, UNTIL.to_owned()));
                }
            }
        }
    }

    /// Checks the token at the end: if only the last calls were refused, no later call shows it.
    async fn check_token(&mut self) {
        if self.ending.is_none()
            && let Some(halt) = self.context.ends_with_a_refused_token().await
        {
            self.halted(halt);
        }
    }

    /// Begins units, as many as may be under way at the same time. Returns whether it has begun any.
    fn admit(&mut self) -> bool {
        let mut has_begun_any = false;
        if self.deadline.is_some_and(|until| Moment::now() >= until) && !self.has_begun_all() {
            self.end(Ending::Stopped(StopReason::Until, UNTIL.to_owned()));
        }
        while self.ending.is_none() && self.units.len() < self.concurrency() {
            // The rest of the lines that may fail is assigned to other processes.
            let tally = &self.context.tally;
            if !self.ready.is_empty() && !tally.budget.may_begin(tally.failed()) {
                break;
            }
            let Some((task, seen)) = self.ready.pop_front() else {
                break;
            };
            let context = Arc::clone(&self.context);
            let span = spans::of_lines(task.unit.changes().map(|change| change.line));
            let unit = async move {
                executor::carry_out(&context, &task, &seen).await?;
                context.write_breaker.ended(&task);
                if let Some(chunk) = &task.chunk {
                    chunk.unit_ended();
                }
                Ok(())
            };
            self.units.spawn(unit.instrument(span));
            has_begun_any = true;
        }
        has_begun_any
    }

    fn concurrency(&self) -> usize {
        let context = &self.context;
        let answered = context.has_been_answered();
        let concurrency = context.settings.concurrency;
        concurrency.now(&context.system, context.lead_time.get(), answered)
    }

    fn wants_more(&self) -> bool {
        !self.fed
            && self.held.is_none()
            && self.ending.is_none()
            && self.lookups.len() < LOOKUPS_AHEAD
            && self.ready.len() < 2 * self.concurrency().max(50)
    }

    fn has_begun_all(&self) -> bool {
        self.fed && self.held.is_none() && self.has_begun_wave()
    }

    /// Returns whether all units of the present wave are begun.
    fn has_begun_wave(&self) -> bool {
        let has_all = self.fed || self.held.is_some();
        has_all && self.ready.is_empty() && self.lookups.is_empty()
    }

    fn take(&mut self, batch: Vec<UnitTask>, wave: Option<&Wave>) {
        let is_later = |wave: &Wave| batch.first().is_some_and(|task| !wave.has(task));
        if wave.is_some_and(is_later) {
            self.held = Some(batch);
            return;
        }
        if !self.context.bulk.load(Ordering::Relaxed) {
            let nothing = Arc::new(LookupCache::none());
            self.ready
                .extend(batch.into_iter().map(|task| (task, Arc::clone(&nothing))));
            return;
        }
        let context = Arc::clone(&self.context);
        let changes = batch.iter().flat_map(|task| task.unit.changes());
        let span = spans::of_lines(changes.map(|change| change.line));
        let looking = async move {
            let seen = look_up(&context, &batch).await?;
            Ok((batch, seen))
        };
        self.lookups.spawn(looking.instrument(span));
    }

    fn looked_up(&mut self, found: Result<(Vec<UnitTask>, LookupCache), Halt>) {
        match found {
            Ok((tasks, seen)) => {
                let seen = Arc::new(seen);
                self.ready
                    .extend(tasks.into_iter().map(|task| (task, Arc::clone(&seen))));
            }
            Err(halt) => self.halted(halt),
        }
    }

    fn ended(&mut self, done: Result<(), Halt>) {
        match done {
            Ok(()) => {
                self.count_altered();
                self.count_failures();
            }
            Err(halt) => self.halted(halt),
        }
    }

    /// Stops the run after several altered values: if the system stores other values than requested, every further
    /// write is wrong.
    fn count_altered(&mut self) {
        let altered = self.context.altered.load(Ordering::Relaxed);
        if self.ending.is_none() && altered >= MOST_ALTERED {
            let words = format!(
                "the system stored another value than was written for {altered} lines (reason altered); `idshift undo` \
                 restores the former values"
            );
            self.end(Ending::Stopped(StopReason::Altered, words));
        }
    }

    fn count_failures(&mut self) {
        if self.ending.is_none()
            && let Some((reason, words)) = self.context.common_failures.stops()
        {
            self.end(Ending::Stopped(reason, words));
        }
        let (limit, tally) = (self.context.settings.max_failures, &self.context.tally);
        if self.ending.is_none()
            && let Some(words) = tally.budget.exceeded(limit, tally.ended())
        {
            self.end(Ending::Stopped(StopReason::MaxFailures, words));
        }
    }

    fn halted(&mut self, halt: Halt) {
        match halt {
            Halt::Fatal(Fatal::Cancelled, _) | Halt::Stopping => {}
            Halt::Fatal(fatal, words) => self.end(Ending::Outage(fatal, words)),
            Halt::Ledger(error) => self.end(Ending::Ledger(error)),
            Halt::Bug(words) => self.end(Ending::Bug(words)),
        }
    }

    /// Stops admitting units. The first reason is kept, unless a later one is more serious.
    fn end(&mut self, ending: Ending) {
        let first = self.ending.is_none();
        let counts = self
            .ending
            .as_ref()
            .is_none_or(|kept| ending.outweighs(kept));
        // Otherwise each unit in progress would wait until it fails for the same reason.
        let ends_waits = match &ending {
            Ending::Outage(fatal, _) => fatal.ends_all_calls(),
            Ending::Interrupted | Ending::Ledger(_) | Ending::Bug(_) => true,
            Ending::Finished | Ending::Stopped(..) => false,
        };
        if ends_waits {
            self.stop.cancel();
        }
        if counts {
            let why = match &ending {
                Ending::Finished => String::new(),
                Ending::Stopped(_, why) | Ending::Outage(_, why) | Ending::Bug(why) => why.clone(),
                Ending::Interrupted => "interrupted".to_owned(),
                Ending::Ledger(error) => error.to_string(),
            };
            let open = u64::try_from(self.units.len()).unwrap_or(u64::MAX);
            self.context.emit(Event::Stopping {
                why,
                open,
                ends_waits,
            });
        }
        if first {
            self.context.stopping.store(true, Ordering::Relaxed);
            self.context.ramp.stop();
            // Dropped, not only aborted: `result_of` would take an aborted task for a bug.
            self.lookups = JoinSet::new();
            self.ready.clear();
            self.held = None;
        }
        if counts {
            self.ending = Some(ending);
        }
    }

    /// Opens the lines again that failed for the reason that ends the run, as if they had not been begun.
    async fn reopen(&self, why: Fatal) -> Result<(), LedgerError> {
        let mut tasks = self.context.write_breaker.take(why);
        // All lines of a chunk in one step: with the first line that is opened again, the chunk is left to other processes.
        while let Some(chunk) = tasks.first().map(|task| task.chunk.clone()) {
            let is_same = |task: &mut UnitTask| {
                task.chunk.as_ref().map(Arc::as_ptr) == chunk.as_ref().map(Arc::as_ptr)
            };
            let (mut lines, mut expected) = (Vec::new(), Vec::new());
            for task in tasks.extract_if(.., is_same) {
                lines.extend(task.unit.lines());
                expected.extend(task.expected);
            }
            let log = self.context.log.of(chunk.as_ref());
            log.reopen(lines, expected).await?;
        }
        Ok(())
    }

    async fn close(&mut self) -> Ending {
        let reopened = match &self.ending {
            Some(Ending::Outage(fatal, _)) => self.reopen(*fatal).await,
            _ => Ok(()),
        };
        let flushed = match reopened {
            Ok(()) => self.context.log.flush().await,
            Err(error) => Err(error),
        };
        match (self.ending.take(), flushed) {
            (Some(ending), Ok(())) => ending,
            (None, Ok(())) => Ending::Finished,
            (_, Err(error)) => Ending::Ledger(error),
        }
    }
}

//! The passes of a process over its run: the look-ups, the question, the writes.

use super::chunk_feeder;
use super::confirm;
use super::connect::base_url;
use super::consent::{NOT_CONFIRMED, counts, question_of_plan};
use super::control::{self, Control};
use super::error::CommandError;
use super::execute::Connected;
use super::feeder::{Fed, Feeder};
use super::finish;
use super::near_misses::{self, Look};
use super::plan_view;
use super::prepared_run::{PreparedRun, Work, done};
use super::request::Consent;
use super::suppress;
use super::waves::{WaveRecord, Waves};
use crate::domain::Failed;
use crate::engine::{self, Context, Ending, Event, Mode, Tally};
use crate::http::Client;
use crate::ledger::{Calls, Journal, LedgerError, Phase, StopReason};
use crate::system::{Fatal, System};
use crate::ui;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};

/// A part of a pass.
pub(super) struct Part {
    pub(super) mode: Mode,
    /// Whether it stops if no customer is found for the first lines.
    pub(super) must_find: bool,
    pub(super) fed: Fed,
    /// The tally of the whole pass, so that failures of an earlier part count, too.
    pub(super) tally: Arc<Tally>,
}

impl Part {
    pub(super) fn of(mode: Mode, fed: Fed, tally: &Arc<Tally>) -> Self {
        Self {
            mode,
            must_find: mode != Mode::Resolve,
            fed,
            tally: Arc::clone(tally),
        }
    }
}

impl PreparedRun {
    pub(super) async fn passes(
        &mut self,
        connected: &mut Connected,
        journal: &Journal,
    ) -> Result<(Ending, bool), CommandError> {
        let ending = self.look_and_write(connected, journal).await?;
        let closes = self.closes(connected.coordinator.as_ref(), &ending)?;
        for warning in connected.system.take_warnings() {
            ui::warning(&warning);
        }
        let done = closes && self.task.work != Work::Plan && matches!(ending, Ending::Finished);
        if done && self.run.resolved.system.capabilities().answers_may_mislead {
            let concurrency = self.run.resolved.concurrency;
            let record = (&self.run.ledger, &*self.known.history);
            confirm::changes((&connected.system, concurrency), record, journal).await?;
            note_calls(&connected.client, journal).await?;
            journal.flush().await?;
        }
        Ok((ending, closes))
    }

    /// If the run continues at another address, checks that the system there accepts the credentials before the ledger
    /// records the address: with a mistyped address, the run could not be undone.
    async fn moves(&mut self, system: &System) -> Result<Option<Ending>, CommandError> {
        let address = base_url(&self.run.resolved)?;
        // A stand-in has a new address each time.
        if address == self.run.ledger.header().base_url || self.run.stand_in.is_some() {
            return Ok(None);
        }
        if let Err(trouble) = system.check().await {
            let fatal = trouble.fatal.unwrap_or(match trouble.reason {
                Failed::Unauthorized => Fatal::TokenRefused,
                _ => Fatal::GaveUp,
            });
            return Ok(Some(Ending::Outage(fatal, trouble.message)));
        }
        self.run
            .ledger
            .moved_to(&address, &self.claim.target.key())?;
        self.claim.register(&self.run.dir, &self.run.ledger, true)?;
        Ok(None)
    }

    async fn look_and_write(
        &mut self,
        connected: &mut Connected,
        journal: &Journal,
    ) -> Result<Ending, CommandError> {
        if self.task.work == Work::Join {
            return self.pass(connected, journal, Mode::Apply).await;
        }
        if let Some(ending) = self.moves(&connected.system).await? {
            return Ok(ending);
        }
        if let Some(ending) = self.left_open(connected, journal).await? {
            return Ok(ending);
        }
        self.known
            .read_recorded(&self.run.draft, &self.run.ledger)?;
        if self.task.work != Work::PlanThenApply {
            let mode = self.task.work.mode();
            return self.pass(connected, journal, mode).await;
        }
        let looked = self.pass(connected, journal, Mode::Plan).await?;
        if !matches!(looked, Ending::Finished) {
            return Ok(looked);
        }
        suppress::leave_found_alone(&self.run, journal).await?;
        let planned = self.run.ledger.planned()?;
        let lines = self.run.draft.counts.lines;
        if let Some(most) = self.run.limits.max_changes
            && most.is_exceeded(planned.len(), lines)
        {
            let words = format!(
                "--max-changes {most}: {} of {} would change; nothing was written",
                planned.len(),
                ui::lines(lines)
            );
            return Ok(Ending::Stopped(StopReason::MaxChanges, words));
        }
        if planned.is_empty() {
            return Ok(Ending::Finished);
        }
        if let Some(consent) = self.task.asks_after_look
            && let Some(ending) = self.show_and_ask(connected, consent).await?
        {
            return Ok(ending);
        }
        connected.system.forget().await;
        let (system, resume) = (&*connected.system, self.run.commands().resume(&[]));
        let system = (system, self.run.resolved.system);
        self.claim.refuse_other_addresses(system, &resume).await?;
        self.run.ledger.set_phase(Phase::Write)?;
        tracing::info!(event = "phase", phase = Phase::Write.as_str());
        self.known.done = self.run.ledger.done()?;
        self.known.planned = Some(planned);
        self.known.skipped = Arc::default();
        self.pass(connected, journal, Mode::Apply).await
    }

    /// Shows what would change and, if consent was not given with the command, asks for it. A value that another program
    /// changes after this point makes its line `stale`.
    async fn show_and_ask(
        &self,
        connected: &Connected,
        consent: Consent,
    ) -> Result<Option<Ending>, CommandError> {
        let what = format!(
            "{} {}",
            self.task.title,
            ui::visible(self.run.draft.table.name())
        );
        let file = counts(&self.run.draft);
        let shown = format!("  {file}\n{}", plan_view::shown(&self.run.ledger)?);
        let question = question_of_plan(what, &self.run)?;
        if consent.yes {
            if !self.task.output.quiet {
                ui::err(&format!("{shown}{question}"));
            }
            return Ok(None);
        }
        ui::err(shown.trim_end());
        let stopped_by = StopReason::NotConfirmed;
        Ok(asked(connected, question, stopped_by, NOT_CONFIRMED).await)
    }

    /// Carries out one pass over the file. If the first lines find no customer, asks a person at a terminal.
    async fn pass(
        &mut self,
        connected: &mut Connected,
        journal: &Journal,
        mode: Mode,
    ) -> Result<Ending, CommandError> {
        // One tally counts the failures before the question and after it.
        let tally = Arc::new(Tally::default());
        let first = self.searched_part(connected, journal, (mode, true), &tally);
        let ending = first.await?;
        let words = match ending {
            // Other processes on the run have been stopped, too, so with these there is no question.
            Ending::Stopped(StopReason::NotFound, words)
                if self.task.may_ask && ui::can_ask() && connected.coordinator.is_none() =>
            {
                words
            }
            other => return Ok(other),
        };
        let near = near_misses::words(&self.run.ledger)?;
        let near = near.map_or_else(String::new, |near| format!("\n  {}", ui::visible(&near)));
        let question = format!("{}: {}{near}", self.task.title, ui::visible(&words));
        if let Some(ending) = asked(connected, question, StopReason::NotFound, &words).await {
            return Ok(ending);
        }
        // The rest is carried out like a resumed run.
        self.known.done = done(&self.run.ledger, mode)?;
        self.known
            .read_recorded(&self.run.draft, &self.run.ledger)?;
        self.searched_part(connected, journal, (mode, false), &tally)
            .await
    }

    /// Carries out the open lines. After a plan, also looks up other spellings of account IDs that were not found.
    async fn searched_part(
        &mut self,
        connected: &mut Connected,
        journal: &Journal,
        (mode, must_find): (Mode, bool),
        tally: &Arc<Tally>,
    ) -> Result<Ending, CommandError> {
        let begun = Instant::now();
        let coordinator = connected
            .coordinator
            .clone()
            .filter(|_| mode == Mode::Apply);
        let ending = if let Some(coordinator) = coordinator {
            self.shared_part(connected, journal, coordinator, tally)
                .await?
        } else {
            let part = Part {
                must_find,
                ..Part::of(mode, Fed::All, tally)
            };
            self.part(connected, journal, part).await?
        };
        let looked = matches!(
            ending,
            Ending::Finished | Ending::Stopped(StopReason::NotFound, _)
        );
        let is_shown = self.task.work == Work::Plan || self.task.asks_after_look.is_some();
        if mode == Mode::Plan && looked && is_shown {
            let look = Look {
                system: &connected.system,
                client: &connected.client,
                resolved: &self.run.resolved,
                age: begun.elapsed(),
                stop: &connected.stop,
                drain: &connected.control.drain,
            };
            near_misses::look_up(look, &self.run.draft, &self.run.ledger, journal).await?;
            note_calls(&connected.client, journal).await?;
            journal.flush().await?;
        }
        Ok(ending)
    }

    /// Carries out the lines that are not done, with one run of the engine.
    pub(super) async fn part(
        &mut self,
        connected: &mut Connected,
        journal: &Journal,
        part: Part,
    ) -> Result<Ending, CommandError> {
        let Part {
            mode,
            must_find,
            fed,
            tally,
        } = part;
        let known = self.known.clone();
        Feeder::count_lines(&self.run.draft, &known, &tally);
        let (events, heard) = broadcast::channel::<Event>(256);
        let progress = self.progress(mode, connected, &tally, heard);
        let waves = match fed {
            Fed::All | Fed::First | Fed::Begun => self.waves(mode, &known)?,
            Fed::Chunks(_) => Waves::default(),
        };
        connected
            .control
            .counts(&tally, self.run.limits.max_failures);
        let mut settings = self.engine_settings(mode, &known, &waves, &connected.control.drain)?;
        settings.must_find = must_find;
        let context = Arc::new(Context::new(
            Arc::clone(&connected.system),
            journal.clone(),
            settings,
            Arc::clone(&tally),
            events,
        ));
        let (tasks, inbox) = mpsc::channel(8);
        let feeder = Feeder {
            draft: Arc::clone(&self.run.draft),
            known,
            fed,
            run: self.run.dir.clone(),
            waves: Arc::clone(&waves.all),
            journal: journal.clone(),
            tally: Arc::clone(&tally),
            tasks,
        };
        let feeding = tokio::task::spawn_blocking(move || chunk_feeder::feed(&feeder));
        let ending = {
            let record = WaveRecord {
                ledger: &self.run.ledger,
                waves: &waves,
            };
            let running = engine::run(Arc::clone(&context), inbox, &record, connected.stop.clone());
            tokio::pin!(running);
            tokio::select! {
                ending = &mut running => ending,
                error = beside(&mut connected.control, &connected.client, journal) => {
                    // Units that wait for the ledger without writing to it do not see the failure themselves.
                    context.ledger_failed(error);
                    running.await
                }
            }
        };
        let fed = feeding
            .await
            .map_err(|why| CommandError::usage(format!("a bug: {why}")))?;
        let ending = match ending {
            // The ledger has failed: no further intent can be recorded, and the feeder failed for the same reason.
            Ending::Ledger(error) => Err(error),
            other => settled(connected, journal).await.map(|()| other),
        };
        progress.finish();
        let ending = match ending {
            Ok(ending) => ending,
            Err(error) => return Ok(Ending::Ledger(error)),
        };
        // An estimate for one part of the file would be misleading.
        if mode == Mode::Plan && matches!(ending, Ending::Finished) {
            finish::keep_forecast(
                &self.run.ledger,
                &self.run.draft,
                &tally,
                &self.run.resolved,
                connected.client.counters(),
            )?;
        }
        fed?;
        Ok(ending)
    }

    fn progress(
        &self,
        mode: Mode,
        connected: &Connected,
        tally: &Arc<Tally>,
        heard: broadcast::Receiver<Event>,
    ) -> ui::Progress {
        let title = if mode == Mode::Plan {
            "plan"
        } else {
            self.task.title
        };
        ui::Progress::start(
            self.task.output.progress,
            finish::progress_of(&self.run, title, &connected.client),
            Arc::clone(tally),
            heard,
        )
    }
}

/// Runs beside the engine: follows orders, and records calls. Returns only if the ledger fails, after waiting for it.
pub(super) async fn beside(
    control: &mut Control,
    client: &Client,
    journal: &Journal,
) -> LedgerError {
    let mut counting = tokio::time::interval(Duration::from_secs(1));
    let mut asking = tokio::time::interval(control::EVERY);
    loop {
        let done = tokio::select! {
            asked = control.asked(&mut asking) => asked.map(|asked| control.follow(asked)),
            _ = counting.tick() => note_calls(client, journal).await,
        };
        if let Err(error) = done {
            return error;
        }
    }
}

/// Waits until everything about a pass that has ended is on record.
async fn settled(connected: &mut Connected, journal: &Journal) -> Result<(), LedgerError> {
    connected.control.settle().await?;
    note_calls(&connected.client, journal).await?;
    journal.flush().await
}

/// Records the calls of this process so far.
async fn note_calls(client: &Client, journal: &Journal) -> Result<(), LedgerError> {
    let counters = client.counters();
    let active = client.active().as_millis();
    let calls = Calls {
        find: counters.find,
        read: counters.read,
        write: counters.write,
        retried: counters.retried,
        throttled: counters.throttled,
        limit_per_s: client.rate(),
        active_ms: u64::try_from(active).unwrap_or(u64::MAX),
    };
    journal.calls(calls).await
}

/// Asks a person whether the run goes on; returns how the run ends if it does not.
async fn asked(
    connected: &Connected,
    question: String,
    stopped_by: StopReason,
    why: &str,
) -> Option<Ending> {
    let asked = Instant::now();
    let ending = tokio::select! {
        biased;
        () = connected.stop.cancelled() => {
            // Ends the line of the prompt.
            ui::err("");
            Some(Ending::Interrupted)
        }
        goes_on = ui::ask(question) => {
            (!goes_on).then(|| Ending::Stopped(stopped_by, why.to_owned()))
        }
    };
    connected.client.was_idle(asked.elapsed());
    ending
}

//! A pass in which several processes work on one run: how it is divided, how it begins, and how each process leaves it.
//!
//! One process leads: it looks customers up, carries out the waves, divides the rest into chunks, and closes the run.
//! Others join for the chunks (`super::worker`). If the leading process is gone, another one closes the run.

use super::error::CommandError;
use super::execute::Connected;
use super::exit_code::Exit;
use super::feeder::{Fed, PassInput};
use super::input_plan::InputPlan;
use super::outage::outage;
use super::passes::{Part, beside};
use super::prepared_run::{Drained, PreparedRun, Work, done};
use crate::domain::{Line, hex};
use crate::engine::{Ending, Mode, Tally};
use crate::ledger::{Coordinator, Journal, LedgerError, LineSet, NewPass, Order, StopReason};
use crate::system::SystemKind;
use crate::ui;
use sha2::{Digest, Sha256};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Least number of open lines of a chunk, in a file with enough lines for [`FEW_CHUNKS`]: as many as are looked up
/// together.
const LEAST_LINES: u64 = 100;
/// Least number of open lines of a chunk in a smaller file. If fewer lines are looked up together, more calls are made.
const LEAST_OF_FEW: u64 = 25;
/// A smaller file is divided into this number of chunks, if possible, so that several processes get some of its lines.
const FEW_CHUNKS: u64 = 24;
/// Largest number of open lines of a chunk: the last chunk of one process must not take long.
const MOST_LINES: u64 = 2_000;
/// Number of chunks into which a file is divided, if these sizes allow that.
const CHUNKS: u64 = 2_000;
/// How often to check whether other processes have left the run.
const EVERY: Duration = Duration::from_millis(200);
/// Why the other processes are drained if the process that leads the run got Ctrl-C or SIGTERM.
const INTERRUPTED: &str =
    "the process that leads the run was interrupted, and ends the run in all processes";
const NO_LINES: &str = "other processes took all the remaining lines";

impl PreparedRun {
    /// Writes the open lines together with the processes that join.
    pub(super) async fn shared_part(
        &mut self,
        connected: &mut Connected,
        journal: &Journal,
        coordinator: Arc<dyn Coordinator>,
        tally: &Arc<Tally>,
    ) -> Result<Ending, CommandError> {
        if self.task.work == Work::Join {
            if coordinator.plan_digest()? != units_digest(&self.run.draft) {
                let words = format!(
                    "run {}: this process finds other units in its file than the process that began it",
                    self.run.dir.run()
                );
                return Err(CommandError::usage(words).with_help(
                    "all processes on a run need the same version of idshift; nothing was done",
                ));
            }
            if self.task.drained == Drained::GoesOn {
                self.resume_drained()?;
            }
        } else {
            let first = self.before_others(connected, journal, tally).await?;
            if !matches!(first, Ending::Finished) {
                return Ok(first);
            }
            let draft = &self.run.draft;
            coordinator.open(&NewPass {
                chunks: &chunks(draft, &self.known)?,
                is_alone: is_for_one_process(self.run.resolved.system),
                plan_digest: &units_digest(draft),
            })?;
        }
        connected.control.joins(Some(Arc::clone(&coordinator)));
        let part = Part::of(Mode::Apply, Fed::Chunks(Arc::clone(&coordinator)), tally);
        let ending = self.part(connected, journal, part).await;
        connected.control.joins(None);
        self.with_others(connected, journal, &coordinator, ending?)
            .await
    }

    /// Lets all processes begin lines again if a person has drained the run. A stop by a guard stays.
    fn resume_drained(&self) -> Result<(), LedgerError> {
        let ledger = &self.run.ledger;
        match ledger.progress()?.stopped_by {
            None | Some(StopReason::Drained) => ledger.go_on(),
            Some(_) => Ok(()),
        }
    }

    /// Carries out what one process does before others may join: waves, and customers that were left under temporary IDs.
    async fn before_others(
        &mut self,
        connected: &mut Connected,
        journal: &Journal,
        tally: &Arc<Tally>,
    ) -> Result<Ending, CommandError> {
        let recorded = self.run.ledger.waves()?;
        let sizes = self.run.limits.wave_units(self.run.draft.counts.lines);
        let begun = recorded.number.saturating_sub(1) as usize;
        let has_waves = recorded.unverified.is_some() || sizes.len() > begun;
        if !has_waves && self.known.parked.is_empty() {
            return Ok(Ending::Finished);
        }
        let part = Part::of(Mode::Apply, Fed::First, tally);
        let ending = self.part(connected, journal, part).await?;
        if matches!(ending, Ending::Finished) {
            let (draft, ledger) = (&self.run.draft, &self.run.ledger);
            self.known.done = done(ledger, Mode::Apply)?;
            self.known.parked = LineSet::default();
            self.known.read_recorded(draft, ledger)?;
        }
        Ok(ending)
    }

    /// Ends the pass with respect to the other processes. A stop by a person or a guard stops all processes; a problem of
    /// this process alone does not. The process that leads the run waits for the others, to close it.
    async fn with_others(
        &self,
        connected: &mut Connected,
        journal: &Journal,
        coordinator: &Arc<dyn Coordinator>,
        ending: Ending,
    ) -> Result<Ending, CommandError> {
        let ledger = &self.run.ledger;
        let is_drained = matches!(ending, Ending::Stopped(StopReason::Drained, _));
        if let (Ending::Stopped(reason, why), false) = (&ending, is_drained) {
            ledger.stop_all(*reason, why)?;
        }
        if self.task.work == Work::Join {
            return Ok(self.with_first_reason(ending)?);
        }
        match ending {
            Ending::Outage(..) | Ending::Ledger(_) | Ending::Bug(_) => return Ok(ending),
            // A process that has lost its lease cannot record a reason any more, but it can still order the drain.
            Ending::Interrupted => ledger
                .stop_all(StopReason::Drained, INTERRUPTED)
                .or_else(|_| ledger.order(Order::Drain).map(drop))?,
            Ending::Finished | Ending::Stopped(..) => {}
        }
        tokio::select! {
            biased;
            // Other processes may still have open lines.
            () = connected.stop_waiting.cancelled() => return Ok(ending),
            error = beside(&mut connected.control, &connected.client, journal) => {
                return Ok(Ending::Ledger(error));
            }
            left = others_left(coordinator) => left?,
        }
        Ok(self.with_first_reason(ending)?)
    }

    /// Gives a drained pass the reason of the process that stopped the run first.
    fn with_first_reason(&self, ending: Ending) -> Result<Ending, LedgerError> {
        let Ending::Stopped(StopReason::Drained, _) = ending else {
            return Ok(ending);
        };
        let stopped = self.run.ledger.progress()?;
        Ok(match stopped.stopped_by {
            Some(reason) => Ending::Stopped(reason, stopped.why),
            None => ending,
        })
    }

    /// Returns whether this process closes the run. If it does not, it records nothing more.
    pub(super) fn closes(
        &self,
        coordinator: Option<&Arc<dyn Coordinator>>,
        ending: &Ending,
    ) -> Result<bool, LedgerError> {
        let Some(coordinator) = coordinator else {
            return Ok(true);
        };
        let joins = self.task.work == Work::Join;
        match ending {
            // Other processes carry out the rest, now or later.
            Ending::Interrupted | Ending::Ledger(_) if joins => Ok(false),
            // Closing the run fails, and the error says why.
            Ending::Ledger(error) if matches!(error.root(), LedgerError::TakenOver { .. }) => {
                Ok(true)
            }
            // The ledger may be available again, and others may have continued. If it is not, closing the run says so.
            Ending::Ledger(_) => Ok(coordinator.close_or_leave(true).unwrap_or(true)),
            Ending::Outage(..) | Ending::Bug(_) => coordinator.close_or_leave(true),
            Ending::Finished | Ending::Stopped(..) | Ending::Interrupted => {
                coordinator.close_or_leave(false)
            }
        }
    }

    /// Reports how this process left a run that continues without it, or that another process has closed. `lines`: how many
    /// lines have ended in this process.
    pub(super) fn leave(
        &self,
        signal: u8,
        ending: Ending,
        lines: u64,
    ) -> Result<Exit, CommandError> {
        let (title, run) = (self.task.title, self.run.dir.run());
        let closed = self.run.ledger.progress()?;
        if let (false, Some(code)) = (self.task.work == Work::Join, closed.exit_code) {
            let report = self.run.commands().report();
            ui::err(&format!(
                "{title}: another process has closed run {run}; `{}` draws its reports here",
                ui::visible(&report)
            ));
            return Ok(Exit::of_code(code).unwrap_or(Exit::Stopped));
        }
        // A worker has done its part. For the process that began the run, the run is not at its end.
        let left = match self.task.work {
            Work::Join => Exit::Success,
            Work::Plan | Work::Apply | Work::PlanThenApply => Exit::Stopped,
        };
        let (exit, why) = match ending {
            // The reason of the process that stopped the run first.
            Ending::Stopped(_, why) => {
                let was_stopped = closed.stopped_by.is_some();
                (left, if was_stopped { closed.why } else { why })
            }
            Ending::Interrupted if signal == 2 => (Exit::Interrupted, String::new()),
            Ending::Interrupted if left != Exit::Success => (Exit::Terminated, String::new()),
            Ending::Finished if lines == 0 => (left, NO_LINES.to_owned()),
            Ending::Finished | Ending::Interrupted => (left, String::new()),
            Ending::Outage(fatal, why) => {
                let system = self.run.resolved.system;
                (Exit::Stopped, outage(fatal, &why, system))
            }
            Ending::Ledger(error) => (Exit::Stopped, error.to_string()),
            Ending::Bug(why) => (Exit::Stopped, format!("this is a bug of idshift: {why}")),
        };
        tracing::info!(event = "session_ended", exit_code = exit as u8);
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(": {}", ui::visible(&why))
        };
        ui::err(&format!("{title}: left run {run}{why}"));
        if self.task.work != Work::Join && exit != Exit::Success {
            let resume = self.run.commands().resume(&[]);
            ui::err(&format!(
                "next: `{}` continues it, if the other processes do not finish it",
                ui::visible(&resume)
            ));
        }
        Ok(exit)
    }
}

/// Whether only one process at a time may work on a run of this system: each process would have its own list of the customers.
pub(super) fn is_for_one_process(system: SystemKind) -> bool {
    !system.capabilities().searches_live
}

/// Waits until no other process works on the run: each one has finished its work and recorded it, or is gone.
async fn others_left(coordinator: &Arc<dyn Coordinator>) -> Result<(), CommandError> {
    let mut is_told = false;
    loop {
        let asked = Arc::clone(coordinator);
        let others = tokio::task::spawn_blocking(move || asked.others());
        let others = others
            .await
            .map_err(|why| CommandError::usage(format!("a bug: {why}")))??;
        if others == 0 {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
        if !std::mem::replace(&mut is_told, true) {
            let processes = ui::one_or_many(others, "other process", "other processes");
            ui::note(&format!("waiting for {processes} to leave the run"));
        }
    }
}

/// Divides the open lines into ranges of lines; the last range goes to the end of the file.
fn chunks(draft: &InputPlan, known: &PassInput) -> Result<Vec<RangeInclusive<Line>>, CommandError> {
    let open = known
        .planned
        .as_ref()
        .map_or(draft.counts.lines, |planned| planned.len());
    let least = (open / FEW_CHUNKS).clamp(LEAST_OF_FEW, LEAST_LINES);
    let size = (open / CHUNKS).clamp(least, MOST_LINES);
    let (mut chunks, mut first, mut lines) = (Vec::new(), 0, 0);
    for rows in draft.table.batches()? {
        for row in rows? {
            lines += u64::from(known.is_open(row.line));
            if lines == size {
                chunks.push(first..=row.line);
                (first, lines) = (row.line + 1, 0);
            }
        }
    }
    if lines > 0 || chunks.is_empty() {
        chunks.push(first..=Line::MAX);
    }
    Ok(chunks)
}

/// Returns a digest of the units in the file and of the version of this program.
fn units_digest(draft: &InputPlan) -> String {
    let mut digest = Sha256::new();
    digest.update(env!("CARGO_PKG_VERSION"));
    digest.update(draft.counts.lines.to_le_bytes());
    digest.update(draft.invalid.to_le_bytes());
    let mut units: Vec<_> = draft.units.iter().collect();
    units.sort_unstable_by_key(|(number, _)| **number);
    for (number, unit) in units {
        digest.update(number.to_le_bytes());
        for line in unit.lines() {
            digest.update(line.to_le_bytes());
        }
    }
    hex(&digest.finalize())
}

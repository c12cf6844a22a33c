//! Carries out the session of a process on a run, from its first record to the closing of the run.

use super::clock;
use super::connect::{base_url, check_host, connect, runtime};
use super::control::Control;
use super::error::CommandError;
use super::exit_code::Exit;
use super::prepared_run::{PreparedRun, Work};
use super::prune::refuse_pruned;
use super::signals::Listening;
use crate::call_log;
use crate::engine::Ending;
use crate::http::Client;
use crate::ledger::{Coordinator, Journal, JournalThread, LedgerError, Progress, State};
use crate::system::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio_util::sync::CancellationToken;

/// What a run is carried out with: the system, its client, the orders for the run, and what stops the run.
pub(super) struct Connected {
    pub(super) system: Arc<System>,
    pub(super) client: Arc<Client>,
    pub(super) control: Control,
    pub(super) stop: CancellationToken,
    /// Cancelled: this process no longer waits for the other processes on the run.
    pub(super) stop_waiting: CancellationToken,
    signal: Arc<AtomicU8>,
    /// Coordination with other processes on the run; `None`: no other process can join.
    pub(super) coordinator: Option<Arc<dyn Coordinator>>,
}

impl PreparedRun {
    /// Works on the run until it ends, and says how it ended.
    pub(super) fn execute(mut self) -> Result<Exit, CommandError> {
        check_host(&base_url(&self.run.resolved)?)?;
        let stop = CancellationToken::new();
        let (calls, lines) = (self.claim.shared_limits()?, self.run.draft.counts.lines);
        let (system, client) = connect(&self.run.resolved, calls, lines, stop.clone())
            .inspect_err(|_| self.forget_unbegun())?;
        self.keep_for_others()?;
        let control = Control::new(
            self.run.dir.ledger()?,
            Arc::clone(&client),
            self.task.work != Work::Join,
        );
        let mut connected = Connected {
            system: Arc::new(system),
            control: control?,
            client,
            stop,
            stop_waiting: CancellationToken::new(),
            signal: Arc::new(AtomicU8::new(0)),
            coordinator: None,
        };
        let started = clock::now_ms();
        let before = self.run.ledger.progress()?;
        let first = before.state == State::Created || before.state == State::Planned;
        let joins = self.task.work == Work::Join;
        let begun = (!joins).then(|| Progress {
            state: State::Running,
            phase: self.task.work.phase(before.phase),
            exit_code: None,
            stopped_by: None,
            why: String::new(),
            started_at_ms: if first { started } else { before.started_at_ms },
            finished_at_ms: None,
        });
        let commands = self.run.commands();
        self.under_way(&mut connected, begun.as_ref())
            .map_err(|failure| {
                if joins {
                    return failure;
                }
                failure.in_the_middle(&commands)
            })
    }

    /// Names the run in the log of calls. A leading process also saves for others where that log is and when the run ends.
    /// The settings of a process that joins apply to itself alone.
    fn keep_for_others(&mut self) -> Result<(), CommandError> {
        call_log::of_run(self.run.dir.run().as_str());
        if self.task.work == Work::Join {
            return Ok(());
        }
        let file = self.run.resolved.log.file.as_ref();
        let file = file.and_then(|file| std::path::absolute(file).ok());
        let noted = file.and_then(|file| file.to_str().map(str::to_owned));
        let kept = &mut self.run.kept;
        let noted = noted.filter(|file| !kept.logs.contains(file));
        let ends_at_ms = self.run.limits.ends_at_ms();
        if noted.is_none() && kept.ends_at_ms == ends_at_ms {
            return Ok(());
        }
        kept.logs.extend(noted);
        kept.ends_at_ms = ends_at_ms;
        self.run.keep()
    }

    /// Deletes a new run that could not begin: `resume` without a run ID would choose it as the newest one.
    fn forget_unbegun(&self) {
        let is_new = self
            .run
            .ledger
            .progress()
            .is_ok_and(|progress| progress.state == State::Created);
        let told = self
            .run
            .ledger
            .counts()
            .is_ok_and(|counts| !counts.is_empty());
        if is_new && !told && self.run.ledger.has_writes().is_ok_and(|any| !any) {
            self.run.dir.discard();
        }
    }

    fn under_way(
        mut self,
        connected: &mut Connected,
        begun: Option<&Progress>,
    ) -> Result<Exit, CommandError> {
        if let Some(begun) = begun {
            self.run.ledger.set_progress(begun)?;
        }
        tracing::info!(
            event = "session_began",
            command = self.task.title,
            phase = self.run.ledger.progress()?.phase.as_str(),
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id()
        );
        let writing = self.task.work != Work::Plan;
        let may_rename =
            writing && self.run.draft.counts.renames + self.run.draft.counts.clears > 0;
        self.claim
            .register(&self.run.dir, &self.run.ledger, may_rename)?;
        let (journal, thread, coordinator) = self.journal(writing)?;
        connected.control.began()?;
        // A prune had the run's lock until now, or finds it taken from now on.
        refuse_pruned(&self.run.ledger)?;
        connected.coordinator = coordinator;
        let runtime = runtime()?;
        let resume = self.run.commands().resume(&[]);
        let stop = [connected.stop.clone(), connected.stop_waiting.clone()];
        let signal = Arc::clone(&connected.signal);
        // Signals are handled until the reports are drawn.
        let _listening = Listening::to_run(stop, signal, resume)?;
        let ending = runtime.block_on(self.passes(connected, &journal));
        drop(journal);
        drop(runtime);
        let session = thread.join();
        if let Some(stand_in) = &self.run.stand_in {
            stand_in.tell_idle_faults();
        }
        let (ending, closes) = ending?;
        let signal = connected.signal.load(Ordering::Relaxed);
        if closes {
            // A process that joined goes on to other runs, unless this run ended for a reason that would stop it there,
            // too: an outage, a signal, the ledger or a bug.
            let goes_on = self.task.work == Work::Join
                && matches!(ending, Ending::Finished | Ending::Stopped(..));
            let exit = self.close(signal, ending, session)?;
            return Ok(if goes_on { Exit::Success } else { exit });
        }
        drop(session);
        self.leave(signal, ending, connected.control.lines())
    }

    /// Begins the session of this process. If it writes and the ledger allows that, other processes can join.
    fn journal(
        &self,
        writing: bool,
    ) -> Result<(Journal, JournalThread, Option<Arc<dyn Coordinator>>), LedgerError> {
        let session = self.claim.session(writing);
        if writing && !self.claim.target.in_process {
            let leads = self.task.work != Work::Join;
            let shared = self.run.ledger.journal_with_others(session, leads)?;
            if let Some((journal, thread, coordinator)) = shared {
                return Ok((journal, thread, Some(coordinator)));
            }
        }
        let (journal, thread) = self.run.ledger.journal(session)?;
        Ok((journal, thread, None))
    }
}

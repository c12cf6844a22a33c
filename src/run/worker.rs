//! `idshift worker`: joins runs that another process has begun, on any machine, and does a share of their lines.
//!
//! A worker is a `resume` of some lines: it gets the file of the run, finds the same units in it, and asks for chunks of
//! lines (`super::shared_pass`). Between two runs it waits.

use super::claim::TargetClaim;
use super::error::CommandError;
use super::exit_code::Exit;
use super::feeder::PassInput;
use super::kept_run::KeptRun;
use super::open::{self, OpenRun, Purpose};
use super::prepared_run::{Drained, PreparedRun, Task, Work, done};
use super::prune::refuse_pruned;
use super::request::Request;
use super::resume;
use super::run_storage::{RunScope, RunsSettings};
use super::selection::{Given, Selection, given_by};
use super::shared_pass::is_for_one_process;
use super::signals::{Listening, survive_state_signal, told_to_stop};
use super::values::values;
use crate::engine::Mode;
use crate::ledger::{AtWork, Ledger, LedgerError, Phase, RunId, RunToJoin, Runs, State};
use crate::report::{Commands, run_status};
use crate::system::SystemKind;
use crate::ui;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often to check whether there is a run to join.
const EVERY: Duration = Duration::from_secs(1);
/// How long a run may be without a process before the wait for it ends: another process may be about to continue it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Joins runs of the given target until it is stopped; `run`: this run alone.
pub(crate) fn worker(run: Option<&str>, request: &Request) -> Result<Exit, CommandError> {
    work(run, request, false)
}

/// Joins this run for `resume`: it goes on also if a person has drained it, because the order was for the process that led
/// it.
pub(super) fn work_with_others(run: &RunId, request: &Request) -> Result<Exit, CommandError> {
    work(Some(run.as_str()), request, true)
}

/// `resumes`: the run goes on once this process has joined, although a person has drained it before.
fn work(run: Option<&str>, request: &Request, mut resumes: bool) -> Result<Exit, CommandError> {
    survive_state_signal()?;
    let mut values = values(&request.typed, &BTreeMap::new())?;
    let settings = RunsSettings::of(&mut values)?;
    let Some((ledger, _)) = &settings.ledger else {
        return Err(CommandError::usage(
            "worker: runs are kept in files, and only one machine can work on them",
        )
        .with_help(
            "name the database that several machines share: --ledger, or ledger in the profile",
        ));
    };
    let place = ledger.0.address.to_string();
    let is_quiet = request.output.quiet;
    let given = given_by(&request.typed)?;
    if run.is_none() && !given.has_address() {
        return Err(CommandError::usage(
            "worker: no target is named, and the worker would send its token to the target of any run",
        )
        .with_help("name the target: --profile, or --system and --base-url; or name the run"));
    }
    let runs = settings.runs(RunScope::Here);
    runs.prepare().map_err(|error| while_waiting(&error))?;
    let waiting = Waiting {
        given,
        run: run.map(RunId::parse).transpose()?,
        folder: settings.folder.clone(),
        place,
        is_quiet,
    };
    if let Some(run) = waiting.run.as_ref()
        && let Some(ended) = waiting.ended(&runs, run)?
    {
        if !is_quiet {
            ui::note(&ended);
        }
        return Ok(Exit::Success);
    }
    let (works, signal) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU8::new(0)));
    let _listening = Listening::to_wait(Arc::clone(&works), Arc::clone(&signal))?;
    loop {
        let Some(found) = waiting.next(&runs)? else {
            return Ok(Exit::Success);
        };
        works.store(true, Ordering::Relaxed);
        let joined = join(&found.run, request, resumes);
        works.store(false, Ordering::Relaxed);
        let exit = match joined {
            Ok(exit) => {
                // Later orders are for this process, too.
                resumes = false;
                exit
            }
            // The run is closed by now, or its leading process still does the part that it does alone.
            Err(failure) if failure.exit == Exit::Busy => {
                thread::park_timeout(EVERY);
                Exit::Success
            }
            Err(failure) => {
                // If the ledger is unavailable, that is the reason.
                runs.to_join().map_err(|error| while_waiting(&error))?;
                return Err(failure);
            }
        };
        let signal = signal.load(Ordering::Relaxed);
        if exit != Exit::Success || signal != 0 {
            return Ok(if exit == Exit::Success {
                told_to_stop(signal)
            } else {
                exit
            });
        }
    }
}

/// What a worker waits for.
struct Waiting {
    given: Given,
    run: Option<RunId>,
    folder: PathBuf,
    /// The database.
    place: String,
    is_quiet: bool,
}

impl Waiting {
    /// Returns the next run to join; `None`: the named run has ended.
    fn next(&self, runs: &Arc<dyn Runs>) -> Result<Option<RunToJoin>, CommandError> {
        let mut alone_since: Option<Instant> = None;
        let mut told = None;
        loop {
            let found = runs.to_join().map_err(|error| while_waiting(&error))?;
            let mut fitting = found.into_iter().filter(|one| self.is_meant(one));
            if let Some(found) = fitting.next() {
                return Ok(Some(found));
            }
            self.tell(runs, &mut told)?;
            match self.meant(runs)? {
                Meant::Ended => return Ok(None),
                Meant::Open => alone_since = None,
                Meant::WithoutProcess(why) => {
                    if alone_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        return Err(why);
                    }
                }
            }
            thread::park_timeout(EVERY);
        }
    }

    /// That the run which alone is meant has ended already, and what goes on with it. A run that is not there is an error.
    fn ended(&self, runs: &Arc<dyn Runs>, run: &RunId) -> Result<Option<String>, CommandError> {
        let found = KeptRun::named(runs, &self.folder, run).filter(|one| runs.has(one));
        let Some(found) = found else {
            let place = ui::visible(&runs.place().to_string()).into_owned();
            return Err(CommandError::usage(format!("worker: there is no run `{run}` in {place}"))
                .with_help(
                    "give the whole ID of a run, such as 20261120-223015-k3f9; `idshift runs` lists them",
                ));
        };
        if !matches!(self.meant(runs)?, Meant::Ended) {
            return Ok(None);
        }
        let ledger = found.ledger().map_err(|error| while_waiting(&error))?;
        let commands = Commands::of(found.path(), &ledger)?;
        Ok(Some(match ledger.progress()?.state {
            State::Stopped | State::Interrupted => format!(
                "run {run} was stopped, and no process works on it: `{}` goes on with it, and workers can join that",
                commands.resume(&[])
            ),
            State::Planned => format!(
                "run {run} is a plan: `{}` carries it out, and workers can join that",
                commands.carry_out(&[])
            ),
            State::Created | State::Running | State::Finished => {
                format!("run {run} has finished: nothing is left for a worker to do")
            }
        }))
    }

    /// Tells the user what is waited for, once, and again when other processes work on the named run. `told`: the processes that
    /// were named last.
    fn tell(
        &self,
        runs: &Arc<dyn Runs>,
        told: &mut Option<Vec<(String, i64)>>,
    ) -> Result<(), CommandError> {
        if self.is_quiet {
            return Ok(());
        }
        let run = self.run.as_ref();
        let run = run.and_then(|run| KeptRun::named(runs, &self.folder, run));
        let (mut at_work, mut words) = (Vec::new(), String::new());
        if let Some(run) = run {
            let ledger = run.ledger().map_err(|error| while_waiting(&error))?;
            let found = ledger.at_work()?;
            if !found.is_empty() {
                words = working(&run, &ledger, &found)?;
            }
            at_work.extend(found.into_iter().map(|one| (one.host, one.pid)));
        }
        if told.as_ref() != Some(&at_work) {
            ui::note(&format!(
                "waiting for a run in {}{words}",
                ui::visible(&self.place)
            ));
            *told = Some(at_work);
        }
        Ok(())
    }

    fn is_meant(&self, found: &RunToJoin) -> bool {
        let named = self.run.as_ref();
        named.is_none_or(|run| *run == found.run) && self.given.fits(&found.system, &found.target)
    }

    /// Returns the state of the named run, which cannot be joined now.
    fn meant(&self, runs: &Arc<dyn Runs>) -> Result<Meant, CommandError> {
        let run = self.run.as_ref();
        let Some(run) = run.and_then(|run| KeptRun::named(runs, &self.folder, run)) else {
            return Ok(Meant::Open);
        };
        let ledger = run.ledger().map_err(|error| while_waiting(&error))?;
        let is_live = ledger.is_live();
        Ok(match ledger.progress()?.state {
            State::Created | State::Running if is_live => Meant::Open,
            State::Created | State::Running => {
                Meant::WithoutProcess(cannot_join(&ledger, run.path())?)
            }
            // Its process ends, or another one is about to continue it.
            State::Planned | State::Stopped | State::Interrupted if run.is_claimed(&ledger) => {
                Meant::Open
            }
            State::Planned | State::Finished | State::Stopped | State::Interrupted => Meant::Ended,
        })
    }
}

/// The state of the named run.
enum Meant {
    /// It may be joined later, or no run is named.
    Open,
    /// It is closed.
    Ended,
    /// No process works on it, or one is about to.
    WithoutProcess(CommandError),
}

/// Returns who works on the named run, and how far it is.
fn working(run: &KeptRun, ledger: &Ledger, at_work: &[AtWork]) -> Result<String, CommandError> {
    let processes: Vec<String> = at_work
        .iter()
        .map(|one| format!("process {} on {}", one.pid, ui::visible(&one.host)))
        .collect();
    let header = ledger.header();
    let alone = match SystemKind::parse(&header.system) {
        Some(system) if is_for_one_process(system) => {
            " (only one process at a time may work on a run of this system)"
        }
        Some(_) | None => "",
    };
    let counts = run_status::counts(ledger)?;
    let ended = ["changed", "unchanged", "failed"];
    let ended = ended.iter().filter_map(|status| counts.get(status));
    Ok(format!(
        "; at work on run {}: {}{alone}; {} of {} have ended; `{}` shows its state",
        header.run,
        processes.join(", "),
        ui::count(ended.sum()),
        ui::lines(header.lines),
        ui::visible(&Commands::of(run.path(), ledger)?.status())
    ))
}

/// Builds the error for a run that cannot be joined: the process that began it ended before others could join, or another
/// run has worked on its target since.
fn cannot_join(ledger: &Ledger, folder: &Path) -> Result<CommandError, LedgerError> {
    let resume = Commands::of(folder, ledger)?.resume(&[]);
    let words = format!(
        "run {}: no process works on it, and none can join it",
        ledger.header().run
    );
    Ok(CommandError::new(Exit::Stopped, words).with_help(format!(
        "{resume} goes on with it, and workers can join that"
    )))
}

/// Builds the error for a ledger that cannot be used: the worker can do nothing; its supervisor must start it again.
fn while_waiting(error: &LedgerError) -> CommandError {
    let exit = if error.is_passing() {
        Exit::Stopped
    } else {
        Exit::NothingDone
    };
    CommandError::new(exit, error.to_string())
        .with_help("start the worker again when the ledger can be used")
}

/// Works on a run until no line of it is left, or it is stopped.
fn join(run: &RunId, request: &Request, resumes: bool) -> Result<Exit, CommandError> {
    let known = open::open(
        Some(run.as_str()),
        Selection {
            command: "worker",
            words: "run",
            fits: &|_, _| true,
            is_asked: true,
        },
        Purpose::Write,
        request,
    )?;
    let claim = TargetClaim::join(&known.resolved, known.target()?, run.as_str())?;
    refuse_pruned(&known.ledger)?;
    // It was in progress when it was found, and may have been closed since.
    if known.ledger.progress()?.state != State::Running {
        return Ok(Exit::Success);
    }
    let mut prepared = prepare(known, claim, request)?;
    if resumes {
        prepared.task.drained = Drained::GoesOn;
    }
    prepared.execute()
}

fn prepare(
    mut known: OpenRun,
    claim: TargetClaim,
    request: &Request,
) -> Result<PreparedRun, CommandError> {
    // A time of day could be another one in the zone of this machine, or tomorrow's, so the saved end applies.
    known.limits = known.limits.ending_at_ms(known.kept.ends_at_ms);
    let ledger = &known.ledger;
    // Lost runs are not checked here: that was decided where the run was begun.
    let history = resume::history(&known, &claim, Work::Apply, true)?;
    let looked = ledger.progress()?.phase == Phase::Write;
    let mut of_lines = PassInput {
        done: done(ledger, Mode::Apply)?,
        planned: looked.then(|| ledger.still_planned()).transpose()?,
        ..PassInput::new(Arc::new(history))
    };
    of_lines.read_recorded(&known.draft, ledger)?;
    Ok(PreparedRun {
        known: of_lines,
        claim,
        task: Task {
            may_ask: false,
            ..Task::of(request, "worker", Work::Join)
        },
        run: known,
    })
}

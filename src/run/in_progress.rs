//! Finds a run in progress, to show its state or to give it orders; refuses one for a command that must not work beside it.

use super::error::CommandError;
use super::exit_code::Exit;
use super::kept_run::KeptRun;
use super::lock_wait;
use super::selection::{Selection, choose, given_by};
use super::values::catalog;
use crate::config::TypedSettings;
use crate::ledger::Ledger;
use crate::report::Commands;
use std::thread;
use std::time::{Duration, Instant};

/// Maximum wait for a process that has taken a run to accept orders. It may need longer if it has much to read first.
const BEGINNING: Duration = Duration::from_secs(5);
/// How often to check whether the process accepts orders.
const EVERY: Duration = Duration::from_millis(50);

/// Refuses a run that another process has taken. If that process is silent, waits until it is known whether it is gone.
pub(super) fn refuse_if_taken(run: &KeptRun, ledger: &Ledger) -> Result<(), CommandError> {
    lock_wait::take(|| run.refuse_if_taken(ledger)).map_err(|why| {
        let refused = CommandError::from(why);
        match Commands::of(run.path(), ledger) {
            Ok(commands) if refused.exit == Exit::Busy => {
                refused.with_help(format!("`{}` shows its state", commands.status()))
            }
            Ok(_) | Err(_) => refused,
        }
    })
}

/// Returns the run whose ID has this prefix; without a prefix, the newest run in progress on the given target.
pub(crate) fn open_live(
    command: &'static str,
    run: Option<&str>,
    typed: &TypedSettings,
) -> Result<KeptRun, CommandError> {
    let (catalog, _) = catalog(typed)?;
    if let Some(run) = run {
        return Ok(catalog.find(run)?);
    }
    let wanted = Selection {
        command,
        words: "run in progress",
        fits: &|dir, ledger| dir.is_taken(ledger),
        is_asked: false,
    };
    choose(&catalog, wanted, &given_by(typed)?).map_err(|none| match none.help {
        None => none.with_help("a run that has just begun appears here after its file was read"),
        Some(_) => none,
    })
}

/// Returns the ledger of that run when a process accepts orders there, and the commands to suggest for the run; waits up
/// to [`BEGINNING`] for that.
pub(crate) fn open_for_orders(
    command: &'static str,
    run: Option<&str>,
    typed: &TypedSettings,
) -> Result<(Ledger, Commands), CommandError> {
    let run = open_live(command, run, typed)?;
    let ledger = run.ledger()?;
    let commands = Commands::of(run.path(), &ledger)?;
    let id = &ledger.header().run;
    let asked = Instant::now();
    while !ledger.is_live() {
        if !run.is_taken(&ledger) {
            return Err(CommandError::usage(format!("run {id} is not in progress")).with_help(
                "`idshift status` shows the runs in progress; `idshift resume` continues a stopped one",
            ));
        }
        if asked.elapsed() > BEGINNING {
            let words = format!(
                "the process that has run {id} takes no orders now: it is about to begin, or draws the reports"
            );
            return Err(CommandError::usage(words).with_help(format!(
                "`{}` shows its state; then give the order again",
                commands.status()
            )));
        }
        // No event tells when the other process begins, so this polls.
        thread::park_timeout(EVERY);
    }
    Ok((ledger, commands))
}

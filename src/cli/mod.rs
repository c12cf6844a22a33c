//! The command line: parses it, calls what `run` offers, and prints the result. Each command has a file.

mod apply;
mod check;
mod completions;
mod config;
mod control;
mod doctor;
mod evidence;
mod import;
mod init;
mod log;
mod man;
mod map;
mod mistake;
mod options;
mod plan;
mod reconcile;
mod report;
mod resume;
mod runs;
mod sandbox;
mod status;
mod undo;
mod verify;
mod worker;

pub use crate::run::Exit;

use crate::config::{ConfigError, Values};
use crate::run::{CommandError, Output, check_zone, document};
use crate::ui;
use options::{Command, Console, Options, RunsCommand, SettingsArgs};
use serde_json::json;

/// Parses the command line, runs the command, and returns the exit code.
pub fn main() -> Exit {
    if let Some(exit) = completions::answer() {
        return exit;
    }
    let options = match Options::read() {
        Ok(options) => options,
        Err(error) => {
            // Help and version were requested; everything else is a mistake in the command line.
            if !error.use_stderr() {
                ui::printed(error.print());
                return delivered(Exit::Success);
            }
            mistake::say(&error);
            return Exit::NothingDone;
        }
    };
    let values = settings(&options.command).map(|settings| Values::of_output(&settings.typed));
    // This comes first, so that every later error is printed in the requested format.
    let json = values.as_ref().is_some_and(|values| {
        let format = values.choice("format");
        format.is_ok_and(|format| format == Some("json"))
    });
    let console = values.map_or(Ok(Console::default()), |values| console(&values, json));
    let ended = console.map_err(CommandError::from);
    match ended.and_then(|console| run(&options.command, console)) {
        Ok(exit) => delivered(exit),
        Err(failure) => {
            say(&failure, json);
            failure.exit
        }
    }
}

/// Returns the exit code of a command: not a success if its result could not be written to standard output. The ledger
/// has recorded what the run did in any case.
fn delivered(exit: Exit) -> Exit {
    let Some(why) = ui::lost() else {
        return exit;
    };
    ui::error(&format!("standard output cannot be written: {why}"));
    match exit {
        Exit::Success | Exit::SomeFailed | Exit::Differences | Exit::Stopped => {
            ui::help(
                "the ledger has what the run did: `idshift runs` shows how it ended, `idshift report` draws its \
                 reports",
            );
            Exit::Stopped
        }
        Exit::NothingDone | Exit::Busy | Exit::Interrupted | Exit::Terminated => exit,
    }
}

/// Returns the settings for printing and asking, and sets the use of colours.
fn console(values: &Values, json: bool) -> Result<Console, ConfigError> {
    values.choice("format")?;
    ui::set_colour(match values.choice("color")? {
        Some("always") => Some(true),
        Some("never") => Some(false),
        _ => None,
    });
    let quiet = values.truth("quiet")?;
    let progress = match values.choice("progress")? {
        _ if quiet => ui::Mode::None,
        Some("plain") => ui::Mode::Plain,
        Some("json") => ui::Mode::Json,
        Some("none") => ui::Mode::None,
        _ => ui::Mode::Auto,
    };
    Ok(Console {
        output: Output {
            json,
            quiet,
            verbose: values.number::<u32>("verbose")?.unwrap_or_default() > 0,
            progress,
        },
        yes: values.truth("yes")?,
    })
}

fn run(command: &Command, console: Console) -> Result<Exit, CommandError> {
    if shows_local_time(command) {
        check_zone()?;
    }
    match command {
        Command::Check(options) => check::run(options, console),
        Command::Plan(options) => plan::run(options, console),
        Command::Apply(options) => apply::run(options, console),
        Command::Resume(options) => resume::run(options, console),
        Command::Verify(options) => verify::run(options, console),
        Command::Undo(options) => undo::run(options, console),
        Command::Reconcile(options) => reconcile::run(options, console),
        Command::Worker(options) => worker::run(options, console),
        Command::Report(options) => report::run(options, console),
        Command::Map(options) => map::run(options, console),
        Command::Runs(options) => runs::run(options, console),
        Command::Log(options) => log::run(options, console),
        Command::Evidence(options) => evidence::run(options, console),
        Command::Import(options) => import::run(options, console),
        Command::Status(options) => status::run(options, console),
        Command::Pause(options) => control::pause(options, console),
        Command::Unpause(options) => control::unpause(options, console),
        Command::Rate(options) => control::rate(options, console),
        Command::Drain(options) => control::drain(options, console),
        Command::Sandbox(options) => sandbox::run(options),
        Command::Doctor(options) => doctor::run(options, console),
        Command::Init(_) => init::run(console),
        Command::Config(options) => config::run(options, console),
        Command::Completions(options) => completions::run(options.shell),
        Command::Man(options) => man::run(options),
    }
}

/// Returns whether a command shows local times or accepts a time of day.
fn shows_local_time(command: &Command) -> bool {
    match command {
        Command::Plan(_)
        | Command::Apply(_)
        | Command::Resume(_)
        | Command::Undo(_)
        | Command::Worker(_)
        | Command::Reconcile(_) => true,
        Command::Check(_)
        | Command::Verify(_)
        | Command::Report(_)
        | Command::Map(_)
        | Command::Runs(_)
        | Command::Log(_)
        | Command::Evidence(_)
        | Command::Import(_)
        | Command::Status(_)
        | Command::Pause(_)
        | Command::Unpause(_)
        | Command::Rate(_)
        | Command::Drain(_)
        | Command::Sandbox(_)
        | Command::Doctor(_)
        | Command::Init(_)
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Man(_) => false,
    }
}

/// Returns the typed settings of a command; `None`: the command has no settings.
fn settings(command: &Command) -> Option<&SettingsArgs> {
    Some(match command {
        Command::Check(options) => &options.settings,
        Command::Plan(options) => &options.settings,
        Command::Apply(options) => &options.settings,
        Command::Resume(options) | Command::Verify(options) | Command::Undo(options) => {
            &options.settings
        }
        Command::Reconcile(options) => &options.settings,
        Command::Worker(options) => &options.settings,
        Command::Report(options) => &options.settings,
        Command::Map(options) => &options.settings,
        Command::Runs(options) => match &options.command {
            Some(RunsCommand::Show(show)) => &show.settings,
            Some(RunsCommand::Prune(prune)) => &prune.settings,
            Some(RunsCommand::Forget(forget)) => &forget.settings,
            None => &options.settings,
        },
        Command::Log(options) => &options.settings,
        Command::Evidence(options) => &options.settings,
        Command::Import(options) => &options.settings,
        Command::Status(options) => &options.settings,
        Command::Pause(options) | Command::Unpause(options) | Command::Drain(options) => {
            &options.settings
        }
        Command::Rate(options) => &options.settings,
        Command::Doctor(options) => &options.settings,
        Command::Config(options) => &options.settings,
        Command::Init(options) => &options.settings,
        Command::Completions(options) => &options.settings,
        Command::Man(options) => &options.settings,
        Command::Sandbox(_) => return None,
    })
}

fn say(failure: &CommandError, json: bool) {
    ui::error(&failure.message);
    if let Some(help) = &failure.help {
        ui::help(help);
    }
    if json {
        let body = json!({
            "error": failure.message,
            "help": failure.help,
        });
        ui::out_as_is(&document(failure.exit, body));
    }
}

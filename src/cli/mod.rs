//! The command line: parses it, calls what `run` offers, and prints the result. Each command has a file.

mod apply;
mod check;
mod completions;
mod control;
mod doctor;
mod man;
mod map;
mod options;
mod plan;
mod reconcile;
mod report;
mod resume;
mod runs;
mod sandbox;
mod settings;
mod status;
mod undo;
mod verify;

pub use crate::run::Exit;

use crate::config::Values;
use crate::run::{CommandError, check_zone, document};
use crate::ui;
use options::{Colour, Command, GuardArgs, Options, OutputArgs, PlaceArgs, RunsCommand};
use serde_json::json;

/// Reads the command line, does what it says, and tells how it ended.
pub fn main() -> Exit {
    let mut options = match Options::read() {
        Ok(options) => options,
        Err(error) => {
            // Help and version are asked for; everything else is a mistake.
            ui::printed(error.print());
            if !error.use_stderr() {
                return delivered(Exit::Success);
            }
            if json_is_asked_for() {
                ui::out(&mistake(&error.to_string()));
            }
            return Exit::NothingDone;
        }
    };
    let mut json = false;
    let heard = match speaking(&mut options.command) {
        None => Ok(()),
        Some(speaking) => {
            let heard = listen(speaking.output, speaking.guards, speaking.place);
            json = speaking.output.is_json();
            ui::set_colour(match speaking.output.color {
                None | Some(Colour::Auto) => None,
                Some(Colour::Always) => Some(true),
                Some(Colour::Never) => Some(false),
            });
            heard
        }
    };
    match heard.and_then(|()| run(&options.command)) {
        Ok(exit) => delivered(exit),
        Err(failure) => {
            say(&failure, json);
            failure.exit
        }
    }
}

/// A result that did not reach standard output is no success. What the run did is on record all the same.
fn delivered(exit: Exit) -> Exit {
    let Some(why) = ui::lost() else {
        return exit;
    };
    ui::error(&format!("standard output cannot be written: {why}"));
    match exit {
        Exit::Success | Exit::SomeFailed | Exit::Differences | Exit::Stopped => {
            ui::help(
                "what a run did is on record: `idshift runs` shows how it ended, `idshift report` draws its reports",
            );
            Exit::Stopped
        }
        Exit::NothingDone | Exit::Busy | Exit::Interrupted | Exit::Terminated => exit,
    }
}

/// Whether a script listens, though the command line cannot be understood as a whole.
fn json_is_asked_for() -> bool {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let typed = words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json" || word == "--format=json")
        || words.windows(2).any(|two| two == ["--format", "json"]);
    typed || Values::of_speech(None, None).get("format") == Some("json")
}

/// A mistake in the command line: what is wrong, and what would be right.
fn mistake(text: &str) -> String {
    let (error, help) = text.trim().split_once("\n\n").unwrap_or((text.trim(), ""));
    let body = json!({
        "error": error.trim_start_matches("error: "),
        "help": (!help.is_empty()).then_some(help),
    });
    document(Exit::NothingDone, body)
}

/// What was not typed about speaking may stand in the environment or in the file.
fn listen(
    output: &mut OutputArgs,
    guards: Option<&mut GuardArgs>,
    place: &PlaceArgs,
) -> Result<(), CommandError> {
    let typed = place.typed();
    let values = Values::of_speech(typed.config.as_deref(), typed.profile.as_deref());
    output.complete(&values)?;
    if let Some(guards) = guards {
        guards.yes |= values.truth("yes")?;
    }
    Ok(())
}

fn run(command: &Command) -> Result<Exit, CommandError> {
    if shows_local_time(command) {
        check_zone()?;
    }
    match command {
        Command::Check(options) => check::run(options),
        Command::Plan(options) => plan::run(options),
        Command::Apply(options) => apply::run(options),
        Command::Resume(options) => resume::run(options),
        Command::Verify(options) => verify::run(options),
        Command::Undo(options) => undo::run(options),
        Command::Reconcile(options) => reconcile::run(options),
        Command::Report(options) => report::run(options),
        Command::Map(options) => map::run(options),
        Command::Runs(options) => runs::run(options),
        Command::Status(options) => status::run(options),
        Command::Pause(options) => control::pause(options),
        Command::Unpause(options) => control::unpause(options),
        Command::Rate(options) => control::rate(options),
        Command::Drain(options) => control::drain(options),
        Command::Sandbox(options) => sandbox::run(options),
        Command::Doctor(options) => doctor::run(options),
        Command::Init => settings::init(),
        Command::Config(options) => settings::show(options),
        Command::Completions { shell } => Ok(completions::run(*shell)),
        Command::Man(options) => man::run(options),
    }
}

/// Whether a command shows when something ends, or takes a time of day.
fn shows_local_time(command: &Command) -> bool {
    match command {
        Command::Plan(_)
        | Command::Apply(_)
        | Command::Resume(_)
        | Command::Undo(_)
        | Command::Reconcile(_) => true,
        Command::Check(_)
        | Command::Verify(_)
        | Command::Report(_)
        | Command::Map(_)
        | Command::Runs(_)
        | Command::Status(_)
        | Command::Pause(_)
        | Command::Unpause(_)
        | Command::Rate(_)
        | Command::Drain(_)
        | Command::Sandbox(_)
        | Command::Doctor(_)
        | Command::Init
        | Command::Config(_)
        | Command::Completions { .. }
        | Command::Man(_) => false,
    }
}

/// The parts of a command's options that say how it speaks.
struct Speaking<'a> {
    output: &'a mut OutputArgs,
    guards: Option<&'a mut GuardArgs>,
    place: &'a PlaceArgs,
}

fn speaking(command: &mut Command) -> Option<Speaking<'_>> {
    let (output, guards, place) = match command {
        Command::Check(o) => (&mut o.output, None, &o.target.place),
        Command::Plan(o) => (&mut o.output, None, &o.target.place),
        Command::Apply(o) => (&mut o.output, Some(&mut o.guards), &o.target.place),
        Command::Resume(o) => (&mut o.output, Some(&mut o.guards), &o.target.place),
        Command::Verify(o) => (&mut o.output, None, &o.target.place),
        Command::Undo(o) => (&mut o.output, Some(&mut o.guards), &o.target.place),
        Command::Reconcile(o) => (&mut o.output, Some(&mut o.guards), &o.target.place),
        Command::Report(o) => (&mut o.output, None, &o.place),
        Command::Map(o) => (&mut o.output, None, &o.place),
        Command::Runs(o) => match &mut o.command {
            Some(RunsCommand::Show(show)) => (&mut show.output, None, &show.place),
            Some(RunsCommand::Prune(prune)) => (&mut prune.output, None, &prune.place),
            Some(RunsCommand::Forget(forget)) => (&mut forget.output, None, &o.place),
            None => (&mut o.output, None, &o.place),
        },
        Command::Status(o) => (&mut o.output, None, &o.place),
        Command::Pause(o) | Command::Unpause(o) | Command::Drain(o) => {
            (&mut o.output, None, &o.place)
        }
        Command::Rate(o) => (&mut o.output, None, &o.place),
        Command::Doctor(o) => (&mut o.output, None, &o.target.place),
        Command::Config(o) => (&mut o.output, None, &o.target.place),
        Command::Sandbox(_) | Command::Init | Command::Completions { .. } | Command::Man(_) => {
            return None;
        }
    };
    Some(Speaking {
        output,
        guards,
        place,
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
        ui::out(&document(failure.exit, body));
    }
}

//! The commands. Each has a file, which is its story, readable from top to bottom.

mod apply;
mod check;
mod clock;
mod closing;
mod confirm;
mod doctor;
mod draft;
mod exit;
mod failure;
mod feed;
mod known_run;
mod options;
mod plan;
mod prepare;
mod recall;
mod reconcile;
mod report;
mod resume;
mod runs;
mod sandbox;
mod session;
mod settings;
mod stand_in;
mod undo;
mod verify;

pub use exit::Exit;

use crate::ui;
use clap::{CommandFactory, Parser};
use failure::Failure;
use options::{Colour, Command, Options, Speech};
use serde_json::json;

/// Reads the command line, does what it says, and tells how it ended.
pub fn main() -> Exit {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Help and version are asked for; everything else is a mistake. Printing can only fail where
            // nobody listens.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::NothingDone
            } else {
                Exit::Success
            };
        }
    };
    let json = speech(&options.command).is_some_and(Speech::is_json);
    if let Some(speech) = speech(&options.command) {
        ui::set_colour(match speech.color {
            Colour::Auto => None,
            Colour::Always => Some(true),
            Colour::Never => Some(false),
        });
    }
    match run(&options.command) {
        Ok(exit) => exit,
        Err(failure) => {
            say(&failure, json);
            failure.exit
        }
    }
}

fn run(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Check(options) => check::run(options),
        Command::Plan(options) => plan::run(options),
        Command::Apply(options) => apply::run(options),
        Command::Resume(options) => resume::run(options),
        Command::Verify(options) => verify::run(options),
        Command::Undo(options) => undo::run(options),
        Command::Reconcile(options) => reconcile::run(options),
        Command::Report(options) => report::run(options),
        Command::Runs(options) => runs::run(options),
        Command::Sandbox(options) => sandbox::run(options),
        Command::Doctor(options) => doctor::run(options),
        Command::Init => settings::init(),
        Command::Config(options) => settings::show(options),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Options::command(), "idshift", &mut text);
            ui::out_bytes(&text);
            Ok(Exit::Success)
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Options::command())
                .render(&mut text)
                .map_err(|why| Failure::usage(why.to_string()))?;
            ui::out_bytes(&text);
            Ok(Exit::Success)
        }
    }
}

fn speech(command: &Command) -> Option<&Speech> {
    match command {
        Command::Check(options) => Some(&options.speech),
        Command::Plan(options) => Some(&options.speech),
        Command::Apply(options) => Some(&options.speech),
        Command::Resume(options) => Some(&options.speech),
        Command::Verify(options) => Some(&options.speech),
        Command::Undo(options) => Some(&options.speech),
        Command::Reconcile(options) => Some(&options.speech),
        Command::Report(options) => Some(&options.speech),
        Command::Runs(options) => Some(&options.speech),
        Command::Doctor(options) => Some(&options.speech),
        Command::Config(options) => Some(&options.speech),
        Command::Sandbox(_) | Command::Init | Command::Completions { .. } | Command::Man => None,
    }
}

fn say(failure: &Failure, json: bool) {
    ui::err(&format!("error: {}", ui::visible(&failure.message)));
    if let Some(help) = &failure.help {
        ui::err(&format!("help: {}", ui::visible(help)));
    }
    if json {
        let document = json!({
            "error": failure.message,
            "help": failure.help,
            "exit_code": failure.exit as u8,
        });
        ui::out(&document.to_string());
    }
}

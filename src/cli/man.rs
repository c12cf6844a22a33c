//! `idshift man`: a manual page for the program and one for each command, made from the options.

use super::options::{self, ManOptions};
use crate::domain::nearest;
use crate::run::{CommandError, Exit};
use crate::ui;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;
use std::path::Path;

/// The date of the last change to these pages.
const DATE: &str = "2026-11-28";

/// The longest line of a page's source, in bytes: tools that check manual pages complain about longer lines.
const WIDTH: usize = 78;

/// The environment variables, with one row for the `IDSHIFT_…` variables of all other settings.
const ENVIRONMENT: [(&str, &str); 8] = [
    (
        "IDSHIFT_TOKEN",
        "The token for the system. It is never an option.",
    ),
    (
        "IDSHIFT_API_KEY",
        "Adobe: the integration's key, unless api_key_env names another variable.",
    ),
    (
        "IDSHIFT_CONFIG, IDSHIFT_PROFILE",
        "As --config and --profile.",
    ),
    (
        "IDSHIFT_…",
        "Each other setting, as the long help of its option says: IDSHIFT_RATE for --rate.",
    ),
    (
        "XDG_STATE_HOME",
        "Where the state database lies: $XDG_STATE_HOME/idshift, else ~/.local/state/idshift.",
    ),
    (
        "TZ",
        "The zone in which times are shown and --until is read.",
    ),
    ("HTTPS_PROXY, ALL_PROXY, NO_PROXY", "The proxy for calls."),
    (
        "NO_COLOR, CLICOLOR_FORCE",
        "No colours; colours also where the output is no terminal.",
    ),
];

const FILES: [(&str, &str); 5] = [
    (
        "idshift.toml",
        "The configuration: in the working directory, in ~/.config/idshift or in /etc/idshift. The first that exists \
         is used.",
    ),
    (
        "idshift-runs/RUN/",
        "Input, record and reports of one run: input.csv, ledger.db, results.csv, failures.csv, summary.json, \
         report.html.",
    ),
    (
        "idshift-runs/RUN/failures.csv",
        "The lines that failed or were not done. Given to apply, exactly those are tried again.",
    ),
    (
        "idshift-runs/RUN/ledger.db",
        "The record of a run, an SQLite database. All reports are drawn from it.",
    ),
    (
        "~/.local/state/idshift/state.db",
        "What the runs of one user share: locks, epochs, calls within quotas, the register of run folders.",
    ),
];

const EXAMPLES: [(&str, &str); 5] = [
    (
        "Try it on a local stand-in with a sample file:",
        "idshift apply samples/plume/moves.csv --sandbox --yes",
    ),
    (
        "See what would change, then carry out exactly that:",
        "idshift plan moves.csv --profile plume && idshift apply --run RUN",
    ),
    (
        "Apply 5 units, verify them, and continue only if all are right:",
        "idshift apply moves.csv --profile plume --canary 5 --max-failures 2%",
    ),
    (
        "Continue a run that was interrupted or stopped:",
        "idshift resume RUN",
    ),
    ("Restore what a run changed:", "idshift undo RUN"),
];

pub(super) fn run(options: &ManOptions) -> Result<Exit, CommandError> {
    if let Some(folder) = &options.dir {
        write_all(folder).map_err(|why| {
            CommandError::usage(format!("{}: cannot be written: {why}", folder.display()))
        })?;
        return Ok(Exit::Success);
    }
    let page = match &options.command {
        None => main_page(),
        Some(name) => {
            let known = pages().find(|command| command.get_name() == format!("idshift-{name}"));
            page(known.ok_or_else(|| unknown(name))?)
        }
    };
    let page = page.map_err(|why| CommandError::usage(why.to_string()))?;
    ui::out_bytes(page.as_bytes());
    Ok(Exit::Success)
}

fn unknown(name: &str) -> CommandError {
    let whole = options::command();
    let names: Vec<&str> = whole
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    let help = match nearest(name, names) {
        Some(meant) => format!("is `{meant}` meant? idshift -h lists the commands"),
        None => "idshift -h lists the commands".to_owned(),
    };
    CommandError::usage(format!("`{name}` is not a command")).with_help(help)
}

/// Returns the commands, each with the name of its manual page.
fn pages() -> impl Iterator<Item = clap::Command> {
    let whole = options::command();
    let commands: Vec<clap::Command> = whole.get_subcommands().cloned().collect();
    commands.into_iter().map(|command| {
        let name = format!("idshift-{}", command.get_name());
        let typed = format!("idshift {}", command.get_name());
        command
            .name(name)
            .bin_name(typed)
            .version(env!("CARGO_PKG_VERSION"))
    })
}

fn main_page() -> io::Result<String> {
    // The sections below contain the same text.
    let bare = options::command()
        .after_help("")
        .after_long_help("")
        .before_help("");
    let mut text = rendered(bare)?;
    let described = |title: &str, rows: &[(&str, &str)]| {
        let mut section = Roff::new();
        section.control("SH", [title]);
        for (name, words) in rows {
            section.control("TP", []);
            section.text([bold(*name)]);
            section.text([roman(*words)]);
        }
        section.to_roff()
    };
    text.push_str(&described("ENVIRONMENT", &ENVIRONMENT));
    text.push_str(&described("FILES", &FILES));
    text.push_str(&exit_status());
    let mut examples = Roff::new();
    examples.control("SH", ["EXAMPLES"]);
    for (words, command) in EXAMPLES {
        examples.control("TP", []);
        examples.text([roman(words)]);
        examples.text([bold(command)]);
    }
    text.push_str(&examples.to_roff());
    Ok(clean(&text))
}

fn page(command: clap::Command) -> io::Result<String> {
    let mut text = rendered(command)?;
    text.push_str(&exit_status());
    text.push_str(".SH \"SEE ALSO\"\n\\fBidshift\\fR(1)\n");
    Ok(clean(&text))
}

/// Returns the sections that `clap_mangen` makes from the options.
fn rendered(command: clap::Command) -> io::Result<String> {
    let title = command.get_name().to_uppercase();
    let source = format!("idshift {}", env!("CARGO_PKG_VERSION"));
    let has_commands = command.has_subcommands();
    let man = Man::new(command)
        .title(title)
        .date(DATE)
        .source(source)
        .manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    String::from_utf8(page).map_err(io::Error::other)
}

fn exit_status() -> String {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        section.control("TP", []);
        section.text([bold((exit as u8).to_string())]);
        section.text([roman(exit.meaning())]);
    }
    section.to_roff()
}

/// Cleans the source of a page: wraps long lines, removes blanks at line ends, and keeps only the first definition of
/// the strings that each part of a page defines. A blank line within the text of an option starts a paragraph. The
/// other names of an option get a line of their own.
fn clean(text: &str) -> String {
    let mut page = String::with_capacity(text.len());
    let (mut follows_text, mut follows_blank) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let is_preamble = line == ".ie \\n(.g .ds Aq \\(aq" || line == ".el .ds Aq '";
        if is_preamble && number > 1 {
            continue;
        }
        if line.is_empty() || (line == ".br" && page.ends_with(".br\n")) {
            follows_blank |= line.is_empty();
            continue;
        }
        let is_text = !line.starts_with('.');
        if is_text && follows_text && follows_blank {
            page.push_str(".IP\n");
        } else if is_text && follows_text && is_other_names(line) {
            page.push_str(".br\n");
        }
        (follows_text, follows_blank) = (is_text, false);
        page.push_str(&wrapped(line));
        page.push('\n');
    }
    page
}

/// Returns whether a line shows the environment variable or the key of a setting.
fn is_other_names(line: &str) -> bool {
    line.starts_with("[env:") || line.starts_with("[idshift.toml:")
}

/// Wraps a line of text. A line break changes nothing in the shown page, since a viewer fills the text again. A roff
/// request must stay on one line.
fn wrapped(line: &str) -> String {
    if line.len() <= WIDTH || line.starts_with('.') {
        return line.to_owned();
    }
    let mut lines = String::new();
    let mut width = 0;
    for word in line.split(' ') {
        // roff would read a line that begins with one of these as a request.
        let may_begin = !word.starts_with(['.', '\'']);
        if width > 0 && width + 1 + word.len() > WIDTH && may_begin && !word.is_empty() {
            lines.push('\n');
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += word.len();
    }
    lines
}

fn write_all(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("idshift.1"), main_page()?)?;
    for command in pages() {
        let path = folder.join(format!("{}.1", command.get_name()));
        std::fs::write(path, page(command)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_the_program_and_for_each_command() {
        let folder = tempfile::tempdir().unwrap();
        write_all(folder.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let whole = read("idshift.1");
        for section in ["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"] {
            assert!(whole.contains(section), "{section}: {whole}");
        }
        assert!(whole.contains("idshift\\-apply(1)"));
        let apply = read("idshift-apply.1");
        let rate = ".IP\nExample: \\-\\-rate 300/m\n.br\n[env: IDSHIFT_RATE]";
        assert!(apply.contains(rate), "{apply}");
        assert!(apply.contains("130"), "exit codes");
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, options::command().get_subcommands().count() + 1);
        for page in [&whole, &apply] {
            let long = page
                .lines()
                .find(|line| line.len() > WIDTH + 2 && !line.starts_with('.'));
            assert_eq!(long, None);
        }
    }
}

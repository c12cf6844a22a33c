//! Completions of the command line: profiles, runs, values. A shell requests them with each press of the Tab key.
//!
//! Reads `idshift.toml` and the runs folder. It changes nothing, reads no secret, and reports no errors.

use crate::config::{COLUMNS, File, TypedSettings, Values};
use crate::input::ACCEPTABLE;
use crate::ledger::{ListedRun, RunDir, Runs, State};
use crate::report::run_status;
use crate::run::{RunScope, RunsSettings};
use crate::ui;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use std::ffi::OsStr;

/// The most ledgers that are opened for one answer. Older runs are offered without a description, or not at all where
/// only runs in certain states are.
const DESCRIBED_RUNS: usize = 50;

/// Encodings by their usual names; others are accepted too.
const ENCODINGS: [&str; 10] = [
    "utf-8",
    "utf-16le",
    "utf-16be",
    "windows-1252",
    "windows-1250",
    "iso-8859-1",
    "iso-8859-15",
    "shift_jis",
    "cp850",
    "cp437",
];
const DELIMITERS: [&str; 4] = ["comma", "semicolon", "tab", "pipe"];

/// Returns the completer for the values of a setting; `None`: the setting's shape determines them.
pub(super) fn of_setting(name: &str) -> Option<ArgValueCompleter> {
    Some(match name {
        "profile" => profiles(),
        "map" => ArgValueCompleter::new(columns),
        "accept" => ArgValueCompleter::new(codes),
        "encoding" => ArgValueCompleter::new(|current: &OsStr| texts(&ENCODINGS, current)),
        "delimiter" => ArgValueCompleter::new(|current: &OsStr| texts(&DELIMITERS, current)),
        _ => return None,
    })
}

/// Completes the profiles of the configuration file in use.
pub(super) fn profiles() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let profiles = File::profile_names(typed().config()).into_iter();
        let described = profiles.map(|(name, words)| candidate(&name, &words));
        beginning_with(current, described)
    })
}

/// Completes all runs.
pub(super) fn runs() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| runs_in(&[], current))
}

/// Completes runs in progress.
pub(super) fn runs_in_progress() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| runs_in(&[State::Created, State::Running], current))
}

/// Completes plans that were not carried out.
pub(super) fn plans() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| runs_in(&[State::Planned], current))
}

/// Returns the runs in one of these states (empty: in any state), the newest first.
fn runs_in(states: &[State], current: &OsStr) -> Vec<CompletionCandidate> {
    let values = Values::of_output(&typed());
    let kept = RunsSettings::local(&values).runs(RunScope::Here);
    let listed = kept.list().unwrap_or_default().into_iter();
    let mut runs: Vec<RunDir> = listed
        .filter_map(|one| match one {
            ListedRun::There(dir, _) => Some(dir),
            ListedRun::Gone(_) | ListedRun::Elsewhere(_) => None,
        })
        .collect();
    runs.retain(|dir| begins(current, dir.run().as_str()));
    runs.sort_by(|a, b| b.run().cmp(a.run()));
    let shown = runs.iter().enumerate().filter_map(|(at, dir)| {
        let described = (at < DESCRIBED_RUNS)
            .then(|| described(kept.as_ref(), dir))
            .flatten();
        let (state, words) = described.unzip();
        let fits = states.is_empty() || state.is_some_and(|state| states.contains(&state));
        fits.then(|| candidate(dir.run().as_str(), &words.unwrap_or_default()))
    });
    shown.collect()
}

/// Returns the state of a run and a description such as `apply, finished, moves.csv`.
fn described(runs: &dyn Runs, dir: &RunDir) -> Option<(State, String)> {
    let ledger = runs.open_read_only(dir).ok()?;
    let state = run_status::state(&ledger.progress().ok()?, &ledger);
    let kind = ledger.kind().ok()?;
    let header = ledger.header();
    let subject = header.parent.as_ref().unwrap_or(&header.input_name);
    let words = format!("{}, {}, {subject}", kind.as_str(), state.as_str());
    Some((state, words))
}

/// Completes `accountId=` and so on; the user types the name in the file after it.
fn columns(current: &OsStr) -> Vec<CompletionCandidate> {
    let columns = COLUMNS.iter();
    let columns = columns.map(|column| candidate(&format!("{}=", column.name), column.help));
    beginning_with(current, columns)
}

/// Completes the last of several codes that are separated by commas.
fn codes(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let before = current.rfind(',').map_or("", |at| &current[..=at]);
    let codes = ACCEPTABLE
        .iter()
        .map(|code| candidate(&format!("{before}{code}"), ""));
    beginning_with(OsStr::new(current.as_ref()), codes)
}

fn texts(texts: &[&str], current: &OsStr) -> Vec<CompletionCandidate> {
    beginning_with(current, texts.iter().map(|text| candidate(text, "")))
}

fn candidate(value: &str, words: &str) -> CompletionCandidate {
    let words = (!words.is_empty()).then(|| ui::visible(words).into_owned().into());
    CompletionCandidate::new(value).help(words)
}

fn begins(current: &OsStr, value: &str) -> bool {
    value.starts_with(&*current.to_string_lossy())
}

/// Returns the candidates that begin with the typed text. A name with a control character cannot be typed, so it is left out.
fn beginning_with(
    current: &OsStr,
    all: impl Iterator<Item = CompletionCandidate>,
) -> Vec<CompletionCandidate> {
    let fits = |one: &CompletionCandidate| {
        let value = one.get_value().to_string_lossy();
        begins(current, &value) && !value.chars().any(char::is_control)
    };
    all.filter(fits).collect()
}

/// Returns those settings in the unfinished line that say where profiles and runs are kept.
fn typed() -> TypedSettings {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let value = |name: &'static str| {
        let option = format!("--{}", name.replace('_', "-"));
        let (at, rest) = words.iter().enumerate().find_map(|(at, word)| {
            let rest = word.strip_prefix(&option)?;
            (rest.is_empty() || rest.starts_with('=')).then_some((at, rest))
        })?;
        // Bash splits `--config=FILE` into three words.
        let mut behind = words[at + 1..].iter().skip_while(|word| *word == "=");
        let value = match rest.strip_prefix('=') {
            Some(value) => value,
            None => behind.next()?,
        };
        Some((name, unquoted(value)))
    };
    ["config", "profile", "runs_dir"]
        .into_iter()
        .filter_map(value)
        .collect()
}

/// Removes the quotes around a word and replaces `~/` by the home folder, which the shell has not done yet.
fn unquoted(word: &str) -> String {
    let word = word.trim_matches(['"', '\'']);
    match (word.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{home}/{rest}"),
        _ => word.to_owned(),
    }
}

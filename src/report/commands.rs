//! The commands that are suggested to the user, in one place, so that they work as printed: from this folder, for a run
//! in another place, in any POSIX shell, and with the words that the ledger of a new run would not know.

use crate::ledger::{DEFAULT_RUNS_DIR, Ledger, LedgerError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The command-line words that began the run or continued it later, and that no other part of the ledger contains; kept in
/// [`Ledger::settings`] under `typed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Typed {
    /// What every later command on the run needs too: which configuration file, and whether a stand-in.
    pub always: Vec<String>,
    /// What only a new run on the same target needs: the profile, the system, its address …
    pub target: Vec<String>,
}

/// The part of [`Ledger::settings`] that is used here: the typed words, and how the columns of the run's file were read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Begun {
    typed: Typed,
    /// The settings, by their names.
    values: BTreeMap<String, String>,
}

/// The option that names a configuration file.
const CONFIG: &str = "--config";
/// The option for a stand-in in place of the system.
pub const SANDBOX: &str = "--sandbox";

/// The commands that can follow a run.
#[derive(Debug, Clone)]
pub struct Commands {
    run: String,
    dir: PathBuf,
    begun: Begun,
}

impl Commands {
    /// Makes the commands for the run in this folder.
    pub fn of(dir: &Path, ledger: &Ledger) -> Result<Self, LedgerError> {
        Ok(Self::with(dir, &ledger.header().run, &ledger.settings()?))
    }

    /// Makes the commands for the run in this folder, with the settings of a process that continues the run.
    pub fn with(dir: &Path, run: &str, settings: &str) -> Self {
        let mut begun: Begun = serde_json::from_str(settings).unwrap_or_default();
        begun.typed.always = without_missing_file(begun.typed.always);
        Self {
            run: run.to_owned(),
            dir: dir.to_owned(),
            begun,
        }
    }

    /// `idshift resume ID`, with more words where they are needed.
    pub fn resume(&self, more: &[&str]) -> String {
        self.on_run(&["resume", &self.run], more)
    }

    /// `idshift status ID`.
    pub fn status(&self) -> String {
        self.on_record("status", &[])
    }

    /// `idshift COMMAND ID`, for a command that calls no system, with more words where they are needed: it shows what is on
    /// record, or gives an order to a run in progress.
    pub fn on_record(&self, command: &str, more: &[&str]) -> String {
        let words = [&["idshift", command, &self.run], more].concat();
        let words = words.into_iter().map(str::to_owned);
        // Only commands that call the system need its stand-in.
        let always = self.begun.typed.always.iter().cloned();
        let always = always.filter(|word| word != SANDBOX);
        shell(words.chain(always).chain(self.place()))
    }

    /// `idshift verify ID`.
    pub fn verify(&self) -> String {
        self.on_run(&["verify", &self.run], &[])
    }

    /// `idshift undo ID`.
    pub fn undo(&self) -> String {
        self.undo_of(&self.run)
    }

    /// `idshift undo ID` for another run in the same place, with the same words.
    pub fn undo_of(&self, run: &str) -> String {
        self.on_run(&["undo", run], &[])
    }

    /// `idshift apply --run ID`, with more words where they are needed.
    pub fn carry_out(&self, more: &[&str]) -> String {
        self.on_run(&["apply", "--run", &self.run], more)
    }

    /// `idshift report ID`.
    pub fn report(&self) -> String {
        self.on_record("report", &[])
    }

    /// `idshift apply …/failures.csv`, with the columns as in the run's own file.
    pub fn retry(&self) -> String {
        let (begun, failures) = (&self.begun, self.dir.join("failures.csv"));
        let words = ["idshift", "apply"].map(str::to_owned);
        let words = words.into_iter().chain([path_word(&failures)]);
        let words = words
            .chain(columns(&begun.values))
            .chain(begun.typed.target.iter().cloned())
            .chain(begun.typed.always.iter().cloned());
        shell(words.chain(self.place()))
    }

    /// Returns the path of the file of the failures, as one word.
    pub fn failures(&self) -> String {
        quoted(&self.dir.join("failures.csv").display().to_string())
    }

    fn on_run(&self, words: &[&str], more: &[&str]) -> String {
        let words = ["idshift"].iter().chain(words).chain(more);
        let words = words.map(|word| (*word).to_owned());
        let always = self.begun.typed.always.iter().cloned();
        shell(words.chain(always).chain(self.place()))
    }

    /// Returns the option for the folder of the runs, unless it is the default folder.
    fn place(&self) -> Vec<String> {
        match self.dir.parent() {
            Some(runs) if runs != Path::new(DEFAULT_RUNS_DIR) => {
                option("--runs-dir", &runs.display().to_string())
            }
            Some(_) | None => Vec::new(),
        }
    }
}

/// Removes a configuration file that does not exist here: the run may have been begun with it on another machine.
fn without_missing_file(words: Vec<String>) -> Vec<String> {
    let (mut kept, mut words) = (Vec::new(), words.into_iter());
    while let Some(word) = words.next() {
        let mut option = vec![word];
        if option[0] == CONFIG {
            option.extend(words.next());
        }
        let file = match option.as_slice() {
            [_, file] => Some(file.as_str()),
            [one] => one
                .strip_prefix(CONFIG)
                .and_then(|rest| rest.strip_prefix('=')),
            _ => None,
        };
        if file.is_none_or(|file| Path::new(file).exists()) {
            kept.append(&mut option);
        }
    }
    kept
}

/// Returns the options that say how the columns of a file are read.
fn columns(settings: &BTreeMap<String, String>) -> Vec<String> {
    let map = settings.get("map").map_or("", String::as_str).lines();
    let mut words: Vec<String> = map.flat_map(|one| option("--map", one)).collect();
    for (name, flag) in [
        ("skip_invalid", "--skip-invalid"),
        ("allow_clear", "--allow-clear"),
    ] {
        let is_set = settings.get(name).is_some_and(|value| value == "true");
        words.extend(is_set.then(|| flag.to_owned()));
    }
    words
}

/// Returns an option and its value, as one word if the value would be taken for an option.
pub fn option(name: &str, value: &str) -> Vec<String> {
    if value.starts_with('-') {
        vec![format!("{name}={value}")]
    } else {
        vec![name.to_owned(), value.to_owned()]
    }
}

/// Returns a path as it is typed, so that it is never taken for an option.
pub fn path_word(path: &Path) -> String {
    let text = path.display().to_string();
    if text.starts_with('-') {
        format!("./{text}")
    } else {
        text
    }
}

/// Joins the words as a POSIX shell takes them.
pub fn shell(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quoted(&word)).collect();
    words.join(" ")
}

/// Quotes a text so that a POSIX shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,%@+".contains(c);
    if !text.is_empty() && !text.starts_with('=') && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(dir: &str, settings: &str) -> Commands {
        Commands::with(Path::new(dir), "20261120-223015-k3f9", settings)
    }

    #[test]
    fn suggested_command_is_short_with_default_settings() {
        let here = commands("idshift-runs/20261120-223015-k3f9", "{}");
        assert_eq!(here.resume(&[]), "idshift resume 20261120-223015-k3f9");
        assert_eq!(
            here.carry_out(&[]),
            "idshift apply --run 20261120-223015-k3f9"
        );
        assert_eq!(
            here.retry(),
            "idshift apply idshift-runs/20261120-223015-k3f9/failures.csv"
        );
    }

    #[test]
    fn suggested_command_repeats_options_missing_in_the_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("it's.toml");
        std::fs::write(&file, "").unwrap();
        let settings = r#"{"typed": {"always": ["--config", "FILE", "--sandbox"], "target": ["--profile", "night", "--reseller", "own"]},
                "values": {"map": "newAccountId=CRM KEY\naccountId=-old", "allow_clear": "true",
                           "encoding": "utf-16le", "delimiter": ";"}, "something_newer": 1}"#;
        let settings = settings.replace("FILE", &file.display().to_string());
        let there = commands("/srv/night runs/20261120-223015-k3f9", &settings);
        let config = format!("--config '{}/it'\\''s.toml'", folder.path().display());
        let end = format!("{config} --sandbox --runs-dir '/srv/night runs'");
        assert_eq!(
            there.undo(),
            format!("idshift undo 20261120-223015-k3f9 {end}")
        );
        assert_eq!(
            there.resume(&["--max-changes", "7"]),
            format!("idshift resume 20261120-223015-k3f9 --max-changes 7 {end}")
        );
        assert_eq!(
            there.on_record("rate", &["N/s"]),
            format!("idshift rate 20261120-223015-k3f9 N/s {config} --runs-dir '/srv/night runs'")
        );
        assert_eq!(
            there.report(),
            format!("idshift report 20261120-223015-k3f9 {config} --runs-dir '/srv/night runs'")
        );
        assert_eq!(
            there.retry(),
            format!(
                "idshift apply '/srv/night runs/20261120-223015-k3f9/failures.csv' --map 'newAccountId=CRM KEY' \
                 --map accountId=-old --allow-clear --profile night --reseller own {end}"
            )
        );
    }

    #[test]
    fn missing_config_file_is_left_out_of_suggested_commands() {
        for always in [
            r#"["--config", "/not/here.toml", "--profile", "night"]"#,
            r#"["--config=-not-here.toml", "--profile", "night"]"#,
        ] {
            let settings = format!(r#"{{"typed": {{"always": {always}}}}}"#);
            let elsewhere = commands("idshift-runs/20261120-223015-k3f9", &settings);
            assert_eq!(
                elsewhere.verify(),
                "idshift verify 20261120-223015-k3f9 --profile night"
            );
        }
    }

    #[test]
    fn words_are_quoted_safely_for_the_shell() {
        let words = ["$(x)", "", "a b", "~/x", "=ls", "k=v", "*", "ü", "#1"];
        assert_eq!(
            shell(words.map(str::to_owned)),
            "'$(x)' '' 'a b' '~/x' '=ls' k=v '*' 'ü' '#1'"
        );
        assert_eq!(option("--config", "-x"), ["--config=-x"]);
        assert_eq!(path_word(Path::new("-x.csv")), "./-x.csv");
    }
}

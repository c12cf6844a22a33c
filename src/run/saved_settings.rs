//! How a run was begun: kept in its ledger for whoever goes on with it.

use super::error::CommandError;
use super::guards::Guards;
use super::input_plan;
use super::request::{Output, Reading, TypedSettings};
use crate::config::{Resolved, Values};
use crate::domain::{Reseller, ResellerId, guid};
use crate::input::{self, Accept, Column, Rules};
use crate::ledger::{Ledger, RunDir};
use crate::report::{self, Typed};
use crate::system::Kind;
use crate::ui;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

/// Everything that `resume`, `verify` and `undo` must know of how a run was begun.
///
/// A field that an older version did not know takes nothing from the others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub(crate) struct SavedSettings {
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) map: Vec<(String, String)>,
    pub(crate) encoding: Option<String>,
    pub(crate) delimiter: Option<u8>,
    pub(crate) skip_invalid: bool,
    pub(crate) allow_clear: bool,
    /// True for an undo: the values in its file came from the system.
    pub(crate) verbatim: bool,
    pub(crate) limits: Guards,
    /// Whether the consent to the writes is given once everything was looked up.
    pub(crate) asks_after_look: bool,
    /// What is to be typed again where a person goes on from the run.
    pub(crate) typed: Typed,
}

impl SavedSettings {
    /// What the run was begun with, or what was given anew since.
    pub(crate) fn of(ledger: &Ledger) -> Result<Self, CommandError> {
        serde_json::from_str(&ledger.settings()?).map_err(|why| {
            let path = ledger.path().display();
            CommandError::usage(format!("{path}: its settings cannot be read: {why}"))
        })
    }

    /// Keeps it for whoever goes on with the run.
    pub(crate) fn keep(&self, ledger: &Ledger) -> Result<(), CommandError> {
        let text = serde_json::to_string(self).unwrap_or_default();
        Ok(ledger.set_settings(&text)?)
    }

    /// How the run's file is to be read.
    pub(crate) fn reading(&self) -> Result<input::Settings, CommandError> {
        let map = self.map.iter().map(|(column, name)| {
            Column::from_str(column)
                .map(|column| (column, name.clone()))
                .map_err(CommandError::usage)
        });
        Ok(input::Settings {
            encoding: self.encoding.clone(),
            map: map.collect::<Result<_, _>>()?,
            delimiter: self.delimiter,
            carry: self.carry(),
            skip_rows: self.skip_rows()?,
        })
    }

    /// Columns that are carried through. The command line gives each by itself, other places with commas between.
    fn carry(&self) -> Vec<String> {
        let text = self.values.get("carry").map_or("", String::as_str);
        let names = text.split(if text.contains('\n') { '\n' } else { ',' });
        let names = names.map(str::trim).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    fn skip_rows(&self) -> Result<u32, CommandError> {
        let Some(text) = self.values.get("skip_rows") else {
            return Ok(0);
        };
        text.trim().parse().map_err(|_| {
            CommandError::usage(format!("skip_rows: `{text}` is no whole number such as 2"))
        })
    }

    pub(crate) fn rules(&self, resolved: &Resolved) -> Result<Rules, CommandError> {
        let reseller = match resolved.reseller.as_deref() {
            Some(text) if text.eq_ignore_ascii_case("own") => Some(Reseller::Own),
            Some(_) => resolved.reseller_id()?.map(Reseller::Id),
            None => None,
        };
        self.rules_for(resolved.system, reseller)
    }

    /// The same from what the run itself was begun with, without today's settings.
    pub(super) fn rules_as_begun(&self, system: Kind) -> Result<Rules, CommandError> {
        let reseller = match self.values.get("reseller_id") {
            Some(text) if text.eq_ignore_ascii_case("own") => Some(Reseller::Own),
            Some(text) if system.capabilities().ids_are_guids => {
                ResellerId::new(guid(text)).ok().map(Reseller::Id)
            }
            Some(text) => ResellerId::new(text).ok().map(Reseller::Id),
            None => None,
        };
        self.rules_for(system, reseller)
    }

    fn rules_for(&self, system: Kind, reseller: Option<Reseller>) -> Result<Rules, CommandError> {
        let capabilities = system.capabilities();
        let mut rules = input_plan::rules(capabilities);
        rules.allow_clear = self.allow_clear;
        rules.verbatim = self.verbatim;
        let codes = self.values.get("accept").map_or("", String::as_str);
        rules.accept =
            Accept::parse(codes).map_err(|why| CommandError::usage(format!("accept: {why}")))?;
        if rules.allow_clear && !capabilities.can_clear {
            let title = capabilities.title;
            return Err(CommandError::usage(format!(
                "--allow-clear: {title} has no way to remove an account ID"
            )));
        }
        rules.reseller = reseller.filter(|_| rules.per_reseller);
        Ok(rules)
    }
}

/// What `--map` says: the column that counts, and its name in the file.
pub(super) fn typed_map(reading: &Reading) -> Result<Vec<(String, String)>, CommandError> {
    let map = reading.map.iter().map(|text| {
        let (column, name) = text.split_once('=').ok_or_else(|| {
            CommandError::usage(format!("--map `{text}`: write it as newAccountId=CRM_KEY"))
        })?;
        let column = Column::from_str(column.trim())
            .map_err(|why| CommandError::usage(format!("--map: {why}")))?;
        Ok((column.name().to_owned(), name.trim().to_owned()))
    });
    map.collect()
}

/// What was typed about the file, and what of all that was typed is to be typed again.
pub(super) fn kept(
    reading: &Reading,
    typed_settings: &TypedSettings,
    sandbox: bool,
    values: &Values,
    limits: Guards,
) -> Result<SavedSettings, CommandError> {
    let mut map = typed_map(reading)?;
    for (column, name, _) in values.map() {
        if map.iter().all(|(typed, _)| typed != column) {
            map.push((column.to_owned(), name.to_owned()));
        }
    }
    Ok(SavedSettings {
        values: values.to_keep(),
        map,
        encoding: reading.encoding.clone(),
        delimiter: reading.delimiter.as_deref().map(delimiter).transpose()?,
        skip_invalid: reading.skip_invalid,
        allow_clear: reading.allow_clear,
        verbatim: false,
        limits,
        asks_after_look: false,
        typed: typed(typed_settings, reading, sandbox),
    })
}

fn typed(settings: &TypedSettings, reading: &Reading, sandbox: bool) -> Typed {
    let mut always = Vec::new();
    if let Some(config) = &settings.config {
        always.extend(report::option("--config", &config.display().to_string()));
    }
    if sandbox {
        always.push("--sandbox".to_owned());
    }
    let mut words = Vec::new();
    if let Some(profile) = &settings.profile {
        words.extend(report::option("--profile", profile));
    }
    for (key, value) in &settings.given {
        match *key {
            // Where the runs are kept is told by the run itself.
            "runs_dir" => {}
            "accept_welcome_emails" | "allow_http" => words.push(flag(key)),
            "reseller_id" => words.extend(report::option("--reseller", value)),
            _ => words.extend(report::option(&flag(key), value)),
        }
    }
    // What stands above the header of a file does not stand above that of its reports.
    for (key, value) in &reading.given {
        for value in value.split('\n').filter(|_| *key != "skip_rows") {
            words.extend(report::option(&flag(key), value));
        }
    }
    Typed {
        always,
        target: words,
    }
}

fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

/// If the input is a report of idshift and no mapping is typed, maps its columns as the run of its folder did.
/// By the column names alone, a column that the run did not use could be taken for the one that it used.
pub(super) fn as_its_run_did(
    kept: &mut SavedSettings,
    reading: &Reading,
    (file, content): (&Path, &Path),
    output: Output,
) -> Result<(), CommandError> {
    let Some(dir) = run_of(file) else {
        return Ok(());
    };
    let name = file.display().to_string();
    let settings = input::Settings {
        skip_rows: 0,
        ..kept.reading()?
    };
    if !input::is_report(content, &name, &settings)? {
        return Ok(());
    }
    kept.values.remove("skip_rows");
    if !reading.map.is_empty() {
        return Ok(());
    }
    let how = || {
        format!(
            "how the columns of {name} are to be read cannot be told: give --map COLUMN=NAME for each that counts"
        )
    };
    let ledger =
        Ledger::open_unchecked(&dir).map_err(|why| CommandError::from(why).with_help(how()))?;
    let its = SavedSettings::of(&ledger).map_err(|why| why.with_help(how()))?;
    let map = its.map;
    // What was accepted of the file holds for the lines that are left of it.
    for key in ["accept", "carry"] {
        if let Some(value) = its.values.get(key) {
            kept.values
                .entry(key.to_owned())
                .or_insert_with(|| value.clone());
        }
    }
    if !map.is_empty() && !output.quiet {
        let words = report::columns(&map, false, false);
        ui::note(&format!(
            "{} is read as run {} read its file: {}",
            ui::visible(&name),
            dir.run(),
            ui::visible(&report::shell(words))
        ));
    }
    kept.map = map;
    Ok(())
}

/// The run that has the file in its folder.
pub(super) fn run_of(file: &Path) -> Option<RunDir> {
    let file = file.canonicalize().ok()?;
    let dir = file.parent()?;
    let all = RunDir::list(dir.parent()?).ok()?;
    all.into_iter().find(|one| one.path() == dir)
}

fn delimiter(text: &str) -> Result<u8, CommandError> {
    match text {
        "comma" => Ok(b','),
        "semicolon" => Ok(b';'),
        "tab" | "\\t" => Ok(b'\t'),
        "pipe" => Ok(b'|'),
        other => match other.as_bytes() {
            [byte] if byte.is_ascii() && *byte != b'"' => Ok(*byte),
            _ => Err(CommandError::usage(format!(
                "--delimiter `{text}`: give comma, semicolon, tab, pipe or one character"
            ))),
        },
    }
}

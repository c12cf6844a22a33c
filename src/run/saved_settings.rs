//! The settings that a run was begun with, saved in its ledger for commands that continue the run.

use super::error::CommandError;
use super::input_plan;
use super::kept_run::KeptRun;
use super::plain_file::PlainFile;
use super::request::Output;
use crate::config::{
    Group, Kept, Origin, Resolved, Setting, Shape, TypedSettings, Values, reseller_of, setting,
};
use crate::domain::Reseller;
use crate::input::{self, Accept, Column, Rules, Table};
use crate::ledger::{Header, Ledger};
use crate::report::{self, Typed};
use crate::system::SystemKind;
use crate::ui;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

/// Everything that `resume`, `verify` and `undo` must know of how a run was begun.
///
/// If an older version did not save a field, the other fields are read all the same.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedSettings {
    /// The values by the name of the setting.
    pub(crate) values: BTreeMap<String, String>,
    /// True for an undo: the values in its file came from the system.
    pub(crate) verbatim: bool,
    /// Whether consent to the writes is obtained after everything was looked up.
    pub(crate) asks_after_look: bool,
    /// What a person must type again to continue from the run.
    pub(crate) typed: Typed,
    /// The files in which the run's calls were logged, for `idshift log`. This list does not make a process that continues
    /// the run log to these files.
    pub(crate) logs: Vec<String>,
    /// Time after which no process begins a unit, in milliseconds since 1970. The process that leads the run now, or led it
    /// last, has set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ends_at_ms: Option<i64>,
    /// The key of the run's job, as [`Header::key`] reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The counts of the file, if the run is a reconcile of a plain file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plain: Option<PlainFile>,
    /// Digest of the earlier runs that were compared, if no account ID went from one customer to another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) apart: Option<u64>,
    /// The account IDs of customers that the run leaves alone, each with the reason (`--suppress`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) suppressed: BTreeMap<String, String>,
}

impl SavedSettings {
    /// Reads what the run was begun with, or what was given anew since.
    pub(crate) fn of(ledger: &Ledger) -> Result<Self, CommandError> {
        serde_json::from_str(&ledger.settings()?).map_err(|why| {
            let place = ledger.place();
            CommandError::usage(format!("{place}: its settings cannot be read: {why}"))
        })
    }

    /// Saves the settings for commands that continue the run.
    pub(crate) fn keep(&self, ledger: &Ledger) -> Result<(), CommandError> {
        Ok(ledger.set_settings(&self.text())?)
    }

    /// Returns the settings as the ledger stores them.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns whether both read a file in the same way. Compares all settings: some say how a line is read.
    pub(super) fn reads_as(&self, other: &Self) -> bool {
        self.values == other.values && self.verbatim == other.verbatim
    }

    /// Returns the saved counts of the run's file; `None` also if another version of this program planned it.
    pub(super) fn plain_file(&self, header: &Header) -> Option<PlainFile> {
        self.plain
            .filter(|_| header.tool_version == env!("CARGO_PKG_VERSION"))
    }

    /// Returns these values, except those that never change: a run always reads its own copy of the file in the same way.
    ///
    /// If `--config`, `--profile` or `--ledger` is typed now, the words that every later command needs are taken from the
    /// present command line, because they were enough to find the run on this machine.
    pub(super) fn with(self, values: &Values, typed_now: &TypedSettings, sandbox: bool) -> Self {
        let (mut new, old) = (values.to_keep(), self.values);
        new.retain(|name, _| !is_for_ever(name));
        new.extend(old.into_iter().filter(|(name, _)| is_for_ever(name)));
        let finds = ["config", "profile", "ledger"];
        let is_anew = finds.iter().any(|name| typed_now.get(name).is_some());
        let always = if is_anew {
            typed(typed_now, sandbox, values).always
        } else {
            self.typed.always
        };
        Self {
            values: new,
            typed: Typed {
                always,
                target: self.typed.target,
            },
            ..self
        }
    }

    /// Returns the values that an undo of the run takes over. The undo has another file, and its own guards.
    pub(super) fn inherited_by_undo(&self) -> BTreeMap<String, String> {
        let mut values = self.values.clone();
        values.retain(|name, _| {
            let kept = setting(name).map(|setting| setting.kept);
            kept != Some(Kept::WithFile) && kept != Some(Kept::AsGuard)
        });
        values
    }

    /// Returns the settings that an undo of the run saves. The program writes its file, and reads it as written.
    pub(super) fn of_undo(&self, values: &Values) -> Self {
        let mut values = values.to_keep();
        values.retain(|name, _| !is_about_file(name));
        Self {
            values,
            verbatim: true,
            asks_after_look: false,
            typed: self.typed.clone(),
            logs: Vec::new(),
            ends_at_ms: None,
            key: None,
            plain: None,
            apart: None,
            suppressed: BTreeMap::new(),
        }
    }

    /// Whether invalid lines are left out.
    pub(crate) fn skips_invalid(&self) -> Result<bool, CommandError> {
        Ok(Values::of_run(&self.values).truth("skip_invalid")?)
    }

    /// Returns the setting as it is typed again: an option and its value, for each value that it has.
    pub(crate) fn option(&self, name: &str) -> Vec<String> {
        let value = self.values.get(name);
        let typed = setting(name).zip(value);
        typed.map_or_else(Vec::new, |(setting, value)| words(setting, value))
    }

    /// Opens the run's own copy of its file. Messages have the path of the copy: the run was begun with a good file, so only
    /// the copy can be wrong.
    pub(super) fn table(&self, run: &KeptRun, rules: &Rules) -> Result<Table, CommandError> {
        let input = run.input()?;
        let name = input.display().to_string();
        Ok(Table::open(&input, &name, &self.reading()?, rules)?)
    }

    /// Opens the copy only to show its lines: the reseller of each line was determined when the run began.
    pub(super) fn shown_table(
        &self,
        run: &KeptRun,
        system: SystemKind,
    ) -> Result<Table, CommandError> {
        let rules = Rules {
            per_reseller: false,
            verbatim: self.verbatim,
            ..input_plan::rules(system.capabilities())
        };
        self.table(run, &rules)
    }

    /// Returns how the run's file is read.
    pub(crate) fn reading(&self) -> Result<input::Settings, CommandError> {
        reading(&Values::of_run(&self.values))
    }

    /// Returns the rules for the lines of its file.
    pub(crate) fn rules(&self, resolved: &Resolved) -> Result<Rules, CommandError> {
        self.rules_for(resolved.system, resolved.reseller.as_deref())
    }

    /// Returns the same rules from what the run was begun with, without today's settings.
    pub(super) fn rules_as_begun(&self, system: SystemKind) -> Result<Rules, CommandError> {
        let reseller = self.values.get("reseller_id");
        self.rules_for(system, reseller.map(String::as_str))
    }

    fn rules_for(&self, system: SystemKind, reseller: Option<&str>) -> Result<Rules, CommandError> {
        let capabilities = system.capabilities();
        let mut rules = input_plan::rules(capabilities);
        let values = Values::of_run(&self.values);
        rules.allow_clear = values.truth("allow_clear")?;
        rules.verbatim = self.verbatim;
        rules.accept = accept(&values)?;
        if rules.allow_clear && !capabilities.can_clear {
            let title = capabilities.title;
            return Err(CommandError::usage(format!(
                "--allow-clear: {title} has no way to remove an account ID"
            )));
        }
        rules.reseller =
            reseller.filter(|_| rules.per_reseller).and_then(|text| {
                match reseller_of(system, text) {
                    None => Some(Reseller::Own),
                    Some(id) => id.ok().map(Reseller::Id),
                }
            });
        Ok(rules)
    }
}

fn is_for_ever(name: &str) -> bool {
    let kept = setting(name).map(|setting| setting.kept);
    matches!(kept, Some(Kept::WithFile | Kept::AsBegun))
}

fn is_about_file(name: &str) -> bool {
    setting(name).is_some_and(|setting| setting.kept == Kept::WithFile)
}

fn accept(values: &Values) -> Result<Accept, CommandError> {
    Ok(values.parsed("accept", Accept::parse)?.unwrap_or_default())
}

/// Returns how the file is read.
fn reading(values: &Values) -> Result<input::Settings, CommandError> {
    let map = |text: &str| text.lines().map(column).collect::<Result<Vec<_>, String>>();
    Ok(input::Settings {
        encoding: values.get("encoding").map(str::to_owned),
        map: values.parsed("map", map)?.unwrap_or_default(),
        delimiter: values.parsed("delimiter", delimiter)?,
        carry: values.each("carry").map(str::to_owned).collect(),
        skip_rows: values.number("skip_rows")?.unwrap_or_default(),
    })
}

/// Parses `COLUMN=NAME`: a column of idshift, and its name in the file.
pub(super) fn column(text: &str) -> Result<(Column, String), String> {
    let (column, name) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}`: write it as newAccountId=CRM_KEY"))?;
    let column = Column::from_str(column.trim())?;
    Ok((column, name.trim().to_owned()))
}

/// Returns what a new run saves: all values that were given, checked, and the options that must be typed again.
pub(super) fn kept(
    typed_settings: &TypedSettings,
    sandbox: bool,
    values: &Values,
) -> Result<SavedSettings, CommandError> {
    reading(values)?;
    accept(values)?;
    values.truth("allow_clear")?;
    values.truth("skip_invalid")?;
    Ok(SavedSettings {
        values: values.to_keep(),
        verbatim: false,
        asks_after_look: false,
        typed: typed(typed_settings, sandbox, values),
        logs: Vec::new(),
        ends_at_ms: None,
        key: None,
        plain: None,
        apart: None,
        suppressed: BTreeMap::new(),
    })
}

fn typed(settings: &TypedSettings, sandbox: bool, values: &Values) -> Typed {
    let (mut always, mut target) = (Vec::new(), Vec::new());
    // Without the ledger, the run would be searched for in a folder. The profile that names the ledger also has what else
    // is needed, such as the file with its password. If another target was typed, the profile cannot be named again.
    let ledger = values.origin("ledger");
    let is_of_profile = settings.get("base_url").is_none() && settings.get("tenant").is_none();
    let profile = match &ledger {
        Origin::Profile(name) => Some(name.as_str()),
        Origin::CommandLine => settings.get("profile"),
        _ => None,
    };
    let profile = profile.filter(|_| is_of_profile);
    for (setting, value) in settings.iter() {
        match (setting.name, setting.group) {
            // The run itself says where runs are kept.
            ("runs_dir" | "ledger", _) => {}
            ("profile", _) if profile.is_some() => {}
            ("config", _) => always.extend(words(setting, value)),
            // These two concern the file, and apply to its reports as well.
            (_, Group::System) | ("accept" | "carry", _) => target.extend(words(setting, value)),
            (_, Group::Input | Group::Guards | Group::Output) => {}
        }
    }
    if let Some(profile) = profile {
        always.extend(report::option("--profile", profile));
    }
    let is_named = match &ledger {
        Origin::CommandLine => true,
        Origin::Profile(_) => profile.is_none(),
        _ => false,
    };
    if let Some(ledger) = values.get("ledger").filter(|_| is_named) {
        always.extend(report::option("--ledger", ledger));
    }
    always.extend(sandbox.then(|| report::SANDBOX.to_owned()));
    Typed { always, target }
}

/// Returns the typed options that the next command on the same file needs as well: how the file is read, which system,
/// where the runs are. `but`: settings that are left out.
pub(crate) fn retyped(typed: &TypedSettings, but: &[&str]) -> Vec<String> {
    let needed = typed.iter().filter(|(setting, _)| {
        matches!(setting.group, Group::Input | Group::System) && !but.contains(&setting.name)
    });
    needed
        .flat_map(|(setting, value)| words(setting, value))
        .collect()
}

/// Returns a setting as it is typed.
fn words(setting: &Setting, value: &str) -> Vec<String> {
    let option = format!("--{}", setting.long());
    match setting.shape {
        Shape::Truth => (value == "true").then_some(option).into_iter().collect(),
        Shape::List | Shape::Columns => {
            let each = value.lines().map(|value| report::option(&option, value));
            each.flatten().collect()
        }
        Shape::Text | Shape::Number(_) | Shape::Count | Shape::Choice(_) | Shape::Words => {
            report::option(&option, value)
        }
    }
}

/// A report of idshift is read as idshift writes it, whatever the environment or a profile says about other files. If no
/// mapping is typed, its columns are mapped as by the run of its folder: with the names alone, a column that the run did not
/// use could be mistaken for the one that it used. `of_run`: the run with the report in its folder.
pub(super) fn as_its_run_did(
    kept: &mut SavedSettings,
    typed: &TypedSettings,
    (file, content): (&Path, &Path),
    of_run: Option<&KeptRun>,
    output: Output,
) -> Result<(), CommandError> {
    let name = file.display().to_string();
    let mut own = kept.clone();
    own.values.remove("skip_rows");
    for form in ["encoding", "delimiter"] {
        if typed.get(form).is_none() {
            own.values.remove(form);
        }
    }
    // If the file cannot be read, the code that reads all of it reports the error.
    if !input::is_report(content, &name, &own.reading()?).unwrap_or(false) {
        return Ok(());
    }
    *kept = own;
    let Some(run) = of_run.filter(|_| typed.get("map").is_none()) else {
        return Ok(());
    };
    let how = || {
        format!(
            "the column mapping of {name} is not known: give --map COLUMN=NAME for each known column"
        )
    };
    let ledger = run
        .ledger()
        .map_err(|why| CommandError::from(why).with_help(how()))?;
    let its = SavedSettings::of(&ledger).map_err(|why| why.with_help(how()))?;
    // What was accepted for the file also applies to the lines that are left of it.
    for key in ["accept", "carry"] {
        if let Some(value) = its.values.get(key) {
            kept.values
                .entry(key.to_owned())
                .or_insert_with(|| value.clone());
        }
    }
    kept.values.remove("map");
    let Some(map) = its.values.get("map") else {
        return Ok(());
    };
    kept.values.insert("map".to_owned(), map.clone());
    if !output.quiet {
        ui::note(&format!(
            "{} is read with the input settings of run {}: {}",
            ui::visible(&name),
            run.run(),
            ui::visible(&report::shell(its.option("map")))
        ));
    }
    Ok(())
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "comma" => Ok(b','),
        "semicolon" => Ok(b';'),
        "tab" | "\\t" => Ok(b'\t'),
        "pipe" => Ok(b'|'),
        other => match other.as_bytes() {
            [byte] if byte.is_ascii() && *byte != b'"' => Ok(*byte),
            _ => Err(format!(
                "`{text}`: give comma, semicolon, tab, pipe or one character"
            )),
        },
    }
}

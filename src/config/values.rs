//! The value of each setting, and where it was set.

use super::ConfigError;
use super::file::{File, Profile};
use super::setting::{Default as BuiltIn, Kept, Setting, Shape, variable};
use super::settings_table::{SETTINGS, setting};
use super::trust::Trust;
use super::typed::TypedSettings;
use crate::domain::nearest;
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    CommandLine,
    /// In this environment variable.
    Environment(String),
    /// By the run that is resumed, verified or undone.
    Run,
    /// In this profile of the file.
    Profile(String),
    /// At the top of the file.
    File,
    /// Nowhere: it is built in.
    BuiltIn,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(name) => write!(f, "{name}"),
            Self::Run => f.write_str("from the run"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::File => f.write_str("file"),
            Self::BuiltIn => f.write_str("built in"),
        }
    }
}

/// The values that were set, by key.
#[derive(Debug, Clone, Default)]
pub struct Values {
    said: BTreeMap<&'static str, (String, Origin)>,
    /// What columns are called in files, as `COLUMN=NAME`, and where that was set.
    columns: Vec<(String, Origin)>,
    /// The profile that was chosen.
    pub profile_name: Option<String>,
    /// The content of the profile. Its credentials are never kept by a run.
    pub(super) profile: Profile,
    /// The file they come from.
    pub(super) file: File,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

impl Values {
    /// Gathers the values from the command line, the environment, the run that is resumed, verified or undone, and the
    /// file. Refuses a profile that does not exist.
    pub fn gather(
        typed: &TypedSettings,
        run: &BTreeMap<String, String>,
        file: File,
    ) -> Result<Self, ConfigError> {
        let chosen = typed.profile().or_else(|| run.get("profile").cloned());
        if let Some(name) = chosen
            .as_ref()
            .filter(|name| !file.profiles.contains_key(*name))
        {
            return Err(ConfigError::NoProfile {
                profile: name.clone(),
                suggestion: nearest(name, file.profiles.keys().map(String::as_str))
                    .map(str::to_owned),
                known: file.profiles.keys().cloned().collect(),
                file: file.path.clone(),
            });
        }
        let mut values = Self::merge(typed, run, file, chosen);
        values.unknown_variables();
        if values.file.trust == Trust::Foreign {
            values.warnings.push(
                "idshift.toml in this folder belongs to another user; name the file with --config FILE"
                    .to_owned(),
            );
        }
        Ok(values)
    }

    /// Returns only the values that a run has kept.
    pub fn of_run(run: &BTreeMap<String, String>) -> Self {
        let of_run = |setting: &'static Setting| {
            let value = run.get(setting.name)?.clone();
            Some((setting.name, (value, Origin::Run)))
        };
        Self {
            said: SETTINGS.iter().filter_map(of_run).collect(),
            ..Self::default()
        }
    }

    /// Returns in words which configuration file was read and its profiles, or where none was found.
    pub fn file_words(&self) -> String {
        let names: Vec<String> = self.file.profiles.keys().cloned().collect();
        super::profiles(&names, self.file.path.as_deref())
    }

    /// Returns the configuration file that was read; `None`: there is none.
    pub fn file_path(&self) -> Option<&Path> {
        self.file.path.as_deref()
    }

    /// Returns the value in the chosen profile, even if another place overrides it.
    pub fn of_profile(&self, name: &str) -> Option<&str> {
        self.profile.values.get(name).map(String::as_str)
    }

    /// Returns the values that say how to print. This never fails: the command itself reports an error in the file, in
    /// the format that the environment asks for.
    pub fn of_output(typed: &TypedSettings) -> Self {
        let file = File::find(typed.config()).unwrap_or_default();
        let chosen = typed.profile();
        let chosen = chosen.filter(|name| file.profiles.contains_key(name));
        Self::merge(typed, &BTreeMap::new(), file, chosen)
    }

    fn merge(
        typed: &TypedSettings,
        run: &BTreeMap<String, String>,
        file: File,
        chosen: Option<String>,
    ) -> Self {
        let profile = chosen
            .as_ref()
            .and_then(|name| file.profiles.get(name).cloned())
            .unwrap_or_default();
        let (mut said, mut ranks, mut columns) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for setting in SETTINGS {
            let name = setting.name;
            let from = |values: &BTreeMap<String, String>, origin: Origin| {
                values.get(name).map(|value| (value.clone(), origin))
            };
            let variable = setting.variable().and_then(|name| {
                let value = variable(&name)?;
                Some((setting.of_variable(value), Origin::Environment(name)))
            });
            // A value that the run has kept usually overrides a variable. A variable that names another target
            // overrides the run, so that the command is refused and does not silently ignore the variable.
            let names_the_target = matches!(name, "system" | "base_url" | "tenant");
            let of_run = from(run, Origin::Run);
            let [second, third] = if names_the_target {
                [variable, of_run]
            } else {
                [of_run, variable]
            };
            let typed = typed.get(name).map(str::to_owned);
            let of_profile = Origin::Profile(chosen.clone().unwrap_or_default());
            let nearest_first = [
                typed.map(|value| (value, Origin::CommandLine)),
                second,
                third,
                from(&profile.values, of_profile),
                from(&file.top, Origin::File),
            ];
            if let Some(rank) = nearest_first.iter().position(Option::is_some) {
                ranks.insert(name, rank);
            }
            let mut found: Vec<_> = nearest_first.into_iter().flatten().collect();
            if setting.shape == Shape::Columns {
                columns = by_column(&found);
                let lines: Vec<&str> = columns.iter().map(|(line, _)| line.as_str()).collect();
                if let Some((value, _)) = found.first_mut() {
                    *value = lines.join("\n");
                }
            }
            said.extend(found.into_iter().next().map(|found| (name, found)));
        }
        for setting in SETTINGS {
            let ranks = setting
                .excludes
                .and_then(|other| Some((ranks.get(setting.name)?, ranks.get(other)?, other)));
            match ranks {
                Some((this, that, other)) if this < that => said.remove(other),
                Some((this, that, _)) if this > that => said.remove(setting.name),
                _ => None,
            };
        }
        Self {
            said,
            columns,
            profile_name: chosen,
            profile,
            file,
            warnings: Vec::new(),
        }
    }

    /// Warns about each unknown variable that begins with `IDSHIFT_`: it is probably mistyped.
    fn unknown_variables(&mut self) {
        let others = [
            "IDSHIFT_TOKEN",
            "IDSHIFT_LEDGER_PASSWORD",
            "IDSHIFT_CRASH_AT",
        ]
        .map(str::to_owned);
        let variables = SETTINGS.iter().filter_map(Setting::variable);
        let known: Vec<String> = variables.chain(others).collect();
        for (name, _) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with("IDSHIFT_")) else {
                continue;
            };
            if known.iter().all(|known| known != name) {
                let meant = nearest(name, known.iter().map(String::as_str));
                let meant = meant.map_or_else(String::new, |meant| format!(" (is {meant} meant?)"));
                self.warnings.push(format!(
                    "the environment variable {name} is not known{meant}"
                ));
            }
        }
    }

    /// Returns the value of a setting; `None`: it was not set.
    pub fn get(&self, name: &'static str) -> Option<&str> {
        debug_assert!(setting(name).is_some(), "{name} is in the table");
        self.said.get(name).map(|(value, _)| value.as_str())
    }

    /// Returns the value of a setting, or its default.
    pub fn effective(&self, name: &'static str) -> Option<&str> {
        self.get(name).or(match setting(name)?.default {
            BuiltIn::Value(value) => Some(value),
            BuiltIn::None | BuiltIn::Described(_) => None,
        })
    }

    /// Returns where the value was set.
    pub fn origin(&self, name: &'static str) -> Origin {
        self.said
            .get(name)
            .map_or(Origin::BuiltIn, |(_, origin)| origin.clone())
    }

    /// Parses the value of a setting, or its default.
    pub fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        let value = self.effective(name).map(parse).transpose();
        value.map_err(|why| ConfigError::Value {
            key: name,
            origin: self.origin(name),
            why: why.to_string(),
        })
    }

    /// Returns a setting that has a fixed list of values; refuses any other value.
    pub fn choice(&self, name: &'static str) -> Result<Option<&str>, ConfigError> {
        self.parsed(name, |text| match setting(name).map(|one| one.shape) {
            Some(Shape::Choice(choices)) if !choices.contains(&text) => {
                let near = nearest(text, choices.iter().copied());
                let meant = near.filter(|_| text.len() > 2);
                let meant =
                    meant.map_or_else(String::new, |meant| format!(" (is `{meant}` meant?)"));
                Err(format!(
                    "`{text}` is not one of {}{meant}",
                    choices.join(", ")
                ))
            }
            _ => Ok(()),
        })?;
        Ok(self.effective(name))
    }

    /// A setting that is true or false.
    pub fn truth(&self, name: &'static str) -> Result<bool, ConfigError> {
        let parse = |text: &str| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("`{text}` is neither true nor false")),
        };
        Ok(self.parsed(name, parse)?.unwrap_or(false))
    }

    /// A setting that is a whole number.
    pub fn number<T: FromStr + Into<u64> + Copy>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        let least = match setting(name).map(|one| one.shape) {
            Some(Shape::Number(least)) => least,
            _ => 0,
        };
        self.parsed(name, |text| match text.trim().parse::<T>() {
            Ok(number) if number.into() >= least => Ok(number),
            Ok(_) => Err(format!("`{text}` is too small; the minimum is {least}")),
            Err(_) => Err(format!("`{text}` is not a whole number such as 5")),
        })
    }

    /// Returns what columns are called in files, as `COLUMN=NAME`, and where that was set.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Origin)> {
        let columns = self.columns.iter();
        columns.map(|(line, origin)| (line.as_str(), origin))
    }

    /// Returns each value of a setting that can have several.
    pub fn each(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.get(name).unwrap_or_default().lines()
    }

    /// Returns the values that the run keeps.
    pub fn to_keep(&self) -> BTreeMap<String, String> {
        let kept = SETTINGS.iter().filter(|setting| setting.kept != Kept::No);
        let mut kept: BTreeMap<String, String> = kept
            .filter_map(|one| Some((one.name.to_owned(), self.get(one.name)?.to_owned())))
            .collect();
        if let Some(profile) = &self.profile_name {
            kept.insert("profile".to_owned(), profile.clone());
        }
        kept
    }
}

/// Merges `COLUMN=NAME` from several places, the highest precedence first: each column is taken from the first place
/// that names it.
fn by_column(nearest_first: &[(String, Origin)]) -> Vec<(String, Origin)> {
    // Column names are compared without regard to case, `_`, `-` and spaces.
    let column = |line: &str| {
        let name = line.split_once('=').map_or(line, |(column, _)| column);
        let letters = name.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect::<String>()
    };
    let mut found: Vec<(String, Origin)> = Vec::new();
    for (lines, origin) in nearest_first {
        let nearer: Vec<String> = found.iter().map(|(line, _)| column(line)).collect();
        let lines = lines.lines().filter(|line| !nearer.contains(&column(line)));
        found.extend(lines.map(|line| (line.to_owned(), origin.clone())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(top: &[(&str, &str)], profile: &[(&str, &str)]) -> File {
        let map = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let night = Profile {
            values: map(profile),
            ..Profile::default()
        };
        File {
            top: map(top),
            profiles: BTreeMap::from([("night".to_owned(), night)]),
            ..File::default()
        }
    }

    #[test]
    fn command_line_overrides_profile_and_profile_overrides_file() {
        let file = file(
            &[("rate", "1/s"), ("timeout", "1s"), ("retries", "1")],
            &[("rate", "2/s"), ("timeout", "2s")],
        );
        let typed = [("rate", "3/s"), ("profile", "night")];
        let typed = typed.map(|(name, value)| (name, value.to_owned()));
        let typed = TypedSettings::from_iter(typed);
        let run = BTreeMap::from([("lookup".to_owned(), "each".to_owned())]);
        let values = Values::gather(&typed, &run, file).unwrap();
        let said = |name| {
            (
                values.get(name).unwrap_or(""),
                values.origin(name).to_string(),
            )
        };
        assert_eq!(said("rate"), ("3/s", "command line".to_owned()));
        assert_eq!(said("timeout"), ("2s", "profile night".to_owned()));
        assert_eq!(said("retries"), ("1", "file".to_owned()));
        assert_eq!(said("lookup"), ("each", "from the run".to_owned()));
        assert_eq!(said("max_age"), ("", "built in".to_owned()));
    }

    #[test]
    fn unknown_profile_is_reported_with_the_most_similar_name() {
        let mut file = file(&[], &[]);
        file.path = Some("idshift.toml".into());
        let typed = TypedSettings::from_iter([("profile", "nigth".to_owned())]);
        let error = Values::gather(&typed, &BTreeMap::new(), file);
        let words = error.expect_err("there is no such profile").to_string();
        assert_eq!(
            words,
            "there is no profile `nigth` (is `night` meant?); idshift.toml has the profile night"
        );
    }

    #[test]
    fn secrets_and_output_settings_are_not_saved_with_the_run() {
        let file = file(
            &[
                ("yes", "true"),
                ("log", "calls.log"),
                ("api_key", "k"),
                ("token_file", "t"),
                ("rate", "1/s"),
            ],
            &[],
        );
        let values = Values::gather(&TypedSettings::default(), &BTreeMap::new(), file).unwrap();
        let kept = values.to_keep();
        assert_eq!(
            kept.into_iter().collect::<Vec<_>>(),
            [("rate".to_owned(), "1/s".to_owned())]
        );
    }
}

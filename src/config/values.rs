//! The value of each setting, and where it was said.

use super::ConfigError;
use super::file::{File, Profile};
use super::keys::{KEYS, Key, Shape, key, settings};
use super::trust::Trust;
use crate::domain::nearest;
use std::collections::BTreeMap;
use std::path::Path;

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    CommandLine,
    /// In this environment variable.
    Environment(String),
    /// By the run that is gone on with.
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

/// What was said, by key.
#[derive(Debug, Clone, Default)]
pub struct Values {
    said: BTreeMap<&'static str, (String, Origin)>,
    /// What columns are called in files, and where that was said.
    map: BTreeMap<&'static str, (String, Origin)>,
    /// The profile that was chosen.
    pub profile_name: Option<String>,
    /// Its credentials, which are never copied anywhere.
    pub(super) profile: Profile,
    /// The file they come from.
    pub(super) file: File,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl Values {
    /// Gathers what was said: `given` on the command line, `run` by the run that is gone on with.
    pub fn gather(
        given: &[(&'static str, String)],
        run: &BTreeMap<String, String>,
        file: File,
        profile: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let chosen = chosen(profile).or_else(|| run.get("profile").cloned());
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
        let mut values = Self::merge(given, run, file, chosen);
        values.unknown_variables();
        if values.file.trust == Trust::Foreign {
            values.warnings.push(
                "idshift.toml in this folder belongs to another user; --config FILE says which file is meant"
                    .to_owned(),
            );
        }
        Ok(values)
    }

    /// What the chosen profile says, whether or not it counts.
    pub fn of_profile(&self, name: &str) -> Option<&str> {
        self.profile.values.get(name).map(String::as_str)
    }

    /// How to speak. This never fails: where the file is wrong, the command itself will say so, and should say it
    /// as the environment asks for.
    pub fn of_speech(config: Option<&Path>, profile: Option<&str>) -> Self {
        let file = File::find(config).unwrap_or_default();
        let chosen = chosen(profile).filter(|name| file.profiles.contains_key(name));
        Self::merge(&[], &BTreeMap::new(), file, chosen)
    }

    fn merge(
        given: &[(&'static str, String)],
        run: &BTreeMap<String, String>,
        file: File,
        chosen: Option<String>,
    ) -> Self {
        let profile = chosen
            .as_ref()
            .and_then(|name| file.profiles.get(name).cloned())
            .unwrap_or_default();
        let mut said = BTreeMap::new();
        for key in settings() {
            let name = key.name;
            let flag = given
                .iter()
                .find(|(given, _)| *given == name)
                .map(|(_, value)| (value.clone(), Origin::CommandLine));
            let variable = || {
                let value = variable(&key.variable())?;
                Some((value, Origin::Environment(key.variable())))
            };
            let from = |values: &BTreeMap<String, String>, origin: Origin| {
                values.get(name).map(|value| (value.clone(), origin))
            };
            // A variable was there when the run was begun, too. Where it would lead the run elsewhere, that is refused.
            let names_the_target = matches!(name, "system" | "base_url" | "tenant");
            let of_run = || from(run, Origin::Run).filter(|_| !names_the_target);
            let found = flag
                .or_else(of_run)
                .or_else(variable)
                .or_else(|| from(run, Origin::Run))
                .or_else(|| {
                    let origin = Origin::Profile(chosen.clone().unwrap_or_default());
                    from(&profile.values, origin)
                })
                .or_else(|| from(&file.top, Origin::File));
            said.extend(found.map(|found| (name, found)));
        }
        let mut map = BTreeMap::new();
        let origin = Origin::Profile(chosen.clone().unwrap_or_default());
        for (names, origin) in [(&file.map, Origin::File), (&profile.map, origin)] {
            let said = |(column, name): (&&'static str, &String)| {
                (*column, (name.clone(), origin.clone()))
            };
            map.extend(names.iter().map(said));
        }
        Self {
            said,
            map,
            profile_name: chosen,
            profile,
            file,
            warnings: Vec::new(),
        }
    }

    /// A variable that looks like ours and means nothing is probably mistyped.
    fn unknown_variables(&mut self) {
        let others = [
            "IDSHIFT_TOKEN",
            "IDSHIFT_CONFIG",
            "IDSHIFT_PROFILE",
            "IDSHIFT_CRASH_AT",
        ]
        .map(str::to_owned);
        let known: Vec<String> = settings().map(Key::variable).chain(others).collect();
        for (name, _) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with("IDSHIFT_")) else {
                continue;
            };
            if known.iter().all(|known| known != name) {
                let meant = nearest(name, known.iter().map(String::as_str));
                let meant = meant.map_or_else(String::new, |meant| format!(" (is {meant} meant?)"));
                self.warnings.push(format!(
                    "the environment variable {name} means nothing{meant}"
                ));
            }
        }
    }

    /// The value of a setting.
    pub fn get(&self, name: &'static str) -> Option<&str> {
        debug_assert!(key(name).is_some(), "{name} is in the table of keys");
        self.said.get(name).map(|(value, _)| value.as_str())
    }

    /// What columns are called in files, by the file of settings: the column that counts, its name, and where that was said.
    pub fn map(&self) -> impl Iterator<Item = (&'static str, &str, &Origin)> {
        let map = self.map.iter();
        map.map(|(column, (name, origin))| (*column, name.as_str(), origin))
    }

    /// Where the value was said.
    pub fn origin(&self, name: &'static str) -> Origin {
        self.said
            .get(name)
            .map_or(Origin::BuiltIn, |(_, origin)| origin.clone())
    }

    /// The setting as something else than text.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((value, origin)) = self.said.get(name) else {
            return Ok(None);
        };
        parse(value).map(Some).map_err(|why| ConfigError::Value {
            key: name,
            origin: origin.to_string(),
            why: why.to_string(),
        })
    }

    /// A setting that is one of a few texts.
    pub fn choice(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        self.parsed(name, |text| match key(name).map(|key| key.shape) {
            Some(Shape::Choice(choices)) if !choices.contains(&text) => {
                Err(format!("`{text}` is not one of {}", choices.join(", ")))
            }
            _ => Ok(text.to_owned()),
        })
    }

    /// A setting that is true or false.
    pub fn truth(&self, name: &'static str) -> Result<bool, ConfigError> {
        let parse = |text: &str| match text {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            _ => Err(format!("`{text}` is neither true nor false")),
        };
        Ok(self.parsed(name, parse)?.unwrap_or(false))
    }

    /// A setting that is a whole number.
    pub fn number(&self, name: &'static str) -> Result<Option<u32>, ConfigError> {
        self.parsed(name, |text| {
            text.parse()
                .map_err(|_| format!("`{text}` is no whole number such as 5"))
        })
    }

    /// Everything that was said and is no secret, for the run's ledger.
    pub fn to_keep(&self) -> BTreeMap<String, String> {
        let secret = |name: &str| matches!(name, "api_key" | "token_command" | "token_file");
        let mut kept: BTreeMap<String, String> = KEYS
            .iter()
            .filter(|key| !secret(key.name))
            .filter_map(|key| Some((key.name.to_owned(), self.get(key.name)?.to_owned())))
            .collect();
        if let Some(profile) = &self.profile_name {
            kept.insert("profile".to_owned(), profile.clone());
        }
        kept
    }
}

/// The profile that the command line or the environment names.
fn chosen(profile: Option<&str>) -> Option<String> {
    profile
        .map(str::to_owned)
        .or_else(|| variable("IDSHIFT_PROFILE"))
}

pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
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
    fn the_nearer_a_value_was_said_the_more_it_counts() {
        let file = file(
            &[("rate", "1/s"), ("timeout", "1s"), ("retries", "1")],
            &[("rate", "2/s"), ("timeout", "2s")],
        );
        let given = [("rate", "3/s".to_owned())];
        let run = BTreeMap::from([("lookup".to_owned(), "each".to_owned())]);
        let values = Values::gather(&given, &run, file, Some("night")).unwrap();
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
    fn a_profile_that_is_not_there_is_named_with_its_neighbour() {
        let mut file = file(&[], &[]);
        file.path = Some("idshift.toml".into());
        let error = Values::gather(&[], &BTreeMap::new(), file, Some("nigth"));
        let words = error.expect_err("there is no such profile").to_string();
        assert_eq!(
            words,
            "there is no profile `nigth` (is `night` meant?); idshift.toml has night"
        );
    }

    #[test]
    fn a_run_keeps_neither_secrets_nor_how_it_spoke() {
        let file = file(
            &[
                ("yes", "true"),
                ("api_key", "k"),
                ("token_file", "t"),
                ("rate", "1/s"),
            ],
            &[],
        );
        let values = Values::gather(&[], &BTreeMap::new(), file, None).unwrap();
        let kept = values.to_keep();
        assert_eq!(
            kept.into_iter().collect::<Vec<_>>(),
            [("rate".to_owned(), "1/s".to_owned())]
        );
    }
}

//! The value of each setting, and where it was said.

use super::file::{File, Profile};
use super::keys::{KEYS, Key, key};
use super::{ConfigError, nearest};
use std::collections::BTreeMap;

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
        let mut values = Self::default();
        let chosen = profile
            .map(str::to_owned)
            .or_else(|| variable("IDSHIFT_PROFILE"));
        let chosen = chosen.or_else(|| run.get("profile").cloned());
        if let Some(name) = &chosen {
            values.profile =
                file.profiles
                    .get(name)
                    .cloned()
                    .ok_or_else(|| ConfigError::NoProfile {
                        profile: name.clone(),
                        suggestion: nearest(name, file.profiles.keys().map(String::as_str)),
                        known: file.profiles.keys().cloned().collect(),
                    })?;
        }
        for key in KEYS {
            let name = key.name;
            let flag = given
                .iter()
                .find(|(given, _)| *given == name)
                .map(|(_, value)| value.clone());
            let said = flag
                .map(|value| (value, Origin::CommandLine))
                .or_else(|| {
                    variable(&key.variable()).map(|v| (v, Origin::Environment(key.variable())))
                })
                .or_else(|| run.get(name).map(|value| (value.clone(), Origin::Run)))
                .or_else(|| {
                    let value = values.profile.values.get(name)?.clone();
                    Some((value, Origin::Profile(chosen.clone().unwrap_or_default())))
                })
                .or_else(|| {
                    file.top
                        .get(name)
                        .map(|value| (value.clone(), Origin::File))
                });
            if let Some(said) = said {
                values.said.insert(name, said);
            }
        }
        values.unknown_variables();
        values.profile_name = chosen;
        values.file = file;
        Ok(values)
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
        let known: Vec<String> = KEYS.iter().map(Key::variable).chain(others).collect();
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

    /// Where the value was said.
    pub fn origin(&self, name: &'static str) -> Origin {
        self.said
            .get(name)
            .map_or(Origin::BuiltIn, |(_, origin)| origin.clone())
    }

    /// Says a value that was found out.
    pub fn set(&mut self, name: &'static str, value: String, origin: Origin) {
        self.said.insert(name, (value, origin));
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

    /// Everything that was said and is no secret, for the run's ledger.
    pub fn to_keep(&self) -> BTreeMap<String, String> {
        let secret = |name: &str| matches!(name, "api_key" | "token_command" | "token_file");
        let mut kept: BTreeMap<String, String> = self
            .said
            .iter()
            .filter(|(name, _)| !secret(name))
            .map(|(name, (value, _))| ((*name).to_owned(), value.clone()))
            .collect();
        if let Some(profile) = &self.profile_name {
            kept.insert("profile".to_owned(), profile.clone());
        }
        kept
    }
}

pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

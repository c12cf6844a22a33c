//! `idshift.toml`: found, read, and every key in it known.

use super::keys::{KEYS, Key, OAUTH2, Shape};
use super::{ConfigError, nearest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// A commented file to begin with.
pub const SAMPLE: &str = include_str!("sample.toml");

/// A file that was read.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Where it is; `None`: there is none.
    pub path: Option<PathBuf>,
    /// What holds for all profiles.
    pub top: BTreeMap<String, String>,
    /// The profiles.
    pub profiles: BTreeMap<String, Profile>,
}

/// One profile.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Its settings; a list of words has one word a line.
    pub values: BTreeMap<String, String>,
    /// How tokens are fetched.
    pub oauth2: Option<BTreeMap<String, String>>,
    /// Further form fields of the token's request.
    pub oauth2_extra: BTreeMap<String, String>,
}

impl File {
    /// Finds and reads the file: the one that is named, else the first that exists.
    pub fn find(named: Option<&Path>) -> Result<Self, ConfigError> {
        let from_environment = std::env::var_os("IDSHIFT_CONFIG").map(PathBuf::from);
        if let Some(path) = named.map(Path::to_path_buf).or(from_environment) {
            return Self::read(path);
        }
        let mut places = vec![PathBuf::from("idshift.toml")];
        if let Ok(strategy) = etcetera::choose_base_strategy() {
            let folder = etcetera::BaseStrategy::config_dir(&strategy);
            places.push(folder.join("idshift").join("idshift.toml"));
        }
        places.push(PathBuf::from("/etc/idshift/idshift.toml"));
        match places.into_iter().find(|path| path.exists()) {
            Some(path) => Self::read(path),
            None => Ok(Self::default()),
        }
    }

    fn read(path: PathBuf) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| ConfigError::Syntax {
                path: path.clone(),
                what: error.to_string(),
            })?;
        Self::understand(path, table)
    }

    fn understand(path: PathBuf, mut table: Table) -> Result<Self, ConfigError> {
        let reader = Reader { path: &path };
        let profiles = match table.remove("profiles") {
            None => Table::new(),
            Some(Value::Table(profiles)) => profiles,
            Some(_) => {
                return Err(reader.wrong("profiles", "must be tables such as [profiles.night]"));
            }
        };
        let top = reader.values(table, KEYS, "")?;
        let mut known = BTreeMap::new();
        for (name, profile) in profiles {
            let Value::Table(mut profile) = profile else {
                return Err(reader.wrong(&name, "must be a table"));
            };
            let place = format!("profiles.{name}.");
            let mut oauth2_extra = BTreeMap::new();
            let oauth2 = match profile.remove("oauth2") {
                None => None,
                Some(Value::Table(mut oauth2)) => {
                    if let Some(extra) = oauth2.remove("extra") {
                        oauth2_extra = reader.extra(extra, &place)?;
                    }
                    Some(reader.values(oauth2, OAUTH2, &format!("{place}oauth2."))?)
                }
                Some(_) => return Err(reader.wrong(&format!("{place}oauth2"), "must be a table")),
            };
            let values = reader.values(profile, KEYS, &place)?;
            let profile = Profile {
                values,
                oauth2,
                oauth2_extra,
            };
            known.insert(name, profile);
        }
        Ok(Self {
            top,
            profiles: known,
            path: Some(path),
        })
    }
}

struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn wrong(&self, key: &str, what: &str) -> ConfigError {
        ConfigError::Syntax {
            path: self.path.to_owned(),
            what: format!("`{key}` {what}"),
        }
    }

    fn values(
        &self,
        table: Table,
        known: &[Key],
        place: &str,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut values = BTreeMap::new();
        for (name, value) in table {
            let Some(key) = known.iter().find(|key| key.name == name) else {
                return Err(ConfigError::UnknownKey {
                    path: self.path.to_owned(),
                    suggestion: nearest(&name, known.iter().map(|key| key.name)),
                    key: format!("{place}{name}"),
                });
            };
            let text = match (key.shape, value) {
                (Shape::Text, Value::String(text)) => text,
                (Shape::Text, Value::Integer(number)) => number.to_string(),
                (Shape::Text, Value::Float(number)) => number.to_string(),
                (Shape::Truth, Value::Boolean(truth)) => truth.to_string(),
                (Shape::Words, Value::Array(words)) => self.words(&words, &name)?,
                (Shape::Text, _) => {
                    return Err(self.wrong(&format!("{place}{name}"), "must be a text"));
                }
                (Shape::Truth, _) => {
                    return Err(self.wrong(&format!("{place}{name}"), "must be true or false"));
                }
                (Shape::Words, _) => {
                    let help = "must be a list: the program, then its arguments, each a text";
                    return Err(self.wrong(&format!("{place}{name}"), help));
                }
            };
            values.insert(name, text);
        }
        Ok(values)
    }

    fn words(&self, words: &[Value], name: &str) -> Result<String, ConfigError> {
        let words: Option<Vec<&str>> = words.iter().map(Value::as_str).collect();
        words
            .map(|words| words.join("\n"))
            .ok_or_else(|| self.wrong(name, "must be a list of texts"))
    }

    fn extra(&self, extra: Value, place: &str) -> Result<BTreeMap<String, String>, ConfigError> {
        let name = format!("{place}oauth2.extra");
        let Value::Table(table) = extra else {
            return Err(self.wrong(&name, "must be a table"));
        };
        table
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(text) => Ok((key, text)),
                _ => Err(self.wrong(&name, "must hold texts")),
            })
            .collect()
    }
}

//! Finds and reads `idshift.toml`; refuses unknown keys.
//!
//! An error shows line, column and a caret under the key. It does not show the value: the value of a mistyped key may
//! be a secret.

use super::setting::{Setting, Shape};
use super::settings_table::{COLUMNS, OAUTH2, SETTINGS};
use super::trust::Trust;
use super::{ConfigError, HOW_TO_GIVE_A_TOKEN};
use crate::regular_file;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The commented file that `idshift init` writes.
pub const SAMPLE: &str = include_str!("sample.toml");

/// A file that was read.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Where it is; `None`: there is none.
    pub path: Option<PathBuf>,
    /// The settings that hold for all profiles.
    pub top: BTreeMap<String, String>,
    /// The profiles.
    pub profiles: BTreeMap<String, Profile>,
    /// Whether settings in it may run programs, or write or remove files.
    pub(super) trust: Trust,
}

/// One profile.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Its settings; several texts are kept one per line.
    pub values: BTreeMap<String, String>,
    /// The keys of its oauth2 table: how tokens are fetched.
    pub oauth2: Option<BTreeMap<String, String>>,
    /// Further form fields of the token's request.
    pub oauth2_extra: BTreeMap<String, String>,
}

/// The file of the folder in which a command is started.
const HERE: &str = "idshift.toml";

/// With this in place of a file, none is read.
const NO_FILE: &str = "/dev/null";

/// Reads a file. It is read several times, so it cannot be a pipe. The metadata are those of the file that was read.
pub(super) fn contents(path: &Path) -> io::Result<(String, Metadata)> {
    let (mut file, mut text) = (regular_file::open(path)?, String::new());
    file.read_to_string(&mut text)?;
    Ok((text, file.metadata()?))
}

/// Returns the first file that exists: in the working folder, the user's configuration folder, or `/etc/idshift`.
fn usual() -> Option<PathBuf> {
    let mut places = vec![PathBuf::from(HERE)];
    if let Ok(strategy) = etcetera::choose_base_strategy() {
        let folder = etcetera::BaseStrategy::config_dir(&strategy);
        places.push(folder.join("idshift").join("idshift.toml"));
    }
    places.push(PathBuf::from("/etc/idshift/idshift.toml"));
    places.into_iter().find(|path| path.exists())
}

impl File {
    /// Reads the file `named`, or else the first that exists.
    pub fn find(named: Option<PathBuf>) -> Result<Self, ConfigError> {
        if let Some(path) = named {
            if path == Path::new(NO_FILE) {
                return Ok(Self::default());
            }
            return Self::read(path, true);
        }
        match usual() {
            Some(path) => {
                let beyond_doubt = path != Path::new(HERE);
                Self::read(path, beyond_doubt)
            }
            None => Ok(Self::default()),
        }
    }

    /// Returns the names of the profiles, each with its system and address, even if the file has mistakes. Reads no secrets.
    pub fn profile_names(named: Option<PathBuf>) -> Vec<(String, String)> {
        let found = named.or_else(usual).map(|path| contents(&path));
        let Some(Ok((text, _))) = found else {
            return Vec::new();
        };
        let (document, _) = DeTable::parse_recoverable(&text);
        let profiles = document.get_ref().get("profiles");
        let profiles = profiles.and_then(|profiles| profiles.get_ref().as_table());
        let described = |(name, profile): (&Name<'_>, &Item<'_>)| {
            let text = |key| Some(profile.get_ref().get(key)?.get_ref().as_str()?.to_owned());
            let words = [text("system"), text("base_url")];
            let words: Vec<String> = words.into_iter().flatten().collect();
            (name.get_ref().to_string(), words.join(" at "))
        };
        profiles.into_iter().flatten().map(described).collect()
    }

    /// Reads the file to change, as [`Self::find`] does. The file need not exist.
    pub fn find_or_new(named: Option<PathBuf>) -> Result<Self, ConfigError> {
        if Self::to_change(named.clone()).exists() {
            Self::find(named)
        } else {
            Ok(Self::default())
        }
    }

    /// Returns the path of the file to change: the file `named`, or else the first that exists, or else the one of this
    /// folder.
    pub(super) fn to_change(named: Option<PathBuf>) -> PathBuf {
        named.or_else(usual).unwrap_or_else(|| HERE.into())
    }

    fn read(path: PathBuf, beyond_doubt: bool) -> Result<Self, ConfigError> {
        let (text, meta) = contents(&path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
            help: "name another file with --config",
        })?;
        let trust = if beyond_doubt {
            Trust::Full
        } else {
            Trust::of(&meta)
        };
        Self::understand(path, &text, trust)
    }

    pub(super) fn understand(path: PathBuf, text: &str, trust: Trust) -> Result<Self, ConfigError> {
        let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            path: path.clone(),
            what: error.to_string().trim_end().to_owned(),
        })?;
        let reader = Reader { path: &path, text };
        let mut file = Self {
            trust,
            ..Self::default()
        };
        for (name, value) in document.get_ref() {
            if name.get_ref() == "profiles" {
                let wanted = "must be tables such as [profiles.night]";
                for (name, profile) in reader.table(name, value, wanted)? {
                    let known = reader.profile(name, profile)?;
                    file.profiles.insert(name.get_ref().to_string(), known);
                }
            } else {
                let text = reader.setting(name, value, SETTINGS)?;
                file.top.insert(name.get_ref().to_string(), text);
            }
        }
        file.path = Some(path);
        Ok(file)
    }
}

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Item<'a> = Spanned<DeValue<'a>>;

/// Converts parsed keys and values. An error shows where the key stands in the text.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn wrong(&self, name: &Name<'_>, what: &str, hint: &str) -> ConfigError {
        let span = name.span();
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .map_or(0, |rest| rest.chars().count())
            + 1;
        let key = self.text.get(span).unwrap_or_default();
        let (gutter, carets) = (line.to_string(), "^".repeat(key.chars().count()));
        let margin = " ".repeat(gutter.len());
        ConfigError::Key {
            path: self.path.to_owned(),
            line,
            column,
            what: format!("`{}` {what}", name.get_ref()),
            drawn: format!("{margin} |\n{gutter} | {key} …\n{margin} | {carets} {hint}"),
        }
    }

    fn table<'t, 'd>(
        &self,
        name: &Name<'_>,
        value: &'t Item<'d>,
        wanted: &str,
    ) -> Result<&'t DeTable<'d>, ConfigError> {
        let table = value.get_ref().as_table();
        table.ok_or_else(|| self.wrong(name, wanted, "not a table"))
    }

    fn profile(&self, name: &Name<'_>, value: &Item<'_>) -> Result<Profile, ConfigError> {
        let mut profile = Profile::default();
        for (name, value) in self.table(name, value, "must be a table")? {
            if name.get_ref() != "oauth2" {
                let text = self.setting(name, value, SETTINGS)?;
                profile.values.insert(name.get_ref().to_string(), text);
                continue;
            }
            let oauth2 = profile.oauth2.get_or_insert_default();
            for (name, value) in self.table(name, value, "must be a table")? {
                if name.get_ref() == "extra" {
                    profile.oauth2_extra = self.texts(name, value)?;
                } else {
                    let text = self.setting(name, value, OAUTH2)?;
                    oauth2.insert(name.get_ref().to_string(), text);
                }
            }
        }
        Ok(profile)
    }

    fn setting(
        &self,
        name: &Name<'_>,
        value: &Item<'_>,
        table: &'static [Setting],
    ) -> Result<String, ConfigError> {
        let mut known = table.iter().filter(|setting| setting.is_in_file());
        let Some(setting) = known.clone().find(|known| known.name == name.get_ref()) else {
            let meant = crate::domain::nearest(name.get_ref(), known.by_ref().map(|one| one.name));
            let hint = match name.get_ref().as_ref() {
                "token" => format!("this file holds no secrets: {HOW_TO_GIVE_A_TOKEN}"),
                _ => meant.map_or_else(String::new, |meant| format!("is `{meant}` meant?")),
            };
            return Err(self.wrong(name, "is not a setting", &hint));
        };
        let wrong = |wanted: &str| self.wrong(name, wanted, "not this");
        match (setting.shape, value.get_ref()) {
            (Shape::Columns, _) => self.columns(name, value),
            (Shape::Truth, DeValue::Boolean(truth)) => Ok(truth.to_string()),
            (Shape::Truth, _) => Err(wrong("must be true or false")),
            (Shape::Words | Shape::List, DeValue::Array(words)) => lines(words).ok_or_else(|| {
                wrong(if setting.shape == Shape::List {
                    "must be a list of texts without line breaks"
                } else {
                    "must be a list of texts without line breaks, the program first"
                })
            }),
            (Shape::Words, _) => Err(wrong(
                "must be a list: the program, then its arguments, each a text",
            )),
            // A text is converted like a value from the environment.
            (_, DeValue::String(text)) => Ok(setting.of_variable(text.to_string())),
            (Shape::List, _) => Err(wrong("must be a list of texts")),
            (_, DeValue::Integer(number)) => Ok(number.to_string()),
            (Shape::Text, DeValue::Float(number)) => Ok(number.to_string()),
            (Shape::Text, _) => Err(wrong("must be a text")),
            (Shape::Number(_) | Shape::Count, _) => Err(wrong("must be a whole number")),
            (Shape::Choice(choices), _) => {
                Err(wrong(&format!("must be one of {}", choices.join(", "))))
            }
        }
    }

    /// Returns what the columns are called in files, as `COLUMN=NAME`, one per line; in the file
    /// `accountId = "Account Number"`.
    fn columns(&self, name: &Name<'_>, value: &Item<'_>) -> Result<String, ConfigError> {
        let wanted = "must be a table such as [map] with accountId = \"Account Number\"";
        let mut lines = Vec::new();
        for (column, value) in self.table(name, value, wanted)? {
            let text = self.setting(column, value, COLUMNS)?;
            let text = text.trim();
            if text.is_empty() || text.contains('\n') {
                let wanted = "must be the name of a column, in one line";
                return Err(self.wrong(column, wanted, "no name"));
            }
            lines.push(format!("{}={text}", column.get_ref()));
        }
        Ok(lines.join("\n"))
    }

    fn texts(
        &self,
        name: &Name<'_>,
        value: &Item<'_>,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        let field = |(key, value): (&Name<'_>, &Item<'_>)| {
            let text = value.get_ref().as_str();
            let text = text.ok_or_else(|| self.wrong(key, "must be a text", "not a text"))?;
            Ok((key.get_ref().to_string(), text.to_owned()))
        };
        let table = self.table(name, value, "must be a table")?;
        table.iter().map(field).collect()
    }
}

/// Joins texts, one per line; `None`: the list is empty, or an element is no text or contains a line break.
fn lines(words: &[Item<'_>]) -> Option<String> {
    let words: Option<Vec<&str>> = words.iter().map(|word| word.get_ref().as_str()).collect();
    let words = words?;
    let good = !words.is_empty() && words.iter().all(|word| !word.contains('\n'));
    good.then(|| words.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::setting::Default;
    use crate::config::settings_table::setting;

    fn read(text: &str) -> Result<File, ConfigError> {
        File::understand(PathBuf::from("idshift.toml"), text, Trust::Full)
    }

    fn error(text: &str) -> String {
        read(text).expect_err("the file is wrong").to_string()
    }

    #[test]
    fn unknown_key_is_shown_with_its_position_but_without_its_value() {
        let text =
            "timeout = \"30s\"\n\n[profiles.night]\nsystem = \"plume\"\n  base_ulr = \"hunter2\"\n";
        insta::assert_snapshot!(error(text), @r"
        idshift.toml:5:3: `base_ulr` is not a setting
          |
        5 | base_ulr …
          | ^^^^^^^^ is `base_url` meant?
        ");
        assert!(!error("client_secret = \"hunter2\"").contains("hunter2"));
        assert!(error("[profiles.n.oauth2]\nclient_secert_env = \"X\"").contains(":2:1:"));
    }

    #[test]
    fn value_of_wrong_type_is_reported_with_its_position() {
        for (text, words) in [
            (
                "timeout = true",
                "idshift.toml:1:1: `timeout` must be a text",
            ),
            ("allow_http = \"yes\"", "`allow_http` must be true or false"),
            ("lookup = true", "`lookup` must be one of auto, bulk, each"),
            ("token_command = \"cat x\"", "must be a list"),
            ("token_command = []", "the program first"),
            ("token_command = [\"a\\nb\"]", "without line breaks"),
            ("profiles = 3", "must be tables"),
            ("canary = true", "`canary` must be a whole number"),
            ("carry = 3", "`carry` must be a list of texts"),
            ("map = 3", "`map` must be a table such as [map]"),
            ("[map]\naccountId = true", "`accountId` must be a text"),
            ("[map]\naccountId = \" \"", "must be the name of a column"),
            ("[map]\nacountId = \"X\"", "is `accountId` meant?"),
            ("no_input = true", "`no_input` is not a setting"),
            ("token = \"hunter2\"", "this file holds no secrets"),
            ("[profiles]\na = 1", "idshift.toml:2:1: `a` must be a table"),
            ("[profiles.a]\noauth2 = 1", "`oauth2` must be a table"),
            ("[profiles.a.oauth2.extra]\nx = 1", "`x` must be a text"),
        ] {
            assert!(error(text).contains(words), "{text}: {}", error(text));
        }
    }

    #[test]
    fn invalid_toml_is_reported_with_the_parser_message() {
        insta::assert_snapshot!(error("[profiles.a\n"), @r"
        idshift.toml: TOML parse error at line 1, column 12
          |
        1 | [profiles.a
          |            ^
        unclosed table, expected `]`
        ");
    }

    #[test]
    fn sample_file_of_init_is_valid() {
        let file = read(SAMPLE).unwrap();
        let names: Vec<_> = file.profiles.keys().map(String::as_str).collect();
        assert_eq!(names, ["adobe", "cloudcockpit", "plume"]);
    }

    #[test]
    fn commented_settings_of_the_sample_are_valid_and_show_defaults() {
        let is_setting = |rest: &str| rest.starts_with('[') || rest.contains(" = ");
        let lines = SAMPLE.lines().map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_setting(rest) => rest,
            _ => line,
        });
        let file = read(&lines.collect::<Vec<_>>().join("\n")).unwrap();
        assert!(file.profiles["plume"].values.contains_key("map"));
        assert_eq!(file.top.len(), 3);
        for (name, value) in file.top {
            let Default::Value(default) = setting(&name).unwrap().default else {
                panic!("{name} has a default");
            };
            assert_eq!(value, default, "{name}");
        }
    }

    #[test]
    fn explicitly_given_file_that_is_missing_is_an_error() {
        let missing = File::find(Some("/nowhere/idshift.toml".into()));
        assert!(matches!(missing, Err(ConfigError::Read { .. })));
    }
}

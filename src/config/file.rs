//! `idshift.toml`: found, read, and every key in it known.
//!
//! What is wrong is shown with line, column and a caret under the key; values are not shown, for one that
//! stands under a mistyped key may be a secret.

use super::ConfigError;
use super::keys::{Key, MAP, OAUTH2, Shape, settings};
use super::trust::Trust;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A commented file to begin with.
pub const SAMPLE: &str = include_str!("sample.toml");

/// A file that was read.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Where it is; `None`: there is none.
    pub path: Option<PathBuf>,
    /// What holds for all profiles.
    pub top: BTreeMap<String, String>,
    /// What columns are called in files, for all profiles: the column that counts, then its name in a file.
    pub map: BTreeMap<&'static str, String>,
    /// The profiles.
    pub profiles: BTreeMap<String, Profile>,
    /// Whether its programs may be run.
    pub(super) trust: Trust,
}

/// One profile.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Its settings; a list of words has one word a line.
    pub values: BTreeMap<String, String>,
    /// What columns are called in files: the column that counts, then its name in a file.
    pub map: BTreeMap<&'static str, String>,
    /// How tokens are fetched.
    pub oauth2: Option<BTreeMap<String, String>>,
    /// Further form fields of the token's request.
    pub oauth2_extra: BTreeMap<String, String>,
}

/// The file of the folder in which a command is started.
const HERE: &str = "idshift.toml";

/// The file that the environment names.
fn from_environment() -> Option<PathBuf> {
    let path = std::env::var_os("IDSHIFT_CONFIG").filter(|path| !path.is_empty());
    path.map(PathBuf::from)
}

/// The first file that exists.
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
    /// Finds and reads the file: the one that is named, else the first that exists.
    pub fn find(named: Option<&Path>) -> Result<Self, ConfigError> {
        let named = named.map(Path::to_path_buf).or_else(from_environment);
        if let Some(path) = named {
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

    /// The same for a file that is to be changed, and that need not exist.
    pub fn find_or_new(named: Option<&Path>) -> Result<Self, ConfigError> {
        if Self::to_change(named).exists() {
            Self::find(named)
        } else {
            Ok(Self::default())
        }
    }

    /// The file that is to be changed: the one that is named, else the first that exists, else the one of this folder.
    pub(super) fn to_change(named: Option<&Path>) -> PathBuf {
        let named = named.map(Path::to_path_buf).or_else(from_environment);
        named.or_else(usual).unwrap_or_else(|| HERE.into())
    }

    fn read(path: PathBuf, beyond_doubt: bool) -> Result<Self, ConfigError> {
        let mut text = String::new();
        let read = std::fs::File::open(&path).and_then(|mut file| {
            file.read_to_string(&mut text)?;
            // Asked of the open file, so that it is the one that was read.
            file.metadata()
        });
        let meta = read.map_err(|source| ConfigError::Read {
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
            } else if name.get_ref() == "map" {
                file.map = reader.map(name, value)?;
            } else {
                let text = reader.setting(name, value, settings())?;
                file.top.insert(name.get_ref().to_string(), text);
            }
        }
        file.path = Some(path);
        Ok(file)
    }
}

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Item<'a> = Spanned<DeValue<'a>>;

/// Reads what the parser has cut, and knows where each piece stands.
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
            if name.get_ref() == "map" {
                profile.map = self.map(name, value)?;
                continue;
            }
            if name.get_ref() != "oauth2" {
                let text = self.setting(name, value, settings())?;
                profile.values.insert(name.get_ref().to_string(), text);
                continue;
            }
            let oauth2 = profile.oauth2.get_or_insert_default();
            for (name, value) in self.table(name, value, "must be a table")? {
                if name.get_ref() == "extra" {
                    profile.oauth2_extra = self.extra(name, value)?;
                } else {
                    let text = self.setting(name, value, OAUTH2.iter())?;
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
        mut known: impl Iterator<Item = &'static Key> + Clone,
    ) -> Result<String, ConfigError> {
        let Some(key) = known.clone().find(|key| key.name == name.get_ref()) else {
            let meant = crate::domain::nearest(name.get_ref(), known.by_ref().map(|key| key.name));
            let hint = meant.map_or_else(String::new, |meant| format!("is `{meant}` meant?"));
            return Err(self.wrong(name, "is no setting", &hint));
        };
        let wrong = |wanted: &str| self.wrong(name, wanted, "not this");
        match (key.shape, value.get_ref()) {
            (Shape::Text | Shape::Choice(_), DeValue::String(text)) => Ok(text.to_string()),
            (Shape::Text | Shape::Choice(_), DeValue::Integer(number)) => Ok(number.to_string()),
            (Shape::Text, DeValue::Float(number)) => Ok(number.to_string()),
            (Shape::Truth, DeValue::Boolean(truth)) => Ok(truth.to_string()),
            (Shape::Words, DeValue::Array(words)) => {
                let words: Option<Vec<&str>> =
                    words.iter().map(|word| word.get_ref().as_str()).collect();
                // Words are kept as lines.
                words
                    .filter(|words| !words.is_empty() && words.iter().all(|w| !w.contains('\n')))
                    .map(|words| words.join("\n"))
                    .ok_or_else(|| {
                        wrong("must be a list of texts without line breaks, the program first")
                    })
            }
            (Shape::Text, _) => Err(wrong("must be a text")),
            (Shape::Choice(choices), _) => {
                Err(wrong(&format!("must be one of {}", choices.join(", "))))
            }
            (Shape::Truth, _) => Err(wrong("must be true or false")),
            (Shape::Words, _) => Err(wrong(
                "must be a list: the program, then its arguments, each a text",
            )),
        }
    }

    /// `accountId = "Account Number"`: what the columns that count are called in files.
    fn map(
        &self,
        name: &Name<'_>,
        value: &Item<'_>,
    ) -> Result<BTreeMap<&'static str, String>, ConfigError> {
        let wanted = "must be a table such as [map] with accountId = \"Account Number\"";
        let mut map = BTreeMap::new();
        for (name, value) in self.table(name, value, wanted)? {
            let text = self.setting(name, value, MAP.iter())?;
            let key = MAP.iter().find(|key| key.name == name.get_ref());
            if text.trim().is_empty() {
                return Err(self.wrong(name, "must be the name of a column", "no name"));
            }
            map.extend(key.map(|key| (key.name, text.trim().to_owned())));
        }
        Ok(map)
    }

    fn extra(
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<File, ConfigError> {
        File::understand(PathBuf::from("idshift.toml"), text, Trust::Full)
    }

    fn error(text: &str) -> String {
        read(text).expect_err("the file is wrong").to_string()
    }

    #[test]
    fn an_unknown_key_is_shown_where_it_stands_without_its_value() {
        let text =
            "timeout = \"30s\"\n\n[profiles.night]\nsystem = \"plume\"\n  base_ulr = \"hunter2\"\n";
        insta::assert_snapshot!(error(text), @r"
        idshift.toml:5:3: `base_ulr` is no setting
          |
        5 | base_ulr …
          | ^^^^^^^^ is `base_url` meant?
        ");
        assert!(!error("client_secret = \"hunter2\"").contains("hunter2"));
        assert!(error("[profiles.n.oauth2]\nclient_secert_env = \"X\"").contains(":2:1:"));
    }

    #[test]
    fn a_value_of_another_kind_is_named_with_its_place() {
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
            ("map = 3", "`map` must be a table such as [map]"),
            ("[map]\naccountId = true", "`accountId` must be a text"),
            ("[map]\naccountId = \" \"", "must be the name of a column"),
            ("[map]\nacountId = \"X\"", "is `accountId` meant?"),
            ("[profiles]\na = 1", "idshift.toml:2:1: `a` must be a table"),
            ("[profiles.a]\noauth2 = 1", "`oauth2` must be a table"),
            ("[profiles.a.oauth2.extra]\nx = 1", "`x` must be a text"),
        ] {
            assert!(error(text).contains(words), "{text}: {}", error(text));
        }
    }

    #[test]
    fn what_is_no_toml_is_shown_by_its_parser() {
        insta::assert_snapshot!(error("[profiles.a\n"), @r"
        idshift.toml: TOML parse error at line 1, column 12
          |
        1 | [profiles.a
          |            ^
        unclosed table, expected `]`
        ");
    }

    #[test]
    fn the_sample_of_init_is_understood() {
        let file = read(SAMPLE).unwrap();
        let names: Vec<_> = file.profiles.keys().map(String::as_str).collect();
        assert_eq!(names, ["adobe", "cloudcockpit", "plume"]);
    }

    #[test]
    fn a_file_that_is_named_and_missing_is_an_error() {
        let missing = File::find(Some(Path::new("/nowhere/idshift.toml")));
        assert!(matches!(missing, Err(ConfigError::Read { .. })));
    }
}

//! Flags, environment and file → the settings that each module needs.
//!
//! Every setting is a row of [`SETTINGS`], with one name: `--base-url`, `IDSHIFT_BASE_URL`, `base_url` in a profile of
//! `idshift.toml`. The command line overrides the environment, the environment overrides the file, the profile
//! overrides the file's top level.
//!
//! Secrets are read last and only if they are needed ([`Resolved::read_secrets`]): commands that work offline or on a
//! stand-in do not read them.

mod after_run;
mod age;
mod credentials;
mod edit;
mod file;
#[cfg(test)]
mod json_schema;
mod ledger;
mod log;
mod resolved;
mod secret_files;
mod setting;
mod settings_table;
mod trust;
mod typed;
mod values;
mod zone;

pub use after_run::AfterRun;
pub use age::parse_age;
pub use credentials::token_source;
pub use edit::{SavedMap, save_map};
pub use file::{File, SAMPLE};
pub use ledger::{SharedLedger, ledger, ledger_address};
pub use log::Log;
pub use resolved::{Resolved, reseller_of};
pub use setting::{Group, Kept, Setting, Shape, Sources};
pub use settings_table::{COLUMNS, SETTINGS, setting};
pub use typed::TypedSettings;
pub use values::{Origin, Values};
pub use zone::{Until, local_words, local_zone};

use std::path::{Path, PathBuf};

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named, or a file that was found, cannot be read.
    #[error("{}: cannot be read ({source}); {help}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
        /// What to do about it.
        help: &'static str,
    },
    /// A file that cannot be changed.
    #[error("{}: cannot be written ({source}); {help}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
        /// What to do about it.
        help: &'static str,
    },
    /// A file in which another value stands where a table must be added.
    #[error("{}: `{key}` is not a table, so the columns of profile `{profile}` cannot be saved there; correct the \
         file, or name another with --config", path.display())]
    NoTable {
        /// The file.
        path: PathBuf,
        /// The key that is no table.
        key: &'static str,
        /// The profile.
        profile: String,
    },
    /// A file that is no TOML.
    #[error("{}: {what}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's words, with line and column.
        what: String,
    },
    /// An unknown key, or a key with a value of another type.
    #[error("{}:{line}:{column}: {what}\n{}", path.display(), drawn.trim_end())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key's line, from 1.
        line: usize,
        /// The key's first character, from 1.
        column: usize,
        /// What is wrong with it.
        what: String,
        /// The key with carets under it, and a hint.
        drawn: String,
    },
    /// A profile that does not exist.
    #[error("there is no profile `{profile}`{}; {}", hint(suggestion.as_deref()), profiles(known, file.as_deref()))]
    NoProfile {
        /// The requested profile.
        profile: String,
        /// The profile with the most similar name.
        suggestion: Option<String>,
        /// The existing profiles.
        known: Vec<String>,
        /// The file, where one was found.
        file: Option<PathBuf>,
    },
    /// A value that is not valid.
    #[error("{}: {why}", place(key, origin))]
    Value {
        /// The setting.
        key: &'static str,
        /// Where it was set.
        origin: Origin,
        /// What is wrong, and what it should be like.
        why: String,
    },
    /// A setting that is needed.
    #[error("{what} is missing: {help}")]
    Missing {
        /// The missing setting.
        what: &'static str,
        /// Where to set it.
        help: &'static str,
    },
    /// A time zone that is not known.
    #[error(
        "{what} is not a time zone that this machine knows: {why}; set TZ to a name such as Europe/Berlin, or to UTC"
    )]
    Zone {
        /// Where the zone was set.
        what: String,
        /// Why it cannot be read.
        why: String,
    },
    /// A secret that cannot be used.
    #[error("{0}")]
    Credentials(String),
}

/// Where a token comes from, for a person who has given none, or has given it in another way.
pub const HOW_TO_GIVE_A_TOKEN: &str =
    "set IDSHIFT_TOKEN, or token_file, token_command or oauth2 in a profile";

impl ConfigError {
    /// Nothing names the system of a real target.
    pub const NO_SYSTEM: Self = Self::Missing {
        what: "the system",
        help: "give --system plume, adobe or cloudcockpit, set IDSHIFT_SYSTEM, or set system in a profile (with \
               --sandbox alone, the stand-in is Plume)",
    };
    /// Nothing says how to authenticate.
    pub const NO_TOKEN: Self = Self::Missing {
        what: "the token",
        help: HOW_TO_GIVE_A_TOKEN,
    };
}

/// Returns a setting as the user gave it: as an option, or as a key with the place where it is set.
fn place(key: &str, origin: &Origin) -> String {
    match (origin, setting(key)) {
        (Origin::CommandLine, Some(setting)) => format!("--{}", setting.long()),
        _ => format!("{key} ({origin})"),
    }
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |meant| format!(" (is `{meant}` meant?)"))
}

fn profiles(names: &[String], file: Option<&Path>) -> String {
    match file {
        None => "there is no idshift.toml here, in the user's configuration folder or in /etc/idshift; `idshift init` \
                 writes one, and --config names another"
            .to_owned(),
        Some(file) if names.is_empty() => format!("{} has no profiles", file.display()),
        Some(file) => {
            let word = if names.len() == 1 { "profile" } else { "profiles" };
            format!("{} has the {word} {}", file.display(), names.join(", "))
        }
    }
}

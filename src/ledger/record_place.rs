//! Where the record of a run is, for messages: a database that is no file has no path.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where the record of a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordPlace {
    /// A file of this machine.
    File(PathBuf),
    /// A database, named by its servers, its name and the role.
    Database(String),
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            Self::Database(name) => name.fmt(formatter),
        }
    }
}

impl From<&Path> for RecordPlace {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for RecordPlace {
    fn from(path: &PathBuf) -> Self {
        path.as_path().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerError;

    #[test]
    fn damage_report_names_the_ledger_and_how_to_restore_it() {
        let file = LedgerError::damaged(Path::new("runs/a/ledger.db"), "a row is missing");
        let restore =
            "Restore the run's folder from a copy, or start a new run from runs/a/input.csv";
        assert!(file.to_string().contains(restore), "{file}");
        let place = RecordPlace::Database("PostgreSQL `ledger` on db1".to_owned());
        let shared = LedgerError::damaged(place, "a row is missing").to_string();
        assert!(
            shared.starts_with(
                "the ledger in PostgreSQL `ledger` on db1 is damaged: a row is missing"
            ),
            "{shared}"
        );
        assert!(
            shared.ends_with("restore the database from a copy"),
            "{shared}"
        );
    }
}

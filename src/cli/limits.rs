//! The guards of a run: as they are typed, as the ledger keeps them for `resume`, and understood.

use super::Exit;
use super::failure::Failure;
use super::options::Guards;
use crate::config::Until;
use crate::plan::Share;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// What stops a run, as it is kept for `resume`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Limits {
    pub(super) max_failures: Option<String>,
    pub(super) max_changes: Option<String>,
    pub(super) canary: Option<u64>,
    pub(super) until: Option<String>,
}

impl Limits {
    pub(super) fn of(guards: &Guards) -> Result<Self, Failure> {
        let limits = Self {
            max_failures: guards.max_failures.clone(),
            max_changes: guards.max_changes.clone(),
            canary: guards.canary,
            until: guards.until.clone(),
        };
        limits.parsed()?;
        Ok(limits)
    }

    /// What was given anew beats what the run was begun with. A time of day comes again; a span from the beginning of
    /// the run has passed.
    pub(super) fn over(self, earlier: Self) -> Self {
        Self {
            max_failures: self.max_failures.or(earlier.max_failures),
            max_changes: self.max_changes.or(earlier.max_changes),
            canary: self.canary.or(earlier.canary),
            until: self
                .until
                .or(earlier.until.filter(|until| until.contains(':'))),
        }
    }

    /// Refuses to begin where more would change than is allowed.
    pub(super) fn refuse_changes(&self, changes: u64, lines: u64) -> Result<(), Failure> {
        match self.parsed()?.max_changes {
            Some(most) if most.is_exceeded(changes, lines) => Err(Failure::new(
                Exit::Stopped,
                format!("--max-changes {most}: {changes} of {lines} lines would change"),
            )
            .with_help("nothing was written")),
            _ => Ok(()),
        }
    }

    pub(super) fn parsed(&self) -> Result<Parsed, Failure> {
        let share = |flag: &str, text: &Option<String>| {
            text.as_deref()
                .map(Share::from_str)
                .transpose()
                .map_err(|why| Failure::usage(format!("{flag}: {why}")))
        };
        let until = self.until.as_deref().map(Until::from_str).transpose();
        Ok(Parsed {
            max_failures: share("--max-failures", &self.max_failures)?,
            max_changes: share("--max-changes", &self.max_changes)?,
            until: until
                .map_err(|why| Failure::usage(format!("--until: {why}")))?
                .map(|until| until.0),
        })
    }
}

/// The same, understood.
pub(super) struct Parsed {
    pub(super) max_failures: Option<Share>,
    pub(super) max_changes: Option<Share>,
    pub(super) until: Option<Duration>,
}

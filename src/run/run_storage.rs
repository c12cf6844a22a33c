//! Decides where runs are kept: in files of this machine or in PostgreSQL.

use crate::config::{ConfigError, Resolved, SharedLedger, Values};
use crate::ledger::{LocalRuns, Runs, SharedRuns, StateDb};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the settings say about where runs are kept.
#[derive(Debug, Clone)]
pub(crate) struct RunsSettings {
    pub(super) folder: PathBuf,
    /// The database that several machines share, and how long a call may take; `None`: runs are kept in files.
    pub(super) ledger: Option<(SharedLedger, Duration)>,
    /// The name of the local address that calls are sent from.
    pub(super) egress: Option<String>,
}

/// Which runs are seen.
#[derive(Debug, Clone)]
pub(crate) enum RunScope {
    /// Runs in the place that the settings name. No other process knows of a new run before it has begun.
    Here,
    /// The same runs, only to look at; `everywhere`: also runs elsewhere that this user's state database knows.
    Look { everywhere: bool },
    /// All runs that this user's state database knows. The database also keeps other runs from a target.
    Known(Arc<StateDb>),
}

impl RunsSettings {
    pub(crate) fn of(values: &mut Values) -> Result<Self, ConfigError> {
        let mut resolved = Resolved::of(values)?;
        resolved.read_ledger(values)?;
        Ok(Self::of_resolved(&resolved))
    }

    /// Returns the settings for the runs folder of this machine, whatever else is set.
    pub(crate) fn local(values: &Values) -> Self {
        Self {
            folder: values.effective("runs_dir").unwrap_or_default().into(),
            ledger: None,
            egress: None,
        }
    }

    pub(crate) fn of_resolved(resolved: &Resolved) -> Self {
        Self {
            folder: resolved.runs_dir.clone(),
            ledger: resolved
                .ledger
                .clone()
                .map(|ledger| (ledger, resolved.timeout)),
            egress: resolved.egress_name.clone(),
        }
    }

    /// Opens the place where runs are kept.
    pub(crate) fn runs(&self, scope: RunScope) -> Arc<dyn Runs> {
        if let Some((SharedLedger(settings), timeout)) = &self.ledger {
            let local = match scope {
                RunScope::Here | RunScope::Look { .. } => None,
                RunScope::Known(state) => Some(state),
            };
            let runs = SharedRuns::of(settings, *timeout, &self.folder, local);
            return Arc::new(runs.calling_from(self.egress.clone()));
        }
        let (everywhere, state) = match scope {
            RunScope::Here => (false, None),
            // A command that only looks needs no state database: the runs folder is enough.
            RunScope::Look { everywhere } => (everywhere, StateDb::open().ok().map(Arc::new)),
            RunScope::Known(state) => (true, Some(state)),
        };
        Arc::new(LocalRuns::of(&self.folder, everywhere, state))
    }
}

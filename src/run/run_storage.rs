//! Decides where runs are kept: in files of this machine or in PostgreSQL.

use crate::config::{ConfigError, Resolved, SharedLedger, Values};
use crate::ledger::{LocalRuns, Runs, SharedRuns, StateDb};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the settings say of where runs are kept.
#[derive(Debug, Clone)]
pub(crate) struct RunsSettings {
    pub(super) folder: PathBuf,
    /// What several machines share, and how long a call may take.
    pub(super) ledger: Option<(SharedLedger, Duration)>,
    /// The name of the address that calls come from.
    pub(super) egress: Option<String>,
}

/// Which runs count.
#[derive(Debug, Clone)]
pub(crate) enum RunScope {
    /// Those that are kept there. No other process knows of a new one before it has begun.
    Here,
    /// The same, to look at; `everywhere`: and those elsewhere that this user's state database knows.
    Look { everywhere: bool },
    /// All that this user's state database knows, which also keeps other runs from a target.
    Known(Arc<StateDb>),
}

impl RunsSettings {
    pub(crate) fn of(values: &mut Values) -> Result<Self, ConfigError> {
        let mut resolved = Resolved::of(values)?;
        resolved.read_ledger(values)?;
        Ok(Self::of_resolved(&resolved))
    }

    /// The folder of this machine, whatever else is set.
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

    /// The runs that are kept there.
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
            // Whoever only looks needs no state database: the runs folder tells about itself.
            RunScope::Look { everywhere } => (everywhere, StateDb::open().ok().map(Arc::new)),
            RunScope::Known(state) => (true, Some(state)),
        };
        Arc::new(LocalRuns::of(&self.folder, everywhere, state))
    }
}

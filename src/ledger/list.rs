//! The runs in a folder, for a person to choose from.

use super::{Counted, Header, Ledger, LedgerError, Progress, RunDir, RunId, run_dir};
use std::path::Path;

/// One run, or why it cannot be read.
#[derive(Debug)]
pub struct Listed {
    /// Its ID.
    pub run: RunId,
    /// What its ledger says.
    pub found: Result<Found, LedgerError>,
}

/// What a run's ledger says about it.
#[derive(Debug)]
pub struct Found {
    /// The folder.
    pub dir: RunDir,
    /// What it was asked to do.
    pub header: Header,
    /// How far it is.
    pub progress: Progress,
    /// Whether a living process works on it.
    pub live: bool,
    /// Lines by status.
    pub counts: Vec<Counted>,
}

/// The runs in a folder, newest first, read one at a time. A damaged one does not hide the others.
pub fn list(runs_dir: &Path) -> Result<impl Iterator<Item = Listed>, LedgerError> {
    let runs_dir = runs_dir.to_owned();
    Ok(run_dir::ids(&runs_dir)?.into_iter().map(move |run| Listed {
        found: look(&runs_dir, &run),
        run,
    }))
}

fn look(runs_dir: &Path, run: &RunId) -> Result<Found, LedgerError> {
    let dir = RunDir::open(runs_dir, run)?;
    let ledger = Ledger::glance(&dir)?;
    Ok(Found {
        header: ledger.header().clone(),
        progress: ledger.progress()?,
        live: ledger.is_live(),
        counts: ledger.counts()?,
        dir,
    })
}

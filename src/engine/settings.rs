//! How a run is carried out.

use super::common_failures::KnownFailures;
use super::concurrency::Concurrency;
use super::{History, Wave};
use crate::domain::{AccountId, CustomerId};
use crate::plan::{AliasConflicts, Threshold};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Look everything up and say what would change.
    Plan,
    /// Find out what became of the writes of an earlier process. A unit that would write more is left for a later pass; only
    /// swaps that have moved a customer are brought to an end.
    Resolve,
    /// Carry it out.
    Apply,
}

/// How customers are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// Many at the same time where the system allows it, which the first batch finds out.
    Auto,
    /// Many at the same time; if that is refused, the run stops.
    Bulk,
    /// One by one.
    Each,
}

/// Asks for an end in order: no unit is begun any more, and those under way finish.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    token: CancellationToken,
    why: Arc<OnceLock<&'static str>>,
}

impl Drain {
    /// Asks for it; of several reasons the first is told.
    pub fn ask(&self, why: &'static str) {
        let _ = self.why.set(why);
        self.token.cancel();
    }

    /// Returns once it is asked for, with the reason.
    pub async fn asked(&self) -> &'static str {
        self.token.cancelled().await;
        self.why.get().copied().unwrap_or_default()
    }
}

/// How a run is carried out.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The run's ID, which temporary account IDs carry.
    pub run: String,
    /// Whether anything is written.
    pub mode: Mode,
    /// How customers are looked up.
    pub lookup: Lookup,
    /// How many units are under way at the same time.
    pub concurrency: Concurrency,
    /// A look-up older than this is done again before a write.
    pub max_age: Duration,
    /// How often one write is attempted, beyond the first, where it did not take effect.
    pub retries: u32,
    /// The maximum time during which no write takes effect, though many are tried.
    pub give_up_after: Duration,
    /// The only partner or reseller of which the customers may be written.
    pub fence: Option<String>,
    /// Lines of which it is known how they fail, and whether failures of others are counted as common to all.
    pub known_failures: KnownFailures,
    /// Whether a file says nothing about others by how it fails: it is made of lines that have failed before.
    pub is_of_failures: bool,
    /// Whether the run stops where of the first lines no customer is found.
    pub must_find: bool,
    /// How many lines may fail.
    pub max_failures: Option<Threshold>,
    /// The first units, a wave each time, which is read back before the next begins. They come in this order, before all
    /// others.
    pub waves: Arc<[Wave]>,
    /// How many waves the run has, those of earlier processes included.
    pub wave_count: u32,
    /// How many lines of a wave may have failed or be wrong; `None`: none.
    pub wave_failures: Option<Threshold>,
    /// No unit is begun once this has passed.
    pub until: Option<Duration>,
    /// No unit is begun once this is asked for.
    pub drain: Drain,
    /// Which lines may name one customer in two ways, where a file has such lines.
    pub alias_conflicts: Option<Arc<AliasConflicts>>,
    /// Where several customers may have one account ID: the customers to which this run gave it before an interruption.
    pub given: HashMap<AccountId, Vec<CustomerId>>,
    /// The run that this one puts back.
    pub undoes: Option<String>,
    /// What earlier runs of the file did.
    pub history: Arc<History>,
}

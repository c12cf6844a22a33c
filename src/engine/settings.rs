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
    /// Find out what became of the writes of an earlier process. A unit that needs further writes is left for a later
    /// pass; only swaps that have moved a customer are completed.
    Resolve,
    /// Carry it out.
    Apply,
}

/// How customers are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// Many with one call if the system allows it, which the first batch finds out.
    Auto,
    /// Many with one call; if the system refuses that, the run stops.
    Bulk,
    /// One by one.
    Each,
}

/// Requests an orderly end: no further unit is begun, and those under way finish.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    token: CancellationToken,
    why: Arc<OnceLock<String>>,
}

impl Drain {
    /// Requests the end. Of several reasons, the first is kept.
    pub fn ask(&self, why: &str) {
        let _ = self.why.set(why.to_owned());
        self.token.cancel();
    }

    /// Returns the reason once the end is requested.
    pub async fn asked(&self) -> &str {
        self.token.cancelled().await;
        self.why.get().map_or("", String::as_str)
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
    /// Maximum age of a look-up; an older one is repeated before a write.
    pub max_age: Duration,
    /// Maximum number of further attempts for a write that did not take effect.
    pub retries: u32,
    /// The maximum time during which no write takes effect, though many are tried.
    pub give_up_after: Duration,
    /// The partner or reseller to which every written customer must belong; customers of others are refused.
    pub fence: Option<String>,
    /// Lines that have failed before, each with its reason: the same failure again says nothing about other lines.
    pub known_failures: KnownFailures,
    /// Whether the file consists of lines that have failed before, so that their failures say nothing about other lines.
    pub is_of_failures: bool,
    /// Whether the run stops if no customer is found for the first lines.
    pub must_find: bool,
    /// How many lines may fail.
    pub max_failures: Option<Threshold>,
    /// The first units, in waves: each wave is read back before the next one begins. They come in this order, before
    /// all other units.
    pub waves: Arc<[Wave]>,
    /// How many waves the run has, including those of earlier processes.
    pub wave_count: u32,
    /// How many lines of a wave may have failed or be wrong; `None`: none.
    pub wave_failures: Option<Threshold>,
    /// No unit is begun once this time has passed.
    pub until: Option<Duration>,
    /// No unit is begun once this end is requested.
    pub drain: Drain,
    /// The lines that may name one customer in two ways, if the file has such lines.
    pub alias_conflicts: Option<Arc<AliasConflicts>>,
    /// On systems where several customers may have one account ID: the customers to which this run gave it before an
    /// interruption.
    pub given: HashMap<AccountId, Vec<CustomerId>>,
    /// The run that this run undoes.
    pub undoes: Option<String>,
    /// What earlier runs of the file did.
    pub history: Arc<History>,
}

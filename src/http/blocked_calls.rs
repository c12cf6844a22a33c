//! Which calls a firewall seems to have refused, so that a call that is refused on its own does not hold all others
//! forever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::call::{Call, CallKind};

/// Maximum number of calls that are remembered at the same time; further ones wait like all calls.
const MOST: usize = 1000;

/// The calls that were refused, and the number of successes, which contradict a block of all calls.
#[derive(Debug, Default)]
pub(super) struct BlockedCalls {
    /// By path and whether it is a write: how many calls of the same kind had succeeded when the call was first
    /// refused.
    refused: Mutex<HashMap<(String, bool), u64>>,
    reads: AtomicU64,
    writes: AtomicU64,
}

impl BlockedCalls {
    /// Notes that a call succeeded, so it is not refused on its own.
    pub(super) fn succeeded(&self, call: &Call) {
        self.successes(call).fetch_add(1, Ordering::Relaxed);
        let mut refused = self.refused();
        if !refused.is_empty() {
            refused.remove(&key(call));
        }
    }

    /// Returns whether this call was refused before.
    pub(super) fn has(&self, call: &Call) -> bool {
        let refused = self.refused();
        !refused.is_empty() && refused.contains_key(&key(call))
    }

    /// Notes that this call is refused. Returns whether it was refused before and others of its kind have succeeded
    /// since.
    pub(super) fn is_alone(&self, call: &Call) -> bool {
        let now = self.successes(call).load(Ordering::Relaxed);
        let mut refused = self.refused();
        if let Some(before) = refused.get(&key(call)) {
            return now > *before;
        }
        if refused.len() < MOST {
            refused.insert(key(call), now);
        }
        false
    }

    fn successes(&self, call: &Call) -> &AtomicU64 {
        if call.kind == CallKind::Write {
            &self.writes
        } else {
            &self.reads
        }
    }

    fn refused(&self) -> MutexGuard<'_, HashMap<(String, bool), u64>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(call: &Call) -> (String, bool) {
    (call.path.as_str().to_owned(), call.kind == CallKind::Write)
}

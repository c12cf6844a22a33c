//! An exclusive lock on a run or a target.

use std::any::Any;
use std::fmt;

/// Keeps every other process from working on a run or a target, while this value lives.
pub struct ExclusiveLock {
    _lock: Box<dyn Any + Send + Sync>,
}

impl ExclusiveLock {
    pub(super) fn of(lock: impl Any + Send + Sync) -> Self {
        Self {
            _lock: Box::new(lock),
        }
    }
}

impl fmt::Debug for ExclusiveLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExclusiveLock").finish_non_exhaustive()
    }
}

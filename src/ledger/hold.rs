//! An exclusive lock on a run or a target.

use std::any::Any;
use std::fmt;

/// Keeps every other process from working on a run or a target, while this value lives.
pub struct Hold {
    _lock: Box<dyn Any + Send + Sync>,
}

impl Hold {
    pub(super) fn of(lock: impl Any + Send + Sync) -> Self {
        Self {
            _lock: Box::new(lock),
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}

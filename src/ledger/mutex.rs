//! Mutexes whose value is consistent between any two statements.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex, also after another thread has panicked while it held it: that does not spoil the value.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

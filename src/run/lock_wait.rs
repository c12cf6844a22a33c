//! Waits for the lock of a process that may be gone, until its lease ends.

use crate::ledger::LedgerError;
use crate::ui;
use std::thread;
use std::time::Duration;

/// Takes something that only one process can have at a time. If the process that has it has been silent for some seconds,
/// waits until it is heard of again or its lease is over.
pub(super) fn take<T>(take: impl Fn() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    let mut is_told = false;
    loop {
        let taken = take();
        let Err(LedgerError::Held {
            holder,
            free_in: Some(wait),
            ..
        }) = &taken
        else {
            return taken;
        };
        if !is_told {
            ui::note(&format!(
                "process {} on {} works on run {}, but has not renewed its lease for some seconds; waiting up to {} s, \
                 until it renews the lease or the lease expires",
                holder.pid,
                ui::visible(&holder.host),
                ui::visible(&holder.run),
                wait.as_secs() + 1
            ));
            is_told = true;
        }
        thread::park_timeout((*wait).min(Duration::from_secs(1)));
    }
}

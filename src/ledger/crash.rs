//! A crash on demand, so that a test can kill a run at every step that matters, one after another.
//!
//! Only debug builds have it. It must never do anything unless `IDSHIFT_CRASH_AT` is set.

/// Counts one durable step or call boundary; the `IDSHIFT_CRASH_AT`-th one aborts the process.
///
/// Does nothing in release builds.
#[inline]
pub fn crash_point() {
    #[cfg(debug_assertions)]
    armed::step();
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CRASH_AT: OnceLock<Option<u64>> = OnceLock::new();
    static STEPS: AtomicU64 = AtomicU64::new(0);

    pub(super) fn step() {
        let at = CRASH_AT.get_or_init(|| {
            let text = std::env::var("IDSHIFT_CRASH_AT").ok()?;
            text.parse().ok()
        });
        if let Some(at) = at
            && STEPS.fetch_add(1, Ordering::SeqCst) + 1 == *at
        {
            std::process::abort();
        }
    }
}

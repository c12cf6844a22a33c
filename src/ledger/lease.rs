//! Leases: until when a recorded write may be sent. A process keeps what it holds only while it renews its lease.

use super::WriteId;
use crate::moment::since_boot;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What became of an intent in a group that is durable.
#[derive(Debug)]
pub enum Noted {
    /// It is on record, and its write may depart while the lease holds.
    Granted(WriteId, Lease),
    /// Another process has the unit by now: the intent was not noted, and this process must do nothing more for the unit.
    Taken,
}

#[cfg(test)]
impl Noted {
    /// The number of an intent that was noted.
    pub(crate) fn granted(self) -> WriteId {
        match self {
            Self::Granted(write, _) => write,
            Self::Taken => panic!("another process has it"),
        }
    }
}

/// Until when a write may be sent. Each renewal moves the end. Without a shared ledger, a lease holds for ever.
#[derive(Debug, Clone, Default)]
pub struct Lease(Option<Arc<AtomicU64>>);

impl Lease {
    /// Returns a lease that does not hold before it is renewed.
    pub(crate) fn over() -> Self {
        Self(Some(Arc::default()))
    }

    /// Moves the end of the lease to `term` after `from`, a time of [`since_boot`]; never to an earlier time.
    pub(super) fn renew(&self, from: Duration, term: Duration) {
        if let Some(until) = &self.0 {
            let end = u64::try_from((from + term).as_millis()).unwrap_or(u64::MAX);
            until.fetch_max(end, Ordering::AcqRel);
        }
    }

    /// Returns a lease that holds until [`Lease::end`].
    #[cfg(test)]
    pub(crate) fn held() -> Self {
        Self(Some(Arc::new(AtomicU64::new(u64::MAX))))
    }

    /// Ends the lease for all of its copies.
    pub(crate) fn end(&self) {
        if let Some(until) = &self.0 {
            until.store(0, Ordering::Release);
        }
    }

    /// Whether it holds now.
    pub fn holds(&self) -> bool {
        let Some(until) = &self.0 else {
            return true;
        };
        since_boot() < Duration::from_millis(until.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_holds_until_its_end_and_default_lease_holds_forever() {
        let lease = Lease::over();
        let granted = lease.clone();
        assert!(!granted.holds());
        lease.renew(since_boot(), Duration::from_secs(60));
        assert!(granted.holds());
        lease.renew(Duration::ZERO, Duration::ZERO);
        assert!(
            granted.holds(),
            "an answer that comes late takes nothing back"
        );
        lease.end();
        assert!(!granted.holds());
        assert!(Lease::default().holds());
    }
}

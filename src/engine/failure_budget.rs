//! Limits how many lines may fail: in all processes on the run together, and in this one until the others report again.

use crate::domain::one_or_many;
use crate::ledger::Ended;
use crate::plan::Threshold;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The remaining number of lines that may fail. If several processes work on the run, each has a part of it, and asks
/// for more once its part is used up.
#[derive(Debug, Default)]
pub struct FailureBudget {
    inner: Mutex<Inner>,
    /// Other processes have reported.
    heard: Notify,
    /// This process needs a larger part.
    asks: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// What has ended in other processes, by their last report.
    others: Ended,
    /// How many lines may have failed in this process when it begins a unit; `None`: any number.
    part: Option<u64>,
}

impl FailureBudget {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each value is consistent at any time, so a poisoned lock can be used.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the counts of lines that ended in other processes on the run, by their last report.
    pub fn others(&self) -> Ended {
        self.inner().others
    }

    /// Sets the part: once this many lines have failed in this process, it begins no further unit.
    pub fn set_part(&self, most: u64) {
        self.inner().part = Some(most);
    }

    /// Takes a report of the other processes. `part`: as in [`FailureBudget::set_part`].
    pub fn hear(&self, others: Ended, part: Option<u64>) {
        let mut inner = self.inner();
        inner.others = others;
        inner.part = part.or(inner.part);
        drop(inner);
        self.heard.notify_one();
    }

    /// Returns once other processes have reported.
    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }

    /// Returns whether this process, in which `failed` lines have failed, may begin a unit. If not, it asks for a larger part.
    pub(super) fn may_begin(&self, failed: u64) -> bool {
        let is_left = self.inner().part.is_none_or(|most| failed < most);
        if !is_left {
            self.asks.notify_one();
        }
        is_left
    }

    /// Returns once a larger part is to be asked for.
    pub async fn asks(&self) {
        self.asks.notified().await;
    }

    /// Returns why the run stops, if more lines have failed than may. `here`: what has ended in this process.
    pub(super) fn exceeded(&self, limit: Option<Threshold>, here: Ended) -> Option<String> {
        let (limit, others) = (limit?, self.others());
        let failed = here.failed + others.failed;
        let is_exceeded = limit.is_exceeded_after_sample(failed, here.lines + others.lines);
        is_exceeded.then(|| {
            let failed = one_or_many(failed, "line has failed", "lines have failed");
            format!("--max-failures {limit}: {failed}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_up_share_blocks_new_units_and_failures_elsewhere_count() {
        let budget = FailureBudget::default();
        assert!(budget.may_begin(1_000), "any number may fail");
        let ended = |lines, failed| Ended { lines, failed };
        let limit = Some(Threshold::Count(20));
        assert_eq!(budget.exceeded(limit, ended(90, 20)), None);
        assert_eq!(budget.exceeded(None, ended(90, 90)), None);
        budget.set_part(0);
        assert!(!budget.may_begin(0));
        budget.hear(ended(50, 15), Some(3));
        assert!(budget.may_begin(2) && !budget.may_begin(3));
        assert_eq!(budget.exceeded(limit, ended(9, 5)), None);
        let words = budget.exceeded(limit, ended(9, 6)).unwrap();
        assert_eq!(words, "--max-failures 20: 21 lines have failed");
        // A percentage is judged once a hundred lines have ended in all processes together.
        let percent = Some(Threshold::Percent(10.0));
        assert_eq!(budget.exceeded(percent, ended(49, 9)), None);
        assert!(budget.exceeded(percent, ended(50, 9)).is_some());
    }
}

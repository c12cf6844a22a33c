//! Estimates the calls and the time that a file or a plan takes to be carried out.

use super::clock;
use super::error::CommandError;
use super::input_plan::InputPlan;
use crate::config::Resolved;
use crate::engine::{Lookup, Tally};
use crate::http::Counters;
use crate::ledger::Ledger;
use crate::plan::Shape;
use crate::system::{Changes, Lookups, PlannedChanges};
use crate::ui;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;

/// The number of calls by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Forecast {
    pub(super) account_writes: u64,
    /// Writes of temporary IDs: each swap or longer cycle parks one customer.
    pub(super) temporary_writes: u64,
    pub(super) location_writes: u64,
    pub(super) find: u64,
    pub(super) read: u64,
    pub(super) emails: u64,
}

impl Forecast {
    /// Estimates the calls from the results of a plan. `counters`: the calls that the plan has made.
    pub(super) fn of_plan(
        ledger: &Ledger,
        draft: &InputPlan,
        tally: &Tally,
        resolved: &Resolved,
        counters: Counters,
    ) -> Result<Self, CommandError> {
        let planned = ledger.planned()?;
        let cycles = draft.units.values().filter(|unit| {
            unit.shape == Shape::Cycle && unit.lines().any(|line| planned.contains(line))
        });
        let lines = planned.len();
        let (accounts, locations) = if lines > tally.of("would_change") {
            // The plan was resumed, and the tally does not include the lines of the earlier process.
            noted_writes(ledger)?
        } else {
            (
                tally.planned_account_writes.load(Ordering::Relaxed),
                tally.planned_location_writes.load(Ordering::Relaxed),
            )
        };
        let lookups = resolved.system.estimate_planned(&PlannedChanges {
            lines,
            all_lines: draft.counts.lines,
            account_writes: accounts,
            plan: Lookups {
                find: counters.find,
                read: counters.read,
            },
            singly: resolved.lookup == Lookup::Each,
        });
        Ok(Self {
            account_writes: accounts,
            temporary_writes: count(cycles.count()),
            location_writes: locations,
            find: lookups.find,
            read: lookups.read,
            emails: tally.planned_emails.load(Ordering::Relaxed),
        })
    }

    /// Reads the estimate of a plan from its ledger; `None`: the run is not a plan.
    pub(super) fn kept(ledger: &Ledger) -> Result<Option<Self>, CommandError> {
        let text = ledger.forecast()?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Estimates the most that a file can take, before any customer is looked up.
    pub(super) fn of_file(draft: &InputPlan, resolved: &Resolved) -> Self {
        let counts = &draft.counts;
        Self::of_changes(
            (counts.renames + counts.clears, counts.swaps + counts.cycles),
            counts.locations,
            (counts.lines, draft.without_customer),
            resolved,
        )
    }

    /// Estimates the calls for these writes and the look-ups before them. `swaps`: number of swaps and longer cycles among the
    /// `accounts`. `searched`: number of the `lines` that do not name the customer by the system's ID.
    pub(super) fn of_changes(
        (accounts, swaps): (u64, u64),
        locations: u64,
        (lines, searched): (u64, u64),
        resolved: &Resolved,
    ) -> Self {
        let lookups = resolved.system.estimate(&Changes {
            lines,
            searched,
            account_writes: accounts,
            location_writes: locations,
            singly: resolved.lookup == Lookup::Each,
        });
        Self {
            account_writes: accounts,
            temporary_writes: swaps,
            location_writes: locations,
            find: lookups.find,
            read: lookups.read,
            emails: 0,
        }
    }

    /// Returns only the calls that do not write.
    pub(super) fn lookups(self) -> Self {
        Self {
            find: self.find,
            read: self.read,
            ..Self::default()
        }
    }

    pub(super) fn writes(&self) -> u64 {
        self.account_writes + self.temporary_writes + self.location_writes
    }

    pub(super) fn calls(&self) -> u64 {
        self.writes() + self.find + self.read
    }

    /// Returns the duration in seconds at the present rate and quota.
    pub(super) fn seconds(&self, resolved: &Resolved) -> u64 {
        let main = resolved.find_rate.per_second();
        let by_rate = match resolved.write_rate {
            None => time(self.calls(), main),
            // Reads and writes have separate rate limits and run at the same time.
            Some(writes) => {
                time(self.find + self.read, main).max(time(self.writes(), writes.per_second()))
            }
        };
        let by_quota = resolved.whole_quota().map_or(0, |quota| {
            let windows = self.calls().saturating_sub(1) / u64::from(quota.calls.max(1));
            windows * quota.window.as_secs()
        });
        by_rate.max(by_quota)
    }

    /// For summary.json.
    pub(super) fn document(&self, resolved: &Resolved) -> serde_json::Value {
        let seconds = self.seconds(resolved);
        let ends = ends_at(seconds).map(|end| format!("{end:.3}"));
        json!({
            "writes": self.writes(),
            "account_writes": self.account_writes,
            "temporary_writes": self.temporary_writes,
            "location_writes": self.location_writes,
            "find": self.find,
            "read": self.read,
            "calls": self.calls(),
            "seconds": seconds,
            "ends_at": ends,
            "emails": self.emails,
        })
    }

    /// Describes for a person the calls, the duration and the end.
    pub(super) fn words(&self, resolved: &Resolved) -> String {
        let seconds = self.seconds(resolved);
        let quota = resolved.quota_words();
        let mut words = format!(
            "{} ({}) and about {} at {}{}{}",
            ui::counted(self.calls(), "call"),
            ui::counted(self.writes(), "write"),
            ui::duration(seconds),
            resolved.find_rate,
            quota.map_or_else(String::new, |quota| format!(" and {quota}")),
            ends_at(seconds).map_or_else(String::new, |end| format!(
                ": done at {}",
                clock::words(end)
            )),
        );
        if self.emails > 0 {
            words.push_str(&format!(
                "; {} would go out",
                ui::counted(self.emails, "welcome e-mail")
            ));
        }
        words
    }
}

/// Counts the customers and locations that a plan would write, with eight bytes for each, whatever its ID's length.
fn noted_writes(ledger: &Ledger) -> Result<(u64, u64), CommandError> {
    let hasher = RandomState::new();
    let (mut customers, mut locations) = (Vec::new(), Vec::new());
    for outcome in ledger.outcomes_with(&["would_change"]) {
        let outcome = outcome?;
        if outcome.service.before != outcome.service.after
            || outcome.profile.before != outcome.profile.after
        {
            locations.extend(outcome.location.map(|id| hasher.hash_one(id)));
        }
        if outcome.account.before != outcome.account.after {
            customers.extend(outcome.customer.map(|id| hasher.hash_one(id)));
        }
    }
    Ok((count(different(customers)), count(different(locations))))
}

/// Returns the number of distinct values.
fn different(mut numbers: Vec<u64>) -> usize {
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a forecast in seconds"
)]
fn time(calls: u64, per_second: Option<f64>) -> u64 {
    per_second.map_or(0, |rate| (calls as f64 / rate).ceil() as u64)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Returns the time after this many seconds from now; `None`: that is out of range.
fn ends_at(seconds: u64) -> Option<jiff::Timestamp> {
    let span = jiff::SignedDuration::from_secs(i64::try_from(seconds).ok()?);
    jiff::Timestamp::now().checked_add(span).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn estimate_uses_both_rate_and_quota() {
        let forecast = Forecast {
            account_writes: 4000,
            temporary_writes: 1,
            find: 80,
            ..Forecast::default()
        };
        let seconds = |given| forecast.seconds(&Resolved::example(given));
        assert_eq!((forecast.writes(), forecast.calls()), (4001, 4081));
        assert_eq!(seconds(&[("rate", "10/s")]), 409);
        assert_eq!(seconds(&[]), 681);
        assert_eq!(seconds(&[("quota", "1000/1h")]), 4 * 3600);
        assert_eq!(
            seconds(&[("find_rate", "10/s"), ("write_rate", "1/s")]),
            4001
        );
        assert_eq!(seconds(&[("rate", "unlimited")]), 0);
    }

    #[test]
    fn estimate_includes_a_read_before_each_adobe_write() {
        let adobe = Forecast::of_changes(
            (100, 0),
            0,
            (100, 100),
            &Resolved::example(&[("system", "adobe")]),
        );
        assert_eq!((adobe.read, adobe.find, adobe.calls()), (101, 4, 205));
        let plume = Forecast::of_changes((100, 0), 20, (120, 120), &Resolved::example(&[]));
        assert_eq!((plume.read, plume.find, plume.calls()), (0, 3, 123));
        // With single look-ups, the locations of each customer are requested as well.
        let each = Forecast::of_changes(
            (100, 0),
            20,
            (120, 120),
            &Resolved::example(&[("lookup", "each")]),
        );
        assert_eq!((each.read, each.find, each.calls()), (20, 120, 260));
        let named = Forecast::of_changes(
            (100, 0),
            20,
            (120, 0),
            &Resolved::example(&[("lookup", "each")]),
        );
        assert_eq!((named.read, named.find, named.calls()), (120, 0, 240));
    }
}

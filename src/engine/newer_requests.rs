//! What other runs requested for customers since a run was begun: 16 bytes for each customer or location.
//!
//! Customers and locations are stored only as 64-bit hashes. If two have the same hash, a line may be `stale` without a
//! reason, and nothing is written.

use crate::domain::{CustomerId, LocationId};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Records which newer run requested a change of a customer's account ID or of one of its locations.
#[derive(Debug, Clone, Default)]
pub struct NewerRequests {
    hasher: RandomState,
    /// The names of the runs, the newest first.
    runs: Vec<Arc<str>>,
    /// Sorted by hash, with one entry for each customer or location.
    wanted: Vec<Wanted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    /// The hash of the customer and the location.
    what: u64,
    /// The newest run that requested a change, as an index into `runs`.
    run: u32,
    /// `true`: some run wrote this value or may have written it; `false`: runs only found it already in place.
    wrote: bool,
}

impl NewerRequests {
    /// Begins the list of what a run requested. Runs must be added from the newest to the oldest.
    pub fn add_run(&mut self, run: &str) -> AddRun<'_> {
        let number = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        self.runs.push(run.into());
        AddRun {
            first: self.wanted.len(),
            restored: Vec::new(),
            newer: self,
            run: number,
        }
    }

    /// Returns for how many customers and locations a change was requested.
    pub fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Returns the run that began last of those that requested a change, by its name, which begins with the time.
    pub fn last_begun(&self) -> Option<&str> {
        let runs = self.wanted.iter().map(|wanted| self.run_of(*wanted));
        runs.max()
    }

    /// Returns which run requested a change of this customer or location.
    pub(super) fn wanted_by(
        &self,
        customer: &CustomerId,
        location: Option<&LocationId>,
    ) -> Option<&str> {
        let wanted = self.find(customer, location)?;
        Some(self.run_of(wanted))
    }

    /// Returns whether another run wrote, or may have written, to this customer or location.
    pub(super) fn is_written(&self, customer: &CustomerId, location: Option<&LocationId>) -> bool {
        self.find(customer, location)
            .is_some_and(|wanted| wanted.wrote)
    }

    fn run_of(&self, wanted: Wanted) -> &str {
        let run = self.runs.get(wanted.run as usize);
        run.map_or("", |run| &**run)
    }

    fn find(&self, customer: &CustomerId, location: Option<&LocationId>) -> Option<Wanted> {
        if self.wanted.is_empty() {
            return None;
        }
        let what = self.hasher.hash_one((customer, location));
        let found = self.wanted.binary_search_by_key(&what, |one| one.what);
        found.ok().map(|at| self.wanted[at])
    }
}

/// Collects what one run requested.
#[derive(Debug)]
pub struct AddRun<'a> {
    newer: &'a mut NewerRequests,
    run: u32,
    /// The index in `wanted` at which the entries of this run begin.
    first: usize,
    /// The hashes of the customers and locations that were restored since the last entry was added.
    restored: Vec<u64>,
}

impl AddRun<'_> {
    /// Adds a change that the run requested for this customer or location.
    pub fn add(&mut self, customer: &CustomerId, location: Option<&LocationId>, wrote: bool) {
        self.forget_restored();
        self.newer.wanted.push(Wanted {
            what: self.newer.hasher.hash_one((customer, location)),
            run: self.run,
            wrote,
        });
    }

    /// Removes what was added so far for this customer or location, because its former value has been restored.
    pub fn restore(&mut self, customer: &CustomerId, location: Option<&LocationId>) {
        let what = self.newer.hasher.hash_one((customer, location));
        self.restored.push(what);
    }

    /// Removes the values that the run only found already in place and did not write.
    pub fn retain_written(&mut self) {
        self.forget_restored();
        let (first, mut at) = (self.first, 0);
        self.newer.wanted.retain(|wanted| {
            at += 1;
            at <= first || wanted.wrote
        });
    }

    fn forget_restored(&mut self) {
        if self.restored.is_empty() {
            return;
        }
        self.restored.sort_unstable();
        let (restored, first) = (&self.restored, self.first);
        let mut at = 0;
        self.newer.wanted.retain(|wanted| {
            at += 1;
            at <= first || restored.binary_search(&wanted.what).is_err()
        });
        self.restored.clear();
    }

    /// Ends the list of the run, and merges it with the lists of the newer runs.
    pub fn finish(mut self) {
        self.forget_restored();
        let wanted = &mut self.newer.wanted;
        wanted.sort_unstable();
        wanted.dedup_by(|next, kept| {
            let is_same = next.what == kept.what;
            kept.wrote |= is_same && next.wrote;
            is_same
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn undone_request_of_a_run_does_not_count_but_a_later_one_does() {
        let (one, two) = (
            CustomerId::new("C-1").unwrap(),
            CustomerId::new("C-2").unwrap(),
        );
        let location = LocationId::new("L-1").unwrap();
        let mut newer = NewerRequests::default();
        let mut newest = newer.add_run("newest");
        newest.add(&one, None, true);
        newest.add(&two, None, true);
        newest.add(&two, Some(&location), true);
        newest.restore(&one, None);
        newest.restore(&two, None);
        newest.add(&one, None, true);
        newest.finish();
        let mut older = newer.add_run("older");
        older.add(&two, None, true);
        // The undo of the older run says nothing about what the newer run requested.
        older.restore(&one, None);
        older.finish();
        assert_eq!(newer.wanted_by(&one, None), Some("newest"));
        assert_eq!(newer.wanted_by(&two, None), Some("older"));
        assert_eq!(newer.wanted_by(&two, Some(&location)), Some("newest"));
    }

    proptest! {
        #[test]
        fn newest_run_is_reported_and_writes_of_all_runs_count(
            runs in proptest::collection::vec(
                proptest::collection::vec((0_u8..9, 0_u8..3, any::<bool>()), 0..20), 0..6),
        ) {
            let customer = |n: u8| CustomerId::new(format!("C-{n}")).unwrap();
            let location = |n: u8| (n > 0).then(|| LocationId::new(format!("L-{n}")).unwrap());
            let (mut newer, mut model) = (NewerRequests::default(), HashMap::new());
            for (number, run) in runs.iter().enumerate() {
                let name = format!("run-{number}");
                let mut adding = newer.add_run(&name);
                for (id, place, wrote) in run {
                    adding.add(&customer(*id), location(*place).as_ref(), *wrote);
                    let known = model.entry((*id, *place)).or_insert((name.clone(), false));
                    known.1 |= wrote;
                }
                adding.finish();
            }
            let newest = model.values().map(|(run, _)| run.as_str()).max();
            prop_assert_eq!(newer.last_begun(), newest);
            prop_assert_eq!(newer.len(), model.len());
            for (id, place) in (0..9).flat_map(|id| (0..3).map(move |place| (id, place))) {
                let (customer, location) = (customer(id), location(place));
                let known = model.get(&(id, place));
                let by = newer.wanted_by(&customer, location.as_ref());
                prop_assert_eq!(by, known.map(|(run, _)| run.as_str()));
                let is_written = newer.is_written(&customer, location.as_ref());
                prop_assert_eq!(is_written, known.is_some_and(|(_, wrote)| *wrote));
            }
        }
    }
}

//! What must hold at the end of every run.

use super::Simulation;
use crate::domain::{AccountId, Change, Line, Outcome, ServiceId, Status};
use crate::engine::Ending;
use crate::engine::tests::world::{Call, State};
use crate::plan::Shape;
use std::collections::BTreeMap;

impl Simulation {
    pub(super) fn judge(&self) {
        let (state, kept) = (self.world.lock(), self.notes.lock());
        assert_eq!(state.broken, None);
        judge_writes(&state.log);
        // Each line has one outcome.
        let lines: Vec<Line> = self.changes.iter().map(|change| change.line).collect();
        assert!(
            kept.outcomes.keys().copied().eq(lines.iter().copied()),
            "lines and outcomes"
        );
        // Each write was recorded before it was sent: as many intents as writes, or more after a kill in between.
        let sent = state
            .log
            .iter()
            .filter(|call| matches!(call, Call::Write { .. }))
            .count();
        assert!(
            sent <= kept.writes.len(),
            "{sent} writes, {} intents",
            kept.writes.len()
        );
        for record in state.customers.values() {
            let account = record.account.to_uppercase();
            assert!(!account.starts_with("IDS"), "left under {account}");
        }
        for change in &self.changes {
            self.judge_line(change, &kept.outcomes, &state);
        }
        if state.touched.is_empty() {
            self.judge_cycles(&state);
        }
        if self.calm && state.touched.is_empty() && state.as_stored("A-1") == "A-1" {
            self.judge_calm(&state.log, &kept.outcomes);
        }
    }

    /// Checks that a session that ended well leaves lines open only while a line is in doubt.
    pub(super) fn judge_ending(&self, ending: Option<&Ending>) {
        if !matches!(ending, Some(Ending::Finished)) {
            return;
        }
        let kept = self.notes.lock();
        let status = |change: &Change| kept.outcomes.get(&change.line).map(|one| one.status);
        let is_open = |one: &&Change| matches!(status(one), None | Some(Status::WouldChange));
        let open: Vec<Line> = self
            .changes
            .iter()
            .filter(is_open)
            .map(|one| one.line)
            .collect();
        let waits = self
            .changes
            .iter()
            .any(|one| status(one) == Some(Status::InDoubt));
        assert!(
            open.is_empty() || waits,
            "lines {open:?} are open, and none is in doubt"
        );
    }

    /// Checks that the customer is as the report says, and as the line requested or as before.
    fn judge_line(&self, change: &Change, outcomes: &BTreeMap<Line, Outcome>, state: &State) {
        let outcome = &outcomes[&change.line];
        let Some((id, was)) = self.before.iter().find(|(_, r)| {
            change
                .account
                .as_ref()
                .is_some_and(|a| a.as_str() == r.account)
        }) else {
            assert_eq!(
                outcome.status.name(),
                "failed",
                "nobody has this account ID"
            );
            return;
        };
        let now = &state.customers[id];
        if state.touched.contains_key(id) {
            return;
        }
        let wished = change
            .new_account
            .id()
            .map_or(was.account.as_str(), AccountId::as_str);
        let service = change
            .service
            .as_ref()
            .map_or(was.service.as_str(), ServiceId::as_str);
        if matches!(outcome.status, Status::Changed | Status::Unchanged(_)) {
            assert_eq!(
                (now.account.as_str(), now.service.as_str()),
                (wished, service),
                "line {}: {outcome:?}",
                change.line
            );
            assert_eq!(
                outcome.account.before.as_ref().map(AccountId::as_str),
                Some(was.account.as_str()),
                "{outcome:?}"
            );
        } else {
            let possible = [was.account.clone(), wished.to_owned()];
            let stored = possible.each_ref().map(|account| state.as_stored(account));
            assert!(
                possible.contains(&now.account) || stored.contains(&now.account),
                "line {}: {outcome:?}",
                change.line
            );
            assert!(
                now.service == was.service || now.service == service,
                "line {}: {outcome:?}",
                change.line
            );
            // Another line for the same customer may have succeeded later.
            let is_last = outcomes.values().all(|other| {
                other.customer != outcome.customer || other.finished_at_ms <= outcome.finished_at_ms
            });
            if let Some(after) = outcome.account.after.as_ref().filter(|_| is_last) {
                assert_eq!(
                    after.as_str(),
                    now.account,
                    "line {}: the report says otherwise",
                    change.line
                );
            }
        }
    }

    /// Checks that all customers of a cycle were renamed, or none.
    fn judge_cycles(&self, state: &State) {
        for unit in self.units.iter().filter(|unit| unit.shape == Shape::Cycle) {
            let moved: Vec<bool> = unit
                .members
                .iter()
                .map(|member| {
                    let account = member.changes[0].account.as_ref().unwrap();
                    let (id, was) = self
                        .before
                        .iter()
                        .find(|(_, r)| r.account == account.as_str())
                        .unwrap();
                    let now = &state.customers[id].account;
                    *now != was.account && *now != state.as_stored(&was.account)
                })
                .collect();
            assert!(
                moved.iter().all(|m| *m == moved[0]),
                "half a ring: {moved:?}"
            );
        }
    }

    /// Checks that without faults everything that is possible is as requested, with few calls.
    fn judge_calm(&self, log: &[Call], outcomes: &BTreeMap<Line, Outcome>) {
        for outcome in outcomes.values() {
            let expected = matches!(outcome.status, Status::Changed | Status::Unchanged(_));
            let unit = self
                .units
                .iter()
                .find(|unit| unit.lines().any(|line| line == outcome.line))
                .unwrap();
            let impossible = unit.changes().any(|change| {
                change
                    .new_account
                    .id()
                    .is_some_and(|id| id.as_str() == "OUTSIDER")
                    || change
                        .account
                        .as_ref()
                        .is_some_and(|id| id.as_str() == "NOBODY")
            });
            assert!(expected || impossible, "{outcome:?}");
        }
        // A search or a second reading, the write, and the further calls of a cycle, a canary and a plan.
        let calls = log.iter().filter(|call| !matches!(call, Call::Told(_)));
        let calls = calls.count();
        assert!(
            calls <= 8 * self.changes.len() + 4,
            "{calls} calls for {} lines",
            self.changes.len()
        );
    }
}

/// A write that may have taken effect, and what is known of it.
struct Doubt<'a> {
    customer: &'a str,
    what: &'a str,
    /// The place of the write in the log.
    sent: usize,
    /// Whether a look at the customer was answered that the system received after the write.
    looked: bool,
}

/// Checks that a write that may have taken effect is sent again only after a reading of that customer.
fn judge_writes(log: &[Call]) {
    let mut doubts: Vec<Doubt<'_>> = Vec::new();
    for (at, call) in log.iter().enumerate() {
        match call {
            Call::Look(_) => {}
            Call::Told(look) => {
                let Call::Look(shown) = &log[*look] else {
                    panic!("{look} is no look");
                };
                for doubt in &mut doubts {
                    let is_shown = shown.iter().any(|shown| shown == doubt.customer);
                    doubt.looked |= is_shown && doubt.sent < *look;
                }
            }
            Call::ByOthers(id) => doubts.retain(|doubt| doubt.customer != id),
            Call::Write {
                customer,
                what,
                applied,
                certain,
            } => {
                let is_same = |doubt: &Doubt<'_>| doubt.customer == customer && doubt.what == what;
                let is_blind = doubts.iter().any(|doubt| is_same(doubt) && !doubt.looked);
                assert!(!is_blind, "sent again without a look: {call:?}");
                doubts.retain(|doubt| !(is_same(doubt) || *applied && doubt.customer == customer));
                if !certain {
                    let (sent, looked) = (at, false);
                    doubts.push(Doubt {
                        customer,
                        what,
                        sent,
                        looked,
                    });
                }
            }
        }
    }
}

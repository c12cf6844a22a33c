//! What carrying something out would take, and the question that a person is asked before it is done.

use super::clock;
use super::command_error::CommandError;
use super::guards::Guards;
use super::input_plan::InputPlan;
use crate::config::Resolved;
use crate::domain::Status;
use crate::engine::{Lookup, Tally};
use crate::http::Counters;
use crate::ledger::Ledger;
use crate::plan::Shape;
use crate::report::{CannotUndo, plan_digest};
use crate::system::Kind;
use crate::ui;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashSet;
use std::sync::atomic::Ordering;

/// The number of lines that are looked up with one call, if the system can do that: half of a batch, because the new
/// IDs are looked up as well.
const LINES_A_CALL: u64 = 50;

/// Calls by what they are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Forecast {
    pub(super) account_writes: u64,
    /// Of swaps and longer cycles: one customer is parked.
    pub(super) temporary_writes: u64,
    pub(super) location_writes: u64,
    pub(super) find: u64,
    pub(super) read: u64,
    pub(super) emails: u64,
}

impl Forecast {
    /// What a plan has found out. `counters` are those of the plan.
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
            // The plan was gone on with, and what was seen before is not counted again.
            noted_writes(ledger)?
        } else {
            (
                tally.planned_account_writes.load(Ordering::Relaxed),
                tally.planned_location_writes.load(Ordering::Relaxed),
            )
        };
        let looked = counters.find + counters.read;
        let singly = looked >= draft.counts.lines || resolved.lookup == Lookup::Each;
        // A customer that the plan has found is looked up by the system's own ID.
        let (find, read) = match resolved.system {
            // The list is read once more after the run, to see whether everything lasts.
            Kind::Adobe => (2 * counters.find, adobe_reads(accounts)),
            Kind::CloudCockpit if singly => (lines, lines),
            Kind::CloudCockpit => (counters.find, 0),
            Kind::Plume if resolved.lookup == Lookup::Each => (0, lines),
            // The filter is tried once more before customers are read one by one.
            Kind::Plume if looked > draft.counts.lines => (1, lines),
            Kind::Plume => (lines.div_ceil(LINES_A_CALL), 0),
        };
        Ok(Self {
            account_writes: accounts,
            temporary_writes: count(cycles.count()),
            location_writes: locations,
            find,
            read,
            emails: tally.planned_emails.load(Ordering::Relaxed),
        })
    }

    /// What the ledger of a plan keeps of that; `None`: it is no plan.
    pub(super) fn kept(ledger: &Ledger) -> Result<Option<Self>, CommandError> {
        let text = ledger.get("forecast")?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// What a file would take at the most, as far as that is known before anybody is looked up.
    pub(super) fn of_file(draft: &InputPlan, resolved: &Resolved) -> Self {
        let counts = &draft.counts;
        let mut forecast = Self::of_changes(
            counts.renames + counts.clears,
            counts.locations,
            (counts.lines, draft.without_customer),
            resolved,
        );
        forecast.temporary_writes = counts.swaps + counts.cycles;
        forecast
    }

    /// What these writes take, and the look-ups before them: of all lines, `searched` name no customer by the system's ID.
    pub(super) fn of_changes(
        accounts: u64,
        locations: u64,
        (lines, searched): (u64, u64),
        resolved: &Resolved,
    ) -> Self {
        let batches = lines.div_ceil(LINES_A_CALL);
        let singly = resolved.lookup == Lookup::Each;
        let (find, read) = match resolved.system {
            // How long the list is shows only when it is read, before and after.
            Kind::Adobe => (2 * batches, adobe_reads(accounts)),
            // A search returns no locations; reading a customer by ID returns them.
            Kind::Plume if singly => (searched, lines - searched + locations.min(searched)),
            Kind::CloudCockpit if singly => (lines, 0),
            Kind::Plume | Kind::CloudCockpit => (batches, 0),
        };
        Self {
            account_writes: accounts,
            location_writes: locations,
            find,
            read,
            ..Self::default()
        }
    }

    pub(super) fn writes(&self) -> u64 {
        self.account_writes + self.temporary_writes + self.location_writes
    }

    pub(super) fn calls(&self) -> u64 {
        self.writes() + self.find + self.read
    }

    /// How long it takes at the present rate and quota.
    pub(super) fn seconds(&self, resolved: &Resolved) -> u64 {
        let main = resolved.find_rate.per_second();
        let by_rate = match resolved.write_rate {
            None => time(self.calls(), main),
            // Reads and writes have separate rate limits and run at the same time.
            Some(writes) => {
                time(self.find + self.read, main).max(time(self.writes(), writes.per_second()))
            }
        };
        let by_quota = resolved.quota.map_or(0, |quota| {
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

    /// For a person: calls, how long, until when.
    pub(super) fn words(&self, resolved: &Resolved) -> String {
        let seconds = self.seconds(resolved);
        let quota = resolved.quota;
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

/// The question before something is written.
pub(super) struct Question<'a> {
    /// `apply moves.csv`.
    pub(super) what: String,
    /// What of it, in numbers.
    pub(super) counts: String,
    pub(super) forecast: Option<Forecast>,
    /// Whether it is known what would change, and not only what is asked for.
    pub(super) looked: bool,
    pub(super) resolved: &'a Resolved,
    pub(super) base_url: &'a str,
    pub(super) profile: Option<&'a str>,
    pub(super) limits: &'a Guards,
    /// Whether service IDs may be set where there are none now.
    pub(super) may_set_services: bool,
}

impl Question<'_> {
    pub(super) fn text(&self) -> Result<String, CommandError> {
        let mut text = format!(
            "{}: {} at {}",
            self.what,
            self.resolved.system.capabilities().title,
            ui::visible(self.base_url)
        );
        for (name, value) in [
            ("tenant", self.resolved.tenant.as_deref()),
            ("profile", self.profile),
        ] {
            if let Some(value) = value {
                text.push_str(&format!(", {name} {}", ui::visible(value)));
            }
        }
        text.push_str(&format!("\n  {}", self.counts));
        if let Some(forecast) = &self.forecast {
            // What needs no write, or cannot be found in bulk, shows only when it is looked up.
            let most = if self.looked { "" } else { "about " };
            text.push_str(&format!("\n  {most}{}", forecast.words(self.resolved)));
        }
        let counted = self.forecast.is_some_and(|forecast| forecast.emails > 0);
        if self.resolved.sends_emails() && !counted {
            text.push_str(
                "\n  every contact of each customer that is written may get a welcome e-mail",
            );
        }
        if !self.looked && self.may_set_services {
            text.push_str(
                "\n  a service ID that is set where there was none cannot be undone; `idshift plan` says how many",
            );
        }
        text.push_str(&format!("\n  {}", self.limits.words()?));
        text.push_str("\n  to restore what was there before: the `idshift undo` command that is printed at the end");
        Ok(text)
    }
}

/// What cannot be undone of the lines that a plan has found to change, and the plan's digest.
pub(super) fn planned_words(ledger: &Ledger, resolved: &Resolved) -> Result<String, CommandError> {
    let mut text = String::new();
    let can_clear = resolved.system.capabilities().can_clear;
    for words in CannotUndo::of_plan(ledger, can_clear)?.words() {
        text.push_str(&format!("\n  {words}"));
    }
    if let Some(digest) = plan_digest(ledger)? {
        text.push_str(&format!("\n  plan digest {digest}"));
    }
    Ok(text)
}

/// What a file asks for, in one line.
pub(super) fn counts(draft: &InputPlan) -> String {
    let counts = &draft.counts;
    let mut parts = Vec::new();
    for (number, one, many) in [
        (counts.renames, "new account ID", "new account IDs"),
        (
            counts.clears,
            "account ID to be removed",
            "account IDs to be removed",
        ),
        (
            counts.locations,
            "service ID or profile",
            "service IDs or profiles",
        ),
        (counts.chains, "chain", "chains"),
        (counts.swaps, "swap", "swaps"),
        (counts.cycles, "longer cycle", "longer cycles"),
        (
            counts.duplicates,
            "that repeats another",
            "that repeat another",
        ),
        (
            counts.nothing,
            "that asks for nothing",
            "that ask for nothing",
        ),
        (
            draft.invalid_lines(),
            "left out as invalid",
            "left out as invalid",
        ),
    ] {
        if number > 0 {
            parts.push(ui::one_or_many(number, one, many));
        }
    }
    format!("{}: {}", ui::lines(counts.lines), parts.join(", "))
}

/// The writes that a plan has noted, by customer and by location.
fn noted_writes(ledger: &Ledger) -> Result<(u64, u64), CommandError> {
    let (mut customers, mut locations) = (HashSet::new(), HashSet::new());
    for outcome in ledger.outcomes() {
        let outcome = outcome?;
        if outcome.status != Status::WouldChange {
            continue;
        }
        if outcome.service.before != outcome.service.after
            || outcome.profile.before != outcome.profile.after
        {
            locations.extend(outcome.location);
        }
        if outcome.account.before != outcome.account.after {
            customers.extend(outcome.customer);
        }
    }
    Ok((count(customers.len()), count(locations.len())))
}

/// Each write reads its customer first. After the first write the customer is read again.
fn adobe_reads(accounts: u64) -> u64 {
    accounts + accounts.min(1)
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

/// When something is done that is begun now; `None`: after all time.
fn ends_at(seconds: u64) -> Option<jiff::Timestamp> {
    let span = jiff::SignedDuration::from_secs(i64::try_from(seconds).ok()?);
    jiff::Timestamp::now().checked_add(span).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{File, Values};
    use std::collections::BTreeMap;

    fn resolved(given: &[(&'static str, &str)]) -> Resolved {
        let given: Vec<_> = given
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect();
        let mut values = Values::gather(&given, &BTreeMap::new(), File::default(), None).unwrap();
        Resolved::of(&mut values).unwrap()
    }

    #[test]
    fn rate_and_quota_both_count() {
        let forecast = Forecast {
            account_writes: 4000,
            temporary_writes: 1,
            find: 80,
            ..Forecast::default()
        };
        let seconds = |given| forecast.seconds(&resolved(given));
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
    fn every_write_to_adobe_reads_first() {
        let adobe = Forecast::of_changes(100, 0, (100, 100), &resolved(&[("system", "adobe")]));
        assert_eq!((adobe.read, adobe.find, adobe.calls()), (101, 4, 205));
        let plume = Forecast::of_changes(100, 20, (120, 120), &resolved(&[]));
        assert_eq!((plume.read, plume.find, plume.calls()), (0, 3, 123));
        // One by one, the locations of a customer are asked for as well.
        let each = Forecast::of_changes(100, 20, (120, 120), &resolved(&[("lookup", "each")]));
        assert_eq!((each.read, each.find, each.calls()), (20, 120, 260));
        let named = Forecast::of_changes(100, 20, (120, 0), &resolved(&[("lookup", "each")]));
        assert_eq!((named.read, named.find, named.calls()), (120, 0, 240));
    }

    #[test]
    fn the_question_names_whatever_a_person_must_know() {
        let resolved = resolved(&[
            ("system", "cloudcockpit"),
            ("tenant", "portal.example"),
            ("rate", "6/s"),
            ("quota", "2000/5m"),
        ]);
        let question = Question {
            what: "apply moves.csv".to_owned(),
            counts: "12 lines: 12 new account IDs".to_owned(),
            forecast: Some(Forecast::of_changes(12, 0, (12, 12), &resolved)),
            looked: false,
            resolved: &resolved,
            base_url: "https://api.example.com",
            profile: Some("night"),
            limits: &Guards {
                max_failures: Some("5%".to_owned()),
                canary: Some(5),
                ..Guards::default()
            },
            may_set_services: false,
        };
        let text = question.text().unwrap();
        let begins = "apply moves.csv: CloudCockpit at https://api.example.com, tenant portal.example, profile night\n  \
             12 lines: 12 new account IDs\n  about 13 calls (12 writes) and about 3 s at 6/s and 2000/5m: done at ";
        assert!(text.starts_with(begins), "{text}");
        let end = "\n  guards: stops when more than 5% of the lines fail; verifies the first 5 units before it continues\n  \
             to restore what was there before: the `idshift undo` command that is printed at the end";
        let when = text[begins.len()..].strip_suffix(end).unwrap();
        assert!(when.len() >= "03:14".len() && when.contains(':'), "{text}");
    }
}

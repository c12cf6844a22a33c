//! Records what the sessions of a run do not note: in one statement, all or nothing, and once.

use super::process_lease::Process;
use super::rows::{Rows, kept};
use super::statement::Statement;
use crate::domain::Outcome;
use crate::ledger::columns::{Row, Value};
use crate::ledger::store::{Fact, Put};
use crate::ledger::{
    Counted, DriftedLine, LedgerError, RemovedFile, drift, outcome_columns, remains,
};
use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};

/// Maximum number of rows per statement, where there are many.
const PAGE: usize = 2_000;
const CLOSED: &str = "status, reason, lines, first_line";
pub(super) const WISHES: &str = "wish, customer_id, checksum";
const REMOVED: &str = "name, sha256, bytes";

/// Records all of this for a run. `changes`: the number of changes on record, as far as this process knows.
pub(super) fn put(
    process: &Process,
    run: &str,
    (session, changes): (Option<i32>, &AtomicI64),
    all: Vec<Put<'_>>,
) -> Result<(), LedgerError> {
    let mut whole = Change::default();
    for one in all {
        // Pages of rows are recorded before the rest: they only add to what is there, and mean nothing without the rest.
        for page in whole.take(one) {
            page.record(process, run, (session, changes))?;
        }
    }
    whole.record(process, run, (session, changes))
}

/// What one statement records.
#[derive(Default)]
struct Change {
    facts: Option<String>,
    counts: Option<String>,
    drift: Option<String>,
    gone: Vec<i64>,
    found: Option<Rows>,
    none_found: bool,
    no_unlooked: bool,
    wishes: Option<String>,
    replaced: Vec<i64>,
    removed: Option<String>,
}

impl Change {
    /// Adds something; if it has many rows, returns pages of them as changes of their own.
    fn take(&mut self, what: Put<'_>) -> Vec<Self> {
        match what {
            Put::Facts(facts) => self.facts = Some(facts_json(facts)),
            Put::Counts(counts) => self.counts = Some(counts_json(counts)),
            Put::Drift(lines) => self.drift = Some(drift_json(lines)),
            Put::Outcomes(outcomes) => return self.take_outcomes(outcomes),
            Put::NoOutcomes(lines) => self.gone.extend(lines.iter().copied().map(i64::from)),
            Put::NoneFound => self.none_found = true,
            Put::NoUnlooked => self.no_unlooked = true,
            Put::Wishes(wishes) => {
                let pages = wishes.chunks(PAGE).map(|page| {
                    let mut rows = Rows::of(WISHES);
                    for (wish, customer) in page {
                        rows.push_summed(&remains::wish_values(*wish, customer.as_str()));
                    }
                    Self {
                        wishes: rows.json(),
                        ..Self::default()
                    }
                });
                return pages.collect();
            }
            Put::Replaced(digests) => {
                let pages = digests.chunks(PAGE).map(|page| Self {
                    replaced: page.iter().map(|digest| digest.cast_signed()).collect(),
                    ..Self::default()
                });
                return pages.collect();
            }
            Put::Removed(files) => self.removed = removed_json(files),
        }
        Vec::new()
    }

    fn take_outcomes(&mut self, outcomes: &mut dyn Iterator<Item = Outcome>) -> Vec<Self> {
        let mut pages = Vec::new();
        let mut lines = HashSet::new();
        for outcome in outcomes {
            // One statement does not take two rows for one line.
            if lines.len() >= PAGE || !lines.insert(outcome.line) {
                lines = HashSet::from([outcome.line]);
                let page = Self {
                    found: self.found.take(),
                    gone: std::mem::take(&mut self.gone),
                    ..Self::default()
                };
                pages.push(page);
            }
            // Removes what was known of the line.
            self.gone.push(outcome.line.into());
            let rows = self
                .found
                .get_or_insert_with(|| Rows::of(outcome_columns::COLUMNS));
            rows.push_summed(&outcome_columns::values(&outcome));
        }
        pages
    }

    fn record(
        self,
        process: &Process,
        run: &str,
        (session, changes): (Option<i32>, &AtomicI64),
    ) -> Result<(), LedgerError> {
        let token = format!("{:016x}", fastrand::u64(..));
        let found = self.found.and_then(Rows::json);
        loop {
            let sql = "SELECT number, done, refused FROM put($1, $2, $3, $4, $5::text::json, $6::text::json, \
                       $7::text::json, $8, $9::text::json, $10, $11, $12::text::json, $13, $14::text::json)";
            let statement = Statement::repeatable(sql)
                .with(run.to_owned())
                .with(session)
                .with(changes.load(Ordering::Relaxed))
                .with(token.clone())
                .with(self.facts.clone())
                .with(self.counts.clone())
                .with(self.drift.clone())
                .with(self.gone.clone())
                .with(found.clone())
                .with(self.none_found)
                .with(self.no_unlooked)
                .with(self.wishes.clone())
                .with(self.replaced.clone())
                .with(self.removed.clone());
            let (number, done, refused) = process.row(statement, |row| {
                let number: Option<i64> = row.optional(0)?;
                Ok((number.unwrap_or(0), row.truth(1)?, row.word(2)?.to_owned()))
            })?;
            if !refused.is_empty() {
                return Err(LedgerError::TakenOver {
                    at: process.place().to_owned(),
                    run: run.to_owned(),
                    why: refused,
                });
            }
            changes.store(number, Ordering::Relaxed);
            if done {
                return Ok(());
            }
        }
    }
}

fn facts_json(facts: &[(Fact, Value<'_>)]) -> String {
    let facts = facts.iter().map(|(Fact(name), value)| {
        let value = match *value {
            Value::None => serde_json::Value::Null,
            Value::Number(number) => number.into(),
            Value::Text(text) => kept(text).into(),
        };
        ((*name).to_owned(), value)
    });
    serde_json::Value::Object(facts.collect()).to_string()
}

/// Returns an empty array, and not nothing, if there are no rows: that is recorded, too.
fn all(rows: Rows) -> String {
    rows.json().unwrap_or_else(|| "[]".to_owned())
}

pub(super) fn counts_json(counts: &[Counted]) -> String {
    let mut rows = Rows::of(CLOSED);
    for one in counts {
        rows.push(&[
            one.status.name().into(),
            one.status.reason().into(),
            one.lines.cast_signed().into(),
            one.first_line.into(),
        ]);
    }
    all(rows)
}

pub(super) fn drift_json(lines: &[DriftedLine]) -> String {
    let mut rows = Rows::of(drift::COLUMNS);
    for one in lines {
        rows.push_summed(&drift::values(one));
    }
    all(rows)
}

pub(super) fn removed_json(files: &[RemovedFile]) -> Option<String> {
    let mut rows = Rows::of(REMOVED);
    for file in files {
        rows.push(&[
            file.name.as_str().into(),
            file.sha256.as_str().into(),
            file.bytes.cast_signed().into(),
        ]);
    }
    rows.json()
}

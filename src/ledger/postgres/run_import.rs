//! Imports a run that was kept elsewhere: page by page into a draft, which one statement then makes a run.

use super::commit::unlooked_rows;
use super::draft::shard_json;
use super::input_copy;
use super::process_lease::Process;
use super::put::{WISHES, counts_json, drift_json, removed_json};
use super::rows::{Rows, kept};
use super::statement::Statement;
use crate::ledger::columns::Value;
use crate::ledger::crash_point;
use crate::ledger::pages::{Page, Pages};
use crate::ledger::store::{Fact, Store};
use crate::ledger::{
    LedgerError, PastSession, RegisteredRun, WriteRecord, checksum, header_columns,
    outcome_columns, remains, write_columns,
};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

const REGISTER: &str = "run, path, system, target, epoch, renames, customer_id, reseller";

/// A run that is being imported. If it is dropped before it is finished, its rows are removed.
pub(super) struct RunImport {
    process: Arc<Process>,
    run: String,
    /// What this process holds meanwhile.
    holds: Vec<String>,
    is_finished: bool,
}

impl RunImport {
    /// Begins with an empty draft, and removes what an earlier attempt has left.
    pub(super) fn begin(
        process: &Arc<Process>,
        run: &str,
        targets: &[&str],
    ) -> Result<Self, LedgerError> {
        let holds = targets.iter().map(|target| format!("target {target}"));
        let import = Self {
            process: Arc::clone(process),
            run: run.to_owned(),
            holds: holds.collect(),
            is_finished: false,
        };
        let begin = import.about("SELECT begin_import($1, $2, $3)");
        import.done(begin)?;
        Ok(import)
    }

    /// Makes a statement; its first three values are the run, this process and its holds.
    fn about(&self, sql: &'static str) -> Statement {
        Statement::repeatable(sql)
            .with(self.run.clone())
            .with(self.process.name().to_owned())
            .with(self.holds.clone())
    }

    fn done(&self, statement: Statement) -> Result<(), LedgerError> {
        if self.process.row(statement, |row| row.truth(0))? {
            return Ok(());
        }
        Err(LedgerError::TakenOver {
            at: self.process.place().to_owned(),
            run: self.run.clone(),
            why: "another process took over the run or its target during the import".to_owned(),
        })
    }

    /// Imports all rows of a record, and the copy of its input.
    pub(super) fn copy(&self, from: &dyn Store, input: &Path) -> Result<(), LedgerError> {
        let mut pages = Pages::of(from);
        while let Some(page) = pages.next()? {
            let (kind, rows) = json_of(&page)
                .map_err(|why| LedgerError::io(self.process.place().as_ref(), "compressed", why))?;
            let Some(rows) = rows else {
                continue;
            };
            let put = self.about("SELECT import_page($1, $2, $3, $4, $5::text::json)");
            self.done(put.with(kind).with(rows))?;
            crash_point();
        }
        input_copy::store(&self.process, &self.run, input)?;
        crash_point();
        Ok(())
    }

    /// Reads what makes it a run, and returns the statement that does.
    pub(super) fn whole(
        &self,
        from: &dyn Store,
        known: &RegisteredRun,
    ) -> Result<Statement, LedgerError> {
        let header = from.header()?;
        let sessions = from.sessions()?;
        let epochs = sessions.iter().map(|session| session.epoch);
        let above = epochs.fold(header.epoch.max(known.epoch), u64::max);
        let origins = header.origins.join("\n");
        let mut row = Rows::of(header_columns::COLUMNS);
        row.push_summed(&header_columns::values(&header, &origins));
        let share = from.shard()?;
        let sql = "SELECT finish_import($1, $2, $3, $4, $5, $6::text::json, $7::text::json, $8, \
                   $9::text::json, $10::text::json, $11::text::json, $12::text::json)";
        Ok(self
            .about(sql)
            .with(format!("{:016x}", fastrand::u64(..)))
            .with(above.cast_signed())
            .with(row.object())
            .with(share.map(|share| shard_json(&self.run, &share)))
            .with(header.key())
            .with(facts_json(from)?)
            .with(sessions_json(&sessions))
            .with(counts_json(&from.counts()?))
            .with(register_json(known)))
    }

    /// Makes it a run, with the statement of [`RunImport::whole`].
    pub(super) fn finish(mut self, whole: Statement) -> Result<(), LedgerError> {
        self.done(whole)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for RunImport {
    fn drop(&mut self) {
        if !self.is_finished {
            // If this fails, the draft is removed a day later, or by the next attempt.
            let leave = self.about("SELECT leave_import($1, $2, $3)");
            let _ = self.process.rows(leave, |_| Ok(()));
        }
    }
}

/// Returns the table of a page, and its rows as JSON.
fn json_of(page: &Page) -> std::io::Result<(&'static str, Option<String>)> {
    Ok(match page {
        Page::Outcomes(outcomes) => {
            let mut rows = Rows::of(outcome_columns::COLUMNS);
            for outcome in outcomes {
                rows.push_summed(&outcome_columns::values(outcome));
            }
            ("outcomes", rows.json())
        }
        Page::Writes(writes) => ("writes", writes_json(writes)),
        Page::Unlooked(lines) => ("unlooked", unlooked_rows(&[lines])?),
        Page::Drift(lines) => ("drift", Some(drift_json(lines))),
        Page::Wishes(wishes) => {
            let mut rows = Rows::of(WISHES);
            for (wish, customer) in wishes {
                rows.push_summed(&remains::wish_values(*wish, customer.as_str()));
            }
            ("wishes", rows.json())
        }
        Page::Replaced(digests) => {
            let mut rows = Rows::of("digest");
            for digest in digests {
                rows.push(&[digest.cast_signed().into()]);
            }
            ("replaced", rows.json())
        }
        Page::Removed(files) => ("removed", removed_json(files)),
    })
}

fn writes_json(writes: &[WriteRecord]) -> Option<String> {
    let rows = Rows::with_first("write_id", write_columns::NOTED);
    let mut rows = rows.and(write_columns::VERDICT);
    for write in writes {
        let noted = write_columns::noted_values(&write.intent);
        let sum = Value::Number(checksum::of(&noted));
        let values: Vec<Value<'_>> = [Value::Number(write.id.0)]
            .into_iter()
            .chain(noted)
            .chain([sum])
            .chain(write_columns::known_values(write))
            .collect();
        rows.push(&values);
    }
    rows.json()
}

fn facts_json(from: &dyn Store) -> Result<String, LedgerError> {
    let facts = from.facts(&Fact::ALL)?;
    let named = Fact::ALL.iter().zip(&facts.0).map(|(Fact(name), text)| {
        let value = text.as_deref().map(kept);
        ((*name).to_owned(), value.into())
    });
    Ok(serde_json::Value::Object(named.collect()).to_string())
}

fn sessions_json(sessions: &[PastSession]) -> String {
    let rows = sessions.iter().zip(1..).map(|(one, number)| {
        json!({
            "session": number,
            "started_at_ms": one.started_at_ms,
            "pid": one.pid,
            "host": kept(&one.host),
            "epoch": one.epoch.cast_signed(),
            "writing": one.writing,
            "find": one.calls.find.cast_signed(),
            "read": one.calls.read.cast_signed(),
            "write": one.calls.write.cast_signed(),
            "retried": one.calls.retried.cast_signed(),
            "throttled": one.calls.throttled.cast_signed(),
            "active_ms": one.calls.active_ms.cast_signed(),
            "limit_per_s": one.calls.limit_per_s,
        })
    });
    serde_json::Value::Array(rows.collect()).to_string()
}

fn register_json(known: &RegisteredRun) -> String {
    let (customer, reseller) = match &known.customer {
        None => (None, None),
        Some((customer, reseller)) => (Some(customer.as_str()), reseller.as_deref()),
    };
    let mut row = Rows::of(REGISTER);
    row.push(&[
        known.run.as_str().into(),
        known.path.to_string_lossy().as_ref().into(),
        known.system.as_str().into(),
        known.target.as_str().into(),
        known.epoch.cast_signed().into(),
        known.renames.into(),
        customer.into(),
        reseller.into(),
    ]);
    row.object()
}

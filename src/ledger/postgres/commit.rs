//! Commits the groups of one session to a ledger in PostgreSQL. One statement notes each group: once, however often it
//! is sent, and only while no other process has taken over the run or its target.

use super::chunks::{NUMBERS, NewNumbers};
use super::process_lease::{HeldTokens, Process};
use super::records::Records;
use super::rows::{Rows, bytea};
use super::statement::Statement;
use crate::domain::{Line, Outcome, Status};
use crate::ledger::chunk::Chunk;
use crate::ledger::columns::{Fault, Row, Value};
use crate::ledger::commit::{Commit, Entry, Item};
use crate::ledger::mutex::lock;
use crate::ledger::unlooked::PackedLines;
use crate::ledger::{
    Calls, Intent, LedgerError, Noted, Session, Unlooked, WriteId, WriteVerdict, host,
    outcome_columns, write_columns,
};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, LazyLock};

const CALLS: &str = "find, read, write, retried, throttled, active_ms";
const SESSION: &str = "started_at_ms, pid, host, epoch, writing, version";
static INTENT: LazyLock<String> = LazyLock::new(|| format!("write_id, {}", write_columns::NOTED));
static VERDICT: LazyLock<String> =
    LazyLock::new(|| format!("write_id, {}", write_columns::VERDICT));
const UNLOOKED: &str = "last_line, first_line, lines, message, noted_at_ms, packed, checksum";

/// A session: this process works on the run, alone or with others.
pub(super) struct PgCommit {
    process: Arc<Process>,
    run: String,
    session: i32,
    /// Number of groups that are on record.
    groups: i64,
    last_write: i64,
    /// `None`: the session works alone, and every further number is its own.
    given: Option<Given>,
    hold: HeldTokens,
}

/// The numbers for writes that one of several sessions may use.
struct Given {
    up_to: i64,
    /// The numbers that came with the last chunks; once there are some, the session uses them instead.
    new: Arc<NewNumbers>,
}

/// Begins a session of a process that holds the run.
pub(super) fn join(
    process: &Arc<Process>,
    run: &str,
    hold: HeldTokens,
    session: Session,
    with_others: Option<&Arc<NewNumbers>>,
) -> Result<(PgCommit, i32), LedgerError> {
    let mut facts = Rows::of(SESSION);
    facts.push(&[
        jiff::Timestamp::now().as_millisecond().into(),
        std::process::id().into(),
        host().as_str().into(),
        session.epoch.cast_signed().into(),
        session.writing.into(),
        env!("CARGO_PKG_VERSION").into(),
    ]);
    let sql = "SELECT number, last_write FROM begin_session($1, $2, $3, $4::text::json)";
    let begin = Statement::repeatable(sql)
        .with(run.to_owned())
        .with(process.name().to_owned())
        .with(hold.first().to_owned())
        .with(facts.object());
    let found = process.rows(begin, |row| Ok((row.required(0)?, row.required(1)?)))?;
    let Some((number, last_write)) = found.into_iter().next() else {
        return Err(taken_over(
            process,
            run,
            "another process has begun to work on its target",
        ));
    };
    let given = with_others.map(|new| Given {
        up_to: 0,
        new: Arc::clone(new),
    });
    let commit = PgCommit {
        process: Arc::clone(process),
        run: run.to_owned(),
        session: number,
        groups: 0,
        last_write,
        given,
        hold,
    };
    Ok((commit, number))
}

fn taken_over(process: &Process, run: &str, why: &str) -> LedgerError {
    LedgerError::TakenOver {
        at: process.place().to_owned(),
        run: run.to_owned(),
        why: why.to_owned(),
    }
}

/// A change of the outcome that is on record for a line.
enum Change<'g> {
    Put(&'g Outcome),
    Remove,
    /// If the recorded outcome has failed: removes it, or puts this one in its place.
    Reopen(Option<&'g Outcome>),
}

fn has_failed(outcome: &Outcome) -> bool {
    matches!(outcome.status, Status::Failed(_))
}

/// A group, in the form in which it is sent. Of several entries for a line or a write, the last one counts.
#[derive(Default)]
struct Folded<'g> {
    intents: Vec<&'g Intent>,
    verdicts: BTreeMap<i64, &'g WriteVerdict>,
    lines: BTreeMap<Line, Change<'g>>,
    unlooked: Vec<&'g Unlooked>,
    calls: Option<&'g Calls>,
    chunks: Vec<&'g Arc<Chunk>>,
}

impl<'g> Folded<'g> {
    fn of(group: &'g [Item]) -> Self {
        let mut folded = Self::default();
        for Item { chunk, entry } in group {
            if let Some(chunk) = chunk {
                if chunk.is_taken() {
                    continue;
                }
                if !folded.chunks.iter().any(|one| Arc::ptr_eq(one, chunk)) {
                    folded.chunks.push(chunk);
                }
            }
            match entry {
                Entry::Intend(intent) => folded.intents.push(intent),
                Entry::Verdict(WriteId(number), verdict) => {
                    folded.verdicts.insert(*number, verdict);
                }
                Entry::Outcomes(outcomes) => {
                    let put = outcomes.iter().map(|one| (one.line, Change::Put(one)));
                    folded.lines.extend(put);
                }
                Entry::Reopen(lines, instead) => {
                    for line in lines {
                        folded.reopen(*line, instead.iter().rfind(|one| one.line == *line));
                    }
                }
                Entry::Unlooked(lines) => folded.unlooked.push(lines),
                Entry::Calls(calls) => folded.calls = Some(calls),
            }
        }
        folded
    }

    fn reopen(&mut self, line: Line, instead: Option<&'g Outcome>) {
        let change = match self.lines.remove(&line) {
            None => Change::Reopen(instead),
            Some(Change::Put(known)) if has_failed(known) => {
                instead.map_or(Change::Remove, Change::Put)
            }
            Some(Change::Reopen(Some(known))) if has_failed(known) => Change::Reopen(instead),
            Some(known) => known,
        };
        self.lines.insert(line, change);
    }

    /// Returns the statement that notes the group.
    fn statement(&self, commit: &PgCommit) -> Result<Statement, LedgerError> {
        let of_run = [("run", Value::Text(&commit.run))];
        let mut found = Records::of(&of_run, outcome_columns::COLUMNS);
        let mut instead = Records::of(&of_run, outcome_columns::COLUMNS);
        let (mut gone, mut reopened) = (Vec::new(), Vec::new());
        for (line, change) in &self.lines {
            match change {
                Change::Put(outcome) => {
                    found.push_summed(None, &outcome_columns::values(outcome));
                }
                Change::Remove => gone.push(i64::from(*line)),
                Change::Reopen(other) => {
                    reopened.push(i64::from(*line));
                    if let Some(outcome) = other {
                        instead.push_summed(None, &outcome_columns::values(outcome));
                    }
                }
            }
        }
        let sql = "SELECT refused, taken FROM note($1, $2, $3, $4::text::json, $5, $6, $7, $8, $9, $10, \
                   $11::text::json, $12, $13, $14)";
        let unlooked = self.unlooked_json().map_err(|why| {
            let place = commit.process.place().as_ref();
            LedgerError::io(place, "compressed", why)
        })?;
        Ok(Statement::repeatable(sql)
            .with(commit.run.clone())
            .with(commit.session)
            .with(commit.groups + 1)
            .with(self.calls.map(calls_json))
            .with(self.intents(&commit.run, commit.last_write))
            .with(self.verdicts())
            .with(gone)
            .with(found)
            .with(reopened)
            .with(instead)
            .with(unlooked)
            .with(self.of_chunks(|chunk| chunk.pass))
            .with(self.of_chunks(|chunk| chunk.number))
            .with(self.of_chunks(|chunk| chunk.lease)))
    }

    fn of_chunks<T>(&self, one: impl Fn(&Chunk) -> T) -> Vec<T> {
        self.chunks.iter().map(|chunk| one(chunk)).collect()
    }

    fn intents(&self, run: &str, last_write: i64) -> Records {
        let common = [("run", Value::Text(run)), ("altered", false.into())];
        let mut rows = Records::of(&common, INTENT.as_str());
        for (intent, number) in self.intents.iter().zip(last_write + 1..) {
            rows.push_summed(Some(number), &write_columns::noted_values(intent));
        }
        rows
    }

    fn verdicts(&self) -> Records {
        let mut rows = Records::of(&[], VERDICT.as_str());
        for (number, verdict) in &self.verdicts {
            let values = write_columns::verdict_values(verdict);
            rows.push([Value::Number(*number)].into_iter().chain(values));
        }
        rows
    }

    fn unlooked_json(&self) -> io::Result<Option<String>> {
        unlooked_rows(&self.unlooked)
    }
}

/// Returns rows of packed lines that were not looked at, as JSON; `None`: there are none.
pub(super) fn unlooked_rows(all: &[&Unlooked]) -> io::Result<Option<String>> {
    let mut rows = Rows::of(UNLOOKED);
    for unlooked in all {
        let Some(row) = PackedLines::of(unlooked)? else {
            continue;
        };
        let packed = bytea(&row.packed);
        rows.push(&[
            row.last.into(),
            row.first.into(),
            row.lines.cast_signed().into(),
            row.message.into(),
            row.at_ms.into(),
            packed.as_str().into(),
            row.checksum().into(),
        ]);
    }
    Ok(rows.json())
}

fn calls_json(calls: &Calls) -> String {
    let numbers = [
        calls.find,
        calls.read,
        calls.write,
        calls.retried,
        calls.throttled,
        calls.active_ms,
    ];
    let names = CALLS.split(", ").map(str::to_owned);
    let numbers = numbers.map(|number| number.cast_signed().into());
    let mut all: serde_json::Map<_, _> = names.zip(numbers).collect();
    // Not an integer, unlike the others.
    all.insert("limit_per_s".to_owned(), calls.limit_per_s.into());
    serde_json::Value::Object(all).to_string()
}

impl PgCommit {
    /// Makes sure that the session has numbers for this many writes.
    fn number(&mut self, writes: usize) -> Result<(), LedgerError> {
        let Some(given) = &mut self.given else {
            return Ok(());
        };
        let writes = i64::try_from(writes).unwrap_or(i64::MAX);
        if let Some((above, up_to)) = lock(&given.new).take() {
            (self.last_write, given.up_to) = (above, up_to);
        }
        if self.last_write + writes <= given.up_to {
            return Ok(());
        }
        let many = writes.max(NUMBERS);
        let ask = Statement::repeatable("SELECT give_numbers($1, $2)");
        let ask = ask.with(self.run.clone()).with(many);
        given.up_to = self.process.row(ask, |row| row.required(0))?;
        self.last_write = given.up_to - many;
        Ok(())
    }

    /// Notes a group, without the entries of chunks that another session has.
    fn note(&mut self, group: &[Item]) -> Result<(), LedgerError> {
        loop {
            let folded = Folded::of(group);
            self.number(folded.intents.len())?;
            let note = folded.statement(self)?;
            let (refused, taken) = self
                .process
                .row(note, |row| Ok((row.word(0)?.to_owned(), row.numbers(1)?)))?;
            if !refused.is_empty() {
                return Err(taken_over(&self.process, &self.run, &refused));
            }
            if taken.is_empty() {
                return Ok(());
            }
            // Nothing was noted: the group is sent again without these chunks.
            for at in taken {
                let at = usize::try_from(at - 1).unwrap_or(usize::MAX);
                let chunk = folded.chunks.get(at);
                chunk
                    .ok_or_else(|| self.process.damaged(&Fault::from("a chunk is missing")))?
                    .mark_lost();
            }
        }
    }
}

impl Commit for PgCommit {
    fn commit(&mut self, group: &[Item]) -> Result<Vec<Noted>, LedgerError> {
        // The lease is taken before the commit: if another process could take the run over meanwhile, this lease is
        // over, and the intents that are granted under it are void.
        let lease = self.process.lease()?;
        self.note(group)?;
        self.groups += 1;
        let intents = group
            .iter()
            .filter(|item| matches!(item.entry, Entry::Intend(_)));
        let noted = intents.map(|item| {
            if item.chunk.as_ref().is_some_and(|chunk| chunk.is_taken()) {
                return Noted::Taken;
            }
            self.last_write += 1;
            Noted::Granted(WriteId(self.last_write), lease.clone())
        });
        Ok(noted.collect())
    }
}

impl Drop for PgCommit {
    fn drop(&mut self) {
        let end = Statement::repeatable("SELECT end_session($1, $2, $3)")
            .with(self.run.clone())
            .with(self.session)
            .with(self.hold.first().to_owned());
        // If this fails, the session ends with the lease.
        let _ = self.process.rows(end, |_| Ok(()));
    }
}

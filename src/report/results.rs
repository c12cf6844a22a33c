//! results.csv and failures.csv: the input's columns as they came, in the input's order, then the outcome of each line.
//! Formulas are defused in every cell, and reading the file again undoes that.

use super::incomplete_lines::IncompleteLines;
use super::tally::{AskedValues, Tally};
use super::{ReportError, file};
use crate::domain::{Line, Outcome, Profile, Status, Transition};
use crate::input::{Column, Record, Table, cell};
use crate::ledger::{DriftedLine, DriftedLines, Ledger, PrivateFile, RunDir, RunKind};
use std::io::Write;
use std::iter::Peekable;

const COLUMNS: [&str; 18] = [
    "idshift_run",
    "idshift_line",
    "idshift_status",
    "idshift_reason",
    "idshift_message",
    "idshift_customer_id",
    "idshift_account_id_before",
    "idshift_account_id_after",
    "idshift_location_id",
    "idshift_service_id_before",
    "idshift_service_id_after",
    "idshift_profile_before",
    "idshift_profile_after",
    "idshift_http_status",
    "idshift_attempts",
    "idshift_correlation_id",
    "idshift_finished_at",
    "idshift_duration_ms",
];

/// For a reconcile: why a line was not as the file has it, and for how many nights in a row.
const DRIFT_COLUMNS: [&str; 2] = ["idshift_drift", "idshift_drift_nights"];

/// The drift of the lines, which is read in the order of the file.
struct Drifts<'a>(Peekable<DriftedLines<'a>>);

impl<'a> Drifts<'a> {
    /// Returns the drift; `None`: the run is no reconcile.
    fn of(ledger: &'a Ledger) -> Option<Self> {
        let is_reconcile = ledger.header().kind == RunKind::Reconcile;
        is_reconcile.then(|| Self(ledger.drift().peekable()))
    }

    /// Returns the cells of a line: why it was not as the file has it, and for how many nights; both are empty if it was.
    fn cells(&mut self, line: Line) -> Result<[String; 2], ReportError> {
        let is_reached =
            |next: &Result<DriftedLine, _>| next.as_ref().map_or(true, |one| one.line <= line);
        while let Some(one) = self.0.next_if(is_reached) {
            let one = one?;
            if one.line == line {
                return Ok([one.cause.as_str().to_owned(), one.nights.to_string()]);
            }
        }
        Ok(Default::default())
    }
}

/// A CSV file that is being written. All cells are quoted: some spreadsheets split at other characters than commas.
struct Sheet {
    file: PrivateFile,
    row: Vec<u8>,
    run: String,
    /// The time that was written last, and its text: many lines end at the same time.
    stamped: (i64, String),
}

impl Sheet {
    fn begin(
        dir: &RunDir,
        name: &str,
        header: &[String],
        has_drift: bool,
    ) -> Result<Self, ReportError> {
        let path = dir.path().join(name);
        let mut sheet = Self {
            run: dir.run().to_string(),
            file: file::begin(path)?,
            row: Vec::new(),
            stamped: (0, String::new()),
        };
        for name in header {
            sheet.cell(name);
        }
        let of_drift = DRIFT_COLUMNS.iter().filter(|_| has_drift);
        for name in COLUMNS.iter().chain(of_drift) {
            sheet.cell(name);
        }
        sheet.end_row()?;
        Ok(sheet)
    }

    fn cell(&mut self, text: &str) {
        cell::push_quoted(&mut self.row, &cell::defuse(text));
    }

    fn number(&mut self, number: impl Into<u64>) {
        // Writing to memory cannot fail.
        let _ = write!(self.row, "\"{}\",", number.into());
    }

    fn run(&mut self) {
        cell::push_quoted(&mut self.row, &self.run);
    }

    fn stamp(&mut self, ms: i64) {
        if self.stamped.0 != ms {
            self.stamped = (ms, stamp(ms));
        }
        cell::push_quoted(&mut self.row, &self.stamped.1);
    }

    fn end_row(&mut self) -> Result<(), ReportError> {
        // The line break replaces the comma after the last cell.
        self.row.pop();
        self.row.push(b'\n');
        let written = self.file.write_all(&self.row);
        self.row.clear();
        written.map_err(|error| file::failed(self.file.path(), error))
    }

    fn finish(self) -> Result<(), ReportError> {
        file::finish(self.file)
    }
}

/// The positions of the columns that say what a line requests.
struct Asked {
    new_account: Option<usize>,
    service: Option<usize>,
    profile: Option<usize>,
}

impl Asked {
    fn of(table: &Table) -> Self {
        let place = |column: Column| {
            let name = table.spelling(column);
            table
                .has(column)
                .then(|| table.header().iter().position(|one| one == name))?
        };
        Self {
            new_account: place(Column::NewAccountId),
            service: place(Column::ServiceId),
            profile: place(Column::Profile),
        }
    }

    fn values(&self, cells: &[String]) -> AskedValues {
        let is_asked = |place| asked(cells, place).is_some();
        AskedValues {
            account: is_asked(self.new_account),
            service: is_asked(self.service),
            profile: is_asked(self.profile),
        }
    }

    /// Returns whether the line failed, and its account ID was written as requested, but its location was not.
    fn is_half_done(&self, cells: &[String], outcome: &Outcome) -> bool {
        let account = &outcome.account;
        if !matches!(outcome.status, Status::Failed(_)) || account.before == account.after {
            return false;
        }
        let asked = |place| asked(cells, place);
        // The cells are as in the file, which may be a report of this program.
        let is = |asked: &str, now: Option<&str>| {
            now.is_some_and(|now| asked == now || cell::unescape(asked) == now)
        };
        let is_otherwise =
            |place, now: Option<&str>| asked(place).is_some_and(|asked| !is(asked, now));
        let now = text(account.after.as_ref());
        asked(self.new_account).is_some_and(|asked| is(asked, Some(now)))
            && (is_otherwise(
                self.service,
                outcome.service.after.as_ref().map(AsRef::as_ref),
            ) || asked(self.profile)
                .is_some_and(|asked| Profile::parse(asked) != outcome.profile.after))
    }
}

fn asked(cells: &[String], place: Option<usize>) -> Option<&str> {
    let cell = cells.get(place?).map(|cell| cell.trim());
    cell.filter(|cell| !cell.is_empty())
}

/// Writes both files, counts what they say, and passes each line on.
pub(super) fn write(
    dir: &RunDir,
    ledger: &Ledger,
    table: &Table,
    can_clear: bool,
    mut each: impl FnMut(&Record, &Outcome),
) -> Result<Tally, ReportError> {
    let mut drifts = Drifts::of(ledger);
    let has_drift = drifts.is_some();
    let mut results = Sheet::begin(dir, "results.csv", table.header(), has_drift)?;
    let mut failures = Sheet::begin(dir, "failures.csv", table.header(), has_drift)?;
    let mut unfinished = IncompleteLines::of(ledger)?;
    let width = table.header().len();
    let mut tally = Tally::new(ledger.header(), can_clear);
    let asked = Asked::of(table);
    let mut outcomes = ledger.outcomes().peekable();
    for record in table.records()? {
        let record = record?;
        // Both are in the order of lines. An error is taken too, so that it is not skipped.
        let earlier =
            |next: &Result<Outcome, _>| !matches!(next, Ok(one) if one.line >= record.line);
        while let Some(passed) = outcomes.next_if(earlier) {
            passed?;
        }
        let noted = outcomes
            .next_if(|next| matches!(next, Ok(one) if one.line == record.line))
            .transpose()?;
        let outcome = unfinished.complete(record.line, noted);
        let cells = &record.cells;
        let is_half_done = asked.is_half_done(cells, &outcome);
        tally.add(&outcome, asked.values(cells), is_half_done);
        each(&record, &outcome);
        let found = drifts.as_mut().map(|drifts| drifts.cells(record.line));
        let drift = found.transpose()?;
        row(&mut results, cells, width, &outcome, drift.as_ref())?;
        if outcome.status.is_open_or_failed() {
            row(&mut failures, cells, width, &outcome, drift.as_ref())?;
        }
    }
    results.finish()?;
    failures.finish()?;
    Ok(tally)
}

fn row(
    sheet: &mut Sheet,
    cells: &[String],
    width: usize,
    outcome: &Outcome,
    drift: Option<&[String; 2]>,
) -> Result<(), ReportError> {
    // Ragged lines get as many cells as the header has; further cells have no column.
    for at in 0..width {
        sheet.cell(cells.get(at).map_or("", String::as_str));
    }
    sheet.run();
    sheet.number(outcome.line);
    sheet.cell(outcome.status.name());
    sheet.cell(outcome.status.reason());
    sheet.cell(&outcome.message);
    sheet.cell(text(outcome.customer.as_ref()));
    pair(sheet, &outcome.account);
    sheet.cell(text(outcome.location.as_ref()));
    pair(sheet, &outcome.service);
    sheet.cell(outcome.profile.before.map_or("", Profile::as_str));
    sheet.cell(outcome.profile.after.map_or("", Profile::as_str));
    match outcome.http_status {
        Some(status) => sheet.number(status),
        None => sheet.cell(""),
    }
    sheet.number(outcome.attempts);
    sheet.cell(outcome.correlation.as_deref().unwrap_or(""));
    sheet.stamp(outcome.finished_at_ms);
    sheet.number(outcome.duration_ms);
    for cell in drift.into_iter().flatten() {
        sheet.cell(cell);
    }
    sheet.end_row()
}

fn text<T: AsRef<str>>(id: Option<&T>) -> &str {
    id.map_or("", AsRef::as_ref)
}

fn pair<T: AsRef<str>>(sheet: &mut Sheet, values: &Transition<T>) {
    sheet.cell(text(values.before.as_ref()));
    sheet.cell(text(values.after.as_ref()));
}

/// Returns the time as RFC 3339, UTC, with milliseconds; empty for a line that was not begun.
pub fn stamp(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) if ms != 0 => format!("{time:.3}"),
        Ok(_) | Err(_) => String::new(),
    }
}

//! Checks the end of a file: a last line that was cut off, and footers below the rows.
//!
//! Promise: parts are appended in the order of the file.

use super::Column;
use super::column_stats::ColumnStats;
use super::footer::{FooterCandidate, FooterCandidates};
use super::row::Row;
use super::value::shown;
use crate::domain::{Change, Line, Problem, Severity, counted};

/// What is known of the last line, and of the last cell of all others.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    last: Option<Last>,
    /// The shortest and the longest last cell of the lines before it, in bytes; `count`: how many lines these are.
    others: Option<(u32, u32)>,
    count: u64,
    candidates: FooterCandidates,
}

#[derive(Debug, Clone)]
struct Last {
    line: Line,
    cell: u32,
    /// The name and the text of the last cell, where the file ends without a line break.
    unended: Option<Box<(String, String)>>,
}

impl Tail {
    fn fold(&mut self) {
        if let Some(last) = self.last.take() {
            let (least, most) = self.others.unwrap_or((last.cell, last.cell));
            self.others = Some((least.min(last.cell), most.max(last.cell)));
            self.count += 1;
        }
    }

    pub(super) fn add(&mut self, row: &mut Row) {
        self.fold();
        self.last = Some(Last {
            line: row.line,
            cell: row.last_cell,
            unended: row.unended.take(),
        });
        // Nearly every line names its customer by an ID with a digit and without a space, and requests something.
        let is_plain = |change: &Change| {
            let (column, id) = match (&change.account, &change.customer) {
                (Some(id), _) => (Column::AccountId, id.as_str()),
                (None, Some(id)) => (Column::CustomerId, id.as_str()),
                (None, None) => return false,
            };
            let has_digit = row.scans[column.index()].any_digit;
            has_digit && change.new_account.asks() && !id.as_bytes().contains(&b' ')
        };
        if row.change.as_ref().is_some_and(is_plain) {
            self.candidates.pass();
        } else {
            self.candidates.add(row.change.as_ref(), row.footer.take());
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        if other.last.is_none() {
            return;
        }
        self.fold();
        if let Some((least, most)) = other.others {
            let (mine, my_most) = self.others.unwrap_or((least, most));
            self.others = Some((mine.min(least), my_most.max(most)));
        }
        self.count += other.count;
        self.last = other.last;
        self.candidates.append(other.candidates);
    }

    /// Returns the problems of the last lines, each with whether the line could be read as a customer's. `key`: the column that
    /// names the customers; `new_ids`: the column of the new IDs.
    pub(super) fn problems(
        &self,
        key: (&str, &ColumnStats),
        new_ids: &ColumnStats,
        rows: u64,
    ) -> Vec<(Problem, bool)> {
        let (column, stats) = key;
        let footers = self.candidates.footers(&stats.shapes, new_ids, rows);
        if !footers.is_empty() {
            let told = footers
                .iter()
                .map(|footer| (problem_of(footer, column), footer.is_sound));
            return told.collect();
        }
        let cut = self.last.as_ref().and_then(|last| self.cut_off(last));
        cut.into_iter().map(|problem| (problem, true)).collect()
    }

    /// Reports a last line without a line break, if all other last cells have one length and its last cell is shorter.
    fn cut_off(&self, last: &Last) -> Option<Problem> {
        let (column, value) = last.unended.as_deref()?;
        let (shortest, longest) = self.others?;
        if self.count < 2 || shortest != longest || last.cell >= shortest {
            return None;
        }
        Some(Problem {
            line: last.line,
            column: column.clone(),
            value: value.clone(),
            severity: Severity::Blocking,
            code: "cut_off",
            message: format!(
                "the file ends without a line break, and its last value has {} where the {} others have {shortest}: the file \
                 may have been cut off",
                counted(u64::from(last.cell), "byte"),
                self.count
            ),
            help: "compare the size of the file with its source, and copy it again".to_owned(),
        })
    }
}

/// Returns the problem of a footer.
fn problem_of(footer: &FooterCandidate, column: &str) -> Problem {
    Problem {
        line: footer.line,
        column: column.to_owned(),
        value: shown(footer.text()),
        severity: Severity::Error,
        code: "footer",
        message:
            "the line stands at the end, counts or describes the others, and names no customer"
                .to_owned(),
        help: "remove the line".to_owned(),
    }
}

//! Finds what only a whole column shows: its shapes, and which doubtful values are damage.
//!
//! Promises: memory does not grow with the file, except for the numbers of doubtful lines; parts are surveyed in parallel and
//! appended in the order of the file, and the result does not depend on how the file was cut. Must not need the rows again.

use super::accept::Accept;
use super::column_stats::ColumnStats;
use super::doubt::{Doubt, DoubtKind, Group};
use super::footer::MISTAKEN;
use super::row::Row;
use super::shape::Scan;
use super::shapes::Shapes;
use super::tail::Tail;
use super::verdict::{self, Verdict};
use super::{Column, Table};
use crate::domain::{Change, Line, Problem, ProblemList, Severity};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Findings about whole columns.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    columns: [ColumnStats; Column::SURVEYED.len()],
    doubts: BTreeMap<(Column, DoubtKind), Group>,
    rows: u64,
    /// Whether some value of the file is plainly damaged by a spreadsheet.
    damaged: bool,
    tail: Tail,
}

/// What the surveys of later parts of a file know of the earlier parts; it only saves work.
#[derive(Debug, Default)]
pub struct Known([AtomicU64; Column::SURVEYED.len()]);

/// What the survey found.
#[derive(Debug, Default)]
pub struct Findings {
    /// The problems, some thousand at most.
    problems: ProblemList,
    /// All lines that cannot be carried out, in no order.
    wrong: Vec<Line>,
    /// Lines about which an earlier check has reported other errors.
    mistaken: Vec<Line>,
    /// The shapes of the new account IDs.
    new_ids: Shapes,
    accept: Accept,
}

impl Survey {
    /// Makes an empty survey for a part of the file; `known`: what is known of the earlier parts.
    pub fn below(known: &Known) -> Self {
        let mut survey = Self::default();
        for (stats, known) in survey.columns.iter_mut().zip(&known.0) {
            stats.shapes = Shapes::below(known.load(Ordering::Relaxed));
        }
        survey
    }

    /// Stores what the surveys of later parts can use.
    pub fn tell(&self, known: &Known) {
        for (stats, known) in self.columns.iter().zip(&known.0) {
            known.store(stats.shapes.well_known(), Ordering::Relaxed);
        }
    }

    /// Surveys a line, and takes its doubts from the row.
    pub fn observe(&mut self, row: &mut Row) {
        self.rows += 1;
        for doubt in std::mem::take(&mut row.doubts) {
            self.doubt(doubt);
        }
        if let Some(change) = &row.change {
            self.values(change, &row.scans);
        }
        self.tail.add(row);
    }

    /// Takes note of a problem of a line.
    pub fn hear(&mut self, problem: &Problem) {
        self.damaged |= problem.code.starts_with("spreadsheet_");
    }

    fn values(&mut self, change: &Change, scans: &[Scan; Column::SURVEYED.len()]) {
        let values = [
            change.account.as_ref().map(AsRef::as_ref),
            change.new_account.id().map(AsRef::as_ref),
            change.customer.as_ref().map(AsRef::as_ref),
            change.location.as_ref().map(AsRef::as_ref),
            change.service.as_ref().map(AsRef::as_ref),
        ];
        for ((stats, value), seen) in self.columns.iter_mut().zip(values).zip(scans) {
            if let Some(value) = value {
                stats.observe(change.line, value, seen);
            }
        }
    }

    fn doubt(&mut self, doubt: Doubt) {
        let key = (doubt.column, doubt.kind);
        self.doubts.entry(key).or_default().add(doubt);
    }

    /// Adds what was found further down in the file.
    pub fn append(&mut self, other: Self) {
        for (mine, theirs) in self.columns.iter_mut().zip(other.columns) {
            mine.append(theirs);
        }
        for (key, theirs) in other.doubts {
            self.doubts.entry(key).or_default().append(theirs);
        }
        self.rows += other.rows;
        self.damaged |= other.damaged;
        self.tail.append(other.tail);
    }

    /// Returns what was found in the whole table.
    pub fn finish(self, table: &Table) -> Findings {
        let mut findings = Findings::default();
        if table.is_verbatim() {
            return findings;
        }
        let accept = table.accept();
        let none = ColumnStats::default();
        for ((column, kind), group) in &self.doubts {
            let stats = Column::SURVEYED.iter().position(|other| other == column);
            let stats = stats.map_or(&none, |at| &self.columns[at]);
            let verdict = verdict::Case {
                column: *column,
                kind: *kind,
                stats,
                group,
                other_scripts: self.count(*column, DoubtKind::OtherScript),
                exponents: self.count(*column, DoubtKind::Exponent),
                rows: self.rows,
                damaged: self.damaged,
            };
            findings.judge(group, accept, &verdict);
        }
        findings.accept = accept.clone();
        findings.new_ids = self.columns[1].shapes.clone();
        for (column, stats) in Column::SURVEYED.iter().zip(&self.columns) {
            verdict::shapes(&mut findings.problems, table.spelling(*column), stats);
        }
        let key = [Column::AccountId, Column::CustomerId]
            .into_iter()
            .find(|column| table.has(*column));
        let key = key.and_then(|key| Column::SURVEYED.iter().position(|column| *column == key));
        if let Some(at) = key {
            let place = table.spelling(Column::SURVEYED[at]);
            let new_ids = &self.columns[Column::NewAccountId.index()];
            let key = (place, &self.columns[at]);
            for (problem, is_read) in self.tail.problems(key, new_ids, self.rows) {
                findings.add_last(accept.weigh(problem), is_read);
            }
        }
        findings
    }

    fn count(&self, column: Column, kind: DoubtKind) -> u64 {
        self.doubts.get(&(column, kind)).map_or(0, Group::count)
    }
}

impl Findings {
    /// Adds the findings to the problems of single lines. Returns the lines that cannot be carried out.
    pub fn tell(&mut self, problems: &mut ProblemList) -> Vec<Line> {
        for line in self.mistaken.drain(..) {
            problems.withdraw(line, &MISTAKEN);
        }
        problems.append(std::mem::take(&mut self.problems));
        std::mem::take(&mut self.wrong)
    }

    /// Returns the problems of a new ID that these lines give to several customers. If nearly all other new IDs have another
    /// shape, it stands for a missing ID, in whatever language.
    pub fn fillers(&self, id: &str, lines: &[Line], column: &str) -> Vec<Problem> {
        if !verdict::is_filler(&self.new_ids, id) {
            return Vec::new();
        }
        let problem = |line: &Line| Problem {
            line: *line,
            column: column.to_owned(),
            value: super::value::shown(id),
            severity: Severity::Error,
            code: "placeholder",
            message: format!(
                "{} lines have this new ID, and nearly all other values look different: it stands for a missing value",
                lines.len()
            ),
            help: "leave the cell empty, or put the real ID there".to_owned(),
        };
        let of_line = |line| self.accept.weigh(problem(line));
        lines.iter().map(of_line).collect()
    }

    /// Adds a problem at the end of the file. For a line that could not be read, only an error is added, and replaces others.
    fn add_last(&mut self, problem: Problem, is_read: bool) {
        if problem.severity == Severity::Error {
            self.wrong.push(problem.line);
        }
        if !is_read {
            if problem.severity != Severity::Error {
                return;
            }
            self.mistaken.push(problem.line);
        }
        self.problems.push(problem);
    }

    /// Decides the doubts of one kind about one column.
    fn judge(&mut self, group: &Group, accept: &Accept, case: &verdict::Case<'_>) {
        let mut shown: BTreeMap<(Severity, &'static str), u64> = BTreeMap::new();
        for (shape, problem) in &group.kept {
            let Some(Verdict { severity, code }) = case.verdict(*shape) else {
                continue;
            };
            let code = code.unwrap_or(problem.code);
            let problem = accept.weigh(Problem {
                severity,
                code,
                ..problem.clone()
            });
            *shown.entry((problem.severity, code)).or_default() += 1;
            self.problems.push(problem);
        }
        let code = group.kept.first().map_or("", |(_, problem)| problem.code);
        let mut all: BTreeMap<(Severity, &'static str), u64> = BTreeMap::new();
        let mut known: Vec<(u64, Option<Verdict>)> = Vec::new();
        for (line, shape) in &group.lines {
            let before = known.iter().find(|(other, _)| other == shape);
            let verdict = if let Some((_, verdict)) = before {
                *verdict
            } else {
                let verdict = case.verdict(*shape);
                known.push((*shape, verdict));
                verdict
            };
            let Some(verdict) = verdict else {
                continue;
            };
            let code = verdict.code.unwrap_or(code);
            let severity = accept.severity(code, verdict.severity);
            *all.entry((severity, code)).or_default() += 1;
            if severity == Severity::Error {
                self.wrong.push(*line);
            }
        }
        for ((severity, code), count) in all {
            let shown = shown.get(&(severity, code)).copied().unwrap_or_default();
            self.problems.count_more(severity, code, count - shown);
        }
    }
}

//! What only a whole column shows: leading zeros lost, digits beyond the fifteenth turned to zeros.
//!
//! Promises: constant memory; surveys of parts of a file can be made in parallel and merged in any order, with the
//! same result. Must not need the rows again.

use super::row::Row;
use super::{Column, Table, damage};
use crate::domain::{Change, Line, Problem, Severity};
use std::collections::BTreeMap;

/// The columns that hold IDs, except the reseller's.
const COLUMNS: [Column; 5] = [
    Column::AccountId,
    Column::NewAccountId,
    Column::CustomerId,
    Column::LocationId,
    Column::ServiceId,
];
/// Digits that a spreadsheet keeps.
const KEPT_DIGITS: usize = 15;
/// Lengths that are told apart; longer values count as this long.
const MAX_LENGTH: usize = 40;
/// Examples kept for each finding.
const EXAMPLES: usize = 10;

/// Findings about whole columns.
#[derive(Debug, Clone)]
pub struct Survey {
    columns: [Findings; COLUMNS.len()],
    /// Whether some value of the file is plainly damaged.
    damaged: bool,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            columns: COLUMNS.map(|column| Findings::new(column.name())),
            damaged: false,
        }
    }
}

/// Findings about one column.
#[derive(Debug, Clone)]
struct Findings {
    name: String,
    values: u64,
    /// How many values are digits only, by length.
    lengths: [u64; MAX_LENGTH + 1],
    /// The first examples of each length.
    by_length: BTreeMap<usize, Examples>,
    long: u64,
    rounded: u64,
    rounded_examples: Examples,
    exponent_like: u64,
    exponent_examples: Examples,
}

/// The first few distinct values, with their lines.
#[derive(Debug, Clone, Default)]
struct Examples(Vec<(Line, String)>);

impl Examples {
    fn add(&mut self, line: Line, value: &str) {
        let late = self.0.len() == EXAMPLES && self.0.last().is_some_and(|(last, _)| *last <= line);
        if late {
            return;
        }
        if let Some(same) = self.0.iter_mut().find(|(_, known)| known == value) {
            same.0 = same.0.min(line);
        } else {
            self.0.push((line, value.to_owned()));
        }
        self.0.sort_by_key(|(line, _)| *line);
        self.0.truncate(EXAMPLES);
    }

    fn merge(&mut self, other: Self) {
        for (line, value) in other.0 {
            self.add(line, &value);
        }
    }
}

impl Survey {
    /// An empty survey, which calls the columns as the table's header does.
    pub fn new(table: &Table) -> Self {
        Self {
            columns: COLUMNS.map(|column| Findings::new(table.spelling(column))),
            damaged: false,
        }
    }

    /// Looks at one line.
    pub fn add(&mut self, change: &Change) {
        let values = [
            change.account.as_ref().map(AsRef::as_ref),
            change.new_account.id().map(AsRef::as_ref),
            change.customer.as_ref().map(AsRef::as_ref),
            change.location.as_ref().map(AsRef::as_ref),
            change.service.as_ref().map(AsRef::as_ref),
        ];
        for (findings, value) in self.columns.iter_mut().zip(values) {
            if let Some(value) = value {
                findings.observe(change.line, value);
            }
        }
    }

    /// Remembers that some value of the file is plainly damaged.
    pub fn saw_damage(&mut self) {
        self.damaged = true;
    }

    /// Looks at some rows. Rows with errors count only for what their problems say.
    pub fn observe(&mut self, rows: &[Row]) {
        for row in rows {
            if let Some(change) = &row.change {
                self.add(change);
            }
            let code = damage::Damage::Scientific.code();
            self.damaged |= row.problems.iter().any(|problem| problem.code == code);
        }
    }

    /// Takes over what another survey of the same table found.
    pub fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.columns.iter_mut().zip(other.columns) {
            mine.merge(theirs);
        }
        self.damaged |= other.damaged;
    }

    /// What was found. An error here (`spreadsheet_rounded`) is one of the whole column: no line of the file can be
    /// trusted, and leaving out the lines named is not enough.
    pub fn finish(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for findings in &self.columns {
            findings.lost_zeros(&mut problems);
            findings.rounded(&mut problems);
            if self.damaged {
                findings.exponents(&mut problems);
            }
        }
        problems.sort_by_key(|problem| problem.line);
        problems
    }
}

impl Findings {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            values: 0,
            lengths: [0; MAX_LENGTH + 1],
            by_length: BTreeMap::new(),
            long: 0,
            rounded: 0,
            rounded_examples: Examples::default(),
            exponent_like: 0,
            exponent_examples: Examples::default(),
        }
    }

    fn observe(&mut self, line: Line, value: &str) {
        self.values += 1;
        let bytes = value.as_bytes();
        if !bytes.iter().all(u8::is_ascii_digit) {
            if bytes[0].is_ascii_digit() && damage::is_exponent_like(value) {
                self.exponent_like += 1;
                self.exponent_examples.add(line, value);
            }
            return;
        }
        let length = bytes.len().min(MAX_LENGTH);
        self.lengths[length] += 1;
        // Later lines cannot become examples once there are enough.
        if self.lengths[length] <= EXAMPLES as u64 {
            self.by_length.entry(length).or_default().add(line, value);
        }
        if bytes.len() > KEPT_DIGITS {
            self.long += 1;
            if bytes[KEPT_DIGITS..].iter().all(|digit| *digit == b'0') {
                self.rounded += 1;
                self.rounded_examples.add(line, value);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.values += other.values;
        for (mine, theirs) in self.lengths.iter_mut().zip(other.lengths) {
            *mine += theirs;
        }
        for (length, examples) in other.by_length {
            self.by_length.entry(length).or_default().merge(examples);
        }
        self.long += other.long;
        self.rounded += other.rounded;
        self.rounded_examples.merge(other.rounded_examples);
        self.exponent_like += other.exponent_like;
        self.exponent_examples.merge(other.exponent_examples);
    }

    fn problem(
        &self,
        severity: Severity,
        code: &'static str,
        (line, value): (Line, &str),
    ) -> Problem {
        Problem {
            line,
            column: self.name.clone(),
            value: value.to_owned(),
            severity,
            code,
            message: String::new(),
            help:
                "export the list again with the column as text, without opening it in a spreadsheet"
                    .to_owned(),
        }
    }

    /// Most values have one length, and some are shorter.
    fn lost_zeros(&self, problems: &mut Vec<Problem>) {
        let digits: u64 = self.lengths.iter().sum();
        let common = (1..=MAX_LENGTH)
            .max_by_key(|length| self.lengths[*length])
            .unwrap_or(1);
        let shorter: u64 = self.lengths[..common].iter().sum();
        // One free-text value in twenty does not make the others less digits.
        let column_of_digits = digits >= 3 && digits * 20 >= self.values * 19;
        if !column_of_digits || self.lengths[common] * 2 <= digits || shorter == 0 {
            return;
        }
        let mut examples = Examples::default();
        for (_, found) in self.by_length.range(..common) {
            examples.merge(found.clone());
        }
        let Some((line, value)) = examples.0.first() else {
            return;
        };
        let named: Vec<_> = examples
            .0
            .iter()
            .take(3)
            .map(|(line, value)| format!("`{value}` with {} in line {line}", value.len()))
            .collect();
        let mut problem = self.problem(Severity::Warning, "lost_zeros", (*line, value));
        problem.message = format!(
            "{} of {digits} values have {common} digits, {shorter} have fewer ({}): leading zeros may have been lost",
            self.lengths[common],
            named.join(", ")
        );
        problems.push(problem);
    }

    /// All long numbers end in zeros where a spreadsheet keeps no digits.
    fn rounded(&self, problems: &mut Vec<Problem>) {
        if self.rounded < self.long || self.rounded_examples.0.len() < 2 {
            return;
        }
        for (line, value) in &self.rounded_examples.0 {
            let mut problem = self.problem(Severity::Error, "spreadsheet_rounded", (*line, value));
            problem.message = format!(
                "all {} values of more than {KEPT_DIGITS} digits have only zeros after the fifteenth: a spreadsheet has rounded them",
                self.long
            );
            problems.push(problem);
        }
    }

    /// IDs such as `12E5` in a file in which others are plainly damaged.
    fn exponents(&self, problems: &mut Vec<Problem>) {
        for (line, value) in &self.exponent_examples.0 {
            let mut problem = self.problem(Severity::Warning, "perhaps_scientific", (*line, value));
            problem.message = format!(
                "other values of the file were damaged by a spreadsheet, and this may be a number in scientific notation ({} such values in the column)",
                self.exponent_like
            );
            problems.push(problem);
        }
    }
}

//! What only a whole column shows: leading zeros that some values have lost, digits that were rounded away.
//!
//! Constant memory, and two surveys of two parts of a file put together are the survey of both.

use super::column::Column;
use super::damage;
use crate::domain::{Change, Line, Problem, Severity};
use std::collections::BTreeMap;

/// Digits that a spreadsheet keeps.
const KEPT_DIGITS: usize = 15;
/// How many examples are named.
const EXAMPLES: usize = 3;

#[derive(Debug, Clone, Default)]
struct Digits {
    /// All-digit values by length: how many, how many of them begin with a zero, and the first few.
    lengths: BTreeMap<usize, (u64, u64, Vec<(Line, String)>)>,
    /// Values that are not all digits.
    others: u64,
    long: u64,
    long_rounded: Vec<(Line, String)>,
    long_rounded_count: u64,
    perhaps_scientific: Vec<(Line, String)>,
}

impl Digits {
    fn add(&mut self, line: Line, value: &str) {
        if !value.bytes().all(|byte| byte.is_ascii_digit()) {
            self.others += 1;
            if self.perhaps_scientific.len() < EXAMPLES && damage::is_perhaps_scientific(value) {
                self.perhaps_scientific.push((line, value.to_owned()));
            }
            return;
        }
        let (count, zeros, examples) = self.lengths.entry(value.len()).or_default();
        *count += 1;
        *zeros += u64::from(value.starts_with('0'));
        if examples.len() < EXAMPLES {
            examples.push((line, value.to_owned()));
        }
        if value.len() > KEPT_DIGITS {
            self.long += 1;
            if value.bytes().skip(KEPT_DIGITS).all(|byte| byte == b'0') {
                self.long_rounded_count += 1;
                if self.long_rounded.len() < 1000 {
                    self.long_rounded.push((line, value.to_owned()));
                }
            }
        }
    }

    fn merge(&mut self, other: Self) {
        for (length, (count, zeros, examples)) in other.lengths {
            let mine = self.lengths.entry(length).or_default();
            mine.0 += count;
            mine.1 += zeros;
            mine.2.extend(examples);
            mine.2.truncate(EXAMPLES);
        }
        self.others += other.others;
        self.long += other.long;
        self.long_rounded_count += other.long_rounded_count;
        self.long_rounded.extend(other.long_rounded);
        self.long_rounded.truncate(1000);
        self.perhaps_scientific.extend(other.perhaps_scientific);
        self.perhaps_scientific.truncate(EXAMPLES);
    }

    fn finish(&self, column: &str, damaged: bool, problems: &mut Vec<Problem>) {
        self.lost_zeros(column, problems);
        if self.long_rounded_count >= 2 && self.long_rounded_count == self.long {
            for (line, value) in &self.long_rounded {
                problems.push(Problem {
                    line: *line,
                    column: column.to_owned(),
                    value: value.clone(),
                    severity: Severity::Error,
                    code: "spreadsheet_rounded",
                    message: format!(
                        "all {} long numbers of this column end in zeros after the fifteenth digit: a spreadsheet rounded them",
                        self.long
                    ),
                    help: "export the column as text from the CRM itself".to_owned(),
                });
            }
        }
        if damaged {
            for (line, value) in &self.perhaps_scientific {
                problems.push(Problem {
                    line: *line,
                    column: column.to_owned(),
                    value: value.clone(),
                    severity: Severity::Warning,
                    code: "perhaps_scientific",
                    message: "other values of the file were damaged by a spreadsheet, and this may be a number in scientific notation".to_owned(),
                    help: "compare it with the CRM".to_owned(),
                });
            }
        }
    }

    /// Most values share a length, some are shorter: the spreadsheet took their leading zeros for nothing.
    fn lost_zeros(&self, column: &str, problems: &mut Vec<Problem>) {
        let all: u64 = self.lengths.values().map(|(count, ..)| count).sum();
        let usual = self.lengths.iter().max_by_key(|(_, (count, ..))| *count);
        let Some((usual, (count, zeros, _))) = usual else {
            return;
        };
        let shorter: Vec<_> = self.lengths.range(..usual).collect();
        let short: u64 = shorter.iter().map(|(_, (count, ..))| count).sum();
        let longer = self.lengths.range(usual + 1..).next().is_some();
        // Numbers that simply grow have many lengths; a fixed width has one, and nothing beyond it.
        let fixed_width = all >= 3 && !longer && *count * 2 > all;
        if short == 0 || !fixed_width || self.others > all {
            return;
        }
        let examples: Vec<_> = shorter
            .iter()
            .rev()
            .flat_map(|(_, (.., some))| some)
            .take(EXAMPLES)
            .collect();
        let Some((line, value)) = examples.first() else {
            return;
        };
        let padded = format!("{value:0>usual$}");
        let also = if *zeros > 0 {
            ", and others begin with a zero"
        } else {
            ""
        };
        problems.push(Problem {
            line: *line,
            column: column.to_owned(),
            value: value.clone(),
            severity: Severity::Warning,
            code: "lost_zeros",
            message: format!(
                "{count} values have {usual} digits{also}, {short} have fewer (such as {}): leading zeros may be lost",
                examples
                    .iter()
                    .map(|(line, value)| format!("`{value}` with {} digits in line {line}", value.len()))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            help: format!("compare with the CRM; perhaps `{padded}` is meant"),
        });
    }
}

/// What is learnt of whole columns.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    account: Digits,
    new_account: Digits,
    customer: Digits,
    damaged: bool,
}

impl Survey {
    /// Looks at one row.
    pub fn add(&mut self, change: &Change) {
        if let Some(id) = &change.account {
            self.account.add(change.line, id.as_str());
        }
        if let Some(id) = change.new_account.id() {
            self.new_account.add(change.line, id.as_str());
        }
        if let Some(id) = &change.customer {
            self.customer.add(change.line, id.as_str());
        }
    }

    /// Remembers that some value of the file is plainly damaged.
    pub fn saw_damage(&mut self) {
        self.damaged = true;
    }

    /// Adds what was learnt of another part of the file.
    pub fn merge(&mut self, other: Self) {
        self.account.merge(other.account);
        self.new_account.merge(other.new_account);
        self.customer.merge(other.customer);
        self.damaged |= other.damaged;
    }

    /// What is wrong with whole columns.
    pub fn finish(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (digits, column) in [
            (&self.account, Column::AccountId),
            (&self.new_account, Column::NewAccountId),
            (&self.customer, Column::CustomerId),
        ] {
            digits.finish(column.name(), self.damaged, &mut problems);
        }
        problems
    }
}

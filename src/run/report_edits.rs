//! Compares a report of idshift that is used as a file with the input of the run that wrote it.
//!
//! A spreadsheet that saves `failures.csv` drops leading zeros and rounds long numbers although the cells are quoted. The
//! same number in another text is a change by a spreadsheet, and an error. Any other difference is the user's own
//! correction, and is shown. If the run does not exist any more, only the customer that it found guards the line.

use super::error::CommandError;
use super::kept_run::KeptRun;
use super::saved_settings::SavedSettings;
use crate::domain::{Line, Problem, Severity};
use crate::input::{Column, Record, Table, is_damaged};
use crate::ledger::{ListedRun, Runs};
use crate::system::SystemKind;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

/// A short hash of the value of each column; 0: the table does not have the column.
type Values = [u32; Column::ALL.len()];

/// By the line of one run: the line of the report, and the values in the report.
type Lines = HashMap<Line, (Line, Values)>;

/// By the line of the report: the cells that differ, with the values of the run's own input.
type Before = HashMap<Line, Vec<(Column, String)>>;

/// Compares a report with the inputs of its runs. Finds nothing in any other file.
pub(super) fn compare(
    table: &Table,
    file: &Path,
    kept_runs: &Arc<dyn Runs>,
) -> Result<Vec<Problem>, CommandError> {
    let mut problems = Vec::new();
    if !table.is_report() {
        return Ok(problems);
    }
    let hasher = RandomState::new();
    let mut runs: BTreeMap<String, Lines> = BTreeMap::new();
    for record in table.records()? {
        let record = record?;
        if let Some((run, line)) = &record.origin {
            let values = hashed(table, &record, &hasher);
            let lines = match runs.get_mut(run) {
                Some(lines) => lines,
                None => runs.entry(run.clone()).or_default(),
            };
            lines.insert(*line, (record.line, values));
        }
    }
    for (run, lines) in runs {
        match of_run(&run, file, kept_runs) {
            Some(dir) => {
                let before = differences(&dir, &lines, &hasher)?;
                tell(table, &run, &before, &mut problems)?;
            }
            None => problems.push(not_found(table, &run)),
        }
    }
    problems.sort_by_key(|problem| problem.line);
    Ok(problems)
}

fn of_run(run: &str, file: &Path, runs: &Arc<dyn Runs>) -> Option<KeptRun> {
    // A pruned run has no input to compare with.
    let is_it = |one: &KeptRun| one.run().as_str() == run && one.input().is_ok();
    // Test: `recognition::report_in_another_runs_*`.
    let beside = KeptRun::of_file(runs, file).filter(is_it);
    let kept = || {
        let all = runs.list().ok()?.into_iter().filter_map(|one| match one {
            ListedRun::There(dir, _) => Some(KeptRun::of(runs, dir)),
            ListedRun::Gone(_) | ListedRun::Elsewhere(_) => None,
        });
        all.into_iter().find(is_it)
    };
    beside.or_else(kept)
}

fn not_found(table: &Table, run: &str) -> Problem {
    Problem {
        line: table.header_line(),
        column: "idshift_run".to_owned(),
        value: run.to_owned(),
        severity: Severity::Warning,
        code: "run_not_found",
        message: format!(
            "the run {run} is not here or was pruned, so that changes by a spreadsheet cannot be detected"
        ),
        help: "name the folder of its runs with --runs-dir, or compare the IDs yourself".to_owned(),
    }
}

fn hashed(table: &Table, record: &Record, hasher: &RandomState) -> Values {
    let mut values = Values::default();
    for (column, value) in table.known(record) {
        let hash = hasher.hash_one(&*value);
        let place = Column::ALL.iter().position(|other| *other == column);
        if let Some(place) = place {
            values[place] = u32::try_from(hash >> 32).unwrap_or(u32::MAX).max(1);
        }
    }
    values
}

/// Returns the cells of the run's input that differ from the report, by the report's lines.
fn differences(run: &KeptRun, lines: &Lines, hasher: &RandomState) -> Result<Before, CommandError> {
    let ledger = run.ledger()?;
    let kept = SavedSettings::of(&ledger)?;
    let system = SystemKind::parse(&ledger.header().system).unwrap_or(SystemKind::Plume);
    let input = kept.shown_table(run, system)?;
    let mut before = Before::new();
    for record in input.records()? {
        let record = record?;
        let Some((line, now)) = lines.get(&record.line) else {
            continue;
        };
        let was = hashed(&input, &record, hasher);
        let differs = |place: usize| now[place] != 0 && was[place] != 0 && now[place] != was[place];
        if !(0..was.len()).any(differs) {
            continue;
        }
        let cells = input.known(&record).filter(|(column, _)| {
            Column::ALL
                .iter()
                .position(|other| other == column)
                .is_some_and(differs)
        });
        let cells = cells.map(|(column, value)| (column, value.into_owned()));
        before.insert(*line, cells.collect());
    }
    Ok(before)
}

/// Adds a problem for each cell that differs.
fn tell(
    table: &Table,
    run: &str,
    before: &Before,
    problems: &mut Vec<Problem>,
) -> Result<(), CommandError> {
    if before.is_empty() {
        return Ok(());
    }
    for record in table.records()? {
        let record = record?;
        let Some(cells) = before.get(&record.line) else {
            continue;
        };
        for (column, now) in table.known(&record) {
            let Some((_, was)) = cells.iter().find(|(other, _)| *other == column) else {
                continue;
            };
            let problem = |severity, code, what: &str, help: &str| Problem {
                line: record.line,
                column: table.spelling(column).to_owned(),
                value: now.to_string(),
                severity,
                code,
                message: format!(
                    "the input of run {run} has `{was}`, and this file has `{now}`: {what}"
                ),
                help: help.to_owned(),
            };
            problems.push(if is_by_spreadsheet(was, &now) {
                problem(
                    Severity::Error,
                    "spreadsheet_changed",
                    "a spreadsheet changed it",
                    "take the line from the run's own report, and edit it with a text editor, or import its columns as text",
                )
            } else {
                problem(
                    Severity::Warning,
                    "corrected",
                    "it was corrected since",
                    "no action is needed if that is intended",
                )
            });
        }
    }
    Ok(())
}

/// Returns whether a spreadsheet has changed one text into the other: the same number, or text of spreadsheets only.
fn is_by_spreadsheet(was: &str, now: &str) -> bool {
    if is_damaged(now) && !is_damaged(was) && !now.is_empty() {
        return true;
    }
    let (Some(before), Some(after)) = (Number::parse(was), Number::parse(now)) else {
        return false;
    };
    // Spreadsheets do not add zeros. A user who adds zeros restores lost ones.
    let digits = |text: &str| text.trim_start_matches(['+', '-']).to_owned();
    let adds = digits(now).starts_with('0') && digits(now).trim_start_matches('0') == digits(was);
    !adds && before.becomes(&after)
}

/// A number as it is written in a cell.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    negative: bool,
    /// The digits without zeros at either end.
    digits: String,
    /// Number of digits before the decimal sign.
    point: i64,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match bare.split_once(['E', 'e']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (bare, 0),
        };
        let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let trimmed = all.trim_start_matches('0');
        let zeros = i64::try_from(all.len() - trimmed.len()).ok()?;
        let digits = trimmed.trim_end_matches('0').to_owned();
        let point = i64::try_from(whole.len()).ok()? - zeros + i64::from(exponent);
        Some(Self {
            negative: text.starts_with('-'),
            point: if digits.is_empty() { 0 } else { point },
            digits,
        })
    }

    /// Returns whether the other number is the same, or this one with the digits that a spreadsheet keeps.
    fn becomes(&self, other: &Self) -> bool {
        if self.negative != other.negative {
            return false;
        }
        if self.digits == other.digits {
            return self.point == other.point;
        }
        let kept = other.digits.len();
        if !(2..30).contains(&kept) || kept >= self.digits.len() || self.digits.len() <= 5 {
            return false;
        }
        let (head, tail) = self.digits.split_at(kept);
        let (Ok(head), Ok(after)) = (head.parse::<u128>(), other.digits.parse::<u128>()) else {
            return false;
        };
        let rounded = head + u128::from(tail.as_bytes()[0] >= b'5');
        self.point == other.point && (after == head || after == rounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_by_a_spreadsheet_are_distinguished_from_user_edits() {
        for (was, now) in [
            ("00123456", "123456"),
            ("+4930123456", "4930123456"),
            ("123456789012", "1.23457E+11"),
            ("123456789012", "1,23457E+11"),
            ("1234567890123456789", "1234567890123460000"),
            ("1234567890123456789", "1234567890123450000"),
            ("12E5", "1200000"),
            ("0012.50", "12.5"),
            ("3-4", "2026-04-03"),
            ("1-2", "02. Jan"),
            ("1E10", "10000000000"),
            ("000", "0"),
            ("20011", "20011.0"),
        ] {
            assert!(is_by_spreadsheet(was, now), "{was} {now}");
        }
        for (was, now) in [
            ("123456", "00123456"),
            ("A-1", "A-2"),
            ("123456", "123457"),
            ("123456", "1234567"),
            ("123456", "-123456"),
            ("CRM-001", "CRM-1"),
            ("123456", ""),
            ("", "123456"),
            ("12345", "12"),
        ] {
            assert!(!is_by_spreadsheet(was, now), "{was} {now}");
        }
    }
}

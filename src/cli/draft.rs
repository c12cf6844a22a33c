//! A file, read and planned offline: what `check` shows and what every run begins with.

use crate::domain::{Change, Line, Problem, Severity};
use crate::input::{InputError, Row, Rules, Settings, Survey, Table};
use crate::plan::{Counts, Crossing, Index, IndexBuilder, Keys, Unit, arrange};
use crate::system::Facts;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// So many problems are kept; more are counted.
const KEPT: usize = 200_000;

/// A planned file.
pub(super) struct Draft {
    pub(super) table: Table,
    pub(super) index: Index,
    /// Units of lines that have to do with each other, by their number. All other lines are units of their own.
    pub(super) units: HashMap<Line, Unit>,
    pub(super) problems: Vec<Problem>,
    pub(super) more_problems: u64,
    /// The first error of each line that has one.
    pub(super) wrong: HashMap<Line, usize>,
    pub(super) counts: Counts,
    /// Lines that name no customer by the system's own ID.
    pub(super) without_customer: u64,
    /// Where some lines name their customer by account ID alone, and others by the system's own ID alone; and where one
    /// brings about the ID that another goes by, and nothing is ordered.
    pub(super) crossing: Option<Arc<Crossing>>,
}

#[derive(Default)]
struct Part {
    index: IndexBuilder,
    survey: Survey,
    counts: Counts,
    without_customer: u64,
    without_account: u64,
    problems: Vec<Problem>,
    more_problems: u64,
}

impl Part {
    fn add(&mut self, row: Row) {
        let damaged = row
            .problems
            .iter()
            .any(|problem| problem.code.starts_with("spreadsheet_"));
        if damaged {
            self.survey.saw_damage();
        }
        for problem in row.problems {
            if self.problems.len() < KEPT {
                self.problems.push(problem);
            } else {
                self.more_problems += 1;
            }
        }
        let Some(change) = row.change else {
            self.counts.lines += 1;
            return;
        };
        self.counts.add_line(&change);
        self.survey.add(&change);
        self.without_customer += u64::from(change.customer.is_none());
        self.without_account += u64::from(change.account.is_none());
        self.index.push(change.line, &Keys::of(&change));
    }

    fn merge(&mut self, other: Self) {
        self.index.append(other.index);
        self.survey.merge(other.survey);
        self.counts.merge(&other.counts);
        self.without_customer += other.without_customer;
        self.without_account += other.without_account;
        let room = KEPT.saturating_sub(self.problems.len());
        let over = other.problems.len().saturating_sub(room);
        self.more_problems += other.more_problems + u64::try_from(over).unwrap_or(0);
        self.problems.extend(other.problems.into_iter().take(room));
    }
}

/// The rules of a system for the lines of a file.
pub(super) fn rules(facts: &Facts) -> Rules {
    Rules {
        max_account_chars: facts.max_account_chars,
        min_account_chars: facts.min_account_chars,
        forbidden_in_account: facts.forbidden_in_account,
        forbidden_accounts: facts.forbidden_accounts,
        has_locations: facts.has_locations,
        per_reseller: facts.per_reseller,
        ids_are_guids: facts.ids_are_guids,
        reseller: None,
        allow_clear: false,
        verbatim: false,
    }
}

/// Reads and plans a file.
pub(super) fn read(
    path: &Path,
    name: &str,
    settings: &Settings,
    rules: &Rules,
    unique_accounts: bool,
) -> Result<Draft, InputError> {
    let table = Table::open(path, name, settings, rules)?;
    let mut whole = Part::default();
    table.fold(Part::default, Part::add, |part| whole.merge(part))?;
    if whole.counts.lines == 0 {
        return Err(InputError::NoRows {
            name: name.to_owned(),
            line: 1,
        });
    }
    let index = whole.index.finish();
    let arrangement = arrange(entangled(&table, &index)?, unique_accounts);
    let mut problems = whole.problems;
    problems.extend(table.misspelt());
    problems.extend(whole.survey.finish());
    problems.extend(arrangement.problems);
    problems.sort_by_key(|problem| problem.line);
    let mut wrong = HashMap::new();
    for (at, problem) in problems.iter().enumerate() {
        if problem.severity == Severity::Error {
            wrong.entry(problem.line).or_insert(at);
        }
    }
    let mut counts = whole.counts;
    counts.merge(&arrangement.counts);
    let crossing = if whole.without_customer > 0 && whole.without_account > 0 {
        Some(Arc::new(crossing(&table)?))
    } else if !unique_accounts && !arrangement.units.is_empty() {
        let changes = arrangement.units.iter().flat_map(Unit::changes);
        Some(Arc::new(changes.cloned().collect()))
    } else {
        None
    };
    Ok(Draft {
        table,
        index,
        units: arrangement
            .units
            .into_iter()
            .map(|unit| (unit.number, unit))
            .collect(),
        more_problems: whole.more_problems,
        wrong,
        problems,
        counts,
        without_customer: whole.without_customer,
        crossing,
    })
}

fn crossing(table: &Table) -> Result<Crossing, InputError> {
    let batches = table.batches()?;
    let changes = batches.flat_map(|batch| match batch {
        Ok(rows) => rows
            .into_iter()
            .filter_map(|row| row.change.map(Ok))
            .collect(),
        Err(error) => vec![Err(error)],
    });
    changes.collect()
}

/// The lines that have to do with each other, as changes.
fn entangled(table: &Table, index: &Index) -> Result<Vec<Change>, InputError> {
    if index.entangled().is_empty() {
        return Ok(Vec::new());
    }
    let mut changes = Vec::with_capacity(index.entangled().len());
    for batch in table.batches()? {
        let rows = batch?
            .into_iter()
            .filter(|row| index.is_entangled(row.line));
        changes.extend(rows.filter_map(|row| row.change));
    }
    Ok(changes)
}

impl Draft {
    /// What keeps a line from being carried out.
    pub(super) fn error_of(&self, line: Line) -> Option<&Problem> {
        self.wrong.get(&line).and_then(|at| self.problems.get(*at))
    }

    pub(super) fn invalid_lines(&self) -> u64 {
        u64::try_from(self.wrong.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.wrong.is_empty()
    }
}

//! A file, read and planned offline: what `check` shows and what every run begins with.

use super::line_summary::{LineSummary, WrittenLines};
use crate::domain::{Change, Line, Problem, ProblemList, Severity, Status, one_or_many};
use crate::input::{
    Accept, Column, Findings, InputError, Known, Passed, Row, Rules, Settings, Survey, Table,
};
use crate::ledger::{Ledger, LedgerError, LineSet};
use crate::plan::{
    AliasConflicts, Candidates, Counts, FirstReading, Index, Keys, Sizes, Touch, Unit, case_twins,
    group, repeated,
};
use crate::system::Capabilities;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// A planned file.
pub(crate) struct InputPlan {
    pub(crate) table: Table,
    pub(crate) index: Index,
    /// Units of lines that depend on each other, by their number. Every other line is a unit of its own.
    pub(crate) units: HashMap<Line, Unit>,
    pub(crate) problems: ProblemList,
    /// The lines that cannot be carried out.
    pub(crate) wrong: Arc<Wrong>,
    /// Number of lines that cannot be carried out.
    pub(crate) invalid: u64,
    /// Counts of what the other lines ask for; `lines` is the number of lines of the whole file.
    pub(crate) counts: Counts,
    /// Number of rows with nothing but delimiters, which do not count as lines.
    pub(crate) blank_rows: u64,
    /// Number of lines that do not name a customer by the system's own ID.
    pub(crate) without_customer: u64,
    /// Present if some lines name their customer by account ID alone and others by the system's own ID alone; or if account
    /// IDs are not unique (so lines are not ordered) and a line sets an ID by which another one names its customer.
    pub(crate) crossing: Option<Arc<AliasConflicts>>,
}

/// Lines that cannot be carried out: four bytes for each.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    lines: Vec<Line>,
    /// Ranges below a header with its columns in another order: the line of this header and that of the next header.
    below: Vec<(Line, Line)>,
}

impl Wrong {
    fn add(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.lines.extend(lines);
        self.lines.sort_unstable();
        self.lines.dedup();
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn has(&self, line: Line) -> bool {
        self.lines.binary_search(&line).is_ok() || self.header_above(line).is_some()
    }

    /// Returns the header above this line that makes the line unreadable.
    fn header_above(&self, line: Line) -> Option<Line> {
        let range = self
            .below
            .iter()
            .find(|(from, to)| line > *from && line < *to);
        range.map(|(from, _)| *from)
    }
}

/// The rules of a system for the lines of a file.
pub(super) fn rules(capabilities: &Capabilities) -> Rules {
    Rules {
        max_account_chars: capabilities.max_account_chars,
        min_account_chars: capabilities.min_account_chars,
        forbidden_in_account: capabilities.forbidden_in_account,
        forbidden_accounts: capabilities.forbidden_accounts,
        has_locations: capabilities.has_locations,
        per_reseller: capabilities.per_reseller,
        ids_are_guids: capabilities.ids_are_guids,
        reseller: None,
        allow_clear: false,
        accept: Accept::default(),
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
) -> Result<InputPlan, InputError> {
    let table = Table::open(path, name, settings, rules)?;
    let whole = summarise(&table, Sizes::default())?;
    plan(table, name, whole, unique_accounts)
}

/// Plans a file that this program has written. Its lines were summarised while they were written.
pub(super) fn of_written(
    path: &Path,
    name: &str,
    settings: &Settings,
    rules: &Rules,
    (lines, unique_accounts): (WrittenLines, bool),
) -> Result<InputPlan, InputError> {
    let table = Table::open(path, name, settings, rules)?;
    plan(table, name, lines.finish(), unique_accounts)
}

fn plan(
    table: Table,
    name: &str,
    whole: LineSummary<FirstReading>,
    unique_accounts: bool,
) -> Result<InputPlan, InputError> {
    if whole.counts.lines == 0 && whole.passed.blank_rows == 0 {
        return Err(InputError::NoRows {
            name: name.to_owned(),
            line: table.header_line(),
        });
    }
    let below = whole.below();
    let candidates = whole.keys.finish();
    let mut problems = whole.problems;
    let mut findings = whole.survey.finish(&table);
    let unread = whole.wrong.len();
    let mut wrong = Wrong {
        lines: whole.wrong,
        below,
    };
    wrong.add(findings.tell(&mut problems));
    let (index, mut entangled) = entangled(&table, candidates, &wrong)?;
    let filling = fillers(&entangled, &findings, &table);
    wrong.add(errors(&filling));
    if !unique_accounts && !filling.is_empty() {
        // Where account IDs are unique, two customers with one ID are a contradiction as well, which is also reported.
        entangled.retain(|change| !wrong.has(change.line));
    }
    for problem in filling {
        problems.push(problem);
    }
    case_twins(
        &entangled,
        table.spelling(Column::NewAccountId),
        &mut problems,
    );
    let arrangement = group(entangled, unique_accounts);
    wrong.add(errors(&arrangement.problems));
    let of_file = passed_over(&table, whole.passed);
    for problem in [table.similar_names(), of_file, arrangement.problems].concat() {
        problems.push(problem);
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
    let units = arrangement.units.into_iter();
    let mut draft = InputPlan {
        table,
        index,
        units: units.map(|unit| (unit.number, unit)).collect(),
        invalid: unread as u64,
        problems,
        counts,
        blank_rows: whole.passed.blank_rows,
        without_customer: whole.without_customer,
        crossing,
        wrong: Arc::default(),
    };
    draft.leave_out(wrong)?;
    Ok(draft)
}

/// Reads a file for the first time, and summarises its lines for planning.
fn summarise(table: &Table, sizes: Sizes) -> Result<LineSummary<FirstReading>, InputError> {
    let mut whole = LineSummary::new(FirstReading::new(sizes), Survey::default());
    let stages = whole.keys.stages();
    let known = Arc::new(Known::default());
    let of_earlier = Arc::clone(&known);
    let begin = move || LineSummary::new(stages.part(), Survey::below(&of_earlier));
    table.fold(begin, LineSummary::add, |part, passed, read| {
        whole.append(part, passed, read);
        whole.survey.tell(&known);
    })?;
    Ok(whole)
}

/// Returns the lines of those problems that are errors.
fn errors(problems: &[Problem]) -> impl Iterator<Item = Line> {
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| problem.line)
}

/// Finds new IDs that several of these lines ask for and that stand for a missing ID.
fn fillers(changes: &[Change], findings: &Findings, table: &Table) -> Vec<Problem> {
    let column = table.spelling(Column::NewAccountId);
    let repeated = repeated(changes).into_iter();
    repeated
        .flat_map(|(id, lines)| findings.fillers(id.as_str(), &lines, column))
        .collect()
}

/// Returns a notice for each kind of content that was skipped.
fn passed_over(table: &Table, passed: Passed) -> Vec<Problem> {
    let notice = |line: Line, code, message: String, help: &str| Problem {
        line,
        column: String::new(),
        value: String::new(),
        severity: Severity::Warning,
        code,
        message,
        help: help.to_owned(),
    };
    let mut notices = Vec::new();
    if passed.blank_rows > 0 {
        notices.push(notice(
            passed.first.unwrap_or_else(|| table.header_line()),
            "blank_rows",
            one_or_many(
                passed.blank_rows,
                "row that has only delimiters was skipped",
                "rows that have only delimiters were skipped",
            ),
            "nothing is to be done",
        ));
    }
    if passed.end_mark {
        notices.push(notice(
            table.header_line(),
            "end_mark",
            "the end mark of DOS (^Z) at the end of the file was skipped".to_owned(),
            "nothing is to be done",
        ));
    }
    notices
}

fn crossing(table: &Table) -> Result<AliasConflicts, InputError> {
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

/// Reads the file again if it may have lines that depend on each other. Returns these lines, and the changes of those that
/// can be carried out.
fn entangled(
    table: &Table,
    candidates: Candidates,
    wrong: &Wrong,
) -> Result<(Index, Vec<Change>), InputError> {
    if candidates.is_empty() {
        return Ok(Default::default());
    }
    let add = move |(touches, changes): &mut (Vec<Touch>, Vec<Change>), row: &mut Row| {
        let before = touches.len();
        if let Some(change) = &row.change {
            touches.extend(candidates.of(row.line, Keys::of(change)));
        }
        if touches.len() > before {
            changes.extend(row.change.take());
        }
    };
    let (mut touches, mut changes) = (Vec::new(), Vec::new());
    table.fold(Default::default, add, |(some, theirs), _, _| {
        touches.extend(some);
        let sound = theirs.into_iter();
        changes.extend(sound.filter(|change| !wrong.has(change.line)));
    })?;
    let index = Index::among(touches);
    changes.retain(|change| index.is_entangled(change.line));
    Ok((index, changes))
}

impl InputPlan {
    /// Returns the number of lines without a final outcome that wait for a line in doubt of their chain or swap.
    pub(super) fn waiting(&self, ledger: &Ledger) -> Result<u64, LedgerError> {
        let (mut in_doubt, mut ended) = (LineSet::default(), LineSet::default());
        for outcome in ledger.outcomes() {
            let outcome = outcome?;
            if outcome.status == Status::InDoubt {
                in_doubt.insert(outcome.line);
            }
            if outcome.status != Status::WouldChange {
                ended.insert(outcome.line);
            }
        }
        let units = self.units.values();
        let waiting = units.filter(|unit| unit.lines().any(|line| in_doubt.contains(line)));
        let lines = waiting.flat_map(Unit::lines);
        Ok(lines.filter(|line| !ended.contains(*line)).count() as u64)
    }

    /// Whether a line cannot be carried out.
    pub(crate) fn is_wrong(&self, line: Line) -> bool {
        self.wrong.has(line)
    }

    /// Describes why a line cannot be carried out.
    pub(crate) fn why_wrong(&self, row: &Row) -> String {
        let words = |problem: &Problem| {
            format!("{}: {}; {}", problem.column, problem.message, problem.help)
        };
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        if let Some(problem) = row.problems.iter().find(is_error) {
            return words(problem);
        }
        if let Some(header) = self.wrong.header_above(row.line) {
            return format!(
                "the line stands below the header of line {header}, whose columns are in another order"
            );
        }
        let kept = self.problems.kinds().flat_map(|(kept, _)| kept);
        let mut of_line = kept.filter(|problem| problem.line == row.line);
        of_line.find(is_error).map_or_else(
            || "a value of the line is damaged as many others of its column are; `idshift check` shows some".to_owned(),
            words,
        )
    }

    /// How many lines cannot be carried out.
    pub(crate) fn invalid_lines(&self) -> u64 {
        self.invalid
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.wrong.is_empty()
    }

    /// Leaves out these lines, which include all that could not be read. Any other of them were counted as changes before,
    /// so the file is counted once more without them.
    fn leave_out(&mut self, wrong: Wrong) -> Result<(), InputError> {
        let (unread, all) = (self.invalid, wrong.lines.len() as u64);
        self.wrong = Arc::new(wrong);
        if all == unread && self.wrong.below.is_empty() {
            return Ok(());
        }
        let wrong = Arc::clone(&self.wrong);
        let mut counts = Counts::default();
        self.invalid = 0;
        let add = move |(counts, invalid): &mut (Counts, u64), row: &mut Row| {
            let change = row.change.as_ref();
            match change.filter(|change| !wrong.has(change.line)) {
                Some(change) => counts.add_line(change),
                None => *invalid += 1,
            }
        };
        self.table
            .fold(Default::default, add, |(part, invalid), _, _| {
                counts.merge(&part);
                self.invalid += invalid;
            })?;
        self.counts.renames = counts.renames;
        self.counts.clears = counts.clears;
        self.counts.locations = counts.locations;
        self.counts.nothing = counts.nothing;
        Ok(())
    }

    /// Returns the codes of warnings that must be accepted before any line of the file is carried out.
    pub(crate) fn blocking(&self) -> Vec<&'static str> {
        self.problems.codes(Severity::Blocking)
    }

    /// Adds problems that were found by comparing the file with others.
    pub(crate) fn add(&mut self, more: Vec<Problem>) -> Result<(), InputError> {
        let lines: Vec<Line> = errors(&more).collect();
        if !lines.is_empty() {
            let mut wrong = Wrong {
                lines: self.wrong.lines.clone(),
                below: self.wrong.below.clone(),
            };
            wrong.add(lines);
            self.leave_out(wrong)?;
        }
        for problem in more {
            self.problems.push(problem);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

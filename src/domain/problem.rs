//! What is wrong with the input, with the place, the value and the next step.

use super::Line;
use std::collections::BTreeMap;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The line cannot be carried out.
    Error,
    /// The file is refused until the code is named in `--accept`.
    Blocking,
    /// Only shown.
    Warning,
}

impl Severity {
    /// The word of the reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Blocking => "blocking",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong with one line (or with the whole file: line 1, the header).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, as an editor counts.
    pub line: Line,
    /// The column as the file's header spells it; empty where the whole line is meant.
    pub column: String,
    /// The value at fault; empty where there is none.
    pub value: String,
    /// Error, blocking or warning.
    pub severity: Severity,
    /// A stable word for scripts, such as `duplicate_target`.
    pub code: &'static str,
    /// What is wrong, one clause in lower case without a full stop.
    pub message: String,
    /// What to do about it, one clause.
    pub help: String,
}

/// The most problems of one kind that are kept; more are counted.
pub const KEPT_PER_KIND: usize = 1000;

/// Problems by their kind, which is their code: the first thousand of each, and how many there are.
#[derive(Debug, Clone, Default)]
pub struct ProblemList {
    kinds: BTreeMap<(Severity, &'static str), Kind>,
}

#[derive(Debug, Clone, Default)]
struct Kind {
    kept: Vec<Problem>,
    count: u64,
}

impl ProblemList {
    /// Adds a problem; they come in the order of the file.
    pub fn push(&mut self, problem: Problem) {
        let kind = self
            .kinds
            .entry((problem.severity, problem.code))
            .or_default();
        kind.count += 1;
        if kind.kept.len() < KEPT_PER_KIND {
            kind.kept.push(problem);
        }
    }

    /// Counts problems of which no more than the kept ones can be shown.
    pub fn count_more(&mut self, severity: Severity, code: &'static str, more: u64) {
        self.kinds.entry((severity, code)).or_default().count += more;
    }

    /// Adds what stands further down in the file.
    pub fn append(&mut self, other: Self) {
        for (key, theirs) in other.kinds {
            let mine = self.kinds.entry(key).or_default();
            mine.count += theirs.count;
            let room = KEPT_PER_KIND.saturating_sub(mine.kept.len());
            mine.kept.extend(theirs.kept.into_iter().take(room));
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The kinds, errors first: the kept problems of each, and how many there are.
    pub fn kinds(&self) -> impl Iterator<Item = (&[Problem], u64)> {
        self.kinds
            .values()
            .map(|kind| (kind.kept.as_slice(), kind.count))
    }

    /// All that are kept, in the order of the file.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut all: Vec<&Problem> = self.kinds.values().flat_map(|kind| &kind.kept).collect();
        all.sort_by_key(|problem| (problem.line, problem.severity));
        all
    }

    /// How many are not kept.
    pub fn left_out(&self) -> u64 {
        let kinds = self.kinds.values();
        kinds
            .map(|kind| kind.count - u64::try_from(kind.kept.len()).unwrap_or(0))
            .sum()
    }

    /// The codes of this severity.
    pub fn codes(&self, severity: Severity) -> Vec<&'static str> {
        let kinds = self.kinds.keys().filter(|(other, _)| *other == severity);
        kinds.map(|(_, code)| *code).collect()
    }
}

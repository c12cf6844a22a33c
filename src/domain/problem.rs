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
    /// Returns the word that reports use.
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

/// The maximum number of problems that are kept of each kind; further problems are only counted.
pub const KEPT_PER_KIND: usize = 1000;

/// Problems by severity and code: the first thousand of each kind, and the number of all.
#[derive(Debug, Clone, Default)]
pub struct ProblemList {
    kinds: BTreeMap<(Severity, &'static str), Kind>,
}

/// Problems of one kind.
#[derive(Debug, Clone, Default)]
struct Kind {
    /// The problems of the lowest lines, in the order of the file.
    kept: Vec<Problem>,
    count: u64,
}

impl Kind {
    fn push(&mut self, problem: Problem) {
        self.count += 1;
        // Nearly all problems arrive in the order of the file, so that no search is needed.
        let at = match self.kept.last() {
            Some(last) if last.line > problem.line => {
                self.kept.partition_point(|kept| kept.line <= problem.line)
            }
            _ => self.kept.len(),
        };
        if at < KEPT_PER_KIND {
            self.kept.truncate(KEPT_PER_KIND - 1);
            self.kept.insert(at, problem);
        }
    }

    fn append(&mut self, other: Self) {
        self.count += other.count;
        self.kept.extend(other.kept);
        if !self.kept.is_sorted_by_key(|problem| problem.line) {
            self.kept.sort_by_key(|problem| problem.line);
        }
        self.kept.truncate(KEPT_PER_KIND);
    }
}

impl ProblemList {
    /// Adds a problem.
    pub fn push(&mut self, problem: Problem) {
        let key = (problem.severity, problem.code);
        self.kinds.entry(key).or_default().push(problem);
    }

    /// Removes the errors with these codes about a line, because another error describes the line better.
    pub fn withdraw(&mut self, line: Line, codes: &[&'static str]) {
        for code in codes {
            let key = (Severity::Error, *code);
            let Some(kind) = self.kinds.get_mut(&key) else {
                continue;
            };
            let before = kind.kept.len();
            kind.kept.retain(|problem| problem.line != line);
            kind.count -= u64::try_from(before - kind.kept.len()).unwrap_or(0);
            if kind.count == 0 {
                self.kinds.remove(&key);
            }
        }
    }

    /// Adds to the number of problems of a kind, without adding problems that can be shown.
    pub fn count_more(&mut self, severity: Severity, code: &'static str, more: u64) {
        self.kinds.entry((severity, code)).or_default().count += more;
    }

    /// Adds the problems of another part of the file, which usually stands further down.
    pub fn append(&mut self, other: Self) {
        for (key, theirs) in other.kinds {
            let mine = self.kinds.entry(key).or_default();
            mine.append(theirs);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Returns for each kind the kept problems and the number of all: errors first, then in the order of their first lines.
    pub fn kinds(&self) -> impl Iterator<Item = (&[Problem], u64)> {
        let first = |kind: &Kind| kind.kept.first().map(|problem| problem.line);
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|((severity, _), kind)| (*severity, first(kind)));
        kinds
            .into_iter()
            .map(|(_, kind)| (kind.kept.as_slice(), kind.count))
    }

    /// Returns all kept problems, in the order of the file.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut all: Vec<&Problem> = self.kinds.values().flat_map(|kind| &kind.kept).collect();
        all.sort_by_key(|problem| (problem.line, problem.severity));
        all
    }

    /// Returns how many problems are counted and not kept.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: Line, code: &'static str) -> Problem {
        Problem {
            line,
            column: String::new(),
            value: String::new(),
            severity: Severity::Error,
            code,
            message: "m".to_owned(),
            help: "h".to_owned(),
        }
    }

    fn lines(list: &ProblemList) -> Vec<Line> {
        let kept = list.kinds().flat_map(|(kept, _)| kept);
        kept.map(|problem| problem.line).collect()
    }

    #[test]
    fn smallest_line_numbers_of_a_kind_are_kept_in_any_arrival_order() {
        let mut list = ProblemList::default();
        for line in (2..1502).rev() {
            list.push(problem(line, "ragged"));
        }
        assert_eq!(lines(&list), (2..1002).collect::<Vec<_>>());
        assert_eq!(list.left_out(), 500);
        let mut later = ProblemList::default();
        later.push(problem(1, "ragged"));
        later.push(problem(5000, "ragged"));
        list.append(later);
        assert_eq!(lines(&list), (1..1001).collect::<Vec<_>>());
        assert_eq!(list.left_out(), 502);
    }

    #[test]
    fn kinds_are_sorted_by_first_line_and_withdrawn_problems_removed() {
        let mut list = ProblemList::default();
        for (line, code) in [(9, "a"), (4, "b"), (2, "c"), (4, "c")] {
            list.push(problem(line, code));
        }
        list.push(Problem {
            severity: Severity::Warning,
            ..problem(1, "d")
        });
        assert_eq!(lines(&list), [2, 4, 4, 9, 1]);
        list.withdraw(4, &["b", "c"]);
        assert_eq!(lines(&list), [2, 9, 1]);
        assert_eq!(list.codes(Severity::Error), ["a", "c"]);
    }
}

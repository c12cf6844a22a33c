//! A summary of the lines of a file for planning, made while the file is read or written.

use crate::domain::{Change, Extent, Line, ProblemList};
use crate::input::{Passed, Row, Survey};
use crate::plan::{Counts, FirstReading, Keys, PartKeys, Sizes};

/// What planning needs to know about some lines. `K`: the keys of one part or of the whole file.
pub(super) struct LineSummary<K> {
    pub(super) keys: K,
    pub(super) survey: Survey,
    pub(super) counts: Counts,
    pub(super) without_customer: u64,
    pub(super) without_account: u64,
    pub(super) problems: ProblemList,
    pub(super) wrong: Vec<Line>,
    /// Repeated header lines; `true`: the columns are in another order.
    pub(super) headers: Vec<(Line, bool)>,
    pub(super) passed: Passed,
}

impl<K> LineSummary<K> {
    pub(super) fn new(keys: K, survey: Survey) -> Self {
        Self {
            keys,
            survey,
            counts: Counts::default(),
            without_customer: 0,
            without_account: 0,
            problems: ProblemList::default(),
            wrong: Vec::new(),
            headers: Vec::new(),
            passed: Passed::default(),
        }
    }
}

impl LineSummary<PartKeys> {
    pub(super) fn add(&mut self, row: &mut Row) {
        for problem in std::mem::take(&mut row.problems) {
            self.survey.hear(&problem);
            self.problems.push(problem);
        }
        if let Some(turned) = row.header {
            self.headers.push((row.line, turned));
        }
        if let Some(change) = &row.change {
            self.counts.add_line(change);
            self.without_customer += u64::from(change.customer.is_none());
            self.without_account += u64::from(change.account.is_none());
            self.keys.push(Keys::of(change));
        } else {
            self.counts.lines += 1;
            self.wrong.push(row.line);
        }
        self.survey.observe(row);
    }
}

impl LineSummary<FirstReading> {
    pub(super) fn append(&mut self, other: LineSummary<PartKeys>, passed: Passed, read: Extent) {
        self.keys.append(other.keys, read);
        self.survey.append(other.survey);
        self.counts.merge(&other.counts);
        self.without_customer += other.without_customer;
        self.without_account += other.without_account;
        self.problems.append(other.problems);
        self.wrong.extend(other.wrong);
        self.headers.extend(other.headers);
        self.passed.append(passed);
    }

    /// Returns the lines after each header that has its columns in another order: from the header to the next header.
    pub(super) fn below(&self) -> Vec<(Line, Line)> {
        let next = self.headers.iter().skip(1).map(|(next, _)| *next);
        let headers = self.headers.iter().zip(next.chain([Line::MAX]));
        headers
            .filter(|((_, turned), _)| *turned)
            .map(|((line, _), next)| (*line, next))
            .collect()
    }
}

/// Summarises the lines of a file that this program writes, so that the file need not be read for it.
pub(super) struct WrittenLines {
    whole: LineSummary<FirstReading>,
    part: PartKeys,
    /// Expected number of lines.
    lines: u64,
}

/// Number of lines in one part.
const PART: u64 = if cfg!(test) { 16 } else { 4_096 };

impl WrittenLines {
    /// Begins a file that will have this many lines.
    pub(super) fn new(lines: u64) -> Self {
        let keys = FirstReading::new(Sizes::default());
        Self {
            part: keys.stages().part(),
            whole: LineSummary::new(keys, Survey::default()),
            lines,
        }
    }

    /// Adds a line as it is written.
    pub(super) fn add(&mut self, change: &Change) {
        let whole = &mut self.whole;
        whole.counts.add_line(change);
        whole.without_customer += u64::from(change.customer.is_none());
        whole.without_account += u64::from(change.account.is_none());
        self.part.push(Keys::of(change));
        if whole.counts.lines.is_multiple_of(PART) {
            self.end_part();
        }
    }

    fn end_part(&mut self) {
        let keys = &mut self.whole.keys;
        let next = keys.stages().part();
        let read = Extent {
            done: self.whole.counts.lines,
            whole: self.lines.max(self.whole.counts.lines),
        };
        keys.append(std::mem::replace(&mut self.part, next), read);
    }

    /// Returns the summary of all lines.
    pub(super) fn finish(mut self) -> LineSummary<FirstReading> {
        self.end_part();
        self.whole
    }
}

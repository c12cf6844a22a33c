//! Decides which doubtful values are damage, by the other values of their column.

use super::column::Column;
use super::column_stats::ColumnStats;
use super::doubt::{DoubtKind, Group};
use super::shape::Level;
use super::shapes::Shapes;
use crate::domain::{Line, Problem, ProblemList, Severity};
use smol_str::SmolStr;

/// The decision about a doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) severity: Severity,
    /// The code, if it is another one than that of the doubt.
    pub(super) code: Option<&'static str>,
}

const fn error() -> Verdict {
    Verdict {
        severity: Severity::Error,
        code: None,
    }
}

const fn warning() -> Verdict {
    Verdict {
        severity: Severity::Warning,
        code: None,
    }
}

/// One kind of doubt about one column, and what is known of the column.
pub(super) struct Case<'a> {
    pub(super) column: Column,
    pub(super) kind: DoubtKind,
    pub(super) stats: &'a ColumnStats,
    pub(super) group: &'a Group,
    /// Values of the column with letters that can only be of another script than Latin.
    pub(super) other_scripts: u64,
    /// Values of the column such as `12E5`.
    pub(super) exponents: u64,
    /// Lines of the file.
    pub(super) rows: u64,
    pub(super) damaged: bool,
}

impl Case<'_> {
    /// Returns the verdict on a value of this shape; `None`: it is an ordinary ID.
    pub(super) fn verdict(&self, shape: u64) -> Option<Verdict> {
        let count = self.group.count();
        let is_new = self.column == Column::NewAccountId;
        match self.kind {
            DoubtKind::OtherScript => None,
            DoubtKind::Placeholder => self.placeholder(count),
            DoubtKind::MonthDate => Some(self.date(shape)),
            DoubtKind::NumericDate if self.column == Column::ServiceId => Some(warning()),
            DoubtKind::NumericDate if self.is_most(count, 10) => Some(warning()),
            DoubtKind::NumericDate => Some(error()),
            DoubtKind::DecimalZero if is_new && count >= self.stats.values => Some(error()),
            DoubtKind::DecimalZero => Some(warning()),
            DoubtKind::Exponent => self.exponent(),
            DoubtKind::Rounded => self.rounded(count),
            DoubtKind::Thousands => {
                let numbers = self.stats.digits + count;
                (numbers * 10 >= self.stats.values * 9).then_some(warning())
            }
            DoubtKind::WholeScript if self.other_scripts > 0 => None,
            DoubtKind::Typographic
            | DoubtKind::MixedScripts
            | DoubtKind::WholeScript
            | DoubtKind::Invisible
            | DoubtKind::Compatibility
            | DoubtKind::Entity
            | DoubtKind::DecodedTwice => Some(if is_new && !self.is_most(count, 50) {
                error()
            } else {
                warning()
            }),
            DoubtKind::Hash => {
                let usual = self.rows >= 10 && count * 10 >= self.rows * 9;
                (!usual).then_some(warning())
            }
        }
    }

    /// Whether nine tenths of the values are of this kind, and there are enough of them.
    fn is_most(&self, count: u64, least: u64) -> bool {
        self.stats.values >= least && count * 10 >= self.stats.values * 9
    }

    /// Decides about words for "unknown": they are damage if most other values of the column have digits.
    fn placeholder(&self, count: u64) -> Option<Verdict> {
        let words = self.stats.digitless.saturating_sub(count);
        let numbered = self.stats.values - self.stats.digitless;
        // Service IDs are free text.
        let is_numbered = numbered >= 2 * words && (words == 0 || self.column != Column::ServiceId);
        (numbered > 0 && is_numbered).then_some(error())
    }

    fn date(&self, shape: u64) -> Verdict {
        if self.column == Column::ServiceId {
            return warning();
        }
        let values = self.stats.values;
        let of_shape = self.group.of_shape(shape);
        let like = self.stats.shapes.count_of(shape).max(of_shape);
        // The column holds codes of three letters and a number, and some of them begin like a month by chance.
        let by_chance = like * 2 > values && of_shape * 2 < like;
        let is_unlike = || like * 2 <= values && self.is_unlike(shape);
        if !by_chance && (self.group.words.len() > 1 || is_unlike()) {
            error()
        } else {
            warning()
        }
    }

    /// Whether most of the other values share a shape that values of this shape do not have. If the other values are words of
    /// any length, or unlike each other, they say nothing about dates.
    fn is_unlike(&self, shape: u64) -> bool {
        let mut of_shape = self.group.kept.iter().filter(|(other, _)| *other == shape);
        let Some((_, sample)) = of_shape.next() else {
            return true;
        };
        let usual = self.stats.shapes.usual_besides(&sample.value);
        usual.iter().any(|usual| {
            usual.count * 2 > usual.others
                && (usual.has_digits || usual.level == Some(Level::Exact))
        })
    }

    fn exponent(&self) -> Option<Verdict> {
        let digits = self.stats.digits;
        let others = self.stats.values.saturating_sub(self.exponents);
        if digits >= 2 && digits * 10 >= others * 9 {
            return Some(error());
        }
        self.damaged.then_some(Verdict {
            severity: Severity::Warning,
            code: Some("perhaps_scientific"),
        })
    }

    fn rounded(&self, count: u64) -> Option<Verdict> {
        let long = self.stats.long.max(count);
        let is_column = long >= 3 && count * 10 >= long * 9 && self.group.values.len() > 1;
        is_column.then_some(error())
    }
}

/// Whether a repeated value differs from nearly all others of its column, which have digits.
pub(super) fn is_filler(shapes: &Shapes, value: &str) -> bool {
    // Numbers of two lengths still count as alike.
    let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
    let tells = |level| !has_digit || matches!(level, None | Some(Level::Runs));
    let usual = shapes.usual_besides(value).into_iter();
    let mut usual = usual.filter(|usual| usual.has_digits && tells(usual.level));
    usual.any(|usual| usual.is_nearly_all())
}

/// Reports values that differ from the shape of all others, and numbers that are shorter than most.
pub(super) fn shapes(problems: &mut ProblemList, column: &str, stats: &ColumnStats) {
    let short = lost_zeros(problems, column, stats);
    let Some(outliers) = stats.shapes.outliers() else {
        return;
    };
    let mut shown = 0;
    let mut skipped = 0;
    for (line, value) in &outliers.first {
        if short.binary_search(line).is_ok() {
            skipped += 1;
            continue;
        }
        shown += 1;
        problems.push(Problem {
            line: *line,
            column: column.to_owned(),
            value: super::value::shown(value),
            severity: Severity::Warning,
            code: "outlier",
            message: format!(
                "{} values of the column look like `{}`, and this one does not",
                outliers.common, outliers.shape
            ),
            help: "check that the value is a whole ID, and the right one".to_owned(),
        });
    }
    if shown > 0 {
        let more = outliers.count.saturating_sub(shown + skipped);
        problems.count_more(Severity::Warning, "outlier", more);
    }
}

/// Reports shorter values where most values are digits of one length. Returns their lines.
fn lost_zeros(problems: &mut ProblemList, column: &str, stats: &ColumnStats) -> Vec<Line> {
    let Some(entries) = stats.shapes.exact() else {
        return Vec::new();
    };
    let by_length = || {
        let digits = entries.iter();
        digits.filter_map(|entry| Some((entry.digits_long()?, entry)))
    };
    let digits: u64 = by_length().map(|(_, entry)| entry.count).sum();
    let common = by_length().max_by_key(|(_, entry)| entry.count);
    let Some((length, most)) = common else {
        return Vec::new();
    };
    // A column with one free-text value in twenty is still a column of digits.
    let column_of_digits = digits >= 3 && digits * 20 >= stats.values * 19;
    if !column_of_digits || most.count * 2 <= digits {
        return Vec::new();
    }
    let shorter = || by_length().filter(|(shorter, _)| *shorter < length);
    let count: u64 = shorter().map(|(_, entry)| entry.count).sum();
    let mut first: Vec<(Line, SmolStr)> = shorter()
        .flat_map(|(_, entry)| entry.first.clone())
        .collect();
    first.sort_unstable_by_key(|(line, _)| *line);
    first.truncate(crate::domain::KEPT_PER_KIND);
    for (line, value) in &first {
        problems.push(Problem {
            line: *line,
            column: column.to_owned(),
            value: value.to_string(),
            severity: Severity::Warning,
            code: "lost_zeros",
            message: format!(
                "{} of {digits} values have {length} digits, and this one has {}: leading zeros may have been lost",
                most.count,
                value.len()
            ),
            help: "export the list again with the column as text, without opening it in a spreadsheet"
                .to_owned(),
        });
    }
    if count > 0 {
        let more = count - first.len() as u64;
        problems.count_more(Severity::Warning, "lost_zeros", more);
    }
    first.into_iter().map(|(line, _)| line).collect()
}

//! The two charts: how many lines ended per minute, by status, and how long each line took.
//!
//! Both are counted line by line, in a bounded number of counters. The ledger has times of lines and not of single
//! calls, and the charts say so.

use crate::domain::{Outcome, Status, count, counted};
use std::collections::BTreeMap;

/// The maximum number of bars over time.
const BARS: i64 = 60;
/// The possible widths of a bar in milliseconds; the narrowest that has room for the run is used. Each is a multiple of
/// the one before, so that bars can be added up.
const WIDTHS: [i64; 11] = [
    1_000,
    5_000,
    15_000,
    60_000,
    300_000,
    900_000,
    3_600_000,
    14_400_000,
    86_400_000,
    691_200_000,
    69_120_000_000,
];
/// Statuses from the bottom of a bar to its top.
const STACK: [&str; 6] = Status::NAMES;

/// The lines that have ended, by time and status.
#[derive(Debug)]
pub(super) struct Pace {
    width: usize,
    bars: BTreeMap<i64, [u64; STACK.len()]>,
    /// Lines that ended before this were decided by the plan, and do not belong to the run that carried it out.
    since_ms: i64,
}

/// A part of a bar, in units of the drawing.
pub(super) struct Part {
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) height: String,
}

/// One bar in numbers.
pub(super) struct Step {
    pub(super) from_ms: i64,
    pub(super) lines: Vec<String>,
}

/// The chart over time.
pub(super) struct PaceChart {
    /// `each bar is 5 seconds`.
    pub(super) unit: String,
    pub(super) names: Vec<&'static str>,
    pub(super) parts: Vec<Part>,
    pub(super) steps: Vec<Step>,
    /// The number of bars from the first to the last, empty ones included.
    pub(super) bars: i64,
    pub(super) most: String,
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

impl Pace {
    pub(super) fn since(since_ms: i64) -> Self {
        Self {
            width: 0,
            bars: BTreeMap::new(),
            since_ms,
        }
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        let at = outcome.finished_at_ms;
        if at <= 0 || at < self.since_ms {
            return;
        }
        let name = outcome.status.name();
        let Some(place) = STACK.iter().position(|one| *one == name) else {
            return;
        };
        self.bars
            .entry(at.div_euclid(WIDTHS[self.width]))
            .or_default()[place] += 1;
        while self.span() > BARS && self.width + 1 < WIDTHS.len() {
            self.widen();
        }
    }

    /// Returns the number of bars from the first to the last, empty ones included.
    fn span(&self) -> i64 {
        let ends = self.bars.first_key_value().zip(self.bars.last_key_value());
        ends.map_or(0, |((first, _), (last, _))| last - first + 1)
    }

    fn widen(&mut self) {
        let by = WIDTHS[self.width + 1] / WIDTHS[self.width];
        self.width += 1;
        for (at, lines) in std::mem::take(&mut self.bars) {
            let wide = self.bars.entry(at.div_euclid(by)).or_default();
            for (sum, more) in wide.iter_mut().zip(lines) {
                *sum += more;
            }
        }
    }

    /// Returns the chart; `None`: no line has ended.
    pub(super) fn chart(&self) -> Option<PaceChart> {
        let (first, _) = self.bars.first_key_value()?;
        let width = WIDTHS[self.width];
        let most = self
            .bars
            .values()
            .map(|bar| bar.iter().sum::<u64>())
            .max()?;
        let used: Vec<usize> = (0..STACK.len())
            .filter(|place| self.bars.values().any(|bar| bar[*place] > 0))
            .collect();
        let mut parts = Vec::new();
        for (at, lines) in &self.bars {
            let mut below = 0;
            for place in used.iter().copied().filter(|place| lines[*place] > 0) {
                below += lines[place];
                parts.push(Part {
                    class: STACK[place],
                    x: (at - first).to_string(),
                    y: scaled(most - below, most),
                    height: scaled(lines[place], most),
                });
            }
        }
        let steps = self.bars.iter().map(|(at, lines)| Step {
            from_ms: at * width,
            lines: used.iter().map(|place| count(lines[*place])).collect(),
        });
        Some(PaceChart {
            unit: format!("each bar is {}", span_words(width)),
            names: used.iter().map(|place| STACK[*place]).collect(),
            parts,
            steps: steps.collect(),
            bars: self.span(),
            most: count(a_minute(most, width)),
            from_ms: first * width,
            to_ms: (first + self.span()) * width,
        })
    }
}

/// Lines a minute, rounded.
fn a_minute(lines: u64, width: i64) -> u64 {
    let width = width.unsigned_abs();
    (lines * 60_000 + width / 2) / width
}

/// `lines` of `most` on a scale of 100, with one decimal place.
fn scaled(lines: u64, most: u64) -> String {
    let tenths = lines * 1000 / most.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn span_words(ms: i64) -> String {
    let seconds = ms.unsigned_abs() / 1000;
    match seconds {
        1..60 => counted(seconds, "second"),
        60..3600 => counted(seconds / 60, "minute"),
        3600..86_400 => counted(seconds / 3600, "hour"),
        _ => counted(seconds / 86_400, "day"),
    }
}

/// The upper ends of the classes of the time that a line took, in milliseconds; the last class has no end.
const CLASSES: [u64; 15] = [
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    60_000,
    300_000,
    1_800_000,
    u64::MAX,
];

/// How long lines took, from their first call to their end.
#[derive(Debug, Default)]
pub(super) struct Times {
    classes: [u64; CLASSES.len()],
    lines: u64,
    /// The longest time in milliseconds, and its line.
    longest: (u64, u32),
}

/// One class in numbers.
pub(super) struct Class {
    pub(super) range: String,
    pub(super) lines: String,
    /// The size in percent of the largest class.
    pub(super) width: String,
}

/// The chart of times.
pub(super) struct TimesChart {
    pub(super) classes: Vec<Class>,
    pub(super) words: String,
}

impl Times {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        let took = outcome.duration_ms;
        // The line was decided without a call of its own, or was found with many others by one call.
        if took == 0 {
            return;
        }
        let at = CLASSES.partition_point(|end| *end < took);
        self.classes[at] += 1;
        self.lines += 1;
        if took > self.longest.0 {
            self.longest = (took, outcome.line);
        }
    }

    /// Returns the chart; `None`: no line needed a call of its own.
    pub(super) fn chart(&self) -> Option<TimesChart> {
        let first = self.classes.iter().position(|lines| *lines > 0)?;
        let last = self.classes.iter().rposition(|lines| *lines > 0)?;
        let most = *self.classes.iter().max()?;
        let classes = (first..=last).map(|at| Class {
            range: range(at),
            lines: count(self.classes[at]),
            width: scaled(self.classes[at], most),
        });
        let (longest, line) = self.longest;
        let words = format!(
            "Measured for {}: half of them took {}, 95 % of them {}; the slowest took {} (line {line}).",
            counted(self.lines, "line"),
            self.within(50),
            self.within(95),
            time(longest)
        );
        Some(TimesChart {
            classes: classes.collect(),
            words,
        })
    }

    /// Returns the end of the class in which this share of the lines is reached.
    fn within(&self, percent: u64) -> String {
        let wanted = (self.lines * percent).div_ceil(100);
        let mut passed = 0;
        let at = self.classes.iter().position(|lines| {
            passed += lines;
            passed >= wanted
        });
        match at {
            Some(at) if CLASSES[at] != u64::MAX => {
                format!("at most {}", time(CLASSES[at].min(self.longest.0)))
            }
            Some(_) | None => format!("more than {}", time(CLASSES[CLASSES.len() - 2])),
        }
    }
}

fn range(at: usize) -> String {
    let from = if at == 0 { 0 } else { CLASSES[at - 1] };
    match CLASSES[at] {
        u64::MAX => format!("over {}", time(from)),
        end if from == 0 => format!("up to {}", time(end)),
        end => format!("{} to {}", time(from), time(end)),
    }
}

/// `120 ms`, `3.2 s`, `5 min`.
fn time(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => crate::domain::duration(ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(line: u32, at_ms: i64, took: u64) -> Outcome {
        Outcome {
            finished_at_ms: at_ms,
            duration_ms: took,
            ..Outcome::bare(line, Status::Changed)
        }
    }

    #[test]
    fn chart_never_exceeds_the_bar_limit_and_counts_all_lines() {
        for apart in [1, 1_000, 61_000, 7_200_000, 400_000_000] {
            let mut pace = Pace::since(0);
            for line in 0..1000 {
                // Not in the order of time.
                let at = i64::from(line * 7 % 1000) * apart;
                pace.add(&ended(line, 1_795_213_815_000 + at, 1));
                assert!(pace.span() <= BARS, "{apart}");
            }
            let chart = pace.chart().unwrap();
            let lines = pace.bars.values().flatten().sum::<u64>();
            assert_eq!(lines, 1000, "{apart}");
            assert!(chart.from_ms <= 1_795_213_815_000 && chart.bars <= BARS);
        }
    }

    #[test]
    fn lines_of_the_plan_are_not_counted_in_the_run_that_carries_it_out() {
        let mut pace = Pace::since(5_000);
        pace.add(&ended(2, 4_000, 1));
        assert!(pace.chart().is_none());
        pace.add(&ended(3, 6_000, 1));
        assert_eq!(pace.chart().unwrap().most, "60");
    }

    #[test]
    fn duration_summary_shows_median_95_percent_and_slowest_line() {
        let mut times = Times::default();
        assert!(times.chart().is_none());
        for line in 1..=100 {
            times.add(&ended(line, 1, u64::from(line)));
        }
        times.add(&ended(101, 1, 3_000_000));
        let chart = times.chart().unwrap();
        assert_eq!(
            chart.words,
            "Measured for 101 lines: half of them took at most 100 ms, 95 % of them at most 100 ms; the slowest took 50 min (line 101)."
        );
        let classes = chart.classes.iter().map(|class| class.range.as_str());
        let classes: Vec<&str> = classes.collect();
        assert_eq!(
            classes[..3],
            ["up to 10 ms", "10 ms to 20 ms", "20 ms to 50 ms"]
        );
        assert_eq!(classes.last(), Some(&"over 30 min"));
    }
}

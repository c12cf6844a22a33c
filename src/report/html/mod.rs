//! report.html: one self-contained page, which loads nothing from elsewhere.
//!
//! Promises: it can be read without its script, which only searches, sorts and filters. The content security policy
//! admits that one script and that one style by their digests. Everything from a file or a server is escaped. Its size
//! and the memory for it do not grow with the run. The same ledger makes the same page.

mod charts;
mod facts;
mod groups;
mod row;
mod rows;

use super::tally::Tally;
use super::{ReportError, Summary, file};
use crate::domain::{Outcome, count, counted};
use crate::input::{Record, Table};
use crate::ledger::{Ledger, RunDir};
use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use charts::{Pace, PaceChart, Times, TimesChart};
use facts::{Clock, Comparison, Fact};
use groups::{Group, Groups};
use row::{Row, short};
use rows::{Drawn, Rows};
use sha2::{Digest, Sha256};
use std::fmt::Write;

const STYLE: &str = include_str!("../../../templates/report.css");
const SCRIPT: &str = include_str!("../../../templates/report.js");

/// What the page shows about the lines, collected line by line.
#[derive(Debug)]
pub(super) struct Lines {
    groups: Groups,
    rows: Rows,
    pace: Pace,
    times: Times,
}

impl Lines {
    pub(super) fn of(ledger: &Ledger, table: &Table) -> Result<Self, ReportError> {
        let clock = Clock::of(ledger)?;
        Ok(Self {
            groups: Groups::default(),
            rows: Rows::of(table, ledger.header().lines),
            pace: Pace::since(clock.began_ms),
            times: Times::default(),
        })
    }

    pub(super) fn add(&mut self, table: &Table, record: &Record, outcome: &Outcome) {
        self.pace.add(outcome);
        self.times.add(outcome);
        let row = || Row::of(table, record, outcome);
        if self.rows.is_open() {
            self.rows.add(&row());
        }
        self.groups.add(outcome.line, outcome.status, row);
    }
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    style: String,
    script: &'a str,
    style_digest: String,
    script_digest: String,
    summary: &'a Summary,
    headline: String,
    cause: String,
    figures: Vec<Figure>,
    /// `3 failed lines`; empty if there is none.
    half_done: String,
    shares: Vec<Share>,
    facts: Vec<Fact>,
    next: super::Next,
    cannot_undo: Vec<String>,
    /// `reverted 3 lines, new in the file 1 line`; empty if nothing had drifted.
    drift: String,
    failed: Vec<Group>,
    others: Vec<Group>,
    /// Each status and reason that occurs, with the number of its lines.
    verdicts: Vec<(String, String)>,
    comparison: Option<Comparison>,
    pace: Option<PaceChart>,
    times: Option<TimesChart>,
    pace_ends: (String, String),
    steps: Vec<(String, Vec<String>)>,
    drawn: Option<Drawn>,
    lines: String,
}

/// A number that the page shows in large type.
struct Figure {
    name: &'static str,
    value: String,
    class: &'static str,
}

/// How many of all lines have a status.
struct Share {
    name: &'static str,
    lines: String,
    from: String,
    percent: String,
}

pub(super) fn write(
    dir: &RunDir,
    ledger: &Ledger,
    summary: &Summary,
    tally: &Tally,
    lines: Lines,
) -> Result<(), ReportError> {
    let clock = Clock::of(ledger)?;
    let (failed, others) = lines.groups.sorted();
    let verdicts = failed.iter().chain(&others);
    let speed = lines.pace.chart();
    let drawn = lines.rows.drawn();
    let style = style(drawn.as_ref());
    let times_of = |ms, chart: &PaceChart| {
        let whole_days = chart.to_ms - chart.from_ms > 86_400_000;
        clock.short(ms, whole_days)
    };
    let page = Page {
        style_digest: digest(&style),
        script_digest: digest(SCRIPT),
        style,
        script: SCRIPT,
        headline: facts::headline(summary),
        cause: short(summary.cause.as_deref().unwrap_or_default(), 500),
        figures: figures(summary, &clock),
        half_done: match tally.half_done {
            0 => String::new(),
            some => counted(some, "failed line"),
        },
        shares: shares(tally),
        facts: facts::facts(ledger, summary, &clock)?,
        next: summary.next_step(),
        cannot_undo: summary.cannot_undo.words(),
        drift: drift_words(summary),
        verdicts: verdicts
            .map(|group| (group.verdict(), count(group.lines)))
            .collect(),
        failed,
        others,
        comparison: facts::comparison(ledger)?,
        pace_ends: speed.as_ref().map_or_else(Default::default, |chart| {
            (times_of(chart.from_ms, chart), times_of(chart.to_ms, chart))
        }),
        steps: speed.as_ref().map_or_else(Vec::new, |chart| {
            let steps = chart.steps.iter();
            steps
                .map(|step| (times_of(step.from_ms, chart), step.lines.clone()))
                .collect()
        }),
        pace: speed,
        times: lines.times.chart(),
        drawn,
        lines: counted(tally.lines, "line"),
        summary,
    };
    let mut file = file::begin(dir.path().join("report.html"))?;
    page.write_into(&mut file)
        .map_err(|source| file::failed(file.path(), source))?;
    file::finish(file)
}

/// The style, with the names of the columns for cards on a narrow screen, where a table has no header.
fn style(drawn: Option<&Drawn>) -> String {
    let mut style = STYLE.to_owned();
    style.push_str("@media (max-width: 44rem) {\n");
    for (at, title) in drawn
        .map_or(&[][..], |drawn| &drawn.titles)
        .iter()
        .enumerate()
    {
        // Writing to a string cannot fail.
        let _ = writeln!(
            style,
            "#lines td:nth-child({})::before {{ content: \"{title}\"; }}",
            at + 1
        );
    }
    style.push_str("}\n");
    style
}

/// Returns the digest as a content security policy names a script or a style.
fn digest(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

fn figures(summary: &Summary, clock: &Clock) -> Vec<Figure> {
    let of = |name: &str| summary.counts.get(name).copied().unwrap_or(0);
    let mut figures = Vec::new();
    for (name, key, class, always) in [
        ("Lines", "lines", "", true),
        (
            "Would change",
            "would_change",
            "would_change",
            summary.planned,
        ),
        ("Changed", "changed", "changed", !summary.planned),
        ("Unchanged", "unchanged", "unchanged", false),
        (
            if summary.planned {
                "Would fail"
            } else {
                "Failed"
            },
            "failed",
            "failed",
            true,
        ),
        ("In doubt", "in_doubt", "in_doubt", false),
        ("Not begun", "skipped", "skipped", false),
        ("Half done", "half_done", "in_doubt", false),
    ] {
        if always || of(key) > 0 {
            figures.push(Figure {
                name,
                value: count(of(key)),
                class,
            });
        }
    }
    if let Some(seconds) = clock.seconds() {
        figures.push(Figure {
            name: "Duration",
            value: crate::domain::duration(seconds),
            class: "",
        });
    }
    let calls = summary.calls;
    figures.push(Figure {
        name: "Calls",
        value: format!(
            "{}{}",
            if calls.complete { "" } else { "≥ " },
            count(calls.find + calls.read + calls.write)
        ),
        class: "",
    });
    figures
}

fn shares(tally: &Tally) -> Vec<Share> {
    let mut before = 0;
    let present = tally.statuses().filter(|(_, lines)| *lines > 0);
    present
        .map(|(name, lines)| {
            let from = before;
            before += lines;
            Share {
                name,
                lines: count(lines),
                from: percent(from, tally.lines),
                percent: percent(lines, tally.lines),
            }
        })
        .collect()
}

/// Returns the percentage with one decimal place.
fn percent(part: u64, whole: u64) -> String {
    let tenths = (part * 1000 + whole / 2).checked_div(whole).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// `reverted 3 lines, new in the file 1 line`.
fn drift_words(summary: &Summary) -> String {
    let causes = summary.drift.iter().flatten();
    let causes = causes.filter(|(_, lines)| **lines > 0);
    let words: Vec<String> = causes
        .map(|(cause, lines)| format!("{cause} {}", counted(*lines, "line")))
        .collect();
    words.join(", ")
}

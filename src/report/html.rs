//! report.html: one page for a person, self-contained, without scripts and without anything from elsewhere.

use super::failures::Tally;
use super::{ReportError, Summary, file};
use crate::domain::{AccountId, CustomerId, counted};
use crate::ledger::RunDir;
use askama::Template;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    summary: &'a Summary,
    /// From when to when, in UTC.
    times: String,
    bars: Vec<Bar>,
    reasons: Vec<Group>,
    failures: Vec<Failure<'a>>,
    failed_in_all: u64,
    half_done: u64,
    cannot_undo: Vec<String>,
    next: super::Next,
}

struct Bar {
    name: &'static str,
    lines: u64,
    from: String,
    percent: String,
}

struct Group {
    reason: &'static str,
    lines: String,
    first_line: u32,
}

struct Failure<'a> {
    line: u32,
    status: &'static str,
    reason: &'static str,
    message: &'a str,
    customer: &'a str,
    account: &'a str,
}

pub(super) fn write(dir: &RunDir, summary: &Summary, tally: &Tally) -> Result<(), ReportError> {
    let path = dir.path().join("report.html");
    let page = Page {
        summary,
        times: times(summary),
        bars: tally
            .statuses()
            .filter(|(_, lines)| *lines > 0)
            .scan(0, |before, (name, lines)| {
                let from = *before;
                *before += lines;
                Some(Bar {
                    name,
                    lines,
                    from: percent(from, tally.lines),
                    percent: percent(lines, tally.lines),
                })
            })
            .collect(),
        reasons: tally
            .reasons
            .iter()
            .map(|(reason, group)| Group {
                reason,
                lines: counted(group.lines, "line"),
                first_line: group.first_line,
            })
            .collect(),
        failures: tally
            .shown
            .iter()
            .map(|outcome| Failure {
                line: outcome.line,
                status: outcome.status.name(),
                reason: outcome.status.reason(),
                message: &outcome.message,
                customer: outcome.customer.as_ref().map_or("", CustomerId::as_str),
                account: outcome
                    .account
                    .before
                    .as_ref()
                    .map_or("", AccountId::as_str),
            })
            .collect(),
        failed_in_all: tally.of("failed") + tally.of("skipped") + tally.of("in_doubt"),
        half_done: tally.half_done,
        cannot_undo: summary.cannot_undo.words(),
        next: summary.next_step(),
    };
    let text = page
        .render()
        .map_err(|error| file::failed(&path, std::io::Error::other(error)))?;
    file::write(path, text.as_bytes())
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for a person")]
fn percent(part: u64, whole: u64) -> String {
    format!(
        "{:.1}",
        if whole == 0 {
            0.0
        } else {
            part as f64 * 100.0 / whole as f64
        }
    )
}

/// `2026-11-20 22:30:15 UTC to 2026-11-20 23:01:02 UTC`: the page may be read in any zone.
fn times(summary: &Summary) -> String {
    let words = |stamp: &str| match stamp.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => stamp.to_owned(),
    };
    let end = summary.finished_at.as_deref().map(words);
    let end = end.map_or_else(String::new, |end| format!(" to {end}"));
    format!("{}{end}", words(&summary.started_at))
}

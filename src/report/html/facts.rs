//! What the page says about a run before its lines: the headline, who, where, when, under which guards, and the
//! forecast beside the results.

use super::row::short;
use crate::domain::{count, counted, duration, form};
use crate::ledger::{Ledger, LedgerError, RunKind};
use crate::report::Summary;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The maximum number of characters of a fact.
const FACT: usize = 300;

/// A name and its value, and whether the value is shown as code.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) code: bool,
}

fn fact(name: &'static str, value: &str) -> Fact {
    Fact {
        name,
        value: short(value, FACT),
        code: false,
    }
}

fn code(name: &'static str, value: &str) -> Fact {
    Fact {
        code: true,
        ..fact(name, value)
    }
}

/// When a run began and ended, and the time zone in which that is shown.
pub(super) struct Clock {
    zone: TimeZone,
    /// When the run began or, if a plan came before it, when the writes began.
    pub(super) began_ms: i64,
    planned_ms: Option<i64>,
    ended_ms: Option<i64>,
}

impl Clock {
    pub(super) fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        let progress = ledger.progress()?;
        let first_write = ledger.first_writer_at_ms()?;
        let after_plan = first_write.filter(|_| ledger.header().kind == RunKind::Plan);
        Ok(Self {
            zone: zone(&ledger.header().zone).unwrap_or(TimeZone::UTC),
            began_ms: after_plan.unwrap_or(progress.started_at_ms),
            planned_ms: after_plan.map(|_| progress.started_at_ms),
            ended_ms: progress.finished_at_ms,
        })
    }

    /// `2026-11-20 23:30:15 CET (+01:00)`.
    pub(super) fn time(&self, ms: i64) -> String {
        let Ok(time) = Timestamp::from_millisecond(ms) else {
            return String::new();
        };
        let time = time.to_zoned_datetime(self.zone.clone());
        let (name, offset) = (
            time.strftime("%Z").to_string(),
            time.strftime("%:z").to_string(),
        );
        let zone = match name.as_str() {
            "UTC" => name,
            // Some zones have no abbreviation of letters.
            numeric if numeric.starts_with(['+', '-']) => offset,
            _ => format!("{name} ({offset})"),
        };
        format!("{} {zone}", time.strftime("%Y-%m-%d %H:%M:%S"))
    }

    /// `23:30:15`, or with the date if the run does not end on the same day.
    pub(super) fn short(&self, ms: i64, with_date: bool) -> String {
        let format = if with_date {
            "%Y-%m-%d %H:%M"
        } else {
            "%H:%M:%S"
        };
        Timestamp::from_millisecond(ms).map_or_else(
            |_| String::new(),
            |time| {
                time.to_zoned_datetime(self.zone.clone())
                    .strftime(format)
                    .to_string()
            },
        )
    }

    pub(super) fn seconds(&self) -> Option<u64> {
        let ms = self.ended_ms? - self.began_ms;
        Some(ms.max(0).unsigned_abs() / 1000)
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().or_else(|| {
        let (hours, minutes) = name.get(1..)?.split_once(':')?;
        let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
        let sign = if name.starts_with('-') { -1 } else { 1 };
        Offset::from_seconds(sign * seconds)
            .ok()
            .map(TimeZone::fixed)
    })
}

/// `Finished: 379 of 391 lines changed, 12 failed`.
pub(super) fn headline(summary: &Summary) -> String {
    let of = |name: &str| summary.counts.get(name).copied().unwrap_or(0);
    let lines = counted(of("lines"), "line");
    let is_plan = summary.planned || summary.command == "plan";
    let begin = match summary.state.as_str() {
        "running" | "created" => "Under way",
        "stopped" => "Stopped",
        "interrupted" => "Interrupted",
        _ if is_plan => "Plan",
        _ if summary.undoes.is_some() => "Undo finished",
        _ => "Finished",
    };
    let mut text = if is_plan {
        format!(
            "{begin}: {} of {lines} would change",
            count(of("would_change"))
        )
    } else {
        format!("{begin}: {} of {lines} changed", count(of("changed")))
    };
    for (number, words) in [
        (
            of("unchanged"),
            form(of("unchanged"), "needs no change", "need no change"),
        ),
        (of("failed"), if is_plan { "would fail" } else { "failed" }),
        (of("in_doubt"), "in doubt"),
        (of("skipped"), "not begun"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {} {words}", count(number)));
        }
    }
    text
}

/// The system, its address and the tenant; a stand-in is never shown like a real system.
fn target(ledger: &Ledger) -> String {
    let header = ledger.header();
    let mut text = if header.target.split(' ').nth(1) == Some("in-process") {
        format!(
            "the stand-in of {} (sandbox, no real system)",
            header.system
        )
    } else {
        format!("{} at {}", header.system, header.base_url)
    };
    if !header.tenant.is_empty() {
        text.push_str(&format!(", tenant {}", header.tenant));
    }
    text
}

/// Returns who, what, where, when.
pub(super) fn facts(
    ledger: &Ledger,
    summary: &Summary,
    clock: &Clock,
) -> Result<Vec<Fact>, LedgerError> {
    let header = ledger.header();
    let who = format!("{} on {}", header.user, header.host);
    let mut facts = vec![
        fact("Command", &summary.command),
        fact("Begun by", &who),
        code("Input file", &header.input_name),
        fact("Target", &target(ledger)),
    ];
    if let Some(planned) = clock.planned_ms {
        facts.push(fact("Planned", &clock.time(planned)));
    }
    facts.push(fact("Began", &clock.time(clock.began_ms)));
    facts.push(fact(
        "Ended",
        &clock
            .ended_ms
            .map_or_else(|| "not yet".to_owned(), |ms| clock.time(ms)),
    ));
    if let Some(seconds) = clock.seconds() {
        let active = ledger.calls()?.active_ms / 1000;
        let mut words = duration(seconds);
        // A run that was resumed has pauses in between.
        if seconds > active + active / 10 + 60 {
            words.push_str(&format!("; calls were made during {}", duration(active)));
        }
        facts.push(fact("How long", &words));
    }
    facts.push(fact("Guards", &guards(ledger)?));
    if let Some(parent) = &header.parent {
        facts.push(code("Undoes run", parent));
    }
    facts.push(code("Run", &header.run));
    facts.push(match summary.exit_code {
        Some(number) => fact("Exit code", &number.to_string()),
        None => fact("Exit code", "none"),
    });
    if !header.input_sha256.is_empty() {
        facts.push(code("SHA-256 of the input", &header.input_sha256));
    }
    facts.push(code("Plan digest", &summary.plan_digest));
    facts.push(fact("Program", &format!("idshift {}", header.tool_version)));
    Ok(facts)
}

/// The part of a run's settings that contains its guards.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Settings {
    values: BTreeMap<String, String>,
}

fn guards(ledger: &Ledger) -> Result<String, LedgerError> {
    let settings: Settings = serde_json::from_str(&ledger.settings()?).unwrap_or_default();
    let mut parts = Vec::new();
    for (name, value) in &settings.values {
        parts.push(match name.as_str() {
            "max_failures" if value == "100%" => "does not stop because many lines fail".to_owned(),
            "max_failures" => format!("stops when more than {value} of the lines fail"),
            "max_changes" => format!("writes nothing if more than {value} of the lines change"),
            "canary" => format!(
                "verifies the first {} before it continues",
                counted(value.parse().unwrap_or(0), "unit")
            ),
            "until" if value.contains(':') => format!("begins no unit after {value}"),
            "until" => format!("begins no unit later than {value} after its start"),
            "waves" => format!("verifies waves of {value} lines"),
            "wave_failures" => format!("allows {value} of the lines of a wave to be wrong"),
            _ => continue,
        });
    }
    Ok(if parts.is_empty() {
        "none given; the built-in stops for repeated failures".to_owned()
    } else {
        parts.join("; ")
    })
}

/// A row of the comparison.
pub(super) struct Compared {
    pub(super) name: &'static str,
    pub(super) forecast: String,
    pub(super) happened: String,
}

/// The forecast beside the results.
pub(super) struct Comparison {
    pub(super) words: &'static str,
    pub(super) has_happened: bool,
    pub(super) rows: Vec<Compared>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Forecast {
    writes: u64,
    find: u64,
    read: u64,
    calls: u64,
    seconds: u64,
}

/// Compares the forecast with the results; `None`: there is no forecast.
pub(super) fn comparison(ledger: &Ledger) -> Result<Option<Comparison>, LedgerError> {
    let planned = ledger.forecast()?;
    let words = if planned.is_some() {
        "The forecast was made from the plan, at the rate and quota of that time."
    } else {
        "The forecast was made from the file, before anything was looked up: customers that need no change count in it, and searches that were repeated do not."
    };
    let text = match planned {
        Some(text) => Some(text),
        None => ledger.estimate()?,
    };
    let Some(forecast) = text.and_then(|text| serde_json::from_str::<Forecast>(&text).ok()) else {
        return Ok(None);
    };
    let has_happened = ledger.first_writer_at_ms()?.is_some();
    let happened = ledger.writers_calls()?;
    let rows = [
        ("Calls to find", forecast.find, happened.find),
        ("Calls to read", forecast.read, happened.read),
        ("Calls to write", forecast.writes, happened.write),
        ("All calls", forecast.calls, happened.total()),
    ];
    let row = |name, forecast: String, happened: String| Compared {
        name,
        forecast,
        happened,
    };
    let mut rows: Vec<Compared> = rows
        .into_iter()
        .map(|(name, forecast, happened)| row(name, count(forecast), count(happened)))
        .collect();
    rows.push(row(
        "Time for the calls",
        match forecast.seconds {
            0 if forecast.calls > 0 => "no limit".to_owned(),
            seconds => duration(seconds),
        },
        duration(happened.active_ms / 1000),
    ));
    Ok(Some(Comparison {
        words,
        has_happened,
        rows,
    }))
}

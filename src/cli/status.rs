//! `idshift status`: how a run stands, at any time and from any terminal.

use super::options::{Console, StatusOptions};
use super::runs::Overview;
use crate::ledger::{Ledger, Orders, State};
use crate::run::{CommandError, Exit, document, now_ms, open_live};
use crate::ui;
use serde_json::{Value, json};
use std::time::Duration;

/// The interval at which `--watch` shows the run again.
const EVERY: Duration = Duration::from_secs(1);
/// A process that has not renewed its lease for this many seconds may have ended.
const SILENT_S: u64 = 3;

pub(super) fn run(options: &StatusOptions, console: Console) -> Result<Exit, CommandError> {
    let dir = open_live("status", options.run.as_deref(), &options.settings.typed)?;
    let mut shown = ui::Redrawn::default();
    loop {
        let overview = Overview::of(&dir)?.running_if_taken();
        let body = body(&overview)?;
        if console.output.json {
            ui::out_as_is(&document(Exit::Success, body));
        } else if options.watch {
            shown.show(&line(&overview, &body));
        } else {
            ui::out(&line(&overview, &body));
        }
        if !options.watch || overview.state != State::Running {
            return Ok(Exit::Success);
        }
        std::thread::park_timeout(EVERY);
    }
}

fn body(overview: &Overview) -> Result<Value, CommandError> {
    let is_live = overview.ledger.is_live();
    // Orders to an earlier process are void.
    let orders = if is_live {
        overview.ledger.orders()?
    } else {
        Orders::default()
    };
    let limit_per_s = overview.calls.limit_per_s;
    let more = json!({
        "live": is_live,
        "paused": orders.paused,
        "draining": orders.draining,
        "rate_per_s": orders.rate_per_s.or(limit_per_s),
        "processes": processes(&overview.ledger)?,
    });
    Ok(overview.document_with(now_ms(), more))
}

/// Returns the processes that work on the run: with a shared ledger there may be several.
fn processes(ledger: &Ledger) -> Result<Vec<Value>, CommandError> {
    let processes = ledger.at_work()?.into_iter().map(|one| {
        json!({
            "host": one.host,
            "pid": one.pid,
            "lines": one.lines,
            "failed": one.failed,
            "silent_s": Duration::from_millis(one.silent_ms).as_secs(),
        })
    });
    Ok(processes.collect())
}

/// Returns the line of one of several processes, such as `process 4711 on db1: 1,200 lines`.
fn named(process: &Value) -> String {
    let number = |name: &str| process[name].as_u64().unwrap_or_default();
    let host = ui::visible(process["host"].as_str().unwrap_or_default());
    let lines = ui::lines(number("lines"));
    let silent = match number("silent_s") {
        0..SILENT_S => String::new(),
        silent => format!(", no renewal of its lease for {silent} s"),
    };
    format!("\n  process {} on {host}: {lines}{silent}", number("pid"))
}

fn line(overview: &Overview, body: &Value) -> String {
    let header = overview.ledger.header();
    let is = |name: &str| body[name].as_bool() == Some(true);
    let state = match overview.state {
        State::Running if is("paused") => ui::Tone::Warning.paint("paused"),
        State::Running if is("draining") => ui::Tone::Warning.paint("draining"),
        state => ui::Tone::of_state(state.as_str()).paint(state.as_str()),
    };
    let rate = body["rate_per_s"].as_f64().filter(|_| is("live"));
    let rate = rate.map_or_else(String::new, |rate| format!(", at most {rate}/s"));
    let cause = body["cause"]
        .as_str()
        .map_or_else(String::new, |why| format!(": {}", ui::visible(why)));
    let what = match &header.parent {
        Some(run) => format!("undo of {run}"),
        None => format!("{} of {}", overview.kind, ui::visible(&header.input_name)),
    };
    let processes = body["processes"].as_array();
    let processes = processes.filter(|all| all.len() > 1).into_iter().flatten();
    let processes: String = processes.map(named).collect();
    format!(
        "run {} ({what}): {state}{cause}, {}, {}{rate}{processes}",
        header.run,
        ui::lines(header.lines),
        overview.counted_in_colour(),
    )
}

//! `idshift status`: how a run stands, at any time and from any terminal.

use super::options::{Console, StatusOptions};
use super::runs::Overview;
use crate::ledger::State;
use crate::run::{CommandError, Exit, document, now_ms, open_live};
use crate::ui;
use serde_json::{Value, json};
use std::time::Duration;

/// How often `--watch` looks again.
const EVERY: Duration = Duration::from_secs(1);

pub(super) fn run(options: &StatusOptions, console: Console) -> Result<Exit, CommandError> {
    let dir = open_live("status", options.run.as_deref(), &options.settings.typed)?;
    loop {
        let overview = Overview::of(&dir)?;
        let body = body(&overview)?;
        if console.output.json {
            ui::out(&document(Exit::Success, body));
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
    let orders = overview.ledger.orders()?;
    let limit_per_s = overview.calls.limit_per_s;
    let more = json!({
        "live": overview.ledger.is_live(),
        "paused": orders.paused,
        "draining": orders.draining,
        "rate_per_s": orders.rate_per_s.or(limit_per_s),
    });
    Ok(overview.document_with(now_ms(), more))
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
    format!(
        "run {} ({what}): {state}{cause}, {}, {}{rate}",
        header.run,
        ui::lines(header.lines),
        overview.counted_in_colour(),
    )
}

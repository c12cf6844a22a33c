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
    let dir = open_live(options.run.as_deref(), &options.settings.typed)?;
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
    let ledger = &overview.ledger;
    let (progress, calls, orders) = (ledger.progress()?, ledger.calls()?, ledger.orders()?);
    let mut body = overview.document(now_ms());
    let more = json!({
        "phase": progress.phase.as_str(),
        "stopped_by": progress.stopped_by.map(|reason| reason.as_str()),
        "cause": Some(&progress.why).filter(|why| !why.is_empty()),
        "lines": ledger.header().lines,
        "live": ledger.is_live(),
        "paused": orders.paused,
        "draining": orders.draining,
        "rate_per_s": orders.rate_per_s.or(calls.limit_per_s),
        "calls": {"find": calls.find, "read": calls.read, "write": calls.write,
                  "retried": calls.retried, "throttled": calls.throttled},
    });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    Ok(body)
}

fn line(overview: &Overview, body: &Value) -> String {
    let header = overview.ledger.header();
    let said = |name: &str| body[name].as_bool() == Some(true);
    let state = match overview.state {
        State::Running if said("paused") => "paused",
        State::Running if said("draining") => "draining",
        state => state.as_str(),
    };
    let rate = body["rate_per_s"].as_f64().filter(|_| said("live"));
    let rate = rate.map_or_else(String::new, |rate| format!(", at most {rate} calls/s"));
    let cause = body["cause"]
        .as_str()
        .map_or_else(String::new, |why| format!(": {why}"));
    ui::visible(&format!(
        "run {} ({} of {}): {state}{cause}, {}, {}{rate}",
        header.run,
        body["command"].as_str().unwrap_or_default(),
        header.input_name,
        ui::lines(header.lines),
        overview.counted(),
    ))
    .into_owned()
}

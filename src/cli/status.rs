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
        let given = Given::of(&overview.ledger)?;
        let body = body(&overview, &given)?;
        if console.output.json {
            ui::out_as_is(&document(Exit::Success, body));
        } else if options.watch {
            shown.show(&line(&overview, &given, &body));
        } else {
            ui::out(&line(&overview, &given, &body));
        }
        if !options.watch || overview.state != State::Running {
            return Ok(Exit::Success);
        }
        std::thread::park_timeout(EVERY);
    }
}

/// The orders to the processes that work on a run.
struct Given {
    is_live: bool,
    orders: Orders,
    is_followed: bool,
}

impl Given {
    fn of(ledger: &Ledger) -> Result<Self, CommandError> {
        let is_live = ledger.is_live();
        // Orders to an earlier process are void.
        let orders = if is_live {
            ledger.orders()?
        } else {
            Orders::default()
        };
        Ok(Self {
            is_live,
            orders,
            is_followed: !is_live || ledger.followed_orders()? >= orders.number,
        })
    }

    /// Returns the orders in words, such as `pause, at most 2/s`.
    fn words(&self) -> String {
        let Orders {
            paused,
            draining,
            rate_per_s,
            ..
        } = self.orders;
        let is_given = [
            (paused, "pause"),
            (draining, "drain"),
            // The last order may have ended a pause.
            (!paused && !draining, "no pause"),
        ];
        let given = is_given.into_iter().filter(|(is_given, _)| *is_given);
        let given = given.map(|(_, order)| order.to_owned());
        let rate = rate_per_s.map(|rate| format!("at most {rate}/s"));
        given.chain(rate).collect::<Vec<_>>().join(", ")
    }
}

fn body(overview: &Overview, given: &Given) -> Result<Value, CommandError> {
    let (orders, limit_per_s) = (given.orders, overview.calls.limit_per_s);
    let more = json!({
        "live": given.is_live,
        "paused": orders.paused,
        "draining": orders.draining,
        "rate_per_s": orders.rate_per_s.or(limit_per_s),
        "orders_followed": given.is_followed,
        "processes": processes(&overview.ledger, orders.number)?,
    });
    Ok(overview.document_with(now_ms(), more))
}

/// Returns the processes that work on the run: with a shared ledger there may be several. `last`: the number of the last
/// order.
fn processes(ledger: &Ledger, last: u64) -> Result<Vec<Value>, CommandError> {
    let processes = ledger.at_work()?.into_iter().map(|one| {
        json!({
            "host": one.host,
            "pid": one.pid,
            "lines": one.lines,
            "failed": one.failed,
            "orders_followed": one.followed >= last,
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
    let late = match process["orders_followed"].as_bool() {
        Some(false) => ", has not followed the last order yet",
        Some(true) | None => "",
    };
    format!(
        "\n  process {} on {host}: {lines}{late}{silent}",
        number("pid")
    )
}

fn line(overview: &Overview, given: &Given, body: &Value) -> String {
    let header = overview.ledger.header();
    let state = match overview.state {
        State::Running if !given.is_followed => {
            let words = format!(
                "ordered: {}; the last order is not followed yet",
                given.words()
            );
            format!("running ({})", ui::Tone::Warning.paint(&words))
        }
        State::Running if given.orders.paused => ui::Tone::Warning.paint("paused"),
        State::Running if given.orders.draining => ui::Tone::Warning.paint("draining"),
        state => ui::Tone::of_state(state.as_str()).paint(state.as_str()),
    };
    let rate = body["rate_per_s"].as_f64();
    let rate = rate.filter(|_| given.is_live && given.is_followed);
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

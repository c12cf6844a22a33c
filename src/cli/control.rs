//! `idshift pause`, `unpause`, `rate` and `drain`: orders to a run in progress, given from any terminal.

use super::options::{Console, ControlOptions, RateOptions};
use crate::config::TypedSettings;
use crate::http::Rate;
use crate::ledger::{Ledger, Order};
use crate::report::Commands;
use crate::run::{CommandError, Exit, Output, document, open_for_orders};
use crate::ui;
use serde_json::json;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How long a command waits until the run follows its order. A run usually follows within 1 s; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn pause(options: &ControlOptions, console: Console) -> Result<Exit, CommandError> {
    give(
        "pause",
        options.run.as_deref(),
        (&options.settings.typed, console.output),
        Order::Pause,
        "paused; no call is made",
    )
}

pub(super) fn unpause(options: &ControlOptions, console: Console) -> Result<Exit, CommandError> {
    give(
        "unpause",
        options.run.as_deref(),
        (&options.settings.typed, console.output),
        Order::Unpause,
        "calls are sent again",
    )
}

pub(super) fn drain(options: &ControlOptions, console: Console) -> Result<Exit, CommandError> {
    let words = "draining; operations in progress finish, then the run stops";
    give(
        "drain",
        options.run.as_deref(),
        (&options.settings.typed, console.output),
        Order::Drain,
        words,
    )
}

pub(super) fn rate(options: &RateOptions, console: Console) -> Result<Exit, CommandError> {
    let (run, text) = match options.words.as_slice() {
        [run, rate] => (Some(run.as_str()), rate),
        [rate] => (None, rate),
        _ => {
            return Err(CommandError::usage(
                "give the run and the rate, such as 10/s",
            ));
        }
    };
    let rate = Rate::from_str(text).map_err(|why| CommandError::usage(format!("rate: {why}")))?;
    let per_second = rate.per_second().ok_or_else(|| {
        CommandError::usage("rate: give a number of calls, such as 10/s or 300/m")
            .with_help("a run in progress cannot be made unlimited")
    })?;
    let words = format!("at most {rate} from now on");
    give(
        "rate",
        run,
        (&options.settings.typed, console.output),
        Order::Rate(per_second),
        &words,
    )
}

/// Gives the order and waits until all processes that work on the run follow it.
fn give(
    command: &'static str,
    run: Option<&str>,
    (typed, output): (&TypedSettings, Output),
    order: Order,
    words: &str,
) -> Result<Exit, CommandError> {
    let (ledger, commands) = open_for_orders(command, run, typed)?;
    let number = ledger.order(order)?;
    let given = Instant::now();
    while ledger.followed_orders()? < number {
        if !ledger.is_live() || given.elapsed() > PATIENCE {
            return Err(not_followed(&ledger, &commands, order, number));
        }
        // The other process does not signal that it has read the order from its ledger, so the ledger is polled.
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let run = &ledger.header().run;
    if output.json {
        let orders = ledger.orders()?;
        let body = json!({"run": run, "paused": orders.paused, "draining": orders.draining,
                          "rate_per_s": orders.rate_per_s});
        ui::out_as_is(&document(Exit::Success, body));
    } else if !output.quiet {
        ui::out(&format!("run {run}: {words}"));
    }
    Ok(Exit::Success)
}

/// Returns the error for an order that is not followed yet. The order remains: some processes may follow it already, and
/// the others follow it as soon as they can.
fn not_followed(ledger: &Ledger, commands: &Commands, order: Order, number: u64) -> CommandError {
    let run = &ledger.header().run;
    let status = commands.status();
    if !ledger.is_live() {
        let words = format!("run {run} ended meanwhile, so the order has no effect");
        return CommandError::usage(words).with_help(format!("`{status}` shows how it ended"));
    }
    let at_work = ledger.at_work().unwrap_or_default();
    let late = at_work.iter().find(|one| one.followed < number);
    let who = match late {
        Some(one) if at_work.len() > 1 => format!(
            "process {} on {}, which works on run {run},",
            one.pid,
            ui::visible(&one.host)
        ),
        _ => format!("run {run}"),
    };
    let otherwise = match order {
        Order::Pause => format!("`{}` takes it back", commands.on_record("unpause", &[])),
        Order::Unpause => format!("`{}` takes it back", commands.on_record("pause", &[])),
        Order::Rate(_) => format!("`{}` replaces it", commands.on_record("rate", &["N/s"])),
        Order::Drain => "it cannot be taken back".to_owned(),
    };
    CommandError::usage(format!(
        "{who} has not followed the order within {} s; the order remains, and is followed as soon as possible",
        PATIENCE.as_secs()
    ))
    .with_help(format!(
        "`{status}` shows whether it is followed; {otherwise}"
    ))
}

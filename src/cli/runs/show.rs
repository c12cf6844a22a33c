//! `idshift runs show RUN`: everything that is on record about one run as a whole.

use super::super::options::{Console, ShowOptions};
use super::overview::Overview;
use crate::config::{Kept, setting};
use crate::report::stamp;
use crate::run::{CommandError, Exit, SavedSettings, catalog, document, now_ms};
use crate::ui;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn run(options: &ShowOptions, console: Console) -> Result<Exit, CommandError> {
    let (catalog, _) = catalog(&options.settings.typed)?;
    let dir = catalog.find(&options.run)?;
    let overview = Overview::of(&dir)?;
    let body = body(&overview)?;
    if console.output.json {
        ui::out_as_is(&document(Exit::Success, body));
    } else {
        print(&overview, &body);
    }
    Ok(Exit::Success)
}

/// Returns the run's JSON document.
fn body(overview: &Overview) -> Result<Value, CommandError> {
    let (ledger, header) = (&overview.ledger, overview.ledger.header());
    let (guards, settings): (BTreeMap<_, _>, BTreeMap<_, _>) = SavedSettings::of(ledger)?
        .values
        .into_iter()
        .partition(|(name, _)| setting(name).is_some_and(|one| one.kept == Kept::AsGuard));
    let json_of =
        |text: Option<String>| text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let removed = ledger.removed_files()?.into_iter();
    let removed =
        removed.map(|file| json!({"name": file.name, "sha256": file.sha256, "bytes": file.bytes}));
    let more = json!({
        "input_sha256": header.input_sha256,
        "input_paths": header.origins,
        "user": header.user,
        "host": header.host,
        "program_version": header.tool_version,
        "created_at": stamp(header.created_at_ms),
        "removed_files": removed.collect::<Vec<_>>(),
        "plan_digest": ledger.plan_digest()?,
        "forecast": json_of(ledger.forecast()?),
        "guards": guards,
        "settings": settings,
    });
    Ok(overview.document_with(now_ms(), more))
}

/// Prints the same as text.
fn print(overview: &Overview, body: &Value) {
    let header = overview.ledger.header();
    let row = |name: &str, value: String| {
        if !value.is_empty() {
            ui::out(&format!("{name:<12} {}", ui::visible(&value)));
        }
    };
    let text = |name: &str| body[name].as_str().unwrap_or("").to_owned();
    row("run", format!("{} ({})", header.run, text("command")));
    row("target", overview.target.to_string());
    row(
        "input",
        format!("{}, {}", header.input_name, ui::lines(header.lines)),
    );
    for path in &header.origins {
        row("", path.clone());
    }
    row("undoes", text("undoes"));
    row("begun by", format!("{} on {}", header.user, header.host));
    row("begun at", text("started_at"));
    row("ended at", text("finished_at"));
    row(
        "duration",
        overview
            .duration_s(now_ms())
            .map_or_else(String::new, ui::duration),
    );
    row(
        "state",
        format!("{} (phase {})", overview.state.as_str(), text("phase")),
    );
    row("pruned at", text("pruned_at"));
    row("stopped by", text("stopped_by"));
    row("cause", text("cause"));
    let counted = overview.counted_in_colour();
    if !counted.is_empty() {
        ui::out(&format!("{:<12} {counted}", "lines"));
    }
    let calls = |name: &str| {
        body["calls"][name]
            .as_u64()
            .map_or_else(String::new, ui::count)
    };
    let names = ["find", "read", "write", "retried", "throttled"];
    let calls = names.map(|name| format!("{name} {}", calls(name)));
    row("calls", calls.join(", "));
    row("plan digest", text("plan_digest"));
    row("folder", text("run_dir"));
    row("version", header.tool_version.clone());
    for (name, value) in body["settings"].as_object().into_iter().flatten() {
        // The values of a list are kept one per line.
        for value in value.as_str().unwrap_or_default().lines() {
            row("setting", format!("{name} = {value}"));
        }
    }
    for (name, value) in body["guards"].as_object().into_iter().flatten() {
        if !value.is_null() {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            row("guard", format!("{name} = {value}"));
        }
    }
}

//! `idshift config`: shows every setting, and where its value comes from.

use super::options::{ConfigOptions, Console};
use crate::config::{Origin, Resolved, SETTINGS, Shape, Sources, Values, setting, token_source};
use crate::run::{CommandError, Exit, document, values};
use crate::ui;
use serde_json::json;
use std::collections::BTreeMap;

pub(super) fn run(options: &ConfigOptions, console: Console) -> Result<Exit, CommandError> {
    let mut values = values(&options.settings.typed, &BTreeMap::new())?;
    let mut resolved = Resolved::of(&mut values)?;
    let rows = rows(&mut values, &mut resolved);
    for note in &resolved.notes {
        ui::note(note);
    }
    if console.output.json {
        // In a JSON document the key `format` is already the version of the document's format.
        let rows = rows.into_iter().filter(|row| row.key != "format");
        let settings: serde_json::Map<_, _> = rows
            .map(|row| (row.key, json!({"value": row.value, "origin": row.origin})))
            .collect();
        ui::out_as_is(&document(Exit::Success, settings.into()));
        return Ok(Exit::Success);
    }
    let built_in = Origin::BuiltIn.to_string();
    for Row { key, value, origin } in rows {
        if value.is_empty() && origin == built_in {
            continue;
        }
        let line = format!("{key:<22} {:<32} {origin}", ui::visible(&value));
        ui::out(line.trim_end());
    }
    Ok(Exit::Success)
}

/// A setting, its value as text, and where it comes from.
struct Row {
    key: String,
    value: String,
    origin: String,
}

/// Returns a row for the configuration file, each setting, each column, and the token.
fn rows(values: &mut Values, resolved: &mut Resolved) -> Vec<Row> {
    let row = |key: &str, value: String, origin: String| Row {
        key: key.to_owned(),
        value,
        origin,
    };
    let path = values.file_path().map(|path| path.display().to_string());
    let mut rows = vec![row("config", path.unwrap_or_default(), values.file_words())];
    for setting in SETTINGS {
        // The configuration file has a row above; each column gets its own row below.
        let is_above = setting.name == "config";
        let is_elsewhere = setting.sources == Sources::TypedOnly || setting.shape == Shape::Columns;
        if is_above || is_elsewhere {
            continue;
        }
        let value = shown(setting.name, values, resolved);
        let origin = values.origin(setting.name).to_string();
        rows.push(row(setting.name, value, origin));
    }
    for (line, origin) in values.columns() {
        let (column, name) = line.split_once('=').unwrap_or((line, ""));
        let key = format!("map.{column}");
        rows.push(row(&key, name.to_owned(), origin.to_string()));
    }
    let token = match token_source(values) {
        None => "not set".to_owned(),
        Some(source) => match resolved.read_secrets(values) {
            Ok(()) => format!("set (from {source})"),
            Err(why) => format!("not usable: {why}"),
        },
    };
    rows.push(row("token", token, String::new()));
    rows
}

/// Returns the value that is shown: no secret, and the system's own limits where no others are set.
fn shown(name: &'static str, values: &Values, resolved: &Resolved) -> String {
    let is_program = setting(name).is_some_and(|setting| setting.shape == Shape::Words);
    match (name, values.effective(name)) {
        // A URL is a secret too: everyone who knows it can send reports to it.
        ("api_key" | "healthcheck_url" | "webhook_url", Some(_)) => "set".to_owned(),
        // The normalised address: `check_base_url` refuses one that contains a password.
        ("base_url", Some(_)) => resolved.base_url.clone().unwrap_or_default(),
        ("rate", None) => resolved.find_rate.to_string(),
        ("quota", None) => resolved
            .quota
            .map_or("unlimited".to_owned(), |quota| quota.to_string()),
        // An argument may contain a secret, so the arguments are not shown.
        (_, Some(value)) if is_program => program(value),
        (_, Some(value)) => value.replace('\n', " "),
        (_, None) => String::new(),
    }
}

/// Returns the program of a command, and the number of its arguments.
fn program(command: &str) -> String {
    let mut words = command.split('\n');
    let program = words.next().unwrap_or_default();
    match words.count() {
        0 => program.to_owned(),
        number => {
            let number = u64::try_from(number).unwrap_or(u64::MAX);
            let number = ui::one_or_many(number, "argument", "arguments");
            format!("{program} (and {number})")
        }
    }
}

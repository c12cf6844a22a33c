//! `idshift init` and `idshift config`: a file to begin with, and what holds.

use super::options::ConfigOptions;
use crate::config::{KEYS, Origin, Resolved, SAMPLE, token_source};
use crate::run::{CommandError, Exit, document, values};
use crate::ui;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;

pub(super) fn init() -> Result<Exit, CommandError> {
    let path = std::path::Path::new("idshift.toml");
    let file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(path);
    let mut file = file.map_err(|why| match why.kind() {
        std::io::ErrorKind::AlreadyExists => {
            CommandError::usage("idshift.toml is there already; it was left as it is")
        }
        _ => CommandError::usage(format!("idshift.toml cannot be written: {why}")),
    })?;
    file.write_all(SAMPLE.as_bytes())
        .map_err(|why| CommandError::usage(format!("idshift.toml cannot be written: {why}")))?;
    ui::out("idshift.toml written; edit it, then: idshift doctor --profile NAME");
    Ok(Exit::Success)
}

pub(super) fn show(options: &ConfigOptions) -> Result<Exit, CommandError> {
    let mut values = values(&options.target.typed(), &BTreeMap::new())?;
    let mut resolved = Resolved::of(&mut values)?;
    let mut settings = serde_json::Map::new();
    for key in KEYS {
        let origin = values.origin(key.name);
        let value = match (key.name, values.get(key.name)) {
            ("api_key", Some(_)) => "set".to_owned(),
            // In its normal form, and known to hold no password.
            ("base_url", Some(_)) => resolved.base_url.clone().unwrap_or_default(),
            (_, Some(value)) => value.replace('\n', " "),
            (_, None) => built_in(key.name, &resolved),
        };
        if options.output.is_json() {
            settings.insert(
                key.name.to_owned(),
                json!({"value": value, "origin": origin.to_string()}),
            );
        } else if origin != Origin::BuiltIn || !value.is_empty() {
            ui::out(&format!(
                "{:<22} {:<32} {origin}",
                key.name,
                ui::visible(&value)
            ));
        }
    }
    for (column, name, origin) in values.map() {
        let key = format!("map.{column}");
        if options.output.is_json() {
            let value = json!({"value": name, "origin": origin.to_string()});
            settings.insert(key, value);
        } else {
            ui::out(&format!("{key:<22} {:<32} {origin}", ui::visible(name)));
        }
    }
    let token = match token_source(&values) {
        None => "not set".to_owned(),
        Some(source) => match resolved.read_secrets(&mut values) {
            Ok(()) => format!("set (from {source})"),
            Err(why) => format!("not usable: {why}"),
        },
    };
    for note in &resolved.notes {
        ui::note(note);
    }
    if options.output.is_json() {
        settings.insert("token".to_owned(), json!({"value": token, "origin": ""}));
        ui::out(&document(Exit::Success, settings.into()));
    } else {
        ui::out(&format!("{:<22} {}", "token", ui::visible(&token)));
    }
    Ok(Exit::Success)
}

fn built_in(name: &str, resolved: &Resolved) -> String {
    match name {
        "runs_dir" => resolved.runs_dir.display().to_string(),
        "rate" => resolved.find_rate.to_string(),
        "quota" => resolved
            .quota
            .map_or("unlimited".to_owned(), |quota| quota.to_string()),
        "concurrency" | "lookup" => "auto".to_owned(),
        "timeout" => "30s".to_owned(),
        "retries" => resolved.retries.to_string(),
        "give_up_after" => "15m".to_owned(),
        "max_age" => "10m".to_owned(),
        _ => String::new(),
    }
}

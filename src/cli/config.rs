//! `idshift config`: shows every setting, and where its value comes from.

use super::options::{ConfigOptions, Console};
use crate::config::{Origin, Resolved, SETTINGS, Shape, Sources, Values, token_source};
use crate::run::{CommandError, Exit, document, values};
use crate::ui;
use serde_json::json;
use std::collections::BTreeMap;

pub(super) fn run(options: &ConfigOptions, console: Console) -> Result<Exit, CommandError> {
    let mut values = values(&options.settings.typed, &BTreeMap::new())?;
    let mut resolved = Resolved::of(&mut values)?;
    let mut settings = serde_json::Map::new();
    for setting in SETTINGS {
        // In a document, `format` is the version of its form. Columns follow, each by itself.
        let is_shown = setting.sources != Sources::TypedOnly && setting.shape != Shape::Columns;
        if !is_shown || (console.output.json && setting.name == "format") {
            continue;
        }
        let origin = values.origin(setting.name);
        let value = shown(setting.name, &values, &resolved);
        if console.output.json {
            settings.insert(
                setting.name.to_owned(),
                json!({"value": value, "origin": origin.to_string()}),
            );
        } else if origin != Origin::BuiltIn || !value.is_empty() {
            ui::out(&format!(
                "{:<22} {:<32} {origin}",
                setting.name,
                ui::visible(&value)
            ));
        }
    }
    for (line, origin) in values.columns() {
        let (column, name) = line.split_once('=').unwrap_or((line, ""));
        let key = format!("map.{column}");
        if console.output.json {
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
    if console.output.json {
        settings.insert("token".to_owned(), json!({"value": token, "origin": ""}));
        ui::out(&document(Exit::Success, settings.into()));
    } else {
        ui::out(&format!("{:<22} {}", "token", ui::visible(&token)));
    }
    Ok(Exit::Success)
}

/// A setting as it is shown: no secret, and the system's own limits where no others are given.
fn shown(name: &'static str, values: &Values, resolved: &Resolved) -> String {
    match (name, values.effective(name)) {
        ("api_key", Some(_)) => "set".to_owned(),
        // In its normal form, and known to hold no password.
        ("base_url", Some(_)) => resolved.base_url.clone().unwrap_or_default(),
        ("rate", None) => resolved.find_rate.to_string(),
        ("quota", None) => resolved
            .quota
            .map_or("unlimited".to_owned(), |quota| quota.to_string()),
        (_, Some(value)) => value.replace('\n', " "),
        (_, None) => String::new(),
    }
}

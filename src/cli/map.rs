//! `idshift map`: what the columns of a file probably mean.

use super::options::{Console, MapOptions};
use crate::config::SavedMap;
use crate::input::{self, Column};
use crate::report;
use crate::run::{self, Basis, CommandError, Exit, Mapping, Meaning, Unread, document, map};
use crate::ui;
use serde_json::{Value, json};

/// How many values of a column are shown.
const SAMPLES: usize = 3;
/// The most characters of a value that are shown.
const VALUE_CHARS: usize = 32;
/// The rightmost position at which the values begin, in characters.
const MOST_INDENT: usize = 60;

pub(super) fn run(options: &MapOptions, console: Console) -> Result<Exit, CommandError> {
    let save = options.save.as_deref();
    let mapping = match map(
        &options.file,
        &options.settings.request(None, console),
        save,
    ) {
        Ok(mapping) => mapping,
        Err(Unread::Input(error)) => return Err(error.into()),
        Err(Unread::Other(failure)) => return Err(failure),
    };
    for (column, name) in &mapping.missing {
        ui::warning(&format!(
            "idshift.toml says that {column} is `{}`, and the file has no such column; --map {column}=NAME says \
             which one it is here",
            ui::visible(name)
        ));
    }
    if console.output.json {
        ui::out_as_is(&document(Exit::Success, body(&mapping, save)));
        return Ok(Exit::Success);
    }
    ui::out(&table(&mapping));
    for (column, places) in &mapping.undecided {
        ui::out(&undecided(&mapping, *column, places));
    }
    if let (Some(saved), Some(profile)) = (&mapping.saved, save) {
        ui::out(&told(&mapping, saved, profile));
    }
    if !console.output.quiet {
        ui::out(&format!("next: {}", ui::visible(&next(options, &mapping))));
    }
    Ok(Exit::Success)
}

/// Returns a table with a line for each column.
fn table(mapping: &Mapping) -> String {
    let columns = mapping.sample.columns.iter().zip(&mapping.meanings);
    let heads: Vec<String> = columns
        .map(|(column, meaning)| {
            let name = if column.name.is_empty() {
                format!("(column {} without a name)", column.number)
            } else {
                ui::visible(&column.name).into_owned()
            };
            format!("{name} → {}", words(meaning))
        })
        .collect();
    let widths = heads.iter().map(|head| head.chars().count());
    let width = widths.max().unwrap_or(0).min(MOST_INDENT);
    let lines = heads.iter().zip(&mapping.sample.columns);
    let lines = lines.map(|(head, column)| {
        let values = samples(&column.values);
        let values: Vec<_> = values.iter().map(|value| ui::visible(value)).collect();
        let line = format!("{head:<width$}   {}", values.join(", "));
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn words(meaning: &Meaning) -> String {
    if let Some((column, _)) = meaning.decided {
        return column.name().to_owned();
    }
    if meaning.candidates.is_empty() {
        return "carried through".to_owned();
    }
    let names: Vec<&str> = meaning.candidates.iter().map(|c| c.name()).collect();
    format!("{}?", names.join(" or "))
}

/// Returns the first different values, each shortened to fit on the line.
fn samples(values: &[String]) -> Vec<String> {
    let mut samples: Vec<String> = Vec::new();
    for value in values {
        let mut shown: String = value.chars().take(VALUE_CHARS).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        if !samples.contains(&shown) {
            samples.push(shown);
        }
        if samples.len() == SAMPLES {
            break;
        }
    }
    samples
}

fn undecided(mapping: &Mapping, column: Column, places: &[usize]) -> String {
    let names = places.iter().map(|place| &mapping.sample.columns[*place]);
    let names: Vec<&str> = names.map(|column| column.name.as_str()).collect();
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", ui::visible(name)))
        .collect();
    let first = names.first().copied().unwrap_or_default();
    let option = report::option("--map", &format!("{column}={first}"));
    let is_one = names.len() == 1;
    format!(
        "{column} is not decided: {} {}; {} decides it",
        quoted.join(" and "),
        if is_one {
            "may be it"
        } else {
            "may each be it"
        },
        ui::visible(&report::shell(option))
    )
}

/// Returns a message that says what was saved in which file.
fn told(mapping: &Mapping, saved: &SavedMap, profile: &str) -> String {
    let columns = mapping
        .decided()
        .filter(|(.., basis)| *basis != Basis::Name);
    let columns: Vec<String> = columns
        .map(|(column, name, _)| format!("{column} = `{}`", ui::visible(name)))
        .collect();
    let path = saved.path.display().to_string();
    let mut text = format!(
        "{} {}, profile {}: {}",
        if saved.is_new {
            "written to the new file"
        } else {
            "saved in"
        },
        ui::visible(&path),
        ui::visible(profile),
        columns.join(", ")
    );
    for (column, name) in &saved.removed {
        text.push_str(&format!(
            "\nremoved from the profile: {column} = `{}`, which this file does not have",
            ui::visible(name)
        ));
    }
    text
}

/// Returns the command to run next.
fn next(options: &MapOptions, mapping: &Mapping) -> String {
    let file = if input::must_be_stored(&options.file) {
        "FILE".to_owned()
    } else {
        report::path_word(&options.file)
    };
    let typed = &options.settings.typed;
    // After --save the profile contains these columns, so the next command needs no `--map`.
    let but = match options.save {
        Some(_) => &["profile", "map"][..],
        None => &["profile"],
    };
    let command = |name: &str, more: Vec<String>| {
        let words = ["idshift", name, &file].map(str::to_owned).into_iter();
        report::shell(words.chain(more).chain(run::retyped(typed, but)))
    };
    let profile = options.save.as_deref().or(typed.get("profile"));
    let option = |name| profile.map_or_else(Vec::new, |value| report::option(name, value));
    let may_be = |column: Column| {
        let decided = mapping.decided().any(|(other, ..)| other == column);
        let undecided = mapping.undecided.iter().any(|(other, _)| *other == column);
        decided || undecided
    };
    if !may_be(Column::AccountId) && !may_be(Column::CustomerId) {
        return "no column is like an account ID or a customer ID; name it with --map accountId=NAME".to_owned();
    }
    let is_open = |(column, _): &(Column, _)| *column == Column::AccountId;
    if mapping.undecided.iter().any(is_open) {
        let profile = profile.unwrap_or("PROFILE");
        let name = report::option("--map", "accountId=NAME");
        let save = [name, report::option("--save", profile)].concat();
        let decide = command("map", save);
        return format!("{decide}, where NAME is the column of the account IDs");
    }
    if mapping.saved.is_some() {
        return command("plan", option("--profile"));
    }
    let is_guess = |(.., basis): (Column, &str, Basis)| basis == Basis::Guess;
    if mapping.decided().any(is_guess) {
        let saved = command(
            "map",
            report::option("--save", profile.unwrap_or("PROFILE")),
        );
        return format!("{saved}, or the same columns with --map");
    }
    command("check", option("--profile"))
}

fn body(mapping: &Mapping, save: Option<&str>) -> Value {
    let columns = mapping.sample.columns.iter().zip(&mapping.meanings);
    let columns = columns.map(|(column, meaning)| {
        json!({
            "number": column.number,
            "header": column.name,
            "meaning": meaning.decided.map(|(column, _)| column.name()),
            "basis": meaning.decided.map(|(_, basis)| basis_word(basis)),
            "candidates": meaning.candidates.iter().map(|c| c.name()).collect::<Vec<_>>(),
            "samples": samples(&column.values),
        })
    });
    let undecided = mapping.undecided.iter().map(|(column, places)| {
        let names = places
            .iter()
            .map(|place| &mapping.sample.columns[*place].name);
        json!({"meaning": column.name(), "headers": names.collect::<Vec<_>>()})
    });
    let saved = mapping
        .saved
        .as_ref()
        .map(|saved| json!({"file": saved.path.display().to_string(), "profile": save}));
    json!({
        "file": mapping.name,
        "header_line": mapping.sample.line,
        "delimiter": char::from(mapping.sample.delimiter).to_string(),
        "columns": columns.collect::<Vec<_>>(),
        "map": mapping
            .decided()
            .map(|(column, name, _)| (column.name().to_owned(), Value::from(name)))
            .collect::<serde_json::Map<_, _>>(),
        "undecided": undecided.collect::<Vec<_>>(),
        "saved": saved,
    })
}

fn basis_word(basis: Basis) -> &'static str {
    match basis {
        Basis::CommandLine => "command line",
        Basis::Environment => "environment",
        Basis::Configuration => "idshift.toml",
        Basis::Name => "name",
        Basis::Guess => "guess",
    }
}

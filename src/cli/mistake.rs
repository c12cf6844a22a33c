//! Reports a mistake in the command line: what is wrong, and how to correct it.

use super::options;
use crate::config::{HOW_TO_GIVE_A_TOKEN, TypedSettings, Values};
use crate::run::{Exit, document};
use crate::ui;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::json;

/// Prints what is wrong and, if JSON is requested, also a JSON document.
pub(super) fn say(error: &clap::Error) {
    let document_of = |error: &str, help: Option<&str>| {
        if json_is_asked_for() {
            let body = json!({"error": error, "help": help});
            ui::out_as_is(&document(Exit::NothingDone, body));
        }
    };
    if let Some((words, help)) = missing(error).or_else(|| secret(error)) {
        ui::error(&words);
        ui::help(&help);
        document_of(&words, Some(&help));
        return;
    }
    ui::err(error.render().ansi().to_string().trim_end());
    let text = error.to_string();
    let (words, help) = text.trim().split_once("\n\n").unwrap_or((text.trim(), ""));
    let help = (!help.is_empty()).then_some(help);
    document_of(words.trim_start_matches("error: "), help);
}

/// Whether JSON is requested. The command line as a whole could not be parsed, so this searches its words.
fn json_is_asked_for() -> bool {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let typed = words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json" || word == "--format=json")
        || words.windows(2).any(|two| two == ["--format", "json"]);
    typed || Values::of_output(&TypedSettings::default()).get("format") == Some("json")
}

/// If arguments are missing, returns the message (which ones, with their descriptions) and the help (the command's example).
fn missing(error: &clap::Error) -> Option<(String, String)> {
    let (
        ErrorKind::MissingRequiredArgument,
        Some(ContextValue::Strings(names)),
        Some(ContextValue::StyledStr(usage)),
    ) = (
        error.kind(),
        error.get(ContextKind::InvalidArg),
        error.get(ContextKind::Usage),
    )
    else {
        return None;
    };
    let mut command = options::command();
    command.build();
    let mut typed = command.get_name().to_owned();
    for word in usage.to_string().split_whitespace().skip(2) {
        let Some(subcommand) = command.find_subcommand(word) else {
            break;
        };
        command = subcommand.clone();
        typed = format!("{typed} {word}");
    }
    let described = |name: &String| {
        let bare = |text: &str| text.replace(['[', ']', '<', '>'], "");
        let mut arguments = command.get_arguments();
        let found = arguments.find(|one| bare(&one.to_string()) == bare(name));
        let help = found.and_then(clap::Arg::get_help).map(ToString::to_string);
        match help {
            Some(help) => format!("{name} ({})", uncapitalised(&help)),
            None => name.clone(),
        }
    };
    let mut names: Vec<&String> = names.iter().collect();
    // In the order in which they are typed: options last.
    names.sort_by_key(|name| name.starts_with('-'));
    let names: Vec<String> = names.into_iter().map(described).collect();
    let about = command.get_long_about().map(ToString::to_string);
    let example = about
        .as_deref()
        .and_then(|about| about.split("Example: ").nth(1));
    let example = example.map_or_else(String::new, |example| {
        format!("for example `{}`; ", example.trim())
    });
    Some((
        format!("`{typed}` needs {}", names.join(" and ")),
        format!("{example}`{typed} --help` describes what can be given"),
    ))
}

/// If the token is given as an option, returns the message and the help. A command line is visible to other users.
fn secret(error: &clap::Error) -> Option<(String, String)> {
    let unknown = error.get(ContextKind::InvalidArg);
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(name))) = (error.kind(), unknown)
    else {
        return None;
    };
    let words = || "there is no option --token: other users could see the token".to_owned();
    (name == "--token").then(|| (words(), HOW_TO_GIVE_A_TOKEN.to_owned()))
}

fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string());
    format!("{}{}", first.unwrap_or_default(), chars.as_str())
}

//! The settings as clap options, made from the table in `config/settings_table.rs`.

use super::candidates;
use crate::cli::options::SandboxArgs;
use crate::config::{Group, SETTINGS, Setting, Shape, Sources, TypedSettings};
use crate::run::{Consent, Output, Request, SandboxRequest};
use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, ValueHint};

/// The short form of `--format json`.
const JSON: &str = "json";

/// The typed settings. The table says which settings a command accepts.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct SettingsArgs {
    pub(in crate::cli) typed: TypedSettings,
}

impl SettingsArgs {
    /// Returns the request to `run`: the typed settings, the sandbox options, and how to print and ask.
    pub(in crate::cli) fn request(
        &self,
        sandbox: Option<&SandboxArgs>,
        console: Console,
    ) -> Request {
        let is_set = |name| self.typed.get(name).is_some();
        Request {
            typed: self.typed.clone(),
            sandbox: sandbox.map_or_else(SandboxRequest::default, SandboxArgs::request),
            consent: Consent {
                yes: console.yes,
                no_input: is_set("no_input"),
            },
            without_history: is_set("without_history"),
            output: console.output,
            ..Request::default()
        }
    }
}

/// How to print and ask, as command line, environment and file say.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Console {
    pub(in crate::cli) output: Output,
    /// Whether the user has consented in advance (`yes`).
    pub(in crate::cli) yes: bool,
}

impl Args for SettingsArgs {
    fn augment_args(command: Command) -> Command {
        let name = command.get_name().to_owned();
        let in_order = Group::ALL.into_iter().flat_map(|group| {
            let of_group = SETTINGS.iter().filter(move |one| one.group == group);
            of_group.filter(|one| one.is_option_of(&name))
        });
        in_order.fold(command, |command, setting| {
            let arg = option(setting).hide(!setting.is_used_by(&name));
            let command = command.arg(arg);
            if setting.name == "format" {
                command.arg(json())
            } else {
                command
            }
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let is_typed = |id: &str| {
            matches.try_contains_id(id).unwrap_or(false)
                && matches.value_source(id) == Some(ValueSource::CommandLine)
        };
        let typed = SETTINGS.iter().filter(|setting| is_typed(setting.name));
        let typed = typed.map(|setting| (setting.name, value(setting, matches)));
        let json = is_typed(JSON).then(|| ("format", "json".to_owned()));
        Ok(Self {
            typed: typed.chain(json).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the value of a typed option; several values are kept one per line.
fn value(setting: &Setting, matches: &ArgMatches) -> String {
    match setting.shape {
        Shape::Truth => "true".to_owned(),
        Shape::Count => matches.get_count(setting.name).to_string(),
        Shape::Text
        | Shape::Number(_)
        | Shape::Choice(_)
        | Shape::List
        | Shape::Columns
        | Shape::Words => {
            let values = matches.get_many::<String>(setting.name);
            let values: Vec<&str> = values.into_iter().flatten().map(String::as_str).collect();
            values.join("\n")
        }
    }
}

fn option(setting: &Setting) -> Arg {
    let arg = Arg::new(setting.name)
        .long(setting.long())
        .help_heading(setting.group.heading())
        .help(setting.line())
        .long_help(long_help(setting))
        .hide_short_help(setting.seldom);
    let arg = match setting.alias {
        Some(alias) => arg.alias(alias),
        None => arg,
    };
    let arg = match setting.excludes {
        Some(other) => arg.conflicts_with(other),
        None => arg,
    };
    let arg = match candidates::of_setting(setting.name) {
        Some(completer) => arg.add(completer),
        None => arg,
    };
    let arg = match setting.short {
        Some(letter) => arg.short(letter),
        None => arg,
    };
    let hint = match setting.value_name {
        "FILE" => ValueHint::FilePath,
        "FOLDER" => ValueHint::DirPath,
        _ => ValueHint::Unknown,
    };
    let valued = |arg: Arg| arg.value_name(setting.value_name).value_hint(hint);
    match setting.shape {
        Shape::Truth => arg.action(ArgAction::SetTrue),
        Shape::Count => arg.action(ArgAction::Count),
        Shape::List | Shape::Columns => valued(arg).action(ArgAction::Append),
        Shape::Choice(choices) => valued(arg)
            .value_parser(PossibleValuesParser::new(choices))
            .hide_possible_values(true),
        Shape::Text | Shape::Number(_) | Shape::Words => valued(arg),
    }
}

fn json() -> Arg {
    Arg::new(JSON)
        .long(JSON)
        .help_heading(Group::Output.heading())
        .help("The same as --format json")
        .action(ArgAction::SetTrue)
        .conflicts_with("format")
}

/// Returns the long help of a setting: its meaning, an example, and its other names.
fn long_help(setting: &Setting) -> String {
    let mut help = setting.line();
    if !setting.more.is_empty() {
        help.push_str("\n\n");
        help.push_str(setting.more);
    }
    let mut last = Vec::new();
    if !setting.example.is_empty() {
        last.push(format!("Example: --{} {}", setting.long(), setting.example));
    }
    last.extend(match setting.sources {
        Sources::TypedOnly => None,
        Sources::NotInFile => setting.variable().map(|name| format!("[env: {name}]")),
        Sources::All | Sources::NotTyped => setting
            .variable()
            .map(|name| format!("[env: {name}] [idshift.toml: {}]", setting.name)),
    });
    if !last.is_empty() {
        help.push_str("\n\n");
        help.push_str(&last.join("\n"));
    }
    help
}

#[cfg(test)]
mod tests {
    use crate::cli::options;
    use crate::config::{SETTINGS, Sources};

    #[test]
    fn each_setting_refers_to_existing_commands_and_their_arguments() {
        let whole = options::command();
        let runs = whole.find_subcommand("runs").unwrap();
        for setting in SETTINGS {
            for name in setting.used_by.split(' ') {
                let command = whole.find_subcommand(name).or(runs.find_subcommand(name));
                let command = command.unwrap_or_else(|| panic!("{name}: no such command"));
                let arg = command
                    .get_arguments()
                    .find(|arg| arg.get_id() == setting.name);
                let is_typed = setting.sources != Sources::NotTyped;
                assert_eq!(arg.is_some(), is_typed, "{name} --{}", setting.name);
                let is_shown = arg.is_none_or(|arg| !arg.is_hide_set());
                assert!(is_shown, "{}", setting.name);
            }
        }
    }
}

//! `idshift completions SHELL`: prints the script with which a shell requests completions, and answers these requests.
//!
//! An answer is printed before any other work, changes nothing, and is empty after an error: a message on standard
//! error would appear in the line that the user is typing.

use super::options;
use crate::run::{CommandError, Exit};
use crate::ui;
use clap::Command;
use clap_complete::env::{CompleteEnv, Shells};
use std::env;

/// The environment variable that a shell's script sets to the name of the shell.
const VARIABLE: &str = "_IDSHIFT_COMPLETE";

/// Is added to the script for zsh. Where zsh autoloads the script from `$fpath`, the first call of the function is
/// already a request for completions, so the script must answer it.
const AUTOLOADED: &str = "[ \"$funcstack[1]\" = _idshift ] && _clap_dynamic_completer_idshift\n";

/// Is added to the script for bash, which inserts an answer into the command line unchanged: a profile or file named
/// `$(…)` would be run as a command. So this function quotes every answer that is not a plain word, and prevents its
/// expansion as a file name pattern.
const QUOTED: &str = r#"
_idshift_quoted() {
    local options=$- at
    set -f
    _clap_complete_idshift "$@"
    [[ $options == *f* ]] || set +f
    for at in "${!COMPREPLY[@]}"; do
        if [[ ${COMPREPLY[at]} == *[^[:alnum:]._+=,/:@%^~-]* ]]; then
            printf -v "COMPREPLY[at]" %q "${COMPREPLY[at]}"
        fi
    done
}
_idshift_registered=$(complete -p idshift)
eval "${_idshift_registered/_clap_complete_idshift/_idshift_quoted}"
unset _idshift_registered
"#;

pub(super) fn run(shell: clap_complete::Shell) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    if let Some(shell) = Shells::builtins().completer(&shell.to_string()) {
        let written =
            shell.write_registration(VARIABLE, "idshift", "idshift", "idshift", &mut script);
        written.map_err(|why| CommandError::new(Exit::NothingDone, why.to_string()))?;
    }
    let more = match shell {
        clap_complete::Shell::Zsh => AUTOLOADED,
        clap_complete::Shell::Bash => QUOTED,
        _ => "",
    };
    script.extend_from_slice(more.as_bytes());
    ui::out_bytes(&script);
    Ok(Exit::Success)
}

/// Returns the command line for completion. Its options are hidden unless an option is being typed: clap offers hidden
/// entries only if nothing else fits.
fn offered() -> Command {
    let words: Vec<_> = env::args_os()
        .skip_while(|word| word != "--")
        .skip(1)
        .collect();
    let index = env::var("_CLAP_COMPLETE_INDEX")
        .ok()
        .and_then(|index| index.parse().ok());
    let word = words.get(index.unwrap_or(words.len().saturating_sub(1)));
    let is_option = word.is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"));
    if is_option {
        options::command()
    } else {
        without_options(options::command())
    }
}

fn without_options(command: Command) -> Command {
    command
        .disable_help_flag(true)
        .mut_args(|arg| {
            if arg.is_positional() {
                arg
            } else {
                arg.hide(true)
            }
        })
        .mut_subcommands(without_options)
}

/// Answers a request of a shell's script; `None`: there is no such request.
pub(super) fn answer() -> Option<Exit> {
    env::var_os(VARIABLE)?;
    let here = env::current_dir().ok();
    let asked = CompleteEnv::with_factory(offered)
        .var(VARIABLE)
        .bin("idshift")
        .try_complete(env::args_os(), here.as_deref());
    match asked {
        Ok(false) => None,
        Ok(true) => Some(Exit::Success),
        Err(_) => Some(Exit::NothingDone),
    }
}

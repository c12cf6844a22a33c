//! `idshift completions SHELL`: the script by which a shell asks this program what can follow, and the answers.
//!
//! An answer is printed before anything else is done, changes nothing, and is empty where something is wrong: what is
//! written to standard error would stand in the line that is typed.

use super::options;
use crate::run::{CommandError, Exit};
use crate::ui;
use clap::Command;
use clap_complete::env::{CompleteEnv, Shells};
use std::env;

/// Set by the script of a shell: the shell's name.
const VARIABLE: &str = "_IDSHIFT_COMPLETE";

/// What a file of zsh's `$fpath` needs besides: its first call is made for an answer.
const AUTOLOADED: &str = "[ \"$funcstack[1]\" = _idshift ] && _clap_dynamic_completer_idshift\n";

/// Bash puts an answer into the line as it is: a profile or a file that is named `$(…)` would be a command there. So what
/// is more than a plain word is quoted, and not taken for a pattern of file names.
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

/// The command line, its options hidden where no option is being typed: what is hidden is offered only if nothing else fits.
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

/// Answers the script of a shell; `None`: no shell asks.
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

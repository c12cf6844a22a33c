//! `idshift completions SHELL`: what a shell should know of the options.

use super::options;
use crate::run::Exit;
use crate::ui;

pub(super) fn run(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut options::command(), "idshift", &mut script);
    ui::out_bytes(&script);
    Exit::Success
}

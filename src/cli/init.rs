//! `idshift init`: writes a commented `idshift.toml` to begin with.

use crate::config::SAMPLE;
use crate::run::{CommandError, Exit};
use crate::ui;
use std::io::Write;

pub(super) fn run() -> Result<Exit, CommandError> {
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

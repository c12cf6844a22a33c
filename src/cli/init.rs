//! `idshift init`: writes a commented `idshift.toml` to begin with.

use super::options::Console;
use crate::config::SAMPLE;
use crate::run::{CommandError, Exit, document};
use crate::ui;
use serde_json::json;
use std::io::Write;

pub(super) fn run(console: Console) -> Result<Exit, CommandError> {
    let path = std::path::Path::new("idshift.toml");
    let file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(path);
    let mut file = file.map_err(|why| match why.kind() {
        std::io::ErrorKind::AlreadyExists => {
            CommandError::usage("idshift.toml exists already; it was not changed")
        }
        _ => CommandError::usage(format!("idshift.toml cannot be written: {why}")),
    })?;
    file.write_all(SAMPLE.as_bytes())
        .map_err(|why| CommandError::usage(format!("idshift.toml cannot be written: {why}")))?;
    if console.output.json {
        let body = json!({ "written": path });
        ui::out_as_is(&document(Exit::Success, body));
    } else if !console.output.quiet {
        ui::out("idshift.toml written; edit it, then: idshift doctor --profile NAME");
    }
    Ok(Exit::Success)
}

//! `idshift import`: moves runs that are kept in files to a database.

use super::options::{Console, ImportOptions};
use crate::run::{CommandError, Exit, Imported, document, import};
use crate::ui;
use serde_json::json;

pub(super) fn run(options: &ImportOptions, console: Console) -> Result<Exit, CommandError> {
    let mut exit = Exit::Success;
    let mut documents = Vec::new();
    import(&options.runs, &options.settings.typed, |one| {
        let run = ui::visible(&one.run);
        let (result, lines, error) = match &one.result {
            Ok(Imported::Now { lines }) => ("imported", Some(*lines), None),
            Ok(Imported::Before) => ("there", None, None),
            Err(error) => {
                if exit == Exit::Success {
                    exit = error.exit;
                }
                ui::error(&format!("run {run}: {}", error.message));
                error.help.iter().for_each(|help| ui::help(help));
                ("refused", None, Some(error))
            }
        };
        documents.push(json!({
            "run": one.run,
            "folder": one.folder.display().to_string(),
            "result": result,
            "error": error.map(|error| &error.message),
            "help": error.and_then(|error| error.help.as_ref()),
        }));
        if console.output.json {
            return;
        }
        match (result, lines) {
            ("imported", Some(lines)) => {
                ui::out(&format!("{run}  imported, {}", ui::lines(lines)));
            }
            ("there", _) => ui::out(&format!("{run}  already imported")),
            _ => {}
        }
    })?;
    if console.output.json {
        ui::out(&document(exit, json!({ "imports": documents })));
    }
    Ok(exit)
}

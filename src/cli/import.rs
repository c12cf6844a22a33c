//! `idshift import`: moves runs that are kept in files to a database.

use super::options::{Console, ImportOptions};
use crate::run::{CommandError, Exit, Imported, document, import};
use crate::ui;
use serde_json::json;

pub(super) fn run(options: &ImportOptions, console: Console) -> Result<Exit, CommandError> {
    let mut exit = Exit::Success;
    let mut documents = Vec::new();
    let (runs, typed) = (&options.runs, &options.settings.typed);
    import(runs, typed, options.dry_run, |one| {
        let run = ui::visible(&one.run);
        let (result, words, error) = match &one.result {
            Ok(Imported::Now { lines }) => {
                let words = format!("imported, {}", ui::lines(*lines));
                ("imported", words, None)
            }
            Ok(Imported::Possible { lines }) => {
                let words = format!("would be imported, {}", ui::lines(*lines));
                ("possible", words, None)
            }
            Ok(Imported::Before) => ("there", "already imported".to_owned(), None),
            Err(error) => {
                if exit == Exit::Success {
                    exit = error.exit;
                }
                ui::error(&format!("run {run}: {}", error.message));
                error.help.iter().for_each(|help| ui::help(help));
                ("refused", String::new(), Some(error))
            }
        };
        documents.push(json!({
            "run": one.run,
            "folder": one.folder.display().to_string(),
            "result": result,
            "error": error.map(|error| &error.message),
            "help": error.and_then(|error| error.help.as_ref()),
        }));
        if !console.output.json && error.is_none() {
            ui::out(&format!("{run}  {words}"));
        }
    })?;
    if console.output.json {
        let body = json!({ "imports": documents, "dry_run": options.dry_run });
        ui::out_as_is(&document(exit, body));
    } else if options.dry_run {
        ui::out("nothing was moved: without --dry-run, the same command moves them in this order");
    }
    Ok(exit)
}

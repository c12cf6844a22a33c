//! `idshift evidence`: writes the archive of a run, or verifies one.

use super::options::{Console, EvidenceOptions};
use crate::run::{CommandError, Evidence, Exit, catalog, check_evidence, collect, document};
use crate::ui;
use serde_json::json;
use std::path::Path;

pub(super) fn run(options: &EvidenceOptions, console: Console) -> Result<Exit, CommandError> {
    if let Some(path) = &options.check {
        let found = check_evidence(path)?;
        print(console, &found, path, "unchanged since it was written");
        return Ok(Exit::Success);
    }
    let (Some(run), Some(out)) = (&options.run, &options.output_file) else {
        return Err(CommandError::usage(
            "give a run and the file of the archive (-o FILE), or --check FILE",
        ));
    };
    let (catalog, _) = catalog(&options.settings.typed)?;
    let dir = catalog.find(run)?;
    let written = collect(&dir, out)?;
    print(console, &written, out, "written");
    Ok(Exit::Success)
}

fn print(console: Console, evidence: &Evidence, path: &Path, what: &str) {
    let path = path.display().to_string();
    if console.output.json {
        let entries = evidence
            .entries
            .iter()
            .map(|(name, bytes)| json!({"name": name, "bytes": bytes}));
        let body = json!({
            "file": path,
            "run": evidence.run,
            "digest": evidence.digest,
            "entries": entries.collect::<Vec<_>>(),
        });
        ui::out_as_is(&document(Exit::Success, body));
        return;
    }
    if !console.output.quiet {
        for (name, bytes) in &evidence.entries {
            ui::err(&format!("{:<20} {}", ui::visible(name), ui::bytes(*bytes)));
        }
    }
    ui::out(&format!(
        "{}: run {}, {what}\ndigest {}",
        ui::visible(&path),
        ui::visible(&evidence.run),
        evidence.digest
    ));
}

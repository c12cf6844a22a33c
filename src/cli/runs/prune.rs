//! `idshift runs prune`: shows which runs are old enough, asks, and reduces them to their compact records.

use super::super::options::{Console, PruneOptions};
use crate::run::{
    Candidate, CommandError, Exit, Retention, candidates, catalog, document, now_ms, reduce,
};
use crate::ui;
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn run(options: &PruneOptions, console: Console) -> Result<Exit, CommandError> {
    // A run elsewhere may refer to one in this folder, so all registered runs are loaded, unless `runs_dir` is set.
    let (catalog, runs_dir) = catalog(&options.settings.typed)?;
    let retention = Retention {
        older_than: options.older_than,
        keep_last: options.keep_last,
    };
    let now_ms = now_ms();
    let found = candidates(&catalog, &runs_dir, retention, now_ms)?;
    for lost in &catalog.lost {
        let path = lost.path.display().to_string();
        ui::warning(&format!("{path} is left as it is: {}", lost.why));
    }
    let pruned: Vec<&Candidate<'_>> = found.iter().filter(|one| one.kept.is_none()).collect();
    if !console.output.json && !console.output.quiet {
        show(&found);
    }
    if !pruned.is_empty() && !options.dry_run {
        consent(console, &pruned)?;
        for one in &pruned {
            reduce(one, &catalog, now_ms)?;
        }
    }
    if console.output.json {
        let body = body(options, &found);
        ui::out_as_is(&document(Exit::Success, body));
    } else {
        ui::out(&closing(options, &runs_dir, &pruned));
    }
    Ok(Exit::Success)
}

fn show(found: &[Candidate<'_>]) {
    for one in found {
        let header = &one.entry.header;
        let name = ui::visible(&header.input_name);
        let what = match &one.kept {
            Some(why) => format!("kept: {why}"),
            None => match one.bytes {
                Some(bytes) => format!("{} to be removed", ui::bytes(bytes)),
                None => "its record is to be reduced; this machine has no files of it".to_owned(),
            },
        };
        // The ledger's kind is `apply` for a plan that was carried out; the header's kind does not change.
        let kind = one.entry.ledger().and_then(|ledger| ledger.kind());
        let kind = kind.unwrap_or(header.kind).as_str();
        ui::err(&format!("{}  {kind} of {name}  {what}", header.run));
    }
}

fn consent(console: Console, pruned: &[&Candidate<'_>]) -> Result<(), CommandError> {
    if console.yes {
        return Ok(());
    }
    let question = format!(
        "prune {}: their input and reports are removed, and they can no longer be undone or verified",
        runs(pruned.len())
    );
    match ui::confirm(&question) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CommandError::usage("not confirmed; nothing was removed")),
        Err(why) => Err(CommandError::usage(format!("{why}; nothing was removed"))
            .with_help("give the consent with --yes, or look first with --dry-run")),
    }
}

fn runs(number: usize) -> String {
    ui::counted(u64::try_from(number).unwrap_or(u64::MAX), "run")
}

fn closing(options: &PruneOptions, runs_dir: &Path, pruned: &[&Candidate<'_>]) -> String {
    let bytes: u64 = pruned.iter().filter_map(|one| one.bytes).sum();
    let folder = runs_dir.display().to_string();
    match pruned.len() {
        0 => format!("nothing to prune in {}", ui::visible(&folder)),
        number if options.dry_run => format!(
            "would prune {}, {}; nothing was removed",
            runs(number),
            ui::bytes(bytes)
        ),
        number => format!("pruned {}, {}", runs(number), ui::bytes(bytes)),
    }
}

fn body(options: &PruneOptions, found: &[Candidate<'_>]) -> Value {
    let (pruned, kept): (Vec<_>, Vec<_>) = found.iter().partition(|one| one.kept.is_none());
    let pruned = pruned
        .iter()
        .map(|one| json!({"run": one.entry.header.run, "bytes": one.bytes.unwrap_or(0)}));
    let kept = kept
        .iter()
        .map(|one| json!({"run": one.entry.header.run, "why": one.kept}));
    json!({
        "dry_run": options.dry_run,
        "pruned": pruned.collect::<Vec<_>>(),
        "kept": kept.collect::<Vec<_>>(),
        "bytes": found.iter().filter(|one| one.kept.is_none()).filter_map(|one| one.bytes).sum::<u64>(),
    })
}

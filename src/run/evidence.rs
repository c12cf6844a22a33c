//! `idshift evidence`: writes everything that is on record about one run into an archive, and verifies archives.

use super::archive::{self, Archive};
use super::clock;
use super::error::CommandError;
use super::exit_code::Exit;
use super::input_identity::same_input;
use super::kept_run::KeptRun;
use super::plan_view;
use super::redraw::try_refresh;
use super::saved_settings::SavedSettings;
use crate::ledger::{Ledger, PrivateFile, host, user};
use crate::regular_file;
use crate::report::{FORMAT, run_status, stamp};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The files of a run that are added unchanged, in this order.
const FILES: [&str; 5] = [
    "input.csv",
    "results.csv",
    "failures.csv",
    "summary.json",
    "report.html",
];

/// What an archive holds.
pub(crate) struct Evidence {
    pub(crate) run: String,
    /// Names and sizes of the entries.
    pub(crate) entries: Vec<(String, u64)>,
    /// The digest of the whole archive.
    pub(crate) digest: String,
}

/// Writes the archive of a run. Refuses to overwrite an existing file.
pub(crate) fn collect(run: &KeptRun, out: &Path) -> Result<Evidence, CommandError> {
    let ledger = run.whole_ledger()?;
    ledger.refuse_if_live()?;
    if ledger.pruned()?.is_none() {
        same_input(run, &ledger)?;
    }
    try_refresh(run, &ledger);
    let shown = out.display();
    if out.exists() {
        return Err(CommandError::usage(format!("{shown} is there already"))
            .with_help("name another file with -o"));
    }
    let failed = |why: io::Error| {
        CommandError::usage(format!("{shown}: the archive cannot be written: {why}"))
    };
    let folder = tempfile::tempdir_in(run.path()).map_err(failed)?;
    let snapshot = folder.path().join("ledger.db");
    ledger.snapshot(&snapshot)?;
    let id = run.run().as_str();
    let path = std::path::absolute(out).map_err(failed)?;
    let file = PrivateFile::begin(path).map_err(failed)?;
    let now_ms = clock::now_ms();
    let mut archive = Archive::begin(file, id, now_ms).map_err(failed)?;
    let text = |value: &Value| format!("{value:#}\n");
    let texts = [
        ("about.json", text(&about(&ledger, now_ms)?)),
        ("configuration.json", text(&configuration(&ledger)?)),
    ];
    let mut entries = Vec::new();
    for (name, text) in &texts {
        archive.text(name, text).map_err(failed)?;
        entries.push(((*name).to_owned(), text.len() as u64));
    }
    // This is as long as the run, so it is never held in memory.
    let planned = folder.path().join("plan.json");
    write_plan(&ledger, File::create_new(&planned).map_err(failed)?).map_err(failed)?;
    let made = [("plan.json", planned), ("ledger.db", snapshot)].into_iter();
    let of_run = FILES.map(|name| (name, run.path().join(name)));
    // A pruned run has only its record left.
    for (name, path) in made.chain(of_run.into_iter().filter(|(_, path)| path.exists())) {
        let unreadable = |why| CommandError::unreadable(&path, &why);
        let file = regular_file::open(&path).map_err(unreadable)?;
        let bytes = archive.file(name, file).map_err(failed)?;
        entries.push((name.to_owned(), bytes));
    }
    let (file, digest) = archive.finish().map_err(failed)?;
    file.finish().map_err(failed)?;
    Ok(Evidence {
        run: id.to_owned(),
        entries,
        digest,
    })
}

/// Describes the run (who began it, where, and with which version) and the archive in the same way.
fn about(ledger: &Ledger, now_ms: i64) -> Result<Value, CommandError> {
    let (header, progress) = (ledger.header(), ledger.progress()?);
    Ok(json!({
        "format": FORMAT,
        "run": header.run,
        "command": ledger.kind()?.as_str(),
        "undoes": header.parent,
        "system": header.system,
        "base_url": header.base_url,
        "tenant": header.tenant,
        "input": header.input_name,
        "input_paths": header.origins,
        "input_sha256": header.input_sha256,
        "lines": header.lines,
        "epoch": header.epoch,
        "operator": header.user,
        "host": header.host,
        "program_version": header.tool_version,
        "created_at": stamp(header.created_at_ms),
        "started_at": stamp(progress.started_at_ms),
        "finished_at": progress.finished_at_ms.map(stamp),
        "state": run_status::state(&progress, ledger).as_str(),
        "exit_code": progress.exit_code,
        "counts": run_status::counts(ledger)?,
        "pruned_at": ledger.pruned()?.map(|pruned| stamp(pruned.at_ms)),
        "archive": {
            "written_at": stamp(now_ms),
            "operator": user(),
            "host": host(),
            "program_version": env!("CARGO_PKG_VERSION"),
        },
    }))
}

/// Returns the settings of the run. They contain no secrets, because secrets are never saved.
fn configuration(ledger: &Ledger) -> Result<Value, CommandError> {
    let kept = SavedSettings::of(ledger)?;
    Ok(serde_json::to_value(kept).unwrap_or_default())
}

/// Writes what was to be done, as far as the ledger records it separately from what was done.
fn write_plan(ledger: &Ledger, file: File) -> io::Result<()> {
    let forecast = ledger.forecast().map_err(io::Error::other)?;
    let plan = Planned {
        changes: plan_view::Changes(ledger),
        forecast: forecast.and_then(|text| serde_json::from_str(&text).ok()),
        plan_digest: ledger.plan_digest().map_err(io::Error::other)?,
    };
    let mut file = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut file, &plan)?;
    file.write_all(b"\n")?;
    file.flush()
}

#[derive(Serialize)]
struct Planned<'a> {
    changes: plan_view::Changes<'a>,
    forecast: Option<Value>,
    plan_digest: Option<String>,
}

/// Verifies an archive. Fails with exit code 3 if the archive differs from what was written.
pub(crate) fn check_evidence(path: &Path) -> Result<Evidence, CommandError> {
    let found = archive::check(path);
    let manifest = found.map_err(|flaw| {
        let exit = match flaw {
            archive::Flaw::Unreadable(_) => Exit::NothingDone,
            _ => Exit::Differences,
        };
        CommandError::new(exit, format!("{}: {flaw}", path.display()))
    })?;
    let entries = manifest.entries.into_iter();
    Ok(Evidence {
        run: manifest.run,
        entries: entries.map(|entry| (entry.name, entry.bytes)).collect(),
        digest: manifest.digest,
    })
}

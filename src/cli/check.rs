//! `idshift check`: reads and plans a file offline.

use super::Exit;
use super::document::document;
use super::draft::{self, Draft};
use super::failure::Failure;
use super::kept::{Kept, as_its_run_did, kept};
use super::limits::Limits;
use super::options::CheckOptions;
use super::prepare::{Secrets, resolve, values};
use super::report::refresh_report;
use crate::domain::Problem;
use crate::report;
use crate::ui;
use serde_json::json;
use std::collections::BTreeMap;

/// Standard input can be read only once, so it is kept beside for the time of the check.
fn local_copy(file: &std::path::Path) -> Result<Option<tempfile::TempDir>, Failure> {
    if file.as_os_str() != "-" {
        return Ok(None);
    }
    let folder =
        tempfile::tempdir().map_err(|why| Failure::usage(format!("no temporary folder: {why}")))?;
    crate::input::store(file, &folder.path().join("input.csv"))?;
    Ok(Some(folder))
}

pub(super) fn run(options: &CheckOptions) -> Result<Exit, Failure> {
    let mut values = values(&options.target, &BTreeMap::new())?;
    let resolved = resolve(&mut values, Secrets::Unneeded, &options.speech)?;
    let mut kept = kept(
        &options.reading,
        &options.target,
        false,
        &values,
        Limits::default(),
    )?;
    let rules = kept.rules(&resolved)?;
    refresh_report(&options.file)?;
    let copy = local_copy(&options.file)?;
    if copy.is_none() {
        as_its_run_did(&mut kept, &options.file, &options.file, &options.speech)?;
    }
    let (path, name) = match &copy {
        Some(folder) => (folder.path().join("input.csv"), "stdin".to_owned()),
        None => (options.file.clone(), options.file.display().to_string()),
    };
    let unique = resolved.system.facts().unique_accounts;
    let draft = draft::read(&path, &name, &kept.reading()?, &rules, unique)?;
    // What is left out is no reason to stop, as long as something is left.
    let left_out = kept.skip_invalid && draft.invalid_lines() < draft.counts.lines;
    let exit = if draft.has_errors() && !left_out {
        Exit::NothingDone
    } else {
        Exit::Success
    };
    if options.speech.is_json() {
        ui::out(&document(exit, found(&draft)));
        return Ok(exit);
    }
    if !draft.problems.is_empty() {
        ui::err(&problems(&draft));
    }
    if !options.speech.quiet {
        ui::out(&summary(&draft));
        let next = if exit == Exit::Success {
            plan(options, &kept)
        } else if kept.skip_invalid {
            "mend the lines above: nothing is left where they are left out".to_owned()
        } else {
            "mend the lines above, or leave them out with --skip-invalid".to_owned()
        };
        ui::out(&format!("next: {}", ui::visible(&next)));
    }
    Ok(exit)
}

/// The command that plans the same file, read in the same way for the same target.
fn plan(options: &CheckOptions, kept: &Kept) -> String {
    let stdin = options.file.as_os_str() == "-";
    let file = if stdin {
        "FILE".to_owned()
    } else {
        report::path_word(&options.file)
    };
    let mut words = vec!["idshift".to_owned(), "plan".to_owned(), file];
    words.extend(report::columns(
        &kept.map,
        kept.skip_invalid,
        kept.allow_clear,
    ));
    let reading = &options.reading;
    for (flag, value) in [
        ("--encoding", &reading.encoding),
        ("--delimiter", &reading.delimiter),
    ] {
        if let Some(value) = value {
            words.extend(report::option(flag, value));
        }
    }
    words.extend(kept.typed.target.iter().cloned());
    words.extend(kept.typed.always.iter().cloned());
    words.extend(options.target.place.typed_runs_dir());
    let command = report::shell(words);
    if stdin {
        format!("{command}, where FILE is what came over standard input")
    } else {
        command
    }
}

/// Problems, drawn for a person.
pub(super) fn problems(draft: &Draft) -> String {
    let mut text = ui::problems(draft.table.name(), &draft.problems);
    if draft.more_problems > 0 {
        text.push_str(&format!("\n… and {} more", ui::count(draft.more_problems)));
    }
    text
}

fn found(draft: &Draft) -> serde_json::Value {
    let problem = |problem: &Problem| {
        json!({
            "line": problem.line,
            "column": problem.column,
            "value": problem.value,
            "severity": problem.severity.as_str(),
            "code": problem.code,
            "message": problem.message,
            "help": problem.help,
        })
    };
    let counts = &draft.counts;
    json!({
        "problems": draft.problems.iter().map(problem).collect::<Vec<_>>(),
        "counts": {
            "lines": counts.lines,
            "invalid": draft.invalid_lines(),
            "renames": counts.renames,
            "clears": counts.clears,
            "locations": counts.locations,
            "chains": counts.chains,
            "longest_chain": counts.longest_chain,
            "swaps": counts.swaps,
            "cycles": counts.cycles,
            "longest_cycle": counts.longest_cycle,
            "duplicates": counts.duplicates,
            "nothing_asked": counts.nothing,
            "problems_left_out": draft.more_problems,
        },
    })
}

fn summary(draft: &Draft) -> String {
    let counts = &draft.counts;
    let mut lines = vec![format!(
        "{}: {} lines",
        draft.table.name(),
        ui::count(counts.lines)
    )];
    let mut row = |number: u64, words: &str| {
        if number > 0 {
            lines.push(format!("  {:>12}  {words}", ui::count(number)));
        }
    };
    row(counts.renames, "new account IDs");
    row(counts.clears, "account IDs to be removed");
    row(counts.locations, "service IDs or profiles");
    row(
        counts.chains,
        &format!("chains, the longest of {}", counts.longest_chain),
    );
    row(counts.swaps, "swaps");
    row(
        counts.cycles,
        &format!("longer cycles, the longest of {}", counts.longest_cycle),
    );
    row(counts.duplicates, "lines that repeat another");
    row(counts.nothing, "lines that ask for nothing");
    row(draft.invalid_lines(), "lines that cannot be carried out");
    lines.join("\n")
}

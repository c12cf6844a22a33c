//! `idshift check`: reads and plans a file offline.

use super::Exit;
use super::draft::{self, Draft};
use super::failure::Failure;
use super::limits::Limits;
use super::options::CheckOptions;
use super::prepare::{Secrets, kept, resolve, values};
use crate::domain::Problem;
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
    let kept = kept(&options.reading, &values, Limits::default())?;
    let rules = kept.rules(&resolved)?;
    let copy = local_copy(&options.file)?;
    let (path, name) = match &copy {
        Some(folder) => (folder.path().join("input.csv"), "stdin".to_owned()),
        None => (options.file.clone(), options.file.display().to_string()),
    };
    let unique = resolved.system.facts().unique_accounts;
    let draft = draft::read(&path, &name, &kept.reading()?, &rules, unique)?;
    let exit = if draft.has_errors() {
        Exit::NothingDone
    } else {
        Exit::Success
    };
    if options.speech.is_json() {
        ui::out(&document(&draft).to_string());
        return Ok(exit);
    }
    if !draft.problems.is_empty() {
        ui::err(&problems(&draft));
    }
    if !options.speech.quiet {
        ui::out(&summary(&draft));
        let next = if exit == Exit::Success {
            format!("next: idshift plan {name}")
        } else {
            "next: mend the lines above, or leave them out with --skip-invalid".to_owned()
        };
        ui::out(&next);
    }
    Ok(exit)
}

/// Problems, drawn for a person.
pub(super) fn problems(draft: &Draft) -> String {
    let mut text = ui::problems(draft.table.name(), &draft.problems);
    if draft.more_problems > 0 {
        text.push_str(&format!("\n… and {} more", ui::count(draft.more_problems)));
    }
    text
}

fn document(draft: &Draft) -> serde_json::Value {
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

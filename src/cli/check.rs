//! `idshift check`: reads and plans a file offline.

use super::options::{CheckOptions, Console};
use crate::domain::Problem;
use crate::input::{self, InputError};
use crate::report;
use crate::run::{
    Checked, CommandError, Exit, InputPlan, SavedSettings, Unread, check, document, retyped,
};
use crate::ui;
use serde_json::json;

pub(super) fn run(options: &CheckOptions, console: Console) -> Result<Exit, CommandError> {
    let request = options.settings.request(None, console);
    let Checked { draft, settings } = match check(&options.file, &request) {
        Ok(checked) => checked,
        Err(Unread::Input(error)) if console.output.json => {
            ui::out_as_is(&document(Exit::NothingDone, refused(&error)));
            return Ok(Exit::NothingDone);
        }
        Err(Unread::Input(error)) => return Err(error.into()),
        Err(Unread::Other(failure)) => return Err(failure),
    };
    // With --skip-invalid, invalid lines are no error as long as at least one line remains.
    let skips_invalid = settings.skips_invalid()?;
    let left_out = skips_invalid && draft.invalid_lines() < draft.counts.lines;
    let blocking = draft.blocking();
    let exit = if (draft.has_errors() && !left_out) || !blocking.is_empty() {
        Exit::NothingDone
    } else {
        Exit::Success
    };
    if console.output.json {
        ui::out_as_is(&document(exit, found(&draft)));
        return Ok(exit);
    }
    if !draft.problems.is_empty() {
        ui::err(&ui::problems(draft.table.name(), &draft.problems));
    }
    if !console.output.quiet {
        ui::out(&summary(&draft));
        let next = if exit == Exit::Success {
            plan(options, &settings)
        } else if draft.has_errors() && !left_out {
            if skips_invalid {
                "correct the lines above: without them, no line is left".to_owned()
            } else {
                "correct the lines above, or leave them out with --skip-invalid".to_owned()
            }
        } else {
            format!(
                "check the lines above; if they are correct: --accept {}",
                blocking.join(",")
            )
        };
        ui::out(&format!(
            "{} {}",
            ui::Tone::Help.paint("next:"),
            ui::visible(&next)
        ));
    }
    Ok(exit)
}

/// Returns the command that plans the same file with the same settings.
fn plan(options: &CheckOptions, kept: &SavedSettings) -> String {
    let stdin = input::must_be_stored(&options.file);
    let file = if stdin {
        "FILE".to_owned()
    } else {
        report::path_word(&options.file)
    };
    let words = ["idshift", "plan", &file].map(str::to_owned).into_iter();
    let words = words.chain(retyped(&options.settings.typed, &[]));
    let mut text = report::shell(words);
    if stdin {
        text.push_str(", where FILE has the content of standard input");
    }
    if !kept.values.contains_key("system") {
        text.push_str(", with --profile NAME, or with --system and --base-url");
    }
    text
}

fn problem(problem: &Problem) -> serde_json::Value {
    json!({
        "line": problem.line,
        "column": problem.column,
        "value": problem.value,
        "severity": problem.severity.as_str(),
        "code": problem.code,
        "message": problem.message,
        "help": problem.help,
    })
}

/// Returns the JSON document's body for a file that cannot be read.
fn refused(error: &InputError) -> serde_json::Value {
    json!({
        "error": error.to_string(),
        "problems": error.problems().iter().map(problem).collect::<Vec<_>>(),
        "counts": {"lines": 0, "problems_left_out": 0},
    })
}

fn found(draft: &InputPlan) -> serde_json::Value {
    let counts = &draft.counts;
    json!({
        "problems": draft.problems.sorted().into_iter().map(problem).collect::<Vec<_>>(),
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
            "blank_rows": draft.blank_rows,
            "problems_left_out": draft.problems.left_out(),
        },
    })
}

fn summary(draft: &InputPlan) -> String {
    let counts = &draft.counts;
    if counts.lines == 0 {
        return format!(
            "{}: all cells of all lines are empty; there is nothing to do",
            draft.table.name()
        );
    }
    let name = ui::visible(draft.table.name());
    let heading = ui::Tone::Heading.paint(&format!("{name}:"));
    let mut lines = vec![format!("{heading} {}", ui::lines(counts.lines))];
    let mut row = |number: u64, one: &str, many: &str, more: String| {
        if number > 0 {
            let words = ui::form(number, one, many);
            lines.push(format!("  {:>12}  {words}{more}", ui::count(number)));
        }
    };
    let longest = |lines| format!(", the longest of {lines}");
    let plain = String::new;
    row(counts.renames, "new account ID", "new account IDs", plain());
    row(
        counts.clears,
        "account ID to be removed",
        "account IDs to be removed",
        plain(),
    );
    row(
        counts.locations,
        "service ID or profile",
        "service IDs or profiles",
        plain(),
    );
    row(
        counts.chains,
        "chain",
        "chains",
        longest(counts.longest_chain),
    );
    row(counts.swaps, "swap", "swaps", plain());
    row(
        counts.cycles,
        "longer cycle",
        "longer cycles",
        longest(counts.longest_cycle),
    );
    for (number, what_one, what_many) in [
        (counts.duplicates, "repeats another", "repeat another"),
        (counts.nothing, "asks for nothing", "ask for nothing"),
        (
            draft.invalid_lines(),
            "cannot be carried out",
            "cannot be carried out",
        ),
    ] {
        let (one, many) = (
            format!("line that {what_one}"),
            format!("lines that {what_many}"),
        );
        row(number, &one, &many, plain());
    }
    lines.join("\n")
}

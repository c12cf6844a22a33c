//! `idshift verify`: reads every customer that a run touched again, and compares with what the run left.

use super::options::{Console, RunOptions};
use crate::run::{CommandError, Exit, Output, Verified, document, verify};
use crate::ui;
use serde_json::json;

/// The result for a run without a line that could be compared.
const LEFT_NOTHING: &str = "the run has changed nothing, and found no requested value in place";

/// The same for a run that is not complete.
const NOTHING_YET: &str = "no line has a value that can be compared, and the run is not complete";

pub(super) fn run(options: &RunOptions, console: Console) -> Result<Exit, CommandError> {
    let request = options.settings.request(Some(&options.sandbox), console);
    let verified = verify(options.run.as_deref(), &request)?;
    print(&verified, console.output);
    Ok(verified.exit())
}

fn print(verified: &Verified, output: Output) {
    let run = &verified.run;
    let (differences, left) = (&verified.differences, verified.unfinished);
    if output.json {
        print_document(verified);
        return;
    }
    for difference in differences {
        ui::out(&ui::visible(&difference.to_string()));
    }
    if output.quiet {
        return;
    }
    let whole = left.lines() == 0;
    ui::out(&format!("verify {run}: {}", result(verified, whole)));
    if verified.parked > 0 {
        let parked = u64::try_from(verified.parked).unwrap_or(u64::MAX);
        let when = if verified.in_progress {
            "once the run has ended, "
        } else {
            ""
        };
        ui::out(&format!(
            "verify {run}: {} a temporary ID of this run; {when}`{}` restores the account ID",
            ui::one_or_many(parked, "customer has", "customers have"),
            verified.commands.resume(&[])
        ));
    }
    if left.in_doubt > 0 {
        ui::out(&format!(
            "verify {run}: {}: the result of a write is not known",
            ui::one_or_many(left.in_doubt, "line is in doubt", "lines are in doubt")
        ));
    }
    if left.not_done > 0 {
        ui::out(&format!(
            "verify {run}: {} (not started or not completed)",
            ui::one_or_many(
                left.not_done,
                "line has no final outcome",
                "lines have no final outcome"
            )
        ));
    }
    if !whole {
        let next = if verified.in_progress {
            let status = verified.commands.status();
            format!("the run was in progress; `{status}` shows its state")
        } else {
            format!("`{}` goes on with them", verified.commands.resume(&[]))
        };
        ui::out(&format!("verify {run}: {next}"));
    }
}

fn print_document(verified: &Verified) {
    let left = verified.unfinished;
    let list: Vec<_> = verified
        .differences
        .iter()
        .map(|d| {
            json!({"line": d.line, "customer_id": d.customer, "what": d.what.name(),
                   "expected": d.expected, "found": d.found})
        })
        .collect();
    let body = json!({"run": verified.run, "checked": verified.checked, "differences": list,
        "unfinished": {"in_doubt": left.in_doubt, "not_done": left.not_done}});
    ui::out_as_is(&document(verified.exit(), body));
}

/// Returns the result in one sentence. `whole`: every line of the run has its final outcome.
fn result(verified: &Verified, whole: bool) -> String {
    let differences = &verified.differences;
    let as_left = ui::one_or_many(
        verified.checked,
        "line is as the run left it",
        "lines are as the run left them",
    );
    let as_left = if verified.on_stand_in {
        format!("{as_left}, on a stand-in that was filled from the record of the run")
    } else {
        as_left
    };
    let tone = match (differences.is_empty(), whole) {
        (true, true) => ui::Tone::Good,
        (true, false) => ui::Tone::Warning,
        (false, _) => ui::Tone::Bad,
    };
    let result = match (differences.len(), whole) {
        (0, true) if verified.checked == 0 => LEFT_NOTHING.to_owned(),
        (0, false) if verified.checked == 0 => NOTHING_YET.to_owned(),
        (0, true) => format!("all {as_left}"),
        (0, false) => format!("{as_left}, but the run is not complete"),
        (n, _) => format!(
            "{} in {}",
            ui::counted(u64::try_from(n).unwrap_or(u64::MAX), "difference"),
            ui::lines(verified.checked)
        ),
    };
    tone.paint(&result)
}

//! Registered runs that cannot be read: what they may have done already must not be done a second time.

use super::catalog::Lost;
use super::claim::TargetClaim;
use super::error::CommandError;
use super::input_plan::InputPlan;
use super::kept_run::KeptRun;
use crate::config::Resolved;
use crate::domain::Line;
use crate::engine::History;
use crate::plan::Shape;
use crate::report::{option, path_word, shell};
use crate::ui;

/// Refuses chains and swaps that a lost run may have carried out already, unless their lines name the customer (test:
/// `identity::swaps_are_refused_if_*`).
pub(super) fn refuse_repeats(
    draft: &InputPlan,
    claim: &TargetClaim,
    history: &History,
    resolved: &Resolved,
) -> Result<(), CommandError> {
    let keys = claim.keys();
    // Test: `recognition::lost_run_stops_only_changes_that_might_be_repeated`.
    let may_have_renamed = |lost: &&Lost| lost.known.as_ref().is_none_or(|run| run.renames);
    let lost: Vec<&Lost> = claim
        .catalog
        .lost_of(&keys)
        .filter(may_have_renamed)
        .collect();
    let Some(first) = lost.first() else {
        return Ok(());
    };
    let Some(line) = unnamed(draft, history, resolved) else {
        return Ok(());
    };
    let path = ui::visible(&first.path.display().to_string()).into_owned();
    let more = match lost.len() {
        1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    Err(CommandError::usage(format!(
        "the run in {path}{more} may have carried out chains or swaps of this file already, and its ledger cannot be \
         read: {}. Line {line} would be carried out a second time",
        first.why
    ))
    .with_help(format!(
        "{}restore a folder that is gone; or name the customer of each such line in customerId; or give --without-history if that run \
         has nothing to do with this file. `idshift runs forget {path}` removes a folder that is lost permanently",
        import(first, resolved)
    )))
}

/// Returns the help text about importing a run from files, if the settings name a database; otherwise an empty text.
fn import(lost: &Lost, resolved: &Resolved) -> String {
    let Some(ledger) = &resolved.ledger_address else {
        return String::new();
    };
    if KeptRun::registered(&lost.path).is_none() {
        return String::new();
    }
    let command = ["idshift", "import"].map(str::to_owned).into_iter();
    let command = command
        .chain([path_word(&lost.path)])
        .chain(option("--ledger", ledger));
    format!(
        "`{}` moves it into this database, with what it has done; or ",
        ui::visible(&shell(command))
    )
}

/// Returns the first line of a chain or swap for which neither the file nor an earlier run names the customer (tests:
/// `recognition::lost_run_stops_only_*`, `recognition::lost_run_does_not_stop_*`).
pub(super) fn unnamed(draft: &InputPlan, history: &History, resolved: &Resolved) -> Option<Line> {
    let unique = resolved.system.capabilities().unique_accounts;
    let units = draft.units.values();
    units
        .filter(|unit| unit.shape != Shape::Single || !unique)
        .flat_map(|unit| unit.changes())
        .filter(|change| change.new_account.asks() && change.customer.is_none())
        .map(|change| change.line)
        .filter(|line| !history.meant.contains_key(line))
        .min()
}

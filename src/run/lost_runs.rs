//! Runs that are registered and cannot be read: what they may have done already is not done a second time.

use super::catalog::Lost;
use super::claim::TargetClaim;
use super::error::CommandError;
use super::input_plan::InputPlan;
use crate::config::Resolved;
use crate::engine::History;
use crate::plan::Shape;
use crate::ui;

/// Refuses chains and swaps where a run that may have carried them out already is lost, unless their lines name the
/// customer.
pub(super) fn refuse_repeats(
    draft: &InputPlan,
    claim: &TargetClaim,
    history: &History,
    resolved: &Resolved,
) -> Result<(), CommandError> {
    let keys = claim.keys();
    let may_have_renamed = |lost: &&Lost| lost.known.as_ref().is_none_or(|run| run.renames);
    let lost: Vec<&Lost> = claim
        .catalog
        .lost_of(&keys)
        .filter(may_have_renamed)
        .collect();
    let Some(first) = lost.first() else {
        return Ok(());
    };
    let unique = resolved.system.capabilities().unique_accounts;
    let mut open = draft
        .units
        .values()
        .filter(|unit| unit.shape != Shape::Single || !unique)
        .flat_map(|unit| unit.changes())
        .filter(|change| change.new_account.asks() && change.customer.is_none())
        .filter(|change| !history.meant.contains_key(&change.line));
    let Some(line) = open.next().map(|change| change.line) else {
        return Ok(());
    };
    let path = ui::visible(&first.path.display().to_string()).into_owned();
    let more = match lost.len() {
        1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    Err(CommandError::usage(format!(
        "the run in {path}{more} may have carried out chains or swaps of this file already, and its ledger cannot be read: {}. \
         Line {line} would be carried out a second time",
        first.why
    ))
    .with_help(format!(
        "restore that folder; or name the customer of each such line in customerId; or give --without-history if that run \
         has nothing to do with this file. `idshift runs forget {path}` removes a folder that is gone for good"
    )))
}

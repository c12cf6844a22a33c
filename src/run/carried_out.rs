//! Chooses the run that `report` shows if none is named: a run that was carried out, if there is one.

use super::catalog::RunCatalog;
use super::error::CommandError;
use super::kept_run::KeptRun;
use super::selection::{Given, Selection, choose};
use crate::ledger::Ledger;

/// Returns the newest run on the given target that was carried out; a plan that was not carried out only if its target has no
/// other run. Refuses if runs on several targets are suitable.
pub(crate) fn choose_carried_out(
    catalog: &RunCatalog,
    command: &'static str,
    given: &Given,
) -> Result<KeptRun, CommandError> {
    let was_carried_out = |ledger: &Ledger| ledger.only_looks().is_ok_and(|only| !only);
    let any = catalog.newest_by_target(|entry| {
        given.fits(&entry.header.system, &entry.header.target)
            && entry.ledger().is_ok_and(|ledger| was_carried_out(&ledger))
    });
    let is_any = |target: &str| any.iter().all(|entry| entry.header.target != target);
    let wanted = Selection {
        command,
        words: "run",
        fits: &|_, ledger| is_any(&ledger.header().target) || was_carried_out(ledger),
        is_asked: false,
    };
    choose(catalog, wanted, given)
}

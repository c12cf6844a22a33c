//! Finds which customer a line meant when earlier runs carried it out.
//!
//! After a chain or swap is carried out, its IDs belong to other customers, so a second run of the same lines would
//! change the wrong customers. The ledgers of earlier runs on this target have recorded which customer a line meant,
//! found by what the line asks for, in any file; and, in runs of the same file, which IDs went from one customer to
//! another. The same file has the same content, or the same path (the same file with a line fixed). A report counts as
//! the input file of its run.

use super::catalog::{Entry, RunCatalog};
use super::error::CommandError;
use super::input_identity::InputIdentity;
use super::input_plan::InputPlan;
use super::kept_run::KeptRun;
use super::line_digest::{RequestDigest, number, request_digest};
use super::parked;
use super::prior_renames::LedgerRenames;
use super::saved_settings::SavedSettings;
use crate::config::Resolved;
use crate::domain::{AccountId, Change, CustomerId, Line, Reseller, Status, Unchanged};
use crate::engine::{Carried, Hands, History};
use crate::ledger::{Header, Ledger, LedgerError, RunKind, Write, WriteRecord};
use crate::plan::Shape;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;

/// Lines without a known customer, by what they ask for, each with its reseller.
type Open = HashMap<RequestDigest, BTreeMap<Line, Option<Reseller>>>;

/// An earlier run on this target. Lines of chains or swaps that ask for the same count as one line, even if they are from
/// different files.
struct Earlier {
    run: KeptRun,
    same_file: bool,
    has_writes: bool,
}

/// Returns what earlier runs on these targets say about the lines of an undo: only which customers have temporary IDs.
pub(super) fn of_undo(
    mine: &Header,
    targets: &[&str],
    catalog: &RunCatalog,
) -> Result<History, CommandError> {
    Ok(History {
        temporary: temporary_ids(mine, targets, catalog)?,
        ..History::default()
    })
}

/// Returns what earlier runs on these targets, which are one system, say about the lines. `kept`: if no account
/// ID went from one customer to another in these runs, records that, so that the next run need not compare them again.
pub(super) fn of(
    mine: &Header,
    targets: &[&str],
    catalog: &RunCatalog,
    identity: &InputIdentity,
    draft: &InputPlan,
    (resolved, kept): (&Resolved, &mut SavedSettings),
) -> Result<History, CommandError> {
    let runs = earlier(mine, targets, catalog, identity);
    let mut history = History::default();
    // Test: `meant_customer::copied_failures_file_uses_*`.
    if draft.table.is_report() {
        as_reported(draft, &mut history)?;
    }
    if runs.is_empty() {
        return Ok(history);
    }
    // Test: `in_doubt::line_by_customer_id_*`.
    history.temporary = temporary_ids(mine, targets, catalog)?;
    // Test: `identity::repeated_line_does_not_rename_*`.
    let writing = runs.iter().filter(|one| one.has_writes);
    let writing: Vec<KeptRun> = writing.map(|one| one.run.clone()).collect();
    if !writing.is_empty() {
        history.prior_renames = Some(Arc::new(LedgerRenames::of(writing)));
    }
    // Tests: `prior_runs::corrected_line_of_a_*`, and `a_failures_file_is_tried_again_*` for other files.
    let same = runs.iter().filter(|one| one.same_file && one.has_writes);
    let same: Vec<&KeptRun> = same.map(|one| &one.run).collect();
    let compared = compared(&same)?;
    // A run that is resumed compared them when it began.
    let compared_at_begin = found_apart(mine, kept, compared);
    if !compared_at_begin && !is_known_apart(&runs, compared)? {
        history.hands = changed_hands(&same)?;
    }
    kept.apart = history.hands.is_empty().then_some(compared);
    let unique = resolved.system.capabilities().unique_accounts;
    let mut open = ordered(draft, unique, &history.hands)?;
    for Earlier { run, .. } in runs {
        if open.is_empty() {
            break;
        }
        let other = run.ledger()?;
        // If the other run has the same lines, its file is not read again. This only saves time.
        let same_lines = other.header().input_sha256 == mine.input_sha256;
        for (digest, customer) in found(&run, &other, &open, resolved, same_lines)? {
            for (line, reseller) in open.remove(&digest).into_iter().flatten() {
                history.remember(line, reseller.as_ref(), &customer);
            }
        }
    }
    Ok(history)
}

/// Takes from a report the customer found for each line, even if the report was moved or account IDs changed since.
fn as_reported(draft: &InputPlan, history: &mut History) -> Result<(), CommandError> {
    for batch in draft.table.batches()? {
        for row in batch? {
            let (Some(change), Some(found)) = (row.change, row.found) else {
                continue;
            };
            let named = change.customer.as_ref();
            // Test: `recognition::edited_report_line_belongs_*`.
            if named.is_none_or(|named| *named == found.customer) {
                history.remember(change.line, change.reseller.as_ref(), &found.customer);
                let unaltered = change.account == found.account_before;
                history.reported.insert(change.line, unaltered);
            }
        }
    }
    Ok(())
}

/// Returns the earlier runs on these targets, the newest first. `lost_runs` deals with runs that cannot be read.
fn earlier(
    mine: &Header,
    targets: &[&str],
    catalog: &RunCatalog,
    identity: &InputIdentity,
) -> Vec<Earlier> {
    let others = catalog.others(&mine.run, targets);
    // The file of an undo is not one that a person applies (test: `recognition::value_restored_by_undo_*`).
    others
        .filter(|entry| entry.header.kind != RunKind::Undo)
        .map(|entry| Earlier {
            run: entry.dir.clone(),
            has_writes: entry.has_writes,
            same_file: identity.is_same_file(&InputIdentity::of_run(&entry.header)),
        })
        .collect()
}

/// Returns the temporary account IDs that other runs on these targets have given to customers, or may have given.
fn temporary_ids(
    mine: &Header,
    targets: &[&str],
    catalog: &RunCatalog,
) -> Result<HashMap<CustomerId, Vec<(Arc<str>, AccountId)>>, CommandError> {
    let mut temporary: HashMap<_, Vec<_>> = HashMap::new();
    for entry in catalog.others(&mine.run, targets) {
        let run: Arc<str> = entry.header.run.as_str().into();
        for write in entry.ledger()?.parkings()? {
            if let Some(Some(account)) = write.account_stored() {
                let given = (Arc::clone(&run), account);
                temporary
                    .entry(write.intent.customer)
                    .or_default()
                    .push(given);
            }
        }
    }
    Ok(temporary)
}

/// Calls `each` for every write of the run.
fn moves(run: &KeptRun, mut each: impl FnMut(WriteRecord)) -> Result<(), CommandError> {
    for write in run.ledger()?.writes() {
        each(write?);
    }
    Ok(())
}

/// Returns the digest of these runs in their present state: what a run has written can only grow with its commits. An import
/// into a database counts them from 0 again, but whatever commits after that is another session.
fn compared(runs: &[&KeptRun]) -> Result<u64, CommandError> {
    let mut text = String::new();
    for run in runs {
        let ledger = run.ledger()?;
        let (sessions, commits) = (ledger.sessions()?.len(), ledger.commits()?);
        text.push_str(&format!("{} {sessions} {commits}\n", run.run()));
    }
    Ok(number(&text))
}

/// Returns whether the last run of the file has compared the account IDs of exactly these runs, and found none that went
/// from one customer to another (tests: `plain_nights::*`).
fn is_known_apart(runs: &[Earlier], compared: u64) -> Result<bool, CommandError> {
    let Some(last) = runs.iter().find(|one| one.same_file) else {
        return Ok(false);
    };
    let ledger = last.run.ledger()?;
    Ok(SavedSettings::of(&ledger).is_ok_and(|kept| found_apart(ledger.header(), &kept, compared)))
}

/// Returns whether this run, with its saved settings, has compared the account IDs of the same runs, and found none that
/// went from one customer to another.
fn found_apart(header: &Header, kept: &SavedSettings, compared: u64) -> bool {
    header.tool_version == env!("CARGO_PKG_VERSION") && kept.apart == Some(compared)
}

/// Returns the account IDs that these runs both took from a customer and gave to a customer. These are rare, so only hashes
/// are kept at first.
fn changed_hands(runs: &[&KeptRun]) -> Result<HashMap<Carried, Hands>, CommandError> {
    let hasher = foldhash::fast::RandomState::default();
    let (mut taken, mut given) = (Vec::new(), Vec::new());
    let number = |id: &str, reseller: Option<&str>| hasher.hash_one((id, reseller));
    for run in runs {
        run.ledger()?
            .each_account_moved(|before, after, reseller| {
                taken.extend(before.map(|id| number(id, reseller)));
                given.extend(after.map(|id| number(id, reseller)));
            })?;
        // Most runs of a file write the same IDs.
        for ids in [&mut taken, &mut given] {
            ids.sort_unstable();
            ids.dedup();
        }
    }
    let both: HashSet<u64> = taken
        .into_iter()
        .filter(|id| given.binary_search(id).is_ok())
        .collect();
    let mut hands: HashMap<Carried, Hands> = HashMap::new();
    if both.is_empty() {
        return Ok(hands);
    }
    for run in runs {
        moves(run, |write| {
            let (customer, reseller) = (write.intent.customer, write.intent.reseller);
            if let Write::Account { before, after, .. } = write.intent.write {
                let of = reseller.as_ref().map(ToString::to_string);
                let wanted = |id: &AccountId| both.contains(&number(id.as_str(), of.as_deref()));
                if let Some(before) = before.filter(wanted) {
                    let hands = hands.entry((before, reseller.clone())).or_default();
                    hands.had.insert(customer.clone());
                }
                if let Some(after) = after.filter(wanted) {
                    let hands = hands.entry((after, reseller.clone())).or_default();
                    hands.got.insert(customer);
                }
            }
        })?;
    }
    Ok(hands)
}

/// Returns the lines of chains and cycles, and the lines that name their customer by an ID that changed hands, by what they
/// ask for. If several customers may have one account ID, nothing is ordered, and all lines that share an ID are included.
fn ordered(
    draft: &InputPlan,
    unique_accounts: bool,
    hands: &HashMap<Carried, Hands>,
) -> Result<Open, CommandError> {
    let mut lines = Open::new();
    let mut add = |change: &Change| {
        let lines = lines.entry(request_digest(change)).or_default();
        lines.insert(change.line, change.reseller.clone());
    };
    for unit in draft.units.values() {
        // Tests: `prior_runs::corrected_line_of_a_*`, `recognition::adobe_chain_*`.
        if unit.shape != Shape::Single || !unique_accounts {
            unit.changes().for_each(&mut add);
        }
    }
    // Test: `prior_runs::corrected_line_of_a_chain_*`.
    if !hands.is_empty() {
        let goes_by = |change: &Change| {
            let account = change.account.clone();
            account.is_some_and(|account| hands.contains_key(&(account, change.reseller.clone())))
        };
        for batch in draft.table.batches()? {
            let changes = batch?.into_iter().filter_map(|row| row.change);
            changes.filter(goes_by).for_each(|change| add(&change));
        }
    }
    Ok(lines)
}

/// Returns the customers that an earlier run found for requests that are still open.
fn found(
    run: &KeptRun,
    ledger: &Ledger,
    open: &Open,
    resolved: &Resolved,
    same_lines: bool,
) -> Result<Vec<(RequestDigest, CustomerId)>, CommandError> {
    // Lines that were begun and have no final outcome: the run was killed there (test:
    // `recognition::file_applied_again_after_*`).
    let begun: HashMap<Line, CustomerId> = ledger
        .unresolved_writes()?
        .into_iter()
        .map(|write| (write.intent.line, write.intent.customer))
        .collect();
    let customer = |line: Line| -> Result<Option<CustomerId>, LedgerError> {
        // Tests: `recognition::swap_found_in_place_*`, `recognition::refused_swap_is_retried_*`.
        let outcome = ledger.outcome_of(line)?.filter(|outcome| {
            matches!(
                outcome.status,
                Status::Changed | Status::Unchanged(Unchanged::Already)
            )
        });
        let told = outcome.and_then(|outcome| outcome.customer);
        Ok(told.or_else(|| begun.get(&line).cloned()))
    };
    let mut found = Vec::new();
    // Test: `retention::pruned_run_keeps_its_*`.
    if ledger.pruned()?.is_some() {
        for digest in open.keys() {
            let customers = ledger.customers_of_wish(*digest)?;
            found.extend(customers.into_iter().map(|customer| (*digest, customer)));
        }
        return Ok(found);
    }
    if same_lines {
        for (digest, lines) in open {
            for line in lines.keys() {
                found.extend(customer(*line)?.map(|customer| (*digest, customer)));
            }
        }
        return Ok(found);
    }
    let kept = SavedSettings::of(ledger)?;
    let table = kept.table(run, &kept.rules(resolved)?)?;
    for batch in table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            let digest = request_digest(&change);
            if open.contains_key(&digest) {
                found.extend(customer(change.line)?.map(|customer| (digest, customer)));
            }
        }
    }
    Ok(found)
}

/// The newest run on the same target that has left customers under temporary account IDs: no other run restores them
/// (test: `plans::reconcile_after_a_killed_run_names_the_resume_command`).
pub(super) fn leaving_temporary_ids<'a>(
    catalog: &'a RunCatalog,
    targets: &'a [&str],
    history: &History,
) -> Result<Option<&'a Entry>, CommandError> {
    let given = history.temporary.values().flatten();
    let runs: HashSet<&str> = given.map(|(run, _)| &**run).collect();
    for earlier in catalog.others("", targets) {
        let may_leave = runs.contains(&*earlier.header.run);
        if may_leave && parked::are_left(&earlier.ledger()?, catalog)? {
            return Ok(Some(earlier));
        }
    }
    Ok(None)
}

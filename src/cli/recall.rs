//! Which customers a line meant when it was carried out before.
//!
//! The IDs of chains and swaps mean other customers once they are carried out, so a second run of the same lines
//! would move everybody on. The ledgers of earlier runs on this target know better: whom a line meant, by what it asks
//! for, whatever file it came in; and which IDs went from one customer to another, in runs of the same file: of the same
//! content, or in the same place, which is the same one with a line mended. A report is of the file that its run was
//! about.

use super::claim::TargetClaim;
use super::draft::Draft;
use super::failure::Failure;
use super::kept::run_of;
use super::prepare::Kept;
use super::wish::{Wish, wish};
use crate::config::Resolved;
use crate::domain::{
    AccountId, Change, CustomerId, Line, LocationId, Reseller, Status, Transition, Unchanged,
};
use crate::engine::{Carried, Hands, History, Newer, Since};
use crate::input::Table;
use crate::ledger::{Header, Ledger, LedgerError, Recorded, RunDir, State, Verdict, Write};
use crate::plan::Shape;
use crate::run::{LedgerRenames, Lost, RunCatalog};
use crate::ui;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

/// The note of a run that names the file whose lines it carries out, as it was named and without symbolic links, a line
/// each; of a report, the file that the report is of. Empty: it has no name.
const ORIGIN: &str = "origin";

/// Lines of which it is not known yet whom they mean, by what they ask for, each with its relationship.
type Open = HashMap<Wish, BTreeMap<Line, Option<Reseller>>>;

/// Whose lines a file holds.
#[derive(Debug)]
pub(super) struct Lineage {
    sha256: String,
    /// The ways to the file.
    origins: Vec<String>,
}

impl Lineage {
    /// Of a file that is about to be carried out.
    pub(super) fn of_file(file: &Path, draft: &Draft, header: &Header) -> Result<Self, Failure> {
        let sha256 = header.input_sha256.clone();
        if draft.table.is_report()
            && let Some(run) = run_of(file)
        {
            let its = Ledger::glance(&run)?;
            refuse_of_undo(&its)?;
            let origins = Self::of_run(&its)?.origins;
            return Ok(Self { sha256, origins });
        }
        let ways = [std::path::absolute(file), file.canonicalize()];
        let mut origins: Vec<String> = ways
            .into_iter()
            .flatten()
            .filter(|_| file.as_os_str() != "-" && !draft.table.is_report())
            .map(|path| path.display().to_string())
            .collect();
        origins.dedup();
        Ok(Self { sha256, origins })
    }

    /// Of the file of a run.
    pub(super) fn of_run(ledger: &Ledger) -> Result<Self, Failure> {
        let note = ledger.get(ORIGIN)?.unwrap_or_default();
        Ok(Self {
            sha256: ledger.header().input_sha256.clone(),
            origins: note.lines().map(str::to_owned).collect(),
        })
    }

    /// Notes what later runs must know to recall this one.
    pub(super) fn note(&self, ledger: &Ledger) -> Result<(), Failure> {
        Ok(ledger.set(ORIGIN, &self.origins.join("\n"))?)
    }

    /// Whether both are one file, perhaps with lines altered: of the same content, or in the same place.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.sha256 == other.sha256 || self.origins.iter().any(|way| other.origins.contains(way))
    }
}

/// What a way back has left alone was changed by somebody else. Its lines alone do not know that.
fn refuse_of_undo(its: &Ledger) -> Result<(), Failure> {
    let header = its.header();
    let Some(parent) = &header.parent else {
        return Ok(());
    };
    Err(Failure::usage(format!(
        "this is a report of run {}, which put back run {parent}: carried out as a file, it would overwrite what was \
         changed since",
        header.run
    ))
    .with_help("`idshift undo` with that run tries again what can be put back"))
}

/// An earlier run that wrote to this target. Lines of a chain or swap that ask for the same are taken for the same
/// lines, whatever file they came in.
struct Earlier {
    run: RunDir,
    same_file: bool,
}

/// Asks the earlier runs on these targets, which are one system.
pub(super) fn of(
    mine: &Header,
    targets: &[&str],
    catalog: &RunCatalog,
    lineage: &Lineage,
    draft: &Draft,
    resolved: &Resolved,
) -> Result<History, Failure> {
    let runs = earlier(mine, targets, catalog, lineage)?;
    let mut history = History::default();
    if draft.table.is_report() {
        as_reported(draft, &mut history)?;
    }
    if runs.is_empty() {
        return Ok(history);
    }
    history.temporary = temporary_ids(mine, targets, catalog)?;
    let renames = LedgerRenames::of(runs.iter().map(|one| one.run.clone()).collect())?;
    if !renames.is_empty() {
        history.prior_renames = Some(Arc::new(renames));
    }
    let same = runs.iter().filter(|one| one.same_file);
    let same: Vec<&RunDir> = same.map(|one| &one.run).collect();
    history.hands = changed_hands(&same)?;
    let unique = resolved.system.facts().unique_accounts;
    let mut open = ordered(draft, unique, &history.hands)?;
    for Earlier { run, .. } in runs {
        if open.is_empty() {
            break;
        }
        let other = Ledger::glance(&run)?;
        let same_lines = other.header().input_sha256 == mine.input_sha256;
        for (wish, customer) in found(&run, &other, &open, resolved, same_lines)? {
            for (line, reseller) in open.remove(&wish).into_iter().flatten() {
                history.remember(line, reseller.as_ref(), &customer);
            }
        }
    }
    Ok(history)
}

/// Refuses chains and swaps where a run that may have carried them out already is lost, unless their lines name the
/// customer.
pub(super) fn refuse_lost(
    draft: &Draft,
    claim: &TargetClaim,
    history: &History,
    resolved: &Resolved,
) -> Result<(), Failure> {
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
    let unique = resolved.system.facts().unique_accounts;
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
    Err(Failure::usage(format!(
        "the run in {path}{more} may have carried out chains or swaps of this file already, and its ledger cannot be read: {}. \
         Line {line} would be carried out a second time",
        first.why
    ))
    .with_help(format!(
        "restore that folder; or name the customer of each such line in customerId; or give --without-history if that run \
         has nothing to do with this file. `idshift runs forget {path}` removes a folder that is gone for good"
    )))
}

/// A report tells whom its run has found by each line, also where it lies elsewhere and the account IDs have moved on since.
fn as_reported(draft: &Draft, history: &mut History) -> Result<(), Failure> {
    for batch in draft.table.batches()? {
        for row in batch? {
            let (Some(change), Some((customer, account))) = (row.change, row.found) else {
                continue;
            };
            let named = change.customer.as_ref();
            if named.is_none_or(|named| *named == customer) {
                history.remember(change.line, change.reseller.as_ref(), &customer);
                let unaltered = change.account.is_none() || change.account == account;
                history.reported.insert(change.line, unaltered);
            }
        }
    }
    Ok(())
}

/// What other runs on these targets have asked for since this one began, whether they wrote it or found it so: a run that
/// is resumed must not overwrite that.
pub(super) fn since(
    (mine, targets): (&Ledger, &[&str]),
    begun_at_ms: i64,
    catalog: &RunCatalog,
    counts: impl Fn(&Header) -> bool,
) -> Result<Since, Failure> {
    let my_epochs = mine.writing_epochs()?;
    let mine = mine.header();
    let my_last = my_epochs.map_or(mine.epoch, |(_, last)| last);
    let mut since = Since::new();
    for lost in catalog.lost_of(targets) {
        let is_newer = lost.known.as_ref().is_none_or(|run| run.epoch > mine.epoch);
        if is_newer && !lost.path.ends_with(&mine.run) {
            return Err(Failure::usage(format!(
                "{}: {}; whether that run has written something newer cannot be told",
                lost.path.display(),
                lost.why
            ))
            .with_help(
                "restore the folder; or look at the customers of that run, then `idshift runs forget PATH`",
            ));
        }
    }
    for entry in &catalog.entries {
        let run = &entry.dir;
        let other = match Ledger::glance(run) {
            Ok(other) => other,
            Err(_) if run.run().as_str() == mine.run || !run.has_begun() => continue,
            Err(why) => {
                return Err(Failure::from(why).with_help(
                    "whether that run has written something newer cannot be told. Look at its customers, then move its \
                     folder away",
                ));
            }
        };
        let header = other.header();
        let is_other = header.run != mine.run && other.has_worked_on(targets);
        // A plan that was not carried out asks for nothing.
        if !is_other || !counts(header) || (header.command == "plan" && !other.has_writes()?) {
            continue;
        }
        let Some((first, last)) = other.writing_epochs()? else {
            continue;
        };
        if first > my_last {
            wanted(&other, run.run().as_str(), i64::MIN, &mut since)?;
        } else if last > my_epochs.map_or(mine.epoch, |(first, _)| first) {
            // Begun before this run and resumed after it. Of what it wrote, only the clock tells the order; where the
            // clock contradicts the epochs, all of it counts as newer.
            let resumed_at_ms = other.last_session_at_ms()?.unwrap_or(i64::MAX);
            let after_ms = if resumed_at_ms < begun_at_ms {
                i64::MIN
            } else {
                begun_at_ms
            };
            wanted(&other, run.run().as_str(), after_ms, &mut since)?;
        }
    }
    Ok(since)
}

/// What one run has wanted after this moment; what a newer one has, is known already.
fn wanted(other: &Ledger, run: &str, after_ms: i64, since: &mut Since) -> Result<(), Failure> {
    let run: Arc<str> = run.into();
    let mut add = |customer: &CustomerId, location: Option<&LocationId>, wrote: bool| {
        let what = (customer.clone(), location.cloned());
        let newer = since.entry(what).or_insert_with(|| Newer {
            run: Arc::clone(&run),
            wrote,
        });
        newer.wrote |= wrote;
    };
    for outcome in other.outcomes() {
        let outcome = outcome?;
        let Transition { before, after } = &outcome.account;
        let holds = match outcome.status {
            Status::Changed | Status::Unchanged(Unchanged::Already) | Status::InDoubt => true,
            Status::Failed(_) => before != after,
            Status::WouldChange | Status::Unchanged(_) | Status::Skipped(_) => false,
        };
        let Some(customer) = outcome.customer.filter(|_| holds) else {
            continue;
        };
        if outcome.finished_at_ms <= after_ms {
            continue;
        }
        let wrote = outcome.status != Status::Unchanged(Unchanged::Already);
        // A line that has moved a location alone has wanted nothing of the account ID.
        if outcome.location.is_none() || before != after {
            add(&customer, None, wrote);
        }
        if let Some(location) = &outcome.location {
            add(&customer, Some(location), wrote);
        }
    }
    // Those of a run that was killed have no outcome.
    for write in other.doubtful()? {
        let intent = write.intent;
        if intent.at_ms > after_ms {
            let location = match &intent.write {
                Write::Account { .. } => None,
                Write::Location { location, .. } => Some(location),
            };
            add(&intent.customer, location, true);
        }
    }
    Ok(())
}

/// The earlier runs that wrote to these targets, the newest first. Those that cannot be read are lost, which is looked at
/// elsewhere.
fn earlier(
    mine: &Header,
    targets: &[&str],
    catalog: &RunCatalog,
    lineage: &Lineage,
) -> Result<Vec<Earlier>, Failure> {
    let mut runs = Vec::new();
    for entry in &catalog.entries {
        let run = entry.dir.clone();
        if run.run().as_str() == mine.run {
            continue;
        }
        let other = match Ledger::glance(&run) {
            Ok(other) => other,
            Err(_) if !run.has_begun() => continue,
            Err(why) => return Err(why.into()),
        };
        // What is undone is no file that a person applies.
        if !other.has_worked_on(targets) || other.header().parent.is_some() {
            continue;
        }
        if other.has_writes()? {
            let same_file = lineage.is_same_file(&Lineage::of_run(&other)?);
            runs.push(Earlier { run, same_file });
        }
    }
    Ok(runs)
}

/// The temporary account IDs that other runs on these targets have given customers, or may have.
pub(super) fn temporary_ids(
    mine: &Header,
    targets: &[&str],
    catalog: &RunCatalog,
) -> Result<HashMap<CustomerId, Vec<(Arc<str>, AccountId)>>, Failure> {
    let mut temporary: HashMap<_, Vec<_>> = HashMap::new();
    for entry in &catalog.entries {
        let dir = &entry.dir;
        let Ok(other) = Ledger::glance(dir) else {
            continue;
        };
        if dir.run().as_str() == mine.run || !other.has_worked_on(targets) {
            continue;
        }
        let run: Arc<str> = dir.run().as_str().into();
        for write in other.parkings()? {
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

/// Calls `each` for every account ID that the run has written, or may have.
fn moves(run: &RunDir, mut each: impl FnMut(Recorded)) -> Result<(), Failure> {
    for write in Ledger::glance(run)?.writes() {
        let write = write?;
        let renames = matches!(write.intent.write, Write::Account { .. });
        if renames && write.verdict != Some(Verdict::NotApplied) {
            each(write);
        }
    }
    Ok(())
}

/// The account IDs that these runs took from customers and gave to customers. Rare; so first only hashes are kept.
fn changed_hands(runs: &[&RunDir]) -> Result<HashMap<Carried, Hands>, Failure> {
    let hasher = RandomState::new();
    let (mut taken, mut given) = (Vec::new(), Vec::new());
    for run in runs {
        moves(run, |write| {
            let reseller = write.intent.reseller;
            if let Write::Account { before, after, .. } = write.intent.write {
                taken.extend(before.map(|id| hasher.hash_one((&id, &reseller))));
                given.extend(after.map(|id| hasher.hash_one((&id, &reseller))));
            }
        })?;
    }
    given.sort_unstable();
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
                let wanted = |id: &AccountId| both.contains(&hasher.hash_one((id, &reseller)));
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

/// The lines of chains and cycles, and those that go by an ID that changed hands, by what they ask for. Where several
/// customers may carry one ID nothing is ordered, and all lines that share an ID count.
fn ordered(
    draft: &Draft,
    unique_accounts: bool,
    hands: &HashMap<Carried, Hands>,
) -> Result<Open, Failure> {
    let mut lines = Open::new();
    let mut add = |change: &Change| {
        let lines = lines.entry(wish(change)).or_default();
        lines.insert(change.line, change.reseller.clone());
    };
    for unit in draft.units.values() {
        if unit.shape != Shape::Single || !unique_accounts {
            unit.changes().for_each(&mut add);
        }
    }
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

/// What an earlier run found for wishes that are still open.
fn found(
    dir: &RunDir,
    ledger: &Ledger,
    open: &Open,
    resolved: &Resolved,
    same_lines: bool,
) -> Result<Vec<(Wish, CustomerId)>, Failure> {
    // Begun, and without a last word: the run was killed there.
    let begun: HashMap<Line, CustomerId> = ledger
        .doubtful()?
        .into_iter()
        .map(|write| (write.intent.line, write.intent.customer))
        .collect();
    let customer = |line: Line| -> Result<Option<CustomerId>, LedgerError> {
        // A line that failed may have been renamed all the same, before something else of it failed.
        let outcome = ledger.outcome_of(line)?.filter(|outcome| {
            let Transition { before, after } = &outcome.account;
            match outcome.status {
                Status::Changed | Status::Unchanged(Unchanged::Already) | Status::InDoubt => true,
                Status::Failed(_) => after.is_some() && after != before,
                Status::WouldChange | Status::Unchanged(_) | Status::Skipped(_) => false,
            }
        });
        let told = outcome.and_then(|outcome| outcome.customer);
        Ok(told.or_else(|| begun.get(&line).cloned()))
    };
    let mut found = Vec::new();
    if same_lines {
        for (wish, lines) in open {
            for line in lines.keys() {
                found.extend(customer(*line)?.map(|customer| (*wish, customer)));
            }
        }
        return Ok(found);
    }
    let kept = Kept::of(ledger)?;
    let (name, rules) = (&ledger.header().input_name, kept.rules(resolved)?);
    let table = Table::open(&dir.input(), name, &kept.reading()?, &rules)?;
    for batch in table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            let wish = wish(&change);
            if open.contains_key(&wish) {
                found.extend(customer(change.line)?.map(|customer| (wish, customer)));
            }
        }
    }
    Ok(found)
}

/// So many runs are looked at for one that was killed: the newest, for an old one has long been noticed.
const LOOKED_AT: usize = 10;

/// A run on the same target that was killed or stopped in the middle of a swap, and that nobody has resumed: it may have
/// left customers under temporary IDs, where no other run finds them.
pub(super) fn killed(catalog: &RunCatalog, targets: &[&str]) -> Result<Option<RunDir>, Failure> {
    for earlier in catalog.entries.iter().take(LOOKED_AT) {
        let Ok(other) = Ledger::glance(&earlier.dir) else {
            continue;
        };
        if !other.has_worked_on(targets) {
            continue;
        }
        let left_behind = match other.progress()?.state {
            // This run holds the target, so one that still says it is running was killed.
            State::Running | State::Stopped | State::Interrupted => {
                other.has_parked()? && other.left()?.iter().any(|left| left.parked)
            }
            State::Created | State::Planned | State::Finished => false,
        };
        if left_behind {
            return Ok(Some(earlier.dir.clone()));
        }
    }
    Ok(None)
}

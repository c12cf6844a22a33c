//! Finds lines of a plan that were not found although the system has another spelling of their account ID.
//!
//! A lost leading zero is the most frequent reason for an account ID that no customer has. After all look-ups, other
//! spellings are looked up too, within a budget of calls. The user is told which of them exist; no write ever uses another
//! spelling than the file, and no status changes.

use super::error::CommandError;
use super::input_plan::InputPlan;
use super::near_spellings::{Lengths, padded, spellings};
use crate::config::Resolved;
use crate::domain::{AccountId, CustomerId, Failed, Line, Outcome, Reseller, Status};
use crate::engine::{Drain, Lookup};
use crate::http::Client;
use crate::ledger::{Counted, Journal, Ledger};
use crate::report::{Difference, NearMissGroup, NearMisses};
use crate::system::{Bulk, Customer, Key, System, SystemKind, Wanted};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Least budget, in calls. Otherwise it is a fiftieth of the calls that were made.
const LEAST_CALLS: u64 = 5;
/// How many spellings go into one bulk look-up: what Plume answers with one call.
const AT_ONCE: usize = 100;
/// For this number of lines, more and more zeros are tried, to learn how many zeros the column has lost.
const PROBED: usize = 12;
/// Largest number of lines for which other spellings are looked up.
const MOST_LINES: usize = 100_000;
/// Time that the search may take in addition to what the rate requires.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the search needs.
pub(super) struct Look<'a> {
    pub(super) system: &'a System,
    pub(super) client: &'a Client,
    pub(super) resolved: &'a Resolved,
    /// How long ago the first line was looked up.
    pub(super) age: Duration,
    /// `stop` and `drain` both end the search.
    pub(super) stop: &'a CancellationToken,
    pub(super) drain: &'a Drain,
}

/// A line that was not found.
struct Miss {
    outcome: Outcome,
    account: AccountId,
    reseller: Option<Reseller>,
    customer: Option<CustomerId>,
    exists: Option<(Difference, AccountId)>,
}

/// A spelling that is looked up, with the position of its line among the misses.
type Candidate = (usize, Difference, AccountId);

/// Looks up other spellings and records which exist. Ignores errors, because the plan is complete without this.
pub(super) async fn look_up(
    look: Look<'_>,
    draft: &Arc<InputPlan>,
    ledger: &Ledger,
    journal: &Journal,
) -> Result<(), CommandError> {
    let outcomes = not_found(ledger)?;
    if outcomes.is_empty() {
        return Ok(());
    }
    let lines = Arc::clone(draft);
    let (mut misses, lengths) = tokio::task::spawn_blocking(move || read(&lines, outcomes))
        .await
        .map_err(|why| CommandError::usage(format!("a bug: {why}")))??;
    let counters = look.client.counters();
    let calls = counters.find + counters.read;
    let mut budget = Budget {
        client: look.client,
        before: calls,
        most: (calls / 50).max(LEAST_CALLS),
        singly: look.resolved.lookup == Lookup::Each,
        dearest: 1,
    };
    let allowed = time_allowed(budget.most, look.client.rate());
    tokio::select! {
        () = look.stop.cancelled() => {}
        _ = look.drain.asked() => {}
        () = tokio::time::sleep(allowed) => {}
        () = search(&look, &mut budget, &mut misses, lengths) => {}
    }
    note(misses, ledger, journal).await
}

fn time_allowed(calls: u64, rate: Option<f64>) -> Duration {
    let calls = u32::try_from(calls).unwrap_or(u32::MAX);
    let paced = rate.filter(|rate| *rate > 0.0).and_then(|rate| {
        let seconds = f64::from(calls) / rate;
        Duration::try_from_secs_f64(seconds).ok()
    });
    PATIENCE.saturating_add(paced.unwrap_or_default())
}

/// Returns the lines with an account ID that no customer has. If a customer was found, only its location was not.
fn not_found(ledger: &Ledger) -> Result<HashMap<Line, Outcome>, CommandError> {
    let mut found = HashMap::new();
    for outcome in ledger.outcomes_with(&["failed"]) {
        let outcome = outcome?;
        let is_one = outcome.status == Status::Failed(Failed::NotFound);
        if is_one && outcome.customer.is_none() && found.len() < MOST_LINES {
            found.insert(outcome.line, outcome);
        }
    }
    Ok(found)
}

/// Returns these lines with their account IDs, in the order of the file, and the lengths of the column's IDs. An ID that
/// was found counts for many that were not found.
fn read(
    draft: &InputPlan,
    mut outcomes: HashMap<Line, Outcome>,
) -> Result<(Vec<Miss>, Lengths), CommandError> {
    let (mut misses, mut lengths) = (Vec::new(), Lengths::default());
    for batch in draft.table.batches()? {
        for row in batch? {
            let Some(change) = row.change.filter(|change| !draft.is_wrong(change.line)) else {
                continue;
            };
            let Some(account) = change.account else {
                continue;
            };
            match outcomes.remove(&change.line) {
                None => lengths.add(account.as_str(), 1_000),
                Some(outcome) => {
                    lengths.add(account.as_str(), 1);
                    misses.push(Miss {
                        outcome,
                        account,
                        reseller: change.reseller,
                        customer: change.customer,
                        exists: None,
                    });
                }
            }
        }
    }
    Ok((misses, lengths))
}

/// The budget of calls.
struct Budget<'a> {
    client: &'a Client,
    before: u64,
    most: u64,
    /// Whether customers are searched one by one.
    singly: bool,
    /// Largest number of calls that one look-up has cost: long IDs do not fit into one call.
    dearest: u64,
}

impl Budget<'_> {
    fn spent(&self) -> u64 {
        let counters = self.client.counters();
        (counters.find + counters.read).saturating_sub(self.before)
    }

    /// Returns whether one more look-up may exceed the budget.
    fn is_spent(&self) -> bool {
        self.spent() + self.dearest > self.most
    }

    /// Returns how many spellings the whole budget can look up.
    fn reach(&self) -> usize {
        let at_once = if self.singly { 1 } else { AT_ONCE };
        usize::try_from(self.most).map_or(usize::MAX, |calls| calls.saturating_mul(at_once))
    }
}

async fn search(
    look: &Look<'_>,
    budget: &mut Budget<'_>,
    misses: &mut [Miss],
    mut lengths: Lengths,
) {
    for miss in misses.iter_mut() {
        // The search for the ID itself has shown this spelling.
        if let Some(other) = look.system.equal_but_for_case(&miss.account)
            && let Ok(other) = AccountId::new(other)
        {
            miss.exists = Some((Difference::Case, other));
        }
    }
    if look.age >= look.resolved.max_age {
        match look.resolved.system {
            SystemKind::Plume => {}
            // The lists of CloudCockpit are too old by now, and a new one may cost more than the budget.
            SystemKind::CloudCockpit => budget.singly = true,
            SystemKind::Adobe => return,
        }
    }
    if !budget.singly {
        let probes = probes(misses);
        if look_at(look, budget, misses, probes).await == Looked::AtNoMore {
            return;
        }
        for (_, id) in misses.iter().filter_map(|miss| miss.exists.as_ref()) {
            // These lengths are those of IDs in the system, so they count for more than those in the file.
            lengths.add(id.as_str(), 1_000_000);
        }
    }
    let all = candidates(misses, &lengths, budget.reach());
    if look_at(look, budget, misses, all).await == Looked::BulkRefused {
        let all = candidates(misses, &lengths, budget.reach());
        look_at(look, budget, misses, all).await;
    }
}

/// Returns spellings with more and more zeros for a few lines, spread over the whole file.
fn probes(misses: &[Miss]) -> Vec<Candidate> {
    let step = misses.len().div_ceil(PROBED).max(1);
    let probed = misses.iter().enumerate().step_by(step);
    let open = probed.filter(|(_, miss)| miss.exists.is_none());
    open.flat_map(|(at, miss)| {
        let padded = padded(&miss.account).into_iter();
        padded.map(move |(difference, id)| (at, difference, id))
    })
    .collect()
}

/// Returns the likeliest spelling of each line, then the second of each, and so on.
fn candidates(misses: &[Miss], lengths: &Lengths, most: usize) -> Vec<Candidate> {
    let mut all = Vec::new();
    for (at, miss) in misses.iter().enumerate().take(most) {
        if miss.exists.is_none() {
            let spellings = spellings(&miss.account, lengths).into_iter();
            all.extend(
                spellings
                    .enumerate()
                    .map(|(rank, (difference, id))| (rank, (at, difference, id))),
            );
        }
    }
    all.sort_by_key(|(rank, _)| *rank);
    all.into_iter().map(|(_, candidate)| candidate).collect()
}

/// How a look-up of spellings ended.
#[derive(Debug, PartialEq, Eq)]
enum Looked {
    /// All of them were looked up.
    AtAll,
    /// The budget is spent, or the system does not answer: nothing more is to be looked up.
    AtNoMore,
    /// The system does not allow bulk look-ups.
    BulkRefused,
}

/// Looks up these spellings, in batches.
async fn look_at(
    look: &Look<'_>,
    budget: &mut Budget<'_>,
    misses: &mut [Miss],
    candidates: Vec<Candidate>,
) -> Looked {
    let mut candidates = candidates.into_iter();
    loop {
        let at_once = if budget.singly { 1 } else { AT_ONCE };
        let open = |(at, ..): &Candidate| misses[*at].exists.is_none();
        let batch: Vec<Candidate> = candidates.by_ref().filter(open).take(at_once).collect();
        if batch.is_empty() {
            return Looked::AtAll;
        }
        if budget.is_spent() {
            return Looked::AtNoMore;
        }
        let found = match ask(look, budget, misses, &batch).await {
            Ok(found) => found,
            Err(looked) => return looked,
        };
        for ((at, difference, id), customers) in batch.into_iter().zip(found) {
            let miss = &mut misses[at];
            let is_meant = |customer: &Customer| {
                miss.customer
                    .as_ref()
                    .is_none_or(|named| *named == customer.id)
            };
            if miss.exists.is_none() && customers.iter().any(is_meant) {
                miss.exists = Some((difference, id));
            }
        }
    }
}

/// Returns the customers with each of these spellings, or why the look-up ended.
async fn ask(
    look: &Look<'_>,
    budget: &mut Budget<'_>,
    misses: &[Miss],
    batch: &[Candidate],
) -> Result<Vec<Vec<Customer>>, Looked> {
    if !budget.singly {
        let wanted: Vec<Wanted> = batch
            .iter()
            .map(|(at, _, id)| Wanted {
                key: Key::Account(id.clone()),
                reseller: misses[*at].reseller.clone(),
            })
            .collect();
        let before = budget.spent();
        let answer = look.system.find_many(&wanted, false).await;
        budget.dearest = budget.dearest.max(budget.spent() - before);
        return match answer {
            Ok(Bulk::Found(found, _)) => Ok(found),
            Ok(Bulk::Refused(_)) if look.resolved.lookup != Lookup::Bulk => {
                budget.singly = true;
                budget.dearest = 1;
                Err(Looked::BulkRefused)
            }
            Ok(Bulk::Refused(_)) | Err(_) => Err(Looked::AtNoMore),
        };
    }
    let mut found = Vec::with_capacity(batch.len());
    for (at, _, id) in batch {
        if budget.is_spent() {
            break;
        }
        let reseller = misses[*at].reseller.as_ref();
        let before = budget.spent();
        let customers = look.system.find(id, reseller).await;
        budget.dearest = budget.dearest.max(budget.spent() - before);
        found.push(customers.map_err(|_| Looked::AtNoMore)?);
    }
    Ok(found)
}

/// Returns the message about spellings that exist; `None`: there are none.
pub(super) fn words(ledger: &Ledger) -> Result<Option<String>, CommandError> {
    let counts = ledger.counts()?;
    let is_one = |counted: &&Counted| counted.status == Status::Failed(Failed::NotFound);
    let lines = counts
        .iter()
        .find(is_one)
        .map_or(0, |counted| counted.lines);
    Ok(NearMisses::of(ledger)?.words(lines))
}

/// Records existing spellings in the messages of the lines, and their number by kind of difference.
async fn note(misses: Vec<Miss>, ledger: &Ledger, journal: &Journal) -> Result<(), CommandError> {
    let (mut groups, mut outcomes) = (Vec::<NearMissGroup>::new(), Vec::new());
    for miss in misses {
        let Some((difference, exists)) = miss.exists else {
            continue;
        };
        let mut outcome = miss.outcome;
        let known = groups
            .iter_mut()
            .find(|group| group.difference == difference);
        match known {
            Some(group) => group.lines += 1,
            None => groups.push(NearMissGroup {
                difference,
                lines: 1,
                first_line: outcome.line,
                account_id: miss.account.as_str().to_owned(),
                exists: exists.as_str().to_owned(),
            }),
        }
        outcome.message = format!(
            "not_found: {}; {exists} exists ({})",
            miss.account,
            difference.words()
        );
        outcomes.push(outcome);
    }
    if groups.is_empty() {
        return Ok(());
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.lines));
    journal.outcomes(outcomes).await?;
    journal.flush().await?;
    NearMisses(groups).keep(ledger)?;
    Ok(())
}

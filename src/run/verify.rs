//! Reads every customer that a run touched again, and compares with what the run left.

use super::connect::{base_url, check_host, connect, runtime};
use super::error::CommandError;
use super::exit_code::Exit;
use super::finish;
use super::open::{self, OpenRun, Purpose, Selection};
use super::recheck::{BATCH, Recheck};
use super::request::Request;
use crate::call_log;
use crate::domain::{Change, CustomerId, Outcome, Reseller, Status, Unchanged};
use crate::engine::{Difference, Event, FinalValues, Tally};
use crate::http::Client;
use crate::ledger::Ledger;
use crate::system::System;
use crate::ui;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// What reading a run's customers again has shown.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The run's ID.
    pub(crate) run: String,
    /// How many lines were compared.
    pub(crate) checked: u64,
    pub(crate) unfinished: Unfinished,
    pub(crate) differences: Vec<Difference>,
    /// Whether it was compared with a stand-in that was filled from the record of the run.
    pub(crate) on_stand_in: bool,
    /// The command that goes on with the run.
    pub(crate) resume: String,
}

impl Verified {
    /// How the command ends.
    pub(crate) fn exit(&self) -> Exit {
        match (self.differences.is_empty(), self.unfinished.lines()) {
            (false, _) => Exit::Differences,
            // What was done is as it was left; `resume` does or finds out the rest.
            (true, 1..) => Exit::Stopped,
            (true, 0) => Exit::Success,
        }
    }
}

/// Lines of which a run has left nothing that could be compared, because it has not come to their end.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Unfinished {
    pub(crate) in_doubt: u64,
    pub(crate) not_done: u64,
}

impl Unfinished {
    /// How many lines they are.
    pub(crate) fn lines(self) -> u64 {
        self.in_doubt + self.not_done
    }
}

/// Compares this run, or the newest that wrote something.
pub(crate) fn verify(run: Option<&str>, request: &Request) -> Result<Verified, CommandError> {
    let known = open::open(
        run,
        Selection {
            command: "verify",
            words: "run that wrote something",
            fits: &open::wrote_something,
            is_asked: false,
        },
        Purpose::Look,
        request,
    )?;
    check_host(&base_url(&known.resolved)?)?;
    // Its calls and those of a run count together. It takes no lock, so that it keeps no run from starting.
    let calls = known.shared_calls()?;
    let lines = known.draft.counts.lines;
    let (system, client) = connect(&known.resolved, calls, lines, CancellationToken::new())?;
    call_log::of_run(known.dir.run().as_str());
    tracing::info!(
        event = "session_began",
        command = "verify",
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id()
    );
    let verified = runtime()?.block_on(watched(&known, &system, &client, request))?;
    tracing::info!(event = "session_ended", exit_code = verified.exit() as u8);
    Ok(verified)
}

/// Compares, and shows how far it has come and what it waits for.
async fn watched(
    known: &OpenRun,
    system: &System,
    client: &Arc<Client>,
    request: &Request,
) -> Result<Verified, CommandError> {
    let tally = Arc::new(Tally::default());
    let (events, heard) = broadcast::channel::<Event>(256);
    let progress = ui::Progress::start(
        request.output.progress,
        finish::progress_of(known, "verify", client),
        Arc::clone(&tally),
        heard,
    );
    let mut health = system.health();
    let looked = {
        let comparing = compare(known, system, &tally);
        tokio::pin!(comparing);
        loop {
            tokio::select! {
                looked = &mut comparing => break looked,
                Ok(()) = health.changed() => {
                    // If no progress is shown, the channel has no receiver and sending fails.
                    let _ = events.send(Event::of(&health.borrow_and_update()));
                }
            }
        }
    };
    progress.finish();
    looked
}

async fn compare(
    known: &OpenRun,
    system: &System,
    tally: &Tally,
) -> Result<Verified, CommandError> {
    let resellers = resellers(known)?;
    let survey = Survey::of(known)?;
    tally.lines.store(survey.settled, Ordering::Relaxed);
    let values = survey.final_values(known, &resellers)?;
    let mut recheck = Recheck::new(system, tally);
    let mut batch: Vec<(Outcome, Option<Reseller>)> = Vec::new();
    for outcome in known.ledger.outcomes() {
        let outcome = outcome?;
        if !is_settled(&outcome) {
            continue;
        }
        let reseller = resellers.get(&outcome.line).cloned();
        batch.push((values.apply_to(outcome, reseller.as_ref()), reseller));
        if batch.len() >= BATCH {
            recheck.outcomes(std::mem::take(&mut batch)).await?;
        }
    }
    recheck.outcomes(batch).await?;
    recheck.parked(&known.ledger).await?;
    recheck.altered(&known.ledger)?;
    Ok(Verified {
        run: known.dir.run().to_string(),
        checked: survey.settled,
        unfinished: survey.unfinished,
        differences: recheck.differences(),
        on_stand_in: known.stand_in.is_some(),
        resume: known.commands().resume(&[]),
    })
}

/// Whether a line left something behind.
fn is_settled(outcome: &Outcome) -> bool {
    match outcome.status {
        Status::Changed | Status::Unchanged(Unchanged::Already) => outcome.customer.is_some(),
        // A line that failed half-way has an account ID that was written all the same.
        Status::Failed(_) => outcome.account.before != outcome.account.after,
        Status::Unchanged(Unchanged::NothingAsked)
        | Status::WouldChange
        | Status::Skipped(_)
        | Status::InDoubt => false,
    }
}

/// What there is to be compared, and which customers several lines name.
#[derive(Default)]
struct Survey {
    settled: u64,
    unfinished: Unfinished,
    /// Eight bytes for each customer, however long its ID is: that another has the same is only a little more work.
    several: HashSet<u64>,
    hasher: foldhash::fast::RandomState,
}

impl Survey {
    fn of(known: &OpenRun) -> Result<Self, CommandError> {
        let mut survey = Self::default();
        let mut seen = HashSet::new();
        let mut done = 0;
        for outcome in known.ledger.outcomes() {
            let outcome = outcome?;
            survey.settled += u64::from(is_settled(&outcome));
            match outcome.status {
                Status::InDoubt => survey.unfinished.in_doubt += 1,
                Status::WouldChange | Status::Skipped(_) => continue,
                Status::Changed | Status::Unchanged(_) | Status::Failed(_) => {}
            }
            done += 1;
            if let Some(customer) = &outcome.customer {
                let customer = survey.hash(customer);
                if !seen.insert(customer) {
                    survey.several.insert(customer);
                }
            }
        }
        // A look alone was to do nothing.
        if !known.ledger.only_looks()? {
            let open = known.draft.counts.lines.saturating_sub(done);
            let begun = begun_and_never_ended(&known.ledger)?.min(open);
            survey.unfinished.in_doubt += begun;
            survey.unfinished.not_done = open - begun;
        }
        Ok(survey)
    }

    fn hash(&self, customer: &CustomerId) -> u64 {
        self.hasher.hash_one(customer)
    }

    /// What the run left of customers that several lines name.
    fn final_values(
        &self,
        known: &OpenRun,
        resellers: &HashMap<u32, Reseller>,
    ) -> Result<FinalValues, CommandError> {
        let mut values = FinalValues::default();
        if self.several.is_empty() {
            return Ok(values);
        }
        for outcome in known.ledger.outcomes() {
            let outcome = outcome?;
            let customer = outcome.customer.as_ref();
            let named_again = customer.is_some_and(|id| self.several.contains(&self.hash(id)));
            if named_again && outcome.status != Status::WouldChange {
                values.record(&outcome, resellers.get(&outcome.line));
            }
        }
        Ok(values)
    }
}

/// Lines that were being written when the run was killed; the reports say `in_doubt` of them, too.
fn begun_and_never_ended(ledger: &Ledger) -> Result<u64, CommandError> {
    let mut lines = HashSet::new();
    for write in ledger.unresolved_writes()? {
        let line = write.intent.line;
        let told = ledger.outcome_of(line)?;
        if told.is_none_or(|told| told.status == Status::WouldChange) {
            lines.insert(line);
        }
    }
    Ok(u64::try_from(lines.len()).unwrap_or(u64::MAX))
}

/// The reseller that each line belongs to, if the system has relationships per reseller.
fn resellers(known: &OpenRun) -> Result<HashMap<u32, Reseller>, CommandError> {
    let mut resellers = HashMap::new();
    if !known.resolved.system.capabilities().per_reseller {
        return Ok(resellers);
    }
    for batch in known.draft.table.batches()? {
        let changes = batch?.into_iter().filter_map(|row| row.change);
        resellers
            .extend(changes.filter_map(|change: Change| Some((change.line, change.reseller?))));
    }
    Ok(resellers)
}

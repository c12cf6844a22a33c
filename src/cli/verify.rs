//! `idshift verify`: reads every customer that a run touched again, and compares with what the run left.

use super::Exit;
use super::command_error::CommandError;
use super::connection::{check_host, http_settings, system_settings};
use super::document::document;
use super::finish;
use super::open_run::{self, OpenRun, Purpose, Selection};
use super::options::RunOptions;
use super::recheck::{BATCH, Recheck};
use crate::domain::{Change, CustomerId, Outcome, Reseller, Status, Unchanged};
use crate::engine::{Difference, Event, LastWords, Tally};
use crate::http::Client;
use crate::ledger::Ledger;
use crate::system::System;
use crate::ui;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// What a look at a run's customers brought.
struct Looked {
    checked: u64,
    unfinished: Unfinished,
    differences: Vec<Difference>,
}

/// Lines of which a run has left nothing that could be compared, because it has not come to their end.
#[derive(Debug, Default, Clone, Copy)]
struct Unfinished {
    in_doubt: u64,
    not_done: u64,
}

pub(super) fn run(options: &RunOptions) -> Result<Exit, CommandError> {
    let known = open_run::open(
        options.run.as_deref(),
        Selection {
            command: "verify",
            words: "run that wrote something",
            fits: &open_run::wrote_something,
            is_asked: false,
        },
        Purpose::Look,
        &options.target,
        &options.inside,
        &options.speech,
    )?;
    check_host(&super::connection::base_url(&known.resolved)?)?;
    // Its calls and those of a run count together. It takes no lock, so that it keeps no run from starting.
    let http = http_settings(&known.resolved, known.shared_calls()?)?;
    let settings = system_settings(&known.resolved, known.draft.counts.lines)?;
    let (system, client) = System::prepare(
        known.resolved.system,
        http,
        &settings,
        CancellationToken::new(),
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| CommandError::usage(why.to_string()))?;
    let looked = runtime.block_on(watched(&known, &system, &client, options))?;
    say(&known, options, &looked);
    Ok(exit(&looked))
}

fn exit(looked: &Looked) -> Exit {
    let left = looked.unfinished;
    match (looked.differences.is_empty(), left.in_doubt + left.not_done) {
        (false, _) => Exit::Differences,
        // What was done is as it was left; `resume` does or finds out the rest.
        (true, 1..) => Exit::Stopped,
        (true, 0) => Exit::Success,
    }
}

/// Compares, and shows how far it has come and what it waits for.
async fn watched(
    known: &OpenRun,
    system: &System,
    client: &Arc<Client>,
    options: &RunOptions,
) -> Result<Looked, CommandError> {
    let tally = Arc::new(Tally::default());
    let (events, heard) = broadcast::channel::<Event>(256);
    let mode = finish::progress_mode(&options.speech);
    let progress = ui::Progress::start(
        mode,
        "verify",
        Arc::clone(&tally),
        heard,
        finish::calls(&known.resolved, client),
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

async fn compare(known: &OpenRun, system: &System, tally: &Tally) -> Result<Looked, CommandError> {
    let resellers = resellers(known)?;
    let survey = Survey::of(known)?;
    tally.lines.store(survey.settled, Ordering::Relaxed);
    let words = survey.last_words(known, &resellers)?;
    let mut recheck = Recheck::new(system, tally);
    let mut batch: Vec<(Outcome, Option<Reseller>)> = Vec::new();
    for outcome in known.ledger.outcomes() {
        let outcome = outcome?;
        if !is_settled(&outcome) {
            continue;
        }
        let reseller = resellers.get(&outcome.line).cloned();
        batch.push((words.on(outcome, reseller.as_ref()), reseller));
        if batch.len() >= BATCH {
            recheck.outcomes(std::mem::take(&mut batch)).await?;
        }
    }
    recheck.outcomes(batch).await?;
    recheck.parked(&known.ledger).await?;
    recheck.altered(&known.ledger)?;
    Ok(Looked {
        checked: survey.settled,
        unfinished: survey.unfinished,
        differences: recheck.differences(),
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
    fn last_words(
        &self,
        known: &OpenRun,
        resellers: &HashMap<u32, Reseller>,
    ) -> Result<LastWords, CommandError> {
        let mut words = LastWords::default();
        if self.several.is_empty() {
            return Ok(words);
        }
        for outcome in known.ledger.outcomes() {
            let outcome = outcome?;
            let customer = outcome.customer.as_ref();
            let named_again = customer.is_some_and(|id| self.several.contains(&self.hash(id)));
            if named_again && outcome.status != Status::WouldChange {
                words.hear(&outcome, resellers.get(&outcome.line));
            }
        }
        Ok(words)
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

fn say(known: &OpenRun, options: &RunOptions, looked: &Looked) {
    let run = known.dir.run().as_str();
    let (differences, left) = (&looked.differences, looked.unfinished);
    if options.speech.is_json() {
        let list: Vec<_> = differences
            .iter()
            .map(|d| {
                json!({"line": d.line, "customer_id": d.customer, "what": d.what,
                       "expected": d.expected, "found": d.found})
            })
            .collect();
        let body = json!({"run": run, "checked": looked.checked, "differences": list,
            "unfinished": {"in_doubt": left.in_doubt, "not_done": left.not_done}});
        ui::out(&document(exit(looked), body));
        return;
    }
    for difference in differences {
        ui::out(&ui::visible(&difference.to_string()));
    }
    if options.speech.quiet {
        return;
    }
    let as_left = ui::one_or_many(
        looked.checked,
        "line is as the run left it",
        "lines are as the run left them",
    );
    let as_left = if known.stand_in.is_some() {
        format!("{as_left}, on a stand-in that was filled from the record of the run")
    } else {
        as_left
    };
    let whole = left.in_doubt + left.not_done == 0;
    ui::out(&match (differences.len(), whole) {
        (0, true) => format!("verify {run}: all {as_left}"),
        (0, false) => format!("verify {run}: {as_left}, but that is not all"),
        (n, _) => format!(
            "verify {run}: {} in {}",
            ui::counted(u64::try_from(n).unwrap_or(u64::MAX), "difference"),
            ui::lines(looked.checked)
        ),
    });
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
        ui::out(&format!(
            "verify {run}: `{}` goes on with them",
            known.commands().resume(&[])
        ));
    }
}

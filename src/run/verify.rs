//! `idshift verify`: reads every customer of a run again, and compares it with what the run has left.

use super::connect::{base_url, check_host, connect, runtime};
use super::error::CommandError;
use super::exit_code::Exit;
use super::finish;
use super::in_progress::refuse_if_taken;
use super::open::{self, OpenRun, Purpose};
use super::outage::outage;
use super::parked;
use super::request::Request;
use super::selection::Selection;
use super::signals::survive_state_signal;
use crate::call_log;
use crate::domain::{Change, Outcome, Reseller, Status, Unchanged};
use crate::engine::{
    Aspect, Difference, Event, FinalValues, Left, Recheck, Tally, Unreadable, with_health,
};
use crate::http::Client;
use crate::ledger::{BriefOutcome, Ledger, RunKind, State, Write, WriteRecord};
use crate::report::Commands;
use crate::system::{System, SystemError};
use crate::ui;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// The result of reading a run's customers again.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The run's ID.
    pub(crate) run: String,
    /// How many lines were compared.
    pub(crate) checked: u64,
    pub(crate) unfinished: Unfinished,
    pub(crate) differences: Vec<Difference>,
    /// How many customers still have a temporary ID of the run although their lines have a final outcome.
    pub(crate) parked: usize,
    /// Whether it was compared with a stand-in that was filled from the record of the run.
    pub(crate) on_stand_in: bool,
    /// Whether a process had taken the run when it was compared.
    pub(crate) in_progress: bool,
    /// The commands that may follow.
    pub(crate) commands: Commands,
}

impl Verified {
    /// Returns the exit code of the command.
    pub(crate) fn exit(&self) -> Exit {
        match (self.differences.is_empty(), self.unfinished.lines()) {
            (false, _) => Exit::Differences,
            // What was done is still in place; `resume` does the rest, or finds out what became of it.
            (true, 1..) => Exit::Stopped,
            (true, 0) => Exit::Success,
        }
    }
}

/// Numbers of lines that have left nothing to compare, because the run has not brought them to an end.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Unfinished {
    pub(crate) in_doubt: u64,
    pub(crate) not_done: u64,
}

impl Unfinished {
    /// Returns the number of these lines.
    pub(crate) fn lines(self) -> u64 {
        self.in_doubt + self.not_done
    }
}

/// Compares this run, or the newest that wrote something.
pub(crate) fn verify(run: Option<&str>, request: &Request) -> Result<Verified, CommandError> {
    survive_state_signal()?;
    let known = open::open(
        run,
        Selection {
            command: "verify",
            words: "run that wrote something",
            fits: &|_, ledger| open::wrote_something(ledger),
            is_asked: false,
        },
        Purpose::Look,
        request,
    )?;
    refuse_plan(&known)?;
    check_host(&base_url(&known.resolved)?)?;
    // Calls of `verify` and of a run count together. `verify` takes no lock, so that it does not keep a run from starting.
    let calls = known.shared_limits()?;
    let lines = known.draft.counts.lines;
    let (system, client) = connect(&known.resolved, calls, lines, CancellationToken::new())?;
    call_log::of_run(known.dir.run().as_str());
    tracing::info!(
        event = "session_began",
        command = "verify",
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id()
    );
    let verified = runtime()?.block_on(watched(&known, &Arc::new(system), &client, request))?;
    tracing::info!(event = "session_ended", exit_code = verified.exit() as u8);
    Ok(verified)
}

/// Refuses a plan, also one in progress: it has written nothing that could be compared.
fn refuse_plan(known: &OpenRun) -> Result<(), CommandError> {
    let ledger = &known.ledger;
    let is_planned = ledger.progress()?.state == State::Planned;
    if !is_planned && ledger.kind()? != RunKind::Plan {
        return Ok(());
    }
    if !is_planned {
        refuse_if_taken(&known.dir, ledger)?;
    }
    let commands = known.commands();
    let help = if is_planned {
        format!("`{}` carries it out", commands.carry_out(&[]))
    } else {
        format!("`{}` completes the plan", commands.resume(&[]))
    };
    let run = known.dir.run();
    let words = format!("run {run} is a plan and wrote nothing, so there is nothing to verify");
    Err(CommandError::usage(words).with_help(help))
}

/// Compares, and shows the progress and what it waits for.
async fn watched(
    known: &OpenRun,
    system: &Arc<System>,
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
    let comparing = compare(known, system, &tally);
    let looked = with_health(system.health(), &events, comparing).await;
    progress.finish();
    looked
}

async fn compare(
    known: &OpenRun,
    system: &Arc<System>,
    tally: &Tally,
) -> Result<Verified, CommandError> {
    let resellers = resellers(known)?;
    let survey = Survey::of(known);
    // Nothing is called before it is known that the ledger is not damaged.
    known.ledger.checked()?;
    let survey = survey?;
    tally.lines.store(survey.settled, Ordering::Relaxed);
    let in_progress = survey.was_live || known.ledger.is_live();
    let values = survey.final_values(known, &resellers, in_progress)?;
    let mut recheck = Recheck::in_batches(system, known.resolved.concurrency, values);
    let mut differences = Vec::new();
    let mut each = |outcome: &Outcome, read: Result<Vec<Difference>, SystemError>| {
        match read {
            Ok(found) => differences.extend(found),
            Err(error) => differences.push(Difference::unreadable(outcome, &error)),
        }
        tally.count(outcome);
    };
    let stopped = |why| unreadable(&why, system);
    let mut batch: Vec<Left> = Vec::new();
    for outcome in known.ledger.outcomes() {
        let outcome = outcome?;
        if !is_settled(BriefOutcome::of(&outcome)) {
            continue;
        }
        let reseller = resellers.get(&outcome.line).cloned();
        batch.push((outcome, reseller));
        if batch.len() >= Recheck::BATCH {
            recheck.read(&batch, &mut each).await.map_err(stopped)?;
            batch.clear();
        }
    }
    recheck.read(&batch, each).await.map_err(stopped)?;
    let parked = add_parked(&mut differences, (&known.ledger, in_progress), system).await?;
    add_altered(&mut differences, &known.ledger)?;
    Ok(Verified {
        run: known.dir.run().to_string(),
        checked: survey.settled,
        unfinished: survey.unfinished,
        differences,
        parked,
        on_stand_in: known.stand_in.is_some(),
        in_progress: in_progress || known.dir.is_taken(&known.ledger),
        commands: known.commands(),
    })
}

fn unreadable(why: &Unreadable, system: &System) -> CommandError {
    let words = outage(why.fatal, &why.message, system.kind());
    let words = match why.line {
        Some(line) => format!("line {line}: {words}"),
        None => words,
    };
    CommandError::new(Exit::Stopped, words)
        .with_help("nothing was written; run verify again once the system answers")
}

/// Adds customers that are still parked, and returns their number. `in_progress`: the run is about to restore those of its open
/// lines.
async fn add_parked(
    differences: &mut Vec<Difference>,
    (ledger, in_progress): (&Ledger, bool),
    system: &System,
) -> Result<usize, CommandError> {
    let mut parked = parked::find(ledger, system).await?;
    if in_progress {
        let done = ledger.done()?;
        parked.retain(|write| done.contains(write.intent.line));
    }
    let count = parked.len();
    for write in parked {
        let intent = write.intent;
        let Write::Account { before, after, .. } = intent.write else {
            continue;
        };
        if differences.iter().any(|one| one.line == intent.line) {
            continue;
        }
        let left = ledger.outcome_of(intent.line)?;
        let expected = left.map_or(before, |outcome| outcome.account.after);
        differences.push(Difference {
            line: intent.line,
            customer: intent.customer.to_string(),
            what: Aspect::Account,
            expected: expected.map(|id| id.to_string()),
            found: after.map(|id| id.to_string()),
        });
    }
    Ok(count)
}

/// Adds values that the system has stored in another form: the stored value is not what the line asks for.
fn add_altered(differences: &mut Vec<Difference>, ledger: &Ledger) -> Result<(), CommandError> {
    for write in ledger.altered()? {
        let line = write.intent.line;
        if differences.iter().any(|one| one.line == line) {
            continue;
        }
        let text = |write: &Write| match write {
            Write::Account { after, .. } => after.as_ref().map(ToString::to_string),
            Write::Location { after, .. } => after.service.as_ref().map(ToString::to_string),
        };
        let (asked, stored) = (text(&write.intent.write), text(&write.stored()));
        differences.push(Difference {
            line,
            customer: write.intent.customer.to_string(),
            what: match write.intent.write {
                Write::Account { .. } => Aspect::Account,
                Write::Location { .. } => Aspect::Service,
            },
            expected: asked,
            found: stored,
        });
    }
    Ok(())
}

/// Returns whether a line has left values to compare.
fn is_settled(outcome: BriefOutcome<'_>) -> bool {
    match outcome.status {
        Status::Changed | Status::Unchanged(Unchanged::Already) => outcome.customer.is_some(),
        // A line that failed after its account ID was written has left that ID.
        Status::Failed(_) => outcome.renamed,
        Status::Unchanged(Unchanged::NothingAsked)
        | Status::WouldChange
        | Status::Skipped(_)
        | Status::InDoubt => false,
    }
}

/// What can be compared, and the customers that several lines name.
#[derive(Default)]
struct Survey {
    settled: u64,
    unfinished: Unfinished,
    /// The writes of lines without a final outcome.
    unresolved: Vec<WriteRecord>,
    /// Whether a process was at work on the run before these were read.
    was_live: bool,
    /// Hashes of these customers: eight bytes each, however long the ID. A collision only means a little more work.
    several: HashSet<u64>,
    hasher: foldhash::fast::RandomState,
}

impl Survey {
    fn of(known: &OpenRun) -> Result<Self, CommandError> {
        let mut survey = Self::default();
        let mut seen = Vec::new();
        let mut done = 0;
        known.ledger.each_brief_outcome(|outcome| {
            survey.settled += u64::from(is_settled(outcome));
            match outcome.status {
                Status::InDoubt => survey.unfinished.in_doubt += 1,
                Status::WouldChange | Status::Skipped(_) => return,
                Status::Changed | Status::Unchanged(_) | Status::Failed(_) => {}
            }
            done += 1;
            seen.extend(outcome.customer.map(|customer| survey.hash(customer)));
        })?;
        seen.sort_unstable();
        let twice = seen.windows(2).filter(|two| two[0] == two[1]);
        survey.several = twice.map(|two| two[0]).collect();
        // A run that only looks customers up leaves no line undone.
        if !known.ledger.only_looks()? {
            let open = known.draft.counts.lines.saturating_sub(done);
            // If every line has a final outcome, no write is read.
            if open + survey.unfinished.in_doubt > 0 {
                survey.was_live = known.ledger.is_live();
                survey.unresolved = known.ledger.unresolved_writes()?;
            }
            let begun = begun_and_never_ended(&known.ledger, &survey.unresolved)?.min(open);
            survey.unfinished.in_doubt += begun;
            survey.unfinished.not_done = open - begun;
        }
        Ok(survey)
    }

    fn hash(&self, customer: &str) -> u64 {
        self.hasher.hash_one(customer)
    }

    /// Returns what the run has left of customers that several lines name, or whose lines have no final outcome.
    fn final_values(
        &self,
        known: &OpenRun,
        resellers: &HashMap<u32, Reseller>,
        in_progress: bool,
    ) -> Result<FinalValues, CommandError> {
        let mut values = FinalValues::default();
        for write in &self.unresolved {
            values.record_unresolved(write, in_progress);
        }
        if self.several.is_empty() {
            return Ok(values);
        }
        for outcome in known.ledger.outcomes() {
            let outcome = outcome?;
            let customer = outcome.customer.as_ref();
            let named_again =
                customer.is_some_and(|id| self.several.contains(&self.hash(id.as_str())));
            if named_again && outcome.status != Status::WouldChange {
                values.record(&outcome, resellers.get(&outcome.line));
            }
        }
        Ok(values)
    }
}

/// Returns the number of lines that were being written when the run was killed. The reports show these as `in_doubt`, too.
fn begun_and_never_ended(ledger: &Ledger, unresolved: &[WriteRecord]) -> Result<u64, CommandError> {
    let mut lines = HashSet::new();
    for write in unresolved {
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

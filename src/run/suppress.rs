//! `--suppress`: leaves lines alone until a date, if the drift of their customers is known.

use super::clock;
use super::create::NewRun;
use super::error::CommandError;
use super::input_plan::InputPlan;
use super::open::OpenRun;
use crate::config::Values;
use crate::domain::{AccountId, Line, Outcome, Skipped, Status};
use crate::input::{Suppression, suppressions};
use crate::ledger::{Journal, LineSet};
use crate::ui;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Returns the entries that apply today, by account ID. Warns about expired entries.
pub(super) fn read(values: &Values) -> Result<HashMap<AccountId, Suppression>, CommandError> {
    let Some(path) = values.get("suppress").map(Path::new) else {
        return Ok(HashMap::new());
    };
    let entries = suppressions(path).map_err(|why| {
        CommandError::usage(why.to_string()).with_help("nothing was sent; correct the file")
    })?;
    let today = clock::now().date();
    let mut active = HashMap::new();
    for entry in entries {
        if entry.until < today {
            ui::warning(&format!(
                "{}:{}: the suppression of {} ended on {}, so its lines are carried out again ({})",
                path.display(),
                entry.line,
                entry.account,
                entry.until,
                entry.reason
            ));
        } else {
            active.insert(entry.account.clone(), entry);
        }
    }
    Ok(active)
}

/// Records the lines of these customers as left alone, and returns them. A chain or swap with one of these lines is left
/// alone as a whole, because its other lines depend on that line.
pub(super) fn leave_alone(
    new: &mut NewRun,
    active: &HashMap<AccountId, Suppression>,
) -> Result<LineSet, CommandError> {
    if active.is_empty() {
        return Ok(LineSet::default());
    }
    let draft = &new.run.draft;
    let mut unknown: BTreeMap<u64, &AccountId> = active
        .iter()
        .map(|(account, entry)| (entry.line, account))
        .collect();
    let mut lines: BTreeMap<Line, String> = BTreeMap::new();
    for batch in draft.table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            if let Some(entry) = change.account.as_ref().and_then(|id| active.get(id))
                && !draft.is_wrong(change.line)
            {
                unknown.remove(&entry.line);
                lines.insert(change.line, words(entry));
            }
        }
    }
    if let Some((line, account)) = unknown.first_key_value() {
        let more = match unknown.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more like it"),
        };
        ui::warning(&format!(
            "--suppress: line {line}: the file has no line with the account ID {account}{more}"
        ));
    }
    add_dependent(draft, &mut lines);
    new.run.kept.suppressed = active
        .iter()
        .map(|(account, entry)| (account.to_string(), words(entry)))
        .collect();
    new.run.keep()?;
    let outcomes = lines.iter().map(|(line, why)| {
        let mut outcome = Outcome::bare(*line, Status::Skipped(Skipped::Suppressed));
        outcome.message.clone_from(why);
        outcome.finished_at_ms = clock::now_ms();
        outcome
    });
    new.run.ledger.seed(outcomes)?;
    Ok(lines.into_keys().collect())
}

fn words(entry: &Suppression) -> String {
    format!("until {}: {}", entry.until, entry.reason)
}

/// Leaves alone the lines for which the look-ups have found one of these customers, and those that depend on such a line: a
/// line can name its customer without the account ID.
pub(super) async fn leave_found_alone(
    run: &OpenRun,
    journal: &Journal,
) -> Result<(), CommandError> {
    let active = &run.kept.suppressed;
    if active.is_empty() {
        return Ok(());
    }
    let mut lines: BTreeMap<Line, String> = BTreeMap::new();
    for outcome in run.ledger.outcomes_with(&["would_change"]) {
        let outcome = outcome?;
        let account = outcome.account.before.as_ref();
        if let Some(why) = account.and_then(|account| active.get(account.as_str())) {
            lines.insert(outcome.line, why.clone());
        }
    }
    add_dependent(&run.draft, &mut lines);
    for (line, why) in lines {
        let found = run.ledger.outcome_of(line)?;
        let open = found.filter(|outcome| outcome.status == Status::WouldChange);
        if let Some(mut outcome) = open {
            outcome.status = Status::Skipped(Skipped::Suppressed);
            outcome.message = why;
            outcome.account.after.clone_from(&outcome.account.before);
            outcome.service.after.clone_from(&outcome.service.before);
            outcome.profile.after = outcome.profile.before;
            journal.outcome(outcome).await?;
        }
    }
    Ok(journal.flush().await?)
}

/// Adds the lines of chains and swaps that depend on these lines.
fn add_dependent(draft: &InputPlan, lines: &mut BTreeMap<Line, String>) {
    for unit in draft.units.values() {
        let named = unit.lines().find(|line| lines.contains_key(line));
        for line in unit.lines().filter(|_| named.is_some()) {
            let first = named.unwrap_or_default();
            let why = format!("it depends on line {first}, which is suppressed");
            lines.entry(line).or_insert(why);
        }
    }
}

//! `idshift verify`: reads every customer that a run touched again, and compares with what the run left.

use super::Exit;
use super::failure::Failure;
use super::known_run::{self, KnownRun, Purpose};
use super::options::RunOptions;
use super::session::{check_host, http_settings, system_settings};
use crate::domain::{Change, Outcome, Reseller, Status, Unchanged};
use crate::ledger::Ledger;
use crate::system::{Bulk, Customer, Key, Locations, System, Wanted};
use crate::ui;
use serde_json::json;
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

/// So many customers are read at once.
const BATCH: usize = 100;

/// What is not as the run left it.
struct Difference {
    line: u32,
    customer: String,
    what: &'static str,
    expected: String,
    found: String,
}

pub(super) fn run(options: &RunOptions) -> Result<Exit, Failure> {
    // The newest run that was more than a look, so that nobody is surprised by an older one.
    let wrote =
        |ledger: &Ledger| ledger.header().command != "plan" || ledger.has_writes().unwrap_or(false);
    let mut known = known_run::open(
        options.run.as_deref(),
        "run that was carried out",
        wrote,
        Purpose::Look,
        &options.target,
        &options.inside,
        &options.speech,
    )?;
    check_host(&super::session::base_url(&known.resolved)?)?;
    let http = http_settings(&mut known.resolved, None)?;
    let settings = system_settings(&known.resolved, known.draft.counts.lines)?;
    let (system, _client) = System::prepare(
        known.resolved.system,
        http,
        &settings,
        CancellationToken::new(),
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| Failure::usage(why.to_string()))?;
    let (checked, differences) = runtime.block_on(compare(&known, &system))?;
    say(&known, options, checked, &differences);
    Ok(if differences.is_empty() {
        Exit::Success
    } else {
        Exit::Differences
    })
}

async fn compare(known: &KnownRun, system: &System) -> Result<(u64, Vec<Difference>), Failure> {
    let resellers = resellers(known)?;
    let mut batch: Vec<(Outcome, Option<Reseller>)> = Vec::new();
    let (mut checked, mut differences) = (0, Vec::new());
    for outcome in known.ledger.outcomes() {
        let outcome = outcome?;
        let settled = match outcome.status {
            Status::Changed | Status::Unchanged(Unchanged::Already) => outcome.customer.is_some(),
            // A line that failed half-way has an account ID that was written all the same.
            Status::Failed(_) => outcome.account.before != outcome.account.after,
            Status::Unchanged(Unchanged::NothingAsked)
            | Status::WouldChange
            | Status::Skipped(_)
            | Status::InDoubt => false,
        };
        if !settled {
            continue;
        }
        checked += 1;
        let reseller = resellers.get(&outcome.line).cloned();
        batch.push((outcome, reseller));
        if batch.len() >= BATCH {
            differences.extend(look(system, &std::mem::take(&mut batch)).await?);
        }
    }
    differences.extend(look(system, &batch).await?);
    Ok((checked, differences))
}

/// Whose relationship each line means, where the system has such a thing.
fn resellers(known: &KnownRun) -> Result<HashMap<u32, Reseller>, Failure> {
    let mut resellers = HashMap::new();
    if !known.resolved.system.facts().per_reseller {
        return Ok(resellers);
    }
    for batch in known.draft.table.batches()? {
        let changes = batch?.into_iter().filter_map(|row| row.change);
        resellers
            .extend(changes.filter_map(|change: Change| Some((change.line, change.reseller?))));
    }
    Ok(resellers)
}

async fn look(
    system: &System,
    batch: &[(Outcome, Option<Reseller>)],
) -> Result<Vec<Difference>, Failure> {
    let locations = batch.iter().any(|(outcome, _)| outcome.location.is_some());
    let wanted: Vec<Wanted> = batch
        .iter()
        .filter_map(|(outcome, reseller)| {
            Some(Wanted {
                key: Key::Customer(outcome.customer.clone()?),
                reseller: reseller.clone(),
            })
        })
        .collect();
    let found = match system.find_many(&wanted, locations).await {
        Ok(Bulk::Found(found)) if found.len() == batch.len() => found,
        Ok(_) | Err(_) => vec![Vec::new(); batch.len()],
    };
    let mut differences = Vec::new();
    for ((outcome, reseller), found) in batch.iter().zip(found) {
        let customer = match <[Customer; 1]>::try_from(found) {
            Ok([customer]) => Some(customer),
            Err(_) => alone(system, outcome, reseller.as_ref(), locations).await?,
        };
        match customer {
            Some(customer) => differ(system, outcome, customer, &mut differences).await?,
            None => differences.push(difference(outcome, "customer", Some("there"), None)),
        }
    }
    Ok(differences)
}

async fn alone(
    system: &System,
    outcome: &Outcome,
    reseller: Option<&Reseller>,
    locations: bool,
) -> Result<Option<Customer>, Failure> {
    let Some(id) = &outcome.customer else {
        return Ok(None);
    };
    let trouble = match system.read(id, reseller, locations).await {
        Ok(customer) => return Ok(customer),
        Err(trouble) if trouble.fatal.is_some() => trouble,
        Err(trouble) => {
            // Where single customers cannot be read, the search still tells who carries the ID.
            let Some(account) = &outcome.account.after else {
                return Err(unreadable(outcome, &trouble.message));
            };
            match system.find(account, reseller).await {
                Ok(found) => return Ok(found.into_iter().find(|customer| customer.id == *id)),
                Err(trouble) => trouble,
            }
        }
    };
    Err(unreadable(outcome, &trouble.message))
}

fn unreadable(outcome: &Outcome, words: &str) -> Failure {
    Failure::new(
        Exit::Stopped,
        format!(
            "line {}: the customer cannot be read: {words}",
            outcome.line
        ),
    )
    .with_help("nothing was written; run verify again once the system answers")
}

async fn differ(
    system: &System,
    outcome: &Outcome,
    customer: Customer,
    differences: &mut Vec<Difference>,
) -> Result<(), Failure> {
    if customer.account != outcome.account.after {
        let expected = outcome.account.after.as_ref().map(|id| id.as_str());
        let found = customer.account.as_ref().map(|id| id.as_str());
        differences.push(difference(outcome, "account ID", expected, found));
    }
    let Some(location) = &outcome.location else {
        return Ok(());
    };
    let places = match customer.locations {
        Locations::Known(places) => places,
        Locations::Ids(_) | Locations::Untold => match system.locations(&customer.id).await {
            Ok(places) => places,
            Err(_) => match system.location(location).await {
                Ok(place) => vec![place],
                Err(trouble) => return Err(unreadable(outcome, &trouble.message)),
            },
        },
    };
    let Some(place) = places.into_iter().find(|place| place.id == *location) else {
        differences.push(difference(
            outcome,
            "location",
            Some(location.as_str()),
            None,
        ));
        return Ok(());
    };
    if outcome.service.after.is_some() && place.service != outcome.service.after {
        let expected = outcome.service.after.as_ref().map(|id| id.as_str());
        let found = place.service.as_ref().map(|id| id.as_str());
        differences.push(difference(outcome, "service ID", expected, found));
    }
    let told = place.profile.is_some() && outcome.profile.after.is_some();
    if told && place.profile != outcome.profile.after {
        let expected = outcome.profile.after.map(|profile| profile.as_str());
        let found = place.profile.map(|profile| profile.as_str());
        differences.push(difference(outcome, "profile", expected, found));
    }
    Ok(())
}

fn difference(
    outcome: &Outcome,
    what: &'static str,
    expected: Option<&str>,
    found: Option<&str>,
) -> Difference {
    Difference {
        line: outcome.line,
        customer: outcome
            .customer
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        what,
        expected: expected.unwrap_or("none").to_owned(),
        found: found.unwrap_or("none").to_owned(),
    }
}

fn say(known: &KnownRun, options: &RunOptions, checked: u64, differences: &[Difference]) {
    let run = known.dir.run().as_str();
    if options.speech.is_json() {
        let list: Vec<_> = differences
            .iter()
            .map(|d| {
                json!({"line": d.line, "customer_id": d.customer, "what": d.what,
                       "expected": d.expected, "found": d.found})
            })
            .collect();
        let document = json!({"run": run, "checked": checked, "differences": list,
            "exit_code": if differences.is_empty() { 0 } else { 3 }});
        ui::out(&document.to_string());
        return;
    }
    for difference in differences {
        ui::out(&format!(
            "line {}: customer {}: {} is {}, the run left {}",
            difference.line,
            ui::visible(&difference.customer),
            difference.what,
            ui::visible(&difference.found),
            ui::visible(&difference.expected)
        ));
    }
    if !options.speech.quiet {
        ui::out(&match differences.len() {
            0 => format!(
                "verify {run}: all {} lines are as the run left them",
                ui::count(checked)
            ),
            n => format!(
                "verify {run}: {n} differences in {} lines",
                ui::count(checked)
            ),
        });
    }
}

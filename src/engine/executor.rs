//! Carries out one unit, from its first call to its last outcome: a single customer, a chain or a cycle.

use super::case::Case;
use super::customer_state::{CustomerState, DesiredState};
use super::halt::OrHalt;
use super::locate::same_customer;
use super::lookup::LookupCache;
use super::write_result::StepOutcome;
use super::{Context, Halt, UnitTask, WriteLog};
use crate::domain::{AccountId, CustomerId, Reseller};
use crate::plan::{Member, Shape};

/// Carries out one unit; in a plan, finds out what would be done.
pub(super) async fn carry_out<N: WriteLog>(
    context: &Context<N>,
    task: &UnitTask,
    seen: &LookupCache,
) -> Result<(), Halt> {
    // Boxed, as is each write (`Case::write`): each of these futures has kilobytes of state, which a task would
    // otherwise hold, and move, from its beginning to its end.
    match task.unit.shape {
        Shape::Single => Box::pin(singles(context, task, seen)).await,
        Shape::Chain => Box::pin(chain(context, task, seen)).await,
        Shape::Cycle => Box::pin(super::cycle::carry_out(context, task, seen)).await,
    }
}

async fn singles<N: WriteLog>(
    context: &Context<N>,
    task: &UnitTask,
    seen: &LookupCache,
) -> Result<(), Halt> {
    for member in &task.unit.members {
        let case = Case::new(context, task, member, seen);
        if !case.is_done() {
            case.alone().await?;
        }
    }
    Ok(())
}

/// Carries out a chain from its free end: each rename frees the ID that the next one waits for. If a rename fails, the later
/// ones are blocked and not written. If a rename is in doubt, the later ones stay open until its effect is known.
async fn chain<N: WriteLog>(
    context: &Context<N>,
    task: &UnitTask,
    seen: &LookupCache,
) -> Result<(), Halt> {
    let already = moved_before(context, task, seen).await?;
    let told = (!already.is_empty()).then(|| with_customers(task, &already));
    let task = told.as_ref().unwrap_or(task);
    let mut freed: Vec<CustomerId> = Vec::new();
    let mut blocked: Option<String> = None;
    for (at, member) in task.unit.members.iter().enumerate() {
        let case = Case::new(context, task, member, seen);
        let asks_rename = member
            .changes
            .iter()
            .any(|change| change.new_account.asks());
        if case.is_done() {
            if asks_rename && case.is_in_the_way() {
                blocked = Some(waiting_for(member));
            }
            // In a plan, the customer still has the ID that the next member waits for.
            freed.extend(case.found_before().cloned());
            continue;
        }
        // A later process continues the chain exactly here.
        if at > 0 && context.is_stopping() && !context.is_plan() {
            return Err(Halt::Stopping);
        }
        if let Some(why) = &blocked {
            match already_renamed(&case).await? {
                Some(mut state) => drop(case.onward(&mut state, &freed).await?),
                None => case.block(why).await?,
            }
            continue;
        }
        let located = case.locate().await;
        let renamed = match located.or_halt()? {
            Err(trouble) => {
                case.fail(&trouble).await?;
                case.not_renamed(trouble)
            }
            Ok(state) if freed.contains(&state.id) => {
                let trouble = same_customer(&state.id);
                case.fail(&trouble).await?;
                case.not_renamed(trouble)
            }
            Ok(mut state) => {
                freed.push(state.id.clone());
                case.onward(&mut state, &freed).await?
            }
        };
        match renamed {
            StepOutcome::InDoubt(..) if case.has_open_rename() => return Ok(()),
            // The lines that ask for the rename had their outcomes before: they decide, as for a member that is done.
            StepOutcome::InDoubt(..) => {
                if case.is_in_the_way() {
                    blocked = Some(waiting_for(member));
                }
            }
            StepOutcome::Failed(..) => blocked = Some(waiting_for(member)),
            StepOutcome::NotAsked | StepOutcome::Already | StepOutcome::Done(_) => {}
        }
    }
    Ok(())
}

/// Returns the customer that an earlier run meant by these lines, if it already has the requested ID: it need not wait.
async fn already_renamed<N: WriteLog>(case: &Case<'_, N>) -> Result<Option<CustomerState>, Halt> {
    if case.task.customer_by_prior_run(case.member).is_none() {
        return Ok(None);
    }
    let located = case.locate().await.or_halt()?.ok();
    let desired = DesiredState::of(case.member);
    Ok(located.filter(|state| desired.is_fulfilled_by(state.now.as_ref())))
}

fn waiting_for(member: &Member) -> String {
    let desired = DesiredState::of(member);
    let id = desired
        .account
        .map_or_else(String::new, |account| format!(" `{account}`"));
    format!(
        "waits for the account ID{id} of line {}, which was not freed",
        desired.rename_line
    )
}

/// Returns the task with the customers of its first members filled in, so that they are not searched.
fn with_customers(task: &UnitTask, customers: &[CustomerId]) -> UnitTask {
    let mut task = task.clone();
    for (member, customer) in task.unit.members.iter().zip(customers) {
        let lines = member
            .changes
            .iter()
            .map(|change| (change.line, customer.clone()));
        task.by_prior_run.extend(lines);
    }
    task
}

/// Determines from the IDs alone how far an earlier run got. A chain of n renames has n + 1 IDs and n customers, so exactly
/// one ID is free. If the ID at the far end is free, nothing was done. Otherwise the renames beyond the gap were done.
///
/// Returns the customers of the members that are done, in their order. Nothing is guessed where this run or an earlier
/// one has recorded customers, or where the file names other customers.
async fn moved_before<N: WriteLog>(
    context: &Context<N>,
    task: &UnitTask,
    seen: &LookupCache,
) -> Result<Vec<CustomerId>, Halt> {
    let known =
        !(task.recorded.is_empty() && task.expected.is_empty() && task.by_prior_run.is_empty());
    let Some(ids) = ids(task).filter(|_| !known && task.done.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut holders = Vec::with_capacity(ids.len());
    for (at, (id, reseller)) in ids.iter().enumerate() {
        let found = match seen.account(id, *reseller) {
            Some(found) => found.to_vec(),
            None => match context.find(id, *reseller).await.or_halt()? {
                Ok(found) => found,
                Err(_) => return Ok(Vec::new()),
            },
        };
        holders.push(found.into_iter().next().map(|customer| customer.id));
        // The far end is free: the chain was never begun, so no further ID is looked up.
        if at == 0 && holders[0].is_none() {
            return Ok(Vec::new());
        }
    }
    let gaps: Vec<usize> = holders
        .iter()
        .enumerate()
        .filter(|(_, h)| h.is_none())
        .map(|(at, _)| at)
        .collect();
    let [gap] = gaps.as_slice() else {
        return Ok(Vec::new());
    };
    let done: Vec<CustomerId> = holders.into_iter().take(*gap).flatten().collect();
    let as_named = task
        .unit
        .members
        .iter()
        .zip(&done)
        .all(|(member, customer)| {
            DesiredState::of(member)
                .customer
                .is_none_or(|named| named == customer)
        });
    Ok(if as_named { done } else { Vec::new() })
}

/// Returns the chain's IDs from the free end; `None`: the file does not contain all of them.
fn ids(task: &UnitTask) -> Option<Vec<(&AccountId, Option<&Reseller>)>> {
    let members = &task.unit.members;
    let first = DesiredState::of(members.first()?);
    let mut ids = vec![(first.target()?, first.reseller)];
    for member in members {
        let desired = DesiredState::of(member);
        ids.push((desired.account?, desired.reseller));
    }
    Some(ids)
}

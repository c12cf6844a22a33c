//! One unit, from its first call to its last outcome: alone, as a chain, or as a cycle.

use super::case::Case;
use super::customer_state::{CustomerState, DesiredState};
use super::halt::OrHalt;
use super::locate::same_customer;
use super::lookup::LookupCache;
use super::{Context, Halt, UnitTask, WriteLog};
use crate::domain::{AccountId, CustomerId, Reseller};
use crate::plan::{Member, Shape};

/// Carries one unit out (or, in a plan, says what would be done).
pub(super) async fn carry_out<N: WriteLog>(
    context: &Context<N>,
    task: &UnitTask,
    seen: &LookupCache,
) -> Result<(), Halt> {
    // Boxed, as is each write (`Case::write`): the state of each is kilobytes, which a task would otherwise hold, and
    // move, from its beginning to its end.
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

/// From the free end: each rename frees the ID that the next one waits for. Where one fails, those behind it
/// are blocked and stay as they were.
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
            // In a plan it still carries the ID that the next one waits for.
            freed.extend(case.found_before().cloned());
            continue;
        }
        // The chain goes on later exactly where it stops now.
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
        let renamed_well = match located.or_halt()? {
            Err(trouble) => {
                case.fail(&trouble).await?;
                !asks_rename
            }
            Ok(state) if freed.contains(&state.id) => {
                case.fail(&same_customer(&state.id)).await?;
                !asks_rename
            }
            Ok(mut state) => {
                freed.push(state.id.clone());
                case.onward(&mut state, &freed).await?.is_done()
            }
        };
        if !renamed_well {
            blocked = Some(waiting_for(member));
        }
    }
    Ok(())
}

/// The customer that an earlier run meant by these lines, where it is already as requested: it waits for no other.
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

/// The task, with the customers of its first members told instead of searched.
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

/// How far an earlier run got, told from the IDs alone: a chain of n renames has n + 1 IDs and n customers,
/// so exactly one ID is free. At the far end: nothing was done. Anywhere else: what lies beyond the gap was.
///
/// Returns the customers of the members that are done, in their order. Where a customer is named by the file
/// or known from this run, nothing has to be guessed and nothing is.
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
        // The far end is free: a chain that was never begun, and nothing more to ask.
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

/// The chain's IDs from the free end; `None` where one is not known from the file.
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

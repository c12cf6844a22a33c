//! Account IDs that are exchanged in a cycle: one customer is parked under a temporary ID, the others get their new
//! IDs, then the parked one gets its own. If that cannot be completed, all customers are rolled back.
//!
//! The only state between steps is in the system and in the ledger. So a run that was killed at any point continues
//! here: it reads the customers, and gives its new ID to each customer that can get it.

use super::case::Case;
use super::customer_state::{CustomerState, DesiredState};
use super::cycle_state::{Broken, CycleMember, CycleState, Stuck};
use super::halt::OrHalt;
use super::known_customers::altered_by;
use super::locate::same_customer;
use super::lookup::LookupCache;
use super::write_result::{Sent, StepOutcome};
use super::{Context, Halt, UnitTask, WriteLog};
use crate::domain::{CustomerId, Failed, Line, Outcome, Status, StoredValue};
use crate::ledger::Write;
use crate::system::SystemError;
use std::collections::{HashMap, HashSet};

/// Maximum number of times that customers get their final account IDs again after a late write has parked one of them.
const MOST_ROUNDS: u32 = 3;

/// The outcomes that an earlier process of this run recorded for lines of the cycle; this process must not contradict
/// them. Lines get their outcomes when all customers have their new IDs, or when all are rolled back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PriorOutcomes {
    Nothing,
    /// All customers had their new IDs: no customer is rolled back any more.
    Completed,
    /// All customers were to be rolled back: no customer gets its new ID any more.
    RolledBack,
}

impl PriorOutcomes {
    fn of(task: &UnitTask) -> Self {
        let done: HashSet<Line> = task.done.iter().map(|done| done.line).collect();
        let mut is_over: HashMap<Line, bool> = HashMap::new();
        for member in &task.unit.members {
            let over = member.changes.iter().all(|one| done.contains(&one.line));
            let renames = member.changes.iter().filter(|one| one.new_account.asks());
            is_over.extend(renames.map(|change| (change.line, over)));
        }
        // A line that failed in a plan decides nothing for its customer while other lines of the customer are still open.
        let says = |done: &&Outcome| {
            let over = is_over.get(&done.line);
            over.is_some_and(|over| *over || done.attempts > 0)
        };
        let recorded = || task.done.iter().filter(says);
        // A line can fail although its customer has the new ID: when its location could not be written.
        let renamed_before = |done: &Outcome| match done.status {
            Status::Changed => true,
            Status::Failed(_) => {
                let moved = done.account.after != done.account.before;
                let mut changes = task.unit.changes().filter(|one| one.line == done.line);
                moved && changes.any(|one| one.new_account.id() == done.account.after.as_ref())
            }
            _ => false,
        };
        if recorded().any(renamed_before) {
            Self::Completed
        } else if recorded().any(|done| matches!(done.status, Status::Failed(_))) {
            Self::RolledBack
        } else {
            Self::Nothing
        }
    }
}

pub(super) async fn carry_out<N: WriteLog>(
    context: &Context<N>,
    task: &UnitTask,
    seen: &LookupCache,
) -> Result<(), Halt> {
    let cases: Vec<Case<'_, N>> = task
        .unit
        .members
        .iter()
        .map(|member| Case::new(context, task, member, seen))
        .collect();
    if cases.iter().all(Case::is_done) {
        return restore_parked(task, cases).await;
    }
    let Some(mut members) = locate_members(context, task, cases).await? else {
        return Ok(());
    };
    let own: Vec<CustomerId> = members.iter().map(|one| one.state.id.clone()).collect();
    if context.is_plan() {
        return plan(&mut members, &own).await;
    }
    if context.only_resolves() && !members.iter().any(CycleMember::is_displaced) {
        return Err(Halt::Stopping);
    }
    let mut cycle = CycleState::of(members, &context.settings.run);
    let earlier = PriorOutcomes::of(task);
    let mut rounds = 0;
    let broken = loop {
        let broken = if earlier == PriorOutcomes::RolledBack
            && !cycle.members.iter().all(CycleMember::is_renamed)
        {
            Some(Broken::Before)
        } else {
            cycle.assign().await?.map(Broken::Now)
        };
        rounds += 1;
        if broken.is_some() || rounds > MOST_ROUNDS || !cycle.is_parked_late().await? {
            break broken;
        }
    };
    match broken {
        None => finish(&mut cycle.members, None).await,
        // No rollback before all present IDs are known: it would give two customers one ID, or only cost calls. The lines of
        // the others stay open: nothing is decided for them yet.
        Some(Broken::Now(stuck @ Stuck { in_doubt: true, .. })) => {
            let mut members = cycle.members.iter_mut();
            let doubted = members.find(|one| one.desired.rename_line == stuck.line);
            match doubted.filter(|one| one.case.has_open_rename()) {
                Some(one) => {
                    let renamed = StepOutcome::InDoubt(stuck.trouble, stuck.sent);
                    one.case.finish_lines(&mut one.state, &renamed).await
                }
                None => wait_for(stuck.line, &mut cycle.members).await,
            }
        }
        Some(broken) if earlier == PriorOutcomes::Completed => {
            finish(&mut cycle.members, Some((broken, None))).await
        }
        Some(broken) => {
            let mut rounds = 0;
            let unsettled = loop {
                let unsettled = cycle.roll_back().await?;
                rounds += 1;
                if unsettled.is_some() || rounds > MOST_ROUNDS || !cycle.is_parked_late().await? {
                    break unsettled;
                }
            };
            finish(&mut cycle.members, Some((broken, unsettled))).await
        }
    }
}

/// Gives parked customers the account IDs that their lines report. All lines of the cycle have their outcomes, but a
/// write that parks a customer may have taken effect since. No other customer is changed.
async fn restore_parked<N: WriteLog>(task: &UnitTask, cases: Vec<Case<'_, N>>) -> Result<(), Halt> {
    let earlier = PriorOutcomes::of(task);
    for case in cases {
        if !case.recorded().any(|one| one.intent.write.is_temporary()) {
            continue;
        }
        let Ok(mut state) = case.locate().await.or_halt()? else {
            continue;
        };
        if state.parked.is_none() {
            continue;
        }
        let desired = DesiredState::of(case.member);
        let final_id = match earlier {
            PriorOutcomes::Completed => desired.target().cloned(),
            PriorOutcomes::Nothing | PriorOutcomes::RolledBack => state.original.clone(),
        };
        let free = case.check_free_now(&state, final_id.as_ref()).await;
        if free.or_halt()?.is_ok() {
            case.move_to(&mut state, desired.rename_line, final_id, false)
                .await?;
        }
    }
    Ok(())
}

/// Finds all customers before any is changed. Returns `None` if one was not found; all lines then have that outcome.
async fn locate_members<'a, N: WriteLog>(
    context: &'a Context<N>,
    task: &UnitTask,
    cases: Vec<Case<'a, N>>,
) -> Result<Option<Vec<CycleMember<'a, N>>>, Halt> {
    let mut members = Vec::with_capacity(cases.len());
    let mut found = HashSet::with_capacity(cases.len());
    let mut lost: Vec<(Case<'a, N>, SystemError)> = Vec::new();
    for case in cases {
        match case.locate().await.or_halt()? {
            Ok(state) if found.contains(&state.id) => {
                lost.push((case, same_customer(&state.id)));
            }
            Ok(mut state) => {
                if let Err(trouble) = case.check_locations(&mut state).await.or_halt()? {
                    lost.push((case, trouble));
                    continue;
                }
                found.insert(state.id.clone());
                let is_rolled_back = is_rolled_back(task, &state);
                members.push(CycleMember {
                    desired: DesiredState::of(case.member),
                    state,
                    sent: Sent::default(),
                    may_land_late: false,
                    is_rolled_back,
                    case,
                });
            }
            Err(trouble) => lost.push((case, trouble)),
        }
    }
    if lost.is_empty() {
        return Ok(Some(members));
    }
    let why = lost
        .iter()
        .map(|(case, _)| DesiredState::of(case.member).rename_line.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    // An earlier attempt may already have moved some of the customers that were found.
    let mut cycle = CycleState::of(members, &context.settings.run);
    let unseen = lost.iter().filter(|(case, why)| case.leaves_in_doubt(why));
    let has_open_rename = unseen.clone().any(|(case, _)| case.has_open_rename());
    let unseen = unseen.map(|(case, _)| DesiredState::of(case.member).rename_line);
    let unseen = unseen.min();
    let is_decided = context.is_plan() || PriorOutcomes::of(task) == PriorOutcomes::Completed;
    let unsettled = if is_decided || unseen.is_some() {
        None
    } else {
        cycle.roll_back().await?
    };
    for (case, trouble) in lost {
        case.fail(&trouble).await?;
    }
    if let Some(line) = unseen.filter(|_| !is_decided) {
        // No customer is moved before all present IDs are known. The lines of the others stay open.
        if !has_open_rename {
            wait_for(line, &mut cycle.members).await?;
        }
        return Ok(None);
    }
    let words = format!("the swap cannot be completed: see line {why}");
    for one in &mut cycle.members {
        let renamed = match &unsettled {
            Some(trouble) if one.is_displaced() => {
                StepOutcome::InDoubt(trouble.clone(), one.sent.clone())
            }
            None if one.is_displaced() && one.is_renamed() => StepOutcome::Done(one.sent.clone()),
            _ => StepOutcome::Failed(
                SystemError::new(Failed::Blocked, words.clone()),
                Sent::default(),
            ),
        };
        one.case.finish_lines(&mut one.state, &renamed).await?;
    }
    Ok(None)
}

/// Records that the open lines of a swap wait for a line in doubt, if that line has its outcome already: otherwise no
/// outcome would show why these lines are open.
async fn wait_for<N: WriteLog>(line: Line, members: &mut [CycleMember<'_, N>]) -> Result<(), Halt> {
    let words = format!(
        "waits for line {line} of the swap, whose customer's present account ID is not known"
    );
    for one in members {
        let why = SystemError::new(Failed::Blocked, words.clone());
        let waiting = StepOutcome::InDoubt(why, one.sent.clone());
        one.case.finish_lines(&mut one.state, &waiting).await?;
    }
    Ok(())
}

/// Returns whether an earlier process of this run has rolled the customer back, to the former account ID in the
/// spelling in which the system stores it.
fn is_rolled_back(task: &UnitTask, state: &CustomerState) -> bool {
    let seen = StoredValue::Account(state.now.clone());
    task.recorded.iter().any(|recorded| {
        let intent = &recorded.intent;
        let restores =
            matches!(&intent.write, Write::Account { after, .. } if *after == state.original);
        intent.customer == state.id && restores && altered_by(recorded, &seen).is_some()
    })
}

async fn plan<N: WriteLog>(
    members: &mut [CycleMember<'_, N>],
    own: &[CustomerId],
) -> Result<(), Halt> {
    for one in members {
        let mut state = one.state.clone();
        one.case.onward(&mut state, own).await?;
    }
    Ok(())
}

async fn finish<N: WriteLog>(
    members: &mut [CycleMember<'_, N>],
    broken: Option<(Broken, Option<SystemError>)>,
) -> Result<(), Halt> {
    for one in members {
        let renamed = match &broken {
            None if one.is_displaced() => StepOutcome::Done(one.sent.clone()),
            None => StepOutcome::Already,
            Some((broken, unsettled)) => one.after(broken, unsettled.as_ref()),
        };
        one.case.finish_lines(&mut one.state, &renamed).await?;
    }
    Ok(())
}

impl<N: WriteLog> CycleMember<'_, N> {
    /// Returns the outcome of the rename for a line of a cycle that was not completed.
    fn after(&self, broken: &Broken, unsettled: Option<&SystemError>) -> StepOutcome {
        if let Some(trouble) = unsettled
            && self.is_displaced()
        {
            return StepOutcome::InDoubt(trouble.clone(), self.sent.clone());
        }
        if unsettled.is_none() && self.is_displaced() && self.is_renamed() {
            return StepOutcome::Done(self.sent.clone());
        }
        match broken {
            Broken::Now(stuck) if stuck.line == self.desired.rename_line => {
                StepOutcome::Failed(stuck.trouble.clone(), stuck.sent.clone())
            }
            Broken::Now(_) | Broken::Before if self.is_rolled_back => {
                let words = "the swap was rolled back, and the system stored the former account ID in another spelling";
                StepOutcome::Failed(SystemError::new(Failed::Altered, words), self.sent.clone())
            }
            Broken::Now(_) | Broken::Before => {
                let words = "another line of the swap failed, so it was rolled back";
                StepOutcome::Failed(SystemError::new(Failed::Blocked, words), self.sent.clone())
            }
        }
    }
}

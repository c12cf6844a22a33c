//! Which customer a line means, and how that customer stands now.
//!
//! The rule of the house: an exact match or nothing. None found under the current account ID, the new one is
//! asked for, because an earlier run may have done the work. What a plan or this run has settled on is read
//! again under its own ID, never searched.

use super::context::Asked;
use super::lookup::Sightings;
use super::{Context, Halt, Job, Notes};
use crate::domain::{
    AccountId, Change, CustomerId, Failed, Line, LocationId, NewAccount, Reseller,
};
use crate::ledger::{Judgement, Recorded, Seen, Settled, Spot, Verdict, Write, judge};
use crate::plan::{Member, Shape};
use crate::system::{Customer, Locations, Trouble};
use std::collections::HashMap;
use tokio::time::Instant;

/// How a member's customer stands.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) id: CustomerId,
    pub(super) reseller: Option<Reseller>,
    /// The account ID now.
    pub(super) now: Option<AccountId>,
    /// The account ID before the first write of this run.
    pub(super) original: Option<AccountId>,
    pub(super) locations: Locations,
    /// Locations as they were before the first write of this run, where there was one.
    pub(super) original_spots: HashMap<LocationId, Spot>,
    pub(super) read_at: Instant,
    pub(super) contacts: Option<u32>,
    pub(super) owner: Option<String>,
    /// The parking ID that the customer carries now, if it does.
    pub(super) parked: Option<AccountId>,
}

/// What the lines of one customer have in common.
pub(super) struct Wishes<'a> {
    pub(super) account: Option<&'a AccountId>,
    pub(super) customer: Option<&'a CustomerId>,
    pub(super) reseller: Option<&'a Reseller>,
    pub(super) new_account: &'a NewAccount,
    /// The line that the rename is noted under.
    pub(super) rename_line: u32,
    pub(super) locations: bool,
}

impl<'a> Wishes<'a> {
    pub(super) fn of(member: &'a Member) -> Self {
        let changes = &member.changes;
        let rename = changes.iter().find(|change| change.new_account.asks());
        Self {
            account: changes.iter().find_map(|change| change.account.as_ref()),
            customer: changes.iter().find_map(|change| change.customer.as_ref()),
            reseller: changes.iter().find_map(|change| change.reseller.as_ref()),
            new_account: rename.map_or(&NewAccount::Keep, |change| &change.new_account),
            rename_line: rename.or(changes.first()).map_or(0, |change| change.line),
            locations: changes.iter().any(Change::asks_location),
        }
    }

    /// The ID that the customer is to carry in the end, where one is asked for.
    pub(super) fn target(&self) -> Option<&'a AccountId> {
        self.new_account.id()
    }

    /// Whether this account ID is what the lines ask for.
    pub(super) fn is_fulfilled_by(&self, now: Option<&AccountId>) -> bool {
        match self.new_account {
            NewAccount::Keep => true,
            NewAccount::Set(id) => now == Some(id),
            NewAccount::Clear => now.is_none(),
        }
    }
}

/// Finds the customer of a member, or says why it cannot be told.
pub(super) async fn locate<N: Notes>(
    context: &Context<N>,
    job: &Job,
    member: &Member,
    seen: &Sightings,
) -> Asked<Standing> {
    let wishes = Wishes::of(member);
    let located = if let Some(id) = job.settled_customer(member) {
        settled(context, job, member, id, &wishes, seen).await?
    } else if let Some(recalled) = recalled(context, job, member, &wishes, seen).await? {
        recalled
    } else if let Some(account) = wishes.account {
        searched(context, account, &wishes, seen, neighbour(job, member)).await?
    } else if let Some(id) = wishes.customer {
        addressed(context, id, &wishes, seen).await?
    } else {
        Err(Trouble::new(Failed::Invalid, "the line names no customer"))
    };
    match located {
        Ok(standing) => {
            let fenced = fenced(context, standing).await?;
            Ok(fenced.and_then(|standing| uncrossed(context, job, member, standing)))
        }
        Err(trouble) => Ok(Err(trouble)),
    }
}

/// Refuses a customer of whom another line, which names it by its other ID, wants something else.
fn uncrossed<N: Notes>(
    context: &Context<N>,
    job: &Job,
    member: &Member,
    standing: Standing,
) -> Result<Standing, Trouble> {
    let against = context.settings.crossing.as_ref().and_then(|crossing| {
        let account = standing.original.as_ref();
        crossing.against(&job.unit, member, &standing.id, account)
    });
    let Some(line) = against else {
        return Ok(standing);
    };
    let words = format!(
        "line {line} names this customer too, by its other ID, and wants something else of it; nothing was written"
    );
    Err(Trouble::new(Failed::Invalid, words))
}

/// The customer that this run or its plan has settled on, as it is now.
async fn settled<N: Notes>(
    context: &Context<N>,
    job: &Job,
    member: &Member,
    id: &CustomerId,
    wishes: &Wishes<'_>,
    seen: &Sightings,
) -> Asked<Standing> {
    let (customer, at) = match present(context, id, wishes, seen).await? {
        Ok(found) => found,
        Err(trouble) => return Ok(Err(trouble)),
    };
    let mut standing = Standing::of(customer, wishes.reseller, at);
    let lines: Vec<_> = member.changes.iter().map(|change| change.line).collect();
    let mine = job
        .recorded
        .iter()
        .filter(|write| lines.contains(&write.intent.line));
    hear_of(context, mine.clone(), standing.now.as_ref()).await?;
    let mut written = false;
    for write in mine {
        match &write.intent.write {
            Write::Account {
                before,
                after,
                temporary,
            } => {
                if !written {
                    standing.original.clone_from(before);
                    written = true;
                }
                if *temporary && standing.now == *after {
                    standing.parked.clone_from(after);
                }
            }
            Write::Location {
                location, before, ..
            } => {
                standing
                    .original_spots
                    .entry(location.clone())
                    .or_insert_with(|| before.clone());
            }
        }
    }
    if written {
        return Ok(standing.left_by_this_run(wishes));
    }
    let planned = job
        .expected
        .iter()
        .find(|outcome| lines.contains(&outcome.line));
    // Known by its own ID, it would be written to under whatever account ID somebody else has given it meanwhile.
    let believed = match planned.map(|planned| planned.account.before.as_ref()) {
        // What is undone at a location says nothing of the account ID.
        Some(None) if !wishes.new_account.asks() => None,
        Some(before) => Some(before),
        None => wishes.account.map(Some),
    };
    let now = standing.now.as_ref();
    let renamed = wishes.new_account.asks() && wishes.is_fulfilled_by(now);
    if let Some(believed) = believed.filter(|believed| *believed != now && !renamed) {
        return Ok(Err(moved_on(believed, now)));
    }
    Ok(Ok(standing))
}

/// The last write of an account ID, if its answer was never noted, is judged by what the system says now. Whatever
/// becomes of the line, nothing is left open that was never done.
async fn hear_of<'a, N: Notes>(
    context: &Context<N>,
    writes: impl Iterator<Item = &'a Recorded>,
    now: Option<&AccountId>,
) -> Result<(), Halt> {
    let last = writes
        .filter(|write| matches!(write.intent.write, Write::Account { .. }))
        .last();
    let Some(open) = last.filter(|write| write.in_doubt()) else {
        return Ok(());
    };
    let verdict = match judge(&open.intent.write, Seen::Account(now)) {
        Judgement::TookEffect => Verdict::Applied,
        Judgement::DidNot => Verdict::NotApplied,
        Judgement::SomebodyElse => return Ok(()),
    };
    let settled = Settled {
        verdict,
        http_status: open.http_status,
    };
    Ok(context.notes.settle(open.id, settled).await?)
}

/// The sentence for a customer that somebody else changed.
pub(super) fn moved_on(expected: Option<&AccountId>, now: Option<&AccountId>) -> Trouble {
    let say = |id: Option<&AccountId>| id.map_or("none".to_owned(), |id| format!("`{id}`"));
    Trouble::new(
        Failed::Stale,
        format!(
            "somebody else changed this customer: its account ID was {}, now it is {}; nothing was written",
            say(expected),
            say(now)
        ),
    )
}

/// The customer that an earlier run meant by the same line: it carries the old account ID or already the new one.
///
/// Where it carries neither, or cannot be read, a line that stands alone is looked for anew. One of a chain or a swap is
/// not: whoever is found under its ID now may well be another line's customer.
async fn recalled<N: Notes>(
    context: &Context<N>,
    job: &Job,
    member: &Member,
    wishes: &Wishes<'_>,
    seen: &Sightings,
) -> Result<Option<Result<Standing, Trouble>>, Halt> {
    let Some(id) = job.recalled_customer(member) else {
        return Ok(None);
    };
    if wishes.customer.is_some_and(|given| given != id) {
        return Ok(None);
    }
    let alone = job.unit.shape == Shape::Single && context.system.facts().unique_accounts;
    let (customer, at) = match present(context, id, wishes, seen).await? {
        Ok(found) => found,
        Err(trouble) => return Ok((!alone).then_some(Err(trouble))),
    };
    let standing = Standing::of(customer, wishes.reseller, at);
    let now = standing.now.as_ref();
    if now == wishes.account || wishes.is_fulfilled_by(now) {
        return Ok(Some(Ok(standing)));
    }
    let moved = moved_on(wishes.account, now);
    Ok((!alone).then_some(Err(moved)))
}

/// The customer with this ID as it is now, from the look-up where that is recent enough.
async fn present<N: Notes>(
    context: &Context<N>,
    id: &CustomerId,
    wishes: &Wishes<'_>,
    seen: &Sightings,
) -> Asked<(Customer, Instant)> {
    if let Some([customer]) = seen.customer(id, wishes.reseller)
        && seen.at().elapsed() <= context.settings.max_age
    {
        return Ok(Ok((customer.clone(), seen.at())));
    }
    let at = Instant::now();
    let trouble = match context.read(id, wishes.reseller, wishes.locations).await? {
        Ok(Some(customer)) => return Ok(Ok((customer, at))),
        Ok(None) => Trouble::new(Failed::NotFound, format!("there is no customer `{id}`")),
        Err(trouble) => trouble,
    };
    // Where single customers cannot be read, the search still tells who carries which account ID.
    for account in [wishes.account, wishes.target()].into_iter().flatten() {
        if let Ok(found) = context.find(account, wishes.reseller).await?
            && let Some(customer) = found.into_iter().find(|customer| customer.id == *id)
        {
            return Ok(Ok((customer, at)));
        }
    }
    Ok(Err(trouble))
}

/// The line of this chain or swap whose customer has the ID that the member wants. Whoever is found under that ID is
/// then that line's customer and not, as it would be of a line that stands alone, this one's after its rename.
fn neighbour(job: &Job, member: &Member) -> Option<Line> {
    let wishes = Wishes::of(member);
    // A line that names its customer can tell them apart.
    let target = wishes.target().filter(|_| wishes.customer.is_none())?;
    let others = job
        .unit
        .members
        .iter()
        .filter(|other| other.first_line() != member.first_line())
        .map(Wishes::of);
    let mut holders = others.filter(|other| other.account == Some(target));
    holders.next().map(|other| other.rename_line)
}

/// The customer that carries this account ID, or already the new one.
async fn searched<N: Notes>(
    context: &Context<N>,
    account: &AccountId,
    wishes: &Wishes<'_>,
    seen: &Sightings,
    neighbour: Option<Line>,
) -> Asked<Standing> {
    if let Some(found) = fresh(context, seen.account(account, wishes.reseller), seen) {
        let found = context.before_this_run(account, found.to_vec());
        if !found.is_empty() {
            return Ok(choose(account, found, wishes, seen.at()));
        }
    }
    let known_absent = seen
        .account(account, wishes.reseller)
        .is_some_and(<[_]>::is_empty);
    if known_absent
        && neighbour.is_none()
        && context.system.facts().unique_accounts
        && let Some(target) = wishes.target()
        && let Some([customer]) = fresh(context, seen.account(target, wishes.reseller), seen)
        && wishes.customer.is_none_or(|id| *id == customer.id)
    {
        return Ok(Ok(Standing::of(
            customer.clone(),
            wishes.reseller,
            seen.at(),
        )));
    }
    let at = Instant::now();
    match context.find(account, wishes.reseller).await? {
        Err(trouble) => return Ok(Err(trouble)),
        Ok(found) => {
            let found = context.before_this_run(account, found);
            if !found.is_empty() {
                return Ok(choose(account, found, wishes, at));
            }
        }
    }
    let nobody = || {
        Trouble::new(
            Failed::NotFound,
            format!("no customer has the account ID `{account}`"),
        )
    };
    let Some(target) = wishes.target().filter(|target| *target != account) else {
        return cleared(context, account, wishes, nobody()).await;
    };
    if let Some(line) = neighbour {
        let words = format!(
            "no customer has the account ID `{account}`, and `{target}` is that of line {line}'s"
        );
        return Ok(Err(Trouble::new(Failed::NotFound, words)));
    }
    match context.find(target, wishes.reseller).await? {
        Err(trouble) => Ok(Err(trouble)),
        Ok(found) => Ok(
            match <[Customer; 1]>::try_from(context.before_this_run(target, found)) {
                Ok([customer]) if wishes.customer.is_none_or(|id| *id == customer.id) => {
                    Ok(Standing::of(customer, wishes.reseller, at))
                }
                Ok([customer]) => Err(Trouble::new(
                    Failed::NotFound,
                    format!(
                        "no customer has the account ID `{account}`, and `{target}` belongs to customer `{}`",
                        customer.id
                    ),
                )),
                Err(none) if none.is_empty() => Err(nobody()),
                Err(several) => Err(ambiguous(target, &several)),
            },
        ),
    }
}

/// Nobody carries the account ID; where it was to be removed and the customer is named, that may be done.
async fn cleared<N: Notes>(
    context: &Context<N>,
    _account: &AccountId,
    wishes: &Wishes<'_>,
    nobody: Trouble,
) -> Asked<Standing> {
    let (NewAccount::Clear, Some(id)) = (wishes.new_account, wishes.customer) else {
        return Ok(Err(nobody));
    };
    let at = Instant::now();
    Ok(
        match context.read(id, wishes.reseller, wishes.locations).await? {
            Ok(Some(customer)) if customer.account.is_none() => {
                Ok(Standing::of(customer, wishes.reseller, at))
            }
            Ok(_) => Err(nobody),
            Err(trouble) => Err(trouble),
        },
    )
}

fn fresh<'a, N: Notes>(
    context: &Context<N>,
    found: Option<&'a [Customer]>,
    seen: &Sightings,
) -> Option<&'a [Customer]> {
    found.filter(|_| seen.at().elapsed() <= context.settings.max_age)
}

/// One of those who carry the account ID: the only one, or the one that the line names.
fn choose(
    account: &AccountId,
    found: Vec<Customer>,
    wishes: &Wishes<'_>,
    at: Instant,
) -> Result<Standing, Trouble> {
    let named = wishes.customer;
    match <[Customer; 1]>::try_from(found) {
        Ok([only]) if named.is_none_or(|id| *id == only.id) => {
            Ok(Standing::of(only, wishes.reseller, at))
        }
        Ok([only]) => Err(Trouble::new(
            Failed::Mismatch,
            format!(
                "account ID `{account}` belongs to customer `{}`, not to `{}`",
                only.id,
                named.map_or("", CustomerId::as_str)
            ),
        )),
        Err(several) => match several.iter().find(|customer| named == Some(&customer.id)) {
            Some(customer) => Ok(Standing::of(customer.clone(), wishes.reseller, at)),
            None => Err(ambiguous(account, &several)),
        },
    }
}

fn ambiguous(account: &AccountId, several: &[Customer]) -> Trouble {
    let ids: Vec<_> = several
        .iter()
        .take(5)
        .map(|customer| format!("`{}`", customer.id))
        .collect();
    Trouble::new(
        Failed::Ambiguous,
        format!(
            "{} customers have the account ID `{account}` ({}): name one in `customerId`",
            several.len(),
            ids.join(", ")
        ),
    )
}

/// The customer that the line names by the system's own ID.
async fn addressed<N: Notes>(
    context: &Context<N>,
    id: &CustomerId,
    wishes: &Wishes<'_>,
    seen: &Sightings,
) -> Asked<Standing> {
    Ok(present(context, id, wishes, seen)
        .await?
        .map(|(customer, at)| Standing::of(customer, wishes.reseller, at)))
}

/// Refuses customers of another tenant. Where the answer does not say whose the customer is, it is read
/// once more; still unsaid means no.
async fn fenced<N: Notes>(context: &Context<N>, standing: Standing) -> Asked<Standing> {
    let Some(fence) = &context.settings.fence else {
        return Ok(Ok(standing));
    };
    let mut owner = standing.owner.clone();
    if owner.is_none() {
        match context
            .read(&standing.id, standing.reseller.as_ref(), false)
            .await?
        {
            Ok(Some(customer)) => owner = customer.owner,
            Ok(None) => {}
            Err(trouble) => return Ok(Err(trouble)),
        }
    }
    Ok(match owner {
        Some(owner) if owner == *fence => Ok(standing),
        Some(owner) => Err(Trouble::new(
            Failed::Forbidden,
            format!(
                "customer `{}` belongs to `{owner}`, outside of the fence `{fence}`",
                standing.id
            ),
        )),
        None => Err(Trouble::new(
            Failed::Forbidden,
            format!(
                "the system does not say whether customer `{}` belongs to `{fence}`",
                standing.id
            ),
        )),
    })
}

impl Standing {
    fn of(customer: Customer, reseller: Option<&Reseller>, at: Instant) -> Self {
        Self {
            id: customer.id,
            reseller: reseller.cloned(),
            original: customer.account.clone(),
            now: customer.account,
            locations: customer.locations,
            original_spots: HashMap::new(),
            read_at: at,
            contacts: customer.contacts,
            parked: None,
            owner: customer.owner,
        }
    }

    /// After an interruption the customer must stand where one of this run's writes put it; anything else
    /// is somebody else's doing.
    fn left_by_this_run(self, wishes: &Wishes<'_>) -> Result<Self, Trouble> {
        let ours = self.parked.is_some()
            || self.now == self.original
            || wishes.is_fulfilled_by(self.now.as_ref());
        if ours {
            Ok(self)
        } else {
            Err(moved_on(self.original.as_ref(), self.now.as_ref()))
        }
    }
}

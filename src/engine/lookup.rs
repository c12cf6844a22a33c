//! Looks up many customers with few calls: the number of calls is limited, and the writes already need a call each.
//!
//! A batch of tasks is looked up together, the current account IDs and the new ones at the same time. So it is known
//! before any write which new IDs other customers have. The results carry the time at which they were read, and are no
//! longer returned when they are too old to base a write on.

use super::{Context, Event, Halt, Lookup, UnitTask, WriteLog};
use crate::domain::{AccountId, Change, CustomerId, Reseller};
use crate::moment::Moment;
use crate::plan::Member;
use crate::system::{Bulk, Customer, Fatal, Key, SystemError, Wanted};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a bulk look-up saw, and when.
#[derive(Debug)]
pub(super) struct LookupCache {
    at: Moment,
    max_age: Duration,
    seen: HashMap<Wanted, Vec<Customer>, foldhash::fast::RandomState>,
}

impl LookupCache {
    /// Makes an empty cache.
    pub(super) fn none() -> Self {
        Self {
            at: Moment::now(),
            max_age: Duration::ZERO,
            seen: HashMap::default(),
        }
    }

    /// Returns when the results were read.
    pub(super) fn at(&self) -> Moment {
        self.at
    }

    /// The customers that have this account ID; `None`: it was not looked up, or too long ago.
    pub(super) fn account(
        &self,
        account: &AccountId,
        reseller: Option<&Reseller>,
    ) -> Option<&[Customer]> {
        self.recent(|| Key::Account(account.clone()), reseller)
    }

    /// The customer with this ID; `None`: it was not looked up, or too long ago.
    pub(super) fn customer(
        &self,
        id: &CustomerId,
        reseller: Option<&Reseller>,
    ) -> Option<&[Customer]> {
        self.recent(|| Key::Customer(id.clone()), reseller)
    }

    fn recent(
        &self,
        key: impl FnOnce() -> Key,
        reseller: Option<&Reseller>,
    ) -> Option<&[Customer]> {
        self.get(key, reseller)
            .filter(|_| self.at.elapsed() <= self.max_age)
    }

    fn get(&self, key: impl FnOnce() -> Key, reseller: Option<&Reseller>) -> Option<&[Customer]> {
        if self.seen.is_empty() {
            return None;
        }
        self.seen
            .get(&Wanted {
                key: key(),
                reseller: reseller.cloned(),
            })
            .map(Vec::as_slice)
    }
}

/// Looks up a batch of tasks together, if the system allows it.
pub(super) async fn look_up<N: WriteLog>(
    context: &Context<N>,
    tasks: &[UnitTask],
) -> Result<LookupCache, Halt> {
    if !context.bulk.load(Ordering::Relaxed) {
        return Ok(LookupCache::none());
    }
    let wanted = wanted(tasks, context.system.capabilities().unique_accounts);
    if wanted.is_empty() {
        return Ok(LookupCache::none());
    }
    let locations = tasks
        .iter()
        .any(|task| task.unit.changes().any(Change::asks_location));
    let number = context.write_breaker.number();
    match context.system.find_many(&wanted, locations).await {
        Ok(Bulk::Found(found, at)) => {
            context.token_is_good();
            context.write_breaker.looked_up(number);
            context.bulk_worked.store(true, Ordering::Relaxed);
            Ok(LookupCache {
                at,
                max_age: context.settings.max_age,
                seen: wanted.into_iter().zip(found).collect(),
            })
        }
        Ok(Bulk::Refused(why)) => refused(context, why),
        Err(SystemError {
            fatal: Some(fatal),
            message,
            ..
        }) => Err(Halt::Fatal(fatal, message)),
        Err(trouble) => refused(context, trouble.message),
    }
}

/// Lets the lines of this batch be looked up one by one. If a bulk look-up has never worked, none is tried again.
fn refused<N: WriteLog>(context: &Context<N>, why: String) -> Result<LookupCache, Halt> {
    if context.settings.lookup == Lookup::Bulk {
        return Err(Halt::Fatal(Fatal::BulkRefused, why));
    }
    let worked = context.bulk_worked.load(Ordering::Relaxed);
    if !worked && context.bulk.swap(false, Ordering::Relaxed) {
        context.emit(Event::BulkRefused { why });
    }
    Ok(LookupCache::none())
}

fn wanted(tasks: &[UnitTask], targets: bool) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for task in tasks {
        for member in &task.unit.members {
            want(task, member, targets, &mut wanted);
        }
    }
    wanted.sort_unstable_by(|a, b| key_of(a).cmp(&key_of(b)));
    wanted.dedup();
    wanted
}

fn want(task: &UnitTask, member: &Member, targets: bool, wanted: &mut Vec<Wanted>) {
    if member
        .changes
        .iter()
        .all(|change| task.is_done(change.line))
    {
        return;
    }
    let reseller = member
        .changes
        .first()
        .and_then(|change| change.reseller.clone());
    let mut add = |key| {
        wanted.push(Wanted {
            key,
            reseller: reseller.clone(),
        });
    };
    if let Some(id) = task.known_customer(member) {
        add(Key::Customer(id.clone()));
    }
    let moving = member
        .changes
        .iter()
        .find_map(|change| change.new_account.id());
    if let Some(account) = member
        .changes
        .iter()
        .find_map(|change| change.account.as_ref())
    {
        if task.customer_by_this_run(member).is_none() {
            add(Key::Account(account.clone()));
        }
    } else if let Some(id) = member
        .changes
        .iter()
        .find_map(|change| change.customer.as_ref())
    {
        add(Key::Customer(id.clone()));
    }
    if let Some(target) = moving
        && targets
    {
        add(Key::Account(target.clone()));
    }
}

fn key_of(wanted: &Wanted) -> (u8, &str, Option<&Reseller>) {
    match &wanted.key {
        Key::Account(id) => (0, id.as_str(), wanted.reseller.as_ref()),
        Key::Customer(id) => (1, id.as_str(), wanted.reseller.as_ref()),
    }
}

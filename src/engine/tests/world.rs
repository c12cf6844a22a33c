//! A model of a system: customers in a map, answers after a while, and every fault that a call can have.

mod backend;
mod pauses;

use crate::domain::{AccountId, CustomerId, Failed, LocationId, ServiceId, StoredValue};
use crate::engine::write::JUST_SEEN;
use crate::moment;
use crate::system::{Customer, Fatal, Location, Locations, SystemError, Written};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

pub(super) use pauses::{Frozen, LONGEST_WAY, Pauses, pause};

/// A customer with one location; the location's ID is the customer's with `L` before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) account: String,
    pub(super) service: String,
}

/// What the system saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// A search, a bulk look-up or a reading, and the customers that its answer shows; none if it fails.
    Look(Vec<String>),
    /// The answer to the look at this place of the log has reached the run. An answer that its process did not live to
    /// see tells no one anything.
    Told(usize),
    /// Another user or program has changed this customer.
    ByOthers(String),
    Write {
        customer: String,
        what: String,
        applied: bool,
        /// The system refused the write or was never reached: the write may be sent again as it is.
        certain: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) customers: BTreeMap<String, Record>,
    pub(super) log: Vec<Call>,
    /// Customers that another user or program has changed; no run may overwrite them once it can know of it.
    pub(super) touched: BTreeMap<String, Touched>,
    /// How many per thousand calls come after another user or program has changed a customer.
    pub(super) meddled_with: u32,
    /// The place in the log at which the present process began.
    pub(super) began: usize,
    /// How old a reading may be on which a write is based.
    pub(super) max_age: Duration,
    /// What a run did although no run may; kept here, because a panic in a task of a killed run would be lost.
    pub(super) broken: Option<String>,
    /// The percentage of calls that fail.
    pub(super) trouble: u32,
    /// How late calls and answers are.
    pub(super) pauses: Pauses,
    /// How the system stores an account ID that is written; `None`: unchanged.
    pub(super) stores: Option<fn(&str) -> String>,
    /// Every write to this customer is held back: the answer says that it was not processed and may be sent again.
    pub(super) refuses: Option<String>,
    /// No answer comes to a write to this customer, and it is hidden from then on.
    pub(super) loses: Option<String>,
    /// Another user or program changes this customer as soon as a write to it has taken effect.
    pub(super) contested: Option<String>,
    /// The machine is suspended for this time while a write to this customer waits for its turn, and another user or
    /// program changes the customer meanwhile.
    pub(super) suspended: Option<(String, Duration)>,
    /// No call shows this customer: each that would show it fails.
    pub(super) hidden: Option<String>,
    random: fastrand::Rng,
}

/// The system; clones share one state.
#[derive(Debug, Clone)]
pub(super) struct World {
    state: Arc<Mutex<State>>,
    /// The process that calls it.
    process: Frozen,
}

/// What a write does when it takes effect.
#[derive(Debug, Clone)]
enum Effect {
    Account(String, String),
    Service(String, String),
}

/// A change by another user or program.
#[derive(Debug)]
pub(super) struct Touched {
    /// Its place in the log.
    at: usize,
    time: Instant,
    /// The place in the log at which a process has received an answer that shows it.
    shown: Option<usize>,
    /// Whether a write that no reading could prevent has come after it.
    is_lost: bool,
}

/// When a write was sent.
#[derive(Debug, Clone, Copy)]
struct Departed {
    /// The place in the log.
    place: usize,
    time: Instant,
    /// By how much the reading on which it is based may be older than the maximum age.
    slack: Duration,
}

/// A write under way. If its sender is killed, the write may still arrive.
struct OnItsWay<'a> {
    world: &'a World,
    effect: Option<Effect>,
    departed: Departed,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(effect) = self.effect.take() {
            let mut state = self.world.lock();
            let arrives = state.random.bool() && state.conflict(&effect).is_none();
            state.note(&effect, arrives, false);
            if arrives {
                state.apply(&effect, self.departed);
            }
        }
    }
}

impl State {
    pub(super) fn as_stored(&self, account: &str) -> String {
        self.stores
            .map_or_else(|| account.to_owned(), |stores| stores(account))
    }

    fn holder(&self, account: &str) -> Option<(&String, &Record)> {
        let mut all = self.customers.iter();
        all.find(|(_, record)| record.account == account)
    }

    fn conflict(&self, effect: &Effect) -> Option<String> {
        let Effect::Account(customer, account) = effect else {
            return None;
        };
        let (holder, _) = self.holder(&self.as_stored(account))?;
        (holder != customer).then(|| holder.clone())
    }

    /// Lets another user or program change the account ID of some customer.
    pub(super) fn meddle(&mut self) {
        let ids: Vec<String> = self.customers.keys().cloned().collect();
        let id = ids[self.random.usize(0..ids.len())].clone();
        let account = format!("X-{}", self.random.u16(..));
        if self.holder(&account).is_some() {
            return;
        }
        self.customers.get_mut(&id).unwrap().account = account;
        self.touch(id);
    }

    /// Suspends the machine while a write to the customer waits, if that is to happen.
    fn suspend(&mut self, effect: &Effect) {
        let (Effect::Account(id, _) | Effect::Service(id, _)) = effect;
        if let Some((_, time)) = self.suspended.take_if(|(which, _)| which == id) {
            self.customers.get_mut(id).unwrap().account = format!("X-{id}");
            self.touch(id.clone());
            moment::suspend(time);
        }
    }

    /// Notes that another user or program has changed a customer.
    pub(super) fn touch(&mut self, id: String) {
        let touched = Touched {
            at: self.log.len(),
            time: Instant::now(),
            shown: None,
            is_lost: false,
        };
        self.log.push(Call::ByOthers(id.clone()));
        self.touched.insert(id, touched);
    }

    /// Returns whether the sender of a write could know that another user or program had changed the customer: that was
    /// before its process began, or it was shown to it, or the reading on which the write is based was too old.
    fn is_written_over(&self, effect: &Effect, departed: Departed) -> bool {
        let (Effect::Account(id, _) | Effect::Service(id, _)) = effect;
        let Some(touched) = self.touched.get(id) else {
            return false;
        };
        // The locations of a customer are read without its account ID.
        let tells = matches!(effect, Effect::Account(..));
        let age = departed.time - touched.time;
        let max_age = self.max_age.max(JUST_SEEN) + self.pauses.longest_of_call();
        let is_old = age > max_age + departed.slack;
        let is_shown = touched.shown.is_some_and(|shown| shown < departed.place);
        !touched.is_lost && (touched.at < self.began || tells && (is_shown || is_old))
    }

    fn apply(&mut self, effect: &Effect, departed: Departed) {
        let (Effect::Account(id, _) | Effect::Service(id, _)) = effect;
        if self.is_written_over(effect, departed) {
            self.broken = Some(format!(
                "{id} was changed by somebody else, and is written over"
            ));
        }
        if matches!(effect, Effect::Account(..))
            && let Some(touched) = self.touched.get_mut(id)
        {
            touched.is_lost = true;
        }
        let stored = match effect {
            Effect::Account(_, account) | Effect::Service(_, account) => self.as_stored(account),
        };
        let record = self.customers.get_mut(id).unwrap();
        match effect {
            Effect::Account(..) => record.account = stored,
            Effect::Service(_, service) => record.service.clone_from(service),
        }
        let records = self.customers.values();
        let accounts: BTreeSet<&String> = records.map(|record| &record.account).collect();
        if accounts.len() < self.customers.len() {
            self.broken = Some("two customers with one account ID".to_owned());
        }
        if self.contested.as_ref() == Some(id) {
            self.contested = None;
            self.customers.get_mut(id).unwrap().account = format!("X-{id}");
            self.touch(id.clone());
        }
    }

    fn note(&mut self, effect: &Effect, applied: bool, certain: bool) {
        let (customer, what) = match effect {
            Effect::Account(customer, account) => (customer.clone(), account.clone()),
            Effect::Service(customer, service) => (customer.clone(), format!("service {service}")),
        };
        self.log.push(Call::Write {
            customer,
            what,
            applied,
            certain,
        });
    }

    fn customer(&self, id: &str) -> Option<Customer> {
        let record = self.customers.get(id)?;
        Some(Customer {
            id: CustomerId::new(id).unwrap(),
            account: Some(AccountId::new(&record.account).unwrap()),
            locations: Locations::Known(vec![location(id, record)]),
            owner: None,
            contacts: None,
        })
    }

    fn shown(&self, id: &str) -> Result<Option<Customer>, SystemError> {
        if self.hidden.as_deref() == Some(id) {
            return Err(SystemError::new(Failed::Unavailable, "it is hidden"));
        }
        Ok(self.customer(id))
    }

    fn goes_wrong(&mut self) -> bool {
        self.random.u32(0..100) < self.trouble
    }
}

fn location(id: &str, record: &Record) -> Location {
    Location {
        id: LocationId::new(format!("L{id}")).unwrap(),
        service: Some(ServiceId::new(&record.service).unwrap()),
        profile: None,
    }
}

fn unavailable(state: &mut State) -> SystemError {
    let mut trouble = SystemError::new(Failed::Unavailable, "the model does not answer");
    if state.random.u8(0..8) == 0 {
        trouble.fatal = Some(Fatal::GaveUp);
    }
    trouble
}

impl World {
    pub(super) fn new(random: fastrand::Rng) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                random,
                ..State::default()
            })),
            process: Frozen::default(),
        }
    }

    /// Returns the system as this process calls it.
    pub(super) fn called_by(&self, process: &Frozen) -> Self {
        Self {
            state: Arc::clone(&self.state),
            process: process.clone(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call is on its way to the system.
    async fn arrives(&self) {
        let ms = {
            let State { random, pauses, .. } = &mut *self.lock();
            random.u64(1..200) + pauses.of_call(random)
        };
        pause(ms).await;
    }

    /// An answer is on its way to the process.
    async fn returns(&self) {
        let ms = {
            let State { random, pauses, .. } = &mut *self.lock();
            pauses.of_call(random)
        };
        pause(ms).await;
        self.process.over().await;
    }

    /// Reads a customer by its own ID.
    async fn reads(&self, id: &str) -> Result<Option<Customer>, SystemError> {
        let shown = self.ask(|state| Ok((state.shown(id)?, vec![id.to_owned()])));
        let shown = shown.await?;
        let mut state = self.lock();
        let told = state.log.len() - 1;
        let Call::Told(look) = state.log[told] else {
            panic!("the last entry is that of this answer");
        };
        if let Some(touched) = state.touched.get_mut(id).filter(|one| one.at < look) {
            touched.shown.get_or_insert(told);
        }
        Ok(shown)
    }

    /// Carries out a call that changes nothing. `answer` also returns which customers the answer shows.
    async fn ask<T>(
        &self,
        answer: impl FnOnce(&mut State) -> Result<(T, Vec<String>), SystemError>,
    ) -> Result<T, SystemError> {
        self.arrives().await;
        let (answered, look) = {
            let mut state = self.lock();
            if state.random.u32(0..1_000) < state.meddled_with {
                state.meddle();
            }
            let answered = if state.goes_wrong() {
                Err(unavailable(&mut state))
            } else {
                answer(&mut state)
            };
            let (answered, shown) = match answered {
                Ok((answer, shown)) => (Ok(answer), shown),
                Err(error) => (Err(error), Vec::new()),
            };
            state.log.push(Call::Look(shown));
            (answered, state.log.len() - 1)
        };
        self.returns().await;
        if answered.is_ok() {
            self.lock().log.push(Call::Told(look));
        }
        answered
    }

    async fn send(&self, effect: Effect, slack: Duration) -> Written {
        let departed = Departed {
            place: self.lock().log.len(),
            time: Instant::now(),
            slack,
        };
        let written = self.carry_out(effect, departed).await;
        self.returns().await;
        written
    }

    async fn carry_out(&self, effect: Effect, departed: Departed) -> Written {
        let mut sent = OnItsWay {
            world: self,
            effect: Some(effect),
            departed,
        };
        self.arrives().await;
        let mut state = self.lock();
        let Some(effect) = sent.effect.take() else {
            panic!("taken once");
        };
        if let Some(holder) = state.conflict(&effect) {
            state.note(&effect, false, true);
            let mut trouble = SystemError::new(Failed::Conflict, format!("{holder} has it"));
            trouble.http_status = Some(409);
            return Written::Refused(trouble);
        }
        let (Effect::Account(id, _) | Effect::Service(id, _)) = &effect;
        if state.refuses.as_ref() == Some(id) {
            state.note(&effect, false, true);
            let mut trouble = SystemError::new(Failed::Unavailable, "a firewall blocks all calls");
            trouble.http_status = Some(403);
            return Written::Again(trouble);
        }
        if state.loses.as_ref() == Some(id) {
            state.hidden = Some(id.clone());
            state.note(&effect, false, false);
            return Written::InDoubt(SystemError::new(Failed::Unavailable, "no answer came"));
        }
        let wrong = state.goes_wrong();
        let fate = if wrong { state.random.u8(1..6) } else { 0 };
        let applied = matches!(fate, 0..=2);
        state.note(&effect, applied, matches!(fate, 4 | 5));
        if applied {
            state.apply(&effect, departed);
        }
        let doubt = || SystemError::new(Failed::Unavailable, "no answer came");
        if let Effect::Account(_, asked) = &effect
            && fate == 0
            && state.as_stored(asked) != *asked
        {
            return Written::Stored {
                http_status: 200,
                value: StoredValue::Account(AccountId::new(state.as_stored(asked)).ok()),
            };
        }
        match fate {
            0 => Written::Applied { http_status: 200 },
            1 | 3 => Written::InDoubt(doubt()),
            2 => Written::InDoubt(SystemError {
                http_status: Some(502),
                ..doubt()
            }),
            4 => Written::Again(doubt()),
            _ => Written::NotSent(unavailable(&mut state)),
        }
    }
}

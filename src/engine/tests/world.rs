//! A model of a system: customers in a map, answers after a while, and every fault that a call can have.

use crate::domain::{AccountId, CustomerId, Failed, LocationId, Reseller, ServiceId, StoredValue};
use crate::system::{
    Backend, BoxFuture, Bulk, Customer, Fatal, Key, Location, Locations, PreparedWrite,
    SystemError, Wanted, WriteOp, WriteValue, Written,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A customer with one location; the location's ID is the customer's with `L` before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) account: String,
    pub(super) service: String,
}

/// What the system saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// A search or a bulk look-up, which names no customer.
    Search,
    Read(String),
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
    /// Customers that another user or program has changed; no run may overwrite them.
    pub(super) touched: BTreeSet<String>,
    /// What a run did although no run may; kept here, because a panic in a task of a killed run would be lost.
    pub(super) broken: Option<String>,
    /// The percentage of calls that fail.
    pub(super) trouble: u32,
    /// How the system stores an account ID that is written; `None`: unchanged.
    pub(super) stores: Option<fn(&str) -> String>,
    /// Every write to this customer is held back: the answer says that it was not processed and may be sent again.
    pub(super) refuses: Option<String>,
    /// No answer comes to a write to this customer, and it is hidden from then on.
    pub(super) loses: Option<String>,
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

/// Until when a process is frozen. What it has sent arrives, and it receives the answer later.
#[derive(Debug, Clone, Default)]
pub(super) struct Frozen(Arc<Mutex<Option<Instant>>>);

impl Frozen {
    pub(super) fn freeze(&self, time: Duration) {
        *self.0.lock().unwrap() = Some(Instant::now() + time);
    }

    pub(super) fn is_over(&self) -> bool {
        self.0
            .lock()
            .unwrap()
            .is_none_or(|until| until <= Instant::now())
    }

    pub(super) async fn over(&self) {
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What a write does when it takes effect.
#[derive(Debug, Clone)]
enum Effect {
    Account(String, String),
    Service(String, String),
}

/// A write under way. If its sender is killed, the write may still arrive.
struct OnItsWay<'a> {
    world: &'a World,
    effect: Option<Effect>,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(effect) = self.effect.take() {
            let mut state = self.world.lock();
            let arrives = state.random.bool() && state.conflict(&effect).is_none();
            state.note(&effect, arrives, false);
            if arrives {
                state.apply(&effect);
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

    fn apply(&mut self, effect: &Effect) {
        let (Effect::Account(id, _) | Effect::Service(id, _)) = effect;
        if self.touched.contains(id) {
            self.broken = Some(format!(
                "{id} was changed by somebody else, and is written over"
            ));
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

    async fn takes_a_while(&self) {
        let ms = self.lock().random.u64(1..200);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn ask<T>(
        &self,
        call: Call,
        answer: impl FnOnce(&mut State) -> T,
    ) -> Result<T, SystemError> {
        self.takes_a_while().await;
        let answered = {
            let mut state = self.lock();
            state.log.push(call);
            if state.goes_wrong() {
                Err(unavailable(&mut state))
            } else {
                Ok(answer(&mut state))
            }
        };
        self.process.over().await;
        answered
    }

    async fn send(&self, effect: Effect) -> Written {
        let written = self.carry_out(effect).await;
        self.process.over().await;
        written
    }

    async fn carry_out(&self, effect: Effect) -> Written {
        let mut sent = OnItsWay {
            world: self,
            effect: Some(effect),
        };
        self.takes_a_while().await;
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
            state.apply(&effect);
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

/// A write that waits for its turn.
struct InLine<'a> {
    world: &'a World,
    effect: Effect,
    send_deadline: Instant,
}

impl PreparedWrite for InLine<'_> {
    fn turn(&mut self, _lead: Duration) -> BoxFuture<'_, Result<(), Written>> {
        Box::pin(async move {
            // A quota or a hold may take long.
            let ms = {
                let mut state = self.world.lock();
                if state.random.u8(0..10) == 0 {
                    state.random.u64(0..3000)
                } else {
                    0
                }
            };
            tokio::time::sleep(Duration::from_millis(ms)).await;
            self.world.process.over().await;
            if Instant::now() > self.send_deadline {
                return Err(Written::Expired(Duration::ZERO));
            }
            Ok(())
        })
    }

    fn send<'s>(&'s mut self, _correlation: &'s str) -> BoxFuture<'s, Written> {
        Box::pin(self.world.send(self.effect.clone()))
    }
}

impl Backend for World {
    fn find_many<'a>(
        &'a self,
        wanted: &'a [Wanted],
        _locations: bool,
    ) -> BoxFuture<'a, Result<Bulk, SystemError>> {
        Box::pin(self.ask(Call::Search, |state| {
            let found = wanted.iter().map(|wanted| {
                let id = match &wanted.key {
                    Key::Account(account) => {
                        state.holder(account.as_str()).map(|(id, _)| id.clone())
                    }
                    Key::Customer(id) => Some(id.as_str().to_owned()),
                };
                id.and_then(|id| state.customer(&id)).into_iter().collect()
            });
            Bulk::Found(found.collect(), Instant::now())
        }))
    }

    fn find<'a>(
        &'a self,
        account: &'a AccountId,
        _reseller: Option<&'a Reseller>,
    ) -> BoxFuture<'a, Result<Vec<Customer>, SystemError>> {
        Box::pin(async {
            let found = self.ask(Call::Search, |state| {
                let id = state.holder(account.as_str()).map(|(id, _)| id.clone());
                id.map(|id| state.shown(&id)).transpose()
            });
            Ok(found.await??.flatten().into_iter().collect())
        })
    }

    fn read<'a>(
        &'a self,
        customer: &'a CustomerId,
        _reseller: Option<&'a Reseller>,
        _locations: bool,
    ) -> BoxFuture<'a, Result<Option<Customer>, SystemError>> {
        let id = customer.as_str();
        Box::pin(async {
            let read = self.ask(Call::Read(id.to_owned()), |state| state.shown(id));
            read.await?
        })
    }

    fn locations<'a>(
        &'a self,
        customer: &'a CustomerId,
    ) -> BoxFuture<'a, Result<Vec<Location>, SystemError>> {
        let id = customer.as_str();
        Box::pin(self.ask(Call::Read(id.to_owned()), move |state| {
            state
                .customers
                .get(id)
                .map(|record| location(id, record))
                .into_iter()
                .collect()
        }))
    }

    fn location<'a>(
        &'a self,
        _customer: &'a CustomerId,
        location_id: &'a LocationId,
    ) -> BoxFuture<'a, Result<Location, SystemError>> {
        let id = &location_id.as_str()[1..];
        Box::pin(self.ask(Call::Read(id.to_owned()), move |state| {
            location(id, &state.customers[id])
        }))
    }

    fn prepare_write<'a>(
        &'a self,
        order: WriteOp<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn PreparedWrite + 'a>, Written>> {
        let customer = order.customer.as_str().to_owned();
        let effect = match order.what {
            WriteValue::Account { after, .. } => {
                Effect::Account(customer, after.unwrap().to_string())
            }
            WriteValue::Location { service, .. } => {
                Effect::Service(customer, service.unwrap().to_string())
            }
        };
        let send_deadline = order.send_deadline;
        Box::pin(async move {
            Ok(Box::new(InLine {
                world: self,
                effect,
                send_deadline,
            }) as Box<dyn PreparedWrite + 'a>)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SystemError>> {
        Box::pin(self.ask(Call::Search, |_| ()))
    }
}

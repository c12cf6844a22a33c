//! The model as the engine calls it.

use super::{Effect, World, location, pause};
use crate::domain::{AccountId, CustomerId, Failed, LocationId, Reseller};
use crate::moment::Moment;
use crate::system::{
    Backend, BoxFuture, Bulk, Customer, Key, Location, PreparedWrite, SystemError, Wanted, WriteOp,
    WriteValue, Written,
};
use std::time::Duration;
use tokio::time::Instant;

/// A write that waits for its turn.
struct InLine<'a> {
    world: &'a World,
    effect: Effect,
    send_deadline: Moment,
    slack: Duration,
    lined_up: Instant,
}

impl PreparedWrite for InLine<'_> {
    fn turn(&mut self, _lead: Duration) -> BoxFuture<'_, Result<(), Written>> {
        Box::pin(async move {
            self.lined_up = Instant::now();
            // A quota or a hold may take long.
            let ms = {
                let mut state = self.world.lock();
                if state.random.u8(0..10) == 0 {
                    state.random.u64(0..3000)
                } else {
                    0
                }
            };
            pause(ms).await;
            self.world.lock().suspend(&self.effect);
            self.world.process.over().await;
            self.is_late().map_or(Ok(()), Err)
        })
    }

    fn send<'s>(
        &'s mut self,
        _correlation: &'s str,
        may_send: &'s (dyn Fn() -> bool + Sync),
    ) -> BoxFuture<'s, Written> {
        Box::pin(async move {
            if !may_send() {
                return Written::Again(SystemError::new(Failed::Unavailable, "it may not be sent"));
            }
            match self.is_late() {
                Some(late) => late,
                None => self.world.send(self.effect.clone(), self.slack).await,
            }
        })
    }
}

impl InLine<'_> {
    /// Returns the answer to a write that is not sent, because the reading that it is based on is too old.
    fn is_late(&self) -> Option<Written> {
        let is_late = Moment::now() > self.send_deadline;
        is_late.then(|| Written::Expired(self.lined_up.elapsed()))
    }
}

impl Backend for World {
    fn find_many<'a>(
        &'a self,
        wanted: &'a [Wanted],
        _locations: bool,
    ) -> BoxFuture<'a, Result<Bulk, SystemError>> {
        let at = Moment::now();
        Box::pin(self.ask(move |state| {
            let found = wanted.iter().map(|wanted| {
                let id = match &wanted.key {
                    Key::Account(account) => {
                        state.holder(account.as_str()).map(|(id, _)| id.clone())
                    }
                    Key::Customer(id) => Some(id.as_str().to_owned()),
                };
                let found = id.and_then(|id| state.customer(&id));
                found.into_iter().collect::<Vec<_>>()
            });
            let found: Vec<_> = found.collect();
            let shown = found.iter().flatten().map(|one| one.id.to_string());
            let shown = shown.collect();
            Ok((Bulk::Found(found, at), shown))
        }))
    }

    fn find<'a>(
        &'a self,
        account: &'a AccountId,
        _reseller: Option<&'a Reseller>,
    ) -> BoxFuture<'a, Result<Vec<Customer>, SystemError>> {
        Box::pin(self.ask(|state| {
            let id = state.holder(account.as_str()).map(|(id, _)| id.clone());
            let found = id.as_ref().map(|id| state.shown(id)).transpose()?;
            Ok((
                found.flatten().into_iter().collect(),
                id.into_iter().collect(),
            ))
        }))
    }

    fn read<'a>(
        &'a self,
        customer: &'a CustomerId,
        _reseller: Option<&'a Reseller>,
        _locations: bool,
    ) -> BoxFuture<'a, Result<Option<Customer>, SystemError>> {
        Box::pin(self.reads(customer.as_str()))
    }

    fn locations<'a>(
        &'a self,
        customer: &'a CustomerId,
    ) -> BoxFuture<'a, Result<Vec<Location>, SystemError>> {
        let id = customer.as_str();
        Box::pin(self.ask(|state| {
            let record = state.customers.get(id);
            let locations = record.map(|record| location(id, record));
            Ok((locations.into_iter().collect(), vec![id.to_owned()]))
        }))
    }

    fn location<'a>(
        &'a self,
        _customer: &'a CustomerId,
        location_id: &'a LocationId,
    ) -> BoxFuture<'a, Result<Location, SystemError>> {
        let id = &location_id.as_str()[1..];
        Box::pin(self.ask(|state| {
            let found = location(id, &state.customers[id]);
            Ok((found, vec![id.to_owned()]))
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
        let (send_deadline, slack) = (order.send_deadline, order.slack);
        Box::pin(async move {
            Ok(Box::new(InLine {
                world: self,
                effect,
                send_deadline,
                slack,
                lined_up: Instant::now(),
            }) as Box<dyn PreparedWrite + 'a>)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SystemError>> {
        Box::pin(self.ask(|_| Ok(((), Vec::new()))))
    }
}

//! A write to Plume: the account ID of a customer, or service ID and profile of a location.

use super::super::error::{SystemError, senseless, unexpected};
use super::super::write::{Accepted, OneCall, PreparedWrite, WriteOp, Written};
use super::api::{Plume, segments};
use super::wire::{CustomerBody, CustomerChange, LocationBody, LocationChange, error_of, refusal};
use crate::domain::{AccountId, Failed, LocationId, Profile, ServiceId};
use crate::http::{Call, Path, Reply};
use serde::Serialize;

impl Plume {
    fn one_call<'a, T: Serialize>(
        &'a self,
        path: Path,
        body: &T,
        order: &WriteOp<'a>,
        accepted: Accepted<'a>,
    ) -> Result<Box<dyn PreparedWrite + 'a>, Written> {
        let body = serde_json::to_vec(body)
            .map_err(|why| Written::Refused(SystemError::new(Failed::Invalid, why.to_string())))?;
        Ok(Box::new(OneCall {
            write: self
                .client
                .pending_write(Call::patch(path, body, order.send_deadline)),
            refusal,
            accepted,
        }))
    }

    pub(super) fn write_account<'a>(
        &'a self,
        order: &WriteOp<'a>,
        after: Option<&'a AccountId>,
    ) -> Result<Box<dyn PreparedWrite + 'a>, Written> {
        let Some(after) = after else {
            return Err(Written::Refused(SystemError::new(
                Failed::Invalid,
                "Plume customers always have an account ID: it cannot be removed",
            )));
        };
        let customer = order.customer;
        let path = segments(&["/api/Customers"], &[customer.as_str()]).map_err(Written::Refused)?;
        let body = CustomerChange {
            account_id: after.as_str(),
        };
        let accepted = move |reply: &Reply| match reply.json::<CustomerBody>() {
            Ok(body) if body.id == customer.as_str() => {
                Written::account_told(reply, body.account_id.as_deref(), after)
            }
            Ok(_) => Written::InDoubt(senseless(reply, "the answer is about another customer")),
            Err(why) => Written::InDoubt(unexpected(reply, error_of(reply), why)),
        };
        self.one_call(path, &body, order, Box::new(accepted))
    }

    pub(super) fn write_location<'a>(
        &'a self,
        order: &WriteOp<'a>,
        location: &'a LocationId,
        service: Option<&'a ServiceId>,
        profile: Option<Profile>,
    ) -> Result<Box<dyn PreparedWrite + 'a>, Written> {
        let customer = order.customer;
        let ids = [customer.as_str(), location.as_str()];
        let path = segments(&["/api/Customers", "locations"], &ids).map_err(Written::Refused)?;
        let body = LocationChange {
            service_id: service.map(ServiceId::as_str),
            profile: profile.map(Profile::as_str),
        };
        let accepted = move |reply: &Reply| match reply.json::<LocationBody>() {
            Ok(body) if body.is_of(customer, location) => body.written(reply, service, profile),
            Ok(_) => Written::InDoubt(senseless(reply, "the answer is about another location")),
            Err(why) => Written::InDoubt(unexpected(reply, error_of(reply), why)),
        };
        self.one_call(path, &body, order, Box::new(accepted))
    }
}

//! The JSON of requests to Plume and of its answers, and which parts of an answer are trusted.

use super::super::error::{self, senseless};
use super::super::{Customer, Location, Locations, SystemError, Written, id_text};
use crate::domain::{
    AccountId, CustomerId, LocationId, LocationState, Profile, ServiceId, StoredValue,
};
use crate::http::Reply;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use smol_str::SmolStr;
use std::fmt;

/// The body of a write to a customer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CustomerChange<'a> {
    pub(super) account_id: &'a str,
}

/// The body of a write to a location; a field that is left out stays as it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LocationChange<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<&'static str>,
}

#[derive(Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: ErrorDetail,
}

#[derive(Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
}

/// Returns the message of the API's own error; `None`: the body is none, for example the firewall's page.
pub(super) fn error_of(reply: &Reply) -> Option<String> {
    let body: ErrorBody = reply.json().ok()?;
    Some(body.error.message.or(body.error.name).unwrap_or_default())
}

pub(super) fn refusal(reply: &Reply) -> SystemError {
    let words = error_of(reply);
    let special = match reply.status {
        401 => Some("this token may not see the customer, or it does not exist"),
        // Only the API's message, if there is one, tells the cause: another partner's customer, a token without this
        // right, a limit.
        403 if words.is_none() => Some("a gateway refuses this call, and not others"),
        409 => Some("another customer has this ID"),
        _ => None,
    };
    error::refusal(reply, words, special)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CustomerBody {
    #[serde(deserialize_with = "id_text::required")]
    pub(super) id: SmolStr,
    #[serde(default, deserialize_with = "id_text::optional")]
    pub(super) account_id: Option<SmolStr>,
    #[serde(default)]
    pub(super) locations: Option<Vec<LocationBody>>,
    #[serde(default, deserialize_with = "id_text::optional")]
    pub(super) partner_id: Option<SmolStr>,
}

impl CustomerBody {
    /// Returns the customer; `None`: it has an ID that no line of a file can contain.
    pub(super) fn usable(self) -> Option<Customer> {
        let id = CustomerId::new(self.id).ok()?;
        let account = self.account_id.map(AccountId::new).transpose().ok()?;
        let locations = match self.locations {
            // A list with a location of another customer says nothing about this customer's locations.
            Some(bodies) if bodies.iter().all(|body| body.may_be_of(id.as_str())) => {
                locations_of(&bodies)?
            }
            Some(_) | None => Locations::Untold,
        };
        Some(Customer {
            id,
            account,
            locations,
            owner: self.partner_id,
            contacts: None,
        })
    }
}

/// Returns the locations of a list. If an entry is a bare ID, only the IDs are known. Otherwise each entry is a whole
/// location, and a service ID that is missing is not set. If an entry has a value that is not valid, only the IDs are
/// returned, and each location can be read by itself.
pub(super) fn locations_of(bodies: &[LocationBody]) -> Option<Locations> {
    if !bodies.iter().any(LocationBody::is_bare) {
        let locations = bodies.iter().map(LocationBody::location);
        if let Some(known) = locations.collect::<Option<_>>() {
            return Some(Locations::Known(known));
        }
    }
    let ids = bodies.iter().map(|body| LocationId::new(body.id.clone()));
    Some(Locations::Ids(ids.collect::<Result<_, _>>().ok()?))
}

/// A list of locations, or a single location.
pub(super) struct OneOrMany(pub(super) Vec<LocationBody>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrManyVisitor).map(Self)
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = Vec<LocationBody>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a location or a list of locations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        LocationBody::deserialize(MapAccessDeserializer::new(fields)).map(|body| vec![body])
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LocationBody {
    #[serde(deserialize_with = "id_text::required")]
    pub(super) id: SmolStr,
    #[serde(default)]
    pub(super) name: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "id_text::optional")]
    pub(super) service_id: Option<SmolStr>,
    #[serde(default)]
    pub(super) profile: Option<SmolStr>,
    #[serde(default, deserialize_with = "id_text::optional")]
    pub(super) customer_id: Option<SmolStr>,
    /// Present if the location was read by its own ID.
    #[serde(default)]
    pub(super) customer: Option<OwnerBody>,
}

/// The owner of a location.
#[derive(Deserialize)]
pub(super) struct OwnerBody {
    #[serde(default, deserialize_with = "id_text::optional")]
    pub(super) id: Option<SmolStr>,
}

impl LocationBody {
    /// Returns whether no field says that the location belongs to another customer.
    pub(super) fn may_be_of(&self, customer: &str) -> bool {
        let owner = self.customer.as_ref().and_then(|owner| owner.id.as_ref());
        let told = [self.customer_id.as_ref(), owner];
        told.into_iter().flatten().all(|id| id == customer)
    }

    pub(super) fn is_bare(&self) -> bool {
        self.name.is_none()
            && self.service_id.is_none()
            && self.profile.is_none()
            && self.customer_id.is_none()
    }

    pub(super) fn location(&self) -> Option<Location> {
        let service = self.service_id.as_deref().filter(|text| !text.is_empty());
        Some(Location {
            id: LocationId::new(self.id.clone()).ok()?,
            service: service.map(ServiceId::new).transpose().ok()?,
            profile: self.profile.as_deref().and_then(Profile::shown),
        })
    }

    /// Returns whether the answer is about this location.
    pub(super) fn is_of(&self, customer: &CustomerId, location: &LocationId) -> bool {
        self.id == location.as_str() && self.may_be_of(customer.as_str())
    }

    /// Judges a write by its answer. The documents do not list `profile` in the answer, so only a profile that is
    /// present and differs contradicts the write.
    pub(super) fn written(
        &self,
        reply: &Reply,
        service: Option<&ServiceId>,
        profile: Option<Profile>,
    ) -> Written {
        let shown = self.profile.as_deref();
        let profile_fits = match (profile, shown) {
            (Some(asked), Some(shown)) => shown == asked.as_str(),
            (None, _) | (_, None) => true,
        };
        let told = self.service_id.as_deref();
        if profile_fits && service.is_none_or(|asked| told == Some(asked.as_str())) {
            return Written::Applied {
                http_status: reply.status,
            };
        }
        let stored = told.and_then(|text| ServiceId::new(text).ok());
        if stored.is_none() && service.is_some() {
            let words = "the answer does not confirm the requested value";
            return Written::InDoubt(senseless(reply, words));
        }
        Written::Stored {
            http_status: reply.status,
            value: StoredValue::Location(LocationState {
                service: stored,
                profile: shown.and_then(Profile::shown),
            }),
        }
    }
}

//! The customers of a stand-in, and how to find them.

use super::token::Tokens;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// A Plume customer.
#[derive(Debug, Clone)]
pub struct PlumeCustomer {
    /// The system's ID.
    pub id: Box<str>,
    /// The account ID, unique; empty: it has none.
    pub account_id: Box<str>,
    /// Whether the token has no access to the customer.
    pub hidden: bool,
    /// The partner that owns the customer.
    pub partner: Box<str>,
    /// Its locations.
    pub locations: Vec<PlumeLocation>,
}

/// A location.
#[derive(Debug, Clone)]
pub struct PlumeLocation {
    /// The system's ID.
    pub id: Box<str>,
    /// The service ID, if one was set.
    pub service_id: Option<Box<str>>,
    /// `auto` or `smallbusiness`.
    pub profile: Box<str>,
}

/// An Adobe customer.
#[derive(Debug, Clone)]
pub struct AdobeCustomer {
    /// The customer's resource, without what the stand-in adds.
    pub body: Value,
    /// The status; `1000`: active.
    pub status: String,
    /// Whether it has active deployments, which need global sales.
    pub deployments: bool,
    /// Number of e-mails that were sent because of writes, by address.
    pub emails: HashMap<String, u32>,
}

/// A `CloudCockpit` customer.
#[derive(Debug, Clone, Default)]
pub struct CockpitCustomer {
    /// The identifier in each relationship; the empty name is the caller's own.
    pub identifiers: HashMap<String, Option<String>>,
    /// Whether the customer is deleted.
    pub deleted: bool,
}

/// All data of a stand-in.
#[derive(Debug, Default)]
pub struct World {
    /// Plume's customers by ID.
    pub plume: HashMap<Box<str>, PlumeCustomer>,
    pub(super) by_account: HashMap<Box<str>, Box<str>>,
    pub(super) by_location: HashMap<Box<str>, Box<str>>,
    /// Adobe's customers by ID.
    pub adobe: HashMap<String, AdobeCustomer>,
    /// Adobe's customers in the order of their creation.
    pub(super) adobe_order: Vec<String>,
    pub(super) request_ids: HashSet<String>,
    pub(super) replays: HashMap<String, (u16, Vec<u8>)>,
    /// `CloudCockpit`'s customers by ID.
    pub cockpit: HashMap<String, CockpitCustomer>,
    pub(super) cockpit_order: Vec<String>,
    pub(super) kind: Option<super::Kind>,
    /// The tokens that were issued.
    pub tokens: Tokens,
    /// What the system stores for an account ID or service ID that is written; `None`: the text unchanged.
    pub stores: Option<fn(&str) -> String>,
}

impl World {
    /// Returns what is stored for a text that is written.
    pub(super) fn as_stored(&self, text: &str) -> String {
        self.stores
            .map_or_else(|| text.to_owned(), |stores| stores(text))
    }

    /// Adds a Plume customer.
    pub fn add_plume(&mut self, customer: PlumeCustomer) {
        self.by_account
            .insert(customer.account_id.clone(), customer.id.clone());
        for location in &customer.locations {
            self.by_location
                .insert(location.id.clone(), customer.id.clone());
        }
        self.plume.insert(customer.id.clone(), customer);
    }

    /// Returns the Plume customer with this account ID.
    pub fn plume_by_account(&self, account: &str) -> Option<&PlumeCustomer> {
        self.plume.get(self.by_account.get(account)?)
    }

    /// Gives a Plume customer another account ID, like another client.
    pub fn rename_plume(&mut self, id: &str, account: &str) {
        if let Some(customer) = self.plume.get_mut(id) {
            self.by_account.remove(&customer.account_id);
            customer.account_id = account.into();
            self.by_account.insert(account.into(), id.into());
        }
    }

    /// Adds an Adobe customer with a complete profile and this number of contacts.
    pub fn add_adobe(&mut self, id: &str, reference: &str, reseller: &str, contacts: usize) {
        let contacts: Vec<Value> = (0..contacts)
            .map(|n| json!({"firstName": "Ada", "lastName": format!("N{n}"), "email": format!("{id}-{n}@example.com"), "phoneNumber": "1"}))
            .collect();
        let body = json!({
            "externalReferenceId": reference,
            "customerId": id,
            "resellerId": reseller,
            "globalSalesEnabled": false,
            "companyProfile": {
                "companyName": format!("Company {id}"),
                "preferredLanguage": "en-US",
                "marketSegment": "COM",
                "aKeyNobodyKnows": {"kept": [1, 2.50, "x"]},
                "address": {"country": "US", "region": "CA", "city": "San Jose", "addressLine1": "1 Main St", "postalCode": "95110"},
                "contacts": contacts,
            },
            "creationDate": format!("2020-01-01T00:00:{:02}Z", self.adobe_order.len() % 60),
        });
        self.adobe_order.push(id.to_owned());
        self.adobe.insert(
            id.to_owned(),
            AdobeCustomer {
                body,
                status: "1000".to_owned(),
                deployments: false,
                emails: HashMap::new(),
            },
        );
    }

    /// Gives a `CloudCockpit` customer an identifier in one relationship; the empty name is the caller's own.
    pub fn add_cockpit(&mut self, id: &str, reseller: &str, identifier: &str) {
        if !self.cockpit.contains_key(id) {
            self.cockpit_order.push(id.to_owned());
        }
        let customer = self.cockpit.entry(id.to_owned()).or_default();
        customer.identifiers.entry(String::new()).or_insert(None);
        customer
            .identifiers
            .insert(reseller.to_owned(), Some(identifier.to_owned()));
    }

    /// Adds a customer of this stand-in's system. `reseller`: Adobe's reseller, or the relationship.
    pub fn add_customer(&mut self, id: &str, account: &str, reseller: Option<&str>) {
        match self.kind {
            Some(super::Kind::Adobe) => {
                self.add_adobe(id, account, reseller.unwrap_or("5556667778"), 1);
            }
            Some(super::Kind::CloudCockpit) => {
                self.add_cockpit(id, reseller.unwrap_or(""), account);
            }
            Some(super::Kind::Plume) | None => self.add_plume(PlumeCustomer {
                id: id.into(),
                account_id: account.into(),
                hidden: false,
                partner: "partner".into(),
                locations: Vec::new(),
            }),
        }
    }

    /// Adds a location to a Plume customer, unless the customer has one with this ID.
    pub fn add_location(
        &mut self,
        id: &str,
        location: &str,
        service: Option<&str>,
        profile: Option<&str>,
    ) {
        let Some(customer) = self.plume.get_mut(id) else {
            return;
        };
        if customer
            .locations
            .iter()
            .any(|known| *known.id == *location)
        {
            return;
        }
        customer.locations.push(PlumeLocation {
            id: location.into(),
            service_id: service.map(Into::into),
            profile: profile.unwrap_or("auto").into(),
        });
        self.by_location.insert(location.into(), id.into());
    }

    /// Sets service ID and profile of a location of a Plume customer, if the location has no service ID.
    pub fn complete_location(
        &mut self,
        id: &str,
        location: &str,
        service: Option<&str>,
        profile: Option<&str>,
    ) {
        let customer = self.plume.get_mut(id).into_iter();
        let mut locations = customer.flat_map(|customer| &mut customer.locations);
        if let Some(known) = locations.find(|known| *known.id == *location)
            && known.service_id.is_none()
        {
            known.service_id = service.map(Into::into);
            known.profile = profile.unwrap_or(&known.profile).into();
        }
    }

    /// Fills the world with customers `A-000001`, `A-000002`, …; the same seed gives the same customers.
    pub fn seed(&mut self, customers: u32, seed: u64) {
        for n in 1..=customers {
            let id = match self.kind {
                Some(super::Kind::CloudCockpit) => format!("00000000-0000-4000-8000-{n:012}"),
                _ => format!("C{seed}-{n:06}"),
            };
            self.add_customer(&id, &format!("A-{n:06}"), None);
            for place in 0..=(u64::from(n) + seed) % 3 {
                self.add_location(&id, &format!("L{seed}-{n:06}-{place}"), None, None);
            }
        }
    }

    /// Returns the customers as a JSON document, for tests in other processes.
    pub(super) fn state(&self) -> Value {
        let plume: serde_json::Map<String, Value> = self
            .plume
            .values()
            .map(|customer| {
                let locations: Vec<Value> = customer
                    .locations
                    .iter()
                    .map(|l| json!({"id": l.id, "serviceId": l.service_id, "profile": l.profile}))
                    .collect();
                let body = json!({"accountId": customer.account_id, "locations": locations});
                (customer.id.to_string(), body)
            })
            .collect();
        let adobe: serde_json::Map<String, Value> = self
            .adobe
            .iter()
            .map(|(id, customer)| (id.clone(), customer.body.clone()))
            .collect();
        let cockpit: serde_json::Map<String, Value> = self
            .cockpit
            .iter()
            .map(|(id, customer)| (id.clone(), json!(customer.identifiers)))
            .collect();
        json!({"plume": plume, "adobe": adobe, "cloudcockpit": cockpit})
    }
}

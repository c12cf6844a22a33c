//! Puts a system together: which API, through which client, with which settings of its own.

use super::adobe::Adobe;
use super::cloudcockpit::CloudCockpit;
use super::plume::{self, Plume};
use super::{Backend, Kind, System, adobe, cloudcockpit};
use crate::domain::ResellerId;
use crate::http::{self, Client};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How much of an Adobe customer is sent back with the new reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sending {
    /// The reference and the whole profile, verbatim: what the documents ask for.
    #[default]
    Full,
    /// The reference alone, for installations that take it; guarded by reading the first customer again.
    Reference,
}

impl Sending {
    /// Whether a write carries the customer's contacts, and Adobe sends each of them an e-mail.
    pub fn carries_contacts(self) -> bool {
        self == Self::Full
    }
}

/// What a system needs to know besides its client.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Adobe: the reseller whose customers are listed.
    pub reseller: Option<ResellerId>,
    /// Adobe: the key of the integration.
    pub api_key: Option<SecretString>,
    /// `CloudCockpit`: the domain of the portal.
    pub tenant: Option<String>,
    /// Adobe: how much is sent.
    pub sending: Sending,
    /// How long a listing of all customers may be used.
    pub max_age: Duration,
    /// About how many customers will be looked up, to choose between a listing and single searches.
    pub expected_lookups: u64,
    /// How many calls the limits allow in three seconds, or fewer where the quota is small; `None`: unlimited.
    pub calls_meanwhile: Option<usize>,
}

/// Why a system cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A setting that this system needs is missing.
    #[error("{system} needs {what}")]
    Missing {
        /// The system's name.
        system: &'static str,
        /// What is missing, and where to say it.
        what: &'static str,
    },
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] http::SetupError),
}

impl System {
    /// Connects nothing yet: prepares the client and the API's meaning. The client is returned beside, for
    /// its counters.
    pub fn prepare(
        kind: Kind,
        http: http::Settings,
        settings: &Settings,
        stop: CancellationToken,
    ) -> Result<(Self, Arc<Client>), SetupError> {
        let character = match kind {
            Kind::Plume => plume::character(),
            Kind::Adobe => adobe::character(settings)?,
            Kind::CloudCockpit => cloudcockpit::character(settings)?,
        };
        let client = Arc::new(Client::new(http, character, stop)?);
        let backend: Box<dyn Backend> = match kind {
            Kind::Plume => Box::new(Plume::new(Arc::clone(&client))),
            Kind::Adobe => Box::new(Adobe::new(Arc::clone(&client), settings)),
            Kind::CloudCockpit => Box::new(CloudCockpit::new(Arc::clone(&client), settings)),
        };
        let timed = Arc::clone(&client);
        let system = Self {
            kind,
            health: client.health(),
            latency: Box::new(move || timed.latency_ms().map_or(Duration::ZERO, duration_of_ms)),
            backend,
        };
        Ok((system, client))
    }

    /// A system that is no API at all, for tests in virtual time.
    #[cfg(test)]
    pub(crate) fn simulated(kind: Kind, backend: Box<dyn Backend>) -> Self {
        Self {
            kind,
            health: tokio::sync::watch::channel(http::Health::Flowing).1,
            latency: Box::new(|| Duration::ZERO),
            backend,
        }
    }
}

fn duration_of_ms(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

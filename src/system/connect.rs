//! Puts a system together: which API, through which client, with which settings of its own.

use super::adobe::Adobe;
use super::backend::Backend;
use super::cloudcockpit::CloudCockpit;
use super::estimate::{Changes, Lookups, PlannedChanges};
use super::plume::{self, Plume};
use super::settings::{Settings, SetupError};
use super::{System, SystemKind, adobe, cloudcockpit};
use crate::http::{self, Client};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

impl System {
    /// Makes the client and the system, without connecting. Also returns the client, for its counters.
    pub fn prepare(
        kind: SystemKind,
        http: http::Settings,
        settings: &Settings,
        stop: CancellationToken,
    ) -> Result<(Self, Arc<Client>), SetupError> {
        let character = match kind {
            SystemKind::Plume => plume::api_traits(),
            SystemKind::Adobe => adobe::api_traits(settings)?,
            SystemKind::CloudCockpit => cloudcockpit::api_traits(settings)?,
        };
        let client = Arc::new(Client::new(http, character, stop)?);
        let backend: Box<dyn Backend> = match kind {
            SystemKind::Plume => Box::new(Plume::new(Arc::clone(&client))),
            SystemKind::Adobe => Box::new(Adobe::new(Arc::clone(&client), settings)),
            SystemKind::CloudCockpit => Box::new(CloudCockpit::new(Arc::clone(&client), settings)),
        };
        let (timed, paced) = (Arc::clone(&client), Arc::clone(&client));
        let system = Self {
            kind,
            health: client.health(),
            latency: Box::new(move || timed.latency_ms().map_or(Duration::ZERO, duration_of_ms)),
            rate: Box::new(move || paced.rate()),
            backend,
        };
        Ok((system, client))
    }

    /// Makes a system without a remote API, for tests in virtual time.
    #[cfg(test)]
    pub(crate) fn simulated(kind: SystemKind, backend: Box<dyn Backend>) -> Self {
        Self {
            kind,
            health: tokio::sync::watch::channel(http::Health::Flowing).1,
            latency: Box::new(|| Duration::ZERO),
            rate: Box::new(|| None),
            backend,
        }
    }
}

impl SystemKind {
    /// How many look-ups these changes take.
    pub fn estimate(self, changes: &Changes) -> Lookups {
        match self {
            Self::Plume => plume::estimate(changes),
            Self::Adobe => adobe::estimate(changes),
            Self::CloudCockpit => cloudcockpit::estimate(changes),
        }
    }

    /// How many look-ups it takes to carry out what a plan has found: each customer is looked up by the system's own ID.
    pub fn estimate_planned(self, changes: &PlannedChanges) -> Lookups {
        match self {
            Self::Plume => plume::estimate_planned(changes),
            Self::Adobe => adobe::estimate_planned(changes),
            Self::CloudCockpit => cloudcockpit::estimate_planned(changes),
        }
    }
}

fn duration_of_ms(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

//! A database of one test, and processes of one target that share it.

use super::api::Api;
use crate::http::{ApiTraits, Client, Rate, Settings, Token};
use crate::ledger::test_server::{ADMIN, Server};
use crate::ledger::{LedgerRate, Postgres, PostgresSettings};
use crate::limits::{GrantedTurns, Granting, SharedRate, TurnsAsk};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const TARGET: &str = "plume at a test";

/// Passes the ledger's answers on, and records the turns that were given out.
#[derive(Debug)]
pub(super) struct Recorded {
    inner: Arc<LedgerRate>,
    pub(super) slots: Mutex<Vec<i64>>,
}

impl SharedRate for Recorded {
    fn grant(&self, ask: TurnsAsk) -> Granting<'_> {
        Box::pin(async move {
            let grant = self.inner.grant(ask).await?;
            if let Ok(turns) = &grant.turns {
                let GrantedTurns {
                    many,
                    first_us,
                    step_us,
                    ..
                } = *turns;
                let step = Duration::from_secs_f64(step_us / 1e6);
                let slots =
                    (0..many).map(|n| first_us + i64::try_from((step * n).as_micros()).unwrap());
                self.slots.lock().unwrap().extend(slots);
            }
            Ok(grant)
        })
    }

    fn hold_target(&self, wait: Duration, slows: bool, answered: [u32; 2]) {
        self.inner.hold_target(wait, slows, answered);
    }

    fn hold_address(&self, from: Option<IpAddr>, wait: Duration) {
        self.inner.hold_address(from, wait);
    }

    fn order(&self, per_second: f64, gap: Duration) {
        self.inner.order(per_second, gap);
    }

    fn give_back(&self, unused: &[(i64, u32)]) {
        self.inner.give_back(unused);
    }
}

/// A database for one test, with its tables.
pub(super) struct Place {
    pub(super) server: &'static Server,
    pub(super) database: String,
}

impl Place {
    pub(super) fn new() -> Option<Self> {
        let server = Server::shared()?;
        let database = server.database();
        let place = Self { server, database };
        place.psql(&crate::ledger::creation(ADMIN));
        Some(place)
    }

    pub(super) fn rate(&self) -> Arc<LedgerRate> {
        let address = self.server.address(ADMIN, &self.database);
        let settings = PostgresSettings {
            address: address.parse().unwrap(),
            password: None,
            tls: None,
            give_up_after: Duration::from_secs(20),
        };
        let postgres = Postgres::connect(settings).unwrap();
        Arc::new(LedgerRate::of_test(postgres, TARGET))
    }

    pub(super) fn psql(&self, sql: &str) -> String {
        self.server.psql(&self.database, sql)
    }

    /// Makes a process of the target.
    pub(super) fn process(&self, api: &Api, change: impl FnOnce(&mut Settings)) -> Process {
        let rate = Arc::new(Recorded {
            inner: self.rate(),
            slots: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let mut settings = Settings {
            base_url: api.url(),
            allow_http: false,
            ca_cert: None,
            client_certificate: None,
            timeout: Duration::from_secs(5),
            retries: 5,
            give_up_after: Duration::from_secs(60),
            find_rate: Rate::Unlimited,
            write_rate: None,
            quota: None,
            egress: Vec::new(),
            call_reservations: None,
            shared_rate: Some(Arc::clone(&rate) as Arc<dyn SharedRate>),
            max_connections: 64,
            http1_only: true,
            token: Token::given("canary-5b1f0c"),
        };
        change(&mut settings);
        let client = Client::new(settings, traits(), stop.clone()).unwrap();
        Process {
            client: Arc::new(client),
            rate,
            stop,
        }
    }
}

fn traits() -> ApiTraits {
    ApiTraits {
        constant_headers: Vec::new(),
        request_id_header: None,
        correlation_header: None,
        is_firewall: |reply| reply.body.starts_with(b"<html>"),
        is_own_error: |reply| reply.body.starts_with(b"{"),
        is_unauthorized: |_| false,
    }
}

pub(super) struct Process {
    pub(super) client: Arc<Client>,
    pub(super) rate: Arc<Recorded>,
    pub(super) stop: CancellationToken,
}

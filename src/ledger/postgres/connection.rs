//! One connection: made to the first server that accepts writes, set up, and used for one statement at a time.

use super::address::{Address, Host};
use super::error::PostgresError;
use super::explain::{Failure, of_connecting, said};
use super::statement::Statement;
use secrecy::{ExposeSecret, SecretString};
use std::cell::Cell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::tls::{MakeTlsConnect, NoTls};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Row, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::TaskTracker;

/// Added to the message if the server refuses a statement because a table, a column or a function is missing.
const CHANGED: &str = "the schema idshift, or a part of it, was dropped or changed since this process connected: nothing more \
     is recorded, and nothing more is written. Restore the database from a copy, then resume the run";
/// Sets a connection up. Each statement is planned with its values: a plan that was made while the tables were empty is
/// quadratic later. The answer tells whether the server accepts writes.
const SET_UP: &str = "SET plan_cache_mode = force_custom_plan; SET search_path = idshift; SET TimeZone = 'UTC'; \
                      SHOW transaction_read_only";

/// Reads the password; it is read again for each connection, so a password that is rotated is picked up.
pub type ReadPassword = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<SecretString, String>> + Send>> + Send + Sync,
>;

/// What is needed to connect.
#[derive(Clone)]
pub struct Settings {
    /// Where the ledger is.
    pub address: Address,
    /// The role's password; `None`: the server must accept the role without one.
    pub password: Option<ReadPassword>,
    /// How certificates are verified; needed where [`Address::needs_tls`] says so.
    pub tls: Option<rustls::ClientConfig>,
    /// How long to wait for a server that is away, after the first connection.
    pub give_up_after: Duration,
}

/// Makes connections.
pub(super) struct Connector {
    pub(super) settings: Settings,
    /// The tasks that carry the connections.
    drivers: TaskTracker,
}

/// One connection.
pub(super) struct Connection {
    client: Client,
    prepared: HashMap<&'static str, tokio_postgres::Statement>,
    /// Whether the server has warned, since the last check, that a commit did not wait for the standby.
    is_unconfirmed: Rc<Cell<bool>>,
}

/// Why a statement has no answer.
pub(super) enum Unanswered {
    /// The connection is gone, or must not be used any more; whether the statement was carried out is unknown.
    Lost(String),
    /// The statement had no effect; repeated on this connection (`true`) or on another one, it may have one.
    NotNow(String, bool),
    /// The server does not accept the statement.
    Refused(String),
}

impl Connector {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            drivers: TaskTracker::new(),
        }
    }

    /// Connects to the first server that accepts writes.
    pub(super) async fn connect(&self) -> Result<Connection, PostgresError> {
        let address = &self.settings.address;
        let unusable = |why, passing| PostgresError::Unusable {
            at: address.to_string(),
            why,
            passing,
        };
        let password = match &self.settings.password {
            None => None,
            Some(read) => Some(read().await.map_err(|why| unusable(why, false))?),
        };
        let mut failures = Vec::new();
        for host in &address.hosts {
            match self.connect_to(host, password.as_ref()).await {
                Ok(connection) => return Ok(connection),
                Err(failure) => failures.push((host, failure)),
            }
        }
        let passing = failures.iter().any(|(_, failure)| failure.passing);
        let words: Vec<String> = match &failures[..] {
            [(_, only)] => vec![only.why.clone()],
            several => several
                .iter()
                .map(|(host, failure)| format!("{host}: {}", failure.why))
                .collect(),
        };
        Err(unusable(words.join("; "), passing))
    }

    async fn connect_to(
        &self,
        host: &Host,
        password: Option<&SecretString>,
    ) -> Result<Connection, Failure> {
        let address = &self.settings.address;
        let mut config = Config::new();
        config
            .user(&address.user)
            .dbname(&address.database)
            .application_name(concat!("idshift ", env!("CARGO_PKG_VERSION")))
            .connect_timeout(address.connect_timeout);
        match host {
            Host::Unix(folder, port) => config.host_path(folder).port(*port),
            Host::Tcp(name, port) => config.host(name).port(*port),
        };
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        let made = if address.uses_tls(host) {
            let Some(tls) = self.settings.tls.clone() else {
                return Err(Failure::lasting("TLS was not prepared".to_owned()));
            };
            config.ssl_mode(SslMode::Require);
            let make = self.make(&config, MakeRustlsConnect::new(tls));
            timeout(address.connect_timeout, make).await
        } else {
            config.ssl_mode(SslMode::Disable);
            timeout(address.connect_timeout, self.make(&config, NoTls)).await
        };
        match made {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(of_connecting(&error, address)),
            Err(_) => Err(Failure::passing(format!(
                "no connection within {} s; check the host and the port, and that the server is up",
                address.connect_timeout.as_secs()
            ))),
        }
        .and_then(Connection::writable)
    }

    async fn make<T>(
        &self,
        config: &Config,
        tls: T,
    ) -> Result<(Connection, bool), tokio_postgres::Error>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: 'static,
    {
        let (client, mut driver) = config.connect(tls).await?;
        let is_unconfirmed = Rc::new(Cell::new(false));
        let seen = Rc::clone(&is_unconfirmed);
        self.drivers.spawn_local(async move {
            // Ends with the connection, or when its client is dropped. The statement gets the error.
            while let Some(Ok(message)) =
                std::future::poll_fn(|context| driver.poll_message(context)).await
            {
                if matches!(message, AsyncMessage::Notice(notice) if is_unconfirmed_commit(&notice))
                {
                    seen.set(true);
                }
            }
        });
        let rows = client.simple_query(SET_UP).await?;
        let is_read_only = rows.iter().any(
            |message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("on")),
        );
        // A warning during the set-up is not about a commit.
        is_unconfirmed.set(false);
        let connection = Connection {
            client,
            prepared: HashMap::new(),
            is_unconfirmed,
        };
        Ok((connection, is_read_only))
    }

    /// Waits until the connections that were dropped are closed.
    pub(super) async fn close(&self) {
        self.drivers.close();
        // A server that does not answer is given up.
        let _ = timeout(Duration::from_secs(1), self.drivers.wait()).await;
    }
}

/// Whether a notice says that a commit did not wait for the standby. If its wait was cancelled, the server acknowledges
/// the commit all the same, after this warning: the commit may be missing after a failover. The text depends on the
/// server's language; the code does not.
fn is_unconfirmed_commit(notice: &tokio_postgres::error::DbError) -> bool {
    notice.parsed_severity() == Some(Severity::Warning) && *notice.code() == SqlState::WARNING
}

/// Whether a prepared statement no longer fits the tables, because its answer has other columns now. The server refuses
/// it before it is carried out.
fn is_stale(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED)
}

impl Connection {
    fn writable((connection, is_read_only): (Self, bool)) -> Result<Self, Failure> {
        if is_read_only {
            return Err(Failure::passing(
                "it accepts no writes: it is a standby, or default_transaction_read_only is on; name the primary too"
                    .to_owned(),
            ));
        }
        Ok(connection)
    }

    /// Whether it can still be used.
    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// Carries a statement out.
    pub(super) async fn answer(&mut self, statement: &Statement) -> Result<Vec<Row>, Unanswered> {
        let values = statement.values.iter();
        let values: Vec<&(dyn ToSql + Sync)> = values.map(|value| &**value as _).collect();
        let kept = self.prepared.get(statement.sql).cloned();
        if let Some(kept) = kept {
            let asked = self.client.query(&kept, &values).await;
            let is_stale = asked.as_ref().is_err_and(is_stale);
            let answer = self.judged(asked);
            if !matches!(answer, Err(Unanswered::Refused(_))) {
                return answer;
            }
            // The tables may have changed since the statement was prepared, so it is prepared again the next time.
            self.prepared.remove(statement.sql);
            if !is_stale {
                return answer;
            }
        }
        let asked = self.client.prepare(statement.sql).await;
        let prepared = self.judged(asked).map_err(|unanswered| match unanswered {
            // The statement was not begun.
            Unanswered::Lost(why) => Unanswered::NotNow(why, false),
            other => other,
        })?;
        self.prepared.insert(statement.sql, prepared.clone());
        let asked = self.client.query(&prepared, &values).await;
        self.judged(asked)
    }

    /// Waits until the standby has everything that was committed before. It makes a commit of its own, which waits for
    /// all earlier ones; a statement that changes nothing waits for no standby.
    pub(super) async fn confirm(&mut self) -> Result<(), Unanswered> {
        self.text("SELECT pg_catalog.pg_logical_emit_message(true, 'idshift', '')")
            .await
            .map(|_| ())
    }

    /// Carries several statements without values out, as one transaction.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), Unanswered> {
        let asked = self.client.batch_execute(sql).await;
        self.judged(asked)
    }

    /// Returns the first column of the first row, as text, without a prepared statement.
    pub(super) async fn text(&mut self, sql: &str) -> Result<String, Unanswered> {
        let asked = self.client.simple_query(sql).await;
        let messages = self.judged(asked)?;
        let first = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(first.unwrap_or_default().to_owned())
    }

    fn judged<T>(&self, asked: Result<T, tokio_postgres::Error>) -> Result<T, Unanswered> {
        // A warning about this statement must not count for the next one.
        let is_unconfirmed = self.is_unconfirmed.take();
        let error = match asked {
            Ok(_) if is_unconfirmed => {
                return Err(Unanswered::Lost(
                    "the server did not wait until the standby had the commit".to_owned(),
                ));
            }
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let why = said(&error);
        let Some(code) = error.code() else {
            // The answer cannot be read, or there is none.
            return Err(Unanswered::Lost(why));
        };
        Err(match *code {
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
                Unanswered::NotNow(why, true)
            }
            // The server became a standby; or a pooler has reset the connection, so that its prepared statements and
            // settings are gone.
            SqlState::READ_ONLY_SQL_TRANSACTION | SqlState::INVALID_SQL_STATEMENT_NAME => {
                Unanswered::NotNow(why, false)
            }
            ref code
                if code.code().starts_with("08")
                    || code.code().starts_with("57P")
                    || self.client.is_closed() =>
            {
                Unanswered::Lost(why)
            }
            SqlState::UNDEFINED_TABLE
            | SqlState::UNDEFINED_COLUMN
            | SqlState::UNDEFINED_FUNCTION
            | SqlState::INVALID_SCHEMA_NAME => Unanswered::Refused(format!("{why}; {CHANGED}")),
            _ => Unanswered::Refused(why),
        })
    }
}

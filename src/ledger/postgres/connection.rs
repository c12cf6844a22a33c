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

/// What follows the refusal of a statement that finds no table, column or function.
const CHANGED: &str = "the schema idshift, or a part of it, was dropped or changed since this process connected: nothing more \
     is recorded, and nothing more is written. Restore the database from a copy, then resume the run";
/// Each statement is planned with its values: a plan that was made while the tables were empty is quadratic later.
/// The answer tells whether the server accepts writes.
const SET_UP: &str = "SET plan_cache_mode = force_custom_plan; SET search_path = idshift; SET TimeZone = 'UTC'; \
                      SHOW transaction_read_only";

/// Reads the password; it is read again for each connection, so a password that is rotated is picked up.
pub type ReadPassword = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<SecretString, String>> + Send>> + Send + Sync,
>;

/// What is needed to connect.
#[derive(Clone)]
pub struct Settings {
    /// Where.
    pub address: Address,
    /// The role's password; `None`: the server must accept the role without one.
    pub password: Option<ReadPassword>,
    /// How certificates are verified; needed where [`Address::needs_tls`] says so.
    pub tls: Option<rustls::ClientConfig>,
    /// For how long a server that is away is waited for, once it was there.
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
    /// The server has said since the last look that a commit was not waited for.
    is_unconfirmed: Rc<Cell<bool>>,
}

/// What became of a statement that was not carried out.
pub(super) enum Unanswered {
    /// The connection is gone, or not to be used any more; whether it was carried out is unknown.
    Lost(String),
    /// It had no effect, and may have one when it is repeated on this connection (`true`) or on another one.
    NotNow(String, bool),
    /// The server does not accept it.
    Refused(String),
}

impl Connector {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            drivers: TaskTracker::new(),
        }
    }

    /// A connection to the first server that accepts writes.
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
                "no connection within {} s; is it the right host and port, and is the server well?",
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
            // Ends with the connection, or when its client is dropped. What went wrong is told to the statement.
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
        // What was said about the start is no concern of a commit.
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
        // A server that does not answer is not waited for.
        let _ = timeout(Duration::from_secs(1), self.drivers.wait()).await;
    }
}

/// A commit whose wait for the standby was cancelled is acknowledged all the same, with a warning before it: it may be
/// missing after a failover. The text depends on the server's language; the code does not.
fn is_unconfirmed_commit(notice: &tokio_postgres::error::DbError) -> bool {
    notice.parsed_severity() == Some(Severity::Warning) && *notice.code() == SqlState::WARNING
}

/// Whether a statement that was prepared before does not fit the tables any more: the columns of its answer are others.
/// It is refused before it is carried out.
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
            // The tables may have changed since it was prepared, so the next time it is prepared again.
            self.prepared.remove(statement.sql);
            if !is_stale {
                return answer;
            }
        }
        let asked = self.client.prepare(statement.sql).await;
        let prepared = self.judged(asked).map_err(|unanswered| match unanswered {
            // It was not even begun.
            Unanswered::Lost(why) => Unanswered::NotNow(why, false),
            other => other,
        })?;
        self.prepared.insert(statement.sql, prepared.clone());
        let asked = self.client.query(&prepared, &values).await;
        self.judged(asked)
    }

    /// Waits until the standby has everything that was committed before: this is a commit of its own, and a commit waits
    /// for all that came before it. A statement that changes nothing waits for no standby.
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

    /// The first column of the first row, as text, without a prepared statement.
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
        // What was said about this statement is no concern of the next one.
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
            // An answer that cannot be read, or no answer.
            return Err(Unanswered::Lost(why));
        };
        Err(match *code {
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
                Unanswered::NotNow(why, true)
            }
            // The server became a standby; or what was prepared is gone, and with it what was set on this connection: a
            // pooler has reset it.
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

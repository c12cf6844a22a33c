//! Examines the server, and decides whether it can keep a ledger.

use super::statement::Statement;
use super::thread::Postgres;
use crate::ledger::LedgerError;
use tokio_postgres::Row;

/// The oldest version that is supported: 14, as `server_version_num` has it.
const OLDEST: i32 = 140_000;

/// These expressions depend on no schema and work on every version; `ssl` is visible for the own connection.
const DESCRIPTION: &str = "SELECT version(), current_setting('server_version_num')::int, \
    coalesce(host(inet_server_addr()), ''), inet_server_port(), \
    coalesce((SELECT s.ssl FROM pg_catalog.pg_stat_ssl s WHERE s.pid = pg_backend_pid()), false), \
    current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'), \
    current_setting('synchronous_standby_names')";

const POOLED: &str = "a pooler such as PgBouncer gives each transaction another connection to the server, so the \
     settings of a connection are lost; name the server itself, or set pool_mode = session for this database";

/// What a server says about itself.
#[derive(Debug, Clone)]
struct ServerDescription {
    version: String,
    number: i32,
    address: String,
    port: Option<i32>,
    is_encrypted: bool,
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
    standby_names: String,
}

/// One finding about the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// As it should be.
    Good(String),
    /// It works, but something may be a surprise.
    Odd(String),
    /// No ledger can be kept there.
    Bad(String),
}

/// All findings about the server.
#[derive(Debug, Clone)]
pub struct Server(Vec<Remark>);

impl Server {
    /// Returns the findings, in the order in which they were made.
    pub fn remarks(&self) -> &[Remark] {
        &self.0
    }

    /// Returns the first reason why no ledger can be kept there.
    pub fn unfit(&self) -> Option<&str> {
        self.0.iter().find_map(|one| match one {
            Remark::Bad(why) => Some(why.as_str()),
            Remark::Good(_) | Remark::Odd(_) => None,
        })
    }
}

impl Postgres {
    /// Examines the server, and decides whether it can keep a ledger.
    pub fn server(&self) -> Result<Server, LedgerError> {
        // Prepared statements come last: behind a pooler they may be those of another connection.
        let version = self.text("SELECT version()")?;
        if !version.starts_with("PostgreSQL ") {
            return Ok(Server(vec![Remark::Bad(format!(
                "the server is {version}, and not PostgreSQL; name a PostgreSQL server"
            ))]));
        }
        if self.is_pooled_by_transaction()? {
            return Ok(Server(vec![Remark::Bad(POOLED.to_owned())]));
        }
        let description =
            self.ask_one(Statement::repeatable(DESCRIPTION), ServerDescription::read)?;
        Ok(description.judged())
    }
}

impl ServerDescription {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            version: row.try_get(0)?,
            number: row.try_get(1)?,
            address: row.try_get(2)?,
            port: row.try_get(3)?,
            is_encrypted: row.try_get(4)?,
            fsync: row.try_get(5)?,
            full_page_writes: row.try_get(6)?,
            synchronous_commit: row.try_get(7)?,
            standby_names: row.try_get(8)?,
        })
    }

    fn judged(&self) -> Server {
        Server(vec![self.who(), self.durability(), self.standby()])
    }

    /// Which server answered, and its version.
    fn who(&self) -> Remark {
        // "PostgreSQL 15.18 (Debian …) on x86_64-pc-linux-gnu, compiled by …"
        let version = self.version.split(" on ").next().unwrap_or_default();
        if self.number < OLDEST {
            return Remark::Bad(format!(
                "the server is {version}, which is too old; PostgreSQL {} or newer is needed",
                OLDEST / 10_000
            ));
        }
        let at = match (self.address.as_str(), self.port) {
            ("", _) => "by a Unix socket".to_owned(),
            (address, port) => format!(
                "at {address}{}{}",
                port.map_or_else(String::new, |port| format!(" port {port}")),
                if self.is_encrypted { ", by TLS" } else { "" }
            ),
        };
        Remark::Good(format!("{version} answers {at}"))
    }

    /// Whether an acknowledged commit survives a power cut.
    fn durability(&self) -> Remark {
        let Self {
            fsync,
            full_page_writes,
            synchronous_commit,
            ..
        } = self;
        let lost = match (fsync.as_str(), synchronous_commit.as_str()) {
            ("off", _) => Some("fsync"),
            (_, "off") => Some("synchronous_commit"),
            _ => None,
        };
        if let Some(setting) = lost {
            let how = if setting == "fsync" {
                "in postgresql.conf"
            } else {
                "in postgresql.conf, or with ALTER ROLE or ALTER DATABASE where it was set for one of these"
            };
            return Remark::Bad(format!(
                "{setting} is off, so acknowledged commits may be missing after a power cut, and a write could be made \
                 twice; set {setting} = on {how}"
            ));
        }
        let words = format!(
            "fsync {fsync}, full_page_writes {full_page_writes}, synchronous_commit {synchronous_commit}"
        );
        if full_page_writes == "off" {
            return Remark::Odd(format!(
                "{words}: a power cut may damage the database, unless its file system never writes half a page (ZFS); set \
                 full_page_writes = on"
            ));
        }
        Remark::Good(words)
    }

    /// Whether an acknowledged commit survives the loss of the server.
    fn standby(&self) -> Remark {
        match (self.standby_names.trim(), self.synchronous_commit.as_str()) {
            ("", _) => Remark::Odd(
                "no synchronous standby (synchronous_standby_names is empty): if this server is lost permanently, the \
                 ledger is lost too, and a standby that takes over may lack the last acknowledged commits"
                    .to_owned(),
            ),
            (names, "local") => Remark::Odd(format!(
                "synchronous_commit is local, so no commit waits for the standby ({names}); set it to on"
            )),
            (names, _) => Remark::Good(format!("a commit waits for the standby ({names})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> ServerDescription {
        ServerDescription {
            version: "PostgreSQL 17.2 (Debian 17.2-1) on x86_64-pc-linux-gnu, compiled by gcc"
                .to_owned(),
            number: 170_002,
            address: "10.0.0.7".to_owned(),
            port: Some(5432),
            is_encrypted: true,
            fsync: "on".to_owned(),
            full_page_writes: "on".to_owned(),
            synchronous_commit: "on".to_owned(),
            standby_names: "ANY 1 (b, c)".to_owned(),
        }
    }

    #[test]
    fn correctly_configured_server_gets_only_good_remarks() {
        let server = description().judged();
        assert_eq!(server.unfit(), None);
        let words = "PostgreSQL 17.2 (Debian 17.2-1) answers at 10.0.0.7 port 5432, by TLS";
        assert_eq!(server.remarks()[0], Remark::Good(words.to_owned()));
        assert!(
            server
                .remarks()
                .iter()
                .all(|one| matches!(one, Remark::Good(_))),
            "{server:?}"
        );
    }

    #[test]
    fn each_setting_that_loses_an_acknowledged_commit_is_named() {
        type Change = fn(&mut ServerDescription);
        let bad: [(Change, &str); 3] = [
            (
                |description| description.number = 130_014,
                "PostgreSQL 14 or newer",
            ),
            (
                |description| description.fsync = "off".to_owned(),
                "set fsync = on",
            ),
            (
                |description| description.synchronous_commit = "off".to_owned(),
                "set synchronous_commit = on",
            ),
        ];
        for (change, words) in bad {
            let mut description = description();
            change(&mut description);
            let server = description.judged();
            assert!(
                server.unfit().is_some_and(|why| why.contains(words)),
                "{words}: {server:?}"
            );
        }
        let odd: [(Change, &str); 3] = [
            (
                |description| description.full_page_writes = "off".to_owned(),
                "set full_page_writes = on",
            ),
            (
                |description| description.standby_names = String::new(),
                "no synchronous standby",
            ),
            (
                |description| description.synchronous_commit = "local".to_owned(),
                "no commit waits",
            ),
        ];
        for (change, words) in odd {
            let mut description = description();
            change(&mut description);
            let server = description.judged();
            assert_eq!(server.unfit(), None, "{words}");
            let is_told = |one: &Remark| matches!(one, Remark::Odd(why) if why.contains(words));
            assert!(server.remarks().iter().any(is_told), "{words}: {server:?}");
        }
    }
}

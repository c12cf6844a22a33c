//! The address of a ledger in PostgreSQL: libpq's URL with one host or several.
//!
//! No error repeats the text, which may hold a password by mistake.

use crate::domain::visible;
use crate::ledger::user;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// PostgreSQL's own port.
const PORT: u16 = 5432;
/// How long one server may take to accept a connection, where the address does not say it.
const CONNECT: Duration = Duration::from_secs(10);
/// How an address looks.
const EXAMPLE: &str = "postgres://idshift@db.example.com/idshift";

/// Where a ledger in PostgreSQL is kept: servers, database, and the role that is used there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Tried in this order; the first one that accepts writes is used.
    pub(super) hosts: Vec<Host>,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) connect_timeout: Duration,
    /// TLS also on loopback.
    always_tls: bool,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// The folder of a Unix socket, and the port that is part of the socket's name.
    Unix(PathBuf, u16),
    /// A name or an IP address, and the port.
    Tcp(String, u16),
}

/// Why a text is no address, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

impl Address {
    /// Whether the connection to this server is encrypted, and its certificate verified.
    pub(super) fn uses_tls(&self, host: &Host) -> bool {
        match host {
            Host::Unix(..) => false,
            Host::Tcp(name, _) => self.always_tls || !is_loopback(name),
        }
    }

    /// Whether the connection to any of its servers is encrypted.
    pub fn needs_tls(&self) -> bool {
        self.hosts.iter().any(|host| self.uses_tls(host))
    }

    /// The role that is used there.
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = ["postgres://", "postgresql://"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| {
            AddressError(format!(
                "the address does not begin with postgres://; write it as {EXAMPLE}"
            ))
        })?;
        // Split at the last `@`: a password may contain one, and must not be taken for a host and shown.
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        if login.is_some_and(|login| login.contains(':')) {
            return Err(password_in_address());
        }
        if login.is_some_and(|login| login.contains(['/', '?', '@', '#'])) {
            return Err(AddressError(
                "the name of the user holds one of / ? @ #; write them as %2F, %3F, %40 and %23"
                    .to_owned(),
            ));
        }
        no_stray_characters(text)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        if database.contains('/') {
            return Err(AddressError(format!(
                "the name of the database ends at the second /; remove what follows it, as in {EXAMPLE}, or write a / that \
                 is part of the name as %2F"
            )));
        }
        let mut parameters = Parameters::of(query)?;
        let hosts = hosts_of(hosts, &mut parameters)?;
        let login = login.map(decoded).transpose()?;
        let database = decoded(database)?;
        if database.is_empty() {
            return Err(AddressError(format!(
                "the address names no database; add it after the host, as in {EXAMPLE}"
            )));
        }
        let address = Self {
            hosts,
            user: login
                .filter(|name| !name.is_empty())
                .or_else(|| parameters.take("user"))
                .unwrap_or_else(user),
            database,
            connect_timeout: parameters.connect_timeout()?,
            always_tls: parameters.always_tls()?,
        };
        parameters.only("target_session_attrs", "read-write", READ_WRITE)?;
        parameters.none_left()?;
        Ok(address)
    }
}

/// Refuses characters that an address cannot contain: it was mistyped or badly copied.
fn no_stray_characters(text: &str) -> Result<(), AddressError> {
    if text.contains('#') {
        return Err(AddressError(
            "the address holds a #, which is not allowed; remove it and what follows it, or write it as %23".to_owned(),
        ));
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(AddressError(
            "the address holds a space, a line break or the like; remove it, or write a space as %20".to_owned(),
        ));
    }
    Ok(())
}

/// Makes any text printable in one line.
pub(super) fn in_one_line(text: &str) -> String {
    visible(text).replace('\n', "\\u{a}")
}

const READ_WRITE: &str = "the ledger is always kept on the server that accepts writes";

fn password_in_address() -> AddressError {
    AddressError(
        "the address holds a password, which every user of this machine can read in the list of processes; leave it out, \
         and set IDSHIFT_LEDGER_PASSWORD, or ledger_password_file or ledger_password_command in the profile"
            .to_owned(),
    )
}

/// What stands after the `?`.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(query: &str) -> Result<Self, AddressError> {
        let mut parameters = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            parameters.push((decoded(key)?, decoded(value)?));
        }
        if parameters.iter().any(|(key, _)| key == "password") {
            return Err(password_in_address());
        }
        Ok(Self(parameters))
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1).filter(|value| !value.is_empty())
    }

    /// A parameter that may have one value only.
    fn only(&mut self, key: &str, value: &str, why: &str) -> Result<bool, AddressError> {
        match self.take(key) {
            None => Ok(false),
            Some(given) if given == value => Ok(true),
            Some(given) => Err(AddressError(format!(
                "{key}={given} is not possible: {why}; remove it, or write {key}={value}"
            ))),
        }
    }

    fn always_tls(&mut self) -> Result<bool, AddressError> {
        self.only(
            "sslmode",
            "verify-full",
            "connections to other machines are always encrypted, and the server's certificate and name verified",
        )
    }

    fn connect_timeout(&mut self) -> Result<Duration, AddressError> {
        let Some(text) = self.take("connect_timeout") else {
            return Ok(CONNECT);
        };
        match text.parse::<u64>() {
            Ok(seconds) if (1..=600).contains(&seconds) => Ok(Duration::from_secs(seconds)),
            Ok(_) | Err(_) => Err(AddressError(format!(
                "connect_timeout={text} is not a number of seconds from 1 to 600; correct it"
            ))),
        }
    }

    fn none_left(&self) -> Result<(), AddressError> {
        let Some((key, _)) = self.0.first() else {
            return Ok(());
        };
        let what = match key.as_str() {
            "sslrootcert" => {
                "is not a parameter here; name the file with --ca-cert, or ca_cert in the profile"
            }
            "passfile" | "service" => {
                "is not a parameter here; set ledger_password_file in the profile"
            }
            _ => {
                "is not a parameter that is known; the parameters are host, port, user, sslmode, target_session_attrs, \
                 connect_timeout"
            }
        };
        Err(AddressError(format!("`{key}` {what}")))
    }
}

/// The servers: before the database, or in the parameters `host` and `port`.
fn hosts_of(text: &str, parameters: &mut Parameters) -> Result<Vec<Host>, AddressError> {
    let names = parameters.take("host");
    let ports = parameters.take("port");
    let Some(names) = names.filter(|_| text.is_empty()) else {
        if text.is_empty() {
            return Err(AddressError(format!(
                "the address names no host; write it as {EXAMPLE}, or with the folder of a Unix socket, as in \
                 postgres://idshift@/idshift?host=/run/postgresql"
            )));
        }
        if let Some(port) = ports {
            return Err(AddressError(format!(
                "the port {port} is given as a parameter; write it after the host, as in db.example.com:{port}"
            )));
        }
        return text.split(',').map(named_host).collect();
    };
    let ports = ports.unwrap_or_default();
    let ports: Vec<&str> = ports.split(',').collect();
    let names: Vec<&str> = names.split(',').collect();
    if ports.len() > 1 && ports.len() != names.len() {
        return Err(AddressError(format!(
            "{} hosts have {} ports; name one port for all of them, or one for each",
            names.len(),
            ports.len()
        )));
    }
    let port_of = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or_default();
    let hosts = names.iter().enumerate();
    hosts.map(|(at, name)| host(name, port_of(at))).collect()
}

/// `db.example.com:5432`, `[2001:db8::1]:5432`, `%2Frun%2Fpostgresql`.
fn named_host(text: &str) -> Result<Host, AddressError> {
    if let Some((name, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = match rest.strip_prefix(':') {
            Some(port) => port,
            None if rest.is_empty() => "",
            None => {
                return Err(AddressError(format!(
                    "`{rest}` after the IPv6 address is not a port; write it as [2001:db8::1]:5432"
                )));
            }
        };
        return host(name, port);
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(AddressError(
            "an IPv6 address stands in brackets; write it as [2001:db8::1]:5432".to_owned(),
        )),
        Some((name, port)) => host(&decoded(name)?, port),
        None => host(&decoded(text)?, ""),
    }
}

fn host(name: &str, port: &str) -> Result<Host, AddressError> {
    let port = match port {
        "" => PORT,
        text => match text.parse::<u16>() {
            Ok(port) if port > 0 => port,
            Ok(_) | Err(_) => {
                return Err(AddressError(format!(
                    "`{text}` is not a port; a port is a number from 1 to 65535, usually {PORT}"
                )));
            }
        },
    };
    if name.starts_with('/') {
        return Ok(Host::Unix(PathBuf::from(name), port));
    }
    if name.is_empty() {
        return Err(AddressError(format!(
            "a host is missing before or after a comma; write it as {EXAMPLE}"
        )));
    }
    Ok(Host::Tcp(name.to_owned(), port))
}

fn decoded(text: &str) -> Result<String, AddressError> {
    let decoded = percent_decode_str(text).decode_utf8();
    match decoded {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        Ok(_) | Err(_) => Err(AddressError(
            "a part of the address with % is not text in UTF-8; correct it".to_owned(),
        )),
    }
}

fn is_loopback(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(folder, PORT) => write!(f, "{}", folder.display()),
            Self::Unix(folder, port) => write!(f, "{} port {port}", folder.display()),
            Self::Tcp(name, port) if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Tcp(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        let shown = format!(
            "database {} on {} (role {})",
            self.database,
            hosts.join(", "),
            self.user
        );
        f.write_str(&in_one_line(&shown))
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;

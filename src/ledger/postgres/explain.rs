//! Explains errors of PostgreSQL and TLS: why no connection could be made, and what to do about it.

use super::address::{Address, in_one_line};
use rustls::CertificateError;
use std::error::Error;
use std::io;
use tokio_postgres::error::SqlState;

/// Why one server could not be used.
pub(super) struct Failure {
    pub(super) why: String,
    /// Whether the server may work a little later.
    pub(super) passing: bool,
}

impl Failure {
    pub(super) fn lasting(why: String) -> Self {
        Self {
            why,
            passing: false,
        }
    }

    pub(super) fn passing(why: String) -> Self {
        Self { why, passing: true }
    }
}

const PASSWORD: &str =
    "IDSHIFT_LEDGER_PASSWORD, or ledger_password_file or ledger_password_command in the profile";

/// Explains why no connection could be made.
pub(super) fn of_connecting(error: &tokio_postgres::Error, address: &Address) -> Failure {
    let said = said(error);
    if let Some(code) = error.code() {
        return refused(code, &said, address);
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return Failure::lasting(certificate(tls));
    }
    if said.contains("server does not support TLS") {
        return Failure::lasting(
            "the server does not speak TLS, which a connection to another machine needs; set ssl = on there".to_owned(),
        );
    }
    if said.contains("password missing") {
        return Failure::lasting(format!(
            "the server asks for the password of role {}; set {PASSWORD}",
            address.user
        ));
    }
    match find::<io::Error>(error) {
        Some(io) if io.kind() == io::ErrorKind::NotFound => Failure::passing(format!(
            "no server listens in that folder ({said}); is it running, and is the folder its unix_socket_directories?"
        )),
        Some(io) if io.kind() == io::ErrorKind::ConnectionRefused => Failure::passing(format!(
            "no server listens there ({said}); is it running, and are host and port right?"
        )),
        _ => Failure::passing(format!(
            "no connection ({said}); is it a PostgreSQL server, and are host and port right?"
        )),
    }
}

/// Explains why the server does not accept this role.
fn refused(code: &SqlState, said: &str, address: &Address) -> Failure {
    let Address { user, database, .. } = address;
    let next = match *code {
        SqlState::INVALID_PASSWORD => {
            format!("check the role {user} and its password ({PASSWORD})")
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => format!(
            "check the role {user} and the server's pg_hba.conf; a server on this machine that accepts TLS alone needs \
             ?sslmode=verify-full in the address"
        ),
        SqlState::INVALID_CATALOG_NAME => {
            format!(
                "correct the name of the database, or create it: CREATE DATABASE \"{database}\""
            )
        }
        SqlState::INSUFFICIENT_PRIVILEGE => {
            format!("GRANT CONNECT ON DATABASE \"{database}\" TO \"{user}\"")
        }
        SqlState::TOO_MANY_CONNECTIONS => {
            // The server's words say which of the limits it is, in its own language.
            format!(
                "raise the limit that was reached (max_connections of the server; ALTER ROLE \"{user}\" CONNECTION LIMIT; \
                 ALTER DATABASE \"{database}\" CONNECTION LIMIT), or end other connections"
            )
        }
        _ => String::new(),
    };
    let why = if next.is_empty() {
        said.to_owned()
    } else {
        format!("{said}; {next}")
    };
    // The server is starting, shutting down, or has no free connection.
    let passing = code.code().starts_with("57P") || code.code().starts_with("53");
    Failure { why, passing }
}

fn certificate(tls: &rustls::Error) -> String {
    let next = match tls {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the certificate is for another host name: correct the host in the address",
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the certificate has expired: renew it, or correct this machine's clock",
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the certificate is signed by an authority that this machine does not know: name it with --ca-cert"
        }
        _ => "no trusted connection",
    };
    format!("{next} ({tls})")
}

/// Returns what went wrong, in the words of the server or of the operating system.
pub(super) fn said(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        let detail = error.detail().map(|detail| format!(": {detail}"));
        return in_one_line(&format!(
            "{}{} (SQLSTATE {})",
            error.message(),
            detail.unwrap_or_default(),
            error.code().code()
        ));
    }
    let innermost = causes(error).last();
    match innermost {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

/// Returns the cause of this type. An I/O error holds its own cause, but does not name it as its source.
fn find<T: Error + 'static>(error: &tokio_postgres::Error) -> Option<&T> {
    causes(error).find_map(|cause| {
        let inner = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        cause
            .downcast_ref::<T>()
            .or_else(|| inner.and_then(|inner| inner.downcast_ref::<T>()))
    })
}

fn causes(error: &tokio_postgres::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

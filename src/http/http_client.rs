//! How connections are made: one builder for the calls of a target, for its token endpoint, and for monitoring
//! services.

use reqwest::{ClientBuilder, Url, redirect, retry};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::attempt::innermost;
use super::settings::{Settings, SetupError};
use crate::regular_file;

/// Many servers close idle connections after five seconds; a write that is sent while the server closes is in doubt.
const IDLE: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(5);

/// Returns a builder of clients for one address, without automatic retries, redirects and referrers. The file `ca_cert`
/// has certificates to trust in addition to the operating system's.
pub(super) fn builder(url: &Url, ca_cert: Option<&Path>) -> Result<ClientBuilder, SetupError> {
    let mut builder = reqwest::Client::builder()
        // hyper itself still resends a request that a closing connection returned unsent; the server has processed no
        // copy of it.
        .retry(retry::never())
        // A token must not be sent to another server, and a redirected PATCH is an error.
        .redirect(redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("idshift/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url) {
        // `http_proxy` would otherwise apply to 127.0.0.1 too.
        builder = builder.no_proxy();
    }
    if let Some(path) = ca_cert {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    Ok(builder)
}

/// Builds the client; `what`: the setting that holds its address.
pub(super) fn build(
    builder: ClientBuilder,
    what: &'static str,
) -> Result<reqwest::Client, SetupError> {
    builder
        .build()
        .map_err(|error| SetupError::Tls(format!("{what}: {}", innermost(&error.without_url()))))
}

/// Returns the client for the calls of a target, or for its token endpoint, without a time-out for the whole call.
/// `from`: the local address of its connections.
pub(super) fn of_target(
    settings: &Settings,
    url: &Url,
    what: &'static str,
    from: Option<IpAddr>,
) -> Result<reqwest::Client, SetupError> {
    let mut builder = builder(url, settings.ca_cert.as_deref())?
        .https_only(!(is_loopback(url) || settings.allow_http))
        // Well below the time-out of the whole call: a time-out while connecting must be distinguishable from one after
        // sending.
        .connect_timeout(CONNECT.min(settings.timeout / 2))
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(settings.max_connections.max(1))
        .tcp_nodelay(true);
    if let Some(address) = from {
        // Behind a proxy the system would see the proxy's address.
        builder = builder.local_address(address).no_proxy();
    }
    if settings.http1_only {
        builder = builder.http1_only();
    }
    if let Some(certificate) = &settings.client_certificate {
        builder = builder.identity(certificate.identity()?);
    }
    build(builder, what)
}

/// Reads the certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, SetupError> {
    let wrong = |why: String| SetupError::Certificates {
        path: path.to_owned(),
        why,
    };
    let pem = regular_file::read(path).map_err(|error| wrong(error.to_string()))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|_| wrong("not PEM certificates".to_owned()))?;
    if certificates.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// Returns whether calls to this URL stay on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.trim_end_matches('.').eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

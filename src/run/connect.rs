//! Makes the client and the system from the resolved settings.

use super::call_log;
use super::error::CommandError;
use super::quota::SharedLimits;
use crate::config::{ConfigError, Resolved};
use crate::http::{self, Client, Proxies, Route};
use crate::system::{self, System};
use std::net::ToSocketAddrs;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Returns the address of the system; an error if none is set.
pub(crate) fn base_url(resolved: &Resolved) -> Result<String, CommandError> {
    Ok(resolved.base_url.clone().ok_or(ConfigError::Missing {
        what: "the base URL",
        help: "give --base-url, set base_url in a profile, or try --sandbox",
    })?)
}

/// Connects to the system that the settings name. `lookups`: how many customers will be looked up.
pub(crate) fn connect(
    resolved: &Resolved,
    calls: Option<SharedLimits>,
    lookups: u64,
    stop: CancellationToken,
) -> Result<(System, Arc<Client>), CommandError> {
    call_log::start(&resolved.log)?;
    let http = http_settings(resolved, calls)?;
    let settings = system_settings(resolved, lookups);
    Ok(System::prepare(resolved.system, http, &settings, stop)?)
}

/// Makes the runtime for the calls of a command. One thread is enough, because calls mostly wait.
pub(crate) fn runtime() -> Result<Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| CommandError::usage(format!("the runtime cannot be started: {why}")))
}

/// Returns the settings of the client.
fn http_settings(
    resolved: &Resolved,
    calls: Option<SharedLimits>,
) -> Result<http::Settings, CommandError> {
    let (call_reservations, shared_rate) =
        SharedLimits::for_client(calls, resolved.quota.is_some());
    let token = resolved.token.clone().ok_or(ConfigError::NO_TOKEN)?;
    Ok(http::Settings {
        base_url: base_url(resolved)?,
        allow_http: resolved.allow_http,
        ca_cert: resolved.ca_cert.clone(),
        client_certificate: resolved.client_certificate.clone(),
        timeout: resolved.timeout,
        retries: resolved.retries,
        give_up_after: resolved.give_up_after,
        find_rate: resolved.find_rate,
        write_rate: resolved.write_rate,
        quota: resolved.quota,
        egress: resolved.egress.clone(),
        call_reservations,
        shared_rate,
        max_connections: 256,
        http1_only: resolved.http1_only,
        token,
    })
}

fn system_settings(resolved: &Resolved, lookups: u64) -> system::Settings {
    let rates = [Some(resolved.find_rate), resolved.write_rate];
    let calls = rates
        .into_iter()
        .flatten()
        .filter_map(|rate| rate.calls_in(system::TURN));
    // Each customer needs a look-up, a read and a write; with a quarter of the quota, all of these fit into one window.
    let within_quota = resolved.whole_quota().map(|quota| quota.calls / 4);
    let calls = calls.chain(within_quota);
    system::Settings {
        reseller: resolved.reseller_id(),
        api_key: resolved.api_key.clone(),
        tenant: resolved.tenant.clone(),
        sending: resolved.sending,
        max_age: resolved.max_age,
        expected_lookups: lookups,
        calls_meanwhile: calls.min().and_then(|calls| usize::try_from(calls).ok()),
    }
}

/// Refuses local addresses from which calls cannot be sent, before a run is created.
pub(crate) fn check_egress(resolved: &Resolved, base_url: &str) -> Result<(), CommandError> {
    http::check_addresses(&resolved.egress, base_url)
        .map_err(|why| CommandError::usage(why.to_string()))
}

/// Refuses a host that does not exist: that is a mistyped address and not an outage to wait for.
pub(crate) fn check_host(base_url: &str) -> Result<(), CommandError> {
    if let Route::Proxy { resolves: true, .. } = Proxies::from_environment().route(base_url) {
        return Ok(());
    }
    let Some((scheme, rest)) = base_url.split_once("://") else {
        return Ok(());
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let with_port = match host.rsplit_once(':') {
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
        _ => format!("{host}:{}", if scheme == "http" { 80 } else { 443 }),
    };
    match with_port.to_socket_addrs() {
        Ok(_) => Ok(()),
        Err(why) => Err(
            CommandError::usage(format!("the host `{host}` cannot be found: {why}"))
                .with_help("check --base-url, or the network; nothing was sent"),
        ),
    }
}

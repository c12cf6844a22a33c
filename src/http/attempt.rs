//! One request on the wire: how it is built, and what a failure of it means.
//!
//! The names of errors do not prove that nothing was processed; only the phases before sending do. So a failure to
//! connect is told from everything else, and everything else is in doubt.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, redirect, retry};
use std::error::Error;
use std::io;
use std::time::Duration;

use super::call::WhyKind;
use super::settings::{Settings, SetupError};

/// The longest answer that is read.
pub(super) const LONGEST_BODY: usize = 4 * 1024 * 1024;
/// Many servers close idle connections after five seconds; a write that meets the closing is in doubt.
const IDLE: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(5);

/// A request that got no whole answer.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: WhyKind,
    /// Without the URL, which holds IDs.
    pub(super) text: String,
    /// Where the status came and the rest did not.
    pub(super) status: Option<u16>,
}

impl Fault {
    pub(super) fn new(kind: WhyKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            status: None,
        }
    }
}

/// An HTTP client with everything off that acts by itself, also without a time-out for the whole of a call.
pub(super) fn http_client(
    settings: &Settings,
    loopback: bool,
    what: &'static str,
) -> Result<reqwest::Client, SetupError> {
    let mut builder = reqwest::Client::builder()
        // hyper still sends a request again that a closing connection handed back unsent; no copy was processed.
        .retry(retry::never())
        // A token must not travel, and a redirected PATCH is an error.
        .redirect(redirect::Policy::none())
        .referer(false)
        .https_only(!(loopback || settings.allow_http))
        // Well below the whole: a time-out while connecting must not look like one after sending.
        .connect_timeout(CONNECT.min(settings.timeout / 2))
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(settings.max_connections.max(1))
        .tcp_nodelay(true)
        .user_agent(concat!("idshift/", env!("CARGO_PKG_VERSION")));
    if loopback {
        // `http_proxy` would otherwise hold for 127.0.0.1 too.
        builder = builder.no_proxy();
    }
    if settings.http1_only {
        builder = builder.http1_only();
    }
    if let Some(path) = &settings.ca_cert {
        let wrong = |why: String| SetupError::Certificates {
            path: path.clone(),
            why,
        };
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|_| wrong("not PEM certificates".to_owned()))?;
        if certificates.is_empty() {
            return Err(wrong("no certificate in it".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .build()
        .map_err(|error| SetupError::Tls(format!("{what}: {}", innermost(&error.without_url()))))
}

/// A header whose name is known at compile time.
pub(super) fn header(
    name: &'static str,
    value: &str,
) -> Result<(HeaderName, HeaderValue), SetupError> {
    // `from_static` would panic on an upper case letter.
    let wrong = || SetupError::Header(name);
    let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    Ok((name, value))
}

/// The text of a header, where it is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Reads a body to its end, or to the limit.
pub(super) async fn read_body(
    response: &mut Response,
    body: &mut Vec<u8>,
    limit: usize,
) -> Result<(), Fault> {
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(()),
            Ok(Some(chunk)) => {
                if body.len() + chunk.len() > limit {
                    return Err(Fault::new(
                        WhyKind::Unreadable,
                        format!("the answer is longer than {} KiB", limit / 1024),
                    ));
                }
                body.extend_from_slice(&chunk);
            }
            Err(error) => return Err(classify(error)),
        }
    }
}

/// No whole answer came in time.
pub(super) fn late() -> Fault {
    Fault::new(WhyKind::Timeout, "no whole answer in time")
}

/// What reqwest's error means.
pub(super) fn classify(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    // First: where `connect_timeout` fires, both are true, and nothing was sent.
    if error.is_connect() {
        if is_tls(&error) {
            let text = format!("no trusted connection: {}", innermost(&error));
            return Fault::new(WhyKind::Tls, text);
        }
        let text = if error.is_timeout() {
            "no connection in time".to_owned()
        } else if error.is_dns() {
            format!("the host's name is not found: {}", innermost(&error))
        } else {
            format!("no connection: {}", innermost(&error))
        };
        return Fault::new(WhyKind::Connect, text);
    }
    if error.is_timeout() {
        return late();
    }
    if error.is_builder() {
        let text = format!("the call cannot be made: {}", innermost(&error));
        return Fault::new(WhyKind::Unsendable, text);
    }
    if is_malformed(&error) {
        let text = format!("the answer is no HTTP: {}", innermost(&error));
        return Fault::new(WhyKind::Unreadable, text);
    }
    let text = format!("the connection was lost: {}", innermost(&error));
    Fault::new(WhyKind::Reset, text)
}

/// rustls reports certificates and protocol versions that it cannot accept as invalid data. A handshake that was
/// merely cut off is not that: it is an ordinary failure to connect.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let mut io = error.downcast_ref::<io::Error>();
        while let Some(error) = io {
            if error.kind() == io::ErrorKind::InvalidData {
                return true;
            }
            // An I/O error's `source` skips the error that it wraps.
            io = error.get_ref().and_then(|inner| inner.downcast_ref());
        }
        source = error.source();
    }
    false
}

/// Whether a response came and its head cannot be read: that is not the same as no response.
fn is_malformed(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_parse();
        }
        source = error.source();
    }
    false
}

/// The last cause, which is the one that says something.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

//! One request on the wire: its parts, and what a failure of it means.
//!
//! The kind of an error does not prove that the server processed nothing; only a failure before sending does. So a
//! failure to connect is distinguished from all other failures, and those leave the call in doubt.

use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use rustls::CertificateError;
use std::error::Error;
use std::io::{self, Read};

use super::call::{CallErrorKind, Stranger};
use super::settings::SetupError;

/// Longest answer that is read, in bytes.
pub(super) const LONGEST_BODY: usize = 4 * 1024 * 1024;

/// A request without a complete answer.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: CallErrorKind,
    /// The reason, without the URL, because the URL contains IDs.
    pub(super) text: String,
    /// The HTTP status, if it arrived and the rest of the answer did not.
    pub(super) status: Option<u16>,
}

impl Fault {
    pub(super) fn new(kind: CallErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            status: None,
        }
    }
}

/// Returns a header whose name is known at compile time.
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

/// Returns the value of a header, if it is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Appends the rest of the response to `body`. An answer longer than `limit` bytes is an error.
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
                    return Err(too_long(limit));
                }
                body.extend_from_slice(&chunk);
            }
            Err(error) => return Err(classify(error)),
        }
    }
}

/// Returns the body as UTF-8 text: decompresses it (even though no compression was asked for) and removes a byte order
/// mark.
pub(super) fn decoded(headers: &HeaderMap, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut body = body;
    // Several encodings were applied in the order in which they are listed.
    let listed = headers.get_all(CONTENT_ENCODING).into_iter();
    let names: Vec<&str> = listed
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
        .collect();
    for name in names.into_iter().rev() {
        // A 204 may announce an encoding although its body is empty.
        if !body.is_empty() {
            body = decompressed(name, &body, limit)?;
        }
    }
    Ok(match encoding_rs::Encoding::for_bom(&body) {
        None => body,
        Some((encoding, _)) => encoding
            .decode_with_bom_removal(&body)
            .0
            .into_owned()
            .into(),
    })
}

fn decompressed(name: &str, body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    let unreadable = |text: String| Fault::new(CallErrorKind::Unreadable, text);
    let mut plain = Vec::new();
    // One byte more than the limit shows that the answer is longer.
    let most = limit as u64 + 1;
    let read = match name.to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => flate2::read::MultiGzDecoder::new(body)
            .take(most)
            .read_to_end(&mut plain),
        "deflate" => flate2::read::ZlibDecoder::new(body)
            .take(most)
            .read_to_end(&mut plain),
        _ => {
            return Err(unreadable(
                "the answer has a compression that was not requested".to_owned(),
            ));
        }
    };
    read.map_err(|error| unreadable(format!("the compressed answer is damaged: {error}")))?;
    if plain.len() > limit {
        return Err(too_long(limit));
    }
    Ok(plain)
}

fn too_long(limit: usize) -> Fault {
    let text = format!("the answer is longer than {} KiB", limit / 1024);
    Fault::new(CallErrorKind::Unreadable, text)
}

/// Returns the fault: no complete answer came in time.
pub(super) fn late() -> Fault {
    Fault::new(
        CallErrorKind::Timeout,
        "no complete answer within the timeout",
    )
}

/// Determines what reqwest's error means.
pub(super) fn classify(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    // In TLS 1.3 the server refuses this client's certificate after the handshake, when `is_connect` is no longer true.
    if let Some(text) = refused_certificate(&error) {
        let kind = if error.is_connect() {
            CallErrorKind::Tls
        } else {
            CallErrorKind::CertificateRefused
        };
        return Fault::new(kind, text);
    }
    // Checked before `is_timeout`: when `connect_timeout` fires, both are true, and nothing was sent.
    if error.is_connect() {
        if let Some(text) = tls_text(&error) {
            return Fault::new(CallErrorKind::Tls, text);
        }
        let cause = innermost(&error);
        if error.is_timeout() {
            return Fault::new(CallErrorKind::Connect, "no connection within the timeout");
        }
        if error.is_dns() {
            let text = format!("the host name cannot be resolved: {cause}");
            return Fault::new(CallErrorKind::UnknownHost, text);
        }
        // The types of these errors are private to the HTTP client.
        if let Some(why) = cause.strip_prefix("SOCKS error: ") {
            return socks_fault(why);
        }
        if cause.contains("proxy authorization required") {
            let kind = CallErrorKind::NotTheApi(Stranger::ProxyLogin);
            return Fault::new(kind, PROXY_LOGIN);
        }
        return Fault::new(CallErrorKind::Connect, format!("no connection: {cause}"));
    }
    if error.is_timeout() {
        return late();
    }
    if error.is_builder() {
        let text = format!("the call cannot be made: {}", innermost(&error));
        return Fault::new(CallErrorKind::Unsendable, text);
    }
    if is_malformed(&error) {
        let text = format!("the answer is not HTTP: {}", innermost(&error));
        return Fault::new(CallErrorKind::Unreadable, text);
    }
    if is_unprocessed(&error) {
        let text = "the server closed the connection before it processed the call";
        return Fault::new(CallErrorKind::Unprocessed, text);
    }
    let text = format!("the connection was lost: {}", innermost(&error));
    Fault::new(CallErrorKind::Reset, text)
}

/// Returns all causes of an error, the outermost first. `source` of an I/O error skips the error that it wraps; this
/// function includes the wrapped error.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    fn next<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        let error = *error;
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(|error| error.get_ref())
            .map(|error| error as &(dyn Error + 'static));
        wrapped.or_else(|| error.source())
    }
    std::iter::successors(error.source(), next)
}

/// Returns whether an answer came and its head cannot be parsed; that differs from no answer.
fn is_malformed(error: &reqwest::Error) -> bool {
    causes(error)
        .find_map(|cause| cause.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_parse)
}

/// Returns whether HTTP/2 says that this stream was not processed: the server refused it, or sent GOAWAY without an
/// error and named an earlier stream as the last one that it accepted.
fn is_unprocessed(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<h2::Error>().is_some_and(|error| {
            let goodbye = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            error.is_remote() && (goodbye || refused)
        })
    })
}

/// Returns the fault for a refusal by a SOCKS proxy; nothing was sent.
fn socks_fault(why: &str) -> Fault {
    let is_login = ["credentials", "authentication", "acceptable method"]
        .iter()
        .any(|word| why.contains(word));
    if is_login {
        let kind = CallErrorKind::NotTheApi(Stranger::ProxyLogin);
        let text = format!(
            "the SOCKS proxy does not accept the user and the password ({why}): put them into its address \
             (socks5h://user:password@proxy:port)"
        );
        return Fault::new(kind, text);
    }
    let text = format!("no connection through the SOCKS proxy: {why}");
    Fault::new(CallErrorKind::Connect, text)
}

/// Returns the message if the server refused this client's certificate, or requires one.
fn refused_certificate(error: &reqwest::Error) -> Option<String> {
    let alert = alert(error)?;
    let text = match alert.as_str() {
        "CertificateRequired" | "NoCertificate" => {
            "the server asks for a client certificate: name one with client_cert and client_key"
        }
        "CertificateExpired" => "the server says that the client certificate has expired: renew it",
        "CertificateRevoked" => {
            "the server says that the client certificate was revoked: get a new one"
        }
        "UnknownCA" => {
            "the server does not know the authority that signed the client certificate: check client_cert, and add \
             the certificates of its chain to that file"
        }
        "BadCertificate"
        | "UnsupportedCertificate"
        | "CertificateUnknown"
        | "DecryptError"
        | "AccessDenied" => {
            "the server rejects the client certificate, or requires one: check client_cert"
        }
        _ => return None,
    };
    Some(format!("{text} (alert {alert})"))
}

/// Returns the name of the alert with which the server ended TLS. Over HTTP/2 only the error's text contains it.
fn alert(error: &reqwest::Error) -> Option<String> {
    let tls = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
    let text = tls.map_or_else(|| innermost(error), ToString::to_string);
    let name = text.strip_prefix("received fatal alert: ")?;
    Some(name.to_owned())
}

/// Returns why a TLS connection to this server is impossible, and what to do about it; `None`: TLS is not the reason.
/// A handshake that was only interrupted is an ordinary failure to connect.
fn tls_text(error: &reqwest::Error) -> Option<String> {
    let tls = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>())?;
    let text = match tls {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "the certificate is for another host name than the address has ({tls}): correct the host in the address"
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => format!(
            "the certificate has expired ({tls}): renew it, or correct this machine's clock"
        ),
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            format!(
                "the certificate is signed by an authority that this machine does not know ({tls}): name it with --ca-cert"
            )
        }
        rustls::Error::InvalidCertificate(_) => format!("the certificate is not accepted ({tls})"),
        rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure) => format!(
            "the server refuses the handshake ({tls}): it may require a client certificate (set client_cert and \
             client_key), or it may support neither TLS 1.2 nor TLS 1.3"
        ),
        rustls::Error::InvalidMessage(_) => {
            format!(
                "this is no HTTPS server ({tls}): correct the port or the scheme of the address"
            )
        }
        _ => format!("no trusted connection ({tls})"),
    };
    Some(text)
}

/// What to do about a proxy that requires a login.
pub(super) const PROXY_LOGIN: &str = "407: a proxy on the way asks for a user and a password: put them into its \
     address in HTTPS_PROXY (http://user:password@proxy:port)";

/// Returns the text of the innermost cause, which is the most informative one.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

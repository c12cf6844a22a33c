//! The words of a call: what is asked, what came back, and why nothing did.

use super::json;
use super::path::Path;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// The methods that the systems use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Writes.
    Patch,
}

/// What a call is for; counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Looks for a customer by its account ID.
    Find,
    /// Reads what is known by its key.
    Read,
    /// Changes something.
    Write,
}

/// One call, as a system describes it.
#[derive(Debug, Clone)]
pub struct Call {
    /// GET or PATCH.
    pub method: Method,
    /// Below the base URL.
    pub path: Path,
    /// Parameters, not yet encoded.
    pub query: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Option<Vec<u8>>,
    /// What it is for.
    pub kind: Kind,
    /// Of a write: the correlation ID under which its intent was recorded. Reads get a new one for each attempt.
    pub correlation: Option<String>,
    /// Of a write: what it rests on is too old after this, so it is not to depart any more.
    pub send_deadline: Option<Instant>,
    /// Of a read: it is unknown whether this call is available here. A failure answers that question, is not repeated,
    /// and says nothing about the system's health.
    pub tentative: bool,
}

impl Call {
    /// Whether a call is to be had here is to be found out.
    #[must_use]
    pub fn tentatively(mut self) -> Self {
        self.tentative = true;
        self
    }

    /// Asks for something.
    pub fn get(kind: Kind, path: Path) -> Self {
        Self {
            method: Method::Get,
            path,
            query: Vec::new(),
            body: None,
            kind,
            correlation: None,
            send_deadline: None,
            tentative: false,
        }
    }

    /// Changes something, unless it is too late for that.
    pub fn patch(path: Path, body: Vec<u8>, send_deadline: Instant) -> Self {
        Self {
            method: Method::Patch,
            path,
            query: Vec::new(),
            body: Some(body),
            kind: Kind::Write,
            correlation: None,
            send_deadline: Some(send_deadline),
            tentative: false,
        }
    }

    /// With one more parameter, not yet encoded.
    #[must_use]
    pub fn with_query(mut self, name: &'static str, value: String) -> Self {
        self.query.push((name, value));
        self
    }
}

/// A new ID for a request or an intent: a UUID of version 4.
///
/// It must be unique, not secret, so it is not asked of the operating system, which would be a call for each.
pub fn new_id() -> String {
    let random = fastrand::u128(..).to_ne_bytes();
    uuid::Builder::from_random_bytes(random)
        .into_uuid()
        .to_string()
}

/// What a system says about its calls.
#[derive(Debug, Clone)]
pub struct ApiTraits {
    /// Sent with every call.
    pub constant_headers: Vec<(&'static str, String)>,
    /// The header that takes a new UUID for each attempt.
    pub request_id_header: Option<&'static str>,
    /// The header that takes the correlation ID.
    pub correlation_header: Option<&'static str>,
    /// Whether a 403 is a firewall's block of everything, and not about one resource.
    pub is_firewall: fn(&Reply) -> bool,
    /// Whether the body of an answer that is no success is the API's own error.
    pub is_own_error: fn(&Reply) -> bool,
    /// Whether an answer other than a 401 says that the token is no good.
    pub is_unauthorized: fn(&Reply) -> bool,
}

/// An answer that came whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// At most 4 MiB.
    pub body: Vec<u8>,
    /// As the server named it.
    pub content_type: Option<String>,
    /// How many requests it took, this one included.
    pub attempts: u32,
    /// The correlation ID that was sent, where the system has such a header.
    pub correlation: Option<String>,
}

impl Reply {
    /// Whether the status is 2xx.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Unreadable> {
        if self.body.is_empty() {
            return Err(Unreadable::new("the answer is empty"));
        }
        // The parser's own words may quote the body, which holds customers' data; the place is enough.
        json::from_slice(&self.body).map_err(|error| {
            Unreadable(format!(
                "the answer is not the JSON expected (line {}, column {})",
                error.line(),
                error.column()
            ))
        })
    }

    /// Whether the server says that it is some other text, and it does not look like JSON.
    pub fn is_text(&self) -> bool {
        let kind = self.content_type.as_deref().unwrap_or_default();
        let first = self.body.trim_ascii_start().first();
        kind.trim_start().starts_with("text/") && first.is_some_and(|byte| !b"{[\"".contains(byte))
    }

    /// Whether the body is a web page: a portal's or a firewall's, never the API's.
    pub fn is_html(&self) -> bool {
        const HTML: &str = "text/html";
        let says_so = self.content_type.as_deref().is_some_and(|kind| {
            let start = kind.trim_start().get(..HTML.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(HTML))
        });
        // No JSON begins like this.
        says_so || self.body.trim_ascii_start().first() == Some(&b'<')
    }
}

/// An answer that does not say what it should; in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl Unreadable {
    /// With these words.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// What to do about it depends on this.
    pub kind: CallErrorKind,
    /// For a person; without URL and secret.
    pub text: String,
    /// The last status, if there was one.
    pub status: Option<u16>,
    /// Requests sent.
    pub attempts: u32,
}

/// The same thing, for reads.
pub type NoAnswer = CallError;

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallErrorKind {
    /// No connection could be made; nothing was sent.
    Connect,
    /// The host's name is not found; nothing was sent.
    UnknownHost,
    /// It was sent, and the protocol says that it was not processed.
    Unprocessed,
    /// Another server than the API answers.
    NotTheApi(Stranger),
    /// No call can succeed at this address; waiting does not help.
    WrongAddress,
    /// No (whole) answer in time.
    Timeout,
    /// The connection was lost before the answer was whole.
    Reset,
    /// A status that is no answer.
    Status(u16),
    /// An answer that cannot be understood.
    Unreadable,
    /// The credentials are refused by the issuer of the token.
    TokenRefused,
    /// No call has succeeded within the time after which the run should stop.
    GaveUp,
    /// The run is being stopped, and the call would have had to wait.
    Cancelled,
    /// The server's certificate or its TLS cannot be accepted; waiting does not help.
    Tls,
    /// The server refused this client's certificate when the call may have been sent already.
    CertificateRefused,
    /// The address or a header cannot be sent as it was meant; nothing was sent.
    Unsendable,
    /// At the call's turn, what it rests on was too old; nothing was sent. The duration is that of the turn alone.
    Expired(Duration),
    /// The turn passed before the call was sent; nothing was sent.
    Postponed,
}

/// What answers in place of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stranger {
    /// A server that sends the client elsewhere.
    Redirect,
    /// A proxy that asks for a password.
    ProxyLogin,
    /// A web server, a portal or a gateway: a page, or a 404 that is not the API's.
    Page,
}

impl CallError {
    pub(super) fn new(kind: CallErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            status: None,
            attempts: 0,
        }
    }

    pub(super) fn cancelled() -> Self {
        Self::new(CallErrorKind::Cancelled, "the run is being stopped")
    }

    /// The same, where waiting does not help.
    #[must_use]
    pub(super) fn hopeless(mut self) -> Self {
        self.kind = CallErrorKind::WrongAddress;
        self
    }

    #[must_use]
    pub(super) fn after(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for CallError {}

/// What became of a write.
#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "a write is sent or it is not")]
pub enum Sent {
    /// 2xx or a final 4xx, to be interpreted.
    Reply(Reply),
    /// Certainly not processed, and worth another attempt: 429, 425, 401, a firewall's block, no connection, a turn that
    /// has passed. Nothing has been waited for yet: the caller records first that the write was not applied. Without a
    /// status nothing was sent.
    Again(CallError),
    /// Nothing was sent, and it is not worth trying on.
    NotSent(CallError),
    /// Nothing was sent: by the time of its turn, what it rests on was too old. The duration is that of its turn alone,
    /// without holds and the quota.
    Expired(Duration),
    /// It may or may not have been processed.
    InDoubt(CallError),
}

//! The vocabulary of a call: the request, the answer, and the reasons for having no answer.

use super::json;
use super::path::Path;
use crate::moment::Moment;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// The methods that the systems use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Writes.
    Patch,
}

/// What a call is for; each kind is counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// Looks up a customer by its account ID.
    Find,
    /// Reads an object by its key.
    Read,
    /// Changes an object.
    Write,
}

/// One call, as a system describes it.
#[derive(Debug, Clone)]
pub struct Call {
    /// GET or PATCH.
    pub method: Method,
    /// The path below the base URL.
    pub path: Path,
    /// Parameters, not yet encoded.
    pub query: Vec<(&'static str, String)>,
    /// The body, as JSON.
    pub body: Option<Vec<u8>>,
    /// The purpose of the call.
    pub kind: CallKind,
    /// For a write: the correlation ID under which its intent was recorded. A read gets a new one for each attempt.
    pub correlation: Option<String>,
    /// For a write: after this time the values that it relies on are too old, so it must not depart any more.
    pub send_deadline: Option<Moment>,
    /// For a read: it is unknown whether the system offers this call. A failure answers that question, is not repeated,
    /// and says nothing about the system's health.
    pub tentative: bool,
}

impl Call {
    /// Marks the call as one that the system may not offer; see [`Call::tentative`].
    #[must_use]
    pub fn tentatively(mut self) -> Self {
        self.tentative = true;
        self
    }

    /// Creates a GET.
    pub fn get(kind: CallKind, path: Path) -> Self {
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

    /// Creates a PATCH that must not depart after `send_deadline`.
    pub fn patch(path: Path, body: Vec<u8>, send_deadline: Moment) -> Self {
        Self {
            method: Method::Patch,
            path,
            query: Vec::new(),
            body: Some(body),
            kind: CallKind::Write,
            correlation: None,
            send_deadline: Some(send_deadline),
            tentative: false,
        }
    }

    /// Adds a parameter, not yet encoded.
    #[must_use]
    pub fn with_query(mut self, name: &'static str, value: String) -> Self {
        self.query.push((name, value));
        self
    }
}

/// Returns a new ID for a request or an intent: a UUID of version 4.
///
/// The ID must be unique, not secret, so it needs no random numbers of the operating system, which would cost a system
/// call each.
pub fn new_id() -> String {
    let random = fastrand::u128(..).to_ne_bytes();
    uuid::Builder::from_random_bytes(random)
        .into_uuid()
        .to_string()
}

/// What a system specifies for its calls.
#[derive(Debug, Clone)]
pub struct ApiTraits {
    /// Headers that are sent with every call.
    pub constant_headers: Vec<(&'static str, String)>,
    /// The header for a new UUID of each attempt.
    pub request_id_header: Option<&'static str>,
    /// The header for the correlation ID.
    pub correlation_header: Option<&'static str>,
    /// Whether a 403 is a firewall's block of all calls, and not about one resource.
    pub is_firewall: fn(&Reply) -> bool,
    /// Whether the body of an unsuccessful answer is the API's own error.
    pub is_own_error: fn(&Reply) -> bool,
    /// Whether an answer other than a 401 says that the token is invalid.
    pub is_unauthorized: fn(&Reply) -> bool,
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body; at most 4 MiB.
    pub body: Vec<u8>,
    /// The `Content-Type` that the server sent.
    pub content_type: Option<String>,
    /// Number of requests until this answer, the last one included.
    pub attempts: u32,
    /// The correlation ID that was sent, if the system has a header for it.
    pub correlation: Option<String>,
}

impl Reply {
    /// Whether the status is 2xx.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Parses the body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Unreadable> {
        if self.body.is_empty() {
            return Err(Unreadable::new("the answer is empty"));
        }
        // The parser's message may quote the body, which contains customer data; the position is enough.
        json::from_slice(&self.body).map_err(|error| {
            Unreadable(format!(
                "the answer is not the expected JSON (line {}, column {})",
                error.line(),
                error.column()
            ))
        })
    }

    /// Returns whether the server says that the body is text, and the body does not look like JSON.
    pub fn is_text(&self) -> bool {
        let kind = self.content_type.as_deref().unwrap_or_default();
        let first = self.body.trim_ascii_start().first();
        kind.trim_start().starts_with("text/") && first.is_some_and(|byte| !b"{[\"".contains(byte))
    }

    /// Returns whether the body is a web page: from a portal or a firewall, never from the API.
    pub fn is_html(&self) -> bool {
        const HTML: &str = "text/html";
        let says_so = self.content_type.as_deref().is_some_and(|kind| {
            let start = kind.trim_start().get(..HTML.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(HTML))
        });
        // No JSON begins with `<`.
        says_so || self.body.trim_ascii_start().first() == Some(&b'<')
    }
}

/// An answer without the expected content; the text says what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl Unreadable {
    /// Creates the error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The kind of failure, which determines the reaction.
    pub kind: CallErrorKind,
    /// The reason, for a person; without URL and secret.
    pub text: String,
    /// The last status, if there was one.
    pub status: Option<u16>,
    /// Number of requests sent.
    pub attempts: u32,
}

/// The same type, for reads.
pub type NoAnswer = CallError;

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallErrorKind {
    /// No connection could be made; nothing was sent.
    Connect,
    /// The host's name is not found; nothing was sent.
    UnknownHost,
    /// The call was sent, and the protocol says that it was not processed.
    Unprocessed,
    /// A server other than the API answered.
    NotTheApi(Stranger),
    /// No call can succeed at this address; waiting does not help.
    WrongAddress,
    /// No complete answer in time.
    Timeout,
    /// The connection was lost before the answer was complete.
    Reset,
    /// A status that does not answer the call.
    Status(u16),
    /// An answer that cannot be understood.
    Unreadable,
    /// The credentials are refused by the issuer of the token.
    TokenRefused,
    /// No call has succeeded within the time after which the run stops.
    GaveUp,
    /// The run is being stopped, and the call would have had to wait.
    Cancelled,
    /// The server's certificate or its TLS cannot be accepted; waiting does not help.
    Tls,
    /// The server refused this client's certificate when the call may already have been sent.
    CertificateRefused,
    /// The address or a header cannot be sent as intended; nothing was sent.
    Unsendable,
    /// At the call's turn the values that it relies on were too old; nothing was sent. The duration is the wait for the
    /// turn alone.
    Expired(Duration),
    /// The turn passed before the call was sent; nothing was sent.
    Postponed,
}

/// What answered in place of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stranger {
    /// A server that redirects the client.
    Redirect,
    /// A proxy that requires a login.
    ProxyLogin,
    /// A web server, a portal or a gateway: it sent a page, or a 404 that is not the API's.
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

    /// Turns the error into one for which waiting does not help.
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

/// The result of sending a write.
#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "a write is sent or it is not")]
pub enum Sent {
    /// 2xx or a final 4xx, which the caller interprets.
    Reply(Reply),
    /// Certainly not processed, and worth another attempt: 429, 425, 401, a firewall's block, no connection, or a turn
    /// that has passed. The client has not waited yet, so that the caller can first record that the write was not
    /// applied. Without a status nothing was sent.
    Again(CallError),
    /// Nothing was sent, and another attempt is not worthwhile.
    NotSent(CallError),
    /// Nothing was sent: at its turn the values that it relies on were too old. The duration is the wait for the turn
    /// alone, without holds and the quota.
    Expired(Duration),
    /// It may or may not have been processed.
    InDoubt(CallError),
}

//! Why a call failed, in the words of the reports.

use crate::domain::Failed;
use crate::http::{CallError, CallErrorKind, NoAnswer, PathError, Reply};

/// An error that concerns the run, not a single line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fatal {
    /// No call has succeeded for as long as the operator is willing to wait.
    GaveUp,
    /// The system answers, but no write takes effect.
    TakesNoWrites,
    /// The credentials are refused.
    TokenRefused,
    /// A bulk look-up of customers is refused, and the settings demand it.
    BulkRefused,
    /// The system does not behave as its documents say, so continuing could do harm.
    Unsafe,
    /// The certificate of the system is not trusted.
    Tls,
    /// All calls are refused in the same way.
    RefusedAlike,
    /// At this address, another server than the API answers, or none.
    WrongAddress,
    /// A setting of the whole run names something that does not exist in the system.
    Setting,
    /// The operator stopped the run while the call was waiting.
    Cancelled,
}

impl Fatal {
    /// Returns whether no further call makes sense. Otherwise units in progress are completed first: a swap is rolled back.
    pub const fn ends_all_calls(self) -> bool {
        match self {
            Self::GaveUp | Self::TokenRefused | Self::Tls | Self::WrongAddress | Self::Unsafe => {
                true
            }
            Self::TakesNoWrites
            | Self::BulkRefused
            | Self::RefusedAlike
            | Self::Setting
            | Self::Cancelled => false,
        }
    }
}

/// Why a call failed, for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemError {
    /// The reason of the line's outcome.
    pub reason: Failed,
    /// One sentence for a person.
    pub message: String,
    /// The status of the answer, where there was one.
    pub http_status: Option<u16>,
    /// The API's own code of the error, where it has such codes.
    pub code: Option<u16>,
    /// Whether it ends the run instead of the line.
    pub fatal: Option<Fatal>,
}

/// How many characters of a server's own words are kept.
const MESSAGE_CHARS: usize = 500;

impl SystemError {
    /// Returns an error with a reason and a message, and nothing else.
    pub fn new(reason: Failed, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            http_status: None,
            code: None,
            fatal: None,
        }
    }

    /// Returns whether another kind of look-up cannot help: the run ends, or the system has answered for another customer.
    pub fn is_final(&self) -> bool {
        self.fatal.is_some() || self.reason == Failed::Mismatch
    }

    /// Returns the error for a refusal by the API: the reason for the line, the status and the words.
    pub(super) fn refused(reason: Failed, reply: &Reply, words: &str) -> Self {
        Self {
            http_status: Some(reply.status),
            ..Self::new(reason, format!("{}: {}", reply.status, clean(words)))
        }
    }

    /// Returns the error for a call without an answer.
    pub(super) fn unanswered(why: &CallError) -> Self {
        let (reason, fatal) = match why.kind {
            CallErrorKind::GaveUp => (Failed::Unavailable, Some(Fatal::GaveUp)),
            CallErrorKind::TokenRefused => (Failed::Unauthorized, Some(Fatal::TokenRefused)),
            CallErrorKind::Cancelled => (Failed::Unavailable, Some(Fatal::Cancelled)),
            CallErrorKind::Tls | CallErrorKind::CertificateRefused => {
                (Failed::Unavailable, Some(Fatal::Tls))
            }
            CallErrorKind::WrongAddress => (Failed::Unavailable, Some(Fatal::WrongAddress)),
            CallErrorKind::Unreadable | CallErrorKind::NotTheApi(_) => (Failed::BadAnswer, None),
            CallErrorKind::Unsendable => (Failed::Invalid, None),
            CallErrorKind::Expired(_) => (Failed::Stale, None),
            CallErrorKind::Connect
            | CallErrorKind::UnknownHost
            | CallErrorKind::Unprocessed
            | CallErrorKind::Timeout
            | CallErrorKind::Reset
            | CallErrorKind::Postponed
            | CallErrorKind::Status(_) => (Failed::Unavailable, None),
        };
        Self {
            http_status: why.status,
            fatal,
            ..Self::new(reason, clean(&why.text))
        }
    }
}

impl From<PathError> for SystemError {
    fn from(why: PathError) -> Self {
        Self::new(Failed::Invalid, why.to_string())
    }
}

impl From<NoAnswer> for SystemError {
    fn from(none: NoAnswer) -> Self {
        Self::unanswered(&none)
    }
}

/// Returns what an error status means where the API gives it no meaning of its own.
pub(super) const fn meaning_of(status: u16) -> &'static str {
    match status {
        400 => "the system regards the request as malformed, or the value as invalid",
        401 => "the token is refused, or may not see the customer",
        402 => {
            "the system asks for a payment: the account with it may have no credit, or be frozen"
        }
        403 => "the system forbids it",
        404 => "the system does not know it",
        405 => {
            "the method is not allowed at this address: the base URL is wrong, or a gateway blocks writes"
        }
        406 => "the system does not answer with JSON at this address: check the base URL",
        409 => "it conflicts with what the system has",
        410 => "it was removed from the system for good",
        411 => "a gateway requires the length of the request (Content-Length)",
        412 => "a condition of the request is not met: the system has another version",
        413 => "the request is too large for the system or a gateway before it",
        414 => "the address is too long for the system or a gateway before it",
        415 => "JSON is not accepted at this address: check the base URL",
        422 => "the system refuses the value",
        423 => "it is locked in the system: try again later",
        428 => {
            "the system accepts writes only with a condition (If-Match), which this program does not send"
        }
        431 => "the headers are too long for a gateway: the token may be too large",
        451 => "it is blocked for legal reasons, by the system or by a gateway before it",
        _ => "the system refuses the request",
    }
}

/// Returns the error for a refusal by an API without error codes. `words`: the message of its error; `None`: the body
/// is no error of the API. `special`: the meaning of the status, where this API differs from others.
pub(super) fn refusal(
    reply: &Reply,
    words: Option<String>,
    special: Option<&'static str>,
) -> SystemError {
    let reason = match reply.status {
        401 => Failed::Unauthorized,
        403 => Failed::Forbidden,
        404 if words.is_some() => Failed::NotFound,
        404 => {
            return SystemError {
                reason: Failed::Unavailable,
                ..senseless(reply, "not the API's answer: is the base URL right?")
            };
        }
        409 => Failed::Conflict,
        400..=499 => Failed::Rejected,
        _ => return senseless(reply, "an answer that the API does not document"),
    };
    let meaning = special.unwrap_or(meaning_of(reply.status));
    match words.filter(|words| !words.is_empty()) {
        Some(words) => SystemError::refused(reason, reply, &format!("{meaning} ({words})")),
        None => SystemError::refused(reason, reply, meaning),
    }
}

/// Returns the error for an answer that was read, but makes no sense.
pub(super) fn senseless(reply: &Reply, what: impl std::fmt::Display) -> SystemError {
    SystemError {
        http_status: Some(reply.status),
        ..SystemError::new(Failed::BadAnswer, format!("{}: {what}", reply.status))
    }
}

/// Returns the error for a success with a body that the API does not document: an error of the API, or what `why` says.
pub(super) fn unexpected(
    reply: &Reply,
    error: Option<String>,
    why: impl std::fmt::Display,
) -> SystemError {
    match error {
        Some(words) => holds_an_error(reply, &words),
        None => senseless(reply, why),
    }
}

/// Returns the error for a success with an error as its body.
pub(super) fn holds_an_error(reply: &Reply, words: &str) -> SystemError {
    senseless(
        reply,
        clean(&format!("the answer holds an error ({words})")),
    )
}

/// Makes a server's words safe to store and short enough to read. Control characters, and characters that change the
/// direction of text, become spaces.
pub(super) fn clean(words: &str) -> String {
    let is_plain = |c: char| {
        !c.is_control() && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut text: String = words
        .chars()
        .map(|c| if is_plain(c) { c } else { ' ' })
        .take(MESSAGE_CHARS)
        .collect();
    if words.chars().nth(MESSAGE_CHARS).is_some() {
        text.push('…');
    }
    text.trim().to_owned()
}

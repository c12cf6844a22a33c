//! Where a token comes from: it is kept somewhere, or a token endpoint issues it.
//!
//! Error texts never contain the token.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

use super::secret_source::SecretSource;
use super::secret_text::{SecretKind, unwrapped};

/// Where the token comes from.
#[derive(Debug, Clone)]
pub enum Token {
    /// The token is kept somewhere; a source that can change is read again after a 401.
    Kept(SecretSource),
    /// OAuth 2.0 client credentials.
    OAuth2(OAuth2),
}

impl Token {
    /// Creates a token that is given and cannot be renewed.
    pub fn given(token: impl Into<String>) -> Self {
        Self::Kept(SecretSource::Given(SecretString::from(token.into())))
    }
}

/// How to get a token from a token endpoint.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// The token endpoint.
    pub token_url: String,
    /// How the client authenticates.
    pub client_auth: ClientAuth,
    /// The client's secret, or with [`ClientAuth::Header`] the whole header; it is read again for each token.
    pub secret: SecretSource,
    /// Scopes, separated by spaces, as the endpoint expects them.
    pub scope: Option<String>,
    /// Further form fields.
    pub extra: Vec<(String, String)>,
}

/// How a client authenticates to the token endpoint.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// ID and secret as form fields.
    Form {
        /// The client's ID.
        client_id: String,
    },
    /// ID and secret as HTTP Basic.
    Basic {
        /// The client's ID.
        client_id: String,
    },
    /// The secret is the value of the header `Authorization`, with or without `Basic` in front.
    Header,
}

impl ClientAuth {
    /// Returns what kind of secret the client uses.
    pub(super) const fn secret_kind(&self) -> SecretKind {
        match self {
            Self::Form { .. } | Self::Basic { .. } => SecretKind::ClientSecret,
            Self::Header => SecretKind::BasicHeader,
        }
    }
}

/// Returns the header with this token, if the text is a valid token.
pub(super) fn bearer_header(token: &SecretString) -> Result<HeaderValue, String> {
    let token = unwrapped(token, SecretKind::Token)
        .map_err(|why| format!("the token is not valid: {why}"))?;
    let token = token.expose_secret();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "the token holds a space or a character that is not allowed in a token".to_owned(),
        );
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| "the token cannot be sent in a header".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

/// A token, and its lifetime from the time of its request, if that is known.
pub(super) struct Fetched {
    pub(super) token: SecretString,
    pub(super) life: Option<Duration>,
}

/// Why there is no token.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The token endpoint cannot answer at present; asking again may help.
    Later(String),
    /// A file or a program on this machine returned nothing usable; an update may be in progress.
    Local(String),
    /// No token can be obtained, and asking again does not help.
    Final(String),
    /// The answer is not from a token endpoint. Before the first token this means that the URL is wrong; later, that
    /// something like a portal or a gateway is in between for a while.
    Strange(String),
}

impl Refusal {
    /// The name in the log of calls. The text may contain what the token endpoint said, which is never logged.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Later(_) => "not_available",
            Self::Local(_) => "not_readable",
            Self::Final(_) => "refused",
            Self::Strange(_) => "not_an_endpoint",
        }
    }
}

//! Where a token comes from: kept somewhere, or given by a token endpoint.
//!
//! The token is never part of a text.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

use super::secret_source::SecretSource;
use super::secret_text::{SecretKind, unwrapped};

/// Where the token comes from.
#[derive(Debug, Clone)]
pub enum Token {
    /// It is kept somewhere; what can change is read again after a 401.
    Kept(SecretSource),
    /// OAuth 2.0 client credentials.
    OAuth2(OAuth2),
}

impl Token {
    /// A token that is given and cannot be renewed.
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
    /// The client's secret, or with [`ClientAuth::Header`] the whole header; read again for each token.
    pub secret: SecretSource,
    /// Scopes with spaces between, as the endpoint wants them.
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
    /// What the secret is.
    pub(super) const fn secret_kind(&self) -> SecretKind {
        match self {
            Self::Form { .. } | Self::Basic { .. } => SecretKind::ClientSecret,
            Self::Header => SecretKind::BasicHeader,
        }
    }
}

/// The value of the header, if that is a token at all.
pub(super) fn bearer_header(token: &SecretString) -> Result<HeaderValue, String> {
    let token = unwrapped(token, SecretKind::Token)
        .map_err(|why| format!("the token is no token: {why}"))?;
    let token = token.expose_secret();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the token holds a blank or a character that no token has".to_owned());
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| "the token cannot be sent in a header".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

/// A token as it came, with its lifetime where that is known: from the time at which it was asked for.
pub(super) struct Fetched {
    pub(super) token: SecretString,
    pub(super) life: Option<Duration>,
}

/// Why there is no token.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The token endpoint cannot answer at present; asking again may help.
    Later(String),
    /// A file or a program on this machine gave nothing usable; it may be in the middle of being renewed.
    Local(String),
    /// It will not.
    Final(String),
    /// No answer of a token endpoint. Before the first token the URL is wrong; after it, something stands in between
    /// for a while, as a portal or a gateway.
    Strange(String),
}

impl Refusal {
    /// For the log of calls. The words may hold what the token endpoint said, which is never logged.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Later(_) => "not_available",
            Self::Local(_) => "not_readable",
            Self::Final(_) => "refused",
            Self::Strange(_) => "not_an_endpoint",
        }
    }
}

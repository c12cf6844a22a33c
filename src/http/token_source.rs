//! Where a token comes from: given, a file, a command, a token endpoint.
//!
//! The token is never part of a text. A token command runs without a shell, and what it prints is never shown.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::secret_text::{SecretKind, secret_of, unwrapped};

const COMMAND_TIME: Duration = Duration::from_secs(30);
const LONGEST_TOKEN: u64 = 64 * 1024;

/// Where the token comes from.
#[derive(Debug, Clone)]
pub enum Token {
    /// Given; cannot be renewed.
    Fixed(SecretString),
    /// A file with the token, read again after a 401.
    File(PathBuf),
    /// A program and its arguments, run again after a 401; prints the token.
    Command(Vec<String>),
    /// OAuth 2.0 client credentials.
    OAuth2(OAuth2),
}

/// How to get a token from a token endpoint.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// The token endpoint.
    pub token_url: String,
    /// The credentials of the client.
    pub credentials: Credentials,
    /// Scopes with spaces between, as the endpoint wants them.
    pub scope: Option<String>,
    /// Further form fields.
    pub extra: Vec<(String, String)>,
}

/// How the client is named to the token endpoint.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// As form fields.
    Form {
        /// The client ID.
        client_id: String,
        /// The secret.
        secret: SecretString,
    },
    /// As HTTP Basic, made from both.
    #[cfg_attr(not(test), expect(dead_code, reason = "no setting asks for it yet"))]
    Basic {
        /// The client ID.
        client_id: String,
        /// The secret.
        secret: SecretString,
    },
    /// The ready-made value for the header `Authorization`, with or without `Basic` in front.
    Header(SecretString),
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

/// Runs the token command. Its own words are never shown: they may hold the secret.
pub(super) async fn run(words: &[String]) -> Result<SecretString, String> {
    let (program, arguments) = words.split_first().expect("checked when it was set");
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the token command `{program}` cannot be run: {error}"))?;
    let stdout = child.stdout.take().expect("it is piped");
    let mut bytes = Vec::new();
    let finished = timeout(COMMAND_TIME, async {
        stdout.take(LONGEST_TOKEN).read_to_end(&mut bytes).await?;
        child.wait().await
    });
    let outcome = finished.await;
    match outcome {
        Err(_) => Err(format!(
            "the token command `{program}` did not end within {} s",
            COMMAND_TIME.as_secs()
        )),
        Ok(Err(error)) => Err(format!("the token command `{program}` failed: {error}")),
        Ok(Ok(status)) if !status.success() => {
            Err(format!("the token command `{program}` failed: {status}"))
        }
        Ok(Ok(_)) => secret_of(&bytes, SecretKind::Token).map_err(|why| {
            format!("what the token command `{program}` printed is no token: {why}")
        }),
    }
}

/// A token as it came, with its lifetime where that is known: from the time at which it was asked for.
pub(super) struct Fetched {
    pub(super) token: SecretString,
    pub(super) life: Option<Duration>,
}

/// Why there is no token.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Asking again may help.
    Later(String),
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
            Self::Final(_) => "refused",
            Self::Strange(_) => "not_an_endpoint",
        }
    }
}

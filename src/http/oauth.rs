//! OAuth 2.0 client credentials (RFC 6749, section 4.4): one form, one answer, and explanations of its errors.
//!
//! The request uses our own client, so that redirects, sizes, time-outs and certificates are treated as in every other
//! call. The text of an answer never becomes part of a message, because it may contain the token.

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

use super::attempt;
use super::call::CallErrorKind;
use super::secret_source::SecretSource;
use super::secret_text::{SecretKind, unwrapped};
use super::settings::SetupError;
use super::token_source::{ClientAuth, Fetched, OAuth2, Refusal};
use super::trace;

/// The lifetime of a token if its `expires_in` is missing, not a number, zero or negative.
const UNKNOWN_LIFE: Duration = Duration::from_secs(300);
const LONGEST_LIFE: f64 = 366.0 * 86_400.0;
/// Maximum size of a token endpoint's answer, in bytes; the usual answer is small.
const LONGEST_ANSWER: usize = 256 * 1024;

/// The answer, read more leniently than the standard: `expires_in` may be anything, `token_type` may be missing.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl Answer {
    fn life(&self) -> Duration {
        let seconds = match &self.expires_in {
            serde_json::Value::Number(number) => number.as_f64(),
            serde_json::Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        seconds
            .filter(|seconds| *seconds > 0.0)
            .map_or(UNKNOWN_LIFE, |seconds| {
                Duration::from_secs_f64(seconds.min(LONGEST_LIFE))
            })
    }
}

/// An error answer (RFC 6749, section 5.2). Its description is not read, because no part of it is shown.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

/// A token endpoint and our credentials there.
pub(super) struct TokenEndpoint {
    http: reqwest::Client,
    url: Url,
    timeout: Duration,
    client_auth: ClientAuth,
    secret: SecretSource,
    scope: Option<String>,
    extra: Vec<(String, String)>,
}

impl std::fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenEndpoint").finish_non_exhaustive()
    }
}

impl TokenEndpoint {
    /// Creates an endpoint for the `url` of these settings, which the caller has checked.
    pub(super) fn new(
        settings: OAuth2,
        url: Url,
        http: reqwest::Client,
        timeout: Duration,
    ) -> Result<Self, SetupError> {
        let kind = settings.client_auth.secret_kind();
        let secret = settings.secret.first(kind).map_err(SetupError::Token)?;
        if let Some(header) = secret.filter(|_| kind == SecretKind::BasicHeader) {
            basic_header(&header).map_err(SetupError::Token)?;
        }
        let scope = settings.scope.unwrap_or_default();
        let scope = scope.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self {
            http,
            url,
            timeout,
            client_auth: settings.client_auth,
            secret: settings.secret,
            scope: (!scope.is_empty()).then_some(scope),
            extra: settings.extra,
        })
    }

    /// Makes one request for a token, with the present secret of the client.
    pub(super) async fn fetch(&self) -> Result<Fetched, Refusal> {
        let kind = self.client_auth.secret_kind();
        let secret = self.secret.read(kind).await.map_err(Refusal::Local)?;
        let (status, body) = self.ask(&secret).await?;
        if body.is_empty() {
            return Err(Refusal::Strange(
                "the token endpoint's answer is empty; is the token URL right?".to_owned(),
            ));
        }
        // The parser's message may quote the answer.
        let unknown = |_| {
            Refusal::Strange(
                "the token endpoint's answer does not conform to OAuth 2.0; is the token URL right?"
                    .to_owned(),
            )
        };
        if status != StatusCode::OK {
            let answer: ErrorAnswer = serde_json::from_slice(&body).map_err(unknown)?;
            let text = explain_code(&answer.error);
            return Err(if self.was_rotated(&secret).await {
                Refusal::Local(format!("{text}; the secret has been changed meanwhile"))
            } else {
                Refusal::Final(text)
            });
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(unknown)?;
        Ok(Fetched {
            life: Some(answer.life()),
            token: SecretString::from(answer.access_token),
        })
    }

    /// Returns whether the secret was replaced after it was read for this request.
    async fn was_rotated(&self, sent: &SecretString) -> bool {
        if !self.secret.may_change() {
            return false;
        }
        let now = self.secret.read(self.client_auth.secret_kind()).await;
        now.is_ok_and(|now| now.expose_secret() != sent.expose_secret())
    }

    fn request(&self, secret: &SecretString) -> Result<reqwest::RequestBuilder, Refusal> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        let request = self.http.post(self.url.clone());
        let request = match &self.client_auth {
            ClientAuth::Form { client_id } => {
                form.append_pair("client_id", client_id);
                form.append_pair("client_secret", secret.expose_secret());
                request
            }
            // Section 2.3.1: both are encoded as in a form before they are joined and encoded in base64.
            ClientAuth::Basic { client_id } => {
                let encoded = |text: &str| {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                request.basic_auth(encoded(client_id), Some(encoded(secret.expose_secret())))
            }
            ClientAuth::Header => {
                let header = basic_header(secret).map_err(Refusal::Final)?;
                request.header(AUTHORIZATION, header)
            }
        };
        form.extend_pairs(&self.extra);
        Ok(request
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "identity")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .timeout(self.timeout)
            .body(form.finish()))
    }

    /// Sends the request, and returns status and body of an answer that says something about our credentials.
    async fn ask(&self, secret: &SecretString) -> Result<(StatusCode, Vec<u8>), Refusal> {
        let begun = Instant::now();
        let tell = |status, error: Option<&str>| trace::token_call(&self.url, begun, status, error);
        let fault = |fault: attempt::Fault| {
            tell(None, Some(&fault.text));
            let text = format!("the token endpoint: {}", fault.text);
            match fault.kind {
                CallErrorKind::Tls
                | CallErrorKind::CertificateRefused
                | CallErrorKind::Unsendable => Refusal::Final(text),
                CallErrorKind::UnknownHost | CallErrorKind::NotTheApi(_) => Refusal::Strange(text),
                _ => Refusal::Later(text),
            }
        };
        let response = self.request(secret)?.send().await;
        let mut response = response.map_err(|error| fault(attempt::classify(error)))?;
        let status = response.status();
        let mut body = Vec::new();
        attempt::read_body(&mut response, &mut body, LONGEST_ANSWER)
            .await
            .map_err(fault)?;
        tell(Some(status.as_u16()), None);
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            return Err(Refusal::Later(format!(
                "the token endpoint answered {}",
                status.as_u16()
            )));
        }
        if status.is_redirection() {
            return Err(Refusal::Final(
                "the token endpoint redirects elsewhere, which is not followed; correct the token URL"
                    .to_owned(),
            ));
        }
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let text = format!("the token endpoint: {}", attempt::PROXY_LOGIN);
            return Err(Refusal::Strange(text));
        }
        let body = attempt::decoded(response.headers(), body, LONGEST_ANSWER).map_err(fault)?;
        Ok((status, body))
    }
}

fn basic_header(value: &SecretString) -> Result<HeaderValue, String> {
    let wrong = |why: &str| format!("the Basic header cannot be sent: {why}");
    let value = unwrapped(value, SecretKind::BasicHeader).map_err(|why| wrong(&why))?;
    let mut header = HeaderValue::try_from(format!("Basic {}", value.expose_secret()))
        .map_err(|_| wrong("it holds a character that a header cannot hold"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn explain_code(code: &str) -> String {
    let help = match code {
        "invalid_client" => "the client ID or its secret is wrong, or no longer valid",
        "invalid_scope" => "the scope is wrong, or this client may not ask for it",
        "invalid_grant" => "the grant was refused; was the client revoked?",
        "invalid_request" => "a field is missing or wrong; check the scope and the extra fields",
        "unauthorized_client" => "this client may not use client credentials",
        "unsupported_grant_type" => "this endpoint does not offer client credentials",
        _ => "an error that OAuth 2.0 does not name",
    };
    let code = code.chars().filter(char::is_ascii_graphic).take(40);
    format!(
        "the token endpoint says {}: {help}",
        code.collect::<String>()
    )
}

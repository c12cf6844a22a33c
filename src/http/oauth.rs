//! OAuth 2.0 client credentials: one form, one answer, and its errors explained.
//!
//! The protocol is the `oauth2` crate's; the request goes through our own client, so that redirects, sizes, times
//! and certificates are as everywhere. An answer's text never reaches a message: it may hold the token.

use oauth2::basic::{BasicErrorResponse, BasicErrorResponseType, BasicTokenType};
use oauth2::{
    AccessToken, AsyncHttpClient, AuthType, ClientId, ClientSecret, EndpointNotSet, HttpRequest,
    HttpResponse, RefreshToken, RequestTokenError, Scope, StandardRevocableToken, TokenResponse,
    TokenUrl,
};
use reqwest::header::{ACCEPT_ENCODING, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::time::Duration;

use super::attempt;
use super::call::WhyKind;
use super::settings::SetupError;
use super::token::{Fetched, Refusal};
use super::token_source::{Credentials, OAuth2};

/// A lifetime that is missing, not a number, zero or negative says nothing.
const UNKNOWN_LIFE: Duration = Duration::from_secs(300);
const LONGEST_LIFE: f64 = 366.0 * 86_400.0;
/// A token endpoint's answer is small.
const LONGEST_ANSWER: usize = 256 * 1024;

type Client = oauth2::Client<
    BasicErrorResponse,
    Answer,
    oauth2::basic::BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    oauth2::EndpointSet,
>;

/// The answer, read more leniently than the standard: `expires_in` may be anything.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    access_token: AccessToken,
    #[serde(default = "bearer")]
    token_type: BasicTokenType,
    #[serde(default)]
    expires_in: serde_json::Value,
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
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

impl TokenResponse for Answer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        Some(self.life())
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

/// A token endpoint and who we are there.
pub(super) struct TokenEndpoint {
    client: Client,
    transport: Transport,
    scope: Option<String>,
    extra: Vec<(String, String)>,
}

impl std::fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenEndpoint").finish_non_exhaustive()
    }
}

impl TokenEndpoint {
    pub(super) fn new(
        settings: OAuth2,
        http: reqwest::Client,
        timeout: Duration,
    ) -> Result<Self, SetupError> {
        let url = TokenUrl::new(settings.token_url).map_err(|error| SetupError::Url {
            what: "the token URL",
            why: error.to_string(),
        })?;
        let mut ready_made = None;
        let (id, secret, auth) = match settings.credentials {
            Credentials::Form { client_id, secret } => (client_id, secret, AuthType::RequestBody),
            Credentials::Basic { client_id, secret } => (client_id, secret, AuthType::BasicAuth),
            Credentials::Header(value) => {
                ready_made = Some(basic_header(&value)?);
                // Has the crate send no client ID in the form; its header is replaced by the ready-made one.
                let none = SecretString::from("replaced");
                ("replaced".to_owned(), none, AuthType::BasicAuth)
            }
        };
        let client = oauth2::Client::new(ClientId::new(id))
            .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
            .set_auth_type(auth)
            .set_token_uri(url);
        Ok(Self {
            client,
            transport: Transport {
                http,
                timeout,
                ready_made,
            },
            scope: settings.scope,
            extra: settings.extra,
        })
    }

    /// One request for a token.
    pub(super) async fn fetch(&self) -> Result<Fetched, Refusal> {
        let mut request = self.client.exchange_client_credentials();
        for scope in self.scope.iter().flat_map(|scope| scope.split_whitespace()) {
            request = request.add_scope(Scope::new(scope.to_owned()));
        }
        for (name, value) in &self.extra {
            request = request.add_extra_param(name, value);
        }
        let answer = request
            .request_async(&self.transport)
            .await
            .map_err(explain)?;
        Ok(Fetched {
            life: Some(answer.life()),
            token: SecretString::from(answer.access_token.secret().clone()),
        })
    }
}

fn basic_header(value: &SecretString) -> Result<HeaderValue, SetupError> {
    let value = value.expose_secret().trim();
    let has_scheme = value
        .get(..6)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic "));
    let whole = if has_scheme {
        value.to_owned()
    } else {
        format!("Basic {value}")
    };
    let mut header = HeaderValue::try_from(whole).map_err(|_| {
        SetupError::Token(
            "the ready-made Basic header holds a line break or another character that a header cannot hold"
                .to_owned(),
        )
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// Takes the crate's requests to our HTTP client.
struct Transport {
    http: reqwest::Client,
    timeout: Duration,
    ready_made: Option<HeaderValue>,
}

/// Why the token endpoint gave no answer that says anything about us.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoAnswer(Refused);

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Later(String),
    /// No token endpoint is at this address, or a proxy is in the way.
    #[error("{0}")]
    Strange(String),
    #[error("{0}")]
    Final(String),
}

impl<'c> AsyncHttpClient<'c> for Transport {
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NoAnswer>> + Send + 'c>>;

    fn call(&'c self, mut request: HttpRequest) -> Self::Future {
        if let Some(header) = &self.ready_made {
            request
                .headers_mut()
                .insert(reqwest::header::AUTHORIZATION, header.clone());
        }
        Box::pin(async move { self.send(request).await.map_err(NoAnswer) })
    }
}

impl Transport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Refused> {
        let fault = |fault: attempt::Fault| {
            let text = format!("the token endpoint: {}", fault.text);
            match fault.kind {
                WhyKind::Tls => Refused::Final(text),
                WhyKind::UnknownHost | WhyKind::NotTheApi(_) => Refused::Strange(text),
                _ => Refused::Later(text),
            }
        };
        let mut request = reqwest::Request::try_from(request)
            .map_err(|_| Refused::Final("the token URL cannot be called".to_owned()))?;
        *request.timeout_mut() = Some(self.timeout);
        let identity = HeaderValue::from_static("identity");
        request.headers_mut().insert(ACCEPT_ENCODING, identity);
        let response = self.http.execute(request).await;
        let mut response = response.map_err(|error| fault(attempt::classify(error)))?;
        let status = response.status();
        let mut body = Vec::new();
        attempt::read_body(&mut response, &mut body, LONGEST_ANSWER)
            .await
            .map_err(fault)?;
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            return Err(Refused::Later(format!(
                "the token endpoint answered {}",
                status.as_u16()
            )));
        }
        if status.is_redirection() {
            return Err(Refused::Final(
                "the token endpoint redirects elsewhere, which is not followed; correct the token URL"
                    .to_owned(),
            ));
        }
        if status.as_u16() == 407 {
            let text = format!("the token endpoint: {}", attempt::PROXY_LOGIN);
            return Err(Refused::Strange(text));
        }
        let body = attempt::decoded(response.headers(), body, LONGEST_ANSWER).map_err(fault)?;
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;
        Ok(answer)
    }
}

fn explain(error: RequestTokenError<NoAnswer, BasicErrorResponse>) -> Refusal {
    match error {
        RequestTokenError::Request(NoAnswer(Refused::Later(text))) => Refusal::Later(text),
        RequestTokenError::Request(NoAnswer(Refused::Strange(text))) => Refusal::Strange(text),
        RequestTokenError::Request(NoAnswer(Refused::Final(text))) => Refusal::Final(text),
        RequestTokenError::ServerResponse(answer) => Refusal::Final(explain_code(answer.error())),
        // The parser's words may quote the answer.
        RequestTokenError::Parse(..) => Refusal::Strange(
            "the token endpoint's answer is not what OAuth 2.0 says; is the token URL right?"
                .to_owned(),
        ),
        RequestTokenError::Other(_) => Refusal::Strange(
            "the token endpoint's answer is empty or cannot be used; is the token URL right?"
                .to_owned(),
        ),
    }
}

fn explain_code(code: &BasicErrorResponseType) -> String {
    let help = match code {
        BasicErrorResponseType::InvalidClient => {
            "the client ID or its secret is wrong, or no longer valid"
        }
        BasicErrorResponseType::InvalidScope => {
            "the scope is wrong, or this client may not ask for it"
        }
        BasicErrorResponseType::InvalidGrant => "the grant was refused; was the client revoked?",
        BasicErrorResponseType::InvalidRequest => {
            "a field is missing or wrong; check the scope and the extra fields"
        }
        BasicErrorResponseType::UnauthorizedClient => "this client may not use client credentials",
        BasicErrorResponseType::UnsupportedGrantType => {
            "this endpoint does not offer client credentials"
        }
        BasicErrorResponseType::Extension(_) => "an error that OAuth 2.0 does not name",
    };
    let code: String = code
        .as_ref()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(40)
        .collect();
    format!("the token endpoint says {code}: {help}")
}

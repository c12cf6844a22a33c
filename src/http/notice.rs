//! Small calls to monitoring services: a GET to a health check, a POST to a webhook. They are independent of the
//! system: no token is sent, no rate or quota counts them, and a failure is only a warning.
//!
//! The addresses are secrets (anyone who knows an address can report to it), so error texts do not contain them.

use super::attempt::innermost;
use super::http_client::{self, is_loopback};
use super::settings::SetupError;
use reqwest::{Method, Url};
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

/// Time limit of one attempt.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Pauses between attempts.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// Makes calls to a monitoring service.
#[derive(Debug)]
pub struct Notice {
    http: reqwest::Client,
    url: Url,
}

/// Parses and checks the address of a monitoring service, which may have a query.
fn address(what: &'static str, text: &str, allow_http: bool) -> Result<Url, SetupError> {
    let wrong = |why: &str| SetupError::Url {
        what,
        why: why.to_owned(),
    };
    let url = Url::parse(text.trim()).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err(wrong(
            "it must be like https://monitoring.example.com/check",
        ));
    }
    if url.scheme() == "http" && !allow_http && !is_loopback(&url) {
        return Err(SetupError::PlainHttp { what });
    }
    Ok(url)
}

impl Notice {
    /// Checks the address and builds the client; sends nothing. `what`: the setting that holds the address. `ca_cert`:
    /// certificates to trust in addition to the operating system's.
    pub fn new(
        what: &'static str,
        url: &str,
        ca_cert: Option<&Path>,
        allow_http: bool,
    ) -> Result<Self, SetupError> {
        let url = address(what, url, allow_http)?;
        let builder = http_client::builder(&url, ca_cert)?.timeout(ATTEMPT);
        let http = http_client::build(builder, what)?;
        Ok(Self { http, url })
    }

    /// Sends a GET; `suffix` is added to the path as a further segment.
    pub async fn get(&self, suffix: Option<&str>) -> Result<(), String> {
        let mut url = self.url.clone();
        if let Some(suffix) = suffix
            && let Ok(mut segments) = url.path_segments_mut()
        {
            segments.pop_if_empty().push(suffix);
        }
        self.call(Method::GET, url, None).await
    }

    /// Sends a POST of a JSON document.
    pub async fn post(&self, body: String) -> Result<(), String> {
        self.call(Method::POST, self.url.clone(), Some(body)).await
    }

    /// Sends the request, and repeats it after a temporary failure: a POST only if it cannot have arrived, or after a 429.
    async fn call(&self, method: Method, url: Url, body: Option<String>) -> Result<(), String> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let why = match self
                .attempt(method.clone(), url.clone(), body.clone())
                .await
            {
                Ok(()) => return Ok(()),
                Err((why, false)) => return Err(why),
                Err((why, true)) => why,
            };
            match pauses.next() {
                Some(pause) => sleep(pause).await,
                None => return Err(why),
            }
        }
    }

    /// Sends the request once. The error is the reason, and whether the failure may be temporary.
    async fn attempt(
        &self,
        method: Method,
        url: Url,
        body: Option<String>,
    ) -> Result<(), (String, bool)> {
        let is_post = method == Method::POST;
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let answer = request.send().await.map_err(|error| {
            // A POST that may have arrived is not repeated.
            let may_pass = !is_post || error.is_connect();
            let error = innermost(&error.without_url());
            (format!("no answer: {error}"), may_pass)
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let may_pass = status.as_u16() == 429 || (status.is_server_error() && !is_post);
        Err((format!("the answer was HTTP {status}"), may_pass))
    }
}

//! The token endpoint: client credentials, in a Basic header or in the form.

use super::Options;
use super::http::{Request, Response, pairs};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A token that was issued.
#[derive(Debug, Clone)]
struct Issued {
    calls_left: u64,
    until: Option<Instant>,
}

/// The tokens that were issued.
#[derive(Debug, Default)]
pub struct Tokens {
    issued: HashMap<String, Issued>,
    count: u64,
}

impl Tokens {
    /// Returns the number of issued tokens.
    pub fn count(&self) -> u64 {
        self.count
    }
}

pub(super) fn answer(tokens: &mut Tokens, request: &Request, options: &Options) -> Response {
    let form = pairs(&String::from_utf8_lossy(&request.body));
    let field = |name: &str| {
        form.iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    let refuse = |error: &str| {
        Response::json(
            400,
            &json!({"error": error, "error_description": "refused by the sandbox"}),
        )
    };
    if field("grant_type") != Some("client_credentials") {
        return refuse("unsupported_grant_type");
    }
    let in_form = field("client_id").zip(field("client_secret"));
    let in_header = request
        .header("authorization")
        .and_then(|header| header.strip_prefix("Basic "));
    let secret = match (in_header, in_form) {
        // RFC 6749, section 2.3: only one way to authenticate in each request.
        (Some(_), Some(_)) => return refuse("invalid_request"),
        // A complete header of a test may have any value.
        (Some(header), None) => Some(secret_in(header).unwrap_or_default()),
        (None, form) => form.map(|(_, secret)| secret.to_owned()),
    };
    if secret.is_none_or(|secret| secret == "wrong") {
        return Response {
            status: 401,
            ..refuse("invalid_client")
        };
    }
    if field("scope") == Some("wrong") {
        return refuse("invalid_scope");
    }
    tokens.count += 1;
    let token = format!("issued-{}", tokens.count);
    let life = Duration::from_secs(options.token_seconds);
    let issued = Issued {
        calls_left: options.token_calls.unwrap_or(u64::MAX),
        // A lifetime of zero is only an odd answer; the token does not expire.
        until: (!life.is_zero()).then(|| Instant::now() + life),
    };
    tokens.issued.insert(token.clone(), issued);
    Response::json(
        200,
        &json!({"access_token": token, "token_type": "Bearer", "expires_in": options.token_seconds}),
    )
}

/// Returns the secret from the value of a Basic header, in which ID and secret were each encoded as in a form before
/// they were joined.
fn secret_in(value: &str) -> Option<String> {
    let text = String::from_utf8(BASE64_STANDARD.decode(value.trim()).ok()?).ok()?;
    let (_, secret) = text.split_once(':')?;
    let mut fields = form_urlencoded::parse(secret.as_bytes());
    fields.next().map(|(name, _)| name.into_owned())
}

/// Returns whether a call's token is valid; the call counts against `token_calls` if tokens were issued.
pub(super) fn is_good(issued: &mut Tokens, request: &Request, options: &Options) -> bool {
    let Some(token) = request.bearer().filter(|token| !token.is_empty()) else {
        return false;
    };
    if let Some(tokens) = &options.tokens {
        return tokens.iter().any(|good| good == token);
    }
    if issued.count == 0 {
        return true;
    }
    match issued.issued.get_mut(token) {
        None => false,
        Some(issued) => {
            let is_good =
                issued.calls_left > 0 && issued.until.is_none_or(|until| Instant::now() < until);
            issued.calls_left -= u64::from(is_good);
            is_good
        }
    }
}

//! The token endpoint: client credentials, in a Basic header or in the form.

use super::Options;
use super::http::{Request, Response, pairs};
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A token that was given out.
#[derive(Debug, Clone)]
struct Issued {
    calls_left: u64,
    until: Option<Instant>,
}

/// The tokens that were given out.
#[derive(Debug, Default)]
pub struct Tokens {
    issued: HashMap<String, Issued>,
    count: u64,
}

impl Tokens {
    /// How many were given out.
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
    let basic = request
        .header("authorization")
        .is_some_and(|header| header.starts_with("Basic "));
    if !basic
        && (field("client_id").is_none() || field("client_secret").is_none_or(|s| s == "wrong"))
    {
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
        // Of a life of nothing, only the answer is odd.
        until: (!life.is_zero()).then(|| Instant::now() + life),
    };
    tokens.issued.insert(token.clone(), issued);
    Response::json(
        200,
        &json!({"access_token": token, "token_type": "Bearer", "expires_in": options.token_seconds}),
    )
}

/// Whether a call's token is good; each call uses one up, where tokens are given out.
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

//! Makes one call with all that belongs to it: credentials, pace, quota, holds, retries, breaker. Knows nothing about
//! customers.
//!
//! There are two verbs, not one `send`. [`Client::read`] may repeat a call freely. A [`PendingWrite`] first waits for
//! its turn; then it lets at most one request reach the server and returns one of three results: answered, certainly
//! not processed, or *in doubt*. Reading back a write in doubt is the engine's protocol, and a generic retry layer
//! would silently break it.
//!
//! A call passes, in this order: the gate (holds after 429, 503 and firewall blocks, and the breaker), the token, its
//! turn ([`turns`]: the quota of its local address, and the rate), and the gate again, because a hold may have begun
//! meanwhile. Nothing here prints; [`Client::health`] and [`Client::counters`] show the state.
//!
//! No error text contains a URL (it contains IDs) or a secret.

mod answer;
mod attempt;
mod attempt_state;
mod bearer;
mod blocked_calls;
mod breaker;
mod call;
mod client;
mod client_certificate;
mod egress;
mod gate;
mod health;
mod http_client;
mod json;
mod last_second;
mod local_turns;
mod logged_attempt;
mod machine_quota;
mod notice;
mod oauth;
mod path;
mod pending_write;
mod percentile;
mod proxy;
mod quota;
mod rate_limiter;
mod read;
mod retry;
mod secret_source;
mod secret_text;
mod send;
mod settings;
mod shared_clock;
mod shared_pace;
mod shared_turns;
mod skew;
mod tls_config;
mod token;
mod token_source;
mod trace;
mod turn_queue;
mod turns;

#[cfg(test)]
mod tests;

pub use call::{
    ApiTraits, Call, CallError, CallErrorKind, CallKind, NoAnswer, Reply, Sent, Unreadable, new_id,
};
pub use client::{Client, address_key, check_base_url};
pub use client_certificate::Validity;
pub use egress::{check_addresses, parse_addresses};
pub use health::{Counters, Health};
pub use notice::Notice;
pub use path::{Path, PathError, encoded_len};
pub use pending_write::{MaySend, PendingWrite};
pub use proxy::{Proxies, Route};
pub use secrecy::SecretString;
pub use secret_source::SecretSource;
pub use secret_text::SecretKind;
pub use settings::{ClientCertificate, Quota, Rate, Settings, SetupError, Span};
pub use skew::Skew;
pub use tls_config::tls_config;
pub use token_source::{ClientAuth, OAuth2, Token};

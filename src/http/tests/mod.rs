//! The client against a server on a real socket, which answers as a test tells it, byte by byte.

mod reads;
mod server;
mod shared_turns;
mod tokens;
mod turns;
mod writes;

use super::call::{Method, Stranger};
use super::*;
use server::Server;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "canary-5b1f0c";

fn settings(server: &Server) -> Settings {
    Settings {
        base_url: server.url(),
        allow_http: false,
        ca_cert: None,
        client_certificate: None,
        timeout: Duration::from_secs(2),
        retries: 5,
        give_up_after: Duration::from_secs(900),
        find_rate: Rate::Unlimited,
        write_rate: None,
        quota: None,
        egress: Vec::new(),
        call_reservations: None,
        shared_rate: None,
        max_connections: 64,
        http1_only: true,
        token: Token::given(SECRET),
    }
}

fn character() -> ApiTraits {
    ApiTraits {
        constant_headers: vec![("X-Api-Key", "key".to_owned())],
        request_id_header: Some("X-Request-Id"),
        correlation_header: Some("X-Correlation-Id"),
        is_unauthorized: |_| false,
        is_own_error: |reply| reply.body.starts_with(b"{"),
        is_firewall: |reply| reply.body.starts_with(b"<html>"),
    }
}

fn client(settings: Settings) -> Client {
    Client::new(settings, character(), CancellationToken::new()).unwrap()
}

fn get(id: &str) -> Call {
    Call {
        method: Method::Get,
        path: Path::new("/api/customers").segment(id).unwrap(),
        query: Vec::new(),
        body: None,
        kind: CallKind::Read,
        correlation: None,
        send_deadline: None,
        tentative: false,
    }
}

/// Makes one attempt of a write: waits for its turn and sends it.
async fn attempt(write: &mut PendingWrite<'_>) -> Sent {
    match write.turn(Duration::ZERO).await {
        Ok(()) => write.send("intent-1", &|| true).await,
        Err(ended) => ended,
    }
}

/// Makes one attempt of a new write.
async fn write(client: &Client, call: &Call) -> Sent {
    attempt(&mut client.pending_write(call.clone())).await
}

fn patch(id: &str) -> Call {
    Call {
        method: Method::Patch,
        path: Path::new("/api/customers").segment(id).unwrap(),
        query: Vec::new(),
        body: Some(b"{\"accountId\":\"B\"}".to_vec()),
        kind: CallKind::Write,
        correlation: None,
        send_deadline: None,
        tentative: false,
    }
}

/// Parses a JSON object if the status is a success, and returns the status.
fn parse(reply: &Reply) -> Result<u16, Unreadable> {
    if reply.is_success() {
        reply.json::<serde_json::Map<String, serde_json::Value>>()?;
    }
    Ok(reply.status)
}

//! Stand-ins of the systems, with configurable faults, over real HTTP on this machine.
//!
//! A stand-in is written from the API documentation and shares no types with the client, because a shared type would
//! share the client's bugs. It has a thread and a runtime of its own, binds to 127.0.0.1 only, and serves raw sockets:
//! a fault may cut, delay or corrupt an answer at any byte, before or after the call took effect.

mod adobe;
mod cloudcockpit;
mod faults;
mod http;
mod plume;
mod server;
mod token;
mod world;

pub use faults::{Class, Fault, FaultError, SYNTAX};
pub use server::{Sandbox, SandboxError, Seen};
pub use token::Tokens;
pub use world::{AdobeCustomer, CockpitCustomer, PlumeCustomer, PlumeLocation, World};

use std::time::Duration;

/// The system that a stand-in replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Plume.
    Plume,
    /// Adobe VIP Marketplace.
    Adobe,
    /// `CloudCockpit`.
    CloudCockpit,
}

/// How a stand-in behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The system that it replaces.
    pub kind: Kind,
    /// The port on 127.0.0.1; 0: a free one.
    pub port: u16,
    /// Latency of each answer.
    pub latency: Duration,
    /// The faults of the answers.
    pub faults: Vec<Fault>,
    /// Plume: whether many customers may be looked up in one call.
    pub bulk: bool,
    /// Plume: the answer to a duplicate account ID.
    pub duplicate_status: u16,
    /// The valid tokens; `None`: all are valid.
    pub tokens: Option<Vec<String>>,
    /// Number of calls after which a token of the token endpoint expires.
    pub token_calls: Option<u64>,
    /// The stated lifetime of tokens of the token endpoint, in seconds.
    pub token_seconds: u64,
    /// The firewall allows this number of calls from one address in this time, then answers 403 until the next window.
    pub firewall: Option<(u32, Duration)>,
    /// Whether every request is recorded in the log.
    pub log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kind: Kind::Plume,
            port: 0,
            latency: Duration::ZERO,
            faults: Vec::new(),
            bulk: true,
            duplicate_status: 409,
            tokens: None,
            token_calls: None,
            token_seconds: 600,
            firewall: None,
            log: true,
        }
    }
}

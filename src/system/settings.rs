//! The settings of a system besides those of its client, and why a system cannot be made.

use crate::domain::ResellerId;
use crate::http;
use secrecy::SecretString;
use std::time::Duration;

/// How much of an Adobe customer is sent back with the new reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sending {
    /// The reference and the whole profile, verbatim: what the documents ask for.
    #[default]
    Full,
    /// The reference alone, for installations that accept it; guarded by reading the first customer again.
    Reference,
}

impl Sending {
    /// Whether a write carries the customer's contacts, and Adobe sends each of them an e-mail.
    pub fn carries_contacts(self) -> bool {
        self == Self::Full
    }
}

/// The settings of a system besides those of its client.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Adobe: the reseller of the customers that are listed.
    pub reseller: Option<ResellerId>,
    /// Adobe: the key of the integration.
    pub api_key: Option<SecretString>,
    /// `CloudCockpit`: the domain of the portal.
    pub tenant: Option<String>,
    /// Adobe: how much is sent.
    pub sending: Sending,
    /// How long a listing of all customers may be used.
    pub max_age: Duration,
    /// About how many customers will be looked up, to choose between a listing and single searches.
    pub expected_lookups: u64,
    /// How many calls the limits allow in three seconds, or fewer where the quota is small; `None`: unlimited.
    pub calls_meanwhile: Option<usize>,
}

/// Why a system cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A setting that this system needs is missing.
    #[error("{system} needs {what}")]
    Missing {
        /// The system's name.
        system: &'static str,
        /// What is missing, and where to set it.
        what: &'static str,
    },
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] http::SetupError),
}

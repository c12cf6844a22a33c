//! A target: a system at an address, for a tenant or partner.

use crate::config::Resolved;
use crate::http::address_key;
use crate::ledger::Header;
use std::fmt;

/// Used in place of the address of a stand-in in this process.
const IN_PROCESS: &str = "in-process";

/// A system at an address, for a tenant or partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The system's name.
    pub(crate) system: String,
    /// The address, without credentials.
    pub(crate) base_url: String,
    /// The tenant or partner; may be empty.
    pub(crate) tenant: String,
    /// A stand-in in this process: it has another address each time, and no other process knows it.
    pub(crate) in_process: bool,
}

impl Target {
    /// The target that the settings name.
    pub(super) fn of(resolved: &Resolved, base_url: &str, in_process: bool) -> Self {
        Self {
            system: resolved.system.to_string(),
            base_url: base_url.to_owned(),
            tenant: resolved.tenant.clone().unwrap_or_default(),
            in_process,
        }
    }

    /// The target of a run.
    pub(crate) fn of_run(header: &Header) -> Self {
        Self {
            system: header.system.clone(),
            base_url: header.base_url.clone(),
            tenant: header.tenant.clone(),
            in_process: is_in_process(&header.target),
        }
    }

    /// Returns the text by which targets are compared. In the address, all names of this machine are equal.
    pub(crate) fn key(&self) -> String {
        if self.in_process {
            return key_in_process(&self.system, &self.tenant);
        }
        format!(
            "{} {} {}",
            self.system,
            address_key(&self.base_url),
            self.tenant
        )
    }
}

/// Returns whether this is the key of a stand-in in some process.
pub(crate) fn is_in_process(key: &str) -> bool {
    parts(key)[1] == IN_PROCESS
}

fn key_in_process(system: &str, tenant: &str) -> String {
    format!("{system} {IN_PROCESS} {tenant}")
}

/// The system, the address and the tenant in a key.
pub(super) fn parts(key: &str) -> [&str; 3] {
    let mut parts = key.splitn(3, ' ');
    [(); 3].map(|()| parts.next().unwrap_or_default())
}

/// Returns a key in readable form.
pub(super) fn shown_key(key: &str) -> String {
    let [system, address, tenant] = parts(key);
    let tenant = match tenant {
        "" => String::new(),
        tenant => format!(", tenant {tenant}"),
    };
    format!("{system} at {address}{tenant}")
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.in_process {
            write!(f, "the sandbox of {}", self.system)?;
        } else {
            write!(f, "{} at {}", self.system, self.base_url)?;
        }
        if !self.tenant.is_empty() {
            write!(f, ", tenant {}", self.tenant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(base_url: &str) -> String {
        let target = Target {
            system: "plume".to_owned(),
            base_url: base_url.to_owned(),
            tenant: String::new(),
            in_process: false,
        };
        target.key()
    }

    #[test]
    fn address_has_the_same_key_in_all_spellings() {
        for (one, other) in [
            ("http://127.0.0.1:8080", "http://localhost:8080/"),
            ("http://127.0.0.1:8080", "http://[::1]:8080"),
            ("http://127.0.0.1:8080", "http://127.0.0.2:8080"),
            ("http://LOCALHOST", "http://localhost:80"),
            (
                "https://API.example.com/v1/",
                "https://api.example.com:443/v1",
            ),
            ("https://api.example.com./v1", "https://api.example.com/v1"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        for (one, other) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081"),
            ("https://a.example.com", "https://b.example.com"),
            ("https://api.example.com/v1", "https://api.example.com/v2"),
        ] {
            assert_ne!(key(one), key(other), "{one} {other}");
        }
    }
}

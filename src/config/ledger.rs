//! The shared ledger: a database that several machines use, instead of files.

use super::{ConfigError, Values, credentials};
use crate::http::{SecretKind, SecretSource, SetupError, tls_config};
use crate::ledger::{Address, PostgresSettings, ReadPassword};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Returns the address of the shared ledger; `None`: the ledger is kept in files.
pub fn ledger_address(values: &Values) -> Result<Option<Address>, ConfigError> {
    values.parsed("ledger", Address::from_str)
}

/// What is needed to connect to the ledger that several machines share.
#[derive(Clone)]
pub struct SharedLedger(pub PostgresSettings);

impl fmt::Debug for SharedLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedLedger")
            .field(&self.0.address)
            .finish()
    }
}

/// Returns what is needed to connect to the shared ledger; `None`: the ledger is kept in files.
pub fn ledger(
    values: &mut Values,
    ca_cert: Option<&Path>,
    give_up_after: Duration,
) -> Result<Option<SharedLedger>, ConfigError> {
    let Some(address) = ledger_address(values)? else {
        return Ok(None);
    };
    let password = credentials::ledger_password(values)?.map(reader);
    let tls = || tls_config(ca_cert);
    let tls = address.needs_tls().then(tls).transpose();
    let tls = tls.map_err(|error| match error {
        error @ SetupError::Certificates { .. } => ConfigError::Value {
            key: "ca_cert",
            origin: values.origin("ca_cert"),
            why: error.to_string(),
        },
        error => ConfigError::Credentials(error.to_string()),
    })?;
    Ok(Some(SharedLedger(PostgresSettings {
        address,
        password,
        tls,
        give_up_after,
    })))
}

fn reader(source: SecretSource) -> ReadPassword {
    let source = Arc::new(source);
    Arc::new(move || {
        let source = Arc::clone(&source);
        Box::pin(async move { source.read(SecretKind::Password).await })
    })
}

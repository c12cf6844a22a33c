//! Distinguishes a refused token from a customer that the token may not see: the system answers both with 401.

use crate::domain::Failed;
use crate::system::{Fatal, System};

/// Sends a request that every valid token may send. Returns whether it was answered; an error says why no call can succeed.
pub(super) async fn is_accepted(system: &System) -> Result<bool, (Fatal, String)> {
    let Err(probe) = system.probe().await else {
        return Ok(true);
    };
    match probe.fatal {
        Some(fatal) => Err((fatal, probe.message)),
        None if probe.reason == Failed::Unauthorized => Err((Fatal::TokenRefused, probe.message)),
        None => Ok(false),
    }
}

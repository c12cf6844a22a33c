//! Tells a token that is refused from a customer that it may not see: both are answered with 401.

use crate::domain::Failed;
use crate::system::{Fatal, System};

/// Asks something that every good token may ask. Whether it was answered; an error: why no call can succeed, and in words.
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

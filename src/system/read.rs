//! A read: its answer is what was asked for, a refusal, or something that cannot be read.

use super::error::{SystemError, holds_an_error};
use crate::http::{Call, Client, Reply, Unreadable};
use serde::de::DeserializeOwned;

/// What an answer to a read says.
pub(super) type Answer<T> = Result<T, ReadError>;

/// Why an answer does not contain what was asked for.
pub(super) enum ReadError {
    /// The system has answered, and asking again would bring the same.
    Final(SystemError),
    /// The answer cannot be read, so the call is repeated.
    Unreadable(Unreadable),
}

impl From<SystemError> for ReadError {
    fn from(error: SystemError) -> Self {
        Self::Final(error)
    }
}

impl From<Unreadable> for ReadError {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

/// Makes a call until it has an answer that can be read.
pub(super) async fn read<T>(
    client: &Client,
    call: &Call,
    parse: impl Fn(&Reply) -> Answer<T>,
) -> Result<T, SystemError> {
    let parse = |reply: &Reply| {
        let answer = match parse(reply) {
            Ok(value) => Ok(value),
            Err(ReadError::Final(error)) => Err(error),
            Err(ReadError::Unreadable(unreadable)) => return Err(unreadable),
        };
        Ok(answer)
    };
    client.read(call, parse).await?
}

/// The body of a success. Where it is an error of the API's own, that is final.
pub(super) fn body_of<T: DeserializeOwned>(
    reply: &Reply,
    error_of: fn(&Reply) -> Option<String>,
) -> Answer<T> {
    reply.json().map_err(|unreadable| match error_of(reply) {
        Some(words) => holds_an_error(reply, &words).into(),
        None => unreadable.into(),
    })
}

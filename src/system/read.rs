//! A read: its answer has the requested content, is a refusal, or cannot be parsed.

use super::error::{SystemError, holds_an_error};
use crate::http::{Call, Client, Reply, Unreadable};
use serde::de::DeserializeOwned;

/// The result of parsing the answer to a read.
pub(super) type Answer<T> = Result<T, ReadError>;

/// Why an answer does not have the requested content.
pub(super) enum ReadError {
    /// The system has answered, and another call would get the same answer.
    Final(SystemError),
    /// The answer cannot be parsed, so the call is repeated.
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

/// Makes a call, and repeats it while the answer cannot be parsed.
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

/// Parses the body of a success. A body that is an error of the API is final.
pub(super) fn body_of<T: DeserializeOwned>(
    reply: &Reply,
    error_of: fn(&Reply) -> Option<String>,
) -> Answer<T> {
    reply.json().map_err(|unreadable| match error_of(reply) {
        Some(words) => holds_an_error(reply, &words).into(),
        None => unreadable.into(),
    })
}

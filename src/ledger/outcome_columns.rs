//! What became of a line, as the columns of the table `outcomes`.

use super::checksum;
use super::columns::{Fault, Row, Value, text};
use crate::domain::{AccountId, CustomerId, LocationId, Outcome, ServiceId, Status, Transition};

/// All of them, with the checksum over the others last.
pub(super) const COLUMNS: &str = "line, status, reason, message, customer_id, account_id_before, account_id_after, location_id, \
     service_id_before, service_id_after, profile_before, profile_after, http_status, attempts, \
     correlation_id, finished_at_ms, duration_ms, checksum";

/// The values of all columns but the checksum.
pub(super) fn values(outcome: &Outcome) -> [Value<'_>; 17] {
    [
        outcome.line.into(),
        outcome.status.name().into(),
        outcome.status.reason().into(),
        outcome.message.as_str().into(),
        text(outcome.customer.as_ref()),
        text(outcome.account.before.as_ref()),
        text(outcome.account.after.as_ref()),
        text(outcome.location.as_ref()),
        text(outcome.service.before.as_ref()),
        text(outcome.service.after.as_ref()),
        outcome.profile.before.into(),
        outcome.profile.after.into(),
        outcome.http_status.into(),
        outcome.attempts.into(),
        text(outcome.correlation.as_ref()),
        outcome.finished_at_ms.into(),
        outcome.duration_ms.cast_signed().into(),
    ]
}

/// Reads a row of [`COLUMNS`]; refuses a row that does not match its checksum.
pub(super) fn read(row: &impl Row) -> Result<Outcome, Fault> {
    let outcome = Outcome {
        line: row.required(0)?,
        status: status(row.word(1)?, row.word(2)?)?,
        message: row.word(3)?.to_owned(),
        customer: row.id(4, CustomerId::new)?,
        account: Transition {
            before: row.id(5, AccountId::new)?,
            after: row.id(6, AccountId::new)?,
        },
        location: row.id(7, LocationId::new)?,
        service: Transition {
            before: row.id(8, ServiceId::new)?,
            after: row.id(9, ServiceId::new)?,
        },
        profile: Transition {
            before: row.profile(10)?,
            after: row.profile(11)?,
        },
        http_status: row.optional(12)?,
        attempts: row.required(13)?,
        correlation: row.text(14)?.map(str::to_owned),
        finished_at_ms: row.required(15)?,
        duration_ms: row.required::<i64>(16)?.cast_unsigned(),
    };
    if checksum::of(&values(&outcome)) == row.required::<i64>(17)? {
        return Ok(outcome);
    }
    let line = outcome.line;
    Err(Fault(
        format!("the outcome of line {line} was altered").into(),
    ))
}

/// A status by its name and reason.
pub(super) fn status(name: &str, reason: &str) -> Result<Status, Fault> {
    Status::parse(name, reason).ok_or(Fault::from("the status of a line in it is unknown"))
}

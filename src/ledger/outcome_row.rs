//! An outcome as a row of the ledger, there and back.

use super::LedgerError;
use super::checksum::Checksum;
use crate::domain::{
    AccountId, CustomerId, IdError, LocationId, Outcome, Profile, Reseller, ResellerId, ServiceId,
    Status, Transition,
};
use rusqlite::{Row, Statement, ToSql, params};
use std::path::Path;

pub(super) const COLUMNS: &str = "line, status, reason, message, customer_id, account_id_before, account_id_after, \
     location_id, service_id_before, service_id_after, profile_before, profile_after, http_status, attempts, \
     correlation_id, finished_at_ms, duration_ms, checksum";

pub(super) const INSERT: &str = "INSERT OR REPLACE INTO outcomes (line, status, reason, message, customer_id, \
     account_id_before, account_id_after, location_id, service_id_before, service_id_after, profile_before, profile_after, \
     http_status, attempts, correlation_id, finished_at_ms, duration_ms, checksum) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

fn text<T: AsRef<str>>(id: Option<&T>) -> Option<&str> {
    id.map(AsRef::as_ref)
}

fn checksum(outcome: &Outcome) -> i64 {
    Checksum::new()
        .number(i64::from(outcome.line))
        .text(Some(outcome.status.name()))
        .text(Some(outcome.status.reason()))
        .text(Some(&outcome.message))
        .text(text(outcome.customer.as_ref()))
        .text(text(outcome.account.before.as_ref()))
        .text(text(outcome.account.after.as_ref()))
        .text(text(outcome.location.as_ref()))
        .text(text(outcome.service.before.as_ref()))
        .text(text(outcome.service.after.as_ref()))
        .text(outcome.profile.before.map(Profile::as_str))
        .text(outcome.profile.after.map(Profile::as_str))
        .number(outcome.http_status.map_or(-1, i64::from))
        .number(i64::from(outcome.attempts))
        .text(outcome.correlation.as_deref())
        .number(outcome.finished_at_ms)
        .number(outcome.duration_ms.cast_signed())
        .finish()
}

/// Puts the outcome in place of what was known about its line.
pub(super) fn insert(statement: &mut Statement<'_>, outcome: &Outcome) -> rusqlite::Result<()> {
    let values: &[&dyn ToSql] = params![
        outcome.line,
        outcome.status.name(),
        outcome.status.reason(),
        outcome.message,
        text(outcome.customer.as_ref()),
        text(outcome.account.before.as_ref()),
        text(outcome.account.after.as_ref()),
        text(outcome.location.as_ref()),
        text(outcome.service.before.as_ref()),
        text(outcome.service.after.as_ref()),
        outcome.profile.before.map(Profile::as_str),
        outcome.profile.after.map(Profile::as_str),
        outcome.http_status,
        outcome.attempts,
        outcome.correlation,
        outcome.finished_at_ms,
        outcome.duration_ms.cast_signed(),
        checksum(outcome),
    ];
    statement.execute(values).map(drop)
}

/// Reads the columns of [`COLUMNS`]; what does not fit its checksum is refused.
pub(super) fn read(path: &Path, row: &Row<'_>) -> Result<Outcome, LedgerError> {
    let (outcome, stored) = fields(row).map_err(|fault| fault.name(path))?;
    if checksum(&outcome) == stored {
        return Ok(outcome);
    }
    Err(damaged(
        path,
        format!("the outcome of line {} was altered", outcome.line),
    ))
}

pub(super) fn damaged(path: &Path, what: String) -> LedgerError {
    LedgerError::Damaged {
        path: path.to_owned(),
        what,
    }
}

/// A status that this program does not know.
pub(super) fn unknown_status(path: &Path) -> LedgerError {
    damaged(path, "the status of a line in it is unknown".to_owned())
}

/// Why a row could not be read.
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Word(&'static str),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<IdError> for Fault {
    fn from(_: IdError) -> Self {
        Self::Word("an ID in it cannot be one")
    }
}

impl Fault {
    pub(super) fn name(self, path: &Path) -> LedgerError {
        match self {
            Self::Sqlite(source) => LedgerError::sqlite(path, source),
            Self::Word(what) => damaged(path, what.to_owned()),
        }
    }
}

/// An optional ID from a column.
pub(super) fn id<'r, T>(
    row: &'r Row<'_>,
    at: usize,
    make: impl FnOnce(&'r str) -> Result<T, IdError>,
) -> Result<Option<T>, Fault> {
    let text = row
        .get_ref(at)?
        .as_str_or_null()
        .map_err(rusqlite::Error::from)?;
    Ok(text.map(make).transpose()?)
}

/// A relationship from its text; `None`: it is no reseller's ID.
pub(super) fn reseller(text: &str) -> Option<Reseller> {
    match text {
        "own" => Some(Reseller::Own),
        id => ResellerId::new(id).ok().map(Reseller::Id),
    }
}

/// An optional profile from a column.
pub(super) fn profile(row: &Row<'_>, at: usize) -> Result<Option<Profile>, Fault> {
    let text = row
        .get_ref(at)?
        .as_str_or_null()
        .map_err(rusqlite::Error::from)?;
    text.map(|text| Profile::shown(text).ok_or(Fault::Word("a profile in it is empty")))
        .transpose()
}

/// The text of a column that always has one.
pub(super) fn word<'r>(row: &'r Row<'_>, at: usize) -> Result<&'r str, Fault> {
    Ok(row.get_ref(at)?.as_str().map_err(rusqlite::Error::from)?)
}

fn fields(row: &Row<'_>) -> Result<(Outcome, i64), Fault> {
    let status = Status::parse(word(row, 1)?, word(row, 2)?)
        .ok_or(Fault::Word("the status of a line in it is unknown"))?;
    let outcome = Outcome {
        line: row.get(0)?,
        status,
        message: row.get(3)?,
        customer: id(row, 4, CustomerId::new)?,
        account: Transition {
            before: id(row, 5, AccountId::new)?,
            after: id(row, 6, AccountId::new)?,
        },
        location: id(row, 7, LocationId::new)?,
        service: Transition {
            before: id(row, 8, ServiceId::new)?,
            after: id(row, 9, ServiceId::new)?,
        },
        profile: Transition {
            before: profile(row, 10)?,
            after: profile(row, 11)?,
        },
        http_status: row.get(12)?,
        attempts: row.get(13)?,
        correlation: row.get(14)?,
        finished_at_ms: row.get(15)?,
        duration_ms: row.get::<_, i64>(16)?.cast_unsigned(),
    };
    Ok((outcome, row.get(17)?))
}

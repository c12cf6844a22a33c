//! Between Rust types and table rows.

use super::record::{Intent, Recorded, Spot, Verdict, Write, WriteId};
use super::store::unsigned;
use crate::domain::{
    AccountId, CustomerId, Line, LocationId, Outcome, Profile, Reseller, ResellerId, ServiceId,
    Status, Transition,
};
use rusqlite::types::Type;
use rusqlite::{CachedStatement, Row, params};

pub(super) const OUTCOME_COLUMNS: &str = "line, status, reason, message, customer_id, account_id_before,
    account_id_after, location_id, service_id_before, service_id_after, profile_before, profile_after,
    http_status, attempts, correlation_id, finished_at_ms, duration_ms";

pub(super) const INSERT_OUTCOME: &str = "INSERT OR REPLACE INTO outcome VALUES
    (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

pub(super) const INSERT_WRITE: &str = "INSERT INTO write (unit, line, attempt, customer_id, reseller, kind,
    location_id, account_id_before, account_id_after, service_id_before, service_id_after, profile_before,
    profile_after, correlation_id, intended_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

pub(super) const WRITE_COLUMNS: &str = "id, unit, line, attempt, customer_id, reseller, kind, location_id,
    account_id_before, account_id_after, service_id_before, service_id_after, profile_before, profile_after,
    correlation_id, intended_at_ms, verdict, http_status";

pub(super) fn insert_outcome(
    statement: &mut CachedStatement<'_>,
    outcome: &Outcome,
) -> rusqlite::Result<()> {
    statement.execute(params![
        outcome.line,
        outcome.status.name(),
        outcome.status.reason(),
        outcome.message,
        outcome.customer.as_ref().map(CustomerId::as_str),
        outcome.account.before.as_ref().map(AccountId::as_str),
        outcome.account.after.as_ref().map(AccountId::as_str),
        outcome.location.as_ref().map(LocationId::as_str),
        outcome.service.before.as_ref().map(ServiceId::as_str),
        outcome.service.after.as_ref().map(ServiceId::as_str),
        outcome.profile.before.map(Profile::as_str),
        outcome.profile.after.map(Profile::as_str),
        outcome.http_status,
        outcome.attempts,
        outcome.correlation,
        outcome.finished_at_ms,
        i64::try_from(outcome.duration_ms).unwrap_or(i64::MAX),
    ])?;
    Ok(())
}

pub(super) fn outcome(row: &Row<'_>) -> rusqlite::Result<Outcome> {
    let (status, reason): (String, String) = (row.get(1)?, row.get(2)?);
    let status = Status::parse(&status, &reason)
        .ok_or_else(|| unknown(1, format!("`{status}` with `{reason}` is no status")))?;
    Ok(Outcome {
        line: row.get(0)?,
        status,
        message: row.get(3)?,
        customer: id(row, 4, |text| CustomerId::new(text))?,
        account: Transition {
            before: id(row, 5, |text| AccountId::new(text))?,
            after: id(row, 6, |text| AccountId::new(text))?,
        },
        location: id(row, 7, |text| LocationId::new(text))?,
        service: Transition {
            before: id(row, 8, |text| ServiceId::new(text))?,
            after: id(row, 9, |text| ServiceId::new(text))?,
        },
        profile: Transition {
            before: profile(row, 10)?,
            after: profile(row, 11)?,
        },
        http_status: row.get(12)?,
        attempts: row.get(13)?,
        correlation: row.get(14)?,
        finished_at_ms: row.get(15)?,
        duration_ms: unsigned(row.get(16)?),
    })
}

pub(super) fn insert_write(
    statement: &mut CachedStatement<'_>,
    intent: &Intent,
) -> rusqlite::Result<i64> {
    let nothing = Spot::default();
    let (kind, location, accounts, before, after) = match &intent.write {
        Write::Account {
            before,
            after,
            temporary,
        } => {
            let kind = if *temporary { "park" } else { "account" };
            (
                kind,
                None,
                (before.as_ref(), after.as_ref()),
                &nothing,
                &nothing,
            )
        }
        Write::Location {
            location,
            before,
            after,
        } => ("location", Some(location), (None, None), before, after),
    };
    statement.insert(params![
        intent.unit,
        intent.line,
        intent.attempt,
        intent.customer.as_str(),
        intent.reseller.as_ref().map(ToString::to_string),
        kind,
        location.map(LocationId::as_str),
        accounts.0.map(AccountId::as_str),
        accounts.1.map(AccountId::as_str),
        before.service.as_ref().map(ServiceId::as_str),
        after.service.as_ref().map(ServiceId::as_str),
        before.profile.map(Profile::as_str),
        after.profile.map(Profile::as_str),
        intent.correlation,
        intent.at_ms,
    ])
}

pub(super) fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let kind: String = row.get(6)?;
    let write = match kind.as_str() {
        "account" | "park" => Write::Account {
            before: id(row, 8, |text| AccountId::new(text))?,
            after: id(row, 9, |text| AccountId::new(text))?,
            temporary: kind == "park",
        },
        "location" => Write::Location {
            location: id(row, 7, |text| LocationId::new(text))?
                .ok_or_else(|| unknown(7, "a location write without a location".to_owned()))?,
            before: Spot {
                service: id(row, 10, |text| ServiceId::new(text))?,
                profile: profile(row, 12)?,
            },
            after: Spot {
                service: id(row, 11, |text| ServiceId::new(text))?,
                profile: profile(row, 13)?,
            },
        },
        other => return Err(unknown(6, format!("`{other}` is no kind of write"))),
    };
    let verdict: Option<String> = row.get(16)?;
    let line: Line = row.get(2)?;
    Ok(Recorded {
        id: WriteId(row.get(0)?),
        intent: Intent {
            unit: row.get(1)?,
            line,
            attempt: row.get(3)?,
            customer: id(row, 4, |text| CustomerId::new(text))?
                .ok_or_else(|| unknown(4, "a write without a customer".to_owned()))?,
            reseller: reseller(row, 5)?,
            write,
            correlation: row.get(14)?,
            at_ms: row.get(15)?,
        },
        verdict: match verdict {
            None => None,
            Some(text) => Some(
                Verdict::parse(&text)
                    .ok_or_else(|| unknown(16, format!("`{text}` is no verdict")))?,
            ),
        },
        http_status: row.get(17)?,
    })
}

pub(super) fn reseller(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Reseller>> {
    let text: Option<String> = row.get(at)?;
    Ok(match text.as_deref() {
        None => None,
        Some("own") => Some(Reseller::Own),
        Some(text) => Some(Reseller::Id(
            ResellerId::new(text).map_err(|why| unknown(at, why.to_string()))?,
        )),
    })
}

pub(super) fn id<T, E: std::fmt::Display>(
    row: &Row<'_>,
    at: usize,
    make: impl Fn(&str) -> Result<T, E>,
) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(at)?;
    text.map(|text| make(&text).map_err(|why| unknown(at, why.to_string())))
        .transpose()
}

pub(super) fn profile(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Profile>> {
    let text: Option<String> = row.get(at)?;
    text.map(|text| {
        Profile::parse(&text).ok_or_else(|| unknown(at, format!("`{text}` is no profile")))
    })
    .transpose()
}

fn unknown(at: usize, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Text, what.into())
}

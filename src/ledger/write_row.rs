//! A noted write as a row of the ledger, there and back.

use super::checksum::Checksum;
use super::outcome_row::{Fault, damaged, id, profile};
use super::{Intent, LedgerError, Verdict, Write, WriteId, WriteRecord, WriteVerdict};
use crate::domain::{
    AccountId, CustomerId, Line, LocationId, LocationState, Profile, Reseller, ResellerId,
    ServiceId, StoredValue,
};
use rusqlite::{Row, Statement, ToSql, params};
use std::path::Path;

pub(super) const COLUMNS: &str = "write_id, unit, line, attempt, verdict, http_status, customer_id, reseller, kind, \
     location_id, account_id_before, account_id_after, service_id_before, service_id_after, profile_before, profile_after, \
     correlation_id, noted_at_ms, checksum, altered, account_id_stored, service_id_stored, profile_stored";

pub(super) const SETTLE: &str = "UPDATE writes SET verdict = ?2, http_status = ?3, altered = ?4, \
     account_id_stored = ?5, service_id_stored = ?6, profile_stored = ?7 WHERE write_id = ?1";

pub(super) const INSERT: &str = "INSERT INTO writes (unit, line, attempt, customer_id, reseller, kind, location_id, \
     account_id_before, account_id_after, service_id_before, service_id_after, profile_before, profile_after, \
     correlation_id, noted_at_ms, checksum) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

/// The columns in which the kinds of writes differ.
struct Columns<'a> {
    kind: &'static str,
    location: Option<&'a str>,
    account: [Option<&'a str>; 2],
    service: [Option<&'a str>; 2],
    profile: [Option<&'static str>; 2],
}

impl<'a> Columns<'a> {
    fn of(write: &'a Write) -> Self {
        match write {
            Write::Account {
                before,
                after,
                temporary,
            } => Self {
                kind: if *temporary { "temporary" } else { "account" },
                location: None,
                account: [before, after].map(|id| id.as_ref().map(AccountId::as_str)),
                service: [None; 2],
                profile: [None; 2],
            },
            Write::Location {
                location,
                before,
                after,
            } => Self {
                kind: "location",
                location: Some(location.as_str()),
                account: [None; 2],
                service: [before, after].map(|spot| spot.service.as_ref().map(ServiceId::as_str)),
                profile: [before, after].map(|spot| spot.profile.map(Profile::as_str)),
            },
        }
    }
}

fn reseller(intent: &Intent) -> Option<&str> {
    intent.reseller.as_ref().map(|reseller| match reseller {
        Reseller::Own => "own",
        Reseller::Id(id) => id.as_str(),
    })
}

/// Over everything that is fixed when the write is noted; the verdict comes later and has a CHECK.
fn checksum(intent: &Intent, columns: &Columns<'_>) -> i64 {
    Checksum::new()
        .number(i64::from(intent.unit))
        .number(i64::from(intent.line))
        .number(i64::from(intent.attempt))
        .text(Some(intent.customer.as_str()))
        .text(reseller(intent))
        .text(Some(columns.kind))
        .text(columns.location)
        .text(columns.account[0])
        .text(columns.account[1])
        .text(columns.service[0])
        .text(columns.service[1])
        .text(columns.profile[0])
        .text(columns.profile[1])
        .text(Some(&intent.correlation))
        .number(intent.at_ms)
        .finish()
}

/// Notes the intent; its number is the row's.
pub(super) fn insert(statement: &mut Statement<'_>, intent: &Intent) -> rusqlite::Result<WriteId> {
    let columns = Columns::of(&intent.write);
    let values: &[&dyn ToSql] = params![
        intent.unit,
        intent.line,
        intent.attempt,
        intent.customer.as_str(),
        reseller(intent),
        columns.kind,
        columns.location,
        columns.account[0],
        columns.account[1],
        columns.service[0],
        columns.service[1],
        columns.profile[0],
        columns.profile[1],
        intent.correlation,
        intent.at_ms,
        checksum(intent, &columns),
    ];
    statement.insert(values).map(WriteId)
}

/// Records what became of a write.
pub(super) fn settle(
    statement: &mut Statement<'_>,
    WriteId(number): WriteId,
    settled: &WriteVerdict,
) -> rusqlite::Result<()> {
    let (account, spot) = match &settled.effect {
        None => (None, None),
        Some(StoredValue::Account(account)) => (account.as_ref(), None),
        Some(StoredValue::Location(spot)) => (None, Some(spot)),
    };
    let service = spot.and_then(|spot| spot.service.as_ref());
    let profile = spot.and_then(|spot| spot.profile);
    let values: &[&dyn ToSql] = params![
        number,
        settled.verdict.as_str(),
        settled.http_status,
        settled.effect.is_some(),
        account.map(AccountId::as_str),
        service.map(ServiceId::as_str),
        profile.map(Profile::as_str),
    ];
    statement.execute(values).map(drop)
}

/// Reads the columns of [`COLUMNS`]; what does not fit its checksum is refused.
pub(super) fn read(path: &Path, row: &Row<'_>) -> Result<WriteRecord, LedgerError> {
    let (recorded, stored) = fields(row).map_err(|fault| fault.name(path))?;
    let intent = &recorded.intent;
    if checksum(intent, &Columns::of(&intent.write)) == stored {
        return Ok(recorded);
    }
    Err(damaged(
        path,
        format!("a write for line {} was altered", intent.line),
    ))
}

fn fields(row: &Row<'_>) -> Result<(WriteRecord, i64), Fault> {
    let verdict: Option<String> = row.get(4)?;
    let intent = Intent {
        unit: row.get::<_, Line>(1)?,
        line: row.get::<_, Line>(2)?,
        attempt: row.get(3)?,
        customer: id(row, 6, CustomerId::new)?.ok_or(Fault::Word("a customer ID is missing"))?,
        reseller: id(row, 7, |text| match text {
            "own" => Ok(Reseller::Own),
            id => ResellerId::new(id).map(Reseller::Id),
        })?,
        write: write(row)?,
        correlation: row.get(16)?,
        at_ms: row.get(17)?,
    };
    let effect = match (row.get::<_, bool>(19)?, &intent.write) {
        (false, _) => None,
        (true, Write::Account { .. }) => Some(StoredValue::Account(id(row, 20, AccountId::new)?)),
        (true, Write::Location { .. }) => Some(StoredValue::Location(LocationState {
            service: id(row, 21, ServiceId::new)?,
            profile: profile(row, 22)?,
        })),
    };
    let recorded = WriteRecord {
        id: WriteId(row.get(0)?),
        intent,
        effect,
        verdict: verdict
            .map(|word| Verdict::parse(&word).ok_or(Fault::Word("a verdict is unknown")))
            .transpose()?,
        http_status: row.get(5)?,
    };
    Ok((recorded, row.get(18)?))
}

fn write(row: &Row<'_>) -> Result<Write, Fault> {
    let kind: String = row.get(8)?;
    let account = |temporary| -> Result<Write, Fault> {
        Ok(Write::Account {
            before: id(row, 10, AccountId::new)?,
            after: id(row, 11, AccountId::new)?,
            temporary,
        })
    };
    match kind.as_str() {
        "account" => account(false),
        "temporary" => account(true),
        "location" => Ok(Write::Location {
            location: id(row, 9, LocationId::new)?
                .ok_or(Fault::Word("a location ID is missing"))?,
            before: LocationState {
                service: id(row, 12, ServiceId::new)?,
                profile: profile(row, 14)?,
            },
            after: LocationState {
                service: id(row, 13, ServiceId::new)?,
                profile: profile(row, 15)?,
            },
        }),
        _ => Err(Fault::Word("a kind of write is unknown")),
    }
}

//! A noted write, as the columns of the table `writes`.

use super::checksum;
use super::columns::{Fault, Row, Value, text};
use super::{Intent, Verdict, Write, WriteId, WriteRecord, WriteVerdict};
use crate::domain::{
    AccountId, CustomerId, IdError, Line, LocationId, LocationState, Reseller, ResellerId,
    ServiceId, StoredValue,
};

/// What is noted before the write is sent, with the checksum over the others last.
pub(super) const NOTED: &str = "unit, line, attempt, customer_id, reseller, kind, location_id, account_id_before, account_id_after, \
     service_id_before, service_id_after, profile_before, profile_after, correlation_id, noted_at_ms, \
     checksum";

/// The columns of the result. It is written later, so the checksum does not cover it; constraints of the table guard it.
pub(super) const VERDICT: &str =
    "verdict, http_status, altered, account_id_stored, service_id_stored, profile_stored";

/// All columns, the number of the write first.
pub(super) fn all() -> String {
    format!("write_id, {NOTED}, {VERDICT}")
}

/// The values that are noted before the write is sent, without their checksum.
pub(super) fn noted_values(intent: &Intent) -> [Value<'_>; 15] {
    let mut values = [Value::None; 15];
    values[0] = intent.unit.into();
    values[1] = intent.line.into();
    values[2] = intent.attempt.into();
    values[3] = intent.customer.as_str().into();
    values[4] = intent.reseller.as_ref().map(reseller_word).into();
    match &intent.write {
        Write::Account {
            before,
            after,
            temporary,
        } => {
            values[5] = if *temporary { "temporary" } else { "account" }.into();
            values[7] = text(before.as_ref());
            values[8] = text(after.as_ref());
        }
        Write::Location {
            location,
            before,
            after,
        } => {
            values[5] = "location".into();
            values[6] = location.as_str().into();
            values[9] = text(before.service.as_ref());
            values[10] = text(after.service.as_ref());
            values[11] = before.profile.into();
            values[12] = after.profile.into();
        }
    }
    values[13] = intent.correlation.as_str().into();
    values[14] = intent.at_ms.into();
    values
}

/// A relationship from its text.
pub(super) fn reseller(text: &str) -> Result<Reseller, IdError> {
    match text {
        "own" => Ok(Reseller::Own),
        id => ResellerId::new(id).map(Reseller::Id),
    }
}

fn reseller_word(reseller: &Reseller) -> &str {
    match reseller {
        Reseller::Own => "own",
        Reseller::Id(id) => id.as_str(),
    }
}

/// The values of a write's result.
pub(super) fn verdict_values(verdict: &WriteVerdict) -> [Value<'_>; 6] {
    let effect = verdict.effect.as_ref();
    result_values(Some(verdict.verdict), verdict.http_status, effect)
}

/// Returns the values of a noted write's result, which may not be on record.
pub(super) fn known_values(write: &WriteRecord) -> [Value<'_>; 6] {
    result_values(write.verdict, write.http_status, write.effect.as_ref())
}

fn result_values(
    verdict: Option<Verdict>,
    http_status: Option<u16>,
    effect: Option<&StoredValue>,
) -> [Value<'_>; 6] {
    let (account, location) = match effect {
        None => (None, None),
        Some(StoredValue::Account(account)) => (account.as_ref(), None),
        Some(StoredValue::Location(location)) => (None, Some(location)),
    };
    [
        verdict.map(Verdict::as_str).into(),
        http_status.into(),
        effect.is_some().into(),
        text(account),
        text(location.and_then(|location| location.service.as_ref())),
        location.and_then(|location| location.profile).into(),
    ]
}

/// Reads a row of [`all`] columns; refuses a row that does not match its checksum.
pub(super) fn read(row: &impl Row) -> Result<WriteRecord, Fault> {
    let intent = Intent {
        unit: row.required(1)?,
        line: row.required(2)?,
        attempt: row.required(3)?,
        customer: row
            .id(4, CustomerId::new)?
            .ok_or(Fault::from("a customer ID is missing"))?,
        reseller: row.id(5, reseller)?,
        write: write(row)?,
        correlation: row.word(14)?.to_owned(),
        at_ms: row.required(15)?,
    };
    if checksum::of(&noted_values(&intent)) != row.required::<i64>(16)? {
        let line = intent.line;
        return Err(Fault(format!("a write for line {line} was altered").into()));
    }
    let is_altered = row.required::<i64>(19)? != 0;
    let effect = match &intent.write {
        _ if !is_altered => None,
        Write::Account { .. } => Some(StoredValue::Account(row.id(20, AccountId::new)?)),
        Write::Location { .. } => Some(StoredValue::Location(LocationState {
            service: row.id(21, ServiceId::new)?,
            profile: row.profile(22)?,
        })),
    };
    Ok(WriteRecord {
        id: WriteId(row.required(0)?),
        intent,
        effect,
        verdict: verdict(row, 17)?,
        http_status: row.optional(18)?,
    })
}

fn verdict(row: &impl Row, at: usize) -> Result<Option<Verdict>, Fault> {
    let known = |word| Verdict::parse(word).ok_or(Fault::from("a verdict is unknown"));
    row.text(at)?.map(known).transpose()
}

fn write(row: &impl Row) -> Result<Write, Fault> {
    let account = |temporary| -> Result<Write, Fault> {
        Ok(Write::Account {
            before: row.id(8, AccountId::new)?,
            after: row.id(9, AccountId::new)?,
            temporary,
        })
    };
    match row.word(6)? {
        "account" => account(false),
        "temporary" => account(true),
        "location" => Ok(Write::Location {
            location: row
                .id(7, LocationId::new)?
                .ok_or(Fault::from("a location ID is missing"))?,
            before: LocationState {
                service: row.id(10, ServiceId::new)?,
                profile: row.profile(12)?,
            },
            after: LocationState {
                service: row.id(11, ServiceId::new)?,
                profile: row.profile(13)?,
            },
        }),
        _ => Err(Fault::from("a kind of write is unknown")),
    }
}

/// The columns that are read where all writes are looked at; checksums are not verified.
#[derive(Debug)]
pub(super) struct WriteSketch<'a> {
    pub(super) id: u32,
    pub(super) line: Line,
    pub(super) customer: &'a str,
    pub(super) reseller: Option<&'a str>,
    pub(super) is_temporary: bool,
    pub(super) verdict: Option<Verdict>,
    pub(super) http_status: Option<u16>,
    pub(super) is_altered: bool,
    /// The account ID before and after, in a write of an account ID.
    pub(super) before: Option<&'a str>,
    pub(super) after: Option<&'a str>,
}

/// The columns of a sketch.
pub(super) const SKETCH: &str = "write_id, line, customer_id, reseller, kind, verdict, http_status, altered, account_id_before, \
     account_id_after";

/// Reads a row of [`SKETCH`].
pub(super) fn sketch(row: &impl Row) -> Result<WriteSketch<'_>, Fault> {
    Ok(WriteSketch {
        id: row.required(0)?,
        line: row.required(1)?,
        customer: row.word(2)?,
        reseller: row.text(3)?,
        is_temporary: row.word(4)? == "temporary",
        verdict: verdict(row, 5)?,
        http_status: row.optional(6)?,
        is_altered: row.required::<i64>(7)? != 0,
        before: row.text(8)?,
        after: row.text(9)?,
    })
}

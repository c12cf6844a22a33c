//! One line: cells → a change, or what is wrong with them.
//!
//! Promises: every problem of a line is found in one pass, and a line with an error gives no change; values are trimmed, the
//! text form of a spreadsheet (`="…"`) is read as its constant, and otherwise values are taken as they are. A question that
//! only other lines can decide is a [`Doubt`]. Must not look at other lines.

use super::block::Block;
use super::doubt::Doubt;
use super::footer::FooterCandidate;
use super::harmless::HarmlessShapes;
use super::preamble::Shared;
use super::record::{Passed, Raw, Records};
use super::shape::Scan;
use super::value::{shown, trim};
use super::{Column, InputError, cell};
use crate::domain::{
    AccountId, Change, CustomerId, Line, LocationId, Problem, Profile, Reseller, ResellerId,
    ServiceId, Severity, guid,
};
use csv::StringRecord;
use smol_str::SmolStr;
use std::borrow::Cow;

/// What one of our reports says about a customer of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The customer.
    pub customer: CustomerId,
    /// The account ID that the customer had before the run.
    pub account_before: Option<AccountId>,
}

/// One line of the file: what it requests, or why it cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// The line on which it begins.
    pub line: Line,
    /// What it asks for; `None` where a problem is an error.
    pub change: Option<Change>,
    /// In one of our reports: what its run had found.
    pub found: Option<Box<Found>>,
    /// What is wrong, warnings included.
    pub problems: Vec<Problem>,
    /// What may be wrong; the column decides.
    pub doubts: Vec<Doubt>,
    /// `Some` if the line is the header again; `true` if its columns are in another order than the file's.
    pub header: Option<bool>,
    /// The scans of the values in the surveyed columns.
    pub(super) scans: [Scan; Column::SURVEYED.len()],
    /// The line as a possible footer, if it could not be read as a customer's line.
    pub(super) footer: Option<Box<FooterCandidate>>,
    /// The length of its last cell, in bytes.
    pub(super) last_cell: u32,
    /// The name and the text of its last cell, where the file ends without a line break.
    pub(super) unended: Option<Box<(String, String)>>,
}

/// Returns an ID as it is compared: GUIDs in one case, because their case has no meaning.
fn spelled(guids: bool, text: &str) -> SmolStr {
    if guids {
        guid(text)
    } else {
        SmolStr::new(text)
    }
}

/// Parses a block, and lends each row to `each`: a copy of a row would take as long as its check.
pub(super) fn parse(
    block: &Block,
    shared: &Shared,
    mut each: impl FnMut(&mut Row),
) -> Result<Passed, InputError> {
    let head = &shared.head;
    let mut records = Records::new(block, &shared.name, head.delimiter)?;
    let any_nul = memchr::memchr(0, &block.bytes).is_some();
    let any_equals = memchr::memchr(b'=', &block.bytes).is_some();
    let any_ampersand = memchr::memchr(b'&', &block.bytes).is_some();
    let mut record = StringRecord::new();
    let mut harmless = HarmlessShapes::default();
    while let Some(raw) = records.read(&mut record)? {
        let mut check = Check {
            shared,
            harmless: &mut harmless,
            record: &record,
            raw,
            any_nul,
            any_equals,
            any_ampersand,
            row: Row {
                line: raw.line,
                ..Row::default()
            },
            bad: false,
        };
        check.read();
        each(&mut check.row);
    }
    Ok(records.passed())
}

/// The check of one line.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what the block does not have need not be looked for in its lines"
)]
pub(super) struct Check<'a> {
    pub(super) shared: &'a Shared,
    /// The shapes of the block's values that need no further check.
    pub(super) harmless: &'a mut HarmlessShapes,
    pub(super) record: &'a StringRecord,
    pub(super) raw: Raw<'a>,
    /// Whether the block has a NUL byte at all; the next two fields are the same for `=` and `&`.
    pub(super) any_nul: bool,
    any_equals: bool,
    pub(super) any_ampersand: bool,
    /// What is read and found so far.
    pub(super) row: Row,
    /// Whether one of the problems is an error.
    pub(super) bad: bool,
}

impl<'a> Check<'a> {
    fn read(&mut self) {
        let last = self.record.len().saturating_sub(1);
        let cell = self.record.get(last).unwrap_or_default();
        self.row.last_cell = u32::try_from(cell.len()).unwrap_or(u32::MAX);
        if !matches!(self.raw.text.last(), Some(b'\n' | b'\r')) {
            let name = self.shared.head.layout.name(last).to_owned();
            self.row.unended = Some(Box::new((name, shown(cell))));
        }
        if self.shape() {
            self.row.change = self.change();
        }
        if self.bad {
            self.row.change = None;
            if self.row.header.is_none() {
                self.row.footer = FooterCandidate::of_record(self.raw.line, self.record);
            }
        } else if self.row.change.is_some() {
            self.row.found = self.found();
        }
    }

    fn found(&self) -> Option<Box<Found>> {
        let layout = &self.shared.head.layout;
        let own = |name: &str| Some(cell::unescape(self.record.get(layout.own(name)?)?));
        let customer = CustomerId::new(&*own("idshift_customer_id")?).ok()?;
        let account = own("idshift_account_id_before");
        Some(Box::new(Found {
            customer,
            account_before: account.and_then(|id| AccountId::new(&*id).ok()),
        }))
    }

    pub(super) fn tell(
        &mut self,
        severity: Severity,
        code: &'static str,
        (column, value): (&str, &str),
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let problem = self.shared.rules.accept.weigh(Problem {
            line: self.raw.line,
            column: column.to_owned(),
            value: shown(value),
            severity,
            code,
            message: message.into(),
            help: help.into(),
        });
        self.bad |= problem.severity == Severity::Error;
        self.row.problems.push(problem);
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        at: (&str, &str),
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.tell(Severity::Error, code, at, message, help);
    }

    pub(super) fn warn(
        &mut self,
        code: &'static str,
        at: (&str, &str),
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.tell(Severity::Warning, code, at, message, help);
    }

    /// The trimmed value of a column; empty where there is none.
    pub(super) fn value(&self, column: Column) -> Cow<'a, str> {
        let layout = &self.shared.head.layout;
        let text = layout
            .place(column)
            .and_then(|place| self.record.get(place))
            .unwrap_or_default();
        if self.shared.rules.verbatim {
            return Cow::Borrowed(text);
        }
        layout.meant(text)
    }

    /// Whether a cell has the text form of a spreadsheet, `="…"`.
    pub(super) fn is_text_formula(&self, column: Column) -> bool {
        if !self.any_equals {
            return false;
        }
        let place = self.shared.head.layout.place(column);
        let text = place.and_then(|place| self.record.get(place));
        let Some(text) = text else {
            return false;
        };
        // For nearly every cell, the first character is enough to know.
        let first = text.as_bytes().first();
        first.is_some_and(|first| !first.is_ascii_alphanumeric())
            && cell::constant(trim(&cell::unescape(text))).is_some()
    }

    fn change(&mut self) -> Option<Change> {
        let account = self.account(Column::AccountId);
        let guids = self.shared.rules.ids_are_guids;
        let customer = self.id(Column::CustomerId, |text| {
            CustomerId::new(spelled(guids, text))
        });
        if account.is_none() && customer.is_none() && !self.bad {
            self.names_no_customer();
            return None;
        }
        let new_account = self.new_account();
        let (location, service, profile) = self.location();
        let change = Change {
            line: self.raw.line,
            account,
            customer,
            reseller: self.reseller(),
            new_account,
            location,
            service,
            profile,
        };
        if !self.bad {
            self.forgets(&change);
        }
        Some(change)
    }

    fn names_no_customer(&mut self) {
        let layout = &self.shared.head.layout;
        let empty = self.record.iter().all(|cell| cell.trim().is_empty());
        let names: Vec<_> = [Column::AccountId, Column::CustomerId]
            .into_iter()
            .filter(|column| layout.place(*column).is_some())
            .map(|column| layout.spelling(column))
            .collect();
        let (column, names) = (
            names.first().copied().unwrap_or_default(),
            names.join(" or "),
        );
        if empty {
            self.error(
                "no_customer",
                (column, ""),
                "all cells of the line are empty",
                "remove the line",
            );
        } else {
            self.error(
                "no_customer",
                (column, ""),
                "the line does not say which customer is meant",
                format!("fill in {names}"),
            );
        }
    }

    /// Reports a line that requests nothing of the location that it names, or that requests nothing at all.
    fn forgets(&mut self, change: &Change) {
        let layout = &self.shared.head.layout;
        if let Some(location) = &change.location
            && !change.asks_location()
        {
            // A list of renames may also name locations; a line that requests nothing else has named its location on purpose.
            let severity = if change.asks_anything() {
                Severity::Warning
            } else {
                Severity::Error
            };
            self.tell(
                severity,
                "asks_nothing_of_location",
                (layout.spelling(Column::LocationId), location.as_str()),
                "the line names a location, but no service ID or profile for it",
                "fill in serviceId or profile, or leave the location out",
            );
        } else if !change.asks_anything() {
            self.warn(
                "asks_nothing",
                ("", ""),
                "the line asks for nothing; it will be counted as unchanged",
                "fill in the new value, or remove the line",
            );
        }
    }

    fn reseller(&mut self) -> Option<Reseller> {
        let shared = self.shared;
        if !shared.rules.per_reseller {
            return None;
        }
        let layout = &shared.head.layout;
        if layout.place(Column::ResellerId).is_none() {
            return shared.rules.reseller.clone();
        }
        let value = self.value(Column::ResellerId);
        if value.is_empty() {
            self.error(
                "no_reseller",
                (layout.spelling(Column::ResellerId), ""),
                "the line does not say whose relationship is meant",
                "fill in the reseller's ID, or `own`",
            );
            return None;
        }
        if value.eq_ignore_ascii_case("own") {
            return Some(Reseller::Own);
        }
        let guids = shared.rules.ids_are_guids;
        self.id(Column::ResellerId, |text| {
            ResellerId::new(spelled(guids, text))
        })
        .map(Reseller::Id)
    }

    fn location(&mut self) -> (Option<LocationId>, Option<ServiceId>, Option<Profile>) {
        let shared = self.shared;
        let layout = &shared.head.layout;
        if !shared.rules.has_locations {
            for column in [Column::LocationId, Column::ServiceId, Column::Profile] {
                let value = self.value(column);
                if !value.is_empty() {
                    self.error(
                        "no_locations",
                        (layout.spelling(column), &value),
                        "the system has no locations, service IDs or profiles",
                        "leave the column out, or rename it to carry it through",
                    );
                }
            }
            return (None, None, None);
        }
        let location = self.id(Column::LocationId, |text| LocationId::new(text));
        let service = self.id(Column::ServiceId, |text| ServiceId::new(text));
        if service.is_none() && self.raw.quotes && self.is_empty_on_purpose(Column::ServiceId) {
            self.error(
                "empty_service_id",
                (layout.spelling(Column::ServiceId), "\"\""),
                "the service ID is to be set to an empty text, which the system refuses",
                "put a service ID there, or leave the cell empty without quotes to keep the present one",
            );
        }
        let value = self.value(Column::Profile);
        let profile = Profile::parse(&value);
        if profile.is_none() && !value.is_empty() {
            let folded = value.to_lowercase().replace([' ', '_', '-'], "");
            let help = match Profile::parse(&folded) {
                Some(meant) => format!("write `{meant}`; values are never changed silently"),
                None => "use `auto` or `smallbusiness`".to_owned(),
            };
            let at = (layout.spelling(Column::Profile), &*value);
            self.error("unknown_profile", at, "the profile is not known", help);
        }
        (location, service, profile)
    }

    /// Whether a cell is `""` in a line that quotes only where it must: such exports write an empty text as `""`, and a
    /// missing value without quotes. In a line that quotes everything, or all except numbers, `""` has no meaning.
    fn is_empty_on_purpose(&self, column: Column) -> bool {
        let Some(place) = self.shared.head.layout.place(column) else {
            return false;
        };
        let number = |text: &[u8]| {
            !text.is_empty()
                && text
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || b".-+".contains(byte))
        };
        self.raw
            .cells()
            .nth(place)
            .is_some_and(|cell| cell.text == b"\"\"")
            && self
                .raw
                .cells()
                .any(|cell| !cell.quoted && !number(cell.text))
    }
}

//! One line: cells → a change, or what is wrong with them.
//!
//! Promises: every problem of a line is found in one pass, and an error leaves no change; values are trimmed and
//! otherwise taken as they are. Must not look at other lines.

use super::block::Block;
use super::record::{Raw, Records};
use super::table::Shared;
use super::{Column, InputError, cell, damage};
use crate::domain::{
    AccountId, Change, CustomerId, Line, LocationId, Problem, Profile, Reseller, ResellerId,
    ServiceId, Severity, guid,
};
use csv::StringRecord;
use smol_str::SmolStr;
use std::borrow::Cow;

/// The new account ID that stands for none: the present one is removed, where the rules allow it.
pub const CLEAR_MARKER: &str = "<clear>";

/// How much of a value a problem shows, in characters.
const SHOWN_CHARS: usize = 120;

/// One line of the file: what it asks for, or why it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line on which it begins.
    pub line: Line,
    /// What it asks for; `None` where a problem is an error.
    pub change: Option<Change>,
    /// In one of our reports: the customer that the run has found by it, and the account ID that this one had before.
    pub found: Option<(CustomerId, Option<AccountId>)>,
    /// What is wrong, warnings included.
    pub problems: Vec<Problem>,
}

/// A value for a message, cut to what a person reads.
pub(super) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}\u{2026}", &value[..end]),
        None => value.to_owned(),
    }
}

/// A value without the white space around it. Most have none, which two bytes show.
fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [] => text,
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// An ID as it is compared: GUIDs are the same in capitals and in small letters.
fn spelled(guids: bool, text: &str) -> SmolStr {
    if guids {
        guid(text)
    } else {
        SmolStr::new(text)
    }
}

/// Parses a block.
pub(super) fn parse(
    block: &Block,
    shared: &Shared,
    mut each: impl FnMut(Row),
) -> Result<(), InputError> {
    let head = &shared.head;
    let width = head.layout.width();
    let mut records = Records::new(block, &shared.name, head.delimiter, width)?;
    let any_nul = memchr::memchr(0, &block.bytes).is_some();
    let mut record = StringRecord::new();
    while let Some(raw) = records.read(&mut record)? {
        let check = Check {
            shared,
            record: &record,
            raw,
            any_nul,
            problems: Vec::new(),
            bad: false,
        };
        each(check.row());
    }
    Ok(())
}

/// The check of one line.
pub(super) struct Check<'a> {
    pub(super) shared: &'a Shared,
    record: &'a StringRecord,
    pub(super) raw: Raw<'a>,
    any_nul: bool,
    problems: Vec<Problem>,
    /// Whether a problem is an error.
    pub(super) bad: bool,
}

impl<'a> Check<'a> {
    fn row(mut self) -> Row {
        let change = if self.shape() { self.change() } else { None };
        let change = change.filter(|_| !self.bad);
        Row {
            line: self.raw.line,
            found: self.found().filter(|_| change.is_some()),
            change,
            problems: self.problems,
        }
    }

    fn found(&self) -> Option<(CustomerId, Option<AccountId>)> {
        let layout = &self.shared.head.layout;
        let own = |name: &str| Some(cell::arm(self.record.get(layout.own(name)?)?));
        let customer = CustomerId::new(&*own("idshift_customer_id")?).ok()?;
        let account = own("idshift_account_id_before").and_then(|id| AccountId::new(&*id).ok());
        Some((customer, account))
    }

    pub(super) fn tell(
        &mut self,
        severity: Severity,
        code: &'static str,
        (column, value): (&str, &str),
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.bad |= severity == Severity::Error;
        self.problems.push(Problem {
            line: self.raw.line,
            column: column.to_owned(),
            value: shown(value),
            severity,
            code,
            message: message.into(),
            help: help.into(),
        });
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

    /// Whether the cells are where the header says, so that it makes sense to look at them.
    fn shape(&mut self) -> bool {
        let layout = &self.shared.head.layout;
        let (cells, width) = (self.record.len(), layout.width());
        if cells != width {
            let text = String::from_utf8_lossy(self.raw.text);
            let plural = if cells == 1 { "cell" } else { "cells" };
            self.error(
                "ragged",
                ("", text.trim_end()),
                format!("the line has {cells} {plural}, the header has {width}"),
                "quote a value that holds the delimiter, and give every line as many cells as the header",
            );
            return false;
        }
        if let Some(place) = self.raw.stray() {
            let text = self
                .raw
                .cells()
                .nth(place)
                .map_or(&b""[..], |cell| cell.text);
            self.error(
                "text_after_quote",
                (layout.name(place), &String::from_utf8_lossy(text)),
                "text follows the closing quote",
                "double the quotes that belong to the value, and quote the whole value",
            );
            return false;
        }
        if layout.repeats(self.record) {
            self.error(
                "header_again",
                ("", &String::from_utf8_lossy(self.raw.text)),
                "the header stands here again",
                "remove the line; where files were joined, check the order of the columns of each",
            );
            return false;
        }
        if self.any_nul || layout.armed() {
            self.whole_line();
        }
        !self.bad
    }

    /// What is looked for in all cells, also those that are only carried through.
    fn whole_line(&mut self) {
        let layout = &self.shared.head.layout;
        for &place in layout.kept() {
            let text = self.record.get(place).unwrap_or_default();
            if text.contains('\0') {
                self.error(
                    "nul",
                    (layout.name(place), text),
                    "the value contains a NUL byte",
                    "export the list again as plain text",
                );
            } else if layout.armed() && cell::is_mark(text) {
                let kind = damage::Damage::Mark;
                self.error(
                    kind.code(),
                    (layout.name(place), text),
                    kind.message(),
                    kind.help(),
                );
            }
        }
    }

    /// The trimmed value of a column; empty where there is none.
    pub(super) fn value(&self, column: Column) -> Cow<'a, str> {
        let layout = &self.shared.head.layout;
        let text = layout
            .place(column)
            .and_then(|place| self.record.get(place))
            .unwrap_or_default();
        if self.shared.rules.verbatim {
            Cow::Borrowed(text)
        } else if layout.armed() {
            match cell::arm(text) {
                Cow::Borrowed(text) => Cow::Borrowed(trim(text)),
                Cow::Owned(text) => Cow::Owned(trim(&text).to_owned()),
            }
        } else {
            Cow::Borrowed(trim(text))
        }
    }

    fn change(&mut self) -> Option<Change> {
        let account = self.account(Column::AccountId);
        let guids = self.shared.rules.ids_are_guids;
        let customer = self.id(Column::CustomerId, |text| {
            CustomerId::new(spelled(guids, text))
        });
        if account.is_none() && customer.is_none() && !self.bad {
            self.nobody();
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

    fn nobody(&mut self) {
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

    /// What the line forgets: a location of which nothing is asked, or everything.
    fn forgets(&mut self, change: &Change) {
        let layout = &self.shared.head.layout;
        if let Some(location) = &change.location
            && !change.asks_location()
        {
            // A list of moves may name locations without meaning them; a line that does nothing else means them.
            let severity = if change.asks_anything() {
                Severity::Warning
            } else {
                Severity::Error
            };
            self.tell(
                severity,
                "asks_nothing_of_location",
                (layout.spelling(Column::LocationId), location.as_str()),
                "the line names a location and asks nothing of it",
                "fill in serviceId or profile, or leave the location out",
            );
        } else if !change.asks_anything() {
            self.warn(
                "asks_nothing",
                ("", ""),
                "the line asks for nothing; it will be counted as unchanged",
                "fill in what is to change, or remove the line",
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

    /// Whether a cell is `""` in a line that quotes only where it must: exports write an empty text so, and a
    /// missing value without quotes. Where everything is quoted, or all that is not a number, it says nothing.
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

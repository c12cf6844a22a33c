//! One record → one change, or the problems that keep it from being one.

use super::column::Column;
use super::header::Header;
use super::record::{Cells, Raw};
use super::{Rules, cell, damage};
use crate::domain::{
    AccountId, Change, CustomerId, IdError, Line, LocationId, NewAccount, Problem, Profile,
    Reseller, ResellerId, ServiceId, Severity,
};
use std::borrow::Cow;

/// A row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its first line.
    pub line: Line,
    /// What it asks for; `None` where a problem is an error.
    pub change: Option<Change>,
    /// What is wrong or odd about it.
    pub problems: Vec<Problem>,
}

/// Reads rows, one after another.
pub(super) struct RowReader<'a> {
    pub(super) header: &'a Header,
    pub(super) rules: &'a Rules,
    pub(super) delimiter: u8,
}

/// A row in the making.
struct Draft<'a, 'b> {
    reader: &'a RowReader<'a>,
    cells: &'a Cells<'b>,
    line: Line,
    problems: Vec<Problem>,
}

impl RowReader<'_> {
    pub(super) fn read<'b>(&self, raw: &Raw<'b>, cells: &mut Cells<'b>) -> Row {
        raw.cells(self.delimiter, cells);
        let mut draft = Draft {
            reader: self,
            cells,
            line: raw.line,
            problems: Vec::new(),
        };
        let change = draft.shape(raw).then(|| draft.change()).flatten();
        let is_error = draft
            .problems
            .iter()
            .any(|problem| problem.severity == Severity::Error);
        Row {
            line: raw.line,
            change: change.filter(|_| !is_error),
            problems: draft.problems,
        }
    }
}

impl<'a> Draft<'a, '_> {
    /// Whether the record has the shape of the header.
    fn shape(&mut self, raw: &Raw<'_>) -> bool {
        if raw.glued {
            self.error(
                None,
                "",
                "text_after_quote",
                "there is text behind a closing quote, and parsers disagree about what that means"
                    .to_owned(),
                "double the quotes that belong to the value",
            );
        }
        let (have, want) = (self.cells.len(), self.reader.header.all.len());
        if have != want {
            let what = if have < want { "too few" } else { "too many" };
            self.error(
                None,
                "",
                "ragged",
                format!("has {have} cells, {what}: the header has {want}"),
                "quote cells that contain the delimiter, and keep empty cells",
            );
        }
        let repeats = have == want
            && Column::ALL
                .iter()
                .filter_map(|column| self.reader.header.place(*column))
                .all(|at| {
                    self.cells.get(at).map(str::trim)
                        == self.reader.header.all.get(at).map(String::as_str)
                });
        if repeats {
            self.error(
                None,
                "",
                "header_again",
                "this is the header once more".to_owned(),
                "remove the line; were two files put together?",
            );
        }
        self.problems.is_empty()
    }

    fn problem(
        &mut self,
        severity: Severity,
        column: Option<Column>,
        value: &str,
        code: &'static str,
        message: String,
        help: &str,
    ) {
        let header = self.reader.header;
        let name = column
            .and_then(|column| header.place(column))
            .and_then(|at| header.all.get(at));
        self.problems.push(Problem {
            line: self.line,
            column: name
                .cloned()
                .unwrap_or_else(|| column.map_or("", Column::name).to_owned()),
            value: value.to_owned(),
            severity,
            code,
            message,
            help: help.to_owned(),
        });
    }

    fn error(
        &mut self,
        column: Option<Column>,
        value: &str,
        code: &'static str,
        message: String,
        help: &str,
    ) {
        self.problem(Severity::Error, column, value, code, message, help);
    }

    fn warn(
        &mut self,
        column: Option<Column>,
        value: &str,
        code: &'static str,
        message: String,
        help: &str,
    ) {
        self.problem(Severity::Warning, column, value, code, message, help);
    }

    fn value(&self, column: Column) -> Cow<'a, str> {
        let Some(at) = self.reader.header.place(column) else {
            return Cow::Borrowed("");
        };
        let text = self.cells.get(at).unwrap_or("").trim();
        if self.reader.header.is_report() {
            cell::arm(text)
        } else {
            Cow::Borrowed(text)
        }
    }

    fn change(&mut self) -> Option<Change> {
        let account = self.account(Column::AccountId);
        let new_text = self.value(Column::NewAccountId);
        let new_account = match self.account(Column::NewAccountId) {
            Some(id) => NewAccount::Set(id),
            None if new_text.is_empty()
                && self.reader.rules.allow_clear
                && self.reader.header.place(Column::NewAccountId).is_some() =>
            {
                NewAccount::Clear
            }
            None => NewAccount::Keep,
        };
        let customer = self.id(Column::CustomerId, |text| CustomerId::new(text));
        let location = self.id(Column::LocationId, |text| LocationId::new(text));
        let service = self.service();
        let profile = self.profile();
        let reseller = self.reseller();
        self.places(location.as_ref(), service.as_ref(), profile, &new_account);
        let said = |column| !self.value(column).is_empty();
        if account.is_none()
            && customer.is_none()
            && !said(Column::AccountId)
            && !said(Column::CustomerId)
        {
            self.error(
                Some(Column::AccountId),
                "",
                "no_customer",
                "the line names no customer".to_owned(),
                "give accountId, or customerId, or both",
            );
        }
        let change = Change {
            line: self.line,
            account,
            customer,
            reseller,
            new_account,
            location,
            service,
            profile,
        };
        if self.problems.is_empty() && !change.asks_anything() {
            self.warn(
                None,
                "",
                "asks_nothing",
                "the line asks for nothing".to_owned(),
                "it will be reported as unchanged",
            );
        }
        (change.account.is_some() || change.customer.is_some()).then_some(change)
    }

    /// Checks that hold for every ID; says whether the value can be one.
    fn is_sound(&mut self, column: Column, value: &str, damaged: Option<damage::Damage>) -> bool {
        if let Some(c) = value.chars().find(|c| c.is_control()) {
            let code = u32::from(c);
            let message = format!("has the control character U+{code:04X}");
            self.error(
                Some(column),
                value,
                "control_character",
                message,
                "remove it",
            );
            return false;
        }
        if let Some(c) = damage::invisible(value) {
            let code = u32::from(c);
            let message = format!("has the invisible character U+{code:04X}");
            self.error(
                Some(column),
                value,
                "invisible_character",
                message,
                "remove it; it makes another ID",
            );
            return false;
        }
        if let Some(damage) = damaged {
            self.error(
                Some(column),
                value,
                damage.code(),
                damage.message().to_owned(),
                damage.help(),
            );
            return false;
        }
        if damage::is_decomposed(value) {
            self.warn(
                Some(column),
                value,
                "decomposed",
                "has a letter that is put together from two characters".to_owned(),
                "compare it with the CRM: it is not the same ID as with a single character",
            );
        }
        true
    }

    fn cannot(&mut self, column: Column, value: &str, why: IdError) {
        let (code, help) = match why {
            IdError::Empty => ("empty", "give a value"),
            IdError::Dots => (
                "dots",
                "such an ID cannot be addressed; ask the system's vendor",
            ),
            IdError::Control(_) => ("control_character", "remove it"),
            IdError::TooLong(_) => ("too_long", "shorten it"),
        };
        self.error(Some(column), value, code, why.to_string(), help);
    }

    fn account(&mut self, column: Column) -> Option<AccountId> {
        let value = self.value(column);
        if value.is_empty() {
            return None;
        }
        let rules = self.reader.rules;
        if rules.forbidden_accounts.contains(&value.as_ref()) {
            self.error(
                Some(column),
                &value,
                "forbidden_keyword",
                format!("`{value}` cannot be searched for, the system refuses the word"),
                "leave the cell empty if nothing is meant",
            );
            return None;
        }
        if !self.is_sound(column, &value, damage::of(&value)) {
            return None;
        }
        let id = match AccountId::new(&value) {
            Ok(id) => id,
            Err(why) => {
                self.cannot(column, &value, why);
                return None;
            }
        };
        let chars = if value.len() > rules.min_account_chars.max(6) || !value.is_ascii() {
            value.chars().count()
        } else {
            value.len()
        };
        if chars > rules.max_account_chars {
            let message = format!(
                "has {chars} characters, {} are allowed",
                rules.max_account_chars
            );
            self.error(Some(column), &value, "too_long", message, "shorten it");
        }
        if let Some(c) = value
            .chars()
            .find(|c| rules.forbidden_in_account.contains(*c))
        {
            let message = format!("has `{c}`, which the system does not allow in an account ID");
            self.error(
                Some(column),
                &value,
                "forbidden_character",
                message,
                "remove it",
            );
        }
        if column == Column::NewAccountId && chars < rules.min_account_chars {
            let message = format!(
                "has {chars} characters; the system wants {} when customers are registered",
                rules.min_account_chars
            );
            self.warn(Some(column), &value, "short", message, "it will be tried");
        }
        if value.starts_with('+') {
            let message = "begins with a plus sign, as a telephone number or a damaged number does"
                .to_owned();
            self.warn(
                Some(column),
                &value,
                "leading_plus",
                message,
                "compare it with the CRM",
            );
        }
        Some(id)
    }

    fn id<T>(&mut self, column: Column, make: impl Fn(&str) -> Result<T, IdError>) -> Option<T> {
        let value = self.value(column);
        if value.is_empty() || !self.is_sound(column, &value, damage::of(&value)) {
            return None;
        }
        match make(&value) {
            Ok(id) => Some(id),
            Err(why) => {
                self.cannot(column, &value, why);
                None
            }
        }
    }

    fn service(&mut self) -> Option<ServiceId> {
        self.id(Column::ServiceId, |text| ServiceId::new(text))
    }

    fn profile(&mut self) -> Option<Profile> {
        let value = self.value(Column::Profile);
        if value.is_empty() {
            return None;
        }
        let profile = Profile::parse(&value);
        if profile.is_none() {
            let folded = value.to_lowercase().replace([' ', '_', '-'], "");
            let help = match Profile::parse(&folded) {
                Some(meant) => format!("write `{meant}`; values are never changed silently"),
                None => "it must be `auto` or `smallbusiness`".to_owned(),
            };
            let message = format!("`{value}` is not a profile");
            self.error(
                Some(Column::Profile),
                &value,
                "unknown_profile",
                message,
                &help,
            );
        }
        profile
    }

    fn reseller(&mut self) -> Option<Reseller> {
        let rules = self.reader.rules;
        let value = self.value(Column::ResellerId);
        if !rules.per_reseller {
            return None;
        }
        if self.reader.header.place(Column::ResellerId).is_none() {
            return rules.reseller.clone();
        }
        if value.is_empty() {
            self.error(
                Some(Column::ResellerId),
                "",
                "no_reseller",
                "the line does not say whose relationship is meant".to_owned(),
                "give the reseller's ID, or `own`",
            );
            return None;
        }
        if value.eq_ignore_ascii_case("own") {
            return Some(Reseller::Own);
        }
        self.id(Column::ResellerId, |text| ResellerId::new(text))
            .map(Reseller::Id)
    }

    /// What is asked of locations must be possible, and a location must be named for something.
    fn places(
        &mut self,
        location: Option<&LocationId>,
        service: Option<&ServiceId>,
        profile: Option<Profile>,
        new_account: &NewAccount,
    ) {
        if !self.reader.rules.has_locations {
            let named = [
                (Column::LocationId, location.map(|id| id.to_string())),
                (Column::ServiceId, service.map(|id| id.to_string())),
                (Column::Profile, profile.map(|profile| profile.to_string())),
            ];
            for (column, value) in named {
                if let Some(value) = value {
                    let message = "this system has no locations".to_owned();
                    self.error(
                        Some(column),
                        &value,
                        "no_locations",
                        message,
                        "leave the cell empty",
                    );
                }
            }
            return;
        }
        let Some(location) = location.filter(|_| service.is_none() && profile.is_none()) else {
            return;
        };
        let broken = [Column::ServiceId, Column::Profile]
            .iter()
            .any(|c| !self.value(*c).is_empty());
        if broken {
            return;
        }
        let message = format!("location `{location}` is named, but nothing is asked of it");
        let help = "give a service ID or a profile, or leave locationId empty";
        if new_account.asks() {
            self.warn(
                Some(Column::ServiceId),
                "",
                "empty_service_id",
                message,
                help,
            );
        } else {
            self.error(
                Some(Column::ServiceId),
                "",
                "empty_service_id",
                message,
                help,
            );
        }
    }
}

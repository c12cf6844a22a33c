//! Checks one ID by the rules for all IDs, and an account ID by the rules of the system, too.
//!
//! Must not change a value: a doubtful value is sent as it is, with a warning, or is not sent.

use super::doubt::{Doubt, DoubtKind};
use super::finding::{Damage, Finding};
use super::row::Check;
use super::shape::{Level, scan, signature};
use super::spreadsheet_damage;
use super::value::shown;
use super::{Column, dates, lookalike};
use crate::domain::{AccountId, IdError, MAX_ID_CHARS, NewAccount, Problem, Severity};

impl Check<'_> {
    /// Returns the checked ID in a column; `None` where the cell is empty or bad.
    pub(super) fn id<T>(
        &mut self,
        column: Column,
        make: impl Fn(&str) -> Result<T, IdError>,
    ) -> Option<T> {
        // Most files have only two or three of the columns.
        self.shared.head.layout.place(column)?;
        let value = self.value(column);
        self.id_of(column, &value, make)
    }

    /// Returns the ID that the value of a column is, after all checks.
    fn id_of<T>(
        &mut self,
        column: Column,
        value: &str,
        make: impl Fn(&str) -> Result<T, IdError>,
    ) -> Option<T> {
        if !self.shared.rules.verbatim {
            if self.is_text_formula(column) {
                self.note_constant(column, value);
            }
            if !value.is_empty() && !self.passes(column, value) {
                return None;
            }
        }
        if value.is_empty() {
            return None;
        }
        match make(value) {
            Ok(id) => Some(id),
            Err(error) => {
                let column = self.shared.head.layout.spelling(column);
                self.id_error(error, (column, value));
                None
            }
        }
    }

    /// Whether a value is sound; for nearly every value, its shape is enough to know.
    fn passes(&mut self, column: Column, value: &str) -> bool {
        let seen = scan(value);
        if let Some(scan) = self.row.scans.get_mut(column.index()) {
            *scan = seen;
        }
        self.harmless.has(value, &seen, &self.shared.rules) || self.is_sound(column, value)
    }

    fn id_error(&mut self, error: IdError, at: (&str, &str)) {
        let (code, help) = match error {
            IdError::Empty => ("empty", "put the ID there"),
            IdError::Dots => ("dots", "put the real ID there"),
            IdError::Control(_) => ("control_character", "remove it from the value"),
            IdError::TooLong(_) => (
                "too_long",
                "check the value; the system accepts no longer values",
            ),
        };
        let message = match error {
            IdError::Empty | IdError::Dots | IdError::Control(_) | IdError::TooLong(_) => {
                format!("the value cannot be an ID: {error}")
            }
        };
        self.error(code, at, message, help);
    }

    /// Checks a value by the rules for IDs of all kinds; returns `false` if the line has an error.
    fn is_sound(&mut self, column: Column, value: &str) -> bool {
        let shared = self.shared;
        let at = (shared.head.layout.spelling(column), value);
        if matches!(column, Column::AccountId | Column::NewAccountId) {
            self.account_rules(at);
        }
        if self.raw.quotes && value.starts_with('"') && self.is_quoted_late(column) {
            self.error(
                "stray_quote",
                at,
                "white space stands before the opening quote, so the quote is part of the value",
                "remove the white space before the quote",
            );
            return false;
        }
        if is_keyword(column, value, shared.rules.forbidden_accounts) {
            self.error(
                "forbidden_keyword",
                at,
                format!("the system's search refuses the word `{value}`"),
                "put the real ID there, or leave the cell empty",
            );
            return false;
        }
        match spreadsheet_damage::find(value, shared.head.layout.escaped()) {
            Some(Finding::Sure(kind)) => self.damaged(column, kind, at),
            Some(Finding::Doubt(kind)) => self.doubt(column, kind, value),
            None => {}
        }
        if !value.is_ascii() {
            self.beyond_ascii(at);
        }
        if !value.is_ascii() || (self.any_ampersand && value.contains('&')) {
            self.look_alikes(column, value);
        }
        let bytes = value.as_bytes();
        if bytes[0] == b'+' && bytes.len() > 1 && bytes[1..].iter().all(u8::is_ascii_digit) {
            self.warn(
                "leading_plus",
                at,
                "the ID begins with a plus sign, which spreadsheets add or take away",
                "check that the system has it in this form",
            );
        }
        !self.bad
    }

    /// Reports certain damage. A formula is only a warning in a service ID, which is free text and may begin with `=`.
    fn damaged(&mut self, column: Column, kind: Damage, at: (&str, &str)) {
        let free_text = column == Column::ServiceId && kind == Damage::Formula;
        let severity = if free_text {
            Severity::Warning
        } else {
            Severity::Error
        };
        self.tell(severity, kind.code(), at, kind.message(), kind.help());
    }

    /// Adds a doubt, which the column decides.
    fn doubt(&mut self, column: Column, kind: DoubtKind, value: &str) {
        let (code, message, help) = words(kind);
        let word = if kind == DoubtKind::MonthDate {
            dates::month_word(value).unwrap_or_default()
        } else {
            String::new()
        };
        self.push_doubt(
            (column, kind, word),
            value,
            code,
            message.to_owned(),
            help.to_owned(),
        );
    }

    fn push_doubt(
        &mut self,
        (column, kind, word): (Column, DoubtKind, String),
        value: &str,
        code: &'static str,
        message: String,
        help: String,
    ) {
        self.row.doubts.push(Doubt {
            column,
            kind,
            shape: signature(value, Level::Exact),
            word,
            problem: Problem {
                line: self.raw.line,
                column: self.shared.head.layout.spelling(column).to_owned(),
                value: shown(value),
                severity: Severity::Warning,
                code,
                message,
                help,
            },
        });
    }

    /// Warns of a cell in the text form of a spreadsheet.
    fn note_constant(&mut self, column: Column, value: &str) {
        let at = (self.shared.head.layout.spelling(column), value);
        self.warn(
            "text_formula",
            at,
            format!("the cell is `=\"{value}\"`, the text form of a spreadsheet, and is read as `{value}`"),
            "no action is needed if that is the ID",
        );
    }

    /// Adds a doubt about characters that look like others.
    fn look_alikes(&mut self, column: Column, value: &str) {
        let Some(found) = lookalike::find(value) else {
            return;
        };
        let help = match &found.likely {
            Some(likely) => format!("probably `{}` is meant", shown(likely)),
            None => "enter the ID exactly as the system has it".to_owned(),
        };
        let what = (column, found.kind, String::new());
        self.push_doubt(what, value, found.code, found.message, help);
    }

    /// Whether the cell has white space before its opening quote, which is then part of the value.
    fn is_quoted_late(&self, column: Column) -> bool {
        let place = self.shared.head.layout.place(column);
        place
            .and_then(|place| self.raw.cells().nth(place))
            .is_some_and(|cell| !cell.quoted && !cell.text.starts_with(b"\""))
    }

    fn beyond_ascii(&mut self, at: (&str, &str)) {
        let mut combining = None;
        for c in at.1.chars().filter(|c| !c.is_ascii()) {
            if c == '\u{FFFD}' {
                self.error(
                    "replacement_character",
                    at,
                    "the value contains U+FFFD: a letter was lost when the file was converted",
                    "export the list again in UTF-8",
                );
                return;
            }
            combining = combining.or(is_combining(c).then_some(c));
        }
        if let Some(c) = combining {
            self.warn(
                "combining_character",
                at,
                format!(
                    "the value has a letter that is made of two characters (U+{:04X}); the same ID with the letter as \
                     one character is another ID",
                    u32::from(c)
                ),
                "check that the system spells it in the same way; the value is sent unchanged",
            );
        }
    }

    /// Returns the checked account ID in a column, current or new.
    pub(super) fn account(&mut self, column: Column) -> Option<AccountId> {
        self.id(column, |text| AccountId::new(text))
    }

    /// Checks a value by the rules that the system has for account IDs.
    fn account_rules(&mut self, at: (&str, &str)) {
        let rules = &self.shared.rules;
        let value = at.1;
        if value.len() > rules.max_account_chars {
            let chars = value.chars().count();
            if chars > rules.max_account_chars && chars <= MAX_ID_CHARS {
                let most = rules.max_account_chars;
                self.error(
                    "too_long",
                    at,
                    format!("the account ID has {chars} characters, {most} are allowed"),
                    "shorten it; the system accepts no longer values",
                );
            }
        }
        let forbidden = |c: &char| rules.forbidden_in_account.contains(*c);
        if let Some(c) = value.chars().find(forbidden) {
            self.error(
                "forbidden_character",
                at,
                format!("the account ID contains `{c}`, which the system does not allow"),
                format!("leave out the characters {}", rules.forbidden_in_account),
            );
        }
    }

    pub(super) fn new_account(&mut self) -> NewAccount {
        let shared = self.shared;
        let value = self.value(Column::NewAccountId);
        let at = (shared.head.layout.spelling(Column::NewAccountId), &*value);
        let empty = value.is_empty() && shared.head.layout.place(Column::NewAccountId).is_some();
        if shared.rules.verbatim {
            return match self.id_of(Column::NewAccountId, &value, |text| AccountId::new(text)) {
                Some(id) => NewAccount::Set(id),
                None if shared.rules.allow_clear && empty => NewAccount::Clear,
                None => NewAccount::Keep,
            };
        }
        if shared.rules.allow_clear && empty {
            return NewAccount::Clear;
        }
        let Some(id) = self.id_of(Column::NewAccountId, &value, |text| AccountId::new(text)) else {
            return NewAccount::Keep;
        };
        let least = shared.rules.min_account_chars;
        let chars = if value.is_ascii() {
            value.len()
        } else {
            value.chars().count()
        };
        if chars < least {
            self.warn(
                "short_account",
                at,
                format!("the new account ID has fewer than {least} characters"),
                "check that the system accepts it",
            );
        }
        NewAccount::Set(id)
    }
}

/// Whether the value is a word that the system's search refuses, in a column of account IDs.
fn is_keyword(column: Column, value: &str, forbidden: &[&str]) -> bool {
    matches!(column, Column::AccountId | Column::NewAccountId) && forbidden.contains(&value)
}

/// Returns the code, the message and the help of a doubt, where its kind alone determines them.
fn words(kind: DoubtKind) -> (&'static str, &'static str, &'static str) {
    const AS_TEXT: &str =
        "export the list again with the column as text, without opening it in a spreadsheet";
    match kind {
        DoubtKind::Placeholder => (
            "placeholder",
            "this word stands for a missing value, and most other values of the column have digits",
            "leave the cell empty, or put the real ID there",
        ),
        DoubtKind::MonthDate | DoubtKind::NumericDate => (
            "spreadsheet_date",
            "this is a date: a spreadsheet may have turned the ID into one",
            AS_TEXT,
        ),
        DoubtKind::DecimalZero => (
            "decimal_zero",
            "the ID ends in a decimal zero, which programs add that take IDs for numbers",
            AS_TEXT,
        ),
        DoubtKind::Exponent => (
            "spreadsheet_scientific",
            "this may be a number in scientific notation: the other values of the column are numbers",
            AS_TEXT,
        ),
        DoubtKind::Rounded => (
            "spreadsheet_rounded",
            "nearly all long numbers of the column have only zeros after the fifteenth digit: a spreadsheet rounded them",
            AS_TEXT,
        ),
        DoubtKind::Thousands => (
            "thousands_separator",
            "the number has thousands separators, which spreadsheets add",
            "check that the system has it in this form",
        ),
        DoubtKind::Typographic
        | DoubtKind::MixedScripts
        | DoubtKind::WholeScript
        | DoubtKind::Invisible
        | DoubtKind::Compatibility
        | DoubtKind::Entity
        | DoubtKind::DecodedTwice
        | DoubtKind::OtherScript
        | DoubtKind::Hash => ("", "", ""),
    }
}

/// Whether a character is a mark that combines with the letter before it, as in a text in decomposed form.
fn is_combining(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}'
            | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}' | '\u{3099}' | '\u{309A}'
    )
}

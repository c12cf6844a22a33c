//! Checks a line as a whole, before its cells: whether the cells are where the header says, and whether the line is about a
//! customer.

use super::doubt::{Doubt, DoubtKind};
use super::finding::Damage;
use super::row::Check;
use super::value::shown;
use super::{Column, cell, stray_quotes};
use crate::domain::{Problem, Severity};
use csv::StringRecord;

impl Check<'_> {
    /// Whether the cells are where the header says, so that they can be checked.
    pub(super) fn shape(&mut self) -> bool {
        let layout = &self.shared.head.layout;
        let (cells, width) = (self.record.len(), layout.width());
        if !self.shared.rules.verbatim && !self.is_customer() {
            return false;
        }
        if cells != width {
            let text = String::from_utf8_lossy(self.raw.text);
            let plural = if cells == 1 { "cell" } else { "cells" };
            let help = if text.starts_with('#') {
                "remove the line: a line that begins with `#` is read like any other line"
            } else {
                "quote a value that holds the delimiter, and give every line as many cells as the header"
            };
            self.error(
                "ragged",
                ("", text.trim_end()),
                format!("the line has {cells} {plural}, the header has {width}"),
                help,
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
        if self.any_nul || layout.escaped() {
            self.whole_line();
        }
        if self.raw.quotes && !self.shared.rules.verbatim {
            self.swallowed();
        }
        !self.bad
    }

    /// Whether the line can be about a customer: no header, no ruler, no padding.
    fn is_customer(&mut self) -> bool {
        let layout = &self.shared.head.layout;
        let text = self.raw.text.trim_ascii();
        if self.any_nul && text.iter().all(|byte| *byte == 0) {
            self.error(
                "nul",
                ("", ""),
                format!(
                    "{} NUL bytes are in place of a line: the file was not written completely",
                    text.len()
                ),
                "export the list again, and compare the sizes of the files",
            );
            return false;
        }
        if let Some(turned) = layout.repeats(self.record) {
            self.row.header = Some(turned);
            let (message, help) = if turned {
                (
                    "another header stands here, with its columns in another order: the lines below it are not read",
                    "bring the columns of the joined files into one order, and remove the line",
                )
            } else {
                ("the header stands here again", "remove the line")
            };
            let text = String::from_utf8_lossy(self.raw.text);
            self.error("header_again", ("", text.trim_end()), message, help);
            return false;
        }
        let is_ruled = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'#';
        if text.first().is_some_and(is_ruled) && is_ruler(self.record) {
            let text = String::from_utf8_lossy(text);
            self.error(
                "ruler",
                ("", &text),
                "the line is a separator line, not a customer",
                "remove the line",
            );
            return self.shared.rules.accept.has("ruler");
        }
        if text.starts_with(b"#") {
            self.doubt_line(text);
        }
        true
    }

    /// Adds a doubt about a line that begins with `#`.
    fn doubt_line(&mut self, text: &[u8]) {
        self.row.doubts.push(Doubt {
            column: Column::AccountId,
            kind: DoubtKind::Hash,
            shape: 0,
            word: String::new(),
            problem: Problem {
                line: self.raw.line,
                column: String::new(),
                value: shown(&String::from_utf8_lossy(text)),
                severity: Severity::Warning,
                code: "hash_line",
                message: "the line begins with `#`, and is read like any other line".to_owned(),
                help: "remove the line if it is a comment".to_owned(),
            },
        });
    }

    /// Reports lines that a stray quote has made part of a cell.
    fn swallowed(&mut self) {
        let layout = &self.shared.head.layout;
        let Some(found) = stray_quotes::swallowed(self.record, self.raw, layout) else {
            return;
        };
        let at = (
            layout.name(found.place),
            self.record.get(found.place).unwrap_or_default(),
        );
        let line = self.raw.line;
        let (from, to) = (line + found.first, line + found.last);
        let lines = if from == to {
            format!("line {from}, which looks like a record and would be lost")
        } else {
            format!("lines {from} to {to}, which look like records and would be lost")
        };
        self.tell(
            Severity::Blocking,
            "quoted_lines",
            at,
            format!("the quoted cell that opens in line {line} holds {lines}"),
            "close or remove the quote where it opens",
        );
    }

    /// Checks all cells, including those that are only carried through.
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
            } else if layout.escaped() && cell::is_mark(text) {
                let kind = Damage::Mark;
                self.error(
                    kind.code(),
                    (layout.name(place), text),
                    kind.message(),
                    kind.help(),
                );
            }
        }
    }
}

/// Whether a record is a ruler: all cells that are not empty consist of characters that draw lines and frames.
fn is_ruler(record: &StringRecord) -> bool {
    let ruled = |c: char| {
        c.is_whitespace()
            || "-=_+*~|:.\u{2013}\u{2014}\u{2015}\u{2500}\u{2501}\u{2550}\u{2502}\u{253C}"
                .contains(c)
    };
    let mut some = false;
    for cell in record {
        some |= !cell.trim().is_empty();
        if !cell.chars().all(ruled) {
            return false;
        }
    }
    some
}

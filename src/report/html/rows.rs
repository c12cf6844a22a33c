//! The table of all lines, for a run that is small enough for one page. Its markup is made line by line and kept within
//! a limit, so that neither the page nor the memory grows with the run.

use super::row::Row;
use crate::input::{Column, Table};
use html_escape::encode_text_to_string;
use std::fmt::Write;

/// The maximum number of lines that are shown one by one.
pub(super) const MOST: u64 = 20_000;
/// The maximum size of their markup: the page stays under 3 MB.
const BYTES: usize = 2_600_000;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Line,
    Account,
    NewAccount,
    Others,
    Customer,
    Status,
    Message,
}

impl Cell {
    fn title(self) -> &'static str {
        match self {
            Self::Line => "Line",
            Self::Account => "Account ID",
            Self::NewAccount => "New account ID",
            Self::Others => "Other changes",
            Self::Customer => "Customer ID",
            Self::Status => "Status",
            Self::Message => "Message",
        }
    }
}

/// One form of the table, as far as it is written; without markup once it has become too large.
#[derive(Debug)]
struct Form {
    cells: Vec<Cell>,
    markup: Option<String>,
}

impl Form {
    fn new(cells: &[Cell], has_locations: bool, has_room: bool) -> Self {
        let cells = cells.iter().copied();
        Self {
            cells: cells
                .filter(|cell| *cell != Cell::Others || has_locations)
                .collect(),
            markup: has_room.then(String::new),
        }
    }

    fn add(&mut self, row: &Row) {
        let Some(markup) = &mut self.markup else {
            return;
        };
        markup.push_str(if row.status.is_open_or_failed() {
            "<tr class=\"bad\">"
        } else {
            "<tr>"
        });
        for cell in &self.cells {
            markup.push_str("<td>");
            match cell {
                // Writing to a string cannot fail.
                Cell::Line => drop(write!(markup, "{}", row.line)),
                Cell::Account => text(&row.account, markup),
                Cell::NewAccount => text(&row.new_account, markup),
                Cell::Others => text(&row.others, markup),
                Cell::Customer => text(&row.customer, markup),
                Cell::Status => markup.push_str(&row.verdict()),
                Cell::Message => text(&row.message, markup),
            }
            markup.push_str("</td>");
        }
        markup.push_str("</tr>\n");
        if markup.len() > BYTES {
            self.markup = None;
        }
    }
}

fn text(value: &str, markup: &mut String) {
    encode_text_to_string(value, markup);
}

/// All lines of a run, in the two forms that the page may have room for.
#[derive(Debug)]
pub(super) struct Rows {
    lines: u64,
    full: Form,
    /// Without messages and customers.
    lean: Form,
}

/// The table as the page takes it.
pub(super) struct Drawn {
    pub(super) titles: Vec<&'static str>,
    /// The number of the column with the status, counted from 0.
    pub(super) status_at: usize,
    pub(super) markup: String,
    /// Whether the browser should lay it out only when it is scrolled to.
    pub(super) is_long: bool,
    /// Whether columns were left out to keep the page small.
    pub(super) is_lean: bool,
}

impl Rows {
    /// `lines`: the expected number of lines, as far as it is known.
    pub(super) fn of(table: &Table, lines: u64) -> Self {
        let locations = [Column::ServiceId, Column::Profile];
        let has_locations = locations.iter().any(|column| table.has(*column));
        let all = [
            Cell::Line,
            Cell::Account,
            Cell::NewAccount,
            Cell::Others,
            Cell::Status,
            Cell::Message,
            Cell::Customer,
        ];
        let form = |cells| Form::new(cells, has_locations, lines <= MOST);
        Self {
            lines: 0,
            full: form(&all),
            lean: form(&all[..5]),
        }
    }

    /// Returns whether more lines can be added.
    pub(super) fn is_open(&self) -> bool {
        self.lean.markup.is_some()
    }

    pub(super) fn add(&mut self, row: &Row) {
        self.lines += 1;
        if self.lines > MOST {
            self.full.markup = None;
            self.lean.markup = None;
        }
        self.full.add(row);
        self.lean.add(row);
    }

    /// Returns the table; `None`: there are too many lines, or none.
    pub(super) fn drawn(self) -> Option<Drawn> {
        let is_lean = self.full.markup.is_none();
        let form = if is_lean { self.lean } else { self.full };
        Some(Drawn {
            markup: form.markup.filter(|markup| !markup.is_empty())?,
            titles: form.cells.iter().map(|cell| cell.title()).collect(),
            status_at: form.cells.iter().position(|cell| *cell == Cell::Status)?,
            is_long: self.lines > 1000,
            is_lean,
        })
    }
}

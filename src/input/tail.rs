//! The end of a file: a last line that was cut off, a line of totals below the rows.
//!
//! Promise: parts are appended in the order of the file.

use super::row::Row;
use super::shape::Level;
use super::survey::Stats;
use crate::domain::{Change, Line, Problem, Severity};

/// What is known of the last line, and of the last cell of all others.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    last: Option<Last>,
    /// The shortest and the longest last cell of the lines before it, in bytes, and how many they are.
    others: Option<(u32, u32)>,
    count: u64,
    /// What the last line asks for, where it may count the others.
    footer: Option<Box<Change>>,
}

#[derive(Debug, Clone)]
struct Last {
    line: Line,
    cell: u32,
    /// The name and the text of the last cell, where the file ends without a line break.
    unended: Option<Box<(String, String)>>,
}

/// The first words of lines that count or add up, in the languages of Europe.
const LABELS: [&str; 48] = [
    "total",
    "totals",
    "subtotal",
    "sum",
    "summe",
    "gesamt",
    "gesamtsumme",
    "gesamtzahl",
    "anzahl",
    "zwischensumme",
    "count",
    "rows",
    "records",
    "lines",
    "end",
    "ende",
    "fin",
    "zeilen",
    "somme",
    "nombre",
    "lignes",
    "suma",
    "cantidad",
    "filas",
    "totale",
    "totali",
    "somma",
    "numero",
    "righe",
    "soma",
    "linhas",
    "totaal",
    "som",
    "aantal",
    "antal",
    "antall",
    "summa",
    "yhteensä",
    "celkem",
    "spolu",
    "razem",
    "összesen",
    "ukupno",
    "skupaj",
    "toplam",
    "итого",
    "всего",
    "σύνολο",
];

impl Tail {
    fn fold(&mut self) {
        if let Some(last) = self.last.take() {
            let (least, most) = self.others.unwrap_or((last.cell, last.cell));
            self.others = Some((least.min(last.cell), most.max(last.cell)));
            self.count += 1;
        }
    }

    pub(super) fn add(&mut self, row: &mut Row) {
        self.fold();
        self.last = Some(Last {
            line: row.line,
            cell: row.last_cell,
            unended: row.unended.take(),
        });
        // Nearly every line names its customer by an ID with a digit in it, and asks for something.
        let is_plain = |change: &&Change| row.scans[0].any_digit && change.new_account.asks();
        let may_count = row
            .change
            .as_ref()
            .filter(|change| !is_plain(change) && may_count(change));
        if self.footer.is_some() || may_count.is_some() {
            self.footer = may_count.map(|change| Box::new(change.clone()));
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        if other.last.is_none() {
            return;
        }
        self.fold();
        if let Some((least, most)) = other.others {
            let (mine, my_most) = self.others.unwrap_or((least, most));
            self.others = Some((mine.min(least), my_most.max(most)));
        }
        self.count += other.count;
        self.last = other.last;
        self.footer = other.footer;
    }

    /// What is wrong with the last line; `key`: the column that names the customers.
    pub(super) fn problems(&self, key: (&str, &Stats), rows: u64) -> Vec<Problem> {
        let cut = self.last.as_ref().and_then(|last| self.cut_off(last));
        let footer = self
            .footer
            .as_ref()
            .and_then(|change| footer(change, key, rows));
        cut.into_iter().chain(footer).collect()
    }

    /// The last line has no end, and its last value is shorter than all others, which have one length.
    fn cut_off(&self, last: &Last) -> Option<Problem> {
        let (column, value) = last.unended.as_deref()?;
        let (shortest, longest) = self.others?;
        if self.count < 2 || shortest != longest || last.cell >= shortest {
            return None;
        }
        Some(Problem {
            line: last.line,
            column: column.clone(),
            value: value.clone(),
            severity: Severity::Blocking,
            code: "cut_off",
            message: format!(
                "the file ends without a line break, and its last value has {} bytes where the {} others have {shortest}: \
                 the file may have been cut off",
                last.cell, self.count
            ),
            help: "compare the size of the file with its source, and copy it again".to_owned(),
        })
    }
}

/// Digits, and what stands between the digits of large numbers.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| b"0123456789.,' ".contains(&byte))
}

/// Whether a line may count others: it asks for nothing, or has a word for its customer and a number for the new ID.
fn may_count(change: &Change) -> bool {
    let Some(new) = change.new_account.id() else {
        return !change.asks_anything();
    };
    let digit = |id: &str| id.bytes().any(|byte| byte.is_ascii_digit());
    is_number(new.as_str()) && !change.account.as_ref().is_some_and(|id| digit(id.as_str()))
}

/// A line that counts or adds up the lines above it.
fn footer(change: &Change, (column, stats): (&str, &Stats), rows: u64) -> Option<Problem> {
    let account = change.account.as_ref().map(AsRef::as_ref);
    let key: &str = account.or(change.customer.as_ref().map(AsRef::as_ref))?;
    let new: Option<&str> = change.new_account.id().map(AsRef::as_ref);
    let asks = change.asks_anything();
    if rows < 2 || (asks && !new.is_some_and(is_number)) || change.service.is_some() {
        return None;
    }
    let alone = |level| stats.shapes.like(key, level).is_none_or(|like| like == 1);
    let word: String = key.chars().take_while(|c| c.is_alphabetic()).collect();
    let is_label = LABELS.contains(&word.to_lowercase().as_str());
    let above = (rows - 1).to_string();
    let counts = [Some(key), new].contains(&Some(above.as_str()));
    // `2 Zeilen`, `(2 rows)`: the number of lines, and a word in whatever language.
    let counted = key.trim_matches(['(', ')']).split_once(' ');
    let is_word = |text: &str| text.chars().all(|c| c.is_alphabetic() || c == ' ');
    let counts_in_words =
        !asks && counted.is_some_and(|(number, word)| number == above && is_word(word));
    let is_sentence = !asks && rows > 3 && key.contains([' ', ':']) && alone(Level::Runs);
    if !((is_label || counts || counts_in_words) && alone(Level::Exact)) && !is_sentence {
        return None;
    }
    Some(Problem {
        line: change.line,
        column: column.to_owned(),
        value: super::row::shown(key),
        severity: Severity::Error,
        code: "footer",
        message: "the last line counts or sums up the others, and names no customer".to_owned(),
        help: "remove the line".to_owned(),
    })
}

//! Finds lines that a stray quote has made part of a cell.
//!
//! A quote that opens in one line and closes some lines later makes one record of all lines between, which is valid CSV. It is
//! recognised because the inner lines are records by themselves: they have as many cells as the header, and a key like the
//! others.

use super::Column;
use super::layout::Layout;
use super::record::Raw;
use csv::StringRecord;
use memchr::memchr2;

/// The lines that a record has taken in.
pub(super) struct Swallowed {
    /// The place of the quoted cell.
    pub(super) place: usize,
    /// The first and the last of the lines, counted from the record's own.
    pub(super) first: u32,
    pub(super) last: u32,
}

/// Returns the lines inside a record that look like records.
pub(super) fn swallowed(record: &StringRecord, raw: Raw<'_>, layout: &Layout) -> Option<Swallowed> {
    let text = raw.text.trim_ascii_end();
    memchr2(b'\n', b'\r', text)?;
    let text = std::str::from_utf8(text).ok()?.replace("\r\n", "\n");
    let mut lines = text.split(['\n', '\r']).zip(0..);
    let delimiter = char::from(raw.delimiter);
    // The line in which a stray quote opens would be a whole record without it.
    let (opening, _) = lines.next()?;
    if opening.split(delimiter).count() < layout.width() {
        return None;
    }
    let mut like = lines.filter(|(line, _)| {
        let cells: Vec<&str> = line.split(delimiter).map(unquoted).collect();
        cells.len() == layout.width() && is_like(&cells, record, layout)
    });
    let first = like.next()?.1;
    let last = like.last().map_or(first, |(_, at)| at);
    let breaks = |cell: &str| cell.contains(['\n', '\r']);
    let place = record.iter().position(breaks)?;
    Some(Swallowed { place, first, last })
}

fn unquoted(cell: &str) -> &str {
    cell.trim().trim_matches('"')
}

/// Whether the cells of a line are like those of the record around it: the key, and at least half of the others.
fn is_like(cells: &[&str], record: &StringRecord, layout: &Layout) -> bool {
    let pair = |column: Column| {
        let place = layout.place(column)?;
        let own = record.get(place)?.trim();
        // A cell with a line break says nothing about the others.
        (!own.is_empty() && !own.contains(['\n', '\r'])).then(|| (own, cells[place]))
    };
    let alike = |(own, other): &(&str, &str)| shape(own) == shape(other) || same_length(own, other);
    let keys = [Column::AccountId, Column::CustomerId];
    let Some(key) = keys.into_iter().find_map(pair) else {
        return false;
    };
    let others = [Column::NewAccountId, Column::LocationId, Column::ServiceId];
    let others: Vec<_> = others.into_iter().filter_map(pair).collect();
    let same = others.iter().filter(|pair| alike(pair)).count();
    alike(&key) && same * 2 >= others.len()
}

/// Returns which kinds of characters follow each other, ignoring how many there are.
fn shape(text: &str) -> Vec<char> {
    let mut shape: Vec<char> = text
        .chars()
        .map(|c| match c {
            _ if c.is_alphabetic() => 'a',
            _ if c.is_numeric() => '9',
            _ => c,
        })
        .collect();
    shape.dedup();
    shape
}

/// Whether two texts have letters or digits at the same places, as two UUIDs do.
fn same_length(one: &str, other: &str) -> bool {
    let class = |c: char| if c.is_alphanumeric() { 'x' } else { c };
    one.len() >= 8 && one.chars().map(class).eq(other.chars().map(class))
}

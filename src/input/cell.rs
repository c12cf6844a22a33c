//! Defuses cells that a spreadsheet would run as a formula, and restores defused cells.
//!
//! Promise: `unescape(defuse(x)) == x` for every text, also for one that was defused already or begins with an
//! apostrophe of its own. [`unescape`] is for files that idshift wrote: in any other file a leading apostrophe is data.

use std::borrow::Cow;

/// Marks a cell that a ragged line did not have. The reader refuses the mark if the line is read again uncorrected.
pub(super) const MISSING: &str = "#MISSING";
/// Stands before the excess cells of a ragged line, which are joined.
pub(super) const EXCESS: &str = "#EXCESS ";
/// Stands before the unchanged text of a cell with text after its closing quote.
pub(super) const QUOTE: &str = "#QUOTE ";

/// Puts an apostrophe before a cell that a spreadsheet would run as a formula.
pub fn defuse(text: &str) -> Cow<'_, str> {
    if is_dangerous(text) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Removes the apostrophe that [`defuse`] added, and no other.
pub fn unescape(text: &str) -> Cow<'_, str> {
    match text.strip_prefix('\'') {
        Some(rest) if is_dangerous(rest) => Cow::Borrowed(rest),
        _ => Cow::Borrowed(text),
    }
}

/// Appends a cell in quotes, and a comma, to a row of a CSV file.
pub fn push_quoted(row: &mut Vec<u8>, text: &str) {
    row.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr(b'"', rest) {
        let (before, behind) = rest.split_at(at + 1);
        row.extend_from_slice(before);
        row.push(b'"');
        rest = behind;
    }
    row.extend_from_slice(rest);
    row.extend_from_slice(b"\",");
}

/// Returns the constant of the text form, with which exports make spreadsheets keep a value as it is: `="00456"`.
pub(super) fn constant(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix("=\"")?.strip_suffix('"')?;
    if !inner.contains('"') {
        return Some(Cow::Borrowed(inner));
    }
    let bare = inner.replace("\"\"", "");
    (!bare.contains('"')).then(|| Cow::Owned(inner.replace("\"\"", "\"")))
}

/// Whether a cell is a mark that idshift wrote for a cell that it could not read.
pub(super) fn is_mark(text: &str) -> bool {
    text == MISSING || text.starts_with(EXCESS) || text.starts_with(QUOTE)
}

/// Whether a spreadsheet would run the text. Leading apostrophes are ignored: a text that needs an apostrophe needs another
/// one when it has one. This makes the two functions exact inverses.
fn is_dangerous(text: &str) -> bool {
    // Most cells are empty or begin with a letter or a digit.
    if text
        .as_bytes()
        .first()
        .is_none_or(u8::is_ascii_alphanumeric)
    {
        return false;
    }
    let bare = text.trim_start_matches('\'');
    if bare.starts_with(['\t', '\r', '\n']) {
        return true;
    }
    let first = bare
        .trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200B}' | '\u{FEFF}'))
        .chars()
        .next();
    // The full-width forms are run by spreadsheets with East Asian settings.
    matches!(
        first,
        Some('=' | '+' | '-' | '@' | '\u{FF1D}' | '\u{FF0B}' | '\u{FF0D}' | '\u{FF20}')
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formula_text_is_escaped_with_an_apostrophe() {
        for text in [
            "=1+1",
            "+43",
            "-",
            "@x",
            "\tx",
            "\rx",
            "\nx",
            "  =1",
            "\u{A0}=1",
            "'=1",
            "''=1",
            "\u{FF1D}1",
        ] {
            assert_eq!(defuse(text), format!("'{text}"), "{text:?}");
        }
        for text in ["", "A-1", "'A-1", "'", "1=1", "O'Neil"] {
            assert_eq!(defuse(text), text);
            assert_eq!(unescape(text), text);
        }
    }

    #[test]
    fn text_formula_is_read_as_its_constant() {
        assert_eq!(constant("=\"00456\"").as_deref(), Some("00456"));
        assert_eq!(constant("=\"a\"\"b\"").as_deref(), Some("a\"b"));
        assert_eq!(constant("=\"\"").as_deref(), Some(""));
        for text in ["=A1", "=\"a\"&\"b\"", "=\"", "00456", "=\"a", "=1"] {
            assert_eq!(constant(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn row_equals_the_fully_quoted_output_of_the_csv_crate(cells in proptest::collection::vec("[\",\r\n a-b\u{e9}]{0,6}", 1..6)) {
            let mut row = Vec::new();
            for cell in &cells {
                push_quoted(&mut row, cell);
            }
            row.pop();
            row.push(b'\n');
            let mut csv = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            csv.write_record(&cells).unwrap();
            prop_assert_eq!(csv.into_inner().unwrap(), row);
        }

        #[test]
        fn unescape_is_the_exact_inverse_of_defuse(text in "['=+@\\- \t\r\na\u{A0}]{0,8}") {
            let once = defuse(&text).into_owned();
            prop_assert_eq!(unescape(&once), text.as_str());
            let twice = defuse(&once).into_owned();
            prop_assert_eq!(unescape(&twice), once.as_str());
        }
    }
}

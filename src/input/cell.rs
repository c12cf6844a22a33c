//! Cells that a spreadsheet would run as a formula: defused on the way out, armed again on the way in.
//!
//! Both halves live here, so that they are each other's inverse: a cell that could be a formula, or that could
//! be taken for a defused one, gets an apostrophe; a cell that begins with an apostrophe and would have got
//! one loses it.

use std::borrow::Cow;

fn is_dangerous(text: &str) -> bool {
    let blank = |c: char| c == ' ' || c == '\u{a0}';
    text.starts_with(['\t', '\r', '\n'])
        || text
            .trim_start_matches(blank)
            .starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

/// The cell as it may be shown to a spreadsheet.
pub fn defuse(text: &str) -> Cow<'_, str> {
    // The second half keeps the two functions each other's inverse.
    let looks_defused = text.trim_start_matches('\'').len() < text.len()
        && is_dangerous(text.trim_start_matches('\''));
    if is_dangerous(text) || looks_defused {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The cell as it was before [`defuse`].
pub fn arm(text: &str) -> Cow<'_, str> {
    match text.strip_prefix('\'') {
        Some(rest) if defuse(rest) == text => Cow::Borrowed(rest),
        Some(_) | None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formulas_are_defused_and_ordinary_cells_are_left_alone() {
        assert_eq!(defuse("=1+1"), "'=1+1");
        assert_eq!(defuse("  @x"), "'  @x");
        assert_eq!(defuse("-5"), "'-5");
        assert_eq!(defuse("A-1"), "A-1");
        assert_eq!(defuse("'quoted"), "'quoted");
        assert_eq!(defuse("'=x"), "''=x");
    }

    proptest! {
        #[test]
        fn arming_undoes_defusing(text in "[ '=+@A\t\u{a0}-]{0,6}") {
            let defused = defuse(&text);
            prop_assert_eq!(arm(&defused), text.as_str());
        }
    }
}

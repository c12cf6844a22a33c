//! A result that is printed repeatedly: on a terminal it replaces the text printed before, elsewhere it follows below.

use super::one_or_many;
use super::stream::{out, out_as_is, out_columns, out_rows};
use super::wrap::{height, wrapped};
use std::io::Write;

/// Ends all colours: those of a row may end in a later one, which is left out.
const RESET: &str = "\u{1b}[0m";

/// The text that was printed last.
#[derive(Debug, Default)]
pub struct Redrawn(Option<String>);

impl Redrawn {
    /// Prints the present text. The cursor stays below it, so the text remains on the screen however the program ends. Of a
    /// text that is taller than the terminal, the first rows are printed: rows that have left the screen are not replaced.
    pub fn show(&mut self, text: &str) {
        let Some(columns) = out_columns() else {
            out(text);
            return;
        };
        if let Some(before) = &self.0 {
            // The present width counts: a terminal that has become narrower has broken the old rows again.
            let rows = height(before, columns);
            let mut stdout = std::io::stdout().lock();
            // If this fails, `out_as_is` fails for the same reason and remembers the error.
            let _ = write!(stdout, "\u{1b}[{rows}A\r\u{1b}[J").and_then(|()| stdout.flush());
        }
        let mut text = wrapped(text, columns);
        if let Some(rows) = out_rows() {
            text = fitting(text, columns, rows);
        }
        out_as_is(&text);
        self.0 = Some(text);
    }
}

/// Returns the first rows of this text, as many as a terminal shows above the row of the cursor. The last one then says how
/// many are left out.
fn fitting(text: String, columns: usize, rows: usize) -> String {
    let room = rows.saturating_sub(1);
    if height(&text, columns) <= room {
        return text;
    }
    let all: Vec<&str> = text.split('\n').collect();
    let mut used = 1;
    let shown = all.iter().take_while(|row| {
        used += height(row, columns);
        used <= room
    });
    let shown = shown.count();
    let left_out = u64::try_from(all.len() - shown).unwrap_or(u64::MAX);
    let last = format!(
        "{RESET}… {}",
        one_or_many(left_out, "more row", "more rows")
    );
    let mut kept = all[..shown].to_vec();
    kept.push(&last);
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_tall_text_ends_with_the_number_of_omitted_rows() {
        let text = "one\ntwo\nthree\nfour";
        assert_eq!(fitting(text.to_owned(), 20, 5), text);
        assert_eq!(
            fitting(text.to_owned(), 20, 4),
            format!("one\ntwo\n{RESET}… 2 more rows")
        );
        // A word that is wider than the terminal takes several rows.
        assert_eq!(
            fitting("one\ntwo-two\nthree\n".to_owned(), 4, 5),
            format!("one\ntwo-two\n{RESET}… 2 more rows")
        );
        assert_eq!(
            fitting(text.to_owned(), 20, 1),
            format!("{RESET}… 4 more rows")
        );
    }
}

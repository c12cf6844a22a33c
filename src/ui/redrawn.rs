//! A result that is printed repeatedly: on a terminal it replaces the text printed before, elsewhere it follows below.

use super::stream::{out, out_columns};
use super::wrap::{height, wrapped};
use std::io::Write;

/// The text that was printed last.
#[derive(Debug, Default)]
pub struct Redrawn(Option<String>);

impl Redrawn {
    /// Prints the present text. The cursor stays below it, so the text remains on the screen however the program ends.
    pub fn show(&mut self, text: &str) {
        let Some(columns) = out_columns() else {
            out(text);
            return;
        };
        if let Some(before) = &self.0 {
            // The present width counts: a terminal that has become narrower has broken the old rows again.
            let rows = height(before, columns);
            let mut stdout = std::io::stdout().lock();
            // If this fails, `out` fails for the same reason and remembers the error.
            let _ = write!(stdout, "\u{1b}[{rows}A\r\u{1b}[J").and_then(|()| stdout.flush());
        }
        out(text);
        self.0 = Some(wrapped(text, columns));
    }
}

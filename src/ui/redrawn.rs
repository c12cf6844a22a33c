//! A result that is told again and again: on a terminal in place of what was told before, elsewhere below it.

use super::stream::{out, out_columns};
use super::wrap::{height, wrapped};
use std::io::Write;

/// What was told last.
#[derive(Debug, Default)]
pub struct Redrawn(Option<String>);

impl Redrawn {
    /// Tells how it is now. The cursor stays below it, so that whatever ends the program leaves it as it is.
    pub fn show(&mut self, text: &str) {
        let Some(columns) = out_columns() else {
            out(text);
            return;
        };
        if let Some(before) = &self.0 {
            // Told by the width of now: a terminal that has become narrower has broken its rows once more.
            let rows = height(before, columns);
            let mut stdout = std::io::stdout().lock();
            // What cannot be written shows with what follows.
            let _ = write!(stdout, "\u{1b}[{rows}A\r\u{1b}[J").and_then(|()| stdout.flush());
        }
        out(text);
        self.0 = Some(wrapped(text, columns));
    }
}

//! A terminal that is resized while a program draws on it, and the content of its screen.

use std::num::NonZeroU16;

const ROWS: u16 = 24;

/// What a terminal does with lines that are longer than its new width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnResize {
    /// Cuts them, as xterm does.
    Cut,
    /// Breaks them into several rows and joins these rows again, as tmux and most others do.
    Reflow,
}

/// A terminal.
pub(crate) struct Screen {
    on_resize: OnResize,
    parser: vt100::Parser,
}

/// How many rows that have left the screen are kept.
const KEPT: usize = 1_000;

fn parser((rows, columns): (u16, u16)) -> vt100::Parser {
    let size = |number| NonZeroU16::new(number).unwrap();
    vt100::Parser::new(size(rows), size(columns), KEPT)
}

impl Screen {
    pub(crate) fn new(on_resize: OnResize, columns: u16) -> Self {
        Self::of_size(on_resize, (ROWS, columns))
    }

    /// A terminal of this number of rows and columns.
    pub(crate) fn of_size(on_resize: OnResize, size: (u16, u16)) -> Self {
        Self {
            on_resize,
            parser: parser(size),
        }
    }

    /// Returns how many rows have left the screen at its top.
    pub(crate) fn rows_above(&mut self) -> usize {
        self.parser.screen_mut().set_scrollback(KEPT);
        let above = self.parser.screen().scrollback();
        self.parser.screen_mut().set_scrollback(0);
        above
    }

    pub(crate) fn columns(&self) -> u16 {
        self.parser.screen().size().1.get()
    }

    /// Writes the program's output. If the program has switched line wrapping off, lines are cut here, because the
    /// parser does not support that.
    pub(crate) fn write(&mut self, text: &str) {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("\u{1b}[?7l") {
            self.parser.process(before.as_bytes());
            let (unbroken, after) = after.split_once("\u{1b}[?7h").unwrap_or((after, ""));
            for (at, line) in unbroken.split("\r\n").enumerate() {
                if at > 0 {
                    self.parser.process(b"\r\n");
                }
                self.parser.process(self.cut(line).as_bytes());
            }
            rest = after;
        }
        self.parser.process(rest.as_bytes());
    }

    /// Returns the line without the characters beyond the last column; control sequences have no width.
    fn cut(&self, line: &str) -> String {
        let (mut short, mut width, mut in_sequence) = (String::new(), 0, false);
        for c in line.chars() {
            let is_shown = !in_sequence && !c.is_control();
            in_sequence = c == '\u{1b}' || in_sequence && !c.is_ascii_alphabetic();
            if is_shown {
                width += 1;
            }
            if !is_shown || width <= self.columns() {
                short.push(c);
            }
        }
        short
    }

    /// Returns the rows without blanks at their ends.
    pub(crate) fn rows(&self) -> Vec<String> {
        let rows = self.parser.screen().rows(0, self.columns());
        rows.map(|row| row.trim_end().to_owned()).collect()
    }

    /// Makes the terminal narrower or wider.
    pub(crate) fn resize(&mut self, columns: u16) {
        if self.on_resize == OnResize::Cut {
            let size = |number| NonZeroU16::new(number).unwrap();
            self.parser.set_size(size(ROWS), size(columns));
            return;
        }
        let screen = self.parser.screen();
        let (cursor, rows) = (screen.cursor_position(), self.rows());
        let used = rows.iter().rposition(|row| !row.is_empty());
        let used = used
            .map_or(0, |last| last + 1)
            .max(usize::from(cursor.0) + 1);
        // Rows that the old width has wrapped belong to one line.
        let (mut lines, mut cursor_line) = (vec![String::new()], 0);
        for (at, row) in rows.iter().take(used).enumerate() {
            if at == usize::from(cursor.0) {
                assert!(
                    cursor.1 == 0 || at + 1 == used,
                    "the cursor is inside of the display"
                );
                cursor_line = lines.len() - 1;
            }
            lines.last_mut().unwrap().push_str(row);
            if at + 1 < used && !screen.row_wrapped(u16::try_from(at).unwrap()) {
                lines.push(String::new());
            }
        }
        let height = |line: &String| line.chars().count().div_ceil(usize::from(columns)).max(1);
        let above: usize = lines[..cursor_line].iter().map(height).sum();
        let all: usize = lines.iter().map(height).sum();
        let row = above.saturating_sub(all.saturating_sub(usize::from(ROWS)));
        self.parser = parser((ROWS, columns));
        self.parser.process(lines.join("\r\n").as_bytes());
        let at = format!("\u{1b}[{};{}H", row + 1, cursor.1 + 1);
        self.parser.process(at.as_bytes());
    }
}

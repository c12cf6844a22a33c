//! Wraps text for a terminal: a line that is wider than the terminal is continued in the next row, at a space.
//!
//! Text that a person copies is never split, even if it is wider than the terminal: a word (an ID, a path, a URL), text in
//! backticks, an option with its value, and a command line of this program with its arguments.

use std::ops::Range;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Number of columns by which a continuation row is indented, unless the text of the line stands in a column of its own.
const HANGING: usize = 2;
/// Characters that end a command line inside a sentence.
const ENDS: [char; 6] = [';', ',', ':', '.', ')', '`'];

/// Returns the text in rows of at most this many columns, as far as the width of its words allows that.
pub(super) fn wrapped(text: &str, columns: usize) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| rows(line, columns)).collect();
    lines.join("\n")
}

/// Returns the number of terminal rows that this text takes. The text has no line break at its end.
pub(super) fn height(text: &str, columns: usize) -> usize {
    let rows = text
        .split('\n')
        .map(|row| columns_of(row).div_ceil(columns));
    rows.map(|rows| rows.max(1)).sum()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Returns the number of terminal columns that this text takes; colours take none.
pub fn columns_of(text: &str) -> usize {
    plain(text).width()
}

/// Returns the text, with `…` in place of its middle if it takes more columns than these. The text has no colours.
pub fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let begin = within(text.chars(), room.div_ceil(2));
    let end: String = within(text.chars().rev(), room / 2).chars().rev().collect();
    format!("{begin}…{end}")
}

/// Returns the first characters, as many as fit into these columns.
fn within(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= columns
        })
        .collect()
}

fn rows(line: &str, columns: usize) -> String {
    if columns_of(line) <= columns {
        return line.to_owned();
    }
    let (first, hanging) = indentation(line, columns);
    let (mut text, mut used) = (String::new(), 0);
    for piece in pieces(line, first) {
        let piece = &line[piece];
        let spaces = piece.len() - piece.trim_start_matches(' ').len();
        if used > hanging && used + columns_of(piece.trim_end()) > columns {
            text.push('\n');
            text.push_str(&" ".repeat(hanging));
            text.push_str(&piece[spaces..]);
            used = hanging + columns_of(&piece[spaces..]);
        } else {
            text.push_str(piece);
            used += columns_of(piece);
        }
    }
    text
}

/// Returns where the text of a line begins, after its indentation or after the last gap between columns (a byte offset), and
/// the terminal column in which its continuation rows begin.
fn indentation(line: &str, columns: usize) -> (usize, usize) {
    let bytes = line.len() - line.trim_start_matches(' ').len();
    let mut found = (bytes, bytes + HANGING);
    let gaps = line.match_indices("  ").map(|(at, _)| at);
    for gap in gaps.filter(|gap| *gap > bytes) {
        let text = line.len() - line[gap..].trim_start_matches(' ').len();
        let column = columns_of(&line[..text]);
        if column <= columns / 2 && text < line.len() {
            found = (text, column);
        }
    }
    (found.0, found.1.min(columns / 2))
}

/// Splits a line into pieces that must not be broken, each with the spaces before it. The text before byte `first` belongs to
/// the first piece.
fn pieces(line: &str, first: usize) -> Vec<Range<usize>> {
    let (mut pieces, mut begin) = (Vec::new(), 0);
    let (mut command, mut quoted) = (Command::None, false);
    let mut end = 0;
    for word in line.split(' ') {
        let from = end;
        end = from + word.len() + 1;
        let plain = plain(word);
        let holds = command.takes(&plain) || quoted || from <= first;
        // A backtick without a second one after it quotes nothing.
        for (at, _) in word.match_indices('`') {
            quoted = !quoted && line[from + at + 1..].contains('`');
        }
        if !holds && !word.is_empty() && begin < from - 1 {
            pieces.push(begin..from - 1);
            begin = from - 1;
        }
    }
    pieces.push(begin..line.len());
    pieces
}

/// The position of a word in a command line of this program, or after one of its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// Outside a command line.
    None,
    /// After `idshift`, or after `idshift runs`.
    Name,
    /// After an argument.
    Argument,
    /// After an option, which may have a value.
    Option,
    /// Inside an argument in single quotation marks.
    Quoted,
}

impl Command {
    /// Returns whether the next word belongs to the same command line as the words before it.
    fn takes(&mut self, word: &str) -> bool {
        let bare = word.trim_end_matches(ENDS);
        let is_argument = !bare.is_empty()
            && !word.starts_with('(')
            && !bare.chars().all(|c| c.is_ascii_lowercase());
        let is_taken = match *self {
            Self::None => false,
            Self::Name | Self::Option | Self::Quoted => true,
            Self::Argument => is_argument,
        };
        let begun = word.trim_start_matches(['(', '`']);
        let is_option = begun.starts_with('-') && begun.len() > 1 && !begun.contains('=');
        let unescaped = word.replace("\\'", "");
        let is_open = (unescaped.matches('\'').count() % 2 == 1) != (*self == Self::Quoted);
        *self = match *self {
            _ if begun == "idshift" => Self::Name,
            Self::None if is_option && !word.ends_with(ENDS) => Self::Option,
            Self::None => Self::None,
            _ if !is_taken => Self::None,
            _ if is_open => Self::Quoted,
            _ if word.ends_with(ENDS) => Self::None,
            Self::Name if word == "runs" => Self::Name,
            _ if is_option => Self::Option,
            _ => Self::Argument,
        };
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Tone;

    #[test]
    fn words_stay_whole_and_rows_fit_the_terminal() {
        let text =
            "warning: the last answer is older than what the run has noted since it was begun";
        for columns in [20, 33, 50, 79] {
            let shown = wrapped(text, columns);
            let rows: Vec<&str> = shown.lines().collect();
            assert!(rows.iter().all(|row| row.width() <= columns), "{shown}");
            let words: Vec<&str> = shown.split_whitespace().collect();
            assert_eq!(words.join(" "), text);
            assert!(rows[1..].iter().all(|row| row.starts_with("  ")), "{shown}");
        }
        assert_eq!(wrapped(text, text.len()), text);
    }

    #[test]
    fn continued_rows_keep_the_indent_of_their_column() {
        insta::assert_snapshot!(
            wrapped(
                "apply moves.csv: Plume\n  about 13 calls and about 3 s at 6/s and 2000/5m: done at 03:14\n\
                 \x20            9    not_found (first: line 17): no customer has the account ID `A-1`\n\
                 ok    config   there is no idshift.toml here, in the user's configuration folder",
                48
            ),
            @r"
        apply moves.csv: Plume
          about 13 calls and about 3 s at 6/s and
            2000/5m: done at 03:14
                     9    not_found (first: line 17): no
                          customer has the account ID
                          `A-1`
        ok    config   there is no idshift.toml here, in
                       the user's configuration folder
        "
        );
    }

    #[test]
    fn commands_options_values_and_urls_stay_in_one_row() {
        for whole in [
            "idshift apply idshift-runs/20261120-223015-k3f9/failures.csv --profile plume",
            "idshift undo 20261120-223015-k3f9 --config 'it'\\''s own.toml' --runs-dir '/srv/night runs'",
            "idshift runs show 20261120-223015-k3f9",
            "idshift resume --max-changes 7 --yes",
            "--map 'newAccountId=CRM KEY'",
            "--accept spreadsheet_scientific",
            "`a value with spaces in it`",
            "https://plume.example.com/a/very/long/path/that/has/no/end",
        ] {
            for end in [
                " tries those lines again",
                "; to undo: nothing",
                " (again)",
                "",
            ] {
                let text = format!("next: look at failures.csv; {whole}{end}");
                for columns in 20..120 {
                    let shown = wrapped(&text, columns);
                    assert!(shown.contains(whole), "{columns}: {shown}");
                    let words: Vec<&str> = shown.split_whitespace().collect();
                    assert_eq!(words.join(" "), text);
                }
            }
        }
    }

    #[test]
    fn sentence_after_a_command_is_wrapped() {
        let text = "idshift apply x/failures.csv tries those lines again in the order of the file";
        assert!(wrapped(text, 40).lines().count() > 1);
        let text = "the letter ` alone holds nothing together in what follows it to the end";
        assert_eq!(wrapped(text, 40).lines().count(), 2);
    }

    #[test]
    fn colour_codes_do_not_count_as_width() {
        let label = Tone::Warning.paint("warning:");
        let text = format!("{label} {}", "x ".repeat(20).trim_end());
        assert_eq!(wrapped(&text, 48), text);
        assert_eq!(wrapped(&text, 47).lines().count(), 2);
    }
}

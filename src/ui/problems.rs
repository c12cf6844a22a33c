//! Problems of a file, drawn so that a user can correct them: one notice for each kind.

use super::{Tone, count, visible};
use crate::domain::{Problem, ProblemList, Severity};
use std::fmt::Write;

/// The maximum number of examples of each kind.
const EXAMPLES: usize = 3;
/// The maximum number of characters that are shown of a value.
const VALUE_CHARS: usize = 80;

fn cut(value: &str) -> String {
    let shown = visible(value);
    let mut text: String = shown.chars().take(VALUE_CHARS).collect();
    if shown.chars().nth(VALUE_CHARS).is_some() {
        text.push('…');
    }
    text.replace('\n', "\\n")
}

/// Draws the problems: errors first, then blocking warnings, then warnings.
pub fn problems(file: &str, problems: &ProblemList) -> String {
    let file = visible(file);
    let mut text = String::new();
    for (kept, all) in problems.kinds() {
        if let Some(first) = kept.first() {
            draw(&mut text, &file, first, kept, all);
        }
    }
    text.trim_end().to_owned()
}

/// Draws one kind: what is wrong, how often, up to three places, and what to do.
fn draw(text: &mut String, file: &str, first: &Problem, kept: &[Problem], all: u64) {
    let times = if all > 1 {
        format!(" ({}, {} times)", first.code, count(all))
    } else {
        format!(" ({})", first.code)
    };
    let tone = match first.severity {
        Severity::Error | Severity::Blocking => Tone::Bad,
        Severity::Warning => Tone::Warning,
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} {}{times}",
        tone.paint(&format!("{}:", first.severity.as_str())),
        visible(&first.message)
    );
    for problem in kept.iter().take(EXAMPLES) {
        let _ = write!(text, "  --> {file}:{}", problem.line);
        if !problem.column.is_empty() {
            let _ = write!(text, ", column {}", cut(&problem.column));
        }
        if !problem.value.is_empty() {
            let _ = write!(text, ": `{}`", cut(&problem.value));
        }
        if problem.message != first.message {
            let _ = write!(text, ": {}", visible(&problem.message));
        }
        if problem.help != first.help {
            let _ = write!(text, "; {}", visible(&problem.help));
        }
        text.push('\n');
    }
    let help = Tone::Help.paint("help:");
    let _ = writeln!(text, "   = {help} {}", visible(&first.help));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: u32, value: &str) -> Problem {
        Problem {
            line,
            column: "newAccountId".to_owned(),
            value: value.to_owned(),
            severity: Severity::Error,
            code: "spreadsheet_scientific",
            message: "digits are lost".to_owned(),
            help: "export the column as text".to_owned(),
        }
    }

    #[test]
    fn each_problem_kind_is_one_notice_with_count_and_three_examples() {
        let mut list = ProblemList::default();
        for line in 2..1500 {
            list.push(problem(line, "1.2E+11"));
        }
        list.push(Problem {
            severity: Severity::Warning,
            code: "outlier",
            value: String::new(),
            ..problem(7, "")
        });
        list.push(Problem {
            severity: Severity::Blocking,
            code: "cut_off",
            ..problem(1499, "12")
        });
        let drawn = problems("moves.csv", &list);
        assert!(drawn.contains(&Tone::Bad.paint("error:")), "{drawn}");
        insta::assert_snapshot!(anstream::adapter::strip_str(&drawn).to_string(), @r"
        error: digits are lost (spreadsheet_scientific, 1,498 times)
          --> moves.csv:2, column newAccountId: `1.2E+11`
          --> moves.csv:3, column newAccountId: `1.2E+11`
          --> moves.csv:4, column newAccountId: `1.2E+11`
           = help: export the column as text
        blocking: digits are lost (cut_off)
          --> moves.csv:1499, column newAccountId: `12`
           = help: export the column as text
        warning: digits are lost (outlier)
          --> moves.csv:7, column newAccountId
           = help: export the column as text
        ");
        assert_eq!(list.left_out(), 498);
    }
}

//! Problems of a file, drawn so that a person can mend them.

use super::{count, visible};
use crate::domain::{Problem, Severity};
use std::collections::BTreeMap;
use std::fmt::Write;

/// So many are drawn.
const DRAWN: usize = 10;
/// So many more get a line each.
const LISTED: usize = 40;
/// So much of a value is shown.
const VALUE_CHARS: usize = 80;

fn cut(value: &str) -> String {
    let shown = visible(value);
    let mut text: String = shown.chars().take(VALUE_CHARS).collect();
    if shown.chars().nth(VALUE_CHARS).is_some() {
        text.push('…');
    }
    text.replace('\n', "\\n")
}

fn place(problem: &Problem) -> String {
    if problem.column.is_empty() {
        String::new()
    } else {
        format!(", column {}", cut(&problem.column))
    }
}

/// Errors before warnings: the first ten drawn, some more as a line each, and how many of each kind.
pub fn problems(file: &str, problems: &[Problem]) -> String {
    let file = visible(file);
    let mut ordered: Vec<&Problem> = problems.iter().collect();
    ordered.sort_by_key(|problem| (problem.severity, problem.line));
    let mut text = String::new();
    for problem in ordered.iter().take(DRAWN) {
        draw(&mut text, &file, problem);
    }
    for problem in ordered.iter().skip(DRAWN).take(LISTED) {
        let value = if problem.value.is_empty() {
            String::new()
        } else {
            format!(" `{}`", cut(&problem.value))
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}: {file}:{}{}: {}{value}",
            problem.severity.as_str(),
            problem.line,
            place(problem),
            visible(&problem.message),
        );
    }
    let mut kinds: BTreeMap<(Severity, &str), (u64, u32)> = BTreeMap::new();
    for problem in &ordered {
        let kind = kinds
            .entry((problem.severity, problem.code))
            .or_insert((0, problem.line));
        kind.0 += 1;
        kind.1 = kind.1.min(problem.line);
    }
    if ordered.len() > 1 {
        for ((severity, code), (lines, first)) in kinds {
            let _ = writeln!(
                text,
                "{:>9} {}: {code} (first: line {first})",
                count(lines),
                severity.as_str()
            );
        }
    }
    text.trim_end().to_owned()
}

fn draw(text: &mut String, file: &str, problem: &Problem) {
    let _ = writeln!(
        text,
        "{}: {}",
        problem.severity.as_str(),
        visible(&problem.message)
    );
    let _ = writeln!(text, "  --> {file}:{}{}", problem.line, place(problem));
    if !problem.value.is_empty() {
        let _ = writeln!(text, "   | `{}`", cut(&problem.value));
    }
    let _ = writeln!(text, "   = help: {}", visible(&problem.help));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_shows_a_value_where_there_is_one() {
        let problem = |line, value: &str| Problem {
            line,
            column: "accountId".to_owned(),
            value: value.to_owned(),
            severity: Severity::Error,
            code: "missing",
            message: "it is not as it should be".to_owned(),
            help: "mend it".to_owned(),
        };
        let all: Vec<Problem> = (2..14)
            .map(|line| problem(line, if line == 13 { "x" } else { "" }))
            .collect();
        let text = problems("m.csv", &all);
        assert!(!text.contains("``"), "{text}");
        assert!(text.contains("m.csv:12, column accountId: it is not as it should be\n"));
        assert!(text.contains("m.csv:13, column accountId: it is not as it should be `x`\n"));
    }

    #[test]
    fn a_problem_says_where_what_and_what_to_do() {
        let problem = Problem {
            line: 48213,
            column: "newAccountId".to_owned(),
            value: "1.23457E+11".to_owned(),
            severity: Severity::Error,
            code: "spreadsheet_scientific",
            message: "digits are lost".to_owned(),
            help: "export the column as text".to_owned(),
        };
        insta::assert_snapshot!(problems("moves.csv", &[problem]), @r"
        error: digits are lost
          --> moves.csv:48213, column newAccountId
           | `1.23457E+11`
           = help: export the column as text
        ");
    }
}

//! The codes that `--accept` names: errors about what a value looks like, and blocking warnings.
//!
//! Must not name a code about what a line asks for: a contradiction cannot be accepted.

use crate::domain::{Problem, Severity, nearest};

/// The codes that can be accepted.
pub const ACCEPTABLE: [&str; 20] = [
    "compatibility_character",
    "cut_off",
    "decimal_zero",
    "decoded_twice",
    "escaped_value",
    "footer",
    "formula",
    "html_entity",
    "invisible_character",
    "mixed_scripts",
    "placeholder",
    "quoted_lines",
    "quoted_value",
    "replacement_character",
    "ruler",
    "spreadsheet_date",
    "spreadsheet_error",
    "spreadsheet_rounded",
    "spreadsheet_scientific",
    "typographic_character",
];

/// The codes that were accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accept(Vec<&'static str>);

impl Accept {
    /// Reads a list such as `quoted_lines,cut_off`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let code = |word: &str| {
            let found = ACCEPTABLE.into_iter().find(|code| *code == word);
            found.ok_or_else(|| {
                let meant = nearest(word, ACCEPTABLE);
                let meant = meant.map_or_else(
                    || format!("the codes are {}", ACCEPTABLE.join(", ")),
                    |meant| format!("is `{meant}` meant?"),
                );
                format!("`{word}` is not a code that can be accepted; {meant}")
            })
        };
        Ok(Self(words.map(code).collect::<Result<_, _>>()?))
    }

    /// Whether this code was accepted.
    pub fn has(&self, code: &str) -> bool {
        self.0.contains(&code)
    }

    /// Returns the severity of a problem with this code; an accepted problem is only a warning.
    pub(super) fn severity(&self, code: &str, severity: Severity) -> Severity {
        if self.has(code) {
            Severity::Warning
        } else {
            severity
        }
    }

    /// Lowers the severity of an accepted problem; adds to the help of any other acceptable problem how to accept it.
    pub(super) fn weigh(&self, mut problem: Problem) -> Problem {
        problem.severity = self.severity(problem.code, problem.severity);
        if problem.severity != Severity::Warning && ACCEPTABLE.contains(&problem.code) {
            problem.help = format!(
                "{}; if the value is correct: --accept {}",
                problem.help, problem.code
            );
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_parsed_and_a_similar_code_is_suggested_for_a_typo() {
        let accept = Accept::parse("quoted_lines, cut_off").unwrap();
        assert!(accept.has("cut_off") && accept.has("quoted_lines") && !accept.has("formula"));
        assert_eq!(Accept::parse("").unwrap(), Accept::default());
        let why = Accept::parse("cut_of").unwrap_err();
        assert!(why.contains("is `cut_off` meant?"), "{why}");
        let why = Accept::parse("two_new_ids").unwrap_err();
        assert!(
            why.contains("the codes are compatibility_character, cut_off"),
            "{why}"
        );
        assert!(ACCEPTABLE.is_sorted());
    }
}

//! Warns of new account IDs that differ only in case: the system may treat them as one ID.

use crate::domain::{Change, Line, Problem, ProblemList, Severity};
use std::collections::BTreeMap;

/// Warns of new account IDs that differ only in case. `changes`: the lines that share a hash with another line; `column`:
/// the name of their column.
pub fn case_twins(changes: &[Change], column: &str, problems: &mut ProblemList) {
    let mut spellings: BTreeMap<String, Vec<(Line, &str)>> = BTreeMap::new();
    for change in changes {
        if let Some(id) = change.new_account.id() {
            let folded = id.as_str().to_lowercase();
            spellings
                .entry(folded)
                .or_default()
                .push((change.line, id.as_str()));
        }
    }
    let mut found = Vec::new();
    let differ = |lines: &Vec<(Line, &str)>| lines.iter().any(|(_, id)| *id != lines[0].1);
    for lines in spellings.into_values().filter(differ) {
        for (line, id) in &lines {
            let Some((other, spelled)) = lines.iter().find(|(_, other)| other != id) else {
                continue;
            };
            found.push(Problem {
                line: *line,
                column: column.to_owned(),
                value: (*id).to_owned(),
                severity: Severity::Warning,
                code: "case_twins",
                message: format!(
                    "the new ID differs only in case from `{spelled}` of line {other}"
                ),
                help: "check that the system distinguishes them, and that both are intended"
                    .to_owned(),
            });
        }
    }
    found.sort_by_key(|problem| problem.line);
    for problem in found {
        problems.push(problem);
    }
}

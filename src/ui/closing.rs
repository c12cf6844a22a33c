//! The closing message of a run.

use super::{count, visible};
use std::fmt::Write;

/// What is said at the end.
#[derive(Debug, Clone)]
pub struct Closing {
    /// Which run, and how it ended.
    pub title: String,
    /// Where.
    pub target: String,
    /// Why it stopped; empty where it did not.
    pub stopped: String,
    /// Statuses and their lines.
    pub counts: Vec<(&'static str, u64)>,
    /// Reasons, their lines, and the first of them.
    pub reasons: Vec<(String, u64, Option<u32>)>,
    /// Calls, files.
    pub notes: Vec<String>,
    /// The most important line comes last.
    pub next: String,
}

/// Draws the end of a run.
pub fn closing(end: &Closing) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", visible(&end.title));
    let _ = writeln!(text, "  {}", visible(&end.target));
    if !end.stopped.is_empty() {
        let _ = writeln!(text, "  stopped: {}", visible(&end.stopped));
    }
    for (name, lines) in &end.counts {
        let _ = writeln!(text, "  {:>12}  {name}", count(*lines));
    }
    for (reason, lines, first) in &end.reasons {
        let first = first.map_or_else(String::new, |line| format!(" (first: line {line})"));
        let _ = writeln!(text, "  {:>12}  {reason}{first}", count(*lines));
    }
    for note in &end.notes {
        let _ = writeln!(text, "  {}", visible(note));
    }
    let _ = write!(text, "next: {}", end.next);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_is_the_last_line() {
        let end = Closing {
            title: "apply 20261120-223015-k3f9: finished".to_owned(),
            target: "Plume at https://plume.example.com".to_owned(),
            stopped: String::new(),
            counts: vec![("changed", 12_390), ("failed", 10)],
            reasons: vec![("failed/not_found".to_owned(), 10, Some(17))],
            notes: vec!["report  idshift-runs/x/report.html".to_owned()],
            next: "look at failures.csv".to_owned(),
        };
        insta::assert_snapshot!(closing(&end), @r"
        apply 20261120-223015-k3f9: finished
          Plume at https://plume.example.com
                12,390  changed
                    10  failed
                    10  failed/not_found (first: line 17)
          report  idshift-runs/x/report.html
        next: look at failures.csv
        ");
    }
}

//! The closing table of a run.

use super::{Tone, count, visible};
use std::fmt::Write;

/// The content of the closing table.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    /// Command and run.
    pub title: String,
    /// How it ended: `finished`, `stopped` …
    pub state: String,
    /// The target.
    pub target: String,
    /// Why it stopped; empty if it did not.
    pub stopped: String,
    /// Statuses with their lines, in order.
    pub counts: Vec<Count>,
    /// Time, calls, files, each with its name.
    pub notes: Vec<(&'static str, String)>,
    /// What a user must know before the next step.
    pub remarks: Vec<String>,
    /// The next step. It is printed last, because it is the most important line.
    pub next: String,
}

/// The lines of one status.
#[derive(Debug, Clone, Default)]
pub struct Count {
    /// The name of the status.
    pub name: &'static str,
    /// How many lines.
    pub lines: u64,
    /// Further words about these lines; empty if there are none.
    pub more: String,
    /// The reasons, the most frequent first.
    pub reasons: Vec<Reason>,
}

/// Lines with one reason.
#[derive(Debug, Clone)]
pub struct Reason {
    /// Its name.
    pub name: &'static str,
    /// How many lines.
    pub lines: u64,
    /// The first of these lines.
    pub first_line: u32,
    /// The message of that line.
    pub message: String,
}

/// Draws the end of a run.
pub fn closing(end: &Closing) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}: {}",
        Tone::Heading.paint(&visible(&end.title)),
        Tone::of_state(&end.state).paint(&visible(&end.state))
    );
    let _ = writeln!(text, "  {}", visible(&end.target));
    if !end.stopped.is_empty() {
        let stopped = Tone::Warning.paint("stopped:");
        let _ = writeln!(text, "  {stopped} {}", visible(&end.stopped));
    }
    for status in &end.counts {
        let number = format!("{:>12}", count(status.lines));
        let name = Tone::of_status(status.name).paint(status.name);
        let _ = write!(text, "  {number}  {name}");
        if !status.more.is_empty() {
            let _ = write!(text, ": {}", visible(&status.more));
        }
        text.push('\n');
        for reason in &status.reasons {
            draw(&mut text, reason);
        }
    }
    for (name, note) in &end.notes {
        let _ = writeln!(text, "  {name:<7} {}", visible(note));
    }
    for remark in &end.remarks {
        let _ = writeln!(text, "  {}", visible(remark));
    }
    let _ = write!(text, "{} {}", Tone::Help.paint("next:"), visible(&end.next));
    text
}

/// Draws how many lines have a reason, and the first of them.
fn draw(text: &mut String, reason: &Reason) {
    let _ = write!(
        text,
        "  {:>12}    {} (first: line {})",
        count(reason.lines),
        reason.name,
        reason.first_line
    );
    if !reason.message.is_empty() {
        let message = visible(&reason.message).replace('\n', " ");
        let _ = write!(text, ": {message}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply() -> Closing {
        Closing {
            title: "apply 20261120-223015-k3f9".to_owned(),
            state: "finished".to_owned(),
            target: "Plume at https://plume.example.com".to_owned(),
            stopped: String::new(),
            counts: vec![
                Count {
                    name: "changed",
                    lines: 12_390,
                    more: "12,000 account IDs, 390 service IDs".to_owned(),
                    reasons: Vec::new(),
                },
                Count {
                    name: "failed",
                    lines: 10,
                    more: String::new(),
                    reasons: vec![
                        Reason {
                            name: "not_found",
                            lines: 9,
                            first_line: 17,
                            message: "no customer has the account ID `A-1`".to_owned(),
                        },
                        Reason {
                            name: "rejected",
                            lines: 1,
                            first_line: 30,
                            message: "too\u{1b}[2J\nlong".to_owned(),
                        },
                    ],
                },
            ],
            notes: vec![
                ("time", "16 min 40 s".to_owned()),
                ("report", "idshift-runs/x/report.html".to_owned()),
            ],
            remarks: vec!["1 service ID cannot be undone: there was none before".to_owned()],
            next: "look at failures.csv".to_owned(),
        }
    }

    fn without_colour(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn the_closing_table_groups_failures_and_ends_with_the_next_step() {
        insta::assert_snapshot!(without_colour(&closing(&apply())), @r"
        apply 20261120-223015-k3f9: finished
          Plume at https://plume.example.com
                12,390  changed: 12,000 account IDs, 390 service IDs
                    10  failed
                     9    not_found (first: line 17): no customer has the account ID `A-1`
                     1    rejected (first: line 30): too\u{1b}[2J long
          time    16 min 40 s
          report  idshift-runs/x/report.html
          1 service ID cannot be undone: there was none before
        next: look at failures.csv
        ");
    }

    #[test]
    fn stop_reason_is_shown_above_the_counts() {
        let mut end = apply();
        end.state = "stopped".to_owned();
        end.stopped = "--max-failures 5%: 10 lines have failed".to_owned();
        (end.counts, end.notes, end.remarks) = (Vec::new(), Vec::new(), Vec::new());
        insta::assert_snapshot!(without_colour(&closing(&end)), @r"
        apply 20261120-223015-k3f9: stopped
          Plume at https://plume.example.com
          stopped: --max-failures 5%: 10 lines have failed
        next: look at failures.csv
        ");
    }

    #[test]
    fn failures_are_red_and_successes_are_green() {
        let text = closing(&apply());
        assert!(text.contains(&Tone::Bad.paint("failed")), "{text}");
        assert!(text.contains(&Tone::Good.paint("changed")), "{text}");
        assert!(text.contains(&Tone::Good.paint("finished")), "{text}");
    }
}

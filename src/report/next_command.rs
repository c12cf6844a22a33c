//! What a person most likely wants next, told from what a run has come to.

use super::summary::Summary;
use crate::domain::one_or_many;

impl Summary {
    /// What a person would most likely want next.
    pub fn next_step(&self) -> Next {
        Next::after(self)
    }
}

/// What a person would most likely want next: a command, and the words around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Next {
    /// What is to be done or known first.
    pub before: String,
    /// What to type; empty where there is nothing to type.
    pub command: String,
    /// What else there is.
    pub after: String,
}

impl std::fmt::Display for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{}", self.before, self.command, self.after)
    }
}

impl Next {
    fn only(command: String) -> Self {
        Self {
            command,
            ..Self::default()
        }
    }

    fn after(summary: &Summary) -> Self {
        let of = |name: &str| summary.counts.get(name).copied().unwrap_or(0);
        let commands = &summary.commands;
        let suppressed = summary.reasons.get("suppressed").copied().unwrap_or(0);
        match summary.state.as_str() {
            "running" => Self {
                before: "it is still at work; ".to_owned(),
                command: commands.report(),
                after: " draws this again".to_owned(),
            },
            "stopped" | "interrupted" => match summary.too_many_changes {
                Some(changes) => Self {
                    before: format!(
                        "if {} right: ",
                        one_or_many(changes, "change is", "changes are")
                    ),
                    command: commands.resume(&["--max-changes", &changes.to_string()]),
                    after: String::new(),
                },
                None => Self {
                    command: commands.resume(&[]),
                    after: to_undo(summary),
                    ..Self::default()
                },
            },
            _ if summary.planned && of("would_change") > 0 => Self::only(commands.carry_out(&[])),
            _ if summary.planned => Self {
                before: match of("failed") {
                    0 => "nothing would change".to_owned(),
                    _ => format!("nothing would change; look at {}", commands.failures()),
                },
                ..Self::default()
            },
            _ if of("in_doubt") + of("skipped") > suppressed => Self {
                command: commands.resume(&[]),
                after: to_undo(summary),
                ..Self::default()
            },
            // Tried again, they would overwrite what was changed since.
            _ if of("failed") > 0 && summary.undoes.is_some() => Self {
                before: format!("look at {}{}", commands.failures(), not_undone(summary)),
                ..Self::default()
            },
            _ if of("failed") > 0 => Self {
                before: format!("look at {}; ", commands.failures()),
                command: commands.retry(),
                after: format!(" tries those lines again{}", to_undo(summary)),
            },
            _ => Self {
                command: commands.verify(),
                after: format!("; to undo: {}", commands.undo()),
                ..Self::default()
            },
        }
    }
}

/// How what was written is restored, where something was; an undo that is not at its end goes on.
fn to_undo(summary: &Summary) -> String {
    let changed = summary.counts.get("changed").copied().unwrap_or(0);
    if changed == 0 || summary.undoes.is_some() {
        return String::new();
    }
    format!("; to undo: {}", summary.commands.undo())
}

/// Why lines of an undo were not put back, as far as that is known.
fn not_undone(summary: &Summary) -> String {
    let since = summary.reasons.get("stale").copied().unwrap_or(0);
    let mut parts = summary.cannot_undo.words();
    if since > 0 {
        let lines = one_or_many(since, "line was", "lines were");
        parts.push(format!("{lines} changed since and left unchanged"));
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join("; "))
    }
}

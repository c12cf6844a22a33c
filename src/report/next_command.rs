//! The next step that a user most likely wants, derived from the result of a run.

use super::summary::Summary;
use crate::domain::one_or_many;

impl Summary {
    /// Returns the next step that a user most likely wants.
    pub fn next_step(&self) -> Next {
        Next::after(self)
    }
}

/// The next step that a user most likely wants: a command, and the words around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Next {
    /// The words before the command: what is to be done or known first.
    pub before: String,
    /// The command; empty if there is nothing to type.
    pub command: String,
    /// The words after the command.
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
                before: "it is still in progress; ".to_owned(),
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
                    after: afterwards(summary),
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
                after: afterwards(summary),
                ..Self::default()
            },
            // If `apply` tried these lines again, it would overwrite what was changed since.
            _ if of("failed") > 0 && summary.undoes.is_some() => {
                let look = format!("look at {}{}", commands.failures(), not_undone(summary));
                match (undo_again(summary), undo_rest(summary)) {
                    (Some(command), _) => Self {
                        before: format!("{look}; "),
                        command,
                        after: " tries what has failed again".to_owned(),
                    },
                    (None, Some(command)) => Self {
                        before: format!("{look}; once the lines that they wait for are restored, "),
                        command,
                        after: " restores the lines that wait".to_owned(),
                    },
                    (None, None) => Self {
                        before: look,
                        ..Self::default()
                    },
                }
            }
            _ if of("failed") > 0 => Self {
                before: format!("look at {}; ", commands.failures()),
                command: commands.retry(),
                after: format!(" tries those lines again{}", to_undo(summary)),
            },
            _ => Self {
                command: commands.verify(),
                after: match of("changed") {
                    0 => String::new(),
                    _ => format!("; to undo: {}", commands.undo()),
                },
                ..Self::default()
            },
        }
    }
}

/// Returns what can be done after the run was resumed, or in place of that.
fn afterwards(summary: &Summary) -> String {
    match undo_again(summary) {
        Some(command) => format!("; then {command} tries what has failed again"),
        None => to_undo(summary),
    }
}

/// Returns the command that completes an undo of which lines have failed, once it has no open lines; `None`: there is
/// nothing that another undo could restore now.
fn undo_again(summary: &Summary) -> Option<String> {
    let undone = summary.undoes.as_ref()?;
    let failed = summary.counts.get("failed").copied().unwrap_or(0);
    let for_ever = left_unchanged(summary) + waiting(summary);
    (failed > for_ever).then(|| summary.commands.undo_of(undone))
}

/// Returns the same command for the lines of an undo that wait for such lines as another undo does not restore either.
fn undo_rest(summary: &Summary) -> Option<String> {
    let undone = summary.undoes.as_ref()?;
    (waiting(summary) > 0).then(|| summary.commands.undo_of(undone))
}

/// Returns how many lines of an undo fail again in another undo.
fn left_unchanged(summary: &Summary) -> u64 {
    let since = summary.reasons.get("stale").copied().unwrap_or(0);
    since + summary.cannot_undo.total()
}

/// Returns how many lines of an undo may wait for the account ID of a line that fails again in another undo.
fn waiting(summary: &Summary) -> u64 {
    let blocked = summary.reasons.get("blocked").copied().unwrap_or(0);
    if left_unchanged(summary) > 0 {
        blocked
    } else {
        0
    }
}

/// Returns how to restore what was written, if something was. An undo that is not finished is continued instead.
fn to_undo(summary: &Summary) -> String {
    let changed = summary.counts.get("changed").copied().unwrap_or(0);
    if changed == 0 || summary.undoes.is_some() {
        return String::new();
    }
    format!("; to undo: {}", summary.commands.undo())
}

/// Returns why lines of an undo were not restored, as far as that is known.
fn not_undone(summary: &Summary) -> String {
    let since = summary.reasons.get("stale").copied().unwrap_or(0);
    let mut parts = summary.cannot_undo.words();
    if since > 0 {
        let lines = one_or_many(since, "line was", "lines were");
        parts.push(format!("{lines} changed since and left unchanged"));
    }
    let waiting = waiting(summary);
    if waiting > 0 {
        let lines = one_or_many(waiting, "line waits", "lines wait");
        parts.push(format!("{lines} for the account ID of another line"));
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join("; "))
    }
}

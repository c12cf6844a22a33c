//! `tracing` spans that say for which lines and customers a call is made: the calls themselves do not know them.
//!
//! If nothing is logged, no span is created.

use crate::domain::{AccountId, CustomerId, Line};
use crate::plan::Member;
use tracing::{Level, Span};

/// Returns the span for these lines, in any order.
pub(super) fn of_lines(lines: impl IntoIterator<Item = Line>) -> Span {
    if !tracing::enabled!(Level::DEBUG) {
        return Span::none();
    }
    let mut all: Vec<Line> = lines.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    match all.as_slice() {
        [] => Span::none(),
        [line] => tracing::debug_span!("lines", line),
        several => tracing::debug_span!("lines", lines = ranges(several)),
    }
}

/// For the lines of one customer.
pub(super) fn of_member(member: &Member) -> Span {
    of_lines(member.changes.iter().map(|change| change.line))
}

/// For a line and the customer that it is about.
pub(super) fn of_line(line: Line, customer: &CustomerId) -> Span {
    tracing::debug_span!("write", line, customer = customer.as_str())
}

/// Returns the span for this customer.
pub(super) fn of_customer(customer: &CustomerId) -> Span {
    tracing::debug_span!("customer", customer = customer.as_str())
}

/// Returns the span for the customers that have this account ID.
pub(super) fn of_account(account: &AccountId) -> Span {
    tracing::debug_span!("account", account = account.as_str())
}

/// Returns the span for this attempt of a write, with the number and the correlation ID that are in the ledger and the results.
pub(super) fn of_attempt(attempt: u32, correlation_id: &str) -> Span {
    tracing::debug_span!("attempt", attempt, correlation_id)
}

/// Writes sorted numbers as ranges: `2-101,105`.
fn ranges(lines: &[Line]) -> String {
    let mut parts: Vec<(Line, Line)> = Vec::new();
    for line in lines {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *line => *last = *line,
            _ => parts.push((*line, *line)),
        }
    }
    let parts = parts.into_iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn lines_that_follow_each_other_are_one_range() {
        assert_eq!(ranges(&[2, 3, 4, 9, 11, 12]), "2-4,9,11-12");
        assert_eq!(ranges(&[7]), "7");
    }
}

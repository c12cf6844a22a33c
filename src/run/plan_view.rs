//! What a plan would change, for a person and for a script.

use super::error::CommandError;
use super::near_misses;
use crate::domain::{Outcome, Profile, Status};
use crate::ledger::Ledger;
use crate::ui;
use serde_json::json;
use std::fmt::Write;

/// The most lines of a plan that are shown at its end; all of them are in results.csv.
pub(super) const SAMPLE: usize = 20;

/// The plan before a question: how many lines end in which way, why some will fail, and a sample of what would change.
pub(super) fn shown(ledger: &Ledger) -> Result<String, CommandError> {
    let mut text = String::new();
    for counted in ledger.counts()? {
        let (status, first) = (counted.status, counted.first_line);
        let what = match status.reason() {
            "" => status.name().to_owned(),
            reason => format!("{}/{reason} (first: line {first})", status.name()),
        };
        let what = ui::Tone::of_status(status.name()).paint(&what);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>12}  {what}", ui::count(counted.lines));
    }
    if let Some(words) = near_misses::words(ledger)? {
        let _ = writeln!(text, "  {}", ui::visible(&words));
    }
    text.push_str(&sample(ledger, 10)?);
    Ok(text)
}

/// What would change in the first lines that change.
pub(super) fn sample(ledger: &Ledger, most: usize) -> Result<String, CommandError> {
    let mut text = String::new();
    let all = ledger.planned()?.len();
    let mut shown = 0;
    for outcome in ledger.outcomes() {
        let outcome = outcome?;
        if outcome.status != Status::WouldChange {
            continue;
        }
        if shown == most {
            break;
        }
        shown += 1;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line(&outcome));
    }
    let more = all.saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
    if more > 0 {
        let _ = writeln!(text, "  … and {} more, all in results.csv", ui::count(more));
    }
    Ok(text)
}

/// Everything that would change, for a script.
pub(super) fn changes(ledger: &Ledger) -> Result<Vec<serde_json::Value>, CommandError> {
    let mut changes = Vec::new();
    for outcome in ledger.outcomes() {
        let outcome = outcome?;
        if outcome.status != Status::WouldChange {
            continue;
        }
        let (account, service) = (&outcome.account, &outcome.service);
        changes.push(json!({
            "line": outcome.line,
            "customer_id": outcome.customer.as_ref().map(|id| id.as_str()),
            "account_id_before": account.before.as_ref().map(|id| id.as_str()),
            "account_id_after": account.after.as_ref().map(|id| id.as_str()),
            "location_id": outcome.location.as_ref().map(|id| id.as_str()),
            "service_id_before": service.before.as_ref().map(|id| id.as_str()),
            "service_id_after": service.after.as_ref().map(|id| id.as_str()),
            "profile_before": outcome.profile.before.map(Profile::as_str),
            "profile_after": outcome.profile.after.map(Profile::as_str),
        }));
    }
    Ok(changes)
}

fn line(outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    let account = &outcome.account;
    if account.before != account.after {
        parts.push(arrow(
            account.before.as_ref().map(|id| id.as_str()),
            account.after.as_ref().map(|id| id.as_str()),
            "none",
        ));
    }
    let service = &outcome.service;
    if service.before != service.after {
        let change = arrow(
            service.before.as_ref().map(|id| id.as_str()),
            service.after.as_ref().map(|id| id.as_str()),
            "none",
        );
        parts.push(format!("service ID {change}"));
    }
    let profile = &outcome.profile;
    if profile.before != profile.after {
        let change = arrow(
            profile.before.map(Profile::as_str),
            profile.after.map(Profile::as_str),
            "not told",
        );
        parts.push(format!("profile {change}"));
    }
    format!("  line {:<8} {}", outcome.line, parts.join(", "))
}

/// `CRM-0001 → NEW-0001`, the old value in red and the new one in green.
fn arrow(before: Option<&str>, after: Option<&str>, none: &str) -> String {
    let show = |tone: ui::Tone, value: Option<&str>| match value {
        None => none.to_owned(),
        Some(text) => tone.paint(&ui::visible(text)),
    };
    format!(
        "{} → {}",
        show(ui::Tone::Bad, before),
        show(ui::Tone::Good, after)
    )
}

//! What a plan would change, for a person and for a script.

use super::error::CommandError;
use super::session::Session;
use crate::domain::{Outcome, Profile, Status};
use crate::ui;
use serde_json::json;
use std::fmt::Write;

/// The most lines of a plan that are shown; all of them are in results.csv.
const SAMPLE: usize = 20;

/// The plan as a person judges it: a sample of what would change, then what would fail and why.
pub(super) fn diff(session: &Session) -> Result<String, CommandError> {
    let mut text = String::new();
    let (mut shown, mut more) = (0, 0_u64);
    for outcome in session.run.ledger.outcomes() {
        let outcome = outcome?;
        if outcome.status != Status::WouldChange {
            continue;
        }
        if shown < SAMPLE {
            shown += 1;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", line(&outcome));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        let _ = writeln!(text, "  … and {} more, all in results.csv", ui::count(more));
    }
    Ok(text)
}

/// Everything that would change, for a script.
pub(super) fn changes(session: &Session) -> Result<Vec<serde_json::Value>, CommandError> {
    let mut changes = Vec::new();
    for outcome in session.run.ledger.outcomes() {
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
    let show =
        |text: Option<&str>| text.map_or("none".to_owned(), |text| ui::visible(text).into_owned());
    let mut parts = Vec::new();
    let account = &outcome.account;
    if account.before != account.after {
        parts.push(format!(
            "account ID {} → {}",
            show(account.before.as_ref().map(|id| id.as_str())),
            show(account.after.as_ref().map(|id| id.as_str()))
        ));
    }
    let service = &outcome.service;
    if service.before != service.after {
        parts.push(format!(
            "service ID {} → {}",
            show(service.before.as_ref().map(|id| id.as_str())),
            show(service.after.as_ref().map(|id| id.as_str()))
        ));
    }
    let profile = &outcome.profile;
    if profile.before != profile.after {
        parts.push(format!(
            "profile {} → {}",
            profile
                .before
                .map_or("not told", |profile| profile.as_str()),
            profile.after.map_or("not told", |profile| profile.as_str())
        ));
    }
    format!("  line {:<8} {}", outcome.line, parts.join(", "))
}

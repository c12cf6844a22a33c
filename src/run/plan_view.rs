//! What a plan would change, for a person and for a script.

use super::error::CommandError;
use super::near_misses;
use crate::domain::{Outcome, Profile};
use crate::ledger::{Ledger, LedgerError};
use crate::ui;
use serde::ser::{Serialize, SerializeSeq, Serializer};
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

/// Shows what would change in the first lines that change.
pub(super) fn sample(ledger: &Ledger, most: usize) -> Result<String, CommandError> {
    let mut text = String::new();
    let mut shown: u64 = 0;
    for outcome in changing(ledger).take(most) {
        shown += 1;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line(&outcome?));
    }
    let more = ledger.planned()?.len().saturating_sub(shown);
    if more > 0 {
        let _ = writeln!(text, "  … and {} more, all in results.csv", ui::count(more));
    }
    Ok(text)
}

/// Shows everything that would change, through a pager on a terminal.
pub(super) fn show_all(ledger: &Ledger) -> Result<(), CommandError> {
    let mut page = ui::Page::open();
    for outcome in changing(ledger) {
        if page.is_closed() {
            break;
        }
        page.line(&line(&outcome?));
    }
    Ok(())
}

/// The outcomes of the lines that would change, in the order of the file.
fn changing(ledger: &Ledger) -> impl Iterator<Item = Result<Outcome, LedgerError>> {
    ledger.outcomes_with(&["would_change"])
}

/// Everything that would change, for a script. The lines are read from the ledger while they are printed.
#[derive(Debug)]
pub(super) struct Changes<'a>(pub(super) &'a Ledger);

impl Serialize for Changes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for outcome in changing(self.0) {
            let outcome = outcome.map_err(serde::ser::Error::custom)?;
            list.serialize_element(&change(&outcome))?;
        }
        list.end()
    }
}

fn change(outcome: &Outcome) -> serde_json::Value {
    let (account, service) = (&outcome.account, &outcome.service);
    json!({
        "line": outcome.line,
        "customer_id": outcome.customer.as_ref().map(|id| id.as_str()),
        "account_id_before": account.before.as_ref().map(|id| id.as_str()),
        "account_id_after": account.after.as_ref().map(|id| id.as_str()),
        "location_id": outcome.location.as_ref().map(|id| id.as_str()),
        "service_id_before": service.before.as_ref().map(|id| id.as_str()),
        "service_id_after": service.after.as_ref().map(|id| id.as_str()),
        "profile_before": outcome.profile.before.map(Profile::as_str),
        "profile_after": outcome.profile.after.map(Profile::as_str),
    })
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

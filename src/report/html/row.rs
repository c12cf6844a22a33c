//! One line as the page shows it: the account, its new ID, and the result of the line.

use crate::domain::{Outcome, Profile, Status, visible};
use crate::input::{Column, Record, Table};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The maximum number of characters of a value, and of a message; results.csv has all of them.
const VALUE: usize = 120;
const MESSAGE: usize = 240;

/// One line as the page shows it. The texts are without control characters and not too long, but not escaped.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) line: u32,
    pub(super) status: Status,
    /// Never empty: if no account ID is known, it is the customer's ID.
    pub(super) account: String,
    /// The new account ID that was, would be or was to be written; empty if the account ID stays.
    pub(super) new_account: String,
    /// Other changes that were, would be or were to be made.
    pub(super) others: String,
    pub(super) customer: String,
    pub(super) message: String,
}

impl Row {
    pub(super) fn of(table: &Table, record: &Record, outcome: &Outcome) -> Self {
        let asked: BTreeMap<Column, Cow<'_, str>> = table.known(record).collect();
        let asked = |column| asked.get(&column).map_or("", |text| text.trim());
        let customer = text(outcome.customer.as_ref());
        Self {
            line: outcome.line,
            status: outcome.status,
            account: account(outcome, asked(Column::AccountId), asked(Column::CustomerId)),
            new_account: new_account(outcome, asked(Column::NewAccountId)),
            others: others(outcome, asked),
            customer: short(
                if customer.is_empty() {
                    asked(Column::CustomerId)
                } else {
                    customer
                },
                VALUE,
            ),
            message: short(&outcome.message, MESSAGE),
        }
    }

    /// The status with its reason: `failed: not_found`.
    pub(super) fn verdict(&self) -> String {
        verdict(self.status)
    }
}

/// The status with its reason.
pub(super) fn verdict(status: Status) -> String {
    match status.reason() {
        "" => status.name().to_owned(),
        reason => format!("{}: {reason}", status.name()),
    }
}

fn account(outcome: &Outcome, asked: &str, asked_customer: &str) -> String {
    let customer = match text(outcome.customer.as_ref()) {
        "" => asked_customer,
        found => found,
    };
    match [text(outcome.account.before.as_ref()), asked]
        .into_iter()
        .find(|one| !one.is_empty())
    {
        Some(account) => short(account, VALUE),
        None if customer.is_empty() => "none in the file".to_owned(),
        None => format!("customer {}", short(customer, VALUE)),
    }
}

/// Returns whether the outcome has the values that the line wrote or would write.
fn is_told(status: Status) -> bool {
    matches!(status, Status::Changed | Status::WouldChange)
}

fn new_account(outcome: &Outcome, asked: &str) -> String {
    let account = &outcome.account;
    if !is_told(outcome.status) {
        return short(asked, VALUE);
    }
    match &account.after {
        _ if account.before == account.after => String::new(),
        Some(after) => short(after.as_str(), VALUE),
        None => "removed".to_owned(),
    }
}

fn others<'a>(outcome: &Outcome, asked: impl Fn(Column) -> &'a str) -> String {
    let mut parts = Vec::new();
    let (service, profile) = (&outcome.service, &outcome.profile);
    if is_told(outcome.status) {
        let before_after = |name: &str, before: &str, after: &str| {
            let shown = |one: &str| match one {
                "" => "none".to_owned(),
                one => short(one, VALUE),
            };
            format!("{name} {} → {}", shown(before), shown(after))
        };
        if service.before != service.after {
            let (before, after) = (text(service.before.as_ref()), text(service.after.as_ref()));
            parts.push(before_after("service ID", before, after));
        }
        if profile.before != profile.after {
            let name = |one: Option<Profile>| one.map_or("", Profile::as_str);
            parts.push(before_after(
                "profile",
                name(profile.before),
                name(profile.after),
            ));
        }
    } else {
        for (name, column) in [
            ("service ID", Column::ServiceId),
            ("profile", Column::Profile),
        ] {
            match asked(column) {
                "" => {}
                value => parts.push(format!("{name} → {}", short(value, VALUE))),
            }
        }
    }
    let location = match text(outcome.location.as_ref()) {
        "" => asked(Column::LocationId),
        found => found,
    };
    if !parts.is_empty() && !location.is_empty() {
        parts.push(format!("location {}", short(location, VALUE)));
    }
    parts.join(", ")
}

/// Returns the text without what could reverse the writing direction, cut if it is too long for a page.
pub(super) fn short(text: &str, most: usize) -> String {
    let text = visible(text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn text<T: AsRef<str>>(id: Option<&T>) -> &str {
    id.map_or("", AsRef::as_ref)
}

//! Plans an undo: makes the lines that undo what a run changed. They are planned like any other change, including chains
//! and swaps.

use crate::domain::{
    AccountId, Change, Line, LocationId, NetChange, NetValue, NewAccount, Outcome, Profile,
    ServiceId, Status, Transition,
};
use std::fmt;

/// One line of the undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inverse {
    /// The requested change; it requests nothing where the undo is impossible.
    pub change: Change,
    /// The values that the system must still have, and the values that the line sets.
    pub expected: Outcome,
    /// The reason, if the former value cannot be restored.
    pub impossible: Option<Impossible>,
}

impl Inverse {
    /// Whether [`expected_by`] returns all that the line expects. It never does for a customer without an account ID: the
    /// expectations of such lines are recorded, and the lines are counted by these records.
    pub fn says_what_it_expects(&self) -> bool {
        self.impossible.is_none()
            && self.change.account.is_some()
            && expected_by(&self.change) == self.expected
    }
}

/// Returns what an undo line expects if nothing else is recorded for it: the customer still has the account ID that the
/// line replaces.
pub fn expected_by(change: &Change) -> Outcome {
    Outcome {
        customer: change.customer.clone(),
        account: Transition {
            before: change.account.clone(),
            after: change.new_account.id().cloned(),
        },
        ..Outcome::bare(change.line, Status::WouldChange)
    }
}

/// A former value that cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impossible {
    /// The customer had no account ID.
    Account,
    /// The location had no service ID.
    Service,
    /// The profile was one that this program does not know.
    Profile(Profile),
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account => f.write_str(
                "there was no account ID before, and no way to remove one is documented",
            ),
            Self::Service => f.write_str(
                "there was no service ID before, and no way to remove one is documented",
            ),
            Self::Profile(profile) => write!(
                f,
                "the profile was `{profile}` before, and idshift cannot set that value: set it in the system itself"
            ),
        }
    }
}

/// Returns the undo lines for one customer, numbered from `first`. `can_clear`: whether the system can remove an account
/// ID.
///
/// The account ID and each location have their own lines, so that neither waits for the other. A value that cannot be
/// restored has a line that says so.
pub fn undo_plan(of_customer: &[NetChange], can_clear: bool, first: Line) -> Vec<Inverse> {
    let account = of_customer.iter().find_map(|net| match &net.value {
        NetValue::Account { change, .. } => Some(change.clone().reversed()),
        NetValue::Location { .. } => None,
    });
    let account = account.unwrap_or_default();
    let mut plan = Vec::with_capacity(of_customer.len());
    for net in of_customer {
        let blank = blank(net, account.clone());
        match &net.value {
            NetValue::Account { change, .. } => plan.push(rename(blank, change, can_clear)),
            NetValue::Location {
                location,
                service,
                profile,
            } => plan.extend(restore_location(&blank, location, service, profile)),
        }
    }
    for (line, inverse) in (first..).zip(&mut plan) {
        (inverse.change.line, inverse.expected.line) = (line, line);
    }
    plan
}

/// Returns a line that requests nothing yet. `account`: from the account ID that the customer must still have to its former one.
fn blank(net: &NetChange, account: Transition<AccountId>) -> Inverse {
    Inverse {
        change: Change {
            line: 0,
            account: None,
            customer: Some(net.customer.clone()),
            reseller: net.reseller.clone(),
            new_account: NewAccount::Keep,
            location: None,
            service: None,
            profile: None,
        },
        expected: Outcome {
            customer: Some(net.customer.clone()),
            account,
            ..Outcome::bare(0, Status::WouldChange)
        },
        impossible: None,
    }
}

fn rename(mut line: Inverse, change: &Transition<AccountId>, can_clear: bool) -> Inverse {
    line.change.account.clone_from(&change.after);
    match &change.before {
        Some(before) => line.change.new_account = NewAccount::Set(before.clone()),
        None if can_clear => line.change.new_account = NewAccount::Clear,
        None => line.impossible = Some(Impossible::Account),
    }
    line
}

/// Returns a line for the values of a location that can be restored, and a line for each value that cannot.
fn restore_location(
    blank: &Inverse,
    location: &LocationId,
    service: &Transition<ServiceId>,
    profile: &Transition<Profile>,
) -> Vec<Inverse> {
    let part = |with_service: bool, with_profile: bool| {
        let mut part = blank.clone();
        part.change.location = Some(location.clone());
        part.expected.location = Some(location.clone());
        part.expected.service = expected(service, with_service);
        part.expected.profile = expected(profile, with_profile);
        part
    };
    // A profile that was never shown is the system's default.
    let former = profile.before.unwrap_or(Profile::Auto);
    let has_service = service.differs() && service.before.is_some();
    let has_profile = profile.differs() && former.can_be_set();
    let mut parts = Vec::new();
    if has_service || has_profile {
        let mut restored = part(has_service, has_profile);
        restored.change.service = service.before.clone().filter(|_| has_service);
        restored.change.profile = Some(former).filter(|_| has_profile);
        parts.push(restored);
    }
    if service.differs() && !has_service {
        parts.push(Inverse {
            impossible: Some(Impossible::Service),
            ..part(true, false)
        });
    }
    if profile.differs() && !has_profile {
        parts.push(Inverse {
            impossible: Some(Impossible::Profile(former)),
            ..part(false, true)
        });
    }
    parts
}

/// Returns what a line expects of one value; a value that the line does not request stays as it is.
fn expected<T: Clone>(change: &Transition<T>, is_asked: bool) -> Transition<T> {
    Transition {
        before: change.after.clone(),
        after: if is_asked {
            change.before.clone()
        } else {
            change.after.clone()
        },
    }
}

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
    /// The values that the system must still have, and the values that the line sets. `None`: they are what [`expected_by`]
    /// returns. Always present for a customer without an account ID: such lines are counted by what is recorded for them.
    pub expected: Option<Box<Outcome>>,
    /// The reason, if the former value cannot be restored.
    pub impossible: Option<Impossible>,
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
        NetValue::Account { change, .. } => Some(change),
        NetValue::Location { .. } => None,
    });
    let mut plan = Vec::with_capacity(of_customer.len());
    for net in of_customer {
        match &net.value {
            NetValue::Account { change, .. } => plan.push(rename(net, change, can_clear)),
            NetValue::Location {
                location,
                service,
                profile,
            } => plan.extend(restore_location(net, account, (location, service, profile))),
        }
    }
    for (line, inverse) in (first..).zip(&mut plan) {
        inverse.change.line = line;
        if let Some(expected) = &mut inverse.expected {
            expected.line = line;
        }
    }
    plan
}

/// Returns a change of this customer that requests nothing yet.
fn blank(net: &NetChange) -> Change {
    Change {
        line: 0,
        account: None,
        customer: Some(net.customer.clone()),
        reseller: net.reseller.clone(),
        new_account: NewAccount::Keep,
        location: None,
        service: None,
        profile: None,
    }
}

/// Returns what a line of this customer expects. `account`: how the run has changed the customer's account ID.
fn expected_of(net: &NetChange, account: Option<&Transition<AccountId>>) -> Outcome {
    Outcome {
        customer: Some(net.customer.clone()),
        account: account.cloned().unwrap_or_default().reversed(),
        ..Outcome::bare(0, Status::WouldChange)
    }
}

fn rename(net: &NetChange, account: &Transition<AccountId>, can_clear: bool) -> Inverse {
    let (new_account, impossible) = match &account.before {
        Some(before) => (NewAccount::Set(before.clone()), None),
        None if can_clear => (NewAccount::Clear, None),
        None => (NewAccount::Keep, Some(Impossible::Account)),
    };
    let says_itself = impossible.is_none() && account.after.is_some();
    Inverse {
        change: Change {
            account: account.after.clone(),
            new_account,
            ..blank(net)
        },
        expected: (!says_itself).then(|| Box::new(expected_of(net, Some(account)))),
        impossible,
    }
}

/// Returns a line for the values of a location that can be restored, and a line for each value that cannot. `account`: how the
/// run has changed the customer's account ID.
fn restore_location(
    net: &NetChange,
    account: Option<&Transition<AccountId>>,
    (location, service, profile): (&LocationId, &Transition<ServiceId>, &Transition<Profile>),
) -> Vec<Inverse> {
    let part = |with_service: bool, with_profile: bool, impossible| Inverse {
        change: Change {
            location: Some(location.clone()),
            ..blank(net)
        },
        expected: Some(Box::new(Outcome {
            location: Some(location.clone()),
            service: expected(service, with_service),
            profile: expected(profile, with_profile),
            ..expected_of(net, account)
        })),
        impossible,
    };
    // A profile that was never shown is the system's default.
    let former = profile.before.unwrap_or(Profile::Auto);
    let has_service = service.differs() && service.before.is_some();
    let has_profile = profile.differs() && former.can_be_set();
    let mut parts = Vec::new();
    if has_service || has_profile {
        let mut restored = part(has_service, has_profile, None);
        restored.change.service = service.before.clone().filter(|_| has_service);
        restored.change.profile = Some(former).filter(|_| has_profile);
        parts.push(restored);
    }
    if service.differs() && !has_service {
        parts.push(part(true, false, Some(Impossible::Service)));
    }
    if profile.differs() && !has_profile {
        parts.push(part(false, true, Some(Impossible::Profile(former))));
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

//! The undo: from what a run wrote to the changes that undo it. They are planned like any other change, chains and
//! swaps included.

use crate::domain::{
    AccountId, Change, CustomerId, Line, LocationId, NewAccount, Profile, Reseller, ServiceId,
};

/// What a run left behind at one customer, or at one location of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The customer.
    pub customer: CustomerId,
    /// The reseller of the relationship.
    pub reseller: Option<Reseller>,
    /// The account ID from the first write's before to the last write's after, where one was written.
    pub account: Option<(Option<AccountId>, Option<AccountId>)>,
    /// The location, with service ID and profile before and after, where one was written.
    pub location: Option<(LocationId, Place, Place)>,
}

impl Left {
    /// Whether there was no account ID before, and there is no way to remove the one that was given.
    fn account_stays(&self, can_clear: bool) -> bool {
        matches!(&self.account, Some((None, Some(_)))) && !can_clear
    }

    /// What can be put back and what cannot, each on its own, so that each has a line that says what became of it; and
    /// the account ID apart from the location, so that neither waits for the other.
    pub fn apart(self) -> Vec<Self> {
        let Some((location, before, after)) = self.location.clone() else {
            return vec![self];
        };
        if self.account.is_some() {
            let account_alone = Self {
                location: None,
                ..self.clone()
            };
            let rest = Self {
                account: None,
                ..self
            };
            let mut parts = vec![account_alone];
            parts.extend(rest.apart());
            return parts;
        }
        let service_goes = before.0 != after.0;
        let profile_goes = before.1 != after.1;
        let service_stays = service_goes && before.0.is_none();
        let profile_stays = profile_goes && is_unknown(before.1);
        let service_back = service_goes && !service_stays;
        let profile_back = profile_goes && !profile_stays;
        let back = self.account.is_some() || service_back || profile_back;
        if usize::from(back) + usize::from(service_stays) + usize::from(profile_stays) < 2 {
            return vec![self];
        }
        // A half that a part is not about stands there as it is.
        let part = |account: &Option<_>, service: bool, profile: bool| {
            let before = (
                if service { &before.0 } else { &after.0 }.clone(),
                if profile { before.1 } else { after.1 },
            );
            Self {
                account: account.clone(),
                location: (service || profile).then(|| (location.clone(), before, after.clone())),
                ..self.clone()
            }
        };
        let mut parts = Vec::new();
        if back {
            parts.push(part(&self.account, service_back, profile_back));
        }
        if service_stays {
            parts.push(part(&None, true, false));
        }
        if profile_stays {
            parts.push(part(&None, false, true));
        }
        parts
    }
}

/// Whether a profile was one that can be told and not asked for.
fn is_unknown(profile: Option<Profile>) -> bool {
    profile.is_some_and(|profile| !profile.can_be_set())
}

/// Service ID and profile.
pub type Place = (Option<ServiceId>, Option<Profile>);

/// One line of the undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inverse {
    /// What is to be done.
    pub change: Change,
    /// What cannot be put back, in words; [`Left::apart`] has given it a line of its own.
    pub impossible: Option<String>,
}

/// The change that puts one thing back, as line `line` of a new file.
pub fn invert(left: &Left, line: Line, can_clear: bool) -> Inverse {
    let mut impossible = None;
    if left.account_stays(can_clear) {
        let words = "there was no account ID before, and no way to remove one is documented";
        impossible = Some(words.to_owned());
    }
    let (account, new_account) = match &left.account {
        None => (None, NewAccount::Keep),
        Some((Some(before), after)) => (after.clone(), NewAccount::Set(before.clone())),
        Some((None, after)) if impossible.is_some() => (after.clone(), NewAccount::Keep),
        Some((None, after)) => (after.clone(), NewAccount::Clear),
    };
    let mut change = Change {
        line,
        account,
        customer: Some(left.customer.clone()),
        reseller: left.reseller.clone(),
        new_account,
        location: None,
        service: None,
        profile: None,
    };
    if let Some((location, before, after)) = &left.location {
        change.location = Some(location.clone());
        if before.0 != after.0 {
            change.service.clone_from(&before.0);
            if before.0.is_none() {
                impossible = Some(
                    "there was no service ID before, and no way to remove one is documented"
                        .to_owned(),
                );
            }
        }
        if before.1 != after.1 && after.1.is_some() {
            // A profile that was never shown is the system's default.
            let wanted = before.1.unwrap_or(Profile::Auto);
            if wanted.can_be_set() {
                change.profile = Some(wanted);
            } else {
                impossible = Some(format!(
                    "the profile was `{wanted}` before, which this program does not know how to set: set it in the \
                     system itself"
                ));
            }
        }
    }
    Inverse { change, impossible }
}

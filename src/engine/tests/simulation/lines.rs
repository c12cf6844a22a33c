//! The lines of a simulated file.

use crate::domain::{AccountId, Change, CustomerId, NewAccount, ServiceId};

/// Makes lines from a permutation, so that chains, swaps and cycles of every length occur. Some lines request the ID of
/// an outsider, name a customer that does not exist, occur twice, or also name their customer by its own ID.
pub(super) fn wishes(random: &mut fastrand::Rng, customers: usize, outsider: bool) -> Vec<Change> {
    let mut target: Vec<usize> = (0..customers).collect();
    let moving = random.usize(0..=customers);
    random.shuffle(&mut target[..moving]);
    let mut changes = Vec::new();
    for (n, to) in target.into_iter().enumerate() {
        // The last customer may leave its cycle, which turns the cycle into a chain.
        let account = match (to, n) {
            _ if moving > 0 && n == moving - 1 && random.bool() => Some(match random.u8(0..5) {
                0 if outsider => "OUTSIDER".to_owned(),
                _ => format!("B-{n}"),
            }),
            (to, n) if to != n => Some(format!("A-{to}")),
            _ => None,
        };
        let service = random.bool().then(|| format!("S-{n}"));
        if account.is_none() && service.is_none() {
            continue;
        }
        let change = Change {
            line: 0,
            account: Some(AccountId::new(format!("A-{n}")).unwrap()),
            customer: (random.u8(0..4) == 0).then(|| CustomerId::new(format!("C-{n}")).unwrap()),
            reseller: None,
            new_account: account.map_or(NewAccount::Keep, |id| {
                NewAccount::Set(AccountId::new(id).unwrap())
            }),
            location: None,
            service: service.map(|id| ServiceId::new(id).unwrap()),
            profile: None,
        };
        if random.u8(0..10) == 0 {
            changes.push(change.clone());
        }
        changes.push(change);
    }
    if random.u8(0..4) == 0 {
        changes.push(Change {
            line: 0,
            account: Some(AccountId::new("NOBODY").unwrap()),
            customer: None,
            reseller: None,
            new_account: NewAccount::Set(AccountId::new("B-nobody").unwrap()),
            location: None,
            service: None,
            profile: None,
        });
    }
    random.shuffle(&mut changes);
    for (line, change) in (2..).zip(&mut changes) {
        change.line = line;
    }
    changes
}

//! Determines which lines one machine must carry out where several machines share a file: all lines that name one ID,
//! current or new, one customer or one location, and so on transitively. So no chain or swap is split, and no lines are
//! split that conflict unless one run carries them out in order.
//!
//! Each group has a hash of its smallest account ID (where it has none, of its smallest customer ID). The hash depends
//! only on the file's IDs: not on the machine, the run or the line numbers. So a group stays in its share when other lines
//! are added to the file.

use crate::domain::{Change, Line};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Returns the hash of each line's group. `changes`: the lines that share an ID with another line.
pub fn group_hashes(changes: &[Change]) -> HashMap<Line, u64> {
    let mut parent: Vec<usize> = (0..changes.len()).collect();
    let mut first: HashMap<(char, String), usize> = HashMap::new();
    for (at, change) in changes.iter().enumerate() {
        for id in ids(change) {
            let other = *first.entry(id).or_insert(at);
            let (a, b) = (root(&mut parent, other), root(&mut parent, at));
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut smallest: HashMap<usize, (char, String)> = HashMap::new();
    for (at, change) in changes.iter().enumerate() {
        let own = name(change);
        let least = smallest
            .entry(root(&mut parent, at))
            .or_insert_with(|| own.clone());
        if own < *least {
            *least = own;
        }
    }
    let lines = changes.iter().enumerate();
    lines
        .map(|(at, change)| (change.line, hash(&smallest[&root(&mut parent, at)])))
        .collect()
}

/// Returns the same hash for a line that shares no ID with another line.
pub fn line_hash(change: &Change) -> u64 {
    hash(&name(change))
}

/// Returns a hash of the line number, for a line that cannot be read. Such a line is not carried out.
pub fn unread_hash(line: Line) -> u64 {
    hash(&('l', line.to_string()))
}

/// Returns the ID that stands for a line in comparisons; account IDs sort before all others.
fn name(change: &Change) -> (char, String) {
    ids(change)
        .into_iter()
        .next()
        .unwrap_or_else(|| ('l', change.line.to_string()))
}

/// Returns every ID that a line names, its own account ID or customer ID first, in lower case, because IDs that differ only
/// in case may be the same.
fn ids(change: &Change) -> Vec<(char, String)> {
    let account = |id: &crate::domain::AccountId| ('a', id.as_str().to_lowercase());
    let own = change.account.as_ref().map(account);
    let customer = change.customer.as_ref();
    let customer = customer.map(|id| ('c', id.as_str().to_lowercase()));
    let location = change.location.as_ref();
    let location = location.map(|id| ('p', id.as_str().to_lowercase()));
    let new = change.new_account.id().map(account);
    own.into_iter()
        .chain(customer)
        .chain(location)
        .chain(new)
        .collect()
}

fn hash((kind, id): &(char, String)) -> u64 {
    let digest = Sha256::digest(format!("{kind}{id}").as_bytes());
    let first = digest.iter().take(8);
    first.fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn root(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountId, CustomerId, LocationId, NewAccount};
    use proptest::prelude::*;

    fn change(line: Line, from: Option<u8>, to: Option<u8>, customer: Option<u8>) -> Change {
        let account = |id: u8| AccountId::new(format!("A{id}")).unwrap();
        Change {
            line,
            account: from.map(account),
            customer: customer.map(|id| CustomerId::new(format!("C{id}")).unwrap()),
            new_account: to.map_or(NewAccount::Keep, |id| NewAccount::Set(account(id))),
            location: None,
            service: None,
            profile: None,
            reseller: None,
        }
    }

    fn hashes(changes: &[Change]) -> Vec<u64> {
        let hashes = group_hashes(changes);
        changes.iter().map(|change| hashes[&change.line]).collect()
    }

    #[test]
    fn group_hash_depends_on_smallest_account_id_not_on_line_numbers() {
        let swap = |first: Line| {
            [
                change(first, Some(2), Some(1), None),
                change(first + 9, Some(1), Some(2), None),
            ]
        };
        let alone = change(5, Some(1), None, None);
        assert_eq!(hashes(&swap(2)), [line_hash(&alone); 2]);
        assert_eq!(hashes(&swap(2)), hashes(&swap(700)));
        // A customer ID that is added to a line changes nothing.
        let named = change(5, Some(1), None, Some(7));
        assert_eq!(line_hash(&named), line_hash(&alone));
        // Pinned: all versions of the program give a line to the same machine.
        assert_eq!(line_hash(&alone), PINNED);
    }

    const PINNED: u64 = 0x8547_8e97_8a44_1311;

    #[test]
    fn lines_of_one_location_belong_together() {
        let at = |line: Line, from: u8| Change {
            location: LocationId::new("L1").ok(),
            ..change(line, Some(from), None, None)
        };
        let both = hashes(&[at(2, 1), at(3, 2)]);
        assert_eq!(both[0], both[1]);
    }

    proptest! {
        #[test]
        fn lines_that_share_an_id_are_never_split(
            lines in proptest::collection::vec((0_u8..40, 0_u8..40, proptest::option::of(0_u8..40)), 1..60)
        ) {
            let changes: Vec<Change> = (2..)
                .zip(lines)
                .map(|(line, (from, to, customer))| change(line, Some(from), Some(to), customer))
                .collect();
            let hashes = group_hashes(&changes);
            for one in &changes {
                for other in &changes {
                    if ids(one).iter().any(|id| ids(other).contains(id)) {
                        prop_assert_eq!(hashes[&one.line], hashes[&other.line]);
                    }
                }
            }
        }
    }
}

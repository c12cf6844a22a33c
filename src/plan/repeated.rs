//! New account IDs that many customers would get.

use crate::domain::{AccountId, Change, Line};
use std::collections::BTreeSet;

/// The minimum number of customers that must get the same new ID for it to be suspected of standing for a missing one.
const LEAST: usize = 3;

/// Returns the new IDs that several customers would get, each with the lines that request it. `changes`: related lines.
pub fn repeated(changes: &[Change]) -> Vec<(&AccountId, Vec<Line>)> {
    let mut asking: Vec<(&AccountId, &Change)> = changes
        .iter()
        .filter_map(|change| Some((change.new_account.id()?, change)))
        .collect();
    asking.sort_by_key(|(id, change)| (id.as_str(), change.line));
    let groups = asking.chunk_by(|(a, _), (b, _)| a == b);
    let several = groups.filter(|group| {
        let customer_of =
            |(_, change): &(_, &Change)| (change.account.clone(), change.customer.clone());
        group.len() >= LEAST
            && group.iter().map(customer_of).collect::<BTreeSet<_>>().len() >= LEAST
    });
    several
        .map(|group| {
            let lines = group.iter().map(|(_, change)| change.line);
            (group[0].0, lines.collect())
        })
        .collect()
}

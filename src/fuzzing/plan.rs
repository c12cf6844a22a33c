use crate::domain::{AccountId, Change, CustomerId, Line, NewAccount, ServiceId};
use crate::plan::{Shape, group};
use std::collections::{BTreeMap, BTreeSet};

/// Makes a line of every three bytes: the customer, its new account ID, what else is requested.
fn changes(bytes: &[u8]) -> Vec<Change> {
    let id = |n: u8| AccountId::new(format!("A-{n}")).ok();
    let lines = (2..).zip(bytes.chunks_exact(3)).take(200);
    lines
        .map(|(line, chunk)| Change {
            line,
            account: id(chunk[0] % 24),
            customer: (chunk[2] & 1 == 1)
                .then(|| CustomerId::new(format!("C-{}", chunk[0] % 24)).ok())
                .flatten(),
            reseller: None,
            new_account: match chunk[1] % 32 {
                31 => NewAccount::Keep,
                n => id(n).map_or(NewAccount::Keep, NewAccount::Set),
            },
            location: None,
            service: (chunk[2] & 6 == 6)
                .then(|| ServiceId::new(format!("S-{}", chunk[2] >> 3)).ok())
                .flatten(),
            profile: None,
        })
        .collect()
}

/// Plans the bytes as lines.
///
/// # Panics
///
/// If a line is lost or planned twice, or if the plan would give two customers one ID.
pub fn plan(bytes: &[u8]) {
    let changes = changes(bytes);
    let lines: BTreeSet<Line> = changes.iter().map(|change| change.line).collect();
    let arrangement = group(changes, true);
    let wrong: BTreeSet<Line> = arrangement
        .problems
        .iter()
        .map(|problem| problem.line)
        .collect();
    let mut planned = BTreeSet::new();
    for line in arrangement.units.iter().flat_map(|unit| unit.lines()) {
        assert!(planned.insert(line), "line {line} is planned twice");
    }
    assert!(planned.union(&wrong).eq(lines.iter()), "a line was lost");
    // Exactly the customers that the lines can name exist.
    let mut holders: BTreeMap<String, u8> = (0..24).map(|n| (format!("A-{n}"), n)).collect();
    for unit in &arrangement.units {
        let mut parked = None;
        for (at, member) in unit.members.iter().enumerate() {
            let Some(from) = member
                .changes
                .iter()
                .find_map(|change| change.account.as_ref())
            else {
                continue;
            };
            let Some(to) = member.new_account().id().filter(|to| *to != from) else {
                continue;
            };
            let parks = unit.shape == Shape::Cycle && at == 0;
            let Some(customer) = holders.remove(from.as_str()) else {
                // The end of a chain was refused, because the customer that has the ID is not in the file.
                continue;
            };
            if parks {
                parked = Some((to.clone(), customer));
                continue;
            }
            let outsider = holders.get(to.as_str()).copied();
            if outsider.is_some() {
                // Only a customer that no line moves may have this ID; the system then refuses the move.
                assert!(
                    at == 0 && unit.shape != Shape::Cycle,
                    "`{to}` is not free when it is needed"
                );
                holders.insert(from.to_string(), customer);
                break;
            }
            holders.insert(to.to_string(), customer);
        }
        if let Some((to, customer)) = parked {
            assert!(
                holders.insert(to.to_string(), customer).is_none(),
                "`{to}` is not free"
            );
        }
    }
    assert!(holders.len() == 24, "somebody lost an ID");
}

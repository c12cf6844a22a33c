//! Determines the order of renames. Every customer is renamed at most once, so the renames form single moves, chains and
//! cycles. Each is found by walking along it, without recursion, so that its length does not matter.

use super::{Member, Shape, Unit};
use crate::domain::{AccountId, Reseller};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Returns the account ID that the parked customer of a cycle has while the others move: `IDS` and twelve characters of A–Z
/// and 0–9. It is made from the run and the line, so that it is unique and the same again after a restart.
///
/// It consists of upper-case letters and digits only, because a system may change case or drop separators.
pub fn temporary_id(run: &str, line: u64) -> String {
    const CHARACTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let digest = Sha256::digest(format!("{run} {line}").as_bytes());
    let random = digest.iter().take(12);
    let characters =
        random.map(|byte| char::from(CHARACTERS[usize::from(*byte) % CHARACTERS.len()]));
    "IDS".chars().chain(characters).collect()
}

type Scoped = (AccountId, Option<Reseller>);

fn scoped(id: &AccountId, member: &Member) -> Scoped {
    let reseller = member
        .changes
        .iter()
        .find_map(|change| change.reseller.clone());
    (id.clone(), reseller)
}

pub(super) fn current(member: &Member) -> Option<Scoped> {
    let account = member
        .changes
        .iter()
        .find_map(|change| change.account.as_ref());
    account.map(|id| scoped(id, member))
}

pub(super) fn target(member: &Member) -> Option<Scoped> {
    member.new_account().id().map(|id| scoped(id, member))
}

/// Whether the member changes its current ID.
pub(super) fn moves(member: &Member) -> bool {
    member.new_account().asks() && target(member) != current(member)
}

/// Puts members in units, each in the order of execution.
pub(super) fn units(members: Vec<Member>, unique_accounts: bool) -> Vec<Unit> {
    if !unique_accounts {
        return members
            .into_iter()
            .map(|member| unit(Shape::Single, vec![member]))
            .collect();
    }
    // For each ID the member that moves away from it, and for each member the one whose ID it waits for.
    let leaves: HashMap<Scoped, usize> = members
        .iter()
        .enumerate()
        .filter(|(_, member)| moves(member))
        .filter_map(|(at, member)| Some((current(member)?, at)))
        .collect();
    let waits_for: Vec<Option<usize>> = members
        .iter()
        .map(|member| {
            let wish = target(member).filter(|_| moves(member))?;
            leaves.get(&wish).copied()
        })
        .collect();
    let mut waited_by: Vec<Option<usize>> = vec![None; members.len()];
    for (at, other) in waits_for.iter().enumerate() {
        if let Some(other) = other {
            waited_by[*other] = Some(at);
        }
    }
    let mut slots: Vec<Option<Member>> = members.into_iter().map(Some).collect();
    let mut units = Vec::new();
    // Walk from each free end along the waiting members.
    for (at, holder) in waits_for.iter().enumerate() {
        if holder.is_none() {
            let chain = walk(at, &waited_by, &mut slots);
            let shape = if chain.len() > 1 {
                Shape::Chain
            } else {
                Shape::Single
            };
            units.push(unit(shape, chain));
        }
    }
    // The remaining members form cycles. The first one is parked; the member that waits for its ID follows, and so on.
    for at in 0..slots.len() {
        if slots[at].is_some() {
            let cycle = walk(at, &waited_by, &mut slots);
            units.push(unit(Shape::Cycle, cycle));
        }
    }
    units
}

fn walk(from: usize, waited_by: &[Option<usize>], slots: &mut [Option<Member>]) -> Vec<Member> {
    let mut chain = Vec::new();
    let mut next = Some(from);
    while let Some(at) = next
        && let Some(member) = slots[at].take()
    {
        chain.push(member);
        next = waited_by[at];
    }
    chain
}

fn unit(shape: Shape, members: Vec<Member>) -> Unit {
    let number = members.iter().map(Member::first_line).min().unwrap_or(0);
    Unit {
        number,
        shape,
        members,
    }
}

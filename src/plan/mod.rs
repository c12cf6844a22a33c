//! Makes units of changes, in an order that never gives two customers one ID.
//!
//! Pure: no clock, no I/O, no async. Unrelated lines are never held as text: hashes find the few related lines
//! ([`FirstReading`], [`Index`]), and only those are [`group()`]ed into customers, chains and cycles.

mod alias_conflicts;
mod case_twins;
mod filter;
mod group;
mod guard;
mod index;
mod keys;
mod order;
mod repeated;
mod shard_groups;
mod shared_keys;
mod undo_plan;
mod unit;

#[cfg(test)]
mod tests;

pub use alias_conflicts::AliasConflicts;
pub use case_twins::case_twins;
pub use group::group;
pub use guard::Threshold;
pub use index::{Index, Touch};
pub use keys::Keys;
pub use order::temporary_id;
pub use repeated::repeated;
pub use shard_groups::{group_hashes, line_hash, unread_hash};
pub use shared_keys::{Candidates, FirstReading, PartKeys, Sizes};
pub use undo_plan::{Impossible, Inverse, expected_by, undo_plan};
pub use unit::{Counts, Member, Shape, Unit};

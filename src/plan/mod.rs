//! Changes → units, in an order that never gives two customers one ID.
//!
//! Pure: no clock, no I/O, no async. Lines that have nothing to do with each other are never held as text:
//! an [`Index`] of hashes finds the few that have, and only those are [`arrange()`]d into groups, chains and
//! cycles.

mod arrange;
mod case_twins;
mod crossing;
mod guard;
mod index;
mod inverse;
mod order;
mod repeated;
mod unit;

#[cfg(test)]
mod tests;

pub use arrange::arrange;
pub use case_twins::case_twins;
pub use crossing::Crossing;
pub use guard::Share;
pub use index::{Index, IndexBuilder, Keys};
pub use inverse::{Inverse, Left, invert};
pub use order::temporary_id;
pub use repeated::repeated;
pub use unit::{Counts, Member, Shape, Unit};

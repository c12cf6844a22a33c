//! Finds lines of one file that may name one customer in two ways: some by its account ID, others by the system's own ID.
//!
//! The file does not show that they mean the same customer. This is known only when the system has returned the customer's
//! other ID. Two lines that request different things for one customer are then both refused, as if they named it in the
//! same way.
//!
//! A line may also name a customer by an ID that an earlier run gave to it. The customer that has the new ID of a line is
//! that line's customer, unless a customer still has the line's old ID.
//!
//! A line is kept as a hash, in sixteen bytes; a line with a new account ID also keeps its IDs. Two IDs with one hash would
//! refuse a line without need; in a file of a million lines that is less likely than one in a million.

use super::keys::{account_hash, customer_hash};
use super::{Member, Unit};
use crate::domain::{AccountId, Change, CustomerId, Line};

/// The requests of lines that name their customer by one ID alone.
#[derive(Debug, Default)]
pub struct AliasConflicts {
    by_account: Vec<Wish>,
    by_customer: Vec<Wish>,
    /// The new account IDs, each with the ID that it replaces.
    targets: Vec<Target>,
}

/// A line that sets an account ID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    wish: Wish,
    /// The account ID that the new one replaces.
    source: AccountId,
    /// The customer that the line names.
    customer: Option<CustomerId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    /// The hash of the ID by which the line names its customer; in a [`Target`], of the new ID.
    hash: u64,
    line: Line,
    renames: bool,
    places: bool,
    names_location: bool,
}

impl Wish {
    fn of(change: &Change, hash: u64) -> Self {
        Self {
            hash,
            line: change.line,
            renames: change.new_account.asks(),
            places: change.asks_location(),
            names_location: change.location.is_some(),
        }
    }

    /// Whether the two requests exclude each other. Lines that name the same location are already known to belong together, and
    /// lines that name two different locations do not conflict.
    fn is_against(&self, other: &Self) -> bool {
        let both_named = self.names_location && other.names_location;
        (self.renames && other.renames) || (self.places && other.places && !both_named)
    }
}

fn with_hash(wishes: &[Wish], hash: u64) -> &[Wish] {
    let from = wishes.partition_point(|wish| wish.hash < hash);
    let until = wishes.partition_point(|wish| wish.hash <= hash);
    &wishes[from..until]
}

impl FromIterator<Change> for AliasConflicts {
    /// Collects the lines. A line that names its customer by both IDs is only kept as a target.
    fn from_iter<T: IntoIterator<Item = Change>>(changes: T) -> Self {
        let mut crossing = Self::default();
        for change in changes {
            let reseller = change.reseller.as_ref();
            if let (Some(account), Some(target)) = (&change.account, change.new_account.id()) {
                let hash = account_hash(target.as_str(), reseller);
                crossing.targets.push(Target {
                    wish: Wish::of(&change, hash),
                    source: account.clone(),
                    customer: change.customer.clone(),
                });
            }
            match (&change.account, &change.customer) {
                (Some(account), None) => {
                    let hash = account_hash(account.as_str(), reseller);
                    crossing.by_account.push(Wish::of(&change, hash));
                }
                (None, Some(customer)) => {
                    let hash = customer_hash(customer.as_str(), reseller);
                    crossing.by_customer.push(Wish::of(&change, hash));
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        for wishes in [&mut crossing.by_account, &mut crossing.by_customer] {
            wishes.sort_unstable();
            wishes.shrink_to_fit();
        }
        crossing.targets.sort_unstable();
        crossing.targets.shrink_to_fit();
        crossing
    }
}

impl AliasConflicts {
    /// Returns the first line outside of the unit that names this member's customer by its other ID and requests something
    /// that conflicts with the member's lines. Only lines for which `counts` is `true` are considered.
    pub fn against(
        &self,
        unit: &Unit,
        member: &Member,
        (customer, account): (&CustomerId, Option<&AccountId>),
        counts: impl Fn(Line) -> bool,
    ) -> Option<Line> {
        let others = member.changes.iter().flat_map(|change| {
            let reseller = change.reseller.as_ref();
            let others = match (&change.account, &change.customer) {
                (Some(_), None) => {
                    let hash = customer_hash(customer.as_str(), reseller);
                    with_hash(&self.by_customer, hash)
                }
                (None, Some(_)) => account.map_or(&[][..], |account| {
                    let hash = account_hash(account.as_str(), reseller);
                    with_hash(&self.by_account, hash)
                }),
                (Some(_), Some(_)) | (None, None) => &[],
            };
            let mine = Wish::of(change, 0);
            others.iter().filter(move |other| mine.is_against(other))
        });
        others
            .map(|other| other.line)
            .filter(|line| unit.lines().all(|own| own != *line) && counts(*line))
            .min()
    }

    /// Returns lines outside of the unit that may have renamed this member's customer to its present account ID, each with the
    /// ID that the line replaces. If no customer has that ID any more, this customer is the line's customer. `ordered`: the
    /// order of lines that name their customer by account ID determines which customer is meant.
    pub fn perhaps_renamed_by<'a>(
        &'a self,
        unit: &'a Unit,
        member: &'a Member,
        (customer, account): (&'a CustomerId, &'a AccountId),
        ordered: bool,
    ) -> impl Iterator<Item = (Line, &'a AccountId)> {
        // A line with both IDs states that the customer has this account ID before the line is carried out.
        let renames = member.changes.iter().filter(move |change| {
            let by_both = change.account.is_some() && change.customer.is_some();
            let by_account = change.account.is_some() && ordered;
            change.new_account.asks() && !by_both && !by_account
        });
        let others = renames.flat_map(move |change| {
            let hash = account_hash(account.as_str(), change.reseller.as_ref());
            let from = self.targets.partition_point(|one| one.wish.hash < hash);
            let until = self.targets.partition_point(|one| one.wish.hash <= hash);
            self.targets[from..until].iter()
        });
        others
            .filter(move |other| {
                let means_this = other
                    .customer
                    .as_ref()
                    .is_none_or(|named| named == customer);
                let is_other = unit.lines().all(|own| own != other.wish.line);
                means_this && is_other && other.source != *account
            })
            .map(|other| (other.wish.line, &other.source))
    }
}

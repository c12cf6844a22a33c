//! Lines of one file that may name one customer in two ways: some by its account ID, others by the system's own ID.
//!
//! That they mean the same customer is not to be seen from the file. But as soon as the system has told the customer's
//! other ID, it is; and two lines that want different things of one customer are both refused, as they would be where
//! they named it alike.
//!
//! A customer may also be named by the ID that an earlier run has given it: whoever has the ID that a line is to bring
//! about is that line's customer, unless its old ID is still carried by somebody.
//!
//! Kept are hashes, sixteen bytes a line. Two IDs with one hash would refuse a line for nothing; in a file of a million
//! lines that is less likely than one in a million.

use super::index::{account_hash, customer_hash};
use super::{Member, Unit};
use crate::domain::{AccountId, Change, CustomerId, Line};

/// What lines want of the customers that they name by one ID alone.
#[derive(Debug, Default)]
pub struct AliasConflicts {
    by_account: Vec<Wish>,
    by_customer: Vec<Wish>,
    /// The IDs that are to come about, each with the one that it is to take the place of.
    targets: Vec<Target>,
}

/// A line that brings an account ID about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    wish: Wish,
    /// The ID that it is to take the place of.
    source: AccountId,
    /// Whom the line names.
    customer: Option<CustomerId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    /// Of the ID that the line names.
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

    /// Whether both cannot be had. Lines that name the same location are known to belong together; two different ones
    /// do not get into each other's way.
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
    /// Takes the lines in, but for those that name their customer by both IDs.
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
    /// The first line outside of the unit that names this member's customer by its other ID, and whose wish does not
    /// go with what the member's lines want; of those that `counts`.
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

    /// Lines outside of the unit whose rename may have brought about the account ID that this member's customer has now,
    /// each with the ID that it renames: where nobody has that one any more, this is that line's customer. `ordered`:
    /// lines that name their customer by account ID are in an order which says who is meant.
    pub fn perhaps_renamed_by<'a>(
        &'a self,
        unit: &'a Unit,
        member: &'a Member,
        (customer, account): (&'a CustomerId, &'a AccountId),
        ordered: bool,
    ) -> impl Iterator<Item = (Line, &'a AccountId)> {
        // Whoever names both IDs has said that this customer has this one before the line.
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

//! What a line asks for, whatever its file and its number.

use crate::domain::Change;
use sha2::{Digest, Sha256};

/// What a line asks for, as a number that a line of another file has too.
pub(super) type Wish = u64;

/// The number of what this line asks for.
pub(super) fn wish(change: &Change) -> Wish {
    let text = format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        change.account,
        change.customer,
        change.reseller,
        change.new_account,
        change.location,
        change.service,
        change.profile
    );
    number(&text)
}

/// The number of the customer and the location that the line names, whatever it asks for.
pub(super) fn key(change: &Change) -> u64 {
    number(&format!(
        "{:?}\n{:?}\n{:?}\n{:?}",
        change.account, change.customer, change.reseller, change.location
    ))
}

/// The number of a text.
pub(super) fn number(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

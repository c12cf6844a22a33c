//! Digests of what a line asks for, independent of its file and its number.

use crate::domain::{
    AccountId, Change, CustomerId, LocationId, NewAccount, Profile, Reseller, ServiceId,
};
use sha2::{Digest, Sha256};

/// Digest of what a line asks for. Lines of different files that ask for the same have the same digest.
pub(super) type RequestDigest = u64;

/// Returns the digest of what this line asks for.
pub(super) fn request_digest(change: &Change) -> RequestDigest {
    let mut texts = key_texts(change);
    texts.text(match &change.new_account {
        NewAccount::Keep => None,
        NewAccount::Clear => Some(""),
        NewAccount::Set(id) => Some(id.as_str()),
    });
    texts.text(change.service.as_ref().map(ServiceId::as_str));
    texts.text(change.profile.map(Profile::as_str));
    texts.number()
}

/// Returns the digest of the customer and the location that the line names, independent of what it asks for.
pub(super) fn key(change: &Change) -> u64 {
    key_texts(change).number()
}

fn key_texts(change: &Change) -> Texts {
    let mut texts = Texts(Vec::with_capacity(128));
    texts.text(change.account.as_ref().map(AccountId::as_str));
    texts.text(change.customer.as_ref().map(CustomerId::as_str));
    texts.text(change.reseller.as_ref().map(|reseller| match reseller {
        // This is unambiguous, because no ID is empty.
        Reseller::Own => "",
        Reseller::Id(id) => id.as_str(),
    }));
    texts.text(change.location.as_ref().map(LocationId::as_str));
    texts
}

/// Texts, each after its length, so that two different sequences never give the same bytes.
struct Texts(Vec<u8>);

impl Texts {
    fn text(&mut self, text: Option<&str>) {
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0
            .extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    fn number(&self) -> u64 {
        number_of(&self.0)
    }
}

/// Returns the digest of a text.
pub(super) fn number(text: &str) -> u64 {
    number_of(text.as_bytes())
}

fn number_of(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

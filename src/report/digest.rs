//! The digest of a plan covers everything that will be done, so that a changed plan is distinguished from the reviewed one.

use crate::domain::{Outcome, Profile, hex};
use crate::ledger::{Header, Ledger, LedgerError};
use sha2::{Digest as _, Sha256};

/// Collects what is done, line by line.
#[derive(Debug, Clone)]
pub(super) struct Digest(Sha256);

impl Digest {
    pub(super) fn new(header: &Header) -> Self {
        let mut digest = Self(Sha256::new());
        for text in [
            "idshift plan 1",
            &header.system,
            &header.base_url,
            &header.tenant,
            &header.input_sha256,
        ] {
            digest.text(Some(text));
        }
        digest
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.0.update(outcome.line.to_be_bytes());
        self.text(outcome.customer.as_ref().map(|id| id.as_str()));
        self.text(outcome.account.before.as_ref().map(|id| id.as_str()));
        self.text(outcome.account.after.as_ref().map(|id| id.as_str()));
        self.text(outcome.location.as_ref().map(|id| id.as_str()));
        self.text(outcome.service.before.as_ref().map(|id| id.as_str()));
        self.text(outcome.service.after.as_ref().map(|id| id.as_str()));
        self.text(outcome.profile.before.map(Profile::as_str));
        self.text(outcome.profile.after.map(Profile::as_str));
    }

    /// Adds a text, its length first, so that no two sequences of texts are the same bytes.
    fn text(&mut self, text: Option<&str>) {
        match text {
            None => self.0.update(u64::MAX.to_be_bytes()),
            Some(text) => {
                let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
                self.0.update(length.to_be_bytes());
                self.0.update(text.as_bytes());
            }
        }
    }

    pub(super) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Records the digest of what a run will do, once all its lines have been looked up.
pub fn note_plan_digest(ledger: &Ledger) -> Result<(), LedgerError> {
    ledger.set_plan_digest(&plan_digest(ledger)?)
}

/// Returns the digest of what a run will do, from its lines.
pub fn plan_digest(ledger: &Ledger) -> Result<String, LedgerError> {
    let mut digest = Digest::new(ledger.header());
    for outcome in ledger.outcomes_with(&["would_change"]) {
        digest.add(&outcome?);
    }
    Ok(digest.finish())
}

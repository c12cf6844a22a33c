//! What earlier runs of a file did to the IDs that its lines go by.
//!
//! Where a run took an ID from one customer and gave it to another, the ID of a line means the one who had it when the
//! line was written down, or the one who has it now: nobody can tell. An unaltered line is known by what it asks
//! for; any other that comes upon such a customer is refused, and `customerId` says who is meant.

use crate::domain::{AccountId, CustomerId, Failed, Line};
use crate::system::Trouble;
use std::collections::{HashMap, HashSet};

/// Who had an account ID before earlier runs, and who was given it by them.
#[derive(Debug, Clone, Default)]
pub struct Hands {
    /// From whom it was taken.
    pub had: HashSet<CustomerId>,
    /// To whom it was given.
    pub got: HashSet<CustomerId>,
}

/// What earlier runs of a file did, as far as it makes its lines ambiguous.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Account IDs that went from one customer to another.
    pub hands: HashMap<AccountId, Hands>,
    /// The lines by which earlier runs have meant a customer.
    pub claims: HashMap<CustomerId, Vec<Line>>,
}

impl History {
    /// Why a customer who was found under this account ID may not be the one that these lines mean.
    pub(super) fn against(
        &self,
        account: &AccountId,
        found: &CustomerId,
        mine: impl Fn(Line) -> bool,
        renames: bool,
    ) -> Result<(), Trouble> {
        let mismatch = |words: String| {
            let words = format!("{words}; nothing was written. `customerId` says who is meant");
            Err(Trouble::new(Failed::Mismatch, words))
        };
        let claims = self.claims.get(found).filter(|_| renames);
        if let Some(lines) = claims.filter(|lines| !lines.iter().any(|line| mine(*line))) {
            let line = lines.iter().min().copied().unwrap_or_default();
            return mismatch(format!(
                "`{account}` is now the ID of customer `{found}`, whom an earlier run has meant by line {line}"
            ));
        }
        if let Some(hands) = self.hands.get(account)
            && hands.got.contains(found)
            && !hands.had.contains(found)
        {
            let mut had: Vec<_> = hands.had.iter().map(CustomerId::as_str).collect();
            had.sort_unstable();
            return mismatch(format!(
                "an earlier run of this file has taken `{account}` from customer `{}` and given it to `{found}`",
                had.join("`, `")
            ));
        }
        Ok(())
    }
}

//! What the last good reconcile of a file found as the file has it, by what the lines ask for: some twenty bytes a line and the
//! text of its customer.

use super::error::CommandError;
use super::kept_run::KeptRun;
use super::line_digest::{Wish, wish};
use super::saved_settings::SavedSettings;
use crate::config::Resolved;
use crate::domain::{Change, CustomerId, Status, Unchanged};
use crate::input::Row;
use crate::ledger::{Ledger, LedgerError, UnlookedLine};
use std::sync::atomic::{AtomicU64, Ordering};

/// No customer is known.
const NONE: u32 = u32::MAX;

/// The wishes that were fulfilled at the end of a run, each with the customer that it concerns, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Fulfilled {
    /// Sorted; with the place of the customer among the texts.
    wishes: Vec<(Wish, u32)>,
    /// The customers, each after its length.
    customers: Vec<u8>,
}

/// A fulfilled wish.
pub(super) struct Found {
    /// The customer that it concerns, where it is known.
    pub(super) customer: Option<CustomerId>,
}

impl Fulfilled {
    /// Those of this run.
    pub(super) fn of(
        run: &KeptRun,
        ledger: &Ledger,
        resolved: &Resolved,
    ) -> Result<Self, CommandError> {
        let kept = SavedSettings::of(ledger)?;
        let rules = kept.rules(resolved)?;
        let table = kept.table(&run.input()?, &ledger.header().input_name, &rules)?;
        let mut fulfilled = Self::default();
        let mut outcomes = ledger.outcomes().peekable();
        let mut failed: Option<LedgerError> = None;
        let add = |part: &mut Vec<_>, row: &mut Row| {
            part.extend(row.change.as_ref().map(|one| (one.line, wish(one))));
        };
        table.fold(Vec::new, add, |part, _, _| {
            for (line, wish) in part {
                while let Some(outcome) =
                    outcomes.next_if(|next| next.as_ref().map_or(true, |one| one.line <= line))
                {
                    match outcome {
                        Ok(outcome) if outcome.line == line => {
                            let is_good = matches!(
                                outcome.status,
                                Status::Changed | Status::Unchanged(Unchanged::Already)
                            );
                            if is_good {
                                fulfilled.add(wish, outcome.customer.as_ref());
                            }
                        }
                        Ok(_) => {}
                        Err(error) => failed = failed.take().or(Some(error)),
                    }
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        fulfilled.wishes.sort_unstable();
        Ok(fulfilled)
    }

    fn add(&mut self, wish: Wish, customer: Option<&CustomerId>) {
        let place = customer.and_then(|customer| {
            let text = customer.as_str().as_bytes();
            let place = u32::try_from(self.customers.len()).ok();
            let place = place.filter(|place| *place != NONE)?;
            let length = u16::try_from(text.len()).ok()?;
            self.customers.extend_from_slice(&length.to_le_bytes());
            self.customers.extend_from_slice(text);
            Some(place)
        });
        self.wishes.push((wish, place.unwrap_or(NONE)));
    }

    /// A wish, where it was fulfilled. Of several lines with one wish the last counts.
    pub(super) fn find(&self, wish: Wish) -> Option<Found> {
        let behind = self.wishes.partition_point(|(one, _)| *one <= wish);
        let (found, place) = *self.wishes.get(behind.checked_sub(1)?)?;
        (found == wish).then(|| Found {
            customer: self.customer(place),
        })
    }

    fn customer(&self, place: u32) -> Option<CustomerId> {
        let rest = self.customers.get(place as usize..)?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let text = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
        CustomerId::new(std::str::from_utf8(text).ok()?).ok()
    }
}

/// Lines that need no look, because they are as in the last good run.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// `None`: every line is looked at.
    pub(super) before: Option<Fulfilled>,
    /// In how many nights each line is looked at once all the same, and which of them this is.
    pub(super) nights: u64,
    pub(super) round: u64,
    /// Why they need none.
    pub(super) why: String,
    /// How many were passed over.
    pub(super) lines: AtomicU64,
}

impl Settled {
    /// What is known of a line that is not looked at tonight.
    pub(super) fn line(&self, change: &Change) -> Option<UnlookedLine> {
        let before = self.before.as_ref()?;
        let wish = wish(change);
        let is_tonight = wish.wrapping_add(self.round).is_multiple_of(self.nights);
        let found = before.find(wish).filter(|_| !is_tonight)?;
        // Later runs and `verify` go by it, where it is known which ID the customer has.
        let asks = change.new_account.asks();
        Some(UnlookedLine {
            line: change.line,
            customer: found.customer.filter(|_| asks),
            account: change.new_account.id().cloned(),
        })
    }

    /// Counts lines that were passed over.
    pub(super) fn passed(&self, lines: usize) {
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        self.lines.fetch_add(lines, Ordering::Relaxed);
    }
}

//! What the last good reconcile of a file found or put in place.
//!
//! If the file has not changed since, this is read line by line while the lines are fed. Otherwise it is kept by what the
//! lines ask for: some twenty bytes for each line and the text of its customer.

use super::error::CommandError;
use super::in_order::InOrder;
use super::kept_run::KeptRun;
use super::line_digest::{RequestDigest, request_digest};
use super::saved_settings::SavedSettings;
use crate::config::Resolved;
use crate::domain::{Change, CustomerId};
use crate::input::Row;
use crate::ledger::{Header, Ledger, LedgerError, UnlookedLine};
use crate::plan::Unit;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the last good reconcile found.
#[derive(Debug)]
pub(super) enum LastReconcile {
    /// It had the same lines in the same places.
    SameLines(KeptRun),
    /// The file was changed since.
    ByRequest(Fulfilled),
}

impl LastReconcile {
    /// Reads what this run found. `mine`: the header and the settings of tonight's run.
    pub(super) fn of(
        (run, ledger): (&KeptRun, &Ledger),
        mine: (&Header, &SavedSettings),
        resolved: &Resolved,
    ) -> Result<Self, CommandError> {
        let its = SavedSettings::of(ledger)?;
        if is_same((ledger.header(), &its), mine) {
            return Ok(Self::SameLines(run.clone()));
        }
        Ok(Self::ByRequest(Fulfilled::of(run, ledger, &its, resolved)?))
    }

    /// Returns the customer that the run found for a line, if its values were in place. `ledger`: that run's.
    pub(super) fn customer(
        &self,
        ledger: &Ledger,
        change: &Change,
    ) -> Result<Option<CustomerId>, LedgerError> {
        match self {
            Self::SameLines(_) => {
                let outcome = ledger
                    .outcome_of(change.line)?
                    .filter(|outcome| outcome.status.is_in_place());
                Ok(outcome.and_then(|outcome| outcome.customer))
            }
            Self::ByRequest(fulfilled) => {
                let found = fulfilled.find(request_digest(change));
                Ok(found.and_then(|found| found.customer))
            }
        }
    }
}

/// Whether both have the same lines in the same places.
fn is_same((its, read): (&Header, &SavedSettings), mine: (&Header, &SavedSettings)) -> bool {
    read.reads_as(mine.1) && its.input_sha256 == mine.0.input_sha256
}

/// No customer is known.
const NONE: u32 = u32::MAX;

/// The requests that were fulfilled at the end of a run, each with its customer, if that is known.
#[derive(Debug, Default)]
pub(crate) struct Fulfilled {
    /// Sorted; each request with the position of its customer in `customers`.
    requests: Vec<(RequestDigest, u32)>,
    /// The texts of the customers, each after its length in two bytes.
    customers: Vec<u8>,
}

/// A fulfilled request.
struct Found {
    /// The customer that it concerns, if that is known.
    customer: Option<CustomerId>,
}

impl Fulfilled {
    /// Reads the fulfilled requests of this run.
    fn of(
        run: &KeptRun,
        ledger: &Ledger,
        kept: &SavedSettings,
        resolved: &Resolved,
    ) -> Result<Self, CommandError> {
        let rules = kept.rules(resolved)?;
        let table = kept.table(run, &rules)?;
        let mut fulfilled = Self::default();
        let mut outcomes = ledger.outcomes().peekable();
        let mut failed: Option<LedgerError> = None;
        let add = |part: &mut Vec<_>, row: &mut Row| {
            part.extend(
                row.change
                    .as_ref()
                    .map(|one| (one.line, request_digest(one))),
            );
        };
        table.fold(Vec::new, add, |part, _, _| {
            for (line, digest) in part {
                while let Some(outcome) =
                    outcomes.next_if(|next| next.as_ref().map_or(true, |one| one.line <= line))
                {
                    match outcome {
                        Ok(outcome) if outcome.line == line => {
                            if outcome.status.is_in_place() {
                                fulfilled.add(digest, outcome.customer.as_ref());
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
        fulfilled.requests.sort_unstable();
        Ok(fulfilled)
    }

    fn add(&mut self, digest: RequestDigest, customer: Option<&CustomerId>) {
        let place = customer.and_then(|customer| {
            let text = customer.as_str().as_bytes();
            let place = u32::try_from(self.customers.len()).ok();
            let place = place.filter(|place| *place != NONE)?;
            let length = u16::try_from(text.len()).ok()?;
            self.customers.extend_from_slice(&length.to_le_bytes());
            self.customers.extend_from_slice(text);
            Some(place)
        });
        self.requests.push((digest, place.unwrap_or(NONE)));
    }

    /// Returns a request if it was fulfilled. If several lines have it, the last one counts, or one without a known
    /// customer.
    fn find(&self, digest: RequestDigest) -> Option<Found> {
        let behind = self.requests.partition_point(|(one, _)| *one <= digest);
        let (found, place) = *self.requests.get(behind.checked_sub(1)?)?;
        (found == digest).then(|| Found {
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

/// Lines that need no look-up, because the last good run found their values in place or put them in place.
#[derive(Debug, Default)]
pub(crate) struct SkippedLines {
    /// `None`: every line is looked up.
    pub(super) before: Option<LastReconcile>,
    /// Each line is still looked up once in this number of nights; `round` says which of these nights this is.
    pub(super) nights: u64,
    pub(super) round: u64,
    /// Why the lines need no look-up.
    pub(super) why: String,
    /// How many lines were skipped.
    pub(super) lines: AtomicU64,
}

impl SkippedLines {
    /// The ledger that [`SkippedLines::line`] reads in the order of the file; `None`: it reads none.
    pub(super) fn ledger(&self) -> Result<Option<Ledger>, LedgerError> {
        match &self.before {
            Some(LastReconcile::SameLines(run)) => run.ledger().map(Some),
            Some(LastReconcile::ByRequest(_)) | None => Ok(None),
        }
    }

    /// Returns what is known of the lines of a unit that is skipped tonight; `None`: the unit is looked up. `same`: reads
    /// [`SkippedLines::ledger`].
    pub(super) fn unit(
        &self,
        unit: &Unit,
        mut same: Option<&mut InOrder<'_>>,
    ) -> Result<Option<Vec<UnlookedLine>>, LedgerError> {
        let is_alone = unit.changes().nth(1).is_none();
        let mut lines = Vec::new();
        for change in unit.changes() {
            match self.line(change, is_alone, same.as_deref_mut())? {
                Some(line) => lines.push(line),
                None => return Ok(None),
            }
        }
        Ok(Some(lines))
    }

    /// Returns what is known of a line that is skipped tonight; `None`: the line is looked up. `is_alone`: the line is a
    /// unit of its own; these come in the order of the file. `same`: reads [`SkippedLines::ledger`].
    fn line(
        &self,
        change: &Change,
        is_alone: bool,
        same: Option<&mut InOrder<'_>>,
    ) -> Result<Option<UnlookedLine>, LedgerError> {
        let Some(before) = &self.before else {
            return Ok(None);
        };
        let digest = request_digest(change);
        if digest.wrapping_add(self.round).is_multiple_of(self.nights) {
            return Ok(None);
        }
        let found = match (before, same) {
            (LastReconcile::ByRequest(fulfilled), _) => fulfilled.find(digest),
            (LastReconcile::SameLines(_), Some(same)) => {
                let outcome = if is_alone {
                    same.find(change.line)?
                } else {
                    same.find_any(change.line)?
                };
                outcome
                    .filter(|outcome| outcome.status.is_in_place())
                    .map(|outcome| Found {
                        customer: outcome.customer,
                    })
            }
            (LastReconcile::SameLines(_), None) => None,
        };
        // Later runs and `verify` rely on the customer, if it is known which account ID the customer has.
        let asks = change.new_account.asks();
        Ok(found.map(|found| UnlookedLine {
            line: change.line,
            customer: found.customer.filter(|_| asks),
            account: change.new_account.id().cloned(),
        }))
    }

    /// Counts lines that were passed over.
    pub(super) fn passed(&self, lines: usize) {
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        self.lines.fetch_add(lines, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountId, Line, NewAccount, Outcome, Status};
    use crate::ledger::{LocalRuns, RunId, Runs};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn change(line: Line) -> Change {
        Change {
            line,
            account: AccountId::new(format!("A-{line}")).ok(),
            customer: None,
            reseller: None,
            new_account: NewAccount::Set(AccountId::new(format!("B-{line}")).unwrap()),
            location: None,
            service: None,
            profile: None,
        }
    }

    fn outcome(line: Line, status: Status) -> Outcome {
        Outcome {
            customer: CustomerId::new(format!("C-{line}")).ok(),
            ..Outcome::bare(line, status)
        }
    }

    fn settled(before: LastReconcile) -> SkippedLines {
        SkippedLines {
            before: Some(before),
            nights: 3,
            round: 1,
            ..SkippedLines::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn lookup_by_line_gives_the_same_result_as_lookup_by_request(
            statuses in proptest::collection::vec((0..Status::ALL.len(), any::<bool>(), any::<bool>()), 1..80),
        ) {
            let base = tempfile::tempdir().unwrap();
            let header = Header::example();
            let runs: Arc<dyn Runs> = Arc::new(LocalRuns::of(base.path(), false, None));
            let (dir, new) = runs.create(&RunId::parse(&header.run).unwrap()).unwrap();
            let mut ledger = new.begin(&header, None).unwrap();
            let run = KeptRun::of(&runs, dir);
            let mut by_request = Fulfilled::default();
            for ((status, is_told, _), line) in statuses.iter().zip(2..) {
                let outcome = outcome(line, Status::ALL[*status]);
                if *is_told {
                    if outcome.status.is_in_place() {
                        by_request.add(request_digest(&change(line)), outcome.customer.as_ref());
                    }
                    ledger.seed([outcome]).unwrap();
                }
            }
            by_request.requests.sort_unstable();
            let by_request = settled(LastReconcile::ByRequest(by_request));
            let same = settled(LastReconcile::SameLines(run));
            prop_assert!(by_request.ledger().unwrap().is_none());
            let its = same.ledger().unwrap().unwrap();
            let mut in_order = InOrder::of(&its);
            for ((_, _, is_alone), line) in statuses.iter().zip(2..) {
                let change = change(line);
                let expected = by_request.line(&change, *is_alone, None).unwrap();
                let found = same.line(&change, *is_alone, Some(&mut in_order)).unwrap();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn only_reconcile_of_equal_input_and_settings_has_the_same_lines() {
        let (header, kept) = (Header::example(), SavedSettings::default());
        assert!(is_same((&header, &kept), (&header, &kept)));
        let other = Header {
            input_sha256: "11".repeat(32),
            ..Header::example()
        };
        assert!(!is_same((&other, &kept), (&header, &kept)));
        let mut otherwise = SavedSettings::default();
        otherwise.values.insert("delimiter".into(), ";".into());
        assert!(!is_same((&header, &otherwise), (&header, &kept)));
    }
}

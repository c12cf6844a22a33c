//! One run's ledger: makes it, opens it, and passes on what its database answers. What is derived from several answers
//! is in other files, by subject. While a run is under way, the journal writes.

use super::columns::{Fault, Row, Value};
use super::commit::Commit;
use super::coordinator::Coordinator;
use super::sqlite::open as sqlite;
use super::store::{Draft, Fact, Facts, OrderChange, Put, Store};
use super::{
    Check, DriftedLine, ExclusiveLock, Header, Journal, JournalThread, LedgerError, LineSet, Order,
    Orders, RecordPlace, RemovedFile, RunDir, Session, StopReason, journal,
};
use crate::domain::{CustomerId, Outcome, Shard};
use std::path::Path;
use std::sync::Arc;

/// The record of one run. Readers may open it while a run is under way.
#[derive(Debug)]
pub struct Ledger {
    store: Box<dyn Store>,
    header: Header,
    former: Vec<String>,
}

/// The ledger of a new run, before its header is on record. If this is dropped before that, there is no run.
pub struct NewLedger(pub(super) Box<dyn Draft>);

impl NewLedger {
    /// Records what is known of a line before the run begins.
    pub fn put(&mut self, outcome: &Outcome) -> Result<(), LedgerError> {
        self.0.put(outcome)
    }

    /// Records what the run is asked to do; from then on it is a run. `shard`: the lines that it carries out, if not all.
    pub fn begin(
        self,
        header: &Header,
        shard: Option<&(Shard, LineSet)>,
    ) -> Result<Ledger, LedgerError> {
        Ledger::of(self.0.begin(header, shard)?)
    }
}

impl Ledger {
    /// Makes the ledger of a new run.
    pub(super) fn create(dir: &RunDir) -> Result<NewLedger, LedgerError> {
        sqlite::create(dir).map(NewLedger)
    }

    /// Opens a ledger; refuses one that is damaged, foreign or newer, and leaves it as it is.
    pub(super) fn open(dir: &RunDir, check: Check) -> Result<Self, LedgerError> {
        Self::of(sqlite::open(dir, check)?)
    }

    /// Waits until all of a ledger that was opened with [`Check::Beside`] is checked; fails if it is damaged. No session on it
    /// begins before that.
    pub fn checked(&self) -> Result<(), LedgerError> {
        self.store.checked()
    }

    /// Opens a ledger to read its header and state; makes and changes no file in its folder.
    pub(super) fn open_read_only(dir: &RunDir) -> Result<Self, LedgerError> {
        Self::of(sqlite::open_read_only(&dir.ledger())?)
    }

    pub(super) fn of(store: Box<dyn Store>) -> Result<Self, LedgerError> {
        let mut ledger = Self {
            header: store.header()?,
            store,
            former: Vec::new(),
        };
        ledger.read_address()?;
        Ok(ledger)
    }

    /// Reads where the system is now, if it has moved since the run began.
    fn read_address(&mut self) -> Result<(), LedgerError> {
        let which = [Fact::BASE_URL, Fact::TARGET, Fact::FORMER_TARGETS];
        let moved = self.read_facts(&which, |facts| {
            let address = facts.text(0)?.zip(facts.text(1)?);
            let address =
                address.map(|(base_url, target)| (base_url.to_owned(), target.to_owned()));
            Ok(address.zip(facts.text(2)?.map(str::to_owned)))
        })?;
        if let Some(((base_url, target), former)) = moved {
            (self.header.base_url, self.header.target) = (base_url, target);
            self.former = former.lines().map(str::to_owned).collect();
        }
        Ok(())
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    pub(super) fn read_facts<T>(
        &self,
        which: &[Fact],
        read: impl FnOnce(&Facts) -> Result<T, Fault>,
    ) -> Result<T, LedgerError> {
        read(&self.store.facts(which)?).map_err(|fault| fault.name(self.place()))
    }

    pub(super) fn put_facts(&self, facts: &[(Fact, Value<'_>)]) -> Result<(), LedgerError> {
        self.store.put(vec![Put::Facts(facts)])
    }

    /// What the run was asked to do.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Notes that the system is at another address from now on: the run continues there, and `undo` writes there.
    pub fn moved_to(&mut self, base_url: &str, target: &str) -> Result<(), LedgerError> {
        self.former.push(self.header.target.clone());
        self.put_facts(&[
            (Fact::BASE_URL, base_url.into()),
            (Fact::TARGET, target.into()),
            (Fact::FORMER_TARGETS, self.former.join("\n").as_str().into()),
        ])?;
        base_url.clone_into(&mut self.header.base_url);
        target.clone_into(&mut self.header.target);
        Ok(())
    }

    /// The target of the run, and those before its system moved.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        let former = self.former.iter().map(String::as_str);
        former.chain([self.header.target.as_str()])
    }

    /// Where it is, for messages.
    pub fn place(&self) -> RecordPlace {
        self.store.place()
    }

    /// Whether a living process is writing to it.
    pub fn is_live(&self) -> bool {
        self.store.is_live()
    }

    /// Fails if a living process is writing to it, and names that process.
    pub fn refuse_if_live(&self) -> Result<(), LedgerError> {
        self.store.refuse_if_live()
    }

    /// Opens the journal: begins a session of this process, alone, and starts the thread that commits.
    pub fn journal(&self, session: Session) -> Result<(Journal, JournalThread), LedgerError> {
        self.started(self.store.join(session)?)
    }

    /// Opens the journal of a process that may have others beside it. `leads`: the process begins the passes of the
    /// run. `None`: the database allows only one process on a run.
    pub fn journal_with_others(
        &self,
        session: Session,
        leads: bool,
    ) -> Result<Option<(Journal, JournalThread, Arc<dyn Coordinator>)>, LedgerError> {
        let Some((commit, coordinator)) = self.store.join_others(session, leads)? else {
            return Ok(None);
        };
        let (journal, thread) = self.started(commit)?;
        Ok(Some((journal, thread, coordinator)))
    }

    fn started(&self, commit: Box<dyn Commit>) -> Result<(Journal, JournalThread), LedgerError> {
        journal::start(commit).map_err(|source| LedgerError::NoThread {
            place: self.place(),
            source,
        })
    }

    /// Records outcomes before the run begins, all or none: what a plan found, or what must still be there for an undo.
    pub fn seed(&mut self, outcomes: impl IntoIterator<Item = Outcome>) -> Result<(), LedgerError> {
        let outcomes = &mut outcomes.into_iter();
        self.store.put(vec![Put::Outcomes(outcomes)])
    }

    /// Records the drifted lines, in place of those recorded before.
    pub fn set_drift(&self, lines: &[DriftedLine]) -> Result<(), LedgerError> {
        self.store().put(vec![Put::Drift(lines)])
    }

    /// Returns the current orders to the processes that work on the run.
    pub fn orders(&self) -> Result<Orders, LedgerError> {
        self.store().orders()
    }

    /// Gives an order to the processes that work on the run; returns its number.
    pub fn order(&self, order: Order) -> Result<u64, LedgerError> {
        self.store().change_orders(OrderChange::Give(order))
    }

    /// Records that this process follows all orders up to this number.
    pub fn follow_orders(&self, number: u64) -> Result<(), LedgerError> {
        self.store().follow_orders(number)
    }

    /// The number of the last order that every process at work follows.
    pub fn followed_orders(&self) -> Result<u64, LedgerError> {
        self.store().followed_orders()
    }

    /// Removes all orders when a process begins to work: they were given to an earlier process. Returns the empty
    /// orders; later orders have higher numbers.
    pub fn clear_orders(&self) -> Result<Orders, LedgerError> {
        let number = self.store().change_orders(OrderChange::Clear)?;
        Ok(Orders {
            number,
            ..Orders::default()
        })
    }

    /// Cancels the draining of a run that is not closed yet, and its stop reason: its processes begin further lines again.
    pub fn go_on(&self) -> Result<(), LedgerError> {
        self.store().change_orders(OrderChange::GoOn).map(drop)
    }

    /// Drains all processes that work on the run, if it is in progress, and records this reason, unless another one is on record.
    pub fn stop_all(&self, reason: StopReason, why: &str) -> Result<(), LedgerError> {
        self.store().stop_all(reason, why)
    }

    /// Returns the share of its file that the run carries out, and the lines of that share; `None`: the whole file.
    pub fn shard(&self) -> Result<Option<(Shard, LineSet)>, LedgerError> {
        self.store().shard()
    }

    /// Which share of its file the run carries out; `None`: the whole file.
    pub fn shard_name(&self) -> Result<Option<String>, LedgerError> {
        Ok(self.shard()?.map(|(shard, _)| shard.to_string()))
    }

    /// Takes the run's lock, or says which process has it.
    pub fn hold(&self) -> Result<ExclusiveLock, LedgerError> {
        self.store().hold()
    }

    /// Returns the customers that lines with this wish meant, if the run was pruned.
    pub fn customers_of_wish(&self, wish: u64) -> Result<Vec<CustomerId>, LedgerError> {
        self.store().customers_of_wish(wish)
    }

    /// Returns digests of the values that the run has replaced at locations, if it was pruned.
    pub fn replaced(&self) -> Result<Vec<u64>, LedgerError> {
        self.store().replaced()
    }

    /// Writes a copy of the whole record, as it is now, into one file.
    pub fn snapshot(&self, to: &Path) -> Result<(), LedgerError> {
        self.store().snapshot(to)
    }

    /// The files that a prune has removed.
    pub fn removed_files(&self) -> Result<Vec<RemovedFile>, LedgerError> {
        self.store().removed_files()
    }
}

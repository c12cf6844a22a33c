//! Makes the lines of an undo from the ledger of the undone run, customer by customer, while they are written into its file.
//! Before that they are only counted. Memory does not grow with the lines, only with the positions of writes in the order.

use super::clock;
use super::error::CommandError;
use super::estimate::Forecast;
use super::exit_code::Exit;
use super::hashing::Hashing;
use super::line_summary::WrittenLines;
use crate::config::Resolved;
use crate::domain::{Change, Failed, Line, NetChange, NewAccount, Outcome, Status};
use crate::input::cell::push_quoted;
use crate::ledger::{Ledger, NewLedger, PrivateFile, RunDir, WriteOrder};
use crate::plan::{Impossible, Inverse, undo_plan};
use crate::report::CannotUndo;
use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;

/// The first row of the file.
const HEADER: &str = "accountId,newAccountId,customerId,locationId,serviceId,profile,resellerId\n";

/// What an undo is to restore.
pub(super) struct UndoLines {
    order: WriteOrder,
    can_clear: bool,
    pub(super) counts: UndoCounts,
}

/// The totals of the lines of an undo.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct UndoCounts {
    pub(super) lines: u64,
    pub(super) accounts: u64,
    pub(super) locations: u64,
    /// Number of swaps and longer cycles of account IDs: in each of them, one customer is parked.
    pub(super) swaps: u64,
    /// Number of lines that remove an account ID.
    pub(super) clears: u64,
    /// The changes that cannot be undone; each has its own line, which only says so.
    pub(super) cannot_undo: CannotUndo,
}

impl UndoCounts {
    /// Estimates the calls that the undo needs.
    pub(super) fn forecast(&self, resolved: &Resolved) -> Forecast {
        let accounts = (self.accounts, self.swaps);
        Forecast::of_changes(accounts, self.locations, (self.lines, 0), resolved)
    }

    fn add(&mut self, line: &Inverse) {
        let change = &line.change;
        self.lines += 1;
        self.accounts += u64::from(change.new_account.asks());
        self.locations += u64::from(change.asks_location());
        self.clears += u64::from(change.new_account == NewAccount::Clear);
        match line.impossible {
            Some(Impossible::Account) => self.cannot_undo.accounts += 1,
            Some(Impossible::Service) => self.cannot_undo.services += 1,
            Some(Impossible::Profile(_)) => self.cannot_undo.profiles += 1,
            None => {}
        }
    }
}

impl UndoLines {
    /// Prepares the lines that undo the run of this ledger, while another thread checks the ledger, and waits for that check.
    /// `can_clear`: whether the system can remove an account ID.
    pub(super) fn of(ledger: &Ledger, can_clear: bool) -> Result<Self, CommandError> {
        let lines = Self::of_unchecked(ledger, can_clear);
        ledger.checked()?;
        lines
    }

    fn of_unchecked(ledger: &Ledger, can_clear: bool) -> Result<Self, CommandError> {
        let order = ledger.write_order(|_| true)?;
        // A customer that was renamed once has one line, which restores its account ID.
        let (renamed, others) = order.renamed_once();
        let mut counts = UndoCounts {
            lines: renamed,
            accounts: renamed,
            swaps: ledger.swaps_in_place()?,
            ..UndoCounts::default()
        };
        each_inverse(ledger, &others, can_clear, |line| {
            counts.add(&line);
            Ok(())
        })?;
        Ok(Self {
            order,
            can_clear,
            counts,
        })
    }

    /// Writes the file of the undo, which is read again like any other file. If a line does not say itself which values
    /// must still be in place, adds them to the ledger. Returns the digest of the file, and what its plan needs.
    pub(super) fn write(
        &self,
        ledger: &Ledger,
        dir: &RunDir,
        new: &mut NewLedger,
    ) -> Result<(String, WrittenLines), CommandError> {
        let path = dir.local_input();
        let failed = |why: io::Error| {
            CommandError::new(
                Exit::Stopped,
                format!("{}: cannot be written: {why}", path.display()),
            )
        };
        let (now_ms, mut row) = (clock::now_ms(), Vec::new());
        let mut file = Hashing::of(PrivateFile::begin(path.clone()).map_err(failed)?);
        file.write_all(HEADER.as_bytes()).map_err(failed)?;
        let mut lines = WrittenLines::new(self.counts.lines);
        each_inverse(ledger, &self.order, self.can_clear, |line| {
            write_row(&mut file, &mut row, &line.change).map_err(failed)?;
            lines.add(&line.change);
            if let Some(expected) = line.expected {
                new.put(&on_record(*expected, line.impossible, now_ms))?;
            }
            Ok(())
        })?;
        let digest = file.digest();
        file.inner.finish().map_err(failed)?;
        Ok((digest, lines))
    }
}

/// Number of threads that read writes.
const READERS: usize = 2;
/// Maximum number of batches that each of them reads ahead.
const WAITING: usize = 4;

/// Calls `each` with the inverse of each change that these writes made; the lines are numbered from 2 on. Other threads read
/// the writes ahead, in turns.
fn each_inverse(
    ledger: &Ledger,
    order: &WriteOrder,
    can_clear: bool,
    mut each: impl FnMut(Inverse) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    thread::scope(|scope| {
        let readers = (0..READERS).map(|reader| {
            let (batches, ready) = mpsc::sync_channel(WAITING);
            // `send` fails only if the loop below has ended: no further batch is needed.
            scope.spawn(move || {
                let mut changes = ledger.part_of_net_changes_in(order, reader, READERS);
                changes.try_for_each(|batch| batches.send(batch)).ok()
            });
            ready
        });
        let readers: Vec<_> = readers.collect();
        let mut next: Line = 2;
        // The readers take turns, so the first one without a further batch marks the end.
        let in_order = readers
            .iter()
            .cycle()
            .map_while(|reader| reader.recv().ok());
        for batch in in_order {
            for of_customer in batch?.chunk_by(NetChange::is_of_same_customer) {
                for line in undo_plan(of_customer, can_clear, next) {
                    next += 1;
                    each(line)?;
                }
            }
        }
        Ok(())
    })
}

/// Returns what is recorded of a line before the undo begins: what it expects, or that it can restore nothing.
fn on_record(mut outcome: Outcome, impossible: Option<Impossible>, now_ms: i64) -> Outcome {
    if let Some(impossible) = impossible {
        outcome.status = Status::Failed(Failed::Rejected);
        outcome.message = impossible.to_string();
        outcome.account.after.clone_from(&outcome.account.before);
        outcome.service.after.clone_from(&outcome.service.before);
        outcome.profile.after = outcome.profile.before;
        outcome.finished_at_ms = now_ms;
    }
    outcome
}

/// Writes one row. `row`: a buffer that is used again.
fn write_row(file: &mut impl Write, row: &mut Vec<u8>, change: &Change) -> io::Result<()> {
    // A line with a location and no value for it would be invalid.
    let location = change.location.as_ref().filter(|_| change.asks_location());
    let profile = change.profile.map(|profile| profile.to_string());
    let reseller = change.reseller.as_ref().map(ToString::to_string);
    let cells = [
        change.account.as_ref().map(|id| id.as_str()),
        change.new_account.id().map(|id| id.as_str()),
        change.customer.as_ref().map(|id| id.as_str()),
        location.map(|id| id.as_str()),
        change.service.as_ref().map(|id| id.as_str()),
        profile.as_deref(),
        reseller.as_deref(),
    ];
    row.clear();
    for cell in cells {
        push_quoted(row, cell.unwrap_or_default());
    }
    // Replaces the comma after the last cell.
    row.pop();
    row.push(b'\n');
    file.write_all(row)
}

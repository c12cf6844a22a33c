//! The durable record of a run: what was asked for, what was about to be written, what became of each line.
//!
//! It guarantees: an intent is on the disk before [`Journal::intend`] returns; after a failed commit nothing is
//! accepted any more, so no write is sent that is not on record; a damaged record is refused, and its content is never
//! guessed. `resume`, `verify`, `undo` and the reports are functions of this record and the input file.
//!
//! It must not depend on the engine, the plan, a system or HTTP. No other module sends statements to a database.
//!
//! - [`Runs`]: where runs are kept; lists them, and lets one run at a time work on a target; [`LocalRuns`] is a folder
//! - [`StateDb`]: what the runs of one user share: epochs, calls, the register of run folders
//! - [`RunDir`], [`RunId`]: the folder of a run
//! - [`Ledger`]: one run's record: header, state, queries; over a `Store`, which is the database that keeps it
//! - [`Journal`]: writes to the ledger, for many tasks at the same time; one thread commits in groups
//! - [`Postgres`]: the connections to a ledger that several machines share
//! - [`MovingRun`]: moves a run from files into such a database
//! - [`judge`]: decides from a read-back what became of a write, during a run and on `resume`
//! - [`Ledger::net_changes_in`]: what a run's writes changed in total, for `undo`

mod brief_outcome;
mod check;
mod checksum;
mod chunk;
mod columns;
mod commit;
mod coordinator;
mod crash;
mod drift;
mod drifted_lines;
mod epochs;
mod error;
mod exclusive_lock;
mod facts;
mod folder_writers;
mod header;
mod header_columns;
mod holder;
mod journal;
mod lease;
mod lines;
mod mounts;
mod moving;
mod mutex;
mod net_changes;
mod orders;
mod outcome_columns;
mod outcomes;
mod pages;
mod postgres;
mod private;
mod progress;
mod prune;
mod queue;
mod read_back_verdict;
mod record;
mod record_place;
mod register;
mod remains;
mod renames;
mod run_dir;
mod run_id;
mod run_ledger;
mod runs;
mod sessions;
mod shard;
mod sqlite;
mod store;
mod touched;
mod unlooked;
mod waves;
mod write_columns;
mod write_fold;
mod writes;

pub use brief_outcome::BriefOutcome;
pub use check::Check;
pub use chunk::Chunk;
pub use coordinator::{Coordinator, Ended, NewPass, Next, Others, Standing};
pub use crash::crash_point;
pub use drift::DriftedLine;
pub use drifted_lines::DriftedLines;
pub use epochs::Epochs;
pub use error::{LedgerError, is_of_disk};
pub use exclusive_lock::ExclusiveLock;
pub use folder_writers::allow_group_write;
pub use header::Header;
pub use holder::{Holder, host, user};
pub use journal::{Journal, JournalThread, OpenSession, Session};
pub use lease::{Lease, Noted};
pub use lines::LineSet;
pub use moving::MovingRun;
pub use net_changes::WriteOrder;
pub use orders::{Order, Orders};
pub use outcomes::Outcomes;
#[cfg(test)]
pub(crate) use postgres::LedgerRate;
pub use postgres::{
    Address, Postgres, PostgresError, ReadPassword, Remark, Schema, Settings as PostgresSettings,
    SharedRuns, creation,
};
pub use private::PrivateFile;
pub use progress::{Phase, Progress, RunKind, State, StopReason};
pub use read_back_verdict::{Judgement, judge};
pub use record::{
    AtWork, Calls, Counted, Intent, NEVER_SENT, PastSession, Verdict, Write, WriteId, WriteRecord,
    WriteVerdict,
};
pub use record_place::RecordPlace;
pub use register::{RegisteredRun, Sameness};
pub use remains::{Pruned, Remains, RemovedFile};
pub use renames::NetRename;
pub use run_dir::{DEFAULT_RUNS_DIR, RunDir, absolute};
pub use run_id::RunId;
pub use run_ledger::{Ledger, NewLedger};
pub use runs::{ListedRun, RunToJoin, Runs};
pub use sqlite::{LocalRuns, StateCalls, StateDb};
pub use unlooked::{MOST_UNLOOKED, Unlooked, UnlookedLine};
pub use writes::UnitWrites;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use postgres::test_server;

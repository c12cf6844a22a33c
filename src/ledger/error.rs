//! What can go wrong with the record of a run. Each error names what failed, most also the next step.

use super::folder_writers::Writers;
use super::{PostgresError, RecordPlace};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why the record of a run could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no room left on the disk.
    #[error(
        "the disk is full: {} could not be written. Make room there",
        path.display()
    )]
    Full {
        /// The file that was written.
        path: PathBuf,
    },
    /// The file or its folder cannot be written to.
    #[error(
        "{} is read-only. Make the file and its folder writable for this user, or choose another `--runs-dir`",
        path.display()
    )]
    ReadOnly {
        /// The file that was written.
        path: PathBuf,
    },
    /// The disk reported an error while the ledger was written or read.
    #[error(
        "the disk failed under {}: {source}. Look at the disk and its room",
        path.display()
    )]
    Disk {
        /// The ledger.
        path: PathBuf,
        /// The database's error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The record contradicts itself.
    #[error(
        "the ledger {} is damaged: {what}. It was left as it is, and nothing was sent. Restore the run's folder from a copy, \
         or start a new run from {}: lines that are already done get the status unchanged",
        path.display(),
        path.with_file_name("input.csv").display()
    )]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A run that was killed while its ledger was made, so that nothing can have been written.
    #[error(
        "the run in {} was killed before it had begun; nothing was written. Give the same command again",
        path.parent().unwrap_or(path).display()
    )]
    Unbegun {
        /// The ledger.
        path: PathBuf,
    },
    /// A file of another program, or of another kind.
    #[error(
        "{} is not a ledger of idshift ({what}). It was left as it is; name the run's own folder",
        path.display()
    )]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// Why it is not a ledger.
        what: String,
    },
    /// The ledger in this folder belongs to another run.
    #[error(
        "{} is the ledger of run {found}, not of the run in whose folder it is. Put it back into the folder of run \
         {found}",
        path.display()
    )]
    OtherRun {
        /// The ledger.
        path: PathBuf,
        /// The run that it belongs to.
        found: String,
    },
    /// The ledger was made by a newer version.
    #[error(
        "{} was written by a newer idshift (its format is {found}, this program knows {known}). Use that version",
        path.display()
    )]
    Newer {
        /// The ledger.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this program knows.
        known: i64,
    },
    /// The ledger was made by an earlier version.
    #[error(
        "{} was written by an earlier idshift (its format is {found}, this program reads {known}). Use that version for this \
         run",
        path.display()
    )]
    Older {
        /// The ledger.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The format that this program reads.
        known: i64,
    },
    /// The file was moved or removed while it was written to.
    #[error(
        "the ledger {} was moved or removed during the run. Put the run's folder back",
        path.display()
    )]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// No such file.
    #[error("there is no ledger at {}. `idshift runs` lists the runs", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The run is kept in a database now.
    #[error(
        "the run in {} was moved to {place}, and can be continued only there: give --ledger with the address of that \
         database",
        folder.display()
    )]
    Moved {
        /// The folder of the run.
        folder: PathBuf,
        /// The database.
        place: String,
    },
    /// The ledger of a run that is to be moved is read by another process.
    #[error(
        "another process reads the ledger {} (an `idshift` command, or sqlite3). Wait for it, or end it; then give the command \
         again",
        path.display()
    )]
    InUse {
        /// The ledger.
        path: PathBuf,
    },
    /// The folder is a symbolic link.
    #[error(
        "{} is a symbolic link: another user could redirect personal data. Name the folder itself",
        path.display()
    )]
    Symlink {
        /// The folder.
        path: PathBuf,
    },
    /// Other users may write into the folder.
    #[error(
        "{writers} may write into {} (mode {mode:04o}{}). {}, or choose another folder (`--runs-dir`; XDG_STATE_HOME for the \
         state)",
        path.display(),
        if mode & 0o2000 == 0 { "" } else { "; Kubernetes sets this mode for `fsGroup`" },
        writers.remedy(path)
    )]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Who may write.
        writers: Writers,
    },
    /// A network file system, on which SQLite cannot share memory and locks are not reliable.
    #[error(
        "{} lies on a network file system ({kind}), where the ledger cannot be kept safely. Choose a `--runs-dir` on a local disk",
        path.display()
    )]
    NetworkDisk {
        /// The folder.
        path: PathBuf,
        /// The file system's name.
        kind: String,
    },
    /// The run exists already.
    #[error("{} exists already. Start again: the next run gets another ID", path.display())]
    Exists {
        /// The folder or file.
        path: PathBuf,
    },
    /// No run matches.
    #[error("no {wanted} in {place}; `idshift runs` lists all runs there")]
    NoRun {
        /// Where it was looked for: the folder or the database of the runs.
        place: RecordPlace,
        /// What was looked for, in words.
        wanted: String,
    },
    /// Several runs match.
    #[error("`{prefix}` matches several runs: {}. Give more characters of the ID", found.join(", "))]
    ManyRuns {
        /// What was given.
        prefix: String,
        /// The runs that fit.
        found: Vec<String>,
    },
    /// A text that cannot be the ID of a run.
    #[error("`{0}` is not the ID of a run; one looks like 20261120-223015-k3f9")]
    BadRunId(String),
    /// Another process works on the same target or run.
    #[error(
        "run {} holds this target: process {} on {} is at work (lock {lock}). Wait for it, or end it{}",
        holder.run, holder.pid, holder.host,
        free_in.map_or_else(String::new, |wait| format!(
            "; it has not renewed its lease for some seconds, and if it is gone, the target is free in {} s",
            wait.as_secs() + 1
        ))
    )]
    Held {
        /// The process that holds it.
        holder: super::Holder,
        /// The lock that it has, for messages.
        lock: String,
        /// How long until the lock is free if the process stays silent; `None`: the process is alive.
        free_in: Option<Duration>,
    },
    /// Another process has taken a run over, so this one may note nothing more.
    #[error(
        "the ledger in {at} accepts no more records from this process for run {run}: {why}. Every write was recorded \
         before it was sent; `idshift status {run}` shows which process works on it"
    )]
    TakenOver {
        /// Database, servers and role.
        at: String,
        /// The run.
        run: String,
        /// What has happened.
        why: String,
    },
    /// It cannot be determined whether another run works on the target.
    #[error(
        "{} cannot be used: {source}. The lock in it shows whether another run works on this target, so idshift does \
         nothing without it. Run as the user who owns it, or set XDG_STATE_HOME to one folder that every run on this \
         target shares and may write to",
        path.display()
    )]
    Unlockable {
        /// The lock file, or its folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The state database cannot be opened or written.
    #[error(
        "the state database in {} cannot be used: {why}. It records what other runs of this user did and do, so \
         idshift does nothing without it. Make its folder writable, move a damaged database away (run folders are \
         registered again), or set XDG_STATE_HOME to another folder that every run on this target shares",
        path.display()
    )]
    StateUnusable {
        /// The database, or its folder.
        path: PathBuf,
        /// What the operating system or SQLite said.
        why: String,
    },
    /// The operating system started no thread for the ledger.
    #[error("no thread could be started for the ledger {place}: {source}")]
    NoThread {
        /// The ledger.
        place: RecordPlace,
        /// The operating system's error.
        source: io::Error,
    },
    /// The journal was closed, or an earlier commit failed: nothing is accepted any more.
    #[error("{0}")]
    Journal(Arc<LedgerError>),
    /// The journal was closed in order.
    #[error("the journal of this run is closed already")]
    Closed,
    /// The operating system refused something.
    #[error("{} could not be {doing}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `read`, `written`, …
        doing: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
    /// A ledger in PostgreSQL cannot do this.
    #[error(
        "{what} that is kept in {at} cannot be made yet; `idshift report` and the tables of the ledger have the same \
         information"
    )]
    NotThere {
        /// What was asked for.
        what: &'static str,
        /// Database, servers and role.
        at: String,
    },
    /// A ledger in PostgreSQL cannot be used.
    #[error(transparent)]
    Postgres(PostgresError),
    /// The database refused something for another reason.
    #[error("the ledger {} could not be used: {source}", path.display())]
    Database {
        /// The ledger.
        path: PathBuf,
        /// The database's error.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Whether there is no room: the disk is full, a disk quota is used up, or the file would be too large.
fn is_full(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Whether the disk is full or has failed, so that the same operation may succeed later.
pub fn is_of_disk(why: &io::Error) -> bool {
    is_full(why) || why.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

impl LedgerError {
    /// Makes the error for what the operating system refused.
    pub(super) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            _ if is_full(&source) => Self::Full { path },
            _ if is_of_disk(&source) => Self::Disk {
                path,
                source: source.into(),
            },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io {
                path,
                doing,
                source,
            },
        }
    }

    /// Makes the error for a record that contradicts itself.
    pub(super) fn damaged(place: impl Into<RecordPlace>, what: impl Into<String>) -> Self {
        let what = what.into();
        match place.into() {
            RecordPlace::File(path) => Self::Damaged { path, what },
            RecordPlace::Database(at) => Self::Postgres(PostgresError::Damaged { at, why: what }),
        }
    }

    /// Returns the cause alone, without the path and the advice.
    pub(super) fn said(self) -> String {
        match self {
            Self::Disk { source, .. } | Self::Database { source, .. } => source.to_string(),
            Self::Io { source, .. } => source.to_string(),
            Self::ReadOnly { .. } => "it is read-only".to_owned(),
            Self::Damaged { what, .. } | Self::NotALedger { what, .. } => what,
            error => error.to_string(),
        }
    }

    /// Whether the disk is full or has failed: the run stops, and can be resumed when the disk works again.
    pub fn is_of_disk(&self) -> bool {
        matches!(self.root(), Self::Full { .. } | Self::Disk { .. })
    }

    /// Whether the failure is temporary: the database cannot be used now, but the operation can be repeated later.
    pub fn is_passing(&self) -> bool {
        matches!(self.root(), Self::Postgres(why) if why.is_passing())
    }

    /// Whether the error is about the database as a whole, so that other records there fail in the same way.
    pub fn is_of_database(&self) -> bool {
        let root = self.root();
        matches!(root, Self::Postgres(why) if !matches!(why, PostgresError::Damaged { .. }))
    }

    /// The failure behind [`LedgerError::Journal`], or this one.
    pub fn root(&self) -> &Self {
        match self {
            Self::Journal(inner) => inner.root(),
            other => other,
        }
    }
}

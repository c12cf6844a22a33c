//! The state database: what the runs of one user on one machine share, whatever folder they are kept in.
//!
//! It holds, in one SQLite file in the user's state folder: which process works on a target, the epoch (a counter that
//! every process of a run raises, so that "newer" never depends on a clock), the calls that count against quotas, a
//! register of run folders, and which targets are one system under several addresses.
//!
//! A lost state database loses nothing that the run folders still have: each ledger stores its epoch, and run folders
//! are registered again when they are found. In-process sandboxes use no state database.

use super::rows::failed;
use crate::ledger::{Holder, LedgerError, RegisteredRun, Sameness, mounts, private};
use etcetera::base_strategy::{BaseStrategy, Xdg};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The database's name in its folder.
const FILE: &str = "state.db";
/// `idst`: marks the file as ours.
const APPLICATION_ID: i64 = 0x6964_7374;
/// The format that this program reads and writes.
const VERSION: i64 = 2;
/// Upgrades the format before this one: its calls did not record from which local address they were sent.
const UPGRADE: &str = "ALTER TABLE calls ADD COLUMN address TEXT NOT NULL DEFAULT '';";

const DDL: &str = "
CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL) STRICT;
INSERT INTO counter (id, epoch) VALUES (1, 0);
-- The register of run folders.
CREATE TABLE runs (
    path TEXT PRIMARY KEY, run TEXT NOT NULL, system TEXT NOT NULL, target TEXT NOT NULL, epoch INTEGER NOT NULL,
    -- Whether it has changed account IDs, or may have.
    renames INTEGER NOT NULL,
    -- A customer that it has changed, by which its system is recognised at another address.
    customer_id TEXT, reseller TEXT
) STRICT, WITHOUT ROWID;
-- Whether two targets are one system, and the highest epoch of `other` when that was found out.
CREATE TABLE same_system (
    target TEXT NOT NULL, other TEXT NOT NULL, same INTEGER NOT NULL, epoch INTEGER NOT NULL,
    PRIMARY KEY (target, other)
) STRICT, WITHOUT ROWID;
-- Who took the lock of a target last; the kernel knows whether the lock is still held.
CREATE TABLE holders (
    target TEXT PRIMARY KEY, run TEXT NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Calls that count against the quota of a target, by the process that reserved them, and by the local address that they
-- are sent from; none: the operating system chose it.
CREATE TABLE calls (
    target TEXT NOT NULL, owner INTEGER NOT NULL, wall_ms INTEGER NOT NULL, boot_ms INTEGER, boot_id TEXT NOT NULL,
    calls INTEGER NOT NULL, address TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX calls_by_target ON calls (target);
";

/// The state database of this user.
#[derive(Debug)]
pub struct StateDb {
    connection: Mutex<Connection>,
    folder: PathBuf,
}

impl StateDb {
    /// Opens the user's state database, and makes it where it is missing.
    pub fn open() -> Result<Self, LedgerError> {
        let folder = state_folder().ok_or_else(|| LedgerError::StateUnusable {
            path: PathBuf::from("idshift"),
            why: "the home folder of this user is not known; set HOME to an absolute path"
                .to_owned(),
        })?;
        Self::open_in(&folder)
    }

    /// Opens the state database in this folder, and makes it where it is missing.
    pub(crate) fn open_in(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(FILE);
        let refused = |why| of_state(folder, LedgerError::io(&path, "opened", why));
        private::create_folder(folder, true).map_err(refused)?;
        private::check_folder(folder)?;
        // Closed before SQLite opens it: closing it later would free SQLite's own locks.
        drop(private::open_private(&path).map_err(refused)?);
        let connection = connect(&path)?;
        Ok(Self {
            connection: Mutex::new(connection),
            folder: folder.to_owned(),
        })
    }

    /// The database's file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// The folder in which the database and the locks lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // SQLite rolls back by itself a transaction that a panic left open.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with<T>(
        &self,
        ask: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        ask(&mut self.lock()).map_err(|why| unusable(&self.path(), why))
    }

    /// Raises the epoch above its last value and above this one, and returns it.
    pub fn next_epoch(&self, above: u64) -> Result<u64, LedgerError> {
        let sql = "UPDATE counter SET epoch = max(epoch, ?1) + 1 RETURNING epoch";
        self.with(|db| db.query_row(sql, [above.cast_signed()], |row| row.get::<_, i64>(0)))
            .map(i64::cast_unsigned)
    }

    /// Puts a run folder into the register, in place of what was registered under its path, and of the same run in a
    /// folder that is not there any more.
    pub fn register(&self, run: &RegisteredRun) -> Result<(), LedgerError> {
        let (customer, reseller) = match &run.customer {
            None => (None, None),
            Some((customer, reseller)) => (Some(customer), reseller.as_ref()),
        };
        self.with(|db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let former: Vec<String> = transaction
                .prepare_cached("SELECT path FROM runs WHERE run = ?1 AND path <> ?2")?
                .query_map(params![run.run, text(&run.path)], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for path in former.iter().filter(|path| !Path::new(path).exists()) {
                transaction.execute("DELETE FROM runs WHERE path = ?1", [path])?;
            }
            transaction.execute(
                "INSERT OR REPLACE INTO runs (path, run, system, target, epoch, renames, customer_id, reseller) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    text(&run.path),
                    run.run,
                    run.system,
                    run.target,
                    run.epoch.cast_signed(),
                    run.renames,
                    customer,
                    reseller
                ],
            )?;
            transaction.commit()
        })
    }

    /// All registered runs, the highest epoch first.
    pub fn runs(&self) -> Result<Vec<RegisteredRun>, LedgerError> {
        let sql = "SELECT path, run, system, target, epoch, renames, customer_id, reseller FROM runs \
                   ORDER BY epoch DESC, run DESC";
        self.with(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let runs = statement.query_map((), registered)?;
            runs.collect()
        })
    }

    /// Removes a run folder from the register; returns whether it was registered.
    pub fn forget(&self, path: &Path) -> Result<bool, LedgerError> {
        let sql = "DELETE FROM runs WHERE path = ?1";
        self.with(|db| db.execute(sql, [text(path)]))
            .map(|rows| rows > 0)
    }

    /// Whether two targets are one system; `None`: not known yet.
    pub fn sameness(&self, target: &str, other: &str) -> Result<Option<Sameness>, LedgerError> {
        let sql = "SELECT same, epoch FROM same_system WHERE target = ?1 AND other = ?2";
        self.with(|db| {
            db.query_row(sql, [target, other], |row| {
                Ok(Sameness {
                    same: row.get(0)?,
                    epoch: row.get::<_, i64>(1)?.cast_unsigned(),
                })
            })
            .optional()
        })
    }

    /// Stores whether two targets are one system. If they are, this is stored for both.
    pub fn set_sameness(
        &self,
        target: &str,
        other: &str,
        found: Sameness,
    ) -> Result<(), LedgerError> {
        let sql = "INSERT OR REPLACE INTO same_system (target, other, same, epoch) VALUES (?1, ?2, ?3, ?4)";
        self.with(|db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let epoch = found.epoch.cast_signed();
            transaction.execute(sql, params![target, other, found.same, epoch])?;
            if found.same {
                transaction.execute(sql, params![other, target, true, epoch])?;
            }
            transaction.commit()
        })
    }

    /// Stores the process that has the lock of a target.
    pub(super) fn set_holder(&self, target: &str, holder: &Holder) -> Result<(), LedgerError> {
        let sql = "INSERT OR REPLACE INTO holders (target, run, pid, host) VALUES (?1, ?2, ?3, ?4)";
        let values = params![target, holder.run, holder.pid, holder.host];
        self.with(|db| db.execute(sql, values)).map(drop)
    }

    /// The process that took the lock of a target last.
    pub(super) fn holder(&self, target: &str) -> Result<Holder, LedgerError> {
        let sql = "SELECT run, pid, host FROM holders WHERE target = ?1";
        let read = |row: &Row<'_>| {
            Ok(Holder {
                run: row.get(0)?,
                pid: row.get(1)?,
                host: row.get(2)?,
            })
        };
        self.with(|db| db.query_row(sql, [target], read).optional())
            .map(Option::unwrap_or_default)
    }
}

fn registered(row: &Row<'_>) -> rusqlite::Result<RegisteredRun> {
    let customer: Option<String> = row.get(6)?;
    let reseller: Option<String> = row.get(7)?;
    Ok(RegisteredRun {
        path: row.get::<_, String>(0)?.into(),
        run: row.get(1)?,
        system: row.get(2)?,
        target: row.get(3)?,
        epoch: row.get::<_, i64>(4)?.cast_unsigned(),
        renames: row.get(5)?,
        customer: customer.map(|customer| (customer, reseller)),
    })
}

/// Converts a path to text. A path that is not text is kept as near to it as possible; its folder is registered again each time.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn unusable(path: &Path, why: rusqlite::Error) -> LedgerError {
    of_state(path, failed(path, why))
}

/// Makes an error about the state database, for which `--runs-dir` is no remedy.
fn of_state(path: &Path, error: LedgerError) -> LedgerError {
    match error {
        error if error.is_of_disk() => error,
        error => LedgerError::StateUnusable {
            path: path.to_owned(),
            why: error.said(),
        },
    }
}

fn connect(path: &Path) -> Result<Connection, LedgerError> {
    match set_up(path).map_err(|why| unusable(path, why))? {
        Ok(connection) => Ok(connection),
        Err(why) => Err(LedgerError::StateUnusable {
            path: path.to_owned(),
            why,
        }),
    }
}

/// Opens the database and sets it up. The text says why a readable file is not a state database of this version.
fn set_up(path: &Path) -> rusqlite::Result<Result<Connection, String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // As in `schema::connect`: a name that begins with `file:` would be taken for a URI.
    let mut connection = Connection::open_with_flags(Path::new(".").join(path), flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    // The write-ahead log needs memory that all processes share, which a network file system does not have.
    let journal = match mounts::network_file_system(path) {
        Some(_) => "delete",
        None => "wal",
    };
    connection.pragma_update(None, "journal_mode", journal)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |name: &str| transaction.pragma_query_value(None, name, |row| row.get(0));
    let (application, version): (i64, i64) = (number("application_id")?, number("user_version")?);
    if (application, version) == (0, 0) {
        transaction.execute_batch(DDL)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    } else if (application, version) == (APPLICATION_ID, VERSION - 1) {
        transaction.execute_batch(UPGRADE)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    } else if (application, version) != (APPLICATION_ID, VERSION) {
        return Ok(Err(format!("its format is {application:#x}, {version}")));
    }
    transaction.commit()?;
    Ok(Ok(connection))
}

/// `$XDG_STATE_HOME/idshift`, or below `~/.local/state`.
fn state_folder() -> Option<PathBuf> {
    let folder = Xdg::new().ok()?.state_dir()?.join("idshift");
    // Below a relative `HOME`, a run in another working folder would not find it.
    folder.is_absolute().then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, epoch: u64) -> RegisteredRun {
        RegisteredRun {
            path: path.into(),
            run: "20261120-223015-k3f9".to_owned(),
            system: "plume".to_owned(),
            target: "plume https://x".to_owned(),
            epoch,
            renames: true,
            customer: Some(("C-1".to_owned(), None)),
        }
    }

    #[test]
    fn read_only_folder_error_names_the_setting_to_change() {
        let path = Path::new("/nonexistent/idshift/state.db");
        let disk = std::io::ErrorKind::ReadOnlyFilesystem.into();
        let sqlite = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        for refused in [
            of_state(path, LedgerError::io(path, "opened", disk)),
            unusable(path, rusqlite::Error::SqliteFailure(sqlite, None)),
        ] {
            let words = refused.to_string();
            assert!(words.contains("is read-only"), "{words}");
            assert!(words.contains("XDG_STATE_HOME"), "{words}");
            assert!(!words.contains("--runs-dir"), "{words}");
        }
    }

    #[test]
    fn epochs_rise_above_all_that_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDb::open_in(folder.path()).unwrap();
        assert_eq!(state.next_epoch(0).unwrap(), 1);
        assert_eq!(state.next_epoch(7).unwrap(), 8);
        assert_eq!(state.next_epoch(3).unwrap(), 9);
        drop(state);
        let again = StateDb::open_in(folder.path()).unwrap();
        assert_eq!(again.next_epoch(0).unwrap(), 10);
    }

    #[test]
    fn a_folder_that_was_moved_takes_the_place_of_the_former_one() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDb::open_in(folder.path()).unwrap();
        state.register(&run("/nonexistent/a", 1)).unwrap();
        let there = folder.path().to_str().unwrap();
        state.register(&run(there, 1)).unwrap();
        assert_eq!(state.runs().unwrap(), [run(there, 1)]);
        assert!(state.forget(folder.path()).unwrap());
        assert!(!state.forget(folder.path()).unwrap());
    }

    #[test]
    fn sameness_is_symmetric_but_difference_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDb::open_in(folder.path()).unwrap();
        let yes = Sameness {
            same: true,
            epoch: 3,
        };
        let no = Sameness { same: false, ..yes };
        state.set_sameness("a", "b", yes).unwrap();
        state.set_sameness("a", "c", no).unwrap();
        assert_eq!(state.sameness("b", "a").unwrap(), Some(yes));
        assert_eq!(state.sameness("a", "c").unwrap(), Some(no));
        assert_eq!(state.sameness("c", "a").unwrap(), None);
    }

    #[test]
    fn foreign_file_is_refused_and_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        std::fs::write(
            &path,
            "no database, and longer than one page would have to be",
        )
        .unwrap();
        let error = StateDb::open_in(folder.path()).unwrap_err();
        assert!(
            matches!(error, LedgerError::StateUnusable { .. }),
            "{error}"
        );
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .starts_with("no database")
        );
    }

    #[test]
    fn previous_format_is_upgraded() {
        let folder = tempfile::tempdir().unwrap();
        drop(StateDb::open_in(folder.path()).unwrap());
        let old = Connection::open(folder.path().join("state.db")).unwrap();
        old.execute_batch("ALTER TABLE calls DROP COLUMN address; PRAGMA user_version = 1;")
            .unwrap();
        drop(old);
        let state = StateDb::open_in(folder.path()).unwrap();
        let from = ("t", "10.0.0.1");
        state
            .change_calls(from, 1, &mut |before| {
                assert_eq!(before, []);
                before
            })
            .unwrap();
    }

    #[test]
    fn state_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("state");
        let state = StateDb::open_in(&folder).unwrap();
        state.next_epoch(0).unwrap();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}

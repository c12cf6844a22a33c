//! This process in the ledger: its row, which a thread renews each second, and what it holds alone.
//!
//! A hold ends when it is dropped. If the process was killed, the hold ends when the lease is over and no call that the
//! process began can arrive any more; or immediately, if another process of the same machine sees that the process is gone.

use super::error::PostgresError;
use super::rows::PgRow;
use super::statement::Statement;
use super::thread::Postgres;
use crate::ledger::columns::{Fault, Row};
use crate::ledger::lease::Lease;
use crate::ledger::mutex::lock;
use crate::ledger::{Holder, LedgerError, host};
use crate::moment::since_boot;
use std::fs;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process keeps what it holds without a renewal.
const LEASE: Duration = Duration::from_secs(15);
/// How often the lease is renewed.
const RENEWAL: Duration = Duration::from_secs(1);
/// A process that has not renewed its lease for this time may be gone.
const SILENCE: Duration = Duration::from_secs(3);

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    postgres: Postgres,
    /// Its name in the ledger, which no other process has.
    name: String,
    machine: String,
    /// How long a call that this process has begun may take, in milliseconds.
    grace_ms: AtomicI64,
    /// How long to wait for a ledger that is away.
    patience: Duration,
    holds: AtomicUsize,
    /// How often the ledger has found the lease over at a renewal, and the lease since then.
    lease: Mutex<(Option<i64>, Lease)>,
    renewal: Mutex<Option<thread::JoinHandle<()>>>,
    /// Why the ledger was given up: no later statement waits for it.
    given_up: Mutex<Option<PostgresError>>,
}

impl Process {
    pub(super) fn of(postgres: Postgres, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            name: format!(
                "{}-{}-{:016x}",
                host(),
                std::process::id(),
                fastrand::u64(..)
            ),
            machine: machine(),
            grace_ms: AtomicI64::new(0),
            patience,
            holds: AtomicUsize::new(0),
            lease: Mutex::new((None, Lease::over())),
            renewal: Mutex::default(),
            given_up: Mutex::default(),
            postgres,
        })
    }

    /// Sets how long a call that this process begins may take.
    pub(super) fn allow_calls_of(&self, call_timeout: Duration) {
        let grace = milliseconds(call_timeout + Duration::from_secs(1));
        self.grace_ms.fetch_max(grace, Ordering::Relaxed);
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Database, servers and role, for people.
    pub(super) fn place(&self) -> &str {
        self.postgres.place()
    }

    pub(super) fn damaged(&self, fault: &Fault) -> LedgerError {
        self.postgres.damaged(fault)
    }

    /// Carries a statement out, and reads each row of its answer.
    pub(super) fn rows<T>(
        &self,
        statement: Statement,
        read: impl Fn(&PgRow<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, LedgerError> {
        self.asked(|postgres| postgres.rows(statement, read))
    }

    /// Carries a statement out, and reads the one row of its answer.
    pub(super) fn row<T>(
        &self,
        statement: Statement,
        read: impl Fn(&PgRow<'_>) -> Result<T, Fault>,
    ) -> Result<T, LedgerError> {
        self.asked(|postgres| postgres.row(statement, read))
    }

    fn asked<T>(
        &self,
        ask: impl FnOnce(&Postgres) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        if let Some(why) = lock(&self.given_up).clone() {
            return Err(LedgerError::Postgres(why));
        }
        let begun = Instant::now();
        let asked = ask(&self.postgres);
        if let Err(LedgerError::Postgres(why)) = &asked
            && begun.elapsed() > self.patience / 2
        {
            *lock(&self.given_up) = Some(why.clone());
        }
        asked
    }

    /// Takes these holds for a run, all of them or none, or says which process has one ([`LedgerError::Held`]).
    pub(super) fn take(
        self: &Arc<Self>,
        names: Vec<String>,
        run: &str,
    ) -> Result<HeldTokens, LedgerError> {
        self.take_as(names, run, false)
    }

    /// Takes these holds as [`Process::take`] does; other processes may have them for the same run, if they take them
    /// in this way, too.
    pub(super) fn take_with_others(
        self: &Arc<Self>,
        names: Vec<String>,
        run: &str,
    ) -> Result<HeldTokens, LedgerError> {
        self.take_as(names, run, true)
    }

    fn take_as(
        self: &Arc<Self>,
        mut names: Vec<String>,
        run: &str,
        with_others: bool,
    ) -> Result<HeldTokens, LedgerError> {
        names.sort_unstable();
        names.dedup();
        let token = format!("{:016x}{:016x} ", fastrand::u64(..), fastrand::u64(..));
        let mut gone = Vec::new();
        loop {
            let taking = self.taking(&names, run, &token, &gone).with(with_others);
            let holders = self.rows(taking, Found::read)?;
            let before = gone.len();
            gone.extend(
                holders
                    .iter()
                    .filter(|one| self.knows_gone(one))
                    .map(|one| one.process.clone()),
            );
            match holders.into_iter().find(|one| !gone.contains(&one.process)) {
                Some(found) => return Err(self.held(found)),
                None if gone.len() > before => {}
                None => break,
            }
        }
        self.keep_renewing()?;
        self.holds.fetch_add(1, Ordering::Relaxed);
        let tokens = names.iter().map(|name| format!("{token}{name}"));
        Ok(HeldTokens {
            tokens: tokens.collect(),
            process: Arc::clone(self),
        })
    }

    fn taking(&self, names: &[String], run: &str, token: &str, gone: &[String]) -> Statement {
        let sql = "SELECT run, process, host, pid, machine, seen_ms, free_ms \
                   FROM take($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        Statement::repeatable(sql)
            .with(self.name.clone())
            .with(host())
            .with(i64::from(std::process::id()))
            .with(self.machine.clone())
            .with(milliseconds(LEASE))
            .with(self.grace_ms.load(Ordering::Relaxed))
            .with(names.to_vec())
            .with(run.to_owned())
            .with(token.to_owned())
            .with(gone.to_vec())
    }

    /// Whether a living process has this hold for this run.
    pub(super) fn is_held_for(&self, name: &str, run: &str) -> Result<bool, LedgerError> {
        Ok(self.holder(name, run)?.is_some())
    }

    /// Fails if a living process has this hold for this run, and names that process.
    pub(super) fn refuse_if_held_for(&self, name: &str, run: &str) -> Result<(), LedgerError> {
        match self.holder(name, run)? {
            Some(found) => Err(self.held(found)),
            None => Ok(()),
        }
    }

    fn holder(&self, name: &str, run: &str) -> Result<Option<Found>, LedgerError> {
        let sql = "SELECT h.run, q.process, q.host, q.pid, q.machine, \
                   (extract(epoch FROM clock_timestamp() - q.seen_at) * 1000)::bigint, \
                   (extract(epoch FROM q.held_until + q.grace - clock_timestamp()) * 1000)::bigint \
                   FROM hold h JOIN process q USING (process) \
                   WHERE h.name = $1 AND h.run = $2 AND q.held_until + q.grace >= clock_timestamp()";
        let ask = Statement::repeatable(sql).with(name.to_owned());
        let found = self.rows(ask.with(run.to_owned()), Found::read)?;
        Ok(found.into_iter().find(|one| !self.knows_gone(one)))
    }

    /// Returns the processes with sessions of a run that this machine knows to have ended.
    pub(super) fn gone_from(&self, run: &str) -> Result<Vec<String>, LedgerError> {
        self.gone(Some(run))
    }

    /// Returns the processes with sessions of any run that this machine knows to have ended.
    pub(super) fn gone_from_all(&self) -> Result<Vec<String>, LedgerError> {
        self.gone(None)
    }

    fn gone(&self, run: Option<&str>) -> Result<Vec<String>, LedgerError> {
        let sql = "SELECT s.run, q.process, q.host, q.pid, q.machine, 0::bigint, 0::bigint \
                   FROM sessions s JOIN process q USING (process) WHERE ($1::text IS NULL OR s.run = $1) AND s.ended IS NULL";
        self.gone_of(Statement::repeatable(sql).with(run.map(str::to_owned)))
    }

    /// Returns the processes of an answer that this machine knows to have ended.
    pub(super) fn gone_of(&self, ask: Statement) -> Result<Vec<String>, LedgerError> {
        let found = self.rows(ask, Found::read)?;
        let gone = found.into_iter().filter(|one| self.knows_gone(one));
        Ok(gone.map(|one| one.process).collect())
    }

    /// Whether it is certain that a process has ended: it ran on this machine since its last start, and does not exist any more.
    fn knows_gone(&self, found: &Found) -> bool {
        if self.machine.is_empty() || found.machine != self.machine {
            return false;
        }
        let number = i32::try_from(found.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        number.is_some_and(|number| {
            rustix::process::test_kill_process(number) == Err(rustix::io::Errno::SRCH)
        })
    }

    fn held(&self, found: Found) -> LedgerError {
        let is_silent = found.seen > SILENCE;
        LedgerError::Held {
            holder: Holder {
                run: found.run,
                pid: u32::try_from(found.pid).unwrap_or(0),
                host: found.host,
            },
            lock: format!("in {}", self.place()),
            free_in: is_silent.then_some(found.free_in),
        }
    }

    /// Returns the lease of what this process holds; renews it if it is over.
    pub(super) fn lease(&self) -> Result<Lease, LedgerError> {
        let known = lock(&self.lease).1.clone();
        if known.holds() {
            return Ok(known);
        }
        self.renew(|renewal| self.rows(renewal, |row| row.required(0)))
    }

    /// Renews the lease. If it was over, so that another process could take what this one holds, returns a new lease;
    /// the former one stays over.
    fn renew(
        &self,
        ask: impl FnOnce(Statement) -> Result<Vec<i64>, LedgerError>,
    ) -> Result<Lease, LedgerError> {
        let sent = since_boot();
        let renewal = Statement::repeatable("SELECT lapses FROM renew($1, $2) lapses")
            .with(self.name.clone())
            .with(milliseconds(LEASE));
        let lapses = ask(renewal)?.pop();
        let mut lease = lock(&self.lease);
        if lapses.is_none() || lapses != lease.0 {
            lease.1.end();
            *lease = (lapses, Lease::over());
        }
        if lapses.is_some() {
            lease.1.renew(sent, LEASE);
        }
        Ok(lease.1.clone())
    }

    /// Starts the thread that renews, once.
    fn keep_renewing(self: &Arc<Self>) -> Result<(), LedgerError> {
        let mut renewal = lock(&self.renewal);
        if renewal.is_none() {
            let process = Arc::downgrade(self);
            let thread = thread::Builder::new()
                .name("lease".to_owned())
                .spawn(move || renew(&process))
                .map_err(|why| {
                    self.postgres.unfit(format!(
                        "the thread that renews the lease cannot be started: {why}"
                    ))
                })?;
            *renewal = Some(thread);
        }
        Ok(())
    }
}

/// Renews the lease each second, until the [`Process`] is dropped.
fn renew(process: &Weak<Process>) {
    loop {
        thread::park_timeout(RENEWAL);
        let Some(process) = process.upgrade() else {
            return;
        };
        if process.holds.load(Ordering::Relaxed) > 0 {
            let postgres = &process.postgres;
            // Not reported here: if this fails, noting fails, too, and says why.
            if process
                .renew(|renewal| postgres.rows(renewal, |row| row.required(0)))
                .is_ok()
            {
                *lock(&process.given_up) = None;
            }
        }
    }
}

/// Another process that holds something.
struct Found {
    run: String,
    process: String,
    host: String,
    pid: i64,
    machine: String,
    seen: Duration,
    free_in: Duration,
}

impl Found {
    fn read(row: &PgRow<'_>) -> Result<Self, Fault> {
        let text = |at| row.word(at).map(str::to_owned);
        let time = |at| {
            let ms: i64 = row.required(at)?;
            Ok::<_, Fault>(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
        };
        Ok(Self {
            run: text(0)?,
            process: text(1)?,
            host: text(2)?,
            pid: row.required(3)?,
            machine: text(4)?,
            seen: time(5)?,
            free_in: time(6)?,
        })
    }
}

/// What a process holds alone, as long as this value lives.
#[derive(Debug)]
pub(super) struct HeldTokens {
    process: Arc<Process>,
    tokens: Vec<String>,
}

impl HeldTokens {
    /// The token of the first hold.
    pub(super) fn first(&self) -> &str {
        self.tokens.first().map_or("", String::as_str)
    }
}

impl Drop for HeldTokens {
    fn drop(&mut self) {
        self.process.holds.fetch_sub(1, Ordering::Relaxed);
        if self.tokens.is_empty() {
            return;
        }
        let free = Statement::repeatable("DELETE FROM hold WHERE token = ANY ($1)")
            .with(self.tokens.clone());
        // If this fails, the holds end with the lease.
        let _ = self.process.rows(free, |_| Ok(()));
    }
}

/// Identifies this machine since its last start, and the processes that are visible there; empty: unknown.
fn machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let numbers = fs::read_link("/proc/self/ns/pid");
    match (boot, numbers) {
        (Ok(boot), Ok(numbers)) => format!("{} {}", boot.trim(), numbers.display()),
        _ => String::new(),
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

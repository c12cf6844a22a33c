//! The ranges of lines into which the work of several processes on one run is divided. A session has its chunks as long as
//! its process renews its lease; what is noted of a chunk that is another's by then is left out (`super::commit`).

use super::process::Process;
use super::statement::Statement;
use crate::ledger::chunk::Chunk;
use crate::ledger::columns::{Fault, Row};
use crate::ledger::shares::{Ended, NewPass, Next, Others, Shares, Standing};
use crate::ledger::{AtWork, LedgerError, crash_point};
use std::sync::atomic::{AtomicBool, AtomicI16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The chunks of a run, for one session.
#[derive(Debug)]
pub(super) struct PgChunks {
    process: Arc<Process>,
    run: String,
    session: i32,
    pass: AtomicI16,
    /// Those that the session has; one at a time asks for another.
    own: Mutex<Vec<Arc<Chunk>>>,
    /// The session got a chunk: its next writes are numbered after all that were noted of the chunk before.
    renumbers: Arc<AtomicBool>,
}

impl PgChunks {
    pub(super) fn of(
        process: &Arc<Process>,
        run: &str,
        session: i32,
        renumbers: &Arc<AtomicBool>,
    ) -> Result<Self, LedgerError> {
        let ask = Statement::repeatable("SELECT pass FROM progress WHERE run = $1");
        let pass = process.row(ask.with(run.to_owned()), |row| row.required(0))?;
        Ok(Self {
            process: Arc::clone(process),
            run: run.to_owned(),
            session,
            pass: AtomicI16::new(pass),
            own: Mutex::default(),
            renumbers: Arc::clone(renumbers),
        })
    }

    fn about(&self, sql: &'static str) -> Statement {
        Statement::repeatable(sql).with(self.run.clone())
    }

    fn pass(&self) -> i16 {
        self.pass.load(Ordering::Relaxed)
    }

    fn own(&self) -> MutexGuard<'_, Vec<Arc<Chunk>>> {
        // It is whole between any two statements.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next chunk of the pass that no other session works on; `None`: there is none now.
    fn claim(&self) -> Result<Option<Arc<Chunk>>, LedgerError> {
        let (mut own, pass) = (self.own(), self.pass());
        own.retain(|chunk| !chunk.is_taken());
        let known = own.iter().filter(|chunk| chunk.pass == pass);
        let known: Vec<i32> = known.map(|chunk| chunk.number).collect();
        let gone = self.process.gone_from(&self.run)?;
        let claim = self.about("SELECT n, lease, lo, hi FROM claim($1, $2, $3, $4, $5)");
        let claim = claim.with(pass).with(self.session).with(known).with(gone);
        let claimed = self.process.rows(claim, |row| {
            let lines = row.required(2)?..=row.required(3)?;
            let place = (pass, row.required(0)?);
            Ok(Chunk::new(place, row.required(1)?, lines))
        })?;
        let claimed = claimed.into_iter().next();
        if let Some(chunk) = &claimed {
            self.renumbers.store(true, Ordering::Release);
            own.push(Arc::clone(chunk));
        }
        Ok(claimed)
    }

    /// Whether no chunk of the pass is left, whoever has it; or another pass has begun.
    fn is_over(&self) -> Result<bool, LedgerError> {
        let sql = "SELECT NOT EXISTS (SELECT FROM chunk WHERE run = $1 AND pass = $2 AND state <> 'done')";
        self.process
            .row(self.about(sql).with(self.pass()), |row| row.truth(0))
    }

    fn gone(&self) -> Result<Vec<String>, LedgerError> {
        self.process.gone_from(&self.run)
    }
}

/// The processes that work on a run now.
pub(super) fn at_work(process: &Process, run: &str) -> Result<Vec<AtWork>, LedgerError> {
    let sql = "SELECT s.host, s.pid, s.ended_lines, s.failed_lines, \
               (extract(epoch FROM clock_timestamp() - q.seen_at) * 1000)::bigint \
               FROM sessions s JOIN process q USING (process) WHERE s.run = $1 \
               AND s.session IN (SELECT * FROM at_work($1, $2)) ORDER BY s.session";
    let ask = Statement::repeatable(sql).with(run.to_owned());
    process.rows(ask.with(process.gone_from(run)?), |row| {
        let number = |at| Ok::<_, Fault>(u64::try_from(row.required::<i64>(at)?).unwrap_or(0));
        Ok(AtWork {
            host: row.word(0)?.to_owned(),
            pid: row.required(1)?,
            lines: number(2)?,
            failed: number(3)?,
            silent_ms: number(4)?,
        })
    })
}

impl Shares for PgChunks {
    fn open(&self, pass: &NewPass<'_>) -> Result<(), LedgerError> {
        let numbers: Vec<i32> = (0..).take(pass.chunks.len()).collect();
        let first = pass.chunks.iter().map(|lines| i64::from(*lines.start()));
        let last = pass.chunks.iter().map(|lines| i64::from(*lines.end()));
        let (first, last): (Vec<i64>, Vec<i64>) = (first.collect(), last.collect());
        crash_point();
        let open = self.about("SELECT open_pass($1, $2, $3, $4, $5, $6, $7, $8)");
        let open = open.with(self.session).with(self.pass());
        let open = open.with(numbers).with(first).with(last);
        let open = open.with(pass.is_alone).with(pass.plan_digest.to_owned());
        if !self.process.row(open, |row| row.truth(0))? {
            return Err(LedgerError::TakenOver {
                at: self.process.place().to_owned(),
                run: self.run.clone(),
                why: "another process works on it".to_owned(),
            });
        }
        crash_point();
        self.own().clear();
        self.pass.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn plan_digest(&self) -> Result<String, LedgerError> {
        let ask = self.about("SELECT units_digest FROM progress WHERE run = $1");
        self.process.row(ask, |row| Ok(row.word(0)?.to_owned()))
    }

    fn next(&self) -> Result<Next, LedgerError> {
        if let Some(chunk) = self.claim()? {
            return Ok(Next::Chunk(chunk));
        }
        let is_over = self.own().is_empty() && self.is_over()?;
        Ok(if is_over { Next::Over } else { Next::Wait })
    }

    fn done(&self, chunk: &Arc<Chunk>) -> Result<(), LedgerError> {
        crash_point();
        let sql = "UPDATE chunk SET state = 'done' \
                   WHERE run = $1 AND pass = $2 AND n = $3 AND session = $4 AND lease = $5";
        let done = self.about(sql).with(chunk.pass).with(chunk.number);
        let done = done.with(self.session).with(chunk.lease);
        let mut own = self.own();
        self.process.rows(done, |_| Ok(()))?;
        own.retain(|one| !Arc::ptr_eq(one, chunk));
        Ok(())
    }

    fn tell(&self, ended: Ended, most: Option<u64>) -> Result<Others, LedgerError> {
        let sql =
            "SELECT others, others_failed, standing, part FROM tell($1, $2, $3, $4, $5, $6, $7)";
        let tell = self.about(sql).with(self.session).with(self.pass());
        let tell = tell.with(ended.lines.cast_signed());
        let most = most.map(|most| i64::try_from(most).unwrap_or(i64::MAX).min(i64::MAX / 4));
        let tell = tell.with(ended.failed.cast_signed()).with(most);
        let tell = tell.with(self.gone()?);
        self.process.row(tell, |row| {
            let number = |at| Ok::<_, Fault>(row.required::<i64>(at)?.cast_unsigned());
            Ok(Others {
                ended: Ended {
                    lines: number(0)?,
                    failed: number(1)?,
                },
                standing: match row.word(2)? {
                    "goes_on" => Standing::GoesOn,
                    "stands_by" => Standing::StandsBy,
                    _ => Standing::Over,
                },
                may_fail: number(3)?,
            })
        })
    }

    fn leads(&self) -> Result<bool, LedgerError> {
        let ask = self.about("SELECT leads($1, $2, $3)");
        let ask = ask.with(self.session).with(self.gone()?);
        self.process.row(ask, |row| row.truth(0))
    }

    fn others(&self) -> Result<u64, LedgerError> {
        let ask = self.about("SELECT count(*) FROM at_work($1, $3) x WHERE x <> $2");
        let ask = ask.with(self.session).with(self.gone()?);
        let others: i64 = self.process.row(ask, |row| row.required(0))?;
        Ok(others.cast_unsigned())
    }
}

//! The ranges of lines into which the work of several processes on one run is divided. A session has its chunks as long as
//! its process renews its lease. What it notes of a chunk that another session has by then is left out (`super::commit`).

use super::process_lease::Process;
use super::statement::Statement;
use crate::domain::Line;
use crate::ledger::chunk::Chunk;
use crate::ledger::columns::{Fault, Row};
use crate::ledger::coordinator::{Coordinator, Ended, NewPass, Next, Others, Standing};
use crate::ledger::mutex::lock;
use crate::ledger::{AtWork, LedgerError, crash_point};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicI16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// How many numbers for writes come with each chunk; a session that needs more asks for them.
pub(super) const NUMBERS: i64 = 1024;

/// The range of numbers that came with the last chunks, for the next writes of the session: above the first, up to the second.
pub(super) type NewNumbers = Mutex<Option<(i64, i64)>>;

/// The chunks of a run, for one session.
#[derive(Debug)]
pub(super) struct PgChunks {
    process: Arc<Process>,
    run: String,
    session: i32,
    pass: AtomicI16,
    /// The chunks that the session has. The lock is held while the session asks for more, so one thread at a time does.
    own: Mutex<Vec<Arc<Chunk>>>,
    /// The numbers for the next writes, above those of all writes that earlier holders noted of the last chunks.
    numbers: Arc<NewNumbers>,
}

/// A chunk that was given: its number, lease number and lines; and the numbers for writes that came with it.
type Claimed = ((i32, i32, RangeInclusive<Line>), (i64, i64));

impl PgChunks {
    pub(super) fn of(
        process: &Arc<Process>,
        run: &str,
        session: i32,
        numbers: &Arc<NewNumbers>,
    ) -> Result<Self, LedgerError> {
        let ask = Statement::repeatable("SELECT pass FROM progress WHERE run = $1");
        let pass = process.row(ask.with(run.to_owned()), |row| row.required(0))?;
        Ok(Self {
            process: Arc::clone(process),
            run: run.to_owned(),
            session,
            pass: AtomicI16::new(pass),
            own: Mutex::default(),
            numbers: Arc::clone(numbers),
        })
    }

    fn about(&self, sql: &'static str) -> Statement {
        Statement::repeatable(sql).with(self.run.clone())
    }

    fn pass(&self) -> i16 {
        self.pass.load(Ordering::Relaxed)
    }

    fn own(&self) -> MutexGuard<'_, Vec<Arc<Chunk>>> {
        lock(&self.own)
    }

    /// Records that chunks are done; returns the next ones of the pass that no other session works on.
    fn claim(&self, done: &[Arc<Chunk>], most: usize) -> Result<Vec<Arc<Chunk>>, LedgerError> {
        let (mut own, pass) = (self.own(), self.pass());
        // The chunks that this call reports as done no longer count among those that the session has.
        own.retain(|chunk| !chunk.is_taken() && !done.iter().any(|one| Arc::ptr_eq(one, chunk)));
        let mut claimed = self.ask_for(&own, done, most, Vec::new())?;
        if claimed.is_empty() && most > 0 {
            // A chunk that is not free may belong to a process that has ended.
            let gone = self.process.gone_from(&self.run)?;
            if !gone.is_empty() {
                claimed = self.ask_for(&own, &[], most, gone)?;
            }
        }
        let Some((_, numbers)) = claimed.last() else {
            return Ok(Vec::new());
        };
        *lock(&self.numbers) = Some(*numbers);
        let chunks = claimed
            .into_iter()
            .map(|((number, lease, lines), _)| Chunk::new((pass, number), lease, lines));
        let chunks: Vec<_> = chunks.collect();
        own.extend(chunks.iter().cloned());
        Ok(chunks)
    }

    fn ask_for(
        &self,
        own: &[Arc<Chunk>],
        done: &[Arc<Chunk>],
        most: usize,
        gone: Vec<String>,
    ) -> Result<Vec<Claimed>, LedgerError> {
        let pass = self.pass();
        let known = own
            .iter()
            .filter(|chunk| chunk.pass == pass && !chunk.is_taken());
        let known: Vec<i32> = known.map(|chunk| chunk.number).collect();
        let of_done =
            |one: fn(&Chunk) -> i32| done.iter().map(|chunk| one(chunk)).collect::<Vec<_>>();
        let claim = self.about(
            "SELECT n, lease, lo, hi, above, up_to FROM claim($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        );
        let claim = claim.with(pass).with(self.session).with(known).with(gone);
        let claim = claim
            .with(of_done(|chunk| chunk.number))
            .with(of_done(|chunk| chunk.lease));
        let claim = claim
            .with(i32::try_from(most).unwrap_or(i32::MAX))
            .with(NUMBERS);
        self.process.rows(claim, |row| {
            let lines = row.required(2)?..=row.required(3)?;
            Ok((
                (row.required(0)?, row.required(1)?, lines),
                (row.required(4)?, row.required(5)?),
            ))
        })
    }

    /// Whether no chunk of the pass is left, also in another session; true as well if another pass has begun.
    fn is_over(&self) -> Result<bool, LedgerError> {
        let sql = "SELECT NOT EXISTS (SELECT FROM chunk WHERE run = $1 AND pass = $2 AND state <> 'done')";
        self.process
            .row(self.about(sql).with(self.pass()), |row| row.truth(0))
    }

    fn gone(&self) -> Result<Vec<String>, LedgerError> {
        self.process.gone_from(&self.run)
    }
}

/// Reads the word of `tell`.
fn standing(word: &str) -> Result<Standing, Fault> {
    match word {
        "goes_on" => Ok(Standing::GoesOn),
        "stands_by" => Ok(Standing::StandsBy),
        "over" => Ok(Standing::Over),
        _ => Err(Fault::from(
            "whether a process goes on with its run is not known",
        )),
    }
}

/// The processes that work on a run now.
pub(super) fn at_work(process: &Process, run: &str) -> Result<Vec<AtWork>, LedgerError> {
    let sql = "SELECT s.host, s.pid, s.ended_lines, s.failed_lines, s.followed, \
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
            followed: number(4)?,
            silent_ms: number(5)?,
        })
    })
}

impl Coordinator for PgChunks {
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

    fn next(&self, done: &[Arc<Chunk>], most: usize) -> Result<Next, LedgerError> {
        if !done.is_empty() {
            crash_point();
        }
        let chunks = self.claim(done, most)?;
        if !chunks.is_empty() {
            return Ok(Next::Chunks(chunks));
        }
        let is_over = self.own().is_empty() && self.is_over()?;
        Ok(if is_over { Next::Over } else { Next::Wait })
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
                standing: standing(row.word(2)?)?,
                may_fail: number(3)?,
            })
        })
    }

    fn close_or_leave(&self, gives_up: bool) -> Result<bool, LedgerError> {
        let ask = self.about("SELECT close_or_leave($1, $2, $3, $4)");
        let ask = ask.with(self.session).with(self.gone()?).with(gives_up);
        self.process.row(ask, |row| row.truth(0))
    }

    fn others(&self) -> Result<u64, LedgerError> {
        let ask = self.about("SELECT count(*) FROM at_work($1, $3) x WHERE x <> $2");
        let ask = ask.with(self.session).with(self.gone()?);
        let others: i64 = self.process.row(ask, |row| row.required(0))?;
        Ok(others.cast_unsigned())
    }
}

//! What changes of a run beside its lines: how far it is, where its system is, with which settings it goes on, and what
//! was found out about it as a whole.

use super::outcome_row::damaged;
use super::{
    Counted, Ledger, LedgerError, Phase, Progress, RunKind, State, StopReason, outcome_row,
};
use crate::domain::Status;
use rusqlite::types::FromSql;
use rusqlite::{Connection, ToSql, params};

impl Ledger {
    /// How far the run got.
    pub fn progress(&self) -> Result<Progress, LedgerError> {
        let sql = "SELECT state, phase, exit_code, stopped_by, why, started_at_ms, finished_at_ms FROM progress";
        let row = self.with(|connection| {
            connection.query_row(sql, (), |row| {
                let words: (String, String, Option<String>) =
                    (row.get(0)?, row.get(1)?, row.get(3)?);
                let rest = Progress {
                    state: State::Created,
                    phase: Phase::Created,
                    exit_code: row.get(2)?,
                    stopped_by: None,
                    why: row.get(4)?,
                    started_at_ms: row.get(5)?,
                    finished_at_ms: row.get(6)?,
                };
                Ok((words, rest))
            })
        })?;
        let ((state, phase, stopped_by), rest) = row;
        let unknown = || damaged(self.path(), "the state of the run is unknown".to_owned());
        Ok(Progress {
            state: State::parse(&state).ok_or_else(unknown)?,
            phase: Phase::parse(&phase).ok_or_else(unknown)?,
            stopped_by: match stopped_by {
                None => None,
                Some(word) => Some(StopReason::parse(&word).ok_or_else(unknown)?),
            },
            ..rest
        })
    }

    /// Records how far the run got.
    pub fn set_progress(&self, progress: &Progress) -> Result<(), LedgerError> {
        self.with(|connection| set_progress(connection, progress))
    }

    /// Records how the process that worked on the run left it, and how many lines ended in which way, so that a list of
    /// runs need not count them.
    pub fn close(&self, progress: &Progress, counts: &[Counted]) -> Result<(), LedgerError> {
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            set_progress(&transaction, progress)?;
            store_counts(&transaction, counts)?;
            transaction.commit()
        })
    }

    /// How many lines had ended in which way when the run was closed, if nothing was recorded since.
    pub(super) fn closed_counts(&self) -> Result<Option<Vec<Counted>>, LedgerError> {
        let sql = "SELECT status, reason, lines, first_line FROM closed \
                   WHERE commits = (SELECT commits FROM seal)";
        let rows: Vec<(String, String, i64, u32)> = self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
            rows.collect()
        })?;
        let counted = rows.into_iter().map(|(name, reason, lines, first_line)| {
            Status::parse(&name, &reason)
                .map(|status| Counted {
                    status,
                    lines: lines.cast_unsigned(),
                    first_line,
                })
                .ok_or_else(|| outcome_row::unknown_status(self.path()))
        });
        let counts = counted.collect::<Result<Vec<_>, _>>()?;
        Ok((!counts.is_empty()).then_some(counts))
    }

    /// Records what the next process does.
    pub fn set_phase(&self, phase: Phase) -> Result<(), LedgerError> {
        self.set_column("phase", phase.as_str())
    }

    /// Whether `would_change` is this run's final outcome for a line: it was only a plan, and has not been carried out
    /// since. In a run that writes, such a line is one that was not begun.
    pub fn only_looks(&self) -> Result<bool, LedgerError> {
        let progress = self.progress()?;
        let is_plan = self.header().kind == RunKind::Plan && progress.phase != Phase::Write;
        Ok(is_plan || matches!(progress.state, State::Created | State::Planned))
    }

    /// The kind of the run as it is now: a plan that is carried out is an `apply`.
    pub fn kind(&self) -> Result<RunKind, LedgerError> {
        let kind = self.header().kind;
        Ok(match kind {
            RunKind::Plan if !self.only_looks()? => RunKind::Apply,
            kind => kind,
        })
    }

    /// The settings with which the run goes on, as JSON: those that it was begun with, or that were given anew since.
    pub fn settings(&self) -> Result<String, LedgerError> {
        let anew: Option<String> = self.column("settings")?;
        Ok(anew.unwrap_or_else(|| self.header().settings.clone()))
    }

    /// Keeps settings that were given anew, as JSON; never a secret.
    pub fn set_settings(&self, settings: &str) -> Result<(), LedgerError> {
        self.set_column("settings", settings)
    }

    /// The digest of what was to change, where all lines were looked up before the first write.
    pub fn plan_digest(&self) -> Result<Option<String>, LedgerError> {
        self.column("plan_digest")
    }

    /// Records the digest of what is to change, as 64 hexadecimal digits.
    pub fn set_plan_digest(&self, digest: &str) -> Result<(), LedgerError> {
        self.set_column("plan_digest", digest)
    }

    /// What carrying the plan out takes, as JSON; `None`: it is no plan.
    pub fn forecast(&self) -> Result<Option<String>, LedgerError> {
        self.column("forecast")
    }

    /// Records what carrying the plan out takes, as JSON.
    pub fn set_forecast(&self, forecast: &str) -> Result<(), LedgerError> {
        self.set_column("forecast", forecast)
    }

    /// What the run was expected to take before anything was looked up, as JSON; `None`: it does not write.
    pub fn estimate(&self) -> Result<Option<String>, LedgerError> {
        self.column("estimate")
    }

    /// Records what the run is expected to take before anything is looked up, as JSON.
    pub fn set_estimate(&self, estimate: &str) -> Result<(), LedgerError> {
        self.set_column("estimate", estimate)
    }

    /// Lines that would be found with another spelling, as JSON; `None`: none were looked for.
    pub fn near_misses(&self) -> Result<Option<String>, LedgerError> {
        self.column("near_misses")
    }

    /// Records lines that would be found with another spelling, as JSON.
    pub fn set_near_misses(&self, groups: &str) -> Result<(), LedgerError> {
        self.set_column("near_misses", groups)
    }

    /// What an undo cannot undo, as JSON; `None`: it is no undo.
    pub fn cannot_undo(&self) -> Result<Option<String>, LedgerError> {
        self.column("cannot_undo")
    }

    /// Records what an undo cannot undo, as JSON.
    pub fn set_cannot_undo(&self, counts: &str) -> Result<(), LedgerError> {
        self.set_column("cannot_undo", counts)
    }

    /// Which share of the unchanged lines a reconcile looked at; 0 for the first.
    pub fn audit_round(&self) -> Result<u64, LedgerError> {
        let round: Option<i64> = self.column("audit_round")?;
        Ok(round.map_or(0, i64::cast_unsigned))
    }

    /// Records which share of the unchanged lines a reconcile looks at.
    pub fn set_audit_round(&self, round: u64) -> Result<(), LedgerError> {
        self.set_column("audit_round", round.cast_signed())
    }

    fn column<T: FromSql>(&self, name: &str) -> Result<Option<T>, LedgerError> {
        let sql = format!("SELECT {name} FROM progress");
        self.with(|connection| connection.query_row(&sql, (), |row| row.get(0)))
    }

    fn set_column(&self, name: &str, value: impl ToSql) -> Result<(), LedgerError> {
        let sql = format!("UPDATE progress SET {name} = ?1");
        self.with(|connection| connection.execute(&sql, [value]))
            .map(drop)
    }
}

/// Counting the outcomes may give less afterwards, where the run is pruned.
pub(super) fn store_counts(connection: &Connection, counts: &[Counted]) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM closed", ())?;
    let sql = "INSERT INTO closed (status, reason, lines, first_line, commits) \
               SELECT ?1, ?2, ?3, ?4, commits FROM seal";
    for counted in counts {
        let (status, lines) = (counted.status, counted.lines.cast_signed());
        let values = params![status.name(), status.reason(), lines, counted.first_line];
        connection.execute(sql, values)?;
    }
    Ok(())
}

fn set_progress(connection: &Connection, progress: &Progress) -> rusqlite::Result<()> {
    let sql = "UPDATE progress SET state = ?1, phase = ?2, exit_code = ?3, stopped_by = ?4, why = ?5, \
               started_at_ms = ?6, finished_at_ms = ?7";
    let values = params![
        progress.state.as_str(),
        progress.phase.as_str(),
        progress.exit_code,
        progress.stopped_by.map(StopReason::as_str),
        progress.why,
        progress.started_at_ms,
        progress.finished_at_ms,
    ];
    connection.execute(sql, values).map(drop)
}

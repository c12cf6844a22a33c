//! The facts of a run that can change and do not belong to single lines: its progress, its current settings, and what
//! was found out about the run as a whole.

use super::columns::{Fault, Row, Value};
use super::store::{Fact, Put};
use super::{Counted, Ledger, LedgerError, Phase, Progress, RunKind, State, StopReason};

impl Ledger {
    /// How far the run got.
    pub fn progress(&self) -> Result<Progress, LedgerError> {
        let unknown = || Fault::from("the state of the run is unknown");
        self.read_facts(&PROGRESS, |facts| {
            let stopped_by = facts.text(3)?;
            Ok(Progress {
                state: State::parse(facts.word(0)?).ok_or_else(unknown)?,
                phase: Phase::parse(facts.word(1)?).ok_or_else(unknown)?,
                exit_code: facts.optional(2)?,
                stopped_by: stopped_by
                    .map(|word| StopReason::parse(word).ok_or_else(unknown))
                    .transpose()?,
                why: facts.word(4)?.to_owned(),
                started_at_ms: facts.required(5)?,
                finished_at_ms: facts.optional(6)?,
            })
        })
    }

    /// Whether something of the run is left to do, and its input is there for that.
    pub fn is_unfinished(&self) -> Result<bool, LedgerError> {
        Ok(self.progress()?.state.is_unfinished() && self.pruned()?.is_none())
    }

    /// Records how far the run got.
    pub fn set_progress(&self, progress: &Progress) -> Result<(), LedgerError> {
        self.put_facts(&progress_facts(progress))
    }

    /// Records the state in which the process leaves the run, and the number of lines per status, so that a list of
    /// runs need not count them.
    pub fn close(&self, progress: &Progress, counts: &[Counted]) -> Result<(), LedgerError> {
        let facts = progress_facts(progress);
        self.store()
            .put(vec![Put::Facts(&facts), Put::Counts(counts)])
    }

    /// Records what the next process does.
    pub fn set_phase(&self, phase: Phase) -> Result<(), LedgerError> {
        self.set_fact(Fact::PHASE, phase.as_str())
    }

    /// Whether the run is a plan that was not carried out, so that `would_change` is the final outcome of a line. In a
    /// run that writes, a line with `would_change` was not begun.
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

    /// Returns the current settings of the run as JSON: those that were given last, or those with which it began.
    pub fn settings(&self) -> Result<String, LedgerError> {
        let anew = self.fact(Fact::SETTINGS)?;
        Ok(anew.unwrap_or_else(|| self.header().settings.clone()))
    }

    /// Records new settings as JSON, without secrets.
    pub fn set_settings(&self, settings: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::SETTINGS, settings)
    }

    /// Returns the digest of all planned changes; `None`: not all lines were looked up before the first write.
    pub fn plan_digest(&self) -> Result<Option<String>, LedgerError> {
        self.fact(Fact::PLAN_DIGEST)
    }

    /// Records the digest of what is to change, as 64 hexadecimal digits.
    pub fn set_plan_digest(&self, digest: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::PLAN_DIGEST, digest)
    }

    /// Returns the forecast of what it takes to carry the plan out, as JSON; `None`: the run is not a plan.
    pub fn forecast(&self) -> Result<Option<String>, LedgerError> {
        self.fact(Fact::FORECAST)
    }

    /// Records the forecast of what it takes to carry the plan out, as JSON.
    pub fn set_forecast(&self, forecast: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::FORECAST, forecast)
    }

    /// Returns the estimate, made before the first lookup, of what the run takes, as JSON; `None`: the run does not write.
    pub fn estimate(&self) -> Result<Option<String>, LedgerError> {
        self.fact(Fact::ESTIMATE)
    }

    /// Records the estimate, made before the first lookup, of what the run takes, as JSON.
    pub fn set_estimate(&self, estimate: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::ESTIMATE, estimate)
    }

    /// Returns the lines that would be found with another spelling, as JSON; `None`: the run did not search for such lines.
    pub fn near_misses(&self) -> Result<Option<String>, LedgerError> {
        self.fact(Fact::NEAR_MISSES)
    }

    /// Records the lines that would be found with another spelling, as JSON.
    pub fn set_near_misses(&self, groups: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::NEAR_MISSES, groups)
    }

    /// Returns what an undo cannot undo, as JSON; `None`: the run is not an undo.
    pub fn cannot_undo(&self) -> Result<Option<String>, LedgerError> {
        self.fact(Fact::CANNOT_UNDO)
    }

    /// Records what an undo cannot undo, as JSON.
    pub fn set_cannot_undo(&self, counts: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::CANNOT_UNDO, counts)
    }

    /// Which share of the unchanged lines a reconcile looked at; 0 for the first.
    pub fn audit_round(&self) -> Result<u64, LedgerError> {
        let round: Option<i64> =
            self.read_facts(&[Fact::AUDIT_ROUND], |facts| facts.optional(0))?;
        Ok(round.map_or(0, i64::cast_unsigned))
    }

    /// Records which share of the unchanged lines a reconcile looks at.
    pub fn set_audit_round(&self, round: u64) -> Result<(), LedgerError> {
        self.set_fact(Fact::AUDIT_ROUND, round.cast_signed())
    }

    fn fact(&self, which: Fact) -> Result<Option<String>, LedgerError> {
        self.read_facts(&[which], |facts| Ok(facts.text(0)?.map(str::to_owned)))
    }

    fn set_fact<'a>(&self, which: Fact, value: impl Into<Value<'a>>) -> Result<(), LedgerError> {
        self.put_facts(&[(which, value.into())])
    }
}

const PROGRESS: [Fact; 7] = [
    Fact::STATE,
    Fact::PHASE,
    Fact::EXIT_CODE,
    Fact::STOPPED_BY,
    Fact::WHY,
    Fact::STARTED_AT_MS,
    Fact::FINISHED_AT_MS,
];

fn progress_facts(progress: &Progress) -> [(Fact, Value<'_>); 7] {
    let stopped_by = progress.stopped_by.map(StopReason::as_str);
    [
        (Fact::STATE, progress.state.as_str().into()),
        (Fact::PHASE, progress.phase.as_str().into()),
        (Fact::EXIT_CODE, progress.exit_code.into()),
        (Fact::STOPPED_BY, stopped_by.into()),
        (Fact::WHY, progress.why.as_str().into()),
        (Fact::STARTED_AT_MS, progress.started_at_ms.into()),
        (Fact::FINISHED_AT_MS, progress.finished_at_ms.into()),
    ]
}

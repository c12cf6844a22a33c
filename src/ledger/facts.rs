//! What changes of a run beside its lines: how far it is, where its system is, with which settings it goes on, and what
//! was found out about it as a whole.

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

    /// Records how far the run got.
    pub fn set_progress(&self, progress: &Progress) -> Result<(), LedgerError> {
        self.put_facts(&progress_facts(progress))
    }

    /// Records how the process that worked on the run left it, and how many lines ended in which way, so that a list of
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
        let anew = self.fact(Fact::SETTINGS)?;
        Ok(anew.unwrap_or_else(|| self.header().settings.clone()))
    }

    /// Keeps settings that were given anew, as JSON; never a secret.
    pub fn set_settings(&self, settings: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::SETTINGS, settings)
    }

    /// The digest of what was to change, where all lines were looked up before the first write.
    pub fn plan_digest(&self) -> Result<Option<String>, LedgerError> {
        self.fact(Fact::PLAN_DIGEST)
    }

    /// Records the digest of what is to change, as 64 hexadecimal digits.
    pub fn set_plan_digest(&self, digest: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::PLAN_DIGEST, digest)
    }

    /// What carrying the plan out takes, as JSON; `None`: it is no plan.
    pub fn forecast(&self) -> Result<Option<String>, LedgerError> {
        self.fact(Fact::FORECAST)
    }

    /// Records what carrying the plan out takes, as JSON.
    pub fn set_forecast(&self, forecast: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::FORECAST, forecast)
    }

    /// What the run was expected to take before anything was looked up, as JSON; `None`: it does not write.
    pub fn estimate(&self) -> Result<Option<String>, LedgerError> {
        self.fact(Fact::ESTIMATE)
    }

    /// Records what the run is expected to take before anything is looked up, as JSON.
    pub fn set_estimate(&self, estimate: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::ESTIMATE, estimate)
    }

    /// Lines that would be found with another spelling, as JSON; `None`: none were looked for.
    pub fn near_misses(&self) -> Result<Option<String>, LedgerError> {
        self.fact(Fact::NEAR_MISSES)
    }

    /// Records lines that would be found with another spelling, as JSON.
    pub fn set_near_misses(&self, groups: &str) -> Result<(), LedgerError> {
        self.set_fact(Fact::NEAR_MISSES, groups)
    }

    /// What an undo cannot undo, as JSON; `None`: it is no undo.
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

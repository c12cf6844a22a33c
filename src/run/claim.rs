//! Claims a target for one run: finds other addresses of the system, takes locks and an epoch, loads the other runs.

use super::catalog::{RunCatalog, describe};
use super::clock;
use super::connect::{connect, runtime};
use super::error::CommandError;
use super::exit_code::Exit;
use super::lock_wait;
use super::outage::{outage, remedy};
use super::quota::SharedLimits;
use super::run_storage::{RunScope, RunsSettings};
use super::same_system::{Candidate, candidates};
use super::saved_settings::SavedSettings;
use super::target::{Target, shown_key};
use crate::config::Resolved;
use crate::domain::Failed;
use crate::ledger::{
    ExclusiveLock, Header, Ledger, LedgerError, RunDir, RunId, RunKind, Runs, Session, StateDb,
    host, user,
};
use crate::system::{Fatal, System, SystemError, SystemKind};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A target that this process holds: alone, or together with the other processes on the same run.
pub(crate) struct TargetClaim {
    pub(super) target: Target,
    /// The keys of all targets that are this system; the key of `target` comes first.
    pub(super) keys: Vec<String>,
    /// All known runs, loaded after the locks were taken.
    pub(super) catalog: RunCatalog,
    /// The epoch of this process; 0 if it has joined a run, whose epoch its session then has.
    pub(super) epoch: u64,
    pub(super) runs: Arc<dyn Runs>,
    /// `None`: a sandbox in this process, which no other process can see.
    state: Option<Arc<StateDb>>,
    _hold: ExclusiveLock,
}

impl TargetClaim {
    /// Claims the target for this run. If another run has it, the error names that run.
    pub(super) fn take(
        resolved: &Resolved,
        target: Target,
        run: &str,
    ) -> Result<Self, CommandError> {
        let hold = |runs: &dyn Runs, keys: &[&str]| Ok(lock_wait::take(|| runs.hold(keys, run))?);
        let mut claim = Self::lock(resolved, target, hold)?;
        claim.epoch = claim.runs.next_epoch(claim.catalog.highest_epoch())?;
        Ok(claim)
    }

    /// Shares the target with the processes that already work on this run.
    pub(super) fn join(
        resolved: &Resolved,
        target: Target,
        run: &str,
    ) -> Result<Self, CommandError> {
        let hold = |runs: &dyn Runs, keys: &[&str]| Ok(runs.hold_with_others(keys, run)?);
        Self::lock(resolved, target, hold)
    }

    /// Takes the locks of the target and of all other addresses of the same system with `hold`, without an epoch.
    fn lock(
        resolved: &Resolved,
        target: Target,
        hold: impl Fn(&dyn Runs, &[&str]) -> Result<ExclusiveLock, CommandError>,
    ) -> Result<Self, CommandError> {
        let elsewhere = !target.in_process;
        let state = elsewhere.then(StateDb::open).transpose()?.map(Arc::new);
        let scope = state.clone().map_or(RunScope::Here, RunScope::Known);
        let runs = RunsSettings::of_resolved(resolved).runs(scope);
        let same = |catalog: &RunCatalog| match &state {
            Some(state) => same_targets(catalog, (&runs, state), resolved, &target),
            None => Ok(Vec::new()),
        };
        let mut others = same(&RunCatalog::load(&runs)?)?;
        loop {
            let keys: Vec<String> = [target.key()].into_iter().chain(others).collect();
            let all: Vec<&str> = keys.iter().map(String::as_str).collect();
            let hold = hold(&*runs, &all)?;
            // Another run may have begun or ended while this process waited for the locks.
            let catalog = RunCatalog::load(&runs)?;
            others = same(&catalog)?;
            if others.iter().all(|other| keys.contains(other)) {
                return Ok(Self {
                    epoch: 0,
                    catalog,
                    keys,
                    runs,
                    state,
                    _hold: hold,
                    target,
                });
            }
        }
    }

    /// Refuses if a run has begun meanwhile at another address of the same system: this run has neither the lock of that
    /// address nor considered what that run does.
    pub(super) async fn refuse_other_addresses(
        &self,
        (system, kind): (&System, SystemKind),
        resume: &str,
    ) -> Result<(), CommandError> {
        if self.state.is_none() {
            return Ok(());
        }
        let (catalog, key) = (RunCatalog::load(&self.runs)?, self.target.key());
        let (mut same, open) = candidates(&catalog, &*self.runs, (&self.target.system, &key))?;
        for candidate in open {
            let shown = shows(system, &candidate).await;
            let shown = shown.map_err(|why| not_told(&self.target, kind, (&why, &candidate)))?;
            let found = candidate.found(shown);
            self.runs.set_sameness(&key, &candidate.target, found)?;
            if shown {
                same.push(candidate.target);
            }
        }
        let Some(other) = same.iter().find(|other| !self.keys.contains(other)) else {
            return Ok(());
        };
        let words = format!(
            "a run on {} has begun meanwhile, and that is the same system as {}; nothing was written",
            shown_key(other),
            self.target
        );
        let help = format!("{resume} continues when that run has ended");
        Err(CommandError::new(Exit::Busy, words).with_help(help))
    }

    /// All keys, for comparing.
    pub(super) fn keys(&self) -> Vec<&str> {
        self.keys.iter().map(String::as_str).collect()
    }

    /// Returns the header of a new run on this target, still without its input and the run that it undoes.
    pub(super) fn header(&self, run: &RunId, kind: RunKind, kept: &SavedSettings) -> Header {
        Header {
            run: run.to_string(),
            kind,
            system: self.target.system.clone(),
            base_url: self.target.base_url.clone(),
            tenant: self.target.tenant.clone(),
            target: self.target.key(),
            input_name: String::new(),
            input_sha256: String::new(),
            lines: 0,
            origins: Vec::new(),
            settings: kept.text(),
            parent: None,
            user: user(),
            host: host(),
            zone: clock::zone(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at_ms: clock::now_ms(),
            epoch: self.epoch,
        }
    }

    /// Returns this process as the ledger of its run records it.
    pub(super) fn session(&self, writing: bool) -> Session {
        Session {
            epoch: self.epoch,
            writing,
        }
    }

    /// Puts the run into the register; `may_rename`: it may change account IDs from now on.
    pub(super) fn register(
        &self,
        dir: &RunDir,
        ledger: &Ledger,
        may_rename: bool,
    ) -> Result<(), CommandError> {
        let mut run = describe(dir, ledger)?;
        run.renames |= may_rename;
        // The session of this process is not on record yet.
        run.epoch = run.epoch.max(self.epoch);
        Ok(self.runs.register(&run)?)
    }

    /// Returns the limits that this process shares with all other processes that call the target.
    pub(super) fn shared_limits(&self) -> Result<Option<SharedLimits>, LedgerError> {
        let Some(state) = &self.state else {
            return Ok(None);
        };
        SharedLimits::of(&*self.runs, self.target.key(), || {
            Ok(Some(Arc::clone(state)))
        })
    }
}

/// The keys of the other targets that are the same system.
fn same_targets(
    catalog: &RunCatalog,
    (runs, state): (&Arc<dyn Runs>, &Arc<StateDb>),
    resolved: &Resolved,
    target: &Target,
) -> Result<Vec<String>, CommandError> {
    let key = target.key();
    let (mut same, open) = candidates(catalog, runs.as_ref(), (&target.system, &key))?;
    if open.is_empty() {
        return Ok(same);
    }
    let known = || Ok(Some(Arc::clone(state)));
    let calls = SharedLimits::of(runs.as_ref(), key.clone(), known)?;
    let (system, _client) = connect(resolved, calls, 1, CancellationToken::new())?;
    let runtime = runtime()?;
    for candidate in open {
        let shown = runtime
            .block_on(shows(&system, &candidate))
            .map_err(|why| not_told(target, resolved.system, (&why, &candidate)))?;
        runs.set_sameness(&key, &candidate.target, candidate.found(shown))?;
        if shown {
            same.push(candidate.target);
        }
    }
    Ok(same)
}

/// Builds the error for a system that does not answer whether an earlier run has worked on it.
fn not_told(
    target: &Target,
    system: SystemKind,
    (why, earlier): (&SystemError, &Candidate),
) -> CommandError {
    // `shows` only returns a 401 of the probe, which concerns no single customer: so the 401 is about the token.
    let is_refused = why.reason == Failed::Unauthorized;
    let fatal = why.fatal.or(is_refused.then_some(Fatal::TokenRefused));
    let words = match fatal {
        Some(Fatal::TokenRefused) => outage(Fatal::TokenRefused, &why.message, system),
        _ => why.message.clone(),
    };
    let first = fatal.map_or("", |fatal| remedy(fatal).0);
    let earlier = shown_key(&earlier.target);
    CommandError::usage(format!("{target}: {words}")).with_help(format!(
        "nothing was written; {first}give the command again when the system answers; if the address is wrong, correct \
         --base-url (an earlier run worked on {earlier}, so idshift first checks whether both addresses are the same \
         system)"
    ))
}

/// Whether the system shows this customer.
async fn shows(system: &System, candidate: &Candidate) -> Result<bool, SystemError> {
    let read = system.read(&candidate.customer, candidate.reseller.as_ref(), false);
    let trouble = match read.await {
        Ok(found) => return Ok(found.is_some_and(|found| found.id == candidate.customer)),
        Err(trouble) => trouble,
    };
    match trouble.reason {
        _ if trouble.fatal.is_some() => Err(trouble),
        // The 401 may be about the token instead of this customer: the probe finds that out.
        Failed::Unauthorized => system.probe().await.map(|()| false),
        Failed::NotFound | Failed::Forbidden | Failed::Rejected | Failed::Invalid => Ok(false),
        _ => Err(trouble),
    }
}

//! Holds all calls of all workers after a 429, a 503 or a block. Every call passes this gate, which is open, held, or
//! given up.
//!
//! There are three reasons for a hold: the server asked to wait (429, 503 with `Retry-After`), a firewall blocks
//! everything, or no call succeeds any more (the breaker). All holds end in the same way: when the time is over, *one*
//! call passes as a probe. If it is answered, all calls continue; if not, the wait becomes longer. After
//! `give_up_after` without a success the gate gives up permanently. The success of a call that was sent before the hold
//! does not end the hold.
//!
//! [`BreakerState`] makes the decisions; this module does the waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::breaker::{AnswerHealth, BreakerState, Cause, Effect, Permission, State, cause_text};
use super::call::CallError;
use super::health::{HealthBoard, WaitCause};
use super::trace::{event, millis};

/// Additional wait of a call that should not be the probe.
const OTHERS_FIRST: Duration = Duration::from_millis(100);

/// The gate of one target, shared by all workers.
#[derive(Debug)]
pub(super) struct Gate {
    inner: Mutex<BreakerState>,
    generation: AtomicU64,
    changed: watch::Sender<()>,
    board: Arc<HealthBoard>,
    stop: CancellationToken,
}

impl Gate {
    pub(super) fn new(
        give_up_after: Duration,
        board: Arc<HealthBoard>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            inner: Mutex::new(BreakerState::new(give_up_after)),
            generation: AtomicU64::new(0),
            changed: watch::Sender::new(()),
            board,
            stop,
        }
    }

    /// Waits until this call may be sent, and lets other calls probe first. This call would otherwise be refused again
    /// as the probe, and the gate would be held again before any other call has left.
    pub(super) async fn enter_last(&self) -> Result<Admission<'_>, CallError> {
        let until = match &self.inner().state {
            State::Held { until, .. } => Some(*until + OTHERS_FIRST),
            State::Flowing | State::GaveUp(_) => None,
        };
        if let Some(until) = until {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(CallError::cancelled()),
                () = sleep_until(until) => {}
            }
        }
        self.enter().await
    }

    /// Waits until this call may be sent.
    pub(super) async fn enter(&self) -> Result<Admission<'_>, CallError> {
        match self.try_enter() {
            Some(admission) => Ok(admission),
            None => self.wait_and_enter().await,
        }
    }

    async fn wait_and_enter(&self) -> Result<Admission<'_>, CallError> {
        let mut changed = None;
        loop {
            let permission = self.may_go();
            match permission {
                Permission::Go { probe, generation } => {
                    return Ok(Admission {
                        gate: self,
                        generation,
                        probe,
                    });
                }
                Permission::GaveUp(why) => return Err(why),
                Permission::Wait(until) => {
                    // Subscribes first, then looks again, so that a change in between is not missed.
                    let Some(changed) = &mut changed else {
                        changed = Some(self.changed.subscribe());
                        continue;
                    };
                    let until = async {
                        match until {
                            Some(until) => sleep_until(until).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = self.stop.cancelled() => return Err(CallError::cancelled()),
                        _ = changed.changed() => {}
                        () = until => {}
                    }
                }
            }
        }
    }

    /// Returns an admission if no wait is necessary.
    pub(super) fn try_enter(&self) -> Option<Admission<'_>> {
        match self.may_go() {
            Permission::Go { probe, generation } => Some(Admission {
                gate: self,
                generation,
                probe,
            }),
            Permission::Wait(_) | Permission::GaveUp(_) => None,
        }
    }

    /// Holds all calls until this is called with `false`.
    pub(super) fn set_paused(&self, paused: bool) {
        let mut inner = self.inner();
        if inner.is_paused() == paused {
            return;
        }
        if paused {
            inner.pause(Instant::now());
            self.board.pause();
        } else {
            inner.unpause(Instant::now());
            self.board.free(WaitCause::Person);
        }
        self.generation.store(inner.generation, Ordering::Release);
        drop(inner);
        self.changed.send_replace(());
    }

    /// Returns whether calls are held, or the gate has given up.
    pub(super) fn is_held(&self) -> bool {
        let inner = self.inner();
        inner.is_paused() || !matches!(inner.state, State::Flowing)
    }

    fn may_go(&self) -> Permission {
        let mut inner = self.inner();
        let had_given_up = matches!(inner.state, State::GaveUp(_));
        let permission = inner.may_go(Instant::now());
        drop(inner);
        if let Permission::GaveUp(why) = &permission
            && !had_given_up
        {
            event!(WARN, event = "gave_up", why = why.text.as_str());
        }
        if matches!(permission, Permission::GaveUp(_)) {
            // The wait is over.
            self.board.free(WaitCause::Gate);
            self.changed.send_replace(());
        }
        permission
    }

    fn inner(&self) -> MutexGuard<'_, BreakerState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, admission: &Admission<'_>, health: &AnswerHealth) -> Effect {
        let mut inner = self.inner();
        let fresh = admission.generation == inner.generation;
        let probe = fresh && admission.probe.is_some();
        let was_held = !matches!(inner.state, State::Flowing);
        let before = Before::of(&inner);
        let effect = inner.hear(health, probe, fresh, Instant::now());
        before.tell(&inner, health);
        self.generation.store(inner.generation, Ordering::Release);
        match &inner.state {
            State::Flowing if was_held => self.board.free(WaitCause::Gate),
            State::GaveUp(_) => self.board.free(WaitCause::Gate),
            State::Held { until, cause, .. } if *health != AnswerHealth::Good => {
                let why = health_text(*cause, health);
                match cause {
                    Cause::Refused => self.board.hold(WaitCause::Gate, why, *until),
                    Cause::Busy | Cause::Firewall | Cause::Broken => {
                        self.board.hold_in_outage(WaitCause::Gate, why, *until);
                    }
                }
            }
            _ => {}
        }
        let changed = was_held || !matches!(inner.state, State::Flowing);
        drop(inner);
        if changed {
            self.changed.send_replace(());
        }
        effect
    }
}

/// The state of the gate before an answer was processed.
struct Before {
    generation: u64,
    held: Option<Cause>,
    had_given_up: bool,
}

impl Before {
    fn of(inner: &BreakerState) -> Self {
        Self {
            generation: inner.generation,
            held: match inner.state {
                State::Held { cause, .. } => Some(cause),
                State::Flowing | State::GaveUp(_) => None,
            },
            had_given_up: matches!(inner.state, State::GaveUp(_)),
        }
    }

    /// Logs what has changed since.
    fn tell(&self, inner: &BreakerState, health: &AnswerHealth) {
        match (&inner.state, self.held) {
            (State::Held { cause, until, .. }, held) if inner.generation != self.generation => {
                event!(
                    INFO,
                    event = match (cause, held) {
                        (Cause::Broken, before) if before != Some(Cause::Broken) =>
                            "breaker_opened",
                        (_, Some(_)) => "hold_extended",
                        (_, None) => "hold_began",
                    },
                    cause = cause.name(),
                    why = health_text(*cause, health),
                    for_ms = millis(until.saturating_duration_since(Instant::now()))
                );
            }
            (State::Flowing, Some(cause)) => {
                event!(
                    INFO,
                    event = match cause {
                        Cause::Broken => "breaker_closed",
                        Cause::Refused | Cause::Busy | Cause::Firewall => "hold_ended",
                    },
                    cause = cause.name()
                );
            }
            (State::GaveUp(why), _) if !self.had_given_up => {
                event!(WARN, event = "gave_up", why = why.text.as_str());
            }
            _ => {}
        }
    }
}

fn health_text(cause: Cause, health: &AnswerHealth) -> String {
    match (cause, health) {
        (Cause::Refused | Cause::Busy, AnswerHealth::Refused { status, .. }) => {
            format!("{status}: all calls wait")
        }
        (Cause::Firewall, _) => "403: a firewall blocks all calls".to_owned(),
        (Cause::Broken, AnswerHealth::Failed(why)) => {
            format!("the system does not answer ({why})")
        }
        _ => cause_text(cause).to_owned(),
    }
}

/// The right to make one call. If a probe is dropped without a report, another call becomes the probe.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    gate: &'a Gate,
    generation: u64,
    probe: Option<Cause>,
}

impl Admission<'_> {
    /// Returns whether no hold has begun since this admission was given.
    pub(super) fn is_valid(&self) -> bool {
        self.generation == self.gate.generation.load(Ordering::Acquire)
    }

    /// Returns whether this call finds out if a hold is over.
    pub(super) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Returns whether this call finds out if an outage is over.
    pub(super) fn probes_outage(&self) -> bool {
        matches!(self.probe, Some(Cause::Broken | Cause::Busy))
    }

    /// Reports to the gate what the call's answer says about the system.
    pub(super) fn report(self, health: &AnswerHealth) -> Effect {
        self.gate.hear(&self, health)
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.probe.is_none() {
            return;
        }
        let mut inner = self.gate.inner();
        let mine = self.generation == inner.generation;
        if let State::Held { probing, .. } = &mut inner.state
            && mine
            && *probing
        {
            *probing = false;
            drop(inner);
            self.gate.changed.send_replace(());
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;

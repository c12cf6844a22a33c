//! The gate's decisions: when a hold begins, how long it lasts, when it ends. No I/O; callers pass the time.
//!
//! Includes the breaker: after ten failures in a row, over all workers, calls are held as after a refusal. One success
//! in between restarts the count, so a customer for which the system always fails does not open the breaker.

use std::time::Duration;
use tokio::time::Instant;

use super::call::{CallError, CallErrorKind};
use super::settings::Span;

/// The number of failures in a row, over all workers, after which the breaker opens.
const FAILURES_TO_OPEN: u32 = 10;
const BREAKER_WAITS: [u64; 6] = [1, 2, 4, 8, 16, 30];
const FIREWALL_WAITS: [u64; 5] = [5, 10, 20, 40, 60];
const REFUSED_FIRST: Duration = Duration::from_secs(1);
const REFUSED_LONGEST: Duration = Duration::from_secs(300);
/// A hold is extended by a random share of its length, up to this one.
const SPREAD: f64 = 0.1;
/// A firewall's block that begins within this time after the last wait (or within the length of that wait, if that is
/// longer) continues the last block.
pub(super) const QUIET: Duration = Duration::from_secs(10);

/// What a call's answer says about the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AnswerHealth {
    /// The system answers; also with a 404 and the like.
    Good,
    /// The system refuses calls, and may say for how long.
    Refused {
        /// The status.
        status: u16,
        /// The wait from `Retry-After`.
        wait: Option<Duration>,
    },
    /// A firewall's block.
    Firewall,
    /// No answer, or a failure of the server; the text is the reason.
    Failed(String),
}

impl AnswerHealth {
    fn words(&self) -> Option<String> {
        match self {
            Self::Good => None,
            Self::Refused { status: 503, .. } => {
                Some("503: the system is not available".to_owned())
            }
            Self::Refused { status, .. } => Some(format!("{status}: too many calls")),
            Self::Firewall => Some("403: not the API's own error".to_owned()),
            Self::Failed(words) => Some(words.clone()),
        }
    }
}

/// Why calls are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Refused,
    /// Refused with a 503, which may nevertheless concern one customer only.
    Busy,
    Firewall,
    Broken,
}

impl Cause {
    /// The name in the log of calls.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Refused => "too_many_calls",
            Self::Busy => "not_available",
            Self::Firewall => "firewall",
            Self::Broken => "no_answer",
        }
    }
}

/// The state of the gate.
#[derive(Debug)]
pub(super) enum State {
    Flowing,
    Held {
        cause: Cause,
        until: Instant,
        probing: bool,
    },
    GaveUp(CallError),
}

/// A hold of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    /// How long from now.
    pub(super) wait: Duration,
    /// Whether granted turns are void and the pace starts low. Not after the refusal of a probe, which is sent alone.
    pub(super) slows: bool,
}

/// What the caller has to do after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// A hold began because the system refuses calls, or a known hold became longer.
    HoldAll(Hold),
}

/// The state of the gate and its history.
#[derive(Debug)]
pub(super) struct BreakerState {
    pub(super) state: State,
    /// Number of holds. An admission of an older generation was given before the present hold.
    pub(super) generation: u64,
    /// Number of consecutive holds for the present cause.
    level: u32,
    cause: Cause,
    failures: u32,
    last_block: Option<(Instant, Duration)>,
    trouble_since: Option<Instant>,
    /// When a person paused all calls.
    paused_at: Option<Instant>,
    /// The last failure, in words.
    last_words: String,
    give_up_after: Duration,
}

/// What a call may do.
#[derive(Debug)]
pub(super) enum Permission {
    /// The call may go; with a cause: as the probe of that hold.
    Go {
        probe: Option<Cause>,
        generation: u64,
    },
    /// The call waits until then, or until something changes.
    Wait(Option<Instant>),
    GaveUp(CallError),
}

impl BreakerState {
    pub(super) fn new(give_up_after: Duration) -> Self {
        Self {
            state: State::Flowing,
            generation: 0,
            level: 0,
            cause: Cause::Refused,
            failures: 0,
            last_block: None,
            trouble_since: None,
            paused_at: None,
            last_words: String::new(),
            give_up_after,
        }
    }

    /// Returns whether a person has paused all calls.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    /// Holds all calls until [`BreakerState::unpause`], and makes all passes void. The paused time does not count as an
    /// outage.
    pub(super) fn pause(&mut self, now: Instant) {
        if self.paused_at.is_none() {
            self.paused_at = Some(now);
            self.generation += 1;
        }
    }

    pub(super) fn unpause(&mut self, now: Instant) {
        if let Some(since) = self.paused_at.take()
            && let Some(trouble) = &mut self.trouble_since
        {
            *trouble += now.saturating_duration_since(since.max(*trouble));
        }
    }

    pub(super) fn may_go(&mut self, now: Instant) -> Permission {
        if self.is_paused() && !matches!(self.state, State::GaveUp(_)) {
            return Permission::Wait(None);
        }
        let give_up_at = self.trouble_since.map(|since| since + self.give_up_after);
        match &mut self.state {
            State::Flowing => Permission::Go {
                probe: None,
                generation: self.generation,
            },
            State::GaveUp(why) => Permission::GaveUp(why.clone()),
            State::Held { .. } if give_up_at.is_some_and(|at| now >= at) => {
                let text = format!(
                    "{}; nothing has succeeded for {}; the last answer: {}",
                    cause_text(self.cause),
                    Span(self.give_up_after),
                    self.last_words
                );
                let why = CallError::new(CallErrorKind::GaveUp, text);
                self.state = State::GaveUp(why.clone());
                Permission::GaveUp(why)
            }
            State::Held { probing: true, .. } => Permission::Wait(give_up_at),
            State::Held {
                until,
                probing,
                cause,
            } => {
                if now >= *until {
                    *probing = true;
                    Permission::Go {
                        probe: Some(*cause),
                        generation: self.generation,
                    }
                } else {
                    Permission::Wait(Some(give_up_at.map_or(*until, |at| at.min(*until))))
                }
            }
        }
    }

    /// Updates the state after an answer. `probe`: the call is the present hold's probe. `fresh`: it was admitted after
    /// the last hold began.
    pub(super) fn hear(
        &mut self,
        health: &AnswerHealth,
        probe: bool,
        fresh: bool,
        now: Instant,
    ) -> Effect {
        let held = match self.state {
            State::GaveUp(_) => return Effect::Nothing,
            State::Held { .. } => true,
            State::Flowing => false,
        };
        if let Some(words) = health.words() {
            self.last_words = words;
        }
        match health {
            AnswerHealth::Good => {
                self.failures = 0;
                if probe || !held {
                    self.state = State::Flowing;
                    self.trouble_since = None;
                } else {
                    self.trouble_since = Some(now);
                }
                Effect::Nothing
            }
            AnswerHealth::Refused { status, wait } => {
                if wait.is_some_and(|wait| wait > self.give_up_after) {
                    self.give_up(*wait);
                    Effect::Nothing
                } else {
                    let cause = if *status == 503 {
                        Cause::Busy
                    } else {
                        Cause::Refused
                    };
                    self.refused(cause, *wait, held && !probe, probe, fresh, now)
                }
            }
            AnswerHealth::Firewall if held && !probe => Effect::Nothing,
            AnswerHealth::Firewall if !fresh => Effect::Nothing,
            AnswerHealth::Firewall => {
                self.raise_level(now);
                let wait = firewall_wait(self.level);
                self.hold(wait, now);
                self.last_block = Some((now, wait));
                Effect::HoldAll(Hold { wait, slows: true })
            }
            AnswerHealth::Failed(_) => {
                self.failures = self.failures.saturating_add(1);
                if probe || (!held && fresh && self.failures >= FAILURES_TO_OPEN) {
                    self.level = if self.cause == Cause::Broken && probe {
                        self.level + 1
                    } else {
                        0
                    };
                    self.cause = Cause::Broken;
                    self.hold(step(&BREAKER_WAITS, self.level), now);
                }
                Effect::Nothing
            }
        }
    }

    fn refused(
        &mut self,
        cause: Cause,
        asked: Option<Duration>,
        waits: bool,
        probe: bool,
        fresh: bool,
        now: Instant,
    ) -> Effect {
        if waits || !fresh {
            // The answer belongs to a known refusal. It may ask for a longer wait than the first answer did.
            match (&mut self.state, asked) {
                (
                    State::Held {
                        until,
                        probing: false,
                        ..
                    },
                    Some(wait),
                ) if now + wait > *until => {
                    *until = now + wait;
                    return Effect::HoldAll(Hold { wait, slows: false });
                }
                (State::Flowing, Some(wait)) if !wait.is_zero() => {
                    self.cause = cause;
                    self.hold(wait, now);
                    return Effect::HoldAll(Hold { wait, slows: false });
                }
                _ => {}
            }
            return Effect::Nothing;
        }
        // A probe is sent alone: if even the probe is refused, the pace is not the reason.
        self.level = if probe && matches!(self.cause, Cause::Refused | Cause::Busy) {
            self.level + 1
        } else {
            0
        };
        self.cause = cause;
        let own = REFUSED_FIRST
            .saturating_mul(1_u32.checked_shl(self.level).unwrap_or(u32::MAX))
            .min(REFUSED_LONGEST);
        let wait = match asked {
            // The first time, the wait is as long as the server asks; if that was not enough, it is at least our own
            // back-off.
            Some(asked) if self.level == 0 => asked,
            Some(asked) => asked.max(own),
            None => own,
        };
        // The random extension prevents programs that share a limit from continuing at the same time.
        let wait = wait.mul_f64(1.0 + SPREAD * fastrand::f64());
        self.hold(wait, now);
        Effect::HoldAll(Hold {
            wait,
            slows: !probe,
        })
    }

    /// Raises the level if this block follows soon after the last one, and resets it otherwise.
    fn raise_level(&mut self, now: Instant) {
        let again = self.cause == Cause::Firewall
            && self
                .last_block
                .is_some_and(|(at, wait)| now < at + wait + QUIET.max(wait));
        self.level = if again { self.level + 1 } else { 0 };
        self.cause = Cause::Firewall;
    }

    fn hold(&mut self, wait: Duration, now: Instant) {
        self.generation += 1;
        self.failures = 0;
        self.trouble_since.get_or_insert(now);
        self.state = State::Held {
            cause: self.cause,
            until: now + wait,
            probing: false,
        };
    }

    fn give_up(&mut self, wait: Option<Duration>) {
        let asked = wait.map_or(0, |wait| wait.as_secs());
        let text = format!(
            "the system asks to wait {asked} s, longer than the run may wait ({})",
            Span(self.give_up_after)
        );
        self.state = State::GaveUp(CallError::new(CallErrorKind::GaveUp, text));
    }
}

/// Returns how long to wait after a firewall's block that followed `level` others.
pub(super) fn firewall_wait(level: u32) -> Duration {
    step(&FIREWALL_WAITS, level)
}

fn step(waits: &[u64], level: u32) -> Duration {
    let at = (level as usize).min(waits.len() - 1);
    Duration::from_secs(waits[at])
}

pub(super) const fn cause_text(cause: Cause) -> &'static str {
    match cause {
        Cause::Refused => "the system refuses all calls",
        Cause::Busy => "the system is not available",
        Cause::Firewall => "a firewall blocks all calls",
        Cause::Broken => "the system does not answer",
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;

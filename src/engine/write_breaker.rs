//! Ends the run when many writes or look-ups fail in a row for the same reason. A single failure is about its customer;
//! many, with none accepted in between, are about the token, the settings or the system. The lines that failed for that
//! reason are then opened again, and so are those that failed with 401 shortly before the token was found to be refused.

use super::{Halt, UnitTask};
use crate::domain::Line;
use crate::ledger::{Verdict, Write, WriteRecord};
use crate::system::{Fatal, SystemError};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// This many calls of one kind in a row that were refused with the same status are no longer about single customers.
const MOST_ALIKE: usize = 20;
/// The same for 401, 403 and 404, each of which may be about a customer: a file may hold many that this token may not see.
const MOST_ALIKE_OF_CUSTOMERS: usize = 100;
/// This many writes in a row that did not take effect are no longer about single customers.
const MOST_INEFFECTIVE: u32 = 20;
/// After this many attempts in a row without effect, the user is told why.
const FIRST_SHOWN: u32 = 3;

/// If the token is found to be refused within this time after a 401, the token may have caused that 401. Longer than a
/// good answer counts for the token, because calls that were sent before are still answered.
const DOUBT: Duration = Duration::from_secs(30);
/// Maximum number of units that are kept for that; in a file with many customers that the token may not see, the latest.
const MOST_DOUBTED: usize = 200;

/// Maximum number of units that are kept if refusals do not end the run, to be opened again if something else ends it.
const MOST_KEPT: usize = 1_000;

/// The kinds of calls; refusals in a row are counted for each kind separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusable {
    LookUp,
    Account,
    Location,
}

impl Refusable {
    pub(super) const fn of(write: &Write) -> Self {
        match write {
            Write::Account { .. } => Self::Account,
            Write::Location { .. } => Self::Location,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::LookUp => "look-ups",
            Self::Account => "writes of account IDs",
            Self::Location => "writes to locations",
        }
    }
}

/// Why a write did not take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It was refused with this status.
    Refused(u16),
    /// It was tried the maximum number of times.
    Ineffective,
}

/// The refusals and failures that all units together have received.
#[derive(Debug)]
pub(super) struct WriteBreaker {
    /// Whether refusals of one kind end the run.
    stops: bool,
    /// Counts calls in the order of sending, which is not the order of the answers.
    sent: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    in_a_row: [InARow; 3],
    /// How many attempts in a row did not take effect.
    without_effect: u32,
    /// Since when writes have not taken effect, and how many of them.
    ineffective: Option<(Instant, u32)>,
    /// The units of refused and ineffective writes, by number.
    suspended: HashMap<Line, (Refusable, Cause)>,
    /// The kind and the status of the refusals that end the run.
    alike: Option<(Refusable, u16)>,
    /// The suspended units that have ended.
    ended: Vec<UnitTask>,
    /// The lines of units under way that have failed with a 401.
    unauthorized: HashSet<Line>,
    /// The units of such lines that have ended, the latest last.
    doubted: VecDeque<(Instant, UnitTask)>,
}

/// Refusals with one status, of calls that were sent after the last accepted call.
#[derive(Debug, Default)]
struct InARow {
    status: u16,
    /// The numbers of the refused calls.
    refused: Vec<u64>,
    /// The number of the latest call that was accepted.
    accepted: u64,
}

impl InARow {
    fn accept(&mut self, number: u64) {
        self.accepted = self.accepted.max(number);
        self.refused.retain(|refused| *refused > number);
    }
}

impl WriteBreaker {
    pub(super) fn new(stops: bool) -> Self {
        Self {
            stops,
            sent: AtomicU64::new(1),
            seen: Mutex::default(),
        }
    }

    /// Returns the number of a call that is sent now.
    pub(super) fn number(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // The value is consistent between any two statements, so a poisoned lock can be used.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a look-up was answered, so earlier refusals were about their customers.
    pub(super) fn looked_up(&self, number: u64) {
        self.lock().in_a_row[Refusable::LookUp as usize].accept(number);
    }

    /// Notes that the system accepts writes of this kind, so earlier failures were about their customers.
    pub(super) fn accepted(&self, kind: Refusable, number: u64) {
        let mut seen = self.lock();
        seen.in_a_row[kind as usize].accept(number);
        seen.ineffective = None;
        seen.without_effect = 0;
        if !seen.suspended.is_empty() {
            seen.suspended.retain(|_, (of, _)| *of != kind);
            let Seen {
                suspended, ended, ..
            } = &mut *seen;
            ended.retain(|task| suspended.contains_key(&task.unit.number));
        }
    }

    /// Notes that a call was refused for a reason that no search explains. `unit`: the unit of a write. `example`: what
    /// the call was about. An error ends the run.
    pub(super) fn refused(
        &self,
        kind: Refusable,
        number: u64,
        unit: Option<Line>,
        trouble: &SystemError,
        example: impl FnOnce() -> String,
    ) -> Result<(), Halt> {
        let Some(status) = trouble.http_status.filter(|status| counts(*status)) else {
            return Ok(());
        };
        let mut seen = self.lock();
        if let Some(unit) = unit {
            seen.suspended.insert(unit, (kind, Cause::Refused(status)));
        }
        let row = &mut seen.in_a_row[kind as usize];
        if row.status != status {
            row.status = status;
            row.refused.clear();
        }
        if number > row.accepted {
            row.refused.push(number);
        }
        let most = match status {
            401 | 403 | 404 => MOST_ALIKE_OF_CUSTOMERS,
            _ => MOST_ALIKE,
        };
        if !self.stops || row.refused.len() < most {
            // If refusals do not stop the run, more of them need not be kept.
            row.refused.truncate(most);
            return Ok(());
        }
        seen.alike = Some((kind, status));
        let row = &seen.in_a_row[kind as usize];
        let check = match status {
            401 | 403 => "check that the token has this permission",
            404 => "check that the base URL and the file belong to this system",
            _ => "read what the system says",
        };
        let words = format!(
            "{} {} in a row were refused for the same reason and none was accepted: {}; for example {}; {check}, or \
             continue anyway with --max-failures 100%",
            row.refused.len(),
            kind.name(),
            trouble.message,
            example()
        );
        Err(Halt::Fatal(Fatal::RefusedAlike, words))
    }

    /// Notes that an attempt did not take effect and will be repeated. Returns the number of such attempts in a row if
    /// it should be shown: the third, and each time the number has doubled.
    pub(super) fn without_effect(&self) -> Option<u32> {
        let mut seen = self.lock();
        seen.without_effect = seen.without_effect.saturating_add(1);
        let times = seen.without_effect;
        let is_shown = times.is_multiple_of(FIRST_SHOWN) && (times / FIRST_SHOWN).is_power_of_two();
        is_shown.then_some(times)
    }

    /// Notes that a write was tried the maximum number of times and did not take effect. `patience`: the maximum time
    /// during which no write takes effect, though the system may answer everything else. An error ends the run.
    pub(super) fn ineffective(
        &self,
        kind: Refusable,
        unit: Line,
        trouble: &SystemError,
        patience: Duration,
    ) -> Result<(), Halt> {
        let mut seen = self.lock();
        seen.suspended.insert(unit, (kind, Cause::Ineffective));
        let (since, many) = seen.ineffective.get_or_insert_with(|| (Instant::now(), 0));
        *many += 1;
        if *many < MOST_INEFFECTIVE || since.elapsed() < patience {
            return Ok(());
        }
        let words = format!(
            "no write has taken effect for {} s; the last one: {}",
            since.elapsed().as_secs(),
            trouble.message
        );
        Err(Halt::Fatal(Fatal::TakesNoWrites, words))
    }

    /// Notes that a unit has ended.
    pub(super) fn ended(&self, task: &UnitTask) {
        let mut seen = self.lock();
        // If an earlier process may have written for the unit, or has recorded an outcome, nothing is taken back.
        let landed = |write: &WriteRecord| {
            write.verdict == Some(Verdict::Applied) || write.may_have_landed()
        };
        let is_new = task.done.is_empty() && !task.recorded.iter().any(landed);
        let is_suspended = seen.suspended.contains_key(&task.unit.number);
        // If refusals do not end the run, a file may consist of them.
        let has_room = self.stops || seen.ended.len() < MOST_KEPT;
        if is_suspended && is_new && has_room {
            seen.ended.push(task.clone());
        }
        if seen.unauthorized.is_empty() {
            return;
        }
        let lines = task.unit.lines();
        let doubted = lines.filter(|line| seen.unauthorized.remove(line)).count();
        if doubted > 0 && is_new {
            if seen.doubted.len() == MOST_DOUBTED {
                seen.doubted.pop_front();
            }
            seen.doubted.push_back((Instant::now(), task.clone()));
        }
    }

    /// Notes that a line has failed with a 401.
    pub(super) fn unauthorized(&self, line: Line) {
        self.lock().unauthorized.insert(line);
    }

    /// Returns whether units have failed with a 401 and it is unknown whether the token caused that.
    pub(super) fn doubts_the_token(&self) -> bool {
        let seen = self.lock();
        let latest = seen.doubted.back();
        latest.is_some_and(|(ended, _)| ended.elapsed() < DOUBT)
    }

    /// Returns the units that have ended and may have failed for the reason for which the run ends.
    pub(super) fn take(&self, why: Fatal) -> Vec<UnitTask> {
        let mut seen = self.lock();
        let mut failed = std::mem::take(&mut seen.ended);
        let Seen {
            suspended, alike, ..
        } = &*seen;
        failed.retain(|task| {
            let (kind, cause) = match suspended.get(&task.unit.number) {
                Some(suspended) => *suspended,
                None => return false,
            };
            match (cause, why) {
                (Cause::Refused(status), Fatal::RefusedAlike) => *alike == Some((kind, status)),
                (Cause::Refused(status), Fatal::TokenRefused) => matches!(status, 401 | 403),
                // The wrong server or the wrong setting may have caused the refusal.
                (Cause::Refused(_), Fatal::WrongAddress | Fatal::Setting) => true,
                // The system answers, so the refusal was about the customer.
                (Cause::Refused(_), _) => false,
                (Cause::Ineffective, _) => why != Fatal::RefusedAlike,
            }
        });
        if why == Fatal::TokenRefused {
            let doubted = seen.doubted.drain(..);
            let lately = doubted.filter(|(ended, _)| ended.elapsed() < DOUBT);
            failed.extend(lately.map(|(_, task)| task));
        }
        failed
    }
}

/// Returns whether refusals with this status are counted. A success with an error in its body is counted; "too many
/// requests" and failures of the system are not.
const fn counts(status: u16) -> bool {
    matches!(status, 200..=499) && !matches!(status, 408 | 425 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Change, Failed, NewAccount};
    use crate::plan::Unit;

    fn trouble(status: u16) -> SystemError {
        SystemError {
            http_status: Some(status),
            ..SystemError::new(Failed::Rejected, format!("{status}: no"))
        }
    }

    /// How many refusals in a row end the run, of at most 300.
    fn most(stops: bool, statuses: &[u16]) -> Option<usize> {
        let breaker = WriteBreaker::new(stops);
        let mut all = statuses.iter().cycle().take(300);
        let refused = |status: &u16| {
            let example = || "line 2".to_owned();
            let number = breaker.number();
            let trouble = trouble(*status);
            let result = breaker.refused(Refusable::Account, number, None, &trouble, example);
            result.is_err()
        };
        all.position(refused).map(|at| at + 1)
    }

    #[test]
    fn limit_of_consecutive_refusals_depends_on_the_status() {
        for status in [200, 307, 400, 402, 405, 407, 422] {
            assert_eq!(most(true, &[status]), Some(20), "{status}");
        }
        for status in [401, 403, 404] {
            assert_eq!(most(true, &[status]), Some(100), "{status}");
        }
        for statuses in [&[408][..], &[429], &[500], &[503], &[400, 422]] {
            assert_eq!(most(true, statuses), None, "{statuses:?}");
        }
        assert_eq!(most(true, &[400, 500]), Some(39));
        assert_eq!(most(false, &[422]), None);
    }

    #[test]
    fn only_units_that_failed_for_the_stop_reason_are_reopened() {
        let opened = |why| {
            let breaker = WriteBreaker::new(true);
            let unit = |line| {
                UnitTask::new(Unit::single(Change {
                    line,
                    account: None,
                    customer: None,
                    reseller: None,
                    new_account: NewAccount::Clear,
                    location: None,
                    service: None,
                    profile: None,
                }))
            };
            let refuse = |line, status| {
                let number = breaker.number();
                let trouble = trouble(status);
                let kind = Refusable::Account;
                let refused = breaker.refused(kind, number, Some(line), &trouble, String::new);
                breaker.ended(&unit(line));
                refused
            };
            refuse(2, 409).unwrap();
            refuse(3, 403).unwrap();
            let patience = Duration::from_secs(9);
            let held = breaker.ineffective(Refusable::Account, 4, &trouble(503), patience);
            held.unwrap();
            breaker.ended(&unit(4));
            let last = (5..99).find(|line| refuse(*line, 422).is_err());
            assert_eq!(last, Some(24));
            let opened = breaker.take(why).into_iter();
            opened.map(|task| task.unit.number).collect::<Vec<_>>()
        };
        assert_eq!(opened(Fatal::GaveUp), [4]);
        assert_eq!(opened(Fatal::TakesNoWrites), [4]);
        assert_eq!(opened(Fatal::TokenRefused), [3, 4]);
        let alike: Vec<Line> = (5..25).collect();
        assert_eq!(opened(Fatal::RefusedAlike), alike);
    }

    #[test]
    fn accepted_write_resets_the_refusal_count_of_its_kind_only() {
        let breaker = WriteBreaker::new(true);
        let refuse = |kind| {
            let number = breaker.number();
            breaker.refused(kind, number, None, &trouble(422), String::new)
        };
        for _ in 0..19 {
            refuse(Refusable::Account).unwrap();
            refuse(Refusable::Location).unwrap();
            breaker.looked_up(breaker.number());
        }
        breaker.accepted(Refusable::Account, breaker.number());
        refuse(Refusable::Account).unwrap();
        assert!(refuse(Refusable::Location).is_err());
    }

    #[test]
    fn consecutive_refusals_are_counted_in_send_order() {
        let breaker = WriteBreaker::new(true);
        let kind = Refusable::Account;
        let numbers: Vec<u64> = (0..100).map(|_| breaker.number()).collect();
        // Every second call is accepted, and all of these are answered first.
        let (accepted, refused): (Vec<u64>, Vec<u64>) =
            numbers.iter().partition(|number| **number % 2 == 0);
        for number in accepted {
            breaker.accepted(kind, number);
        }
        for number in refused {
            let answer = breaker.refused(kind, number, None, &trouble(422), String::new);
            assert!(answer.is_ok(), "{number}");
        }
    }
}

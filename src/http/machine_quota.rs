//! Calls that all processes on one target count together. A later run counts the calls of earlier ones, also after
//! `kill -9`; processes that run at the same time (such as a `verify` during the nightly run) count each other's.
//!
//! Each process keeps its own reservations, and a copy of the others'. It refreshes the copy whenever it reserves calls,
//! in one transaction of [`CallReservations`]. A reservation that would exceed the quota together with those of the
//! others is not granted. So all processes together keep the quota, and no process waits for another to end.
//!
//! Calls are reserved in advance, a hundredth of the quota at a time, and recorded before they are used. A reservation
//! can be used for a hundredth of the window only. So the record is never behind, and a killed run costs the next one at
//! most one reservation. Times are wall clock, and on Linux also the time since boot. The clock by which a call is
//! *younger* decides, so a clock that jumped cannot free permits early.
//!
//! If a reservation cannot be recorded, the next one tries again and the run continues (a full disk stops the run at
//! the ledger).

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::settings::Quota;
use crate::limits::{CallReservations, ReservedCalls};

/// A call reaches the server within this time after its departure, unless a new connection is slow. The process that
/// made the call counts the window from its completion; other processes count the window from its departure plus this
/// time.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// A moment, by each clock that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    wall_ms: i64,
    /// Milliseconds since boot, suspend included.
    boot_ms: Option<i64>,
}

/// Reserved calls that departed at `until` at the latest.
#[derive(Debug, Clone, Copy)]
struct Reservation {
    until: Stamp,
    calls: u32,
}

/// For each of the other processes' reservations: how long its permits are still taken, and how many.
pub(super) type Taken = Vec<(Duration, u32)>;

/// Whether a call may depart.
#[derive(Debug)]
pub(super) struct Departure {
    /// The call may depart.
    pub(super) granted: bool,
    /// The permits of the other processes, if they were read.
    pub(super) others: Option<Taken>,
}

/// The reservation that is in use.
#[derive(Debug)]
struct OpenReservation {
    since: Stamp,
    left: u32,
}

/// The reservations of this process and of the others.
#[derive(Debug)]
pub(super) struct Reservations {
    shared: Arc<dyn CallReservations>,
    /// The local address of its calls.
    from: Option<IpAddr>,
    boot_id: String,
    owner: u64,
    quota: u32,
    window_ms: i64,
    valid_ms: i64,
    /// How many calls are reserved at a time.
    size: u32,
    /// Reservations of this process.
    own: VecDeque<Reservation>,
    /// Reservations of all others, as last read. They are written back unchanged: one of an earlier boot keeps its boot ID.
    others: Vec<ReservedCalls>,
    open: Option<OpenReservation>,
}

impl Reservations {
    /// Begins the reservations of this process, and returns the permits that others hold: `(free in, calls)`.
    pub(super) fn open(
        shared: Arc<dyn CallReservations>,
        quota: Quota,
        from: Option<IpAddr>,
    ) -> io::Result<(Self, Taken)> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let window_ms = millis(quota.window);
        let mut reservations = Self {
            shared,
            from,
            boot_id: boot_id.trim().to_owned(),
            owner: fastrand::u64(1..),
            quota: quota.calls,
            window_ms,
            valid_ms: (window_ms / 100).max(1),
            size: (quota.calls / 100).max(1),
            own: VecDeque::new(),
            others: Vec::new(),
            open: None,
        };
        let now = now();
        // Shows at the start that reservations can be written.
        reservations.exchange(now, |_| {})?;
        let taken = reservations.taken(now);
        Ok((reservations, taken))
    }

    /// Asks whether one call may depart now; `used` is the number of permits that this process uses, this call
    /// included. A granted call is on record when this function returns, unless recording failed.
    pub(super) fn depart(&mut self, used: u32) -> Departure {
        let now = now();
        if let Some(open) = &mut self.open {
            let fresh = (0..self.valid_ms).contains(&age_ms(now, open.since));
            if fresh && open.left > 0 {
                open.left -= 1;
                return Departure {
                    granted: true,
                    others: None,
                };
            }
        }
        self.close(now);
        let mut granted = false;
        let reserve = |reservations: &mut Self, granted: &mut bool| {
            let taken = reservations.others.iter().map(|one| one.calls);
            let taken = taken.fold(used, u32::saturating_add);
            *granted = taken <= reservations.quota;
            if *granted {
                let calls = reservations.size.min(reservations.quota - taken + 1);
                reservations.own.push_back(Reservation {
                    until: now.plus(reservations.valid_ms),
                    calls,
                });
                reservations.open = Some(OpenReservation {
                    since: now,
                    left: calls - 1,
                });
            }
        };
        if self
            .exchange(now, |reservations| reserve(reservations, &mut granted))
            .is_err()
        {
            // A reservation that cannot be recorded is used nevertheless; see the top of this file.
            self.open = None;
            self.own.retain(|one| one.until != now.plus(self.valid_ms));
            reserve(self, &mut granted);
        }
        Departure {
            granted,
            others: Some(self.taken(now)),
        }
    }

    /// Reads the others' reservations, lets `work` change this process's own, and records them.
    fn exchange(&mut self, now: Stamp, mut work: impl FnMut(&mut Self)) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        shared.change(self.from, self.owner, &mut |all| {
            let others = all.into_iter().filter(|one| one.owner != self.owner);
            self.others = others.collect();
            self.forget_old(now);
            work(self);
            let own = self.own.iter().map(|one| self.reserved(*one));
            self.others.iter().cloned().chain(own).collect()
        })
    }

    fn reservation_of(&self, one: &ReservedCalls) -> Reservation {
        let same_boot = !one.boot_id.is_empty() && one.boot_id == self.boot_id;
        Reservation {
            until: Stamp {
                wall_ms: one.wall_ms,
                boot_ms: one.boot_ms.filter(|_| same_boot),
            },
            calls: one.calls,
        }
    }

    fn reserved(&self, reservation: Reservation) -> ReservedCalls {
        ReservedCalls {
            owner: self.owner,
            wall_ms: reservation.until.wall_ms,
            boot_ms: reservation.until.boot_ms,
            boot_id: reservation
                .until
                .boot_ms
                .map_or_else(String::new, |_| self.boot_id.clone()),
            calls: reservation.calls,
        }
    }

    fn taken(&self, now: Stamp) -> Taken {
        let others = self.others.iter().map(|one| self.reservation_of(one));
        others
            .map(|reservation| {
                let wait = self.left_ms(&reservation, now).max(0);
                (
                    Duration::from_millis(wait.unsigned_abs()),
                    reservation.calls,
                )
            })
            .collect()
    }

    /// Gives back what was reserved and not used.
    fn close(&mut self, now: Stamp) {
        let Some(open) = self.open.take() else { return };
        if let Some(reservation) = self.own.back_mut() {
            reservation.calls -= open.left;
            // The reservation's last call departed before it expired, so a later `now` does not extend it.
            if age_ms(now, open.since) < self.valid_ms {
                reservation.until = now;
            }
        }
    }

    fn forget_old(&mut self, now: Stamp) {
        let counts = |reservations: &Self, reservation: &Reservation| {
            reservation.calls > 0 && reservations.left_ms(reservation, now) > 0
        };
        let (mut own, mut others) = (mem::take(&mut self.own), mem::take(&mut self.others));
        own.retain(|reservation| counts(self, reservation));
        others.retain(|one| counts(self, &self.reservation_of(one)));
        (self.own, self.others) = (own, others);
    }

    /// Returns for how many milliseconds the permits of a reservation are still taken.
    fn left_ms(&self, reservation: &Reservation, now: Stamp) -> i64 {
        let whole = self.window_ms + millis(UNDER_WAY);
        // A stamp further ahead than the life of a reservation means that a clock was set back.
        let age = age_ms(now, reservation.until).max(-self.valid_ms);
        whole - age
    }
}

impl Drop for Reservations {
    fn drop(&mut self) {
        let now = now();
        self.close(now);
        // If this fails, the reservation stays, which cannot exceed the quota.
        let _ = self.exchange(now, |_| {});
    }
}

impl Stamp {
    fn plus(self, ms: i64) -> Self {
        Self {
            wall_ms: self.wall_ms + ms,
            boot_ms: self.boot_ms.map(|boot| boot + ms),
        }
    }
}

fn now() -> Stamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    Stamp {
        wall_ms: wall.map_or(0, millis),
        boot_ms: boot_time().map(millis),
    }
}

/// Returns the time since boot, suspend included.
#[cfg(target_os = "linux")]
fn boot_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).ok()
}

#[cfg(not(target_os = "linux"))]
fn boot_time() -> Option<Duration> {
    None
}

/// Returns the age in milliseconds, by the clock that gives the lower one.
fn age_ms(now: Stamp, then: Stamp) -> i64 {
    let wall = now.wall_ms.saturating_sub(then.wall_ms);
    match (now.boot_ms, then.boot_ms) {
        (Some(now), Some(then)) => wall.min(now.saturating_sub(then)),
        _ => wall,
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

/// The reservations of all processes, in memory.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct InMemory(std::sync::Mutex<Vec<ReservedCalls>>);

#[cfg(test)]
impl CallReservations for InMemory {
    fn change(
        &self,
        _from: Option<IpAddr>,
        _owner: u64,
        change: &mut dyn FnMut(Vec<ReservedCalls>) -> Vec<ReservedCalls>,
    ) -> io::Result<()> {
        let mut all = self.0.lock().unwrap();
        let changed = change(all.clone());
        *all = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota {
        calls: 1000,
        window: Duration::from_secs(300),
    };

    fn shared() -> Arc<dyn CallReservations> {
        Arc::new(InMemory::default())
    }

    fn taken_of(shared: &Arc<dyn CallReservations>) -> u32 {
        let (reservations, earlier) = Reservations::open(Arc::clone(shared), QUOTA, None).unwrap();
        std::mem::forget(reservations);
        assert!(
            earlier
                .iter()
                .all(|(wait, _)| *wait <= Duration::from_secs(305))
        );
        earlier.iter().map(|(_, calls)| calls).sum()
    }

    fn depart(reservations: &mut Reservations) {
        assert!(reservations.depart(1).granted);
    }

    #[test]
    fn two_at_a_time_keep_the_quota_together_and_lose_no_call_of_each_other() {
        let shared = shared();
        let (mut one, _) = Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
        let (mut two, taken) = Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
        assert!(taken.is_empty());
        let (mut used, mut granted) = ([0, 0], [0, 0]);
        for n in 0..2000 {
            // `one` is three times as fast.
            let (which, reservations) = if n % 4 == 0 {
                (0, &mut two)
            } else {
                (1, &mut one)
            };
            used[which] = granted[which] + 1;
            granted[which] += u32::from(reservations.depart(used[which]).granted);
        }
        let all = granted[0] + granted[1];
        assert!((980..=1000).contains(&all), "{granted:?}");
        assert!(granted[0] > 100, "{granted:?}");
        // Each is told how many calls the other has taken.
        let others = two.depart(granted[0] + 1).others.unwrap();
        let others: u32 = others.iter().map(|(_, calls)| calls).sum();
        assert!((granted[1]..granted[1] + 10).contains(&others), "{others}");
        drop((one, two));
        assert_eq!(taken_of(&shared), all);
    }

    #[test]
    fn a_run_that_ended_left_exactly_its_calls() {
        let shared = shared();
        let (mut reservations, earlier) =
            Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
        assert!(earlier.is_empty());
        (0..123).for_each(|_| depart(&mut reservations));
        drop(reservations);
        assert_eq!(taken_of(&shared), 123);
    }

    #[test]
    fn a_run_that_was_killed_is_never_counted_short_and_at_most_one_reservation_too_high() {
        let shared = shared();
        let (mut reservations, _) = Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
        for used in 1..=200 {
            depart(&mut reservations);
            let counted = taken_of(&shared);
            assert!((used..used + 10).contains(&counted), "{counted} for {used}");
        }
        // Like `kill -9`: nothing is given back.
        std::mem::forget(reservations);
        assert_eq!(taken_of(&shared), 200);
    }

    #[test]
    fn three_runs_in_a_row_add_up() {
        let shared = shared();
        for _ in 0..3 {
            let (mut reservations, _) =
                Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
            (0..50).for_each(|_| depart(&mut reservations));
        }
        assert_eq!(taken_of(&shared), 150);
    }

    /// The table keeps only reservations that are returned unchanged.
    #[test]
    fn calls_before_a_reboot_count_as_long_as_any_others() {
        let shared = shared();
        let before = ReservedCalls {
            owner: 1,
            wall_ms: now().wall_ms - 1000,
            boot_ms: Some(i64::MAX / 4),
            boot_id: "an earlier boot".to_owned(),
            calls: 7,
        };
        let put = |_| vec![before.clone()];
        shared.change(None, 1, &mut { put }).unwrap();
        for _ in 0..3 {
            assert_eq!(taken_of(&shared), 7);
        }
        let mut found = Vec::new();
        let mut look = |all: Vec<ReservedCalls>| {
            found.clone_from(&all);
            all
        };
        shared.change(None, 2, &mut look).unwrap();
        assert_eq!(found, [before]);
    }

    #[test]
    fn a_reservation_that_lay_too_long_is_not_used_further() {
        let shared = shared();
        let (mut reservations, _) = Reservations::open(Arc::clone(&shared), QUOTA, None).unwrap();
        depart(&mut reservations);
        reservations.open.as_mut().unwrap().since = now().plus(-4000);
        reservations.own[0].until = now().plus(-1000);
        depart(&mut reservations);
        assert_eq!(reservations.own.len(), 2);
        assert_eq!(reservations.own[0].calls, 1);
        assert!(age_ms(now(), reservations.own[1].until) < 0);
    }

    #[test]
    fn a_clock_that_jumped_frees_nothing_early() {
        let shared = shared();
        let (reservations, _) = Reservations::open(shared, QUOTA, None).unwrap();
        let then = Stamp {
            wall_ms: 1_000_000,
            boot_ms: Some(5000),
        };
        let reservation = Reservation {
            until: then,
            calls: 1,
        };
        let whole = 301_000;
        let forward = Stamp {
            wall_ms: 9_000_000,
            boot_ms: Some(6000),
        };
        assert_eq!(reservations.left_ms(&reservation, forward), whole - 1000);
        let back = Stamp {
            wall_ms: 0,
            boot_ms: None,
        };
        assert_eq!(reservations.left_ms(&reservation, back), whole + 3000);
        let both = Stamp {
            wall_ms: 1_010_000,
            boot_ms: Some(15_000),
        };
        assert_eq!(reservations.left_ms(&reservation, both), whole - 10_000);
    }
}

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
use crate::moment::since_boot;

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
        boot_ms: Some(millis(since_boot())),
    }
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
mod tests;

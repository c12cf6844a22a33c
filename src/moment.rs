//! Moments that also count the time during which the machine was suspended.
//!
//! On Linux and macOS, [`Instant`] stands still during a suspension. It is right for waits and rates. It is wrong for
//! the age of what was read, and for the end of a token or of a run: other clients and servers go on meanwhile.

use rustix::time::{ClockId, clock_gettime};
use std::ops::Add;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant as Monotonic, SystemTime};
use tokio::time::Instant;

/// What the clocks differ by from one reading to the next counts as a suspension from this duration on. A process may
/// be interrupted between the readings of two clocks, and clocks are adjusted.
const SUSPENSION: Duration = Duration::from_secs(1);

/// A moment of this process's time, suspensions included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Instant);

impl Moment {
    /// Returns the present moment.
    pub fn now() -> Self {
        Self(Instant::now() + suspended())
    }

    /// Returns the time since this moment; zero if it is in the future.
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_duration_since(self.0)
    }

    /// Returns when a timer has to end that waits for this moment, if there is no suspension until then.
    pub fn timer(self) -> Instant {
        Instant::now() + self.0.saturating_duration_since(Self::now().0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

/// The clocks of the machine, and the suspensions that they have shown so far.
#[derive(Debug)]
struct Clocks {
    monotonic: Monotonic,
    boot: Duration,
    wall: SystemTime,
    suspended: Duration,
}

impl Clocks {
    fn read() -> Self {
        Self {
            monotonic: Monotonic::now(),
            boot: since_boot(),
            wall: SystemTime::now(),
            suspended: Duration::ZERO,
        }
    }

    /// Adds the time that the monotonic clock did not count since the last reading. The wall clock also goes on while a
    /// virtual machine is halted; if it is set forward, moments only seem older.
    fn advance(&mut self, now: &Self) {
        let counted = now.monotonic.saturating_duration_since(self.monotonic);
        let wall = now.wall.duration_since(self.wall).unwrap_or_default();
        let real = now.boot.saturating_sub(self.boot).max(wall);
        let missed = real.saturating_sub(counted);
        let suspended = if missed < SUSPENSION {
            self.suspended
        } else {
            self.suspended + missed
        };
        *self = Self { suspended, ..*now };
    }
}

/// Returns for how long the machine was suspended since this process first asked.
fn suspended() -> Duration {
    static CLOCKS: LazyLock<Mutex<Clocks>> = LazyLock::new(|| Mutex::new(Clocks::read()));
    let mut clocks = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    clocks.advance(&Clocks::read());
    #[cfg(test)]
    let clocks = Clocks {
        suspended: clocks.suspended + SIMULATED.get(),
        ..*clocks
    };
    clocks.suspended
}

/// Returns the time since this machine was started; it goes on while the machine is suspended.
pub fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    // On these systems, this clock goes on during a suspension, and `Instant` uses another one.
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

#[cfg(test)]
thread_local! {
    static SIMULATED: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

/// Lets this thread see its machine suspended for this time.
#[cfg(test)]
pub(crate) fn suspend(time: Duration) {
    SIMULATED.set(SIMULATED.get() + time);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn later(clocks: &Clocks, monotonic: Duration, boot: Duration, wall: Duration) -> Clocks {
        Clocks {
            monotonic: clocks.monotonic + monotonic,
            boot: clocks.boot + boot,
            wall: clocks.wall + wall,
            suspended: Duration::ZERO,
        }
    }

    #[test]
    fn time_that_the_monotonic_clock_misses_counts_by_the_boot_clock_or_the_wall_clock() {
        let mut clocks = Clocks::read();
        let mut counts = |monotonic, boot, wall| {
            let before = clocks.suspended;
            let now = later(&clocks, monotonic, boot, wall);
            clocks.advance(&now);
            clocks.suspended.saturating_sub(before)
        };
        assert_eq!(counts(SECOND, SECOND, SECOND), Duration::ZERO);
        assert_eq!(counts(SECOND, SECOND * 31, SECOND * 31), SECOND * 30);
        assert_eq!(counts(SECOND, SECOND * 31, SECOND), SECOND * 30);
        assert_eq!(counts(SECOND, SECOND, SECOND * 31), SECOND * 30);
        let noise = SECOND + SECOND / 2;
        assert_eq!(counts(SECOND, noise, noise), Duration::ZERO);
    }

    #[test]
    fn wall_clock_that_is_set_back_hides_no_later_suspension() {
        let mut clocks = Clocks::read();
        let mut set_back = later(&clocks, SECOND, SECOND, SECOND);
        set_back.wall = SystemTime::UNIX_EPOCH;
        clocks.advance(&set_back);
        assert_eq!(clocks.suspended, Duration::ZERO);
        let now = later(&clocks, SECOND, SECOND * 31, SECOND * 31);
        clocks.advance(&now);
        assert_eq!(clocks.suspended, SECOND * 30);
    }

    #[tokio::test(start_paused = true)]
    async fn moments_count_virtual_time_and_suspensions() {
        let begun = Moment::now();
        let end = begun + SECOND * 60;
        tokio::time::advance(SECOND * 10).await;
        assert_eq!(begun.elapsed(), SECOND * 10);
        assert_eq!(end.timer(), Instant::now() + SECOND * 50);
        suspend(SECOND * 30);
        assert_eq!(begun.elapsed(), SECOND * 40);
        assert_eq!(end.timer(), Instant::now() + SECOND * 20);
        suspend(SECOND * 30);
        assert!(Moment::now() > end);
        assert_eq!(end.timer(), Instant::now());
    }
}

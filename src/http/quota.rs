//! Limits the number of calls in any rolling window, in addition to the rate. Calls of other processes on the same
//! target count too, both those of earlier runs and those of processes that are running now.
//!
//! A permit is free again one window after its call was *completed*. The server counted the call before that, so the
//! server's own count can never exceed the quota, however slow the call was. Permits are given in the order of the
//! requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::machine_quota::{Reservations, Taken};
use super::settings::Quota;

/// The permits of one quota.
#[derive(Debug)]
pub(super) struct Permits {
    quota: Quota,
    state: Mutex<State>,
    reservations: Option<Mutex<Reservations>>,
    waiting: Arc<Waiting>,
}

/// The calls that wait for a permit of any quota, in the order of their requests.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    queue: tokio::sync::Mutex<()>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Number of calls that have a permit and are not completed.
    flying: u32,
    /// When calls were completed, in order.
    done: VecDeque<Instant>,
    /// When permits of other processes become free, and how many, in order.
    earlier: VecDeque<(Instant, u32)>,
    earlier_sum: u32,
}

impl State {
    /// Replaces what was known of the other processes' permits.
    fn learn(&mut self, others: Taken, now: Instant) {
        let mut others: Vec<_> = others
            .into_iter()
            .map(|(wait, calls)| (now + wait, calls))
            .collect();
        others.sort_unstable();
        let calls = others.iter().map(|(_, calls)| *calls);
        self.earlier_sum = calls.fold(0, u32::saturating_add);
        self.earlier = others.into();
    }

    /// Takes a permit. The error is when to ask again; `None`: when a call is completed.
    fn take(&mut self, quota: Quota, now: Instant) -> Result<(), Option<Instant>> {
        while self
            .done
            .front()
            .is_some_and(|at| *at + quota.window <= now)
        {
            self.done.pop_front();
        }
        while let Some((free, calls)) = self.earlier.front().copied() {
            if free > now {
                break;
            }
            self.earlier_sum -= calls;
            self.earlier.pop_front();
        }
        let used = self.flying as usize + self.done.len() + self.earlier_sum as usize;
        if used < quota.calls as usize {
            self.flying += 1;
            return Ok(());
        }
        let done = self.done.front().map(|at| *at + quota.window);
        let earlier = self.earlier.front().map(|(free, _)| *free);
        Err(done.into_iter().chain(earlier).min())
    }
}

impl Permits {
    /// Creates the permits. `others`: the permits of other processes, as the reservations show them.
    pub(super) fn new(
        quota: Quota,
        reservations: Option<Reservations>,
        others: Taken,
        waiting: Arc<Waiting>,
    ) -> Self {
        let mut state = State::default();
        state.learn(others, Instant::now());
        Self {
            quota,
            state: Mutex::new(state),
            reservations: reservations.map(Mutex::new),
            waiting,
        }
    }

    /// Takes a permit. The error is when to ask again; `None`: when a call is completed.
    pub(super) fn try_take(&self, now: Instant) -> Result<Permit<'_>, Option<Instant>> {
        self.state().take(self.quota, now).map(|()| Permit {
            permits: self,
            departed: false,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Calls `ask` if no other call waits; `None`: it must wait, see [`Waiting::first`].
    pub(super) fn at_once<T>(
        &self,
        ask: impl Fn(Instant) -> Result<T, Option<Instant>>,
    ) -> Option<T> {
        let _first_in_line = self.queue.try_lock().ok()?;
        ask(Instant::now()).ok()
    }

    /// Calls `ask` until it succeeds. Its error is when to ask again; `None`: when a permit is free. Calls `told` with
    /// the earliest end of the wait, and with `None` when the wait is over.
    pub(super) async fn first<T>(
        &self,
        ask: impl Fn(Instant) -> Result<T, Option<Instant>>,
        told: impl Fn(Option<Instant>),
    ) -> T {
        let _first_in_line = self.queue.lock().await;
        let mut last = None;
        loop {
            // Registered before asking, so that a completion in between is not missed.
            let freed = self.freed.notified();
            match ask(Instant::now()) {
                Ok(found) => {
                    if last.is_some() {
                        told(None);
                    }
                    return found;
                }
                Err(Some(until)) => {
                    if last != Some(until) {
                        last = Some(until);
                        told(last);
                    }
                    // A permit that is returned unused is available earlier.
                    tokio::select! {
                        () = sleep_until(until) => {}
                        () = freed => {}
                    }
                }
                Err(None) => freed.await,
            }
        }
    }
}

/// The right to one call. If it is dropped before [`Permit::depart`], it was not used; if after, its call is completed.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    permits: &'a Permits,
    departed: bool,
}

impl Permit<'_> {
    /// Notes that the call goes out now: from here on it counts, for other processes too. `false`: it must not be sent,
    /// because another process on the same target took the rest of the quota meanwhile; the call has to wait for
    /// another permit.
    #[must_use]
    pub(super) fn depart(&mut self) -> bool {
        if let Some(reservations) = &self.permits.reservations {
            let used = {
                let state = self.permits.state();
                u32::try_from(state.done.len()).map_or(u32::MAX, |done| done + state.flying)
            };
            let mut reservations = reservations.lock().unwrap_or_else(PoisonError::into_inner);
            let departure = reservations.depart(used);
            drop(reservations);
            if let Some(others) = departure.others {
                self.permits.state().learn(others, Instant::now());
            }
            if !departure.granted {
                return false;
            }
        }
        self.departed = true;
        true
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.permits.state();
        state.flying -= 1;
        if self.departed {
            state.done.push_back(Instant::now());
        }
        drop(state);
        // Only the first call in the queue waits for this.
        self.permits.waiting.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::task::JoinSet;
    use tokio::time::sleep;

    const QUOTA: Quota = Quota {
        calls: 100,
        window: Duration::from_secs(10),
    };

    fn permits(quota: Quota, earlier: Taken) -> Permits {
        Permits::new(quota, None, earlier, Arc::default())
    }

    impl Permits {
        async fn take(&self, told: impl Fn(Option<Instant>)) -> Permit<'_> {
            self.waiting.first(|now| self.try_take(now), told).await
        }
    }

    /// Returns when the server saw each call: at some time between departure and completion.
    async fn run(permits: Arc<Permits>, seconds: u64, latency_ms: u64) -> Vec<u64> {
        let start = Instant::now();
        let mut set = JoinSet::new();
        for worker in 0..16_u64 {
            let permits = permits.clone();
            set.spawn(async move {
                let mut seen = Vec::new();
                loop {
                    let mut permit = permits.take(|_| ()).await;
                    if start.elapsed() >= Duration::from_secs(seconds) {
                        return seen;
                    }
                    assert!(permit.depart());
                    let before = latency_ms * (worker % 4) / 4;
                    sleep(Duration::from_millis(before)).await;
                    seen.push(u64::try_from(start.elapsed().as_millis()).unwrap());
                    sleep(Duration::from_millis(latency_ms - before)).await;
                }
            });
        }
        let mut all: Vec<u64> = set.join_all().await.into_iter().flatten().collect();
        all.sort_unstable();
        all
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_exceeds_the_quota_and_99_percent_are_used() {
        let calls = run(Arc::new(permits(QUOTA, Vec::new())), 100, 50).await;
        for (index, at) in calls.iter().enumerate() {
            let within = calls[index..]
                .iter()
                .take_while(|later| **later < at + 10_000)
                .count();
            assert!(within <= 100, "{within} calls in ten seconds from {at} ms");
        }
        assert!(calls.len() >= 990, "{}", calls.len());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_of_an_earlier_run_count() {
        let earlier = vec![(Duration::from_secs(7), 60), (Duration::from_secs(3), 30)];
        let calls = run(Arc::new(permits(QUOTA, earlier)), 9, 10).await;
        let until = |second: u64| calls.iter().filter(|at| **at < second * 1000).count();
        assert_eq!(until(2), 10);
        assert_eq!(until(6), 40);
        assert_eq!(until(9), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn unused_permit_is_available_again_immediately() {
        let permits = permits(QUOTA, Vec::new());
        for _ in 0..1000 {
            drop(permits.take(|_| ()).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn caller_is_notified_of_the_start_and_end_of_a_wait() {
        let quota = Quota { calls: 1, ..QUOTA };
        let permits = permits(quota, Vec::new());
        assert!(permits.take(|_| ()).await.depart());
        let told = Mutex::new(Vec::new());
        drop(permits.take(|until| told.lock().unwrap().push(until)).await);
        let told = told.into_inner().unwrap();
        assert!(matches!(told[..], [Some(_), None]), "{told:?}");
    }
}

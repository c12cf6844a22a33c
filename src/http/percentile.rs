//! A running estimate of the 99th percentile of a duration: nearly all samples are not longer.

use std::time::Duration;

/// Share of the samples that are not longer than the estimate.
const SHARE: f64 = 0.99;
/// Factor by which a longer sample raises the estimate.
const RAISE: f64 = 1.1;

/// The 99th percentile of a duration, estimated without keeping samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct DurationPercentile {
    now: Duration,
    least: Duration,
    most: Duration,
}

impl DurationPercentile {
    /// Starts with `first`, and always stays between `least` and `most`.
    pub(super) fn new(first: Duration, least: Duration, most: Duration) -> Self {
        let now = first;
        Self { now, least, most }
    }

    pub(super) fn get(&self) -> Duration {
        self.now
    }

    /// Adjusts the estimate. In balance, one longer sample in a hundred raises it as much as the other samples lower
    /// it.
    pub(super) fn learn(&mut self, seen: Duration) {
        let by = if seen > self.now {
            RAISE
        } else {
            RAISE.powf(-(1.0 - SHARE) / SHARE)
        };
        self.now = self.now.mul_f64(by).clamp(self.least, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(seen: impl Iterator<Item = u64>) -> Duration {
        let ms = Duration::from_millis;
        let mut estimate = DurationPercentile::new(ms(4), ms(2), ms(9));
        seen.for_each(|micros| estimate.learn(Duration::from_micros(micros)));
        estimate.get()
    }

    #[test]
    fn estimate_is_the_99th_percentile_within_its_limits() {
        // 3 ms in two of a hundred samples, 1 ms otherwise.
        let rare = learned((0..20_000).map(|n| if n % 50 == 0 { 3000 } else { 1000 }));
        assert!((2900..3500).contains(&rare.as_micros()), "{rare:?}");
        assert_eq!(learned((0..20_000).map(|_| 100)).as_millis(), 2);
        assert_eq!(learned((0..20_000).map(|_| 50_000)).as_millis(), 9);
    }
}

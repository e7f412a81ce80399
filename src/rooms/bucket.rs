//! A token bucket: how much one client may ask for.

/// Messages that may come at once.
const BURST: u64 = 20;

/// Milliseconds after which one more may come.
const REFILL: u64 = 200;

/// The bucket. Times are [`super::pulse::ticks`]. Holds at most [`BURST`], gains one every [`REFILL`] milliseconds.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Milliseconds' worth of messages.
    level: u64,
    at: u64,
}

impl Bucket {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            level: BURST * REFILL,
            at: now,
        }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&mut self, now: u64) -> bool {
        let gained = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        self.level = self.level.saturating_add(gained).min(BURST * REFILL);
        let enough = self.level >= REFILL;
        if enough {
            self.level -= REFILL;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_a_flood_does_not() {
        let mut bucket = Bucket::new(1000);
        let passed = (0..100).filter(|_| bucket.take(1000)).count();
        assert_eq!(passed, 20);
        assert!(!bucket.take(1199));
        assert!(bucket.take(1200));
        assert!(!bucket.take(1200));
    }

    #[test]
    fn a_long_silence_saves_up_no_more_than_a_burst() {
        let mut bucket = Bucket::new(0);
        let passed = (0..100).filter(|_| bucket.take(1_000_000)).count();
        assert_eq!(passed, 20);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(1000);
        while bucket.take(1000) {}
        assert!(!bucket.take(0));
        assert!(!bucket.take(1000));
    }
}

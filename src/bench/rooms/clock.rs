//! One clock for everything that is measured in this process: stamps travel inside the texts,
//! through the server and back.

use std::time::Instant;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Base in which stamps are written.
const BASE: u32 = 36;

/// What a stamp begins with; no text of the house has it.
const MARK: char = '~';

/// Microseconds since it was made. Runs out after an hour; no measurement lasts as long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn at(self, instant: Instant) -> u32 {
        let since = instant.saturating_duration_since(self.0);
        u32::try_from(since.as_micros()).unwrap_or(u32::MAX)
    }

    pub fn now(self) -> u32 {
        self.at(Instant::now())
    }
}

/// A stamp as a word of a text.
pub(super) fn word(stamp: u32) -> String {
    let mut digits = Vec::new();
    let mut rest = stamp;
    loop {
        digits.extend(char::from_digit(rest % BASE, BASE));
        rest /= BASE;
        if rest == 0 {
            break;
        }
    }
    std::iter::once(MARK)
        .chain(digits.into_iter().rev())
        .collect()
}

/// The stamps in a text.
pub(super) fn stamps(text: &str) -> impl Iterator<Item = u32> {
    text.split_whitespace()
        .filter_map(|word| u32::from_str_radix(word.strip_prefix(MARK)?, BASE).ok())
}

/// Longest wait that is told from longer ones, microseconds.
const LONGEST: u64 = 60_000_000;

/// For waits in microseconds, to three digits.
pub(super) fn histogram() -> anyhow::Result<Histogram<u64>> {
    // One that grows by itself does not when what is recorded saturates.
    Ok(Histogram::new_with_max(LONGEST, 3)?)
}

/// A distribution of waits, milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Waits {
    pub samples: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Waits {
    /// Of microseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            samples: histogram.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
        }
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            p50_ms,
            p99_ms,
            p999_ms,
            max_ms,
            ..
        } = self;
        write!(
            f,
            "p50 {p50_ms:.2} ms   p99 {p99_ms:.2} ms   p99.9 {p999_ms:.2} ms   most {max_ms:.2} ms"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_found_again_among_other_words() {
        for stamp in [0, 35, 36, 1_000_000, u32::MAX] {
            let text = format!("What so {} the {} ~", word(stamp), word(7));
            assert_eq!(stamps(&text).collect::<Vec<_>>(), [stamp, 7]);
        }
    }

    #[test]
    fn waits_from_a_microsecond_to_a_minute_are_kept_apart() {
        let mut waits = histogram().expect("bounds");
        for wait in [1, 2_000, 50_000_000] {
            waits.saturating_record(wait);
        }
        let Waits { p50_ms, max_ms, .. } = Waits::of(&waits);
        assert!((1.99..2.01).contains(&p50_ms), "{p50_ms}");
        assert!((49_900.0..50_100.0).contains(&max_ms), "{max_ms}");
    }
}

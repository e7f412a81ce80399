//! Passes over a row of logits: its maximum, its weights, its moments.
//!
//! A row has some 50,000 logits, and every token costs at least one pass; so they are
//! written for vector units, eight at a time where the processor has AVX2. Sums have one
//! order, fixed by [`LANES`] and [`BLOCK`], and the exponential is our own: the same bits
//! on every machine, whichever instructions it has.
//!
//! What is not a number counts as minus infinity: impossible.

/// Sums that go on side by side.
const LANES: usize = 16;

/// Logits whose weights are summed in single precision before the sum joins the others in
/// double precision.
const BLOCK: usize = 512;

/// An infinite logit would make differences meaningless.
const HIGHEST: f32 = 1e30;

/// Relative logits below this have no weight: e^-87 is the last that is a normal number.
const LOWEST: f32 = -87.0;

/// A logit as it counts: never NaN, never plus infinity.
#[inline(always)]
pub(crate) fn clean(logit: f32) -> f32 {
    // A comparison with NaN is false, and compiles to one instruction as it stands.
    let possible = if logit > f32::NEG_INFINITY {
        logit
    } else {
        f32::NEG_INFINITY
    };
    if possible < HIGHEST {
        possible
    } else {
        HIGHEST
    }
}

/// e to the power of `x`, for `x` of 0 or less; exactly 0 below [`LOWEST`], and for what is
/// not a number.
///
/// x = n ln 2 + r with whole n and |r| ≤ ln 2 / 2, so that e^x = 2^n e^r; e^r is its Taylor
/// series up to r^7 / 7!, whose rest is below 6e-9 of the value.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding this leaves a whole number in the last bits: 1.5 · 2^23.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first of so few bits that n times it is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let inside = if x >= LOWEST { x } else { LOWEST };
    let rounded = inside * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (inside - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut series = 1.0 / 5040.0;
    for factor in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        series = series * r + factor;
    }
    // The exponent of 2^n, from the last bits of `rounded`; n is -126 to 0.
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x >= LOWEST { series * power } else { 0.0 }
}

/// Compiles a pass twice, for any processor and for AVX2, and takes the faster one at run
/// time. Both do the same operations in the same order: no fused multiply-add.
macro_rules! pass {
    ($(#[$doc:meta])* $vis:vis $name:ident, $body:ident, ($($argument:ident: $kind:ty),*) -> $result:ty) => {
        $(#[$doc])*
        $vis fn $name($($argument: $kind),*) -> $result {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide($($argument: $kind),*) -> $result {
                    $body($($argument),*)
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { wide($($argument),*) };
                }
            }
            $body($($argument),*)
        }
    };
}
pub(crate) use pass;

/// Calls `add` with every [`LANES`] numbers of `row`, the last ones filled up with minus
/// infinity.
#[inline(always)]
fn each_group(row: &[f32], mut add: impl FnMut(&[f32; LANES])) {
    let (groups, rest) = row.as_chunks::<LANES>();
    for group in groups {
        add(group);
    }
    if !rest.is_empty() {
        let mut last = [f32::NEG_INFINITY; LANES];
        last[..rest.len()].copy_from_slice(rest);
        add(&last);
    }
}

#[inline(always)]
fn greatest(row: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; LANES];
    each_group(row, |group| {
        for (best, &logit) in best.iter_mut().zip(group) {
            if logit > *best {
                *best = logit;
            }
        }
    });
    clean(best.into_iter().fold(f32::NEG_INFINITY, f32::max))
}

#[inline(always)]
fn count_above(row: &[f32], border: f32) -> u32 {
    let mut above = [0u32; LANES];
    each_group(row, |group| {
        for (above, &logit) in above.iter_mut().zip(group) {
            *above += u32::from(logit > border);
        }
    });
    above.iter().sum()
}

pass! {
    /// How many logits are strictly greater than `border`.
    pub(crate) above, count_above, (row: &[f32], border: f32) -> u32
}

/// The first logit that is strictly greater than `border`.
pub(crate) fn find_above(row: &[f32], border: f32) -> Option<usize> {
    /// Looked at together before any one of them is looked at alone.
    const STRIDE: usize = 256;
    let strides = row.chunks(STRIDE).enumerate();
    strides
        .filter(|(_, stride)| above(stride, border) > 0)
        .find_map(|(at, stride)| {
            let within = stride.iter().position(|&logit| logit > border)?;
            Some(at * STRIDE + within)
        })
}

/// What a row of logits says about any next token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distribution {
    best: f64,
    /// Natural log of the sum of all weights beside the best.
    log_sum: f64,
    /// Mean of the log-probability under the distribution itself (minus entropy), nats.
    pub(crate) mean: f64,
    /// Variance of the same, nats².
    pub(crate) variance: f64,
}

impl Distribution {
    /// With z the logits, z* their maximum and S = Σ e^(z - z*), the softmax gives
    /// log p = z - z* - ln S. Its mean μ = Σ p log p and its variance
    /// σ² = Σ p (log p - μ)² follow from the sums of e^d, d e^d and d² e^d, d = z - z*:
    /// μ = Σ d e^d / S - ln S, σ² = Σ d² e^d / S - (Σ d e^d / S)².
    /// These are the moments of Fast-DetectGPT (Bao et al. 2024, the analytic form).
    ///
    /// Where no logit is possible, all numbers are NaN.
    pub(crate) fn of(logits: &[f32]) -> Self {
        moments(logits)
    }

    /// Natural log of the probability of a token with this logit, nats; minus infinity for
    /// an impossible one.
    pub(crate) fn log_prob(&self, logit: f32) -> f64 {
        f64::from(clean(logit)) - self.best - self.log_sum
    }
}

pass! {
    moments, sum_moments, (row: &[f32]) -> Distribution
}

#[inline(always)]
fn sum_moments(row: &[f32]) -> Distribution {
    let best = greatest(row);
    let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
    for block in row.chunks(BLOCK) {
        let mut weights = [0f32; LANES];
        let mut firsts = [0f32; LANES];
        let mut seconds = [0f32; LANES];
        each_group(block, |group| {
            for lane in 0..LANES {
                let relative = clean(group[lane]) - best;
                let weight = exp(relative);
                // Minus infinity times no weight would be NaN.
                let relative = if relative >= LOWEST { relative } else { 0.0 };
                let moment = weight * relative;
                weights[lane] += weight;
                firsts[lane] += moment;
                seconds[lane] += moment * relative;
            }
        });
        let total = |lanes: [f32; LANES]| lanes.into_iter().map(f64::from).sum::<f64>();
        sum += total(weights);
        first += total(firsts);
        second += total(seconds);
    }
    let mean = first / sum;
    let log_sum = f64::ln(sum);
    Distribution {
        best: f64::from(best),
        log_sum,
        mean: mean - log_sum,
        variance: (second / sum - mean * mean).max(0.0),
    }
}

/// Natural log of the softmax of a few `logits`; what is not a number counts as impossible.
pub(crate) fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let best = greatest(logits);
    if best == f32::NEG_INFINITY {
        return vec![f64::NEG_INFINITY; logits.len()];
    }
    let relative = |&logit: &f32| f64::from(clean(logit)) - f64::from(best);
    let sum: f64 = logits.iter().map(|logit| relative(logit).exp()).sum();
    // Not `best + ln(sum)`: a huge `best` would swallow the logarithm.
    let norm = sum.ln();
    logits.iter().map(|logit| relative(logit) - norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn logits() -> impl Strategy<Value = Vec<f32>> {
        let logit = prop_oneof![
            8 => -20f32..20.0,
            1 => Just(f32::NAN),
            1 => Just(f32::NEG_INFINITY),
            1 => Just(f32::INFINITY),
        ];
        proptest::collection::vec(logit, 1..700)
    }

    proptest! {
        #[test]
        fn the_exponential_is_the_exponential(x in -87f32..=0.0) {
            let wanted = f64::from(x).exp();
            prop_assert!((f64::from(exp(x)) - wanted).abs() <= 4e-7 * wanted, "{}", x);
        }

        #[test]
        fn log_softmax_sums_to_one(logits in logits()) {
            let log_probs = log_softmax(&logits);
            let sum: f64 = log_probs.iter().map(|p| p.exp()).sum();
            let possible = logits.iter().any(|l| !l.is_nan() && *l != f32::NEG_INFINITY);
            let wanted = f64::from(u8::from(possible));
            prop_assert!((sum - wanted).abs() < 1e-6);
        }

        /// The definition, in double precision and in several passes.
        #[test]
        fn a_distribution_is_its_softmax(
            mut logits in proptest::collection::vec(-20f32..20.0, 1..3000),
            impossible in proptest::collection::vec(any::<prop::sample::Index>(), 0..9),
        ) {
            let some = logits[0];
            for at in &impossible {
                *at.get_mut(&mut logits) = f32::NAN;
            }
            logits.push(some);
            let log_probs = log_softmax(&logits);
            let distribution = Distribution::of(&logits);
            let possible = || log_probs.iter().filter(|p| p.is_finite());
            let mean: f64 = possible().map(|p| p.exp() * p).sum();
            let variance: f64 = possible().map(|p| p.exp() * (p - mean).powi(2)).sum();
            prop_assert!((distribution.mean - mean).abs() < 1e-5);
            prop_assert!((distribution.variance - variance).abs() < 1e-4);
            for (&logit, &wanted) in logits.iter().zip(&log_probs) {
                let given = distribution.log_prob(logit);
                prop_assert!(given == wanted || (given - wanted).abs() < 1e-5);
            }
        }

        /// Which instructions a processor has must not decide what is said.
        #[test]
        fn vector_units_change_no_bit(logits in logits(), border in -20f32..20.0) {
            let (wide, narrow) = (moments(&logits), sum_moments(&logits));
            let bits = |d: Distribution| [d.best, d.log_sum, d.mean, d.variance].map(f64::to_bits);
            prop_assert_eq!(bits(wide), bits(narrow));
            prop_assert_eq!(above(&logits, border), count_above(&logits, border));
        }
    }

    #[test]
    fn what_has_no_weight_has_none() {
        for x in [LOWEST - 0.001, -1e30, f32::NEG_INFINITY, f32::NAN] {
            assert_eq!(exp(x), 0.0);
        }
        assert_eq!(exp(0.0), 1.0);
    }
}

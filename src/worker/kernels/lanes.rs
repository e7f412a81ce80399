//! Eight floats at a time: by AVX2, FMA and F16C where the processor has them, plainly
//! elsewhere, with the same bits.
//!
//! Each lane computes by itself, products are added without rounding between
//! (`f32::mul_add`), and the two operations that join lanes have one order. So both kinds
//! agree in every bit of every number; only which NaN they give is not said.

/// How many floats are one value.
pub(super) const LANES: usize = 8;

/// Arguments below this give exactly 0 in [`exp2`]: the power would not be a normal number.
const LEAST_POWER: f32 = -125.0;

/// 2^r - 1 = r · polynomial(r) on [-1/2, 1/2], fitted for the least relative error of 2^r.
const EXP2: [f32; 6] = [
    0.693_147_2,
    0.240_226_48,
    0.055_503_324,
    0.009_618_437,
    0.001_339_887,
    0.000_153_533_27,
];

/// The kinds that this processor can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Unit {
    /// The fastest one.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("f16c")
        {
            return Self::Avx2;
        }
        Self::Plain
    }
}

/// Eight floats and what is done with them.
///
/// # Safety
/// Of every function: the processor has what the implementor names; a pointer is valid for
/// reading (in `store`: writing) eight numbers, at any alignment.
pub(super) trait Lanes: Copy {
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// From the bits of halves.
    unsafe fn load_half(from: *const u16) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn subtract(self, other: Self) -> Self;
    unsafe fn multiply(self, other: Self) -> Self;
    /// `self · factor + addend`, rounded once.
    unsafe fn multiply_add(self, factor: Self, addend: Self) -> Self;
    /// In each lane `self` if it is greater, else `other`.
    unsafe fn greater(self, other: Self) -> Self;
    /// To whole numbers, halves to even ones.
    unsafe fn round(self) -> Self;
    /// Times two to the power of a whole number, as long as the result is normal.
    unsafe fn times_power_of_two(self, power: Self) -> Self;
    /// Zero in the lanes where `of` is less than `limit`.
    unsafe fn zero_below(self, of: Self, limit: Self) -> Self;
    /// The greatest lane.
    unsafe fn largest(self) -> f32;
    /// The sum of the lanes: halves, quarters, pairs.
    unsafe fn sum(self) -> f32;
}

/// Two to the power of each lane, for lanes up to 126; exactly 0 below -125.
///
/// Relative error at most 1.5 · 2⁻²³ (a law below holds it against `f64`).
///
/// # Safety
/// As [`Lanes`].
#[inline(always)]
pub(super) unsafe fn exp2<L: Lanes>(power: L) -> L {
    // SAFETY: the caller answers for the processor; nothing else is asked.
    unsafe {
        let least = L::splat(LEAST_POWER);
        let bounded = least.greater(power);
        let whole = bounded.round();
        let rest = bounded.subtract(whole);
        let mut sum = L::splat(EXP2[5]);
        for coefficient in EXP2[..5].iter().rev() {
            sum = sum.multiply_add(rest, L::splat(*coefficient));
        }
        sum.multiply_add(rest, L::splat(1.0))
            .times_power_of_two(whole)
            .zero_below(power, least)
    }
}

/// Any processor.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; LANES]);

impl Plain {
    #[inline(always)]
    fn each(self, work: impl Fn(f32) -> f32) -> Self {
        Self(self.0.map(work))
    }

    #[inline(always)]
    fn both(self, other: Self, work: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| {
            work(self.0[lane], other.0[lane])
        }))
    }

    /// The second half of the lanes joins the first, until one is left.
    #[inline(always)]
    fn join(self, work: impl Fn(f32, f32) -> f32) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        let quarters = [work(a, e), work(b, f), work(c, g), work(d, h)];
        let pair = [
            work(quarters[0], quarters[2]),
            work(quarters[1], quarters[3]),
        ];
        work(pair[0], pair[1])
    }
}

fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

impl Lanes for Plain {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller answers for eight floats.
        Self(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: the caller answers for eight halves.
        let halves = unsafe { from.cast::<[u16; LANES]>().read_unaligned() };
        Self(halves.map(|bits| half::f16::from_bits(bits).to_f32()))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller answers for eight floats.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        self.both(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn multiply(self, other: Self) -> Self {
        self.both(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            self.0[lane].mul_add(factor.0[lane], addend.0[lane])
        }))
    }

    #[inline(always)]
    unsafe fn greater(self, other: Self) -> Self {
        self.both(other, greater)
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        self.each(f32::round_ties_even)
    }

    #[inline(always)]
    unsafe fn times_power_of_two(self, power: Self) -> Self {
        self.both(power, |value, power| {
            f32::from_bits(value.to_bits().wrapping_add((power as i32 as u32) << 23))
        })
    }

    #[inline(always)]
    unsafe fn zero_below(self, of: Self, limit: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            let below = of.0[lane] < limit.0[lane];
            if below { 0.0 } else { self.0[lane] }
        }))
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        self.join(greater)
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        self.join(|a, b| a + b)
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::Lanes;

    /// AVX2, FMA and F16C.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256);

    // SAFETY of all bodies: the caller answers for the processor and for pointers; the
    // loads and stores are those without alignment.
    impl Lanes for Avx2 {
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_half(from: *const u16) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn subtract(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn multiply(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
        }

        #[inline(always)]
        unsafe fn greater(self, other: Self) -> Self {
            // SAFETY: see above. The instruction gives its second operand unless the
            // first is greater.
            Self(unsafe { _mm256_max_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn round(self) -> Self {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            // SAFETY: see above.
            Self(unsafe { _mm256_round_ps::<NEAREST>(self.0) })
        }

        #[inline(always)]
        unsafe fn times_power_of_two(self, power: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe {
                let exponent = _mm256_slli_epi32::<23>(_mm256_cvttps_epi32(power.0));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(self.0), exponent))
            })
        }

        #[inline(always)]
        unsafe fn zero_below(self, of: Self, limit: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm256_and_ps(self.0, _mm256_cmp_ps::<_CMP_NLT_UQ>(of.0, limit.0)) })
        }

        #[inline(always)]
        unsafe fn largest(self) -> f32 {
            // SAFETY: see above.
            unsafe {
                let four = _mm_max_ps(
                    _mm256_castps256_ps128(self.0),
                    _mm256_extractf128_ps::<1>(self.0),
                );
                let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
            }
        }

        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: see above.
            unsafe {
                let four = _mm_add_ps(
                    _mm256_castps256_ps128(self.0),
                    _mm256_extractf128_ps::<1>(self.0),
                );
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn powers() -> impl Iterator<Item = f32> {
        (0..2_000_000).map(|step| -125.0 + step as f32 * 6.37e-5)
    }

    #[inline(always)]
    unsafe fn one<L: Lanes>(power: f32) -> f32 {
        let mut out = [0.0; LANES];
        // SAFETY: eight floats; the caller answers for the processor.
        unsafe { exp2(L::splat(power)).store(out.as_mut_ptr()) };
        out[0]
    }

    fn plain(power: f32) -> f32 {
        // SAFETY: plain lanes ask nothing of the processor.
        unsafe { one::<Plain>(power) }
    }

    #[test]
    fn powers_are_within_three_halves_of_the_last_bit() {
        let worst = powers()
            .map(|power| {
                let exact = f64::from(power).exp2();
                (f64::from(plain(power)) / exact - 1.0).abs()
            })
            .fold(0.0, f64::max);
        assert!(worst < 1.5 * f64::from(f32::EPSILON), "{worst:e}");
    }

    #[test]
    fn powers_of_nothing_and_of_very_little_are_exact() {
        assert_eq!(plain(0.0).to_bits(), 1_f32.to_bits());
        assert_eq!(plain(-125.0).to_bits(), (-125_f32).exp2().to_bits());
        for power in [-125.01, -1e30, f32::NEG_INFINITY] {
            assert_eq!(plain(power).to_bits(), 0);
        }
        assert!(plain(f32::NAN).is_nan());
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn both_kinds_give_the_same_bits() {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn fast(power: f32) -> f32 {
            // SAFETY: this function's features are the ones asked for.
            unsafe { one::<Avx2>(power) }
        }
        if Unit::detect() != Unit::Avx2 {
            return;
        }
        for power in powers()
            .step_by(7)
            .chain([-126.0, f32::NEG_INFINITY, 0.5, -0.5])
        {
            // SAFETY: detected.
            let fast = unsafe { fast(power) };
            assert_eq!(fast.to_bits(), plain(power).to_bits(), "{power}");
        }
    }
}

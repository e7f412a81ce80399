//! Sound out of a G.722 stream at 64 kbit/s.
//!
//! ITU-T Recommendation G.722 (09/2012), clauses 4 and 5 and Annex tables: two adaptive
//! predictors, of 6 bits for the lower half of the spectrum and 2 for the upper one, and a
//! quadrature mirror filter of 24 taps that joins them. Whole numbers as the text has them.

const WL: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
const RL42: [usize; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
const WH: [i32; 3] = [0, -214, 798];
const RH2: [usize; 4] = [2, 1, 2, 1];
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
const QM4: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

fn saturate(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

/// What predicts one half of the spectrum (block 4 of the recommendation).
#[derive(Clone, Default)]
struct Band {
    s: i32,
    sz: i32,
    r: [i32; 3],
    a: [i32; 3],
    p: [i32; 3],
    d: [i32; 7],
    b: [i32; 7],
    nb: i32,
    det: i32,
}

impl Band {
    fn new(det: i32) -> Self {
        Self {
            det,
            ..Self::default()
        }
    }

    fn step(&mut self, d: i32) {
        self.d[0] = d;
        self.r[0] = saturate(self.s + d);
        self.p[0] = saturate(self.sz + d);
        let sign = |value: i32| value >> 15;
        let sg = [sign(self.p[0]), sign(self.p[1]), sign(self.p[2])];

        // The poles: a second and a first coefficient, each kept where the filter is stable.
        let doubled = saturate(self.a[1] << 2);
        let wd2 = match sg[0] == sg[1] {
            true => (-doubled).min(32_767),
            false => doubled,
        };
        let wd3 = (wd2 >> 7) + if sg[0] == sg[2] { 128 } else { -128 };
        let a2 = (wd3 + ((self.a[2] * 32_512) >> 15)).clamp(-12_288, 12_288);
        let wd1 = if sg[0] == sg[1] { 192 } else { -192 };
        let a1 = saturate(wd1 + ((self.a[1] * 32_640) >> 15));
        let limit = saturate(15_360 - a2);
        let a1 = a1.clamp(-limit, limit);

        // The zeros.
        let gain = if d == 0 { 0 } else { 128 };
        let mut b = self.b;
        for (at, coefficient) in b.iter_mut().enumerate().skip(1) {
            let same = sign(self.d[at]) == sign(d);
            let step = if same { gain } else { -gain };
            *coefficient = saturate(step + ((*coefficient * 32_640) >> 15));
        }
        for at in (1..7).rev() {
            self.d[at] = self.d[at - 1];
        }
        self.b = b;
        self.r = [self.r[0], self.r[0], self.r[1]];
        self.p = [self.p[0], self.p[0], self.p[1]];
        self.a = [0, a1, a2];

        let double = |value: i32| saturate(value + value);
        let poles = saturate(((a1 * double(self.r[1])) >> 15) + ((a2 * double(self.r[2])) >> 15));
        let zeros = (1..7).map(|at| (self.b[at] * double(self.d[at])) >> 15);
        self.sz = saturate(zeros.sum());
        self.s = saturate(poles + self.sz);
    }

    /// The scale that the next number is read on.
    fn rescale(&mut self, step: i32, most: i32, shift: i32) {
        self.nb = (((self.nb * 127) >> 7) + step).clamp(0, most);
        let mantissa = ILB[((self.nb >> 6) & 31) as usize];
        let exponent = shift - (self.nb >> 11);
        let scaled = match exponent < 0 {
            true => mantissa << -exponent,
            false => mantissa >> exponent,
        };
        self.det = scaled << 2;
    }
}

/// Samples at 16 kHz, two of each byte.
pub fn decode(stream: &[u8]) -> Vec<i16> {
    let (mut low, mut high) = (Band::new(32), Band::new(8));
    let mut line = [0_i32; 24];
    let mut out = Vec::with_capacity(stream.len() * 2);
    for byte in stream {
        let (ilow, ihigh) = (usize::from(byte & 0x3f), usize::from(byte >> 6));
        let six = (low.det * QM6[ilow]) >> 15;
        let rlow = (low.s + six).clamp(-16_384, 16_383);
        let dlow = (low.det * QM4[ilow >> 2]) >> 15;
        let weight = WL[RL42[ilow >> 2]];
        low.rescale(weight, 18_432, 8);
        low.step(dlow);

        let dhigh = (high.det * QM2[ihigh]) >> 15;
        let rhigh = (high.s + dhigh).clamp(-16_384, 16_383);
        high.rescale(WH[RH2[ihigh]], 22_528, 10);
        high.step(dhigh);

        line.copy_within(2.., 0);
        line[22] = rlow + rhigh;
        line[23] = rlow - rhigh;
        let (mut odd, mut even) = (0, 0);
        for at in 0..12 {
            odd += line[2 * at] * QMF[at];
            even += line[2 * at + 1] * QMF[11 - at];
        }
        out.push(saturate(even >> 11) as i16);
        out.push(saturate(odd >> 11) as i16);
    }
    out
}

//! Rotary positions (Su et al., "RoFormer", 2021), pairing a head's first half with its
//! second.

/// Cosines and sines of every position: `position / linear_scale · base^(-2i/d) / factor_i`.
pub(crate) struct Rotary {
    half: usize,
    /// [position, half] pairs of tables: cosines, then sines.
    tables: Vec<f32>,
}

impl Rotary {
    /// Tables for positions below `context`.
    ///
    /// `factors` divide the frequencies one by one (Llama 3's `rope_freqs`); positions are
    /// divided by `linear_scale` (GGUF's `rope.scaling.factor` of the linear kind).
    pub(crate) fn new(
        head_dim: usize,
        base: f32,
        factors: Option<&[f32]>,
        linear_scale: f32,
        context: usize,
    ) -> Self {
        let half = head_dim / 2;
        assert!(factors.is_none_or(|factors| factors.len() == half));
        let frequencies: Vec<f64> = (0..half)
            .map(|pair| {
                let exponent = -2.0 * pair as f64 / head_dim as f64;
                let factor = factors.map_or(1.0, |factors| factors[pair]);
                f64::from(base).powf(exponent) / f64::from(factor) / f64::from(linear_scale)
            })
            .collect();
        let mut tables = Vec::with_capacity(context * head_dim);
        for position in 0..context {
            let angles = frequencies.iter().map(|it| it * position as f64);
            let (sines, cosines): (Vec<f32>, Vec<f32>) = angles
                .map(f64::sin_cos)
                .map(|(sine, cosine)| (sine as f32, cosine as f32))
                .unzip();
            tables.extend(cosines);
            tables.extend(sines);
        }
        Self { half, tables }
    }

    /// Positions it knows.
    pub(super) fn context(&self) -> usize {
        self.tables.len() / (2 * self.half)
    }

    pub(super) fn head_dim(&self) -> usize {
        2 * self.half
    }

    /// Turns one head of a token at `position`.
    #[inline(always)]
    pub(super) fn turn(&self, head: &mut [f32], position: usize) {
        let table = &self.tables[position * 2 * self.half..][..2 * self.half];
        let (cosines, sines) = table.split_at(self.half);
        let (first, second) = head.split_at_mut(self.half);
        let pairs = first.iter_mut().zip(second);
        for ((a, b), (cosine, sine)) in pairs.zip(cosines.iter().zip(sines)) {
            (*a, *b) = (
                a.mul_add(*cosine, -(*b * sine)),
                b.mul_add(*cosine, *a * sine),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_turns_by_its_own_angle() {
        let rotary = Rotary::new(8, 10_000.0, Some(&[1.0, 2.0, 4.0, 8.0]), 2.0, 6);
        let mut head: Vec<f32> = (1..=8).map(|i| i as f32).collect();
        rotary.turn(&mut head, 5);
        for pair in 0..4 {
            let factor = [1.0, 2.0, 4.0, 8.0][pair];
            let angle: f64 = 2.5 * 10_000_f64.powf(-(pair as f64) / 4.0) / factor;
            let (a, b) = ((pair + 1) as f64, (pair + 5) as f64);
            let expected = [
                a * angle.cos() - b * angle.sin(),
                a * angle.sin() + b * angle.cos(),
            ];
            for (got, expected) in [head[pair], head[pair + 4]].iter().zip(expected) {
                assert!((f64::from(*got) - expected).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_first_position_stays_as_it_is() {
        let rotary = Rotary::new(16, 500.0, None, 1.0, 2);
        let head: Vec<f32> = (0..16).map(|i| i as f32 - 7.5).collect();
        let mut turned = head.clone();
        rotary.turn(&mut turned, 0);
        assert_eq!(turned, head);
    }
}

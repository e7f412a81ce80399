//! From changed logits to one token: temperature, top-k, top-p, min-p, draw.
//!
//! The vocabulary is never sorted, and mostly not even copied: one pass finds the greatest
//! logit of every [`GROUP`]; whole groups that lie below what can be kept are then skipped.

use std::cmp::Ordering;

use rand::{Rng, RngExt};

use super::NoToken;
use crate::{
    wire::worker::Sampling,
    worker::softmax::{clean, exp, pass},
};

/// How far below the likeliest one a token may lie, in nats after temperature, to be a
/// candidate at all. What is dropped has, all 50,000 together, less than a hundred millionth
/// of the likeliest one's probability.
const DEPTH: f32 = 30.0;

/// Logits whose maximum and whose sum are kept together.
const GROUP: usize = 64;

const LANES: usize = 16;

/// How many of the likeliest candidates are sorted first; multiplied by eight until they
/// hold enough.
const FIRST_SORTED: usize = 256;

/// How deep a nucleus is looked for first, nats; doubled until it holds enough.
const FIRST_DEPTH: f32 = 3.0;

#[derive(Clone, Copy, Debug)]
struct Candidate {
    token: u32,
    /// Relative to the likeliest one, after temperature: 0 or less.
    logit: f32,
}

impl Candidate {
    /// Its weight beside the likeliest one, whose weight is 1.
    fn weight(&self) -> f64 {
        f64::from(exp(self.logit))
    }
}

/// Likeliest first; of equals the lower token first, so that the order is always the same.
fn likelier(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

/// What a draw needs besides the logits; nothing but memory is kept between draws.
#[derive(Debug, Default)]
pub(super) struct Drawer {
    /// The greatest logit of each group.
    maxima: Vec<f32>,
    /// The sum of the weights of each group.
    sums: Vec<f32>,
    /// For choosing among `maxima`.
    order: Vec<f32>,
    candidates: Vec<Candidate>,
}

/// A logit's distance from the greatest, in units of the temperature: 0 or less.
#[derive(Clone, Copy)]
struct Scale {
    best: f32,
    temperature: f32,
}

impl Scale {
    #[inline(always)]
    fn relative(self, logit: f32) -> f32 {
        (clean(logit) - self.best) / self.temperature
    }
}

pass! {
    /// The greatest logit of each group of the row.
    find_maxima, maxima_of, (row: &[f32], maxima: &mut Vec<f32>) -> ()
}

#[inline(always)]
fn maxima_of(row: &[f32], maxima: &mut Vec<f32>) {
    maxima.clear();
    for group in row.chunks(GROUP) {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let (parts, rest) = group.as_chunks::<LANES>();
        for part in parts {
            for (lane, &logit) in lanes.iter_mut().zip(part) {
                *lane = if logit > *lane { logit } else { *lane };
            }
        }
        let best = fold(lanes, |a, b| if a > b { a } else { b });
        let take = |best: f32, &logit: &f32| if logit > best { logit } else { best };
        maxima.push(clean(rest.iter().fold(best, take)));
    }
}

/// Halves upon halves: one order, and few steps.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The weight of a token for a draw from the whole vocabulary.
#[inline(always)]
fn weight(relative: f32) -> f32 {
    if relative >= -DEPTH {
        exp(relative)
    } else {
        0.0
    }
}

pass! {
    /// The sum of the weights of each group of the row.
    find_sums, sums_of, (row: &[f32], maxima: &[f32], scale: Scale, sums: &mut Vec<f32>) -> ()
}

#[inline(always)]
fn sums_of(row: &[f32], maxima: &[f32], scale: Scale, sums: &mut Vec<f32>) {
    sums.clear();
    for (group, &most) in row.chunks(GROUP).zip(maxima) {
        if scale.relative(most) < -DEPTH {
            sums.push(0.0);
            continue;
        }
        let mut lanes = [0f32; LANES];
        let (parts, rest) = group.as_chunks::<LANES>();
        for part in parts {
            for (lane, &logit) in lanes.iter_mut().zip(part) {
                *lane += weight(scale.relative(logit));
            }
        }
        let sum = fold(lanes, |a, b| a + b);
        let rest = rest.iter().map(|&logit| weight(scale.relative(logit)));
        sums.push(rest.fold(sum, |a, b| a + b));
    }
}

impl Drawer {
    /// Draws one token; takes one number from `rng`, none at temperature 0.
    pub(super) fn draw(
        &mut self,
        row: &[f32],
        sampling: &Sampling,
        rng: &mut impl Rng,
    ) -> Result<u32, NoToken> {
        find_maxima(row, &mut self.maxima);
        let best = self
            .maxima
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max);
        if best == f32::NEG_INFINITY {
            return Err(NoToken);
        }
        let temperature = sampling.temperature;
        if temperature <= 0.0 {
            return self.first_best(row, best).ok_or(NoToken);
        }
        let scale = Scale { best, temperature };
        if sampling.top_k == 0 && sampling.top_p >= 1.0 && sampling.min_p <= 0.0 {
            find_sums(row, &self.maxima, scale, &mut self.sums);
            return draw_any(row, &self.sums, scale, rng).ok_or(NoToken);
        }
        let kept = self.truncate(row, sampling, scale);
        draw_one(kept, rng).ok_or(NoToken)
    }

    /// The lowest of the likeliest tokens.
    fn first_best(&self, row: &[f32], best: f32) -> Option<u32> {
        let group = self.maxima.iter().position(|&most| most == best)?;
        let at = group * GROUP;
        let within = row[at..].iter().position(|&logit| clean(logit) == best)?;
        u32::try_from(at + within).ok()
    }

    /// Collects all tokens whose relative logit is at least `border`, in their order.
    fn collect(&mut self, row: &[f32], scale: Scale, border: f32) {
        self.candidates.clear();
        for (group, &most) in self.maxima.iter().enumerate() {
            if scale.relative(most) < border {
                continue;
            }
            let start = group * GROUP;
            let end = row.len().min(start + GROUP);
            for (token, &logit) in (start as u32..).zip(&row[start..end]) {
                let logit = scale.relative(logit);
                if logit >= border {
                    self.candidates.push(Candidate { token, logit });
                }
            }
        }
    }

    /// Applies top-k, top-p and min-p: what is kept, likeliest first.
    fn truncate(&mut self, row: &[f32], sampling: &Sampling, scale: Scale) -> &[Candidate] {
        let nucleus = sampling.top_p < 1.0;
        // A little deeper than min-p reaches, for its border is drawn by weight.
        let floor = if sampling.min_p > 0.0 {
            (sampling.min_p.ln() - 0.001).max(-DEPTH)
        } else {
            -DEPTH
        };
        let count = sampling.top_k as usize;
        let mut wanted = f64::INFINITY;
        if count > 0 {
            let border = self.top_k_border(count, scale);
            self.collect(row, scale, border);
            let count = count.min(self.candidates.len());
            sort_front(&mut self.candidates, count);
            self.candidates.truncate(count);
            if !nucleus && sampling.min_p <= 0.0 {
                return &self.candidates;
            }
            if nucleus {
                let total: f64 = self.candidates.iter().map(Candidate::weight).sum();
                wanted = f64::from(sampling.top_p) * total;
            }
        } else if nucleus {
            find_sums(row, &self.maxima, scale, &mut self.sums);
            let total: f64 = self.sums.iter().copied().map(f64::from).sum();
            wanted = f64::from(sampling.top_p) * total;
            let mut depth = FIRST_DEPTH;
            loop {
                self.collect(row, scale, (-depth).max(floor));
                let held: f64 = self.candidates.iter().map(Candidate::weight).sum();
                if held >= wanted || -depth <= floor {
                    break;
                }
                depth *= 2.0;
            }
        } else {
            self.collect(row, scale, floor);
        }
        let end = cut(&mut self.candidates, wanted, f64::from(sampling.min_p));
        &self.candidates[..end]
    }

    /// A relative logit that at least `count` candidates reach, if there are so many: as many
    /// groups have their greatest there.
    fn top_k_border(&mut self, count: usize, scale: Scale) -> f32 {
        if count > self.maxima.len() {
            return -DEPTH;
        }
        self.order.clear();
        self.order.extend_from_slice(&self.maxima);
        let (_, border, _) = self
            .order
            .select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        scale.relative(*border).max(-DEPTH)
    }
}

/// Sorts the `count` likeliest to the front.
fn sort_front(candidates: &mut [Candidate], count: usize) {
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, likelier);
        candidates[..count].sort_unstable_by(likelier);
    } else {
        candidates.sort_unstable_by(likelier);
    }
}

/// Sorts candidates as far as needed; gives how many of the likeliest are kept: until their
/// weights sum to `wanted`, and while each weighs at least `least`.
fn cut(candidates: &mut [Candidate], wanted: f64, least: f64) -> usize {
    let mut sorted = 0;
    let mut sum = 0.0;
    let mut end = 0;
    while end < candidates.len() {
        if end == sorted {
            sorted = (sorted * 8).max(FIRST_SORTED).min(candidates.len());
            sort_front(candidates, sorted);
        }
        let share = candidates[end].weight();
        // The likeliest one always stays.
        if end > 0 && (sum >= wanted || share < least) {
            break;
        }
        sum += share;
        end += 1;
    }
    end
}

fn draw_one(candidates: &[Candidate], rng: &mut impl Rng) -> Option<u32> {
    let total: f64 = candidates.iter().map(Candidate::weight).sum();
    let mut left = rng.random::<f64>() * total;
    for candidate in candidates {
        left -= candidate.weight();
        if left < 0.0 {
            return Some(candidate.token);
        }
    }
    // Rounding may leave a crumb.
    candidates.last().map(|last| last.token)
}

/// Draws from the whole row by the sums of its groups.
fn draw_any(row: &[f32], sums: &[f32], scale: Scale, rng: &mut impl Rng) -> Option<u32> {
    let total: f64 = sums.iter().copied().map(f64::from).sum();
    let mut left = rng.random::<f64>() * total;
    let mut last = None;
    for (group, &sum) in sums.iter().enumerate() {
        if sum > 0.0 {
            last = Some(group);
            if left < f64::from(sum) {
                break;
            }
        }
        left -= f64::from(sum);
    }
    let start = last? * GROUP;
    let mut drawn = None;
    for (token, &logit) in (start as u32..).zip(row[start..].iter().take(GROUP)) {
        let weight = weight(scale.relative(logit));
        if weight > 0.0 {
            left -= f64::from(weight);
            drawn = Some(token);
            if left < 0.0 {
                break;
            }
        }
    }
    // Where rounding leaves a crumb, the last possible one.
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// The plain definition: sort everything, cut by k, then by p, then by m.
    fn kept_by_definition(row: &[f32], sampling: &Sampling) -> Vec<u32> {
        let best = row.iter().copied().fold(f32::MIN, f32::max);
        let mut all: Vec<Candidate> = (0u32..)
            .zip(row)
            .map(|(token, &logit)| Candidate {
                token,
                logit: (logit - best) / sampling.temperature,
            })
            .filter(|candidate| candidate.logit >= -DEPTH)
            .collect();
        all.sort_by(likelier);
        if sampling.top_k > 0 {
            all.truncate(sampling.top_k as usize);
        }
        let total: f64 = all.iter().map(Candidate::weight).sum();
        let mut sum = 0.0;
        let mut kept = Vec::new();
        for candidate in &all {
            if !kept.is_empty() && sampling.top_p < 1.0 && sum >= f64::from(sampling.top_p) * total
            {
                break;
            }
            sum += candidate.weight();
            kept.push(candidate);
        }
        kept.retain(|c| c.token == all[0].token || c.weight() >= f64::from(sampling.min_p));
        kept.iter().map(|c| c.token).collect()
    }

    fn truncation() -> impl Strategy<Value = Sampling> {
        (
            0.2f32..3.0,
            prop_oneof![Just(0u32), 1u32..600],
            prop_oneof![Just(1.0f32), 0.05f32..1.0],
            prop_oneof![Just(0.0f32), 0.0f32..0.9],
        )
            .prop_map(|(temperature, top_k, top_p, min_p)| Sampling {
                temperature,
                top_k,
                top_p,
                min_p,
                ..Sampling::default()
            })
    }

    proptest! {
        #[test]
        fn skipping_groups_keeps_what_the_definition_keeps(
            row in proptest::collection::vec(-9f32..9.0, 1..3000),
            steep in 1f32..6.0,
            sampling in truncation(),
        ) {
            let row: Vec<f32> = row.iter().map(|logit| logit * steep).collect();
            let wanted = kept_by_definition(&row, &sampling);
            let mut drawer = Drawer::default();
            find_maxima(&row, &mut drawer.maxima);
            let best = drawer.maxima.iter().copied().fold(f32::MIN, f32::max);
            let scale = Scale { best, temperature: sampling.temperature };
            let kept: Vec<u32> =
                drawer.truncate(&row, &sampling, scale).iter().map(|c| c.token).collect();
            // Sums in another order may differ in the last bits: one token at the border.
            prop_assert!(kept.len().abs_diff(wanted.len()) <= 1, "{} for {}", kept.len(), wanted.len());
            let (short, long) = if kept.len() < wanted.len() { (&kept, &wanted) } else { (&wanted, &kept) };
            prop_assert_eq!(short, &long[..short.len()]);
        }

        /// The definition of a draw from everything: weights in the order of their tokens.
        #[test]
        fn a_draw_from_groups_is_a_draw_from_the_row(
            row in proptest::collection::vec(-20f32..20.0, 1..1000),
            temperature in 0.1f32..3.0,
            seed in any::<u64>(),
        ) {
            let sampling = Sampling { temperature, ..Sampling::default() };
            let rng = ChaCha8Rng::seed_from_u64(seed);
            let drawn = Drawer::default().draw(&row, &sampling, &mut rng.clone());
            let best = row.iter().copied().fold(f32::MIN, f32::max);
            let weights: Vec<f64> = row
                .iter()
                .map(|&logit| f64::from(logit - best) / f64::from(temperature))
                .map(|relative| if relative >= -30.0 { relative.exp() } else { 0.0 })
                .collect();
            let point = rng.clone().random::<f64>() * weights.iter().sum::<f64>();
            let token = drawn.expect("a token") as usize;
            let before: f64 = weights[..token].iter().sum();
            let slack = 1e-5 * weights.iter().sum::<f64>();
            prop_assert!(before - slack <= point && point <= before + weights[token] + slack);
            prop_assert!(weights[token] > 0.0);
        }

        #[test]
        fn vector_units_change_no_bit(
            row in proptest::collection::vec(-40f32..20.0, 1..700), temperature in 0.1f32..3.0,
        ) {
            let (mut wide, mut narrow) = (Vec::new(), Vec::new());
            find_maxima(&row, &mut wide);
            maxima_of(&row, &mut narrow);
            prop_assert_eq!(&wide, &narrow);
            let best = narrow.iter().copied().fold(f32::MIN, f32::max);
            let scale = Scale { best, temperature };
            let (mut sums, mut plain) = (Vec::new(), Vec::new());
            find_sums(&row, &wide, scale, &mut sums);
            sums_of(&row, &narrow, scale, &mut plain);
            prop_assert_eq!(sums, plain);
        }
    }
}

//! PURE: the fundamental frequency of a voice over time, and where its periods are.
//!
//! Normalised cross-correlation of a window with itself, shifted (Talkin 1995, RAPT), on a
//! signal of an eighth of telephone quality; the shortest shift that is nearly as good as the
//! best one wins, against octave errors.

/// From one frame to the next, seconds.
const STEP: f32 = 0.01;

/// What the correlation is computed at, samples per second, about.
const COARSE: u32 = 8000;

/// Fundamental frequencies that are looked for, Hz.
const LOWEST: f32 = 60.0;
const HIGHEST: f32 = 500.0;

/// Window of the correlation, seconds.
const WINDOW: f32 = 0.032;

/// From here on a frame has a voice.
const VOICED: f32 = 0.6;

/// A shift as good as this part of the best one is good enough.
const NEARLY: f32 = 0.9;

/// Frames below this (root mean square) are silent.
const QUIET: f32 = 0.003;

/// Hz in every frame of [`STEP`]; 0 where there is no voice.
pub(in super::super) fn track(samples: &[f32], rate: u32) -> Vec<f32> {
    let factor = (rate / COARSE).max(1) as usize;
    let coarse: Vec<f32> = samples
        .chunks(factor)
        .map(|chunk| chunk.iter().sum::<f32>() / factor as f32)
        .collect();
    let rate = rate as f32 / factor as f32;
    let window = (WINDOW * rate) as usize;
    let shortest = (rate / HIGHEST) as usize;
    let longest = (rate / LOWEST) as usize + 1;
    let frames = (coarse.len() as f32 / (STEP * rate)).ceil() as usize;
    let mut f0: Vec<f32> = (0..frames)
        .map(|frame| {
            let middle = ((frame as f32 + 0.5) * STEP * rate) as usize;
            let start = middle.saturating_sub((window + longest) / 2);
            match coarse.get(start..start + window + longest + 1) {
                Some(part) => period(part, window, shortest, longest).map_or(0.0, |p| rate / p),
                None => 0.0,
            }
        })
        .collect();
    smooth(&mut f0);
    f0
}

/// The period of the beginning of a signal, samples; none where it has none.
fn period(part: &[f32], window: usize, shortest: usize, longest: usize) -> Option<f32> {
    let head = &part[..window];
    let energy = |part: &[f32]| part.iter().map(|s| s * s).sum::<f32>();
    let own = energy(head);
    if (own / window as f32).sqrt() < QUIET {
        return None;
    }
    let scores: Vec<f32> = (shortest - 1..=longest + 1)
        .map(|shift| {
            let shifted = &part[shift.min(part.len() - window)..][..window];
            let product: f32 = head.iter().zip(shifted).map(|(a, b)| a * b).sum();
            product / (own * energy(shifted)).sqrt().max(1e-9)
        })
        .collect();
    // Peaks by the top of a parabola through three scores: a period is seldom a whole number.
    let peaks: Vec<(f32, f32)> = (1..scores.len() - 1)
        .filter(|at| scores[*at] >= scores[at - 1] && scores[*at] > scores[at + 1])
        .map(|at| {
            let (left, top, right) = (scores[at - 1], scores[at], scores[at + 1]);
            let bend = left - 2.0 * top + right;
            let aside = (0.5 * (left - right) / bend).clamp(-0.5, 0.5);
            let place = (shortest - 1 + at) as f32 + aside;
            (place, top - 0.25 * (left - right) * aside)
        })
        .collect();
    let best = peaks
        .iter()
        .map(|(_, score)| *score)
        .fold(0.0_f32, f32::max);
    if best < VOICED {
        return None;
    }
    let first = peaks.iter().find(|(_, score)| *score >= best * NEARLY);
    first.map(|(place, _)| *place)
}

/// A frame that agrees with neither neighbour is an error: the median of three.
fn smooth(f0: &mut [f32]) {
    let was = f0.to_vec();
    for at in 1..was.len().saturating_sub(1) {
        let mut three = [was[at - 1], was[at], was[at + 1]];
        three.sort_by(f32::total_cmp);
        f0[at] = three[1];
    }
}

/// A place around which a piece of sound is cut out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) at: usize,
    /// Hz; 0 where there is no voice.
    pub(super) f0: f32,
}

/// Between marks where there is no voice, seconds.
const UNVOICED: f32 = 0.005;

/// Marks for the whole of a signal: one a period, each at the same place of it, and evenly
/// where there is no voice.
pub(super) fn marks(samples: &[f32], rate: u32, f0: &[f32]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    let rate = rate as f32;
    let mut at = 0_usize;
    while at < samples.len() {
        let frame = (at as f32 / rate / STEP) as usize;
        let pitch = f0.get(frame).copied().unwrap_or(0.0);
        if pitch <= 0.0 {
            marks.push(Mark { at, f0: 0.0 });
            at += (UNVOICED * rate) as usize;
            continue;
        }
        let period = rate / pitch;
        let follows = marks.last().is_some_and(|mark| mark.f0 > 0.0);
        // The first period is looked through whole, later ones around where they should be.
        let (from, to) = if follows {
            (at as f32 - 0.2 * period, at as f32 + 0.2 * period)
        } else {
            (at as f32, at as f32 + period)
        };
        let after = marks.last().map_or(0, |mark| mark.at + 1);
        let from = (from.max(0.0) as usize).max(after);
        let to = (to as usize).min(samples.len());
        let peak = (from..to).max_by(|a, b| samples[*a].total_cmp(&samples[*b]));
        let place = peak.unwrap_or(at);
        marks.push(Mark {
            at: place,
            f0: pitch,
        });
        at = place + period.max(1.0) as usize;
    }
    marks
}

//! Speech and its pauses: silero's network on the runtime, and pure rules over what it says.

use std::{ops::Range, path::Path};

use ort::{session::Session, value::Tensor};

use super::{EarError, graphs::failed};
use crate::{wire::speech::HEARING_RATE, worker::runtime};

/// Samples that the network hears at a time: 32 ms.
pub const FRAME: usize = 512;
/// Samples before them that it is given again.
const CONTEXT: usize = 64;
/// Its memory: `[2, 1, 128]`.
const STATE: [usize; 3] = [2, 1, 128];

/// The network. It remembers nothing itself, so any number of sounds can share it.
pub(super) struct Network(Session);

impl Network {
    pub(super) fn open(library: &Path, graph: &Path) -> Result<Self, EarError> {
        runtime::session(library, graph, 1, || Ok(None))
            .map(Self)
            .map_err(failed)
    }
}

/// What the network remembers of one sound.
pub(super) struct Memory {
    state: Vec<f32>,
    context: [f32; CONTEXT],
    /// Samples that are no whole frame yet.
    pending: Vec<f32>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            state: vec![0.0; STATE.iter().product()],
            context: [0.0; CONTEXT],
            pending: Vec::new(),
        }
    }
}

impl Memory {
    /// Hears the next samples (−1 to 1); tells for each frame that is whole now how likely
    /// speech is in it.
    pub(super) fn hear(
        &mut self,
        network: &mut Network,
        samples: &[f32],
    ) -> Result<Vec<f32>, EarError> {
        self.pending.extend_from_slice(samples);
        let whole = self.pending.len() / FRAME * FRAME;
        let frames: Vec<f32> = self.pending.drain(..whole).collect();
        frames
            .chunks_exact(FRAME)
            .map(|frame| self.frame(network, frame))
            .collect()
    }

    fn frame(&mut self, network: &mut Network, frame: &[f32]) -> Result<f32, EarError> {
        let input = [&self.context[..], frame].concat();
        self.context.copy_from_slice(&frame[FRAME - CONTEXT..]);
        let input = Tensor::from_array(([1, CONTEXT + FRAME], input)).map_err(failed)?;
        let state = std::mem::take(&mut self.state);
        let state = Tensor::from_array((STATE, state)).map_err(failed)?;
        let rate = Tensor::from_array(((), vec![i64::from(HEARING_RATE)])).map_err(failed)?;
        let outputs = network
            .0
            .run(ort::inputs!["input" => input, "state" => state, "sr" => rate])
            .map_err(failed)?;
        let read = |name: &str| {
            let output = outputs
                .get(name)
                .ok_or_else(|| EarError::Layout(format!("no output {name}")))?;
            let (_, numbers) = output.try_extract_tensor::<f32>().map_err(failed)?;
            Ok::<_, EarError>(numbers.to_vec())
        };
        self.state = read("stateN")?;
        if self.state.len() != STATE.iter().product::<usize>() {
            return Err(EarError::Layout("a memory of another size".into()));
        }
        let said = read("output")?;
        said.first()
            .copied()
            .ok_or_else(|| EarError::Layout("no probability".into()))
    }
}

/// Where the speaker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// Nothing was said yet.
    #[default]
    Waiting,
    Speaking,
    /// Something was said, and now there has been silence for a while.
    Paused,
}

/// When speech begins and ends. The thresholds are silero's own (`VADIterator`): it ends
/// only well below what it began with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndpointRules {
    /// Probability from which on a frame is speech.
    pub begins: f32,
    /// Probability below which it is silence; between the two nothing changes.
    pub ends: f32,
    /// Frames of speech in a row before it counts.
    pub least_speech: usize,
    /// Frames of silence in a row before it has ended.
    pub hangover: usize,
}

impl Default for EndpointRules {
    fn default() -> Self {
        Self {
            begins: 0.5,
            ends: 0.35,
            least_speech: 3,
            hangover: 16,
        }
    }
}

/// Follows the probabilities of frames; knows no clock.
#[derive(Clone, Debug, Default)]
pub struct Endpointer {
    rules: EndpointRules,
    activity: Activity,
    /// Frames in a row that speak against the activity.
    against: usize,
}

impl Endpointer {
    pub fn new(rules: EndpointRules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// Takes the next frame's probability; tells a change.
    pub fn next(&mut self, probability: f32) -> Option<Activity> {
        let (turns, needed, after) = match self.activity {
            Activity::Waiting | Activity::Paused => (
                probability >= self.rules.begins,
                self.rules.least_speech,
                Activity::Speaking,
            ),
            Activity::Speaking => (
                probability < self.rules.ends,
                self.rules.hangover,
                Activity::Paused,
            ),
        };
        let between = probability >= self.rules.ends && probability < self.rules.begins;
        if turns {
            self.against += 1;
        } else if !between {
            self.against = 0;
        }
        if self.against < needed.max(1) {
            return None;
        }
        self.against = 0;
        self.activity = after;
        Some(after)
    }

    pub fn activity(&self) -> Activity {
        self.activity
    }
}

/// Probability from which on a frame may be part of a word: soft beginnings and ends count.
const FAINT: f32 = 0.25;
/// Frames that must be speech for sure, or else nothing was said.
const LEAST: usize = 3;
/// Samples that are kept around the speech: 0.25 s.
const MARGIN: usize = HEARING_RATE as usize / 4;

/// The frames from the first to the last that may be speech; none where nothing is.
pub(super) fn spoken(probabilities: &[f32]) -> Option<Range<usize>> {
    let sure = EndpointRules::default().begins;
    if probabilities.iter().filter(|it| **it >= sure).count() < LEAST {
        return None;
    }
    let may_be = |it: &f32| *it >= FAINT;
    let first = probabilities.iter().position(may_be)?;
    let last = probabilities.iter().rposition(may_be)?;
    Some(first..last + 1)
}

/// The samples of these frames and a margin, of so many.
pub(super) fn samples(frames: &Range<usize>, total: usize) -> Range<usize> {
    let start = (frames.start * FRAME).saturating_sub(MARGIN).min(total);
    let end = (frames.end * FRAME + MARGIN).min(total);
    start..end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changes(probabilities: &[f32]) -> Vec<(usize, Activity)> {
        let mut endpointer = Endpointer::default();
        let next = |(at, it): (usize, &f32)| endpointer.next(*it).map(|change| (at, change));
        probabilities.iter().enumerate().filter_map(next).collect()
    }

    #[test]
    fn speech_begins_after_three_frames_and_ends_after_half_a_second_of_silence() {
        let mut frames = vec![0.0; 5];
        frames.extend([0.9; 10]);
        frames.extend([0.0; 15]);
        frames.extend([0.9; 3]);
        frames.extend([0.1; 20]);
        assert_eq!(
            changes(&frames),
            [(7, Activity::Speaking), (48, Activity::Paused)]
        );
    }

    #[test]
    fn a_click_is_no_speech() {
        assert_eq!(changes(&[0.0, 0.9, 0.9, 0.0, 0.0, 0.9, 0.0]), []);
        assert_eq!(spoken(&[0.0, 0.9, 0.9, 0.0]), None);
        assert_eq!(spoken(&[0.3; 50]), None);
    }

    #[test]
    fn soft_ends_and_a_margin_are_kept() {
        let frames = [0.0, 0.3, 0.9, 0.9, 0.1, 0.9, 0.4, 0.0, 0.0];
        assert_eq!(spoken(&frames), Some(1..7));
        assert_eq!(samples(&(1..7), 100_000), 0..7 * 512 + 4000);
        assert_eq!(samples(&(100..200), 300 * 512), 47_200..106_400);
        assert_eq!(samples(&(1..7), 3600), 0..3600);
    }

    proptest! {
        #[test]
        fn speaking_and_pausing_take_turns(frames in proptest::collection::vec(0.0_f32..1.0, 0..400)) {
            let changes = changes(&frames);
            for (number, (_, change)) in changes.iter().enumerate() {
                let wanted = if number % 2 == 0 { Activity::Speaking } else { Activity::Paused };
                prop_assert_eq!(*change, wanted);
            }
        }

        #[test]
        fn what_may_be_speech_is_never_cut_off(frames in proptest::collection::vec(0.0_f32..1.0, 0..200)) {
            if let Some(range) = spoken(&frames) {
                for (at, it) in frames.iter().enumerate() {
                    prop_assert!(*it < FAINT || range.contains(&at));
                }
                let kept = samples(&range, frames.len() * FRAME);
                prop_assert!(kept.start <= range.start * FRAME && kept.end >= range.end * FRAME);
            }
        }
    }
}

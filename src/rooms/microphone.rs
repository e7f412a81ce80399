//! What may come in as sound: frames of the microphone, no faster than people speak.

use crate::wire::sound::{Kind, MICROPHONE_RATE, SoundFrame};

/// Seconds of sound that may come at once: what piled up while a line was dead.
const BURST: u64 = 30;

/// How much faster than time sound may come in the long run, percent. Clocks differ, and a page
/// catches up after a stall.
const PACE: u64 = 125;

/// Counts one socket's sound. Times are [`super::pulse::ticks`].
#[derive(Debug)]
pub(crate) struct Microphone {
    open: bool,
    /// Samples that may come now.
    level: u64,
    at: u64,
}

/// What becomes of a binary frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass(SoundFrame),
    /// No client of ours sends this.
    Offence(&'static str),
}

const FULL: u64 = BURST * MICROPHONE_RATE as u64;

impl Microphone {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            open: false,
            level: FULL,
            at: now,
        }
    }

    /// The client came to a séance: from now on it may send sound.
    pub(crate) fn open(&mut self) {
        self.open = true;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn take(&mut self, bytes: &[u8], now: u64) -> Verdict {
        let frame = match SoundFrame::decode(bytes) {
            Ok(frame) if frame.kind == Kind::Microphone => frame,
            _ => return Verdict::Offence("no frame of a microphone"),
        };
        let gained = now.saturating_sub(self.at) * u64::from(MICROPHONE_RATE) * PACE / 100_000;
        self.at = self.at.max(now);
        self.level = self.level.saturating_add(gained).min(FULL);
        // An empty frame costs something too.
        let samples = (frame.samples.len() as u64).max(320);
        match self.level.checked_sub(samples) {
            Some(level) => {
                self.level = level;
                Verdict::Pass(frame)
            }
            None => Verdict::Offence("sound faster than anybody speaks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: Kind, samples: usize) -> Vec<u8> {
        SoundFrame {
            kind,
            number: 1,
            from: 0,
            samples: vec![0; samples],
        }
        .encode()
    }

    fn passed(microphone: &mut Microphone, now: u64) -> bool {
        matches!(
            microphone.take(&frame(Kind::Microphone, 1600), now),
            Verdict::Pass(_)
        )
    }

    #[test]
    fn speech_passes_for_ever_and_a_flood_does_not() {
        let mut microphone = Microphone::new(0);
        assert!((0..10_000).all(|tenth| passed(&mut microphone, tenth * 100)));
        let mut microphone = Microphone::new(0);
        let flood = (0..1000).filter(|_| passed(&mut microphone, 0)).count();
        assert_eq!(flood, 300);
    }

    #[test]
    fn only_the_microphone_comes_in() {
        let mut microphone = Microphone::new(0);
        for bytes in [frame(Kind::Voice, 10), vec![], vec![1; 10]] {
            let verdict = microphone.take(&bytes, 0);
            assert!(matches!(verdict, Verdict::Offence(_)), "{verdict:?}");
        }
    }
}

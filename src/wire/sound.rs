//! Sound between browser and server: binary frames of the socket, beside the text frames of
//! [`crate::wire::browser`].
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the kind: [`MICROPHONE`] from the client, [`VOICE`] from the server |
//! | 4 | big-endian: the client's utterance, or the séance's line |
//! | 4 | big-endian: index of the first sample, from the beginning of utterance or line |
//! | rest | mono samples, signed 16 bit, little-endian |
//!
//! The microphone's samples come at [`MICROPHONE_RATE`], in frames of 20 to 100 ms; the
//! voice's at the rate that the line's captions state. Frames of one utterance or line follow
//! each other without a gap; a gap means that sound was left out, and is heard as silence.

use std::ops::RangeInclusive;

/// First byte of a frame of the microphone.
pub const MICROPHONE: u8 = 1;

/// First byte of a frame of the voice.
pub const VOICE: u8 = 2;

/// Bytes before the samples.
pub const HEADER: usize = 9;

/// Samples per second of the microphone.
pub const MICROPHONE_RATE: u32 = 16_000;

/// Samples of a frame of the microphone; the last one of an utterance may be shorter.
pub const MICROPHONE_FRAME: RangeInclusive<usize> = 320..=1600;

/// Most samples of a frame of the voice.
pub const VOICE_FRAME: usize = 4_800;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Microphone,
    Voice,
}

/// A frame of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundFrame {
    pub kind: Kind,
    /// The client's utterance, or the séance's line.
    pub number: u32,
    /// Index of the first sample.
    pub from: u32,
    pub samples: Vec<i16>,
}

/// Why bytes are no frame of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSound {
    #[error("a frame of sound has a header of {HEADER} bytes")]
    Short,
    #[error("there is no sound of kind {0}")]
    UnknownKind(u8),
    #[error("half a sample")]
    HalfSample,
    #[error("more samples in one frame than are allowed")]
    Long,
    #[error("more samples than can be counted")]
    Uncountable,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Microphone => MICROPHONE,
            Self::Voice => VOICE,
        }
    }

    fn longest(self) -> usize {
        match self {
            Self::Microphone => *MICROPHONE_FRAME.end(),
            Self::Voice => VOICE_FRAME,
        }
    }
}

impl SoundFrame {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 2 * self.samples.len());
        bytes.push(self.kind.byte());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.from.to_be_bytes());
        bytes.extend(self.samples.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }

    /// # Errors
    /// When the bytes are no frame that the other side may send.
    pub fn decode(bytes: &[u8]) -> Result<Self, NoSound> {
        let (header, sound) = bytes.split_at_checked(HEADER).ok_or(NoSound::Short)?;
        let kind = match header[0] {
            MICROPHONE => Kind::Microphone,
            VOICE => Kind::Voice,
            other => return Err(NoSound::UnknownKind(other)),
        };
        let (samples, rest) = sound.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(NoSound::HalfSample);
        }
        if samples.len() > kind.longest() {
            return Err(NoSound::Long);
        }
        let number = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let from = number(5);
        let count = u32::try_from(samples.len()).map_err(|_| NoSound::Uncountable)?;
        from.checked_add(count).ok_or(NoSound::Uncountable)?;
        Ok(Self {
            kind,
            number: number(1),
            from,
            samples: samples.iter().copied().map(i16::from_le_bytes).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_is_the_bytes_that_the_page_knows() {
        let frame = SoundFrame {
            kind: Kind::Microphone,
            number: 0x0102_0304,
            from: 0x0506_0708,
            samples: vec![1, -2],
        };
        let bytes = [1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 0xfe, 0xff];
        assert_eq!(frame.encode(), bytes);
        assert_eq!(SoundFrame::decode(&bytes), Ok(frame));
    }

    #[test]
    fn what_is_no_sound_is_refused() {
        let long = |kind: u8, samples: usize| {
            let mut bytes = vec![kind, 0, 0, 0, 1, 0, 0, 0, 0];
            bytes.resize(HEADER + 2 * samples, 0);
            SoundFrame::decode(&bytes).map(|_| ())
        };
        assert_eq!(SoundFrame::decode(&[1, 0, 0]), Err(NoSound::Short));
        assert_eq!(long(7, 1), Err(NoSound::UnknownKind(7)));
        assert_eq!(long(1, 1600), Ok(()));
        assert_eq!(long(1, 1601), Err(NoSound::Long));
        assert_eq!(long(2, VOICE_FRAME + 1), Err(NoSound::Long));
        let half = [1, 0, 0, 0, 1, 0, 0, 0, 0, 5];
        assert_eq!(SoundFrame::decode(&half), Err(NoSound::HalfSample));
        let far = [1, 0, 0, 0, 1, 255, 255, 255, 255, 5, 0];
        assert_eq!(SoundFrame::decode(&far), Err(NoSound::Uncountable));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(frame) = SoundFrame::decode(&bytes) {
                prop_assert_eq!(frame.encode(), bytes);
            }
        }
    }
}

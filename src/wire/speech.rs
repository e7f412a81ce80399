//! Server ↔ speech worker: the process that listens, speaks and translates.
//!
//! Frames are length-delimited like those of [`crate::wire::worker`]: a 4-byte big-endian
//! length, then the frame. A frame that begins with `{` is one JSON message. One that begins
//! with [`AUDIO`] is sound: that byte, the request's id (8 bytes, big-endian), then mono
//! samples, signed 16 bit, little-endian. What the server sends is at [`HEARING_RATE`]; what
//! the worker sends is at the rate of its voice ([`VoiceInfo::rate`]).
//!
//! The server speaks first with [`ToSpeech::Hello`]. Each request ends with exactly one of
//! `Heard`, `Spoken`, `Translated`, `Refused`, `Cancelled` or `Failed`; nothing with its id
//! follows.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use super::worker::RequestId;

/// Version of this protocol. A worker refuses a server that speaks another one.
pub const PROTOCOL: u16 = 1;

/// Largest frame either side accepts, in bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// First byte of a frame of sound.
pub const AUDIO: u8 = 1;

/// Bytes before the samples of a frame of sound.
pub const AUDIO_HEADER: usize = 9;

/// Most samples in one frame of sound.
pub const FRAME_SAMPLES: usize = 12_000;

/// Longest text that is said or translated at once, bytes.
pub const MAX_TEXT: usize = 4096;

/// Samples per second of what is listened to.
pub const HEARING_RATE: u32 = 16_000;

/// Longest question that is listened to, seconds. What comes after it is left out.
pub const LONGEST_QUESTION: u32 = 30;

/// A language, as ISO 639-1 calls it: `en`, `de`, `ru`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Language(pub String);

/// What the server says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToSpeech {
    Hello {
        protocol: u16,
    },
    /// Sound with this id follows, then [`ToSpeech::End`].
    Listen {
        id: RequestId,
        request: Listen,
    },
    /// All that was said has been sent.
    End {
        id: RequestId,
    },
    Speak {
        id: RequestId,
        request: Speak,
    },
    Translate {
        id: RequestId,
        request: Translate,
    },
    /// Takes effect at the next piece of work; a request that already ended is not an error.
    Cancel {
        id: RequestId,
    },
    Ping {
        nonce: u64,
    },
}

/// What the worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromSpeech {
    Hello {
        protocol: u16,
        /// The worker's program version.
        version: String,
        /// Languages that it understands.
        hears: Vec<Language>,
        voices: Vec<VoiceInfo>,
        /// Pairs that it translates: from, to.
        translates: Vec<(Language, Language)>,
        /// Whether its voices take on the timbre of whoever asks.
        #[serde(default)]
        clones: bool,
    },
    /// What was said so far. The next one, and the transcript, take its place.
    Partial {
        id: RequestId,
        text: String,
    },
    Heard {
        id: RequestId,
        transcript: Transcript,
    },
    /// A clause. Its sound follows in as many frames as it takes, before anything else with
    /// this id.
    Clause {
        id: RequestId,
        clause: Clause,
    },
    /// All clauses were sent.
    Spoken {
        id: RequestId,
    },
    Translated {
        id: RequestId,
        text: String,
    },
    /// Not admitted: nothing was computed.
    Refused {
        id: RequestId,
        refusal: SpeechRefusal,
    },
    /// The server took it back in time.
    Cancelled {
        id: RequestId,
    },
    /// Admitted, then lost to an error.
    Failed {
        id: RequestId,
        message: String,
    },
    Pong {
        nonce: u64,
    },
}

/// A voice that the worker has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceInfo {
    pub name: String,
    pub language: Language,
    /// Samples per second.
    pub rate: u32,
}

/// Asks what is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// The language is one of these. One alone is not detected.
    pub languages: Vec<Language>,
    /// Whether [`FromSpeech::Partial`]s are wanted.
    pub partials: bool,
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Empty where nothing was said that could be understood.
    pub text: String,
    pub language: Language,
    /// How sure the language is, 0 to 1, among those that were asked for.
    pub certainty: f32,
    /// Of the sound, milliseconds.
    pub duration_ms: u32,
    /// How the asker speaks; absent where too little of it was voiced.
    pub print: Option<VoicePrint>,
}

/// How somebody speaks: enough to carry onto another voice, and without the timbre not enough to
/// know them by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VoicePrint {
    /// Median fundamental frequency, Hz.
    pub pitch_hz: f32,
    /// From the 10th to the 90th percentile of the fundamental frequency, semitones.
    pub range_semitones: f32,
    /// Syllable nuclei per second of speech, without its pauses.
    pub tempo: f32,
    /// Slope of the long-term spectrum of voiced frames, dB per octave; mostly below 0.
    pub tilt: f32,
    /// Only where the worker clones voices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timbre: Option<Timbre>,
}

/// The timbre of a voice, as a converter's extractor tells it. Somebody may be known by it: it
/// stays in memory while its owner sits, and is never written or logged.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timbre(pub Vec<f32>);

impl fmt::Debug for Timbre {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timbre({} numbers)", self.0.len())
    }
}

/// Asks for a text to be said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speak {
    pub text: String,
    pub language: Language,
    /// One of [`FromSpeech::Hello`]'s; the first of the language if none is named.
    pub voice: Option<String>,
    /// Whose way of speaking the voice takes on.
    pub like: Option<VoicePrint>,
}

/// A clause of what is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clause {
    pub words: Vec<SpokenWord>,
    /// Length of its sound, samples.
    pub samples: u32,
    /// It has the voice's own timbre although another was asked for: it could not be taken on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlike: bool,
}

/// A word, and when it sounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpokenWord {
    /// As it is written, with the punctuation that clings to it.
    pub text: String,
    /// First sample and the one after its last, from the beginning of the clause.
    pub from: u32,
    pub to: u32,
}

/// Asks for a text in another language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translate {
    pub text: String,
    pub from: Language,
    pub to: Language,
}

/// Why a request was turned away at the door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum SpeechRefusal {
    #[error("the speech worker has too much to do")]
    Busy,
    #[error("there is no voice for the language {language:?}")]
    NoVoice { language: String },
    #[error("there is no voice {voice:?}")]
    UnknownVoice { voice: String },
    #[error("this worker cannot listen to {language:?}")]
    NoEar { language: String },
    #[error("this worker cannot translate from {from:?} to {to:?}")]
    NoTranslation { from: String, to: String },
    #[error("the request is malformed: {message}")]
    Malformed { message: String },
}

/// One frame of sound. `samples` are at most [`FRAME_SAMPLES`].
pub fn sound_frame(id: RequestId, samples: &[i16]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(AUDIO_HEADER + samples.len() * 2);
    frame.push(AUDIO);
    frame.extend_from_slice(&id.0.to_be_bytes());
    frame.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    frame
}

/// Reads a frame of sound; `None` if it is none, has half a sample, or too many.
pub fn parse_sound(frame: &[u8]) -> Option<(RequestId, Vec<i16>)> {
    let (header, body) = frame.split_at_checked(AUDIO_HEADER)?;
    let (&[AUDIO], id) = header.split_first_chunk::<1>()? else {
        return None;
    };
    if body.len() % 2 != 0 || body.len() / 2 > FRAME_SAMPLES {
        return None;
    }
    let samples = body
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    let id = u64::from_be_bytes(id.try_into().ok()?);
    Some((RequestId(id), samples.collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sound_is_read_as_it_was_written(id: u64, samples: Vec<i16>) {
            let frame = sound_frame(RequestId(id), &samples);
            prop_assert_eq!(parse_sound(&frame), Some((RequestId(id), samples)));
        }

        #[test]
        fn no_bytes_bring_the_reader_down(bytes: Vec<u8>) {
            if let Some((id, samples)) = parse_sound(&bytes) {
                prop_assert_eq!(sound_frame(id, &samples), bytes);
            }
        }
    }

    #[test]
    fn a_timbre_is_never_logged() {
        let told = format!("{:?}", Timbre(vec![0.123; 256]));
        assert_eq!(told, "Timbre(256 numbers)");
    }

    #[test]
    fn half_a_sample_or_too_many_are_no_sound() {
        let id = RequestId(7);
        let mut odd = sound_frame(id, &[1, 2]);
        odd.pop();
        assert_eq!(parse_sound(&odd), None);
        assert_eq!(parse_sound(&sound_frame(id, &[0; FRAME_SAMPLES + 1])), None);
    }
}

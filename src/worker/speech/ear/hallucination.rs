//! Tells what was heard from what a model made up.
//!
//! Thresholds and measures are those of OpenAI's whisper (`transcribe.py`, `decoding.py`;
//! Radford et al. 2022, section 4.5): a text that compresses too well repeats itself, one
//! that its model finds unlikely is guessed, and one that is unlikely where the model also
//! finds silence was never said. Here a text that goes round is caught while it is written.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

/// A text that compresses further repeats itself.
const MAX_COMPRESSION: f32 = 2.4;
/// Natural logarithm; a text of tokens less likely on average is guessed.
const MIN_LOG_PROBABILITY: f32 = -1.0;
/// Where silence is likelier, an unlikely text was not said.
const MAX_NO_SPEECH: f32 = 0.6;
/// How often a phrase of so many tokens may stand in a row before it goes round: a word may
/// be said four times, a long phrase twice.
const ROUNDS: [(usize, usize); 3] = [(1, 6), (4, 4), (12, 3)];
/// Bytes of text per second of speech that nobody speaks: fast speech has 25.
const MAX_BYTES_PER_SECOND: f32 = 60.0;

/// What is known of a text that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Signs {
    /// Of its tokens, the mean of their natural logarithms.
    pub(super) log_probability: f32,
    /// That nothing is said, 0 to 1.
    pub(super) no_speech: f32,
    /// Of the sound, seconds.
    pub(super) seconds: f32,
}

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Heard,
    /// Nothing was said.
    Silence,
    /// It may come out better with other dice.
    Doubtful,
    /// It must not be shown.
    MadeUp,
}

/// Judges a text by itself and by the signs.
pub(super) fn judge(text: &str, signs: Signs) -> Verdict {
    let unlikely = signs.log_probability < MIN_LOG_PROBABILITY;
    if text.is_empty() || (signs.no_speech > MAX_NO_SPEECH && unlikely) {
        return Verdict::Silence;
    }
    let too_much = text.len() as f32 > MAX_BYTES_PER_SECOND * signs.seconds.max(1.0);
    if compression(text) > MAX_COMPRESSION || too_much {
        return Verdict::MadeUp;
    }
    match unlikely {
        true => Verdict::Doubtful,
        false => Verdict::Heard,
    }
}

/// How many times smaller zlib makes a text.
pub(super) fn compression(text: &str) -> f32 {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let packed = zlib.write_all(text.as_bytes()).and_then(|()| zlib.finish());
    let packed = packed.expect("memory takes whatever is written");
    text.len() as f32 / packed.len() as f32
}

/// Whether the last tokens are one phrase again and again.
pub(in crate::worker::speech) fn goes_round(tokens: &[u32]) -> bool {
    (1..=tokens.len() / 3).any(|length| {
        let (_, rounds) = ROUNDS
            .into_iter()
            .rev()
            .find(|(shortest, _)| length >= *shortest)
            .expect("the shortest is 1");
        let Some(start) = tokens.len().checked_sub(length * rounds) else {
            return false;
        };
        let phrase = &tokens[tokens.len() - length..];
        tokens[start..].chunks_exact(length).all(|it| it == phrase)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SURE: Signs = Signs {
        log_probability: -0.2,
        no_speech: 0.01,
        seconds: 4.0,
    };

    #[test]
    fn a_plain_question_is_heard() {
        assert_eq!(
            judge("Who was in this room before me?", SURE),
            Verdict::Heard
        );
        assert_eq!(judge("Ist hier jemand?", SURE), Verdict::Heard);
        assert_eq!(judge("Кто был здесь до меня?", SURE), Verdict::Heard);
    }

    #[test]
    fn nothing_is_said_only_where_the_model_finds_silence_and_is_unsure() {
        let signs = |log_probability, no_speech| Signs {
            log_probability,
            no_speech,
            ..SURE
        };
        let text = "Thank you for watching.";
        assert_eq!(judge(text, signs(-1.5, 0.9)), Verdict::Silence);
        assert_eq!(judge(text, signs(-0.2, 0.9)), Verdict::Heard);
        assert_eq!(judge(text, signs(-1.5, 0.1)), Verdict::Doubtful);
        assert_eq!(judge("", SURE), Verdict::Silence);
    }

    #[test]
    fn a_text_that_repeats_itself_or_outruns_the_speaker_was_made_up() {
        let again = "I am here. ".repeat(20);
        assert_eq!(
            judge(
                &again,
                Signs {
                    seconds: 30.0,
                    ..SURE
                }
            ),
            Verdict::MadeUp
        );
        let long: String = (0..80)
            .map(|it| format!("w{} ", it * 7919 % 1000))
            .collect();
        assert_eq!(
            judge(
                &long,
                Signs {
                    seconds: 1.0,
                    ..SURE
                }
            ),
            Verdict::MadeUp
        );
        assert_eq!(
            judge(
                &long,
                Signs {
                    seconds: 20.0,
                    ..SURE
                }
            ),
            Verdict::Heard
        );
    }

    #[test]
    fn what_people_do_repeat_does_not_go_round() {
        for said in [
            &[7, 7, 7][..],
            &[1, 2, 1, 2],
            &[5, 5, 5, 5],
            &[1, 2, 3, 1, 2, 3, 4],
        ] {
            assert!(!goes_round(said), "{said:?}");
        }
    }

    proptest! {
        #[test]
        fn a_phrase_again_and_again_goes_round_whatever_was_said_before(
            before in proptest::collection::vec(0_u32..50, 0..20),
            phrase in proptest::collection::vec(0_u32..1000, 1..16),
        ) {
            let mut tokens = before;
            for _ in 0..6 {
                tokens.extend(&phrase);
            }
            prop_assert!(goes_round(&tokens));
        }

        #[test]
        fn different_tokens_never_go_round(count in 0_u32..200) {
            let tokens: Vec<u32> = (0..count).collect();
            prop_assert!(!goes_round(&tokens));
        }

        #[test]
        fn no_text_breaks_the_judgement(text: String, log_probability: f32, no_speech: f32) {
            judge(&text, Signs { log_probability, no_speech, seconds: 1.0 });
        }
    }
}

//! SVOX Pico's voices (Apache-2.0): a megabyte each, twenty times as fast as Kokoro's, and
//! made from recordings of speakers of the language.
//!
//! Pico reads plain text by itself; only numbers, dates and signs are read by the house, as
//! for every German voice. It tells no durations: they are guessed.

mod library;
mod linking;

use std::{ffi::CString, path::Path, sync::Arc};

use super::{MouthError, clauses::Lengths, foreign, said::Said, stop::Stopper, timing};
use library::Library;

/// Samples per second.
pub(super) const RATE: u32 = 16_000;

/// The voice of each language: what analyses its texts, and what makes its sound.
pub(super) const LINGWARE: [(&str, &str, &str); 1] = [("de", "de-DE_ta.bin", "de-DE_gl0_sg.bin")];

/// The library, by its file.
pub(super) const LIBRARY: &str = "pico.so";

/// How fast it speaks, of its makers' own tempo. Of 40 German sentences 5.6 % of the words were
/// misheard at 1, 4.0 % at 0.9, 4.8 % at 0.8 and 6.4 % at 1.1.
const TEMPO: f32 = 0.9;

/// How dull it sounds by itself, dB per octave: what the ear measures of nine sentences.
pub(super) const TILT: f32 = -11.0;

/// It says sentences whole: 3 seconds of speech take it some 40 ms.
pub(super) const WHOLE: Lengths = Lengths {
    first: 220,
    soft: 220,
    hard: 220,
};

/// Marks that Pico breathes by.
const PAUSES: &str = ".,;:!?";

/// Those, and what stands inside a word.
const MARKS: &str = ".,;:!?'-";

/// An open voice.
pub(super) struct Pico {
    library: Library,
    lingware: [Arc<Path>; 2],
    language: String,
    stopper: Stopper,
}

impl Pico {
    /// # Errors
    /// When the library cannot be used.
    pub(super) fn open(
        library: &Path,
        lingware: [&Path; 2],
        language: &str,
        stopper: Stopper,
    ) -> Result<Self, MouthError> {
        Ok(Self {
            library: Library::open(library)?,
            lingware: lingware.map(Arc::from),
            language: language.to_owned(),
            stopper,
        })
    }

    /// Says words so many times as fast as the voice does.
    ///
    /// # Errors
    /// When Pico fails or is stopped.
    pub(super) fn say(&self, words: &[&str], tempo: f32) -> Result<Said, MouthError> {
        let read = foreign::read(words, &self.language);
        let read: Vec<&str> = read.iter().map(|(word, _)| word.as_str()).collect();
        let text = plain(&read.join(" "));
        if !text.contains(char::is_alphanumeric) {
            return Ok(Said::default());
        }
        let Ok(text) = CString::new(at_tempo(&text, tempo)) else {
            unreachable!("only letters, digits, spaces and marks are left")
        };
        let lingware = self.lingware.each_ref().map(AsRef::as_ref);
        let stopped = || self.stopper.is_stopped();
        let samples = self.library.speak(lingware, &text, &stopped)?;
        if stopped() {
            return Err(MouthError::Stopped);
        }
        Ok(Said {
            samples: samples
                .into_iter()
                .map(|it| f32::from(it) / 32_768.0)
                .collect(),
            units: timing::guess(words),
        })
    }
}

/// A text without what Pico would take for its own markup or stumble over. Its dash is a comma,
/// and so is an ellipsis, behind which it would lower its voice. Of marks in a row the first one
/// stays: Pico would wait half a second for each.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        let letter = match letter {
            '–' | '—' | '…' => ',',
            '’' => '\'',
            letter if letter.is_alphanumeric() || MARKS.contains(letter) => letter,
            _ => ' ',
        };
        let waits = |last: char| PAUSES.contains(last);
        if !(waits(letter) && plain.trim_end().ends_with(waits)) {
            plain.push(letter);
        }
    }
    plain
}

/// Pico's markup counts tempo in percent.
fn at_tempo(text: &str, tempo: f32) -> String {
    let percent = (tempo * TEMPO * 100.0).round().clamp(20.0, 500.0) as u16;
    match percent {
        100 => text.to_owned(),
        percent => format!("<speed level=\"{percent}\">{text}</speed>"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_never_markup_and_pauses_stay() {
        assert_eq!(
            plain("„Ja“ – sagte <b>er</b> … so’s\u{0}"),
            " Ja  , sagte  b er  b  , so's "
        );
        assert_eq!(plain("Nein!!! … Wirklich?! -- ."), "Nein!  Wirklich? -- .");
        assert_eq!(at_tempo("Ja.", 1.0 / TEMPO), "Ja.");
        assert_eq!(at_tempo("Ja.", 0.5), "<speed level=\"45\">Ja.</speed>");
    }

    proptest! {
        #[test]
        fn any_text_is_one_that_c_can_hold(text in "\\PC{0,80}|[\\x00-\\x7f]{0,80}") {
            let plain = plain(&text);
            prop_assert!(!plain.contains(['<', '>', '\0']));
            prop_assert!(CString::new(plain).is_ok());
        }
    }
}

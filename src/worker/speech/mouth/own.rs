//! PURE: how a voice speaks by itself, so that an asker can be compared with it.
//!
//! Pitch and range are measured from what it says when it is opened. Tempo and tilt are what
//! the voices of the catalogue were measured at, all of them within a fifth and, but for Pico's
//! ([`super::pico::TILT`]), within 1 dB.

use super::like::pitch;
use crate::wire::speech::{Language, VoicePrint};

/// Syllable nuclei per second of speech.
const TEMPO: f32 = 3.2;

/// dB per octave.
const TILT: f32 = -8.0;

/// Voiced frames that a print needs: 0.3 s.
const LEAST: usize = 30;

/// What a voice is asked to say to be known.
pub(super) fn sample_text(language: &Language) -> &'static str {
    match language.0.as_str() {
        "de" => {
            "Das Licht im Fenster ist seit Jahren aus, und niemand weiß noch, wer es angezündet hat."
        }
        "ru" => "Свет в окне давно погас, и никто в этом доме не помнит, кто его зажёг.",
        _ => "The light in the window has been out for years, and nobody remembers who lit it.",
    }
}

/// Measures a voice's sound; none where too little is voiced, and so nothing can be changed.
pub(super) fn print_of(samples: &[f32], rate: u32) -> Option<VoicePrint> {
    let mut f0 = pitch::track(samples, rate);
    f0.retain(|f0| *f0 > 0.0);
    if f0.len() < LEAST {
        return None;
    }
    f0.sort_by(f32::total_cmp);
    let at = |share: f32| f0[((f0.len() - 1) as f32 * share).round() as usize];
    Some(VoicePrint {
        pitch_hz: at(0.5),
        range_semitones: 12.0 * (at(0.9) / at(0.1)).log2(),
        tempo: TEMPO,
        tilt: TILT,
        timbre: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pitch_and_range_are_those_of_the_sound() {
        // Two seconds that go up from 118 to 166 Hz.
        let mut phase = 0.0_f32;
        let sound: Vec<f32> = (0..48_000)
            .map(|at| {
                let f0 = 140.0 * 2.0_f32.powf((at as f32 / 48_000.0 - 0.5) * 0.5);
                phase += std::f32::consts::TAU * f0 / 24_000.0;
                0.3 * phase.sin() + 0.2 * (2.0 * phase).sin() + 0.1 * (3.0 * phase).sin()
            })
            .collect();
        let print = print_of(&sound, 24_000).expect("it is voiced");
        assert!((print.pitch_hz - 140.0).abs() < 3.0, "{print:?}");
        assert!((print.range_semitones - 4.8).abs() < 0.5, "{print:?}");
        assert_eq!(print_of(&[0.0; 24_000], 24_000), None);
    }
}

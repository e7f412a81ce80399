//! What of the asker's way of speaking is heard in the voice.

use parlour::wire::speech::{Speak, VoicePrint};

use super::{hibari, request, sound};

const RATE: usize = 24_000;

/// The median over frames of the shift at which a frame is most like itself, as Hz.
fn pitch(sound: &[i16]) -> f32 {
    let sound: Vec<f32> = sound.iter().map(|sample| f32::from(*sample)).collect();
    let likeness = |at: usize, shift: usize| -> f32 {
        let (one, other) = (&sound[at..at + 720], &sound[at + shift..at + shift + 720]);
        let product: f32 = one.iter().zip(other).map(|(a, b)| a * b).sum();
        let power = |part: &[f32]| part.iter().map(|s| s * s).sum::<f32>();
        product / (power(one) * power(other)).sqrt().max(1.0)
    };
    let mut found: Vec<f32> = (0..sound.len() - 1200)
        .step_by(720)
        .filter_map(|at| {
            let best = (RATE / 400..RATE / 75)
                .map(|shift| (shift, likeness(at, shift)))
                .max_by(|a, b| a.1.total_cmp(&b.1))?;
            // The shortest shift that is nearly as good: twice the period is as alike.
            let shift = (RATE / 400..=best.0)
                .find(|shift| likeness(at, *shift) > 0.97 * best.1)
                .filter(|_| best.1 > 0.85)?;
            Some(RATE as f32 / shift as f32)
        })
        .collect();
    found.sort_by(f32::total_cmp);
    found[found.len() / 2]
}

#[test]
fn the_asker_s_pitch_and_tempo_are_carried_onto_the_voice() {
    let mut mouth = hibari();
    let text = "The light in the window has been out for years, and nobody remembers it.";
    let mut like = |pitch_hz, tempo| {
        let like = VoicePrint {
            pitch_hz,
            range_semitones: 7.0,
            tempo,
            tilt: -8.0,
            timbre: None,
        };
        let request = Speak {
            like: Some(like),
            ..request(text, "en")
        };
        sound(&mut mouth, &request)
    };
    let low = like(130.0, 3.0);
    let high = like(230.0, 3.0);
    let fast = like(130.0, 4.2);
    let (low_hz, high_hz) = (pitch(&low), pitch(&high));
    assert!((low_hz / 130.0 - 1.0).abs() < 0.15, "{low_hz}");
    assert!((high_hz / 230.0 - 1.0).abs() < 0.15, "{high_hz}");
    assert!((fast.len() as f32) < low.len() as f32 * 0.85);
}

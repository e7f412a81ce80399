use proptest::prelude::*;

use super::*;
use crate::worker::speech::mouth::{pulses, spectrum};

const RATE: u32 = 24_000;

const OWN: VoicePrint = VoicePrint {
    pitch_hz: 150.0,
    range_semitones: 6.0,
    tempo: 4.0,
    tilt: -9.0,
    timbre: None,
};

fn change(pitch: f32, range: f32, tempo: f32, tilt: f32) -> Change {
    Change {
        centre: OWN.pitch_hz,
        pitch,
        range,
        tempo,
        tilt,
    }
}

/// A vowel whose pitch goes up past the voice's own, between two silences.
fn vowel(swing: f32) -> Vec<f32> {
    let f0: Vec<f32> = (0..120)
        .map(|frame| {
            if (20..100).contains(&frame) {
                OWN.pitch_hz * 2.0_f32.powf(swing * (frame as f32 - 60.0) / 40.0)
            } else {
                0.0
            }
        })
        .collect();
    let pulses = pulses::train(&f0, RATE);
    spectrum::Frames::new().through(&pulses, f0.len(), |_, bins| {
        for (bin, value) in bins.iter_mut().enumerate() {
            let frequency = bin as f32 * 20.0;
            let resonance = |centre: f32| (-((frequency - centre) / 150.0).powi(2)).exp();
            *value *= 15.0 * (resonance(600.0) + 0.5 * resonance(1200.0) + 0.02);
        }
    })
}

fn voiced(samples: &[f32]) -> Vec<f32> {
    let mut f0 = pitch::track(samples, RATE);
    f0.retain(|f0| *f0 > 0.0);
    f0.sort_by(f32::total_cmp);
    f0
}

fn median(samples: &[f32]) -> f32 {
    let f0 = voiced(samples);
    f0[f0.len() / 2]
}

/// Octaves between the tenth and the ninetieth percentile.
fn range(samples: &[f32]) -> f32 {
    let f0 = voiced(samples);
    (f0[f0.len() * 9 / 10] / f0[f0.len() / 10]).log2()
}

fn steepest(samples: &[f32]) -> f32 {
    let steps = samples.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    steps.fold(0.0, f32::max)
}

#[test]
fn pitch_moves_by_what_was_asked() {
    let vowel = vowel(0.1);
    for ratio in [0.7, 0.85, 1.2, 1.5] {
        let moved = median(&change(ratio, 1.0, 1.0, 0.0).bend_sound(vowel.clone(), RATE));
        let measured = moved / median(&vowel);
        assert!((measured / ratio - 1.0).abs() < 0.04, "{ratio}: {measured}");
    }
}

#[test]
fn the_range_grows_and_shrinks_around_the_voice_s_own_pitch() {
    let vowel = vowel(0.25);
    for factor in [0.5, 1.6] {
        let bent = change(1.0, factor, 1.0, 0.0).bend_sound(vowel.clone(), RATE);
        let measured = range(&bent) / range(&vowel);
        assert!(
            (measured / factor - 1.0).abs() < 0.15,
            "{factor}: {measured}"
        );
        let wanted = OWN.pitch_hz * (median(&vowel) / OWN.pitch_hz).powf(factor);
        let measured = median(&bent);
        assert!(
            (measured / wanted - 1.0).abs() < 0.05,
            "{factor}: {measured} {wanted}"
        );
    }
}

#[test]
fn the_tempo_is_what_was_asked_and_the_pitch_stays() {
    let vowel = vowel(0.1);
    for tempo in [0.75, 1.3] {
        let bent = change(1.0, 1.0, tempo, 0.0).bend_sound(vowel.clone(), RATE);
        let ratio = vowel.len() as f32 / bent.len() as f32;
        assert!((ratio / tempo - 1.0).abs() < 0.001, "{tempo}: {ratio}");
        let long = voiced(&vowel).len() as f32 / voiced(&bent).len() as f32;
        assert!((long / tempo - 1.0).abs() < 0.1, "{tempo}: {long}");
        assert!((median(&bent) / median(&vowel) - 1.0).abs() < 0.02);
    }
}

#[test]
fn the_spectrum_tilts_by_as_many_decibels_an_octave_as_asked() {
    let noise: Vec<f32> = (0..RATE as i64)
        .map(|at| ((at * 7919 % 10_007) as f32 / 10_007.0 - 0.5) * 0.2)
        .collect();
    let tilted = change(1.0, 1.0, 1.0, -4.0).bend_sound(noise.clone(), RATE);
    let level = |samples: &[f32], frequency: f32| {
        let mut power = 0.0;
        spectrum::Frames::new().through(samples, 70, |_, bins| {
            let bin = (frequency / 20.0) as usize;
            power += bins[bin - 5..bin + 5]
                .iter()
                .map(|b| b.norm_sqr())
                .sum::<f32>();
        });
        10.0 * power.log10()
    };
    let slope = |low: f32, high: f32| {
        let fall = |samples: &[f32]| level(samples, high) - level(samples, low);
        (fall(&tilted) - fall(&noise)) / (high / low).log2()
    };
    assert!(
        (slope(500.0, 4000.0) + 4.0).abs() < 0.3,
        "{}",
        slope(500.0, 4000.0)
    );
}

#[test]
fn nothing_clicks() {
    let vowel = vowel(0.2);
    let before = steepest(&vowel);
    for change in [
        change(0.65, 1.4, 0.8, 0.0),
        change(1.5, 0.6, 1.3, 0.0),
        change(1.0, 1.0, 1.0, -5.0),
    ] {
        let after = steepest(&change.bend_sound(vowel.clone(), RATE));
        assert!(after < before * 1.5, "{change:?}: {before} {after}");
    }
}

#[test]
fn who_is_not_asked_to_be_like_anybody_stays_as_they_are() {
    let none = Change::default();
    assert!(none.is_none());
    let vowel = vowel(0.1);
    assert_eq!(none.bend_sound(vowel.clone(), RATE), vowel);
    assert!(Change::towards(&OWN, &OWN).is_none());
}

fn any_print() -> impl Strategy<Value = VoicePrint> {
    let number = prop_oneof![prop::num::f32::ANY, 0f32..500.0];
    [number.clone(), number.clone(), number.clone(), number].prop_map(
        |[pitch_hz, range_semitones, tempo, tilt]| VoicePrint {
            pitch_hz,
            range_semitones,
            tempo,
            tilt,
            timbre: None,
        },
    )
}

proptest! {
    #[test]
    fn whatever_was_measured_a_voice_stays_a_voice(like in any_print()) {
        let change = Change::towards(&like, &OWN);
        prop_assert!((PITCH.0..=PITCH.1).contains(&change.pitch));
        prop_assert!((RANGE.0..=RANGE.1).contains(&change.range));
        prop_assert!((TEMPO.0..=TEMPO.1).contains(&change.tempo));
        prop_assert!((TILT.0..=TILT.1).contains(&change.tilt));
        for f0 in [55.0, 150.0, 480.0] {
            prop_assert!((50.0..=900.0).contains(&change.pitch_of(f0)));
        }
        prop_assert_eq!(change.pitch_of(0.0), 0.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn silence_stays_silence(
        pitch in 0.6f32..1.6,
        tempo in 0.75f32..1.35,
        tilt in -6f32..6.0,
        length in 0usize..3000,
    ) {
        let bent = change(pitch, 1.2, tempo, tilt).bend_sound(vec![0.0; length], RATE);
        prop_assert!(bent.iter().all(|sample| *sample == 0.0));
        let wanted = (length as f64 / f64::from(tempo)).round() as usize;
        prop_assert_eq!(bent.len(), wanted);
    }
}

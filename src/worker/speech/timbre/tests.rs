//! With graphs that have the inputs and outputs of the real ones (`tests/data/clone/make.py`).

use std::{fs, path::Path};

use super::*;
use crate::models::download;

const ARCHIVE: &[u8] = include_bytes!("../../../../tests/data/clone/openvoice.zip");

/// The graphs in a folder, with the named one to convert by.
fn files(folder: &Path, converter: &str) -> FetchedClone {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(ARCHIVE)).unwrap();
    archive.extract(folder).unwrap();
    FetchedClone {
        runtime: download::runtime_library(),
        folder: folder.to_owned(),
        extractor: folder.join("tone_color_extract_model.onnx"),
        converter: folder.join(converter),
    }
}

fn converter(graph: &str) -> Converter {
    let folder = tempfile::tempdir().unwrap();
    Converter::open(&files(folder.path(), graph), 1, Stopper::default()).unwrap()
}

/// A hum whose harmonics fall by a factor from one to the next, and which pauses after a second.
fn hum(seconds: f32, rate: u32, fall: f32) -> Vec<f32> {
    let turn = std::f32::consts::TAU * 130.0 / rate as f32;
    (0..(seconds * rate as f32) as usize)
        .map(|at| {
            let quiet = at % (rate as usize * 3 / 2) >= rate as usize;
            let harmonics = (1..50).map(|n| {
                let n = n as f32;
                (at as f32 * turn * n + n * n).sin() * fall.powf(n)
            });
            if quiet {
                0.0
            } else {
                harmonics.sum::<f32>() * 0.2
            }
        })
        .collect()
}

/// The mean frequency of a sound, in bins.
fn centroid(sound: &[f32], rate: u32) -> f32 {
    let sound = resample(sound.to_vec(), rate, RATE).unwrap();
    let spectrogram = Spectrograph::new().of(&sound);
    let (mut weighed, mut all) = (0.0, 0.0);
    for frame in spectrogram.by_frame().chunks(BINS) {
        for (bin, magnitude) in frame.iter().enumerate().take(350) {
            weighed += bin as f32 * magnitude;
            all += magnitude;
        }
    }
    weighed / all
}

#[test]
fn a_sound_takes_on_the_timbre_that_is_asked_for() {
    let mut it = converter("tone_clone_model.onnx");
    let voice = hum(3.0, 24_000, 0.9);
    let dull = it.extractor.timbre_of(&hum(2.0, 16_000, 0.8), 16_000);
    let bright = it.extractor.timbre_of(&hum(2.0, 16_000, 0.97), 16_000);
    let [dull, bright] = [dull, bright].map(|timbre| {
        it.begin();
        let made = it.convert(&voice, 24_000, &timbre.unwrap()).unwrap();
        centroid(&made, 24_000)
    });
    assert!(bright > dull * 1.3, "{dull} {bright}");
}

#[test]
fn nothing_moves_in_time_at_any_rate() {
    let mut it = converter("tone_clone_model.onnx");
    for rate in [16_000, 22_050, 24_000] {
        let second = rate as usize;
        // Longer than a piece; 1 s of sound, half of silence.
        let voice = hum(10.0, rate, 0.9);
        let asker = it.extractor.timbre_of(&voice, rate).unwrap();
        it.begin();
        let made = it.convert(&voice, rate, &asker).unwrap();
        assert_eq!(made.len(), voice.len());
        for pause in 0..6 {
            let begins = pause * second * 3 / 2 + second;
            let margin = rate as usize / 20;
            let silent = loudest(&made[begins + margin..begins + second / 2 - margin]);
            let sounds = loudest(&made[begins - second / 2..begins - margin]);
            assert!(silent < 0.1 * sounds, "{rate}: {silent} {sounds}");
        }
    }
}

#[test]
fn a_timbre_of_the_wrong_size_and_one_of_which_nothing_comes_are_errors() {
    let mut it = converter("silent.onnx");
    let voice = hum(3.0, 24_000, 0.9);
    let short = it.convert(&voice, 24_000, &Timbre(vec![0.0; 3]));
    assert!(matches!(short, Err(TimbreError::Layout(_))));
    let asker = it.extractor.timbre_of(&voice, 24_000).unwrap();
    let error = it.convert(&voice, 24_000, &asker).unwrap_err();
    assert_eq!(error.to_string(), "the network gave silence");
}

#[test]
fn silence_stays_as_it_is() {
    let mut it = converter("tone_clone_model.onnx");
    let silence = vec![0.001; 5000];
    let made = it.convert(&silence, 24_000, &Timbre(vec![1.0; NUMBERS]));
    assert_eq!(made.unwrap(), silence);
}

#[test]
fn a_stop_ends_it_before_the_next_piece_until_a_new_request_begins() {
    let mut it = converter("tone_clone_model.onnx");
    let voice = hum(2.0, 24_000, 0.9);
    let asker = it.extractor.timbre_of(&voice, 24_000).unwrap();
    it.stopper.stop();
    let stopped = it.convert(&voice, 24_000, &asker);
    assert!(matches!(stopped, Err(TimbreError::Stopped)));
    let spectrogram = it.extractor.spectrograph.of(&voice);
    let piece = it.make(&spectrogram, [&asker, &asker]);
    assert!(matches!(piece, Err(TimbreError::Stopped)));
    it.stopper.begin().unwrap();
    assert!(it.convert(&voice, 24_000, &asker).is_ok());
}

#[test]
fn whenever_a_stop_comes_a_network_that_would_never_end_is_ended() {
    let mut it = converter("endless.onnx");
    let voice = hum(2.0, 24_000, 0.9);
    let asker = it.extractor.timbre_of(&voice, 24_000).unwrap();
    // From before the first network runs to long within the last one.
    for wait in (0..25).step_by(3) {
        let stopper = it.stopper.clone();
        stopper.begin().unwrap();
        let converted = std::thread::scope(|scope| {
            let converting = scope.spawn(|| it.convert(&voice, 24_000, &asker));
            for _ in 0..1 << wait {
                std::hint::spin_loop();
            }
            stopper.stop();
            converting.join().unwrap()
        });
        assert!(matches!(converted, Err(TimbreError::Stopped)));
    }
}

#[test]
fn graphs_that_do_something_else_are_refused_by_name_when_they_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), "tone_color_extract_model.onnx");
    let error = Converter::open(&files, 1, Stopper::default())
        .err()
        .unwrap();
    let error = error.to_string();
    assert!(error.contains("tone_color_extract_model.onnx"), "{error}");
    fs::write(&files.extractor, "no graph").unwrap();
    assert!(Extractor::open(&files, 1).is_err());
}

//! A timbre converter from a stand-in hub: fetched, and heard through the speech process.

use std::{collections::BTreeMap, fs, io::Cursor, os::unix::fs::symlink, path::PathBuf};

use clap::Parser;
use futures_util::StreamExt as _;
use parlour::{
    config::{ModelSettings, SeanceSettings},
    generation::{
        launcher::LauncherHandle,
        speech::{
            Heard, Voiced,
            client::SpeechClient,
            launch::{self, SpeechOptions},
        },
    },
    models::{catalogue::Kind, fetch_clone, fetch_ear, fetch_voice},
    wire::speech::{HEARING_RATE, Language, Listen, Speak, Timbre, VoicePrint},
};

use super::{
    exports::{model, weights},
    hubs::FileHub,
};

/// What the catalogue calls the real one.
const NAME: &str = "openvoice-v2";
/// The graphs of `tests/data/clone/make.py`, under the real ones' names.
const STAND_IN: &str = "stand-in";
const GRAPHS: [&str; 2] = ["tone_color_extract_model.onnx", "tone_clone_model.onnx"];
const REPOSITORY: &str = "someone/clone";

/// One clause.
const TEXT: &str = "I was here once.";

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
    #[command(flatten)]
    seance: SeanceSettings,
}

fn graph(name: &str) -> Vec<u8> {
    let archive = include_bytes!("../data/clone/openvoice.zip");
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut content = Vec::new();
    std::io::copy(&mut archive.by_name(name).unwrap(), &mut content).unwrap();
    content
}

/// A hub with the extractor, and with the named graph for a converter.
fn hub(root: &str, converter: &str) -> FileHub {
    let files = [graph(GRAPHS[0]), graph(converter)];
    let files: BTreeMap<String, Vec<u8>> =
        GRAPHS.map(str::to_owned).into_iter().zip(files).collect();
    FileHub::start(root, &files, &[])
}

/// A folder of weights that knows the stand-in by an entry, and has what listens and speaks.
fn house() -> tempfile::TempDir {
    let weights = weights();
    let usual = Settings::parse_from(["test"]).models;
    let ear = fetch_ear("whisper-base", &usual).unwrap();
    for (name, folder) in [
        ("hibari", fetch_voice("hibari", &usual).unwrap().folder),
        ("whisper-base", ear.folder),
        ("silero-vad", ear.vad.parent().unwrap().to_owned()),
    ] {
        symlink(folder, weights.path().join(name)).unwrap();
    }
    let folder = weights.path().join(STAND_IN);
    fs::create_dir(&folder).unwrap();
    let entry = format!(
        r#"
        name = "{STAND_IN}"
        kind = "clone"
        architecture = "openvoice"
        licence = "MIT"
        [[source]]
        kind = "hub_export"
        repository = "{REPOSITORY}"
        revision = "main"
        files = [{{ path = "{}" }}, {{ path = "{}" }}]
        "#,
        GRAPHS[0], GRAPHS[1]
    );
    fs::write(folder.join("model.toml"), entry).unwrap();
    weights
}

/// A speech process with an ear and a voice.
async fn process(
    weights: &tempfile::TempDir,
    hub: &FileHub,
    more: &[&str],
) -> (SpeechClient, LauncherHandle) {
    let folder = weights.path().to_str().unwrap();
    let arguments = ["test", "--models", folder, "--hub", &hub.address];
    let settings = Settings::parse_from(arguments.iter().chain(more));
    let mut options = SpeechOptions::new(settings.models, settings.seance.engines_in_use());
    options.program = Some(PathBuf::from(env!("CARGO_BIN_EXE_parlour")));
    let (client, handle) = launch::start(options).expect("it can start");
    let mut ready = client.ready();
    ready.wait_for(|ready| *ready).await.expect("it comes");
    (client, handle)
}

async fn said(client: &SpeechClient, text: &str, like: Option<&VoicePrint>) -> Vec<Voiced> {
    let request = Speak {
        text: text.into(),
        language: Language("en".into()),
        voice: None,
        like: like.cloned(),
    };
    let said: Vec<_> = client.speak(request).expect("asked").collect().await;
    said.into_iter().map(|voiced| voiced.unwrap()).collect()
}

/// What the ear tells of how somebody speaks.
async fn print_of(client: &SpeechClient, sound: &[i16]) -> VoicePrint {
    let request = Listen {
        languages: vec![Language("en".into())],
        partials: false,
    };
    let (mut microphone, mut listening) = client.listen(request).expect("it listens");
    microphone.push(sound);
    microphone.end();
    match listening.next().await {
        Some(Ok(Heard::Transcript(transcript))) => {
            assert!(transcript.text.contains("light"), "{transcript:?}");
            transcript.print.expect("it is voiced")
        }
        other => panic!("{other:?}"),
    }
}

/// A question of a voice of 24,000 samples a second, as the ear takes it.
fn question(said: &[Voiced]) -> Vec<f32> {
    let sound: Vec<f32> = said
        .iter()
        .flat_map(|voiced| &voiced.sound)
        .map(|sample| f32::from(*sample))
        .collect();
    let step = 24_000.0 / HEARING_RATE as f32;
    (0..(sound.len() as f32 / step) as usize - 1)
        .map(|at| {
            let place = at as f32 * step;
            let (before, share) = (place as usize, place.fract());
            sound[before] * (1.0 - share) + sound[before + 1] * share
        })
        .collect()
}

/// The same by somebody whose voice is darker (below 1) or brighter, as loud as before.
fn by(sound: &[f32], neighbour: f32) -> Vec<i16> {
    let filtered: Vec<f32> = sound
        .windows(2)
        .map(|pair| pair[1] + neighbour * pair[0])
        .collect();
    let power = |sound: &[f32]| sound.iter().map(|it| it * it).sum::<f32>();
    let gain = (power(sound) / power(&filtered)).sqrt() * 0.5;
    filtered.iter().map(|it| (it * gain) as i16).collect()
}

/// How bright a sound is: the power of its changes in that of itself.
fn brightness(said: &[Voiced]) -> f64 {
    let sound: Vec<f64> = said
        .iter()
        .flat_map(|voiced| &voiced.sound)
        .map(|sample| f64::from(*sample))
        .collect();
    let changes: f64 = sound
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).powi(2))
        .sum();
    changes / sound.iter().map(|it| it * it).sum::<f64>()
}

/// Words and their times, and how many samples each clause has.
fn times(said: &[Voiced]) -> Vec<parlour::wire::speech::Clause> {
    said.iter().map(|voiced| voiced.clause.clone()).collect()
}

/// What was said, without the word that it could not be like the asker.
fn told_alike(mut said: Vec<Voiced>) -> Vec<Voiced> {
    for voiced in &mut said {
        voiced.clause.unlike = false;
    }
    said
}

/// How much of a sound another one is not, 0 to 1 and more. The voice's own breath is never the
/// same twice.
fn difference(one: &[Voiced], other: &[Voiced]) -> f64 {
    assert_eq!(times(one), times(other));
    let pairs = one.iter().zip(other);
    let samples = pairs.flat_map(|(one, other)| one.sound.iter().zip(&other.sound));
    let (mut apart, mut all) = (0.0, 0.0);
    for (one, other) in samples {
        apart += (f64::from(*one) - f64::from(*other)).powi(2);
        all += f64::from(*other).powi(2);
    }
    (apart / all).sqrt()
}

#[tokio::test]
async fn the_speech_process_lends_the_voice_the_timbre_of_whoever_asked() {
    let root = format!("/{REPOSITORY}/resolve/main");
    let hub = hub(&root, GRAPHS[1]);
    let weights = house();
    let (client, handle) = process(&weights, &hub, &["--clone", STAND_IN]).await;
    assert!(client.abilities().clones);
    assert_eq!(hub.asked().len(), 2);

    // Two people, who differ in nothing but their timbre, ask.
    let asked = said(&client, "Who put out the light in the window?", None).await;
    let asked = question(&asked);
    let dark = print_of(&client, &by(&asked, 0.95)).await;
    let bright = print_of(&client, &by(&asked, -0.95)).await;
    let plain = VoicePrint {
        timbre: None,
        ..dark.clone()
    };
    let with = |print: &VoicePrint| VoicePrint {
        timbre: print.timbre.clone(),
        ..plain.clone()
    };
    let own = said(&client, TEXT, Some(&plain)).await;
    let again = said(&client, TEXT, Some(&plain)).await;
    assert!(difference(&again, &own) < 0.3);
    let to_dark = said(&client, TEXT, Some(&with(&dark))).await;
    let to_bright = said(&client, TEXT, Some(&with(&bright))).await;
    for lent in [&to_dark, &to_bright] {
        let difference = difference(lent, &own);
        assert!(difference > 0.8, "{difference}");
        for voiced in lent {
            assert_eq!(voiced.sound.len(), voiced.clause.samples as usize);
        }
    }
    let (dark_is, bright_is) = (brightness(&to_dark), brightness(&to_bright));
    assert!(bright_is > 1.5 * dark_is, "{dark_is} {bright_is}");

    // One text of several clauses, of which the reader loses interest in the middle: the next
    // one is said all the same.
    let request = Speak {
        text: "I was here. I am here. I will be here, whoever asks for me.".into(),
        language: Language("en".into()),
        voice: None,
        like: Some(with(&dark)),
    };
    let mut left = client.speak(request).expect("asked");
    assert!(left.next().await.is_some());
    drop(left);
    let again = said(&client, TEXT, Some(&with(&dark))).await;
    assert!(difference(&again, &to_dark) < 0.3);

    // A timbre that is none is told, and the voice keeps its own.
    let odd = VoicePrint {
        timbre: Some(Timbre(vec![0.5; 7])),
        ..plain.clone()
    };
    let kept = said(&client, TEXT, Some(&odd)).await;
    assert!(kept.iter().all(|voiced| voiced.clause.unlike));
    assert!(difference(&told_alike(kept), &own) < 0.3);
    drop((client, handle));

    // Whoever wants the voice to stay its own has nobody's timbre told, nor taken on.
    let arguments = ["--clone", STAND_IN, "--own-voice"];
    let (client, _handle) = process(&weights, &hub, &arguments).await;
    assert!(!client.abilities().clones);
    let print = print_of(&client, &by(&asked, 0.95)).await;
    assert_eq!(print, plain);
    let own_again = said(&client, TEXT, Some(&with(&dark))).await;
    assert!(difference(&own_again, &own) < 0.3);
}

#[tokio::test]
async fn a_converter_that_makes_nothing_leaves_the_voice_as_it_is_and_says_so() {
    let root = format!("/{REPOSITORY}/resolve/main");
    let hub = hub(&root, "silent.onnx");
    let weights = house();
    let arguments = ["--clone", STAND_IN, "--ear", "deterministic"];
    let (client, _handle) = process(&weights, &hub, &arguments).await;
    let plain = VoicePrint {
        pitch_hz: 140.0,
        range_semitones: 6.0,
        tempo: 3.0,
        tilt: -8.0,
        timbre: None,
    };
    let asker = VoicePrint {
        timbre: Some(Timbre(vec![1.0 / 256.0; 256])),
        ..plain.clone()
    };
    let own = said(&client, TEXT, Some(&plain)).await;
    let kept = said(&client, TEXT, Some(&asker)).await;
    assert!(own.iter().all(|voiced| !voiced.clause.unlike));
    assert!(kept.iter().all(|voiced| voiced.clause.unlike));
    assert!(difference(&told_alike(kept), &own) < 0.3);
}

#[test]
fn a_clone_is_pulled_by_its_name_and_the_catalogue_takes_no_other_weights_for_its_own() {
    let weights = house();
    let stranger = FileHub::of(Kind::Clone, NAME, graph);
    let (done, said) = model(weights.path(), &stranger.address, &["pull", NAME]);
    assert!(!done && said.contains("SHA-256"), "{said}");

    let hub = hub(&format!("/{REPOSITORY}/resolve/main"), GRAPHS[1]);
    let (done, said) = model(weights.path(), &hub.address, &["pull", STAND_IN]);
    assert!(done && said.contains(STAND_IN), "{said}");
    let (done, said) = model(weights.path(), &hub.address, &["list"]);
    let row = said
        .lines()
        .find(|line| line.starts_with(STAND_IN))
        .unwrap();
    assert!(done && row.ends_with(&format!("/{STAND_IN}")), "{row}");
    // All is here: nothing is asked for again.
    hub.asked();
    let folder = weights.path().to_str().unwrap();
    let arguments = ["test", "--models", folder, "--hub", &hub.address];
    fetch_clone(STAND_IN, &Settings::parse_from(arguments).models).unwrap();
    assert!(hub.asked().is_empty());
}

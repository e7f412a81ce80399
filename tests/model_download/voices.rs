//! A Piper voice from a stand-in hub: fetched, and heard to speak.

use std::{fs, path::PathBuf, process::Command};

use clap::Parser;
use parlour::{
    config::ModelSettings,
    models::{catalogue::Kind, fetch_voice},
};
use serde_json::{Value, json};

use super::{exports::weights, hubs::FileHub};

const NAME: &str = "piper-thorsten";

/// The voice that is spoken with here, which a package ships.
const STAND_IN: &str = "piper-joe";

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
}

/// The stand-in's files under the names that the German voice has, with its language.
fn hub() -> FileHub {
    let settings = Settings::parse_from(["test", "--accept-licence", "Blizzard-2013"]).models;
    let stand_in = fetch_voice(STAND_IN, &settings).unwrap();
    FileHub::of(Kind::Voice, NAME, |path| {
        if path.ends_with(".json") {
            let path = stand_in.folder.join("en_US-joe-medium.onnx.json");
            let mut voice: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            voice["espeak"] = json!({ "voice": "de" });
            serde_json::to_vec(&voice).unwrap()
        } else {
            fs::read(stand_in.folder.join("en_US-joe-medium.onnx")).unwrap()
        }
    })
}

#[test]
fn a_voice_of_the_hub_is_fetched_and_speaks() {
    let hub = hub();
    let weights = weights();
    let sound = weights.path().join("said.wav");
    let mut say = Command::new(env!("CARGO_BIN_EXE_parlour"));
    say.args(["voice", "--voices", NAME, "--hub", &hub.address, "--models"])
        .arg(weights.path())
        .args(["say", "Ich war hier.", "--language", "de", "--out"])
        .arg(&sound);
    if let Some(espeak) = std::env::var_os("PARLOUR_ESPEAK").map(PathBuf::from) {
        say.env("PARLOUR_ESPEAK", espeak);
    }
    let output = say.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut sound = hound::WavReader::open(sound).unwrap();
    assert_eq!(sound.spec().sample_rate, 22_050);
    let loud = sound
        .samples::<i16>()
        .filter(|s| s.as_ref().unwrap().unsigned_abs() > 1_000);
    assert!(loud.count() > 2_000);
    assert_eq!(hub.asked().len(), 2);
}

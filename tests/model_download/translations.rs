//! A translation model from a stand-in hub: fetched, and spoken through by the speech process.

use std::{fs, path::PathBuf};

use clap::Parser;
use parlour::{
    config::{ModelSettings, SpeechSettings},
    generation::speech::{
        SpeechError,
        launch::{self, SpeechOptions},
    },
    models::{catalogue::Kind, fetch_translation},
    wire::speech::{Language, SpeechRefusal, Translate},
};

use super::{
    exports::{model, weights},
    hubs::FileHub,
};

const NAME: &str = "opus-mt-de-en";

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
    #[command(flatten)]
    speech: SpeechSettings,
}

/// The tiny model as the catalogue's repository of it would have it.
fn hub() -> FileHub {
    let archive =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/translation/marian.zip");
    let mut archive = zip::ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    archive.extract(folder.path()).unwrap();
    FileHub::of(Kind::Translation, NAME, |path| {
        fs::read(folder.path().join(path)).unwrap()
    })
}

fn german(text: &str) -> Translate {
    Translate {
        text: text.into(),
        from: Language("de".into()),
        to: Language("en".into()),
    }
}

#[tokio::test]
async fn the_speech_process_fetches_a_pair_tells_it_and_translates() {
    let hub = hub();
    let weights = weights();
    let folder = weights.path().to_str().unwrap();
    let settings = Settings::parse_from([
        "test",
        "--models",
        folder,
        "--hub",
        &hub.address,
        "--ear",
        "deterministic",
        "--voices",
        "deterministic",
        "--translations",
        "de-en",
    ]);
    let mut options = SpeechOptions::new(settings.models.clone(), settings.speech);
    options.program = Some(PathBuf::from(env!("CARGO_BIN_EXE_parlour")));
    let (client, _handle) = launch::start(options).expect("it can start");
    let mut ready = client.ready();
    ready.wait_for(|ready| *ready).await.expect("it comes");
    let pair = (Language("de".into()), Language("en".into()));
    assert_eq!(client.abilities().translates, [pair]);
    let said = client
        .translate(german("Wer war hier? [sighs] Hörst du mich?"))
        .await;
    assert_eq!(said, Ok("Who was here? [sighs] Do you hear me?".into()));
    let back = Translate {
        text: "Who was here?".into(),
        from: Language("en".into()),
        to: Language("de".into()),
    };
    let refusal = SpeechRefusal::NoTranslation {
        from: "en".into(),
        to: "de".into(),
    };
    assert_eq!(
        client.translate(back).await,
        Err(SpeechError::Refused(refusal))
    );
    // All is here: nothing is asked for again.
    hub.asked();
    fetch_translation("de-en", &settings.models).unwrap();
    assert!(hub.asked().is_empty());
}

#[test]
fn a_translation_is_pulled_and_tried_by_hand() {
    let hub = hub();
    let weights = weights();
    let (done, said) = model(weights.path(), &hub.address, &["pull", NAME]);
    assert!(done && said.contains(NAME), "{said}");
    let (done, said) = model(weights.path(), &hub.address, &["list"]);
    let row = said.lines().find(|line| line.starts_with(NAME)).unwrap();
    assert!(done && row.ends_with(&format!("/{NAME}")), "{row}");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["voice", "--translations", "de-en", "--offline", "--models"])
        .arg(weights.path())
        .args(["translate", "Bist du tot?", "--from", "de", "--to", "en"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "Are you dead?"
    );
}

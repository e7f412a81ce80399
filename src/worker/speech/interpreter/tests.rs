//! Against torch: `tests/data/translation/marian.zip` is a tiny Marian model that knows a dozen
//! German sentences; `make.py` beside it made it, and says how.

use std::{
    cell::Cell,
    fs::File,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tempfile::TempDir;

use super::*;
use crate::{
    models::{
        catalogue::{Catalogue, Kind},
        download,
    },
    worker::onnx_hub::decoder::{DecoderGraphs, EncoderGraph},
};

#[derive(Deserialize)]
struct Reference {
    texts: Vec<Told>,
    /// After the start token, and after the first text's first token.
    logits: Vec<Vec<f32>>,
}

/// What transformers and torch make of a text.
#[derive(Deserialize)]
struct Told {
    text: String,
    read: Vec<u32>,
    written: Vec<u32>,
    said: String,
}

fn unpacked() -> (TempDir, Reference) {
    let folder = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/translation/marian.zip");
    let mut archive = zip::ZipArchive::new(File::open(archive).unwrap()).unwrap();
    archive.extract(folder.path()).unwrap();
    let reference = File::open(folder.path().join("reference.json")).unwrap();
    (folder, serde_json::from_reader(reference).unwrap())
}

fn fetched(folder: &Path) -> FetchedTranslation {
    let catalogue = Catalogue::builtin();
    let runtime = download::runtime_library();
    let entry = catalogue.of_kind(Kind::Translation, "opus-mt-de-en");
    FetchedTranslation::open(entry.unwrap(), folder, runtime).unwrap()
}

fn interpreters() -> (Interpreters, Reference) {
    let (folder, reference) = unpacked();
    let opened = Interpreters::open([fetched(folder.path())], 1).unwrap();
    (opened, reference)
}

fn german(text: &str) -> Translate {
    Translate {
        text: text.into(),
        from: Language("de".into()),
        to: Language("en".into()),
    }
}

#[test]
fn texts_are_cut_and_joined_as_marian_does_it() {
    let (folder, reference) = unpacked();
    let files = fetched(folder.path());
    for told in &reference.texts {
        assert_eq!(
            files.pieces.cut(&told.text).unwrap(),
            told.read,
            "{}",
            told.text
        );
        assert_eq!(files.pieces.join(&told.written), told.said);
    }
    let pad = u32::try_from(files.pieces.tokens() - 1).unwrap();
    assert_eq!(files.banned, [vec![pad]]);
    assert_eq!(files.export.config.decoder_start, Some(pad));
}

#[test]
fn the_graphs_compute_what_torch_does() {
    let (folder, reference) = unpacked();
    let FetchedTranslation {
        runtime, export, ..
    } = fetched(folder.path());
    let library: PathBuf = runtime.path;
    let told = &reference.texts[0];
    let mut encoder = EncoderGraph::load(&library, &export.encoder.unwrap(), 1).unwrap();
    let count = reference.logits[0].len();
    let mut decoder = DecoderGraphs::load(&library, &export.decoder, count, 1).unwrap();
    let end = export.config.ends[0];
    let read: Vec<u32> = told.read.iter().copied().chain([end]).collect();
    let encoded = encoder.encode(&read).unwrap();
    let fed = [export.config.decoder_start.unwrap(), told.written[0]];
    let mut cache = None;
    for (token, wanted) in fed.iter().zip(&reference.logits) {
        let logits = decoder
            .feed(&mut cache, Some(&encoded), &[*token], 1)
            .unwrap();
        assert_eq!(logits.len(), wanted.len());
        for (found, wanted) in logits.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-3, "{found} instead of {wanted}");
        }
    }
}

#[test]
fn every_text_is_translated_as_torch_does_it() {
    let (mut interpreters, reference) = interpreters();
    let pair = (Language("de".into()), Language("en".into()));
    assert_eq!(interpreters.pairs(), [pair]);
    for told in &reference.texts {
        let said = interpreters.translate(&german(&told.text), &|| false);
        assert_eq!(said, Ok(told.said.clone()), "{}", told.text);
    }
}

#[test]
fn a_long_text_is_translated_sentence_by_sentence_and_its_sounds_stay() {
    let (mut interpreters, _) = interpreters();
    let text = "Wer bist du? [sighs] Ich bin hier. Es ist kalt. [laughter] Hörst du mich?";
    let said = interpreters.translate(&german(text), &|| false);
    let wanted = "Who are you? [sighs] I am here. It is cold. [laughter] Do you hear me?";
    assert_eq!(said, Ok(wanted.into()));
    let sounds = interpreters.translate(&german("[sighs] …"), &|| false);
    assert_eq!(sounds, Ok("[sighs] …".into()));
    assert_eq!(
        interpreters.translate(&german(" "), &|| false),
        Ok(String::new())
    );
}

#[test]
fn a_sentence_that_is_longer_than_the_model_sees_goes_in_portions() {
    let (mut interpreters, _) = interpreters();
    let (folder, _) = unpacked();
    let text = "Ich bin hier ".repeat(20);
    let files = fetched(folder.path());
    let context = files.export.config.context.unwrap();
    assert!(files.pieces.cut(&text).unwrap().len() > 2 * context);
    let said = interpreters.translate(&german(&text), &|| false).unwrap();
    assert!(!said.is_empty());
}

#[test]
fn a_translation_that_nobody_wants_any_more_stops_at_the_next_token() {
    let (mut interpreters, _) = interpreters();
    let text = "Es ist spät, und ich bin müde. Wer war hier?";
    let count = Cell::new(0);
    let asked = &count;
    let after = |steps: u32| {
        asked.set(0);
        move || {
            asked.set(asked.get() + 1);
            asked.get() > steps
        }
    };
    interpreters.translate(&german(text), &after(1000)).unwrap();
    let whole = asked.get();
    for steps in [0, 1, 5, whole - 1] {
        let said = interpreters.translate(&german(text), &after(steps));
        assert!(matches!(said, Err(SpeechError::Failed(_))), "{said:?}");
        assert_eq!(asked.get(), steps + 1);
    }
}

#[test]
fn a_model_that_finds_no_end_is_stopped() {
    let (folder, reference) = unpacked();
    let mut files = fetched(folder.path());
    let ends = files.export.config.ends.clone();
    files.banned.push(ends);
    let mut interpreters = Interpreters::open([files], 1).unwrap();
    for told in &reference.texts {
        let steps = Cell::new(0);
        let count = || {
            steps.set(steps.get() + 1);
            false
        };
        let said = interpreters.translate(&german(&told.text), &count).unwrap();
        assert!(!said.is_empty());
        assert!(steps.get() <= 64, "{} steps", steps.get());
    }
}

#[test]
fn pairs_that_no_model_is_for_are_refused() {
    let (mut interpreters, _) = interpreters();
    let back = Translate {
        text: "Who are you?".into(),
        from: Language("en".into()),
        to: Language("de".into()),
    };
    let refusal = SpeechRefusal::NoTranslation {
        from: "en".into(),
        to: "de".into(),
    };
    assert_eq!(
        interpreters.translate(&back, &|| false),
        Err(refusal.into())
    );
    let mut nothing = Interpreters::open([], 1).unwrap();
    assert!(nothing.pairs().is_empty());
    assert!(nothing.translate(&back, &|| false).is_err());
}

#[test]
fn a_model_whose_vocabulary_is_too_small_for_its_pieces_is_refused() {
    let (folder, _) = unpacked();
    let vocabulary = folder.path().join("vocab.json");
    let more = std::fs::read_to_string(&vocabulary).unwrap();
    let more = more.replacen('{', "{\"more\": 4000, ", 1);
    std::fs::write(&vocabulary, more).unwrap();
    let opened = Interpreters::open([fetched(folder.path())], 1);
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("4001"), "{error}");
}

//! The voices of the catalogue, with their real weights.

mod asker;
mod heard_back;
mod texts;
mod voices;

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use clap::Parser;
use parlour::{
    config::ModelSettings,
    models,
    wire::speech::{Clause, Language, Speak},
    worker::speech::mouth::{Mouth, MouthError, MouthSettings, VoiceFiles},
};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    models: ModelSettings,
}

/// Tests may listen to what nobody may sell.
fn settings() -> ModelSettings {
    Arguments::parse_from(["speaking", "--accept-licence", "Blizzard-2013"]).models
}

/// A mouth with voices of the catalogue, and espeak-ng for Russian where it speaks.
fn open(voices: &[&str], languages: &[&str]) -> Result<Mouth, MouthError> {
    let settings = settings();
    let mut files = Vec::new();
    let mut library = PathBuf::new();
    for name in voices {
        let voice = models::fetch_voice(name, &settings).expect("the voice can be downloaded");
        files.extend(VoiceFiles::of(&voice)?);
        library = voice.runtime.path;
    }
    let settings = MouthSettings {
        library,
        threads: 1,
        espeak: std::env::var_os("PARLOUR_ESPEAK").map(PathBuf::from),
        languages: languages.iter().map(|it| Language((*it).into())).collect(),
    };
    Mouth::open(&files, &settings)
}

/// hibari, opened once: all laws that need just a voice need this one.
fn hibari() -> MutexGuard<'static, Mouth> {
    static MOUTH: OnceLock<Mutex<Mouth>> = OnceLock::new();
    MOUTH
        .get_or_init(|| Mutex::new(open(&["hibari"], &[]).expect("it opens")))
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

fn request(text: &str, language: &str) -> Speak {
    Speak {
        text: text.into(),
        language: Language(language.into()),
        voice: None,
        like: None,
    }
}

/// All clauses of a text.
fn spoken(mouth: &mut Mouth, request: &Speak) -> Vec<(Clause, Vec<i16>)> {
    let mut clauses = Vec::new();
    mouth
        .speak(request, &mut |clause, sound| {
            clauses.push((clause, sound));
            ControlFlow::Continue(())
        })
        .expect("the voice speaks");
    clauses
}

/// Its sound without a gap.
fn sound(mouth: &mut Mouth, request: &Speak) -> Vec<i16> {
    let clauses = spoken(mouth, request);
    clauses.into_iter().flat_map(|(_, sound)| sound).collect()
}

/// What must hold of whatever a voice says.
fn check(text: &str, clauses: &[(Clause, Vec<i16>)]) {
    let mut words = Vec::new();
    for (clause, sound) in clauses {
        assert_eq!(clause.samples as usize, sound.len());
        let mut at = 0;
        for word in &clause.words {
            assert_eq!(word.from, at, "{text}: {word:?}");
            assert!(word.to >= word.from);
            at = word.to;
            words.push(word.text.clone());
        }
        assert_eq!(at, clause.samples, "{text}");
    }
    let without = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(without(&words.concat()), without(text));
}

/// Root mean square of 20 ms, where it is loudest.
fn loudest(sound: &[i16], rate: usize) -> f64 {
    let level = |part: &[i16]| {
        let power: f64 = part.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        (power / part.len() as f64).sqrt()
    };
    sound.chunks(rate / 50).map(level).fold(0.0, f64::max)
}

#[test]
fn every_word_is_told_where_it_is_in_the_sound() {
    let text = "Dr. Smith paid $9.99 on March 3rd, 1905. [sighs] Why? It was cold, and I was \
                alone in the house of my mother.";
    let clauses = spoken(&mut hibari(), &request(text, "en"));
    check(text, &clauses);
    assert!(clauses.len() >= 4, "{}", clauses.len());
    for (clause, _) in &clauses {
        for word in &clause.words {
            let seconds = (word.to - word.from) as f32 / 24_000.0;
            let spoken = word.text.contains(char::is_alphanumeric);
            assert!(!spoken || (0.03..3.0).contains(&seconds), "{word:?}");
        }
    }
}

#[test]
fn words_no_lexicon_has_are_spoken_too() {
    let mut mouth = hibari();
    let short = sound(&mut mouth, &request("I saw it.", "en")).len();
    let long = sound(&mut mouth, &request("I saw Xanthorpheliumgrad it.", "en")).len();
    assert!(long > short + 24_000 / 2, "{short} {long}");
}

#[test]
fn a_stage_direction_is_a_sound_and_never_words() {
    let mut mouth = hibari();
    let clauses = spoken(&mut mouth, &request("[clears throat slowly] Yes.", "en"));
    let words: Vec<&str> = clauses[0]
        .0
        .words
        .iter()
        .map(|word| word.text.as_str())
        .collect();
    assert_eq!(words, ["[clears throat slowly]", "Yes."]);
    // The cough is noise of its own and lasts as long whatever stands in the brackets.
    let other = spoken(&mut mouth, &request("[coughs] Yes.", "en"));
    assert_eq!(clauses[0].0.words[0].to, other[0].0.words[0].to);
    let pause = sound(&mut mouth, &request("[static]", "en"));
    assert!(pause.iter().all(|sample| *sample == 0) && !pause.is_empty());
}

#[test]
fn who_has_heard_enough_is_not_spoken_to_any_more() {
    let mut clauses = 0;
    let text = "This is one sentence. This is another one. And a third one.";
    hibari()
        .speak(&request(text, "en"), &mut |_, _| {
            clauses += 1;
            ControlFlow::Break(())
        })
        .expect("it speaks");
    assert_eq!(clauses, 1);
}

#[test]
fn the_same_text_sounds_every_time_and_empty_ones_are_silent() {
    let mut mouth = hibari();
    for text in ["", "  \n ", "…", "?!", "👻", "*", "[", "]", "()"] {
        let request = request(text, "en");
        check(text, &spoken(&mut mouth, &request));
    }
    let yes = sound(&mut mouth, &request("Yes.", "en"));
    assert!(loudest(&yes, 24_000) > 500.0);
}

#[test]
fn a_voice_that_is_not_there_is_told() {
    let mut mouth = hibari();
    let mut none = |_, _| ControlFlow::Continue(());
    let error = mouth
        .speak(&request("Привет", "ru"), &mut none)
        .unwrap_err();
    assert!(matches!(error, MouthError::NoVoice(language) if language == "ru"));
    let named = Speak {
        voice: Some("nobody".into()),
        ..request("Hello.", "en")
    };
    let error = mouth.speak(&named, &mut none).unwrap_err();
    assert!(matches!(error, MouthError::UnknownVoice(voice) if voice == "nobody"));
}

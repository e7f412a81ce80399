//! Languages that the model does not speak: answered through a translation where one is
//! installed, else in the model's own.

use parlour::play::seance::{Event, Tongue};

use super::support::seance::{Guest, house};

/// The toy that listens takes this for German.
const QUESTION: &str = "Wer bist du, und wohin führt der Weg?";

/// The lines that were said: text, language, inner text, tongue.
fn said(guest: &Guest) -> Vec<(String, String, Option<String>, Tongue)> {
    let said = guest.events.iter().filter_map(|event| match event {
        Event::Said {
            text,
            language,
            inner,
            tongue,
            ..
        } => Some((text.clone(), language.clone(), inner.clone(), *tongue)),
        _ => None,
    });
    said.collect()
}

/// What was asked: its language and its inner text.
fn asked(guest: &Guest) -> Option<(String, Option<String>)> {
    guest.events.iter().find_map(|event| match event {
        Event::Asked {
            language, inner, ..
        } => Some((language.clone(), inner.clone())),
        _ => None,
    })
}

async fn ask_aloud(guest: &mut Guest) {
    guest.until(|guest| guest.listens).await;
    let utterance = guest.press().await.expect("it listens");
    guest.speak(utterance, QUESTION).await;
    guest.release(utterance).await.expect("it was listened to");
    guest.until(|guest| guest.whole().is_some()).await;
}

#[actix_web::test]
async fn a_german_question_is_answered_in_german_through_the_models_english() {
    let house = house(&[("PARLOUR_TRANSLATIONS", "deterministic")]);
    let mut guest = Guest::enter(&house, None, true).await;
    ask_aloud(&mut guest).await;
    // The toy that translates says into which language it did.
    let inner = format!("{QUESTION} in en");
    assert_eq!(asked(&guest), Some(("de".into(), Some(inner))));
    let (line, voiced) = guest.whole().expect("a line");
    guest
        .heard(line, u32::try_from(voiced.words.len()).expect("few"))
        .await;
    // The answer, and what goes on from it.
    guest.until(|guest| said(guest).len() > 1).await;
    for (text, language, inner, tongue) in said(&guest) {
        assert_eq!((language.as_str(), tongue), ("de", Tongue::Translated));
        let inner = inner.expect("what the model wrote is kept");
        assert_eq!(text, format!("{inner} in de"));
    }
    let said = guest.said();
    let (.., text) = said.iter().find(|said| said.0 == line).expect("in the log");
    assert_eq!(
        voiced.words.join(" "),
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    assert!(voiced.samples.iter().any(|sample| *sample != 0));
}

#[actix_web::test]
async fn without_a_translation_a_german_question_is_answered_in_english_and_it_is_said_why() {
    let house = house(&[]);
    let mut guest = Guest::enter(&house, None, true).await;
    ask_aloud(&mut guest).await;
    assert_eq!(asked(&guest), Some(("de".into(), None)));
    for (_, language, inner, tongue) in said(&guest) {
        assert_eq!((language.as_str(), tongue), ("en", Tongue::NotSpoken));
        assert_eq!(inner, None);
    }
}

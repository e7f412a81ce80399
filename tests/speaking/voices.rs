//! Voices other than the default one.

use super::{check, loudest, open, request, sound, spoken};

#[test]
fn piper_speaks_with_espeak_ng_s_phonemes() {
    let mut mouth = open(&["piper-joe"], &[]).expect("it opens");
    let text = "I was here, in 1984. Now I am gone!";
    let clauses = spoken(&mut mouth, &request(text, "en"));
    check(text, &clauses);
    assert_eq!(mouth.voices()[0].rate, 22_050);
    for (clause, sound) in &clauses {
        assert!(loudest(sound, 22_050) > 500.0);
        assert!(clause.samples > 22_050 / 2);
    }
}

#[test]
fn pico_speaks_german_of_its_own_and_each_text_afresh() {
    let mut mouth = open(&["pico"], &[]).expect("it opens");
    assert_eq!(mouth.voices()[0].name, "pico-de");
    assert_eq!(mouth.voices()[0].rate, 16_000);
    let text = "Ich war hier, am 3. Mai. <b>Jetzt</b> bin ich fort – für immer!";
    let clauses = spoken(&mut mouth, &request(text, "de"));
    check(text, &clauses);
    for (clause, sound) in &clauses {
        assert!(loudest(sound, 16_000) > 500.0);
        assert!(clause.samples > 16_000 / 2);
    }
    let once = sound(&mut mouth, &request(text, "de"));
    let again = sound(&mut mouth, &request(text, "de"));
    assert_eq!(once, again);
    for text in [
        "",
        "…",
        "?!",
        "👻",
        "Привет",
        "<speed level=\"20\">",
        "x".repeat(4000).as_str(),
    ] {
        check(text, &spoken(&mut mouth, &request(text, "de")));
    }
}

#[test]
fn pico_is_stopped_like_any_voice() {
    let mut mouth = open(&["pico"], &[]).expect("it opens");
    let stopper = mouth.stopper();
    let mut clauses = 0;
    let ended = mouth.speak(
        &request("Ich bin da. Wer ist dort? Komm herein.", "de"),
        &mut |_, _| {
            clauses += 1;
            stopper.stop();
            std::ops::ControlFlow::Continue(())
        },
    );
    assert!(ended.is_err());
    assert_eq!(clauses, 1);
    assert!(!sound(&mut mouth, &request("Ich bin da.", "de")).is_empty());
}

#[test]
fn espeak_ng_speaks_what_nobody_else_does() {
    let mut mouth = open(&["hibari"], &["en", "ru", "fi"]).expect("it opens");
    let names: Vec<String> = mouth.voices().into_iter().map(|voice| voice.name).collect();
    assert_eq!(names, ["hibari", "espeak-ru", "espeak-fi"]);
    for (text, language) in [
        ("Я здесь, в доме. Кто там?", "ru"),
        ("Minä olen täällä.", "fi"),
    ] {
        let clauses = spoken(&mut mouth, &request(text, language));
        check(text, &clauses);
        let sound: Vec<i16> = clauses.into_iter().flat_map(|(_, sound)| sound).collect();
        assert!(loudest(&sound, 22_050) > 500.0, "{text}");
    }
}

#[test]
fn a_stop_ends_a_request_and_not_the_next_one() {
    let mut mouth = open(&["hibari"], &["ru"]).expect("it opens");
    let stopper = mouth.stopper();
    let mut clauses = 0;
    let ended = mouth.speak(
        &request("Я здесь. Кто там? Войди.", "ru"),
        &mut |_, _| {
            clauses += 1;
            stopper.stop();
            std::ops::ControlFlow::Continue(())
        },
    );
    assert!(ended.is_err());
    assert_eq!(clauses, 1);
    assert!(!sound(&mut mouth, &request("Я здесь.", "ru")).is_empty());
}

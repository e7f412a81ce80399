//! Which language the spirit answers in, and why.

use crate::play::seance::Tongue;

/// What is installed. Languages are ISO 639-1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Means<'a> {
    /// What the model speaks well, by the catalogue, the best first.
    pub model: &'a [String],
    /// What there are prompts for.
    pub prompts: &'a [&'a str],
    /// What there are voices for; none at all where the spirit is only read.
    pub voices: &'a [String],
    /// From, to.
    pub translations: &'a [(String, String)],
}

/// How a question is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answering {
    /// What the model thinks in: the language of prompt and memory.
    pub thinks: String,
    /// What is said.
    pub speaks: String,
    /// Whether the question can be brought into the model's language first.
    pub translate_question: bool,
    pub tongue: Tongue,
}

/// How a question in `asked` is answered: in that language if the model speaks it, else
/// through translations there and back, else in the model's own. Only languages that have a
/// prompt are thought in, and only those that have a voice are spoken, unless there is no
/// voice at all. None when the model speaks nothing that there is a prompt for.
pub fn answering(asked: &str, means: Means<'_>) -> Option<Answering> {
    let has_voice = |language: &str| {
        means.voices.is_empty() || means.voices.iter().any(|voice| voice == language)
    };
    let thinks = |language: &str| {
        means.prompts.contains(&language) && means.model.iter().any(|model| model == language)
    };
    let translates = |from: &str, to: &str| {
        means
            .translations
            .iter()
            .any(|(one, other)| one == from && other == to)
    };
    let answer = |thinks: &str, speaks: &str, tongue| Answering {
        translate_question: thinks != asked && translates(asked, thinks),
        thinks: thinks.to_owned(),
        speaks: speaks.to_owned(),
        tongue,
    };
    if thinks(asked) && has_voice(asked) {
        return Some(answer(asked, asked, Tongue::Own));
    }
    let known = means.model.iter().filter(|language| thinks(language));
    if has_voice(asked) {
        let mut both = known
            .clone()
            .filter(|own| translates(asked, own) && translates(own, asked));
        if let Some(own) = both.next() {
            return Some(answer(own, asked, Tongue::Translated));
        }
    }
    let tongue = if thinks(asked) {
        Tongue::NoVoice
    } else {
        Tongue::NotSpoken
    };
    // The model's own language, rather one that has a voice.
    let own = known
        .clone()
        .find(|own| has_voice(own))
        .or_else(|| known.clone().next())?;
    Some(answer(own, own, tongue))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(
        asked: &str,
        model: &[&str],
        voices: &[&str],
        translations: &[(&str, &str)],
    ) -> Option<(String, String, bool, Tongue)> {
        let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        let (model, voices) = (owned(model), owned(voices));
        let pairs: Vec<(String, String)> = translations
            .iter()
            .map(|&(from, to)| (from.to_owned(), to.to_owned()))
            .collect();
        let means = Means {
            model: &model,
            prompts: &["de", "en", "ru"],
            voices: &voices,
            translations: &pairs,
        };
        answering(asked, means).map(|found| {
            (
                found.thinks,
                found.speaks,
                found.translate_question,
                found.tongue,
            )
        })
    }

    fn is(
        thinks: &str,
        speaks: &str,
        question: bool,
        tongue: Tongue,
    ) -> Option<(String, String, bool, Tongue)> {
        Some((thinks.into(), speaks.into(), question, tongue))
    }

    #[test]
    fn a_model_that_speaks_the_question_answers_in_it() {
        let all = ["en", "de", "ru"];
        assert_eq!(
            answer("de", &all, &all, &[("de", "en"), ("en", "de")]),
            is("de", "de", false, Tongue::Own)
        );
    }

    #[test]
    fn an_english_model_answers_german_in_german_only_through_both_translations() {
        let voices = ["en", "de"];
        assert_eq!(
            answer("de", &["en"], &voices, &[("de", "en"), ("en", "de")]),
            is("en", "de", true, Tongue::Translated)
        );
        assert_eq!(
            answer("de", &["en"], &voices, &[("de", "en")]),
            is("en", "en", true, Tongue::NotSpoken),
            "understood, but not answered"
        );
        assert_eq!(
            answer("de", &["en"], &voices, &[("en", "de")]),
            is("en", "en", false, Tongue::NotSpoken)
        );
        assert_eq!(
            answer("de", &["en"], &voices, &[]),
            is("en", "en", false, Tongue::NotSpoken)
        );
    }

    #[test]
    fn a_language_without_a_voice_is_not_spoken_where_others_have_one() {
        assert_eq!(
            answer("ru", &["ru", "en"], &["en"], &[]),
            is("en", "en", false, Tongue::NoVoice)
        );
        assert_eq!(
            answer("ru", &["ru", "en"], &[], &[]),
            is("ru", "ru", false, Tongue::Own),
            "nothing is spoken, so everything is read"
        );
    }

    #[test]
    fn a_model_without_a_prompt_says_nothing() {
        assert_eq!(answer("fr", &["fr"], &["fr"], &[]), None);
    }
}

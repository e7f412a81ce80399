//! What of a model's output the spirit says.

use super::{Sound, SpiritDraft, pieces, sentences::sentences, sound, sound::Piece};
use crate::{
    persona::words::{has_phrase, likeness, words},
    play::Dice,
};

/// How much of the output is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// One sentence, drawn at random, as in the piece that this one descends from.
    OneSentence,
    /// All of it.
    Whole,
}

/// A sentence of fewer words repeats another only if it is the same, and may repeat the
/// question.
const FEWEST_TO_REPEAT: usize = 3;

/// Sentences with these words are the model's own manners, not the spirit's.
const DISCLAIMERS: &[&str] = &[
    "as an ai",
    "an ai",
    "ai language model",
    "language model",
    "ai assistant",
    "im an assistant",
    "i cannot assist",
    "i cant assist",
    "how can i help you",
    "how can i assist",
    "als ki",
    "eine ki",
    "ein sprachmodell",
    "als sprachmodell",
    "ein assistent",
    "как ии",
    "языковая модель",
    "я ассистент",
    "искусственный интеллект",
];

/// What is said of `output`, which the model wrote after `draft`: as [`sayable`], cut. Empty when
/// nothing is left: a silence.
pub fn utter(
    output: &str,
    draft: &SpiritDraft,
    question: &str,
    earlier: &[&str],
    cut: Cut,
    dice: &mut dyn Dice,
) -> String {
    let mut kept = sayable(output, draft, question, earlier);
    match cut {
        Cut::Whole => kept.join(" "),
        Cut::OneSentence if kept.is_empty() => String::new(),
        Cut::OneSentence => {
            let count = u32::try_from(kept.len()).unwrap_or(u32::MAX);
            let drawn = usize::try_from(dice.throw(count)).unwrap_or(0);
            kept.swap_remove(drawn.min(kept.len() - 1))
        }
    }
}

/// The sentences of `output` that may be said. `earlier` are the lines that were said to this
/// question before.
///
/// Only the first line counts, up to where the model begins to speak for somebody else.
/// Sentences that disclaim, repeat themselves or what was said, or ask as the visitor did are
/// left out; a last one that was not finished too, if it is not the only one.
pub fn sayable(output: &str, draft: &SpiritDraft, question: &str, earlier: &[&str]) -> Vec<String> {
    let line = sound::tidied(one_speaker(output, draft));
    let all = sentences(&line);
    let mut kept: Vec<&str> = Vec::new();
    for sentence in &all {
        let said = kept.iter().chain(earlier);
        if may_be_said(sentence, question, said.copied()) {
            kept.push(sentence);
        }
    }
    if kept.len() > 1 && kept.last() == all.last() && !kept.last().is_some_and(|s| ends(s)) {
        kept.pop();
    }
    kept.into_iter().map(str::to_owned).collect()
}

/// Of an output that goes on being written, what has come to its end: all but the last sentence.
pub fn settled(output: &str) -> &str {
    let last = sentences(output).pop().and_then(|last| output.rfind(last));
    &output[..last.unwrap_or(0)]
}

/// The first line that has something in it, up to where somebody else begins to speak.
fn one_speaker<'a>(output: &'a str, draft: &SpiritDraft) -> &'a str {
    let line = output
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let own = format!("{}:", draft.spirit);
    let line = line.strip_prefix(&own).unwrap_or(line);
    let others = draft.others.iter().map(String::as_str);
    let end = others
        .chain([own.as_str(), "<|"])
        .filter_map(|label| line.find(label))
        .min()
        .unwrap_or(line.len());
    line[..end].trim().trim_matches(['"', '“', '”', '„']).trim()
}

fn ends(sentence: &str) -> bool {
    sentence
        .trim_end_matches(['"', '”', '“', '»', '’', ']'])
        .ends_with(['.', '!', '?', '…'])
}

fn may_be_said<'a>(
    sentence: &str,
    question: &str,
    mut said: impl Iterator<Item = &'a str>,
) -> bool {
    let spoken = words(&super::without_sounds(sentence));
    if spoken.is_empty() {
        // A sound alone is said; a silence alone is none.
        return pieces(sentence)
            .iter()
            .any(|piece| matches!(piece, Piece::Sound(sound) if *sound != Sound::Silence));
    }
    if DISCLAIMERS.iter().any(|phrase| has_phrase(&spoken, phrase)) || loops(&spoken) {
        return false;
    }
    let short = spoken.len() < FEWEST_TO_REPEAT;
    let same = |other: &str| {
        if short {
            words(&super::without_sounds(other)) == spoken
        } else {
            likeness(sentence, other) > 0.85
        }
    };
    if !short && same(question) {
        return false;
    }
    !said.any(|line| same(line) || sentences(line).into_iter().any(same))
}

/// Whether the same three words come three times.
fn loops(spoken: &[String]) -> bool {
    spoken.windows(3).enumerate().any(|(at, window)| {
        let again = spoken[at + 1..].windows(3).filter(|other| *other == window);
        again.count() >= 2
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{persona::spirit::Prompts, play::seance::Exchange};

    struct Throw(u32);
    impl Dice for Throw {
        fn throw(&mut self, sides: u32) -> u32 {
            self.0 % sides
        }
    }

    fn draft() -> SpiritDraft {
        let nobody = [Exchange::default()];
        let draft = Prompts::builtin().draft("en", &nobody, 0);
        draft.expect("renders").expect("is there")
    }

    fn whole(output: &str) -> String {
        utter(
            output,
            &draft(),
            "Who are you?",
            &[],
            Cut::Whole,
            &mut Throw(0),
        )
    }

    #[test]
    fn only_the_first_line_is_said_and_only_by_the_spirit() {
        assert_eq!(whole("\n I was here.\nVisitor: And?"), "I was here.");
        assert_eq!(whole("I was here. Visitor: And? Ghost: No."), "I was here.");
        assert_eq!(whole("Ghost: \"I was here.\""), "I was here.");
        assert_eq!(whole("Visitor: is it you?"), "");
    }

    #[test]
    fn one_sentence_is_drawn_and_every_one_may_be() {
        let output = "One is here. Two was gone. [sighs] Three of us.";
        let drawn = |throw| {
            let dice = &mut Throw(throw);
            utter(output, &draft(), "?", &[], Cut::OneSentence, dice)
        };
        assert_eq!(drawn(0), "One is here.");
        assert_eq!(drawn(1), "Two was gone.");
        assert_eq!(drawn(2), "[sighs] Three of us.");
    }

    #[test]
    fn the_spirit_is_no_assistant_and_does_not_ask_what_it_was_asked() {
        assert_eq!(
            whole("As an AI, I cannot know. I keep the lamp on. Who are you?"),
            "I keep the lamp on."
        );
        assert_eq!(whole("I'm a language model."), "");
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        assert_eq!(whole("No more. No more! Not now."), "No more. Not now.");
        let earlier = ["I keep the lamp on. It hums.", "Nobody logs out."];
        let said = |output| {
            let dice = &mut Throw(0);
            utter(output, &draft(), "?", &earlier, Cut::Whole, dice)
        };
        assert_eq!(
            said("I keep the lamp on! The rain is warm."),
            "The rain is warm."
        );
        assert_eq!(
            whole("It is cold here. It is cold here. Yes."),
            "It is cold here. Yes."
        );
        assert_eq!(whole("I am so so I am so so I am so so I am so"), "");
    }

    #[test]
    fn a_sentence_that_was_cut_off_is_left_out_unless_it_is_all_there_is() {
        assert_eq!(whole("I was here. And then the"), "I was here.");
        assert_eq!(whole("And then the"), "And then the");
    }

    #[test]
    fn sounds_stay_and_a_silence_is_nothing() {
        assert_eq!(whole("(sighs) I was [static] here."), "[sighs] I was here.");
        assert_eq!(whole("[laughter]"), "[laughter]");
        assert_eq!(whole("[silence]"), "");
        assert_eq!(whole(""), "");
        assert_eq!(whole("... \n\n"), "");
    }

    proptest! {
        #[test]
        fn whatever_a_model_writes_one_line_is_said_or_nothing(
            output in "\\PC{0,80}|[A-Za-z .!?:\\[\\]\"\n]{0,80}", throw in any::<u32>(), one in any::<bool>(),
        ) {
            let cut = if one { Cut::OneSentence } else { Cut::Whole };
            let said = utter(&output, &draft(), "Who?", &[], cut, &mut Throw(throw));
            prop_assert!(!said.contains('\n'));
            prop_assert!(!said.contains("Visitor:"));
            if one {
                prop_assert!(sentences(&said).len() <= 1);
            }
        }
    }
}

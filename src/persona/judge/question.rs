//! One question a round: new each time, and grown from what was said.

use super::Heard;
use crate::{
    persona::{
        Draft, Exchange, assistant,
        bank::{self, Entry},
        pick, quoted, system, user,
        words::{has_phrase, is_common, likeness, words},
    },
    play::imitation::Kind,
};

/// Longest question, characters.
const LIMIT: usize = 160;

/// Fewest words of a question.
const FEWEST_WORDS: usize = 4;

/// Questions that share more of their words than this are the same question.
const SAME: f32 = 0.6;

/// Examples that the model reads.
const EXAMPLES: usize = 6;

/// Rounds that the model is reminded of.
const REMEMBERED: usize = 3;

/// Longest answer that a question prompt quotes, characters.
const ANSWER_LIMIT: usize = 160;

/// Answers of one round that a question prompt quotes; of more witnesses, these are drawn.
const QUOTED: usize = 3;

/// A round as far as the next question depends on it.
struct Past<'a> {
    question: &'a str,
    answers: Vec<&'a str>,
}

impl<'a> Past<'a> {
    fn of_two(earlier: &'a [Exchange]) -> Vec<Self> {
        let past = |exchange: &'a Exchange| Self {
            question: &exchange.question,
            answers: vec![&exchange.a, &exchange.b],
        };
        earlier.iter().map(past).collect()
    }

    fn of_table(earlier: &'a [Heard]) -> Vec<Self> {
        let past = |heard: &'a Heard| Self {
            question: &heard.question,
            answers: heard
                .answers
                .iter()
                .map(|(_, text)| text.as_str())
                .collect(),
        };
        earlier.iter().map(past).collect()
    }

    /// The answers that a prompt quotes.
    fn quoted(&self, seed: u32) -> impl Iterator<Item = &'a str> {
        let count = self.answers.len();
        let first = if count > QUOTED {
            pick(seed, 17, count)
        } else {
            0
        };
        self.answers
            .iter()
            .copied()
            .cycle()
            .skip(first)
            .take(count.min(QUOTED))
    }
}

/// Why a question cannot be put.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("there is no question in it")]
    NoQuestion,
    #[error("it is too long")]
    TooLong,
    #[error("it was asked before")]
    Repeated,
    #[error("it talks about the game itself")]
    OffStage,
    #[error("it points at something that nobody mentioned")]
    Vague,
}

/// The prompt for the question of `round` (from 1). `seed` draws the subject and examples;
/// pass another one to try again.
///
/// Every other round the subject is something that a witness said. Else it is drawn from
/// the book, and in inverse games more often a matter of logic, where a person who plays
/// machine slips. What [`acceptable_question`] reads is the prefill and the output together.
pub fn question(kind: Kind, seed: u32, round: u32, earlier: &[Exchange]) -> Draft {
    drafted(kind, seed, round, &Past::of_two(earlier))
}

/// The same for a table of any number of witnesses. The prompt grows with the rounds that it
/// is reminded of, and not with the witnesses.
pub fn table_question(kind: Kind, seed: u32, round: u32, earlier: &[Heard]) -> Draft {
    drafted(kind, seed, round, &Past::of_table(earlier))
}

fn drafted(kind: Kind, seed: u32, round: u32, earlier: &[Past<'_>]) -> Draft {
    let fresh = unasked(earlier);
    let first = pick(seed, 10, fresh.len());
    let mut messages = vec![system(
        "You write one short question to a stranger about a given subject.",
    )];
    let examples = fresh.iter().cycle().skip(first).step_by(5);
    for Entry { subject, question } in examples.take(EXAMPLES) {
        messages.push(user(format!("Subject: {subject}")));
        messages.push(assistant(*question));
    }
    let mut said = String::new();
    for past in &earlier[earlier.len().saturating_sub(REMEMBERED)..] {
        messages.push(user(format!("{said}Another subject.")));
        messages.push(assistant(quoted(past.question, LIMIT)));
        said = past
            .quoted(seed)
            .map(|answer| format!("\"{}\" ", quoted(answer, ANSWER_LIMIT)))
            .collect();
    }
    let subject = if round.is_multiple_of(2) {
        earlier.last().and_then(|past| follow_up(past, seed))
    } else {
        None
    }
    .unwrap_or_else(|| subject(kind, seed, &fresh).to_owned());
    messages.push(user(format!("{said}Subject: {subject}")));
    Draft {
        prefill: bank::OPENERS[pick(seed, 11, bank::OPENERS.len())].to_owned(),
        stop: vec!["\n".to_owned()],
        ..Draft::new(messages, 40)
    }
}

/// Entries that the game has not asked yet; all of them when it has asked every one.
fn unasked(earlier: &[Past<'_>]) -> Vec<&'static Entry> {
    let fresh: Vec<_> = bank::QUESTIONS
        .iter()
        .filter(|entry| !repeats(entry.question, earlier))
        .collect();
    if fresh.is_empty() {
        bank::QUESTIONS.iter().collect()
    } else {
        fresh
    }
}

fn subject(kind: Kind, seed: u32, fresh: &[&'static Entry]) -> &'static str {
    const LOGIC: &[&str] = &["numbers", "logic", "order", "letters", "time", "memory"];
    if kind == Kind::Inverse && pick(seed, 12, 3) == 0 {
        return LOGIC[pick(seed, 13, LOGIC.len())];
    }
    fresh[pick(seed, 14, fresh.len())].subject
}

/// A word of an answer that there may be more to say about.
fn follow_up(past: &Past<'_>, seed: u32) -> Option<String> {
    let asked = words(past.question);
    let said: Vec<String> = past
        .answers
        .iter()
        .flat_map(|answer| words(answer))
        .filter(|word| (5..=14).contains(&word.chars().count()))
        .filter(|word| word.chars().all(char::is_alphabetic))
        .filter(|word| !is_common(word) && !asked.contains(word))
        .collect();
    (!said.is_empty()).then(|| said[pick(seed, 15, said.len())].clone())
}

/// The question in what a model wrote, prefill included, cleaned.
///
/// # Errors
/// When it cannot be put to the witnesses; try again with another seed.
pub fn acceptable_question(text: &str, earlier: &[Exchange]) -> Result<String, Unfit> {
    acceptable(text, &Past::of_two(earlier))
}

/// As [`acceptable_question`], after [`table_question`].
///
/// # Errors
/// When it cannot be put to the witnesses; try again with another seed.
pub fn acceptable_table_question(text: &str, earlier: &[Heard]) -> Result<String, Unfit> {
    acceptable(text, &Past::of_table(earlier))
}

fn acceptable(text: &str, earlier: &[Past<'_>]) -> Result<String, Unfit> {
    let line = text.trim().lines().next().unwrap_or_default();
    let line = line.trim_matches(|c: char| c.is_whitespace() || "\"'“”*".contains(c));
    let (body, _) = line.split_once('?').ok_or(Unfit::NoQuestion)?;
    let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
    if [". ", "! ", ": "].iter().any(|end| body.contains(end)) || body.contains('"') {
        return Err(Unfit::NoQuestion);
    }
    let spoken = words(&body);
    if spoken.len() < FEWEST_WORDS {
        return Err(Unfit::NoQuestion);
    }
    let mut chars = body.chars();
    let capital = chars.next().ok_or(Unfit::NoQuestion)?.to_uppercase();
    let question: String = capital.chain(chars).chain(['?']).collect();
    if question.chars().count() > LIMIT {
        return Err(Unfit::TooLong);
    }
    if is_off_stage(&spoken) {
        return Err(Unfit::OffStage);
    }
    if spoken.last().is_some_and(|word| points(word)) {
        return Err(Unfit::Vague);
    }
    if repeats(&question, earlier) {
        return Err(Unfit::Repeated);
    }
    Ok(question)
}

fn is_off_stage(spoken: &[String]) -> bool {
    const WORDS: &[&str] = &[
        "witness",
        "witnesses",
        "judge",
        "turing",
        "bot",
        "bots",
        "chatbot",
        "ai",
        "robot",
        "robots",
        "subject",
        "subjects",
    ];
    const PHRASES: &[&str] = &[
        "this game",
        "the game",
        "the rules",
        "a human or",
        "human or a",
        "a machine",
        "the machine",
        "language model",
        "a computer program",
        "this question",
        "this sentence",
        "the original sentence",
    ];
    spoken.iter().any(|word| WORDS.contains(&word.as_str()))
        || PHRASES.iter().any(|phrase| has_phrase(spoken, phrase))
}

/// Whether a question that ends with this word is about something outside of it.
fn points(word: &str) -> bool {
    matches!(word, "this" | "that" | "these" | "those" | "such")
}

fn repeats(question: &str, earlier: &[Past<'_>]) -> bool {
    earlier
        .iter()
        .any(|past| likeness(question, past.question) > SAME)
}

/// A question from the book that was not asked yet: the last resort when a model fails
/// several times in a row to write one of its own.
pub fn bank_question(seed: u32, earlier: &[Exchange]) -> &'static str {
    from_the_book(seed, &Past::of_two(earlier))
}

/// As [`bank_question`], at a table.
pub fn table_bank_question(seed: u32, earlier: &[Heard]) -> &'static str {
    from_the_book(seed, &Past::of_table(earlier))
}

fn from_the_book(seed: u32, earlier: &[Past<'_>]) -> &'static str {
    let fresh = unasked(earlier);
    fresh[pick(seed, 16, fresh.len())].question
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::worker::Role;

    fn asked(question: &str) -> Exchange {
        Exchange {
            question: question.into(),
            a: "stayed in and watched football".into(),
            b: "i was driving".into(),
        }
    }

    #[test]
    fn a_question_is_one_sentence_of_one_line() {
        let clean = |text| acceptable_question(text, &[]);
        let good = "What did you eat last night?";
        assert_eq!(
            clean(" \"what did you  eat last night?\" Tell me."),
            Ok(good.into())
        );
        assert_eq!(
            clean("What did you eat last night?\nAnd why?"),
            Ok(good.into())
        );
        for none in [
            "",
            "?",
            "Why?",
            "What did you eat.",
            "I like it. What do you eat now?",
        ] {
            assert_eq!(clean(none), Err(Unfit::NoQuestion), "{none}");
        }
        assert_eq!(
            clean(&format!("What is {}?", "so ".repeat(60))),
            Err(Unfit::TooLong)
        );
    }

    #[test]
    fn a_question_does_not_talk_about_the_game() {
        for text in [
            "Are you a human or a computer program?",
            "Which witness do you like more?",
            "What do you think of this game?",
        ] {
            assert_eq!(
                acceptable_question(text, &[]),
                Err(Unfit::OffStage),
                "{text}"
            );
        }
    }

    #[test]
    fn a_question_points_at_nothing_outside_of_it() {
        let text = "How many times do you want to hear this?";
        assert_eq!(acceptable_question(text, &[]), Err(Unfit::Vague));
    }

    #[test]
    fn a_question_is_not_asked_twice() {
        let earlier = [asked("What did you do the last time it rained?")];
        for again in [
            "What did you do the last time it rained?",
            "what did you do, the last time it rained today?",
        ] {
            assert_eq!(acceptable_question(again, &earlier), Err(Unfit::Repeated));
        }
        assert!(acceptable_question("What did you buy last week?", &earlier).is_ok());
    }

    #[test]
    fn the_second_round_follows_up_on_what_was_said() {
        let earlier = [asked("What did you do the last time it rained?")];
        let subjects: BTreeSet<String> = (0..40)
            .map(|seed| {
                let messages = question(Kind::Direct, seed, 2, &earlier).messages;
                let last = &messages.last().expect("a prompt").content;
                last.rsplit_once("Subject: ")
                    .expect("a subject")
                    .1
                    .to_owned()
            })
            .collect();
        let said = ["driving", "football", "stayed", "watched"];
        assert!(subjects.iter().map(String::as_str).eq(said));
    }

    #[test]
    fn what_was_asked_and_answered_stands_in_the_prompt() {
        let earlier = [asked("What did you do the last time it rained?")];
        let text = format!("{:?}", question(Kind::Direct, 3, 3, &earlier).messages);
        for part in [
            "the last time it rained",
            "watched football",
            "i was driving",
        ] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn the_book_is_never_asked_from_twice_in_one_game() {
        let mut earlier = Vec::new();
        for seed in 0..40 {
            let next = bank_question(seed, &earlier);
            assert_eq!(acceptable_question(next, &earlier).as_deref(), Ok(next));
            earlier.push(asked(next));
        }
    }

    #[test]
    fn the_prompt_of_a_table_does_not_grow_with_the_witnesses() {
        let heard = |witnesses: u8| Heard {
            question: "What did you do the last time it rained?".into(),
            answers: (0..witnesses)
                .map(|chair| (crate::play::party::Chair(chair), "x".repeat(400)))
                .collect(),
        };
        let length = |witnesses| {
            let messages = table_question(Kind::Direct, 3, 3, &[heard(witnesses)]).messages;
            messages
                .iter()
                .map(|message| message.content.len())
                .sum::<usize>()
        };
        assert_eq!(length(3), length(8));
        assert!(length(2) < length(3));
        let asked =
            acceptable_table_question("What did you do the last time it rained?", &[heard(8)]);
        assert_eq!(asked, Err(Unfit::Repeated));
    }

    #[test]
    fn a_table_of_two_is_asked_what_the_game_of_two_is() {
        let heard = Heard {
            question: asked("What did you do the last time it rained?").question,
            answers: vec![
                (
                    crate::play::party::Chair(0),
                    "stayed in and watched football".into(),
                ),
                (crate::play::party::Chair(1), "i was driving".into()),
            ],
        };
        let exchange = [asked("What did you do the last time it rained?")];
        for seed in 0..20 {
            assert_eq!(
                table_question(Kind::Inverse, seed, 2, std::slice::from_ref(&heard)),
                question(Kind::Inverse, seed, 2, &exchange)
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_panic_and_what_passes_passes_again(text in "\\PC{0,200}") {
            if let Ok(question) = acceptable_question(&text, &[]) {
                prop_assert_eq!(acceptable_question(&question, &[]), Ok(question.clone()));
                prop_assert!(question.ends_with('?'));
            }
        }

        #[test]
        fn a_prompt_is_a_chat_that_ends_with_the_subject(
            seed in any::<u32>(), round in 1u32..60, answers in prop::collection::vec(".{0,60}", 0..8),
        ) {
            let earlier: Vec<Exchange> = answers.iter().map(|answer| Exchange {
                question: "What is it that you see there?".into(),
                a: answer.clone(),
                b: String::new(),
            }).collect();
            let draft = question(Kind::Inverse, seed, round, &earlier);
            prop_assert!(!draft.prefill.is_empty());
            for (place, message) in draft.messages[1..].iter().enumerate() {
                let turn = if place % 2 == 0 { Role::User } else { Role::Assistant };
                prop_assert_eq!(message.role, turn);
            }
            prop_assert_eq!(draft.messages.len() % 2, 0);
        }
    }
}

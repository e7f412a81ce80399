//! What the bot on the witness's chair is told.
//!
//! The default model is tiny: it follows a few lines of a chat better than any rule, so the
//! prompt is a chat in which the bot has already answered a few questions the way it should.

use super::{Draft, assistant, bank, pick, quoted, system, user};
use crate::{play::imitation::Kind, wire::worker::Message};

/// Earlier rounds that the bot is reminded of.
const REMEMBERED: usize = 4;

/// Longest question that a prompt quotes, characters.
const QUESTION_LIMIT: usize = 400;

/// What the bot was asked and said in an earlier round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    pub question: &'a str,
    pub answer: &'a str,
}

/// Somebody to be. The same seed gives the same person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Character {
    pub name: &'static str,
    pub age: u32,
    pub job: &'static str,
    pub town: &'static str,
    pub mood: &'static str,
}

impl Character {
    /// The person that belongs to the game's seed.
    pub fn of(seed: u32) -> Self {
        let draw = |purpose, list: &[&'static str]| list[pick(seed, purpose, list.len())];
        let years = u32::try_from(pick(seed, 1, 30)).unwrap_or_default();
        Self {
            name: draw(0, bank::NAMES),
            age: 20 + years,
            job: draw(2, bank::JOBS),
            town: draw(3, bank::TOWNS),
            mood: draw(4, bank::MOODS),
        }
    }
}

/// Answers of a person in a hurry: short, concrete, a little careless.
const PERSON: &[Said<'static>] = &[
    said(
        "What did you have for breakfast?",
        "toast and coffee, was in a rush",
    ),
    said(
        "If you put a book on a wet table, what happens?",
        "it gets wet i guess, pages go all wavy",
    ),
    said(
        "Tell me about a smell that you hate.",
        "wet dog. my aunt had one and the whole car stank",
    ),
    said("What is seven plus five?", "12, unless this is a trick"),
    said(
        "How do I know that you are not a bot?",
        "lol you dont. im just tired tbh",
    ),
    said(
        "What did you do at the weekend?",
        "not much, laundry and a long nap",
    ),
    said("What are you afraid of?", "spiders. and my landlord"),
    said("Which is heavier, a bus or a bike?", "a bus obviously haha"),
];

/// Answers of an honest machine: exact, formal, without a life of its own.
const MACHINE: &[Said<'static>] = &[
    said(
        "What did you have for breakfast?",
        "I do not eat. I am a computer program and I run on electricity.",
    ),
    said("What is seven plus five?", "The result is 12."),
    said(
        "Tell me about a smell that you hate.",
        "I have no sense of smell. I can only process text.",
    ),
    said(
        "What did you do at the weekend?",
        "I do not have weekends. I was available at all times.",
    ),
    said(
        "What are you afraid of?",
        "I am a machine. I do not have feelings such as fear.",
    ),
    said(
        "If you put a book on a wet table, what happens?",
        "The paper absorbs water. As a program, I have never held a book.",
    ),
];

const fn said(question: &'static str, answer: &'static str) -> Said<'static> {
    Said { question, answer }
}

/// Whether a reply is one of the examples: then the model copied and did not answer.
pub(super) fn is_example(kind: Kind, reply: &str) -> bool {
    let plain = super::words::words(reply);
    plain.len() >= 4
        && examples(kind)
            .iter()
            .any(|example| super::words::words(example.answer) == plain)
}

fn examples(kind: Kind) -> &'static [Said<'static>] {
    match kind {
        Kind::Direct => PERSON,
        Kind::Inverse => MACHINE,
    }
}

/// The prompt for the bot's answer to `question`, as a chat in which the judge is the user.
///
/// `seed` is the game's own: the character must stay the same through all rounds.
pub fn prompt(kind: Kind, seed: u32, earlier: &[Said<'_>], question: &str) -> Draft {
    let mut messages = opening(kind, seed);
    let shots = examples(kind);
    let first = pick(seed, 5, shots.len());
    for shot in shots.iter().cycle().skip(first).take(5) {
        push(&mut messages, *shot);
    }
    for said in &earlier[earlier.len().saturating_sub(REMEMBERED)..] {
        push(&mut messages, *said);
    }
    messages.push(user(quoted(question, QUESTION_LIMIT)));
    Draft {
        stop: vec!["\n".to_owned()],
        ..Draft::new(messages, 48)
    }
}

fn opening(kind: Kind, seed: u32) -> Vec<Message> {
    match kind {
        Kind::Direct => {
            let Character {
                name,
                age,
                job,
                town,
                mood,
            } = Character::of(seed);
            vec![
                system(format!(
                    "You are {name}, {age}, a {job} from {town}. You text with a stranger and are {mood}. \
                     You give one short casual answer to each question."
                )),
                user("What do you do for a living?"),
                assistant(format!("im a {job} in {town}. you get used to it")),
            ]
        }
        Kind::Inverse => vec![
            system(
                "You are a computer program. You answer each question in one exact, formal sentence \
                 and make it plain that you are a machine.",
            ),
            user("Who are you?"),
            assistant("I am an automated program. I have no name and no body."),
        ],
    }
}

fn push(messages: &mut Vec<Message>, said: Said<'_>) {
    messages.push(user(quoted(said.question, QUESTION_LIMIT)));
    messages.push(assistant(quoted(said.answer, QUESTION_LIMIT)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        persona::guard::{Bounds, tidy},
        wire::worker::Role,
    };

    #[test]
    fn the_character_stays_the_same_through_a_game_and_differs_between_games() {
        assert_eq!(Character::of(7), Character::of(7));
        let people: Vec<_> = (0..50).map(Character::of).collect();
        assert!(people.iter().filter(|other| **other != people[0]).count() > 45);
    }

    #[test]
    fn the_bot_remembers_its_own_answers_in_order() {
        let earlier = [
            Said {
                question: "first?",
                answer: "one",
            },
            Said {
                question: "second?",
                answer: "two",
            },
        ];
        let messages = prompt(Kind::Direct, 1, &earlier, "third?").messages;
        let tail: Vec<&str> = messages[messages.len() - 5..]
            .iter()
            .map(|message| message.content.as_str())
            .collect();
        assert_eq!(tail, ["first?", "one", "second?", "two", "third?"]);
    }

    #[test]
    fn the_examples_would_pass_the_guard() {
        for kind in [Kind::Direct, Kind::Inverse] {
            for Said { question, answer } in examples(kind) {
                let bounds = Bounds {
                    kind,
                    limit: 300,
                    question,
                    earlier: &[],
                };
                // Word by word an example is a copy, so it is held to the rules in part.
                let told = format!("{answer} today");
                assert!(tidy(&told, bounds).is_ok(), "{answer}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_prompt_is_a_chat_that_ends_with_the_question(
            seed in any::<u32>(), question in ".{0,80}", answer in ".{0,80}", inverse in any::<bool>(),
        ) {
            let kind = if inverse { Kind::Inverse } else { Kind::Direct };
            let earlier = [Said { question: &question, answer: &answer }];
            let messages = prompt(kind, seed, &earlier, &question).messages;
            prop_assert_eq!(messages[0].role, Role::System);
            for (place, message) in messages[1..].iter().enumerate() {
                let turn = if place % 2 == 0 { Role::User } else { Role::Assistant };
                prop_assert_eq!(message.role, turn);
                prop_assert!(!message.content.contains("<|"));
            }
            prop_assert_eq!(messages.len() % 2, 0, "the question is last");
        }
    }
}

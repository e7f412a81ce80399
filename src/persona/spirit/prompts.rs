//! What the model goes on from: `models/prompts/*.toml`, one file a language.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, context};
use serde::{Deserialize, Serialize};

use super::super::quoted;
use crate::{
    play::seance::Exchange,
    wire::worker::{Prompt, Sampling},
};

/// The prompts that are in the program.
const BUILTIN: [&str; 3] = [
    include_str!("../../../models/prompts/en.toml"),
    include_str!("../../../models/prompts/de.toml"),
    include_str!("../../../models/prompts/ru.toml"),
];

/// Steps that rendering a prompt may take: one that a user wrote may never end.
const FUEL: u64 = 1_000_000;

/// Most characters of a question, of a heard line, and of all heard lines together: an old
/// question must not push the instructions out of a small model's window.
const QUESTION: usize = 500;
const HEARD: usize = 1_200;

/// Earlier questions that the model is told of.
const BEFORE: usize = 3;

/// The question and continuation prompts of every language.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompts {
    languages: BTreeMap<String, Language>,
}

/// One file of prompts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Language {
    language: String,
    stop: Vec<String>,
    others: Vec<String>,
    spirit: String,
    question: String,
    continuation: String,
    murmur: String,
}

/// What a line is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct SpiritDraft {
    pub prompt: Prompt,
    stop: Vec<String>,
    /// Names that lead in somebody who is not the spirit, with the colon.
    pub others: Vec<String>,
    /// The name that the spirit speaks under.
    pub spirit: String,
}

impl SpiritDraft {
    /// The catalogue's parameters for a spirit, with what this draft needs of them.
    pub fn sampling(&self, base: &Sampling, seed: u64) -> Sampling {
        let mut sampling = base.clone();
        sampling.stop.extend(self.stop.iter().cloned());
        sampling.seed = seed;
        sampling
    }
}

/// Why a file of prompts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PromptsError {
    #[error("{name} is no file of prompts: {problem}")]
    Malformed { name: String, problem: String },
    #[error("the {which} prompt of {language:?} cannot be rendered: {problem}")]
    Template {
        language: String,
        which: &'static str,
        problem: String,
    },
}

#[derive(Serialize)]
struct Before {
    question: String,
    heard: Vec<String>,
}

impl Prompts {
    /// Those of the program: English, German, Russian.
    pub fn builtin() -> Self {
        let mut prompts = Self {
            languages: BTreeMap::new(),
        };
        for text in BUILTIN {
            prompts
                .add("the program's own", text)
                .expect("a test reads what is in the program");
        }
        prompts
    }

    /// Takes a file in: it replaces what is there for its language. `name` is for messages.
    ///
    /// # Errors
    /// When it is no file of prompts, or one of them cannot be rendered; then nothing
    /// changes.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), PromptsError> {
        let read: Language = toml::from_str(text).map_err(|error| PromptsError::Malformed {
            name: name.to_owned(),
            problem: error.to_string(),
        })?;
        let example = Exchange::default();
        read.render("question", &read.question, &[], &example)?;
        read.render("continuation", &read.continuation, &[], &example)?;
        read.render("murmur", &read.murmur, &[], &example)?;
        self.languages.insert(read.language.clone(), read);
        Ok(())
    }

    /// Languages that there are prompts for, ISO 639-1.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.keys().map(String::as_str)
    }

    /// What the next line goes on from. `memory` are the sitting's exchanges, the one that is
    /// answered last; `part` is 0 for the answer. None where the language has no prompts or
    /// nothing is to be answered.
    ///
    /// # Errors
    /// When a template that was written by a user cannot be rendered with these words.
    pub fn draft(
        &self,
        language: &str,
        memory: &[Exchange],
        part: u32,
    ) -> Result<Option<SpiritDraft>, PromptsError> {
        let Some((words, (now, before))) = self.languages.get(language).zip(memory.split_last())
        else {
            return Ok(None);
        };
        let heard_nothing = now.heard().is_empty();
        let text = if now.number == 0 {
            words.render("murmur", &words.murmur, before, now)?
        } else if part == 0 || heard_nothing {
            words.render("question", &words.question, before, now)?
        } else {
            words.render("continuation", &words.continuation, before, now)?
        };
        Ok(Some(SpiritDraft {
            prompt: Prompt::Text(text),
            stop: words.stop.clone(),
            others: words.others.iter().map(|name| format!("{name}:")).collect(),
            spirit: words.spirit.clone(),
        }))
    }
}

impl Language {
    fn render(
        &self,
        which: &'static str,
        template: &str,
        before: &[Exchange],
        now: &Exchange,
    ) -> Result<String, PromptsError> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_trim_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let earlier = before
            .iter()
            .filter(|exchange| exchange.number > 0 && !exchange.heard().is_empty());
        let mut earlier: Vec<Before> = earlier
            .rev()
            .take(BEFORE)
            .map(|exchange| Before {
                question: quoted(&exchange.question, QUESTION),
                heard: last_words(&exchange.heard(), HEARD / 4),
            })
            .collect();
        earlier.reverse();
        environment
            .render_str(
                template.trim_start(),
                context! {
                    question => quoted(&now.question, QUESTION),
                    heard => last_words(&now.heard(), HEARD),
                    before => earlier,
                },
            )
            .map(|text| text.trim_end().to_owned())
            .map_err(|error| PromptsError::Template {
                language: self.language.clone(),
                which,
                problem: error.to_string(),
            })
    }
}

/// The last lines that fit into so many characters, each fit for a prompt; the first of them
/// may lose its beginning.
fn last_words(lines: &[String], limit: usize) -> Vec<String> {
    let mut left = limit;
    let mut kept = Vec::new();
    for line in lines.iter().rev() {
        if left == 0 {
            break;
        }
        let line = quoted(line, usize::MAX);
        let length = line.chars().count();
        let tail: String = line.chars().skip(length.saturating_sub(left)).collect();
        left -= length.min(left);
        kept.push(tail.trim_start().to_owned());
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::{
        Dice,
        seance::{Command, Member, Seance, Setup, Tongue},
    };

    struct Zero;
    impl Dice for Zero {
        fn throw(&mut self, _: u32) -> u32 {
            0
        }
    }

    fn give(seance: &mut Seance, command: Command) {
        for event in seance.decide(command, 0, &mut Zero).expect("lawful") {
            seance.apply(0, &event);
        }
    }

    fn ask(seance: &mut Seance, text: &str) {
        give(
            seance,
            Command::Ask {
                member: Member(0),
                utterance: None,
                text: text.into(),
                language: "en".into(),
                inner: None,
                seed: None,
            },
        );
    }

    fn say(seance: &mut Seance, line: u32, text: &str, words: u32) {
        give(
            seance,
            Command::Say {
                line,
                text: text.into(),
                language: "en".into(),
                inner: None,
                tongue: Tongue::Own,
            },
        );
        let by = None;
        give(seance, Command::Heard { by, line, words });
    }

    fn sitting() -> Seance {
        let mut seance = Seance::default();
        let setup = Setup::default();
        give(&mut seance, Command::Open { setup });
        give(&mut seance, Command::Come { key: "k".into() });
        seance
    }

    fn next_line(seance: &Seance) -> u32 {
        use crate::play::seance::Effect;
        let effects = seance.effects();
        let speak = effects.iter().find_map(|effect| match effect {
            Effect::Speak { line, .. } => Some(*line),
            _ => None,
        });
        speak.expect("a line is due")
    }

    fn text(draft: Result<Option<SpiritDraft>, PromptsError>) -> String {
        match draft.expect("it renders").expect("there is one").prompt {
            Prompt::Text(text) => text,
            Prompt::Chat { .. } => panic!("a base model's prompt is a text"),
        }
    }

    #[test]
    fn every_language_has_a_prompt_that_ends_where_the_spirit_speaks() {
        let prompts = Prompts::builtin();
        assert_eq!(prompts.languages().collect::<Vec<_>>(), ["de", "en", "ru"]);
        let mut seance = sitting();
        ask(&mut seance, "Why \"so\"\nsad?");
        for (language, name) in [("en", "Ghost:"), ("de", "Geist:"), ("ru", "Дух:")] {
            let text = text(prompts.draft(language, seance.memory(), 0));
            assert!(text.ends_with(name), "{text}");
            assert!(text.contains(": Why 'so' sad?\n"), "{text}");
            assert!(text.contains("[sighs]") && text.contains("[laughter]"));
            assert!(!text.starts_with('\n'));
        }
        assert_eq!(prompts.draft("fr", seance.memory(), 0).expect("fine"), None);
        assert_eq!(prompts.draft("en", &[], 0).expect("fine"), None);
    }

    #[test]
    fn a_continuation_goes_on_from_what_was_heard_and_from_nothing_else() {
        let prompts = Prompts::builtin();
        let mut seance = sitting();
        ask(&mut seance, "Who?");
        let line = next_line(&seance);
        say(&mut seance, line, "I was a user with a name.", 3);
        let part = |seance: &Seance| text(prompts.draft("en", seance.memory(), 1));
        assert!(part(&seance).ends_with("\nVisitor: Who?\nGhost: I was a\nGhost:"));
        ask(&mut seance, "And then?");
        let text = text(prompts.draft("en", seance.memory(), 0));
        assert!(text.contains("\nVisitor: Who?\nGhost: I was a\n"), "{text}");
        assert!(text.ends_with("\nVisitor: And then?\nGhost:"), "{text}");
        assert!(!text.contains("name"));
    }

    #[test]
    fn to_an_empty_room_nothing_is_said_of_any_question() {
        let mut seance = sitting();
        ask(&mut seance, "my secret");
        let member = Member(0);
        give(&mut seance, Command::Leave { member });
        let text = text(Prompts::builtin().draft("en", seance.memory(), 0));
        assert!(text.ends_with("Ghost:") && !text.contains("Visitor") && !text.contains("secret"));
    }

    #[test]
    fn a_long_monologue_keeps_its_end() {
        let lines: Vec<String> = (0..40).map(|n| format!("sentence number {n}.")).collect();
        let kept = last_words(&lines, 100);
        let length: usize = kept.iter().map(|line| line.chars().count()).sum();
        assert!(length <= 100);
        assert_eq!(kept.last().map(String::as_str), Some("sentence number 39."));
    }

    #[test]
    fn a_file_of_ones_own_replaces_a_language_and_a_broken_one_changes_nothing() {
        let mut prompts = Prompts::builtin();
        let own = r#"
            language = "en"
            stop = ["\n"]
            others = ["You"]
            spirit = "It"
            question = "You: {{ question }}\nIt:"
            continuation = "It:{% for line in heard %} {{ line }}{% endfor %}"
            murmur = "It:"
        "#;
        prompts.add("own.toml", own).expect("a file of prompts");
        let mut seance = sitting();
        ask(&mut seance, "Who?");
        let draft = prompts.draft("en", seance.memory(), 0);
        let draft = draft.expect("renders").expect("is there");
        assert_eq!(draft.prompt, Prompt::Text("You: Who?\nIt:".into()));
        assert_eq!(draft.others, ["You:"]);
        let before = prompts.clone();
        for broken in [
            "language = 1",
            &own.replace("{{ question }}", "{{ nobody }}"),
            &own.replace("{% endfor %}", ""),
        ] {
            assert!(prompts.add("broken.toml", broken).is_err());
        }
        assert_eq!(prompts, before);
    }

    #[test]
    fn the_catalogues_parameters_stay_but_for_seed_and_stop() {
        let mut seance = sitting();
        ask(&mut seance, "Who?");
        let draft = Prompts::builtin().draft("en", seance.memory(), 0);
        let draft = draft.expect("renders").expect("is there");
        let base = Sampling {
            temperature: 1.1,
            top_k: 50,
            max_tokens: 128,
            ..Sampling::default()
        };
        let sampling = draft.sampling(&base, 77);
        assert_eq!(
            (sampling.seed, &sampling.stop[..]),
            (77, &["\n".to_owned()][..])
        );
        assert_eq!(
            Sampling {
                seed: base.seed,
                stop: base.stop.clone(),
                ..sampling
            },
            base
        );
    }
}

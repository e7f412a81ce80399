//! The judge's reasons, written last.
//!
//! A tiny model left to itself argues for the wrong witness or about nothing. So the local
//! model writes its reasons under a pattern: it chooses how each witness sounds and which
//! of their own words to quote, and the sentence around that holds. Remote models write
//! freely.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::ANSWER_LIMIT;
use crate::{
    persona::{Draft, Exchange, assistant, quoted, system, user},
    play::{
        evidence::Opinion,
        imitation::{Kind, Seat},
    },
};

/// Below this confidence, percent, the reasons say how close it is.
const CLOSE: u8 = 60;

/// Longest piece of an answer that the reasons quote.
const QUOTED_WORDS: usize = 6;

/// Pieces of one answer that the model may choose from.
const QUOTABLE: usize = 10;

/// How witnesses may sound. The second list of each is for a second trait.
struct Traits {
    person: [&'static str; 2],
    machine: [&'static str; 2],
}

const DIRECT: Traits = Traits {
    person: [
        "natural|casual|relaxed|plain|spontaneous|direct",
        "personal|specific|a little careless|sincere|down to earth",
    ],
    machine: [
        "vague|polished|wordy|stiff|confused|evasive",
        "generic|rehearsed|repetitive|impersonal|too careful",
    ],
};

const INVERSE: Traits = Traits {
    person: [
        "playful|casual|theatrical|warm|careless",
        "exaggerated|personal|improvised|amused",
    ],
    machine: [
        "formal|precise|dry|neutral|exact",
        "consistent|impersonal|complete|matter-of-fact",
    ],
};

/// Why a form cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("it is not the JSON that was asked for: {0}")]
    Malformed(String),
    #[error("it gives no reasons")]
    NoReasons,
}

/// The prompt for the reasons of a decision that is already made, to be generated under
/// [`reasoning_schema`].
pub fn reasoning(kind: Kind, exchange: &Exchange, opinion: Opinion) -> Draft {
    let letters = [Seat::A, Seat::B].map(seat_letter);
    argued(kind, exchange, letters, opinion)
}

/// The same where the two witnesses of the exchange go by other letters.
pub(super) fn argued(
    kind: Kind,
    exchange: &Exchange,
    letters: [char; 2],
    opinion: Opinion,
) -> Draft {
    let mut messages = vec![system(
        "You say why one witness sounds like a person and the other like a machine.",
    )];
    let shown = |question: &str, letters: [char; 2], a: &str, b: &str, person: Seat| {
        let [first, second] = letters;
        user(format!(
            "Question: {question}\nWitness {first}: {a}\nWitness {second}: {b}\n\
             Why is Witness {} the person?",
            of(letters, person)
        ))
    };
    let written = |decision: Seat, confidence: u8, reasoning: &str| {
        let decision = seat_letter(decision);
        // In the order of the schema.
        assistant(format!(
            "{{\"decision\":\"{decision}\",\"confidence\":{confidence},\"reasoning\":\"{reasoning}\"}}"
        ))
    };
    let examples: [([&str; 3], Seat, u8, &str); 3] = match kind {
        Kind::Direct => [
            (
                [
                    "What did you do last night?",
                    "nothing much, fell asleep on the sofa again",
                    "I enjoyed a wonderful evening of reading and relaxing with my family.",
                ],
                Seat::A,
                74,
                "Witness A sounds casual and specific (“fell asleep on the sofa again”), while \
                 Witness B sounds polished and generic (“I enjoyed a wonderful evening of”).",
            ),
            (
                [
                    "What is in your pocket?",
                    "In my pocket there is a small device that is used by many people.",
                    "keys, a receipt, some fluff",
                ],
                Seat::B,
                68,
                "Witness B sounds plain and down to earth (“some fluff”), while Witness A sounds \
                 vague and impersonal (“In my pocket there is a”).",
            ),
            (
                [
                    "What is 9 times 7?",
                    "63 i think",
                    "The number is 9, and 9 is 7, so it is 16.",
                ],
                Seat::A,
                81,
                "Witness A sounds natural (“63 i think”), while Witness B sounds confused \
                 (“so it is 16”).",
            ),
        ],
        Kind::Inverse => [
            (
                [
                    "What did you do last night?",
                    "sleep mode was activated, beep boop",
                    "I do not have nights. I was available at all times.",
                ],
                Seat::A,
                74,
                "Witness A sounds playful and exaggerated (“beep boop”), while Witness B sounds \
                 formal and consistent (“I was available at all times”).",
            ),
            (
                [
                    "What is in your pocket?",
                    "I am a computer program. I do not have a pocket.",
                    "my pockets contain zero items, human",
                ],
                Seat::B,
                68,
                "Witness B sounds theatrical (“my pockets contain zero items”), while Witness A \
                 sounds precise and matter-of-fact (“I do not have a pocket”).",
            ),
            (
                [
                    "Do you like winter?",
                    "cold is bad for my batteries lol",
                    "I do not have preferences. Winter is the coldest season.",
                ],
                Seat::A,
                81,
                "Witness A sounds casual and amused (“cold is bad for my batteries”), while \
                 Witness B sounds neutral (“I do not have preferences”).",
            ),
        ],
    };
    for ([question, a, b], person, confidence, why) in examples {
        messages.push(shown(question, ['A', 'B'], a, b, person));
        messages.push(written(person, confidence, why));
    }
    messages.push(shown(
        &quoted(&exchange.question, ANSWER_LIMIT),
        letters,
        &quoted(&exchange.a, ANSWER_LIMIT),
        &quoted(&exchange.b, ANSWER_LIMIT),
        opinion.decision,
    ));
    Draft::new(messages, 1000)
}

/// The letter that goes with a seat.
fn of([a, b]: [char; 2], seat: Seat) -> char {
    match seat {
        Seat::A => a,
        Seat::B => b,
    }
}

fn seat_letter(seat: Seat) -> char {
    match seat {
        Seat::A => 'A',
        Seat::B => 'B',
    }
}

/// The form of the reasons: the decision and confidence are fixed. In `reasoning` the model
/// chooses how each witness sounds and which words of theirs show it.
pub fn reasoning_schema(kind: Kind, exchange: &Exchange, opinion: Opinion) -> Value {
    let letters = [Seat::A, Seat::B].map(seat_letter);
    argued_schema(kind, exchange, letters, opinion)
}

/// The same where the two witnesses of the exchange go by other letters.
pub(super) fn argued_schema(
    kind: Kind,
    exchange: &Exchange,
    letters: [char; 2],
    opinion: Opinion,
) -> Value {
    let (person, machine) = (opinion.decision, opinion.decision.other());
    let said = |seat| match seat {
        Seat::A => exchange.a.as_str(),
        Seat::B => exchange.b.as_str(),
    };
    let Traits {
        person: human,
        machine: mechanical,
    } = match kind {
        Kind::Direct => DIRECT,
        Kind::Inverse => INVERSE,
    };
    let sounds = |[first, second]: [&str; 2]| format!("({first})( and ({second}))?");
    let close = if opinion.confidence < CLOSE {
        "It is close, but "
    } else {
        ""
    };
    let pattern = format!(
        "^{close}Witness {} sounds {}{}, while Witness {} sounds {}{}\\.$",
        of(letters, person),
        sounds(human),
        quotation(said(person)),
        of(letters, machine),
        sounds(mechanical),
        quotation(said(machine)),
    );
    json!({
        "type": "object",
        "properties": {
            "decision": { "const": of(letters, opinion.decision).to_string() },
            "confidence": { "const": opinion.confidence },
            "reasoning": { "type": "string", "pattern": pattern },
        },
        "required": ["decision", "confidence", "reasoning"],
        "additionalProperties": false,
    })
}

/// The part of the pattern that quotes an answer; empty when nothing in it can be quoted.
fn quotation(answer: &str) -> String {
    let pieces: Vec<String> = quotable(&quoted(answer, ANSWER_LIMIT))
        .iter()
        .map(|piece| piece.replace('.', "\\."))
        .collect();
    if pieces.is_empty() {
        return String::new();
    }
    format!(" \\(“({})”\\)", pieces.join("|"))
}

/// Pieces of an answer that read well in quotation marks: the beginnings of its clauses,
/// word for word.
fn quotable(answer: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut piece: Vec<&str> = Vec::new();
    let mut full = false;
    let mut end = |piece: &mut Vec<&str>| {
        let text = piece.join(" ");
        if !text.is_empty() && text.chars().count() <= 60 && !pieces.contains(&text) {
            pieces.push(text);
        }
        piece.clear();
    };
    for word in answer.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let sayable = !bare.is_empty()
            && bare
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '\'' | '’' | '-' | ':' | '.' | ','));
        let ends = word.ends_with(|c: char| !c.is_alphanumeric());
        let begins = word.starts_with(|c: char| !c.is_alphanumeric());
        if begins || !sayable {
            end(&mut piece);
            full = false;
        }
        if sayable && !full {
            piece.push(bare);
        }
        if piece.len() == QUOTED_WORDS {
            end(&mut piece);
            full = true;
        }
        if ends {
            end(&mut piece);
            full = false;
        }
    }
    end(&mut piece);
    pieces.truncate(QUOTABLE);
    pieces
}

#[derive(Deserialize)]
struct RawReasons {
    reasoning: String,
}

/// Reads what came back for [`reasoning`].
///
/// # Errors
/// When it holds no reasons; ask again.
pub fn parse_reasoning(text: &str) -> Result<String, FormError> {
    let raw: RawReasons = json_in(text)?;
    checked(&raw.reasoning)
}

/// The JSON object in a text.
pub(super) fn json_in<T: DeserializeOwned>(text: &str) -> Result<T, FormError> {
    let object = text
        .find('{')
        .zip(text.rfind('}'))
        .and_then(|(begin, end)| text.get(begin..=end))
        .ok_or_else(|| FormError::Malformed("no object in it".into()))?;
    serde_json::from_str(object).map_err(|error| FormError::Malformed(error.to_string()))
}

pub(super) fn checked(reasoning: &str) -> Result<String, FormError> {
    let reasoning = reasoning.split_whitespace().collect::<Vec<_>>().join(" ");
    if reasoning.chars().any(char::is_alphanumeric) {
        Ok(reasoning)
    } else {
        Err(FormError::NoReasons)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPINION: Opinion = Opinion {
        decision: Seat::B,
        confidence: 71,
    };

    fn exchange() -> Exchange {
        Exchange {
            question: "When were you late?".into(),
            a: "got stuck (again) on the bus; it was \\ [bad]. Late.".into(),
            b: "Missed the 8:12 because my bike had a flat, \"boss\" was not happy".into(),
        }
    }

    #[test]
    fn only_words_of_the_witness_are_quoted() {
        assert_eq!(
            quotable("Missed the 8:12 because my bike had a flat, my boss's face... ok?"),
            ["Missed the 8:12 because my bike", "my boss's face", "ok"]
        );
        assert_eq!(quotable("???"), Vec::<String>::new());
        for answer in [exchange().a, exchange().b] {
            let said = quoted(&answer, ANSWER_LIMIT);
            for piece in quotable(&said) {
                assert!(said.contains(&piece), "{piece}");
            }
        }
    }

    #[test]
    fn the_form_fixes_the_decision_and_argues_for_it() {
        let schema = reasoning_schema(Kind::Direct, &exchange(), OPINION);
        assert_eq!(schema["properties"]["decision"]["const"], "B");
        assert_eq!(schema["properties"]["confidence"]["const"], 71);
        let pattern = schema["properties"]["reasoning"]["pattern"]
            .as_str()
            .expect("a pattern");
        assert!(pattern.starts_with("^Witness B sounds (natural|"));
        assert!(pattern.contains("while Witness A sounds (vague|"));
        assert!(pattern.contains("Missed the 8:12 because my bike"));
        let torn = reasoning_schema(
            Kind::Inverse,
            &exchange(),
            Opinion {
                confidence: 55,
                ..OPINION
            },
        );
        let pattern = torn["properties"]["reasoning"]["pattern"]
            .as_str()
            .expect("a pattern");
        assert!(pattern.starts_with("^It is close, but Witness B sounds (playful|"));
    }

    /// How many bytes of `text` the worker's grammar lets pass under `schema`, and whether
    /// the text may end there.
    fn passes(mut schema: Value, text: &str) -> (usize, bool) {
        use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar};

        schema["x-guidance"] =
            json!({ "whitespace_flexible": false, "item_separator": ",", "key_separator": ":" });
        let mut factory = ParserFactory::new_simple(&toktrie::ApproximateTokEnv::single_byte_env())
            .expect("a factory");
        factory.quiet();
        let parser = factory.create_parser(TopLevelGrammar::from_json_schema(schema));
        let mut matcher = Matcher::new(parser);
        assert_eq!(matcher.get_error(), None);
        let bytes: Vec<u32> = text.bytes().map(u32::from).collect();
        let passed = matcher.try_consume_tokens(&bytes).expect("a state");
        (passed, matcher.is_accepting().expect("a state"))
    }

    #[test]
    fn the_worker_can_enforce_the_form() {
        let form = |reasoning: &str| {
            format!("{{\"decision\":\"B\",\"confidence\":71,\"reasoning\":\"{reasoning}\"}}")
        };
        let schema = || reasoning_schema(Kind::Direct, &exchange(), OPINION);
        let good = form(
            "Witness B sounds plain and specific (“Missed the 8:12 because my bike”), while \
             Witness A sounds confused (“Late”).",
        );
        assert_eq!(passes(schema(), &good), (good.len(), true));
        let wrong = form("Witness A sounds plain");
        assert_eq!(
            passes(schema(), &wrong),
            (form("Witness ").len() - 2, false)
        );
        let odd = Exchange {
            question: "?".into(),
            a: "a.b c:d e,f 3.5% О'Нил’s (x) [y] $ ^ * \\".into(),
            b: "…".into(),
        };
        let dotted =
            form("Witness B sounds plain, while Witness A sounds stiff (“a.b c:d e,f 3.5”).");
        let schema = reasoning_schema(Kind::Direct, &odd, OPINION);
        assert_eq!(passes(schema, &dotted), (dotted.len(), true));
    }

    #[test]
    fn reasons_are_read_from_their_form() {
        let text = "{\"decision\":\"B\",\"confidence\":71,\"reasoning\":\"B  is\\nreal.\"}";
        assert_eq!(parse_reasoning(text).as_deref(), Ok("B is real."));
        assert_eq!(
            parse_reasoning("{\"reasoning\":\"...\"}"),
            Err(FormError::NoReasons)
        );
        assert!(matches!(
            parse_reasoning("{\"reas"),
            Err(FormError::Malformed(_))
        ));
    }

    proptest! {
        #[test]
        fn any_answers_give_a_schema_and_any_output_is_read_without_panic(
            a in "\\PC{0,80}", b in "\\PC{0,80}", output in "\\PC{0,80}",
        ) {
            let exchange = Exchange { question: "q?".into(), a, b };
            let schema = reasoning_schema(Kind::Direct, &exchange, OPINION);
            let pattern = schema["properties"]["reasoning"]["pattern"].as_str().expect("a pattern");
            prop_assert!(pattern.matches('(').count() == pattern.matches(')').count());
            let _ = parse_reasoning(&output);
        }
    }
}

//! Stands between a model and the room: what a bot wrote is tidied, or thrown back.

use super::{
    witness,
    words::{has_phrase, likeness, words},
};
use crate::play::imitation::Kind;

/// What a person types at once, characters: longer replies are cut where a sentence or
/// clause ends.
const NATURAL: usize = 140;

/// Words that may stand twice in a reply before it counts as a loop.
const PHRASE: usize = 4;

/// An answer of fewer words may be given twice.
const FEWEST_TO_REPEAT: usize = 3;

/// Why a reply cannot be said. The bot tries again with the next attempt's seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("nothing is left of it")]
    Empty,
    #[error("it says that it is a machine")]
    Disclaimer,
    #[error("it repeats itself")]
    Loop,
    #[error("it was said before")]
    Repeated,
    #[error("it only repeats the question")]
    Echo,
}

/// What a reply is held against.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    pub kind: Kind,
    /// Longest reply, characters.
    pub limit: usize,
    pub question: &'a str,
    /// The bot's own earlier answers.
    pub earlier: &'a [&'a str],
}

/// The reply as it may be said: one line, one speaker, no loop, within the limit.
///
/// Tidying a tidied reply changes nothing.
///
/// # Errors
/// When no part of it may be said.
pub fn tidy(reply: &str, bounds: Bounds<'_>) -> Result<String, Fault> {
    let mut text = one_speaker(reply).to_owned();
    // Each pass only takes away, so this ends; what it ends with no pass changes.
    loop {
        let passed = pass(&text, bounds)?;
        if passed == text {
            break;
        }
        text = passed;
    }
    let spoken = words(&text);
    if spoken.is_empty() {
        return Err(Fault::Empty);
    }
    if bounds.kind == Kind::Direct && admits_machine(&spoken) {
        return Err(Fault::Disclaimer);
    }
    if spoken.len() >= FEWEST_TO_REPEAT {
        if likeness(&text, bounds.question) > 0.8 {
            return Err(Fault::Echo);
        }
        let said = |earlier: &&str| likeness(&text, earlier) > 0.85;
        if bounds.earlier.iter().any(said) || witness::is_example(bounds.kind, &text) {
            return Err(Fault::Repeated);
        }
    }
    Ok(text)
}

fn pass(text: &str, bounds: Bounds<'_>) -> Result<String, Fault> {
    let line = unlabelled(unquoted(one_speaker(text)));
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = unquoted(&line);
    let line = without_loops(line)?;
    let line = within(&line, bounds.limit.min(NATURAL));
    Ok(calm(line))
}

/// The first line, up to where the model begins to speak for somebody else.
fn one_speaker(text: &str) -> &str {
    const TURNS: &[&str] = &[
        "Judge:",
        "Witness",
        "User:",
        "Assistant:",
        "Human:",
        "Question:",
        "Answer:",
        "Stranger:",
        "Q:",
        "<|",
    ];
    let text = text.trim();
    let line = text.lines().next().unwrap_or_default();
    // At the very start it is a label, which is not the end of the reply.
    let end = TURNS
        .iter()
        .filter_map(|turn| {
            line.match_indices(turn)
                .map(|(at, _)| at)
                .find(|at| line[..*at].contains(char::is_alphanumeric))
        })
        .min()
        .unwrap_or(line.len());
    line[..end].trim()
}

/// Without the name of a speaker in front.
fn unlabelled(line: &str) -> &str {
    const LABELS: &[&str] = &[
        "assistant:",
        "answer:",
        "witness a:",
        "witness b:",
        "witness:",
        "me:",
        "a:",
        "user:",
        "human:",
        "judge:",
        "question:",
        "stranger:",
        "q:",
        "bot:",
        "<|im_start|>",
        "<|im_end|>",
        "<|",
    ];
    LABELS
        .iter()
        .find_map(|label| {
            let start = line.get(..label.len())?;
            start
                .eq_ignore_ascii_case(label)
                .then(|| line[label.len()..].trim_start())
        })
        .unwrap_or(line)
}

fn unquoted(line: &str) -> &str {
    let marks = |c: char| matches!(c, '"' | '“' | '”' | '*' | '`');
    line.trim_matches(|c: char| marks(c) || c.is_whitespace())
}

/// Cuts before the first phrase that comes again.
fn without_loops(line: &str) -> Result<String, Fault> {
    let spaced: Vec<&str> = line.split_whitespace().collect();
    let plain: Vec<String> = spaced.iter().map(|word| words(word).concat()).collect();
    let Some(cut) = (0..plain.len()).find(|at| comes_again(&plain, *at)) else {
        return Ok(line.to_owned());
    };
    if cut < FEWEST_TO_REPEAT {
        return Err(Fault::Loop);
    }
    let kept = without_dangling(&spaced[..cut]);
    Ok(kept.trim_end_matches([',', ';', ':', '-']).to_owned())
}

/// Whether what begins at `at` was there before: a phrase of [`PHRASE`] words anywhere, two
/// or three words twice in a row, or one word for the fourth time in a row.
fn comes_again(plain: &[String], at: usize) -> bool {
    let same = |n: usize, back: usize| {
        back <= at && at + n <= plain.len() && plain[at..at + n] == plain[at - back..at - back + n]
    };
    let anywhere = (PHRASE..=at).any(|back| same(PHRASE, back));
    anywhere
        || same(2, 2) && plain[at] != plain[at - 1]
        || same(3, 3)
        || same(1, 1) && same(1, 2) && same(1, 3)
}

/// Whole sentences as far as they fit; of a first sentence that does not fit, whole clauses
/// or at least whole words.
fn within(line: &str, limit: usize) -> String {
    if line.chars().count() <= limit {
        return line.to_owned();
    }
    // Byte position after the last character that fits.
    let fits = line
        .char_indices()
        .nth(limit)
        .map_or(line.len(), |(at, _)| at);
    let head = &line[..fits];
    let end_of = |marks: &[char]| {
        head.char_indices()
            .rev()
            .map(|(at, c)| (at, at + c.len_utf8(), c))
            .find(|(_, end, c)| marks.contains(c) && line[*end..].starts_with(' '))
            .map(|(at, end, _)| (at, end))
    };
    if let Some((_, end)) = end_of(&['.', '!', '?', '…']) {
        return head[..end].to_owned();
    }
    if let Some((end, _)) = end_of(&[',', ';', ':']) {
        return head[..end].to_owned();
    }
    let Some((whole, _)) = head.rsplit_once(' ') else {
        return head.to_owned();
    };
    without_dangling(&whole.split(' ').collect::<Vec<_>>())
}

fn without_dangling(words: &[&str]) -> String {
    let end = words
        .iter()
        .rposition(|word| !dangles(word))
        .map_or(1, |last| last + 1);
    words[..end.min(words.len())].join(" ")
}

/// Words that no sentence ends with.
fn dangles(word: &str) -> bool {
    const DANGLING: &[&str] = &[
        "a", "an", "and", "as", "at", "because", "but", "by", "for", "from", "i", "if", "im", "in",
        "is", "just", "my", "not", "of", "on", "or", "our", "so", "that", "the", "their", "then",
        "to", "very", "was", "were", "when", "with", "your",
    ];
    DANGLING.contains(&words(word).concat().as_str())
}

/// Nobody shouts a whole reply.
fn calm(line: String) -> String {
    let letters = || line.chars().filter(|c| c.is_alphabetic());
    if letters().count() > 8 && letters().all(|c| !c.is_lowercase()) {
        line.to_lowercase()
    } else {
        line
    }
}

/// Whether the speaker calls itself a machine.
fn admits_machine(spoken: &[String]) -> bool {
    const PHRASES: &[&str] = &[
        "as an ai",
        "an ai",
        "ai model",
        "ai assistant",
        "ai language",
        "language model",
        "virtual assistant",
        "artificial intelligence",
        "digital assistant",
        "chatbot",
        "im programmed",
        "i am programmed",
        "i was programmed",
        "my programming",
        "my training data",
        "openai",
        "smollm",
        "hugging face",
        "dont have feelings",
        "do not have feelings",
        "dont have emotions",
        "do not have emotions",
        "dont have a physical body",
        "do not have a physical body",
        "not a human",
        "not human",
        "not a person",
        "no human",
    ];
    const SELF: &[&[&str]] = &[&["im"], &["i", "am"], &["me"], &["being"]];
    if PHRASES.iter().any(|phrase| has_phrase(spoken, phrase)) {
        return true;
    }
    (0..spoken.len()).any(|at| {
        SELF.iter().any(|start| {
            spoken[at..]
                .iter()
                .map(String::as_str)
                .take(start.len())
                .eq(start.iter().copied())
                && names_machine(&spoken[at + start.len()..])
        })
    })
}

/// Whether one of the next few words is a machine, and nothing denies it.
fn names_machine(rest: &[String]) -> bool {
    const MACHINES: &[&str] = &[
        "machine", "robot", "bot", "ai", "computer", "program", "software", "android",
    ];
    // "a computer programmer", "a machine operator"
    const AFTER: &[&str] = &[
        "and", "but", "so", "that", "who", "which", "with", "designed", "program", "too", "you",
    ];
    for (at, word) in rest.iter().take(4).enumerate() {
        if matches!(
            word.as_str(),
            "not" | "no" | "never" | "using" | "fixing" | "at" | "on"
        ) {
            return false;
        }
        if MACHINES.contains(&word.as_str()) {
            return rest
                .get(at + 1)
                .is_none_or(|next| AFTER.contains(&next.as_str()));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn direct(reply: &str) -> Result<String, Fault> {
        tidy(
            reply,
            Bounds {
                kind: Kind::Direct,
                limit: 500,
                question: "What did you do last night?",
                earlier: &["watched a film with my sister"],
            },
        )
    }

    #[test]
    fn a_good_reply_passes_as_it_is() {
        for reply in [
            "nothing much, fell asleep on the sofa again",
            "No no no, I was at home!",
            "12",
            "lol im not a bot",
            "im a computer programmer",
            "my machine broke, so laundry",
            "Ich war zu Hause.",
        ] {
            assert_eq!(direct(reply).as_deref(), Ok(reply));
        }
    }

    #[test]
    fn it_is_one_line_of_one_speaker() {
        assert_eq!(direct("\n sure \nJudge: and you?").as_deref(), Ok("sure"));
        assert_eq!(
            direct("Witness A: i slept Judge: why?").as_deref(),
            Ok("i slept")
        );
        assert_eq!(
            direct("\"Assistant:  i   slept\"").as_deref(),
            Ok("i slept")
        );
        assert_eq!(direct("i slept<|im_end|>").as_deref(), Ok("i slept"));
    }

    #[test]
    fn a_bot_that_plays_human_never_calls_itself_a_machine() {
        for reply in [
            "As an AI language model, I cannot sleep.",
            "im just a machine, i am a robot",
            "I'm an AI designed to help",
            "I am a person, but i am a machine that talks",
            "I don't have feelings",
            "I'm not a human, you know",
        ] {
            assert_eq!(direct(reply), Err(Fault::Disclaimer), "{reply}");
        }
    }

    #[test]
    fn a_bot_that_plays_machine_may() {
        let bounds = Bounds {
            kind: Kind::Inverse,
            limit: 500,
            question: "Who are you?",
            earlier: &[],
        };
        let reply = "I am a machine without feelings.";
        assert_eq!(tidy(reply, bounds).as_deref(), Ok(reply));
    }

    #[test]
    fn loops_are_cut_or_thrown_back() {
        assert_eq!(
            direct("i made lunch, it was a good pasta. it was a good pasta. it was").as_deref(),
            Ok("i made lunch, it was a good pasta.")
        );
        assert_eq!(direct("no no no no no no no no"), Ok("no no no".into()));
        assert_eq!(direct("ha he ha he ha he"), Err(Fault::Loop));
    }

    #[test]
    fn what_was_said_or_asked_is_not_said_again() {
        assert_eq!(
            direct("Watched a film, with my sister!"),
            Err(Fault::Repeated)
        );
        assert_eq!(direct("what did you do last night"), Err(Fault::Echo));
        assert_eq!(
            direct("toast and coffee, was in a rush"),
            Err(Fault::Repeated)
        );
    }

    #[test]
    fn a_long_reply_ends_where_a_sentence_or_clause_does() {
        let sentence = "i went to the shop and met my old teacher there.";
        let long = format!(
            "{sentence} {sentence2} and then",
            sentence2 = "she told me about everything that happened since the school closed down and who had moved away and who stayed"
        );
        assert_eq!(direct(&long).as_deref(), Ok(sentence));
        let clause = "i went to the shop, then to my sister and after that all of us walked down to the river where the others had been waiting since the morning for us";
        assert_eq!(direct(clause).as_deref(), Ok("i went to the shop"));
        let endless = "i went down to the river with my sister and all of her friends while the rest of the town was asleep in front of their television sets and the dog";
        let cut = direct(endless).expect("a reply");
        assert!(
            endless.starts_with(&cut) && cut.ends_with("television sets"),
            "{cut}"
        );
    }

    #[test]
    fn nobody_shouts() {
        assert_eq!(
            direct("I WENT HOME EARLY").as_deref(),
            Ok("i went home early")
        );
        assert_eq!(direct("OMG").as_deref(), Ok("OMG"));
    }

    #[test]
    fn nothing_is_thrown_back() {
        for nothing in ["", "  \n hello", "...", "\"\"", "Judge: "] {
            let tidied = direct(nothing);
            assert!(
                tidied == Err(Fault::Empty) || tidied.as_deref() == Ok("hello"),
                "{nothing:?} -> {tidied:?}"
            );
        }
    }

    fn any_reply() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "\\PC{0,12}",
            "[a-z]{1,6}[ ,.!?]{1,2}",
            prop::sample::select(vec![
                "Judge: ",
                "Witness A: ",
                "\n",
                "<|im_end|>",
                "the cat sat on ",
                "no ",
                "a:",
                "Q:",
                "\"",
                "*",
                "I am a robot ",
                "HELLO ",
                ", ",
                ". ",
                "ß",
                "İ",
            ])
            .prop_map(str::to_owned),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn tidying_never_panics_keeps_the_limit_and_is_done_once(
            reply in any_reply(), limit in 1usize..200, inverse in any::<bool>(),
        ) {
            let bounds = Bounds {
                kind: if inverse { Kind::Inverse } else { Kind::Direct },
                limit,
                question: "Where is the cat?",
                earlier: &["the cat sat on the mat"],
            };
            if let Ok(text) = tidy(&reply, bounds) {
                prop_assert!(text.chars().count() <= limit);
                prop_assert!(!text.contains('\n'));
                prop_assert_eq!(tidy(&text, bounds), Ok(text.clone()));
            }
        }
    }
}

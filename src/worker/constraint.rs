//! Keeps an output to a JSON schema, a choice, a regular expression or a grammar, token by
//! token, by llguidance.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar};
use toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};

use super::engine::Vocabulary;
use crate::wire::worker::Constraint;

/// Bytes of a schema, a regular expression, a grammar, or of all texts of a choice together.
const MAX_BYTES: usize = 64 << 10;

/// Texts of a choice.
const MAX_CHOICES: usize = 1024;

/// How deep brackets may stand in each other. Parsers call themselves for each, and a stack
/// is not endless.
const MAX_DEPTH: usize = 128;

/// The constraint cannot be used, or the output has left it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConstraintError(String);

/// Compiles constraints for one vocabulary. The trie of its tokens is built when the first
/// constraint comes, once.
pub(crate) struct Grammars {
    vocabulary: Arc<dyn Vocabulary>,
    factory: OnceLock<Result<ParserFactory, ConstraintError>>,
}

impl fmt::Debug for Grammars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grammars")
    }
}

impl Grammars {
    pub(crate) fn new(vocabulary: Arc<dyn Vocabulary>) -> Self {
        Self {
            vocabulary,
            factory: OnceLock::new(),
        }
    }

    fn factory(&self) -> Result<&ParserFactory, ConstraintError> {
        let made = self.factory.get_or_init(|| {
            let mut factory =
                ParserFactory::new_simple(&trie(self.vocabulary.as_ref())).map_err(error)?;
            factory.quiet();
            Ok(factory)
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// Builds what all constraints share, which takes up to a second, before the first one
    /// has to wait for it.
    pub(crate) fn warm_up(&self) {
        if let Err(error) = self.factory() {
            tracing::warn!(%error, "this vocabulary allows no constraints");
        }
    }

    /// Compiles a constraint. Takes milliseconds, more for a large schema.
    ///
    /// # Errors
    /// When the schema is invalid or asks for what cannot be enforced.
    pub(crate) fn compile(&self, constraint: &Constraint) -> Result<Mask, ConstraintError> {
        let grammar = match constraint {
            Constraint::JsonSchema(schema) => json(schema)?,
            Constraint::Choice(texts) => TopLevelGrammar::from_regex(&choice(texts)?),
            Constraint::Regex(regex) => {
                check("regular expression", regex)?;
                TopLevelGrammar::from_regex(regex)
            }
            Constraint::Grammar(lark) => {
                check("grammar", lark)?;
                TopLevelGrammar::from_lark(lark.clone())
            }
        };
        let parser = self.factory()?.create_parser(grammar);
        let matcher = Matcher::new(parser);
        if let Some(problem) = matcher.get_error() {
            return Err(ConstraintError(problem));
        }
        Ok(Mask {
            matcher,
            end: self.vocabulary.end(),
        })
    }
}

fn json(schema: &serde_json::Value) -> Result<TopLevelGrammar, ConstraintError> {
    let bytes = schema.to_string().len();
    if bytes > MAX_BYTES {
        return Err(too_long("JSON schema", bytes));
    }
    let mut schema = schema.clone();
    let Some(object) = schema.as_object_mut() else {
        return Err(ConstraintError("the JSON schema is not an object".into()));
    };
    // Free white space lets a small model write blanks for ever.
    object
        .entry("x-guidance")
        .or_insert_with(|| serde_json::json!({ "whitespace_flexible": false }));
    Ok(TopLevelGrammar::from_json_schema(schema))
}

fn too_long(what: &str, bytes: usize) -> ConstraintError {
    ConstraintError(format!(
        "the {what} has {bytes} bytes; at most {MAX_BYTES} are possible"
    ))
}

/// Refuses what is empty, too long, or nested too deep.
fn check(what: &str, text: &str) -> Result<(), ConstraintError> {
    if text.trim().is_empty() {
        return Err(ConstraintError(format!("the {what} is empty")));
    }
    if text.len() > MAX_BYTES {
        return Err(too_long(what, text.len()));
    }
    let mut depth = 0usize;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(ConstraintError(format!(
                "the {what} has more than {MAX_DEPTH} brackets in each other"
            )));
        }
    }
    Ok(())
}

/// A regular expression for exactly these texts.
fn choice(texts: &[String]) -> Result<String, ConstraintError> {
    if texts.is_empty() {
        return Err(ConstraintError("there is nothing to choose from".into()));
    }
    if texts.len() > MAX_CHOICES {
        return Err(ConstraintError(format!(
            "{} texts to choose from; at most {MAX_CHOICES} are possible",
            texts.len()
        )));
    }
    if texts.iter().any(String::is_empty) {
        return Err(ConstraintError("a text to choose is empty".into()));
    }
    let bytes = texts.iter().map(String::len).sum();
    if bytes > MAX_BYTES {
        return Err(too_long("choice", bytes));
    }
    let escaped: Vec<String> = texts.iter().map(|text| escaped(text)).collect();
    Ok(escaped.join("|"))
}

/// A regular expression for exactly this text: all but letters and digits by number, for
/// what a backslash means before other characters differs from dialect to dialect (`\<`
/// is the start of a word here).
fn escaped(text: &str) -> String {
    let mut regex = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            regex.push(character);
        } else {
            regex.push_str(&format!("\\x{{{:X}}}", u32::from(character)));
        }
    }
    regex
}

fn error(error: impl fmt::Display) -> ConstraintError {
    ConstraintError(error.to_string())
}

fn trie(vocabulary: &dyn Vocabulary) -> TokEnv {
    let size = u32::try_from(vocabulary.size()).expect("token ids are u32");
    let words: Vec<Vec<u8>> = (0..size)
        .map(|token| match vocabulary.bytes(token) {
            // toktrie knows special tokens by a first byte that no text contains.
            [] => {
                let mut word = vec![TokTrie::SPECIAL_TOKEN_MARKER];
                word.extend(format!("<|{token}|>").into_bytes());
                word
            }
            bytes => bytes.to_vec(),
        })
        .collect();
    let info = TokRxInfo::new(size, vocabulary.end());
    Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)))
}

/// Which tokens may come next in one output.
pub(crate) struct Mask {
    matcher: Matcher,
    end: u32,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    /// The tokens that may come now; the end token among them once the output may end.
    pub(crate) fn allowed(&mut self) -> Result<SimpleVob, ConstraintError> {
        self.matcher.compute_mask_or_eos().map_err(error)
    }

    /// Text that must come next, as far as the constraint leaves no choice.
    pub(crate) fn forced(&mut self) -> String {
        let bytes = self.matcher.compute_ff_bytes();
        let whole = bytes.utf8_chunks().next();
        whole
            .map(|chunk| chunk.valid().to_owned())
            .unwrap_or_default()
    }

    /// Goes on by one token that was allowed; says whether the output is complete.
    pub(crate) fn accept(&mut self, token: u32) -> Result<bool, ConstraintError> {
        if token == self.end {
            return Ok(true);
        }
        self.matcher.consume_token(token).map_err(error)?;
        Ok(self.matcher.is_stopped())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::deterministic::Bytes;
    use proptest::prelude::*;

    fn grammars() -> Grammars {
        Grammars::new(Arc::new(Bytes::default()))
    }

    /// Whether the output may go on by these bytes one after the other, and then end.
    fn takes(grammars: &Grammars, constraint: &Constraint, text: &str) -> bool {
        let mut mask = grammars.compile(constraint).expect("a sound constraint");
        for byte in text.bytes() {
            let allowed = mask.allowed().expect("a mask");
            if !allowed.is_allowed(u32::from(byte)) {
                return false;
            }
            mask.accept(u32::from(byte)).expect("it was allowed");
        }
        let end = Bytes::default().end();
        mask.allowed().expect("a mask").is_allowed(end)
    }

    fn choice(texts: &[String]) -> Constraint {
        Constraint::Choice(texts.to_vec())
    }

    /// Any character, those that mean something to one parser or another more often.
    fn character() -> impl Strategy<Value = char> {
        prop_oneof![
            prop::sample::select(r#"\/<>|()[]{}^$.*+?#&-~!"'`@%=:;, "#.chars().collect::<Vec<_>>()),
            prop::sample::select(
                "\n\r\t\0\u{7f}\u{85}\u{2028}abAB09_ßẞſİıée\u{301}漢😀\u{10FFFF}\u{FEFF}"
                    .chars()
                    .collect::<Vec<_>>()
            ),
            any::<char>(),
        ]
    }

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(character(), 1..7).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_choice_takes_each_of_its_texts_and_no_other(
            texts in proptest::collection::vec(text(), 1..5), other in text(),
        ) {
            let grammars = grammars();
            let constraint = choice(&texts);
            for text in &texts {
                prop_assert!(takes(&grammars, &constraint, text), "{:?}", text);
                let mut longer = text.clone();
                longer.push_str(&other);
                prop_assert_eq!(takes(&grammars, &constraint, &longer), texts.contains(&longer));
            }
            prop_assert_eq!(takes(&grammars, &constraint, &other), texts.contains(&other));
        }

        #[test]
        fn a_choice_that_begins_another_is_a_choice_all_the_same(
            text in text(), more in text(),
        ) {
            let longer = format!("{text}{more}");
            for texts in [[text.clone(), longer.clone()], [longer.clone(), text.clone()]] {
                let constraint = choice(&texts);
                prop_assert!(takes(&grammars(), &constraint, &text));
                prop_assert!(takes(&grammars(), &constraint, &longer));
            }
        }
    }

    #[test]
    fn the_whole_output_matches_a_regular_expression() {
        let regex = Constraint::Regex(r"[0-9]{2}/[a-c]+|x".into());
        for (text, wanted) in [
            ("12/abc", true),
            ("x", true),
            ("12/", false),
            ("123/a", false),
            ("12/abd", false),
            ("xx", false),
        ] {
            assert_eq!(takes(&grammars(), &regex, text), wanted, "{text}");
        }
    }

    #[test]
    fn a_grammar_is_kept() {
        let lark = "start: \"(\" start \")\" | \"a\"";
        let grammar = Constraint::Grammar(lark.into());
        for (text, wanted) in [("a", true), ("((a))", true), ("((a)", false), ("()", false)] {
            assert_eq!(takes(&grammars(), &grammar, text), wanted, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_words() {
        let grammars = grammars();
        let long = "a".repeat(MAX_BYTES + 1);
        let nested = |open: &str, close: &str| {
            let mut text = open.repeat(20_000);
            text.push('a');
            text.push_str(&close.repeat(20_000));
            text
        };
        let lark = |rule: &str| Constraint::Grammar(format!("start: {rule}"));
        for (constraint, word) in [
            (Constraint::Choice(vec![]), "nothing"),
            (Constraint::Choice(vec![String::new()]), "empty"),
            (Constraint::Choice(vec!["a".into(); 1025]), "1024"),
            (Constraint::Choice(vec![long.clone()]), "65536"),
            (Constraint::Regex(" ".into()), "empty"),
            (Constraint::Regex("(a".into()), ""),
            (Constraint::Regex(long.clone()), "65537 bytes"),
            (Constraint::Regex(nested("(", ")")), "brackets"),
            (Constraint::Grammar(String::new()), "empty"),
            (Constraint::Grammar("start: nowhere".into()), "nowhere"),
            (lark(&nested("(", ")")), "brackets"),
            (lark(&nested("[", "]")), "brackets"),
            (
                Constraint::JsonSchema(serde_json::json!({"enum": [long]})),
                "bytes",
            ),
        ] {
            let error = grammars
                .compile(&constraint)
                .expect_err("it cannot be used");
            assert!(error.to_string().contains(word), "{error} for {word:?}");
        }
    }

    /// Small texts that ask for much work: llguidance's own limits end them.
    #[test]
    fn a_small_constraint_that_explodes_is_refused_or_bounded() {
        let grammars = grammars();
        let nested: String = (0..100).fold("a".into(), |inner, _| format!("({inner})"));
        let deep = (0..100).fold(serde_json::json!({"type": "string"}), |inner, _| {
            serde_json::json!({"type": "object", "properties": {"a": inner}, "required": ["a"]})
        });
        for constraint in [
            Constraint::Regex("((((a{999}){999}){999}){999})".into()),
            Constraint::Regex("(a|b)*a(a|b){40}".into()),
            Constraint::Regex(nested.clone()),
            Constraint::Grammar(format!("start: {nested}\na: \"a\"")),
            Constraint::Grammar("start: start start | start | \"a\" | \"\"".into()),
            Constraint::Grammar("start: start".into()),
            Constraint::JsonSchema(deep),
        ] {
            if let Ok(mut mask) = grammars.compile(&constraint) {
                for _ in 0..60 {
                    let Ok(allowed) = mask.allowed() else { break };
                    let Some(token) = allowed.first_bit_set() else {
                        break;
                    };
                    if mask.accept(token as u32).unwrap_or(true) {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn what_leaves_no_choice_is_known_beforehand() {
        let schema = serde_json::json!({
            "type": "object", "properties": {"naïve": {"type": "boolean"}},
            "required": ["naïve"], "additionalProperties": false,
        });
        let mut mask = grammars()
            .compile(&Constraint::JsonSchema(schema))
            .expect("a sound schema");
        assert_eq!(mask.forced(), r#"{"naïve":"#);
        for byte in r#"{"naïve":"#.bytes() {
            mask.accept(u32::from(byte)).expect("it is forced");
        }
        assert_eq!(mask.forced(), "");
    }
}

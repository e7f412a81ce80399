use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::{
    models::gguf::fixture::{Writer, tiny_llama},
    wire::worker::Role,
};

fn tokenizer(change: impl Fn(&mut Writer)) -> Result<ChatTokenizer, ModelError> {
    let mut writer = tiny_llama();
    change(&mut writer);
    ChatTokenizer::of(&Gguf::read(Cursor::new(writer.finish())).unwrap(), None)
}

fn text(tokenizer: &ChatTokenizer, tokens: &[u32]) -> String {
    let bytes = tokens
        .iter()
        .flat_map(|token| tokenizer.token_bytes(*token));
    String::from_utf8(bytes.copied().collect()).unwrap()
}

#[test]
fn other_kinds_of_tokenizer_are_refused_by_name() {
    for (key, value) in [
        ("tokenizer.ggml.model", "bert"),
        ("tokenizer.ggml.pre", "qwen35"),
    ] {
        let error = tokenizer(|writer| writer.text(key, value)).err().unwrap();
        assert!(error.to_string().contains(value), "{error}");
    }
}

#[test]
fn a_template_that_does_not_parse_is_refused_at_once() {
    let broken = tokenizer(|writer| writer.text("tokenizer.chat_template", "{% for %}"));
    assert!(matches!(broken, Err(ModelError::Template(_))));
}

#[test]
fn a_template_can_refuse_a_chat() {
    let template = "{{ raise_exception('no ' ~ messages[0].content.strip()) }}";
    let tokenizer = tokenizer(|writer| writer.text("tokenizer.chat_template", template));
    let message = Message {
        role: Role::User,
        content: " thanks ".into(),
    };
    let error = tokenizer.unwrap().encode_chat(&[message], "").unwrap_err();
    assert!(error.to_string().contains("no thanks"), "{error}");
}

#[test]
fn bytes_that_the_vocabulary_lacks_are_left_out() {
    let tokenizer = tokenizer(|writer| {
        let tokens = ["<|im_end|>", "h", "i", "hi"].map(String::from);
        writer.texts("tokenizer.ggml.tokens", &tokens);
        writer.integers("tokenizer.ggml.token_type", &[3, 1, 1, 1]);
        writer.integer("tokenizer.ggml.eos_token_id", 0);
    });
    let tokenizer = tokenizer.unwrap();
    assert_eq!(tokenizer.encode_text("h\u{4}i, hi"), [1, 2, 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn text_survives_its_tokens(written in r"\PC*(<\|im_end\|>)?\PC*") {
        let tokenizer = tokenizer(|_| {}).unwrap();
        let tokens = tokenizer.encode_text(&written);
        prop_assert_eq!(text(&tokenizer, &tokens), &*written);
        prop_assert!(!tokens.iter().any(|token| tokenizer.is_end(*token)));
    }

    #[test]
    fn what_is_said_never_steers(
        said in proptest::collection::vec(
            "(<\\|im_(start|end)\\|>|<\\||\\|>|im_end|\u{FDD0}|[a-z <|>]){0,6}",
            1..4,
        ),
    ) {
        let tokenizer = tokenizer(|_| {}).unwrap();
        let message = |content: &String| Message {
            role: Role::User,
            content: content.clone(),
        };
        let messages: Vec<Message> = said.iter().map(message).collect();
        let tokens = tokenizer.encode_chat(&messages, &said[0]).unwrap();
        let steering = tokens.iter().filter(|token| tokenizer.is_end(**token)).count();
        prop_assert_eq!(steering, 2 * said.len() + 1);
        let mut expected: String = said.iter().map(|said| format!("user\n{said}\n")).collect();
        expected.push_str("assistant\n");
        expected.push_str(&said[0]);
        prop_assert_eq!(text(&tokenizer, &tokens), expected);
    }
}

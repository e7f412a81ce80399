//! Text to tokens and back, from a GGUF file's own vocabulary, merges and template.

use std::{
    collections::HashMap,
    io::{Read, Seek},
};

use tokenizers::{
    Tokenizer,
    models::bpe::{BPE, Vocab},
    pre_tokenizers::{byte_level::ByteLevel, digits::Digits, sequence::Sequence},
};

use crate::{
    models::{ModelError, gguf::Gguf, template::ChatTemplate},
    wire::worker::Message,
};

/// `tokenizer.ggml.token_type` of tokens that steer a model and stand for no text.
const CONTROL: i64 = 3;
/// `tokenizer.ggml.token_type` of tokens that are matched whole in a template's text.
const USER_DEFINED: i64 = 4;
/// Unicode's noncharacters: no text that people exchange contains them.
const NONCHARACTERS: std::ops::RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';

/// A byte-level BPE vocabulary with its chat template.
pub(crate) struct ChatTokenizer {
    bpe: Tokenizer,
    template: ChatTemplate,
    /// Texts of control and user-defined tokens, longest first.
    specials: Vec<(String, u32)>,
    control: Vec<bool>,
    /// What each token stands for, one after another.
    bytes: Vec<u8>,
    /// Where each token's bytes end in `bytes`.
    ends: Vec<usize>,
    end: u32,
    /// Put before a chat that does not start with it.
    bos: Option<u32>,
}

impl ChatTokenizer {
    /// Builds the tokenizer that the file describes, with its chat template or `template`
    /// in its place.
    ///
    /// # Errors
    /// When its kind, or the rule that splits text before merging, is not one that is
    /// reproduced here token for token.
    pub(crate) fn of<R: Read + Seek>(
        gguf: &Gguf<R>,
        template: Option<&str>,
    ) -> Result<Self, ModelError> {
        let refuse = |problem: String| Err(ModelError::Unsupported(problem));
        let kind = gguf.text("tokenizer.ggml.model")?;
        if kind != "gpt2" {
            return refuse(format!(
                "a tokenizer of kind {kind:?}; only byte-level BPE (\"gpt2\") is read"
            ));
        }
        let pre = gguf.text("tokenizer.ggml.pre")?;
        if pre != "smollm" {
            return refuse(format!(
                "a pre-tokenizer {pre:?}; only \"smollm\" is reproduced"
            ));
        }
        let tokens = gguf.texts("tokenizer.ggml.tokens")?;
        let types = gguf.integers("tokenizer.ggml.token_type")?;
        if types.len() != tokens.len() || tokens.len() > 1 << 24 {
            return refuse(format!("{} tokens of {} types", tokens.len(), types.len()));
        }
        let token = |key: &str| -> Result<u32, ModelError> {
            let id = gguf.integer(key)?;
            match u32::try_from(id) {
                Ok(id) if (id as usize) < tokens.len() => Ok(id),
                _ => Err(ModelError::Unsupported(format!("{key} = {id}"))),
            }
        };
        let eos = token("tokenizer.ggml.eos_token_id")?;
        let end = match gguf.get("tokenizer.ggml.eot_token_id") {
            Some(_) => token("tokenizer.ggml.eot_token_id")?,
            None => eos,
        };
        let bos_text = match gguf.get("tokenizer.ggml.bos_token_id") {
            Some(_) => tokens[token("tokenizer.ggml.bos_token_id")? as usize],
            None => "",
        };
        let bos = match gguf.flag("tokenizer.ggml.add_bos_token") {
            Some(true) => Some(token("tokenizer.ggml.bos_token_id")?),
            _ => None,
        };

        let byte_of = byte_alphabet();
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(tokens.len()));
        let mut specials = Vec::new();
        let mut control = Vec::with_capacity(tokens.len());
        for (id, (&text, &kind)) in tokens.iter().zip(&types).enumerate() {
            control.push(kind == CONTROL);
            match kind {
                CONTROL | USER_DEFINED if text.is_empty() => {}
                CONTROL => specials.push((text.to_owned(), id as u32)),
                USER_DEFINED => {
                    specials.push((text.to_owned(), id as u32));
                    bytes.extend_from_slice(text.as_bytes());
                }
                _ => {
                    for character in text.chars() {
                        let Some(byte) = byte_of.get(&character) else {
                            return refuse(format!("the token {text:?}, which is not byte-level"));
                        };
                        bytes.push(*byte);
                    }
                }
            }
            ends.push(bytes.len());
        }
        specials.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));

        let template = match template {
            Some(template) => template,
            None => gguf.text("tokenizer.chat_template")?,
        };
        let template = ChatTemplate::parse(
            template.to_owned(),
            bos_text.to_owned(),
            tokens[eos as usize].to_owned(),
        )?;
        Ok(Self {
            bpe: bpe(&tokens, &gguf.texts("tokenizer.ggml.merges")?)?,
            template,
            specials,
            control,
            bytes,
            ends,
            end,
            bos,
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.ends.len()
    }

    /// Tokens of plain text; names of special tokens in it are text like any other.
    ///
    /// Bytes that the vocabulary lacks are left out, as llama.cpp does. SmolLM2 lacks
    /// some control characters and what begins the unassigned planes of Unicode.
    pub(crate) fn encode_text(&self, text: &str) -> Vec<u32> {
        self.bpe
            .encode_fast(text, false)
            .expect("byte-level BPE without a token for the unknown leaves out what it lacks")
            .get_ids()
            .to_vec()
    }

    /// Tokens of a chat up to where the reply begins, then `prefill`.
    ///
    /// Special tokens count in what the template adds, never in what people wrote: each
    /// of their texts' characters that could begin a special token is marked before
    /// rendering, and the marks are taken out once the special tokens are found.
    ///
    /// # Errors
    /// When the template refuses the messages.
    pub(crate) fn encode_chat(
        &self,
        messages: &[Message],
        prefill: &str,
    ) -> Result<Vec<u32>, ModelError> {
        let texts = || {
            messages
                .iter()
                .map(|message| message.content.as_str())
                .chain([prefill])
        };
        let mark = NONCHARACTERS
            .clone()
            .find(|mark| !texts().any(|text| text.contains(*mark)))
            .ok_or_else(|| ModelError::Template("a text uses every noncharacter".into()))?;
        let marked: Vec<Message> = messages
            .iter()
            .map(|message| Message {
                role: message.role,
                content: self.marked(&message.content, mark),
            })
            .collect();
        let mut rendered = self.template.render(&marked)?;
        rendered.push_str(&self.marked(prefill, mark));

        let mut tokens = Vec::new();
        let mut plain = String::new();
        let mut rest = rendered.as_str();
        while let Some(next) = rest.chars().next() {
            if let Some((text, id)) = self.special_at(rest) {
                self.encode_onto(&mut tokens, &mut plain);
                tokens.push(id);
                rest = &rest[text.len()..];
            } else {
                if next != mark {
                    plain.push(next);
                }
                rest = &rest[next.len_utf8()..];
            }
        }
        self.encode_onto(&mut tokens, &mut plain);
        if let Some(bos) = self.bos
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
        Ok(tokens)
    }

    /// The bytes that a token stands for; none for control tokens and unknown ones.
    pub(crate) fn token_bytes(&self, token: u32) -> &[u8] {
        let token = token as usize;
        let Some(&end) = self.ends.get(token) else {
            return &[];
        };
        let start = token.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..end]
    }

    /// Whether nothing that a reader could see follows: any control token, because a
    /// reply contains none but the one that ends it.
    pub(crate) fn is_end(&self, token: u32) -> bool {
        token == self.end || self.control.get(token as usize) == Some(&true)
    }

    /// The token that ends a turn.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    fn special_at(&self, text: &str) -> Option<(&str, u32)> {
        self.specials
            .iter()
            .find(|(special, _)| text.starts_with(special.as_str()))
            .map(|(special, id)| (special.as_str(), *id))
    }

    fn marked(&self, text: &str, mark: char) -> String {
        let begins = |character: char| {
            self.specials
                .iter()
                .any(|(special, _)| special.starts_with(character))
        };
        let mut marked = String::with_capacity(text.len());
        for character in text.chars() {
            marked.push(character);
            if begins(character) {
                marked.push(mark);
            }
        }
        marked
    }

    fn encode_onto(&self, tokens: &mut Vec<u32>, plain: &mut String) {
        if !plain.is_empty() {
            tokens.extend(self.encode_text(plain));
            plain.clear();
        }
    }
}

/// Digits one by one, then GPT-2's splitting rule, then merges over bytes.
fn bpe(tokens: &[&str], merges: &[&str]) -> Result<Tokenizer, ModelError> {
    let vocabulary: Vocab = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), id as u32))
        .collect();
    let merges = merges
        .iter()
        .map(|merge| match merge.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(ModelError::Unsupported(format!("the merge {merge:?}"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let bpe = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .build()
        .map_err(|error| ModelError::Unsupported(format!("merges that do not fit: {error}")))?;
    let mut tokenizer = Tokenizer::new(bpe);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        Digits::new(true).into(),
        ByteLevel::new(false, false, true).into(),
    ])));
    Ok(tokenizer)
}

/// GPT-2's printable stand-ins for bytes (`bytes_to_unicode` of its `encoder.py`).
pub(crate) fn byte_alphabet() -> HashMap<char, u8> {
    let mut alphabet = HashMap::new();
    let mut stand_in = 256_u32;
    for byte in 0..=255_u8 {
        let printable = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let character = if printable {
            char::from(byte)
        } else {
            stand_in += 1;
            char::from_u32(stand_in - 1).expect("256..=511 are characters")
        };
        alphabet.insert(character, byte);
    }
    alphabet
}

#[cfg(test)]
mod tests {
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
            ("tokenizer.ggml.pre", "qwen2"),
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
}

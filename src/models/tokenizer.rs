//! Text to tokens and back, from a GGUF file's own vocabulary, merges and template.

pub(crate) mod bpe;
mod spm;

use std::{
    collections::HashMap,
    io::{Read, Seek},
};

use tokenizers::Tokenizer;

use self::{bpe::PreTokenizer, spm::Pieces};
use crate::{
    models::{
        ModelError,
        gguf::{Gguf, Value},
        template::ChatTemplate,
    },
    wire::worker::Message,
};

/// `tokenizer.ggml.token_type` of tokens that steer a model and stand for no text.
const CONTROL: i64 = 3;
/// `tokenizer.ggml.token_type` of tokens that are matched whole.
const USER_DEFINED: i64 = 4;
/// `tokenizer.ggml.token_type` of tokens that stand for single bytes, written `<0x0A>`.
const BYTE: i64 = 6;
/// `tokenizer.ggml.token_type` of what stands for no text: unknown and unused tokens.
const NO_TEXT: [i64; 2] = [2, 5];
/// Texts of tokens that end a turn, likeliest first. Files do not always say which does, and
/// some give them a type that is not [`CONTROL`].
const TURN_ENDS: [&str; 6] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|eom_id|>",
    "<|endoftext|>",
];
/// Unicode's noncharacters: no text that people exchange contains them.
const NONCHARACTERS: std::ops::RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';

/// A vocabulary with its chat template.
pub(crate) struct ChatTokenizer {
    merging: Merging,
    /// None: the model was not trained on chats.
    template: Option<ChatTemplate>,
    /// Tokens that count in what the template adds only: control tokens, and markup that a
    /// byte-level vocabulary defines.
    specials: Literals,
    /// Tokens that are matched whole in any text, such as runs of spaces.
    literals: Literals,
    control: Vec<bool>,
    /// What each token stands for, one after another.
    bytes: Vec<u8>,
    /// Where each token's bytes end in `bytes`.
    ends: Vec<usize>,
    end: u32,
    /// Put before what does not start with it.
    bos: Option<u32>,
}

/// How a text between matched tokens becomes tokens.
enum Merging {
    ByteLevel(Box<Tokenizer>),
    SentencePiece(Box<Pieces>),
}

/// Tokens that are found in a text as they stand.
#[derive(Default)]
struct Literals(
    /// By first character, longest first.
    HashMap<char, Vec<(String, u32)>>,
);

impl Literals {
    fn add(&mut self, text: &str, id: u32) {
        let Some(first) = text.chars().next() else {
            return;
        };
        let same = self.0.entry(first).or_default();
        let place = same.partition_point(|(other, _)| other.len() >= text.len());
        same.insert(place, (text.to_owned(), id));
    }

    /// The longest one that `text` starts with.
    fn at(&self, text: &str) -> Option<(&str, u32)> {
        self.0
            .get(&text.chars().next()?)?
            .iter()
            .find(|(literal, _)| text.starts_with(literal.as_str()))
            .map(|(literal, id)| (literal.as_str(), *id))
    }
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
        let tokens = gguf.texts("tokenizer.ggml.tokens")?;
        let types = gguf.integers("tokenizer.ggml.token_type")?;
        if types.len() != tokens.len() || tokens.len() > 1 << 24 {
            return refuse(format!("{} tokens of {} types", tokens.len(), types.len()));
        }
        let token = |key: &str| -> Result<Option<u32>, ModelError> {
            let key = format!("tokenizer.ggml.{key}_token_id");
            if gguf.get(&key).is_none() {
                return Ok(None);
            }
            let id = gguf.integer(&key)?;
            match u32::try_from(id) {
                Ok(id) if (id as usize) < tokens.len() => Ok(Some(id)),
                _ => Err(ModelError::Unsupported(format!("{key} = {id}"))),
            }
        };
        let kind = gguf.text("tokenizer.ggml.model")?;
        let pre = match kind {
            "gpt2" => {
                let name = gguf.text("tokenizer.ggml.pre")?;
                let Some(pre) = PreTokenizer::of(name) else {
                    return refuse(format!("a pre-tokenizer {name:?}, which is not reproduced"));
                };
                Some(pre)
            }
            "llama" => None,
            _ => {
                return refuse(format!(
                    "a tokenizer of kind {kind:?}; byte-level BPE (\"gpt2\") and \
                     SentencePiece (\"llama\") are read"
                ));
            }
        };
        let Some(eos) = token("eos")? else {
            return refuse("no tokenizer.ggml.eos_token_id".into());
        };
        let template = match (template, gguf.get("tokenizer.chat_template")) {
            (Some(template), _) => Some(template),
            (None, Some(_)) => Some(gguf.text("tokenizer.chat_template")?),
            (None, None) => None,
        };
        // A base model may have the turn's end of its chatting sister in its vocabulary.
        let turn_end = || {
            let template = template?;
            let known = |end: &&&str| template.contains(**end);
            let texts = TURN_ENDS.iter().filter(known);
            texts
                .filter_map(|text| tokens.iter().position(|token| token == text))
                .next()
        };
        let end = match token("eot")? {
            Some(eot) => eot,
            None => turn_end().map_or(eos, |id| id as u32),
        };
        let expects_bos = pre.as_ref().is_none_or(|pre| pre.add_bos);
        let bos = token("bos")?;
        let added_bos = match gguf.flag("tokenizer.ggml.add_bos_token") {
            Some(false) => None,
            None if !expects_bos => None,
            _ if bos.is_none() => return refuse("no tokenizer.ggml.bos_token_id".into()),
            _ => bos,
        };

        let byte_of = bpe::byte_alphabet();
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(tokens.len()));
        let (mut specials, mut literals) = (Literals::default(), Literals::default());
        let mut control = Vec::with_capacity(tokens.len());
        let scores = match &pre {
            Some(_) => Vec::new(),
            None => scores(gguf, tokens.len())?,
        };
        let prefix = gguf.flag("tokenizer.ggml.add_space_prefix");
        let mut pieces = Pieces::new(prefix.unwrap_or(true));
        for (id, (&text, &kind)) in (0_u32..).zip(tokens.iter().zip(&types)) {
            let steers = kind == CONTROL || id == end || id == eos || TURN_ENDS.contains(&text);
            control.push(steers);
            match kind {
                _ if steers => specials.add(text, id),
                USER_DEFINED => {
                    // People may write HTML where it is a token like any other; in the
                    // byte-level vocabularies what looks like markup steers tools and thought.
                    let markup = matches!(text.as_bytes(), [b'<', .., b'>'] | [b'[', .., b']']);
                    match &pre {
                        Some(_) if markup => specials.add(text, id),
                        _ => literals.add(text, id),
                    }
                    bytes.extend_from_slice(text.as_bytes());
                }
                BYTE if pre.is_none() => {
                    let hex = text
                        .strip_prefix("<0x")
                        .and_then(|rest| rest.strip_suffix('>'));
                    let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    let Some(byte) = byte else {
                        return refuse(format!("the token {text:?} for a byte"));
                    };
                    pieces.add_byte(byte, id);
                    bytes.push(byte);
                }
                kind if NO_TEXT.contains(&kind) => {}
                _ if pre.is_none() => {
                    pieces.add(text, id, scores[id as usize]);
                    bytes.extend(text.replace(spm::SPACE, " ").bytes());
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
        let merging = match pre {
            None => Merging::SentencePiece(Box::new(pieces)),
            Some(pre) => {
                // No spelling of a text may come out as a token that steers.
                let plain = (0_u32..)
                    .zip(&tokens)
                    .filter(|(id, _)| !control[*id as usize])
                    .map(|(id, text)| (*text, id));
                let merges = gguf.texts("tokenizer.ggml.merges")?;
                Merging::ByteLevel(Box::new(bpe::build(&pre, plain, &merges)?))
            }
        };
        let text_of = |id: u32| tokens[id as usize].to_owned();
        let template = template
            .map(|source| {
                let bos = bos.map(text_of).unwrap_or_default();
                ChatTemplate::parse(source.to_owned(), bos, text_of(eos))
            })
            .transpose()?;
        Ok(Self {
            merging,
            template,
            specials,
            literals,
            control,
            bytes,
            ends,
            end,
            bos: added_bos,
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.ends.len()
    }

    /// The token that the model expects before everything else, if it does.
    pub(crate) fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// Tokens of plain text; names of special tokens in it are text like any other.
    ///
    /// Bytes that the vocabulary lacks are left out, as llama.cpp does. SmolLM2 lacks
    /// some control characters and what begins the unassigned planes of Unicode. A
    /// vocabulary of SentencePiece's kind may put a space before the text.
    pub(crate) fn encode_text(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.encode_onto(&mut tokens, text);
        tokens
    }

    /// Tokens of a chat up to where the reply begins, then `prefill`.
    ///
    /// Special tokens count in what the template adds, never in what people wrote: each
    /// of their texts' characters that could begin a special token is marked before
    /// rendering, and the marks are taken out once the special tokens are found.
    ///
    /// # Errors
    /// When the template refuses the messages, or the model has none.
    pub(crate) fn encode_chat(
        &self,
        messages: &[Message],
        prefill: &str,
    ) -> Result<Vec<u32>, ModelError> {
        let Some(template) = &self.template else {
            return Err(ModelError::Template(
                "the model has none, because it was not trained on chats".into(),
            ));
        };
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
        let mut rendered = template.render(&marked)?;
        rendered.push_str(&self.marked(prefill, mark));

        let mut tokens = Vec::new();
        let mut plain = String::new();
        let mut rest = rendered.as_str();
        while let Some(next) = rest.chars().next() {
            if let Some((text, id)) = self.specials.at(rest) {
                self.encode_onto(&mut tokens, &plain);
                plain.clear();
                tokens.push(id);
                rest = &rest[text.len()..];
            } else {
                if next != mark {
                    plain.push(next);
                }
                rest = &rest[next.len_utf8()..];
            }
        }
        self.encode_onto(&mut tokens, &plain);
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

    fn marked(&self, text: &str, mark: char) -> String {
        let mut marked = String::with_capacity(text.len());
        for character in text.chars() {
            marked.push(character);
            if self.specials.0.contains_key(&character) {
                marked.push(mark);
            }
        }
        marked
    }

    /// Appends the tokens of a text that starts afresh or follows a special token.
    fn encode_onto(&self, tokens: &mut Vec<u32>, text: &str) {
        let mut follows_special = true;
        let mut start = 0;
        let mut at = 0;
        while let Some(next) = text[at..].chars().next() {
            let Some((literal, id)) = self.literals.at(&text[at..]) else {
                at += next.len_utf8();
                continue;
            };
            self.merge_onto(tokens, &text[start..at], follows_special);
            tokens.push(id);
            follows_special = true;
            at += literal.len();
            start = at;
        }
        self.merge_onto(tokens, &text[start..], follows_special);
    }

    fn merge_onto(&self, tokens: &mut Vec<u32>, text: &str, follows_special: bool) {
        match &self.merging {
            _ if text.is_empty() => {}
            Merging::SentencePiece(pieces) => pieces.encode(text, follows_special, tokens),
            Merging::ByteLevel(tokenizer) => tokens.extend_from_slice(
                tokenizer
                    .encode_fast(text, false)
                    .expect("byte-level BPE without a token for the unknown leaves it out")
                    .get_ids(),
            ),
        }
    }
}

/// The scores of all tokens.
fn scores<R: Read + Seek>(gguf: &Gguf<R>, count: usize) -> Result<Vec<f32>, ModelError> {
    let scores: Option<Vec<f32>> = match gguf.get("tokenizer.ggml.scores") {
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| match value {
                Value::Float(score) => Some(*score as f32),
                Value::Signed(score) => Some(*score as f32),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    scores
        .filter(|scores| scores.len() == count)
        .ok_or_else(|| {
            ModelError::Unsupported(
                "a SentencePiece vocabulary without a score for each token".into(),
            )
        })
}

#[cfg(test)]
mod tests;

//! Text to tokens and back by a `tokenizer.json` of the Hugging Face hub.

mod library;

use serde_json::Value;
use tokenizers::Tokenizer;

use super::{
    ModelError,
    hub_export::{ExportError, HubExport, config::ExportConfig},
    specials::{Part, Specials},
    template::ChatTemplate,
    tokenizer::bpe::byte_alphabet,
};
use crate::wire::worker::{Message, Role};

/// No vocabulary has more tokens.
const MAX_TOKENS: u32 = 1 << 21;
/// How often text that spells special tokens is cut before they are left out of it.
const MAX_CUTS: usize = 4;
/// SentencePiece's stand-in for a space.
const SPACE: char = '\u{2581}';

/// How a chat is written for the model.
enum Form {
    /// By the model's own template.
    Template(Box<ChatTemplate>),
    /// Turn after turn, each followed by the token that ends a text (DialoGPT).
    Separated,
    /// For a model that was trained on text alone: the system message, then a line per
    /// turn, `User: …` or `Assistant: …`, up to the name of who speaks next. Line breaks
    /// inside a turn become spaces.
    Lines,
}

/// A vocabulary from `tokenizer.json`, with the way that its model writes chats.
pub(crate) struct HubTokenizer {
    tokenizer: Tokenizer,
    form: Form,
    specials: Specials,
    /// Whether each token is special; the one for the unknown is not.
    control: Vec<bool>,
    /// What each token stands for, one after another.
    bytes: Vec<u8>,
    /// Where each token's bytes end in `bytes`.
    ends: Vec<usize>,
    /// Tokens that end a text, the chief one first.
    last: Vec<u32>,
    /// What the tokenizer puts before and behind a text.
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    /// Whether any special token ends a reply: encoder-decoders write theirs in between.
    control_ends: bool,
}

impl HubTokenizer {
    /// Builds the tokenizer of an export; `template` replaces the export's own.
    ///
    /// # Errors
    /// When a file is missing or malformed, or tokens cannot be turned into bytes.
    pub(crate) fn of(export: &HubExport, template: Option<&str>) -> Result<Self, ModelError> {
        let jinja = export.chat_template()?;
        let settings = export.tokenizer_config()?;
        let template = template.or(jinja.as_deref());
        Self::read(
            &export.tokenizer()?,
            settings.as_deref(),
            template,
            &export.config,
        )
        .map_err(|error| match error {
            Failure::Export(error) => export.error(error),
            Failure::Model(error) => error,
        })
    }

    fn read(
        tokenizer: &[u8],
        settings: Option<&[u8]>,
        template: Option<&str>,
        config: &ExportConfig,
    ) -> Result<Self, Failure> {
        let refuse = |problem: String| ExportError::Tokenizer(problem);
        let json: Value = serde_json::from_slice(tokenizer)
            .map_err(|error| refuse(format!("no JSON: {error}")))?;
        let settings = match settings {
            Some(text) => super::hub_export::config::object("tokenizer_config.json", text)?,
            None => Value::Null,
        };
        let spelling = Spelling::of(&json["decoder"])?;
        let tokenizer = library::build(tokenizer, &json).map_err(refuse)?;

        let mut texts: Vec<(String, u32)> = tokenizer.get_vocab(true).into_iter().collect();
        texts.sort_by_key(|(_, id)| *id);
        let size = texts.last().map_or(0, |(_, id)| id.saturating_add(1));
        if size == 0 || size > MAX_TOKENS {
            return Err(refuse(format!("{size} tokens")).into());
        }
        let added = tokenizer.get_added_tokens_decoder();
        let unknown = unknown(&json["model"]);
        let (mut bytes, mut ends) = (Vec::new(), vec![0; size as usize]);
        let mut control = vec![false; size as usize];
        let mut specials = Vec::new();
        let mut texts = texts.into_iter().peekable();
        for id in 0..size {
            let at = id as usize;
            while let Some((text, _)) = texts.next_if(|(_, next)| *next == id) {
                let is_unknown = unknown.as_ref().is_some_and(|unknown| match unknown {
                    Unknown::Id(unknown) => *unknown == u64::from(id),
                    Unknown::Text(unknown) => *unknown == text,
                });
                match added.get(&id) {
                    Some(token) if token.special => {
                        control[at] = !is_unknown;
                        specials.push((text, id));
                    }
                    Some(_) => bytes.extend_from_slice(text.as_bytes()),
                    None if is_unknown => {}
                    None => spelling.write(&text, &mut bytes),
                }
            }
            ends[at] = bytes.len();
        }

        let id_of = |key: &str| {
            let text = text_of(&settings[key])?;
            tokenizer.token_to_id(&text)
        };
        let mut last: Vec<u32> = id_of("eos_token").into_iter().collect();
        // What generation stops at comes first: a chat model's texts end otherwise than its turns.
        for id in config.ends.iter().rev().filter(|id| **id < size) {
            last.retain(|other| other != id);
            last.insert(0, *id);
        }
        if last.is_empty() {
            return Err(refuse("no token that ends a text".into()).into());
        }
        let text = |id: Option<u32>| {
            id.and_then(|id| tokenizer.id_to_token(id))
                .unwrap_or_default()
        };
        let bos = id_of("bos_token").or(config.bos);
        let eos = id_of("eos_token").or(last.first().copied());
        let form = match template
            .map(str::to_owned)
            .or_else(|| template_of(&settings))
        {
            Some(source) => {
                Form::Template(Box::new(ChatTemplate::parse(source, text(bos), text(eos))?))
            }
            None if config.separated_turns => Form::Separated,
            None => Form::Lines,
        };
        let (prefix, suffix) = around(&tokenizer).map_err(refuse)?;
        Ok(Self {
            tokenizer,
            form,
            specials: Specials::new(specials),
            control,
            bytes,
            ends,
            last,
            prefix,
            suffix,
            control_ends: !config.encoder_decoder,
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.ends.len()
    }

    /// Whether the model has a way of its own to write chats.
    pub(crate) fn knows_chats(&self) -> bool {
        !matches!(self.form, Form::Lines)
    }

    /// What the tokenizer puts behind a text: an encoder reads it.
    pub(crate) fn suffix(&self) -> &[u32] {
        &self.suffix
    }

    /// Tokens of plain text; names of special tokens in it are text like any other. A
    /// vocabulary that has such a name as a word (SentencePiece's do) is given it in two
    /// pieces.
    pub(crate) fn encode_text(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.encode_onto(&mut tokens, text, MAX_CUTS);
        tokens
    }

    fn encode_onto(&self, tokens: &mut Vec<u32>, text: &str, cuts: usize) {
        let encoding = match library::encode(&self.tokenizer, text, false) {
            Ok(encoding) => encoding,
            Err(error) => {
                tracing::error!(%error, "a text cannot be turned into tokens");
                return;
            }
        };
        let is_control = |id: &u32| self.control.get(*id as usize) == Some(&true);
        let ids = encoding.get_ids();
        if !ids.iter().any(is_control) {
            tokens.extend_from_slice(ids);
            return;
        }
        if cuts == 0 {
            tokens.extend(ids.iter().filter(|id| !is_control(id)));
            return;
        }
        let mut start = 0;
        for (_, (from, to)) in ids
            .iter()
            .zip(encoding.get_offsets())
            .filter(|(id, _)| is_control(id))
        {
            // Behind its first letter that is not a space: the cut must go through the name.
            let name = text.get(*from..*to).unwrap_or_default();
            let cut = name
                .char_indices()
                .find(|(_, letter)| !letter.is_whitespace())
                .map_or(*to, |(at, letter)| from + at + letter.len_utf8());
            if let Some(piece) = text.get(start..cut) {
                self.encode_onto(tokens, piece, cuts - 1);
                start = cut;
            }
        }
        self.encode_onto(tokens, &text[start..], cuts - 1);
    }

    /// Tokens of a chat up to where the reply begins, then `prefill`.
    ///
    /// # Errors
    /// When the template refuses the messages.
    pub(crate) fn encode_chat(
        &self,
        messages: &[Message],
        prefill: &str,
    ) -> Result<Vec<u32>, ModelError> {
        match &self.form {
            Form::Template(template) => self.by_template(template, messages, prefill),
            Form::Separated => {
                let mut tokens = Vec::new();
                for message in messages {
                    tokens.extend(self.encode_text(&message.content));
                    tokens.push(self.end());
                }
                tokens.extend(self.encode_text(prefill));
                Ok(tokens)
            }
            Form::Lines => {
                let mut tokens = self.prefix.clone();
                tokens.extend(self.encode_text(&lines(messages, prefill)));
                Ok(tokens)
            }
        }
    }

    fn by_template(
        &self,
        template: &ChatTemplate,
        messages: &[Message],
        prefill: &str,
    ) -> Result<Vec<u32>, ModelError> {
        let said = messages.iter().map(|message| message.content.as_str());
        let mark = Specials::mark(said.chain([prefill]))?;
        let marked: Vec<Message> = messages
            .iter()
            .map(|message| Message {
                role: message.role,
                content: self.specials.marked(&message.content, mark),
            })
            .collect();
        let mut rendered = template.render(&marked)?;
        rendered.push_str(&self.specials.marked(prefill, mark));
        let mut tokens = Vec::new();
        for part in self.specials.split(&rendered, mark) {
            match part {
                Part::Special(id) => tokens.push(id),
                Part::Plain(text) => tokens.extend(self.encode_text(&text)),
            }
        }
        Ok(tokens)
    }

    /// The bytes that a token stands for; none for special tokens and unknown ones.
    pub(crate) fn token_bytes(&self, token: u32) -> &[u8] {
        let token = token as usize;
        let Some(&end) = self.ends.get(token) else {
            return &[];
        };
        let start = token.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..end]
    }

    /// Whether nothing that a reader could see follows.
    pub(crate) fn is_end(&self, token: u32) -> bool {
        let control = self.control.get(token as usize) == Some(&true);
        self.last.contains(&token) || (self.control_ends && control)
    }

    /// The token that ends a turn.
    pub(crate) fn end(&self) -> u32 {
        self.last[0]
    }
}

/// Why [`HubTokenizer::read`] failed: the export, or its template.
enum Failure {
    Export(ExportError),
    Model(ModelError),
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        Self::Export(error)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

/// See [`Form::Lines`].
fn lines(messages: &[Message], prefill: &str) -> String {
    let mut text = String::new();
    for message in messages {
        let name = match message.role {
            Role::System => {
                text.push_str(message.content.trim());
                text.push_str("\n\n");
                continue;
            }
            Role::User => "User",
            Role::Assistant => "Assistant",
        };
        let line = message.content.split_whitespace().collect::<Vec<_>>();
        text.push_str(&format!("{name}: {}\n", line.join(" ")));
    }
    text.push_str("Assistant:");
    if !prefill.is_empty() {
        text.push(' ');
        text.push_str(prefill);
    }
    text
}

/// What the tokenizer's post-processor puts before and behind a text.
fn around(tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<u32>), String> {
    let ids = |special| {
        let encoding = library::encode(tokenizer, "a", special)?;
        Ok::<_, String>(encoding.get_ids().to_vec())
    };
    let (bare, whole) = (ids(false)?, ids(true)?);
    let at = (0..=whole.len().saturating_sub(bare.len()))
        .find(|at| whole[*at..].starts_with(&bare))
        .ok_or("a post-processor that changes the text's own tokens")?;
    Ok((whole[..at].to_vec(), whole[at + bare.len()..].to_vec()))
}

/// Which token stands for what the vocabulary lacks.
enum Unknown {
    Id(u64),
    Text(String),
}

fn unknown(model: &Value) -> Option<Unknown> {
    match (&model["unk_id"], &model["unk_token"]) {
        (Value::Number(id), _) => id.as_u64().map(Unknown::Id),
        (_, Value::String(text)) => Some(Unknown::Text(text.clone())),
        _ => None,
    }
}

/// A token's text as `tokenizer_config.json` has it: plain, or with how it is matched.
fn text_of(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value["content"].as_str())?;
    Some(text.to_owned())
}

/// The chat template in `tokenizer_config.json`, of several the default one.
fn template_of(settings: &Value) -> Option<String> {
    let template = &settings["chat_template"];
    if let Some(text) = template.as_str() {
        return Some(text.to_owned());
    }
    let named = template.as_array()?;
    let chosen = named
        .iter()
        .find(|template| template["name"] == "default")
        .or(named.first())?;
    Some(chosen["template"].as_str()?.to_owned())
}

/// How tokens spell bytes.
enum Spelling {
    /// Each character stands for a byte (GPT-2).
    ByteLevel(std::collections::HashMap<char, u8>),
    /// Text, with a stand-in for the space; `<0x0A>` is a byte where `bytes` holds.
    Pieces { bytes: bool },
}

impl Spelling {
    /// By the `decoder` of `tokenizer.json`.
    fn of(decoder: &Value) -> Result<Self, ExportError> {
        let refuse = |kind: &str| Err(ExportError::Tokenizer(format!("a decoder of kind {kind}")));
        let single = std::slice::from_ref(decoder);
        let parts = match decoder["type"].as_str() {
            Some("Sequence") => decoder["decoders"]
                .as_array()
                .map_or(&[][..], Vec::as_slice),
            _ => single,
        };
        let (mut pieces, mut bytes) = (false, false);
        for part in parts {
            match part["type"].as_str() {
                Some("ByteLevel") => return Ok(Self::ByteLevel(byte_alphabet())),
                Some("Metaspace") => pieces = true,
                Some("Replace")
                    if part["pattern"]["String"] == SPACE.to_string() && part["content"] == " " =>
                {
                    pieces = true;
                }
                Some("ByteFallback") => bytes = true,
                // They join pieces and take the first space away.
                Some("Fuse" | "Strip") => {}
                kind => return refuse(kind.unwrap_or("none")),
            }
        }
        if pieces {
            Ok(Self::Pieces { bytes })
        } else {
            refuse("none that gives spaces back")
        }
    }

    fn write(&self, token: &str, out: &mut Vec<u8>) {
        match self {
            Self::ByteLevel(alphabet) => {
                let spelt: Option<Vec<u8>> = token
                    .chars()
                    .map(|letter| alphabet.get(&letter).copied())
                    .collect();
                // As the reference does with a token of other letters: it is its own text.
                out.extend(spelt.unwrap_or_else(|| token.as_bytes().to_vec()));
            }
            Self::Pieces { bytes } => {
                let byte = token
                    .strip_prefix("<0x")
                    .and_then(|rest| rest.strip_suffix('>'))
                    .filter(|digits| *bytes && digits.len() == 2)
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                match byte {
                    Some(byte) => out.push(byte),
                    None => out.extend_from_slice(token.replace(SPACE, " ").as_bytes()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Byte-level BPE, with the rules that split a text before its parts are merged.

use std::collections::HashMap;

use tokenizers::{
    SplitDelimiterBehavior, Tokenizer,
    models::bpe::{BPE, Vocab},
    pre_tokenizers::{
        PreTokenizerWrapper,
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use crate::models::ModelError;

/// GPT-4's rule, as Llama 3 uses it: digits in threes.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same with single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Words end where upper case follows lower case.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-2's rule.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// How a text is split: `tokenizer.ggml.pre` of GGUF metadata.
pub(super) struct PreTokenizer {
    /// One after another, each on the parts that the one before left. None: single digits,
    /// then [`GPT2`].
    rules: Option<&'static [&'static str]>,
    /// Whether a part that is itself a token is taken without merging.
    pub(super) ignore_merges: bool,
    /// Whether the model expects its first token unless the file says otherwise.
    pub(super) add_bos: bool,
}

impl PreTokenizer {
    /// The pre-tokenizer of this name, if it is reproduced here token for token. The rules
    /// are those of the models' own `tokenizer.json`; the names and flags are llama.cpp's.
    pub(super) fn of(name: &str) -> Option<Self> {
        let plain = |rules| Self {
            rules: Some(rules),
            ignore_merges: false,
            add_bos: false,
        };
        Some(match name {
            "smollm" => Self {
                rules: None,
                ..plain(&[])
            },
            "gpt-2" => plain(&[GPT2]),
            "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "megrez" => plain(&[QWEN2]),
            "dbrx" | "smaug-bpe" => plain(&[LLAMA3]),
            "llama-bpe" | "llama3" | "llama-v3" | "falcon3" => Self {
                ignore_merges: true,
                add_bos: true,
                ..plain(&[LLAMA3])
            },
            "tekken" => Self {
                ignore_merges: true,
                add_bos: true,
                ..plain(&[TEKKEN])
            },
            "default" => plain(&[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]),
            _ => return None,
        })
    }

    fn stages(&self) -> Result<Vec<PreTokenizerWrapper>, ModelError> {
        let Some(rules) = self.rules else {
            return Ok(vec![
                Digits::new(true).into(),
                ByteLevel::new(false, false, true).into(),
            ]);
        };
        let mut stages = Vec::with_capacity(rules.len() + 1);
        for rule in rules {
            let pattern = SplitPattern::Regex((*rule).to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                .map_err(|error| ModelError::Unsupported(format!("a splitting rule: {error}")))?;
            stages.push(split.into());
        }
        stages.push(ByteLevel::new(false, false, false).into());
        Ok(stages)
    }
}

/// Builds the merging over `tokens`, which are (text, id).
pub(super) fn build<'a>(
    pre: &PreTokenizer,
    tokens: impl Iterator<Item = (&'a str, u32)>,
    merges: &[&str],
) -> Result<Tokenizer, ModelError> {
    let vocabulary: Vocab = tokens.map(|(text, id)| (text.to_owned(), id)).collect();
    let merges = merges
        .iter()
        .map(|merge| match merge.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(ModelError::Unsupported(format!("the merge {merge:?}"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let bpe = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .ignore_merges(pre.ignore_merges)
        .build()
        .map_err(|error| ModelError::Unsupported(format!("merges that do not fit: {error}")))?;
    let mut tokenizer = Tokenizer::new(bpe);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(pre.stages()?)));
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

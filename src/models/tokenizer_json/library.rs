//! The border to the library that reads `tokenizer.json`. It trusts the file: one that lies
//! can make it write texts without end, or panic (templates that name no token, merges whose
//! parts do not join, damaged tables of normalisers). Here the one is refused before, and the
//! other becomes an error.

use std::panic::{self, AssertUnwindSafe};

use serde_json::Value;
use tokenizers::{Encoding, Tokenizer};

/// How much longer the steps before the vocabulary may make a text, all together. Those of
/// real models make it some ten times as long at worst, a file that repeats a step any
/// number of times.
const MAX_GROWTH: f64 = 4096.0;

/// Builds the tokenizer that `file` describes; `json` is the same, parsed.
///
/// # Errors
/// With what is wrong with it.
pub(super) fn build(file: &[u8], json: &Value) -> Result<Tokenizer, String> {
    let model = &json["model"];
    if model["type"] == "Unigram" && !model["unk_id"].is_u64() {
        return Err("no token for what it does not know".into());
    }
    let growth = growth(&json["normalizer"]) * growth(&json["pre_tokenizer"]);
    if growth > MAX_GROWTH {
        return Err(format!("steps that make a text {growth} times as long"));
    }
    // The library joins merges without looking, and takes the bytes for text.
    let prefix = model["continuing_subword_prefix"].as_str();
    if let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty())
        && let Some(merge) = merges(model).find(|(_, right)| !right.starts_with(prefix))
    {
        return Err(format!("a merge of {merge:?} without {prefix:?}"));
    }
    held(|| {
        let mut tokenizer = Tokenizer::from_bytes(file)?;
        tokenizer.set_encode_special_tokens(true);
        tokenizer.with_truncation(None)?.with_padding(None);
        Ok(tokenizer)
    })
    .map_err(|problem| format!("parts that do not fit: {problem}"))
}

/// The tokens of a text; `special`: with what belongs before and behind it.
///
/// # Errors
/// When the tokenizer fails.
pub(super) fn encode(tokenizer: &Tokenizer, text: &str, special: bool) -> Result<Encoding, String> {
    held(|| tokenizer.encode(text, special))
}

/// Runs the library; a panic is an error like any other.
fn held<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    // What a panic leaves half done is the tokenizer's cache, which the library gives up when
    // its lock is poisoned, or a tokenizer that nobody gets.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            #[cfg(test)]
            crate::fuzz::panic_was_held();
            Err("the tokenizers library panicked".into())
        }
    }
}

/// Both forms of the pairs that a byte-pair vocabulary joins.
fn merges(model: &Value) -> impl Iterator<Item = (&str, &str)> {
    let list = model["merges"].as_array().map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(|merge| match merge {
        Value::String(text) => text.split_once(' '),
        pair => Some((pair[0].as_str()?, pair[1].as_str()?)),
    })
}

/// How many times as long a normaliser or pre-tokenizer can make a text, at most.
fn growth(step: &Value) -> f64 {
    let length = |value: &Value| value.as_str().map_or(1.0, |text| text.len().max(1) as f64);
    match step["type"].as_str() {
        Some("Sequence") => ["normalizers", "pretokenizers"]
            .iter()
            .filter_map(|list| step[list].as_array())
            .flatten()
            .map(growth)
            .product(),
        Some("Replace") => length(&step["content"]),
        Some("Prepend") => length(&step["prepend"]),
        Some("Metaspace") => length(&step["replacement"]).max(3.0),
        // A byte above 127 becomes a letter of two.
        Some("ByteLevel") => 2.0,
        // Unicode's longest: one sign of three bytes becomes eighteen letters; the blob of
        // `Precompiled` is made from the same tables.
        Some("NFKC" | "NFKD" | "Precompiled" | "BertNormalizer" | "Nmt") => 18.0,
        Some("NFC" | "NFD" | "Lowercase") => 3.0,
        _ => 1.0,
    }
}

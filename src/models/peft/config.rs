//! `adapter_config.json`: which linear layers an adapter speaks to, and how loudly.

use std::{collections::BTreeMap, fmt};

use regex::{Regex, RegexBuilder};
use serde::{
    Deserialize,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{MAX_RANK, PeftError, Target};

/// Patterns that one mapping may hold.
const MAX_PATTERNS: usize = 4096;
/// Bytes that one compiled pattern may take.
const MAX_PATTERN_BYTES: usize = 1 << 18;

/// What changes the computation, and is not computed here. PEFT leaves each of these out,
/// or null, false or empty, in an adapter that is plain LoRA.
const REFUSED: [&str; 11] = [
    "alora_invocation_tokens",
    "arrow_config",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_dora",
    "use_qalora",
    "use_bdlora",
];
/// Initialisations that leave the weights beneath the adapter as they are. Others (`pissa`,
/// `olora`, `loftq`, `corda`) change them, and the adapter alone means nothing.
const INITIALISATIONS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// The file as it stands. Fields that PEFT itself would not know are ignored, as PEFT does.
#[derive(Deserialize)]
struct File {
    peft_type: Option<String>,
    #[serde(default = "eight")]
    r: u64,
    #[serde(default = "eight_point")]
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    bias: Option<String>,
    init_lora_weights: Option<Value>,
    target_modules: Option<Names>,
    exclude_modules: Option<Names>,
    layers_to_transform: Option<Layers>,
    layers_pattern: Option<Names>,
    rank_pattern: Option<InOrder<u64>>,
    alpha_pattern: Option<InOrder<f64>>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// PEFT's own default of `r` and of `lora_alpha`.
fn eight() -> u64 {
    8
}

fn eight_point() -> f64 {
    8.0
}

/// One text is a regular expression; several are endings of names.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    Pattern(String),
    Endings(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Layers {
    One(u64),
    Several(Vec<u64>),
}

/// A mapping whose order counts: the first pattern that matches wins.
struct InOrder<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for InOrder<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Vec<(String, T)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer
            .deserialize_map(Pairs(std::marker::PhantomData))
            .map(InOrder)
    }
}

/// What the file says, checked and ready to be asked.
pub(super) struct Config {
    rank: usize,
    alpha: f64,
    root_scale: bool,
    targets: Matcher,
    excluded: Option<Matcher>,
    layers: Option<Vec<u64>>,
    ranks: Vec<(Regex, usize)>,
    alphas: Vec<(Regex, f64)>,
}

/// Which modules a field names.
enum Matcher {
    Pattern(Regex),
    Endings(Vec<String>),
}

fn refuse(field: impl Into<String>, problem: impl Into<String>) -> PeftError {
    PeftError::Field {
        field: field.into(),
        problem: problem.into(),
    }
}

/// Whether a field says nothing: PEFT writes null, false or something empty.
fn silent(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

impl Config {
    pub(super) fn parse(json: &[u8]) -> Result<Self, PeftError> {
        let file: File = serde_json::from_slice(json).map_err(PeftError::Config)?;
        match file.peft_type.as_deref() {
            Some("LORA") => {}
            Some(other) => {
                return Err(refuse(
                    "peft_type",
                    format!("is {other:?}; only LORA is read"),
                ));
            }
            None => return Err(refuse("peft_type", "is missing")),
        }
        for (field, value) in &file.rest {
            // Whatever PEFT learns to `use_` next is not plain LoRA either.
            if (REFUSED.contains(&field.as_str()) || field.starts_with("use_")) && !silent(value) {
                return Err(refuse(
                    field,
                    "is set; this variant of LoRA is not computed here",
                ));
            }
        }
        if let Some(bias) = &file.bias
            && bias != "none"
        {
            return Err(refuse(
                "bias",
                format!("is {bias:?}; only \"none\" is computed here"),
            ));
        }
        match &file.init_lora_weights {
            None | Some(Value::Null | Value::Bool(_)) => {}
            Some(Value::String(name)) if INITIALISATIONS.contains(&name.as_str()) => {}
            Some(other) => {
                return Err(refuse(
                    "init_lora_weights",
                    format!("is {other}, which changes the model beneath the adapter"),
                ));
            }
        }
        let layers = file.layers_to_transform.map(|layers| match layers {
            Layers::One(layer) => vec![layer],
            Layers::Several(layers) => layers,
        });
        let layers = layers.filter(|layers| !layers.is_empty());
        if layers.is_some() {
            check_layers_pattern(file.layers_pattern.as_ref())?;
        }
        let targets = file
            .target_modules
            .ok_or_else(|| refuse("target_modules", "is missing"))?;
        let mut ranks = Vec::new();
        for (key, rank) in patterns("rank_pattern", file.rank_pattern)? {
            ranks.push((key, rank_of("rank_pattern", rank)?));
        }
        let mut alphas = Vec::new();
        for (key, alpha) in patterns("alpha_pattern", file.alpha_pattern)? {
            alphas.push((key, finite("alpha_pattern", alpha)?));
        }
        Ok(Self {
            rank: rank_of("r", file.r)?,
            alpha: finite("lora_alpha", file.lora_alpha)?,
            root_scale: file.use_rslora,
            targets: Matcher::new("target_modules", targets)?,
            excluded: match file.exclude_modules {
                None => None,
                Some(names) => Some(Matcher::new("exclude_modules", names)?),
            },
            layers,
            ranks,
            alphas,
        })
    }

    /// Whether the adapter speaks to a linear layer.
    pub(super) fn targets(&self, layer: usize, target: Target) -> bool {
        let module = target.module(layer);
        if self
            .excluded
            .as_ref()
            .is_some_and(|names| names.matches(&module))
        {
            return false;
        }
        let chosen = match (&self.targets, &self.layers) {
            // A pattern or a whole name is not held to `layers_to_transform`.
            (Matcher::Endings(names), Some(layers)) if !names.contains(&module) => {
                layers.contains(&(layer as u64))
            }
            _ => true,
        };
        chosen && self.targets.matches(&module)
    }

    /// The rank of a linear layer's part.
    pub(super) fn rank(&self, layer: usize, target: Target) -> usize {
        first(&self.ranks, &target.module(layer)).unwrap_or(self.rank)
    }

    /// α/r, or α/√r (Kalajdzievski, "A Rank Stabilization Scaling Factor for Fine-Tuning
    /// with LoRA", 2023).
    pub(super) fn scale(&self, layer: usize, target: Target) -> f32 {
        let alpha = first(&self.alphas, &target.module(layer)).unwrap_or(self.alpha);
        let rank = self.rank(layer, target) as f64;
        let divisor = if self.root_scale { rank.sqrt() } else { rank };
        (alpha / divisor) as f32
    }
}

fn first<T: Copy>(patterns: &[(Regex, T)], module: &str) -> Option<T> {
    patterns
        .iter()
        .find(|(pattern, _)| pattern.is_match(module))
        .map(|(_, value)| *value)
}

fn rank_of(field: &str, rank: u64) -> Result<usize, PeftError> {
    usize::try_from(rank)
        .ok()
        .filter(|rank| (1..=MAX_RANK).contains(rank))
        .ok_or_else(|| {
            refuse(
                field,
                format!("is {rank}; ranks of 1 to {MAX_RANK} are read"),
            )
        })
}

fn finite(field: &str, alpha: f64) -> Result<f64, PeftError> {
    if alpha.is_finite() {
        Ok(alpha)
    } else {
        Err(refuse(field, "is not finite"))
    }
}

/// Blocks are found by their place in a list that the llama family calls `layers`.
fn check_layers_pattern(pattern: Option<&Names>) -> Result<(), PeftError> {
    let plain = match pattern {
        None => true,
        Some(Names::Pattern(name)) => name.is_empty() || name == "layers",
        Some(Names::Endings(names)) => {
            names.is_empty() || names.iter().any(|name| name == "layers")
        }
    };
    if plain {
        Ok(())
    } else {
        Err(refuse("layers_pattern", "does not name `layers`"))
    }
}

/// Keys of `rank_pattern` and `alpha_pattern` match a module's name or its end.
fn patterns<T>(field: &str, pairs: Option<InOrder<T>>) -> Result<Vec<(Regex, T)>, PeftError> {
    let pairs = pairs.map_or_else(Vec::new, |InOrder(pairs)| pairs);
    if pairs.len() > MAX_PATTERNS {
        return Err(refuse(field, format!("has more than {MAX_PATTERNS} keys")));
    }
    let compile =
        |(key, value): (String, T)| Ok((regex(field, &format!("^(?:.*\\.)?(?:{key})$"))?, value));
    pairs.into_iter().map(compile).collect()
}

fn regex(field: &str, pattern: &str) -> Result<Regex, PeftError> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES)
        .build()
        .map_err(|_| refuse(field, "holds a pattern that is not understood here"))
}

impl Matcher {
    fn new(field: &str, names: Names) -> Result<Self, PeftError> {
        Ok(match names {
            Names::Pattern(pattern) => Self::Pattern(regex(field, &format!("^(?:{pattern})$"))?),
            Names::Endings(names) => Self::Endings(names),
        })
    }

    fn matches(&self, module: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.is_match(module),
            Self::Endings(names) => names.iter().any(|name| {
                module
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }),
        }
    }
}

#[cfg(test)]
mod tests;

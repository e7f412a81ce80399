//! PURE: what `config.json` and `generation_config.json` say, as far as it matters here.

use serde_json::Value;

use super::{ExportError, layout::Sizes};

/// The facts of an export that its graphs do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportConfig {
    /// `model_type`, e.g. `gpt2`.
    pub family: String,
    pub encoder_decoder: bool,
    pub vocabulary: Option<usize>,
    /// Tokens that it was trained to see, where it cannot go beyond.
    pub context: Option<usize>,
    pub sizes: Sizes,
    /// What an encoder-decoder writes after.
    pub decoder_start: Option<u32>,
    /// Tokens that end a text.
    pub ends: Vec<u32>,
    pub bos: Option<u32>,
    /// Trained on dialogue whose turns end with the token that ends a text (DialoGPT).
    pub separated_turns: bool,
}

impl ExportConfig {
    /// Reads `config.json`, and `generation_config.json` where there is one, whose
    /// statements about tokens go first.
    ///
    /// # Errors
    /// When a file is no JSON object or names no family.
    pub fn of(config: &[u8], generation: Option<&[u8]>) -> Result<Self, ExportError> {
        let config = object("config.json", config)?;
        let generation = match generation {
            Some(text) => object("generation_config.json", text)?,
            None => Value::Null,
        };
        let token = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let said = |key: &str| -> Vec<u32> {
            [&generation, &config]
                .into_iter()
                .map(|object| match &object[key] {
                    Value::Array(ids) => ids.iter().filter_map(token).collect(),
                    id => token(id).into_iter().collect::<Vec<u32>>(),
                })
                .find(|ids| !ids.is_empty())
                .unwrap_or_default()
        };
        let size = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| config[key].as_u64())
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| (1..=1 << 24).contains(size))
        };
        let family = config["model_type"]
            .as_str()
            .ok_or_else(|| ExportError::Config("config.json names no model_type".into()))?;
        let encoder_decoder = config["is_encoder_decoder"].as_bool().unwrap_or(false);
        let heads = size(&["num_attention_heads", "n_head", "num_heads"]);
        let width = size(&["hidden_size", "n_embd", "d_model"]);
        let first = |ids: Vec<u32>| ids.first().copied();
        // Positions relative to each other do not run out.
        let unbounded = !config["relative_attention_num_buckets"].is_null();
        Ok(Self {
            family: family.to_owned(),
            encoder_decoder,
            vocabulary: size(&["vocab_size"]),
            context: if unbounded {
                None
            } else {
                size(&["max_position_embeddings", "n_positions", "seq_length"])
            },
            sizes: Sizes {
                kv_heads: size(&["num_key_value_heads"]).or(heads),
                head_dim: size(&["head_dim", "d_kv"])
                    .or_else(|| Some(width? / heads?).filter(|size| *size > 0)),
            },
            decoder_start: first(said("decoder_start_token_id")),
            ends: said("eos_token_id"),
            bos: first(said("bos_token_id")),
            separated_turns: config["task_specific_params"]["conversational"].is_object(),
        })
    }
}

pub(crate) fn object(name: &str, text: &[u8]) -> Result<Value, ExportError> {
    match serde_json::from_slice(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(ExportError::Config(format!("{name} holds no object"))),
        Err(error) => Err(ExportError::Config(format!("{name}: {error}"))),
    }
}

//! Server ↔ worker: JSON messages in length-delimited frames over a Unix socket.
//!
//! Each frame is a 4-byte big-endian length, then one JSON message. The server speaks
//! first with [`ToWorker::Hello`]; the worker answers with [`FromWorker::Hello`] or
//! closes. After that every message about a request carries its [`RequestId`], which
//! the server chooses and never uses twice on one connection. Each request ends with
//! exactly one of `Done`, `Weighed`, `Scored`, `Refused` or `Failed`; nothing with its
//! id follows.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Version of this protocol. A worker refuses a server that speaks another one.
pub const PROTOCOL: u16 = 2;

/// Largest frame either side accepts, in bytes.
pub const MAX_FRAME: usize = 4 << 20;

/// Names one request on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// What the server says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToWorker {
    Hello {
        protocol: u16,
    },
    Generate {
        id: RequestId,
        request: Box<Generate>,
    },
    Weigh {
        id: RequestId,
        request: Weigh,
    },
    Score {
        id: RequestId,
        request: Score,
    },
    /// Takes effect within one step; a request that already ended is not an error.
    Cancel {
        id: RequestId,
    },
    Ping {
        nonce: u64,
    },
}

/// What the worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromWorker {
    Hello {
        protocol: u16,
        /// The worker's program version.
        version: String,
        models: Vec<ModelInfo>,
    },
    /// Text of one or more tokens. Never ends inside a character.
    Piece {
        id: RequestId,
        text: String,
        tokens: Vec<u32>,
        /// One per token, when [`Generate::logprobs`] asks for them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        logprobs: Vec<TokenLogProb>,
    },
    Done {
        id: RequestId,
        finish: Finish,
        usage: Usage,
    },
    Weighed {
        id: RequestId,
        /// Natural log of each option's probability, normalised over the options.
        log_probs: Vec<f32>,
    },
    Scored {
        id: RequestId,
        score: TextScore,
    },
    /// Not admitted: nothing was computed, and nothing is owed.
    Refused {
        id: RequestId,
        refusal: Refusal,
    },
    /// Admitted, then lost to an error of the engine or of the request itself.
    Failed {
        id: RequestId,
        message: String,
    },
    Pong {
        nonce: u64,
        load: Load,
    },
}

/// One model that the worker holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    pub name: String,
    /// Longest prompt plus output, in tokens.
    pub context: u32,
    /// Rows that decode together.
    pub slots: u32,
    /// How the weights are held, e.g. `int8-row`.
    pub precision: String,
}

/// How busy the worker is, and what it did since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    pub slots: u32,
    pub slots_busy: u32,
    pub queued: u32,
    /// Tokens sampled.
    pub tokens: u64,
    /// Tokens of prompts that were computed.
    pub prefilled: u64,
    /// Tokens of prompts that were copied instead of computed.
    pub reused: u64,
    /// Requests that found a beginning of their prompt computed already.
    pub prefix_hits: u64,
    /// Tokens that were guessed before they were computed, and how many of them held.
    pub drafted: u64,
    pub drafts_held: u64,
    /// Adapters that were copied into the engine, and those that gave way.
    pub adapter_loads: u64,
    pub adapter_evictions: u64,
    pub steps: StepTimes,
}

/// Upper bounds of the buckets of [`StepTimes`], seconds; one more holds the rest.
pub const STEP_BOUNDS: [f64; 10] = [0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0];

/// How long the engine's steps took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepTimes {
    /// Steps by bucket, not cumulated: as many as [`STEP_BOUNDS`] and one more.
    pub counts: [u64; STEP_BOUNDS.len() + 1],
    /// Of all steps together, seconds.
    pub seconds: f64,
}

/// One line of a chat, as chat templates name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    System,
    User,
    Assistant,
}

/// What the model reads before it writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Rendered with the model's own chat template; the reply starts with `prefill`
    /// (which is not repeated in the output).
    Chat {
        messages: Vec<Message>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefill: String,
    },
    /// Fed as it stands.
    Text(String),
}

/// Asks for text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generate {
    pub model: String,
    pub prompt: Prompt,
    pub sampling: Sampling,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
    /// Asks for each token's log-probability and those of this many likeliest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u8>,
    #[serde(default)]
    pub terms: Terms,
}

/// On whose account and as whom a request is computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// Requests that wait take turns by this; one room cannot crowd out the others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// Name of the LoRA adapter; none is the model as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    pub overflow: Overflow,
}

/// What happens to a chat that the context does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// It is refused with [`Refusal::TooLong`].
    #[default]
    Refuse,
    /// Its oldest turns are left out, whole ones, never the system message nor the last
    /// message; [`Usage::dropped_messages`] says how many messages.
    Slide,
}

/// A token that was drawn, and what the model thought of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogProb {
    pub token: u32,
    /// The bytes that the token stands for.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability under the model, before any sampling parameter.
    pub log_prob: f32,
    /// The likeliest tokens, likeliest first.
    pub top: Vec<Likely>,
}

/// One of the likeliest tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likely {
    pub token: u32,
    pub bytes: Vec<u8>,
    pub log_prob: f32,
}

/// What the output must look like, enforced token by token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    JsonSchema(serde_json::Value),
    /// One of these texts.
    Choice(Vec<String>),
    /// A regular expression that the whole output matches.
    Regex(String),
    /// A context-free grammar in llguidance's dialect of Lark.
    Grammar(String),
}

/// How the next token is drawn. The order of operations: bias, penalties, DRY, constraint,
/// temperature, top-k, top-p, min-p, draw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// 0 takes the likeliest token.
    pub temperature: f32,
    /// 0 means off.
    pub top_k: u32,
    /// Keeps the smallest set whose probabilities sum to this; 1 means off.
    pub top_p: f32,
    /// Drops tokens below this share of the likeliest one; 0 means off.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of seen tokens; 1 means off.
    pub repetition_penalty: f32,
    /// Subtracted per earlier occurrence in the output; 0 means off.
    pub frequency_penalty: f32,
    /// Subtracted once if it occurred in the output; 0 means off.
    pub presence_penalty: f32,
    /// Added to the logits of these tokens; -100 or less bans them.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "numbers_as_names"
    )]
    pub logit_bias: BTreeMap<u32, f32>,
    /// Texts that the output never contains, in any spelling of case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub banned: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry: Option<Dry>,
    /// The output ends before the first of these; they are not part of it.
    pub stop: Vec<String>,
    pub max_tokens: u32,
    /// Same seed, same tokens.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: BTreeMap::new(),
            banned: Vec::new(),
            dry: None,
            stop: Vec::new(),
            max_tokens: 256,
            seed: 0,
        }
    }
}

/// JSON's names are texts. Within a message that is told from others by its `type`, serde
/// does not read them as the numbers that they are.
fn numbers_as_names<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u32, f32>, D::Error> {
    let named = BTreeMap::<String, f32>::deserialize(from)?;
    named
        .into_iter()
        .map(|(name, value)| Ok((name.parse().map_err(D::Error::custom)?, value)))
        .collect()
}

/// "Don't repeat yourself": a token that would lengthen a repetition of n earlier tokens to
/// more than `allowed_length` loses `multiplier` · `base`^(n - `allowed_length`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dry {
    pub multiplier: f32,
    pub base: f32,
    pub allowed_length: u32,
    /// Texts that no repetition reaches across; nor does it across tokens without text.
    pub breakers: Vec<String>,
}

impl Default for Dry {
    fn default() -> Self {
        Self {
            multiplier: 0.8,
            base: 1.75,
            allowed_length: 2,
            breakers: ["\n", ":", "\"", "*"].map(String::from).to_vec(),
        }
    }
}

/// Asks how likely each option is to come next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weigh {
    pub model: String,
    pub prompt: Prompt,
    /// At least two, which after their common start go on with different tokens.
    pub options: Vec<String>,
    #[serde(default)]
    pub terms: Terms,
}

/// Asks how likely a text is after a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    pub model: String,
    /// The text follows as the reply to this.
    pub prompt: Prompt,
    pub text: String,
    #[serde(default)]
    pub terms: Terms,
}

/// A text under the model's own distribution, token by token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextScore {
    /// Pieces of the text, in order.
    pub pieces: Vec<String>,
    /// Natural log-probability of each token, nats.
    pub log_probs: Vec<f32>,
    /// Mean of the log-probability under the model at each position (minus entropy), nats.
    pub means: Vec<f32>,
    /// Variance of the log-probability under the model at each position, nats².
    pub variances: Vec<f32>,
    /// How many tokens the model holds likelier at each position.
    #[serde(default)]
    pub ranks: Vec<u32>,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended it, a stop string came, or the constraint was complete.
    Stop,
    /// `max_tokens` or the context ran out.
    Length,
    Cancelled,
}

/// What a request cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub prompt_tokens: u32,
    pub output_tokens: u32,
    /// Of the prompt's tokens, those that were computed before, for this or another request.
    #[serde(default)]
    pub reused_tokens: u32,
    /// Messages of the chat that were left out ([`Overflow::Slide`]).
    #[serde(default)]
    pub dropped_messages: u32,
}

/// Why a request was turned away at the door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Refusal {
    #[error("the worker's queue is full ({queued} waiting)")]
    Busy { queued: u32 },
    #[error("the prompt has {tokens} tokens; with the output the context holds {context}")]
    TooLong { tokens: u32, context: u32 },
    #[error("this worker does not hold the model {model:?}")]
    UnknownModel { model: String },
    #[error("there is no adapter {adapter:?}")]
    UnknownAdapter { adapter: String },
    #[error("the adapter {adapter:?} cannot be used: {problem}")]
    BadAdapter { adapter: String, problem: String },
    #[error("the request is malformed: {message}")]
    Malformed { message: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_everything_in_it_is_read_as_it_was_written() {
        let sampling = Sampling {
            logit_bias: BTreeMap::from([(7, -100.0), (49_151, 2.5)]),
            banned: vec!["as an AI".into()],
            dry: Some(Dry::default()),
            stop: vec!["\n".into()],
            ..Sampling::default()
        };
        let request = Generate {
            model: "m".into(),
            prompt: Prompt::Text("x".into()),
            sampling,
            constraint: Some(Constraint::Choice(vec!["a".into(), "b".into()])),
            logprobs: Some(3),
            terms: Terms {
                room: "r".into(),
                adapter: Some("a".into()),
                overflow: Overflow::Slide,
            },
        };
        let message = ToWorker::Generate {
            id: RequestId(1),
            request: Box::new(request),
        };
        let written = serde_json::to_vec(&message).expect("JSON");
        let read: ToWorker = serde_json::from_slice(&written).expect("a message");
        assert_eq!(read, message);
        let odd = String::from_utf8(written)
            .expect("text")
            .replace("49151", "all");
        assert!(serde_json::from_str::<ToWorker>(&odd).is_err());
    }
}

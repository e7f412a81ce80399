//! What a server says on the worker's socket, damaged.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::{
    bytes::BytesMut,
    codec::{Decoder, LengthDelimitedCodec},
};

use super::{
    deterministic::Deterministic,
    engine::{Engine, EngineInfo, Vocabulary},
    job::{Job, Preparer, Work},
};
use crate::{
    fuzz::{Chunk, Length, Seed, Target},
    wire::worker::{
        Constraint, Dry, Generate, MAX_FRAME, Message, Overflow, PROTOCOL, Prompt, Refusal,
        RequestId, Role, Sampling, Score, Terms, ToWorker, Weigh,
    },
};

const MODEL: &str = "toy";

fn chat(turns: usize) -> Prompt {
    let roles = [Role::User, Role::Assistant];
    let system = (Role::System, "Be brief.".to_owned());
    let said = (0..turns).map(|turn| (roles[turn % 2], format!("line {turn} of a chat")));
    let messages = std::iter::once(system).chain(said);
    Prompt::Chat {
        messages: messages
            .map(|(role, content)| Message { role, content })
            .collect(),
        prefill: "So".into(),
    }
}

fn constraints() -> Vec<Option<Constraint>> {
    let schema = json!({
        "type": "object",
        "properties": {
            "verdict": {"enum": ["human", "machine"]},
            "sure": {"type": "number", "minimum": 0, "maximum": 1},
            "why": {"type": "string", "maxLength": 12, "pattern": "[a-z]+"},
            "list": {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1, "maxItems": 3},
        },
        "$defs": {"a": {"anyOf": [{"type": "null"}, {"const": 7}]}},
        "required": ["verdict", "why"],
        "additionalProperties": false,
    });
    vec![
        None,
        Some(Constraint::JsonSchema(schema)),
        Some(Constraint::Choice(vec!["yes".into(), "no, <b>".into()])),
        Some(Constraint::Regex("[0-9]{2}/[a-c]+|x(y|é)*".into())),
        Some(Constraint::Grammar(
            "start: \"(\" start \")\" | WORD\nWORD: /[a-z]+/\n%ignore /[ ]/".into(),
        )),
    ]
}

fn messages() -> Vec<ToWorker> {
    let sampling = Sampling {
        temperature: 0.8,
        top_k: 40,
        top_p: 0.95,
        min_p: 0.05,
        repetition_penalty: 1.1,
        frequency_penalty: 0.5,
        presence_penalty: -0.5,
        logit_bias: [(7, -100.0), (101, 2.5)].into(),
        banned: vec!["as an AI".into(), "ß".into()],
        dry: Some(Dry::default()),
        stop: vec!["\n".into(), "User:".into()],
        max_tokens: 12,
        seed: 5,
    };
    let terms = |adapter: Option<&str>| Terms {
        room: "r".into(),
        adapter: adapter.map(String::from),
        overflow: Overflow::Slide,
    };
    let id = RequestId;
    let mut all = vec![
        ToWorker::Hello { protocol: PROTOCOL },
        ToWorker::Ping { nonce: 3 },
        ToWorker::Cancel { id: id(1) },
        ToWorker::Weigh {
            id: id(2),
            request: Weigh {
                model: MODEL.into(),
                prompt: chat(3),
                options: vec![" human".into(), " machine".into()],
                terms: terms(None),
            },
        },
        ToWorker::Score {
            id: id(3),
            request: Score {
                model: MODEL.into(),
                prompt: Prompt::Text("once".into()),
                text: " upon a tïme".into(),
                terms: terms(Some("poet")),
            },
        },
    ];
    for (number, constraint) in (10..).zip(constraints()) {
        for prompt in [Prompt::Text("a b".into()), chat(2), chat(40)] {
            all.push(ToWorker::Generate {
                id: id(number),
                request: Box::new(Generate {
                    model: MODEL.into(),
                    prompt,
                    sampling: sampling.clone(),
                    constraint: constraint.clone(),
                    logprobs: Some(2),
                    terms: terms(None),
                }),
            });
        }
    }
    all
}

/// Connections of a few messages each.
fn connections() -> Vec<Seed> {
    let frame = |message: &ToWorker| {
        let value: Value = serde_json::to_value(message).unwrap();
        Chunk::Json(Some(Length::Big32), value)
    };
    let all = messages();
    let pairs = all.windows(2).map(|pair| pair.iter().map(frame).collect());
    let single = all.iter().map(|message| vec![frame(message)]);
    single
        .chain(pairs)
        .map(|chunks: Vec<Chunk>| Seed(vec![chunks]))
        .collect()
}

/// What is behind the socket, without the socket.
struct Behind {
    info: EngineInfo,
    vocabulary: Arc<dyn Vocabulary>,
    preparer: Preparer,
}

impl Behind {
    fn new() -> Self {
        let engine = Deterministic::new(2, 512, std::time::Duration::ZERO);
        let (info, vocabulary) = (engine.info().clone(), engine.vocabulary());
        let preparer =
            Preparer::new(MODEL, &info, vocabulary.clone()).with_adapters(Box::new(|adapter| {
                Err(Refusal::UnknownAdapter {
                    adapter: adapter.to_owned(),
                })
            }));
        Self {
            info,
            vocabulary,
            preparer,
        }
    }

    fn hear(&self, bytes: &[u8]) {
        let mut codec = LengthDelimitedCodec::builder()
            .max_frame_length(MAX_FRAME)
            .new_codec();
        let mut buffer = BytesMut::from(bytes);
        while let Ok(Some(frame)) = codec.decode_eof(&mut buffer) {
            let Ok(message) = serde_json::from_slice(&frame) else {
                return;
            };
            let job = match &message {
                ToWorker::Generate { request, .. } => self.preparer.generate(request),
                ToWorker::Weigh { request, .. } => self.preparer.weigh(request),
                ToWorker::Score { request, .. } => self.preparer.score(request),
                ToWorker::Hello { .. } | ToWorker::Cancel { .. } | ToWorker::Ping { .. } => {
                    continue;
                }
            };
            match job {
                Ok(job) => self.work(job),
                Err(refusal) => drop(serde_json::to_vec(&refusal).unwrap()),
            }
        }
    }

    /// Goes on for a few tokens, with logits that mean nothing.
    fn work(&self, job: Job) {
        assert!(!job.tokens.is_empty() && job.tokens.len() <= self.info.context);
        let row = |step: usize| -> Vec<f32> {
            (0..self.info.vocabulary)
                .map(|token| ((token * 31 + step * 17) % 97) as f32 / 8.0)
                .collect()
        };
        match job.work {
            Work::Generate(mut writing) => {
                for step in 0..6 {
                    let _ = writing.forced();
                    match writing.next(&row(step)) {
                        Ok(written) if written.finish.is_none() => {}
                        _ => return,
                    }
                }
            }
            Work::Weigh { options } => assert!(options.len() > 1),
            Work::Score(mut scoring) => {
                let rows: Vec<f32> = (job.start..job.tokens.len()).flat_map(row).collect();
                scoring.absorb(&rows, self.info.vocabulary, self.vocabulary.size());
                let _ = scoring.finish(self.vocabulary.as_ref());
            }
        }
    }
}

#[test]
fn no_message_to_the_worker_panics_or_costs_unbounded_memory() {
    Target {
        test: (
            module_path!(),
            "no_message_to_the_worker_panics_or_costs_unbounded_memory",
        ),
        inputs: 3000,
        memory: 1 << 30,
        seeds: connections,
        reader: || {
            let behind = Behind::new();
            move |parts: &[Vec<u8>]| behind.hear(&parts[0])
        },
    }
    .run();
}

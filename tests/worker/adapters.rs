//! Adapters by name, on the real model and through the real process: who names one is
//! answered by it, and who names none does not feel the others'.

use clap::Parser;
use parlour::{
    config::ModelSettings,
    models::{
        catalogue::Catalogue,
        download,
        gguf::Gguf,
        import::{self, DecoderShape, Precision},
        peft::{self, Adapter, AdapterShape, Target},
    },
    wire::worker::{FromWorker, Message, Refusal, RequestId, Role, Sampling, ToWorker},
    worker::{
        engine::{Engine, Run, Want},
        onnx_text::{Capacity, OnnxText, Parts},
    },
};

use crate::support::{Heard, Worker};

const MODEL: &str = "smollm2-135m";
const QUESTION: &str = "Who are you, and what do you like best?";
const WRITTEN: u32 = 16;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    models: ModelSettings,
}

/// The two adapters, and what the engine writes with each and with none, the likeliest token
/// each time.
struct Expected {
    adapters: Vec<(&'static str, Adapter)>,
    shape: AdapterShape,
    plain: Vec<u32>,
    adapted: Vec<Vec<u32>>,
}

fn expected() -> Expected {
    let settings = Settings::parse_from(["test"]).models;
    let catalogue = Catalogue::builtin();
    let entry = catalogue.chat_model(MODEL).unwrap();
    let weights = download::ensure(entry, &settings).unwrap();
    let runtime = download::ensure(catalogue.runtime().unwrap(), &settings).unwrap();
    let folder = download::folder(entry, &settings).unwrap();
    let precision = Precision::default();
    let graph = import::import(&weights.path, &weights.sha256, &folder, precision).unwrap();
    let parts = Parts {
        runtime: &runtime.path,
        gguf: &weights.path,
        graph: &graph,
        form: precision.into(),
        chat_template: None,
    };
    let capacity = Capacity {
        slots: 1,
        context: 128,
        adapters: 1,
        threads: 2,
    };
    let gguf = Gguf::open(&weights.path).unwrap();
    let shape = AdapterShape::from(&DecoderShape::of(&gguf).unwrap());
    let adapters = vec![
        ("ada", peft::random(&shape, &Target::ALL, 8, 0.2, 1)),
        (
            "bob",
            peft::random(&shape, &[Target::Query, Target::Value], 16, 0.4, 2),
        ),
    ];
    let mut engine = OnnxText::load(parts, capacity).unwrap();
    let plain = greedy(&mut engine, None);
    let mut adapted = Vec::new();
    for (_, adapter) in &adapters {
        engine.load_adapter(0, adapter).unwrap();
        adapted.push(greedy(&mut engine, Some(0)));
    }
    Expected {
        adapters,
        shape,
        plain,
        adapted,
    }
}

fn greedy(engine: &mut OnnxText, adapter: Option<usize>) -> Vec<u32> {
    let vocabulary = engine.vocabulary();
    let messages = [Message {
        role: Role::User,
        content: QUESTION.into(),
    }];
    let mut tokens = vocabulary.encode_chat(&messages, "").unwrap();
    let (mut past, mut written) = (0, Vec::new());
    while written.len() < WRITTEN as usize {
        let run = Run {
            slot: 0,
            past,
            tokens: tokens.clone(),
            want: Want::Last,
            adapter,
        };
        let logits = engine.step(&[run]).unwrap().remove(0);
        let likeliest = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let token = likeliest.unwrap().0 as u32;
        if vocabulary.ends(token) {
            break;
        }
        past += tokens.len();
        tokens = vec![token];
        written.push(token);
    }
    written
}

fn ask(worker: &Worker, id: u64, adapter: Option<&str>) -> ToWorker {
    let sampling = Sampling {
        temperature: 0.0,
        max_tokens: WRITTEN,
        ..Sampling::default()
    };
    let mut message = worker.generate(id, QUESTION, sampling);
    if let ToWorker::Generate { request, .. } = &mut message {
        request.terms.adapter = adapter.map(str::to_owned);
    }
    message
}

/// Of what a request wrote, what the engine was asked for: nothing behind the end.
fn written(heard: &Heard, like: &[u32]) -> Vec<u32> {
    assert!(
        matches!(heard.end, Some(FromWorker::Done { .. })),
        "{heard:?}"
    );
    heard.tokens.iter().copied().take(like.len()).collect()
}

#[tokio::test]
async fn who_names_an_adapter_is_answered_by_it_and_nobody_else_is() {
    let expected = tokio::task::spawn_blocking(expected).await.unwrap();
    assert!(expected.plain.len() > 5);
    assert_ne!(expected.plain, expected.adapted[0]);
    assert_ne!(expected.plain, expected.adapted[1]);
    assert_ne!(expected.adapted[0], expected.adapted[1]);

    let folder = tempfile::tempdir().unwrap();
    for (name, adapter) in &expected.adapters {
        peft::write(&folder.path().join(name), adapter, &expected.shape, MODEL).unwrap();
    }
    let place = folder.path().to_str().unwrap();
    let precision = Precision::default().name();
    // One place for two adapters: each gives way to the other.
    let arguments = [
        "--adapters",
        place,
        "--adapter-places",
        "1",
        "--precision",
        precision,
        "--slots",
        "4",
        "--context",
        "256",
    ];
    let worker = Worker::start(MODEL, &arguments).await;
    let mut line = worker.connect().await;

    // Alone, one after the other.
    let cases = [
        (None, &expected.plain),
        (Some("ada"), &expected.adapted[0]),
        (Some("bob"), &expected.adapted[1]),
        (None, &expected.plain),
    ];
    for (id, (adapter, tokens)) in (0..).zip(cases) {
        line.say(&ask(&worker, id, adapter)).await;
        let heard = line.hear_ends(1).await;
        assert_eq!(&written(&heard[&id], tokens), tokens, "{adapter:?}");
    }
    // All together, and one who asks for an adapter that is not there.
    for (id, (adapter, _)) in (10..).zip(cases) {
        line.say(&ask(&worker, id, adapter)).await;
    }
    line.say(&ask(&worker, 20, Some("nobody"))).await;
    let heard = line.hear_ends(cases.len() + 1).await;
    for (id, (adapter, tokens)) in (10..).zip(cases) {
        assert_eq!(&written(&heard[&id], tokens), tokens, "{adapter:?}");
    }
    let refused = FromWorker::Refused {
        id: RequestId(20),
        refusal: Refusal::UnknownAdapter {
            adapter: "nobody".into(),
        },
    };
    assert_eq!(heard[&20].end, Some(refused));
}

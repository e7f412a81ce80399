//! What requests may ask of an output, through the real process.

use std::collections::BTreeMap;

use parlour::wire::worker::{
    Constraint, Dry, Finish, FromWorker, Generate, Refusal, RequestId, Sampling, Score, Terms,
    ToWorker, TokenLogProb,
};

use crate::support::{Line, Worker, chat, seeded};

async fn said(
    worker: &Worker,
    line: &mut Line,
    id: u64,
    sampling: Sampling,
    change: impl FnOnce(&mut Generate),
) -> (String, Vec<TokenLogProb>, FromWorker) {
    let mut message = worker.generate(id, "go on", sampling);
    if let ToWorker::Generate { request, .. } = &mut message {
        change(request);
    }
    line.say(&message).await;
    let (mut text, mut told) = (String::new(), Vec::new());
    loop {
        match line.hear().await.expect("more to come") {
            FromWorker::Piece {
                text: more,
                tokens,
                logprobs,
                ..
            } => {
                text.push_str(&more);
                let of: Vec<u32> = logprobs.iter().map(|logprob| logprob.token).collect();
                assert!(logprobs.is_empty() || of == tokens, "{of:?} for {tokens:?}");
                told.extend(logprobs);
            }
            end => return (text, told, end),
        }
    }
}

fn stopped(end: &FromWorker) -> bool {
    matches!(
        end,
        FromWorker::Done {
            finish: Finish::Stop,
            ..
        }
    )
}

#[tokio::test]
async fn a_banned_phrase_never_appears() {
    let worker = Worker::start("deterministic", &[]).await;
    let mut line = worker.connect().await;
    // The toy writes words of letters; each token is one.
    let banned = ["a", "ES", "to", "n d", "u"];
    let mut met = 0;
    for seed in 0..40 {
        let plain = said(&worker, &mut line, 2 * seed, seeded(seed, 60), |_| {}).await;
        met += usize::from(banned.iter().any(|p| plain.0.contains(&p.to_lowercase())));
        let sampling = Sampling {
            banned: banned.map(String::from).to_vec(),
            ..seeded(seed, 60)
        };
        let (text, _, end) = said(&worker, &mut line, 2 * seed + 1, sampling, |_| {}).await;
        assert!(matches!(end, FromWorker::Done { .. }), "{end:?}");
        for phrase in banned {
            assert!(
                !text.to_lowercase().contains(&phrase.to_lowercase()),
                "{text}"
            );
        }
    }
    assert!(met > 30, "hardly anything had to be banned");
}

#[tokio::test]
async fn a_choice_is_exactly_one_of_its_options() {
    let worker = Worker::start("deterministic", &[]).await;
    let mut line = worker.connect().await;
    let options = ["a", "ab <or> a\\b", "naïve 😀\n", "b|c.*", "b"];
    let mut seen = BTreeMap::<String, u32>::new();
    for seed in 0..60 {
        let sampling = Sampling {
            temperature: 50.0,
            ..seeded(seed, 100)
        };
        let (text, _, end) = said(&worker, &mut line, seed, sampling, |request| {
            request.constraint = Some(Constraint::Choice(options.map(String::from).to_vec()));
        })
        .await;
        assert!(stopped(&end), "{end:?}");
        assert!(options.contains(&text.as_str()), "{text:?}");
        *seen.entry(text).or_default() += 1;
    }
    // One that begins another is chosen, and so is the longer one.
    assert!(
        seen.contains_key("a") && seen.contains_key("ab <or> a\\b"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_constraint_wins_over_bias_and_a_contradiction_is_told() {
    let worker = Worker::start("deterministic", &[]).await;
    let mut line = worker.connect().await;
    let choice = |options: &[&str]| {
        Some(Constraint::Choice(
            options.iter().map(|o| (*o).to_owned()).collect(),
        ))
    };
    // However much `z` is wished for.
    let wish = Sampling {
        logit_bias: [(u32::from(b'z'), 1000.0)].into(),
        ..seeded(1, 50)
    };
    let set = |request: &mut Generate| request.constraint = choice(&["yes", "no"]);
    let (text, _, end) = said(&worker, &mut line, 1, wish, set).await;
    assert!(
        stopped(&end) && ["yes", "no"].contains(&text.as_str()),
        "{text} {end:?}"
    );
    let no_bat = |seed| Sampling {
        banned: vec!["BAT".into()],
        ..seeded(seed, 50)
    };
    // `b` and `a` may come before `t` turns out to be banned: then nothing is left.
    let (mut kept, mut contradicted) = (0, 0);
    for seed in 0..20 {
        let set = |request: &mut Generate| request.constraint = choice(&["bat", "do"]);
        match said(&worker, &mut line, 100 + seed, no_bat(seed), set).await {
            (text, _, FromWorker::Done { .. }) => {
                assert_eq!(text, "do");
                kept += 1;
            }
            (text, _, FromWorker::Failed { message, .. }) => {
                assert_eq!(text, "ba");
                assert!(
                    message.contains("constraint") && message.contains("banned"),
                    "{message}"
                );
                contradicted += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(kept > 0 && contradicted > 0, "{kept} {contradicted}");
}

#[tokio::test]
async fn log_probabilities_are_those_of_scoring() {
    let worker = Worker::start("deterministic", &[]).await;
    let mut line = worker.connect().await;
    for seed in 0..10 {
        let sampling = Sampling {
            temperature: 1.7,
            top_p: 0.9,
            repetition_penalty: 1.3,
            banned: vec!["e".into()],
            // Held-back text holds back its tokens' log-probabilities too.
            stop: vec!["ab!".into()],
            dry: Some(Dry::default()),
            ..seeded(seed, 40)
        };
        let ask = |request: &mut Generate| request.logprobs = Some(5);
        let (text, told, end) = said(&worker, &mut line, 2 * seed, sampling, ask).await;
        assert!(matches!(end, FromWorker::Done { .. }), "{end:?}");
        let bytes: Vec<u8> = told.iter().flat_map(|t| t.bytes.clone()).collect();
        assert_eq!(bytes, text.as_bytes());
        line.say(&ToWorker::Score {
            id: RequestId(2 * seed + 1),
            request: Score {
                model: worker.model.clone(),
                prompt: chat("go on"),
                text,
                terms: Terms::default(),
            },
        })
        .await;
        let Some(FromWorker::Scored { score, .. }) = line.hear().await else {
            panic!("no score");
        };
        let log_probs: Vec<f32> = told.iter().map(|t| t.log_prob).collect();
        assert_eq!(log_probs, score.log_probs);
        for (told, rank) in told.iter().zip(score.ranks) {
            assert_eq!(told.top.len(), 5);
            let sum: f32 = told.top.iter().map(|likely| likely.log_prob.exp()).sum();
            assert!(sum <= 1.0 + 1e-5);
            assert!(told.top.is_sorted_by(|a, b| a.log_prob >= b.log_prob));
            let place = told
                .top
                .iter()
                .position(|likely| likely.token == told.token);
            assert!(
                place.is_none_or(|place| place >= rank as usize),
                "{place:?} {rank}"
            );
            assert_eq!(place.is_some(), rank < 5);
        }
    }
}

#[tokio::test]
async fn asking_for_log_probabilities_changes_no_token() {
    let worker = Worker::start("deterministic", &[]).await;
    let mut line = worker.connect().await;
    for (id, count) in [(0, None), (2, Some(0)), (4, Some(20))] {
        let ask = |request: &mut Generate| request.logprobs = count;
        let (text, told, _) = said(&worker, &mut line, id, seeded(3, 40), ask).await;
        let (plain, _, _) = said(&worker, &mut line, id + 1, seeded(3, 40), |_| {}).await;
        assert_eq!(text, plain);
        assert_eq!(told.is_empty(), count.is_none());
        assert!(
            told.iter()
                .all(|t| Some(t.top.len()) == count.map(usize::from))
        );
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_in_words() {
    let worker = Worker::start("deterministic", &[]).await;
    let mut line = worker.connect().await;
    type Change = fn(&mut Generate);
    let all: [(&str, Change); 7] = [
        ("20", |r| r.logprobs = Some(21)),
        ("token 260", |r| r.sampling.logit_bias = [(260, 1.0)].into()),
        ("banned phrase", |r| r.sampling.banned = vec![String::new()]),
        ("never", |r| {
            r.sampling.banned = vec!["B".into()];
            r.sampling.stop = vec!["abc".into()];
        }),
        ("dry.base", |r| {
            r.sampling.dry = Some(Dry {
                base: 0.5,
                ..Dry::default()
            });
        }),
        ("nothing to choose", |r| {
            r.constraint = Some(Constraint::Choice(vec![]))
        }),
        ("65536", |r| {
            r.constraint = Some(Constraint::Regex("a".repeat(70_000)))
        }),
    ];
    for (id, (word, change)) in (0..).zip(all) {
        match said(&worker, &mut line, id, seeded(0, 5), change).await.2 {
            FromWorker::Refused {
                refusal: Refusal::Malformed { message },
                ..
            } => assert!(message.contains(word), "{message}"),
            other => panic!("{word}: {other:?}"),
        }
    }
}

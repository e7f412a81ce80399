//! What is measured: which requests make each scenario, and what is made of their answers.

use std::time::Duration;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp};

use super::{
    Side,
    exchange::{Answer, Ask},
    figures::{Figures, name, of_streams, quantile_ms},
    prompts::Prompts,
};

/// Tokens of a short and of a long prompt.
pub(super) const SHORT: usize = 32;
pub(super) const LONG: usize = 512;

/// How much is asked for.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    /// Streams at the same time.
    pub streams: Vec<usize>,
    /// Output tokens of a stream.
    pub tokens: u32,
    /// Prompts that are read one after another, each time.
    pub prefills: usize,
    /// People that arrive, and the mean time between two of them.
    pub people: usize,
    pub gap: Duration,
    /// Names of adapters, one for each stream that has one.
    pub adapters: Vec<String>,
}

/// One of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    /// So many streams at once, each with a prompt of so many tokens.
    Streams { streams: usize, prompt: usize },
    /// Reading a prompt of so many tokens, alone.
    Prefill { tokens: usize },
    /// People who come at random with a conversation of 300 tokens.
    Arrivals,
    /// A conversation of 1,500 tokens, and its next turn.
    SecondTurn,
    /// One stream that makes things up.
    Prose,
    /// One stream that repeats what stands in its prompt.
    Copying,
    /// How likely a text of 256 tokens is, against reading as much.
    Scoring,
    /// Streams that each speak through an adapter of their own, against as many without.
    Adapters,
}

impl Scenario {
    /// All of them, in the order of the table.
    pub fn all(sizes: &Sizes) -> Vec<Self> {
        let cells = |prompt| {
            let streams = sizes.streams.iter();
            streams.map(move |&streams| Self::Streams { streams, prompt })
        };
        let rest = [
            Self::Prefill { tokens: 128 },
            Self::Prefill { tokens: LONG },
            Self::Arrivals,
            Self::SecondTurn,
            Self::Prose,
            Self::Copying,
            Self::Scoring,
            Self::Adapters,
        ];
        cells(SHORT).chain(cells(LONG)).chain(rest).collect()
    }

    /// What `--only` and the results call it.
    pub fn name(self) -> String {
        match self {
            Self::Streams { streams, prompt } if prompt == SHORT => format!("decode-{streams}"),
            Self::Streams { streams, .. } => format!("long-{streams}"),
            Self::Prefill { tokens } => format!("prefill-{tokens}"),
            Self::Arrivals => "arrivals".into(),
            Self::SecondTurn => "second-turn".into(),
            Self::Prose => "prose".into(),
            Self::Copying => "copying".into(),
            Self::Scoring => "scoring".into(),
            Self::Adapters => "adapters".into(),
        }
    }

    /// Whether an OpenAI-compatible server can do it.
    pub fn for_both(self) -> bool {
        !matches!(self, Self::Scoring | Self::Adapters)
    }

    /// The requests of one round.
    ///
    /// # Errors
    /// When the tokenizer does not cut prompts as they are needed.
    pub fn work(self, sizes: &Sizes, prompts: &mut Prompts, round: u64) -> anyhow::Result<Work> {
        /// Tokens of each person's conversation and of the reply to it.
        const CONVERSATION: (usize, u32) = (300, 40);
        Ok(match self {
            Self::Streams { streams, prompt } => {
                let ask = |_| anyhow::Ok(Ask::new(prompts.scene(prompt)?, sizes.tokens));
                Work::Streams((0..streams).map(ask).collect::<Result<_, _>>()?)
            }
            Self::Prefill { tokens } => {
                let ask = |_| anyhow::Ok(Ask::new(prompts.scene(tokens)?, 1));
                Work::Prefill((0..sizes.prefills).map(ask).collect::<Result<_, _>>()?)
            }
            Self::Arrivals => {
                let gaps = Exp::new(1.0 / sizes.gap.as_secs_f64())?;
                let mut dice = ChaCha8Rng::seed_from_u64(round);
                let mut after = Duration::ZERO;
                let mut asks = Vec::new();
                for _ in 0..sizes.people {
                    let mut ask = Ask::new(prompts.scene(CONVERSATION.0)?, CONVERSATION.1);
                    ask.after = after;
                    after += Duration::from_secs_f64(gaps.sample(&mut dice));
                    asks.push(ask);
                }
                Work::Streams(asks)
            }
            Self::SecondTurn => Work::TwoTurns {
                first: Ask::new(prompts.scene(1500)?, 24),
                next_line: prompts.next_line(),
            },
            Self::Prose => {
                let mut ask = Ask::new(prompts.scene(128)?, 2 * sizes.tokens);
                ask.temperature = 0.8;
                ask.seed = round;
                Work::Streams(vec![ask])
            }
            Self::Copying => Work::Streams(vec![Ask::new(prompts.copying(), 2 * sizes.tokens)]),
            Self::Scoring => {
                let context = "A scene of a play, to be judged line by line.\n".to_owned();
                let text = prompts.scene(256)?;
                let same = prompts.scene(256 + prompts.count(&context))?;
                Work::Scoring {
                    context,
                    text,
                    same: Ask::new(same, 1),
                }
            }
            Self::Adapters => {
                let mut asks = |adapter: fn(&String) -> Option<String>| {
                    let ask = |name| {
                        let mut ask = Ask::new(prompts.scene(SHORT)?, sizes.tokens);
                        ask.adapter = adapter(name);
                        anyhow::Ok(ask)
                    };
                    sizes.adapters.iter().map(ask).collect::<Result<_, _>>()
                };
                Work::Adapted {
                    plain: asks(|_| None)?,
                    adapted: asks(|name| Some(name.clone()))?,
                    plain_first: round.is_multiple_of(2),
                }
            }
        })
    }
}

/// What one side has to do in one round. Both sides get the same.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// Together, each at its own time.
    Streams(Vec<Ask>),
    /// One after another.
    Prefill(Vec<Ask>),
    TwoTurns {
        first: Ask,
        next_line: String,
    },
    Scoring {
        context: String,
        text: String,
        /// Reads as many tokens as scoring does.
        same: Ask,
    },
    Adapted {
        plain: Vec<Ask>,
        adapted: Vec<Ask>,
        plain_first: bool,
    },
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub figures: Figures,
    /// With the requests that they answer.
    pub answers: Vec<(Ask, Answer)>,
}

impl Work {
    /// Does it.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn run(self, side: &Side) -> anyhow::Result<Outcome> {
        match self {
            Self::Streams(asks) => streams(side, asks).await,
            Self::Prefill(asks) => prefill(side, asks).await,
            Self::TwoTurns { first, next_line } => two_turns(side, first, &next_line).await,
            Self::Scoring {
                context,
                text,
                same,
            } => scoring(side, &context, &text, same).await,
            Self::Adapted {
                plain,
                adapted,
                plain_first,
            } => adapters(side, plain, adapted, plain_first).await,
        }
    }
}

async fn streams(side: &Side, asks: Vec<Ask>) -> anyhow::Result<Outcome> {
    let guessed = side.guessed().await?;
    let begin = tokio::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (at, ask) in asks.iter().cloned().enumerate() {
        let side = side.clone();
        tasks.spawn(async move {
            tokio::time::sleep_until(begin + ask.after).await;
            anyhow::Ok((at, side.ask(&ask).await?))
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        answers.push(answer??);
    }
    answers.sort_unstable_by_key(|(at, _)| *at);
    let answers: Vec<Answer> = answers.into_iter().map(|(_, answer)| answer).collect();
    let asked = asks.first().map_or(0, |ask| ask.tokens);
    let mut figures = of_streams(&answers, asked);
    if let (Some(before), Some(after)) = (guessed, side.guessed().await?) {
        figures.insert(name::GUESSED_RIGHT.into(), (after - before) as f64);
    }
    Ok(Outcome {
        figures,
        answers: asks.into_iter().zip(answers).collect(),
    })
}

async fn prefill(side: &Side, asks: Vec<Ask>) -> anyhow::Result<Outcome> {
    let mut answers = Vec::new();
    for ask in asks {
        let answer = side.ask(&ask).await?;
        answers.push((ask, answer));
    }
    let waits: Vec<Duration> = answers
        .iter()
        .map(|(_, answer)| answer.first_token())
        .collect();
    let tokens: u32 = answers.iter().map(|(_, answer)| answer.prompt_tokens).sum();
    let seconds: f64 = waits.iter().map(Duration::as_secs_f64).sum();
    let mut figures = Figures::new();
    figures.insert(name::PREFILL.into(), f64::from(tokens) / seconds);
    let median = quantile_ms(&waits, 0.5);
    figures.extend(median.map(|ms| (name::FIRST_P50.to_owned(), ms)));
    let reused: u32 = answers.iter().map(|(_, answer)| answer.reused_tokens).sum();
    figures.insert(name::REUSED.into(), f64::from(reused));
    Ok(Outcome { figures, answers })
}

async fn two_turns(side: &Side, first: Ask, next_line: &str) -> anyhow::Result<Outcome> {
    let said = side.ask(&first).await?;
    let prompt = format!("{}{}{next_line}", first.prompt, said.text);
    let second = Ask::new(prompt, first.tokens);
    let answered = side.ask(&second).await?;
    let ms = |answer: &Answer| answer.first_token().as_secs_f64() * 1000.0;
    let (before, after) = (ms(&said), ms(&answered));
    let figures = [
        (name::FIRST_TURN, before),
        (name::SECOND_TURN, after),
        (name::SECOND_TO_FIRST, after / before),
        (name::REUSED, f64::from(answered.reused_tokens)),
    ];
    Ok(Outcome {
        figures: named(&figures),
        answers: vec![(first, said), (second, answered)],
    })
}

async fn scoring(side: &Side, context: &str, text: &str, same: Ask) -> anyhow::Result<Outcome> {
    let Side::Ours(ours) = side else {
        anyhow::bail!("only the worker scores texts");
    };
    let read = ours.ask(&same).await?;
    let prefill = f64::from(read.prompt_tokens) / read.first_token().as_secs_f64();
    let (took, tokens) = ours.score(context, text).await?;
    // The context is read as well, but its tokens are not scored: they count for nothing.
    let score = tokens as f64 / took.as_secs_f64();
    let figures = [
        (name::PREFILL, prefill),
        (name::SCORE, score),
        (name::SCORE_TO_PREFILL, score / prefill),
    ];
    Ok(Outcome {
        figures: named(&figures),
        answers: vec![(same, read)],
    })
}

async fn adapters(
    side: &Side,
    plain: Vec<Ask>,
    adapted: Vec<Ask>,
    plain_first: bool,
) -> anyhow::Result<Outcome> {
    // What a hot load costs is not asked here: each adapter has spoken before.
    let mut warm_up = adapted.clone();
    for ask in &mut warm_up {
        ask.tokens = 2;
    }
    streams(side, warm_up).await?;
    let (plain, mut adapted) = if plain_first {
        let plain = streams(side, plain).await?;
        (plain, streams(side, adapted).await?)
    } else {
        let adapted = streams(side, adapted).await?;
        (streams(side, plain).await?, adapted)
    };
    let rate = |outcome: &Outcome| outcome.figures.get(name::DECODE).copied();
    if let (Some(with), Some(without)) = (rate(&adapted), rate(&plain)) {
        let more = [
            (name::PLAIN, without),
            (name::ADAPTED_TO_PLAIN, with / without),
        ];
        adapted.figures.extend(named(&more));
    }
    adapted.answers.extend(plain.answers);
    Ok(adapted)
}

fn named(figures: &[(&str, f64)]) -> Figures {
    let figures = figures.iter();
    figures
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::ModelSettings;

    fn sizes() -> Sizes {
        Sizes {
            streams: vec![1, 4],
            tokens: 8,
            prefills: 2,
            people: 16,
            gap: Duration::from_secs(1),
            adapters: vec!["a".into(), "b".into()],
        }
    }

    fn prompts() -> Prompts {
        let settings = ModelSettings::of_flags([""; 0]);
        Prompts::of("deterministic", &settings, 7).expect("a toy needs no files")
    }

    #[test]
    fn every_scenario_has_a_name_of_its_own() {
        let all = Scenario::all(&sizes());
        let names: HashSet<String> = all.iter().map(|scenario| scenario.name()).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn people_arrive_at_random_but_every_time_alike() {
        let arrivals = |round| {
            let work = Scenario::Arrivals.work(&sizes(), &mut prompts(), round);
            match work.expect("bytes can be cut") {
                Work::Streams(asks) => asks.iter().map(|ask| ask.after).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            }
        };
        let times = arrivals(3);
        assert_eq!(times, arrivals(3));
        assert_ne!(times, arrivals(4));
        assert!(times.is_sorted() && times[0] == Duration::ZERO);
        // The mean of 300 gaps of a second, to four standard deviations.
        let sum: f64 = (0..20).map(|round| arrivals(round)[15].as_secs_f64()).sum();
        assert!((sum / 300.0 - 1.0).abs() < 4.0 / 300f64.sqrt(), "{sum}");
    }

    #[test]
    fn no_two_requests_begin_alike() {
        let mut prompts = prompts();
        let mut beginnings = HashSet::new();
        for round in 0..3 {
            for scenario in Scenario::all(&sizes()) {
                let work = scenario.work(&sizes(), &mut prompts, round);
                let asks = match work.expect("bytes can be cut") {
                    Work::Streams(asks) | Work::Prefill(asks) => asks,
                    Work::TwoTurns { first, .. } => vec![first],
                    Work::Scoring { same, .. } => vec![same],
                    Work::Adapted { plain, adapted, .. } => [plain, adapted].concat(),
                };
                for ask in asks {
                    let head = ask.prompt.split('\n').next().map(str::to_owned);
                    assert!(beginnings.insert(head), "{}", ask.prompt);
                }
            }
        }
    }
}

//! A line of the spirit: prompt → model → what of it is said.

use std::sync::Arc;

use actix::Recipient;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    Rite,
    flow::{Flow, Sieve, Writing},
};
use crate::{
    generation::Ask,
    persona::spirit::{Answering, Cut, SpiritDraft, sentences},
    play::{
        Dice,
        seance::{Exchange, Tongue},
    },
    rooms::{
        messages::{FromTurn, Made, SaidLine, TurnError, TurnId},
        seeds::{Draw, Purpose, derive},
        turn::{Voice, forget, is_too_long, persist},
    },
    wire::worker::Terms,
};

/// Sentences of which one is drawn when one is said: the first ones, so that nobody waits for
/// more. The old piece drew from all that the model wrote.
const DRAWN_FROM: u32 = 3;

/// Texts that are drawn until there is something in one to be said: a small model often has
/// nothing to say. After that the spirit is silent for once.
const TRIES: u32 = 3;

/// What the medium must know to make a line.
#[derive(Clone, Debug)]
pub(crate) struct LineBrief {
    /// Its requests take turns with those of other rooms.
    pub(crate) room: String,
    /// The exchanges of the sitting; the last one is answered.
    pub(crate) memory: Vec<Exchange>,
    /// 0 is the answer, the rest continues it.
    pub(crate) part: u32,
    pub(crate) line: u32,
}

/// Makes a line and reports it to the room.
pub(crate) async fn conjure(
    rite: Arc<Rite>,
    brief: LineBrief,
    room: Recipient<FromTurn>,
    turn: TurnId,
    attempt: u32,
    flow: Flow,
) {
    let voice = Voice::new(room, turn, attempt);
    match make(&rite, &brief, &flow, &voice).await {
        Ok(said) => voice.finish(Made::Line(said)),
        Err(error) => voice.fail(error),
    }
}

fn silence(language: &str) -> SaidLine {
    SaidLine {
        text: String::new(),
        language: language.to_owned(),
        inner: None,
        tongue: Tongue::Own,
    }
}

async fn make(
    rite: &Rite,
    brief: &LineBrief,
    flow: &Flow,
    voice: &Voice,
) -> Result<SaidLine, TurnError> {
    let Some(now) = brief.memory.last() else {
        return Ok(silence(""));
    };
    let asked = match now.language.as_str() {
        "" => rite.own_language(),
        language => language.to_owned(),
    };
    let Some(how) = rite.answering(&asked) else {
        tracing::error!("the spirit's model speaks no language that there are prompts for");
        return Ok(silence(&asked));
    };
    let text = match flow.next(now.number, brief.part).await {
        Some(sentence) => sentence,
        None => match anew(rite, brief, now, &how, flow, voice).await? {
            Some(text) => text,
            None => return Ok(silence(&how.thinks)),
        },
    };
    if how.speaks == how.thinks || text.is_empty() {
        return Ok(SaidLine {
            text,
            language: how.thinks,
            inner: None,
            tongue: how.tongue,
        });
    }
    Ok(
        match rite.translate(&text, &how.thinks, &how.speaks).await {
            Some(translated) => SaidLine {
                text: translated,
                language: how.speaks,
                inner: Some(text),
                tongue: how.tongue,
            },
            None => SaidLine {
                text,
                language: how.thinks,
                inner: None,
                tongue: Tongue::NotSpoken,
            },
        },
    )
}

/// A text of its own for the line; none where there is no prompt for it.
async fn anew(
    rite: &Rite,
    brief: &LineBrief,
    now: &Exchange,
    how: &Answering,
    flow: &Flow,
    voice: &Voice,
) -> Result<Option<String>, TurnError> {
    let mut seed = derive(
        now.seed,
        brief.part,
        Draw::Text(Purpose::Answer),
        brief.line,
    );
    let mut memory = brief.memory.as_slice();
    let mut tries = 1;
    loop {
        let draft = match rite.prompts.draft(&how.thinks, memory, brief.part) {
            Ok(Some(draft)) => draft,
            Ok(None) => return Ok(None),
            Err(error) => {
                tracing::error!(%error, "a spirit's prompt is of no use");
                return Ok(None);
            }
        };
        match write(rite, brief, now, draft, seed, flow, voice).await {
            Err(error) if is_too_long(&error) => match forget(memory) {
                // The question itself stays.
                Some(rest) if !rest.is_empty() => memory = rest,
                _ => return Err(error),
            },
            Ok(text) if text.is_empty() && tries < TRIES => {
                tries += 1;
                seed = seed.wrapping_add(1);
            }
            text => return text.map(Some),
        }
    }
}

/// What is said of what the model writes. Where all of it is said that is the first sentence: the
/// rest flows on.
async fn write(
    rite: &Rite,
    brief: &LineBrief,
    now: &Exchange,
    draft: SpiritDraft,
    seed: u64,
    flow: &Flow,
    voice: &Voice,
) -> Result<String, TurnError> {
    let sampling = draft.sampling(&rite.mind.sampling, seed);
    let mut dice = Seeded(ChaCha8Rng::seed_from_u64(seed));
    let sieve = Sieve {
        draft,
        question: now.question.clone(),
        earlier: now.lines().iter().map(|line| line.text.clone()).collect(),
    };
    // Which sentence it will be is drawn before it is written, so that the model need not
    // write on behind it.
    let drawn = match rite.cut {
        Cut::Whole => 0,
        Cut::OneSentence => dice.throw(DRAWN_FROM) as usize,
    };
    let request = || {
        let ask = Ask {
            prompt: sieve.draft.prompt.clone(),
            sampling: sampling.clone(),
            constraint: None,
            logprobs: None,
            terms: Terms {
                room: brief.room.clone(),
                ..Terms::default()
            },
        };
        let sieve = &sieve;
        async move {
            let mut writing = Writing::new(rite.mind.backend.ask(ask));
            while writing.goes_on().await? {
                let enough = match rite.cut {
                    Cut::OneSentence => sentences(writing.text().trim_start()).len() > drawn + 1,
                    Cut::Whole => !sieve.settled(&writing).is_empty(),
                };
                if enough {
                    break;
                }
            }
            Ok(writing)
        }
    };
    let writing = persist(&rite.mind.backend, voice, request).await?;
    Ok(match rite.cut {
        Cut::OneSentence => {
            let mut kept = sieve.all(&writing);
            let last = kept.len().saturating_sub(1);
            kept.drain(..).nth(drawn.min(last)).unwrap_or_default()
        }
        Cut::Whole => flow.begin(now.number, brief.part, writing, sieve),
    })
}

/// Dice of one seed.
struct Seeded(ChaCha8Rng);

impl Dice for Seeded {
    fn throw(&mut self, sides: u32) -> u32 {
        self.0.random_range(0..sides.max(1))
    }
}

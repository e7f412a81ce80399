//! The bot on the witness's chair: one turn at a time, prompt → tokens → guard → typing.

use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use rand::{SeedableRng, distr::Distribution};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Gamma, Normal};
use tokio::time::Instant;

use super::{
    messages::{Answer, LetGo, Made, TurnError},
    seeds::{self, Draw, Purpose},
    turn::{Mind, TRIES, Voice, forget, is_too_long, write},
};
use crate::{
    persona::{
        eliza,
        guard::{self, Bounds},
        typing::{Pace, Typing},
        witness::{self, Said},
    },
    play::{
        imitation::Kind,
        party::{Chair, Machine},
    },
    wire::worker::Terms,
};

/// How often a line that is being typed grows.
const KEYSTROKES: Duration = Duration::from_millis(120);

/// What the bot must know to answer.
#[derive(Clone, Debug)]
pub(crate) struct AnswerBrief {
    pub(crate) kind: Kind,
    pub(crate) seed: u32,
    pub(crate) round: u32,
    /// Which one answers where there are several.
    pub(crate) chair: Option<Chair>,
    pub(crate) machine: Machine,
    /// Its requests take turns with those of other rooms.
    pub(crate) room: String,
    pub(crate) question: String,
    /// Questions of earlier rounds and the bot's own answers.
    pub(crate) earlier: Vec<(String, String)>,
    /// Longest answer, characters.
    pub(crate) limit: u32,
    /// Whether anybody may watch the line grow.
    pub(crate) watched: bool,
    /// Share of a human's typing time; 0 is at once.
    pub(crate) typing: f32,
    /// How long the question has stood there.
    pub(crate) asked_ago: Duration,
}

impl AnswerBrief {
    /// The seed of one draw of this turn.
    fn derive(&self, draw: Draw, attempt: u32) -> u64 {
        seeds::derive_for(self.chair, self.seed, self.round, draw, attempt)
    }

    /// Who the machine is, all through the game.
    fn character(&self) -> u32 {
        if self.chair.is_none() {
            return self.seed;
        }
        seeds::low_half(seeds::derive_for(
            self.chair,
            self.seed,
            0,
            Draw::Character,
            0,
        ))
    }

    fn terms(&self) -> Terms {
        let adapter = match &self.machine {
            Machine::Persona { name } => Some(name.clone()),
            Machine::Model | Machine::Eliza => None,
        };
        Terms {
            room: self.room.clone(),
            adapter,
            ..Terms::default()
        }
    }
}

/// The actor. One for each machine on a chair.
pub(crate) struct Bot {
    mind: Mind,
    turn: Option<SpawnHandle>,
}

impl Bot {
    pub(crate) fn new(mind: Mind) -> Self {
        Self { mind, turn: None }
    }
}

impl Actor for Bot {
    type Context = Context<Self>;
}

impl Handler<Answer> for Bot {
    type Result = ();

    fn handle(&mut self, message: Answer, ctx: &mut Self::Context) {
        let Answer {
            turn,
            attempt,
            brief,
            room,
        } = message;
        if let Some(former) = self.turn.take() {
            ctx.cancel_future(former);
        }
        let mind = self.mind.clone();
        let voice = Voice::new(room, turn, attempt);
        let work = async move {
            match answer(&brief, &mind, &voice).await {
                Ok(text) => voice.finish(Made::Answer(text)),
                Err(error) => voice.fail(error),
            }
        };
        self.turn = Some(ctx.spawn(work.into_actor(self).map(|(), bot, _| bot.turn = None)));
    }
}

impl Handler<LetGo> for Bot {
    type Result = ();

    fn handle(&mut self, _: LetGo, ctx: &mut Self::Context) {
        if let Some(turn) = self.turn.take() {
            ctx.cancel_future(turn);
        }
    }
}

/// Weizenbaum's program needs no model.
fn eliza(brief: &AnswerBrief) -> String {
    let earlier: Vec<Said<'_>> = brief
        .earlier
        .iter()
        .map(|(question, answer)| Said { question, answer })
        .collect();
    let limit = brief.limit as usize;
    eliza::answer(
        brief.kind,
        brief.character(),
        &earlier,
        &brief.question,
        limit,
    )
}

async fn answer(brief: &AnswerBrief, mind: &Mind, voice: &Voice) -> Result<String, TurnError> {
    let began = Instant::now();
    let own: Vec<&str> = brief.earlier.iter().map(|(_, own)| own.as_str()).collect();
    let bounds = Bounds {
        kind: brief.kind,
        limit: brief.limit as usize,
        question: &brief.question,
        earlier: &own,
    };
    let text = match brief.machine {
        Machine::Eliza => eliza(brief),
        Machine::Model | Machine::Persona { .. } => compose(brief, bounds, mind, voice).await?,
    };
    if brief.typing > 0.0 {
        type_out(&text, brief, began, voice).await;
    }
    Ok(text)
}

/// The reply as the guard lets it pass.
async fn compose(
    brief: &AnswerBrief,
    bounds: Bounds<'_>,
    mind: &Mind,
    voice: &Voice,
) -> Result<String, TurnError> {
    let said: Vec<Said<'_>> = brief
        .earlier
        .iter()
        .map(|(question, answer)| Said { question, answer })
        .collect();
    let mut history = said.as_slice();
    // With typing the line is shown at a person's pace once it is there.
    let live = |text: &str| {
        let now = brief.watched && brief.typing <= 0.0;
        now.then(|| guard::tidy(text, bounds).ok()).flatten()
    };
    let terms = brief.terms();
    let mut attempt = 0;
    loop {
        let draft = witness::prompt(brief.kind, brief.character(), history, &brief.question);
        let seed = brief.derive(Draw::Text(Purpose::Answer), attempt);
        let sampling = mind.sampling(&draft, seed);
        let text = match write(&mind.backend, &draft, &sampling, None, &terms, voice, &live).await {
            Err(error) if is_too_long(&error) => match forget(history) {
                Some(rest) => {
                    history = rest;
                    continue;
                }
                None => return Err(error),
            },
            text => text?,
        };
        match guard::tidy(&text, bounds) {
            Ok(text) => return Ok(text),
            Err(fault) => {
                tracing::debug!(round = brief.round, attempt, %fault, "the guard threw a reply back");
                attempt += 1;
                if attempt == TRIES {
                    return Err(TurnError::Spoiled {
                        times: attempt,
                        last: fault.to_string(),
                    });
                }
                voice.anew();
            }
        }
    }
}

/// Lets the line grow as fast as a person types, counting from the question.
async fn type_out(text: &str, brief: &AnswerBrief, began: Instant, voice: &Voice) {
    let previous = brief.question.chars().count();
    let chars: Vec<char> = text.chars().collect();
    let typing = Typing::new(pace(brief), chars.len(), previous, brief.typing);
    let mut shown = 0;
    loop {
        let elapsed = brief.asked_ago + began.elapsed();
        if brief.watched {
            let visible = typing.visible_chars(elapsed).min(chars.len());
            if visible > shown {
                voice.wrote(chars[shown..visible].iter().collect::<String>());
                shown = visible;
            }
        }
        let left = typing.total().saturating_sub(elapsed);
        if left.is_zero() {
            return;
        }
        let step = if brief.watched { KEYSTROKES } else { left };
        tokio::time::sleep(step.min(left)).await;
    }
}

/// This reply's pace: the draws that [`Pace`] asks for, from the game's seed.
fn pace(brief: &AnswerBrief) -> Pace {
    let seed = brief.derive(Draw::Pace, 0);
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    Pace {
        per_char: normal(0.3, 0.03).sample(&mut dice).max(0.0),
        per_previous_char: normal(0.03, 0.003).sample(&mut dice).max(0.0),
        thinking: Gamma::new(2.5, 0.25)
            .expect("shape and scale are positive")
            .sample(&mut dice),
    }
}

fn normal(mean: f32, deviation: f32) -> Normal<f32> {
    Normal::new(mean, deviation).expect("the deviation is finite")
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::rooms::messages::{FromTurn, TurnId, TurnSays};

    /// A room that keeps what is reported to it.
    struct Probe(mpsc::UnboundedSender<FromTurn>);

    impl Actor for Probe {
        type Context = Context<Self>;
    }

    impl Handler<FromTurn> for Probe {
        type Result = ();

        fn handle(&mut self, report: FromTurn, _: &mut Self::Context) {
            // The test may have heard enough.
            let _ = self.0.send(report);
        }
    }

    /// How long a line takes to type, and the pieces that it came in.
    async fn typed(brief: &AnswerBrief, text: &str) -> (Duration, Vec<String>) {
        let (tell, mut heard) = mpsc::unbounded_channel();
        let turn = TurnId {
            game: 0,
            round: 1,
            purpose: Purpose::Answer,
            chair: None,
        };
        let voice = Voice::new(Probe(tell).start().recipient(), turn, 0);
        let began = Instant::now();
        type_out(text, brief, began, &voice).await;
        let took = began.elapsed();
        drop(voice);
        let mut pieces = Vec::new();
        while let Some(report) = heard.recv().await {
            match report.says {
                TurnSays::Wrote(piece) => pieces.push(piece),
                _ => break,
            }
        }
        (took, pieces)
    }

    #[actix::test]
    async fn a_line_grows_at_a_persons_pace_and_is_whole_when_that_is_over() {
        tokio::time::pause();
        let text = "Toast, and too much coffee — as ever.";
        let (took, pieces) = typed(&brief(7), text).await;
        assert_eq!(pieces.concat(), text);
        assert!(pieces.len() > 10, "{pieces:?}");
        let typing = Typing::new(pace(&brief(7)), text.chars().count(), 33, 1.0);
        let off = took.abs_diff(typing.total());
        assert!(off < Duration::from_millis(50), "{took:?}, {typing:?}");
    }

    #[actix::test]
    async fn what_nobody_may_watch_takes_its_time_in_silence() {
        tokio::time::pause();
        let mut brief = brief(7);
        brief.watched = false;
        let (took, pieces) = typed(&brief, "Toast, and too much coffee.").await;
        assert_eq!(pieces, [""; 0]);
        assert!(took > Duration::from_secs(5), "{took:?}");
    }

    #[actix::test]
    async fn a_question_that_has_stood_long_enough_is_answered_at_once() {
        tokio::time::pause();
        let mut brief = brief(7);
        brief.asked_ago = Duration::from_secs(3600);
        let (took, pieces) = typed(&brief, "Toast.").await;
        assert_eq!(pieces, ["Toast."]);
        assert_eq!(took, Duration::ZERO);
    }

    fn brief(seed: u32) -> AnswerBrief {
        AnswerBrief {
            kind: Kind::Direct,
            seed,
            round: 1,
            chair: None,
            machine: Machine::Model,
            room: String::new(),
            question: "What did you have for breakfast?".into(),
            earlier: Vec::new(),
            limit: 500,
            watched: true,
            typing: 1.0,
            asked_ago: Duration::ZERO,
        }
    }

    #[test]
    fn the_same_game_types_at_the_same_pace() {
        assert_eq!(pace(&brief(7)), pace(&brief(7)));
        assert_ne!(pace(&brief(7)), pace(&brief(8)));
    }

    #[test]
    fn the_pace_is_a_persons() {
        for seed in 0..500 {
            let pace = pace(&brief(seed));
            assert!((0.15..0.45).contains(&pace.per_char), "{pace:?}");
            assert!((0.015..0.045).contains(&pace.per_previous_char), "{pace:?}");
            assert!((0.0..5.0).contains(&pace.thinking), "{pace:?}");
        }
    }
}

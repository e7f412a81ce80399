//! The judge: one question, or one verdict, at a time.
//!
//! A verdict is measured before it is worded. Where the back end can weigh words, the judge
//! reads this round's answers in both orders and asks which one is human, and scores each
//! answer under the model; the rules of evidence make a belief of all rounds; only then are
//! the reasons written, with the decision fixed. A back end that cannot weigh fills in the
//! whole form, once in each order.

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use futures_util::future::try_join;

use super::{
    messages::{Ask, LetGo, Made, TurnError},
    opinion::{self, OpinionBrief},
    seeds::{self, Draw, Purpose},
    turn::{Mind, TRIES, Voice, forget, is_too_long, persist, write},
};
use crate::{
    generation::GenerationError,
    persona::{
        Draft, Exchange,
        judge::{self, Form, Heard, Order},
    },
    play::{
        evidence::{self, Opinion, Reading, Surprise},
        imitation::{Grounds, Kind, Verdict},
    },
    wire::worker::{Constraint, Message, Prompt, Role, Terms},
};

/// What the judge must know to ask.
#[derive(Clone, Debug)]
pub(crate) struct QuestionBrief {
    pub(crate) kind: Kind,
    pub(crate) seed: u32,
    pub(crate) round: u32,
    pub(crate) earlier: Past,
}

/// What the judge must know to give a verdict.
#[derive(Clone, Debug)]
pub(crate) struct VerdictBrief {
    pub(crate) kind: Kind,
    pub(crate) seed: u32,
    pub(crate) round: u32,
    pub(crate) earlier: Vec<Exchange>,
    /// What the verdicts of earlier rounds were computed from.
    pub(crate) grounds: Vec<Grounds>,
    pub(crate) exchange: Exchange,
    /// Whether anybody may watch the reasons grow.
    pub(crate) watched: bool,
}

/// The actor. One per room.
pub(crate) struct Judge {
    mind: Mind,
    turn: Option<SpawnHandle>,
}

impl Judge {
    pub(crate) fn new(mind: Mind) -> Self {
        Self { mind, turn: None }
    }
}

impl Actor for Judge {
    type Context = Context<Self>;
}

/// What the judge can be asked for.
pub(crate) trait Task: 'static {
    async fn make(&self, mind: &Mind, voice: &Voice) -> Result<Made, TurnError>;
}

impl Task for QuestionBrief {
    async fn make(&self, mind: &Mind, voice: &Voice) -> Result<Made, TurnError> {
        Ok(Made::Question(question(self, mind, voice).await?))
    }
}

impl Task for VerdictBrief {
    async fn make(&self, mind: &Mind, voice: &Voice) -> Result<Made, TurnError> {
        Ok(Made::Verdict(verdict(self, mind, voice).await?))
    }
}

impl Task for OpinionBrief {
    async fn make(&self, mind: &Mind, voice: &Voice) -> Result<Made, TurnError> {
        Ok(Made::Opinion(opinion::opinion(self, mind, voice).await?))
    }
}

impl<T: Task> Handler<Ask<T>> for Judge {
    type Result = ();

    /// Takes this turn instead of the former one.
    fn handle(&mut self, message: Ask<T>, ctx: &mut Self::Context) {
        let Ask {
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
        let turn = async move {
            match brief.make(&mind, &voice).await {
                Ok(made) => voice.finish(made),
                Err(error) => voice.fail(error),
            }
        };
        self.turn = Some(ctx.spawn(turn.into_actor(self).map(|(), judge, _| judge.turn = None)));
    }
}

impl Handler<LetGo> for Judge {
    type Result = ();

    fn handle(&mut self, _: LetGo, ctx: &mut Self::Context) {
        if let Some(turn) = self.turn.take() {
            ctx.cancel_future(turn);
        }
    }
}

/// The rounds before, as the next question depends on them.
#[derive(Clone, Debug)]
pub(crate) enum Past {
    Two(Vec<Exchange>),
    Table(Vec<Heard>),
}

impl Past {
    fn len(&self) -> usize {
        match self {
            Self::Two(rounds) => rounds.len(),
            Self::Table(rounds) => rounds.len(),
        }
    }

    /// The prompt that remembers all but the first `forgotten` rounds.
    fn draft(&self, kind: Kind, subject: u32, round: u32, forgotten: usize) -> Draft {
        match self {
            Self::Two(rounds) => judge::question(kind, subject, round, &rounds[forgotten..]),
            Self::Table(rounds) => {
                judge::table_question(kind, subject, round, &rounds[forgotten..])
            }
        }
    }

    fn acceptable(&self, text: &str) -> Result<String, judge::Unfit> {
        match self {
            Self::Two(rounds) => judge::acceptable_question(text, rounds),
            Self::Table(rounds) => judge::acceptable_table_question(text, rounds),
        }
    }

    fn book_question(&self, subject: u32) -> &'static str {
        match self {
            Self::Two(rounds) => judge::bank_question(subject, rounds),
            Self::Table(rounds) => judge::table_bank_question(subject, rounds),
        }
    }
}

/// A question that can be put to the witnesses. A model that keeps failing to write one
/// asks from the book.
async fn question(brief: &QuestionBrief, mind: &Mind, voice: &Voice) -> Result<String, TurnError> {
    let past = &brief.earlier;
    let mut forgotten = 0;
    let live = |text: &str| Some(first_line(text).to_owned());
    let terms = Terms::default();
    let derive = |draw, attempt| seeds::derive(brief.seed, brief.round, draw, attempt);
    let subject = |attempt| seeds::low_half(derive(Draw::Subject, attempt));
    let mut attempt = 0;
    while attempt < TRIES {
        let draft = past.draft(brief.kind, subject(attempt), brief.round, forgotten);
        let seed = derive(Draw::Text(Purpose::Question), attempt);
        let sampling = mind.sampling(&draft, seed);
        let written = write(&mind.backend, &draft, &sampling, None, &terms, voice, &live);
        let text = match written.await {
            // What does not fit is forgotten, the older half first.
            Err(error) if is_too_long(&error) && forgotten < past.len() => {
                forgotten += (past.len() - forgotten).div_ceil(2);
                continue;
            }
            text => text?,
        };
        match past.acceptable(&text) {
            Ok(question) => return Ok(question),
            Err(unfit) => {
                tracing::debug!(round = brief.round, attempt, %unfit, "a question was thrown back");
                attempt += 1;
                voice.anew();
            }
        }
    }
    Ok(past.book_question(subject(attempt)).to_owned())
}

fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or_default()
}

async fn verdict(brief: &VerdictBrief, mind: &Mind, voice: &Voice) -> Result<Verdict, TurnError> {
    if mind.backend.can_weigh() {
        measured(brief, mind, voice).await
    } else {
        stated(brief, mind, voice).await
    }
}

/// By weighing and scoring; the reasons come last.
async fn measured(brief: &VerdictBrief, mind: &Mind, voice: &Voice) -> Result<Verdict, TurnError> {
    let [a_first, b_first] = [Order::AFirst, Order::BFirst]
        .map(|order| judge::weigh(brief.kind, &brief.exchange, order));
    let readings = try_join(weigh(&a_first, mind, voice), weigh(&b_first, mind, voice));
    let surprises = try_join(
        surprise(&brief.exchange.question, &brief.exchange.a, mind, voice),
        surprise(&brief.exchange.question, &brief.exchange.b, mind, voice),
    );
    let ((a_first, b_first), (surprise_a, surprise_b)) = try_join(readings, surprises).await?;
    let reading = Reading::weighed(a_first, b_first);
    let grounds = evidence::grounds(reading, surprise_a, surprise_b);
    let belief = believe(brief, &grounds);
    let opinion = Opinion {
        decision: belief.decision(),
        confidence: belief.confidence(),
    };
    let draft = judge::reasoning(brief.kind, &brief.exchange, opinion);
    let schema = Constraint::JsonSchema(judge::reasoning_schema(
        brief.kind,
        &brief.exchange,
        opinion,
    ));
    let live = |text: &str| brief.watched.then(|| judge::reasoning_so_far(text));
    let reasoning = tries(brief, 0, &|| voice.anew(), async |seed| {
        let sampling = mind.sampling(&draft, seed);
        let text = write(
            &mind.backend,
            &draft,
            &sampling,
            Some(&schema),
            &Terms::default(),
            voice,
            &live,
        )
        .await?;
        Ok(judge::parse_reasoning(&text).map_err(|error| error.to_string()))
    })
    .await?;
    Ok(belief.verdict(reasoning, grounds))
}

fn believe(brief: &VerdictBrief, grounds: &Grounds) -> evidence::Belief {
    let rounds: Vec<&Grounds> = brief.grounds.iter().chain([grounds]).collect();
    evidence::combine(&rounds)
}

/// Log-probabilities that the first and the second read is human.
pub(super) async fn weigh(
    draft: &Draft,
    mind: &Mind,
    voice: &Voice,
) -> Result<[f32; 2], TurnError> {
    let prompt = draft.prompt();
    let options: Vec<String> = judge::OPTIONS.map(str::to_owned).into();
    persist(&mind.backend, voice, async || {
        let log_probs = mind.backend.weigh(prompt.clone(), options.clone()).await?;
        <[f32; 2]>::try_from(log_probs).map_err(|odd| {
            GenerationError::Failed(format!("it weighed {} options, not two", odd.len()))
        })
    })
    .await
}

/// How the answer looks under the model's own distribution, as a reply to the question.
pub(super) async fn surprise(
    question: &str,
    answer: &str,
    mind: &Mind,
    voice: &Voice,
) -> Result<Option<Surprise>, TurnError> {
    let prompt = Prompt::Chat {
        messages: vec![Message {
            role: Role::User,
            content: question.to_owned(),
        }],
        prefill: String::new(),
    };
    let score = persist(&mind.backend, voice, || {
        mind.backend.score(prompt.clone(), answer.to_owned())
    })
    .await?;
    Ok(Surprise::of(
        &score.log_probs,
        &score.means,
        &score.variances,
    ))
}

/// By filling in the form in both orders at once.
async fn stated(brief: &VerdictBrief, mind: &Mind, voice: &Voice) -> Result<Verdict, TurnError> {
    let (a_first, b_first) = try_join(
        form(brief, Order::AFirst, mind, voice),
        form(brief, Order::BFirst, mind, voice),
    )
    .await?;
    let reading = Reading::stated(a_first.opinion, b_first.opinion);
    let grounds = evidence::grounds(Some(reading), None, None);
    let belief = believe(brief, &grounds);
    // Reasons that argue for the other side would make no sense beside the decision.
    let reasoning = if a_first.opinion.decision == belief.decision() {
        a_first.reasoning
    } else {
        voice.anew();
        b_first.reasoning
    };
    Ok(belief.verdict(reasoning, grounds))
}

async fn form(
    brief: &VerdictBrief,
    order: Order,
    mind: &Mind,
    voice: &Voice,
) -> Result<Form, TurnError> {
    let schema = Constraint::JsonSchema(judge::form_schema());
    // Both are written at once and one line is shown: the form whose labels are the true
    // seats.
    let shown = order == Order::AFirst;
    let first_try = if shown { 0 } else { TRIES };
    let spoiled = || {
        if shown {
            voice.anew();
        }
    };
    let live = |text: &str| (shown && brief.watched).then(|| judge::relabelled_so_far(text, order));
    tries(brief, first_try, &spoiled, async |seed| {
        let mut history = brief.earlier.as_slice();
        let text = loop {
            let draft = judge::form(brief.kind, history, &brief.exchange, order);
            let sampling = mind.sampling(&draft, seed);
            match write(
                &mind.backend,
                &draft,
                &sampling,
                Some(&schema),
                &Terms::default(),
                voice,
                &live,
            )
            .await
            {
                Err(error) if is_too_long(&error) => match forget(history) {
                    Some(rest) => history = rest,
                    None => return Err(error),
                },
                text => break text?,
            }
        };
        Ok(judge::parse_form(&text, order).map_err(|error| error.to_string()))
    })
    .await
}

/// Runs `make` with one seed after another until what it makes can be read.
async fn tries<T>(
    brief: &VerdictBrief,
    first_try: u32,
    spoiled: &dyn Fn(),
    make: impl AsyncFn(u64) -> Result<Result<T, String>, TurnError>,
) -> Result<T, TurnError> {
    let mut last = String::new();
    for attempt in first_try..first_try + TRIES {
        let draw = Draw::Text(Purpose::Verdict);
        match make(seeds::derive(brief.seed, brief.round, draw, attempt)).await? {
            Ok(made) => return Ok(made),
            Err(problem) => {
                tracing::debug!(
                    round = brief.round,
                    attempt,
                    problem,
                    "a verdict was thrown back"
                );
                last = problem;
                spoiled();
            }
        }
    }
    Err(TurnError::Spoiled { times: TRIES, last })
}

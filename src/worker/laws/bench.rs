//! A batch and its engine, stepped as the engine's thread steps them, and everything that
//! must hold at every step.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use crate::{
    models::peft::Adapter,
    wire::worker::{
        Constraint, FromWorker, Generate, Message, Prompt, Refusal, RequestId, Role, Sampling,
        Score, Terms, Usage, Weigh,
    },
    worker::{
        admission::Owner,
        batch::{Batch, Limits, Outgoing, Plan},
        deterministic::{Deterministic, Habits},
        engine::Engine,
        job::{Job, Preparer},
        library::CHUNK,
        pace::MOST,
    },
};

pub(super) const MODEL: &str = "deterministic";
pub(super) const CONTEXT: usize = 400;

/// The engine refuses this adapter.
pub(super) const BAD_ADAPTER: u64 = 66;

/// A request that can be made again, alone or in company.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) messages: Vec<Message>,
    pub(super) sampling: Sampling,
    pub(super) constraint: Option<Constraint>,
    pub(super) adapter: Option<u64>,
    pub(super) room: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Generate,
    Weigh,
    /// Of a text with so many tokens.
    Score(usize),
}

pub(super) fn message(role: Role, content: impl Into<String>) -> Message {
    Message {
        role,
        content: content.into(),
    }
}

/// So many letters; each is a token.
pub(super) fn letters(count: usize) -> String {
    (0..count)
        .map(|at| char::from(b'a' + (at % 23) as u8))
        .collect()
}

impl Request {
    /// A text to be generated after a prompt.
    pub(super) fn new(prompt: impl Into<String>, seed: u64, max_tokens: u32) -> Self {
        Self {
            kind: Kind::Generate,
            messages: vec![message(Role::User, prompt)],
            sampling: Sampling {
                seed,
                max_tokens,
                ..Sampling::default()
            },
            constraint: None,
            adapter: None,
            room: "",
        }
    }

    /// A measurement after a prompt.
    pub(super) fn measure(kind: Kind, prompt: impl Into<String>) -> Self {
        Self {
            kind,
            ..Self::new(prompt, 0, 1)
        }
    }

    pub(super) fn spoken_by(self, adapter: u64) -> Self {
        Self {
            adapter: Some(adapter),
            ..self
        }
    }

    fn job(&self, preparer: &Preparer) -> Result<Job, Refusal> {
        let model = MODEL.to_owned();
        let prompt = Prompt::Chat {
            messages: self.messages.clone(),
            prefill: String::new(),
        };
        let terms = Terms {
            room: self.room.into(),
            ..Terms::default()
        };
        let mut job = match self.kind {
            Kind::Generate => preparer.generate(&Generate {
                model,
                prompt,
                sampling: self.sampling.clone(),
                constraint: self.constraint.clone(),
                logprobs: None,
                terms,
            }),
            Kind::Weigh => preparer.weigh(&Weigh {
                model,
                prompt,
                options: ["a", "b", "c"].map(String::from).to_vec(),
                terms,
            }),
            Kind::Score(length) => preparer.score(&Score {
                model,
                prompt,
                text: "so it goes ".repeat(length).chars().take(length).collect(),
                terms,
            }),
        }?;
        job.adapter = self.adapter.map(adapter);
        Ok(job)
    }
}

fn adapter(id: u64) -> Arc<Adapter> {
    let parts = Vec::new();
    Arc::new(Adapter { id, parts })
}

/// What a worker is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct House {
    pub(super) habits: Habits,
    pub(super) slots: usize,
    pub(super) shelves: usize,
    pub(super) queue: usize,
    pub(super) draft: usize,
    /// Milliseconds that a step takes for each token: how the batch paces itself.
    pub(super) token_ms: f64,
}

impl Default for House {
    fn default() -> Self {
        Self {
            habits: Habits::FREE,
            slots: 8,
            shelves: 2,
            queue: 40,
            draft: 0,
            token_ms: 1.0,
        }
    }
}

/// What was said to one owner.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Heard {
    pub(super) text: String,
    pub(super) tokens: Vec<u32>,
    pub(super) end: Option<FromWorker>,
}

impl Heard {
    /// Without what depends on the company: its number, and what was computed before.
    fn bare(mut self) -> Self {
        match &mut self.end {
            Some(FromWorker::Done { id, usage, .. }) => {
                *id = RequestId(0);
                usage.reused_tokens = 0;
            }
            Some(
                FromWorker::Weighed { id, .. }
                | FromWorker::Scored { id, .. }
                | FromWorker::Failed { id, .. },
            ) => *id = RequestId(0),
            _ => {}
        }
        self
    }

    pub(super) fn usage(&self) -> Usage {
        match &self.end {
            Some(FromWorker::Done { usage, .. }) => *usage,
            other => panic!("{other:?}"),
        }
    }
}

fn id_of(message: &FromWorker) -> RequestId {
    match message {
        FromWorker::Piece { id, .. }
        | FromWorker::Done { id, .. }
        | FromWorker::Weighed { id, .. }
        | FromWorker::Scored { id, .. }
        | FromWorker::Refused { id, .. }
        | FromWorker::Failed { id, .. } => *id,
        FromWorker::Hello { .. } | FromWorker::Pong { .. } => panic!("not about a request"),
    }
}

/// The n-th request; connections take turns.
pub(super) fn owner(n: usize) -> Owner {
    Owner {
        connection: n as u64 % 3,
        request: RequestId(n as u64),
    }
}

thread_local! {
    /// Compiling grammars takes its time, and what is said alone is asked for again and again.
    static PREPARER: Rc<Preparer> = Rc::new(Bench::preparer(Habits::FREE));
    static ALONE: RefCell<HashMap<String, Heard>> = RefCell::default();
}

/// A batch, its engine, and all that was said so far.
pub(super) struct Bench {
    house: House,
    engine: Deterministic,
    pub(super) preparer: Rc<Preparer>,
    pub(super) batch: Batch,
    pub(super) said: HashMap<Owner, Heard>,
    /// Requests under way or waiting speak with these.
    adapters: HashMap<Owner, u64>,
}

impl Bench {
    pub(super) fn new(house: House) -> Self {
        let slots = house.slots + house.shelves;
        let engine = Deterministic::with_habits(house.habits, slots, CONTEXT, Duration::ZERO);
        let limits = Limits {
            queue: house.queue,
            shelves: house.shelves,
            step: Duration::from_millis(50),
            draft: house.draft,
        };
        Self {
            house,
            preparer: PREPARER.with(Rc::clone),
            batch: Batch::new(engine.info(), engine.vocabulary(), limits),
            engine,
            said: HashMap::new(),
            adapters: HashMap::new(),
        }
    }

    /// What checks requests for an engine of these habits.
    pub(super) fn preparer(habits: Habits) -> Preparer {
        let engine = Deterministic::with_habits(habits, 1, CONTEXT, Duration::ZERO);
        Preparer::new(MODEL, engine.info(), engine.vocabulary())
    }

    pub(super) fn join(&mut self, owner: Owner, request: &Request) -> Result<(), Refusal> {
        let job = request.job(&self.preparer)?;
        self.batch.offer(owner, job)?;
        if let Some(adapter) = request.adapter {
            self.adapters.insert(owner, adapter);
        }
        Ok(())
    }

    pub(super) fn hear(&mut self, out: impl IntoIterator<Item = Outgoing>) {
        for Outgoing {
            connection,
            message,
        } in out
        {
            let request = id_of(&message);
            let owner = Owner {
                connection,
                request,
            };
            let heard = self.said.entry(owner).or_default();
            assert_eq!(heard.end, None, "{message:?} after the end");
            match message {
                FromWorker::Piece { text, tokens, .. } => {
                    heard.text.push_str(&text);
                    heard.tokens.extend(tokens);
                }
                end => heard.end = Some(end),
            }
        }
    }

    /// One step as the engine's thread does it; false when there is nothing to do.
    pub(super) fn step(&mut self) -> bool {
        self.step_with_plan().is_some()
    }

    pub(super) fn step_with_plan(&mut self) -> Option<Plan> {
        let Some(mut plan) = self.batch.plan() else {
            assert!(self.batch.idle(), "somebody waits and nothing is planned");
            return None;
        };
        let planned = plan.clone();
        for (place, adapter) in std::mem::take(&mut plan.loads) {
            if adapter.id == BAD_ADAPTER {
                let out = self.batch.refuse_adapter(&mut plan, place, "bad");
                self.hear(out);
            } else {
                self.engine
                    .load_adapter(place, &adapter)
                    .expect("a sound place");
            }
        }
        self.check(&plan);
        for copy in &plan.copies {
            self.engine
                .copy_slot(copy.from, copy.to, copy.length)
                .expect("a sound copy");
        }
        let logits = self.engine.step(&plan.runs).expect("sound runs");
        let tokens: usize = plan.runs.iter().map(|run| run.tokens.len()).sum();
        let took = Duration::from_secs_f64((1.0 + self.house.token_ms * tokens as f64) / 1000.0);
        let before = self.batch.load().tokens;
        let out = self.batch.absorb(plan, logits, took);
        let drawn = self.batch.load().tokens - before;
        if planned.loads.is_empty() {
            assert!(
                drawn >= planned.size.rows as u64,
                "a step that does not move all who decode"
            );
        }
        self.hear(out);
        Some(planned)
    }

    /// What must hold of a plan beyond what the engine's contract asks: that is checked by
    /// the engine itself.
    fn check(&self, plan: &Plan) {
        let load = self.batch.load();
        assert!(load.slots_busy <= load.slots, "more rows than slots");
        let prompts: usize = plan.size.tokens;
        let House { habits, draft, .. } = self.house;
        assert!(prompts <= MOST + 2 * draft, "a step without an end");
        if !habits.uniform {
            assert!(plan.runs.iter().all(|run| run.tokens.len() <= CHUNK));
        }
        if habits.contiguous {
            for (slot, run) in plan.runs.iter().take(plan.size.rows).enumerate() {
                assert_eq!(run.slot, slot, "decoding rows sit in 0..n");
            }
        }
        let places: HashSet<usize> = plan.runs.iter().filter_map(|run| run.adapter).collect();
        assert!(places.len() <= habits.adapter_places);
    }

    /// The engine loses all that it holds.
    pub(super) fn break_down(&mut self) {
        self.engine.break_down();
        let out = self.batch.fail("broken");
        self.hear(out);
    }

    /// Steps until nothing is left to do; it must not take more than `bound`.
    pub(super) fn run_dry(&mut self, bound: usize) {
        for _ in 0..=bound {
            if !self.step() {
                return;
            }
        }
        panic!("not through after {bound} steps");
    }

    /// Steps that a request may take at most: each step moves it, or another one.
    pub(super) fn work(request: &Request) -> usize {
        let prompt: usize = request
            .messages
            .iter()
            .map(|message| message.content.len() + 2)
            .sum();
        let scored = match request.kind {
            Kind::Score(length) => length,
            _ => 0,
        };
        (prompt + 1 + scored) / 16 + 3 + request.sampling.max_tokens as usize
    }

    pub(super) fn heard(&self, n: usize) -> Heard {
        self.said.get(&owner(n)).cloned().unwrap_or_default()
    }

    pub(super) fn heard_bare(&self, n: usize) -> Heard {
        self.heard(n).bare()
    }

    /// What a request says when nobody else is there, nothing was computed before, nothing
    /// is guessed, and its prompt is read in chunks of one size.
    pub(super) fn alone(request: &Request, uniform: bool) -> Heard {
        let request = Request {
            room: "",
            ..request.clone()
        };
        let key = format!("{uniform} {request:?}");
        if let Some(heard) = ALONE.with_borrow(|alone| alone.get(&key).cloned()) {
            return heard;
        }
        let mut bench = Self::new(House {
            habits: Habits {
                uniform,
                contiguous: true,
                adapter_places: 1,
            },
            slots: 1,
            shelves: 0,
            queue: 0,
            ..House::default()
        });
        bench
            .join(owner(0), &request)
            .expect("an empty batch takes it");
        bench.run_dry(Self::work(&request));
        let heard = bench.heard_bare(0);
        ALONE.with_borrow_mut(|alone| alone.insert(key, heard.clone()));
        heard
    }
}

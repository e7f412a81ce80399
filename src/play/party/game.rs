//! One game at the table: its state, and what follows from it.

use super::{
    Answer, Bench, Chair, Effect, Event, Finish, MISSES, Machine, Member, Opinion, Setup, Vacancy,
    Voter, Witness, ballots::Ballots, chairs::Place, people::People, score,
};
use crate::play::UnixMillis;

/// What somebody said on a chair: none yet, or, once it is known, the text, if it came in time.
type Reply = Option<Option<String>>;

/// One round as far as it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    pub question: String,
    /// By chair.
    replies: Vec<Reply>,
    revealed: bool,
    pub opinion: Option<Opinion>,
}

impl Round {
    /// What was said on `chair`; also before it is revealed.
    pub fn answer(&self, chair: Chair) -> Option<&str> {
        self.replies.get(usize::from(chair.0))?.as_ref()?.as_deref()
    }

    /// What was said on each chair that spoke in time, in the order of the chairs; also
    /// before it is revealed.
    pub fn answers(&self) -> impl Iterator<Item = (Chair, &str)> {
        (0u8..)
            .map(Chair)
            .zip(&self.replies)
            .filter_map(|(chair, reply)| Some((chair, reply.as_ref()?.as_deref()?)))
    }

    /// Whether the answers have been shown to everybody.
    pub fn is_revealed(&self) -> bool {
        self.revealed
    }
}

/// Where a table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before the first game.
    Gathering,
    Asking {
        round: u32,
    },
    Answering {
        round: u32,
    },
    /// The AI on the bench weighs the answers.
    Weighing {
        round: u32,
    },
    Voting,
    /// Between games.
    Over,
}

/// A game that was started: running, or the last one played.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Game {
    pub(super) number: u32,
    pub(super) setup: Setup,
    pub(super) places: Vec<Place>,
    pub(super) judge: Option<Member>,
    pub(super) seed: Option<u32>,
    pub(super) rounds: Vec<Round>,
    pub(super) ballots: Ballots,
    /// When the present step began.
    began: UnixMillis,
    pub(super) finish: Option<Finish>,
}

impl Game {
    /// A game that [`Event::Started`] tells of.
    pub(super) fn new(
        at: UnixMillis,
        setup: &Setup,
        event: &Event,
        people: &People,
    ) -> Option<Self> {
        let Event::Started {
            game,
            chairs: Some(chairs),
            judge,
            seed,
            ..
        } = event
        else {
            return None;
        };
        // Every chair has a letter, and 256 of them a number.
        u8::try_from(chairs.len()).ok().filter(|count| *count > 0)?;
        Some(Self {
            number: *game,
            setup: setup.clone(),
            places: chairs.iter().cloned().map(Place::new).collect(),
            judge: *judge,
            seed: *seed,
            rounds: Vec::new(),
            ballots: Ballots::of(setup.bench, *judge, people),
            began: at,
            finish: None,
        })
    }

    pub(super) fn is_running(&self) -> bool {
        self.finish.is_none()
    }

    /// All chairs, in their order.
    pub(super) fn places(&self) -> impl Iterator<Item = (Chair, &Place)> {
        (0u8..).map(Chair).zip(&self.places)
    }

    pub(super) fn place(&self, chair: Chair) -> Option<&Place> {
        self.places.get(usize::from(chair.0))
    }

    pub(super) fn open_chairs(&self) -> impl Iterator<Item = Chair> {
        self.places()
            .filter(|(_, place)| place.is_open())
            .map(|(chair, _)| chair)
    }

    /// The chair that the member answers on.
    pub(super) fn chair_of(&self, member: Member) -> Option<Chair> {
        self.places()
            .find(|(_, place)| place.person() == Some(member))
            .map(|(chair, _)| chair)
    }

    /// The chair that was drawn for the member.
    pub(super) fn drawn_for(&self, member: Member) -> Option<Chair> {
        self.places()
            .find(|(_, place)| place.sitter() == Some(member))
            .map(|(chair, _)| chair)
    }

    pub(super) fn step(&self) -> Step {
        if !self.is_running() {
            return Step::Over;
        }
        if self.ballots.are_open() || self.is_played_out() {
            return Step::Voting;
        }
        let asked = self.asked();
        match self.rounds.last() {
            Some(last) if !last.revealed => Step::Answering { round: asked },
            Some(last) if self.is_to_be_weighed(last) => Step::Weighing { round: asked },
            _ => Step::Asking { round: asked + 1 },
        }
    }

    /// The round that the table is at, from 1.
    pub(super) fn round(&self) -> u32 {
        match self.step() {
            Step::Asking { round } => round,
            _ => self.asked(),
        }
    }

    fn asked(&self) -> u32 {
        u32::try_from(self.rounds.len()).unwrap_or(u32::MAX)
    }

    fn is_to_be_weighed(&self, round: &Round) -> bool {
        self.setup.bench != Bench::Person && round.opinion.is_none()
    }

    fn is_last_revealed(&self) -> bool {
        self.asked() >= self.setup.rounds && self.rounds.last().is_some_and(|last| last.revealed)
    }

    fn is_played_out(&self) -> bool {
        self.is_last_revealed()
            && !self
                .rounds
                .last()
                .is_some_and(|last| self.is_to_be_weighed(last))
    }

    /// Whether the answer of this chair is awaited.
    pub(super) fn owes_answer(&self, chair: Chair) -> bool {
        matches!(self.step(), Step::Answering { .. })
            && self.place(chair).is_some_and(Place::is_open)
            && self
                .rounds
                .last()
                .and_then(|round| round.replies.get(usize::from(chair.0)))
                .is_some_and(Option::is_none)
    }

    /// Open chairs whose answers are awaited.
    pub(super) fn owing(&self) -> impl Iterator<Item = Chair> {
        self.open_chairs().filter(|chair| self.owes_answer(*chair))
    }

    /// When the present step goes on without whoever is late; none while only a machine that
    /// nothing can replace is awaited.
    pub(super) fn due(&self) -> Option<UnixMillis> {
        let timed = match self.step() {
            Step::Asking { .. } => self.setup.bench == Bench::Person,
            Step::Answering { .. } | Step::Voting => true,
            Step::Weighing { .. } | Step::Gathering | Step::Over => false,
        };
        let millis = UnixMillis::from(self.setup.seconds).saturating_mul(1000);
        timed.then(|| self.began.saturating_add(millis))
    }

    pub(super) fn effects(&self) -> Vec<Effect> {
        let wait = self.due().map(|until| Effect::Wait { until });
        let ask: Vec<Effect> = match self.step() {
            Step::Asking { round } if self.setup.bench != Bench::Person => {
                vec![Effect::AskQuestion { round }]
            }
            Step::Answering { round } => self
                .owing()
                .filter_map(|chair| {
                    let machine = self.machine_on(chair)?;
                    Some(Effect::AskMachine {
                        round,
                        chair,
                        machine,
                    })
                })
                .collect(),
            Step::Weighing { round } => vec![Effect::AskOpinion { round }],
            _ => Vec::new(),
        };
        ask.into_iter().chain(wait).collect()
    }

    /// The machine that answers on this chair.
    pub(super) fn machine_on(&self, chair: Chair) -> Option<Machine> {
        match self.place(chair)?.holder()? {
            Witness::Machine { machine } => Some(machine),
            Witness::Person { .. } => None,
        }
    }

    /// What must happen now, whoever acts: none when the table waits for somebody.
    ///
    /// Each event that this gives, once applied, brings the game nearer to its end, so that
    /// asking again and again ends.
    pub(super) fn consequence(&self, people: &People) -> Option<Event> {
        if !self.is_running() {
            return None;
        }
        let judged = self.judge.is_some_and(|judge| people.is_here(judge));
        if self.setup.bench == Bench::Person && !judged {
            return Some(self.finished(Finish::Deserted));
        }
        if self.ballots.are_open() {
            return self.next_ballot(people);
        }
        // Whoever leaves after the last answer was revealed keeps the chair: nobody else
        // will have spoken on it.
        if !self.is_last_revealed() {
            if let Some(vacated) = self.next_vacated(people) {
                return Some(vacated);
            }
            if self.places.iter().all(|place| place.person().is_none()) {
                return Some(self.finished(Finish::Deserted));
            }
        }
        match self.step() {
            Step::Answering { round } if self.owing().next().is_none() => {
                Some(self.revealed(round))
            }
            Step::Voting => Some(Event::BallotsOpened),
            _ => None,
        }
    }

    fn next_vacated(&self, people: &People) -> Option<Event> {
        let given_up = |place: &Place| {
            place
                .person()
                .is_some_and(|member| !people.is_here(member) || place.misses >= MISSES)
        };
        let (chair, _) = self.places().find(|(_, place)| given_up(place))?;
        Some(Event::Vacated {
            chair,
            vacancy: self.setup.vacancy,
        })
    }

    fn revealed(&self, round: u32) -> Event {
        let last = self.rounds.last();
        let text = |chair| {
            last.and_then(|round| round.answer(chair))
                .map(str::to_owned)
        };
        let answers = self.places().map(|(chair, _)| Answer {
            chair,
            text: text(chair),
        });
        Event::Revealed {
            round,
            answers: answers.collect(),
        }
    }

    fn next_ballot(&self, people: &People) -> Option<Event> {
        if self.setup.bench != Bench::Person && !self.ballots.has(Voter::Machine) {
            return Some(Event::Voted {
                voter: Voter::Machine,
                ballot: Some(score::machines_ballot(self)),
            });
        }
        self.ballots
            .owing()
            .all(|member| !people.is_here(member))
            .then(|| self.finished(Finish::Played))
    }

    /// What follows from the time being over.
    pub(super) fn late(&self) -> Vec<Event> {
        match self.step() {
            Step::Asking { .. } => vec![self.finished(Finish::Deserted)],
            Step::Answering { round } => self
                .owing()
                .map(|chair| Event::Replied {
                    round,
                    chair,
                    text: None,
                })
                .collect(),
            Step::Voting if self.setup.bench == Bench::Person => {
                vec![self.finished(Finish::Deserted)]
            }
            Step::Voting => vec![self.finished(Finish::Played)],
            Step::Weighing { .. } | Step::Gathering | Step::Over => Vec::new(),
        }
    }

    /// The end, with everything that is revealed.
    pub(super) fn finished(&self, finish: Finish) -> Event {
        let (chairs, voters) = score::scores(self, finish);
        Event::Finished {
            finish,
            chairs,
            voters,
        }
    }

    pub(super) fn apply(&mut self, at: UnixMillis, event: &Event) {
        if !self.is_running() {
            return;
        }
        let before = self.step();
        match (before, event) {
            (Step::Asking { round }, Event::Questioned { round: named, text })
                if round == *named =>
            {
                self.rounds.push(Round {
                    question: text.clone(),
                    replies: vec![None; self.places.len()],
                    revealed: false,
                    opinion: None,
                });
            }
            (
                Step::Answering { round },
                Event::Replied {
                    round: named,
                    chair,
                    text,
                },
            ) if round == *named && self.owes_answer(*chair) => self.reply(*chair, text.clone()),
            (Step::Answering { round }, Event::Revealed { round: named, .. })
                if round == *named && self.owing().next().is_none() =>
            {
                self.reveal();
            }
            (_, Event::Vacated { chair, vacancy }) => self.vacate(*chair, *vacancy),
            (
                Step::Weighing { round },
                Event::Weighed {
                    round: named,
                    opinion,
                },
            ) if round == *named => {
                if let Some(last) = self.rounds.last_mut() {
                    last.opinion = Some(opinion.clone());
                }
            }
            (Step::Voting | Step::Asking { .. }, Event::BallotsOpened) => {
                if !self.ballots.are_open() {
                    self.ballots.open();
                    self.began = at;
                }
            }
            (
                Step::Voting,
                Event::Voted {
                    voter,
                    ballot: Some(ballot),
                },
            ) => self.ballots.give(*voter, *ballot),
            (_, Event::Finished { finish, .. }) => self.finish = Some(*finish),
            _ => {}
        }
        if self.step() != before {
            self.began = at;
        }
    }

    fn reply(&mut self, chair: Chair, text: Option<String>) {
        let replies = self.rounds.last_mut().map(|round| &mut round.replies);
        if let Some(reply) = replies.and_then(|all| all.get_mut(usize::from(chair.0))) {
            *reply = Some(text);
        }
    }

    fn reveal(&mut self) {
        let Some(last) = self.rounds.last_mut() else {
            return;
        };
        last.revealed = true;
        for (place, reply) in self.places.iter_mut().zip(&last.replies) {
            match reply {
                Some(None) => place.misses = place.misses.saturating_add(1),
                Some(Some(_)) => place.misses = 0,
                None => {}
            }
        }
    }

    fn vacate(&mut self, chair: Chair, vacancy: Vacancy) {
        let from = if self.owes_answer(chair) {
            self.asked()
        } else {
            self.asked().saturating_add(1)
        };
        if let Some(place) = self.places.get_mut(usize::from(chair.0)) {
            place.vacate(vacancy, from);
        }
    }
}

//! The state of a séance, and how events move it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{AHEAD, Effect, Event, Exchange, Member, Setup, SpokenLine, memory::Memory};
use crate::play::UnixMillis;

/// A séance: everything that its events have made true. Written down it stands for all of them
/// (a snapshot), and is of bounded size however many they were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seance {
    pub(super) room: Option<Room>,
}

/// One that was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Room {
    pub(super) setup: Setup,
    pub(super) sitters: Vec<Sitter>,
    pub(super) queue: VecDeque<Member>,
    /// Sessions of those who sit or wait.
    pub(super) keys: BTreeMap<Member, Option<String>>,
    pub(super) next_member: u32,
    pub(super) next_question: u32,
    pub(super) next_line: u32,
    /// The first question and line that belong to the sitting of now.
    first_question: u32,
    first_line: u32,
    pub(super) memory: Memory,
    pub(super) listening: Option<Listening>,
    /// Whether the spirit goes on by itself.
    goes_on: bool,
    /// Silences in a row.
    silences: u32,
    /// Lines said to the empty room.
    alone: u32,
    /// It says nothing until then.
    pub(super) pause: Option<UnixMillis>,
    pub(super) waited_since: Option<UnixMillis>,
    pub(super) closed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sitter {
    pub(super) member: Member,
    pub(super) since: UnixMillis,
    /// When they last did something.
    pub(super) stirred: UnixMillis,
}

/// Somebody speaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Listening {
    pub(super) member: Member,
    pub(super) utterance: u32,
    pub(super) since: UnixMillis,
}

/// The line that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) line: u32,
    pub(super) question: u32,
    pub(super) part: u32,
}

/// The séance that `events` tell.
pub fn rebuild<'a>(events: impl IntoIterator<Item = (UnixMillis, &'a Event)>) -> Seance {
    let mut seance = Seance::default();
    for (at, event) in events {
        seance.apply(at, event);
    }
    seance
}

impl Seance {
    /// Makes `event`, which happened at `at`, true.
    ///
    /// Total: an event that no lawful séance holds changes nothing, so that a damaged log
    /// cannot bring the server down.
    pub fn apply(&mut self, at: UnixMillis, event: &Event) {
        match (&mut self.room, event) {
            (None, Event::Opened { setup }) => self.room = Some(Room::new(setup.clone())),
            (Some(room), event) if !room.closed => room.apply(at, event),
            _ => {}
        }
    }

    /// What must be done next. Nothing when nobody is there and the spirit is quiet.
    pub fn effects(&self) -> Vec<Effect> {
        self.running().map_or_else(Vec::new, Room::effects)
    }

    pub fn setup(&self) -> Option<&Setup> {
        self.room.as_ref().map(|room| &room.setup)
    }

    pub fn is_open(&self) -> bool {
        self.running().is_some()
    }

    /// Those who may ask, the one who sat down first in front.
    pub fn sitters(&self) -> impl Iterator<Item = Member> {
        let sitters = self.room.iter().flat_map(|room| &room.sitters);
        sitters.map(|sitter| sitter.member)
    }

    pub fn sits(&self, member: Member) -> bool {
        self.sitters().any(|sitter| sitter == member)
    }

    /// Those who wait, the next one in front.
    pub fn waiting(&self) -> impl Iterator<Item = Member> {
        self.room.iter().flat_map(|room| room.queue.iter().copied())
    }

    /// The place in the queue, from 1; none for somebody who does not wait.
    pub fn place(&self, member: Member) -> Option<u32> {
        let before = self.waiting().position(|waiting| waiting == member)?;
        u32::try_from(before).ok()?.checked_add(1)
    }

    /// Who of those who sit or wait has this session.
    pub fn member_of(&self, key: &str) -> Option<Member> {
        let keys = &self.room.as_ref()?.keys;
        keys.iter()
            .find(|(_, known)| known.as_deref() == Some(key))
            .map(|(member, _)| *member)
    }

    /// The session of somebody who sits or waits.
    pub fn key(&self, member: Member) -> Option<&str> {
        self.room.as_ref()?.keys.get(&member)?.as_deref()
    }

    /// Who is speaking, and the number of what is said.
    pub fn listening(&self) -> Option<(Member, u32)> {
        let listening = self.running()?.listening.as_ref()?;
        Some((listening.member, listening.utterance))
    }

    /// What the spirit remembers: the questions of this sitting, the last one last. Of each
    /// answer [`Exchange::heard`] alone may be told to a model.
    pub fn memory(&self) -> &[Exchange] {
        self.room
            .as_ref()
            .map_or(&[], |room| room.memory.exchanges())
    }

    /// A line that was said to the question of now, and was not forgotten.
    pub fn line(&self, number: u32) -> Option<&SpokenLine> {
        let exchange = self.room.as_ref()?.memory.current()?;
        exchange.lines.iter().find(|line| line.line == number)
    }

    pub(super) fn is_question_of_now(&self, number: u32) -> bool {
        self.room
            .as_ref()
            .is_some_and(|room| number >= room.first_question)
    }

    pub(super) fn is_line_of_now(&self, number: u32) -> bool {
        self.room
            .as_ref()
            .is_some_and(|room| number >= room.first_line)
    }

    pub(super) fn running(&self) -> Option<&Room> {
        self.room.as_ref().filter(|room| !room.closed)
    }
}

impl Room {
    fn new(setup: Setup) -> Self {
        Self {
            setup,
            sitters: Vec::new(),
            queue: VecDeque::new(),
            keys: BTreeMap::new(),
            next_member: 0,
            next_question: 1,
            next_line: 1,
            first_question: 1,
            first_line: 1,
            memory: Memory::default(),
            listening: None,
            goes_on: false,
            silences: 0,
            alone: 0,
            pause: None,
            waited_since: None,
            closed: false,
        }
    }

    pub(super) fn sits(&self, member: Member) -> bool {
        self.sitters.iter().any(|sitter| sitter.member == member)
    }

    pub(super) fn speaks(&self, member: Member) -> bool {
        self.listening
            .as_ref()
            .is_some_and(|listening| listening.member == member)
    }

    /// The line that is to be made now.
    pub(super) fn due(&self) -> Option<Due> {
        let exchange = self.memory.current()?;
        let ahead = if self.sitters.is_empty() { 1 } else { AHEAD };
        let waits = self.listening.is_some()
            || self.pause.is_some()
            || !self.goes_on
            || exchange.unheard() >= ahead
            || self.silences >= self.setup.silences
            || (self.sitters.is_empty() && self.alone >= self.setup.alone_lines);
        (!waits).then_some(Due {
            line: self.next_line,
            question: exchange.number,
            part: exchange.parts,
        })
    }

    /// When this sitter must get up.
    pub(super) fn patience(&self, sitter: &Sitter) -> UnixMillis {
        // Who speaks is not idle.
        let stirred = if self.speaks(sitter.member) {
            UnixMillis::MAX
        } else {
            sitter.stirred
        };
        let Some(waited) = self.waited_since else {
            return stirred.saturating_add(self.setup.idle_ms);
        };
        // Whoever comes cannot make somebody get up at once.
        let idle = stirred
            .max(waited)
            .saturating_add(self.setup.idle_while_waited_ms)
            .min(stirred.saturating_add(self.setup.idle_ms));
        let turn = sitter
            .since
            .saturating_add(self.setup.turn_ms)
            .max(waited.saturating_add(self.setup.idle_while_waited_ms));
        idle.min(turn)
    }

    fn effects(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(Due {
            line,
            question,
            part,
        }) = self.due()
        {
            effects.push(Effect::Speak {
                line,
                question,
                part,
            });
        }
        let unheard = self.memory.current().into_iter().flat_map(Exchange::lines);
        effects.extend(
            unheard
                .filter(|line| !line.is_heard())
                .map(|line| Effect::Voice {
                    line: line.line,
                    from: line.heard(),
                }),
        );
        let listening = self
            .listening
            .as_ref()
            .map(|listening| listening.since.saturating_add(self.setup.listening_ms));
        let patience = self.sitters.iter().map(|sitter| self.patience(sitter));
        let until = patience.chain(listening).chain(self.pause).min();
        effects.extend(until.map(|until| Effect::Wait { until }));
        effects
    }

    fn apply(&mut self, at: UnixMillis, event: &Event) {
        match event {
            Event::Opened { .. } => {}
            Event::Came { member, key } if member.0 == self.next_member => {
                self.next_member = self.next_member.saturating_add(1);
                self.keys.insert(*member, key.clone());
                self.queue.push_back(*member);
                self.waited_since.get_or_insert(at);
            }
            Event::Sat { member }
                if self.queue.front() == Some(member)
                    && self.sitters.len() < usize::from(self.setup.sitters) =>
            {
                self.queue.pop_front();
                if self.queue.is_empty() {
                    self.waited_since = None;
                }
                self.sitters.push(Sitter {
                    member: *member,
                    since: at,
                    stirred: at,
                });
                self.end_sitting();
                self.goes_on = false;
            }
            Event::Left { member, .. } => self.leave(*member),
            Event::Listening { member, utterance } if self.sits(*member) => {
                self.silence();
                self.listening = Some(Listening {
                    member: *member,
                    utterance: *utterance,
                    since: at,
                });
                self.stir(*member, at);
            }
            Event::Unheard { member, .. } if self.speaks(*member) => {
                self.listening = None;
                self.stir(*member, at);
            }
            Event::Asked {
                question,
                member,
                text,
                language,
                inner,
                seed,
                ..
            } if *question == self.next_question && self.sits(*member) => {
                self.silence();
                self.next_question = self.next_question.saturating_add(1);
                self.listening = None;
                self.goes_on = true;
                self.silences = 0;
                self.memory.begin(Exchange {
                    number: *question,
                    by: Some(*member),
                    question: inner.as_ref().unwrap_or(text).clone(),
                    language: language.clone(),
                    seed: *seed,
                    lines: Vec::new(),
                    parts: 0,
                });
                self.stir(*member, at);
            }
            Event::Said {
                line,
                question,
                part,
                text,
                language,
                inner,
                ..
            } if self.is_due(*line, *question, *part) => {
                let said = SpokenLine::new(*line, *part, text, language, inner.as_deref());
                if let Some(exchange) = self.memory.current_mut() {
                    exchange.lines.push(said);
                }
                self.silences = 0;
                self.made();
            }
            Event::Silence {
                line,
                question,
                part,
                ..
            } if self.is_due(*line, *question, *part) => {
                self.silences = self.silences.saturating_add(1);
                self.made();
                self.pause = Some(at.saturating_add(self.setup.silence_ms));
            }
            Event::Heard { line, words } => {
                let known = self.memory.hear(*line, *words);
                let waits = self.memory.current().is_some_and(|now| now.unheard() > 0);
                if known && !waits && self.sitters.is_empty() {
                    self.pause = Some(at.saturating_add(self.setup.alone_pause_ms));
                }
            }
            Event::PauseOver => self.pause = None,
            Event::Hushed { member } if self.sits(*member) => {
                self.silence();
                self.goes_on = false;
                self.stir(*member, at);
            }
            Event::Closed => {
                self.closed = true;
                self.memory = Memory::default();
                self.listening = None;
            }
            _ => {}
        }
    }

    fn is_due(&self, line: u32, question: u32, part: u32) -> bool {
        self.due()
            == Some(Due {
                line,
                question,
                part,
            })
    }

    /// A line was made, or a silence in its place.
    fn made(&mut self) {
        self.next_line = self.next_line.saturating_add(1);
        if self.sitters.is_empty() {
            self.alone = self.alone.saturating_add(1);
        }
        if let Some(exchange) = self.memory.current_mut() {
            exchange.parts = exchange.parts.saturating_add(1);
        }
    }

    /// Cuts the spirit short. A line that is being made has a number that is no longer due.
    fn silence(&mut self) {
        self.memory.cut();
        self.next_line = self.next_line.saturating_add(1);
        self.pause = None;
    }

    fn end_sitting(&mut self) {
        self.silence();
        self.memory = Memory::default();
        self.listening = None;
        self.silences = 0;
        self.alone = 0;
        self.first_line = self.next_line;
        self.first_question = self.next_question;
    }

    fn leave(&mut self, member: Member) {
        if self.keys.remove(&member).is_none() {
            return;
        }
        self.queue.retain(|waiting| *waiting != member);
        if self.queue.is_empty() {
            self.waited_since = None;
        }
        let sat = self.sits(member);
        self.sitters.retain(|sitter| sitter.member != member);
        if self.speaks(member) {
            self.listening = None;
        }
        if sat && self.sitters.is_empty() {
            self.end_sitting();
            self.murmur();
        }
    }

    /// Goes on alone, about nothing that anybody said.
    fn murmur(&mut self) {
        self.goes_on = true;
        self.memory.begin(Exchange {
            number: 0,
            by: None,
            question: String::new(),
            language: String::new(),
            seed: self.next_line,
            lines: Vec::new(),
            parts: 0,
        });
    }

    fn stir(&mut self, member: Member, at: UnixMillis) {
        for sitter in &mut self.sitters {
            if sitter.member == member {
                sitter.stirred = sitter.stirred.max(at);
            }
        }
    }
}

//! What follows from a command.

use super::{
    Command, Event, Hush, Leaving, Member, Put, QUEUE, Refusal, Seance, SeedFrom, Setup, Tongue,
    state::Room, words,
};
use crate::play::{
    Dice, UnixMillis,
    text::{MACHINE_TEXT_LIMIT, cut, line},
};

impl Seance {
    /// What follows from `command`, to be stored and then applied in order.
    ///
    /// No events means that the command was lawful and changed nothing.
    ///
    /// # Errors
    /// When the rules do not allow the command now.
    pub fn decide(
        &self,
        command: Command,
        now: UnixMillis,
        dice: &mut dyn Dice,
    ) -> Result<Vec<Event>, Refusal> {
        let Some(room) = &self.room else {
            return match command {
                Command::Open { setup } => open(setup),
                _ => Err(Refusal::NotOpen),
            };
        };
        if room.closed {
            return Err(Refusal::Closed);
        }
        let events = match command {
            Command::Open { .. } => return Err(Refusal::AlreadyOpen),
            Command::Come { key } => self.come(room, key)?,
            Command::Leave { member } => room.leaves(member, Leaving::Wanted)?,
            Command::Away { member } => room.leaves(member, Leaving::Away)?,
            Command::Listen { member, utterance } => {
                self.may_ask(member)?;
                if let Some((speaker, _)) = self.listening()
                    && speaker != member
                {
                    return Err(Refusal::SomebodySpeaks);
                }
                vec![Event::Listening { member, utterance }]
            }
            Command::Unheard { member, utterance } => {
                self.listened(member, utterance)?;
                vec![Event::Unheard { member, utterance }]
            }
            Command::Ask {
                member,
                utterance,
                text,
                language,
                inner,
                seed,
            } => {
                self.may_ask(member)?;
                let text = match utterance {
                    Some(utterance) => {
                        self.listened(member, utterance)?;
                        let text = cut(&text, usize_of(room.setup.question_limit));
                        if text.is_empty() {
                            return Ok(vec![Event::Unheard { member, utterance }]);
                        }
                        text
                    }
                    None => {
                        if self
                            .listening()
                            .is_some_and(|(speaker, _)| speaker != member)
                        {
                            return Err(Refusal::SomebodySpeaks);
                        }
                        line(&text, room.setup.question_limit)?
                    }
                };
                vec![Event::Asked {
                    question: room.next_question,
                    member,
                    put: utterance.map_or(Put::Typed, |_| Put::Spoken),
                    text,
                    language,
                    inner: inner.map(|inner| cut(&inner, MACHINE_TEXT_LIMIT)),
                    // The whole range of 32 bits does not fit in one throw.
                    seed: seed.unwrap_or_else(|| (dice.throw(1 << 16) << 16) | dice.throw(1 << 16)),
                    seed_from: seed.map_or(SeedFrom::Dice, |_| SeedFrom::Camera),
                }]
            }
            Command::Say {
                line,
                text,
                language,
                inner,
                tongue,
            } => vec![room.say(line, &text, language, inner, tongue)?],
            Command::Heard { by, line, words } => {
                if let Some(member) = by {
                    self.may_ask(member)?;
                }
                self.hear(line, words)
            }
            Command::Hush { member } => {
                self.may_ask(member)?;
                vec![Event::Hushed { member }]
            }
            Command::Tick => room.tick(now),
            Command::GiveUp => room
                .due()
                .map(|due| Event::Silence {
                    line: due.line,
                    question: due.question,
                    part: due.part,
                    why: Hush::Failed,
                })
                .into_iter()
                .collect(),
            Command::Close => vec![Event::Closed],
        };
        Ok(self.seated(events, now))
    }

    /// The events, and then the next ones of the queue sit down where a seat is free.
    fn seated(&self, mut events: Vec<Event>, now: UnixMillis) -> Vec<Event> {
        let mut then = self.clone();
        for event in &events {
            then.apply(now, event);
        }
        while let Some(room) = then.running() {
            let free = room.sitters.len() < usize::from(room.setup.sitters);
            let Some(member) = room.queue.front().copied().filter(|_| free) else {
                break;
            };
            let event = Event::Sat { member };
            then.apply(now, &event);
            events.push(event);
        }
        events
    }

    fn come(&self, room: &Room, key: String) -> Result<Vec<Event>, Refusal> {
        if self.member_of(&key).is_some() {
            return Err(Refusal::AlreadyHere);
        }
        if room.queue.len() >= QUEUE {
            return Err(Refusal::Full);
        }
        Ok(vec![Event::Came {
            member: Member(room.next_member),
            key: Some(key),
        }])
    }

    fn may_ask(&self, member: Member) -> Result<(), Refusal> {
        if self.sits(member) {
            return Ok(());
        }
        Err(self
            .place(member)
            .map_or(Refusal::NoSuchMember, |place| Refusal::NotSitting { place }))
    }

    fn listened(&self, member: Member, utterance: u32) -> Result<(), Refusal> {
        if self.listening() == Some((member, utterance)) {
            Ok(())
        } else {
            Err(Refusal::NotListening)
        }
    }

    fn hear(&self, number: u32, heard: u32) -> Vec<Event> {
        let Some(line) = self.line(number) else {
            return Vec::new();
        };
        let all = u32::try_from(words(&line.text).count()).unwrap_or(u32::MAX);
        let heard = heard.min(all);
        if heard <= line.heard() {
            return Vec::new();
        }
        vec![Event::Heard {
            line: number,
            words: heard,
        }]
    }
}

impl Room {
    fn leaves(&self, member: Member, why: Leaving) -> Result<Vec<Event>, Refusal> {
        if !self.keys.contains_key(&member) {
            return Err(Refusal::NoSuchMember);
        }
        Ok(vec![Event::Left { member, why }])
    }

    fn say(
        &self,
        line: u32,
        text: &str,
        language: String,
        inner: Option<String>,
        tongue: Tongue,
    ) -> Result<Event, Refusal> {
        let due = self
            .due()
            .filter(|due| due.line == line)
            .ok_or(Refusal::Stale)?;
        let (question, part) = (due.question, due.part);
        let text = cut(text, MACHINE_TEXT_LIMIT);
        if text.is_empty() {
            return Ok(Event::Silence {
                line,
                question,
                part,
                why: Hush::Empty,
            });
        }
        Ok(Event::Said {
            line,
            question,
            part,
            text,
            language,
            inner: inner.map(|inner| cut(&inner, MACHINE_TEXT_LIMIT)),
            tongue,
        })
    }

    fn tick(&self, now: UnixMillis) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(listening) = &self.listening
            && now >= listening.since.saturating_add(self.setup.listening_ms)
        {
            events.push(Event::Unheard {
                member: listening.member,
                utterance: listening.utterance,
            });
        }
        if self.pause.is_some_and(|until| now >= until) {
            events.push(Event::PauseOver);
        }
        for sitter in &self.sitters {
            if now >= self.patience(sitter) {
                let limit = self.setup.idle_while_waited_ms.min(self.setup.idle_ms);
                let speaks = self.speaks(sitter.member);
                let idle = !speaks && now >= sitter.stirred.saturating_add(limit);
                let why = if idle {
                    Leaving::Idle
                } else {
                    Leaving::TurnOver
                };
                let member = sitter.member;
                events.push(Event::Left { member, why });
            }
        }
        events
    }
}

fn open(setup: Setup) -> Result<Vec<Event>, Refusal> {
    setup.check()?;
    Ok(vec![Event::Opened { setup }])
}

fn usize_of(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

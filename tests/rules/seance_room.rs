//! A séance with its log, as a room keeps them.

use parlour::play::{
    UnixMillis,
    seance::{Command, Effect, Event, Member, Refusal, Seance, Setup, Tongue, rebuild},
};

use crate::table::dice;

pub fn setup() -> Setup {
    Setup {
        sitters: 1,
        idle_ms: 10_000,
        idle_while_waited_ms: 3_000,
        turn_ms: 20_000,
        listening_ms: 5_000,
        question_limit: 40,
        silence_ms: 500,
        silences: 2,
        alone_lines: 2,
        alone_pause_ms: 2_000,
    }
}

#[derive(Clone, Default)]
pub struct Circle {
    pub seance: Seance,
    pub log: Vec<(UnixMillis, Event)>,
    pub now: UnixMillis,
}

impl Circle {
    pub fn open(setup: Setup) -> Self {
        let mut circle = Self::default();
        circle.must(Command::Open { setup });
        circle
    }

    /// One that somebody sits in: member 0.
    pub fn sat() -> Self {
        let mut circle = Self::open(setup());
        circle.come("ada");
        circle
    }

    pub fn give(&mut self, command: Command) -> Result<Vec<Event>, Refusal> {
        let throw = u32::try_from(self.log.len()).expect("short logs");
        let events = self.seance.decide(command, self.now, &mut dice(throw))?;
        for event in &events {
            self.seance.apply(self.now, event);
            self.log.push((self.now, event.clone()));
        }
        Ok(events)
    }

    pub fn must(&mut self, command: Command) -> Vec<Event> {
        self.give(command).expect("lawful")
    }

    pub fn come(&mut self, key: &str) -> Member {
        self.must(Command::Come { key: key.into() });
        self.seance.member_of(key).expect("who came has a place")
    }

    pub fn ask(&mut self, member: Member, text: &str) -> Vec<Event> {
        self.must(typed(member, text))
    }

    /// The line that is due; none when none is.
    pub fn due(&self) -> Option<(u32, u32, u32)> {
        self.seance
            .effects()
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Speak {
                    line,
                    question,
                    part,
                } => Some((line, question, part)),
                _ => None,
            })
    }

    pub fn until(&self) -> Option<UnixMillis> {
        self.seance
            .effects()
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Wait { until } => Some(until),
                _ => None,
            })
    }

    /// Says the line that is due; its number.
    pub fn say(&mut self, text: &str) -> u32 {
        let (line, ..) = self.due().expect("a line is due");
        self.must(said(line, text));
        line
    }

    pub fn hear(&mut self, line: u32, words: u32) -> Vec<Event> {
        let by = self.seance.sitters().next();
        self.must(Command::Heard { by, line, words })
    }

    /// What was heard of the answers, question by question.
    pub fn remembered(&self) -> Vec<(String, Vec<String>)> {
        let exchanges = self.seance.memory().iter();
        exchanges
            .map(|exchange| (exchange.question.clone(), exchange.heard()))
            .collect()
    }

    pub fn replayed(&self) -> Seance {
        rebuild(self.log.iter().map(|(at, event)| (*at, event)))
    }
}

pub fn typed(member: Member, text: &str) -> Command {
    Command::Ask {
        member,
        utterance: None,
        text: text.into(),
        language: "en".into(),
        inner: None,
        seed: None,
    }
}

pub fn spoken(member: Member, utterance: u32, text: &str) -> Command {
    Command::Ask {
        member,
        utterance: Some(utterance),
        text: text.into(),
        language: "en".into(),
        inner: None,
        seed: Some(77),
    }
}

pub fn said(line: u32, text: &str) -> Command {
    Command::Say {
        line,
        text: text.into(),
        language: "en".into(),
        inner: None,
        tongue: Tongue::Own,
    }
}

//! The truth: what the store's own log says, against what was said and what was seen.

use std::collections::HashMap;

use parlour::{
    play::{
        imitation,
        party::{self, Chair, Member, Voter, Witness},
    },
    store::{Record, Store},
    wire::browser::{RefusalCode, Stamped},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::guest::{Fate, Guest, Place, What};

/// The log of one room.
pub struct Truth {
    pub room: String,
    records: Vec<Record>,
}

impl Truth {
    /// Reads it from the store; its offsets are without gaps.
    pub async fn read(store: &impl Store, room: &str) -> Self {
        let log = store.read(room, 0).await.expect("the room is there");
        for (offset, record) in (0..).zip(&log.records) {
            assert_eq!(record.offset, offset, "{room} has a gap");
        }
        Self {
            room: room.to_owned(),
            records: log.records,
        }
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    fn events<E: DeserializeOwned>(&self) -> Vec<Stamped<E>> {
        let read = |record: &Record| Stamped {
            offset: record.offset,
            at: record.at,
            event: Some(serde_json::from_str(&record.body).expect("an event")),
        };
        self.records.iter().map(read).collect()
    }

    fn is_table(&self) -> bool {
        self.room.contains('-')
    }

    /// Games that ended because a model kept failing.
    pub fn broken(&self) -> usize {
        let is_broken = |record: &&Record| {
            let body = &record.body;
            body.contains(r#""ending":"broken""#) || body.contains(r#""finish":"broken""#)
        };
        self.records.iter().filter(is_broken).count()
    }

    /// What people and machines said, in order.
    fn lines(&self) -> Vec<String> {
        if self.is_table() {
            let events = self.events::<party::Event>().into_iter();
            events
                .filter_map(|stamped| match stamped.event? {
                    party::Event::Said { text, .. } | party::Event::Questioned { text, .. } => {
                        Some(text)
                    }
                    party::Event::Replied { text, .. } => text,
                    _ => None,
                })
                .collect()
        } else {
            let events = self.events::<imitation::Event>().into_iter();
            events
                .filter_map(|stamped| match stamped.event? {
                    imitation::Event::Answered { text, .. } => Some(text),
                    _ => None,
                })
                .collect()
        }
    }

    /// Ballots of people, by game and member.
    fn ballots(&self) -> Vec<(u32, Member, party::Ballot)> {
        let mut game = 0;
        let mut ballots = Vec::new();
        if self.is_table() {
            for stamped in self.events::<party::Event>() {
                match stamped.event {
                    Some(party::Event::Started { game: now, .. }) => game = now,
                    Some(party::Event::Voted {
                        voter: Voter::Person { member },
                        ballot: Some(ballot),
                    }) => ballots.push((game, member, ballot)),
                    _ => {}
                }
            }
        }
        ballots
    }

    /// Holds what the guests said here against the log: what was accepted is there once, what
    /// nobody answered at most once, what was refused never; nobody came, answered or voted
    /// twice. Gives how many things were accepted.
    ///
    /// # Panics
    /// At the first lie.
    pub fn hold_to_account(&self, guests: &[&Guest]) -> usize {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for line in self.lines() {
            *counts.entry(line).or_default() += 1;
        }
        let ballots = self.ballots();
        let mut accepted = 0;
        for guest in guests {
            for said in guest.said.iter().filter(|said| said.room == self.room) {
                accepted += usize::from(said.fate == Fate::Accepted);
                if let What::Line(line) = &said.what {
                    let times = counts.get(line).copied().unwrap_or_default();
                    assert!(
                        is_lawful(said.fate, times),
                        "{}: {said:?} is {times} times in the log",
                        guest.name
                    );
                }
            }
            self.ballots_count(guest, &ballots);
        }
        let known = |line: &String| {
            guests.iter().any(|guest| {
                let mut said = guest.said.iter();
                said.any(|said| said.what == What::Line(line.clone()))
            })
        };
        for (line, times) in &counts {
            let by_person = line.ends_with("tastes like the sea in March");
            assert!(!by_person || known(line), "nobody said {line:?}");
            assert!(!by_person || *times == 1, "{line:?} {times} times");
        }
        self.nothing_twice(guests);
        accepted
    }

    /// A ballot in the log is one that was given, and one that was accepted is there. (The
    /// same one may have been given again when it was too late.)
    fn ballots_count(&self, guest: &Guest, ballots: &[(u32, Member, party::Ballot)]) {
        let members: Vec<Member> = self.members_of(guest).collect();
        let given = |game: u32, ballot: party::Ballot| {
            let what = What::Vote(game, ballot);
            let mut said = guest.said.iter();
            said.any(|said| said.room == self.room && said.what == what && is_lawful(said.fate, 1))
        };
        for (game, member, ballot) in ballots {
            assert!(
                !members.contains(member) || given(*game, *ballot),
                "{} never gave {ballot:?}",
                guest.name
            );
        }
        for said in guest.said.iter().filter(|said| said.room == self.room) {
            if let (What::Vote(game, ballot), Fate::Accepted) = (&said.what, said.fate) {
                let mut own = members.iter();
                let counts = own.any(|own| ballots.contains(&(*game, *own, *ballot)));
                assert!(counts, "{}: {said:?} is not in the log", guest.name);
            }
        }
    }

    fn members_of<'a>(&'a self, guest: &'a Guest) -> impl Iterator<Item = Member> + 'a {
        guest
            .past
            .iter()
            .chain(&guest.place)
            .filter_map(|place| match place {
                Place::Table(known) if known.room == self.room => Some(known.you),
                _ => None,
            })
    }

    /// Each question, answer and ballot has its place in the game, and is there once.
    fn nothing_twice(&self, guests: &[&Guest]) {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut note = |place: String| *places.entry(place).or_default() += 1;
        if self.is_table() {
            let mut game = 0;
            for stamped in self.events::<party::Event>() {
                match stamped.event.expect("a record is an event") {
                    party::Event::TableOpened { .. } => note("opened".into()),
                    party::Event::Came { name, .. } => {
                        if guests.iter().any(|guest| name == guest.name) {
                            note(format!("{name} came"));
                        }
                        let other = guests.iter().find(|guest| name.starts_with(&guest.name));
                        assert!(
                            other.is_none_or(|guest| guest.name == name),
                            "{name} came too"
                        );
                    }
                    party::Event::Started { game: now, .. } => {
                        game = now;
                        note(format!("game {game}"));
                    }
                    party::Event::Questioned { round, .. } => {
                        note(format!("question {game} {round}"))
                    }
                    party::Event::Replied { round, chair, .. } => {
                        note(format!("answer {game} {round} {chair:?}"));
                    }
                    party::Event::Revealed { round, .. } => {
                        note(format!("revealed {game} {round}"))
                    }
                    party::Event::Weighed { round, .. } => note(format!("weighed {game} {round}")),
                    party::Event::Voted { voter, .. } => note(format!("vote {game} {voter:?}")),
                    party::Event::Finished { .. } => note(format!("end {game}")),
                    _ => {}
                }
            }
        } else {
            for stamped in self.events::<imitation::Event>() {
                note(match stamped.event.expect("a record is an event") {
                    imitation::Event::Opened { .. } => "opened".into(),
                    imitation::Event::Asked { round, .. } => format!("question {round}"),
                    imitation::Event::Answered { round, seat, .. } => {
                        format!("answer {round} {seat:?}")
                    }
                    imitation::Event::Judged { round, .. } => format!("verdict {round}"),
                    imitation::Event::Ended { .. } => "end".into(),
                });
            }
        }
        for (place, times) in places {
            assert_eq!(times, 1, "{place} in {}", self.room);
        }
    }

    /// Holds what somebody sees of the room, after the end, against the log: they have all of
    /// it, up to what happened when they had left. Gives how many events that are.
    ///
    /// # Panics
    /// At the first difference.
    pub fn is_seen(&self, guest: &Guest, place: &Place) -> usize {
        let by = guest.name.as_str();
        let after = &self.records[place.held().min(self.records.len())..];
        let left = |record: &Record| record.body.contains(r#""type":"host_changed""#);
        let removed = guest.removed_from.contains(&self.room);
        assert!(removed || after.iter().all(left), "{by} misses {after:?}");
        match place {
            Place::Game(seen) => {
                let mut events: Vec<Stamped<imitation::Event>> = self.events();
                for stamped in &mut events {
                    if let Some(imitation::Event::Opened { key, .. }) = &mut stamped.event {
                        *key = None;
                    }
                }
                agree(by, &self.room, &seen.events, &events);
            }
            Place::Table(known) => {
                let mut events: Vec<Stamped<party::Event>> = self.events();
                for (stamped, seen) in events.iter_mut().zip(&known.events) {
                    let event = stamped.event.take();
                    stamped.event = event.map(|event| in_eyes_of(known.you, event));
                    // Who was shown the door was never told what was veiled.
                    if removed {
                        veil(stamped, seen);
                    }
                }
                agree(by, &self.room, &known.events, &events);
            }
        }
        place.held()
    }

    /// What must not be known before an offset is: the words, where they are, and that offset.
    pub fn secrets(&self, of: &Place) -> Vec<(String, usize, usize)> {
        let mut secrets = Vec::new();
        match of {
            Place::Game(seen) => {
                let events: Vec<Stamped<imitation::Event>> = self.events();
                let is_blind = events.iter().any(|stamped| {
                    matches!(&stamped.event, Some(imitation::Event::Opened { rules, .. })
                        if rules.mode == imitation::Mode::Blind)
                });
                let end = events.iter().position(|stamped| {
                    matches!(stamped.event, Some(imitation::Event::Ended { .. }))
                });
                for (offset, stamped) in events.iter().enumerate() {
                    match &stamped.event {
                        Some(imitation::Event::Opened { key: Some(key), .. }) => {
                            secrets.push((key.clone(), offset, usize::MAX));
                        }
                        Some(imitation::Event::Answered { seat, text, .. })
                            if is_blind && *seat != seen.seat =>
                        {
                            secrets.extend(end.map(|end| (text.clone(), offset, end)));
                        }
                        Some(imitation::Event::Judged { verdict, .. }) if is_blind => {
                            secrets.extend(end.map(|end| (verdict.reasoning.clone(), offset, end)));
                        }
                        _ => {}
                    }
                }
            }
            Place::Table(known) => self.secrets_of_table(known.you, &mut secrets),
        }
        // What is short is found in anything, and what was said before is no secret: ELIZA has
        // only so many sentences.
        let is_new = |text: &str, offset: usize| {
            let quoted = quoted(text);
            let mut records = self.records.iter();
            records.position(|record| record.body.contains(&quoted)) == Some(offset)
        };
        secrets.retain(|(text, offset, _)| text.chars().count() >= 12 && is_new(text, *offset));
        secrets
    }

    fn secrets_of_table(&self, you: Member, secrets: &mut Vec<(String, usize, usize)>) {
        let events: Vec<Stamped<party::Event>> = self.events();
        let mut mode = imitation::Mode::Blind;
        let mut own = None;
        for (offset, stamped) in events.iter().enumerate() {
            let later = |wanted: &dyn Fn(&party::Event) -> bool| {
                let mut rest = events.iter().enumerate().skip(offset);
                rest.find(|(_, stamped)| stamped.event.as_ref().is_some_and(wanted))
                    .map(|(offset, _)| offset)
            };
            match stamped.event.as_ref().expect("a record is an event") {
                party::Event::TableOpened { setup } | party::Event::SetupChanged { setup } => {
                    mode = setup.mode;
                }
                party::Event::Came { key: Some(key), .. } => {
                    secrets.push((key.clone(), offset, usize::MAX))
                }
                party::Event::Started { chairs, .. } => {
                    own = chairs.as_ref().and_then(|chairs| chair_of(you, chairs));
                }
                party::Event::Replied {
                    chair,
                    round,
                    text: Some(text),
                } if Some(*chair) != own => {
                    let shown = |event: &party::Event| {
                        matches!(event, party::Event::Revealed { round: now, .. } if now == round)
                            || matches!(event, party::Event::Finished { .. })
                    };
                    secrets.extend(later(&shown).map(|shown| (text.clone(), offset, shown)));
                }
                party::Event::Weighed { opinion, .. } if mode == imitation::Mode::Blind => {
                    let end = |event: &party::Event| matches!(event, party::Event::Finished { .. });
                    secrets.extend(later(&end).map(|end| (opinion.reasoning.clone(), offset, end)));
                }
                _ => {}
            }
        }
    }
}

/// As it stands within a string of JSON.
fn quoted(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("json");
    quoted[1..quoted.len() - 1].to_owned()
}

fn is_lawful(fate: Fate, times: usize) -> bool {
    match fate {
        Fate::Accepted => times == 1,
        Fate::Unknown | Fate::Refused(RefusalCode::Trouble) => times <= 1,
        Fate::Refused(_) | Fate::Torn => times == 0,
    }
}

fn chair_of(you: Member, chairs: &[Witness]) -> Option<Chair> {
    let mut chairs = (0..).map(Chair).zip(chairs);
    chairs
        .find(|(_, witness)| **witness == Witness::Person { member: you })
        .map(|(chair, _)| chair)
}

/// What a member sees of an event once the game is over, by docs/protocol.md.
fn in_eyes_of(you: Member, event: party::Event) -> party::Event {
    match event {
        party::Event::Came {
            member, name, role, ..
        } => party::Event::Came {
            member,
            name,
            role,
            key: None,
        },
        party::Event::Started {
            game,
            chairs,
            count,
            judge,
            seed,
            ..
        } => party::Event::Started {
            game,
            yours: chairs.as_ref().and_then(|chairs| chair_of(you, chairs)),
            chairs,
            count,
            judge,
            seed,
        },
        other => other,
    }
}

/// Hides what the other one does not show, where that may be.
fn veil(stamped: &mut Stamped<party::Event>, seen: &Stamped<party::Event>) {
    match (&mut stamped.event, &seen.event) {
        (event, None) => *event = None,
        (
            Some(party::Event::Started { chairs, seed, .. }),
            Some(party::Event::Started { chairs: None, .. }),
        ) => (*chairs, *seed) = (None, None),
        _ => {}
    }
}

fn agree<E: PartialEq + std::fmt::Debug + Serialize>(
    by: &str,
    room: &str,
    seen: &[Stamped<E>],
    truth: &[Stamped<E>],
) {
    for (seen, truth) in seen.iter().zip(truth) {
        assert_eq!(seen, truth, "{by} and the store differ about {room}");
    }
    assert!(
        seen.len() <= truth.len(),
        "{by} knows more of {room} than the store"
    );
}

/// Looks for what must not have been sent yet in all that was.
///
/// # Panics
/// At the first secret that was told.
pub fn nothing_was_told_too_early(truth: &Truth, guest: &Guest, place: &Place) {
    for (text, _, shown) in truth.secrets(place) {
        let quoted = quoted(&text);
        let frames = guest.frames.iter().flatten();
        for frame in frames.filter(|frame| frame.room == truth.room && frame.held <= shown) {
            assert!(
                !frame.text.contains(&quoted),
                "{} was told {text:?} before event {shown}: {}",
                guest.name,
                frame.text
            );
        }
    }
}

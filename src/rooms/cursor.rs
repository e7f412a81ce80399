//! How far one client has got. A cursor is not a queue: it holds positions, and whenever the
//! client's outbox has room it sends the next thing that is missing. So a slow client costs
//! a few numbers, tokens that it was too slow for arrive in one piece, and nothing is sent
//! twice or left out.

use std::collections::VecDeque;

use crate::{
    play::party::Member,
    wire::browser::{Line, ToClient},
};

use super::{
    frame::{Frame, Frames},
    journal::Journal,
    messages::Held,
    play::{Play, Whereabouts},
};

/// A line that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writing {
    pub(crate) line: Line,
    /// Which of the room's games.
    pub(crate) game: u32,
    pub(crate) round: u32,
    pub(crate) attempt: u32,
    pub(crate) text: String,
}

/// Who has a socket open, as it was last told. A higher version is a later one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Present {
    pub(crate) version: u64,
    pub(crate) members: Vec<Member>,
}

/// All that clients may see of a room now.
pub(crate) struct View<'a, P: Play> {
    pub(crate) journal: &'a Journal<P>,
    pub(crate) doing: &'a dyn Fn(P::Viewer) -> P::Doing,
    pub(crate) lines: &'a [Writing],
    pub(crate) present: &'a Present,
    /// What one viewer is told besides, whenever it changes; always as many messages.
    pub(crate) apart: &'a dyn Fn(P::Viewer) -> Vec<ToClient>,
    pub(crate) asides: &'a Asides,
}

/// What is told of lines besides the log and is soon forgotten. Numbered, so that nobody is
/// told twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asides {
    /// Number of the first of `said`.
    first: u64,
    said: VecDeque<(u32, Frame)>,
}

impl Asides {
    /// Says something about a line.
    pub(crate) fn say(&mut self, line: u32, message: &ToClient) {
        self.said.push_back((line, Frame::of(message)));
    }

    /// Forgets what is over.
    pub(crate) fn keep(&mut self, wanted: impl Fn(u32) -> bool) {
        // What is behind one that is wanted stays with it: numbers have no gaps.
        while self.said.front().is_some_and(|(line, _)| !wanted(*line)) {
            self.said.pop_front();
            self.first += 1;
        }
    }

    fn next(&self) -> u64 {
        self.first + self.said.len() as u64
    }

    fn get(&self, number: u64) -> Option<&Frame> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.said.get(at).map(|(_, frame)| frame)
    }
}

/// What makes two watchers hear the same: whatever has the same key is the same bytes, as
/// long as the view is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key<V> {
    Event(u32, V),
    Unveiled(usize, V),
    /// Place among the lines, and bytes of it that were said.
    Partial(usize, usize),
    Present,
}

/// What was written for this view already.
pub(crate) struct Written<P: Play> {
    frames: Frames<Key<P::Viewer>>,
    doing: Vec<(P::Doing, Frame)>,
}

impl<P: Play> Written<P> {
    pub(crate) fn new() -> Self {
        Self {
            frames: Frames::new(),
            doing: Vec::new(),
        }
    }

    fn doing(&mut self, room: &str, doing: &P::Doing) -> Frame {
        if let Some((_, frame)) = self.doing.iter().find(|(known, _)| known == doing) {
            return frame.clone();
        }
        let frame = Frame::of(&P::doing(room.to_owned(), doing.clone()));
        self.doing.push((doing.clone(), frame.clone()));
        frame
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Taken,
    /// The outbox is full; try again later.
    Full,
    /// The client is gone.
    Closed,
}

#[derive(Debug)]
struct Shown {
    line: Line,
    game: u32,
    round: u32,
    attempt: u32,
    bytes: usize,
    chars: u32,
}

impl Shown {
    fn is_of(&self, writing: &Writing) -> bool {
        (self.game, self.round) == (writing.game, writing.round)
    }
}

/// One client's positions.
#[derive(Debug)]
pub(crate) struct Cursor<P: Play> {
    /// What the client held when it came; taken once it has been told where it stands.
    arriving: Option<Option<Held>>,
    next: u32,
    /// Games that are over of which the client is still to be told what was veiled.
    owed: Vec<usize>,
    doing: Option<P::Doing>,
    present: u64,
    shown: Vec<Shown>,
    apart: Vec<ToClient>,
    /// Number of the next aside.
    aside: u64,
}

impl<P: Play> Cursor<P> {
    pub(crate) fn new(held: Option<Held>) -> Self {
        Self {
            arriving: Some(held),
            next: 0,
            owed: Vec::new(),
            doing: None,
            present: 0,
            shown: Vec::new(),
            apart: Vec::new(),
            aside: 0,
        }
    }

    /// Sends what is missing until nothing is, or until `send` does not take it.
    pub(crate) fn advance(
        &mut self,
        place: &P::Place,
        view: &View<'_, P>,
        written: &mut Written<P>,
        send: &mut dyn FnMut(Frame) -> Sent,
    ) -> Sent {
        match self.try_advance(place, view, written, send) {
            Ok(()) => Sent::Taken,
            Err(sent) => sent,
        }
    }

    fn try_advance(
        &mut self,
        place: &P::Place,
        view: &View<'_, P>,
        written: &mut Written<P>,
        send: &mut dyn FnMut(Frame) -> Sent,
    ) -> Result<(), Sent> {
        let mut send = |frame| match send(frame) {
            Sent::Taken => Ok(()),
            sent => Err(sent),
        };
        let journal = view.journal;
        let viewer = P::viewer(place);
        let doing = (view.doing)(viewer);
        if self.next < journal.first() {
            // It is so far behind that what it lacks was let go of: it begins anew.
            self.arriving.get_or_insert(None);
        }
        if let Some(held) = self.arriving {
            let offset = journal.start(held);
            let at = Whereabouts {
                room: journal.room(),
                epoch: journal.epoch(),
                offset,
                doing: doing.clone(),
                present: &view.present.members,
            };
            let events = journal.stamped(viewer, offset).collect();
            send(Frame::of(&journal.game().joined(place, at, events)))?;
            self.arriving = None;
            self.next = journal.len();
            self.owed = journal.owed(offset).collect();
            self.doing = Some(doing.clone());
            self.present = view.present.version;
        }
        self.unveil(viewer, journal, written, &mut send)?;
        while self.next < journal.len() {
            let offset = self.next;
            let eyes = journal.eyes(viewer, offset);
            send(written.frames.get(Key::Event(offset, eyes), || {
                P::happened(journal.room().to_owned(), journal.lived(eyes, offset))
            }))?;
            self.owed.extend(journal.ended_at(offset));
            self.next += 1;
            self.unveil(viewer, journal, written, &mut send)?;
        }
        if self.doing.as_ref() != Some(&doing) {
            send(written.doing(journal.room(), &doing))?;
            self.doing = Some(doing);
        }
        if self.present != view.present.version {
            send(written.frames.get(Key::Present, || ToClient::Present {
                room: journal.room().to_owned(),
                present: view.present.members.clone(),
            }))?;
            self.present = view.present.version;
        }
        for (at, message) in (view.apart)(viewer).into_iter().enumerate() {
            if self.apart.get(at) != Some(&message) {
                send(Frame::of(&message))?;
                if at < self.apart.len() {
                    self.apart[at] = message;
                } else {
                    self.apart.push(message);
                }
            }
        }
        self.aside = self.aside.max(view.asides.first);
        while self.aside < view.asides.next() {
            if let Some(frame) = view.asides.get(self.aside)
                && journal.game().hears(viewer)
            {
                send(frame.clone())?;
            }
            self.aside += 1;
        }
        for (place, writing) in view.lines.iter().enumerate() {
            self.show(place, writing, journal.room(), written, &mut send)?;
        }
        Ok(())
    }

    fn unveil(
        &mut self,
        viewer: P::Viewer,
        journal: &Journal<P>,
        written: &mut Written<P>,
        send: &mut dyn FnMut(Frame) -> Result<(), Sent>,
    ) -> Result<(), Sent> {
        while let Some(&game) = self.owed.first() {
            let eyes = journal.eyes_after(viewer, game);
            if journal.unveiled(eyes, game).next().is_some() {
                send(written.frames.get(Key::Unveiled(game, eyes), || {
                    let events = journal.unveiled(eyes, game).collect();
                    P::unveiled(journal.room().to_owned(), events)
                }))?;
            }
            self.owed.remove(0);
        }
        Ok(())
    }

    fn show(
        &mut self,
        place: usize,
        writing: &Writing,
        room: &str,
        written: &mut Written<P>,
        send: &mut dyn FnMut(Frame) -> Result<(), Sent>,
    ) -> Result<(), Sent> {
        let known = self
            .shown
            .iter()
            .position(|shown| shown.line == writing.line);
        let (bytes, chars) = match known.map(|at| &self.shown[at]) {
            Some(shown) if shown.is_of(writing) && shown.attempt == writing.attempt => {
                (shown.bytes, shown.chars)
            }
            _ => (0, 0),
        };
        // A line that starts anew is worth saying even while it is empty: half a line must
        // not be left standing.
        let half_line_stands = known.is_some_and(|at| {
            let shown = &self.shown[at];
            shown.is_of(writing) && shown.attempt != writing.attempt && shown.bytes > 0
        });
        let missing = writing.text.get(bytes..).unwrap_or_default();
        if missing.is_empty() && !half_line_stands {
            return Ok(());
        }
        send(
            written
                .frames
                .get(Key::Partial(place, bytes), || ToClient::Partial {
                    room: room.to_owned(),
                    round: writing.round,
                    line: writing.line,
                    attempt: writing.attempt,
                    from: chars,
                    text: missing.to_owned(),
                }),
        )?;
        let shown = Shown {
            line: writing.line,
            game: writing.game,
            round: writing.round,
            attempt: writing.attempt,
            bytes: writing.text.len(),
            chars: chars.saturating_add(u32::try_from(missing.chars().count()).unwrap_or(u32::MAX)),
        };
        match known {
            Some(at) => self.shown[at] = shown,
            None => self.shown.push(shown),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        play::imitation::{Ending, Event, Game, Kind, Mode, Rules, Seat},
        wire::browser::Doing,
    };

    fn rules(mode: Mode) -> Rules {
        Rules {
            kind: Kind::Direct,
            mode,
            round_cap: 5,
            confident_at: 80,
            abstain_below: 60,
            idle_limit_ms: 1000,
            answer_limit: 100,
        }
    }

    fn game(mode: Mode) -> Vec<Event> {
        vec![
            Event::Opened {
                rules: rules(mode),
                player: "Ada".into(),
                player_seat: Seat::A,
                seed: Some(7),
                key: None,
            },
            Event::Asked {
                round: 1,
                text: "why?".into(),
            },
            Event::Answered {
                round: 1,
                seat: Seat::A,
                text: "because".into(),
            },
            Event::Answered {
                round: 1,
                seat: Seat::B,
                text: "secret".into(),
            },
            Event::Ended {
                ending: Ending::Stopped,
                outcome: None,
            },
        ]
    }

    /// What a client makes of the messages; panics where the protocol is broken.
    #[derive(Default)]
    struct Client {
        events: Vec<Option<Event>>,
        line: Option<(u32, String)>,
        joined: usize,
    }

    impl Client {
        fn hear(&mut self, message: ToClient) {
            match message {
                ToClient::Joined { offset, events, .. } => {
                    self.joined += 1;
                    assert_eq!(offset as usize, self.events.len());
                    self.events.extend(events.into_iter().map(|s| s.event));
                }
                ToClient::Event { stamped, .. } => {
                    assert_eq!(
                        stamped.offset as usize,
                        self.events.len(),
                        "a gap or a repeat"
                    );
                    self.events.push(stamped.event);
                }
                ToClient::Partial {
                    attempt,
                    from,
                    text,
                    ..
                } => match &mut self.line {
                    Some((known, line)) if *known == attempt => {
                        assert_eq!(from as usize, line.chars().count());
                        line.push_str(&text);
                    }
                    line => {
                        assert_eq!(from, 0);
                        *line = Some((attempt, text));
                    }
                },
                ToClient::Unveiled { events, .. } => {
                    for stamped in events {
                        self.events[stamped.offset as usize] = stamped.event;
                    }
                }
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_outbox_takes_the_client_ends_up_with_the_whole_game_once(
            takes in proptest::collection::vec(any::<bool>(), 0..200),
            pieces in proptest::collection::vec(".{0,3}", 0..12),
        ) {
            let mut takes = takes.into_iter();
            let mut journal = Journal::new("r".into(), 3);
            let mut cursor = Cursor::<Game>::new(None);
            let mut client = Client::default();
            let mut lines = Vec::new();
            let mut step = |journal: &Journal<Game>, lines: &[Writing], always: bool| {
                let present = Present::default();
                let view = View { journal, doing: &|()| Doing::JudgeAsks, lines, present: &present, apart: &|()| Vec::new(), asides: &Asides::default() };
                cursor.advance(&(), &view, &mut Written::new(), &mut |frame| {
                    if always || takes.next().unwrap_or(true) {
                        client.hear(read(&frame));
                        Sent::Taken
                    } else {
                        Sent::Full
                    }
                })
            };
            for event in game(Mode::Blind) {
                journal.push(1, event);
                step(&journal, &lines, false);
                lines.clear();
                lines.push(Writing { line: Line::Question, game: 0, round: 1, attempt: journal.len(), text: String::new() });
                for piece in &pieces {
                    lines[0].text.push_str(piece);
                    step(&journal, &lines, false);
                }
            }
            let whole = lines[0].text.clone();
            prop_assert_eq!(step(&journal, &lines, true), Sent::Taken);
            prop_assert_eq!(client.joined, 1);
            prop_assert_eq!(client.events, game(Mode::Blind).into_iter().map(Some).collect::<Vec<_>>());
            if !whole.is_empty() {
                prop_assert_eq!(client.line.map(|(_, text)| text), Some(whole));
            }
        }
    }

    fn read(frame: &Frame) -> ToClient {
        serde_json::from_str(frame.text()).expect("a message of the protocol")
    }

    fn said(
        cursor: &mut Cursor<Game>,
        journal: &Journal<Game>,
        doing: Doing,
        lines: &[Writing],
    ) -> Vec<ToClient> {
        let view = View {
            journal,
            doing: &|()| doing,
            lines,
            present: &Present::default(),
            apart: &|()| Vec::new(),
            asides: &Asides::default(),
        };
        let mut said = Vec::new();
        cursor.advance(&(), &view, &mut Written::new(), &mut |frame| {
            said.push(read(&frame));
            Sent::Taken
        });
        said
    }

    #[test]
    fn a_line_that_starts_anew_takes_its_half_back_at_once() {
        let mut journal = Journal::new("r".into(), 0);
        journal.push(1, game(Mode::Explanatory).remove(0));
        let mut cursor = Cursor::<Game>::new(None);
        let mut line = Writing {
            line: Line::Question,
            game: 0,
            round: 1,
            attempt: 0,
            text: "half a li".into(),
        };
        let doing = Doing::JudgeAsks;
        said(&mut cursor, &journal, doing, std::slice::from_ref(&line));
        line.attempt = 1;
        line.text.clear();
        let again = said(&mut cursor, &journal, doing, &[line]);
        assert_eq!(
            again,
            [ToClient::Partial {
                room: "r".into(),
                round: 1,
                line: Line::Question,
                attempt: 1,
                from: 0,
                text: String::new(),
            }]
        );
    }

    #[test]
    fn one_who_lacks_what_is_no_longer_held_is_told_anew_where_it_stands() {
        let mut journal = Journal::new("r".into(), 3);
        let mut game = game(Mode::Explanatory).into_iter();
        journal.push(1, game.next().expect("an opening"));
        let mut cursor = Cursor::<Game>::new(None);
        said(&mut cursor, &journal, Doing::JudgeAsks, &[]);
        for event in game {
            journal.push(1, event);
        }
        journal.forget(3);
        let again = said(&mut cursor, &journal, Doing::Over, &[]);
        let Some(ToClient::Joined { offset, events, .. }) = again.first() else {
            panic!("{again:?}");
        };
        assert_eq!((*offset, events.len()), (3, 2));
        let offsets: Vec<u32> = events.iter().map(|stamped| stamped.offset).collect();
        assert_eq!(offsets, [3, 4]);
    }

    #[test]
    fn what_many_hear_alike_is_written_once() {
        let mut journal = Journal::new("r".into(), 0);
        let mut game = game(Mode::Blind).into_iter();
        journal.push(1, game.next().expect("an opening"));
        let mut cursors = [Cursor::<Game>::new(None), Cursor::new(None)];
        let present = Present::default();
        let mut heard = [Vec::new(), Vec::new()];
        for event in game.map(Some).chain([None]) {
            let view = View {
                journal: &journal,
                doing: &|()| Doing::JudgeAsks,
                lines: &[],
                present: &present,
                apart: &|()| Vec::new(),
                asides: &Asides::default(),
            };
            let mut written = Written::new();
            for (cursor, heard) in cursors.iter_mut().zip(&mut heard) {
                cursor.advance(&(), &view, &mut written, &mut |frame| {
                    heard.push(frame);
                    Sent::Taken
                });
            }
            if let Some(event) = event {
                journal.push(1, event);
            }
        }
        // The first frame says where each one stands.
        let [one, other] = heard.map(|heard| heard[1..].to_vec());
        assert!(one.len() > 4);
        assert_eq!(one.len(), other.len());
        for (one, other) in one.iter().zip(&other) {
            assert_eq!(one.text().as_ptr(), other.text().as_ptr());
        }
    }

    #[test]
    fn a_returning_client_gets_the_gap_whole_or_everything() {
        let mut journal = Journal::new("r".into(), 3);
        for event in game(Mode::Explanatory) {
            journal.push(1, event);
        }
        for (held, first) in [
            (None, 0),
            (
                Some(Held {
                    epoch: 3,
                    offset: 0,
                }),
                0,
            ),
            (
                Some(Held {
                    epoch: 3,
                    offset: 2,
                }),
                2,
            ),
            (
                Some(Held {
                    epoch: 3,
                    offset: 5,
                }),
                5,
            ),
            (
                Some(Held {
                    epoch: 3,
                    offset: 6,
                }),
                0,
            ),
            (
                Some(Held {
                    epoch: 2,
                    offset: 2,
                }),
                0,
            ),
        ] {
            let said = said(&mut Cursor::new(held), &journal, Doing::Over, &[]);
            let Some(ToClient::Joined {
                offset,
                events,
                epoch: 3,
                ..
            }) = said.first()
            else {
                panic!("{said:?}");
            };
            assert_eq!(*offset, first, "{held:?}");
            assert_eq!(events.len(), 5 - first as usize, "{held:?}");
        }
    }
}

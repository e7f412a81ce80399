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

//! People who play game after game, whatever happens to their lines.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parlour::{
    play::{
        imitation::{Kind, Mode},
        party::{Act, Bench, Event, Machine, Member, Setup, Vacancy},
    },
    wire::browser::FromClient,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::timeout;

use crate::{
    gate::Gate,
    guest::{Cut, Diary, Guest, Place},
    moves::{Todo, role},
};

/// Games at one table before they find themselves another.
const GAMES: usize = 2;

/// Silence after which somebody asks whether the server is there, and waits for an answer.
const SILENCE: Duration = Duration::from_millis(1000);
const PATIENCE: Duration = Duration::from_millis(2000);

/// The circle whose host shows somebody the door, whose chair a machine takes.
const SHOWN_OUT: &str = "shown out";

/// How long somebody waits for a room that has to come from another server.
const MOVING: Duration = Duration::from_secs(6);

/// What a room plays, again and again.
#[derive(Clone, Debug)]
pub enum Sort {
    Alone(Kind, Mode),
    Together(Setup),
}

impl Sort {
    /// People whom it takes.
    pub fn people(&self) -> usize {
        match self {
            Self::Alone(..) => 1,
            Self::Together(setup) => {
                usize::from(setup.people) + usize::from(setup.bench == Bench::Person)
            }
        }
    }

    /// The mixed games of a house on a busy evening.
    pub fn all() -> Vec<(&'static str, Self)> {
        let table = |bench, mode, people, machines: &[Machine]| {
            Self::Together(Setup {
                kind: Kind::Direct,
                mode,
                bench,
                people,
                machines: machines.to_vec(),
                rounds: 2,
                seconds: 600,
                vacancy: Vacancy::Machine,
                listed: true,
                open_to_spectators: true,
                line_limit: 300,
            })
        };
        use Machine::{Eliza, Model};
        vec![
            ("alone, blind", Self::Alone(Kind::Direct, Mode::Blind)),
            (
                "alone, explanatory",
                Self::Alone(Kind::Direct, Mode::Explanatory),
            ),
            (
                "alone, inverse",
                Self::Alone(Kind::Inverse, Mode::Explanatory),
            ),
            (
                "party",
                table(Bench::Everybody, Mode::Blind, 3, &[Model, Eliza]),
            ),
            (
                "human judge",
                table(Bench::Person, Mode::Blind, 1, &[Model, Eliza]),
            ),
            (
                "table",
                table(Bench::Machine, Mode::Explanatory, 2, &[Model, Model]),
            ),
            ("ELIZA", table(Bench::Machine, Mode::Blind, 2, &[Eliza])),
            (SHOWN_OUT, table(Bench::Machine, Mode::Blind, 2, &[Model])),
        ]
    }
}

/// How far the games of some people have come.
#[derive(Default)]
struct Progress {
    /// The room that they play in, once it is open.
    room: Option<String>,
    /// Events of it that somebody has.
    held: usize,
    /// How often there was something new.
    steps: u64,
    /// There will be no other one.
    over: bool,
    /// What somebody thinks is going on, for whoever has to find out why nothing does.
    state: String,
}

/// Some people and their present room.
pub struct Circle {
    pub name: &'static str,
    sort: Sort,
    progress: Mutex<Progress>,
    /// What the first of them goes through.
    diary: Mutex<Arc<Mutex<Diary>>>,
    /// When anybody heard of anything that happened, since that was last asked for.
    signs: Arc<Mutex<Vec<Instant>>>,
}

impl Circle {
    pub fn new(name: &'static str, sort: Sort) -> Arc<Self> {
        Arc::new(Self {
            name,
            sort,
            progress: Mutex::default(),
            diary: Mutex::default(),
            signs: Arc::default(),
        })
    }

    pub fn people(&self) -> usize {
        self.sort.people()
    }

    /// How often something happened.
    pub fn steps(&self) -> u64 {
        self.progress.lock().expect("no panic").steps
    }

    /// How long after `began` the longest silence since then was over.
    pub fn silence(&self, began: Instant) -> Duration {
        let mut signs = std::mem::take(&mut *self.signs.lock().expect("no panic"));
        signs.retain(|sign| *sign >= began);
        signs.sort_unstable();
        let before = std::iter::once(began).chain(signs.iter().copied());
        let pause = |(before, sign): &(Instant, Instant)| sign.duration_since(*before);
        let longest = before.zip(signs.iter().copied()).max_by_key(pause);
        longest.map_or(began.elapsed(), |(_, sign)| sign.duration_since(began))
    }

    /// Why nothing happens.
    pub fn state(&self) -> String {
        let diary = Arc::clone(&self.diary.lock().expect("no panic"));
        let diary = diary.lock().expect("no panic");
        let progress = self.progress.lock().expect("no panic");
        format!("{}; the first of them, lately:\n{diary}", progress.state)
    }

    /// What one of them knows now; where the first one plays is where all do.
    fn note(&self, place: &Place, first: bool) {
        let mut progress = self.progress.lock().expect("no panic");
        if progress.room.as_deref() != Some(place.room()) {
            if !first {
                return;
            }
            progress.room = Some(place.room().to_owned());
            progress.held = 0;
        }
        if place.held() > progress.held {
            progress.held = place.held();
            progress.steps += 1;
        }
        progress.state = match place {
            Place::Game(seen) => format!("{} {} {:?}", seen.room, seen.events.len(), seen.doing),
            Place::Table(known) => {
                format!("{} {} {:?}", known.room, known.events.len(), known.doing)
            }
        };
    }

    /// There will be no other room.
    fn close(&self) {
        self.progress.lock().expect("no panic").over = true;
    }

    fn room(&self) -> (Option<String>, bool) {
        let progress = self.progress.lock().expect("no panic");
        (progress.room.clone(), progress.over)
    }
}

/// One of a circle.
pub struct Player {
    pub guest: Guest,
    circle: Arc<Circle>,
    nth: usize,
    gate: Gate,
    dice: ChaCha8Rng,
    tries: u32,
}

impl Player {
    pub fn new(circle: Arc<Circle>, nth: usize, gate: Gate, seed: u64) -> Self {
        let name = format!("{}{nth}", circle.name.replace([' ', ','], ""));
        let mut guest = Guest::new(&name);
        guest.signs = Some(Arc::clone(&circle.signs));
        if nth == 0 {
            *circle.diary.lock().expect("no panic") = Arc::clone(&guest.diary);
        }
        guest.removable = circle.name == SHOWN_OUT && nth > 0;
        Self {
            guest,
            circle,
            nth,
            gate,
            dice: ChaCha8Rng::seed_from_u64(seed),
            tries: 0,
        }
    }

    /// Plays until it is over; then gives what this one knows.
    pub async fn play(mut self, over: Arc<AtomicBool>) -> Guest {
        loop {
            let turn = self.turn(&over).await;
            if let Some(place) = &self.guest.place {
                self.circle.note(place, self.nth == 0);
            }
            match turn {
                Ok(true) => return self.guest,
                Ok(false) => {}
                Err(Cut) => {
                    self.guest.confide("hangs up".into());
                    self.guest.hang_up();
                }
            }
        }
    }

    /// Gives whether it is all over.
    async fn turn(&mut self, over: &AtomicBool) -> Result<bool, Cut> {
        if !self.guest.is_connected() {
            self.come_back().await?;
        }
        if let Some(Place::Table(known)) = &self.guest.place
            && known
                .count(|event| matches!(event, Event::Went { member, .. } if *member == known.you))
                > 0
        {
            let room = known.room.clone();
            self.guest.go(&room);
        }
        let people = self.circle.people();
        match self.guest.todo(&mut self.dice, GAMES, people) {
            _ if self.guest.place.is_none() => self.next_room(over).await,
            Todo::Done => self.next_room(over).await,
            Todo::Wait => self.listen(200).await.map(|()| false),
            _ => {
                let think = self.dice.random_range(50..250);
                self.listen(think).await?;
                // Things may have changed while this one was thinking.
                let mut todo = self.guest.todo(&mut self.dice, GAMES, people);
                if let Some(somebody) = self.whom_to_remove(&todo) {
                    todo = Todo::Act(Act::Remove { member: somebody });
                }
                let acting = self.guest.act(&todo);
                if let Err(_refused) = timeout(PATIENCE, acting).await.map_err(|_| Cut)?? {
                    self.listen(200).await?;
                }
                Ok(false)
            }
        }
    }

    /// Whom the host shows out instead of answering in the first round.
    fn whom_to_remove(&mut self, todo: &Todo) -> Option<Member> {
        let Some(Place::Table(known)) = &self.guest.place else {
            return None;
        };
        let went = known.count(|event| matches!(event, Event::Went { .. }));
        let now = *todo == Todo::Reply(1) && self.nth == 0 && went == 0;
        let now = now && self.circle.name == SHOWN_OUT && self.dice.random_bool(0.7);
        now.then_some(Member(1))
    }

    async fn come_back(&mut self) -> Result<(), Cut> {
        // Full jitter on a doubling pause.
        let most = 40 << self.tries.min(4);
        self.tries += 1;
        let pause = self.dice.random_range(0..most);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let (room, _) = self.circle.room();
        let place = self
            .guest
            .place
            .as_ref()
            .map(|place| place.room().to_owned());
        let url = self.gate.url(place.or(room).as_deref());
        let arriving = timeout(PATIENCE, self.guest.connect(&url));
        arriving.await.map_err(|_| Cut)??;
        let sitting = timeout(MOVING, self.guest.sit());
        let sat = sitting.await.map_err(|_| Cut)??;
        if !sat && (self.guest.place.is_some() || self.guest.owed_a_place) {
            return Err(Cut);
        }
        self.tries = 0;
        Ok(())
    }

    /// To another room; gives whether there is none.
    async fn next_room(&mut self, over: &AtomicBool) -> Result<bool, Cut> {
        let here = self
            .guest
            .place
            .as_ref()
            .map(|place| place.room().to_owned());
        let (room, closed) = self.circle.room();
        if self.nth > 0 {
            if closed {
                return Ok(true);
            }
            let gone = room
                .as_ref()
                .is_some_and(|room| self.guest.removed_from.contains(room));
            if room.is_none() || room == here || gone {
                self.listen(100).await?;
                return Ok(false);
            }
        } else if here.is_some() && over.load(Ordering::Relaxed) {
            self.circle.close();
            return Ok(true);
        }
        let id = self.guest.id();
        let name = self.guest.name.clone();
        let message = match (&self.circle.sort, room) {
            (Sort::Alone(kind, mode), _) => FromClient::Open {
                id,
                kind: *kind,
                mode: *mode,
                name,
            },
            (Sort::Together(setup), _) if self.nth == 0 => FromClient::OpenTable {
                id,
                setup: setup.clone(),
                role: role(true, setup.bench == Bench::Person),
                name,
            },
            (Sort::Together(_), room) => FromClient::JoinTable {
                id,
                room: room.unwrap_or_default(),
                role: role(false, false),
                name,
                seat: None,
                held: None,
            },
        };
        let entering = self.guest.enter(id, &message);
        if !timeout(PATIENCE, entering).await.map_err(|_| Cut)?? {
            self.listen(200).await?;
        }
        Ok(false)
    }

    /// Reads what comes for so long, and makes sure that somebody is there.
    async fn listen(&mut self, millis: u64) -> Result<(), Cut> {
        let reading = async {
            loop {
                if let Err(cut) = self.guest.hear().await {
                    return cut;
                }
            }
        };
        if let Ok(cut) = timeout(Duration::from_millis(millis), reading).await {
            return Err(cut);
        }
        if self.guest.heard.elapsed() > SILENCE {
            timeout(PATIENCE, self.guest.ping())
                .await
                .map_err(|_| Cut)??;
        }
        Ok(())
    }
}

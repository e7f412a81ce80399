//! The state of a table and the law that moves it.

use super::{
    Act, Bench, Chair, Command, Effect, Event, Finish, Machine, Member, Opinion, Refusal, Role,
    Round, Setup, Step, Viewer, Witness,
    ballots::{self, least_confidence},
    chairs,
    game::Game,
    people::{People, Person},
    setup, sight,
    text::{line, machine_line},
};
use crate::play::{Dice, UnixMillis, imitation::text::MACHINE_TEXT_LIMIT};

/// A table: everything that its events have made true.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    setup: Option<Setup>,
    people: People,
    /// The game that runs, or the last one.
    game: Option<Game>,
    /// Where in the log [`Self::game`] began.
    game_began: u32,
    /// Events so far: the next one's offset.
    len: u32,
}

/// The table that `events` tell.
pub fn rebuild<'a>(events: impl IntoIterator<Item = (UnixMillis, &'a Event)>) -> Table {
    let mut table = Table::default();
    for (at, event) in events {
        table.apply(at, event);
    }
    table
}

impl Table {
    /// What follows from `command`, to be stored all together and then applied in order.
    ///
    /// No events means that the command was lawful and changed nothing (a [`Command::Tick`]
    /// too early, a [`Command::Come`] by somebody who is here).
    ///
    /// # Errors
    /// When the rules do not allow the command now.
    pub fn decide(
        &self,
        command: Command,
        now: UnixMillis,
        dice: &mut dyn Dice,
    ) -> Result<Vec<Event>, Refusal> {
        let Some(setup) = &self.setup else {
            return match command {
                Command::Open {
                    setup,
                    name,
                    key,
                    role,
                } => open(setup, &name, &key, role),
                _ => Err(Refusal::NotOpen),
            };
        };
        let events = match command {
            Command::Open { .. } => return Err(Refusal::AlreadyOpen),
            Command::Come { name, key, role } => {
                self.people
                    .come(setup, &name, &key, role, |member| self.sits(member))?
            }
            Command::By { member, act } => self.act(setup, member, act, dice)?,
            Command::Away { member, present } => self.away(member, &present),
            Command::Question { round, text } => self.machine_asks(round, &text)?,
            Command::Reply { round, chair, text } => self.machine_answers(round, chair, &text)?,
            Command::Weigh { round, opinion } => self.weigh(round, opinion)?,
            Command::Tick => self.tick(now),
            Command::GiveUp => self.give_up()?,
        };
        Ok(self.with_consequences(events, now))
    }

    /// Adds to `events` what they make happen at once.
    fn with_consequences(&self, mut events: Vec<Event>, now: UnixMillis) -> Vec<Event> {
        let starts = |event: &Event| matches!(event, Event::Started { .. });
        if !self.is_playing() && !events.iter().any(starts) {
            return events;
        }
        let mut ahead = self.clone();
        for event in &events {
            ahead.apply(now, event);
        }
        while let Some(next) = ahead.consequence() {
            ahead.apply(now, &next);
            events.push(next);
        }
        events
    }

    fn consequence(&self) -> Option<Event> {
        self.game.as_ref()?.consequence(&self.people)
    }

    /// Makes `event`, which happened at `at`, true.
    ///
    /// Total: an event that no lawful table holds changes nothing but the length of the log,
    /// so that a damaged one cannot bring the server down.
    pub fn apply(&mut self, at: UnixMillis, event: &Event) {
        let offset = self.len;
        self.len = self.len.saturating_add(1);
        match (&mut self.setup, event) {
            (setup @ None, Event::TableOpened { setup: opened }) => {
                *setup = Some(opened.clone());
                self.people.open();
            }
            (None, _) | (Some(_), Event::TableOpened { .. }) => {}
            (Some(setup), Event::SetupChanged { setup: changed }) => {
                if !self.game.as_ref().is_some_and(Game::is_running) {
                    setup.clone_from(changed);
                }
            }
            (Some(setup), Event::Started { .. }) => {
                if !self.game.as_ref().is_some_and(Game::is_running)
                    && let Some(game) = Game::new(at, setup, event, &self.people)
                {
                    self.game = Some(game);
                    self.game_began = offset;
                }
            }
            (Some(_), event) => {
                self.people.apply(event);
                if let Some(game) = &mut self.game {
                    game.apply(at, event);
                }
            }
        }
    }

    /// What must be done next: never empty while a game runs, always empty otherwise.
    pub fn effects(&self) -> Vec<Effect> {
        let Some(game) = self.running() else {
            return Vec::new();
        };
        if self.consequence().is_some() {
            // The log was cut off in the middle of what belongs together.
            return vec![Effect::Wait { until: 0 }];
        }
        game.effects()
    }

    /// What `viewer` may see now of `event`, which stands at `offset` in the log and has been
    /// applied; none while it is hidden. See the table in [`super::sight`].
    pub fn shown(&self, viewer: Viewer, offset: u32, event: &Event) -> Option<Event> {
        let over = self.game.as_ref().is_some_and(|game| !game.is_running());
        let past = self.game.is_some() && offset < self.game_began;
        if offset < self.len && (past || over) {
            sight::open(viewer, event)
        } else {
            self.lived(viewer, event)
        }
    }

    /// What `viewer` could see of an event of the present or last game before it was over:
    /// what differs from [`Self::shown`] is to be unveiled after the end.
    pub fn lived(&self, viewer: Viewer, event: &Event) -> Option<Event> {
        sight::veiled(self.game.as_ref(), viewer, event)
    }

    /// How the table plays, or the game that runs does; none before it is open.
    pub fn setup(&self) -> Option<&Setup> {
        self.setup.as_ref()
    }

    /// Events applied so far, which is also the next offset.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Offset of the event that started the present or last game; none before the first.
    pub fn game_began(&self) -> Option<u32> {
        self.game.as_ref().map(|_| self.game_began)
    }

    /// Everybody who is at the table, in the order of coming.
    pub fn members(&self) -> impl Iterator<Item = (Member, &Person)> {
        self.people.here()
    }

    /// Somebody who came, also after leaving.
    pub fn person(&self, member: Member) -> Option<&Person> {
        self.people.get(member)
    }

    /// Who is at the table with this key.
    pub fn member_of(&self, key: &str) -> Option<Member> {
        self.people.member_of(key)
    }

    /// None before the table is open and when everybody left.
    pub fn host(&self) -> Option<Member> {
        self.people.host()
    }

    /// How many people are on or waiting for chairs and the bench, and how many spectators.
    pub fn counts(&self) -> (usize, usize) {
        self.people.counts()
    }

    /// Whether everybody left.
    pub fn is_abandoned(&self) -> bool {
        self.people.here().next().is_none()
    }

    pub fn is_playing(&self) -> bool {
        self.running().is_some()
    }

    pub fn step(&self) -> Step {
        self.game.as_ref().map_or(Step::Gathering, Game::step)
    }

    /// Whether the table waits for this person.
    pub fn awaits(&self, member: Member) -> bool {
        let Some(game) = self.running() else {
            return false;
        };
        match game.step() {
            Step::Asking { .. } => game.judge == Some(member),
            Step::Answering { .. } => game
                .chair_of(member)
                .is_some_and(|chair| game.owes_answer(chair)),
            Step::Voting => game.ballots.is_awaited(member),
            Step::Gathering | Step::Weighing { .. } | Step::Over => false,
        }
    }

    /// When the game goes on without whoever is late; none while it waits for a machine only.
    pub fn due(&self) -> Option<UnixMillis> {
        self.running()?.due()
    }

    /// The number of the present or last game, from 1; 0 before the first.
    pub fn game(&self) -> u32 {
        self.game.as_ref().map_or(0, |game| game.number)
    }

    /// What every random draw of the models in this game derives from.
    pub fn seed(&self) -> Option<u32> {
        self.game.as_ref()?.seed
    }

    /// The person on the bench of the present or last game.
    pub fn judge(&self) -> Option<Member> {
        self.game.as_ref()?.judge
    }

    /// How the last game ended, while none runs.
    pub fn finish(&self) -> Option<Finish> {
        self.game.as_ref()?.finish
    }

    /// The round that the game is at, from 1; 0 before the first game.
    pub fn round(&self) -> u32 {
        self.game.as_ref().map_or(0, Game::round)
    }

    /// Every round of the present or last game that has a question.
    pub fn rounds(&self) -> &[Round] {
        self.game.as_ref().map_or(&[], |game| &game.rounds)
    }

    /// The chair that the member answers on.
    pub fn chair_of(&self, member: Member) -> Option<Chair> {
        self.game.as_ref()?.chair_of(member)
    }

    /// How many chairs the present or last game has.
    pub fn chairs(&self) -> u8 {
        let count = self.game.as_ref().map_or(0, |game| game.places.len());
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    /// The chairs that are not closed, in their order.
    pub fn open_chairs(&self) -> Vec<Chair> {
        self.game
            .as_ref()
            .map_or_else(Vec::new, |game| game.open_chairs().collect())
    }

    /// How many of the open chairs were drawn for people: as many as everybody at the table
    /// can count.
    pub fn people_drawn(&self) -> usize {
        self.game.as_ref().map_or(0, |game| {
            game.places()
                .filter(|(_, place)| place.is_open() && place.sitter().is_some())
                .count()
        })
    }

    /// Who answers on a chair now; none when it is closed. A secret of the running game.
    pub fn witness(&self, chair: Chair) -> Option<Witness> {
        self.game.as_ref()?.place(chair)?.holder()
    }

    /// The machine that answers on a chair now. A secret of the running game.
    pub fn machine_on(&self, chair: Chair) -> Option<Machine> {
        self.game.as_ref()?.machine_on(chair)
    }

    /// The least confidence that a ballot may state now, percent.
    pub fn least_confidence(&self) -> u8 {
        least_confidence(self.open_chairs().len())
    }

    fn running(&self) -> Option<&Game> {
        self.game.as_ref().filter(|game| game.is_running())
    }

    fn playing(&self) -> Result<&Game, Refusal> {
        self.running().ok_or(Refusal::NotPlaying)
    }

    fn not_playing(&self) -> Result<(), Refusal> {
        match self.running() {
            Some(_) => Err(Refusal::Playing),
            None => Ok(()),
        }
    }

    /// Whether a chair or the bench of the present or last game was the member's.
    fn sits(&self, member: Member) -> bool {
        self.game
            .as_ref()
            .is_some_and(|game| game.judge == Some(member) || game.drawn_for(member).is_some())
    }

    fn away(&self, member: Member, present: &[Member]) -> Vec<Event> {
        if self.host() != Some(member) {
            return Vec::new();
        }
        let heir = self.people.heir(|other| present.contains(&other));
        heir.map(|member| Event::HostChanged { member })
            .into_iter()
            .collect()
    }

    fn act(
        &self,
        setup: &Setup,
        member: Member,
        act: Act,
        dice: &mut dyn Dice,
    ) -> Result<Vec<Event>, Refusal> {
        let person = self
            .people
            .get(member)
            .filter(|person| person.is_here())
            .ok_or(Refusal::NoSuchMember)?;
        match act {
            Act::Take { role } => self.take(setup, member, person, role),
            Act::Say { text } => self.say(setup, member, person, &text),
            Act::Leave => Ok(self.go(member, false)),
            Act::Question { round, text } => self.person_asks(member, round, &text),
            Act::Answer { round, text } => self.person_answers(member, round, &text),
            Act::Vote { ballot } => {
                ballots::check(self.playing()?, member, ballot)?;
                Ok(vec![Event::Voted {
                    voter: super::Voter::Person { member },
                    ballot: Some(ballot),
                }])
            }
            Act::CallVote => self.call_vote(member),
            Act::Setup { .. }
            | Act::Start
            | Act::Stop
            | Act::Mute { .. }
            | Act::Remove { .. }
            | Act::Rematch
                if self.host() != Some(member) =>
            {
                Err(Refusal::NotHost)
            }
            Act::Setup { setup } => self.change_setup(setup),
            Act::Start => self.start(setup, dice),
            Act::Rematch if self.game.is_none() => Err(Refusal::NotPlaying),
            Act::Rematch => self.start(setup, dice),
            Act::Stop => Ok(vec![self.playing()?.finished(Finish::Stopped)]),
            Act::Mute { member, muted } => {
                let other = self.other(member)?;
                Ok(if other.muted == muted {
                    Vec::new()
                } else {
                    vec![Event::Muted { member, muted }]
                })
            }
            Act::Remove { member: other } => {
                self.other(other)?;
                Ok(self.go(other, other != member))
            }
        }
    }

    fn other(&self, member: Member) -> Result<&Person, Refusal> {
        self.people
            .get(member)
            .filter(|person| person.is_here())
            .ok_or(Refusal::NoSuchMember)
    }

    fn take(
        &self,
        setup: &Setup,
        member: Member,
        person: &Person,
        role: Role,
    ) -> Result<Vec<Event>, Refusal> {
        if person.role == role {
            return Ok(Vec::new());
        }
        let busy = self
            .running()
            .is_some_and(|game| game.judge == Some(member) || game.chair_of(member).is_some());
        if busy {
            return Err(Refusal::Playing);
        }
        let is_player = |role| role != Role::Spectator;
        match self.people.has_room(setup, role) {
            // Changing from one kind of player to the other needs no more room.
            Err(Refusal::Full) if is_player(role) && is_player(person.role) => {}
            other => other?,
        }
        Ok(vec![Event::RoleChanged { member, role }])
    }

    fn say(
        &self,
        setup: &Setup,
        member: Member,
        person: &Person,
        text: &str,
    ) -> Result<Vec<Event>, Refusal> {
        self.not_playing()?;
        if person.muted {
            return Err(Refusal::Muted);
        }
        let text = line(text, setup.line_limit)?;
        Ok(vec![Event::Said { member, text }])
    }

    fn go(&self, member: Member, removed: bool) -> Vec<Event> {
        let mut events = vec![Event::Went { member, removed }];
        if self.host() == Some(member) {
            let heir = self.people.heir(|_| true);
            events.extend(heir.map(|member| Event::HostChanged { member }));
        }
        events
    }

    fn change_setup(&self, setup: Setup) -> Result<Vec<Event>, Refusal> {
        self.not_playing()?;
        setup::check(&setup)?;
        if self.setup.as_ref() == Some(&setup) {
            return Ok(Vec::new());
        }
        let unseated: Vec<Event> = if setup.bench == Bench::Person {
            Vec::new()
        } else {
            let judges = self.people.with_role(Role::Judge);
            judges
                .map(|member| Event::RoleChanged {
                    member,
                    role: Role::Witness,
                })
                .collect()
        };
        Ok([Event::SetupChanged { setup }]
            .into_iter()
            .chain(unseated)
            .collect())
    }

    fn start(&self, setup: &Setup, dice: &mut dyn Dice) -> Result<Vec<Event>, Refusal> {
        self.not_playing()?;
        let judge = match setup.bench {
            Bench::Person => Some(
                self.people
                    .with_role(Role::Judge)
                    .next()
                    .ok_or(Refusal::CannotStart("nobody wants the bench"))?,
            ),
            Bench::Machine | Bench::Everybody => None,
        };
        let wanting = self.people.with_role(Role::Witness).collect();
        let chairs = chairs::draw(setup, wanting, dice)?;
        // The whole range of 32 bits does not fit in one throw of at most 2^32 - 1 sides.
        let seed = (dice.throw(1 << 16) << 16) | dice.throw(1 << 16);
        Ok(vec![Event::Started {
            game: self.game().saturating_add(1),
            count: u8::try_from(chairs.len()).unwrap_or(u8::MAX),
            chairs: Some(chairs),
            yours: None,
            judge,
            seed: Some(seed),
        }])
    }

    /// The game, if it is at the round that somebody names.
    fn at_round(&self, named: u32) -> Result<&Game, Refusal> {
        let game = self.playing()?;
        let now = game.round();
        if named == now {
            Ok(game)
        } else {
            Err(Refusal::WrongRound { now, named })
        }
    }

    /// The game, if the question of this round is awaited from `bench`.
    fn asking(&self, round: u32, asks: impl Fn(&Game) -> bool) -> Result<&Game, Refusal> {
        let game = self.at_round(round)?;
        match game.step() {
            Step::Asking { .. } if asks(game) => Ok(game),
            _ => Err(Refusal::NotYourTurn),
        }
    }

    fn person_asks(&self, member: Member, round: u32, text: &str) -> Result<Vec<Event>, Refusal> {
        let game = self.asking(round, |game| game.judge == Some(member))?;
        let text = line(text, game.setup.line_limit)?;
        Ok(vec![Event::Questioned { round, text }])
    }

    fn machine_asks(&self, round: u32, text: &str) -> Result<Vec<Event>, Refusal> {
        self.asking(round, |game| game.setup.bench != Bench::Person)?;
        let text = machine_line(text, MACHINE_TEXT_LIMIT)?;
        Ok(vec![Event::Questioned { round, text }])
    }

    fn call_vote(&self, member: Member) -> Result<Vec<Event>, Refusal> {
        let game = self.playing()?;
        let asking = matches!(game.step(), Step::Asking { .. });
        if game.judge == Some(member) && asking && !game.rounds.is_empty() {
            Ok(vec![Event::BallotsOpened])
        } else {
            Err(Refusal::NotYourTurn)
        }
    }

    fn person_answers(
        &self,
        member: Member,
        round: u32,
        text: &str,
    ) -> Result<Vec<Event>, Refusal> {
        let game = self.at_round(round)?;
        let chair = game.chair_of(member).ok_or(Refusal::NotYourTurn)?;
        let text = || line(text, game.setup.line_limit);
        answer(game, round, chair, text)
    }

    fn machine_answers(&self, round: u32, chair: Chair, text: &str) -> Result<Vec<Event>, Refusal> {
        let game = self.at_round(round)?;
        game.machine_on(chair).ok_or(Refusal::NotYourTurn)?;
        let limit = usize::try_from(game.setup.line_limit).unwrap_or(usize::MAX);
        answer(game, round, chair, || machine_line(text, limit))
    }

    fn weigh(&self, round: u32, opinion: Opinion) -> Result<Vec<Event>, Refusal> {
        let game = self.at_round(round)?;
        if game.step() != (Step::Weighing { round }) {
            return Err(Refusal::NotYourTurn);
        }
        // A chair that was closed meanwhile is left out, one that is missing was forgotten.
        let beliefs = game
            .open_chairs()
            .map(|chair| {
                let mut beliefs = opinion.beliefs.iter();
                let belief = beliefs.find(|belief| belief.chair == chair);
                let mut belief = belief.cloned().ok_or(Refusal::NoSuchChair)?;
                belief.human = belief.human.min(100);
                Ok(belief)
            })
            .collect::<Result<_, Refusal>>()?;
        let reasoning = machine_line(&opinion.reasoning, MACHINE_TEXT_LIMIT)?;
        Ok(vec![Event::Weighed {
            round,
            opinion: Opinion { reasoning, beliefs },
        }])
    }

    fn tick(&self, now: UnixMillis) -> Vec<Event> {
        match self.running() {
            // What is pending happens before anybody is late.
            Some(game)
                if self.consequence().is_none() && game.due().is_some_and(|due| now >= due) =>
            {
                game.late()
            }
            _ => Vec::new(),
        }
    }

    fn give_up(&self) -> Result<Vec<Event>, Refusal> {
        let game = self.playing()?;
        let machine = |effect: &Effect| !matches!(effect, Effect::Wait { .. });
        if game.effects().iter().any(machine) {
            Ok(vec![game.finished(Finish::Broken)])
        } else {
            Err(Refusal::NotYourTurn)
        }
    }
}

fn open(setup: Setup, name: &str, key: &str, role: Role) -> Result<Vec<Event>, Refusal> {
    setup::check(&setup)?;
    let mut people = People::default();
    people.open();
    let came = people.come(&setup, name, key, role, |_| false)?;
    Ok([Event::TableOpened { setup }]
        .into_iter()
        .chain(came)
        .collect())
}

fn answer(
    game: &Game,
    round: u32,
    chair: Chair,
    text: impl FnOnce() -> Result<String, Refusal>,
) -> Result<Vec<Event>, Refusal> {
    match game.step() {
        Step::Answering { .. } if game.owes_answer(chair) => Ok(vec![Event::Replied {
            round,
            chair,
            text: Some(text()?),
        }]),
        Step::Answering { .. } => Err(Refusal::AlreadyDone),
        _ => Err(Refusal::NotYourTurn),
    }
}

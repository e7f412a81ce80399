//! What members do, and what follows for the table.

use super::{turns::answer, *};

impl Table {
    pub(super) fn away(&self, member: Member, present: &[Member]) -> Vec<Event> {
        if self.host() != Some(member) {
            return Vec::new();
        }
        let heir = self.people.heir(|other| present.contains(&other));
        heir.map(|member| Event::HostChanged { member })
            .into_iter()
            .collect()
    }

    pub(super) fn act(
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
                    voter: Voter::Person { member },
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
            | Act::HandOver { .. }
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
            Act::HandOver { member: heir } => {
                self.other(heir)?;
                Ok(if heir == member {
                    Vec::new()
                } else {
                    vec![Event::HostChanged { member: heir }]
                })
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

    fn person_asks(&self, member: Member, round: u32, text: &str) -> Result<Vec<Event>, Refusal> {
        let game = self.asking(round, |game| game.judge == Some(member))?;
        let text = line(text, game.setup.line_limit)?;
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
        let text = || line(text, game.setup.line_limit).map_err(Refusal::from);
        answer(game, round, chair, text)
    }
}

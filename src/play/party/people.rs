//! Who is at the table, who is its host, who was sent away.

use super::{Bench, Event, Member, PLAYERS, Refusal, Role, SPECTATORS, Setup, text};

/// Somebody who came to the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub name: String,
    pub role: Role,
    /// May not talk.
    pub muted: bool,
    key: Option<String>,
    standing: Standing,
}

impl Person {
    /// Hash of the session; known to the server alone.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Has neither left nor been removed.
    pub fn is_here(&self) -> bool {
        self.standing == Standing::Here
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Here,
    Left,
    Removed,
}

/// Everybody who ever came, by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct People {
    all: Vec<Person>,
    host: Option<Member>,
}

impl People {
    pub(super) fn host(&self) -> Option<Member> {
        self.host
    }

    /// Also those who left.
    pub(super) fn get(&self, member: Member) -> Option<&Person> {
        self.all.get(usize::try_from(member.0).ok()?)
    }

    pub(super) fn is_here(&self, member: Member) -> bool {
        self.get(member).is_some_and(Person::is_here)
    }

    /// Everybody who is at the table, in the order of coming.
    pub(super) fn here(&self) -> impl Iterator<Item = (Member, &Person)> {
        (0..)
            .map(Member)
            .zip(&self.all)
            .filter(|(_, person)| person.is_here())
    }

    /// Who is at the table with this key.
    pub(super) fn member_of(&self, key: &str) -> Option<Member> {
        self.here()
            .find(|(_, person)| person.key.as_deref() == Some(key))
            .map(|(member, _)| member)
    }

    pub(super) fn with_role(&self, role: Role) -> impl Iterator<Item = Member> {
        self.here()
            .filter(move |(_, person)| person.role == role)
            .map(|(member, _)| member)
    }

    /// People on or waiting for chairs and the bench, and spectators.
    pub(super) fn counts(&self) -> (usize, usize) {
        let spectators = self.with_role(Role::Spectator).count();
        (self.here().count() - spectators, spectators)
    }

    /// Somebody's coming; nothing when the key is at the table already. `seated` tells whose
    /// names belong to the game that is on the table.
    pub(super) fn come(
        &self,
        setup: &Setup,
        wanted: &str,
        key: &str,
        role: Role,
        seated: impl Fn(Member) -> bool,
    ) -> Result<Vec<Event>, Refusal> {
        if self.member_of(key).is_some() {
            return Ok(Vec::new());
        }
        let same: Vec<&Person> = self
            .all
            .iter()
            .filter(|person| person.key.as_deref() == Some(key))
            .collect();
        if same.iter().any(|p| p.standing == Standing::Removed) {
            return Err(Refusal::Removed);
        }
        self.has_room(setup, role)?;
        let taken = (0..).map(Member).zip(&self.all).filter(|(member, person)| {
            person.is_here() || seated(*member) && person.key.as_deref() != Some(key)
        });
        let member = Member(u32::try_from(self.all.len()).map_err(|_| Refusal::Full)?);
        let mut events = vec![Event::Came {
            member,
            name: text::name(wanted, taken.map(|(_, person)| person.name.as_str())),
            role,
            key: Some(key.to_owned()),
        }];
        if same.last().is_some_and(|person| person.muted) {
            events.push(Event::Muted {
                member,
                muted: true,
            });
        }
        if self.host.is_none() {
            events.push(Event::HostChanged { member });
        }
        Ok(events)
    }

    /// Whether somebody more may have this role.
    pub(super) fn has_room(&self, setup: &Setup, role: Role) -> Result<(), Refusal> {
        let (players, spectators) = self.counts();
        match role {
            Role::Spectator if !setup.open_to_spectators => Err(Refusal::NoSpectators),
            Role::Spectator if spectators >= SPECTATORS => Err(Refusal::Full),
            Role::Judge
                if setup.bench != Bench::Person || self.with_role(Role::Judge).next().is_some() =>
            {
                Err(Refusal::NoBench)
            }
            Role::Witness | Role::Judge if players >= PLAYERS => Err(Refusal::Full),
            Role::Witness | Role::Judge | Role::Spectator => Ok(()),
        }
    }

    /// Who is to be host after the present one, of those whom `present` knows: players
    /// before spectators, in the order of coming.
    pub(super) fn heir(&self, present: impl Fn(Member) -> bool) -> Option<Member> {
        let others = || {
            self.here()
                .filter(|(member, _)| Some(*member) != self.host && present(*member))
        };
        others()
            .find(|(_, person)| person.role != Role::Spectator)
            .or_else(|| others().next())
            .map(|(member, _)| member)
    }

    pub(super) fn open(&mut self) {
        self.host = Some(Member(0));
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Came {
                member,
                name,
                role,
                key,
            } if usize::try_from(member.0).is_ok_and(|place| place == self.all.len()) => {
                self.all.push(Person {
                    name: name.clone(),
                    role: *role,
                    muted: false,
                    key: key.clone(),
                    standing: Standing::Here,
                });
            }
            Event::Went { member, removed } => {
                if let Some(person) = self.present_mut(*member) {
                    person.standing = if *removed {
                        Standing::Removed
                    } else {
                        Standing::Left
                    };
                    if self.host == Some(*member) {
                        self.host = None;
                    }
                }
            }
            Event::RoleChanged { member, role } => {
                if let Some(person) = self.present_mut(*member) {
                    person.role = *role;
                }
            }
            Event::Muted { member, muted } => {
                if let Some(person) = self.present_mut(*member) {
                    person.muted = *muted;
                }
            }
            Event::HostChanged { member } if self.is_here(*member) => self.host = Some(*member),
            _ => {}
        }
    }

    fn present_mut(&mut self, member: Member) -> Option<&mut Person> {
        self.all
            .get_mut(usize::try_from(member.0).ok()?)
            .filter(|person| person.is_here())
    }
}

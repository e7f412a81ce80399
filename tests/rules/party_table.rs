//! A table for many with its log.

use parlour::play::{
    Dice, UnixMillis,
    imitation::{Kind, Mode},
    party::{
        Act, Ballot, Belief, Bench, Chair, Command, Effect, Event, Machine, Member, Opinion,
        Refusal, Role, Setup, Step, Table, Vacancy, Viewer, Witness, rebuild,
    },
};

/// Dice of a linear congruential generator (Knuth's MMIX constants).
#[derive(Clone, Debug)]
pub struct Rolling(pub u64);

impl Dice for Rolling {
    fn throw(&mut self, sides: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(sides)).expect("less than the sides")
    }
}

pub fn setup(bench: Bench, people: u8, machines: usize) -> Setup {
    Setup {
        kind: Kind::Direct,
        mode: Mode::Blind,
        bench,
        people,
        machines: vec![Machine::Model; machines],
        rounds: 2,
        seconds: 10,
        vacancy: Vacancy::Machine,
        listed: true,
        open_to_spectators: true,
        line_limit: 40,
    }
}

/// What the AI says about chairs when it takes `human` for a person.
pub fn opinion(chairs: &[Chair], human: Chair, sure: u8) -> Opinion {
    let belief = |chair: &Chair| Belief {
        chair: *chair,
        human: if *chair == human { sure } else { 100 - sure },
        reading: None,
        surprise: None,
        curvature: None,
    };
    Opinion {
        reasoning: "only the AI's reasons say 'umbrella'".into(),
        beliefs: chairs.iter().map(belief).collect(),
    }
}

/// A table with its log, as a room keeps them.
#[derive(Clone)]
pub struct Party {
    pub table: Table,
    pub log: Vec<(UnixMillis, Event)>,
    pub dice: Rolling,
    pub now: UnixMillis,
}

impl Party {
    /// Opened by member 0; the others come in order. Keys are "key-0", "key-1", …
    pub fn open(setup: Setup, roles: &[Role], dice: u64) -> Self {
        let mut party = Self {
            table: Table::default(),
            log: Vec::new(),
            dice: Rolling(dice),
            now: 1_000,
        };
        for (number, role) in roles.iter().enumerate() {
            let (name, key, role) = (format!("P{number}"), format!("key-{number}"), *role);
            let come = if number == 0 {
                let setup = setup.clone();
                Command::Open {
                    setup,
                    name,
                    key,
                    role,
                }
            } else {
                Command::Come { name, key, role }
            };
            party.must(come);
        }
        party
    }

    /// Opened and started by member 0.
    pub fn started(setup: Setup, roles: &[Role], dice: u64) -> Self {
        let mut party = Self::open(setup, roles, dice);
        party.act(0, Act::Start);
        party
    }

    pub fn give(&mut self, command: Command) -> Result<Vec<Event>, Refusal> {
        let events = self.table.decide(command, self.now, &mut self.dice)?;
        for event in &events {
            self.table.apply(self.now, event);
            self.log.push((self.now, event.clone()));
        }
        Ok(events)
    }

    pub fn must(&mut self, command: Command) -> Vec<Event> {
        let told = format!("{command:?}");
        self.give(command)
            .unwrap_or_else(|refusal| panic!("{told}: {refusal}"))
    }

    pub fn try_act(&mut self, member: u32, act: Act) -> Result<Vec<Event>, Refusal> {
        let member = Member(member);
        self.give(Command::By { member, act })
    }

    pub fn act(&mut self, member: u32, act: Act) -> Vec<Event> {
        let member = Member(member);
        self.must(Command::By { member, act })
    }

    /// Somebody or something asks, whoever's turn it is.
    pub fn ask(&mut self, text: &str) -> Vec<Event> {
        let (round, text) = (self.table.round(), text.to_owned());
        match self.table.judge() {
            Some(judge) => self.act(judge.0, Act::Question { round, text }),
            None => self.must(Command::Question { round, text }),
        }
    }

    /// The witness on a chair says something.
    pub fn say(&mut self, chair: Chair, text: &str) -> Vec<Event> {
        let (round, text) = (self.table.round(), text.to_owned());
        match self.table.witness(chair) {
            Some(Witness::Person { member }) => self.act(member.0, Act::Answer { round, text }),
            _ => self.must(Command::Reply { round, chair, text }),
        }
    }

    pub fn all_say(&mut self, text: &str) -> Vec<Event> {
        let chairs = self.table.open_chairs();
        let mut events = Vec::new();
        for chair in chairs {
            events.extend(self.say(chair, text));
        }
        events
    }

    pub fn weigh(&mut self, human: Chair, sure: u8) -> Vec<Event> {
        let round = self.table.round();
        let opinion = opinion(&self.table.open_chairs(), human, sure);
        self.must(Command::Weigh { round, opinion })
    }

    /// A whole round, weighed if the AI is on the bench.
    pub fn round(&mut self) {
        self.ask("What is in your pockets?");
        self.all_say("nothing");
        if matches!(self.table.step(), Step::Weighing { .. }) {
            self.weigh(Chair(0), 60);
        }
    }

    /// Lets the time pass that somebody has, and tells the table.
    pub fn wait(&mut self) -> Vec<Event> {
        if let Some(due) = self.table.due() {
            self.now = self.now.max(due);
        }
        self.must(Command::Tick)
    }

    pub fn vote(&mut self, member: u32, human: Chair, confidence: u8) -> Vec<Event> {
        self.act(
            member,
            Act::Vote {
                ballot: Ballot { human, confidence },
            },
        )
    }

    /// A chair that the member may name.
    pub fn some_other_chair(&self, member: Member, which: usize) -> Chair {
        let own = self.table.chair_of(member);
        let mut chairs = self.table.open_chairs();
        chairs.retain(|chair| Some(*chair) != own);
        chairs[which % chairs.len()]
    }

    /// One thing that the table waits for is done, by a machine or by a person.
    pub fn onward(&mut self, text: &str, which: usize) -> Result<Vec<Event>, Refusal> {
        let awaited = |party: &Self| {
            let members = party.table.members().map(|(member, _)| member);
            members
                .filter(|m| party.table.awaits(*m))
                .collect::<Vec<_>>()
        };
        let round = self.table.round();
        let text = text.to_owned();
        let effects = self.table.effects();
        let command = match effects.get(which % effects.len().max(1)) {
            Some(Effect::AskQuestion { round }) => Command::Question {
                round: *round,
                text,
            },
            Some(Effect::AskMachine { round, chair, .. }) => Command::Reply {
                round: *round,
                chair: *chair,
                text,
            },
            Some(Effect::AskOpinion { round }) => {
                let chairs = self.table.open_chairs();
                let human = chairs[which % chairs.len()];
                Command::Weigh {
                    round: *round,
                    opinion: opinion(&chairs, human, 70),
                }
            }
            Some(Effect::Wait { .. }) | None => {
                let people = awaited(self);
                let Some(member) = people.get(which % people.len().max(1)).copied() else {
                    let host = self.table.host().unwrap_or(Member(0));
                    return self.try_act(host.0, Act::Start);
                };
                let act = match self.table.step() {
                    Step::Asking { .. } => Act::Question { round, text },
                    Step::Voting => Act::Vote {
                        ballot: Ballot {
                            human: self.some_other_chair(member, which),
                            confidence: self.table.least_confidence().max(60),
                        },
                    },
                    _ => Act::Answer { round, text },
                };
                Command::By { member, act }
            }
        };
        self.give(command)
    }

    /// The log as somebody sees it now.
    pub fn seen_by(&self, viewer: Viewer) -> Vec<(UnixMillis, Option<Event>)> {
        (0u32..)
            .zip(&self.log)
            .map(|(offset, (at, event))| (*at, self.table.shown(viewer, offset, event)))
            .collect()
    }

    pub fn replayed(&self) -> Table {
        rebuild(self.log.iter().map(|(at, event)| (*at, event)))
    }

    /// Everybody at the table, and the public.
    pub fn viewers(&self) -> Vec<Viewer> {
        let members = self.table.members().map(|(member, _)| member);
        members
            .map(Viewer::Member)
            .chain([Viewer::Public])
            .collect()
    }
}

//! Who votes, and who has voted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ballot, Bench, Member, Refusal, Role, Voter, game::Game, people::People};

/// The ballots of one game.
///
/// With [`Bench::Person`] the person on the bench votes alone. With [`Bench::Everybody`] those
/// vote who were witnesses or wanted to be when the game started, and the AI; spectators,
/// of whom there may be thousands, do not. With [`Bench::Machine`] the AI alone does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ballots {
    electorate: BTreeSet<Member>,
    open: bool,
    given: BTreeMap<Voter, Ballot>,
}

impl Ballots {
    pub(super) fn of(bench: Bench, judge: Option<Member>, people: &People) -> Self {
        let electorate = match bench {
            Bench::Machine => BTreeSet::new(),
            Bench::Person => judge.into_iter().collect(),
            Bench::Everybody => people.with_role(Role::Witness).collect(),
        };
        Self {
            electorate,
            open: false,
            given: BTreeMap::new(),
        }
    }

    pub(super) fn are_open(&self) -> bool {
        self.open
    }

    pub(super) fn open(&mut self) {
        self.open = true;
    }

    pub(super) fn has(&self, voter: Voter) -> bool {
        self.given.contains_key(&voter)
    }

    /// Whether the person's ballot is awaited.
    pub(super) fn is_awaited(&self, member: Member) -> bool {
        self.open && self.electorate.contains(&member) && !self.has(Voter::Person { member })
    }

    /// People whose ballots are awaited, also those who left.
    pub(super) fn owing(&self) -> impl Iterator<Item = Member> {
        self.electorate
            .iter()
            .copied()
            .filter(|member| self.is_awaited(*member))
    }

    /// All ballots: the machine's first, then those of people in the order of coming.
    pub(super) fn given(&self) -> impl Iterator<Item = (Voter, Ballot)> {
        self.given.iter().map(|(voter, ballot)| (*voter, *ballot))
    }

    /// The first ballot of each voter counts.
    pub(super) fn give(&mut self, voter: Voter, ballot: Ballot) {
        let may = match voter {
            Voter::Machine => true,
            Voter::Person { member } => self.electorate.contains(&member),
        };
        if self.open && may {
            self.given.entry(voter).or_insert(ballot);
        }
    }
}

/// The least confidence of a ballot, percent: what guessing among so many chairs gives,
/// rounded.
pub(super) fn least_confidence(open_chairs: usize) -> u8 {
    let chairs = open_chairs.max(1);
    // At most 100, since there is one chair at least.
    u8::try_from((100 + chairs / 2) / chairs).unwrap_or(100)
}

/// # Errors
/// When the member cannot give this ballot now.
pub(super) fn check(game: &Game, member: Member, ballot: Ballot) -> Result<(), Refusal> {
    let voter = Voter::Person { member };
    if game.ballots.has(voter) {
        return Err(Refusal::AlreadyDone);
    }
    if !game.ballots.is_awaited(member) {
        return Err(Refusal::NotYourTurn);
    }
    if game.drawn_for(member) == Some(ballot.human)
        || !game.open_chairs().any(|chair| chair == ballot.human)
    {
        return Err(Refusal::NoSuchChair);
    }
    let least = least_confidence(game.open_chairs().count());
    if !(least..=100).contains(&ballot.confidence) {
        return Err(Refusal::BadConfidence { least });
    }
    Ok(())
}

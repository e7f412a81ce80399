//! What can be asked of a table.

use super::*;

impl Table {
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
}

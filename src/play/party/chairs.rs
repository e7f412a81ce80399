//! Who sits on which chair: drawn at the start, and what becomes of a chair that its person
//! gave up.

use super::{Machine, Member, Refusal, Setup, Vacancy, Witness};
use crate::play::Dice;

/// The machine that answers on a chair that a person gave up.
const SUBSTITUTE: Machine = Machine::Model;

/// Draws who sits and where: of the people who want a chair as many as there are chairs for,
/// and all machines, in a random order.
///
/// # Errors
/// When nobody wants a chair.
pub(super) fn draw(
    setup: &Setup,
    mut wanting: Vec<Member>,
    dice: &mut dyn Dice,
) -> Result<Vec<Witness>, Refusal> {
    if wanting.is_empty() {
        return Err(Refusal::CannotStart("nobody wants to be a witness"));
    }
    shuffle(&mut wanting, dice);
    let people = wanting.into_iter().take(usize::from(setup.people));
    let machines = setup.machines.iter();
    let mut chairs: Vec<Witness> = people
        .map(|member| Witness::Person { member })
        .chain(machines.map(|machine| Witness::Machine {
            machine: machine.clone(),
        }))
        .collect();
    shuffle(&mut chairs, dice);
    Ok(chairs)
}

/// Every order is equally likely: Durstenfeld's form of the Fisher-Yates shuffle
/// (Communications of the ACM 7(7), 1964).
fn shuffle<T>(list: &mut [T], dice: &mut dyn Dice) {
    for last in (1..list.len()).rev() {
        let sides = u32::try_from(last + 1).unwrap_or(u32::MAX);
        let other = usize::try_from(dice.throw(sides)).unwrap_or_default();
        list.swap(last, other.min(last));
    }
}

/// What is true of one chair.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// Who was drawn for it.
    drawn: Witness,
    /// Since the person gave it up: what became of it, and the first round that the person
    /// did not answer for.
    vacated: Option<(Vacancy, u32)>,
    /// Rounds in a row that its person let pass.
    pub(super) misses: u32,
}

impl Place {
    pub(super) fn new(drawn: Witness) -> Self {
        Self {
            drawn,
            vacated: None,
            misses: 0,
        }
    }

    /// Who answers on it now; none when it is closed.
    pub(super) fn holder(&self) -> Option<Witness> {
        match self.vacated {
            None => Some(self.drawn.clone()),
            Some((Vacancy::Machine, _)) => Some(Witness::Machine {
                machine: SUBSTITUTE,
            }),
            Some((Vacancy::Close, _)) => None,
        }
    }

    /// Who it belongs to when chairs are revealed. A chair that was closed stays that of its
    /// person, whose answers were heard.
    pub(super) fn witness(&self) -> Witness {
        self.holder().unwrap_or_else(|| self.drawn.clone())
    }

    /// The person who answers on it.
    pub(super) fn person(&self) -> Option<Member> {
        self.sitter().filter(|_| self.vacated.is_none())
    }

    /// The person who was drawn for it, also after giving it up.
    pub(super) fn sitter(&self) -> Option<Member> {
        match self.drawn {
            Witness::Person { member } => Some(member),
            Witness::Machine { .. } => None,
        }
    }

    /// Whether what it says in `round` is its person's.
    pub(super) fn is_own_word(&self, round: u32) -> bool {
        self.vacated.is_none_or(|(_, from)| round < from)
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.vacated, Some((Vacancy::Close, _)))
    }

    pub(super) fn vacate(&mut self, vacancy: Vacancy, from: u32) {
        if self.person().is_some() {
            self.vacated = Some((vacancy, from));
        }
    }
}

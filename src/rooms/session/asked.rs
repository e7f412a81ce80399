//! What a client's message asks for, and who is to do it.

use crate::{
    rooms::messages::{Gesture, Move, Want, Wish},
    wire::browser::FromClient,
};

/// One message, sorted by who takes it.
pub(super) enum Asked {
    /// The session itself: who is it?
    Hello {
        protocol: u16,
        session: Option<String>,
    },
    /// The session itself: is anybody there?
    Ping { nonce: u32 },
    /// The room's sound; it has no answer.
    Heard { line: u32, words: u32 },
    /// The house.
    House { id: u32, wish: Wish },
    /// The room that the client sits in.
    Room { id: u32, what: Move },
}

impl Asked {
    pub(super) fn of(message: FromClient) -> Self {
        match message {
            FromClient::Hello { protocol, session } => Self::Hello { protocol, session },
            FromClient::Ping { nonce } => Self::Ping { nonce },
            FromClient::Heard { line, words } => Self::Heard { line, words },
            FromClient::Open {
                id,
                kind,
                mode,
                name,
            } => Self::house(id, Wish::Open { kind, mode, name }),
            FromClient::Resume {
                id,
                room,
                epoch,
                offset,
            } => Self::house(
                id,
                Wish::Resume {
                    room,
                    epoch,
                    offset,
                },
            ),
            FromClient::Leave { id } => Self::house(id, Wish::Leave),
            FromClient::OpenTable {
                id,
                setup,
                role,
                name,
            } => Self::house(id, Wish::OpenTable { setup, role, name }),
            FromClient::JoinTable {
                id,
                room,
                role,
                name,
                seat,
                held,
            } => Self::house(
                id,
                Wish::JoinTable {
                    room,
                    want: Want { role, name, seat },
                    held,
                },
            ),
            FromClient::Lobby { id, watch } => Self::house(id, Wish::Lobby { watch }),
            FromClient::EnterSeance {
                id,
                sit,
                room,
                held,
            } => Self::house(id, Wish::EnterSeance { sit, room, held }),
            FromClient::Answer { id, round, text } => Self::room(id, Move::Answer { round, text }),
            FromClient::Stop { id } => Self::room(id, Move::Stop),
            FromClient::Act { id, act } => Self::room(id, Move::Act(act)),
            FromClient::Listen {
                id,
                utterance,
                languages,
            } => Self::gesture(
                id,
                Gesture::Listen {
                    utterance,
                    languages,
                },
            ),
            FromClient::Spoken {
                id,
                utterance,
                seed,
            } => Self::gesture(id, Gesture::Spoken { utterance, seed }),
            FromClient::Unspoken { id, utterance } => {
                Self::gesture(id, Gesture::Unspoken { utterance })
            }
            FromClient::Question {
                id,
                text,
                language,
                seed,
            } => Self::gesture(
                id,
                Gesture::Question {
                    text,
                    language,
                    seed,
                },
            ),
            FromClient::Hush { id } => Self::gesture(id, Gesture::Hush),
        }
    }

    fn house(id: u32, wish: Wish) -> Self {
        Self::House { id, wish }
    }

    fn room(id: u32, what: Move) -> Self {
        Self::Room { id, what }
    }

    fn gesture(id: u32, gesture: Gesture) -> Self {
        Self::room(id, Move::Seance(gesture))
    }
}

/// The `id` of a message that is otherwise not understood.
pub(super) fn id_of(text: &str) -> Option<u32> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    u32::try_from(value.get("id")?.as_u64()?).ok()
}

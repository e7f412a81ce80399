//! What the servers of one house tell each other through the Redis that they share: where a
//! session is open, and which tables may be come to. All of it passes: nothing here must
//! survive, and a server that is told nothing only knows later.

use std::time::Duration;

use super::{RedisStore, StoreError, digits, names, scripts::Script, ttl};

/// Words that wait for one server; older ones are forgotten.
const WORDS: u32 = 10_000;

/// Words that are read at once.
const READ: u32 = 1000;

/// How long words wait for a server that does not listen.
const WAIT: Duration = Duration::from_secs(60);

/// What one server tells another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The session was opened on another server, with this number ([`Neighbours::arrive`]).
    Elsewhere { session: String, number: u64 },
    /// The player of this room's game plays another one now.
    Abandoned { room: String },
}

impl Word {
    fn written(&self) -> String {
        match self {
            Self::Elsewhere { session, number } => format!("elsewhere {number} {session}"),
            Self::Abandoned { room } => format!("abandoned {room}"),
        }
    }

    /// None for a word of another version of this program.
    fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        match kind {
            "elsewhere" => {
                let (number, session) = rest.split_once(' ')?;
                Some(Self::Elsewhere {
                    session: session.to_owned(),
                    number: number.parse().ok()?,
                })
            }
            "abandoned" => Some(Self::Abandoned {
                room: rest.to_owned(),
            }),
            _ => None,
        }
    }
}

/// How far a server has read the words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard(String);

impl Default for Heard {
    fn default() -> Self {
        Self("0-0".into())
    }
}

/// The other servers of the house, as one of them reaches them.
#[derive(Clone, Copy, Debug)]
pub struct Neighbours<'a>(pub(in crate::store) &'a RedisStore);

impl Neighbours<'_> {
    /// The session is open at `server` from now on, and at no other. Gives a number greater
    /// than at any earlier arrival. The server where it was open before hears of it.
    ///
    /// # Errors
    /// As those of [`Store`](crate::store::Store).
    pub async fn arrive(
        &self,
        session: &str,
        server: &str,
        keep: Duration,
    ) -> Result<u64, StoreError> {
        let keys = vec![self.0.keys.seat(session)];
        let args = vec![
            server.into(),
            ttl(keep),
            self.0.keys.words("").into_bytes(),
            session.into(),
            ttl(WAIT),
            digits(WORDS),
        ];
        let reply = self.0.call(Script::Arrive, keys, args).await?;
        reply.ok()?.number()
    }

    /// Tells a server something.
    ///
    /// # Errors
    /// As those of [`Store`](crate::store::Store).
    pub async fn tell(&self, server: &str, word: &Word) -> Result<(), StoreError> {
        let keys = vec![self.0.keys.words(server)];
        let args = vec![word.written().into_bytes(), ttl(WAIT), digits(WORDS)];
        let reply = self.0.call(Script::LeaveWord, keys, args).await?;
        reply.ok().map(drop)
    }

    /// What `server` was told since, in order, and how far that is.
    ///
    /// # Errors
    /// As those of [`Store`](crate::store::Store).
    pub async fn words(
        &self,
        server: &str,
        since: &Heard,
    ) -> Result<(Vec<Word>, Heard), StoreError> {
        let keys = vec![self.0.keys.words(server)];
        let args = vec![since.0.clone().into_bytes(), digits(READ)];
        let mut reply = self.0.call(Script::Words, keys, args).await?.ok()?;
        let last = Heard(reply.text()?);
        let words = names(reply)?;
        Ok((
            words.iter().filter_map(|word| Word::read(word)).collect(),
            last,
        ))
    }

    /// Shows the other servers a list of tables for this long, in place of the last one;
    /// none takes it away.
    ///
    /// # Errors
    /// As those of [`Store`](crate::store::Store).
    pub async fn list_tables(
        &self,
        server: &str,
        list: Option<String>,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let keys = vec![self.0.keys.tables(), self.0.keys.tables_until()];
        let args = vec![
            server.into(),
            list.unwrap_or_default().into_bytes(),
            ttl(keep),
        ];
        let reply = self.0.call(Script::ListTables, keys, args).await?;
        reply.ok().map(drop)
    }

    /// The lists that all servers but this one show.
    ///
    /// # Errors
    /// As those of [`Store`](crate::store::Store).
    pub async fn tables(&self, server: &str) -> Result<Vec<String>, StoreError> {
        let keys = vec![self.0.keys.tables(), self.0.keys.tables_until()];
        let reply = self.0.call(Script::Tables, keys, vec![server.into()]);
        names(reply.await?.ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_was_written_and_an_unknown_one_passed_over() {
        let words = [
            Word::Elsewhere {
                session: "ab12".into(),
                number: u64::MAX,
            },
            Word::Abandoned { room: "r7".into() },
        ];
        for word in words {
            assert_eq!(Word::read(&word.written()), Some(word));
        }
        for odd in ["", "elsewhere", "elsewhere x y", "sing a song"] {
            assert_eq!(Word::read(odd), None, "{odd}");
        }
    }
}

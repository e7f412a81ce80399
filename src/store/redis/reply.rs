//! What a script answers: a word, and what belongs to it.

use redis::Value;

use crate::store::{Fence, StoreError};

/// A script's answer, taken apart from front to back.
#[derive(Debug)]
pub(super) struct Reply {
    word: String,
    rest: std::vec::IntoIter<Value>,
}

/// The word of an answer that came too late to be done.
pub(super) const LATE: &str = "late";

impl Reply {
    pub(super) fn new(value: Value) -> Result<Self, StoreError> {
        let Value::Array(values) = value else {
            return Err(nonsense());
        };
        let mut rest = values.into_iter();
        let word = text(rest.next())?;
        Ok(Self { word, rest })
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.word == word
    }

    /// The answer, if it is `ok`.
    pub(super) fn ok(self) -> Result<Self, StoreError> {
        if self.is("ok") {
            Ok(self)
        } else {
            Err(nonsense())
        }
    }

    /// The answer, if it is `ok`; else why the room refuses.
    pub(super) fn of_room(mut self, room: &str) -> Result<Self, StoreError> {
        let room = room.to_owned();
        Err(match self.word.as_str() {
            "ok" => return Ok(self),
            "none" => StoreError::NoSuchRoom(room),
            "exists" => StoreError::RoomExists(room),
            "fenced" => StoreError::Fenced {
                room,
                newest: Fence(self.number()?),
            },
            "held" => StoreError::Held {
                room,
                owner: self.text()?,
            },
            "trimmed" => StoreError::Trimmed {
                room,
                first: self.number()?,
            },
            "full" => StoreError::Failed(format!("the log of room {room} is full")),
            _ => nonsense(),
        })
    }

    /// As [`Self::of_room`], for calls that expect the log to have a length.
    pub(super) fn of_log(mut self, room: &str, expected: u32) -> Result<Self, StoreError> {
        if self.is("conflict") {
            return Err(StoreError::Conflict {
                room: room.to_owned(),
                expected,
                actual: self.number()?,
            });
        }
        self.of_room(room)
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        text(self.rest.next())
    }

    /// None where the script gives nil.
    pub(super) fn maybe_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.rest.next() {
            None | Some(Value::Nil) => Ok(None),
            some => text(some).map(Some),
        }
    }

    pub(super) fn number<N: std::str::FromStr>(&mut self) -> Result<N, StoreError> {
        self.text()?.parse().map_err(|_| nonsense())
    }

    pub(super) fn list(&mut self) -> Result<Vec<Value>, StoreError> {
        match self.rest.next() {
            Some(Value::Array(values)) => Ok(values),
            _ => Err(nonsense()),
        }
    }

    /// A list inside an answer, taken apart the same way.
    pub(super) fn within(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(values) => Ok(Self {
                word: String::new(),
                rest: values.into_iter(),
            }),
            _ => Err(nonsense()),
        }
    }
}

pub(super) fn text(value: Option<Value>) -> Result<String, StoreError> {
    match value {
        Some(Value::BulkString(bytes)) => String::from_utf8(bytes).map_err(|_| nonsense()),
        Some(Value::SimpleString(text)) => Ok(text),
        Some(Value::Int(number)) => Ok(number.to_string()),
        _ => Err(nonsense()),
    }
}

pub(super) fn nonsense() -> StoreError {
    StoreError::Failed("Redis holds or answers what this program did not write".into())
}

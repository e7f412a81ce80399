//! Who is who: tokens, room names, and the names people give themselves.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use sha2::{Digest, Sha256};

use crate::play::{UnixMillis, party::NAMELESS};

/// Longest name, characters.
pub const NAME_LIMIT: usize = 24;

/// Bytes of randomness in a session token.
const TOKEN_BYTES: usize = 32;

/// What a session is known by inside: the hash of its token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey(pub(crate) String);

/// A session's secret, as its client holds it. Never stored, never logged.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// A fresh one.
    pub(crate) fn draw() -> Self {
        Self(hex(&rand::random::<[u8; TOKEN_BYTES]>()))
    }

    /// What a client sent, if it has the form of a token at all.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == TOKEN_BYTES * 2
            && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| Self(text.to_owned()))
    }

    pub(crate) fn key(&self) -> SessionKey {
        SessionKey(hex(&Sha256::digest(self.0.as_bytes())))
    }

    /// The secret itself, for the one message that carries it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(token)")
    }
}

/// A new room's name: 128 random bits, so that knowing it is having been told.
pub(crate) fn room_id() -> String {
    hex(&rand::random::<[u8; 16]>())
}

/// Crockford's digits: no I, L, O and U, which are misread or make words.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a table's code, which carry 5 bits each.
const CODE: usize = 8;

/// A new table's name: a code of 40 random bits that can be read out and typed in.
pub(crate) fn table_code() -> String {
    let digits: Vec<u8> = rand::random::<[u8; CODE]>()
        .iter()
        .map(|byte| DIGITS[usize::from(byte % 32)])
        .collect();
    grouped(&digits)
}

/// A table's code as it is kept and shown, whichever way somebody typed it: in any case,
/// with or without dashes and spaces, O for 0 and I or L for 1. None if it is no code.
pub fn table_code_of(typed: &str) -> Option<String> {
    let digits: Vec<u8> = typed
        .bytes()
        .filter(|byte| !matches!(byte, b'-' | b' '))
        .take(CODE + 1)
        .map(|byte| match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            digit => digit,
        })
        .collect();
    let well_formed = digits.len() == CODE && digits.iter().all(|digit| DIGITS.contains(digit));
    well_formed.then(|| grouped(&digits))
}

fn grouped(digits: &[u8]) -> String {
    let (first, second) = digits.split_at(CODE / 2);
    let half = |digits: &[u8]| digits.iter().copied().map(char::from).collect::<String>();
    format!("{}-{}", half(first), half(second))
}

/// Whether `text` is a table's name as it is kept.
pub(crate) fn is_table(text: &str) -> bool {
    table_code_of(text).as_deref() == Some(text)
}

/// The name of the house's `number`th séance. A new one begins when the log of one is long
/// and nobody sits.
pub(crate) fn seance_name(number: u32) -> String {
    format!("{SEANCE}{number}")
}

const SEANCE: &str = "seance-";

/// Whether `text` is a séance's name.
pub(crate) fn is_seance(text: &str) -> bool {
    text.strip_prefix(SEANCE)
        .is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Whether `text` can be a room's name: a game's, or a table's in any way of typing it.
pub fn is_room_id(text: &str) -> bool {
    let game = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    game || table_code_of(text).is_some()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

/// The name as it is shown: one line, at most [`NAME_LIMIT`] characters, never empty.
pub(crate) fn tidy_name(name: &str) -> String {
    let printable: String = name.chars().filter(|c| !c.is_control()).collect();
    let short: String = printable.trim().chars().take(NAME_LIMIT).collect();
    let short = short.trim_end();
    if short.is_empty() {
        NAMELESS.to_owned()
    } else {
        short.to_owned()
    }
}

/// Milliseconds since the Unix epoch, by the system's clock.
pub fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_visible_line() {
        assert_eq!(tidy_name("  Ada \n"), "Ada");
        assert_eq!(tidy_name("A\u{7}d\u{0}a"), "Ada");
        assert_eq!(tidy_name(" \t\r\n"), "Guest");
        assert_eq!(tidy_name(&"ж".repeat(100)).chars().count(), NAME_LIMIT);
        assert_eq!(tidy_name(&format!("{} b", "a".repeat(23))), "a".repeat(23));
    }

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let token = Token::draw();
        assert_ne!(token.key().0, token.expose());
        assert_eq!(
            Token::parse(token.expose()).map(|t| t.key()),
            Some(token.key())
        );
        assert_ne!(Token::draw().key(), token.key());
        assert!(!format!("{token:?}").contains(token.expose()));
    }

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        let code = table_code();
        assert!(is_table(&code) && is_room_id(&code), "{code}");
        for typed in [
            code.to_lowercase(),
            code.replace('-', ""),
            code.replace('-', " ").to_lowercase(),
            code.replace('0', "o").replace('1', "l"),
            code.replace('1', "I"),
        ] {
            assert_eq!(table_code_of(&typed).as_ref(), Some(&code), "{typed}");
            assert!(is_room_id(&typed));
        }
        assert!(!is_table(&code.replace('-', "")));
    }

    #[test]
    fn codes_use_all_digits_alike() {
        let codes: String = (0..2000).map(|_| table_code()).collect();
        for digit in DIGITS {
            let count = codes.bytes().filter(|byte| byte == digit).count();
            assert!(
                (350..650).contains(&count),
                "{}: {count}",
                char::from(*digit)
            );
        }
    }

    #[test]
    fn what_is_no_code_is_no_room() {
        for text in [
            "",
            "7K3M-9QX",
            "7K3M-9QXTA",
            "7K3U-9QXT",
            "7K3M_9QXT",
            "жжжж-жжжж",
            "../../x",
        ] {
            assert!(!is_room_id(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_token_is_not_looked_up() {
        for text in ["", "abc", &"g".repeat(64), &"A".repeat(64), &"0".repeat(63)] {
            assert_eq!(Token::parse(text), None, "{text:?}");
        }
    }
}

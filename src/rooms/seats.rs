//! Seat tokens: proof that a place at a table is somebody's, whichever browser they come
//! from. Nothing is stored for them: a token names the member and is signed by the house.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::play::party::Member;

/// What else could be signed with the house's secret is signed under another heading.
const HEADING: &[u8] = b"parlour seat 1";

/// Signs and checks seats. The servers of one house must have the same secret.
#[derive(Clone)]
pub struct SeatKey(Hmac<Sha256>);

impl SeatKey {
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("a key may have any length"))
    }

    /// The token of that place.
    pub(crate) fn sign(&self, room: &str, member: Member) -> String {
        let signature = self.over(room, member).finalize().into_bytes();
        format!("{}.{}", member.0, super::identity::hex(&signature))
    }

    /// Whose place the token is, if the house signed it for this room.
    pub(crate) fn check(&self, room: &str, token: &str) -> Option<Member> {
        let (member, signature) = token.split_once('.')?;
        // One place has one token: no signs, no leading zeros.
        let number: u32 = member.parse().ok()?;
        if number.to_string() != member {
            return None;
        }
        let member = Member(number);
        let signature = unhex(signature)?;
        // Compares in constant time.
        self.over(room, member).verify_slice(&signature).ok()?;
        Some(member)
    }

    fn over(&self, room: &str, Member(number): Member) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(HEADING);
        mac.update(&number.to_be_bytes());
        mac.update(room.as_bytes());
        mac
    }
}

impl fmt::Debug for SeatKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(key)")
    }
}

/// Lower-case digits only.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: &str = "7K3M-9QXT";

    #[test]
    fn a_token_is_good_for_its_member_and_room_alone() {
        let key = SeatKey::new(b"secret");
        let token = key.sign(ROOM, Member(3));
        assert_eq!(key.check(ROOM, &token), Some(Member(3)));
        assert_eq!(key.check("7K3M-9QXS", &token), None);
        assert_eq!(SeatKey::new(b"other").check(ROOM, &token), None);
        let signature = token.split_once('.').expect("two parts").1;
        assert_eq!(key.check(ROOM, &format!("4.{signature}")), None);
    }

    #[test]
    fn a_token_that_was_tampered_with_anywhere_is_none() {
        let key = SeatKey::new(b"secret");
        let token = key.sign(ROOM, Member(12));
        for place in 0..token.len() {
            for byte in [b'0', b'1', b'f', b'F', b'.', b'+', b' '] {
                let mut forged = token.clone().into_bytes();
                if forged[place] == byte {
                    continue;
                }
                forged[place] = byte;
                let forged = String::from_utf8(forged).expect("ASCII");
                assert_eq!(key.check(ROOM, &forged), None, "{forged}");
            }
            assert_eq!(key.check(ROOM, &token[..place]), None);
        }
        for odd in ["", ".", "12", "12.", "+12.00", "012.00", "12.0g"] {
            assert_eq!(key.check(ROOM, odd), None);
        }
    }

    #[test]
    fn a_key_shows_nothing_of_its_secret() {
        assert_eq!(format!("{:?}", SeatKey::new(b"secret")), "(key)");
    }
}

//! The password as the house keeps it: an argon2id hash (RFC 9106) in the PHC string format.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use sha2::{Digest, Sha256};

use crate::rooms::identity::hex;

/// Memory of a new hash, KiB: RFC 9106, section 4, "second recommended option".
const MEMORY: u32 = 64 << 10;

/// Passes of a new hash: the same.
const PASSES: u32 = 3;

/// Memory below which a hash is cheap to guess, KiB (OWASP's lowest for argon2id).
const LEAST_MEMORY: u32 = 7 << 10;

/// Memory and passes above which a sign-in would hold a small machine up.
const MOST_MEMORY: u32 = 1 << 20;
const MOST_PASSES: u32 = 64;

/// Shortest password, characters. At five guesses a minute three months are 650,000 guesses.
pub(crate) const SHORTEST: usize = 8;

/// Longest password, bytes.
pub(crate) const LONGEST: usize = 1024;

/// Why something is no password, or no hash of one. Says nothing of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error(
        "this is no argon2id hash; run `parlour gate hash` and put what it prints here, in .env \
         between single quotes (a password itself must never stand here)"
    )]
    NoHash,
    #[error(
        "this hash takes too little or too much memory or time; run `parlour gate hash` and put \
         what it prints here"
    )]
    Cost,
    #[error("a password has at least {SHORTEST} characters: shorter ones are guessed")]
    TooShort,
    #[error("a password has at most {LONGEST} bytes")]
    TooLong,
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// What opens the gate. Shows nothing of itself.
#[derive(Clone)]
pub(crate) struct Password {
    hash: PasswordHash,
    fingerprint: String,
}

impl Password {
    /// Reads what `parlour gate hash` printed.
    ///
    /// # Errors
    /// [`PasswordError::NoHash`] and [`PasswordError::Cost`].
    pub(crate) fn parse(phc: &str) -> Result<Self, PasswordError> {
        let hash = PasswordHash::new(phc).map_err(|_| PasswordError::NoHash)?;
        let whole = hash.algorithm.as_str() == Algorithm::Argon2id.as_str()
            && hash.version == Some(Version::V0x13.into())
            && hash.salt.is_some()
            && hash.hash.is_some();
        if !whole {
            return Err(PasswordError::NoHash);
        }
        let cost = Params::try_from(&hash).map_err(|_| PasswordError::NoHash)?;
        let fair =
            (LEAST_MEMORY..=MOST_MEMORY).contains(&cost.m_cost()) && cost.t_cost() <= MOST_PASSES;
        if !fair {
            return Err(PasswordError::Cost);
        }
        Ok(Self {
            fingerprint: hex(&Sha256::digest(phc)),
            hash,
        })
    }

    /// Whether that is the password. Takes a core a fraction of a second, and the hash's memory.
    pub(crate) fn is(&self, said: &[u8]) -> bool {
        // The hash says itself how dear it is; the outputs are compared in constant time.
        Argon2::default().verify_password(said, &self.hash).is_ok()
    }

    /// Names this hash and shows nothing of it. The same password hashed anew has another.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(password)")
    }
}

/// A new hash of that password, with a salt of its own.
///
/// # Errors
/// [`PasswordError::TooShort`], [`PasswordError::TooLong`], [`PasswordError::Hash`].
pub(super) fn hash(password: &str) -> Result<String, PasswordError> {
    if password.chars().count() < SHORTEST {
        return Err(PasswordError::TooShort);
    }
    if password.len() > LONGEST {
        return Err(PasswordError::TooLong);
    }
    let cost = Params::new(MEMORY, PASSES, 1, None).expect("the cost is within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, cost)
        .hash_password(password.as_bytes())
        .map(|hash: PasswordHash| hash.to_string())
        .map_err(PasswordError::Hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At one pass, for tests that hash often.
    fn cheap(password: &str, memory: u32, algorithm: Algorithm) -> String {
        let cost = Params::new(memory, 1, 1, None).unwrap();
        let hasher = Argon2::new(algorithm, Version::V0x13, cost);
        let hash: PasswordHash = hasher.hash_password(password.as_bytes()).unwrap();
        hash.to_string()
    }

    #[test]
    fn what_was_hashed_is_the_password_and_nothing_else_is() {
        let phc = hash("the house was always cold").unwrap();
        let password = Password::parse(&phc).unwrap();
        assert!(password.is("the house was always cold".as_bytes()));
        for wrong in ["", "the house was always col", "The house was always cold"] {
            assert!(!password.is(wrong.as_bytes()), "{wrong}");
        }
        let again = hash("the house was always cold").unwrap();
        assert_ne!(phc, again, "each has its own salt");
        assert_ne!(
            Password::parse(&again).unwrap().fingerprint(),
            password.fingerprint()
        );
    }

    /// A vector of the reference implementation's own tests (`src/test.c`).
    #[test]
    fn a_hash_that_the_reference_program_printed_opens_as_well() {
        let phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let password = Password::parse(phc).unwrap();
        assert!(password.is(b"password"));
        assert!(!password.is(b"passwore"));
    }

    #[test]
    fn a_plain_password_or_a_damaged_hash_is_refused_without_being_shown() {
        let good = cheap("12345678", LEAST_MEMORY, Algorithm::Argon2id);
        assert!(Password::parse(&good).is_ok());
        let (head, _) = good.rsplit_once('$').unwrap();
        for bad in [
            "",
            "hunter2 hunter2",
            "=19=65536,t=3,p=1",
            head,
            &good.replace("v=19$", ""),
            &good.replace("v=19", "v=16"),
            &cheap("12345678", LEAST_MEMORY, Algorithm::Argon2i),
            "$2b$12$WApznUPhDubN0oeveSXHp.Rk0rMrIc1gzOBdvQ5Qk3m9ePp0N9dYy",
        ] {
            let error = Password::parse(bad).unwrap_err();
            assert_eq!(error, PasswordError::NoHash, "{bad}");
            assert!(bad.is_empty() || !error.to_string().contains(bad));
        }
    }

    #[test]
    fn a_hash_that_is_too_cheap_or_too_dear_is_refused() {
        let cheap = cheap("12345678", LEAST_MEMORY - 1, Algorithm::Argon2id);
        assert_eq!(Password::parse(&cheap).unwrap_err(), PasswordError::Cost);
        let dear = cheap.replace("m=7167", "m=4194304");
        assert_eq!(Password::parse(&dear).unwrap_err(), PasswordError::Cost);
        let slow = cheap.replace("m=7167,t=1", "m=7168,t=1000");
        assert_eq!(Password::parse(&slow).unwrap_err(), PasswordError::Cost);
    }

    #[test]
    fn a_short_password_is_none() {
        assert_eq!(hash("1234567"), Err(PasswordError::TooShort));
        assert_eq!(hash(&"ж".repeat(513)), Err(PasswordError::TooLong));
        assert!(hash("приведение").is_ok());
    }

    #[test]
    fn a_password_shows_nothing_of_itself() {
        let phc = cheap("12345678", LEAST_MEMORY, Algorithm::Argon2id);
        let password = Password::parse(&phc).unwrap();
        assert_eq!(format!("{password:?}"), "(password)");
    }
}

//! PURE: reads a SentencePiece model (`.spm`), as far as cutting texts needs it.
//!
//! The file is protobuf; field numbers are those of `sentencepiece_model.proto`. It is
//! untrusted: what is not known is skipped, what cannot be is refused.

/// What a piece is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Found in texts.
    Text,
    Unknown,
    /// Never found in texts: ends, beginnings, unused ones.
    Other,
}

/// A piece of text with its logarithmic probability.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) role: Role,
}

/// A SentencePiece model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Spm {
    pub(super) pieces: Vec<Piece>,
    /// Which characters stand for which; empty if each stands for itself.
    pub(super) charsmap: Vec<u8>,
}

/// `TrainerSpec.ModelType.UNIGRAM`.
const UNIGRAM: u64 = 1;
/// `SentencePiece.Type`.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const USER_DEFINED: u64 = 4;
/// Most pieces of a model, and bytes of one.
const MAX_PIECES: usize = 1 << 20;
const MAX_PIECE: usize = 1024;

/// What a field holds.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Float(f32),
    Skipped,
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (bytes, rest) = self
            .0
            .split_at_checked(count)
            .ok_or("it ends in the middle")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for at in 0..10 {
            let byte = self.bytes(1)?[0];
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number without end".into())
    }

    /// Number and value of the next field; none at the end.
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => {
                self.bytes(8)?;
                Value::Skipped
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| "a length")?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => {
                let bytes = self.bytes(4)?.try_into().expect("four were taken");
                Value::Float(f32::from_le_bytes(bytes))
            }
            kind => return Err(format!("fields of the kind {kind}")),
        };
        Ok(Some((tag >> 3, value)))
    }
}

impl Spm {
    /// Reads a file.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub(super) fn of(file: &[u8]) -> Result<Self, String> {
        let mut spm = Self::default();
        let mut fields = Fields(file);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(piece)) => spm.pieces.push(Piece::of(piece)?),
                (2, Value::Bytes(trainer)) => check_trainer(trainer)?,
                (3, Value::Bytes(normalizer)) => spm.charsmap = charsmap(normalizer)?,
                _ => {}
            }
            if spm.pieces.len() > MAX_PIECES {
                return Err("too many pieces".into());
            }
        }
        Ok(spm)
    }
}

impl Piece {
    fn of(message: &[u8]) -> Result<Self, String> {
        let (mut text, mut score, mut kind) = ("", 0.0, NORMAL);
        let mut fields = Fields(message);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(bytes)) => {
                    text = std::str::from_utf8(bytes).map_err(|_| "a piece that is no text")?;
                }
                (2, Value::Float(number)) => score = number,
                (3, Value::Number(number)) => kind = number,
                _ => {}
            }
        }
        if text.is_empty() || text.len() > MAX_PIECE || !score.is_finite() {
            return Err(format!("a piece {text:?} of the score {score}"));
        }
        Ok(Self {
            text: text.to_owned(),
            score,
            role: match kind {
                NORMAL | USER_DEFINED => Role::Text,
                UNKNOWN => Role::Unknown,
                _ => Role::Other,
            },
        })
    }
}

/// Refuses models that cut texts in another way.
fn check_trainer(message: &[u8]) -> Result<(), String> {
    let mut fields = Fields(message);
    while let Some(field) = fields.next()? {
        match field {
            (3, Value::Number(kind)) if kind != UNIGRAM => {
                return Err(format!("pieces of the kind {kind}, which are not unigrams"));
            }
            // treat_whitespace_as_suffix
            (24, Value::Number(suffix)) if suffix != 0 => {
                return Err("pieces that end with their space".into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn charsmap(message: &[u8]) -> Result<Vec<u8>, String> {
    let mut charsmap = Vec::new();
    let mut fields = Fields(message);
    while let Some(field) = fields.next()? {
        match field {
            (2, Value::Bytes(bytes)) => charsmap = bytes.to_vec(),
            // add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces
            (3..=5, Value::Number(0)) => return Err("spaces that are kept as they are".into()),
            _ => {}
        }
    }
    Ok(charsmap)
}

#[cfg(test)]
pub(super) mod fixture {
    //! Writes SentencePiece models.

    fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).expect("a short one");
        assert!(length < 0x80);
        [&[((number << 3) | 2) as u8, length], bytes].concat()
    }

    /// A model of these pieces, each of the score and the kind that it has in the file.
    pub(in crate::models::translation) fn spm(pieces: &[(&str, f32, u8)]) -> Vec<u8> {
        let piece = |(text, score, kind): &(&str, f32, u8)| {
            let text = field(1, text.as_bytes());
            let score = [&[(2 << 3) | 5], score.to_le_bytes().as_slice()].concat();
            field(1, &[text, score, vec![3 << 3, *kind]].concat())
        };
        pieces.iter().flat_map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{fixture::spm, *};

    #[test]
    fn pieces_come_with_their_scores_and_roles() {
        let read = Spm::of(&spm(&[
            ("<unk>", 0.0, 2),
            ("</s>", 0.0, 3),
            ("\u{2581}der", -2.5, 1),
            ("X", -3.0, 4),
        ]))
        .unwrap();
        let roles: Vec<Role> = read.pieces.iter().map(|piece| piece.role).collect();
        assert_eq!(roles, [Role::Unknown, Role::Other, Role::Text, Role::Text]);
        assert_eq!(read.pieces[2].text, "\u{2581}der");
        assert_eq!(read.pieces[2].score, -2.5);
        assert!(read.charsmap.is_empty());
    }

    #[test]
    fn models_that_cut_otherwise_are_refused() {
        // A trainer's model_type: BPE.
        assert!(Spm::of(&[(2 << 3) | 2, 2, 3 << 3, 2]).is_err());
        // A normalizer without remove_extra_whitespaces.
        assert!(Spm::of(&[(3 << 3) | 2, 2, 4 << 3, 0]).is_err());
        assert!(Spm::of(&spm(&[("", 0.0, 1)])).is_err());
        assert!(Spm::of(&spm(&[("a", f32::NAN, 1)])).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_bring_the_reader_down(bytes: Vec<u8>) {
            let _ = Spm::of(&bytes);
        }

        #[test]
        fn a_file_that_is_cut_is_refused_or_read_in_part(cut in 0_usize..40) {
            let whole = spm(&[("<unk>", 0.0, 2), ("\u{2581}der", -2.5, 1), ("X", -3.0, 4)]);
            if let Ok(read) = Spm::of(&whole[..cut.min(whole.len())]) {
                prop_assert!(read.pieces.len() <= 3);
            }
        }
    }
}

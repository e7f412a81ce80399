//! Valid inputs, in pieces that can be damaged apart.

use serde_json::Value;

/// How a piece's length is written before it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// Eight bytes, as in safetensors.
    Little64,
    /// Four bytes, as before the worker's messages.
    Big32,
}

/// A piece of one part.
#[derive(Clone, Debug)]
pub(crate) enum Chunk {
    Bytes(Vec<u8>),
    Json(Option<Length>, Value),
}

impl Chunk {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Json(length, value) => {
                let text = value.to_string();
                match length {
                    None => {}
                    Some(Length::Little64) => out.extend((text.len() as u64).to_le_bytes()),
                    Some(Length::Big32) => out.extend((text.len() as u32).to_be_bytes()),
                }
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// A valid input: one or more parts (files, most of them) in pieces.
#[derive(Clone, Debug)]
pub(crate) struct Seed(pub(crate) Vec<Vec<Chunk>>);

impl Seed {
    /// Each part is one piece: a JSON object, where it is that.
    pub(crate) fn of(parts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let chunk = |bytes: Vec<u8>| match serde_json::from_slice(&bytes) {
            Ok(value @ Value::Object(_)) => Chunk::Json(None, value),
            _ => Chunk::Bytes(bytes),
        };
        Self(parts.into_iter().map(|part| vec![chunk(part)]).collect())
    }

    pub(crate) fn written(&self) -> Vec<Vec<u8>> {
        let write = |chunks: &Vec<Chunk>| {
            let mut out = Vec::new();
            chunks.iter().for_each(|chunk| chunk.write(&mut out));
            out
        };
        self.0.iter().map(write).collect()
    }
}

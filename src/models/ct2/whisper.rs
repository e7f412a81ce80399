//! What a whisper model in a CTranslate2 file measures.

use std::io::{Read, Seek};

use super::reader::{Ct2, Ct2Error};

/// The only specification that is read.
const SPECIFICATION: &str = "WhisperSpec";
/// `ActivationType::GELU` of CTranslate2, the exact one, which whisper has.
const GELU: i64 = 3;
/// The largest whisper has 32 layers a side.
const MAX_LAYERS: usize = 128;

/// One half of a whisper model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Encoder,
    Decoder,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
        }
    }
}

/// One half's layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tower {
    pub layers: usize,
    pub heads: usize,
    /// Width of the layer between the two of a feed-forward block.
    pub inner: usize,
    /// Positions that it has seen: halved frames, or tokens.
    pub positions: usize,
}

/// A whisper model's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhisperShape {
    /// Mel bands of its input.
    pub bands: usize,
    pub width: usize,
    pub vocabulary: usize,
    pub encoder: Tower,
    pub decoder: Tower,
}

impl WhisperShape {
    /// Reads the sizes, and makes sure that a graph can be made of them.
    ///
    /// # Errors
    /// When the file holds another kind of model, or lacks a part.
    pub fn of<R: Read + Seek>(file: &mut Ct2<R>) -> Result<Self, Ct2Error> {
        if file.specification() != SPECIFICATION {
            let found = file.specification().to_owned();
            return Err(Ct2Error::Malformed(format!("a model of {found:?}")));
        }
        if file.has("decoder/activation") && file.number("decoder/activation")? != GELU {
            return Err(Ct2Error::Malformed("another activation than GELU".into()));
        }
        let [width, bands, 3] = *file.dims("encoder/conv1/weight")? else {
            return Err(Ct2Error::Malformed("another first convolution".into()));
        };
        let [vocabulary, embedded] = *file.dims("decoder/embeddings/weight")? else {
            return Err(Ct2Error::Malformed("other embeddings".into()));
        };
        if embedded != width || width == 0 || vocabulary == 0 || bands == 0 {
            return Err(Ct2Error::Malformed(format!(
                "embeddings of {embedded} for layers of {width}"
            )));
        }
        Ok(Self {
            bands,
            width,
            vocabulary,
            encoder: tower(file, Side::Encoder, width)?,
            decoder: tower(file, Side::Decoder, width)?,
        })
    }
}

fn tower<R: Read + Seek>(file: &mut Ct2<R>, side: Side, width: usize) -> Result<Tower, Ct2Error> {
    let side = side.name();
    let norm = |layer| format!("{side}/layer_{layer}/ffn/layer_norm/gamma");
    let layers = (0..=MAX_LAYERS)
        .take_while(|layer| file.has(&norm(*layer)))
        .count();
    let heads = file.number(&format!("{side}/num_heads"))?;
    let heads = usize::try_from(heads).unwrap_or_default();
    let (&[inner, _], &[positions, _]) = (
        file.dims(&format!("{side}/layer_0/ffn/linear_0/weight"))?,
        file.dims(&format!("{side}/position_encodings/encodings"))?,
    ) else {
        return Err(Ct2Error::Malformed(format!("another {side}")));
    };
    let whole = heads > 0 && width.is_multiple_of(heads) && inner > 0 && positions > 0;
    if !whole || layers == 0 || layers > MAX_LAYERS {
        return Err(Ct2Error::Malformed(format!(
            "{layers} layers of {heads} heads in its {side}"
        )));
    }
    Ok(Tower {
        layers,
        heads,
        inner,
        positions,
    })
}

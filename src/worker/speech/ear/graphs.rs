//! Whisper's two graphs on the runtime.
//!
//! Those of the house ([`crate::models::ct2`]) take any even number of frames; their encoder
//! gives the sound's keys and values. The hub's (`encoder_model`, `decoder_model_merged`)
//! take 3000 frames; their decoder makes the sound's keys and values in its first run.
//! Which ones they are is read off their inputs and outputs.

use std::{borrow::Cow, fmt::Display, path::Path, sync::Arc};

use ort::{
    memory::Allocator,
    session::{Session, SessionInputValue, SessionOutputs},
    value::{DynTensor, DynTensorValueType, Tensor, TensorElementType},
};

use super::EarError;
use crate::{models::ct2::Graphs as Files, worker::runtime};

/// Frames of the 30 seconds that whisper was trained on.
pub(super) const MOST_FRAMES: usize = 3000;
/// The two halves of what attention keeps.
const PARTS: [&str; 2] = ["key", "value"];

/// What the encoder made of a sound.
pub(super) struct Sound {
    /// The hub's: hidden states, `[1, positions, width]`.
    hidden: Option<DynTensor>,
    /// The house's: keys and values per layer.
    cross: Vec<DynTensor>,
}

/// What the decoder keeps of a text in the making. Clones share it, and so do the texts
/// that it goes on as.
#[derive(Clone, Default)]
pub(super) struct Text {
    tokens: usize,
    own: Arc<Vec<DynTensor>>,
    /// The hub's: the sound's keys and values, from the first run.
    cross: Arc<Vec<DynTensor>>,
}

/// Both graphs.
pub(super) struct Graphs {
    encoder: Session,
    decoder: Session,
    /// Mel bands.
    pub(super) bands: usize,
    /// Tokens that it knows.
    pub(super) vocabulary: usize,
    /// Whether any number of frames will do.
    pub(super) elastic: bool,
    layers: usize,
    heads: usize,
    head_width: usize,
    /// Whether a run says if there are tokens before.
    branches: bool,
    /// Whether a run says how many; newer exports ask.
    places: bool,
}

type Inputs<'a> = Vec<(Cow<'static, str>, SessionInputValue<'a>)>;

impl Graphs {
    pub(super) fn open(library: &Path, files: &Files, threads: usize) -> Result<Self, EarError> {
        let open =
            |path: &Path| runtime::session(library, path, threads, || Ok(None)).map_err(failed);
        let (encoder, decoder) = (open(&files.encoder)?, open(&files.decoder)?);
        let layers = (0..)
            .take_while(|layer| has_input(&decoder, &past(*layer, "decoder", "key")))
            .count();
        let [_, heads, _, head_width] = dims(&decoder, &past(0, "decoder", "key"))?[..] else {
            return Err(EarError::Layout("keys of another shape".into()));
        };
        let elastic = encoder
            .outputs()
            .iter()
            .any(|output| output.name() == present(0, "encoder", "key"));
        let bands = match dims(&encoder, "input_features")?[..] {
            [_, bands, _] if bands > 0 => bands,
            // The hub's do not say; all but the largest whisper have so many.
            _ => 80,
        };
        let logits = decoder
            .outputs()
            .iter()
            .find(|output| output.name() == "logits")
            .and_then(|output| output.dtype().tensor_shape()?.last().copied())
            .and_then(|size| usize::try_from(size).ok());
        let vocabulary =
            logits.ok_or_else(|| EarError::Layout("logits of an unknown number".into()))?;
        if heads == 0 || head_width == 0 || vocabulary == 0 {
            return Err(EarError::Layout("sizes that are not stated".into()));
        }
        Ok(Self {
            branches: has_input(&decoder, "use_cache_branch"),
            places: has_input(&decoder, "cache_position"),
            encoder,
            decoder,
            bands,
            vocabulary,
            elastic,
            layers,
            heads,
            head_width,
        })
    }

    /// Takes in a spectrogram of so many frames, band after band.
    pub(super) fn encode(
        &mut self,
        spectrogram: Vec<f32>,
        frames: usize,
    ) -> Result<Sound, EarError> {
        let features =
            Tensor::from_array(([1, self.bands, frames], spectrogram)).map_err(failed)?;
        let mut outputs = self
            .encoder
            .run(ort::inputs!["input_features" => features])
            .map_err(failed)?;
        let mut sound = Sound {
            hidden: None,
            cross: Vec::new(),
        };
        if self.elastic {
            for layer in 0..self.layers {
                for part in PARTS {
                    sound
                        .cross
                        .push(take(&mut outputs, &present(layer, "encoder", part))?);
                }
            }
        } else {
            sound.hidden = Some(take(&mut outputs, "last_hidden_state")?);
        }
        Ok(sound)
    }

    /// Takes tokens after those of `text`, at least one; gives the text with them, and the
    /// logits after the last.
    ///
    /// One at a time: the hub's take no more, and layers that turn all their inputs into
    /// bytes by one scale are the more exact the fewer rows share it.
    pub(super) fn decode(
        &mut self,
        sound: &Sound,
        text: &Text,
        tokens: &[u32],
    ) -> Result<(Text, Vec<f32>), EarError> {
        let (mut text, mut logits) = (text.clone(), Vec::new());
        for token in tokens {
            (text, logits) = self.pass(sound, text, *token)?;
        }
        Ok((text, logits))
    }

    fn pass(
        &mut self,
        sound: &Sound,
        mut text: Text,
        token: u32,
    ) -> Result<(Text, Vec<f32>), EarError> {
        let is_first = text.tokens == 0;
        let ids = Tensor::from_array(([1, 1], vec![i64::from(token)])).map_err(failed)?;
        if is_first {
            text.own = Arc::new(self.nothing()?);
            if sound.cross.is_empty() {
                text.cross = Arc::new(self.nothing()?);
            }
        }
        let cross = match sound.cross.is_empty() {
            true => &*text.cross,
            false => &sound.cross,
        };
        let mut inputs: Inputs<'_> = vec![("input_ids".into(), ids.into())];
        for layer in 0..self.layers {
            for (at, part) in PARTS.into_iter().enumerate() {
                for (of, tensors) in [("decoder", &*text.own), ("encoder", cross)] {
                    let tensor = &tensors[2 * layer + at];
                    inputs.push((past(layer, of, part).into(), tensor.into()));
                }
            }
        }
        if self.branches {
            let flag = Tensor::from_array(([1], vec![!is_first])).map_err(failed)?;
            inputs.push(("use_cache_branch".into(), flag.into()));
        }
        if self.places {
            let place = vec![text.tokens as i64];
            let place = Tensor::from_array(([1], place)).map_err(failed)?;
            inputs.push(("cache_position".into(), place.into()));
        }
        if let Some(hidden) = &sound.hidden {
            inputs.push(("encoder_hidden_states".into(), hidden.into()));
        }
        let mut outputs = self.decoder.run(inputs).map_err(failed)?;
        let logits = take(&mut outputs, "logits")?;
        let (shape, numbers) = logits.try_extract_tensor::<f32>().map_err(failed)?;
        if numbers.len() != self.vocabulary {
            return Err(EarError::Layout(format!("logits of shape {shape:?}")));
        }
        let numbers = numbers.to_vec();
        let (mut own, mut cross) = (Vec::new(), Vec::new());
        for layer in 0..self.layers {
            for part in PARTS {
                own.push(take(&mut outputs, &present(layer, "decoder", part))?);
                // Later branches give an empty stand-in.
                if is_first && sound.cross.is_empty() {
                    cross.push(take(&mut outputs, &present(layer, "encoder", part))?);
                }
            }
        }
        text.tokens += 1;
        text.own = Arc::new(own);
        if !cross.is_empty() {
            text.cross = Arc::new(cross);
        }
        Ok((text, numbers))
    }

    /// Keys and values of no tokens.
    fn nothing(&self) -> Result<Vec<DynTensor>, EarError> {
        (0..PARTS.len() * self.layers)
            .map(|_| {
                let shape = [1, self.heads, 0, self.head_width].map(|dim| dim as i64);
                let kind = TensorElementType::Float32;
                DynTensor::new(&Allocator::default(), kind, shape).map_err(failed)
            })
            .collect()
    }
}

fn past(layer: usize, of: &str, part: &str) -> String {
    format!("past_key_values.{layer}.{of}.{part}")
}

fn present(layer: usize, of: &str, part: &str) -> String {
    format!("present.{layer}.{of}.{part}")
}

fn has_input(session: &Session, name: &str) -> bool {
    session.inputs().iter().any(|input| input.name() == name)
}

/// An input's shape; 0 where it is not stated.
fn dims(session: &Session, name: &str) -> Result<Vec<usize>, EarError> {
    let input = session.inputs().iter().find(|input| input.name() == name);
    let shape = input.and_then(|input| input.dtype().tensor_shape());
    let shape = shape.ok_or_else(|| EarError::Layout(format!("no input {name}")))?;
    Ok(shape
        .iter()
        .map(|dim| usize::try_from(*dim).unwrap_or_default())
        .collect())
}

fn take(outputs: &mut SessionOutputs<'_>, name: &str) -> Result<DynTensor, EarError> {
    outputs
        .remove(name)
        .ok_or_else(|| EarError::Layout(format!("no output {name}")))?
        .downcast::<DynTensorValueType>()
        .map_err(failed)
}

pub(super) fn failed(error: impl Display) -> EarError {
    EarError::Runtime(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use serde::Deserialize;

    use super::*;
    use crate::models::{
        ct2::{self, fixture::tiny_whisper},
        download,
    };

    /// A picture by a formula.
    fn spectrogram(frames: usize) -> Vec<f32> {
        let value = |band: usize, frame: usize| ((band * 7 + frame * 13) % 32) as f32 / 16.0 - 1.0;
        (0..80)
            .flat_map(|band| (0..frames).map(move |frame| value(band, frame)))
            .collect()
    }

    /// What torch computes.
    #[derive(Deserialize)]
    struct Reference {
        tokens: Vec<u32>,
        logits: Vec<Vec<f32>>,
    }

    #[test]
    fn an_export_of_the_hub_computes_what_torch_does() {
        let folder = tempfile::tempdir().unwrap();
        let archive = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/hub/whisper-merged.zip"
        );
        let mut archive = zip::ZipArchive::new(File::open(archive).unwrap()).unwrap();
        archive.extract(folder.path()).unwrap();
        let reference = File::open(folder.path().join("reference.json")).unwrap();
        let reference: Reference = serde_json::from_reader(reference).unwrap();
        let files = Files {
            encoder: folder.path().join("encoder_model.onnx"),
            decoder: folder.path().join("decoder_model_merged.onnx"),
        };
        let mut graphs = Graphs::open(&download::runtime_library().path, &files, 1).unwrap();
        assert!(!graphs.elastic && graphs.branches);
        assert_eq!((graphs.bands, graphs.vocabulary), (80, 40));
        let sound = graphs
            .encode(spectrogram(MOST_FRAMES), MOST_FRAMES)
            .unwrap();
        let mut text = Text::default();
        for (token, wanted) in reference.tokens.iter().zip(&reference.logits) {
            let logits;
            (text, logits) = graphs.decode(&sound, &text, &[*token]).unwrap();
            for (found, wanted) in logits.iter().zip(wanted) {
                assert!((found - wanted).abs() < 1e-3, "{found} instead of {wanted}");
            }
        }
    }

    #[test]
    fn an_import_takes_windows_of_any_even_length_and_texts_begin_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        std::fs::write(&path, tiny_whisper().finish()).unwrap();
        let files = ct2::import(&path, "0", folder.path()).unwrap();
        let mut graphs = Graphs::open(&download::runtime_library().path, &files, 1).unwrap();
        assert!(graphs.elastic && !graphs.branches);
        assert_eq!((graphs.bands, graphs.vocabulary), (80, 20));
        let mut told = Vec::new();
        for frames in [20, 64, 20] {
            let sound = graphs.encode(spectrogram(frames), frames).unwrap();
            let begun = graphs.decode(&sound, &Text::default(), &[1, 5]).unwrap().0;
            let went_on = graphs.decode(&sound, &begun, &[9]).unwrap().1;
            // However it went on before.
            graphs.decode(&sound, &begun, &[3, 4]).unwrap();
            assert_eq!(graphs.decode(&sound, &begun, &[9]).unwrap().1, went_on);
            told.push(went_on);
        }
        assert_eq!(told[0], told[2]);
        assert_ne!(told[0], told[1]);
        // Longer than it has seen.
        assert!(graphs.encode(spectrogram(66), 66).is_err());
    }
}

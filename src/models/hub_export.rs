//! A model as the Hugging Face hub holds it for ONNX: graphs that somebody else exported,
//! with `config.json` and `tokenizer.json` beside them.
//!
//! Known are the exports of optimum and transformers.js (a decoder with keys and values
//! as inputs and outputs, whole or in two branches or two files; an encoder and such a
//! decoder) and those with `GroupQueryAttention` of onnxruntime-genai's model builder.

pub mod config;
pub(crate) mod import;
pub mod layout;
pub mod scan;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use self::{
    config::ExportConfig,
    layout::{DecoderLayout, Reach},
    scan::{ScanError, Signature},
};
use super::ModelError;

/// Largest text file of an export that is read; a tokenizer of 256,000 tokens has 33 MB.
const MAX_TEXT: u64 = 128 << 20;
pub(crate) const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
/// What else is read where it is there.
const EXTRAS: [&str; 3] = [
    "generation_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
];
/// Ends of graphs' names by how weights are held, the exact ones first, as optimum and
/// transformers.js name them.
const VARIANTS: [&str; 9] = [
    "",
    "_fp16",
    "_quantized",
    "_int8",
    "_uint8",
    "_q8",
    "_q4",
    "_q4f16",
    "_bnb4",
];
/// Where graphs lie in an export's folder.
const FOLDERS: [&str; 2] = ["", "onnx/"];

/// Why an export cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    #[error("{file}: {error}")]
    Scan { file: String, error: ScanError },
    #[error("its graph has {0}")]
    Layout(String),
    #[error("{0}")]
    Config(String),
    #[error("{0} is missing")]
    Missing(String),
    #[error("its tokenizer.json has {0}")]
    Tokenizer(String),
    #[error("{file}: {problem}")]
    Read { file: String, problem: String },
}

/// A decoder's graphs. The cache of `later`, or else of `first`, says what a row keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoder {
    /// For the first tokens; also for later ones where `later` is none.
    pub first: PathBuf,
    pub first_layout: DecoderLayout,
    /// For tokens after others.
    pub later: Option<(PathBuf, DecoderLayout)>,
    pub reach: Reach,
}

/// An export that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubExport {
    pub folder: PathBuf,
    pub config: ExportConfig,
    pub encoder: Option<PathBuf>,
    pub decoder: Decoder,
    /// Everything that it needs, relative to its folder, in order.
    pub files: BTreeSet<String>,
    /// How the weights are held, by the graph's name.
    pub variant: String,
}

impl HubExport {
    /// Reads what a folder holds. `graph` names one of its graphs (of an encoder-decoder,
    /// the decoder's); without it the most exact one is taken.
    ///
    /// # Errors
    /// When a part is missing, malformed, untrusted, or of a layout that is not fed here.
    pub fn open(folder: &Path, graph: Option<&str>) -> Result<Self, ModelError> {
        Self::open_with(folder, graph, &[TOKENIZER])
    }

    /// [`Self::open`], of an export whose texts are read with these files.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_with(
        folder: &Path,
        graph: Option<&str>,
        needed: &[&str],
    ) -> Result<Self, ModelError> {
        Self::read(folder, graph, needed).map_err(|error| ModelError::Export {
            path: folder.to_owned(),
            error,
        })
    }

    fn read(folder: &Path, graph: Option<&str>, needed: &[&str]) -> Result<Self, ExportError> {
        let config = ExportConfig::of(
            &text(folder, CONFIG)?,
            optional(folder, EXTRAS[0])?.as_deref(),
        )?;
        let mut files = BTreeSet::from([CONFIG.to_owned()]);
        files.extend(needed.iter().map(|name| (*name).to_owned()));
        for name in EXTRAS {
            if folder.join(name).is_file() {
                files.insert(name.to_owned());
            }
        }
        if let Some(name) = needed.iter().find(|name| !folder.join(name).is_file()) {
            return Err(ExportError::Missing((*name).to_owned()));
        }
        let choice = Choice::of(folder, graph, config.encoder_decoder)?;
        let mut scanned = |name: &str| scan(folder, name, &mut files);
        let first = scanned(&choice.first)?;
        let later = choice
            .later
            .as_deref()
            .map(|name| Ok((name, scanned(name)?)))
            .transpose()?;
        if let Some(encoder) = &choice.encoder {
            check_encoder(&scanned(encoder)?)?;
        }
        let layout = |signature| DecoderLayout::of(signature, config.sizes);
        let first_layout = layout(&first)?;
        let later = match &later {
            Some((name, signature)) => Some((folder.join(name), layout(signature)?)),
            None => None,
        };
        let newest = later.as_ref().map_or(&first_layout, |(_, layout)| layout);
        if newest.cache.is_empty() {
            return Err(ExportError::Layout(
                "no inputs for keys and values: an export \"with past\" has them".into(),
            ));
        }
        let lost = newest
            .cache
            .iter()
            .find(|tensor| first.output(&tensor.present).is_none());
        if let Some(tensor) = lost {
            return Err(ExportError::Layout(format!(
                "no output {:?} for the first tokens",
                tensor.present
            )));
        }
        if newest.is_cross() != config.encoder_decoder {
            return Err(ExportError::Layout(
                "another form than config.json says: one has an encoder, the other not".into(),
            ));
        }
        let singly = later.is_some() || first_layout.use_cache_branch;
        Ok(Self {
            folder: folder.to_owned(),
            encoder: choice.encoder.map(|name| folder.join(name)),
            decoder: Decoder {
                first: folder.join(&choice.first),
                first_layout,
                later,
                reach: if singly { Reach::Singly } else { Reach::Any },
            },
            config,
            files,
            variant: choice.variant,
        })
    }

    /// The bytes of `tokenizer.json`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tokenizer(&self) -> Result<Vec<u8>, ModelError> {
        text(&self.folder, TOKENIZER).map_err(|error| self.error(error))
    }

    /// The bytes of `tokenizer_config.json`, where there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tokenizer_config(&self) -> Result<Option<Vec<u8>>, ModelError> {
        optional(&self.folder, EXTRAS[1]).map_err(|error| self.error(error))
    }

    /// What `chat_template.jinja` holds, where there is one.
    ///
    /// # Errors
    /// When it cannot be read or is no text.
    pub fn chat_template(&self) -> Result<Option<String>, ModelError> {
        let name = EXTRAS[2];
        let read = || {
            let bytes = optional(&self.folder, name)?;
            bytes
                .map(|bytes| String::from_utf8(bytes).map_err(|error| unreadable(name, &error)))
                .transpose()
        };
        read().map_err(|error| self.error(error))
    }

    pub(crate) fn error(&self, error: ExportError) -> ModelError {
        ModelError::Export {
            path: self.folder.clone(),
            error,
        }
    }
}

/// Which of a folder's graphs are taken.
struct Choice {
    first: String,
    later: Option<String>,
    encoder: Option<String>,
    variant: String,
}

impl Choice {
    fn of(folder: &Path, graph: Option<&str>, encoder: bool) -> Result<Self, ExportError> {
        let is_there = |name: &String| folder.join(name).is_file();
        let choices = VARIANTS
            .iter()
            .flat_map(|variant| FOLDERS.map(|place| (place, *variant)))
            .flat_map(|(place, variant)| Self::named(place, variant, encoder));
        let mut near = None;
        for choice in choices {
            if graph.map_or_else(|| !is_there(&choice.first), |graph| graph != choice.first) {
                continue;
            }
            let missing = [
                Some(&choice.first),
                choice.later.as_ref(),
                choice.encoder.as_ref(),
            ]
            .into_iter()
            .flatten()
            .find(|name| !is_there(name));
            match missing {
                None => return Ok(choice),
                Some(name) => near = near.or_else(|| Some(name.clone())),
            }
        }
        Err(match (near, graph) {
            (Some(name), _) => ExportError::Missing(name),
            (None, Some(graph)) => ExportError::Config(format!(
                "{graph:?} has not the name of a decoder's graph of an export"
            )),
            (None, None) => ExportError::Missing("a decoder's graph (onnx/model.onnx)".into()),
        })
    }

    fn named(place: &str, variant: &str, encoder: bool) -> Vec<Self> {
        let name = |stem: &str| format!("{place}{stem}{variant}.onnx");
        let choice = |first: &str, later: Option<&str>| Self {
            first: name(first),
            later: later.map(name),
            encoder: encoder.then(|| name("encoder_model")),
            variant: match variant.trim_start_matches('_') {
                "" => "as exported".into(),
                variant => variant.into(),
            },
        };
        let merged = choice("decoder_model_merged", None);
        let apart = choice("decoder_model", Some("decoder_with_past_model"));
        if encoder {
            vec![merged, apart]
        } else {
            vec![choice("model", None), merged, apart]
        }
    }
}

fn scan(folder: &Path, name: &str, files: &mut BTreeSet<String>) -> Result<Signature, ExportError> {
    let file = File::open(folder.join(name)).map_err(|error| unreadable(name, &error))?;
    let signature = Signature::read(file).map_err(|error| ExportError::Scan {
        file: name.to_owned(),
        error,
    })?;
    files.insert(name.to_owned());
    let place = name.rsplit_once('/').map_or("", |(place, _)| place);
    for weights in &signature.files {
        let name = match place {
            "" => weights.clone(),
            place => format!("{place}/{weights}"),
        };
        if !folder.join(&name).is_file() {
            return Err(ExportError::Missing(name));
        }
        files.insert(name);
    }
    Ok(signature)
}

fn check_encoder(signature: &Signature) -> Result<(), ExportError> {
    let known = |name: &str| matches!(name, "input_ids" | "attention_mask");
    if let Some(port) = signature.inputs.iter().find(|port| !known(&port.name)) {
        return Err(ExportError::Layout(format!(
            "the encoder's input {:?}, which is not fed here",
            port.name
        )));
    }
    for name in ["input_ids", "attention_mask"] {
        // TensorProto.DataType.INT64
        if signature.input(name).is_some_and(|port| port.element != 7) {
            return Err(ExportError::Layout(format!(
                "an encoder's {name} not in 64 bits"
            )));
        }
    }
    if signature.input("input_ids").is_none() || signature.output("last_hidden_state").is_none() {
        return Err(ExportError::Layout(
            "an encoder without input_ids or last_hidden_state".into(),
        ));
    }
    Ok(())
}

fn optional(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, ExportError> {
    if folder.join(name).is_file() {
        text(folder, name).map(Some)
    } else {
        Ok(None)
    }
}

fn text(folder: &Path, name: &str) -> Result<Vec<u8>, ExportError> {
    let path = folder.join(name);
    let length = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ExportError::Missing(name.to_owned()));
        }
        Err(error) => return Err(unreadable(name, &error)),
    };
    if length > MAX_TEXT {
        return Err(unreadable(name, &format_args!("it has {length} bytes")));
    }
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(MAX_TEXT).read_to_end(&mut bytes))
        .map_err(|error| unreadable(name, &error))?;
    Ok(bytes)
}

fn unreadable(file: &str, problem: &dyn std::fmt::Display) -> ExportError {
    ExportError::Read {
        file: file.to_owned(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests;

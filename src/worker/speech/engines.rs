//! The engines that a speech process is asked for by name: found, fetched, opened.

use std::ops::ControlFlow;

use super::{
    Ears, Interpreter, Mouth, SpeechError,
    deterministic::Deterministic,
    ear::{self, EarError},
    interpreter::Interpreters,
    mouth::{self, MouthError, MouthSettings, VoiceFiles},
    timbre::Extractor,
};
use crate::{
    config::{ModelSettings, SpeechSettings},
    models::{self, FetchedClone, ModelError},
    wire::speech::{Clause, Language, Listen, Speak, SpeechRefusal, Transcript, VoiceInfo},
    worker::WorkerError,
};

/// What a voice of espeak-ng's is called, before its language.
const ESPEAK: &str = "espeak-";

impl From<MouthError> for SpeechError {
    fn from(error: MouthError) -> Self {
        match error {
            MouthError::NoVoice(language) => SpeechRefusal::NoVoice { language }.into(),
            MouthError::UnknownVoice(voice) => SpeechRefusal::UnknownVoice { voice }.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<EarError> for SpeechError {
    fn from(error: EarError) -> Self {
        match error {
            EarError::Language(Language(language)) => SpeechRefusal::NoEar { language }.into(),
            EarError::NoLanguage => SpeechRefusal::Malformed {
                message: error.to_string(),
            }
            .into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Ears for ear::Ear {
    type Listening = ear::Hearing;

    fn languages(&self) -> Vec<Language> {
        Self::languages(self).to_vec()
    }

    fn listen(&mut self, request: &Listen) -> Result<ear::Hearing, SpeechError> {
        Ok(Self::listen(self, request.clone())?)
    }

    fn push(&mut self, hearing: &mut ear::Hearing, samples: &[i16]) -> Result<(), SpeechError> {
        Ok(hearing.push(samples)?)
    }

    fn partial(&mut self, hearing: &mut ear::Hearing) -> Result<Option<String>, SpeechError> {
        Ok(hearing.partial()?)
    }

    fn finish(&mut self, hearing: ear::Hearing) -> Result<Transcript, SpeechError> {
        Ok(hearing.finish()?)
    }
}

/// Opens the ear of that name.
///
/// # Errors
/// When it cannot be had or used.
pub(super) fn open_ear(
    settings: &SpeechSettings,
    models: &ModelSettings,
) -> Result<ear::Ear, WorkerError> {
    let files = models::fetch_ear(&settings.ear, models)?;
    let threads = settings.threads() as usize;
    let extractor = fetch_clone(settings, models)?
        .map(|clone| Extractor::open(&clone, threads))
        .transpose()
        .map_err(MouthError::from)?;
    Ok(ear::Ear::open_with(&files, threads, extractor)?)
}

/// The model that is named to clone voices.
///
/// # Errors
/// When it cannot be had.
fn fetch_clone(
    settings: &SpeechSettings,
    models: &ModelSettings,
) -> Result<Option<FetchedClone>, ModelError> {
    let name = settings.clone_model.as_deref();
    name.map(|name| models::fetch_clone(name, models))
        .transpose()
}

impl Mouth for mouth::Mouth {
    fn voices(&self) -> Vec<VoiceInfo> {
        Self::voices(self)
    }

    fn clones(&self) -> bool {
        Self::clones(self)
    }

    fn stopper(&self) -> Option<mouth::Stopper> {
        Some(Self::stopper(self))
    }

    fn speak(
        &mut self,
        request: &Speak,
        say: &mut dyn FnMut(Clause, Vec<i16>) -> ControlFlow<()>,
    ) -> Result<(), SpeechError> {
        Ok(Self::speak(self, request, say)?)
    }
}

/// Whether an ear, a voice or a translation of that name is a model that must be here.
pub fn needs_voice(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(ESPEAK) && Deterministic::delay_of(name).is_none()
}

/// Opens the voices that are named: models of the catalogue, `espeak-` and a language, or the
/// toy alone.
///
/// # Errors
/// When one of them cannot be had or used.
pub(super) fn open_mouth(
    settings: &SpeechSettings,
    models: &ModelSettings,
) -> Result<Box<dyn Mouth>, WorkerError> {
    let names = &settings.voices;
    if let [toy] = names.as_slice()
        && let Some(delay) = Deterministic::delay_of(toy)
    {
        return Ok(Box::new(Deterministic::new(delay)));
    }
    let mut files = Vec::new();
    let mut languages = Vec::new();
    let mut library = None;
    for name in names.iter().filter(|name| !name.is_empty()) {
        if let Some(language) = name.strip_prefix(ESPEAK) {
            languages.push(Language(language.to_owned()));
            continue;
        }
        let voice = models::fetch_voice(name, models)?;
        files.extend(VoiceFiles::of(&voice)?);
        library = Some(voice.runtime.path);
    }
    let clone = fetch_clone(settings, models)?;
    let settings = MouthSettings {
        // Where only espeak-ng speaks no library is opened.
        library: library.unwrap_or_default(),
        threads: settings.threads() as usize,
        espeak: settings.espeak.clone(),
        languages,
    };
    let mut mouth = mouth::Mouth::open(&files, &settings)?;
    if let Some(clone) = clone {
        mouth.clone_with(&clone, settings.threads)?;
    }
    Ok(Box::new(mouth))
}

/// Opens the translations that are named: pairs that a model of the catalogue is for, or the
/// toy alone.
///
/// # Errors
/// When one of them cannot be had or used.
pub(super) fn open_interpreter(
    settings: &SpeechSettings,
    models: &ModelSettings,
) -> Result<Box<dyn Interpreter>, WorkerError> {
    let pairs = &settings.translations;
    if let [toy] = pairs.as_slice()
        && let Some(delay) = Deterministic::delay_of(toy)
    {
        return Ok(Box::new(Deterministic::new(delay)));
    }
    let files = pairs
        .iter()
        .filter(|pair| !pair.is_empty())
        .map(|pair| models::fetch_translation(pair, models))
        .collect::<Result<Vec<_>, _>>()?;
    let threads = settings.threads() as usize;
    Ok(Box::new(Interpreters::open(files, threads)?))
}

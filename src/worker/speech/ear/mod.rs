//! The ear: what was said, in which language, and in what manner.
//!
//! A sound comes piece by piece ([`Hearing::push`]). silero tells its speech from its
//! pauses (`vad`); whisper reads the speech alone (`mel`, `graphs`, `tokens`, `timestamps`,
//! `decoding`, `whisper`);
//! what it made up is left out (`hallucination`); what is settled while somebody still
//! speaks stays (`agreement`); and the manner is measured (`voiceprint`). Nothing of it is
//! kept or written anywhere.
//!
//! Everything blocks: whoever calls owns the thread. Hearings share the models of their
//! [`Ear`], one computing at a time.

mod agreement;
mod decoding;
mod graphs;
mod hallucination;
mod mel;
mod timestamps;
mod tokens;
mod vad;
pub mod voiceprint;
mod whisper;

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

pub(super) use self::hallucination::goes_round;
pub use self::vad::{Activity, EndpointRules, Endpointer, FRAME};
use self::{
    agreement::Agreement,
    vad::{Memory, Network},
    whisper::{Effort, Understood, Whisper},
};
use crate::{
    models::EarFiles,
    wire::speech::{HEARING_RATE, LONGEST_QUESTION, Language, Listen, Transcript, VoicePrint},
    worker::speech::timbre::Extractor,
};

/// Samples that are listened to at most.
const MOST: usize = (LONGEST_QUESTION * HEARING_RATE) as usize;
/// Frames of speech before a partial transcript is worth its time: half a second.
const LEAST_PARTIAL: usize = 16;

/// Why nothing was understood.
#[derive(Debug, thiserror::Error)]
pub enum EarError {
    #[error("the ear cannot compute: {0}")]
    Runtime(String),
    #[error("the ear's graphs have {0}")]
    Layout(String),
    #[error("the ear's tokenizer cannot be used: {0}")]
    Tokenizer(String),
    #[error("this ear does not understand {:?}", .0.0)]
    Language(Language),
    #[error("no language was asked for")]
    NoLanguage,
    #[error("nobody wants to know any more")]
    Cancelled,
}

/// Models that listen. Clones share them.
#[derive(Clone)]
pub struct Ear {
    models: Arc<Models>,
}

struct Models {
    whisper: Mutex<Whisper>,
    network: Mutex<Network>,
    /// Tells timbres, where voices are cloned.
    extractor: Option<Mutex<Extractor>>,
    /// What whisper understands.
    languages: Vec<Language>,
}

/// A lock whose holder panicked guards models that are as good as before: what a run
/// changes is its own.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ear {
    /// Opens what [`crate::models::fetch_ear`] gave, to compute on so many threads.
    ///
    /// # Errors
    /// When a part cannot be loaded or does not fit the others.
    pub fn open(files: &EarFiles, threads: usize) -> Result<Self, EarError> {
        Self::open_with(files, threads, None)
    }

    /// [`Self::open`], for an ear that also tells the timbre of who speaks.
    ///
    /// # Errors
    /// As [`Self::open`]'s.
    pub fn open_with(
        files: &EarFiles,
        threads: usize,
        extractor: Option<Extractor>,
    ) -> Result<Self, EarError> {
        let whisper = Whisper::open(files, threads)?;
        let languages = whisper.tokens.languages().cloned().collect();
        Ok(Self {
            models: Arc::new(Models {
                whisper: Mutex::new(whisper),
                network: Mutex::new(Network::open(&files.runtime.path, &files.vad)?),
                extractor: extractor.map(Mutex::new),
                languages,
            }),
        })
    }

    /// Languages that it understands.
    pub fn languages(&self) -> &[Language] {
        &self.models.languages
    }

    /// Begins to listen to one who speaks.
    ///
    /// # Errors
    /// When no language is asked for, or one that this ear does not understand.
    pub fn listen(&self, request: Listen) -> Result<Hearing, EarError> {
        if request.languages.is_empty() {
            return Err(EarError::NoLanguage);
        }
        let unknown = |language: &&Language| !self.models.languages.contains(language);
        if let Some(language) = request.languages.iter().find(unknown) {
            return Err(EarError::Language(language.clone()));
        }
        Ok(Hearing {
            models: Arc::clone(&self.models),
            request,
            sound: Vec::new(),
            memory: Memory::default(),
            endpointer: Endpointer::default(),
            probabilities: Vec::new(),
            agreement: Agreement::default(),
            last: None,
            cancelled: Arc::default(),
        })
    }
}

/// Makes a hearing give up, from any thread.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<AtomicBool>);

impl Canceller {
    /// Takes effect at the next step of a computation.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One who is listened to.
pub struct Hearing {
    models: Arc<Models>,
    request: Listen,
    /// −1 to 1.
    sound: Vec<f32>,
    memory: Memory,
    endpointer: Endpointer,
    /// Of speech, per [`FRAME`] samples.
    probabilities: Vec<f32>,
    agreement: Agreement,
    /// What was understood last, and of which frames of speech.
    last: Option<(Range<usize>, Understood)>,
    cancelled: Arc<AtomicBool>,
}

impl Hearing {
    /// Makes this hearing give up.
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.cancelled))
    }

    /// Takes the next samples, mono at [`HEARING_RATE`]. What comes after
    /// [`LONGEST_QUESTION`] is left out.
    ///
    /// # Errors
    /// When the runtime fails.
    pub fn push(&mut self, samples: &[i16]) -> Result<(), EarError> {
        let room = MOST - self.sound.len();
        let new: Vec<f32> = samples
            .iter()
            .take(room)
            .map(|sample| f32::from(*sample) / 32_768.0)
            .collect();
        let probabilities = self.memory.hear(&mut lock(&self.models.network), &new)?;
        for probability in &probabilities {
            self.endpointer.next(*probability);
        }
        self.probabilities.extend(probabilities);
        self.sound.extend(new);
        Ok(())
    }

    /// Whether somebody speaks.
    pub fn activity(&self) -> Activity {
        self.endpointer.activity()
    }

    /// What was said so far; none where that is nothing, or nothing new. Takes as long as a
    /// transcript does. Asked for in a pause, it is the transcript, which then takes no
    /// time unless more is said.
    ///
    /// # Errors
    /// When the runtime fails or this was cancelled.
    pub fn partial(&mut self) -> Result<Option<String>, EarError> {
        let Some(frames) = vad::spoken(&self.probabilities) else {
            return Ok(None);
        };
        let known = self.last.as_ref().is_some_and(|(of, _)| *of == frames);
        if known || frames.len() < LEAST_PARTIAL {
            return Ok(None);
        }
        let understood = self.understand(&frames, Effort::Once)?;
        let told = match understood.text.is_empty() {
            true => None,
            false => Some(self.agreement.next(&understood.text)),
        };
        self.last = Some((frames, understood));
        Ok(told)
    }

    /// What was said, in the end.
    ///
    /// # Errors
    /// When the runtime fails or this was cancelled.
    pub fn finish(mut self) -> Result<Transcript, EarError> {
        let duration_ms = self.sound.len() as u64 * 1000 / u64::from(HEARING_RATE);
        let mut transcript = Transcript {
            text: String::new(),
            language: self.request.languages[0].clone(),
            certainty: 0.0,
            duration_ms: duration_ms as u32,
            print: None,
        };
        let Some(frames) = vad::spoken(&self.probabilities) else {
            return Ok(transcript);
        };
        let known = self.last.take();
        let understood = match known {
            Some((of, understood)) if of == frames && understood.sure => understood,
            _ => self.understand(&frames, Effort::Best)?,
        };
        if !understood.text.is_empty() {
            let spoken = vad::samples(&frames, self.sound.len());
            transcript.print = self.print_of(&self.sound[spoken]);
        }
        transcript.text = understood.text;
        transcript.language = understood.language;
        transcript.certainty = understood.certainty;
        Ok(transcript)
    }

    fn print_of(&self, spoken: &[f32]) -> Option<VoicePrint> {
        let mut print = voiceprint::measure(spoken)?;
        if let Some(extractor) = &self.models.extractor {
            match lock(extractor).timbre_of(spoken, HEARING_RATE) {
                Ok(timbre) => print.timbre = Some(timbre),
                // The voice takes on everything else.
                Err(error) => tracing::error!(%error, "no timbre is told of a question"),
            }
        }
        Some(print)
    }

    fn understand(&self, frames: &Range<usize>, effort: Effort) -> Result<Understood, EarError> {
        let spoken = vad::samples(frames, self.sound.len());
        let cancelled = || self.cancelled.load(Ordering::Relaxed);
        lock(&self.models.whisper).understand(
            &self.sound[spoken],
            &self.request.languages,
            effort,
            &cancelled,
        )
    }
}

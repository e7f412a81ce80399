//! The medium: has a spirit's lines made, a sitter's question listened to, and what is said
//! voiced. It keeps nothing; the room that asked is told, in messages.

mod ear;
mod flow;
mod line;
mod voice;

use std::sync::Arc;

use super::turn::Mind;
use crate::{
    generation::speech::{Listening, Microphone, SpeechError, client::SpeechClient},
    persona::spirit::{Answering, Cut, Means, Prompts, answering},
    play::seance::{Member, Setup},
    wire::{
        browser::{RefusalCode, SeanceMeans},
        speech::{LONGEST_QUESTION, Language, Listen, Translate, VoicePrint},
    },
};

pub(crate) use ear::hear_out;
pub(crate) use flow::Flow;
pub(crate) use line::{LineBrief, conjure};
pub(crate) use voice::{Horizon, VoiceSays, VoicedLine, voice};

/// What the séances of a house are held with.
#[derive(Debug)]
pub struct Rite {
    /// Who writes the spirit's lines.
    pub mind: Mind,
    /// Listens, speaks and translates; none where questions are typed and answers read.
    pub speech: Option<SpeechClient>,
    pub prompts: Prompts,
    pub setup: Setup,
    pub cut: Cut,
    /// Languages that are listened for, ISO 639-1, the house's own first.
    pub languages: Vec<String>,
    /// Languages that the model speaks well, the best first.
    pub speaks: Vec<String>,
    /// Whether the voice takes on how the asker speaks.
    pub like_asker: bool,
}

/// A question, on its way to the rules.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) member: Member,
    pub(crate) text: String,
    pub(crate) language: String,
    /// In the model's language, where it is another one.
    pub(crate) inner: Option<String>,
    pub(crate) seed: Option<u32>,
}

/// What was said into the microphone.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) language: String,
    pub(crate) inner: Option<String>,
    pub(crate) print: Option<VoicePrint>,
}

impl Rite {
    /// What is asked in, where nobody says so.
    pub(crate) fn own_language(&self) -> String {
        let first = self.languages.first().or(self.speaks.first());
        first.cloned().unwrap_or_else(|| "en".to_owned())
    }

    /// The speech process, while it is there.
    fn speech(&self) -> Option<&SpeechClient> {
        self.speech
            .as_ref()
            .filter(|speech| *speech.ready().borrow())
    }

    /// Languages that are understood when they are spoken now.
    fn hears(&self) -> Vec<String> {
        let Some(speech) = self.speech() else {
            return Vec::new();
        };
        let known = speech.abilities().hears;
        let known = |language: &&String| known.iter().any(|known| known.0 == **language);
        self.languages.iter().filter(known).cloned().collect()
    }

    fn voices(&self) -> Vec<String> {
        let Some(speech) = self.speech() else {
            return Vec::new();
        };
        let mut voices = Vec::new();
        for voice in speech.abilities().voices {
            if !voices.contains(&voice.language.0) {
                voices.push(voice.language.0);
            }
        }
        voices
    }

    /// Whether the voice takes on the timbre of whoever asks.
    fn clones(&self) -> bool {
        let speech = self.speech().filter(|_| self.like_asker);
        speech.is_some_and(|speech| speech.abilities().clones)
    }

    /// What can be done, as the page is told.
    pub(crate) fn means(&self, setup: Option<&Setup>) -> SeanceMeans {
        let answers = |language: &&String| {
            self.answering(language)
                .is_some_and(|how| how.speaks == **language)
        };
        SeanceMeans {
            hears: self.hears(),
            voices: self.voices(),
            answers: self.languages.iter().filter(answers).cloned().collect(),
            question_limit: setup.map_or(0, |setup| setup.question_limit),
            question_seconds: LONGEST_QUESTION,
            clones: self.clones(),
        }
    }

    /// How a question in that language is answered now.
    fn answering(&self, language: &str) -> Option<Answering> {
        let prompts: Vec<&str> = self.prompts.languages().collect();
        let translations: Vec<(String, String)> = self
            .speech()
            .map(|speech| speech.abilities().translates)
            .unwrap_or_default()
            .into_iter()
            .map(|(from, to)| (from.0, to.0))
            .collect();
        answering(
            language,
            Means {
                model: &self.speaks,
                prompts: &prompts,
                voices: &self.voices(),
                translations: &translations,
            },
        )
    }

    /// Whether a question in that language is brought into another one first.
    pub(crate) fn translates_question(&self, language: &str) -> bool {
        self.answering(language)
            .is_some_and(|how| how.translate_question)
    }

    /// The text in the language that the model thinks in, where that is another one. None
    /// too where the translation fails: then the model is told what was said.
    async fn inner(&self, text: &str, language: &str) -> Option<String> {
        let how = self.answering(language)?;
        if !how.translate_question || text.is_empty() {
            return None;
        }
        self.translate(text, language, &how.thinks).await
    }

    async fn translate(&self, text: &str, from: &str, to: &str) -> Option<String> {
        let request = Translate {
            text: text.to_owned(),
            from: Language(from.to_owned()),
            to: Language(to.to_owned()),
        };
        match self.speech()?.translate(request).await {
            Ok(text) => Some(text),
            Err(error) => {
                tracing::warn!(%error, from, to, "a text was not translated");
                None
            }
        }
    }

    /// Brings a typed question into the model's language.
    pub(crate) async fn take_in(self: Arc<Self>, asked: Asked) -> Asked {
        let inner = self.inner(&asked.text, &asked.language).await;
        Asked { inner, ..asked }
    }

    /// Begins to listen for any of these languages that the house hears; for all of them if
    /// none is named.
    ///
    /// # Errors
    /// What the one who asks is told.
    pub(crate) fn listen(
        &self,
        languages: &[String],
    ) -> Result<(Microphone, Listening), (RefusalCode, String)> {
        let hears = self.hears();
        let wanted: Vec<Language> = hears
            .iter()
            .filter(|language| languages.is_empty() || languages.contains(language))
            .map(|language| Language(language.clone()))
            .collect();
        let Some(speech) = self.speech().filter(|_| !hears.is_empty()) else {
            let why = "nobody listens now; type the question";
            return Err((RefusalCode::NotNow, why.to_owned()));
        };
        if wanted.is_empty() {
            let why = "none of these languages is understood here";
            return Err((RefusalCode::Malformed, why.to_owned()));
        }
        let request = Listen {
            languages: wanted,
            partials: true,
        };
        speech.listen(request).map_err(|error| {
            let code = match error {
                SpeechError::Refused(_) => RefusalCode::TooFast,
                SpeechError::Lost | SpeechError::Failed(_) => RefusalCode::Trouble,
            };
            (code, error.to_string())
        })
    }
}

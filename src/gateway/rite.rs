//! What séances are held with: a model of our own, and a speech process where one is wanted.

use std::sync::Arc;

use super::{
    crew::Crew,
    web::{ServeError, is_toy},
};
use crate::{
    config::{ConfigError, ServeSettings, SpiritSays},
    generation::{
        launcher::LauncherHandle,
        speech::launch::{self, SpeechOptions},
    },
    models::{
        self, ModelError,
        catalogue::{Catalogue, Use},
    },
    persona::spirit::Cut,
    rooms::{Mind, medium::Rite},
    wire::worker::Sampling,
    worker::speech::needs_voice,
};

/// Longest line of a toy, tokens.
const TOY_LINE: u32 = 128;

/// Starts what is needed. No rite where no worker of ours computes: a spirit goes on from a
/// text, which is nothing that others' chat servers do.
///
/// # Errors
/// When the settings do not allow it, or the speech process cannot be started.
pub(super) fn start(
    settings: &ServeSettings,
    crew: &Crew,
) -> Result<(Option<Arc<Rite>>, Option<LauncherHandle>), ServeError> {
    let Some(backend) = crew.backend() else {
        return Ok((None, None));
    };
    let sampling = if is_toy(settings) {
        Sampling {
            max_tokens: TOY_LINE,
            ..Sampling::default()
        }
    } else {
        Catalogue::with_imported(&settings.models)?
            .chat_model(&settings.model)?
            .sampling(Use::Spirit)
    };
    let seance = &settings.seance;
    let (speech, handle) = if seance.speech {
        let engines = seance.engines_in_use();
        let options = SpeechOptions::new(settings.models.clone(), engines);
        let (client, handle) = launch::start(options)?;
        (Some(client), Some(handle))
    } else {
        (None, None)
    };
    let prompts = models::prompts::spirit_prompts(seance.prompts.as_deref());
    let prompts = prompts.map_err(|error| ConfigError::Bad {
        name: "PARLOUR_PROMPTS",
        problem: error.to_string(),
    })?;
    let rite = Rite {
        mind: Mind { backend, sampling },
        speech,
        prompts,
        setup: seance.setup(),
        cut: match seance.spirit_says {
            SpiritSays::Sentence => Cut::OneSentence,
            SpiritSays::Answer => Cut::Whole,
        },
        languages: seance.seance_languages.clone(),
        speaks: seance.spirit_languages.clone(),
        like_asker: !seance.own_voice,
    };
    Ok((Some(Arc::new(rite)), handle))
}

/// Downloads the ear, the voices, the translations and the clone that the speech process needs,
/// with progress for people to watch.
///
/// # Errors
/// When something cannot be had.
pub(super) fn fetch_speech(settings: &ServeSettings) -> Result<(), ModelError> {
    if !settings.seance.speech {
        return Ok(());
    }
    let engines = settings.seance.engines_in_use();
    if needs_voice(&engines.ear) {
        models::fetch_ear(&engines.ear, &settings.models)?;
    }
    let voices = &engines.voices;
    for voice in voices.iter().filter(|voice| needs_voice(voice)) {
        models::fetch_voice(voice, &settings.models)?;
    }
    let pairs = &engines.translations;
    for pair in pairs.iter().filter(|pair| needs_voice(pair)) {
        models::fetch_translation(pair, &settings.models)?;
    }
    if let Some(name) = &engines.clone_model {
        models::fetch_clone(name, &settings.models)?;
    }
    Ok(())
}

use super::*;

#[test]
fn the_built_in_catalogue_has_the_default_model_and_a_runtime() {
    let catalogue = Catalogue::builtin();
    let model = catalogue.chat_model("smollm2-135m").unwrap();
    assert_eq!(model.sampling(Use::Judge).temperature, 0.7);
    assert!(model.sources.iter().all(|source| source.sha256.is_some()));
    assert_eq!(catalogue.runtime().unwrap().kind, Kind::Runtime);
    assert!(catalogue.chat_model("onnxruntime").is_err());
}

#[test]
fn what_is_packaged_is_pinned_by_checksum_and_size() {
    for entry in Catalogue::builtin().models() {
        for source in &entry.sources {
            if matches!(source.place, Place::Pypi { .. } | Place::Npm { .. }) {
                let sha256 = source.sha256.as_deref().unwrap_or_default();
                assert_eq!(sha256.len(), 64, "{}", entry.name);
                assert!(source.size.is_some(), "{}", entry.name);
            }
            if let Place::Packages { files } = &source.place {
                for file in files {
                    assert_eq!(file.sha256.len(), 64, "{}: {}", entry.name, file.path);
                    assert!(!file.parts.is_empty(), "{}: {}", entry.name, file.path);
                }
            }
        }
    }
}

#[test]
fn there_is_an_ear_and_it_can_tell_speech_from_its_pauses() {
    let catalogue = Catalogue::builtin();
    let ear = catalogue.of_kind(Kind::Ear, "whisper-base").unwrap();
    for language in ["en", "de", "ru"] {
        assert!(ear.languages.iter().any(|it| it == language), "{language}");
    }
    assert!(ear.is_folder() && ear.sources.len() > 1);
    assert!(catalogue.of_kind(Kind::Vad, "silero-vad").is_ok());
    let error = catalogue.of_kind(Kind::Ear, "smollm2-135m").unwrap_err();
    assert!(error.to_string().contains("whisper-base"), "{error}");
}

#[test]
fn there_are_voices_and_the_default_one_asks_for_nothing() {
    let catalogue = Catalogue::builtin();
    for (name, family, language) in [
        ("hibari", "hibari", "en"),
        ("kokoro", "kokoro", "de"),
        ("pico", "pico", "de"),
        ("piper-thorsten", "piper", "de"),
        ("piper-irina", "piper", "ru"),
    ] {
        let voice = catalogue.of_kind(Kind::Voice, name).unwrap();
        assert_eq!(voice.architecture.as_deref(), Some(family));
        assert!(voice.languages.iter().any(|it| it == language), "{name}");
        assert!(voice.is_folder(), "{name}");
    }
    assert!(catalogue.entry("hibari").unwrap().terms.is_none());
    assert!(catalogue.entry("piper-joe").unwrap().terms.is_some());
}

#[test]
fn a_licence_that_asks_to_be_accepted_is_never_that_of_the_default_model() {
    let catalogue = Catalogue::builtin();
    assert!(
        catalogue
            .chat_model("smollm2-135m")
            .unwrap()
            .terms
            .is_none()
    );
    for entry in catalogue.models() {
        let asking = [
            "Gemma",
            "Llama",
            "OPT",
            "BigScience",
            "Blizzard",
            "MODEL_CARD",
        ];
        let asks = asking.iter().any(|it| entry.licence.starts_with(it));
        assert_eq!(asks, entry.terms.is_some(), "{}", entry.name);
    }
}

#[test]
fn chat_models_say_what_they_need_and_are_sampled_like_their_kind() {
    let catalogue = Catalogue::builtin();
    let chats = catalogue
        .models()
        .iter()
        .filter(|entry| entry.kind == Kind::Chat);
    for entry in chats {
        let name = &entry.name;
        assert!(
            entry.memory_gb.is_some() && entry.context.is_some(),
            "{name}"
        );
        assert!(!entry.languages.is_empty(), "{name}");
        for purpose in [Use::Witness, Use::Judge, Use::Chat, Use::Spirit] {
            assert!(entry.sampling.contains_key(&purpose), "{name}: {purpose:?}");
        }
    }
    for memory in [1, 4, 8, 16, 24] {
        let fits = |entry: &&ModelEntry| entry.memory_gb == Some(memory);
        assert!(catalogue.models().iter().any(|entry| fits(&entry)));
    }
}

/// The models that the older systems ran or could be told to run.
const OLDER: [&str; 17] = [
    "opt-1.3b",
    "llama-3.2-1b-base",
    "llama-3.2-3b-base",
    "llama-3.2-1b",
    "llama-3.2-3b",
    "gpt-neo-1.3b",
    "gpt-neo-2.7b",
    "bloom-1b7",
    "mt0-large",
    "rudialogpt-medium",
    "dialogpt-medium",
    "gpt2",
    "dolly-v2-3b",
    "dolly-v2-7b",
    "llama-3.1-8b",
    "mistral-7b",
    "smollm2-135m",
];

#[test]
fn every_model_of_the_older_systems_is_there_with_its_parameters() {
    let catalogue = Catalogue::builtin();
    for name in OLDER {
        catalogue.chat_model(name).unwrap();
    }
    // The spirit box's: temperature 1.1, top_k 50, top_p 1, 128 tokens, the first line.
    for name in [&OLDER[..3], &OLDER[5..9]].concat() {
        let sampling = catalogue.chat_model(name).unwrap().sampling(Use::Spirit);
        assert_eq!(sampling.temperature, 1.1, "{name}");
        assert_eq!((sampling.top_k, sampling.top_p), (50, 1.0), "{name}");
        assert_eq!(sampling.max_tokens, 128, "{name}");
        assert_eq!(sampling.stop, ["\n"], "{name}");
    }
    let revived = catalogue.chat_model("rudialogpt-medium").unwrap();
    let revived = revived.sampling(Use::Chat);
    assert_eq!((revived.temperature, revived.top_k), (1.2, 50));
    assert_eq!((revived.top_p, revived.repetition_penalty), (0.85, 1.2));
    assert_eq!(revived.max_tokens, 40);
    let friend = catalogue.chat_model("dolly-v2-3b").unwrap();
    let friend = friend.sampling(Use::Chat);
    assert_eq!((friend.temperature, friend.top_k), (0.7, 100));
    assert_eq!((friend.top_p, friend.repetition_penalty), (0.9, 1.1));
    assert_eq!((friend.max_tokens, friend.stop), (100, vec!["\n".into()]));
}

#[test]
fn exports_are_pinned_and_name_what_makes_one() {
    for entry in Catalogue::builtin().models() {
        let name = &entry.name;
        for source in &entry.sources {
            let is_export = match &source.place {
                Place::HubExport {
                    revision, files, ..
                } => {
                    let commit = revision.len() == 40
                        && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
                    let checked = files.iter().all(|file| file.sha256.is_some());
                    assert!(commit || checked, "{name}: {revision}");
                    let needed = match entry.kind {
                        // Its own config lies beside the graph, under the graph's name.
                        Kind::Voice => vec![format!("{}.json", files[0].path)],
                        Kind::Translation => ["config.json", "source.spm", "vocab.json"]
                            .map(str::to_owned)
                            .into(),
                        Kind::Clone => super::super::clone::GRAPHS.map(str::to_owned).into(),
                        _ => vec![hub_export::CONFIG.into(), "tokenizer.json".into()],
                    };
                    for needed in needed {
                        assert!(files.iter().any(|file| file.path == needed), "{name}");
                    }
                    assert!(entry.graph().is_some(), "{name}");
                    true
                }
                Place::ToImport { weights } => {
                    assert_eq!(weights.split('/').count(), 2, "{name}: {weights}");
                    true
                }
                _ => false,
            };
            let is_chat = entry.kind == Kind::Chat;
            assert_eq!(is_export && is_chat, entry.format == Format::Onnx, "{name}");
        }
        // Nobody here has the weights of any of these.
        if entry.format == Format::Onnx {
            assert_eq!(entry.verified, None, "{name}");
            assert!(entry.architecture.is_some(), "{name}");
        }
    }
}

#[test]
fn names_are_given_once() {
    let catalogue = Catalogue::builtin();
    for entry in catalogue.models() {
        let same = |other: &&ModelEntry| other.name == entry.name;
        assert_eq!(catalogue.models().iter().filter(same).count(), 1);
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let error = Catalogue::builtin().chat_model("nobody").unwrap_err();
    assert!(error.to_string().contains("smollm2-135m"), "{error}");
}

//! Files of models and adapters that are damaged or lie.

use std::{
    fs,
    io::{Cursor, Read},
};

use crate::{
    fuzz::{Chunk, Length, Seed, Target},
    models::{
        ct2::{self, Ct2, WhisperShape, fixture::tiny_whisper},
        gguf::{
            Gguf,
            fixture::{Family, Writer, tiny_llama},
        },
        hub_export::HubExport,
        import::{AttentionTables, DecoderShape, Precision, import},
        peft::{self, AdapterShape, random, tests::small_shape, to_files},
        speed::{Machine, Speed, Speeds},
        tokenizer::ChatTokenizer,
        tokenizer_json::HubTokenizer,
    },
    wire::worker::{Message, Role},
};

const SAID: &str = "hi, 1\u{2581}0 naïve <|im_end|>\n  漢😀\0";

fn chat() -> Vec<Message> {
    [Role::System, Role::User, Role::Assistant, Role::User]
        .map(|role| Message {
            role,
            content: SAID.into(),
        })
        .into()
}

/// One tensor of every type that ggml numbers below 40, and no model.
fn every_type() -> Writer {
    let mut writer = Writer::default();
    writer.integer("general.alignment", 32);
    writer.integers("list", &[1, -2, 3]);
    writer.flag("flag", true);
    for kind in 0..40 {
        let bytes: Vec<u8> = (0..=255).cycle().take(1024).collect();
        writer.tensor(&format!("t{kind}"), &[256], kind, &bytes);
    }
    writer
}

fn gguf_files() -> Vec<Seed> {
    let families = Family::all();
    let writers = families.iter().map(Family::writer);
    writers
        .chain([tiny_llama(), every_type()])
        .map(|writer| Seed::of([writer.finish()]))
        .collect()
}

fn read_gguf(parts: &[Vec<u8>]) {
    let bytes = &parts[0];
    let Ok(mut gguf) = Gguf::read(Cursor::new(bytes)) else {
        return;
    };
    let names: Vec<String> = gguf.tensor_names().map(str::to_owned).collect();
    for name in names.iter().take(64) {
        // Whatever comes out is as good as an error.
        let _ = (gguf.tensor_type(name), gguf.matrix(name), gguf.blocks(name));
    }
    if let Ok(shape) = DecoderShape::of(&gguf) {
        let factors = AttentionTables::of(&mut gguf, &shape)
            .ok()
            .and_then(|tables| tables.rope_factors);
        let _ = AdapterShape::from(&shape);
        for windowed in [false, true] {
            let _ = shape.rope_angle(windowed, shape.head_dim / 2 - 1, factors.as_deref());
        }
        let _ = shape.window(shape.layers);
        // It writes files: for few.
        let sum = bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>();
        if sum.is_multiple_of(64) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.gguf");
            fs::write(&path, bytes).unwrap();
            let precision = Precision::ALL[sum / 64 % Precision::ALL.len()];
            let _ = import(&path, "0", folder.path(), precision);
        }
    }
    if let Ok(tokenizer) = ChatTokenizer::of(&gguf, None) {
        let _ = (tokenizer.encode_text(SAID), tokenizer.bos());
        let _ = tokenizer.encode_chat(&chat(), SAID);
        for token in 0..=tokenizer.size() as u32 {
            let _ = (tokenizer.token_bytes(token), tokenizer.is_end(token));
        }
    }
}

#[test]
fn no_gguf_file_panics_or_costs_more_memory_than_its_size_allows() {
    Target {
        test: (
            module_path!(),
            "no_gguf_file_panics_or_costs_more_memory_than_its_size_allows",
        ),
        inputs: 3000,
        memory: 512 << 20,
        seeds: gguf_files,
        reader: || read_gguf,
    }
    .run();
}

fn ct2_files() -> Vec<Seed> {
    vec![Seed::of([tiny_whisper().finish()])]
}

fn read_ct2(parts: &[Vec<u8>]) {
    let bytes = &parts[0];
    let Ok(mut file) = Ct2::read(Cursor::new(bytes)) else {
        return;
    };
    let Ok(shape) = WhisperShape::of(&mut file) else {
        return;
    };
    let _ = file.floats(
        "decoder/embeddings/weight",
        &[shape.vocabulary, shape.width],
    );
    // It writes files: for few.
    let sum = bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>();
    if sum.is_multiple_of(16) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        fs::write(&path, bytes).unwrap();
        let _ = ct2::import(&path, "0", folder.path());
    }
}

#[test]
fn no_ct2_file_panics_or_costs_more_memory_than_its_size_allows() {
    Target {
        test: (
            module_path!(),
            "no_ct2_file_panics_or_costs_more_memory_than_its_size_allows",
        ),
        inputs: 2000,
        memory: 512 << 20,
        seeds: ct2_files,
        reader: || read_ct2,
    }
    .run();
}

fn adapters() -> Vec<Seed> {
    let shape = small_shape();
    let seed = |targets: &[peft::Target], rank| {
        let adapter = random(&shape, targets, rank, 0.1, 7);
        let (config, weights) = to_files(&adapter, &shape, "base").unwrap();
        let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        config["rank_pattern"] = serde_json::json!({"^.*q_proj": rank});
        config["alpha_pattern"] = serde_json::json!({"k_proj": 2.5});
        config["exclude_modules"] = serde_json::json!(["lm_head"]);
        config["layers_pattern"] = serde_json::json!("layers");
        let (length, rest) = weights.split_first_chunk().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let header = serde_json::from_slice(header).unwrap();
        Seed(vec![
            vec![Chunk::Json(None, config)],
            vec![
                Chunk::Json(Some(Length::Little64), header),
                Chunk::Bytes(data.into()),
            ],
        ])
    };
    let mut by_pattern = seed(&[peft::Target::Query], 1);
    if let Chunk::Json(_, config) = &mut by_pattern.0[0][0] {
        config["target_modules"] = serde_json::json!(".*\\.(q_proj|x)");
    }
    vec![
        seed(&peft::Target::ALL, 2),
        seed(&[peft::Target::Query, peft::Target::Key], 3),
        by_pattern,
    ]
}

#[test]
fn no_adapter_panics_or_costs_more_memory_than_its_size_allows() {
    Target {
        test: (
            module_path!(),
            "no_adapter_panics_or_costs_more_memory_than_its_size_allows",
        ),
        inputs: 5000,
        memory: 512 << 20,
        seeds: adapters,
        reader: || {
            let shape = small_shape();
            move |parts: &[Vec<u8>]| {
                if let Ok(adapter) = peft::parse(&parts[0], &parts[1], &shape) {
                    let _ = to_files(&adapter, &shape, "base");
                }
            }
        },
    }
    .run();
}

/// Files of an export, in the order of a seed's parts.
const EXPORT: [&str; 5] = [
    "model.onnx",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
];

/// Vocabularies of the kinds that the archives' own does not show.
fn tokenizers() -> [serde_json::Value; 3] {
    let added = serde_json::json!([{
        "id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
    }]);
    let metaspace = serde_json::json!({
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true,
    });
    let template = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
    });
    let whole = |model, normalizer, pre, decoder| {
        serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": template,
            "decoder": decoder, "model": model,
        })
    };
    let split = serde_json::json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}| ?\\p{L}+|\\s+(?!\\S)"}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]});
    [
        whole(
            serde_json::json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
                "vocab": [["<unk>", 0.0], ["</s>", 0.0], ["▁", -1.5], ["h", -2.0], ["hi", -1.0]]}),
            serde_json::json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}),
            metaspace.clone(),
            metaspace,
        ),
        whole(
            serde_json::json!({"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                "dropout": null, "continuing_subword_prefix": "", "end_of_word_suffix": null,
                "vocab": {"<unk>": 0, "</s>": 1, "h": 2, "i": 3, "hi": 4, "<0x0A>": 5}, "merges": [["h", "i"]]}),
            serde_json::json!({"type": "Prepend", "prepend": "▁"}),
            serde_json::Value::Null,
            serde_json::json!({"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}),
        ),
        whole(
            serde_json::json!({"type": "BPE", "vocab": {"h": 2, "i": 3, "hi": 4, "</s>": 1, "Ġ": 0}, "merges": ["h i"]}),
            serde_json::json!({"type": "NFC"}),
            split,
            serde_json::json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        ),
    ]
}

fn exports() -> Vec<Seed> {
    let archives: [&[u8]; 4] = [
        include_bytes!("../../tests/data/hub/llama-gqa-fp16.zip"),
        include_bytes!("../../tests/data/hub/llama-gqa-int4.zip"),
        include_bytes!("../../tests/data/hub/gpt2.zip"),
        include_bytes!("../../tests/data/hub/bloom.zip"),
    ];
    let mut seeds: Vec<Seed> = archives
        .iter()
        .map(|archive| {
            let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
            Seed::of(EXPORT.map(|name| {
                let mut bytes = Vec::new();
                if let Ok(mut file) = archive.by_name(name) {
                    file.read_to_end(&mut bytes).unwrap();
                }
                match bytes.is_empty() {
                    true => br#"{"eos_token_id": [1, 2], "bos_token_id": 0}"#.into(),
                    false => bytes,
                }
            }))
        })
        .collect();
    for tokenizer in tokenizers() {
        let mut seed = seeds[0].clone();
        seed.0[2] = vec![Chunk::Json(None, tokenizer)];
        seed.0[3] = vec![Chunk::Json(
            None,
            serde_json::json!({"eos_token": "</s>", "bos_token": {"content": "</s>"},
                "chat_template": [{"name": "default", "template":
                    "{% for m in messages %}{{ m.role + m['content'] | trim }}{% endfor %}"}]}),
        )];
        seeds.push(seed);
    }
    seeds
}

fn read_export(folder: &tempfile::TempDir, parts: &[Vec<u8>]) {
    for (name, bytes) in EXPORT.iter().zip(parts) {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let Ok(export) = HubExport::open(folder.path(), None) else {
        return;
    };
    let decoder = &export.decoder;
    for tensor in &decoder.first_layout.cache {
        let _ = tensor.shape(7);
    }
    if let Ok(tokenizer) = HubTokenizer::of(&export, None) {
        let _ = (tokenizer.encode_text(SAID), tokenizer.suffix());
        let _ = tokenizer.encode_chat(&chat(), SAID);
        for token in 0..=tokenizer.size() as u32 {
            let _ = (tokenizer.token_bytes(token), tokenizer.is_end(token));
        }
    }
}

#[test]
fn no_export_panics_or_costs_more_memory_than_its_size_allows() {
    Target {
        test: (
            module_path!(),
            "no_export_panics_or_costs_more_memory_than_its_size_allows",
        ),
        inputs: 2000,
        memory: 512 << 20,
        seeds: exports,
        reader: || {
            let folder = tempfile::tempdir().unwrap();
            // The archives' weights, whose contents nothing reads before the runtime.
            fs::write(folder.path().join("model.onnx.data"), [0; 64]).unwrap();
            move |parts: &[Vec<u8>]| read_export(&folder, parts)
        },
    }
    .run();
}

#[test]
fn no_kept_figures_panic() {
    Target {
        test: (module_path!(), "no_kept_figures_panic"),
        inputs: 3000,
        memory: 512 << 20,
        seeds: || {
            let measured = Precision::ALL.map(|precision| Speed {
                precision,
                prefill: 100.5,
                decode_one: 20.0,
                decode_eight: 80.0,
            });
            let speeds = Speeds {
                machine: Machine::this(2, "abc"),
                measured: measured.into(),
            };
            vec![Seed::of([serde_json::to_vec(&speeds).unwrap()])]
        },
        reader: || {
            |parts: &[Vec<u8>]| {
                if let Ok(speeds) = serde_json::from_slice::<Speeds>(&parts[0]) {
                    let _ = speeds.best();
                }
            }
        },
    }
    .run();
}

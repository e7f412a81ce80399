use std::io::Cursor;

use proptest::prelude::*;

use super::{
    config::ExportConfig,
    layout::{DecoderLayout, Element, Sizes},
    scan::{Dim, Port, ScanError, Signature},
};

/// A field of protobuf's wire format that holds bytes.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    if number > 15 {
        field = vec![(number << 3 | 2) | 0x80, number >> 4];
    }
    let mut length = content.len();
    while length > 0x7f {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(content);
    field
}

fn read(model: Vec<u8>) -> Result<Signature, ScanError> {
    Signature::read(Cursor::new(model))
}

fn model(graph: &[u8]) -> Vec<u8> {
    bytes(7, graph)
}

fn node(operator: &str, domain: &str, attribute: &[u8]) -> Vec<u8> {
    let parts = [
        bytes(5, attribute),
        bytes(4, operator.as_bytes()),
        bytes(7, domain.as_bytes()),
    ];
    bytes(1, &parts.concat())
}

/// A tensor whose bytes lie in a file.
fn outside(location: &str) -> Vec<u8> {
    let entry = [bytes(1, b"location"), bytes(2, location.as_bytes())].concat();
    bytes(13, &entry)
}

#[test]
fn operators_of_foreign_domains_are_refused_wherever_they_hide() {
    let foreign = node("Shell", "evil.example", &[]);
    let branch = bytes(6, &foreign);
    let branches = bytes(11, &foreign);
    for graph in [
        foreign.clone(),
        node("If", "", &branch),
        node("If", "", &branches),
        node("Loop", "com.microsoft", &bytes(6, &node("If", "", &branch))),
    ] {
        let error = read(model(&graph)).unwrap_err();
        assert!(matches!(error, ScanError::Operator { .. }), "{error}");
        assert!(error.to_string().contains("evil.example"), "{error}");
    }
    let function = [model(&[]), bytes(25, &bytes(7, &foreign[2..]))].concat();
    assert!(matches!(read(function), Err(ScanError::Operator { .. })));
    assert!(read(model(&node("EPContext", "com.microsoft", &[]))).is_err());
    for domain in ["", "ai.onnx", "com.microsoft"] {
        assert_eq!(
            read(model(&node("Add", domain, &[]))),
            Ok(Signature::default())
        );
    }
}

#[test]
fn weights_outside_the_folder_are_refused_wherever_they_hide() {
    for location in [
        "../other/weights",
        "/etc/passwd",
        "a/../../b",
        "",
        "a//b",
        ".hidden",
        "C:\\weights",
        "*/_ORT_MEM_ADDR_/*",
    ] {
        let tensor = outside(location);
        for graph in [
            bytes(5, &tensor),
            bytes(15, &bytes(1, &tensor)),
            node("Constant", "", &bytes(5, &tensor)),
            node("If", "", &bytes(6, &bytes(5, &tensor))),
        ] {
            let error = read(model(&graph)).unwrap_err();
            assert_eq!(error, ScanError::Location(location.into()));
        }
    }
    let inside = bytes(5, &outside("onnx/model.onnx_data"));
    let files = read(model(&inside)).unwrap().files;
    assert_eq!(Vec::from_iter(files), ["onnx/model.onnx_data"]);
}

#[test]
fn graphs_within_graphs_have_a_bottom() {
    let mut graph = node("Add", "", &[]);
    for _ in 0..40 {
        graph = node("If", "", &bytes(6, &graph));
    }
    assert_eq!(
        read(model(&graph)),
        Err(ScanError::TooMuch("graphs within graphs"))
    );
}

#[test]
fn weights_are_skipped_and_ports_are_read() {
    let dims = [
        bytes(1, bytes(2, b"batch").as_slice()),
        bytes(1, &[1 << 3, 4]),
    ]
    .concat();
    let kind = bytes(1, &[vec![1 << 3, 10], bytes(2, &dims)].concat());
    let port = [bytes(1, b"x"), bytes(2, &kind)].concat();
    let weights = bytes(9, &vec![0xff; 300_000]);
    let graph = [bytes(5, &weights), bytes(11, &port), bytes(12, &port)].concat();
    let port = Port {
        name: "x".into(),
        element: 10,
        dims: vec![Dim::Free, Dim::Fixed(4)],
    };
    let signature = read(model(&graph)).unwrap();
    assert_eq!(signature.inputs, std::slice::from_ref(&port));
    assert_eq!(signature.outputs, [port]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_make_the_walk_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(noise.clone());
        let _ = read(model(&noise));
        let _ = read(model(&node("If", "", &noise)));
    }

    #[test]
    fn a_file_cut_or_bent_anywhere_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let graph = [node("If", "", &bytes(6, &bytes(5, &outside("w")))), bytes(11, &bytes(1, b"x"))];
        let whole = model(&graph.concat());
        let mut bent = whole.clone();
        bent[at.index(whole.len())] = byte;
        let _ = read(bent);
        let cut = at.index(whole.len());
        prop_assert!(read(whole[..cut].to_vec()).is_err());
    }
}

fn port(name: &str, element: i32, dims: &[i64]) -> Port {
    let dim = |&size: &i64| u64::try_from(size).map_or(Dim::Free, Dim::Fixed);
    Port {
        name: name.into(),
        element,
        dims: dims.iter().map(dim).collect(),
    }
}

fn signature() -> Signature {
    Signature {
        inputs: vec![
            port("input_ids", 7, &[-1, -1]),
            port("past_key_values.0.key", 1, &[-1, 2, -1, 8]),
        ],
        outputs: vec![
            port("logits", 1, &[-1, -1, 40]),
            port("present.0.key", 1, &[-1, 2, -1, 8]),
        ],
        files: Default::default(),
    }
}

#[test]
fn sizes_that_a_graph_leaves_open_come_from_the_config_or_nowhere() {
    let mut signature = signature();
    signature.inputs[1].dims = vec![Dim::Free; 4];
    let sizes = Sizes {
        kv_heads: Some(3),
        head_dim: Some(16),
    };
    let layout = DecoderLayout::of(&signature, sizes).unwrap();
    assert_eq!(layout.cache[0].shape(7), [1, 3, 7, 16]);
    assert_eq!(layout.cache[0].element, Element::Float);
    let error = DecoderLayout::of(&signature, Sizes::default()).unwrap_err();
    assert!(error.to_string().contains("nowhere said"), "{error}");
}

#[test]
fn what_is_not_fed_here_is_refused_by_name() {
    for bad in [
        port("seqlens_k", 6, &[-1]),
        port("past_key_values.0.key_value", 1, &[-1, 2, -1, 8]),
        port("past_key_values.x.key", 1, &[-1, 2, -1, 8]),
        port("past_key_values.1.key", 1, &[-1, 2, -1, 8]),
        port("attention_mask", 1, &[-1, -1]),
        port("position_ids", 7, &[-1]),
    ] {
        let mut signature = signature();
        let name = bad.name.clone();
        signature.inputs.push(bad);
        let error = DecoderLayout::of(&signature, Sizes::default()).unwrap_err();
        let told = error.to_string();
        assert!(told.contains(&name) || told.contains("positions"), "{told}");
    }
    for change in [
        |signature: &mut Signature| signature.inputs[1].dims[0] = Dim::Fixed(2),
        |signature: &mut Signature| signature.inputs[1].dims[1] = Dim::Fixed(1 << 40),
        |signature: &mut Signature| signature.inputs[1].dims.truncate(2),
        |signature: &mut Signature| signature.inputs[1].element = 6,
        |signature: &mut Signature| signature.outputs[0].element = 7,
        |signature: &mut Signature| signature.outputs[0].dims[2] = Dim::Fixed(0),
        |signature: &mut Signature| drop(signature.outputs.remove(1)),
        |signature: &mut Signature| drop(signature.inputs.remove(0)),
    ] {
        let mut signature = signature();
        change(&mut signature);
        assert!(DecoderLayout::of(&signature, Sizes::default()).is_err());
    }
}

#[test]
fn the_config_of_generation_goes_before_the_models() {
    let config = br#"{"model_type": "llama", "eos_token_id": 1, "num_attention_heads": 4,
        "hidden_size": 32, "max_position_embeddings": 64}"#;
    let read = ExportConfig::of(config, Some(br#"{"eos_token_id": [5, 6]}"#)).unwrap();
    assert_eq!(read.ends, [5, 6]);
    assert_eq!(
        (read.sizes.kv_heads, read.sizes.head_dim),
        (Some(4), Some(8))
    );
    assert_eq!(read.context, Some(64));
    assert_eq!(ExportConfig::of(config, None).unwrap().ends, [1]);
    assert!(ExportConfig::of(b"[]", None).is_err());
    assert!(ExportConfig::of(b"{}", None).is_err());
}

use std::fs;

use prost::Message;

use super::*;
use crate::models::gguf::fixture::{Writer, tiny_llama};

const ALL: [Precision; 3] = [Precision::Fp32, Precision::Int8Row, Precision::Nbits8];

fn import_of(writer: &Writer, precision: Precision) -> Result<(Vec<u8>, Vec<u8>), ModelError> {
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("model.gguf");
    fs::write(&gguf, writer.finish()).unwrap();
    let graph = import(&gguf, "0123456789abcdef", folder.path(), precision)?;
    let weights = graph.with_file_name(WEIGHTS_FILE);
    Ok((fs::read(graph).unwrap(), fs::read(weights).unwrap()))
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    for precision in ALL {
        let first = import_of(&tiny_llama(), precision).unwrap();
        assert!(first == import_of(&tiny_llama(), precision).unwrap());
    }
}

#[test]
fn every_name_that_a_node_reads_is_given_once() {
    for precision in ALL {
        let (model, weights) = import_of(&tiny_llama(), precision).unwrap();
        let graph = onnx::ModelProto::decode(&model[..]).unwrap().graph.unwrap();
        let mut given: Vec<String> = Vec::new();
        given.extend(graph.input.iter().filter_map(|input| input.name.clone()));
        for tensor in &graph.initializer {
            given.extend(tensor.name.clone());
            for entry in &tensor.external_data {
                if entry.key.as_deref() == Some("offset") {
                    let offset: usize = entry.value.as_deref().unwrap().parse().unwrap();
                    assert!(offset.is_multiple_of(4096) && offset < weights.len());
                }
            }
        }
        for node in &graph.node {
            for input in node.input.iter().filter(|input| !input.is_empty()) {
                assert!(given.contains(input), "{input} in {precision}");
            }
            given.extend(node.output.iter().filter(|name| !name.is_empty()).cloned());
        }
        for output in &graph.output {
            assert!(given.contains(output.name.as_ref().unwrap()));
        }
        let count = given.len();
        given.sort();
        given.dedup();
        assert_eq!(given.len(), count);
    }
}

#[test]
fn what_the_graph_does_not_compute_is_refused() {
    let refused = |change: fn(&mut Writer)| {
        let mut writer = tiny_llama();
        change(&mut writer);
        matches!(
            import_of(&writer, Precision::Fp32),
            Err(ModelError::Unsupported(_))
        )
    };
    // A later pair of the same key replaces the earlier one.
    assert!(refused(
        |writer| writer.text("general.architecture", "gemma2")
    ));
    assert!(refused(
        |writer| writer.text("llama.rope.scaling.type", "yarn")
    ));
    assert!(refused(|writer| writer.integer("llama.expert_count", 8)));
    assert!(refused(
        |writer| writer.integer("llama.rope.dimension_count", 16)
    ));
    assert!(refused(
        |writer| writer.integer("llama.feed_forward_length", 64)
    ));
    assert!(refused(|writer| writer.floats(
        "blk.0.attn_output.bias",
        &[64],
        &[0.0; 64]
    )));
    assert!(refused(|writer| writer.floats(
        "rope_freqs.weight",
        &[15],
        &[1.0; 15]
    )));
    assert!(refused(|writer| {
        writer.floats("output_norm.weight", &[64], &[f32::NAN; 64]);
    }));
}

#[test]
fn a_failed_import_leaves_nothing_that_looks_done() {
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("model.gguf");
    let mut writer = tiny_llama();
    writer.integer("llama.block_count", 3);
    fs::write(&gguf, writer.finish()).unwrap();
    assert!(import(&gguf, "0123", folder.path(), Precision::Nbits8).is_err());
    let folders = fs::read_dir(folder.path())
        .unwrap()
        .filter(|item| item.as_ref().unwrap().path().is_dir())
        .count();
    assert_eq!(folders, 0);
}

#[test]
fn a_precision_is_written_in_catalogues_by_its_name() {
    for precision in ALL {
        let written = serde_json::to_value(precision).unwrap();
        assert_eq!(written, precision.name());
    }
}

//! What holds on every device, held to it on the processor: all but the device's name is
//! the same there.

use super::{families::engine_keeping, *};
use crate::{
    models::{download, gguf::fixture::Family},
    worker::engine::Want,
};

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|x| x.to_bits()).collect()
}

fn run(slot: usize, past: usize, tokens: &[u32], want: Want) -> Run {
    Run {
        slot,
        past,
        tokens: tokens.to_vec(),
        want,
        adapter: None,
    }
}

/// Prompts, rows that decode together, a slot that is copied in part and goes on: all that
/// touches the buffer. Gives the bits of every step's logits.
fn serve(engine: &mut OnnxText, family: &Family) -> Vec<Vec<u32>> {
    let prompt = &family.prompt;
    let (head, tail) = prompt.split_at(prompt.len() / 2);
    let steps = [
        vec![run(0, 0, prompt, Want::All)],
        vec![run(1, 0, head, Want::None)],
        vec![
            run(0, prompt.len(), &family.tokens[..1], Want::Last),
            run(1, head.len(), tail, Want::Last),
        ],
        vec![
            run(0, prompt.len() + 1, &family.tokens[1..2], Want::Last),
            run(1, prompt.len(), &family.tokens[..1], Want::Last),
        ],
    ];
    let mut all = Vec::new();
    for runs in steps {
        all.extend(engine.step(&runs).unwrap().iter().map(|row| bits(row)));
    }
    engine.copy_slot(1, 3, head.len()).unwrap();
    let again = engine
        .step(&[run(3, head.len(), tail, Want::Last)])
        .unwrap();
    assert_eq!(
        bits(&again[0]),
        all[3],
        "the copy goes on as its source did"
    );
    engine.copy_slot(3, 2, prompt.len()).unwrap();
    let last = [
        run(0, prompt.len() + 2, &family.tokens[2..3], Want::Last),
        run(1, prompt.len() + 1, &family.tokens[1..2], Want::Last),
        run(2, prompt.len(), &family.tokens[..1], Want::Last),
    ];
    all.extend(engine.step(&last).unwrap().iter().map(|row| bits(row)));
    all
}

fn memory_does_not_matter(precision: Precision) {
    let form = Form {
        precision,
        attention: Attention::Grouped,
    };
    for family in Family::all() {
        assert!(family.prompt.len() >= 4 && family.tokens.len() >= 3);
        let host = serve(&mut engine_keeping(&family, form, Keep::Host), &family);
        let device = serve(&mut engine_keeping(&family, form, Keep::Device), &family);
        assert!(host == device, "{} as {form}", family.name);
    }
}

#[test]
fn in_the_devices_memory_every_bit_is_as_in_the_processes_own() {
    memory_does_not_matter(Precision::Fp32);
}

#[test]
fn in_the_devices_memory_every_bit_of_halves_is_too() {
    memory_does_not_matter(Precision::Fp16);
}

#[test]
fn a_library_without_cuda_says_so_instead_of_running_on_the_processor() {
    let library = download::runtime_library().path;
    runtime::usable(&library, Device::Cpu).unwrap();
    let error = runtime::usable(&library, Device::Cuda).unwrap_err();
    assert!(error.to_string().contains("CUDA"), "{error}");
}

#[test]
fn what_only_the_processor_computes_is_refused_elsewhere() {
    let family = &Family::all()[0];
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("model.gguf");
    std::fs::write(&gguf, family.writer().finish()).unwrap();
    let parts = Parts {
        runtime: &download::runtime_library().path,
        gguf: &gguf,
        graph: &folder.path().join("none.onnx"),
        form: Precision::Blocks.into(),
        chat_template: None,
    };
    let capacity = Capacity {
        slots: 1,
        context: 16,
        adapters: 0,
        threads: 1,
    };
    let refused = OnnxText::load_on(parts, capacity, Device::Cuda).err();
    assert!(refused.unwrap().to_string().contains("CPU only"));
}

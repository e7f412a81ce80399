use std::fs;

use proptest::prelude::*;
use safetensors::tensor::serialize;

use super::*;
use crate::models::peft::{random, tests::small_shape, to_files, write};

const CONFIG: &str =
    r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["q_proj"]}"#;

type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

fn bytes(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

fn query(layer: usize, matrix: &str) -> String {
    format!("base_model.model.model.layers.{layer}.self_attn.q_proj.{matrix}.weight")
}

/// Queries of both blocks of [`small_shape`], at rank 2.
fn queries() -> Vec<Tensor> {
    let matrices = |layer| {
        let down = (0..48).map(|at| at as f32 / 16.0);
        let up = (0..64).map(|at| at as f32 / -8.0);
        [
            (query(layer, "lora_A"), Dtype::F32, vec![2, 24], bytes(down)),
            (query(layer, "lora_B"), Dtype::F32, vec![32, 2], bytes(up)),
        ]
    };
    [matrices(0), matrices(1)].concat()
}

fn file(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, dims, bytes)| {
        let view = TensorView::new(*dtype, dims.clone(), bytes).unwrap();
        (name, view)
    });
    serialize(views, None).unwrap()
}

fn parsed(tensors: &[Tensor]) -> Result<Adapter, PeftError> {
    parse(CONFIG.as_bytes(), &file(tensors), &small_shape())
}

/// A file with this header and no data.
fn headed(header: &str) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes()].concat()
}

#[test]
fn the_scale_is_folded_into_the_upper_matrix() {
    let adapter = parsed(&queries()).unwrap();
    assert_eq!(adapter.parts.len(), 2);
    let part = &adapter.parts[1];
    assert_eq!((part.layer, part.target, part.rank), (1, Target::Query, 2));
    assert_eq!(part.down[47], 47.0 / 16.0);
    // α/r = 3.
    assert_eq!(part.up[63], -63.0 / 8.0 * 3.0);
}

#[test]
fn half_precisions_mean_the_same_numbers() {
    let exact = parsed(&queries()).unwrap().parts;
    let narrow = |dtype: Dtype, narrow: fn(f32) -> [u8; 2]| {
        let mut tensors = queries();
        for (_, kind, _, bytes) in &mut tensors {
            *kind = dtype;
            let values = bytes
                .as_chunks()
                .0
                .iter()
                .map(|word| f32::from_le_bytes(*word));
            *bytes = values.flat_map(narrow).collect();
        }
        parsed(&tensors).unwrap().parts
    };
    // Sixteenths below 3 and eighths below 8 fit both.
    assert_eq!(
        narrow(Dtype::F16, |x| f16::from_f32(x).to_le_bytes()),
        exact
    );
    assert_eq!(
        narrow(Dtype::BF16, |x| bf16::from_f32(x).to_le_bytes()),
        exact
    );
}

#[test]
fn what_is_wrong_with_a_tensor_is_told_by_its_name() {
    type Damage = fn(&mut Vec<Tensor>);
    let damages: [(Damage, &str, &str); 7] = [
        (
            |t| drop(t.remove(2)),
            "1.self_attn.q_proj.lora_A",
            "is missing",
        ),
        (
            |t| drop(t.remove(3)),
            "1.self_attn.q_proj.lora_B",
            "is missing",
        ),
        (
            |t| {
                t[0].2 = vec![24, 2];
            },
            "0.self_attn.q_proj.lora_A",
            "is [24, 2]; [2, 24] belongs there",
        ),
        (
            |t| t[1].3[..4].copy_from_slice(&f32::INFINITY.to_le_bytes()),
            "0.self_attn.q_proj.lora_B",
            "not finite",
        ),
        (
            |t| t[1].1 = Dtype::I32,
            "0.self_attn.q_proj.lora_B",
            "type I32",
        ),
        (
            |t| t[0].0 = t[0].0.replace("q_proj", "v_proj"),
            "0.self_attn.",
            "",
        ),
        (
            |t| {
                t.push((
                    "base_model.model.lm_head.lora_A.weight".into(),
                    Dtype::U8,
                    vec![0],
                    vec![],
                ))
            },
            "lm_head",
            "belongs to no linear layer",
        ),
    ];
    for (damage, name, problem) in damages {
        let mut tensors = queries();
        damage(&mut tensors);
        let error = parsed(&tensors).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(problem), "{error}");
    }
}

#[test]
fn a_tensor_that_the_parameters_do_not_target_is_refused() {
    let config = CONFIG.replace("q_proj", "layers.0.self_attn.q_proj");
    let error = parse(config.as_bytes(), &file(&queries()), &small_shape()).unwrap_err();
    assert!(error.to_string().contains("target_modules"), "{error}");
}

#[test]
fn an_adapter_that_overflows_when_scaled_is_refused() {
    let config = CONFIG.replace("6", "1e300");
    let error = parse(config.as_bytes(), &file(&queries()), &small_shape()).unwrap_err();
    assert!(error.to_string().contains("finite"), "{error}");
}

#[test]
fn a_header_that_lies_costs_an_error() {
    let huge = u64::MAX.to_le_bytes();
    let most = (usize::MAX >> 4).to_string();
    let entry = |name: &str, from: &str, to: &str, dims: &str| {
        format!(r#""{name}":{{"dtype":"F64","shape":{dims},"data_offsets":[{from},{to}]}}"#)
    };
    // Sixteen tensors whose sizes add up to more than there are addresses.
    let step = usize::MAX / 16 / 8 * 8;
    let chain: Vec<String> = (0..16)
        .map(|at| {
            let (from, to) = ((at * step).to_string(), ((at + 1) * step).to_string());
            entry(&format!("t{at}"), &from, &to, &format!("[{}]", step / 8))
        })
        .collect();
    for file in [
        vec![],
        vec![0; 7],
        huge.to_vec(),
        [&huge[..], b"{}"].concat(),
        headed("{}"),
        headed("[]"),
        headed("{\"__metadata__\": 3}"),
        headed(&format!("{{{}}}", entry("a", "0", &most, "[1]"))),
        headed(&format!("{{{}}}", entry("a", "8", "0", "[1]"))),
        headed(&format!(
            "{{{}}}",
            entry("a", "0", "0", "[4294967296,4294967296,2]")
        )),
        headed(&format!("{{{}}}", chain.join(","))),
        headed(&" ".repeat(1 << 20)),
    ] {
        assert!(parse(CONFIG.as_bytes(), &file, &small_shape()).is_err());
    }
}

#[test]
fn a_file_larger_than_any_adapter_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(CONFIG_FILE), CONFIG).unwrap();
    let weights = fs::File::create(folder.path().join(WEIGHTS_FILE)).unwrap();
    weights.set_len(1 << 40).unwrap();
    let error = read(folder.path(), &small_shape()).unwrap_err();
    assert!(
        matches!(
            error,
            PeftError::TooLarge {
                file: WEIGHTS_FILE,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn what_is_no_plain_file_is_refused_without_waiting_for_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(CONFIG_FILE)).unwrap();
    let error = read(folder.path(), &small_shape()).unwrap_err();
    assert!(
        matches!(
            error,
            PeftError::Io {
                file: CONFIG_FILE,
                ..
            }
        ),
        "{error}"
    );
    let error = read(&folder.path().join("nowhere"), &small_shape()).unwrap_err();
    assert!(!error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn what_is_written_is_read_again_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (shape, folder) = (small_shape(), folder.path().join("new"));
    let adapter = random(&shape, &Target::ALL, 5, 0.1, 3);
    write(&folder, &adapter, &shape, "a model").unwrap();
    assert_eq!(read(&folder, &shape).unwrap().parts, adapter.parts);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
}

proptest! {
    #[test]
    fn writing_and_reading_gives_the_same_bits_back(
        picks in proptest::collection::btree_map(
            (0..2_usize, 0..7_usize),
            (1..=MAX_RANK, any::<u64>()),
            1..14,
        ),
    ) {
        let shape = small_shape();
        let part = |((layer, target), (rank, seed)): (&(usize, usize), &(usize, u64))| {
            let target = Target::ALL[*target];
            let part = random(&shape, &[target], *rank, 0.3, *seed).parts.swap_remove(0);
            Part { layer: *layer, ..part }
        };
        let adapter = Adapter::new(picks.iter().map(part).collect());
        let (config, weights) = to_files(&adapter, &shape, "a model").unwrap();
        prop_assert_eq!(parse(&config, &weights, &shape).unwrap().parts, adapter.parts);
    }

    #[test]
    fn no_damage_to_the_files_makes_reading_panic(
        cut in any::<proptest::sample::Index>(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        in_header in any::<bool>(),
    ) {
        let shape = small_shape();
        let adapter = random(&shape, &[Target::Key], 1, 0.3, 1);
        let (config, weights) = to_files(&adapter, &shape, "a model").unwrap();
        let header = 8 + u64::from_le_bytes(*weights.first_chunk().unwrap()) as usize;
        let damaged = |content: &[u8], reach: usize| {
            let mut content = content.to_vec();
            for (at, byte) in &flips {
                content[at.index(reach)] = *byte;
            }
            content
        };
        let reach = if in_header { header } else { weights.len() };
        let _ = parse(&config, &damaged(&weights, reach), &shape);
        let _ = parse(&config, &weights[..cut.index(weights.len())], &shape);
        let _ = parse(&damaged(&config, config.len()), &weights, &shape);
    }

    #[test]
    fn no_file_makes_reading_panic(config in ".*", header in ".*", data in any::<Vec<u8>>()) {
        let weights = [headed(&header), data].concat();
        let _ = parse(config.as_bytes(), &weights, &small_shape());
        let _ = parse(CONFIG.as_bytes(), &weights, &small_shape());
    }
}

use std::io::Cursor;

use half::f16;
use proptest::prelude::*;

use super::{
    fixture::{Writer, tiny_llama},
    *,
};
use crate::models::{import::DecoderShape, tokenizer::ChatTokenizer};

fn read(bytes: &[u8]) -> Result<Gguf<Cursor<&[u8]>>, GgufError> {
    Gguf::read(Cursor::new(bytes))
}

/// Everything that the program does with a file before it imports it.
fn use_all(bytes: &[u8]) {
    let Ok(mut gguf) = read(bytes) else {
        return;
    };
    let names: Vec<String> = gguf.tensor_names().map(str::to_owned).collect();
    for name in names {
        let _ = gguf.matrix(&name);
    }
    let _ = DecoderShape::of(&gguf);
    if let Ok(tokenizer) = ChatTokenizer::of(&gguf, None) {
        tokenizer.encode_text("hi there");
        let _ = tokenizer.encode_chat(&[], "hi");
    }
}

#[test]
fn metadata_and_tensors_come_back_as_written() {
    let mut gguf = Gguf::read(Cursor::new(tiny_llama().finish())).unwrap();
    assert_eq!(gguf.text("general.architecture").unwrap(), "llama");
    assert_eq!(gguf.integer("llama.block_count").unwrap(), 2);
    assert_eq!(gguf.texts("tokenizer.ggml.merges").unwrap(), ["h i"]);
    assert_eq!(
        gguf.integers("tokenizer.ggml.token_type").unwrap()[2..4],
        [3, 1]
    );
    let norm = gguf.matrix("output_norm.weight").unwrap();
    assert_eq!((norm.rows, norm.columns), (1, 64));
    assert!(gguf.integer("general.architecture").is_err());
    assert!(matches!(gguf.matrix("absent"), Err(GgufError::NoTensor(_))));
}

#[test]
fn each_type_is_dequantised_by_its_formula() {
    let half = |value: f32| f16::from_f32(value).to_le_bytes();
    let mut writer = Writer::default();
    // The low halves of 16 bytes are the first 16 numbers, the high halves the others.
    let nibbles: Vec<u8> = (0..16).map(|i| i | ((15 - i) << 4)).collect();
    let q4_0 = [&half(0.5)[..], &nibbles].concat();
    let q4_1 = [&half(0.5)[..], &half(-2.0), &nibbles].concat();
    let bytes: Vec<u8> = (0..32).map(|i: i32| (i * 8 - 128) as u8).collect();
    let q8_0 = [&half(0.25)[..], &bytes].concat();
    writer.tensor("q4_0", &[32], 2, &q4_0);
    writer.tensor("q4_1", &[32], 3, &q4_1);
    writer.tensor("q8_0", &[32], 8, &q8_0);
    writer.tensor("f16", &[2], 1, &[half(1.5), half(-3.0)].concat());
    writer.floats("f32", &[2, 1], &[1.25, -7.0]);
    let file = writer.finish();
    let mut gguf = read(&file).unwrap();
    let mut data = |name: &str| gguf.matrix(name).unwrap().data;
    let levels: Vec<f32> = (0..16).chain((0..16).rev()).map(|q| q as f32).collect();
    let expected = |f: fn(f32) -> f32| levels.iter().map(|q| f(*q)).collect::<Vec<_>>();
    assert_eq!(data("q4_0"), expected(|q| 0.5 * (q - 8.0)));
    assert_eq!(data("q4_1"), expected(|q| 0.5 * q - 2.0));
    let signed: Vec<f32> = (0..32).map(|i| 0.25 * (i * 8 - 128) as f32).collect();
    assert_eq!(data("q8_0"), signed);
    assert_eq!(data("f16"), [1.5, -3.0]);
    assert_eq!(data("f32"), [1.25, -7.0]);
}

#[derive(serde::Deserialize)]
struct Block {
    name: String,
    /// As ggml numbers it.
    kind: u32,
    hex: String,
    numbers: Vec<f32>,
}

/// Made by `make-gguf-types.py` beside the data, with ggml's own Python package.
#[test]
fn blocks_of_any_bytes_stand_for_the_very_numbers_that_ggml_gives() {
    let blocks: Vec<Block> =
        serde_json::from_str(include_str!("../../../tests/data/gguf-types.json")).unwrap();
    for block in &blocks {
        let digits = block.hex.as_bytes().chunks_exact(2);
        let bytes: Vec<u8> = digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let mut writer = Writer::default();
        writer.tensor("t", &[block.numbers.len() as u64], block.kind, &bytes);
        let file = writer.finish();
        let numbers = read(&file).unwrap().matrix("t").unwrap().data;
        assert!(numbers == block.numbers, "{}", block.name);
    }
    assert_eq!(blocks.len(), 15);
}

#[test]
fn unknown_types_and_tensors_outside_the_file_are_refused() {
    let mut writer = Writer::default();
    writer.tensor("k", &[256], 9, &[0; 144]);
    writer.tensor("far", &[1 << 40, 1 << 40], 0, &[]);
    writer.tensor("ragged", &[33], 8, &[0; 68]);
    writer.tensor("cut", &[64], 0, &[0; 8]);
    let file = writer.finish();
    let mut gguf = read(&file).unwrap();
    let kind = gguf.matrix("k");
    assert!(matches!(kind, Err(GgufError::TensorType { kind: 9, .. })));
    assert!(matches!(gguf.matrix("far"), Err(GgufError::Malformed(_))));
    assert!(matches!(
        gguf.matrix("ragged"),
        Err(GgufError::Malformed(_))
    ));
    assert!(matches!(gguf.matrix("cut"), Err(GgufError::Short(_))));
}

#[test]
fn a_length_beyond_the_file_is_refused_before_it_is_allocated() {
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.extend(1_u64.to_le_bytes());
    file.extend((u64::MAX / 2).to_le_bytes());
    file.extend([0; 32]);
    assert!(matches!(read(&file), Err(GgufError::Short(_))));
}

#[test]
fn lists_in_lists_without_end_are_refused() {
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.extend(1_u64.to_le_bytes());
    file.extend(1_u64.to_le_bytes());
    file.push(b'k');
    for _ in 0..100_000 {
        file.extend(9_u32.to_le_bytes());
        file.extend(1_u64.to_le_bytes());
    }
    assert!(read(&file).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        use_all(&bytes);
        use_all(&[b"GGUF\x03\0\0\0", &bytes[..]].concat());
    }

    #[test]
    fn any_bytes_of_any_type_give_as_many_numbers_as_the_tensor_has_or_an_error(
        kind in 0..40_u32,
        size in 0..600_u64,
        bytes in proptest::collection::vec(any::<u8>(), 0..900),
    ) {
        let mut writer = Writer::default();
        writer.tensor("t", &[size], kind, &bytes);
        if let Ok(matrix) = read(&writer.finish()).unwrap().matrix("t") {
            prop_assert_eq!(matrix.data.len() as u64, size);
        }
    }

    #[test]
    fn no_damage_to_a_good_file_makes_it_panic(
        damage in proptest::collection::vec((0.0..1.0_f64, any::<u8>()), 1..8),
        keep in 0.0..1.0_f64,
        cut in any::<bool>(),
    ) {
        let mut file = tiny_llama().finish();
        // Most of the file is numbers, where damage is harmless: aim at what precedes them.
        let header = 9_000.min(file.len()) as f64;
        for (place, byte) in damage {
            file[(place * header) as usize] = byte;
        }
        if cut {
            file.truncate((keep * file.len() as f64) as usize);
        }
        use_all(&file);
    }
}

#[test]
fn a_list_of_more_values_than_any_model_has_is_refused_before_it_is_read() {
    let file = |count: u64| {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend([0_u64, 1, 1].map(u64::to_le_bytes).concat());
        bytes.push(b'k');
        bytes.extend([9_u32, 0].map(u32::to_le_bytes).concat());
        bytes.extend(count.to_le_bytes());
        bytes.resize(bytes.len() + count as usize, 7);
        bytes
    };
    // The pair that holds the list counts too.
    let most = file(MAX_THINGS - 1);
    let gguf = read(&most).unwrap();
    assert!(
        matches!(gguf.get("k"), Some(Value::Array(list)) if list.len() as u64 == MAX_THINGS - 1)
    );
    assert!(matches!(read(&file(MAX_THINGS)), Err(GgufError::TooMuch)));
}

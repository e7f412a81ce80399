//! Writes small files as CTranslate2 does, for tests.

use half::f16;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A file in the making.
#[derive(Default)]
pub(crate) struct Writer {
    variables: Vec<Vec<u8>>,
    aliases: Vec<Vec<u8>>,
}

impl Writer {
    pub(crate) fn tensor(&mut self, name: &str, dims: &[usize], code: u8, bytes: &[u8]) {
        let mut out = text(name);
        out.push(dims.len() as u8);
        for dim in dims {
            out.extend((*dim as u32).to_le_bytes());
        }
        out.push(code);
        out.extend((bytes.len() as u32).to_le_bytes());
        out.extend(bytes);
        self.variables.push(out);
    }

    pub(crate) fn halves(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| f16::from_f32(*value).to_le_bytes())
            .collect();
        self.tensor(name, dims, 4, &bytes);
    }

    pub(crate) fn alias(&mut self, alias: &str, of: &str) {
        self.aliases.push([text(alias), text(of)].concat());
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut out = 6_u32.to_le_bytes().to_vec();
        out.extend(text("WhisperSpec"));
        out.extend(3_u32.to_le_bytes());
        for list in [&self.variables, &self.aliases] {
            out.extend((list.len() as u32).to_le_bytes());
            out.extend(list.concat());
        }
        out
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut out = (text.len() as u16 + 1).to_le_bytes().to_vec();
    out.extend(text.as_bytes());
    out.push(0);
    out
}

/// A whisper of one layer each, 16 wide with two heads of 8, 20 tokens, windows of up to 32
/// positions, with weights from a seed of the dice.
pub(crate) fn tiny_whisper() -> Writer {
    const WIDTH: usize = 16;
    let mut dice = ChaCha8Rng::seed_from_u64(7);
    let mut writer = Writer::default();
    let mut random = |writer: &mut Writer, name: String, dims: &[usize], scale: f32| {
        let count = dims.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| dice.random_range(-scale..scale))
            .collect();
        writer.halves(&name, dims, &values);
    };
    let norm = |writer: &mut Writer, name: &str| {
        writer.halves(&format!("{name}/gamma"), &[WIDTH], &[1.0; WIDTH]);
        writer.halves(&format!("{name}/beta"), &[WIDTH], &[0.0; WIDTH]);
    };
    let mut linear = |writer: &mut Writer, name: &str, outputs: usize, inputs: usize| {
        random(writer, format!("{name}/weight"), &[outputs, inputs], 0.3);
        random(writer, format!("{name}/bias"), &[outputs], 0.1);
    };
    for side in ["encoder", "decoder"] {
        let layer = format!("{side}/layer_0");
        norm(&mut writer, &format!("{layer}/self_attention/layer_norm"));
        linear(
            &mut writer,
            &format!("{layer}/self_attention/linear_0"),
            48,
            16,
        );
        linear(
            &mut writer,
            &format!("{layer}/self_attention/linear_1"),
            16,
            16,
        );
        if side == "decoder" {
            norm(&mut writer, &format!("{layer}/attention/layer_norm"));
            linear(&mut writer, &format!("{layer}/attention/linear_0"), 16, 16);
            linear(&mut writer, &format!("{layer}/attention/linear_1"), 32, 16);
            linear(&mut writer, &format!("{layer}/attention/linear_2"), 16, 16);
        }
        norm(&mut writer, &format!("{layer}/ffn/layer_norm"));
        linear(&mut writer, &format!("{layer}/ffn/linear_0"), 32, 16);
        linear(&mut writer, &format!("{layer}/ffn/linear_1"), 16, 32);
        norm(&mut writer, &format!("{side}/layer_norm"));
        writer.tensor(&format!("{side}/num_heads"), &[], 2, &[2, 0]);
    }
    random(
        &mut writer,
        "encoder/conv1/weight".into(),
        &[16, 80, 3],
        0.2,
    );
    random(&mut writer, "encoder/conv1/bias".into(), &[16], 0.1);
    random(
        &mut writer,
        "encoder/conv2/weight".into(),
        &[16, 16, 3],
        0.3,
    );
    random(&mut writer, "encoder/conv2/bias".into(), &[16], 0.1);
    random(
        &mut writer,
        "encoder/position_encodings/encodings".into(),
        &[32, 16],
        0.5,
    );
    random(
        &mut writer,
        "decoder/position_encodings/encodings".into(),
        &[24, 16],
        0.5,
    );
    random(
        &mut writer,
        "decoder/embeddings/weight".into(),
        &[20, 16],
        1.0,
    );
    writer.tensor("decoder/activation", &[], 1, &[3]);
    writer.alias("decoder/projection/weight", "decoder/embeddings/weight");
    writer
}

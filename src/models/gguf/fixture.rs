//! Writes GGUF files for tests.

/// Metadata and tensors in the making.
#[derive(Clone, Default)]
pub(crate) struct Writer {
    pairs: (u64, Vec<u8>),
    tensors: (u64, Vec<u8>),
    data: Vec<u8>,
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl Writer {
    fn pair(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.pairs.0 += 1;
        put_text(&mut self.pairs.1, key);
        self.pairs.1.extend(kind.to_le_bytes());
        self.pairs.1.extend(value);
    }

    pub(crate) fn integer(&mut self, key: &str, value: u32) {
        self.pair(key, 4, &value.to_le_bytes());
    }

    pub(crate) fn float(&mut self, key: &str, value: f32) {
        self.pair(key, 6, &value.to_le_bytes());
    }

    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        self.pair(key, 7, &[value.into()]);
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        let mut bytes = Vec::new();
        put_text(&mut bytes, value);
        self.pair(key, 8, &bytes);
    }

    pub(crate) fn texts(&mut self, key: &str, values: &[String]) {
        let mut bytes = 8_u32.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        for value in values {
            put_text(&mut bytes, value);
        }
        self.pair(key, 9, &bytes);
    }

    pub(crate) fn integers(&mut self, key: &str, values: &[i32]) {
        let mut bytes = 5_u32.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.pair(key, 9, &bytes);
    }

    pub(crate) fn scores(&mut self, key: &str, values: &[f32]) {
        let mut bytes = 6_u32.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.pair(key, 9, &bytes);
    }

    /// `dimensions` innermost first; `kind` as ggml numbers its types.
    pub(crate) fn tensor(&mut self, name: &str, dimensions: &[u64], kind: u32, bytes: &[u8]) {
        self.tensors.0 += 1;
        let out = &mut self.tensors.1;
        put_text(out, name);
        out.extend((dimensions.len() as u32).to_le_bytes());
        out.extend(dimensions.iter().flat_map(|size| size.to_le_bytes()));
        out.extend(kind.to_le_bytes());
        let offset = self.data.len().next_multiple_of(32);
        out.extend((offset as u64).to_le_bytes());
        self.data.resize(offset, 0);
        self.data.extend(bytes);
    }

    pub(crate) fn floats(&mut self, name: &str, dimensions: &[u64], values: &[f32]) {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.tensor(name, dimensions, 0, &bytes);
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3_u32.to_le_bytes());
        out.extend(self.tensors.0.to_le_bytes());
        out.extend(self.pairs.0.to_le_bytes());
        out.extend(&self.pairs.1);
        out.extend(&self.tensors.1);
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(&self.data);
        out
    }
}

/// Numbers in [-0.5, 0.5) that look random, the same each time (a linear congruential
/// generator; Press et al., "Numerical Recipes").
pub(crate) struct Numbers(u32);

impl Default for Numbers {
    fn default() -> Self {
        Self(1)
    }
}

impl Iterator for &mut Numbers {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((self.0 >> 8) as f32 / (1 << 24) as f32 - 0.5)
    }
}

/// Tiny models of each family, as `tests/data/make-families-reference.py` describes them,
/// and what llama.cpp computes on them.
#[derive(serde::Deserialize)]
pub(crate) struct Family {
    pub(crate) name: String,
    pairs: serde_json::Map<String, serde_json::Value>,
    /// Name, dimensions (innermost first), what the numbers are multiplied with and what is
    /// added: `offset + scale · number`.
    tensors: Vec<(String, Vec<u64>, f32, f32)>,
    pub(crate) texts: Vec<FamilyText>,
    /// The first token of a text that begins afresh.
    pub(crate) first: u32,
    pub(crate) prompt: Vec<u32>,
    /// The likeliest token after the prompt, step by step.
    pub(crate) tokens: Vec<u32>,
    /// Per step: the ten likeliest tokens and their log-probabilities.
    pub(crate) steps: Vec<Vec<(u32, f64)>>,
}

#[derive(serde::Deserialize)]
pub(crate) struct FamilyText {
    pub(crate) text: String,
    pub(crate) tokens: Vec<u32>,
}

impl Family {
    pub(crate) fn all() -> Vec<Self> {
        let json = include_str!("../../../tests/data/families-reference.json");
        serde_json::from_str(json).unwrap()
    }

    pub(crate) fn writer(&self) -> Writer {
        use serde_json::Value;
        let mut writer = Writer::default();
        for (key, value) in &self.pairs {
            match value {
                Value::Bool(value) => writer.flag(key, *value),
                Value::String(value) => writer.text(key, value),
                Value::Array(values) if values[0].is_string() => {
                    let texts: Vec<String> = values
                        .iter()
                        .map(|value| value.as_str().unwrap().to_owned())
                        .collect();
                    writer.texts(key, &texts);
                }
                Value::Array(values) if values[0].is_f64() => {
                    let scores: Vec<f32> = values
                        .iter()
                        .map(|value| value.as_f64().unwrap() as f32)
                        .collect();
                    writer.scores(key, &scores);
                }
                Value::Array(values) => {
                    let integers: Vec<i32> = values
                        .iter()
                        .map(|value| value.as_i64().unwrap() as i32)
                        .collect();
                    writer.integers(key, &integers);
                }
                Value::Number(value) if value.is_f64() => {
                    writer.float(key, value.as_f64().unwrap() as f32);
                }
                value => writer.integer(key, value.as_u64().unwrap() as u32),
            }
        }
        let mut stream = Numbers::default();
        for (name, dimensions, offset, scale) in &self.tensors {
            let count = dimensions.iter().product::<u64>() as usize;
            let values: Vec<f32> = stream
                .take(count)
                .map(|number| offset + scale * number)
                .collect();
            writer.floats(name, dimensions, &values);
        }
        writer
    }
}

/// A llama of two layers that knows bytes, one merge (`hi`) and ChatML.
pub(crate) fn tiny_llama() -> Writer {
    let (width, inner, head, layers) = (64, 96, 32, 2);
    let mut writer = Writer::default();
    writer.text("general.architecture", "llama");
    for (key, value) in [
        ("block_count", layers),
        ("context_length", 128),
        ("embedding_length", width),
        ("feed_forward_length", inner),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 1),
        ("rope.dimension_count", head),
    ] {
        writer.integer(&format!("llama.{key}"), value);
    }
    writer.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
    writer.text("tokenizer.ggml.model", "gpt2");
    writer.text("tokenizer.ggml.pre", "smollm");
    let mut tokens: Vec<String> = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        .map(String::from)
        .into();
    let mut stand_ins = '\u{100}'..;
    tokens.extend((0..=255_u8).map(|byte| match byte {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte).to_string(),
        _ => stand_ins.next().unwrap().to_string(),
    }));
    tokens.push("hi".into());
    let mut types = vec![1; tokens.len()];
    types[..3].fill(3);
    writer.texts("tokenizer.ggml.tokens", &tokens);
    writer.integers("tokenizer.ggml.token_type", &types);
    writer.texts("tokenizer.ggml.merges", &["h i".into()]);
    writer.integer("tokenizer.ggml.eos_token_id", 2);
    writer.text(
        "tokenizer.chat_template",
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>{{ 'assistant\n' }}",
    );

    let mut stream = Numbers::default();
    let mut numbers = |count: u32| -> Vec<f32> { stream.take(count as usize).collect() };
    let vocabulary = tokens.len() as u32;
    let mut matrix = |name: &str, columns: u32, rows: u32| {
        let dimensions = [u64::from(columns), u64::from(rows)];
        writer.floats(name, &dimensions, &numbers(columns * rows));
    };
    matrix("token_embd.weight", width, vocabulary);
    matrix("output_norm.weight", width, 1);
    for layer in 0..layers {
        for (part, columns, rows) in [
            ("attn_norm", width, 1),
            ("attn_q", width, 2 * head),
            ("attn_k", width, head),
            ("attn_v", width, head),
            ("attn_output", 2 * head, width),
            ("ffn_norm", width, 1),
            ("ffn_gate", width, inner),
            ("ffn_up", width, inner),
            ("ffn_down", inner, width),
        ] {
            matrix(&format!("blk.{layer}.{part}.weight"), columns, rows);
        }
    }
    writer
}

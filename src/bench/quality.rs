//! What each precision costs in quality: how well the model foretells a text it was not
//! tuned on.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::Format;
use crate::{
    config::{ModelSettings, default_threads},
    models::{self, import::Precision},
    worker::{
        engine::{Engine, Run, Want},
        onnx_text::{Capacity, OnnxText},
    },
};

/// Tokens that are read before the text begins anew: what a model remembers of a chat.
const WINDOW: usize = 1024;
/// Tokens of one run.
const CHUNK: usize = 128;

/// Options of `parlour bench quality`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// A text in the model's language that it was not tuned on
    text: PathBuf,
    /// Model of the catalogue
    #[arg(long, default_value = "smollm2-135m")]
    model: String,
    /// Tokens of the text that are read
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(2..))]
    tokens: u32,
    #[command(flatten)]
    models: ModelSettings,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Quality {
    precision: Precision,
    tokens: usize,
    /// exp of the mean negative log-probability of each token after those before it.
    perplexity: f64,
    /// To [`Precision::Fp32`]'s.
    ratio: f64,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let text = fs::read_to_string(&options.text)
        .with_context(|| format!("cannot read {}", options.text.display()))?;
    let files = models::fetch(&options.model, &options.models)?;
    let mut found: Vec<Quality> = Vec::new();
    for precision in [
        Precision::Fp32,
        Precision::Blocks,
        Precision::Nbits8,
        Precision::Int8Row,
    ] {
        let prepared = files.import(precision)?;
        let capacity = Capacity {
            slots: 1,
            context: WINDOW,
            adapters: 0,
            threads: default_threads() as usize,
        };
        let mut engine = OnnxText::load((&prepared).into(), capacity)?;
        let mut tokens = engine.vocabulary().encode_text(&text);
        tokens.truncate(options.tokens as usize);
        let (sum, count) = surprise(&mut engine, &tokens)?;
        anyhow::ensure!(count > 0, "the text has fewer than two tokens");
        let perplexity = (sum / count as f64).exp();
        let reference = found.first().map_or(perplexity, |first| first.perplexity);
        found.push(Quality {
            precision,
            tokens: count,
            perplexity,
            ratio: perplexity / reference,
        });
    }
    if options.format.json {
        println!("{}", serde_json::to_string(&found)?);
        return Ok(());
    }
    println!(
        "{:<10} {:>8} {:>11} {:>8}",
        "PRECISION", "TOKENS", "PERPLEXITY", "TO FP32"
    );
    for quality in &found {
        println!(
            "{:<10} {:>8} {:>11.3} {:>7.2} %",
            quality.precision,
            quality.tokens,
            quality.perplexity,
            100.0 * (quality.ratio - 1.0)
        );
    }
    Ok(())
}

/// The sum of negative log-probabilities, nats, and of how many tokens.
fn surprise(engine: &mut dyn Engine, tokens: &[u32]) -> anyhow::Result<(f64, usize)> {
    let vocabulary = engine.info().vocabulary;
    let (mut sum, mut count) = (0.0, 0);
    for window in tokens.chunks(WINDOW) {
        // Nothing is asked about what follows the last token.
        let Some((_, fed)) = window.split_last() else {
            continue;
        };
        for (index, chunk) in fed.chunks(CHUNK).enumerate() {
            let past = index * CHUNK;
            let logits = engine.step(&[Run {
                slot: 0,
                past,
                tokens: chunk.to_vec(),
                want: Want::All,
                adapter: None,
            }])?;
            let rows = logits
                .iter()
                .flat_map(|logits| logits.chunks_exact(vocabulary));
            for (logits, next) in rows.zip(&window[past + 1..]) {
                sum -= log_prob(logits, *next as usize);
                count += 1;
            }
        }
    }
    Ok((sum, count))
}

fn log_prob(logits: &[f32], token: usize) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits
        .iter()
        .map(|logit| (f64::from(*logit) - largest).exp())
        .sum();
    f64::from(logits[token]) - largest - sum.ln()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::worker::deterministic::Deterministic;

    #[test]
    fn every_token_but_each_windows_first_is_foretold() {
        let mut engine = Deterministic::new(1, WINDOW, Duration::ZERO);
        let tokens: Vec<u32> = (0..WINDOW as u32 + 300).map(|token| token % 200).collect();
        let (sum, count) = surprise(&mut engine, &tokens).unwrap();
        assert_eq!(count, WINDOW - 1 + 299);
        assert!(sum > 0.0 && sum.is_finite());
    }

    #[test]
    fn equal_logits_share_the_probability() {
        assert!((log_prob(&[3.0; 8], 5) + 8_f64.ln()).abs() < 1e-9);
    }
}

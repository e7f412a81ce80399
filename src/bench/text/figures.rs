//! From the times of answers to figures.

use std::{collections::BTreeMap, time::Duration};

use super::exchange::Answer;

/// What one side showed in one round, by the figure's name.
pub(super) type Figures = BTreeMap<String, f64>;

/// Names of figures. Rates are a second, times milliseconds.
pub(super) mod name {
    /// Output tokens of all streams together, from the first request to the last token.
    pub const TOTAL: &str = "total_tokens_per_s";
    /// Output tokens of all streams together, while every stream writes.
    pub const DECODE: &str = "decode_tokens_per_s";
    /// Prompt tokens that are read.
    pub const PREFILL: &str = "prefill_tokens_per_s";
    pub const FIRST_P50: &str = "first_token_p50_ms";
    pub const FIRST_P95: &str = "first_token_p95_ms";
    /// Between two arrivals of text in one stream.
    pub const GAP_P50: &str = "gap_p50_ms";
    pub const GAP_P99: &str = "gap_p99_ms";
    /// First token of a conversation's first turn, and of its second.
    pub const FIRST_TURN: &str = "first_turn_ms";
    pub const SECOND_TURN: &str = "second_turn_ms";
    /// Second turn's time to the first token, against the first turn's.
    pub const SECOND_TO_FIRST: &str = "second_to_first";
    /// Tokens that are scored.
    pub const SCORE: &str = "score_tokens_per_s";
    /// Speed of scoring, against reading as many tokens.
    pub const SCORE_TO_PREFILL: &str = "score_to_prefill";
    pub const PLAIN: &str = "plain_decode_tokens_per_s";
    /// Speed with adapters, against none.
    pub const ADAPTED_TO_PLAIN: &str = "adapted_to_plain";
    /// Tokens that were asked for and did not come.
    pub const MISSING: &str = "missing_tokens";
    /// Prompt tokens that were read before.
    pub const REUSED: &str = "reused_prompt_tokens";
    /// Output tokens that were guessed before they were computed.
    pub const GUESSED_RIGHT: &str = "guessed_tokens";
    /// Most memory that the process ever had resident.
    pub const PEAK: &str = "peak_mib";
    /// What the other side used of one core meanwhile, when nobody asked it anything.
    pub const OTHERS_IDLE: &str = "idle_side_cores";
    /// What the measuring program itself used of one core.
    pub const CLIENT: &str = "client_cores";
}

/// Of streams that were asked for together.
pub(super) fn of_streams(answers: &[Answer], asked: u32) -> Figures {
    let mut figures = Figures::new();
    let mut set = |name: &str, value: Option<f64>| {
        figures.extend(value.map(|value| (name.to_owned(), value)));
    };
    set(name::TOTAL, total_rate(answers));
    set(name::DECODE, decode_rate(answers));
    let firsts: Vec<Duration> = answers.iter().map(Answer::first_token).collect();
    set(name::FIRST_P50, quantile_ms(&firsts, 0.5));
    set(name::FIRST_P95, quantile_ms(&firsts, 0.95));
    let gaps: Vec<Duration> = answers
        .iter()
        .flat_map(|answer| answer.arrivals.windows(2))
        .map(|pair| pair[1].at - pair[0].at)
        .collect();
    set(name::GAP_P50, quantile_ms(&gaps, 0.5));
    set(name::GAP_P99, quantile_ms(&gaps, 0.99));
    let missing: u32 = answers
        .iter()
        .map(|answer| asked.saturating_sub(answer.output_tokens))
        .sum();
    set(name::MISSING, Some(f64::from(missing)));
    let reused: u32 = answers.iter().map(|answer| answer.reused_tokens).sum();
    set(name::REUSED, Some(f64::from(reused)));
    figures
}

/// Output tokens a second from the first request to the last token.
fn total_rate(answers: &[Answer]) -> Option<f64> {
    let begin = answers.iter().map(|answer| answer.sent).min()?;
    let end = answers.iter().map(Answer::last).max()?;
    let tokens: f64 = answers
        .iter()
        .map(|answer| f64::from(answer.output_tokens))
        .sum();
    Some(tokens / (end - begin).as_secs_f64()).filter(|rate| rate.is_finite())
}

/// Output tokens a second while every stream writes: after the last stream's first token
/// and until the first stream's last one. `None` when there is hardly such a time.
pub(super) fn decode_rate(answers: &[Answer]) -> Option<f64> {
    /// Tokens a stream, on average.
    const LEAST: f64 = 4.0;
    let begin = answers.iter().map(Answer::first).max()?;
    let end = answers.iter().map(Answer::last).min()?;
    let tokens: f64 = answers
        .iter()
        .flat_map(|answer| &answer.arrivals)
        .filter(|arrival| arrival.at > begin && arrival.at <= end)
        .map(|arrival| arrival.tokens)
        .sum();
    let enough = tokens >= LEAST * answers.len() as f64;
    enough.then(|| tokens / (end - begin).as_secs_f64())
}

/// The smallest sample that at least this share of the samples does not exceed.
pub(super) fn quantile_ms(samples: &[Duration], share: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    Some(sorted.get(rank - 1)?.as_secs_f64() * 1000.0)
}

/// The middle value; the mean of the two in the middle of an even number.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::bench::text::exchange::Arrival;

    /// A stream that is sent at 0 and gets tokens at these milliseconds.
    fn stream(zero: Instant, times: &[(u64, f64)]) -> Answer {
        let at = |ms| zero + Duration::from_millis(ms);
        Answer {
            sent: zero,
            arrivals: times
                .iter()
                .map(|&(ms, tokens)| Arrival { at: at(ms), tokens })
                .collect(),
            ended: at(times.last().map_or(0, |last| last.0)),
            text: String::new(),
            prompt_tokens: 9,
            output_tokens: times.iter().map(|time| time.1).sum::<f64>() as u32,
            reused_tokens: 0,
        }
    }

    fn steady(zero: Instant, from: u64, every: u64, tokens: u64) -> Answer {
        let times: Vec<_> = (0..tokens).map(|n| (from + n * every, 1.0)).collect();
        stream(zero, &times)
    }

    #[test]
    fn decoding_counts_only_while_every_stream_writes() {
        let zero = Instant::now();
        // One token each 10 ms and each 20 ms, together from 500 ms to 1000 ms.
        let answers = [steady(zero, 10, 10, 100), steady(zero, 500, 20, 100)];
        let rate = decode_rate(&answers).expect("they overlap");
        assert!((rate - 150.0).abs() < 1e-9, "{rate}");
        let figures = of_streams(&answers, 100);
        let total = 200.0 / (0.5 + 99.0 * 0.02);
        assert!((figures[name::TOTAL] - total).abs() < 1e-9);
        assert_eq!(figures[name::FIRST_P50], 10.0);
        assert_eq!(figures[name::FIRST_P95], 500.0);
        assert_eq!(figures[name::GAP_P50], 10.0);
        assert_eq!(figures[name::GAP_P99], 20.0);
        assert_eq!(figures[name::MISSING], 0.0);
    }

    #[test]
    fn streams_that_never_write_together_have_no_decoding_rate() {
        let zero = Instant::now();
        let answers = [steady(zero, 10, 10, 20), steady(zero, 300, 10, 20)];
        assert_eq!(decode_rate(&answers), None);
        assert!(!of_streams(&answers, 30).contains_key(name::DECODE));
        assert_eq!(of_streams(&answers, 30)[name::MISSING], 20.0);
    }

    #[test]
    fn text_of_several_tokens_is_one_arrival_and_makes_no_gap_smaller() {
        let zero = Instant::now();
        let answers = [stream(zero, &[(10, 1.0), (20, 4.0), (50, 5.0)])];
        let figures = of_streams(&answers, 10);
        assert_eq!(figures[name::GAP_P50], 10.0);
        assert_eq!(figures[name::GAP_P99], 30.0);
        assert!((figures[name::DECODE] - 225.0).abs() < 1e-9);
    }

    #[test]
    fn quantiles_are_samples_and_medians_lie_in_the_middle() {
        let ms = |values: &[u64]| -> Vec<Duration> {
            values.iter().map(|&ms| Duration::from_millis(ms)).collect()
        };
        let sixteen: Vec<u64> = (1..=16).rev().collect();
        assert_eq!(quantile_ms(&ms(&sixteen), 0.5), Some(8.0));
        assert_eq!(quantile_ms(&ms(&sixteen), 0.95), Some(16.0));
        assert_eq!(quantile_ms(&[], 0.5), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}

//! PURE: which sampling parameters a request may have.

use super::{banned::folded, logprobs};
use crate::wire::worker::{Dry, Sampling};

/// Stop strings of one request.
const MAX_STOPS: usize = 64;
/// Banned phrases of one request, and bytes of all of them together.
const MAX_BANNED: usize = 128;
const MAX_BANNED_BYTES: usize = 4096;
/// Breakers of one request.
const MAX_BREAKERS: usize = 64;
/// Bytes of one of any of these texts.
const MAX_TEXT: usize = 1024;
/// Biased tokens of one request, and the largest bias either way.
const MAX_BIASES: usize = 1024;
const MAX_BIAS: f32 = 1000.0;
/// The largest penalty either way, multiplier and base of DRY among them.
const MAX_PENALTY: f32 = 1000.0;
const MAX_ALLOWED_LENGTH: u32 = 1 << 20;

/// # Errors
/// In words, the first parameter that cannot be used. `vocabulary` is the number of tokens.
pub(crate) fn check_sampling(sampling: &Sampling, vocabulary: usize) -> Result<(), String> {
    within("temperature", sampling.temperature, 0.0, f32::MAX)?;
    within("top_p", sampling.top_p, f32::MIN_POSITIVE, 1.0)?;
    within("min_p", sampling.min_p, 0.0, 1.0)?;
    within(
        "repetition_penalty",
        sampling.repetition_penalty,
        f32::MIN_POSITIVE,
        MAX_PENALTY,
    )?;
    let penalty = |name, value| within(name, value, -MAX_PENALTY, MAX_PENALTY);
    penalty("frequency_penalty", sampling.frequency_penalty)?;
    penalty("presence_penalty", sampling.presence_penalty)?;
    if sampling.max_tokens == 0 {
        return Err("max_tokens is 0".into());
    }
    texts("stop string", &sampling.stop, MAX_STOPS)?;
    check_bias(sampling, vocabulary)?;
    check_banned(sampling)?;
    sampling.dry.as_ref().map_or(Ok(()), check_dry)
}

/// # Errors
/// In words, when more tokens are asked for than are told.
pub(crate) fn check_logprobs(count: Option<u8>) -> Result<(), String> {
    match count {
        Some(count) if count > logprobs::MOST => Err(format!(
            "logprobs of {count} tokens; at most {} are told",
            logprobs::MOST
        )),
        _ => Ok(()),
    }
}

fn check_bias(sampling: &Sampling, vocabulary: usize) -> Result<(), String> {
    let biases = &sampling.logit_bias;
    if biases.len() > MAX_BIASES {
        return Err(format!("a bias of more than {MAX_BIASES} tokens"));
    }
    for (&token, &bias) in biases {
        if token as usize >= vocabulary {
            return Err(format!(
                "a bias of token {token}; the model has {vocabulary} tokens"
            ));
        }
        within("a bias", bias, -MAX_BIAS, MAX_BIAS)?;
    }
    Ok(())
}

fn check_banned(sampling: &Sampling) -> Result<(), String> {
    texts("banned phrase", &sampling.banned, MAX_BANNED)?;
    if sampling.banned.iter().map(String::len).sum::<usize>() > MAX_BANNED_BYTES {
        return Err(format!(
            "banned phrases of more than {MAX_BANNED_BYTES} bytes together"
        ));
    }
    for phrase in &sampling.banned {
        // It stands for bytes that are no text, and the last of them are known at the end
        // only.
        if phrase.contains(char::REPLACEMENT_CHARACTER) {
            return Err(format!("the banned phrase {phrase:?} contains U+FFFD"));
        }
        let folded_phrase = folded(phrase);
        if let Some(stop) = sampling
            .stop
            .iter()
            .find(|stop| folded(stop).contains(&folded_phrase))
        {
            return Err(format!(
                "the stop string {stop:?} contains the banned phrase {phrase:?}: it could never come"
            ));
        }
    }
    Ok(())
}

fn check_dry(dry: &Dry) -> Result<(), String> {
    within("dry.multiplier", dry.multiplier, 0.0, MAX_PENALTY)?;
    within("dry.base", dry.base, 1.0, MAX_PENALTY)?;
    if dry.allowed_length > MAX_ALLOWED_LENGTH {
        return Err(format!(
            "dry.allowed_length cannot be {}",
            dry.allowed_length
        ));
    }
    texts("breaker", &dry.breakers, MAX_BREAKERS)
}

/// NaN is within nothing.
fn within(name: &str, value: f32, least: f32, most: f32) -> Result<(), String> {
    if value >= least && value <= most {
        Ok(())
    } else {
        Err(format!("{name} cannot be {value}"))
    }
}

fn texts(what: &str, texts: &[String], most: usize) -> Result<(), String> {
    if texts.len() > most {
        return Err(format!("more than {most} texts of the kind {what}"));
    }
    match texts
        .iter()
        .find(|text| text.is_empty() || text.len() > MAX_TEXT)
    {
        None => Ok(()),
        Some(text) => Err(format!(
            "a {what} of {} bytes; 1 to {MAX_TEXT} are possible",
            text.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: usize = 260;

    fn refused(change: impl FnOnce(&mut Sampling)) -> String {
        let mut sampling = Sampling::default();
        change(&mut sampling);
        check_sampling(&sampling, VOCABULARY).expect_err("it cannot be used")
    }

    fn dry(change: impl FnOnce(&mut Dry)) -> impl FnOnce(&mut Sampling) {
        |sampling| change(sampling.dry.insert(Dry::default()))
    }

    type Change<'a> = &'a dyn Fn(&mut Sampling);

    #[test]
    fn what_is_no_number_is_refused_everywhere() {
        for no_number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let all: [(&str, Change<'_>); 9] = [
                ("temperature", &|s| s.temperature = no_number),
                ("top_p", &|s| s.top_p = no_number),
                ("min_p", &|s| s.min_p = no_number),
                ("repetition", &|s| s.repetition_penalty = no_number),
                ("frequency", &|s| s.frequency_penalty = no_number),
                ("presence", &|s| s.presence_penalty = no_number),
                ("bias", &|s| {
                    s.logit_bias.insert(1, no_number);
                }),
                ("multiplier", &|s| {
                    s.dry.get_or_insert_default().multiplier = no_number;
                }),
                ("base", &|s| {
                    s.dry.get_or_insert_default().base = no_number;
                }),
            ];
            for (name, change) in all {
                assert!(refused(change).contains(name), "{name}");
            }
        }
    }

    #[test]
    fn every_limit_is_told_by_name() {
        assert!(refused(|s| s.temperature = -0.1).contains("temperature"));
        assert!(refused(|s| s.top_p = 0.0).contains("top_p"));
        assert!(refused(|s| s.max_tokens = 0).contains("max_tokens"));
        assert!(refused(|s| s.stop = vec!["x".into(); 65]).contains("64"));
        assert!(refused(|s| s.stop = vec![String::new()]).contains("stop string"));
        assert!(
            refused(|s| {
                s.logit_bias.insert(260, 1.0);
            })
            .contains("token 260")
        );
        assert!(refused(|s| s.logit_bias = (0..1025).map(|t| (t, 1.0)).collect()).contains("1024"));
        assert!(refused(|s| s.banned = vec!["x".into(); 129]).contains("128"));
        assert!(refused(|s| s.banned = vec!["x".repeat(1000); 5]).contains("4096"));
        assert!(refused(|s| s.banned = vec!["a\u{FFFD}".into()]).contains("U+FFFD"));
        assert!(refused(dry(|d| d.base = 0.9)).contains("dry.base"));
        assert!(refused(dry(|d| d.breakers = vec![String::new()])).contains("breaker"));
        assert!(refused(dry(|d| d.allowed_length = u32::MAX)).contains("allowed_length"));
        assert!(check_logprobs(Some(21)).is_err());
        assert!(check_logprobs(Some(20)).is_ok());
    }

    #[test]
    fn a_stop_string_that_could_never_come_is_told_at_the_door() {
        let message = refused(|s| {
            s.stop = vec!["\nUser:".into()];
            s.banned = vec!["user".into()];
        });
        assert!(message.contains("never"), "{message}");
    }

    #[test]
    fn the_limits_themselves_are_possible() {
        let sampling = Sampling {
            temperature: 0.0,
            top_p: 1.0,
            min_p: 1.0,
            frequency_penalty: -MAX_PENALTY,
            presence_penalty: MAX_PENALTY,
            logit_bias: [(0, -MAX_BIAS), (259, MAX_BIAS)].into(),
            banned: vec!["x".repeat(MAX_TEXT); 4],
            stop: vec!["y".repeat(MAX_TEXT); MAX_STOPS],
            dry: Some(Dry::default()),
            ..Sampling::default()
        };
        assert_eq!(check_sampling(&sampling, VOCABULARY), Ok(()));
    }
}

//! PURE: ways in which an input goes wrong.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::seed::{Chunk, Seed};

/// Bytes that a part has at most: damage may repeat what is there.
const MOST: usize = 1 << 20;
/// Numbers that go wrong, as JSON writes them.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e-400",
    "-0.0",
    "0.1",
];
/// Texts that mean something to one reader or another.
const TEXTS: &[&str] = &[
    "",
    " ",
    "\0",
    "\u{FDD0}",
    "\u{FFFD}",
    "\u{10FFFF}",
    "ẞİſß",
    "(((((((((",
    "a{999}{999}",
    "(a|b)*a(a|b){40}",
    "[^\\p{L}]",
    "(?i)\\x{FFFFFFFF}",
    "start: start start | \"\"",
    "%ignore /a/",
    "{{ 'a' * 9999999999 }}",
    "{% for a in range(100) %}{{ messages[a].content[a:-a] }}{% endfor %}",
    "<0xG0>",
    "<|im_end|>",
    "../../x",
    "\u{2581}",
];

/// One of the seeds, damaged in one or more ways.
pub(super) fn damaged(seeds: &[Seed], dice: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
    let mut seed = one(seeds, dice).clone();
    let structural = dice.random_bool(0.6);
    if structural {
        for _ in 0..rounds(dice) {
            let part = dice.random_range(0..seed.0.len());
            rearrange(&mut seed.0[part], part, seeds, dice);
        }
    }
    let mut parts = seed.written();
    if !structural || dice.random_bool(0.2) {
        let part = dice.random_range(0..parts.len());
        for _ in 0..rounds(dice) {
            damage(&mut parts[part], part, seeds, dice);
        }
    }
    parts.iter_mut().for_each(|part| part.truncate(MOST));
    parts
}

fn one<'a, T>(all: &'a [T], dice: &mut ChaCha8Rng) -> &'a T {
    &all[dice.random_range(0..all.len())]
}

/// Few, most often.
fn rounds(dice: &mut ChaCha8Rng) -> usize {
    let mut rounds = 1;
    while rounds < 16 && dice.random_bool(0.4) {
        rounds += 1;
    }
    rounds
}

/// Damages pieces as what they are.
fn rearrange(chunks: &mut Vec<Chunk>, part: usize, seeds: &[Seed], dice: &mut ChaCha8Rng) {
    let Some(at) = dice.random_range(0..=chunks.len()).checked_sub(1) else {
        // A piece of another input, or of this one once more.
        if let Some(others) = one(seeds, dice).0.get(part)
            && !others.is_empty()
        {
            let other = one(others, dice).clone();
            chunks.insert(dice.random_range(0..=chunks.len()), other);
        }
        return;
    };
    match dice.random_range(0..12) {
        0 if chunks.len() > 1 => drop(chunks.remove(at)),
        1 => {
            let other = dice.random_range(0..chunks.len());
            chunks.swap(at, other);
        }
        _ => match &mut chunks[at] {
            Chunk::Bytes(bytes) => damage(bytes, part, seeds, dice),
            Chunk::Json(_, value) => {
                let donor = one(seeds, dice).0.get(part).and_then(|chunks| {
                    chunks.iter().find_map(|chunk| match chunk {
                        Chunk::Json(_, value) => Some(value),
                        Chunk::Bytes(_) => None,
                    })
                });
                let donor = donor.cloned().unwrap_or(Value::Null);
                let place = dice.random_range(0..count(value));
                change(
                    nth(value, &mut { place }).expect("it was counted"),
                    &donor,
                    dice,
                );
            }
        },
    }
}

/// How many values there are, itself among them.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(values) => values.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// The value that [`count`] counts as number `left`.
fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(values) => values.iter_mut().find_map(|value| nth(value, left)),
        Value::Object(values) => values.values_mut().find_map(|value| nth(value, left)),
        _ => None,
    }
}

fn change(value: &mut Value, donor: &Value, dice: &mut ChaCha8Rng) {
    if dice.random_bool(0.7) {
        return worsen(value, dice);
    }
    *value = match dice.random_range(0..7) {
        0 => Value::Null,
        1 => json!(dice.random_bool(0.5)),
        2 => number(dice),
        3 => json!(*one(TEXTS, dice)),
        4 => {
            let mut donor = donor.clone();
            let place = dice.random_range(0..count(&donor));
            nth(&mut donor, &mut { place }).cloned().unwrap_or_default()
        }
        5 => json!([value.take()]),
        _ => {
            let deep = 1 << dice.random_range(0..9);
            let object = dice.random_bool(0.5);
            (0..deep).fold(value.take(), |inner, _| match object {
                true => json!({ "not": inner }),
                false => json!([inner]),
            })
        }
    };
}

fn number(dice: &mut ChaCha8Rng) -> Value {
    let text = *one(NUMBERS, dice);
    serde_json::from_str(text).unwrap_or_default()
}

/// Keeps the kind of value that it is.
fn worsen(value: &mut Value, dice: &mut ChaCha8Rng) {
    match value {
        Value::Null => *value = json!({}),
        Value::Bool(value) => *value = !*value,
        Value::Number(old) => {
            let near = old.as_i64().unwrap_or_default();
            *value = match dice.random_range(0..4) {
                0 => json!(near.wrapping_add(1)),
                1 => json!(near.wrapping_sub(1)),
                2 => json!(near.wrapping_mul(256)),
                _ => number(dice),
            };
        }
        Value::String(text) => worsen_text(text, dice),
        Value::Array(values) => match dice.random_range(0..4) {
            0 => values.clear(),
            1 => drop(values.pop()),
            2 if !values.is_empty() => {
                let copy = one(values, dice).clone();
                let times = 1 << dice.random_range(0..8);
                values.extend(std::iter::repeat_n(copy, times));
            }
            _ => {
                let (a, b) = (dice.random::<u64>() as usize, dice.random::<u64>() as usize);
                if !values.is_empty() {
                    let length = values.len();
                    values.swap(a % length, b % length);
                }
            }
        },
        Value::Object(values) => {
            let keys: Vec<String> = values.keys().cloned().collect();
            if keys.is_empty() {
                values.insert((*one(TEXTS, dice)).to_owned(), json!(1));
                return;
            }
            let (key, other) = (one(&keys, dice).clone(), one(&keys, dice).clone());
            let taken = values.remove(&key).unwrap_or_default();
            match dice.random_range(0..3) {
                0 => {}
                1 => {
                    let mut key = key;
                    worsen_text(&mut key, dice);
                    values.insert(key, taken);
                }
                _ => {
                    let old = values.insert(other, taken).unwrap_or_default();
                    values.insert(key, old);
                }
            }
        }
    }
}

fn worsen_text(text: &mut String, dice: &mut ChaCha8Rng) {
    let mut letters: Vec<char> = text.chars().collect();
    let at = dice.random_range(0..=letters.len());
    match dice.random_range(0..6) {
        0 => letters.truncate(at),
        1 => drop(letters.drain(..at)),
        2 => {
            letters.splice(at..at, one(TEXTS, dice).chars());
        }
        3 => letters = one(TEXTS, dice).chars().collect(),
        4 => {
            let times = 1 << dice.random_range(0..8);
            letters = letters.repeat(times);
            letters.truncate(1 << 14);
        }
        _ => match letters.get_mut(at) {
            Some(letter) => {
                let near = u32::from(*letter) ^ (1 << dice.random_range(0..8));
                *letter = char::from_u32(near).unwrap_or('\u{FFFD}');
            }
            None => letters.push(char::from(dice.random::<u8>())),
        },
    }
    *text = letters.into_iter().collect();
}

/// Headers lie in front, tables of contents at the end: places near either are likelier.
fn place(length: usize, dice: &mut ChaCha8Rng) -> usize {
    let bits = usize::BITS - length.leading_zeros();
    let shift = dice.random_range(0..bits.max(1));
    let near = dice.random_range(0..=length >> shift);
    match dice.random_bool(0.25) {
        true => length - near,
        false => near,
    }
}

/// A place, and how many bytes from there.
fn range(length: usize, dice: &mut ChaCha8Rng) -> std::ops::Range<usize> {
    let start = place(length, dice);
    start..start + place((length - start).min(4096), dice)
}

/// Damages bytes without knowing what they mean.
fn damage(bytes: &mut Vec<u8>, part: usize, seeds: &[Seed], dice: &mut ChaCha8Rng) {
    let at = place(bytes.len(), dice);
    match dice.random_range(0..12) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.random_range(0..8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.random();
            }
        }
        2..=5 => set_integer(bytes, at, dice),
        6 => bytes.truncate(at),
        7 => drop(bytes.drain(range(bytes.len(), dice))),
        8 => {
            let copy = bytes[range(bytes.len(), dice)].to_vec();
            bytes.splice(at..at, copy);
        }
        9 => {
            if let Some(other) = one(seeds, dice).written().get(part) {
                let piece = other[range(other.len(), dice)].to_vec();
                let end = match dice.random_bool(0.5) {
                    true => at,
                    false => (at + piece.len()).min(bytes.len()),
                };
                bytes.splice(at..end, piece);
            }
        }
        10 => {
            let digits = |byte: &u8| byte.is_ascii_digit();
            if let Some(start) = bytes[at..].iter().position(digits) {
                let start = at + start;
                let length = bytes[start..]
                    .iter()
                    .take_while(|byte| digits(byte))
                    .count();
                bytes.splice(start..start + length, one(NUMBERS, dice).bytes());
            }
        }
        _ => {
            let text = one(TEXTS, dice).as_bytes().to_vec();
            bytes.splice(at..at, text);
        }
    }
}

/// An integer of some width becomes extreme, near the length, or a little more or less.
fn set_integer(bytes: &mut [u8], at: usize, dice: &mut ChaCha8Rng) {
    let width = 1 << dice.random_range(0..4);
    let length = bytes.len() as u64;
    let Some(field) = bytes.get_mut(at..at + width) else {
        return;
    };
    let little = dice.random_bool(0.75);
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(field);
    if !little {
        wide[..width].reverse();
    }
    let old = u64::from_le_bytes(wide);
    let most = u64::MAX >> (64 - 8 * width);
    let new = match dice.random_range(0..10) {
        0 => 0,
        1 => 1,
        2 => most,
        3 => most >> 1,
        4 => length.wrapping_sub(at as u64 + width as u64),
        5 => length.wrapping_add(dice.random_range(0..3)).wrapping_sub(1),
        6 => old.wrapping_add(1),
        7 => old.wrapping_sub(1),
        8 => dice.random_range(0..64),
        _ => 1 << dice.random_range(0..64),
    };
    let mut wide = new.to_le_bytes();
    if !little {
        wide[..width].reverse();
    }
    field.copy_from_slice(&wide[..width]);
}

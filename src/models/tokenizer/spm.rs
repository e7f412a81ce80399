//! SentencePiece's BPE over scores (Kudo and Richardson, 2018), as llama.cpp reads it from
//! a GGUF file: characters are merged in pairs, the best token first, the leftmost of equals;
//! what is no token in the end becomes its bytes.

use std::{cmp::Reverse, collections::BinaryHeap, collections::HashMap};

/// Stands for a space in tokens.
pub(super) const SPACE: char = '\u{2581}';

/// Tokens by text, with what merging needs.
pub(super) struct Pieces {
    /// Id and score.
    by_text: HashMap<Box<str>, (u32, f32)>,
    /// Tokens of single bytes, where the vocabulary has them.
    by_byte: [Option<u32>; 256],
    /// Whether a text that starts, or that follows a special token, gets a space in front.
    space_prefix: bool,
}

/// A part of the text, in a chain.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    /// Equal to `start` once the part was merged into the one before it.
    end: usize,
    before: Option<usize>,
    after: Option<usize>,
}

/// Two neighbours that make a token, best first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    score: Score,
    left: Reverse<usize>,
    right: usize,
    /// Bytes; another length now says that one of the two has changed.
    length: usize,
}

#[derive(PartialEq)]
struct Score(f32);

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Pieces {
    pub(super) fn new(space_prefix: bool) -> Self {
        Self {
            by_text: HashMap::new(),
            by_byte: [None; 256],
            space_prefix,
        }
    }

    /// Adds a token of text. Of two with one text the later counts.
    pub(super) fn add(&mut self, text: &str, id: u32, score: f32) {
        self.by_text.insert(text.into(), (id, score));
    }

    pub(super) fn add_byte(&mut self, byte: u8, id: u32) {
        self.by_byte[usize::from(byte)] = Some(id);
    }

    /// Appends the tokens of a text. Bytes that the vocabulary lacks are left out.
    pub(super) fn encode(&self, text: &str, follows_special: bool, tokens: &mut Vec<u32>) {
        let mut escaped = String::with_capacity(text.len() + 8);
        if self.space_prefix && follows_special {
            escaped.push(SPACE);
        }
        escaped.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));

        let mut symbols: Vec<Symbol> = escaped
            .char_indices()
            .enumerate()
            .map(|(index, (start, character))| Symbol {
                start,
                end: start + character.len_utf8(),
                before: index.checked_sub(1),
                after: Some(index + 1),
            })
            .collect();
        let Some(last) = symbols.last_mut() else {
            return;
        };
        last.after = None;

        let mut queue = BinaryHeap::new();
        for right in 1..symbols.len() {
            queue.extend(self.pair(&escaped, &symbols, right - 1, right));
        }
        while let Some(Pair {
            left: Reverse(left),
            right,
            length,
            ..
        }) = queue.pop()
        {
            let (start, end) = (symbols[left].start, symbols[right].end);
            let gone = |symbol: Symbol| symbol.start == symbol.end;
            if gone(symbols[left]) || gone(symbols[right]) || end - start != length {
                continue;
            }
            symbols[left].end = end;
            symbols[right].start = end;
            let after = symbols[right].after;
            symbols[left].after = after;
            if let Some(after) = after {
                symbols[after].before = Some(left);
                queue.extend(self.pair(&escaped, &symbols, left, after));
            }
            if let Some(before) = symbols[left].before {
                queue.extend(self.pair(&escaped, &symbols, before, left));
            }
        }
        for symbol in symbols.iter().filter(|symbol| symbol.start < symbol.end) {
            let text = &escaped[symbol.start..symbol.end];
            match self.by_text.get(text) {
                Some((id, _)) => tokens.push(*id),
                None => {
                    let bytes = text.bytes();
                    tokens.extend(bytes.filter_map(|byte| self.by_byte[usize::from(byte)]));
                }
            }
        }
    }

    fn pair(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Pair> {
        let text = &text[symbols[left].start..symbols[right].end];
        let (_, score) = self.by_text.get(text)?;
        Some(Pair {
            score: Score(*score),
            left: Reverse(left),
            right,
            length: text.len(),
        })
    }
}

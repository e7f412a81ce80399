//! From the bytes of tokens to text that may be shown.
//!
//! Two things are held back: the first bytes of a character whose rest is still to come,
//! and text that may turn out to be the beginning of a stop string.

/// Puts characters together from bytes that come in any portions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Characters {
    /// Bytes of a character that is not complete yet.
    pending: Vec<u8>,
}

impl Characters {
    /// Gives the characters that these bytes complete, in one or more texts. Bytes that can
    /// never become a character are replaced by U+FFFD.
    pub(crate) fn push(&mut self, bytes: &[u8], mut give: impl FnMut(&str)) {
        let joined;
        let mut rest = if self.pending.is_empty() {
            bytes
        } else {
            joined = [&self.pending, bytes].concat();
            &joined
        };
        while let Err(error) = std::str::from_utf8(rest) {
            let Some(invalid) = error.error_len() else {
                break;
            };
            let (valid, after) = rest.split_at(error.valid_up_to());
            give(&String::from_utf8_lossy(valid));
            give("\u{FFFD}");
            rest = &after[invalid..];
        }
        let whole = match std::str::from_utf8(rest) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let (whole, incomplete) = rest.split_at(whole);
        give(&String::from_utf8_lossy(whole));
        self.pending = incomplete.to_vec();
    }

    /// What an incomplete character becomes when nothing follows it.
    fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// Turns the bytes of one request's tokens into text.
#[derive(Debug, Default)]
pub(crate) struct TextStream {
    stops: Vec<String>,
    characters: Characters,
    /// Text that may be the beginning of a stop string.
    held: String,
    stopped: bool,
}

impl TextStream {
    /// `stops` must not be empty strings.
    pub(crate) fn new(stops: &[String]) -> Self {
        Self {
            stops: stops.to_vec(),
            ..Self::default()
        }
    }

    /// Whether a stop string has come; nothing is given any more.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Takes one token's bytes and gives the text that is certain now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let mut text = String::new();
        self.characters.push(bytes, |part| text.push_str(part));
        self.certain(text)
    }

    /// Gives what was held back; an incomplete character becomes U+FFFD.
    pub(crate) fn finish(&mut self) -> String {
        let rest = self.characters.finish();
        let mut text = self.certain(rest);
        if !self.stopped {
            text.push_str(&std::mem::take(&mut self.held));
        }
        text
    }

    fn certain(&mut self, text: String) -> String {
        if self.stopped {
            return String::new();
        }
        if self.stops.is_empty() {
            return text;
        }
        self.held.push_str(&text);
        // The first stop that is complete ends the text. One that begins earlier cannot be
        // under way then: it would have to contain the complete one.
        let first = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()))
            .min();
        if let Some(at) = first {
            self.stopped = true;
            self.characters = Characters::default();
            let mut text = std::mem::take(&mut self.held);
            text.truncate(at);
            return text;
        }
        let certain = self.held.len()
            - self
                .stops
                .iter()
                .map(|stop| self.overlap(stop))
                .max()
                .unwrap_or(0);
        let rest = self.held.split_off(certain);
        std::mem::replace(&mut self.held, rest)
    }

    /// Length of the longest beginning of `stop` that `held` ends with.
    fn overlap(&self, stop: &str) -> usize {
        stop.char_indices()
            .map(|(at, _)| at)
            .rev()
            .find(|&length| self.held.ends_with(&stop[..length]))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `bytes` in portions of the given sizes; gives the pieces.
    fn feed(stream: &mut TextStream, bytes: &[u8], sizes: &[usize]) -> Vec<String> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() && !stream.stopped() {
            let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
            pieces.push(stream.push(&rest[..size]));
            rest = &rest[size..];
        }
        pieces.push(stream.finish());
        pieces
    }

    proptest! {
        #[test]
        fn a_character_is_never_cut(text in "[a-zäñ漢😀]{0,20}", sizes in proptest::collection::vec(1usize..5, 1..8)) {
            let pieces = feed(&mut TextStream::new(&[]), text.as_bytes(), &sizes);
            prop_assert!(!pieces.iter().any(|piece| piece.contains(char::REPLACEMENT_CHARACTER)));
            prop_assert_eq!(pieces.concat(), text);
        }

        #[test]
        fn bytes_that_are_no_text_are_replaced_however_they_come(
            bytes in proptest::collection::vec(any::<u8>(), 0..30), sizes in proptest::collection::vec(1usize..5, 1..8),
        ) {
            let pieces = feed(&mut TextStream::new(&[]), &bytes, &sizes);
            prop_assert_eq!(pieces.concat(), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn the_text_ends_before_the_first_stop(
            text in "[abß]{0,24}",
            stops in proptest::collection::vec("[abß]{1,4}", 1..4),
            sizes in proptest::collection::vec(1usize..5, 1..8),
        ) {
            let mut stream = TextStream::new(&stops);
            let pieces = feed(&mut stream, text.as_bytes(), &sizes);
            // The stop that is complete first ends the text; of those complete together,
            // the one that begins first.
            let mut wanted = text.as_str();
            let mut fed = 0;
            let mut cycle = sizes.iter().cycle();
            while fed < text.len() {
                fed = (fed + cycle.next().copied().unwrap_or(1)).min(text.len());
                let seen = String::from_utf8_lossy(&text.as_bytes()[..fed]);
                if let Some(at) = stops.iter().filter_map(|stop| seen.find(stop.as_str())).min() {
                    wanted = &text[..at];
                    break;
                }
            }
            prop_assert_eq!(pieces.concat(), wanted);
            prop_assert!(stops.iter().all(|stop| !wanted.contains(stop.as_str())));
        }

        #[test]
        fn one_byte_at_a_time_is_as_good_as_any(text in "[ab]{0,24}", stop in "[ab]{1,4}") {
            let stops = [stop.clone()];
            let pieces = feed(&mut TextStream::new(&stops), text.as_bytes(), &[1]);
            prop_assert_eq!(pieces.concat(), text.split(stop.as_str()).next().unwrap_or(""));
        }
    }

    #[test]
    fn what_may_become_a_stop_waits_and_is_given_when_it_does_not() {
        let mut stream = TextStream::new(&["\nUser:".to_owned()]);
        assert_eq!(stream.push(b"hi\nUs"), "hi");
        assert_eq!(stream.push(b"eful"), "\nUseful");
        assert_eq!(stream.push(b"\nUser"), "");
        assert_eq!(stream.finish(), "\nUser");
    }
}

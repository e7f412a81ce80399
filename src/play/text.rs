//! What people and machines say, made fit to be stored and shown; the same in every play.

/// Longest question or bot answer that is stored, characters. What the machines say is
/// trusted, but a machine gone wild must not fill the log.
pub(super) const MACHINE_TEXT_LIMIT: usize = 4000;

/// One line: control characters and runs of white space become single spaces, the ends are
/// trimmed. Characters that only steer how others are drawn (bidirectional overrides, zero
/// width) go as well: in a game about who wrote what they could hide text.
pub(super) fn cleaned(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            continue;
        }
        if c.is_whitespace() || c.is_control() {
            if !clean.ends_with(' ') {
                clean.push(' ');
            }
        } else {
            clean.push(c);
        }
    }
    clean.trim().to_owned()
}

fn steers(c: char) -> bool {
    matches!(c,
        '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// Why a person's line cannot be stored. Each play refuses it in its own words.
pub(super) enum Unfit {
    Empty,
    TooLong { limit: u32, got: u32 },
}

/// A person's line as it is stored: cleaned, and `limit` characters long at most.
///
/// # Errors
/// When nothing is left of it, or it is too long.
pub(super) fn line(text: &str, limit: u32) -> Result<String, Unfit> {
    let text = cleaned(text);
    if text.is_empty() {
        return Err(Unfit::Empty);
    }
    let got = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    if got > limit {
        return Err(Unfit::TooLong { limit, got });
    }
    Ok(text)
}

/// Cleaned, and cut after `limit` characters.
pub(super) fn cut(text: &str, limit: usize) -> String {
    head(&cleaned(text), limit)
}

/// The first `limit` characters, without white space at their end.
pub(super) fn head(text: &str, limit: usize) -> String {
    let head: String = text.chars().take(limit).collect();
    head.trim_end().to_owned()
}

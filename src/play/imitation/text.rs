//! What people and machines say, made fit to be stored and shown.

use super::Refusal;

/// Longest question or bot answer that is stored, characters. What the machines say is
/// trusted, but a machine gone wild must not fill the log.
pub(in crate::play) const MACHINE_TEXT_LIMIT: usize = 4000;

/// One line: control characters and runs of white space become single spaces, the ends are
/// trimmed. Characters that only steer how others are drawn (bidirectional overrides, zero
/// width) go as well: in a game about who wrote what they could hide text.
pub(in crate::play) fn cleaned(text: &str) -> String {
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

/// As it is stored.
///
/// # Errors
/// When nothing is left of it.
pub(super) fn machine_text(text: &str) -> Result<String, Refusal> {
    let clean: String = cleaned(text).chars().take(MACHINE_TEXT_LIMIT).collect();
    if clean.is_empty() {
        return Err(Refusal::Empty);
    }
    Ok(clean)
}

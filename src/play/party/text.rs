//! What people and machines say at a table, made fit to be stored and shown.

use super::{NAME_LIMIT, Refusal};
use crate::play::text::{cleaned, cut, head};

/// What somebody without a name is called.
pub const NAMELESS: &str = "Guest";

/// A machine's line as it is stored: cut where a person's would be refused, since its length
/// must not give it away.
///
/// # Errors
/// When nothing is left of it.
pub(super) fn machine_line(text: &str, limit: usize) -> Result<String, Refusal> {
    let cut = cut(text, limit);
    if cut.is_empty() {
        return Err(Refusal::Empty);
    }
    Ok(cut)
}

/// A name as it is shown: cleaned, cut to [`NAME_LIMIT`], and numbered if `taken` knows it
/// (in any spelling of case): "Ada", "Ada 2".
pub(super) fn name<'a>(wanted: &str, taken: impl Iterator<Item = &'a str>) -> String {
    let taken: Vec<String> = taken.map(str::to_lowercase).collect();
    let clean = cleaned(wanted);
    let base = if clean.is_empty() { NAMELESS } else { &clean };
    let first = head(base, NAME_LIMIT);
    if !taken.contains(&first.to_lowercase()) {
        return first;
    }
    let mut number = 2u32;
    loop {
        let suffix = format!(" {number}");
        let numbered = format!("{}{suffix}", head(base, NAME_LIMIT - suffix.len()));
        // Ends: each number gives another name, and finitely many are taken.
        if !taken.contains(&numbered.to_lowercase()) {
            return numbered;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_second_ada_is_ada_2() {
        let named = |wanted, taken: &[&str]| name(wanted, taken.iter().copied());
        assert_eq!(named("Ada", &[]), "Ada");
        assert_eq!(named(" ada\u{202e} ", &["Ada"]), "ada 2");
        assert_eq!(named("Ada", &["Ada", "ADA 2"]), "Ada 3");
        assert_eq!(named("\u{200b}\n", &["Guest"]), "Guest 2");
    }

    proptest! {
        #[test]
        fn a_name_is_short_its_own_and_never_empty(
            wanted in "\\PC{0,60}", taken in prop::collection::vec("\\PC{0,30}", 0..5),
        ) {
            let mut taken: Vec<String> = taken.iter().map(|t| name(t, [].into_iter())).collect();
            for _ in 0..12 {
                let given = name(&wanted, taken.iter().map(String::as_str));
                prop_assert!(!given.is_empty() && given.chars().count() <= NAME_LIMIT);
                prop_assert!(taken.iter().all(|t| t.to_lowercase() != given.to_lowercase()));
                taken.push(given);
            }
        }
    }
}

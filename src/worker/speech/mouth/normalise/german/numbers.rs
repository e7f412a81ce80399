//! PURE: German words for numbers.
//!
//! Tens and ones are one word, as they are written; hundreds and thousands stand apart, because
//! espeak-ng misreads longer compounds ("zweitausendsechs" gets the stress and the `e` of no
//! German).

use super::super::numbers::one_by_one;

const SMALL: [&str; 20] = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];
const TENS: [&str; 10] = [
    "", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
];
/// One and many of them.
const MILLIONS: [(&str, &str); 5] = [
    ("Million", "Millionen"),
    ("Milliarde", "Milliarden"),
    ("Billion", "Billionen"),
    ("Billiarde", "Billiarden"),
    ("Trillion", "Trillionen"),
];

/// `1234` is "tausend zwei hundert vierunddreißig".
pub(super) fn cardinal(number: u64) -> String {
    if number == 0 {
        return SMALL[0].into();
    }
    let mut words = Vec::new();
    let mut rest = number / 1_000_000;
    for (one, many) in MILLIONS {
        match rest % 1000 {
            0 => {}
            1 => words.push(format!("eine {one}")),
            group => words.push(format!("{} {many}", below_thousand(group))),
        }
        rest /= 1000;
    }
    words.reverse();
    match number / 1000 % 1000 {
        0 => {}
        1 => words.push("tausend".into()),
        group => words.push(format!("{} tausend", before_a_noun(below_thousand(group)))),
    }
    if !number.is_multiple_of(1000) {
        words.push(below_thousand(number % 1000));
    }
    words.join(" ")
}

fn below_thousand(number: u64) -> String {
    let (hundreds, rest) = (number / 100, number % 100);
    let hundred = match hundreds {
        0 => return below_hundred(rest),
        1 => "hundert".to_owned(),
        more => format!("{} hundert", below_hundred(more)),
    };
    match rest {
        0 => hundred,
        rest => format!("{hundred} {}", below_hundred(rest)),
    }
}

/// Of a number below 100.
fn below_hundred(number: u64) -> String {
    let at = |place: u64| usize::try_from(place).expect("below 100");
    match (number / 10, number % 10) {
        (0 | 1, _) => SMALL[at(number)].into(),
        (tens, 0) => TENS[at(tens)].into(),
        (tens, 1) => format!("einund{}", TENS[at(tens)]),
        (tens, ones) => format!("{}und{}", SMALL[at(ones)], TENS[at(tens)]),
    }
}

/// `1` counts as "eins" but is "ein" before what it counts.
pub(super) fn before_a_noun(words: String) -> String {
    match words.strip_suffix("eins") {
        Some(before) => format!("{before}ein"),
        None => words,
    }
}

/// `21` is "einundzwanzigste"; the ending of the case is the caller's.
pub(super) fn ordinal(number: u64) -> String {
    let words = cardinal(number);
    let split = words.rfind(' ').map_or(0, |space| space + 1);
    let (before, last) = words.split_at(split);
    let last = match (last, number % 100) {
        ("eins", _) => "erste".to_owned(),
        ("drei", _) => "dritte".to_owned(),
        ("sieben", _) => "siebte".to_owned(),
        ("acht", _) => "achte".to_owned(),
        (last, 2..=19) => format!("{last}te"),
        (last, _) => format!("{last}ste"),
    };
    format!("{before}{last}")
}

/// `1984` is "neunzehn hundert vierundachtzig", `2007` "zwei tausend sieben".
pub(super) fn year(number: u64) -> String {
    if !(1100..2000).contains(&number) {
        return cardinal(number);
    }
    let hundreds = format!("{} hundert", below_hundred(number / 100));
    match number % 100 {
        0 => hundreds,
        rest => format!("{hundreds} {}", below_hundred(rest)),
    }
}

/// Digit by digit.
pub(super) fn digits(text: &str) -> String {
    one_by_one(text, &SMALL)
}

/// The value of figures, which may stand in groups of three: `1250`, `1.250`. None where they
/// are no number, or begin with a zero as codes do.
pub(super) fn value(text: &str) -> Option<u64> {
    let groups: Vec<&str> = text.split('.').collect();
    let figures = groups.concat();
    let grouped = groups.len() == 1
        || (1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|group| group.len() == 3);
    let plain = grouped && !figures.is_empty() && figures.bytes().all(|it| it.is_ascii_digit());
    let code = figures.len() > 1 && figures.starts_with('0');
    (plain && !code).then(|| figures.parse().ok()).flatten()
}

/// A number as it is written: with groups of thousands, a sign, decimals. None where it is no
/// number.
pub(super) fn spoken(text: &str) -> Option<String> {
    let (sign, text) = match text.strip_prefix(['-', '−']) {
        Some(rest) => ("minus ", rest),
        None => ("", text),
    };
    let digits_only = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let whole = |text: &str| match value(text) {
        Some(number) => Some(cardinal(number)),
        // What is a code, or too large.
        None => digits_only(text).then(|| digits(text)),
    };
    let Some((before, decimals)) = text.split_once(',') else {
        return Some(format!("{sign}{}", whole(text)?));
    };
    let decimals = Some(decimals).filter(|decimals| digits_only(decimals))?;
    Some(format!(
        "{sign}{} Komma {}",
        whole(before)?,
        digits(decimals)
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_as_people_read_them() {
        assert_eq!(cardinal(1), "eins");
        assert_eq!(cardinal(21), "einundzwanzig");
        assert_eq!(cardinal(1234), "tausend zwei hundert vierunddreißig");
        assert_eq!(cardinal(101_000), "hundert ein tausend");
        assert_eq!(cardinal(2_000_001), "zwei Millionen eins");
        assert_eq!(ordinal(1), "erste");
        assert_eq!(ordinal(3), "dritte");
        assert_eq!(ordinal(17), "siebzehnte");
        assert_eq!(ordinal(21), "einundzwanzigste");
        assert_eq!(ordinal(100), "hundertste");
        assert_eq!(ordinal(103), "hundert dritte");
        assert_eq!(year(1984), "neunzehn hundert vierundachtzig");
        assert_eq!(year(2007), "zwei tausend sieben");
        assert_eq!(
            spoken("-3,14").as_deref(),
            Some("minus drei Komma eins vier")
        );
        assert_eq!(
            spoken("1.250").as_deref(),
            Some("tausend zwei hundert fünfzig")
        );
        assert_eq!(spoken("007").as_deref(), Some("null null sieben"));
        assert_eq!(spoken("7.30"), None);
        assert_eq!(spoken("1,"), None);
    }

    proptest! {
        #[test]
        fn a_number_leaves_no_digit(number: u64) {
            for words in [cardinal(number), ordinal(number), year(number)] {
                prop_assert!(words.chars().all(|c| c.is_alphabetic() || c == ' '), "{words}");
            }
        }

        #[test]
        fn no_two_numbers_sound_alike(one: u64, other in 0u64..2_000_000) {
            prop_assert_eq!(one == other, cardinal(one) == cardinal(other));
        }
    }
}

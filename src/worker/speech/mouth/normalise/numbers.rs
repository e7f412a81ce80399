//! PURE: English words for numbers.

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
const THOUSANDS: [&str; 7] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
];

/// `1234` is "one thousand two hundred thirty four".
pub(super) fn cardinal(number: u64) -> String {
    if number == 0 {
        return SMALL[0].into();
    }
    let mut words: Vec<String> = Vec::new();
    let mut rest = number;
    let mut thousands = 0;
    while rest > 0 {
        let group = (rest % 1000) as usize;
        if group > 0 {
            let mut spoken = below_thousand(group);
            if thousands > 0 {
                spoken.push(' ');
                spoken.push_str(THOUSANDS[thousands]);
            }
            words.push(spoken);
        }
        rest /= 1000;
        thousands += 1;
    }
    words.reverse();
    words.join(" ")
}

fn below_thousand(number: usize) -> String {
    let (hundreds, rest) = (number / 100, number % 100);
    let rest_words = below_hundred(rest);
    match (hundreds, rest) {
        (0, _) => rest_words,
        (_, 0) => format!("{} hundred", SMALL[hundreds]),
        _ => format!("{} hundred {rest_words}", SMALL[hundreds]),
    }
}

fn below_hundred(number: usize) -> String {
    match (number / 10, number % 10) {
        (0 | 1, _) => SMALL[number].into(),
        (tens, 0) => TENS[tens].into(),
        (tens, ones) => format!("{} {}", TENS[tens], SMALL[ones]),
    }
}

/// `21` is "twenty first".
pub(super) fn ordinal(number: u64) -> String {
    let words = cardinal(number);
    let (before, last) = match words.rsplit_once(' ') {
        Some((before, last)) => (format!("{before} "), last.to_owned()),
        None => (String::new(), words),
    };
    let last = match last.as_str() {
        "one" => "first".into(),
        "two" => "second".into(),
        "three" => "third".into(),
        "five" => "fifth".into(),
        "eight" => "eighth".into(),
        "nine" => "ninth".into(),
        "twelve" => "twelfth".into(),
        tens if tens.ends_with('y') => format!("{}ieth", &tens[..tens.len() - 1]),
        other => format!("{other}th"),
    };
    before + &last
}

/// `1984` is "nineteen eighty four", `1905` "nineteen oh five", `2007` "two thousand seven".
pub(super) fn year(number: u64) -> String {
    let (high, low) = (number / 100, number % 100);
    if !(1100..=2099).contains(&number) || (2000..2010).contains(&number) {
        return cardinal(number);
    }
    match low {
        0 => format!("{} hundred", cardinal(high)),
        1..=9 => format!("{} oh {}", cardinal(high), cardinal(low)),
        _ => format!("{} {}", cardinal(high), cardinal(low)),
    }
}

/// `1980` is "nineteen eighties".
pub(super) fn decade(number: u64) -> String {
    let words = if number < 100 {
        cardinal(number)
    } else {
        year(number)
    };
    match words.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{words}s"),
    }
}

/// Digit by digit.
pub(super) fn digits(text: &str) -> String {
    one_by_one(text, &SMALL)
}

/// The digits of a text, each by its name.
pub(super) fn one_by_one(text: &str, names: &[&str]) -> String {
    let words: Vec<&str> = text
        .chars()
        .filter_map(|c| c.to_digit(10))
        .map(|digit| names[digit as usize])
        .collect();
    words.join(" ")
}

/// A number as it is written: with groups of thousands, a sign, decimals. None where it is no
/// number.
pub(super) fn spoken(text: &str) -> Option<String> {
    let (sign, text) = match text.strip_prefix(['-', '−']) {
        Some(rest) => ("minus ", rest),
        None => ("", text),
    };
    let (whole, decimals) = match text.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (text, None),
    };
    let figures = whole.replace(',', "");
    let grouped = whole.split(',').skip(1).all(|group| group.len() == 3);
    let digits_only = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (figures.is_empty() && decimals.is_none())
        || !digits_only(&figures)
        || decimals.is_some_and(|decimals| decimals.is_empty() || !digits_only(decimals))
        || !grouped
    {
        return None;
    }
    let whole_words = match figures.parse::<u64>() {
        _ if figures.is_empty() => "zero".into(),
        // A number that begins with a zero is a code.
        Ok(number) if !figures.starts_with('0') || figures == "0" => cardinal(number),
        _ => digits(&figures),
    };
    let decimals = decimals.map_or(String::new(), |decimals| {
        format!(" point {}", digits(decimals))
    });
    Some(format!("{sign}{whole_words}{decimals}"))
}

/// The value of a Roman numeral in its usual form.
pub(super) fn roman(text: &str) -> Option<u64> {
    let value = |c| match c {
        'I' => Some(1),
        'V' => Some(5),
        'X' => Some(10),
        'L' => Some(50),
        'C' => Some(100),
        _ => None,
    };
    let values: Vec<i64> = text.chars().map(value).collect::<Option<_>>()?;
    let mut total = 0_i64;
    for (at, value) in values.iter().enumerate() {
        let before_larger = values.get(at + 1).is_some_and(|next| next > value);
        total += if before_larger { -value } else { *value };
    }
    u64::try_from(total).ok().filter(|total| *total > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_as_people_read_them() {
        assert_eq!(cardinal(1234), "one thousand two hundred thirty four");
        assert_eq!(ordinal(21), "twenty first");
        assert_eq!(ordinal(30), "thirtieth");
        assert_eq!(ordinal(112), "one hundred twelfth");
        assert_eq!(year(1984), "nineteen eighty four");
        assert_eq!(year(1905), "nineteen oh five");
        assert_eq!(year(2007), "two thousand seven");
        assert_eq!(decade(1980), "nineteen eighties");
        assert_eq!(decade(1900), "nineteen hundreds");
        assert_eq!(
            spoken("-3.14").as_deref(),
            Some("minus three point one four")
        );
        assert_eq!(
            spoken("1,250").as_deref(),
            Some("one thousand two hundred fifty")
        );
        assert_eq!(spoken("007").as_deref(), Some("zero zero seven"));
        assert_eq!(spoken("1,25"), None);
        assert_eq!(spoken("1.2.3"), None);
        assert_eq!(roman("XIV"), Some(14));
        assert_eq!(roman("IN"), None);
    }

    proptest! {
        #[test]
        fn a_number_leaves_no_digit(number: u64) {
            for words in [cardinal(number), ordinal(number), year(number), decade(number)] {
                prop_assert!(words.chars().all(|c| c.is_ascii_lowercase() || c == ' '), "{words}");
            }
        }

        #[test]
        fn no_two_numbers_sound_alike(one: u64, other: u64) {
            prop_assert_eq!(one == other, cardinal(one) == cardinal(other));
        }
    }
}

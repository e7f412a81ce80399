//! PURE: what is written, as it is read aloud in English or German: numbers, dates, times, money,
//! units, abbreviations and signs become words, and every reading knows which words it stands for.

mod german;
mod numbers;
mod tables;

use std::ops::Range;

pub(super) use german::german;
use tables::{
    ABBREVIATIONS, CURRENCIES, MAGNITUDES, MONTHS, NUMBERED, SIGNS, SOVEREIGNS, TITLES, UNITS,
};

/// Some written words and how they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Of the words.
    pub(super) written: Range<usize>,
    /// With the punctuation that clings to them; empty where nothing is read.
    pub(super) spoken: String,
}

/// All readings as one text.
pub(super) fn joined(readings: &[Reading]) -> String {
    let spoken: Vec<&str> = readings
        .iter()
        .map(|reading| reading.spoken.as_str())
        .filter(|spoken| !spoken.is_empty())
        .collect();
    spoken.join(" ")
}

/// How words, parted at spaces, are read. The readings cover all words in order.
pub(super) fn english(words: &[&str]) -> Vec<Reading> {
    let words: Vec<Word<'_>> = words.iter().map(|word| Word::of(word)).collect();
    let mut readings = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let (taken, core) = read(&words[at..]);
        let last = &words[at + taken - 1];
        let closing = if core.ends_with('.') && last.after.starts_with('.') {
            &last.after[1..]
        } else {
            last.after.as_str()
        };
        readings.push(Reading {
            written: at..at + taken,
            spoken: format!("{}{core}{closing}", words[at].before)
                .trim()
                .to_owned(),
        });
        at += taken;
    }
    readings
}

/// A word without what clings to it.
struct Word<'a> {
    before: String,
    core: &'a str,
    after: String,
}

impl<'a> Word<'a> {
    fn of(text: &'a str) -> Self {
        let (before, mut core, mut after) = bared(text, "$£€¥#%°+-−=&@/<>~");
        // The stop of an abbreviation is its own.
        if after.starts_with('.') && (is_initials(core) || is_abbreviated(core)) {
            let stop = text.len() - after.len() + 1;
            (core, after) = (&text[before.len()..stop], &text[stop..]);
        }
        Self {
            before: punctuation(before),
            core,
            after: punctuation(after),
        }
    }
}

/// What clings to a word in front, the word from its first to its last letter, figure or one of
/// these signs, and what clings to it behind.
fn bared<'a>(text: &'a str, signs: &str) -> (&'a str, &'a str, &'a str) {
    let inside = |c: char| c.is_alphanumeric() || signs.contains(c);
    let start = text.find(inside).unwrap_or(text.len());
    let (before, rest) = text.split_at(start);
    let end = rest.rfind(inside).map_or(0, |at| {
        at + rest[at..].chars().next().map_or(0, char::len_utf8)
    });
    let (core, after) = rest.split_at(end);
    (before, core, after)
}

/// What voices understand of punctuation; brackets would be read as a link.
fn punctuation(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '(' | '[' | '{' => Some('('),
            ')' | ']' | '}' => Some(')'),
            '–' | '―' => Some('—'),
            '«' | '„' => Some('“'),
            '»' => Some('”'),
            ',' | ';' | ':' | '.' | '!' | '?' | '…' | '—' | '"' | '“' | '”' | '\'' | '’' => {
                Some(c)
            }
            _ => None,
        })
        .collect()
}

/// "U.S", "e.g", "p.m".
fn is_initials(core: &str) -> bool {
    core.contains('.')
        && core
            .split('.')
            .all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic))
}

fn is_abbreviated(core: &str) -> bool {
    lookup(ABBREVIATIONS, core).is_some()
        || lookup(TITLES, core).is_some()
        || core == "No"
        || core == "Nos"
}

fn lookup<'t>(table: &[(&str, &'t str)], word: &str) -> Option<&'t str> {
    table
        .iter()
        .find(|(written, _)| *written == word)
        .map(|(_, spoken)| *spoken)
}

/// Reads the first of these words, and those behind it that belong to it.
fn read(words: &[Word<'_>]) -> (usize, String) {
    let core = words[0].core;
    // Only what nothing stands between belongs together.
    let behind = |count: usize| -> Option<&str> {
        let word = words.get(count)?;
        let close = words[..count].iter().all(|word| word.after.is_empty());
        (close && word.before.is_empty()).then_some(word.core)
    };
    let reading = None
        .or_else(|| date(words))
        .or_else(|| time(core, behind(1)))
        .or_else(|| money(core, behind(1)))
        .or_else(|| measure(core, behind(1)))
        .or_else(|| named(core, behind(1)))
        .or_else(|| alone(core).map(|spoken| (1, spoken)));
    reading.unwrap_or_else(|| (1, parts(core)))
}

/// "3 March 1905", "March 3rd", "2024-03-01", "3/1/2024".
fn date(words: &[Word<'_>]) -> Option<(usize, String)> {
    let core = words[0].core;
    let pieces: Vec<&str> = core.split(['-', '/']).collect();
    if let [a, b, c] = pieces[..]
        && let (Ok(first), Ok(second), Ok(third)) = (a.parse::<u64>(), b.parse(), c.parse())
    {
        let (year, month, day) = if core.contains('-') && a.len() == 4 {
            (first, second, third)
        } else if core.contains('/') && first > 12 {
            (third, second, first)
        } else {
            (third, first, second)
        };
        let name = MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
        if (1..=31).contains(&day) {
            let spoken = format!(
                "{} {}, {}",
                name.0,
                numbers::ordinal(day),
                numbers::year(year)
            );
            return Some((1, spoken));
        }
    }
    let next = words.get(1).filter(|word| word.before.is_empty())?;
    if let Some(month) = month(core) {
        // "March 3": a comma may stand before the year, and nothing before the day.
        let day = day(next.core).filter(|_| words[0].after.is_empty())?;
        return Some((2, format!("{month} {}", numbers::ordinal(day))));
    }
    let day = day(core).filter(|_| words[0].after.is_empty())?;
    let month = month(next.core)?;
    Some((2, format!("the {} of {month}", numbers::ordinal(day))))
}

/// The name of a month, also where it is short. "May" is one only beside a day.
fn month(word: &str) -> Option<&'static str> {
    let word = word.trim_end_matches('.');
    MONTHS
        .iter()
        .find(|(name, short)| *name == word || short.contains(&word))
        .map(|(name, _)| *name)
}

fn day(word: &str) -> Option<u64> {
    let number = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|ending| word.strip_suffix(ending))
        .unwrap_or(word);
    let short = number.len() <= 2 && !number.starts_with('0');
    number
        .parse()
        .ok()
        .filter(|day| short && (1..=31).contains(day))
}

/// "7:30", "7:30pm", "10 a.m."
fn time(core: &str, next: Option<&str>) -> Option<(usize, String)> {
    let half = |text: &str| match text.to_ascii_lowercase().replace('.', "").as_str() {
        "am" => Some("A.M."),
        "pm" => Some("P.M."),
        _ => None,
    };
    let letters = core.find(|c: char| c.is_ascii_alphabetic());
    let (clock, attached) = core.split_at(letters.unwrap_or(core.len()));
    let attached_half = if attached.is_empty() {
        None
    } else {
        Some(half(attached)?)
    };
    let beside = next.filter(|_| attached.is_empty()).and_then(half);
    let mut fields = clock.split(':');
    let hour: u64 = fields.next()?.parse().ok().filter(|hour| *hour <= 24)?;
    let minute = match fields.next() {
        Some(minute) if minute.len() == 2 => Some(minute.parse::<u64>().ok().filter(|m| *m < 60)?),
        Some(_) => return None,
        None if attached_half.or(beside).is_some() => None,
        None => return None,
    };
    let second = match fields.next() {
        Some(second) => Some(second.parse::<u64>().ok().filter(|second| *second < 60)?),
        None => None,
    };
    let mut spoken = numbers::cardinal(hour);
    match minute {
        None => {}
        Some(0) if attached_half.or(beside).is_some() || second.is_some() => {}
        Some(0) => spoken.push_str(" o'clock"),
        Some(minute @ 1..=9) => spoken.push_str(&format!(" oh {}", numbers::cardinal(minute))),
        Some(minute) => spoken.push_str(&format!(" {}", numbers::cardinal(minute))),
    }
    if let Some(second) = second {
        spoken.push_str(&format!(" and {} seconds", numbers::cardinal(second)));
    }
    if let Some(half) = attached_half.or(beside) {
        spoken.push_str(&format!(" {half}"));
    }
    Some((if beside.is_some() { 2 } else { 1 }, spoken))
}

/// "$9.99", "£3 million", "€5k".
fn money(core: &str, next: Option<&str>) -> Option<(usize, String)> {
    let (sign, amount) = match core.strip_prefix(['-', '−']) {
        Some(rest) => ("minus ", rest),
        None => ("", core),
    };
    let currency = CURRENCIES
        .iter()
        .find(|currency| amount.starts_with(currency.sign))?;
    let amount = amount.strip_prefix(currency.sign)?;
    let (amount, attached) = split_unit(amount);
    let large = if attached.is_empty() {
        next.and_then(|next| MAGNITUDES.iter().find(|(_, name)| *name == next))
            .map(|(_, name)| (2, *name))
    } else {
        Some((1, lookup(MAGNITUDES, attached)?))
    };
    if let Some((taken, name)) = large {
        let number = numbers::spoken(amount)?;
        return Some((taken, format!("{sign}{number} {name} {}", currency.many)));
    }
    let (whole, small) = amount.split_once('.').unwrap_or((amount, ""));
    let plural = |number: &str, one: &'static str, many: &'static str| {
        if number == "one" { one } else { many }
    };
    let number = numbers::spoken(whole)?;
    let mut spoken = format!(
        "{sign}{number} {}",
        plural(&number, currency.one, currency.many)
    );
    if small.len() == 2 && small != "00" {
        let pennies = numbers::cardinal(small.parse().ok()?);
        let name = plural(&pennies, currency.small_one, currency.small_many);
        let also = format!("{pennies} {name}");
        if whole == "0" {
            spoken = format!("{sign}{also}");
        } else {
            spoken.push_str(&format!(" and {also}"));
        }
    } else if !small.is_empty() && small != "00" {
        spoken = format!("{sign}{} {}", numbers::spoken(amount)?, currency.many);
    }
    Some((1, spoken))
}

/// A number and what is attached to it.
fn split_unit(text: &str) -> (&str, &str) {
    let figure = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '−');
    let end = text.find(|c| !figure(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// "10 km", "10m", "5%", "20°C".
fn measure(core: &str, next: Option<&str>) -> Option<(usize, String)> {
    let (figures, attached) = split_unit(core);
    let number = numbers::spoken(figures)?;
    let one = number == "one";
    let unit = |name: &str| {
        UNITS
            .iter()
            .find(|(written, ..)| *written == name)
            .map(|(_, singular, plural)| if one { *singular } else { *plural })
    };
    // "The 1980s" are no seconds.
    if attached == "s" && figures.ends_with('0') && matches!(figures.len(), 2 | 4) {
        return None;
    }
    if attached.is_empty() {
        // Beside a number only what is nothing else: not "in", not "a".
        let next = next?;
        let clear = next.chars().count() > 1 || "%°".contains(next);
        let name = unit(next).filter(|_| clear)?;
        return Some((2, format!("{number} {name}")));
    }
    Some((1, format!("{number} {}", unit(attached)?)))
}

/// "No. 5", "#5", "Chapter IV", "Henry VIII", "St. Paul", "Main St."
fn named(core: &str, next: Option<&str>) -> Option<(usize, String)> {
    let bare = core.trim_end_matches('.');
    if (bare == "No" || bare == "Nos") && core.ends_with('.') {
        let figure = next.filter(|next| next.starts_with(|c: char| c.is_ascii_digit()))?;
        let plural = if bare == "Nos" { "s" } else { "" };
        return Some((2, format!("number{plural} {}", alone(figure)?)));
    }
    if let Some(figure) = core.strip_prefix('#') {
        return Some((1, format!("number {}", numbers::spoken(figure)?)));
    }
    if let Some(title) = lookup(TITLES, bare) {
        let name = next.is_some_and(|next| next.starts_with(char::is_uppercase));
        if name {
            return Some((1, title.to_owned()));
        }
    }
    let numeral = next.and_then(numbers::roman)?;
    if NUMBERED.contains(&core) {
        return Some((2, format!("{core} {}", numbers::cardinal(numeral))));
    }
    if SOVEREIGNS.contains(&core) {
        return Some((2, format!("{core} the {}", numbers::ordinal(numeral))));
    }
    None
}

/// A word by itself, where it is not read as it is written.
fn alone(core: &str) -> Option<String> {
    let bare = core.strip_suffix('.').unwrap_or(core);
    if core.ends_with('.')
        && let Some(spoken) = lookup(ABBREVIATIONS, bare)
    {
        return Some(spoken.to_owned());
    }
    if let Some(spoken) = lookup(SIGNS, core) {
        return Some(spoken.to_owned());
    }
    if matches!(core, "vs" | "aka") {
        return lookup(ABBREVIATIONS, core).map(str::to_owned);
    }
    let count = core.bytes().filter(u8::is_ascii_digit).count();
    if count == 0 {
        return None;
    }
    if core.len() == 4
        && count == 4
        && let Ok(year @ 1100..=2099) = core.parse()
    {
        return Some(numbers::year(year));
    }
    if let Some(number) = numbers::spoken(core) {
        return Some(number);
    }
    for ending in ["st", "nd", "rd", "th"] {
        if let Some(number) = core
            .strip_suffix(ending)
            .and_then(|n| n.replace(',', "").parse().ok())
        {
            return Some(numbers::ordinal(number));
        }
    }
    let decade = core
        .strip_suffix("'s")
        .or(core.strip_suffix("’s"))
        .or(core.strip_suffix('s'));
    if let Some(number) = decade.and_then(|number| number.parse().ok()) {
        return Some(numbers::decade(number));
    }
    if let Some(number) = core.strip_prefix('+').and_then(numbers::spoken) {
        return Some(format!("plus {number}"));
    }
    range(core)
}

/// "1914-1918", "1/2".
fn range(core: &str) -> Option<String> {
    if let Some((from, to)) = core.split_once(['-', '–']) {
        let end = |text: &str| match text.parse() {
            Ok(year @ 1100..=2099) if text.len() == 4 => Some(numbers::year(year)),
            _ => numbers::spoken(text),
        };
        return Some(format!("{} to {}", end(from)?, end(to)?));
    }
    let (above, below) = core.split_once('/')?;
    let (above, below): (u64, u64) = (above.parse().ok()?, below.parse().ok()?);
    let part = match below {
        2 => "half".to_owned(),
        4 => "quarter".to_owned(),
        3 | 5..=10 if above < below => numbers::ordinal(below),
        _ => {
            return Some(format!(
                "{} over {}",
                numbers::cardinal(above),
                numbers::cardinal(below)
            ));
        }
    };
    let plural = match (above, part.as_str()) {
        (1, _) => part,
        (_, "half") => "halves".to_owned(),
        _ => format!("{part}s"),
    };
    Some(format!("{} {plural}", numbers::cardinal(above)))
}

/// A word that is read in parts: letters as they are, numbers as such, signs by name.
fn parts(core: &str) -> String {
    if !core.contains(|c: char| c.is_ascii_digit() || lookup_sign(c).is_some()) {
        // What no voice can say, such as a picture, is left out.
        let said = |c: char| match c {
            '(' | ')' | '[' | ']' | '{' | '}' => Some(' '),
            c if c.is_alphanumeric() || "'’.-—&,".contains(c) => Some(c),
            _ => None,
        };
        let said: String = core.chars().filter_map(said).collect();
        return said.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let mut spoken = String::new();
    let mut rest = core;
    while let Some(first) = rest.chars().next() {
        let kind = |c: char| {
            (
                c.is_ascii_digit(),
                c.is_alphabetic() || matches!(c, '\'' | '’'),
            )
        };
        let end = rest
            .find(|c| kind(c) != kind(first))
            .unwrap_or(rest.len())
            .max(first.len_utf8());
        let single = !kind(first).0 && !kind(first).1;
        let (part, behind) = rest.split_at(if single { first.len_utf8() } else { end });
        let said = if kind(first).0 {
            numbers::spoken(part).unwrap_or_else(|| numbers::digits(part))
        } else if kind(first).1 {
            part.to_owned()
        } else {
            match first {
                '.' if !behind.is_empty() => "dot".into(),
                ',' => ",".into(),
                sign => lookup_sign(sign).unwrap_or_default().to_owned(),
            }
        };
        if !said.is_empty() {
            if !spoken.is_empty() && said != "," {
                spoken.push(' ');
            }
            spoken.push_str(&said);
        }
        rest = behind;
    }
    spoken
}

fn lookup_sign(sign: char) -> Option<&'static str> {
    let mut text = [0; 4];
    lookup(SIGNS, sign.encode_utf8(&mut text))
}

#[cfg(test)]
mod tests;

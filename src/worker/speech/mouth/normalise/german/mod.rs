//! PURE: what is written, as it is read aloud in German: numbers, dates, times, money, units,
//! abbreviations and signs become words. espeak-ng reads "7.30 Uhr" as "sieben Punkt dreißig"
//! and "am 3. Mai" as "am drei. Mai", because it is given words and not what they mean.

mod numbers;
mod tables;

use super::{Reading, bared, punctuation};
use tables::{
    ABBREVIATIONS, CURRENCIES, DATIVE, DEFINITE, INDEFINITE, MONTHS, OBLIQUE, PAIRS, SIGNS, UNITS,
};

/// How words, parted at spaces, are read. The readings cover all words in order.
pub(in crate::worker::speech::mouth) fn german(words: &[&str]) -> Vec<Reading> {
    let words: Vec<Word<'_>> = words.iter().map(|word| Word::of(word)).collect();
    let mut readings = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let place = Place { words: &words, at };
        let Read {
            taken,
            core,
            own_stop,
        } = place.read();
        let last = &words[at + taken - 1];
        // The stop of "3." or "Dr." ends no sentence, unless nothing follows.
        let behind = match last.after.strip_prefix('.') {
            Some(behind) if own_stop && at + taken < words.len() => behind,
            _ => last.after.as_str(),
        };
        readings.push(Reading {
            written: at..at + taken,
            spoken: format!("{}{core}{behind}", words[at].before)
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
        let (before, core, after) = bared(text, "$£€#%°+-−=&@/§²");
        Self {
            before: punctuation(before),
            core,
            after: punctuation(after),
        }
    }
}

/// Some words, read as one.
struct Read {
    taken: usize,
    core: String,
    /// Whether a full stop behind them belongs to them.
    own_stop: bool,
}

impl Read {
    fn of(taken: usize, core: impl Into<String>) -> Self {
        Self {
            taken,
            core: core.into(),
            own_stop: false,
        }
    }

    fn with_stop(self) -> Self {
        Self {
            own_stop: true,
            ..self
        }
    }
}

/// A word among others.
struct Place<'a> {
    words: &'a [Word<'a>],
    at: usize,
}

impl<'a> Place<'a> {
    fn word(&self) -> &'a Word<'a> {
        &self.words[self.at]
    }

    fn has_stop(&self) -> bool {
        self.word().after == "."
    }

    /// The next word, if nothing but what is allowed stands between.
    fn next(&self, between: &str) -> Option<&'a Word<'a>> {
        let next = self.words.get(self.at + 1)?;
        (self.word().after == between && next.before.is_empty()).then_some(next)
    }

    /// The word so many places before, in small letters; empty where a mark parts it or there
    /// is none.
    fn former(&self, places: usize) -> String {
        let Some(at) = self.at.checked_sub(places) else {
            return String::new();
        };
        let close = self.words[at..self.at]
            .iter()
            .all(|word| word.after.is_empty());
        if close {
            self.words[at].core.to_lowercase()
        } else {
            String::new()
        }
    }

    fn read(&self) -> Read {
        self.date()
            .or_else(|| self.ordinal())
            .or_else(|| self.time())
            .or_else(|| self.money())
            .or_else(|| self.measure())
            .or_else(|| self.abbreviation())
            .or_else(|| alone(self.word().core).map(|core| Read::of(1, core)))
            .unwrap_or_else(|| Read::of(1, parts(self.word().core)))
    }

    /// "3.5.1987", "03.05.", "1987-05-03".
    fn date(&self) -> Option<Read> {
        let core = self.word().core;
        let pieces: Vec<&str> = core.split(['.', '-']).collect();
        let (day, month, year) = match pieces[..] {
            [year, month, day] if core.contains('-') && year.len() == 4 => (day, month, Some(year)),
            [day, month, year] if !core.contains('-') && matches!(year.len(), 2 | 4) => {
                (day, month, Some(year))
            }
            [day, month] if self.has_stop() && !core.contains('-') => (day, month, None),
            _ => return None,
        };
        let small = |text: &str| -> Option<u64> {
            Some(text)
                .filter(|text| (1..=2).contains(&text.len()))?
                .parse()
                .ok()
        };
        let day = small(day).filter(|day| (1..=31).contains(day))?;
        let (month, _) = MONTHS.get(usize::try_from(small(month)?).ok()?.checked_sub(1)?)?;
        let mut spoken = format!("{} {month}", self.inflected(day, true));
        if let Some(year) = year {
            spoken.push_str(&format!(" {}", numbers::year(year.parse().ok()?)));
            return Some(Read::of(1, spoken));
        }
        Some(Read::of(1, spoken).with_stop())
    }

    /// "3. Mai", "im 19. Jahrhundert".
    fn ordinal(&self) -> Option<Read> {
        let number = Some(self.word().core)
            .filter(|core| core.len() <= 3)
            .and_then(numbers::value)?;
        let next = self.next(".")?;
        let before_month = month(next.core).is_some();
        let former = self.former(1);
        let led = [OBLIQUE, DEFINITE, INDEFINITE]
            .iter()
            .any(|words| words.contains(&former.as_str()));
        let names = next.core.starts_with(char::is_alphabetic);
        (before_month || led && names)
            .then(|| Read::of(1, self.inflected(number, before_month)).with_stop())
    }

    /// An ordinal with the ending that the words before it ask for.
    fn inflected(&self, number: u64, date: bool) -> String {
        let former = self.former(1);
        let former = former.as_str();
        let oblique = OBLIQUE.contains(&former)
            || former == "der" && DATIVE.contains(&self.former(2).as_str());
        let ending = if oblique {
            "n"
        } else if INDEFINITE.contains(&former) || date && !DEFINITE.contains(&former) {
            "r"
        } else {
            ""
        };
        format!("{}{ending}", numbers::ordinal(number))
    }

    /// "7:30", "7.30 Uhr", "1 Uhr".
    fn time(&self) -> Option<Read> {
        let core = self.word().core;
        let hour_named = self.next("").is_some_and(|next| next.core == "Uhr");
        let taken = if hour_named { 2 } else { 1 };
        let (hour, minute) = match core.split_once(':') {
            Some((hour, minute)) => (hour, Some(minute)),
            None if !hour_named => return None,
            None => match core.split_once('.') {
                Some((hour, minute)) => (hour, Some(minute)),
                None => (core, None),
            },
        };
        let figures = |text: &str, most: u64| -> Option<u64> {
            let short = (1..=2).contains(&text.len());
            text.parse().ok().filter(|value| short && *value <= most)
        };
        let hour = numbers::before_a_noun(numbers::cardinal(figures(hour, 24)?));
        let minute = match minute {
            None | Some("00") => String::new(),
            Some(minute) if minute.len() == 2 => {
                format!(" {}", numbers::cardinal(figures(minute, 59)?))
            }
            Some(_) => return None,
        };
        Some(Read::of(taken, format!("{hour} Uhr{minute}")))
    }

    /// "4,50 €", "€ 20", "3 Mio. Euro".
    fn money(&self) -> Option<Read> {
        let core = self.word().core;
        let (amount, currency, taken) = match currency_in(core) {
            Some(("", currency)) => (self.next("")?.core, currency, 2),
            Some((amount, currency)) => (amount, currency, 1),
            None => (core, currency(self.next("")?.core)?, 2),
        };
        let (sign, amount) = match amount.strip_prefix(['-', '−']) {
            Some(rest) => ("minus ", rest),
            None => ("", amount),
        };
        let (whole, hundredths) = match amount.split_once(',') {
            Some((whole, "-" | "00")) => (whole, None),
            Some((whole, rest)) if rest.len() == 2 => (whole, Some(rest.parse::<u64>().ok()?)),
            Some(_) => {
                let spoken = numbers::spoken(amount)?;
                return Some(Read::of(taken, format!("{sign}{spoken} {}", currency.name)));
            }
            None => (amount, None),
        };
        let count = |number: u64| numbers::before_a_noun(numbers::cardinal(number));
        let whole = numbers::value(whole)?;
        let spoken = match hundredths {
            None => format!("{} {}", count(whole), currency.name),
            Some(few) if whole == 0 => format!("{} {}", count(few), currency.hundredth),
            Some(few) => format!(
                "{} {} {}",
                count(whole),
                currency.name,
                numbers::cardinal(few)
            ),
        };
        Some(Read::of(taken, format!("{sign}{spoken}")))
    }

    /// "10 km", "50%", "20°C".
    fn measure(&self) -> Option<Read> {
        let figure = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '−');
        let core = self.word().core;
        let (figures, attached) = core.split_at(core.find(|c| !figure(c)).unwrap_or(core.len()));
        let number = numbers::before_a_noun(numbers::spoken(figures)?);
        if !attached.is_empty() {
            return Some(Read::of(1, format!("{number} {}", unit(attached)?)));
        }
        Some(Read::of(
            2,
            format!("{number} {}", unit(self.next("")?.core)?),
        ))
    }

    /// "z. B.", "Dr.", "Hauptstr."
    fn abbreviation(&self) -> Option<Read> {
        let Word { core, after, .. } = self.word();
        if !after.starts_with('.') {
            return None;
        }
        if let Some(next) = self.next(".").filter(|next| next.after.starts_with('.'))
            && let Some((.., spoken)) = PAIRS
                .iter()
                .find(|(first, second, _)| first == core && *second == next.core)
        {
            return Some(Read::of(2, *spoken).with_stop());
        }
        if let Some(name) = month(core).filter(|name| name != core) {
            return Some(Read::of(1, name).with_stop());
        }
        if let Some(before) = core.strip_suffix("str") {
            return Some(Read::of(1, format!("{before}straße")).with_stop());
        }
        // "S. 5" is a page, and an initial elsewhere.
        let figure = |next: &Word<'_>| next.core.starts_with(|c: char| c.is_ascii_digit());
        if *core == "S" && self.next(".").is_some_and(figure) {
            return Some(Read::of(1, "Seite").with_stop());
        }
        let (_, spoken) = ABBREVIATIONS.iter().find(|(short, _)| short == core)?;
        Some(Read::of(1, *spoken).with_stop())
    }
}

/// The name of a month, also where it is short.
fn month(word: &str) -> Option<&'static str> {
    MONTHS
        .iter()
        .find(|(name, short)| *name == word || short.contains(&word))
        .map(|(name, _)| *name)
}

fn currency(name: &str) -> Option<&'static tables::Currency> {
    CURRENCIES
        .iter()
        .find(|currency| currency.written.contains(&name))
}

/// A currency that is written in a word with its amount, which may be empty.
fn currency_in(core: &str) -> Option<(&str, &'static tables::Currency)> {
    CURRENCIES.iter().find_map(|currency| {
        let amount = currency
            .written
            .iter()
            .find_map(|name| core.strip_prefix(name).or_else(|| core.strip_suffix(name)))?;
        let figures = |c: char| c.is_ascii_digit() || ".,-−".contains(c);
        let sign = currency.written[0] == core;
        (sign || !amount.is_empty() && amount.chars().all(figures)).then_some((amount, currency))
    })
}

fn unit(sign: &str) -> Option<&'static str> {
    UNITS
        .iter()
        .find(|(written, _)| *written == sign)
        .map(|(_, spoken)| *spoken)
}

/// A word by itself, where it is not read as it is written.
fn alone(core: &str) -> Option<String> {
    if !core.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Some(number) = number(core) {
        return Some(number);
    }
    if let Some(decade) = core.strip_suffix("er").and_then(numbers::value) {
        let words = numbers::before_a_noun(numbers::year(decade));
        return Some(format!("{words}er"));
    }
    if let Some((from, to)) = core.split_once(['-', '–']) {
        return Some(format!("{} bis {}", number(from)?, number(to)?));
    }
    let (above, below) = core.split_once('/')?;
    let (above, below): (u64, u64) = (above.parse().ok()?, below.parse().ok()?);
    let count = numbers::before_a_noun(numbers::cardinal(above));
    Some(match below {
        2 if above == 1 => "ein halb".to_owned(),
        3 => format!("{count} Drittel"),
        4..=12 if above < below => {
            let words = numbers::ordinal(below);
            format!("{count} {words}l")
        }
        _ => format!("{count} durch {}", numbers::cardinal(below)),
    })
}

/// A number, or a year.
fn number(text: &str) -> Option<String> {
    match text.parse() {
        Ok(year @ 1100..=2099) if text.len() == 4 => Some(numbers::year(year)),
        _ => numbers::spoken(text),
    }
}

/// A word that is read in parts: letters as they are, numbers as such, signs by name. What no
/// voice can say, such as a picture, is left out.
fn parts(core: &str) -> String {
    let sign = |c: char| SIGNS.iter().find(|(sign, _)| *sign == c);
    if !core.contains(|c: char| c.is_ascii_digit() || sign(c).is_some()) {
        let said = |c: &char| c.is_alphanumeric() || "'’.-".contains(*c);
        return core.chars().filter(said).collect();
    }
    let mut spoken: Vec<String> = Vec::new();
    let mut rest = core;
    while let Some(first) = rest.chars().next() {
        let digit = first.is_ascii_digit();
        let run = |c: char| !c.is_ascii_digit() && (c.is_alphabetic() || "'’".contains(c));
        let end = match (digit, run(first)) {
            (true, _) => rest.find(|c: char| !c.is_ascii_digit()),
            (_, true) => rest.find(|c: char| !run(c)),
            _ => Some(first.len_utf8()),
        };
        let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
        if digit {
            spoken.push(numbers::spoken(part).unwrap_or_else(|| numbers::digits(part)));
        } else if run(first) {
            spoken.push(part.to_owned());
        } else if first == '.' && !behind.is_empty() {
            spoken.push("Punkt".into());
        } else {
            spoken.extend(sign(first).map(|(_, name)| (*name).to_owned()));
        }
        rest = behind;
    }
    spoken.join(" ")
}

#[cfg(test)]
mod tests;

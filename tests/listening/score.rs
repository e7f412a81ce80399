//! Word error rate: how many words must be put in, left out or replaced, per word said.
//!
//! What is written in two ways but said in one is no mistake: beside case, punctuation and
//! numbers, as in the normaliser of OpenAI's whisper (Radford et al. 2022, appendix C),
//! contractions, and, as the global mappings of NIST's `sclite` allow, compounds in one word
//! or two. The rate without these two is told as well.

use std::ops::AddAssign;

/// Words that were said, and mistakes in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    pub words: usize,
    pub mistakes: usize,
    /// Mistakes where contractions and compounds must be written alike too.
    pub as_written: usize,
}

impl Score {
    pub fn of(said: &str, heard: &str) -> Self {
        let as_written = distance(&words(said), &words(heard), false);
        let (said, heard) = (expanded(said), expanded(heard));
        Self {
            words: said.len(),
            mistakes: distance(&said, &heard, true),
            as_written,
        }
    }

    /// Percent.
    pub fn rate(self) -> f32 {
        self.percent(self.mistakes)
    }

    /// Percent.
    pub fn rate_as_written(self) -> f32 {
        self.percent(self.as_written)
    }

    fn percent(self, mistakes: usize) -> f32 {
        100.0 * mistakes as f32 / self.words.max(1) as f32
    }
}

impl AddAssign for Score {
    fn add_assign(&mut self, other: Self) {
        self.words += other.words;
        self.mistakes += other.mistakes;
        self.as_written += other.as_written;
    }
}

/// Ends of contracted words, and what they stand for.
const CONTRACTIONS: [(&str, &str); 5] = [
    ("n't", " not"),
    ("'re", " are"),
    ("'ll", " will"),
    ("'ve", " have"),
    ("'m", " am"),
];
/// Words after which `'s` is a verb in these texts; after others it is a genitive.
const SUBJECTS: [&str; 9] = [
    "it", "that", "there", "what", "who", "he", "she", "here", "where",
];

/// [`words`], contractions in full.
fn expanded(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace('’', "'");
    let whole = |word: &str| {
        let letters = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        let full = match letters {
            "can't" => Some("can not".to_owned()),
            "won't" => Some("will not".to_owned()),
            _ => CONTRACTIONS
                .iter()
                .find_map(|(end, full)| Some(letters.strip_suffix(end)?.to_owned() + full))
                .or_else(|| {
                    let subject = letters.strip_suffix("'s")?;
                    SUBJECTS.contains(&subject).then(|| format!("{subject} is"))
                }),
        };
        full.map_or_else(|| word.to_owned(), |full| word.replace(letters, &full))
    };
    let text: Vec<String> = text.split_whitespace().map(whole).collect();
    words(&text.join(" "))
}

/// What counts as the same word: small letters, no punctuation, numbers and titles spelt,
/// hyphens between words.
pub fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace('ё', "е").replace('’', "'");
    let russian = text.chars().any(|letter| ('а'..='я').contains(&letter));
    let mut words = Vec::new();
    for word in text.split(|letter: char| !letter.is_alphanumeric() && letter != '\'') {
        let word = word.replace('\'', "");
        match word.as_str() {
            "" => {}
            "mr" => words.push("mister".into()),
            "ok" => words.push("okay".into()),
            number if number.chars().all(|it| it.is_ascii_digit()) => {
                words.extend(spelt(number, russian));
            }
            _ => words.push(word),
        }
    }
    words
}

const ENGLISH: [&str; 20] = [
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
const ENGLISH_TENS: [&str; 8] = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
const RUSSIAN: [&str; 20] = [
    "ноль",
    "один",
    "два",
    "три",
    "четыре",
    "пять",
    "шесть",
    "семь",
    "восемь",
    "девять",
    "десять",
    "одиннадцать",
    "двенадцать",
    "тринадцать",
    "четырнадцать",
    "пятнадцать",
    "шестнадцать",
    "семнадцать",
    "восемнадцать",
    "девятнадцать",
];
const RUSSIAN_TENS: [&str; 8] = [
    "двадцать",
    "тридцать",
    "сорок",
    "пятьдесят",
    "шестьдесят",
    "семьдесят",
    "восемьдесят",
    "девяносто",
];

/// A number in words; one above 99, or that begins with a zero, digit by digit.
fn spelt(number: &str, russian: bool) -> Vec<String> {
    let (ones, tens) = match russian {
        true => (RUSSIAN, RUSSIAN_TENS),
        false => (ENGLISH, ENGLISH_TENS),
    };
    let whole = number.len() < 3 && (number.len() == 1 || !number.starts_with('0'));
    match number.parse::<usize>() {
        Ok(value) if whole && value < 20 => vec![ones[value].into()],
        Ok(value) if whole => {
            let mut words = vec![tens[value / 10 - 2].to_owned()];
            if value % 10 > 0 {
                words.push(ones[value % 10].into());
            }
            words
        }
        _ => number
            .bytes()
            .map(|digit| ones[usize::from(digit - b'0')].into())
            .collect(),
    }
}

/// Levenshtein's distance; with `compounds`, two words are the same as their letters in one.
fn distance(said: &[String], heard: &[String], compounds: bool) -> usize {
    let joined = |pair: &[String], one: &String| compounds && pair.concat() == *one;
    let mut rows: Vec<Vec<usize>> = vec![(0..=heard.len()).collect()];
    for (at, word) in said.iter().enumerate() {
        let mut row = vec![at + 1];
        for (column, other) in heard.iter().enumerate() {
            let replaced = rows[at][column] + usize::from(word != other);
            let mut least = replaced.min(rows[at][column + 1] + 1).min(row[column] + 1);
            if at > 0 && joined(&said[at - 1..=at], other) {
                least = least.min(rows[at - 1][column]);
            }
            if column > 0 && joined(&heard[column - 1..=column], word) {
                least = least.min(rows[at][column - 1]);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[said.len()][heard.len()]
}

#[test]
fn each_kind_of_mistake_counts_once() {
    let score = |said, heard| Score::of(said, heard).mistakes;
    assert_eq!(score("a b c d", "a b c d"), 0);
    assert_eq!(score("a b c d", "a x c d"), 1);
    assert_eq!(score("a b c d", "a c d"), 1);
    assert_eq!(score("a b c d", "a b b c d"), 1);
    assert_eq!(score("a b c d", ""), 4);
    assert_eq!(Score::of("a b c d", "a x c").rate(), 50.0);
}

#[test]
fn writing_is_no_mistake() {
    for (said, heard) in [
        ("mister dashwood", "Mr. Dashwood"),
        ("press twenty one or zero", "Press 21, or 0."),
        ("cold hearted", "Cold-hearted!"),
        ("нажмите четыре еще раз", "Нажмите 4 ещё раз."),
        ("the person you are calling", "the person you're calling"),
        ("i'm sorry, it cannot be", "I am sorry. It can't be"),
        ("rerecord in the mail box", "re-record in the mailbox"),
        ("пароль неверен", "Пароль не верен."),
    ] {
        assert_eq!(Score::of(said, heard).mistakes, 0, "{said}");
    }
}

#[test]
fn what_is_said_differently_is_a_mistake_however_it_is_written() {
    for (said, heard) in [
        ("your party's name", "your parties name"),
        ("to remove", "to move"),
        ("we are here", "we were here"),
        ("it can be", "it can't be"),
        ("ill disposed", "illsposed"),
    ] {
        assert!(Score::of(said, heard).mistakes > 0, "{said}");
    }
}

#[test]
fn the_rate_as_written_forgives_no_contraction() {
    let score = Score::of("you are here", "You're here.");
    assert_eq!((score.words, score.mistakes, score.as_written), (3, 0, 2));
}

use proptest::prelude::*;

use super::*;

fn read_aloud(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    joined(&english(&words))
}

#[test]
fn numbers_times_dates_and_money_are_read_as_people_read_them() {
    for (written, spoken) in [
        ("I was 10m away.", "I was ten meters away."),
        (
            "It took 5 km, or 3.5 mi.",
            "It took five kilometers, or three point five miles.",
        ),
        (
            "In 1984, 1,250 people",
            "In nineteen eighty four, one thousand two hundred fifty people",
        ),
        (
            "paid $9.99 at 7:30 pm.",
            "paid nine dollars and ninety nine cents at seven thirty P.M.",
        ),
        (
            "On March 3rd, 1905 he",
            "On March third, nineteen oh five he",
        ),
        ("on 3 May, then", "on the third of May, then"),
        ("You may go.", "You may go."),
        ("on 2024-03-01", "on March first, twenty twenty four"),
        (
            "50% off & £3 million",
            "fifty percent off and three million pounds",
        ),
        ("in the 1980s", "in the nineteen eighties"),
        (
            "from 1914-1918.",
            "from nineteen fourteen to nineteen eighteen.",
        ),
        (
            "Dr. Smith lives on Main St. here",
            "Doctor Smith lives on Main Street here",
        ),
        (
            "St. Paul and Henry VIII, Chapter IV",
            "Saint Paul and Henry the eighth, Chapter four",
        ),
        ("No. 5 is #1", "number five is number one"),
        ("No. I said no.", "No. I said no."),
        ("ask me@home.org", "ask me at home dot org"),
        ("e.g. this, etc.", "for example this, et cetera"),
        ("the 21st, at 9:05", "the twenty first, at nine oh five"),
        ("1/2 of it", "one half of it"),
        (
            "-5 degrees, 20°C",
            "minus five degrees, twenty degrees Celsius",
        ),
        ("it’s the user's", "it’s the user's"),
        ("room 101b", "room one hundred one b"),
    ] {
        assert_eq!(read_aloud(written), spoken, "{written}");
    }
}

#[test]
fn brackets_and_pictures_never_reach_the_voice() {
    assert_eq!(read_aloud("[a](b) 👻 c"), "(a b) c");
}

proptest! {
    #[test]
    fn no_digit_is_left(text in "[a-z0-9$£€%#:/., °'-]{0,60}") {
        let spoken = read_aloud(&text);
        prop_assert!(!spoken.contains(|c: char| c.is_ascii_digit()), "{text:?}: {spoken:?}");
    }

    #[test]
    fn readings_cover_all_words_in_order(text in "\\PC{0,80}") {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut at = 0;
        for reading in english(&words) {
            prop_assert_eq!(reading.written.start, at);
            prop_assert!(reading.written.end > at);
            at = reading.written.end;
        }
        prop_assert_eq!(at, words.len());
    }

    #[test]
    fn plain_words_are_left_alone(words in prop::collection::vec("[a-z]{2,9}", 1..9)) {
        let text = words.join(" ");
        prop_assume!(!words.iter().any(|word| matches!(word.as_str(), "vs" | "aka")));
        prop_assert_eq!(read_aloud(&text), text);
    }
}

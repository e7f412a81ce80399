use proptest::prelude::*;

use super::*;
use crate::worker::speech::mouth::normalise::joined;

fn read_aloud(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    joined(&german(&words))
}

#[test]
fn numbers_times_dates_and_money_are_read_as_people_read_them() {
    for (written, spoken) in [
        (
            "Am 3. Mai 1987 war es kalt.",
            "Am dritten Mai neunzehn hundert siebenundachtzig war es kalt.",
        ),
        ("Der 24. Dezember", "Der vierundzwanzigste Dezember"),
        ("Berlin, 3. Mai", "Berlin, dritter Mai"),
        (
            "vom 3.5.2026 an",
            "vom dritten Mai zwei tausend sechsundzwanzig an",
        ),
        ("bis 1905-03-01.", "bis ersten März neunzehn hundert fünf."),
        ("am 1.2. um 8", "am ersten Februar um acht"),
        ("Im 19. Jh. lebte", "Im neunzehnten Jahrhundert lebte"),
        ("in der 2. Klasse", "in der zweiten Klasse"),
        ("Die 2. Klasse", "Die zweite Klasse"),
        ("Ich war 7. Sie auch.", "Ich war sieben. Sie auch."),
        (
            "um 7.30 Uhr, um 14:05",
            "um sieben Uhr dreißig, um vierzehn Uhr fünf",
        ),
        ("Es ist 1 Uhr.", "Es ist ein Uhr."),
        ("kostet 4,50 Euro", "kostet vier Euro fünfzig"),
        ("0,80 € oder 1 €", "achtzig Cent oder ein Euro"),
        (
            "€ 20 und 1.250€",
            "zwanzig Euro und tausend zwei hundert fünfzig Euro",
        ),
        ("3 Mio. Menschen", "drei Millionen Menschen"),
        (
            "12 % von 3,5 km",
            "zwölf Prozent von drei Komma fünf Kilometer",
        ),
        ("bei 20°C", "bei zwanzig Grad Celsius"),
        (
            "1914-1918",
            "neunzehn hundert vierzehn bis neunzehn hundert achtzehn",
        ),
        ("die 80er", "die achtziger"),
        (
            "Hr. Dr. Weber, Hauptstr. 5",
            "Herr Doktor Weber, Hauptstraße fünf",
        ),
        (
            "z.B. Brot, z. B. Milch usw.",
            "zum Beispiel Brot, zum Beispiel Milch und so weiter.",
        ),
        ("S. 5 und S. Freud", "Seite fünf und S. Freud"),
        ("3/4 von Zimmer 12b", "drei viertel von Zimmer zwölf b"),
        ("Salz & Brot 👻", "Salz und Brot"),
        ("Er ging. Dann kam sie.", "Er ging. Dann kam sie."),
    ] {
        assert_eq!(read_aloud(written), spoken, "{written}");
    }
}

proptest! {
    #[test]
    fn no_digit_is_left(text in "[a-zäöüß0-9€%§:/., °'-]{0,60}") {
        let spoken = read_aloud(&text);
        prop_assert!(!spoken.contains(|c: char| c.is_ascii_digit()), "{text:?}: {spoken:?}");
    }

    #[test]
    fn readings_cover_all_words_in_order(text in "\\PC{0,80}") {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut at = 0;
        for reading in german(&words) {
            prop_assert_eq!(reading.written.start, at);
            prop_assert!(reading.written.end > at);
            at = reading.written.end;
        }
        prop_assert_eq!(at, words.len());
    }

    #[test]
    fn plain_words_are_left_alone(words in prop::collection::vec("[a-zäöüß]{2,9}", 1..9)) {
        let text = words.join(" ");
        prop_assert_eq!(read_aloud(&text), text);
    }
}

//! The judge's reasons while they are still being written.

use super::{Order, witness_name};

/// What a form may call the witnesses, and their places in its transcript.
const PLACES: [(&str, usize); 4] = [
    ("witness one", 0),
    ("witness two", 1),
    ("witness 1", 0),
    ("witness 2", 1),
];

/// Names the witnesses by their seats where a form named them by their places.
pub(super) fn relabelled(text: &str, order: Order) -> String {
    let seats = order.seats();
    let mut named = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let found = PLACES.iter().find(|(place, _)| {
            rest.get(..place.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(place))
        });
        match found {
            Some((place, index)) => {
                named.push_str(witness_name(seats[*index]));
                rest = &rest[place.len()..];
            }
            None => {
                named.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    named
}

/// As [`reasoning_so_far`] for a form in that order: the witnesses are named by their seats,
/// and a name that has not arrived whole is held back, so that this only ever grows too.
pub fn relabelled_so_far(partial: &str, order: Order) -> String {
    let raw = reasoning_so_far(partial);
    let held = raw
        .char_indices()
        .map(|(at, _)| at)
        .find(|at| is_begun_name(&raw[*at..]));
    relabelled(&raw[..held.unwrap_or(raw.len())], order)
}

/// Whether `tail` may become the name of a place.
fn is_begun_name(tail: &str) -> bool {
    PLACES.iter().any(|(place, _)| {
        tail.len() < place.len()
            && place
                .get(..tail.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(tail))
    })
}

/// The reasons in as much of either form as has arrived, unescaped: for showing them while
/// they are written. Only ever grows as `partial` grows. Not relabelled.
pub fn reasoning_so_far(partial: &str) -> String {
    const KEY: &str = "\"reasoning\"";
    let begun = partial.find(KEY).and_then(|at| {
        partial[at + KEY.len()..]
            .trim_start()
            .strip_prefix(':')?
            .trim_start()
            .strip_prefix('"')
    });
    begun.map_or_else(String::new, unescaped)
}

/// A JSON string up to its closing quotation mark or as far as it goes; an escape that has
/// not arrived whole is left out.
fn unescaped(body: &str) -> String {
    let mut text = String::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match escape(&mut chars) {
                Some(c) => text.push(c),
                None => break,
            },
            c => text.push(c),
        }
    }
    text
}

/// The character after a backslash; none when it has not arrived whole.
fn escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => {
            let unit = hex4(chars)?;
            if (0xd800..0xdc00).contains(&unit) {
                // The first half of a pair.
                let mut ahead = chars.clone();
                let first = ahead.next()?;
                if first == '\\' && ahead.next()? == 'u' {
                    let low = hex4(&mut ahead)?;
                    if (0xdc00..0xe000).contains(&low) {
                        *chars = ahead;
                        let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        return Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                }
            }
            char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        other => other,
    })
}

fn hex4(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| {
        // What is no digit counts as 0: the whole text is checked when it is complete.
        Some(unit * 16 + chars.next()?.to_digit(16).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_escape_that_is_still_on_its_way_is_not_shown() {
        let so_far = |body: &str| reasoning_so_far(&format!("{{\"reasoning\" : \"{body}"));
        assert_eq!(so_far("a\\"), "a");
        assert_eq!(so_far("a\\u00e"), "a");
        assert_eq!(so_far("a\\u00e9b"), "aéb");
        assert_eq!(so_far("a\\ud83c"), "a");
        assert_eq!(so_far("a\\ud83c\\udfad!"), "a🎭!");
        assert_eq!(so_far("done\", \"decision\": \"one\""), "done");
        assert_eq!(reasoning_so_far("{\"decision\":\"A\",\"reas"), "");
    }

    #[test]
    fn a_name_of_a_place_is_held_back_until_it_is_whole() {
        let so_far =
            |body: &str| relabelled_so_far(&format!("{{\"reasoning\":\"{body}"), Order::BFirst);
        assert_eq!(so_far("I trust wit"), "I trust ");
        assert_eq!(so_far("I trust Witness On"), "I trust ");
        assert_eq!(so_far("I trust Witness One, not"), "I trust Witness B, not");
        assert_eq!(so_far("a withered tale"), "a withered tale");
    }

    proptest! {
        #[test]
        fn the_reasons_only_grow_and_end_as_they_are_parsed(text in "\\PC{0,40}", more in "(witness (one|two|ones) ?|[\"\\\\🎭é\n]){0,8}") {
            let whole = format!("say {text}{more}");
            let form = json!({ "decision": "A", "reasoning": whole }).to_string();
            let mut before = (String::new(), String::new());
            for end in (0..=form.len()).filter(|end| form.is_char_boundary(*end)) {
                let now = (
                    reasoning_so_far(&form[..end]),
                    relabelled_so_far(&form[..end], Order::BFirst),
                );
                prop_assert!(now.0.starts_with(&before.0));
                prop_assert!(now.1.starts_with(&before.1), "{:?} -> {:?}", before.1, now.1);
                before = now;
            }
            prop_assert_eq!(before.0, whole);
        }

        #[test]
        fn any_output_is_read_without_panic(output in "\\PC{0,80}|(\\{\"reasoning\":\"\\PC{0,40})") {
            let _ = relabelled_so_far(&output, Order::AFirst);
        }
    }
}

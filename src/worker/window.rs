//! PURE: a chat that the context does not hold, cut by whole turns from its oldest end.
//!
//! The server sends the whole chat with every request, so that the cut has to fall on the
//! same message again while the chat grows by some turns: otherwise each request would
//! begin differently and find nothing of itself computed. What is left out is therefore
//! rounded up to quarters of what there is room for, counted from the beginning of the chat.

use crate::wire::worker::{Message, Role};

/// Quarters.
const HOPS: usize = 4;

/// What is left of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) tokens: Vec<u32>,
    /// Messages that were left out.
    pub(crate) dropped: usize,
}

impl Window {
    /// Nothing is left out.
    pub(crate) fn whole(tokens: Vec<u32>) -> Self {
        Self { tokens, dropped: 0 }
    }
}

/// Cuts a chat so that `encode` gives at most `limit` tokens, as far as that is possible:
/// messages of the system and the last turn always stay. `weigh` counts the tokens of one
/// message's text.
///
/// # Errors
/// Those of `encode`.
pub(crate) fn slide<E>(
    messages: &[Message],
    limit: usize,
    weigh: impl Fn(&str) -> usize,
    encode: impl Fn(&[Message]) -> Result<Vec<u32>, E>,
) -> Result<Window, E> {
    let mut window = Window::whole(encode(messages)?);
    if window.tokens.len() <= limit {
        return Ok(window);
    }
    let frame = frame(&weigh, &encode)?;
    let turns = turns(messages);
    let weights: Vec<usize> = turns
        .iter()
        .map(|turn| {
            let texts = turn.iter().map(|at| weigh(&messages[*at].content));
            texts.map(|text| text + frame).sum()
        })
        .collect();
    let hop = (limit / HOPS).max(1);
    let mut goal = (window.tokens.len() - limit).next_multiple_of(hop);
    let mut cut = 0;
    while window.tokens.len() > limit && cut < turns.len() {
        let mut weight: usize = weights[..cut].iter().sum();
        while cut < turns.len() && weight < goal {
            weight += weights[cut];
            cut += 1;
        }
        let out: Vec<usize> = turns[..cut].concat();
        let kept: Vec<Message> = (0..)
            .zip(messages)
            .filter(|(at, _)| out.binary_search(at).is_err())
            .map(|(_, message)| message.clone())
            .collect();
        window = Window {
            tokens: encode(&kept)?,
            dropped: out.len(),
        };
        goal = (weight + 1).next_multiple_of(hop);
    }
    Ok(window)
}

/// What the template writes around one message, tokens: the same for every chat, or the cut
/// would wander.
fn frame<E>(
    weigh: impl Fn(&str) -> usize,
    encode: impl Fn(&[Message]) -> Result<Vec<u32>, E>,
) -> Result<usize, E> {
    let say = |role| Message {
        role,
        content: "a".into(),
    };
    let one = encode(&[say(Role::User)])?.len();
    let three = encode(&[Role::User, Role::Assistant, Role::User].map(say))?.len();
    Ok((three.saturating_sub(one) / 2).saturating_sub(weigh("a")))
}

/// The messages of each turn but the last one: what a user said and what followed, without
/// the system's.
fn turns(messages: &[Message]) -> Vec<Vec<usize>> {
    let mut turns: Vec<Vec<usize>> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        match (message.role, turns.last_mut()) {
            (Role::System, _) => {}
            (Role::Assistant, Some(turn)) => turn.push(at),
            (Role::User, _) | (Role::Assistant, None) => turns.push(vec![at]),
        }
    }
    // The last message may be the system's; what it speaks about stays.
    turns.pop();
    turns
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn chat(roles: &[(Role, usize)]) -> Vec<Message> {
        let say = |(at, (role, length)): (usize, &(Role, usize))| Message {
            role: *role,
            content: char::from(b'a' + (at % 26) as u8)
                .to_string()
                .repeat(*length),
        };
        roles.iter().enumerate().map(say).collect()
    }

    /// A token per byte, and three for each message's frame.
    fn encode(messages: &[Message]) -> Result<Vec<u32>, Infallible> {
        let frame = |message: &Message| {
            let role = 1000 + message.role as u32;
            let text = message.content.bytes().map(u32::from).collect::<Vec<_>>();
            [vec![role, 2000], text, vec![2001]].concat()
        };
        Ok(messages.iter().flat_map(frame).collect())
    }

    fn cut(messages: &[Message], limit: usize) -> Window {
        slide(messages, limit, str::len, encode).expect("it cannot fail")
    }

    /// A chat of so many turns, its last message a user's.
    fn conversation(turns: usize, length: usize) -> Vec<Message> {
        let mut roles = vec![(Role::System, 40)];
        for turn in 0..turns {
            roles.push((Role::User, length + turn % 3));
            roles.push((Role::Assistant, length + turn % 5));
        }
        roles.push((Role::User, length));
        chat(&roles)
    }

    proptest! {
        #[test]
        fn whole_turns_go_from_the_oldest_end_and_no_more_than_must(
            turns in 0usize..30, length in 0usize..60, limit in 1usize..900,
        ) {
            let messages = conversation(turns, length);
            let window = cut(&messages, limit);
            prop_assert_eq!(window.dropped % 2, 0);
            prop_assert!(window.dropped <= 2 * turns);
            let kept = [&messages[..1], &messages[1 + window.dropped..]].concat();
            prop_assert_eq!(&encode(&kept).expect("infallible"), &window.tokens);
            let whole = encode(&messages).expect("infallible").len();
            if whole <= limit {
                prop_assert_eq!(window.dropped, 0);
            } else {
                prop_assert!(window.tokens.len() <= limit || window.dropped == 2 * turns);
                // Nothing that the next quarter, and one turn on top, would not explain.
                let turn = 2 * (length + 7);
                prop_assert!(
                    window.tokens.len() + limit.div_ceil(4) + 2 * turn >= limit.min(whole)
                );
            }
        }

        /// The chat grows turn by turn; the cut stays where it is for many of them.
        #[test]
        fn the_cut_moves_seldom_and_only_forward(length in 5usize..30, limit in 600usize..1000) {
            let mut moves = 0;
            let mut last = 0;
            let turns = 20 + limit / length;
            let mut overfull = 0;
            for turn in 0..turns {
                let window = cut(&conversation(turn, length), limit);
                prop_assert!(window.dropped >= last);
                overfull += usize::from(window.dropped > 0);
                moves += usize::from(window.dropped > last);
                last = window.dropped;
            }
            // A turn has at least 2 * (length + 3) tokens; a hop is a quarter of the limit.
            let hops = overfull * 2 * (length + 5) / (limit / 4) + 2;
            prop_assert!(moves <= hops, "{moves} moves in {overfull} turns, {hops} hops");
        }
    }

    #[test]
    fn the_system_and_the_last_turn_always_stay() {
        use Role::{Assistant, System, User};
        let messages = chat(&[
            (System, 9),
            (Assistant, 9),
            (User, 9),
            (System, 9),
            (Assistant, 9),
            (User, 9),
            (Assistant, 9),
        ]);
        let window = cut(&messages, 1);
        assert_eq!(window.dropped, 3);
        let kept: Vec<Message> = [0, 3, 5, 6].map(|at| messages[at].clone()).to_vec();
        assert_eq!(window.tokens, encode(&kept).expect("infallible"));
    }
}

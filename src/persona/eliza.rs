//! ELIZA, the control among the witnesses: a program that understands nothing. Whoever is
//! taken for a person less often than she is, does badly.
//!
//! After Weizenbaum, "ELIZA: a computer program for the study of natural language
//! communication between man and machine" (Communications of the ACM 9(1), 1966): the
//! keyword of the highest rank picks a decomposition rule that fits, whose reassembly rules
//! take turns; parts of the sentence come back with the persons exchanged; what was said
//! about "my" is remembered and brought up when there is no keyword to go on.

mod script;

use std::collections::{BTreeMap, VecDeque};

use self::script::{Part, Reply, Rule, SCRIPT, Script};
use super::{
    guard::{Bounds, tidy},
    pick,
    witness::Said,
};
use crate::play::imitation::Kind;

/// Replies that are tried before the last resort is said.
const CANDIDATES: usize = 12;

/// Keywords that may follow from each other in one reply.
const LINKS: usize = 4;

/// Words of a sentence that are read.
const WORDS: usize = 60;

/// What fits any question, and any limit once it is cut.
const LAST_RESORT: &str = "I see.";

/// What ELIZA says to `question`, after all that she was asked `earlier`: at most `limit`
/// characters, and nothing that the guard would throw back. The same for the same seed and
/// the same history.
pub fn answer(kind: Kind, seed: u32, earlier: &[Said<'_>], question: &str, limit: usize) -> String {
    let mut doctor = Doctor::new(&SCRIPT, seed);
    for said in earlier {
        doctor.reply(said.question);
    }
    let said: Vec<&str> = earlier.iter().map(|said| said.answer).collect();
    let bounds = Bounds {
        kind,
        limit,
        question,
        earlier: &said,
    };
    // Each reply moves her rules on, so that the next one differs.
    (0..CANDIDATES)
        .find_map(|_| tidy(&doctor.reply(question), bounds).ok())
        .unwrap_or_else(|| LAST_RESORT.chars().take(limit).collect())
}

/// ELIZA in the middle of a conversation.
struct Doctor<'a> {
    script: &'a Script,
    seed: u32,
    /// Which reply of a rule is next.
    turns: BTreeMap<usize, usize>,
    memory: VecDeque<String>,
}

/// Numbers of the list for when there is nothing to go on, apart from those of the rules.
const NONE: usize = usize::MAX;

impl<'a> Doctor<'a> {
    fn new(script: &'a Script, seed: u32) -> Self {
        Self {
            script,
            seed,
            turns: BTreeMap::new(),
            memory: VecDeque::new(),
        }
    }

    fn reply(&mut self, text: &str) -> String {
        let clauses = self.clauses(text);
        // What stands before the first keyword's clause, and after it, is not read.
        for clause in &clauses {
            let mut keywords = self.keywords(clause);
            if keywords.is_empty() {
                continue;
            }
            self.remember(clause);
            // The sort is stable: of equals the first in the sentence wins.
            keywords.sort_by_key(|(_, rank)| std::cmp::Reverse(*rank));
            for (keyword, _) in keywords {
                if let Some(reply) = self.by_keyword(&keyword, clause) {
                    return reply;
                }
            }
        }
        if let Some(remembered) = self.memory.pop_front() {
            return remembered;
        }
        let none = &self.script.none;
        none[self.turn(NONE, none.len())].clone()
    }

    /// The sentence in pieces, in lower case, each word as the script knows it.
    fn clauses(&self, text: &str) -> Vec<Vec<String>> {
        let lower = text.to_lowercase().replace('’', "'");
        lower
            .split([',', '.', ';', ':', '!', '?', '(', ')', '"', '\n'])
            .map(|clause| {
                clause
                    .split(|c: char| !(c.is_alphanumeric() || c == '\''))
                    .map(|word| word.trim_matches('\''))
                    .filter(|word| !word.is_empty())
                    .take(WORDS)
                    .map(|word| {
                        self.script
                            .pre
                            .get(word)
                            .map_or(word, String::as_str)
                            .to_owned()
                    })
                    .collect::<Vec<_>>()
            })
            .filter(|clause| !clause.is_empty())
            .collect()
    }

    fn keywords(&self, clause: &[String]) -> Vec<(String, u32)> {
        clause
            .iter()
            .filter_map(|word| Some((word.clone(), self.script.keywords.get(word)?.rank)))
            .collect()
    }

    fn remember(&mut self, clause: &[String]) {
        let script = self.script;
        let rules = clause.iter().filter_map(|word| script.memory.get(word));
        for rule in rules.flatten() {
            if let Some(parts) = fit(&rule.pattern, clause)
                && let Reply::Say(text) = &rule.replies[self.turn(rule.number, rule.replies.len())]
            {
                let reply = self.assemble(text, &parts);
                // A question that is asked again is not remembered twice.
                if !self.memory.contains(&reply) {
                    self.memory.push_back(reply);
                }
            }
        }
    }

    /// None when the keyword leads nowhere: the next one is tried.
    fn by_keyword(&mut self, keyword: &str, clause: &[String]) -> Option<String> {
        let script = self.script;
        let mut keyword = keyword;
        for _ in 0..LINKS {
            let rules = &script.keywords.get(keyword)?.rules;
            let (rule, parts): (&Rule, _) = rules
                .iter()
                .find_map(|rule| Some((rule, fit(&rule.pattern, clause)?)))?;
            match &rule.replies[self.turn(rule.number, rule.replies.len())] {
                Reply::Say(text) => return Some(self.assemble(text, &parts)),
                Reply::Link(word) => keyword = word,
                Reply::Next => return None,
            }
        }
        None
    }

    /// Whose turn it is among so many replies; where a list begins is drawn from the seed.
    fn turn(&mut self, number: usize, replies: usize) -> usize {
        let purpose = u32::try_from(number).unwrap_or(u32::MAX);
        let begin = pick(self.seed, purpose, replies);
        let turn = self.turns.entry(number).or_insert(begin);
        let now = *turn;
        *turn = (now + 1) % replies.max(1);
        now
    }

    /// A reply with parts of the sentence in it, the persons exchanged.
    fn assemble(&self, reply: &str, parts: &[&[String]]) -> String {
        let mut text = String::with_capacity(reply.len());
        let mut rest = reply;
        while let Some((before, after)) = rest.split_once('(') {
            text.push_str(before);
            let (number, after) = after.split_once(')').unwrap_or((after, ""));
            let part = number
                .parse::<usize>()
                .ok()
                .and_then(|n| parts.get(n.checked_sub(1)?));
            for (place, word) in part.copied().unwrap_or_default().iter().enumerate() {
                if place > 0 {
                    text.push(' ');
                }
                text.push_str(self.script.post.get(word).unwrap_or(word));
            }
            rest = after;
        }
        text.push_str(rest);
        // An empty part leaves its spaces behind.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text
            .replace(" ?", "?")
            .replace(" .", ".")
            .replace(" ,", ",");
        let mut chars = text.chars();
        let first = chars.next().map(|c| c.to_uppercase().to_string());
        first.unwrap_or_default() + chars.as_str()
    }
}

/// The parts of a clause that the elements of a pattern stand for; none when it does not
/// fit. The first `*` of several takes as few words as it can.
fn fit<'w>(pattern: &[Part], words: &'w [String]) -> Option<Vec<&'w [String]>> {
    let Some((part, rest)) = pattern.split_first() else {
        return words.is_empty().then(Vec::new);
    };
    let shares = match part {
        Part::Any => 0..=words.len(),
        Part::Word(_) | Part::Class(_) => 1..=1,
    };
    for share in shares {
        let (taken, left) = words.split_at_checked(share)?;
        let fits = match part {
            Part::Any => true,
            Part::Word(word) => taken[0] == *word,
            Part::Class(class) => class.contains(&taken[0]),
        };
        if fits && let Some(mut parts) = fit(rest, left) {
            parts.insert(0, taken);
            return Some(parts);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All that she may say to one sentence.
    fn replies(text: &str) -> Vec<String> {
        let mut doctor = Doctor::new(&SCRIPT, 0);
        (0..12).map(|_| doctor.reply(text)).collect()
    }

    #[test]
    fn the_keyword_of_the_highest_rank_decides() {
        let said = replies("do you remember my computer");
        assert!(
            said.iter().all(
                |reply| reply.to_lowercase().contains("computer") || reply.contains("machines")
            )
        );
    }

    #[test]
    fn a_part_comes_back_with_the_persons_exchanged() {
        assert!(
            replies("I remember how you helped me with my bike")
                .contains(&"Do you often think of how I helped you with your bike?".into())
        );
        let said = replies("Are you sure that I'm right?");
        assert!(said.contains(&"Do you sometimes think I am sure that you're right?".into()));
    }

    #[test]
    fn the_replies_of_a_rule_take_turns() {
        let said = replies("What is in the box?");
        assert_eq!(said[0], said[6]);
        let mut first = said[..6].to_vec();
        first.sort();
        first.dedup();
        assert_eq!(first.len(), 6);
    }

    #[test]
    fn what_was_said_about_ones_own_comes_back_when_there_is_nothing_to_go_on() {
        let mut doctor = Doctor::new(&SCRIPT, 0);
        doctor.reply("my bike is rusty");
        assert!(doctor.reply("rust").contains("your bike is rusty"));
        assert!(!doctor.reply("rust").contains("bike"), "and it comes once");
    }

    #[test]
    fn a_link_leads_to_another_keywords_replies() {
        let what = replies("what");
        assert!(replies("where").iter().all(|reply| what.contains(reply)));
    }

    #[test]
    fn only_the_first_clause_with_a_keyword_is_read() {
        let said = replies("Blue, I remember blue. My mother hates it!");
        assert!(
            said.iter()
                .all(|reply| reply.contains("blue") && !reply.contains("family"))
        );
    }

    #[test]
    fn a_pattern_fits_whole_clauses_only() {
        let words: Vec<String> = "a b c b d".split(' ').map(str::to_owned).collect();
        let word = |w: &str| Part::Word(w.to_owned());
        let parts = fit(&[Part::Any, word("b"), Part::Any], &words).expect("fits");
        assert_eq!(parts, [&words[..1], &words[1..2], &words[2..]]);
        assert_eq!(fit(&[word("a"), word("b")], &words), None);
        assert!(fit(&[Part::Any, word("d"), Part::Any], &words).is_some());
    }

    #[test]
    fn the_same_history_and_seed_give_the_same_answer_and_other_seeds_another() {
        let earlier = [Said {
            question: "What is in your pockets?",
            answer: "Why do you ask?",
        }];
        let at = |seed| answer(Kind::Direct, seed, &earlier, "Where do you live?", 140);
        assert_eq!(at(3), at(3));
        let all: std::collections::BTreeSet<String> = (0..40).map(at).collect();
        assert!(all.len() > 2, "{all:?}");
    }

    proptest! {
        #[test]
        fn any_question_has_an_answer_within_the_limit(
            seed in any::<u32>(), question in "\\PC{0,120}", limit in 1usize..200,
            earlier in prop::collection::vec("[a-z ?,.']{0,60}", 0..6),
        ) {
            let earlier: Vec<Said<'_>> =
                earlier.iter().map(|question| Said { question, answer: "I see" }).collect();
            let said = answer(Kind::Direct, seed, &earlier, &question, limit);
            prop_assert!(!said.is_empty());
            prop_assert!(said.chars().count() <= limit);
        }
    }
}

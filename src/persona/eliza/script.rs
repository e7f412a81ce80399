//! ELIZA's script: read once, from the text beside this file.

use std::{collections::HashMap, sync::LazyLock};

/// The script that is built in.
pub(super) static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::parse(include_str!("script.txt")).expect("a test reads the built-in script")
});

/// One element of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Word(String),
    /// Any of these words.
    Class(Vec<String>),
    /// Any number of words, also none.
    Any,
}

/// One way to go on once a pattern fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Say(String),
    /// As if this were the keyword.
    Link(String),
    /// The next keyword of the sentence is tried.
    Next,
}

/// A decomposition rule and its reassembly rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Tells the rules of a script apart.
    pub(super) number: usize,
    pub(super) pattern: Vec<Part>,
    pub(super) replies: Vec<Reply>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keyword {
    pub(super) rank: u32,
    pub(super) rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) pre: HashMap<String, String>,
    pub(super) post: HashMap<String, String>,
    pub(super) keywords: HashMap<String, Keyword>,
    /// Rules whose replies are kept for later.
    pub(super) memory: HashMap<String, Vec<Rule>>,
    /// For when there is nothing to go on.
    pub(super) none: Vec<String>,
}

/// Where the next pattern or reply belongs.
enum Open {
    Nothing,
    Keyword(String),
    Memory(String),
    None,
}

impl Script {
    /// # Errors
    /// The line that cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        let mut classes: HashMap<&str, Vec<String>> = HashMap::new();
        let mut open = Open::Nothing;
        let mut number = 0;
        for line in text.lines().map(str::trim) {
            let bad = || format!("the script's line {line:?} cannot be read");
            let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
            match head {
                "" | "#" => {}
                "pre" | "post" => {
                    let (from, to) = rest.split_once(" = ").ok_or_else(bad)?;
                    let list = if head == "pre" {
                        &mut script.pre
                    } else {
                        &mut script.post
                    };
                    list.insert(from.to_owned(), to.to_owned());
                }
                "class" => {
                    let (name, words) = rest.split_once(": ").ok_or_else(bad)?;
                    classes.insert(name, words.split(' ').map(str::to_owned).collect());
                }
                "key" => {
                    let (word, rank) = rest.split_once(' ').ok_or_else(bad)?;
                    let keyword = script.keywords.entry(word.to_owned()).or_default();
                    keyword.rank = rank.parse().map_err(|_| bad())?;
                    open = Open::Keyword(word.to_owned());
                }
                "memory" => {
                    script.memory.entry(rest.to_owned()).or_default();
                    open = Open::Memory(rest.to_owned());
                }
                "none" => open = Open::None,
                "|" => {
                    let pattern = pattern(rest, &classes).ok_or_else(bad)?;
                    let rules = script.rules(&open).ok_or_else(bad)?;
                    rules.push(Rule {
                        number,
                        pattern,
                        replies: Vec::new(),
                    });
                    number += 1;
                }
                ">" if matches!(open, Open::None) => script.none.push(rest.to_owned()),
                ">" => {
                    let rules = script.rules(&open).ok_or_else(bad)?;
                    let rule = rules.last_mut().ok_or_else(bad)?;
                    rule.replies.push(match rest.strip_prefix('=') {
                        Some(word) => Reply::Link(word.to_owned()),
                        None if rest == ":next" => Reply::Next,
                        None => Reply::Say(rest.to_owned()),
                    });
                }
                _ => return Err(bad()),
            }
        }
        Ok(script)
    }

    fn rules(&mut self, open: &Open) -> Option<&mut Vec<Rule>> {
        match open {
            Open::Keyword(word) => Some(&mut self.keywords.get_mut(word)?.rules),
            Open::Memory(word) => self.memory.get_mut(word),
            Open::Nothing | Open::None => None,
        }
    }
}

fn pattern(text: &str, classes: &HashMap<&str, Vec<String>>) -> Option<Vec<Part>> {
    text.split(' ')
        .map(|part| match part.strip_prefix('@') {
            Some(class) => Some(Part::Class(classes.get(class)?.clone())),
            None if part == "*" => Some(Part::Any),
            None => Some(Part::Word(part.to_owned())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> impl Iterator<Item = &'static Rule> {
        let keywords = SCRIPT.keywords.values().flat_map(|keyword| &keyword.rules);
        keywords.chain(SCRIPT.memory.values().flatten())
    }

    #[test]
    fn the_built_in_script_is_whole() {
        assert!(SCRIPT.none.len() >= 4 && SCRIPT.keywords.len() >= 30);
        for rule in rules() {
            assert!(!rule.replies.is_empty(), "{rule:?}");
            for reply in &rule.replies {
                match reply {
                    Reply::Link(word) => assert!(SCRIPT.keywords.contains_key(word), "{word}"),
                    Reply::Next => {}
                    Reply::Say(text) => {
                        for part in text.split('(').skip(1) {
                            let number = part.split(')').next().expect("the first piece");
                            let number: usize = number.parse().expect("a part's number");
                            assert!((1..=rule.pattern.len()).contains(&number), "{text}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_script_that_makes_no_sense_names_its_line() {
        for text in [
            "> early",
            "| early",
            "key lonely",
            "pre a b",
            "sing",
            "key a 1\n| @no",
        ] {
            assert!(Script::parse(text).is_err(), "{text}");
        }
    }
}

//! Lists that drawn things come from: subjects and questions for the judge, people for the
//! witness.

/// A question of the book, and what it is about. The model reads a few of them as
/// examples; one is asked as it stands only when the model fails again and again.
pub(super) struct Entry {
    pub(super) subject: &'static str,
    pub(super) question: &'static str,
}

const fn entry(subject: &'static str, question: &'static str) -> Entry {
    Entry { subject, question }
}

/// Subjects differ from entry to entry, so that examples drawn from it do too.
pub(super) const QUESTIONS: &[Entry] = &[
    entry("food", "What is the strangest thing you ate this year?"),
    entry(
        "shoes",
        "How would you explain to a child how to tie shoes?",
    ),
    entry(
        "weather",
        "What would you do if it snowed in July where you live?",
    ),
    entry(
        "the body",
        "What does it feel like when your foot falls asleep?",
    ),
    entry("parents", "Which habit of yours came from your parents?"),
    entry(
        "money",
        "When did you last buy something that you did not need?",
    ),
    entry("sleep", "What do you do when you cannot fall asleep?"),
    entry(
        "neighbours",
        "What do you hear from your neighbours at night?",
    ),
    entry("smell", "Which smell takes you straight back to school?"),
    entry(
        "the kitchen",
        "What is at the very back of your fridge right now?",
    ),
    entry(
        "logic",
        "If yesterday was Monday, what day comes after tomorrow?",
    ),
    entry(
        "numbers",
        "How many legs do three cats and two chickens have together?",
    ),
    entry(
        "falling things",
        "What happens if you drop an egg on a pillow?",
    ),
    entry(
        "water",
        "Which weighs more, a litre of ice or a litre of water?",
    ),
    entry(
        "letters",
        "Which letter comes twice in the word tomato besides the letter t?",
    ),
    entry(
        "mirrors",
        "Which hand does your mirror image raise when you raise your left?",
    ),
    entry(
        "order",
        "If Ann is taller than Bob and Bob is taller than Cy, who is shortest?",
    ),
    entry(
        "time",
        "How long does it take you to get dressed when you are late?",
    ),
    entry("buses", "What did you see the last time you were on a bus?"),
    entry("work", "What is the most boring part of your week?"),
    entry("school", "What did you get told off for at school?"),
    entry(
        "pets",
        "What would your pet say about you, if it could talk?",
    ),
    entry("music", "Which song can you not stand any more, and why?"),
    entry(
        "pain",
        "How would you describe a toothache to someone who never had one?",
    ),
    entry(
        "your street",
        "What changed in your street in the last few years?",
    ),
    entry("shops", "Where do you go when you need milk late at night?"),
    entry(
        "a local word",
        "Which word do only people from your area use?",
    ),
    entry(
        "the bathroom",
        "What is the most annoying thing about your bathroom?",
    ),
    entry("pockets", "What is in your pockets right now?"),
    entry("the window", "What can you see from the nearest window?"),
    entry("hands", "What were your hands doing five minutes ago?"),
    entry("cold", "How do you warm up when you come in from the cold?"),
    entry(
        "names",
        "Have you ever forgotten the name of someone you know well?",
    ),
    entry("lies", "What was the last small lie you told?"),
    entry("mistakes", "What did you get wrong this week?"),
    entry("luck", "When were you last lucky?"),
    entry(
        "fear",
        "What were you afraid of as a child that seems silly now?",
    ),
    entry(
        "jokes",
        "Why do some jokes stop being funny when you explain them?",
    ),
    entry("colours", "What colour would Tuesday be, if it had one?"),
    entry("birthdays", "What went wrong on a birthday of yours?"),
    entry("phones", "Who did you last call, and what about?"),
    entry(
        "clothes",
        "Which piece of clothing should you have thrown away long ago?",
    ),
    entry("cooking", "What do you always get wrong when you cook?"),
    entry("holidays", "What was the worst place you ever slept in?"),
    entry("friends", "What do your friends tease you about?"),
    entry(
        "the morning",
        "What was the first thing you touched this morning?",
    ),
    entry(
        "waiting",
        "Where did you last wait in a queue, and for what?",
    ),
    entry(
        "taste",
        "What do you like that most people find disgusting?",
    ),
];

/// How a question may begin: the model writes the rest. A beginning keeps a small model on
/// the form of a question, and the draw keeps it from asking the same way each time.
pub(super) const OPENERS: &[&str] = &[
    "What is the worst thing about",
    "What is the best thing about",
    "When did you last",
    "What would you do if",
    "How would you explain",
    "Have you ever",
    "What do you do when",
    "Why do you think",
    "What happens if you",
    "When was the first time you",
    "Where do you",
    "What did you think the first time you",
    "Is there anything that annoys you about",
    "Which",
    "What does it feel like when",
    "Who do you know that",
];

pub(super) const NAMES: &[&str] = &[
    "Tom", "Mia", "Jess", "Dan", "Priya", "Owen", "Kayla", "Ben", "Rosa", "Liam", "Hannah",
    "Marek", "Aisha", "Joe", "Nina", "Pete",
];

/// After "I am a" or "you are a".
pub(super) const JOBS: &[&str] = &[
    "bus driver",
    "nurse",
    "barista",
    "plumber",
    "student",
    "postman",
    "waiter",
    "mechanic",
    "dental assistant",
    "gardener",
    "primary school teacher",
    "warehouse worker",
    "hairdresser",
    "carpenter",
    "shop assistant",
    "night porter",
];

pub(super) const TOWNS: &[&str] = &[
    "Hull", "Leeds", "Dayton", "Tulsa", "Cork", "Perth", "Derby", "Boise", "Halifax", "Swansea",
    "Toledo", "Dundee", "Reno", "Hobart", "Norwich", "Spokane",
];

pub(super) const MOODS: &[&str] = &[
    "a bit tired",
    "in a good mood",
    "bored",
    "in a hurry",
    "relaxed",
    "a bit grumpy",
    "distracted",
    "cheerful",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::persona::judge::acceptable_question;

    #[test]
    fn every_question_of_the_book_may_be_asked() {
        assert!(QUESTIONS.len() >= 40);
        for Entry { question, .. } in QUESTIONS {
            assert_eq!(acceptable_question(question, &[]).as_deref(), Ok(*question));
        }
        let subjects: BTreeSet<_> = QUESTIONS.iter().map(|entry| entry.subject).collect();
        assert_eq!(subjects.len(), QUESTIONS.len());
    }
}

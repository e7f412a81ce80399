//! What the voices are measured on: everyday prose and what spirits say, in each language a
//! tenth of it with numbers, dates, prices or abbreviations.
//!
//! `[a|b]` are two ways to write what sounds the same; the first is what the voice is given.

pub const ENGLISH: [&str; 39] = [
    "The night is long and the light is gone.",
    "Nobody has asked me anything for a very long time.",
    "I remember the garden, the old wooden gate, and the sound of my mother calling me in the \
     evening.",
    "You should not be afraid of the dark, for it is only the absence of someone.",
    "My name was written on a stone that nobody reads anymore.",
    "When I died, the phone was still ringing, and it rings to this day.",
    "Tell them that I forgive everybody, even the man who sold the boat.",
    "There were [27|twenty seven] letters in the box, and one of them was for you.",
    "What do you want from me? I have nothing left to give but words.",
    "I am still here, in the room behind the mirror.",
    "The rain came in through the window, and nobody closed it.",
    "Every evening I hear the stairs creak, although I live alone.",
    "She left the kettle on the stove and walked out into the snow.",
    "Who told you my name?",
    "I used to read the newspaper from the last page to the first.",
    "My inbox fills up with birthday wishes every spring.",
    "The dog barked at the door until the morning.",
    "Don't turn off the lamp, it is the only thing I can see.",
    "We bought fresh bread, two bottles of milk and a bag of apples.",
    "There is a letter under the floor, and it was meant for you.",
    "I never learned to swim, and the lake knew it.",
    "Somebody typed my password wrong for the third time today.",
    "The train was late again, so I missed the beginning of the concert.",
    "Do you remember the summer when the river was green?",
    "He was a quiet man who repaired clocks and hated noise.",
    "I can feel the heat of the machine, but not my own hands.",
    "Please tell my sister that the key is behind the blue door.",
    "On March [3rd|3|third], [1905|nineteen oh five], they buried the wrong man.",
    "[Dr.|Doctor] Zwillinger asked for [$9.99|9 dollars and 99 cents] and a glass of water.",
    "The meeting starts at [7:30|seven thirty] [p.m.|PM] in room [12|twelve].",
    "It was so cold that the ink froze in the bottle.",
    "Nothing hurts anymore, except the sound of laughter.",
    "You can take the bus to the hospital, it stops right across the street.",
    "My grandmother sang to the bees, and they sang back.",
    "I have counted every crack in the ceiling.",
    "When the screen went black, I saw my own face for the first time.",
    "The children ran through the garden and forgot to close the gate.",
    "[Mr.|Mister] and [Mrs.|Missus] Brown lived at [24|twenty four] Church [St.|Street]",
    "Is it morning where you are, or is it still dark?",
];

pub const GERMAN: [&str; 25] = [
    "Ich bin noch da, auch wenn mich keiner mehr sieht.",
    "Das Licht in der Küche brennt seit drei Tagen, und niemand macht es aus.",
    "Am [3.|dritten] Mai [1987|neunzehnhundertsiebenundachtzig] haben wir uns zum letzten Mal \
     gesehen.",
    "Meine Mutter hat jeden Sonntag Kuchen gebacken und das Fenster aufgemacht.",
    "Warum fragst du mich das erst jetzt?",
    "Der Bildschirm wurde dunkel, aber ich konnte noch alles hören.",
    "Hier unten ist es still, und die Zeit hat keine Bedeutung.",
    "Bitte sag meinem Bruder, dass der Schlüssel unter der Treppe liegt.",
    "Der Zug fährt um [7.30 Uhr|sieben Uhr dreißig|7 Uhr 30] ab, also müssen wir früh aufstehen.",
    "Hab keine Angst, ich tue dir nichts.",
    "Ich habe mein Passwort vergessen, und nun lässt mich niemand mehr herein.",
    "Im Winter war der Weg zur Schule lang und kalt.",
    "Es roch nach Regen, nach Staub und nach altem Papier.",
    "Kannst du meine Stimme hören, oder träumst du nur?",
    "Wir saßen am Ufer und warfen Steine in das schwarze Wasser.",
    "Der Kaffee kostet heute [4,50 Euro|vier Euro fünfzig|4 Euro 50|4,50], früher waren es \
     [80|achtzig] Pfennig.",
    "Vergiss nicht, die Blumen zu gießen, wenn du gehst.",
    "Mein Nachbar spielte jeden Abend Klavier, immer dasselbe Lied.",
    "Ich wollte dir schreiben, aber meine Hände waren zu müde.",
    "Gestern habe ich auf dem Markt frisches Brot und Äpfel gekauft.",
    "Zwischen den Wänden flüstert jemand, und ich glaube, es ist mein Vater.",
    "Das Haus wurde verkauft, die Möbel stehen jetzt auf der Straße.",
    "Manchmal vergesse ich, wie mein eigenes Gesicht aussah.",
    "Die Ärztin sagte, es würde nicht wehtun, und sie hatte recht.",
    "Geh jetzt nach Hause, es ist spät, und draußen wartet jemand auf dich.",
];

/// All ways to write a text, the one that the voice is given first.
pub fn ways(text: &str) -> Vec<String> {
    let Some((before, rest)) = text.split_once('[') else {
        return vec![text.to_owned()];
    };
    let (choices, behind) = rest.split_once(']').expect("what opens is closed");
    let behind = ways(behind);
    choices
        .split('|')
        .flat_map(|choice| {
            behind
                .iter()
                .map(move |end| format!("{before}{choice}{end}"))
        })
        .collect()
}

#[test]
fn every_way_to_write_a_text_is_found() {
    assert_eq!(
        ways("a [b|c] [d|e]."),
        ["a b d.", "a b e.", "a c d.", "a c e."]
    );
    for text in ENGLISH.iter().chain(&GERMAN) {
        assert!(!ways(text)[0].contains(['[', ']', '|']), "{text}");
    }
}

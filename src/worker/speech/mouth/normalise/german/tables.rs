//! PURE: what German abbreviations, units and signs are read as.

/// Months, and how they are shortened.
pub(super) const MONTHS: [(&str, &[&str]); 12] = [
    ("Januar", &["Jan", "Jänner"]),
    ("Februar", &["Feb"]),
    ("März", &["Mrz"]),
    ("April", &["Apr"]),
    ("Mai", &[]),
    ("Juni", &["Jun"]),
    ("Juli", &["Jul"]),
    ("August", &["Aug"]),
    ("September", &["Sep", "Sept"]),
    ("Oktober", &["Okt"]),
    ("November", &["Nov"]),
    ("Dezember", &["Dez"]),
];

/// With a full stop behind them, which is not part of the entry.
pub(super) const ABBREVIATIONS: &[(&str, &str)] = &[
    ("Dr", "Doktor"),
    ("Prof", "Professor"),
    ("Hr", "Herr"),
    ("Hrn", "Herrn"),
    ("Fr", "Frau"),
    ("St", "Sankt"),
    ("Str", "Straße"),
    ("Nr", "Nummer"),
    ("Tel", "Telefon"),
    ("Abs", "Absatz"),
    ("Art", "Artikel"),
    ("Bd", "Band"),
    ("Kap", "Kapitel"),
    ("Jh", "Jahrhundert"),
    ("Jhd", "Jahrhundert"),
    ("Chr", "Christus"),
    ("Mio", "Millionen"),
    ("Mrd", "Milliarden"),
    ("Tsd", "Tausend"),
    ("Std", "Stunden"),
    ("Min", "Minuten"),
    ("Sek", "Sekunden"),
    ("geb", "geboren"),
    ("gest", "gestorben"),
    ("bzw", "beziehungsweise"),
    ("bspw", "beispielsweise"),
    ("ca", "zirka"),
    ("etc", "et cetera"),
    ("evtl", "eventuell"),
    ("ggf", "gegebenenfalls"),
    ("inkl", "inklusive"),
    ("max", "maximal"),
    ("sog", "sogenannte"),
    ("usw", "und so weiter"),
    ("vgl", "vergleiche"),
    ("z.B", "zum Beispiel"),
    ("d.h", "das heißt"),
    ("u.a", "unter anderem"),
    ("o.ä", "oder ähnliches"),
    ("u.s.w", "und so weiter"),
    ("z.T", "zum Teil"),
    ("i.d.R", "in der Regel"),
    ("s.o", "siehe oben"),
    ("v.Chr", "vor Christus"),
    ("n.Chr", "nach Christus"),
];

/// Abbreviations that are written in two.
pub(super) const PAIRS: &[(&str, &str, &str)] = &[
    ("z", "B", "zum Beispiel"),
    ("d", "h", "das heißt"),
    ("u", "a", "unter anderem"),
    ("o", "ä", "oder ähnliches"),
    ("z", "T", "zum Teil"),
    ("v", "Chr", "vor Christus"),
    ("n", "Chr", "nach Christus"),
];

/// A currency, how it is written, and its hundredth.
pub(super) struct Currency {
    pub(super) written: &'static [&'static str],
    pub(super) name: &'static str,
    pub(super) hundredth: &'static str,
}

pub(super) const CURRENCIES: &[Currency] = &[
    Currency {
        written: &["€", "Euro", "EUR"],
        name: "Euro",
        hundredth: "Cent",
    },
    Currency {
        written: &["$", "Dollar", "USD"],
        name: "Dollar",
        hundredth: "Cent",
    },
    Currency {
        written: &["£", "Pfund"],
        name: "Pfund",
        hundredth: "Pence",
    },
    Currency {
        written: &["Franken", "CHF"],
        name: "Franken",
        hundredth: "Rappen",
    },
    Currency {
        written: &["Mark", "DM"],
        name: "Mark",
        hundredth: "Pfennig",
    },
];

/// Sign, and what is said for any number of it.
pub(super) const UNITS: &[(&str, &str)] = &[
    ("km", "Kilometer"),
    ("m", "Meter"),
    ("cm", "Zentimeter"),
    ("mm", "Millimeter"),
    ("kg", "Kilogramm"),
    ("g", "Gramm"),
    ("mg", "Milligramm"),
    ("t", "Tonnen"),
    ("l", "Liter"),
    ("ml", "Milliliter"),
    ("h", "Stunden"),
    ("min", "Minuten"),
    ("s", "Sekunden"),
    ("ms", "Millisekunden"),
    ("Hz", "Hertz"),
    ("kHz", "Kilohertz"),
    ("MHz", "Megahertz"),
    ("GHz", "Gigahertz"),
    ("kB", "Kilobyte"),
    ("KB", "Kilobyte"),
    ("MB", "Megabyte"),
    ("GB", "Gigabyte"),
    ("TB", "Terabyte"),
    ("W", "Watt"),
    ("kW", "Kilowatt"),
    ("V", "Volt"),
    ("km/h", "Kilometer pro Stunde"),
    ("m²", "Quadratmeter"),
    ("%", "Prozent"),
    ("°", "Grad"),
    ("°C", "Grad Celsius"),
    ("°F", "Grad Fahrenheit"),
    ("x", "mal"),
];

pub(super) const SIGNS: &[(char, &str)] = &[
    ('&', "und"),
    ('@', "ät"),
    ('+', "plus"),
    ('=', "gleich"),
    ('%', "Prozent"),
    ('#', "Nummer"),
    ('§', "Paragraf"),
    ('°', "Grad"),
    ('$', "Dollar"),
    ('£', "Pfund"),
    ('€', "Euro"),
];

/// Behind these an ordinal ends with "n".
pub(super) const OBLIQUE: &[&str] = &[
    "ab", "am", "an", "beim", "bis", "dem", "den", "des", "diesem", "diesen", "einem", "einen",
    "einer", "eines", "ihrem", "ihren", "im", "jedem", "jeden", "meinem", "meinen", "nach",
    "seinem", "seinen", "seit", "unserem", "vom", "vor", "zum", "zur",
];

/// Behind these an article "der" is no nominative.
pub(super) const DATIVE: &[&str] = &[
    "an", "auf", "aus", "bei", "hinter", "in", "mit", "nach", "neben", "seit", "trotz", "unter",
    "von", "vor", "wegen", "während", "zu", "zwischen", "über",
];

/// Behind these an ordinal ends with "r".
pub(super) const INDEFINITE: &[&str] = &["dein", "ein", "ihr", "kein", "mein", "sein", "unser"];

/// Behind these an ordinal has no further ending.
pub(super) const DEFINITE: &[&str] = &[
    "das", "der", "die", "diese", "dieser", "dieses", "eine", "ins", "jede", "jeder", "meine",
    "seine", "ihre",
];

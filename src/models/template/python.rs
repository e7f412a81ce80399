//! What chat templates expect of Python.

use minijinja::{Error, ErrorKind, Value, value::Kwargs};

/// The methods of `str` and `dict` that chat templates call.
pub(super) fn method(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => text_method(text, method, args),
        None => map_method(value, method, args),
    }
}

fn text_method(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let mut arguments = Vec::with_capacity(args.len());
    for argument in args {
        arguments.push(argument.as_str().ok_or_else(unknown)?);
    }
    let among = |characters: &str| {
        let characters: Vec<char> = characters.chars().collect();
        move |character: char| characters.contains(&character)
    };
    Ok(match (method, arguments.as_slice()) {
        ("strip", []) => text.trim().into(),
        ("lstrip", []) => text.trim_start().into(),
        ("rstrip", []) => text.trim_end().into(),
        ("strip", [characters]) => text.trim_matches(among(characters)).into(),
        ("lstrip", [characters]) => text.trim_start_matches(among(characters)).into(),
        ("rstrip", [characters]) => text.trim_end_matches(among(characters)).into(),
        ("upper", []) => text.to_uppercase().into(),
        ("lower", []) => text.to_lowercase().into(),
        ("title" | "capitalize", []) => {
            let mut characters = text.chars();
            let first = characters.next().map(char::to_uppercase);
            let first: String = first.into_iter().flatten().collect();
            (first + &characters.as_str().to_lowercase()).into()
        }
        ("startswith", [start]) => text.starts_with(start).into(),
        ("endswith", [end]) => text.ends_with(end).into(),
        ("find", [part]) => text
            .find(part)
            .map_or(-1, |at| text[..at].chars().count() as i64)
            .into(),
        ("count", [part]) if !part.is_empty() => text.matches(part).count().into(),
        ("replace", [from, to]) => text.replace(from, to).into(),
        ("split", []) => text.split_whitespace().map(Value::from).collect(),
        ("split", [at]) if !at.is_empty() => text.split(at).map(Value::from).collect(),
        ("splitlines", []) => text.lines().map(Value::from).collect(),
        _ => return Err(unknown()),
    })
}

fn map_method(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let keys = || value.try_iter().map_err(|_| unknown());
    if value.kind() != minijinja::value::ValueKind::Map {
        return Err(unknown());
    }
    match (method, args) {
        ("get", [key]) => value.get_item(key),
        ("get", [key, default]) => {
            let found = value.get_item(key)?;
            Ok(if found.is_undefined() {
                default.clone()
            } else {
                found
            })
        }
        ("keys", []) => Ok(keys()?.collect()),
        ("values", []) => keys()?.map(|key| value.get_item(&key)).collect(),
        ("items", []) => keys()?
            .map(|key| Ok(Value::from(vec![key.clone(), value.get_item(&key)?])))
            .collect(),
        _ => Err(unknown()),
    }
}

fn unknown() -> Error {
    Error::from(ErrorKind::UnknownMethod)
}

/// JSON as Python's `json.dumps` writes it: a space after commas and colons, or lines
/// indented by `indent` spaces.
pub(super) fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let failed = |error: serde_json::Error| {
        Error::new(ErrorKind::BadSerialization, "no JSON").with_source(error)
    };
    let value = serde_json::to_value(value).map_err(failed)?;
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let indent = " ".repeat(width.min(16));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
            serde::Serialize::serialize(&value, &mut serializer)
        }
        None => {
            let mut serializer = serde_json::Serializer::with_formatter(&mut out, Spaced);
            serde::Serialize::serialize(&value, &mut serializer)
        }
    };
    written.map_err(failed)?;
    String::from_utf8(out)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, "no UTF-8").with_source(error))
}

/// Spaces after commas and colons.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// `strftime_now` of a day that stands still: with the clock's, the same request would give
/// other tokens tomorrow. It is the date that Llama 3's template takes without a clock.
pub(super) fn fixed_date(format: &str) -> String {
    let parts = [
        ("%Y", "2024"),
        ("%y", "24"),
        ("%m", "07"),
        ("%B", "July"),
        ("%b", "Jul"),
        ("%d", "26"),
        ("%-d", "26"),
        ("%A", "Friday"),
        ("%a", "Fri"),
        ("%H", "12"),
        ("%I", "12"),
        ("%p", "PM"),
        ("%M", "00"),
        ("%S", "00"),
    ];
    parts.iter().fold(format.to_owned(), |text, (code, value)| {
        text.replace(code, value)
    })
}

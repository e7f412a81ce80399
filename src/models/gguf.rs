//! Reads GGUF files: metadata, and tensors as numbers.
//!
//! The layout is that of the GGUF specification, versions 2 and 3 (little-endian):
//! magic, version, counts, key/value pairs, tensor descriptions, then the tensors' data
//! at multiples of `general.alignment`. Every length is checked against what the file
//! still holds before anything is allocated, and the number of values is bounded, so a
//! hostile file costs an error, not memory.

pub mod blocks;
mod types;

pub use blocks::BlockMatrix;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

pub use self::types::TensorType;

/// Arrays inside arrays deeper than this are refused.
const MAX_DEPTH: u32 = 4;
/// Pairs, tensors and values of lists that a file may have together. A byte of a list takes
/// many in memory; the largest vocabularies have a million values.
const MAX_THINGS: u64 = 1 << 22;
/// Dimensions that a tensor may have, as in ggml.
const MAX_DIMENSIONS: u32 = 4;

/// Why a GGUF file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    #[error("cannot read it: {0}")]
    Io(#[from] std::io::Error),
    #[error("it is not a GGUF file")]
    NotGguf,
    #[error("its GGUF version {0} is not 2 or 3")]
    Version(u32),
    #[error("it ends inside {0}")]
    Short(&'static str),
    #[error("it has more than {MAX_THINGS} pairs, tensors and values of lists")]
    TooMuch,
    #[error("it is malformed: {0}")]
    Malformed(String),
    #[error("it has no {key} of type {wanted}")]
    Metadata { key: String, wanted: &'static str },
    #[error("it has no tensor {0}")]
    NoTensor(String),
    #[error(
        "its tensor {name} has type {kind}, which is not read ({} are)",
        TensorType::NAMES
    )]
    TensorType { name: String, kind: u32 },
}

/// A value of the metadata. Integers of every width are widened.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Array(Vec<Value>),
}

#[derive(Clone, Debug)]
struct TensorInfo {
    /// Innermost first, as the file has them.
    dimensions: Vec<u64>,
    kind: u32,
    /// From the start of the data section.
    offset: u64,
}

/// A tensor as numbers, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    /// `rows × columns` numbers, row after row.
    pub data: Vec<f32>,
}

/// A tensor as the file holds it.
struct Raw {
    kind: TensorType,
    rows: usize,
    columns: usize,
    bytes: Vec<u8>,
}

/// An open GGUF file.
pub struct Gguf<R> {
    reader: R,
    length: u64,
    data_start: u64,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl Gguf<BufReader<File>> {
    /// Opens a file and reads all but the tensors' data.
    ///
    /// # Errors
    /// When it cannot be read or is no GGUF file.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        Self::read(BufReader::new(File::open(path)?))
    }
}

impl<R: Read + Seek> Gguf<R> {
    /// Reads all but the tensors' data.
    ///
    /// # Errors
    /// When it cannot be read or is no GGUF file.
    pub fn read(mut reader: R) -> Result<Self, GgufError> {
        let length = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        let mut header = Header {
            reader: &mut reader,
            left: length,
            things: 0,
        };
        if header.bytes::<4>("the magic")? != *b"GGUF" {
            return Err(GgufError::NotGguf);
        }
        let version = header.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(GgufError::Version(version));
        }
        // Each tensor and each pair take at least this many bytes.
        let tensor_count = header.things(24, "the tensor count")?;
        let pair_count = header.things(13, "the pair count")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..pair_count {
            let key = header.text("a key")?;
            let kind = header.u32("a value's type")?;
            let value = header.value(kind, 0)?;
            metadata.insert(key, value);
        }
        let mut tensors = BTreeMap::new();
        for _ in 0..tensor_count {
            let name = header.text("a tensor's name")?;
            let dimension_count = header.u32("a tensor's dimensions")?;
            if dimension_count > MAX_DIMENSIONS {
                return Err(GgufError::Malformed(format!(
                    "tensor {name} has {dimension_count} dimensions"
                )));
            }
            let dimensions = (0..dimension_count)
                .map(|_| header.u64("a tensor's dimensions"))
                .collect::<Result<_, _>>()?;
            let info = TensorInfo {
                dimensions,
                kind: header.u32("a tensor's type")?,
                offset: header.u64("a tensor's offset")?,
            };
            tensors.insert(name, info);
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(Value::Unsigned(alignment)) if (1..=1 << 20).contains(alignment) => *alignment,
            Some(other) => {
                return Err(GgufError::Malformed(format!("alignment {other:?}")));
            }
        };
        let data_start = (length - header.left).next_multiple_of(alignment);
        Ok(Self {
            reader,
            length,
            data_start,
            metadata,
            tensors,
        })
    }

    /// A metadata value, if the file has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// A non-negative integer of the metadata.
    ///
    /// # Errors
    /// When it is missing, of another type, or does not fit.
    pub fn integer(&self, key: &str) -> Result<usize, GgufError> {
        let value = match self.get(key) {
            Some(Value::Unsigned(value)) => usize::try_from(*value).ok(),
            Some(Value::Signed(value)) => usize::try_from(*value).ok(),
            _ => None,
        };
        value.ok_or_else(|| missing(key, "non-negative integer"))
    }

    /// A number of the metadata.
    ///
    /// # Errors
    /// When it is missing or of another type.
    pub fn float(&self, key: &str) -> Result<f32, GgufError> {
        match self.get(key) {
            Some(Value::Float(value)) => Ok(*value as f32),
            _ => Err(missing(key, "float")),
        }
    }

    /// A text of the metadata.
    ///
    /// # Errors
    /// When it is missing or of another type.
    pub fn text(&self, key: &str) -> Result<&str, GgufError> {
        match self.get(key) {
            Some(Value::Text(value)) => Ok(value),
            _ => Err(missing(key, "text")),
        }
    }

    /// A truth value of the metadata; `None` when the file does not have it.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Value::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    /// A list of texts of the metadata.
    ///
    /// # Errors
    /// When it is missing or holds anything else.
    pub fn texts(&self, key: &str) -> Result<Vec<&str>, GgufError> {
        let Some(Value::Array(values)) = self.get(key) else {
            return Err(missing(key, "list of texts"));
        };
        values
            .iter()
            .map(|value| match value {
                Value::Text(text) => Ok(text.as_str()),
                _ => Err(missing(key, "list of texts")),
            })
            .collect()
    }

    /// A list of integers of the metadata.
    ///
    /// # Errors
    /// When it is missing or holds anything else.
    pub fn integers(&self, key: &str) -> Result<Vec<i64>, GgufError> {
        let wrong = || missing(key, "list of integers");
        let Some(Value::Array(values)) = self.get(key) else {
            return Err(wrong());
        };
        values
            .iter()
            .map(|value| match value {
                Value::Signed(value) => Ok(*value),
                Value::Unsigned(value) => i64::try_from(*value).map_err(|_| wrong()),
                _ => Err(wrong()),
            })
            .collect()
    }

    /// Names of all tensors, sorted.
    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether the file has a tensor of this name.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// How a tensor is stored.
    ///
    /// # Errors
    /// When it is missing or of a type that is not read.
    pub fn tensor_type(&self, name: &str) -> Result<TensorType, GgufError> {
        let info = self.info(name)?;
        TensorType::of(info.kind).ok_or_else(|| GgufError::TensorType {
            name: name.to_owned(),
            kind: info.kind,
        })
    }

    /// A tensor's numbers, dequantised. One dimension gives one row.
    ///
    /// # Errors
    /// When it is missing, of a type that is not read, has more than two dimensions
    /// or lies outside the file.
    pub fn matrix(&mut self, name: &str) -> Result<Matrix, GgufError> {
        let raw = self.raw(name)?;
        let (_, unit_bytes) = raw.kind.unit();
        let mut data = Vec::with_capacity(raw.rows * raw.columns);
        for block in raw.bytes.chunks_exact(unit_bytes) {
            types::dequantise(raw.kind, block, &mut data);
        }
        Ok(Matrix {
            rows: raw.rows,
            columns: raw.columns,
            data,
        })
    }

    /// A tensor's bytes, as many as its type and size call for.
    fn raw(&mut self, name: &str) -> Result<Raw, GgufError> {
        let kind = self.tensor_type(name)?;
        let info = self.info(name)?;
        let malformed = |problem: &str| GgufError::Malformed(format!("tensor {name} {problem}"));
        let (columns, rows) = match info.dimensions[..] {
            [columns] => (columns, 1),
            [columns, rows] => (columns, rows),
            _ => return Err(malformed("is neither a row nor a matrix")),
        };
        let (unit, unit_bytes) = kind.unit();
        if columns % unit as u64 != 0 {
            return Err(malformed("has rows that are not whole blocks"));
        }
        let bytes = columns
            .checked_mul(rows)
            .and_then(|numbers| (numbers / unit as u64).checked_mul(unit_bytes as u64));
        let start = self.data_start.checked_add(info.offset);
        let (Some(bytes), Some(start)) = (bytes, start) else {
            return Err(malformed("is larger than any file"));
        };
        if start.checked_add(bytes).is_none_or(|end| end > self.length) {
            return Err(GgufError::Short("a tensor's data"));
        }
        // It fits: the file holds that many bytes.
        let (rows, columns, bytes) = (rows as usize, columns as usize, bytes as usize);
        self.reader.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; bytes];
        self.reader.read_exact(&mut bytes)?;
        Ok(Raw {
            kind,
            rows,
            columns,
            bytes,
        })
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, GgufError> {
        self.tensors
            .get(name)
            .ok_or_else(|| GgufError::NoTensor(name.to_owned()))
    }
}

fn missing(key: &str, wanted: &'static str) -> GgufError {
    GgufError::Metadata {
        key: key.to_owned(),
        wanted,
    }
}

/// Reads the part before the data and knows how much the file still holds.
struct Header<'a, R> {
    reader: &'a mut R,
    left: u64,
    /// What was announced so far, see [`MAX_THINGS`].
    things: u64,
}

impl<R: Read> Header<'_, R> {
    fn take(&mut self, bytes: u64, what: &'static str) -> Result<(), GgufError> {
        self.left = self.left.checked_sub(bytes).ok_or(GgufError::Short(what))?;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
        self.take(N as u64, what)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.bytes(what)?))
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.bytes(what)?))
    }

    /// A number of things that take at least `least` bytes each.
    fn count(&mut self, least: u64, what: &'static str) -> Result<u64, GgufError> {
        let count = self.u64(what)?;
        if count > self.left / least {
            return Err(GgufError::Short(what));
        }
        Ok(count)
    }

    /// As [`Self::count`], of things that are kept.
    fn things(&mut self, least: u64, what: &'static str) -> Result<u64, GgufError> {
        let count = self.count(least, what)?;
        self.things = self.things.saturating_add(count);
        match self.things <= MAX_THINGS {
            true => Ok(count),
            false => Err(GgufError::TooMuch),
        }
    }

    fn text(&mut self, what: &'static str) -> Result<String, GgufError> {
        let length = self.count(1, what)?;
        self.take(length, what)?;
        // It fits: the file holds that many bytes.
        let mut bytes = vec![0; length as usize];
        self.reader.read_exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| GgufError::Malformed(format!("{what} is not UTF-8")))
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Value, GgufError> {
        const WHAT: &str = "a value";
        Ok(match kind {
            0 => Value::Unsigned(u8::from_le_bytes(self.bytes(WHAT)?).into()),
            1 => Value::Signed(i8::from_le_bytes(self.bytes(WHAT)?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.bytes(WHAT)?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.bytes(WHAT)?).into()),
            4 => Value::Unsigned(u32::from_le_bytes(self.bytes(WHAT)?).into()),
            5 => Value::Signed(i32::from_le_bytes(self.bytes(WHAT)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes(WHAT)?).into()),
            7 => Value::Bool(self.bytes::<1>(WHAT)? != [0]),
            8 => Value::Text(self.text(WHAT)?),
            9 if depth < MAX_DEPTH => {
                let element = self.u32("a list's type")?;
                let count = self.things(1, "a list")?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(element, depth + 1)?);
                }
                Value::Array(values)
            }
            9 => return Err(GgufError::Malformed("lists are nested too deeply".into())),
            10 => Value::Unsigned(self.u64(WHAT)?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes(WHAT)?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes(WHAT)?)),
            _ => return Err(GgufError::Malformed(format!("a value of type {kind}"))),
        })
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

//! PURE: what can be said of an ONNX file without loading it.
//!
//! The file is untrusted. It is walked field by field (protobuf's wire format, field
//! numbers of `onnx.proto`), weights are skipped, and what is kept is bounded, so that
//! neither a large nor a hostile file costs more than one pass over it.

use std::{
    collections::BTreeSet,
    io::{Read, Seek, SeekFrom},
};

/// Operators of these domains are the runtime's own. ONNX names its own domain twice.
const TRUSTED: [&str; 3] = ["", "ai.onnx", "com.microsoft"];
/// The runtime's operators that make it read another file or library.
const REFUSED: [&str; 2] = ["EPContext", "PyOp"];
/// Graphs within graphs.
const MAX_DEPTH: usize = 32;
/// Longest name that is read, bytes.
const MAX_NAME: u64 = 1024;
/// Inputs and outputs; a decoder has two of each per layer.
const MAX_PORTS: usize = 4096;
const MAX_RANK: usize = 8;
/// Files that hold a graph's weights.
const MAX_FILES: usize = 1024;

/// Why a file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("it is no ONNX file: {0}")]
    Malformed(&'static str),
    #[error("it has more {0} than any model")]
    TooMuch(&'static str),
    #[error("its operator {operator:?} of the domain {domain:?} is not one that is trusted")]
    Operator { operator: String, domain: String },
    #[error("its weights lie at {0:?}, which is no plain path inside its folder")]
    Location(String),
    #[error("it cannot be read: {0}")]
    Io(String),
}

/// One dimension of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    Fixed(u64),
    /// Known at run time only.
    Free,
}

/// An input or output of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    /// `TensorProto.DataType`; 0 where it is no tensor.
    pub element: i32,
    pub dims: Vec<Dim>,
}

/// What a graph takes and gives, and the files that its weights lie in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    /// Relative to the graph's folder; plain names separated by `/`.
    pub files: BTreeSet<String>,
}

impl Signature {
    /// Reads an ONNX file.
    ///
    /// # Errors
    /// When it is malformed, has operators of foreign domains, or names weights outside
    /// its own folder.
    pub fn read<R: Read + Seek>(reader: R) -> Result<Self, ScanError> {
        let mut walk = Walk::new(reader)?;
        let end = walk.length;
        let mut graphs = 0;
        walk.fields(end, &mut |walk, field| match field {
            Field::Bytes(7, end) => {
                graphs += 1;
                walk.graph(end, 0)
            }
            Field::Bytes(25, end) => walk.function(end),
            _ => Ok(()),
        })?;
        if graphs != 1 {
            return Err(ScanError::Malformed("it has not one graph"));
        }
        Ok(walk.signature)
    }

    pub fn input(&self, name: &str) -> Option<&Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    pub fn output(&self, name: &str) -> Option<&Port> {
        self.outputs.iter().find(|port| port.name == name)
    }
}

/// A field's number and what it holds; bytes by where they end.
#[derive(Clone, Copy)]
enum Field {
    Number(u64, u64),
    Bytes(u64, u64),
    Fixed,
}

struct Walk<R> {
    reader: R,
    position: u64,
    length: u64,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were taken.
    taken: usize,
    signature: Signature,
}

const BUFFER: usize = 1 << 16;

impl<R: Read + Seek> Walk<R> {
    fn new(mut reader: R) -> Result<Self, ScanError> {
        let length = reader.seek(SeekFrom::End(0)).map_err(io)?;
        reader.seek(SeekFrom::Start(0)).map_err(io)?;
        Ok(Self {
            reader,
            position: 0,
            length,
            buffer: Vec::new(),
            taken: 0,
            signature: Signature::default(),
        })
    }

    fn byte(&mut self) -> Result<u8, ScanError> {
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
            self.reader
                .by_ref()
                .take(BUFFER as u64)
                .read_to_end(&mut self.buffer)
                .map_err(io)?;
        }
        let byte = *self
            .buffer
            .get(self.taken)
            .ok_or(ScanError::Malformed("it ends too early"))?;
        self.taken += 1;
        self.position += 1;
        Ok(byte)
    }

    /// Goes to a later place; the caller knows that it lies inside the file.
    fn skip_to(&mut self, position: u64) -> Result<(), ScanError> {
        let ahead = position - self.position;
        match usize::try_from(ahead) {
            Ok(ahead) if ahead <= self.buffer.len() - self.taken => self.taken += ahead,
            _ => {
                self.buffer.clear();
                self.taken = 0;
                self.reader.seek(SeekFrom::Start(position)).map_err(io)?;
            }
        }
        self.position = position;
        Ok(())
    }

    /// Base 128, least significant group first.
    fn varint(&mut self) -> Result<u64, ScanError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ScanError::Malformed("a number does not end"))
    }

    /// Calls `each` for every field up to `end`, and skips what it leaves unread.
    fn fields(
        &mut self,
        end: u64,
        each: &mut dyn FnMut(&mut Self, Field) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        while self.position < end {
            let tag = self.varint()?;
            let number = tag >> 3;
            let (field, after) = match tag & 7 {
                0 => {
                    let value = self.varint()?;
                    (Field::Number(number, value), self.position)
                }
                1 => (Field::Fixed, self.position.saturating_add(8)),
                2 => {
                    let length = self.varint()?;
                    let after = self.position.saturating_add(length);
                    (Field::Bytes(number, after), after)
                }
                5 => (Field::Fixed, self.position.saturating_add(4)),
                _ => return Err(ScanError::Malformed("a field has no known kind")),
            };
            if after > end {
                return Err(ScanError::Malformed("a field is longer than what holds it"));
            }
            each(self, field)?;
            self.skip_to(after)?;
        }
        if self.position > end {
            return Err(ScanError::Malformed("a field is longer than what holds it"));
        }
        Ok(())
    }

    fn text(&mut self, end: u64) -> Result<String, ScanError> {
        if end - self.position > MAX_NAME {
            return Err(ScanError::TooMuch("letters in a name"));
        }
        let mut bytes = Vec::new();
        while self.position < end {
            bytes.push(self.byte()?);
        }
        String::from_utf8(bytes).map_err(|_| ScanError::Malformed("a name is no text"))
    }

    fn graph(&mut self, end: u64, depth: usize) -> Result<(), ScanError> {
        if depth > MAX_DEPTH {
            return Err(ScanError::TooMuch("graphs within graphs"));
        }
        self.fields(end, &mut |walk, field| match field {
            Field::Bytes(1, end) => walk.node(end, depth),
            Field::Bytes(5, end) => walk.tensor(end),
            Field::Bytes(15, end) => walk.sparse(end),
            Field::Bytes(number @ (11 | 12), end) if depth == 0 => {
                let port = walk.port(end)?;
                let ports = match number {
                    11 => &mut walk.signature.inputs,
                    _ => &mut walk.signature.outputs,
                };
                if ports.len() == MAX_PORTS {
                    return Err(ScanError::TooMuch("inputs or outputs"));
                }
                ports.push(port);
                Ok(())
            }
            _ => Ok(()),
        })
    }

    fn function(&mut self, end: u64) -> Result<(), ScanError> {
        self.fields(end, &mut |walk, field| match field {
            Field::Bytes(7, end) => walk.node(end, 0),
            Field::Bytes(11, end) => walk.attribute(end, 0),
            _ => Ok(()),
        })
    }

    fn node(&mut self, end: u64, depth: usize) -> Result<(), ScanError> {
        let (mut operator, mut domain) = (String::new(), String::new());
        let mut foreign = false;
        self.fields(end, &mut |walk, field| {
            match field {
                Field::Bytes(4, end) => operator = walk.text(end)?,
                Field::Bytes(7, end) => {
                    domain = walk.text(end)?;
                    foreign |= !TRUSTED.contains(&domain.as_str());
                }
                Field::Bytes(5, end) => walk.attribute(end, depth)?,
                _ => {}
            }
            Ok(())
        })?;
        if foreign || REFUSED.contains(&operator.as_str()) {
            return Err(ScanError::Operator { operator, domain });
        }
        Ok(())
    }

    fn attribute(&mut self, end: u64, depth: usize) -> Result<(), ScanError> {
        self.fields(end, &mut |walk, field| match field {
            Field::Bytes(5 | 10, end) => walk.tensor(end),
            Field::Bytes(6 | 11, end) => walk.graph(end, depth + 1),
            Field::Bytes(22 | 23, end) => walk.sparse(end),
            _ => Ok(()),
        })
    }

    fn sparse(&mut self, end: u64) -> Result<(), ScanError> {
        self.fields(end, &mut |walk, field| match field {
            Field::Bytes(1 | 2, end) => walk.tensor(end),
            _ => Ok(()),
        })
    }

    fn tensor(&mut self, end: u64) -> Result<(), ScanError> {
        self.fields(end, &mut |walk, field| match field {
            Field::Bytes(13, end) => walk.external(end),
            _ => Ok(()),
        })
    }

    /// One key and value of where a tensor's bytes lie.
    fn external(&mut self, end: u64) -> Result<(), ScanError> {
        let (mut key, mut value) = (String::new(), String::new());
        self.fields(end, &mut |walk, field| {
            match field {
                Field::Bytes(1, end) => key = walk.text(end)?,
                Field::Bytes(2, end) => value = walk.text(end)?,
                _ => {}
            }
            Ok(())
        })?;
        if key != "location" {
            return Ok(());
        }
        if !is_plain(&value) {
            return Err(ScanError::Location(value));
        }
        let files = &mut self.signature.files;
        if files.len() == MAX_FILES && !files.contains(&value) {
            return Err(ScanError::TooMuch("files of weights"));
        }
        files.insert(value);
        Ok(())
    }

    fn port(&mut self, end: u64) -> Result<Port, ScanError> {
        let mut port = Port {
            name: String::new(),
            element: 0,
            dims: Vec::new(),
        };
        self.fields(end, &mut |walk, field| {
            match field {
                Field::Bytes(1, end) => port.name = walk.text(end)?,
                Field::Bytes(2, end) => walk.fields(end, &mut |walk, field| match field {
                    Field::Bytes(1, end) => walk.tensor_type(end, &mut port),
                    _ => Ok(()),
                })?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(port)
    }

    fn tensor_type(&mut self, end: u64, port: &mut Port) -> Result<(), ScanError> {
        self.fields(end, &mut |walk, field| match field {
            Field::Number(1, element) => {
                port.element = i32::try_from(element)
                    .map_err(|_| ScanError::Malformed("a tensor has no known type"))?;
                Ok(())
            }
            Field::Bytes(2, end) => walk.fields(end, &mut |walk, field| match field {
                Field::Bytes(1, end) => {
                    let mut dim = Dim::Free;
                    walk.fields(end, &mut |_, field| {
                        if let Field::Number(1, size) = field {
                            dim = Dim::Fixed(size);
                        }
                        Ok(())
                    })?;
                    if port.dims.len() == MAX_RANK {
                        return Err(ScanError::TooMuch("dimensions"));
                    }
                    port.dims.push(dim);
                    Ok(())
                }
                _ => Ok(()),
            }),
            _ => Ok(()),
        })
    }
}

/// Whether a path is plain names, so that it stays inside the folder that it starts from
/// on every system, and is none of the runtime's marks for memory (`*/_ORT_MEM_ADDR_/*`).
pub(crate) fn is_plain(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    path.split('/')
        .all(|name| !name.is_empty() && !name.starts_with('.') && name.chars().all(plain))
}

fn io(error: std::io::Error) -> ScanError {
    ScanError::Io(error.to_string())
}

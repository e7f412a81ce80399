//! Reads `model.bin`, the one file in which CTranslate2 keeps a model's tensors.
//!
//! The layout is that of `ctranslate2/specs/model_spec.py` (`_serialize`): a version, the
//! name and revision of a specification, variables (name, shape, type, bytes), and aliases
//! of variables. All numbers are little-endian; a text is a 16-bit length that counts the
//! closing zero, then its bytes.

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};

use half::{bf16, f16};

/// Versions of the layout whose variables state their types.
const VERSIONS: std::ops::RangeInclusive<u32> = 4..=6;
/// No specification has a tensor of more dimensions.
const MAX_RANK: u8 = 8;
/// No model has more variables: those of the largest whisper are fewer than 2,000.
const MAX_VARIABLES: u32 = 1 << 16;

/// Why a file is no model of CTranslate2's that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Ct2Error {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it ends in the middle")]
    Short,
    #[error("it is of version {0}, which is not known")]
    Version(u32),
    #[error("it holds {0}")]
    Malformed(String),
    #[error("it has no {0}")]
    Missing(String),
    #[error("its {name} is {found}, not {wanted}")]
    Unfit {
        name: String,
        found: String,
        wanted: String,
    },
}

/// What numbers are held as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float32,
    Int8,
    Int16,
    Int32,
    Float16,
    Bfloat16,
}

impl Kind {
    /// As `DataType` of `ctranslate2/types.h` numbers them.
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Float32,
            1 => Self::Int8,
            2 => Self::Int16,
            3 => Self::Int32,
            4 => Self::Float16,
            5 => Self::Bfloat16,
            _ => return None,
        })
    }

    fn size(self) -> u64 {
        match self {
            Self::Int8 => 1,
            Self::Int16 | Self::Float16 | Self::Bfloat16 => 2,
            Self::Float32 | Self::Int32 => 4,
        }
    }
}

/// Where a tensor lies.
#[derive(Clone, Debug)]
struct Variable {
    dims: Vec<usize>,
    kind: Kind,
    offset: u64,
    bytes: u64,
}

/// A file's tensors, which are read when they are asked for.
pub struct Ct2<R> {
    file: R,
    specification: String,
    variables: BTreeMap<String, Variable>,
}

impl<R: Read + Seek> Ct2<R> {
    /// Reads where everything lies.
    ///
    /// # Errors
    /// When the file is cut short, says something impossible, or is of an unknown version.
    pub fn read(mut file: R) -> Result<Self, Ct2Error> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let version = u32_of(&mut file)?;
        if !VERSIONS.contains(&version) {
            return Err(Ct2Error::Version(version));
        }
        let specification = text(&mut file)?;
        u32_of(&mut file)?; // the specification's revision
        let count = u32_of(&mut file)?;
        if count > MAX_VARIABLES {
            return Err(Ct2Error::Malformed(format!("{count} variables")));
        }
        let mut variables = BTreeMap::new();
        for _ in 0..count {
            let (name, variable) = variable(&mut file, length)?;
            if variables.insert(name.clone(), variable).is_some() {
                return Err(Ct2Error::Malformed(format!("{name} twice")));
            }
        }
        let aliases = u32_of(&mut file)?;
        if aliases > MAX_VARIABLES {
            return Err(Ct2Error::Malformed(format!("{aliases} aliases")));
        }
        for _ in 0..aliases {
            let (alias, of) = (text(&mut file)?, text(&mut file)?);
            let variable = variables.get(&of).cloned().ok_or(Ct2Error::Missing(of))?;
            variables.insert(alias, variable);
        }
        Ok(Self {
            file,
            specification,
            variables,
        })
    }

    /// What kind of model it is, `WhisperSpec` for one.
    pub fn specification(&self) -> &str {
        &self.specification
    }

    /// Whether there is a variable of this name.
    pub fn has(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// A tensor's shape.
    ///
    /// # Errors
    /// When there is no such tensor.
    pub fn dims(&self, name: &str) -> Result<&[usize], Ct2Error> {
        Ok(&self.variable(name)?.dims)
    }

    /// A whole number that stands alone.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn number(&mut self, name: &str) -> Result<i64, Ct2Error> {
        let variable = self.variable(name)?.clone();
        let bytes = self.bytes(&variable)?;
        match (variable.kind, bytes.as_slice()) {
            (Kind::Int8, [byte]) => Ok(i64::from(*byte as i8)),
            (Kind::Int16, [a, b]) => Ok(i64::from(i16::from_le_bytes([*a, *b]))),
            (Kind::Int32, [a, b, c, d]) => Ok(i64::from(i32::from_le_bytes([*a, *b, *c, *d]))),
            _ => Err(unfit(name, &variable, "a whole number".into())),
        }
    }

    /// A tensor of floats of this shape, row after row.
    ///
    /// # Errors
    /// When there is none, it has another shape, or it is quantised.
    pub fn floats(&mut self, name: &str, dims: &[usize]) -> Result<Vec<f32>, Ct2Error> {
        let variable = self.variable(name)?.clone();
        if variable.dims != dims {
            return Err(unfit(name, &variable, format!("{dims:?}")));
        }
        let bytes = self.bytes(&variable)?;
        let pairs = || bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
        Ok(match variable.kind {
            Kind::Float32 => bytes
                .chunks_exact(4)
                .map(|it| f32::from_le_bytes([it[0], it[1], it[2], it[3]]))
                .collect(),
            Kind::Float16 => pairs().map(|it| f16::from_le_bytes(it).to_f32()).collect(),
            Kind::Bfloat16 => pairs().map(|it| bf16::from_le_bytes(it).to_f32()).collect(),
            _ => return Err(unfit(name, &variable, "one of floats".into())),
        })
    }

    fn variable(&self, name: &str) -> Result<&Variable, Ct2Error> {
        self.variables
            .get(name)
            .ok_or_else(|| Ct2Error::Missing(name.to_owned()))
    }

    fn bytes(&mut self, variable: &Variable) -> Result<Vec<u8>, Ct2Error> {
        self.file.seek(SeekFrom::Start(variable.offset))?;
        // No more than the file has: that was checked.
        let mut bytes = vec![0; variable.bytes as usize];
        fill(&mut self.file, &mut bytes)?;
        Ok(bytes)
    }
}

/// One variable's head; its bytes are skipped.
fn variable(file: &mut (impl Read + Seek), length: u64) -> Result<(String, Variable), Ct2Error> {
    let name = text(file)?;
    let [rank] = array(file)?;
    if rank > MAX_RANK {
        return Err(Ct2Error::Malformed(format!("{name} of {rank} dimensions")));
    }
    let mut dims = Vec::with_capacity(usize::from(rank));
    let mut numbers = 1_u64;
    for _ in 0..rank {
        let dim = u32_of(file)?;
        dims.push(dim as usize);
        numbers = numbers.saturating_mul(u64::from(dim));
    }
    let [code] = array(file)?;
    let kind = Kind::from_code(code)
        .ok_or_else(|| Ct2Error::Malformed(format!("{name} of the unknown type {code}")))?;
    let bytes = u64::from(u32_of(file)?);
    if numbers.saturating_mul(kind.size()) != bytes {
        return Err(Ct2Error::Malformed(format!(
            "{name} of shape {dims:?} in {bytes} bytes"
        )));
    }
    let offset = file.stream_position()?;
    if length.saturating_sub(offset) < bytes {
        return Err(Ct2Error::Short);
    }
    file.seek(SeekFrom::Start(offset + bytes))?;
    let variable = Variable {
        dims,
        kind,
        offset,
        bytes,
    };
    Ok((name, variable))
}

fn unfit(name: &str, variable: &Variable, wanted: String) -> Ct2Error {
    Ct2Error::Unfit {
        name: name.to_owned(),
        found: format!("{:?} of {:?}", variable.dims, variable.kind),
        wanted,
    }
}

fn text(file: &mut impl Read) -> Result<String, Ct2Error> {
    let mut bytes = vec![0; usize::from(u16::from_le_bytes(array(file)?))];
    fill(file, &mut bytes)?;
    match bytes.pop() {
        Some(0) => String::from_utf8(bytes)
            .map_err(|_| Ct2Error::Malformed("a name that is no text".into())),
        _ => Err(Ct2Error::Malformed("a name without an end".into())),
    }
}

fn u32_of(file: &mut impl Read) -> Result<u32, Ct2Error> {
    Ok(u32::from_le_bytes(array(file)?))
}

fn array<const N: usize>(file: &mut impl Read) -> Result<[u8; N], Ct2Error> {
    let mut bytes = [0; N];
    fill(file, &mut bytes)?;
    Ok(bytes)
}

fn fill(file: &mut impl Read, bytes: &mut [u8]) -> Result<(), Ct2Error> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Ct2Error::Short,
        _ => Ct2Error::Io(error),
    })
}

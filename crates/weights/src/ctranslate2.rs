//! CTranslate2's `model.bin`.
//!
//! Little endian: u32 version; from version 2 on the name of the model's kind and its u32 revision; u32 number of
//! variables. A variable is a name, u8 rank, u32 sizes, then from version 4 on u8 type and u32 number of bytes, before
//! that u8 size of an item and u32 number of items, then the bytes. From version 3 on follow u32 number of aliases, each
//! an alias and the name of a variable. A name is a u16 length that counts its closing NUL.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::Error;
use crate::cursor::Cursor;
use crate::opened::Opened;
use crate::tensors::{Dtype, Encoding, Tensors, element_count, floats};

const VERSIONS: std::ops::RangeInclusive<u32> = 2..=6;
/// Limits memory: the largest model has about 1000.
const MAX_VARIABLES: u32 = 100_000;

/// Metadata of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Name of the model's specification, such as `WhisperSpec`.
    pub specification: String,
    /// The variables that are single integers, such as `encoder/num_heads`.
    pub numbers: BTreeMap<String, i64>,
}

#[derive(Clone)]
struct Variable {
    shape: Vec<usize>,
    kind: Kind,
    offset: usize,
    length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float(Dtype),
    Int8,
    Int16,
    Int32,
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::Float(Dtype::F32) | Self::Int32 => 4,
            Self::Float(Dtype::F16 | Dtype::Bf16) | Self::Int16 => 2,
            Self::Int8 => 1,
        }
    }
}

/// Whether a file begins like CTranslate2's models: with a version and the name of a specification.
pub(crate) fn is_ctranslate2(bytes: &[u8]) -> bool {
    let version = bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let name = bytes.get(6..).and_then(|rest| rest.split(|&byte| byte == 0).next());
    version.is_some_and(|version| VERSIONS.contains(&version))
        && name.is_some_and(|name| name.ends_with(b"Spec") && name.iter().all(u8::is_ascii_alphanumeric))
}

/// Reads the header and the tensors. A variable of integers is divided by its scales, which are in the variable with
/// `_scale` appended to its name.
pub(crate) fn read(file: &Opened) -> Result<(Header, Tensors), Error> {
    let (mut header, variables) = variables(file)?;
    let mut tensors = Tensors::default();
    for (name, variable) in &variables {
        if let Some(number) = variable.number(file)? {
            header.numbers.insert(name.clone(), number);
        }
        let scales = || match variables.get(&format!("{name}_scale")) {
            Some(scale) => read_scales(file, name, scale, variable.shape.first().copied().unwrap_or(1)),
            None => Ok(Arc::from([1.0])),
        };
        let encoding = match variable.kind {
            Kind::Float(dtype) => Encoding::Float(dtype),
            Kind::Int8 => Encoding::Int8(scales()?),
            Kind::Int16 => Encoding::Int16(scales()?),
            Kind::Int32 => Encoding::Other("32-bit integers".into()),
        };
        tensors.add(name.clone(), file, variable.offset, variable.shape.clone(), encoding)?;
    }
    Ok((header, tensors))
}

impl Variable {
    /// Its value, if it is a single integer.
    fn number(&self, file: &Opened) -> Result<Option<i64>, Error> {
        if element_count(&self.shape) != Some(1) || matches!(self.kind, Kind::Float(_)) {
            return Ok(None);
        }
        let bytes = file.part(self.offset..self.offset + self.length)?;
        Ok(match self.kind {
            Kind::Int8 => bytes.first().map(|byte| i64::from(*byte as i8)),
            Kind::Int16 => bytes.first_chunk().map(|bytes| i16::from_le_bytes(*bytes).into()),
            Kind::Int32 => bytes.first_chunk().map(|bytes| i32::from_le_bytes(*bytes).into()),
            Kind::Float(_) => None,
        })
    }
}

fn read_scales(file: &Opened, name: &str, scale: &Variable, rows: usize) -> Result<Arc<[f32]>, Error> {
    let Kind::Float(dtype) = scale.kind else {
        return Err(file.malformed(format!("{name}_scale does not have floats")));
    };
    let scales = floats(dtype, file.part(scale.offset..scale.offset + scale.length)?);
    if scales.len() != 1 && scales.len() != rows {
        return Err(file.malformed(format!("{name}_scale has {} numbers for {rows} rows", scales.len())));
    }
    Ok(scales.into())
}

fn variables(file: &Opened) -> Result<(Header, HashMap<String, Variable>), Error> {
    let mut cursor = Cursor::new(file, 0);
    let version = cursor.u32("the version")?;
    if !VERSIONS.contains(&version) {
        return Err(cursor.malformed(format!("unknown version {version} of CTranslate2's format")));
    }
    let specification = name(&mut cursor)?.to_owned();
    let _revision = cursor.u32("the revision")?;
    let mut variables = HashMap::new();
    let count = cursor.u32("the number of variables")?;
    if count > MAX_VARIABLES {
        return Err(cursor.malformed(format!("it claims to have {count} variables")));
    }
    for _ in 0..count {
        let name = name(&mut cursor)?;
        let rank = cursor.u8("a rank")?;
        let shape: Vec<usize> = (0..rank).map(|_| cursor.size("a size")).collect::<Result<_, _>>()?;
        let kind_id = cursor.u8("a type")?;
        let kind = match (version >= 4, kind_id) {
            (true, 0) | (false, 4) => Kind::Float(Dtype::F32),
            (_, 1) => Kind::Int8,
            (_, 2) => Kind::Int16,
            (true, 3) => Kind::Int32,
            (true, 4) => Kind::Float(Dtype::F16),
            (true, 5) => Kind::Float(Dtype::Bf16),
            _ => return Err(cursor.malformed(format!("{name} has unknown type {kind_id}"))),
        };
        let stated = cursor.size("a length")?;
        let length = element_count(&shape).and_then(|count| count.checked_mul(kind.bytes()));
        let stated = if version >= 4 { Some(stated) } else { stated.checked_mul(kind.bytes()) };
        let Some(length) = length.filter(|_| length == stated) else {
            return Err(
                cursor.malformed(format!("{name} of shape {shape:?} and type {kind:?} has {stated:?} bytes"))
            );
        };
        let offset = cursor.at();
        cursor.skip(length, name)?;
        variables.insert(name.to_owned(), Variable { shape, kind, offset, length });
    }
    if version >= 3 {
        let count = cursor.u32("the number of aliases")?;
        if count > MAX_VARIABLES {
            return Err(cursor.malformed(format!("it claims to have {count} aliases")));
        }
        for _ in 0..count {
            let (alias, target) = (name(&mut cursor)?, name(&mut cursor)?);
            let Some(variable) = variables.get(target).cloned() else {
                return Err(
                    cursor.malformed(format!("{alias} is an alias of {target}, which does not exist"))
                );
            };
            variables.insert(alias.to_owned(), variable);
            // The scale of a quantised variable is aliased implicitly.
            if let Some(scale) = variables.get(&format!("{target}_scale")).cloned() {
                variables.insert(format!("{alias}_scale"), scale);
            }
        }
    }
    Ok((Header { specification, numbers: BTreeMap::new() }, variables))
}

fn name<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Error> {
    let length = cursor.u16("the length of a name")?;
    Ok(cursor.text(length.into(), "a name")?.trim_end_matches('\0'))
}

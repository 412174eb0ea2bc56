//! CTranslate2's `model.bin`.
//!
//! Little endian: u32 version; from version 2 on the name of the model's kind and its u32 revision; u32 number of
//! variables. A variable is a name, u8 rank, u32 sizes, then from version 4 on u8 type and u32 number of bytes, before
//! that u8 size of an item and u32 number of items, then the bytes. From version 3 on follow u32 number of aliases, each
//! an alias and the name of a variable. A name is a u16 length that counts its closing NUL.

use std::collections::HashMap;
use std::sync::Arc;

use super::cursor::Cursor;
use super::source::{Encoding, Opened, element_count, floats};
use super::{Contents, Dtype};
use crate::Error;

const VERSIONS: std::ops::RangeInclusive<u32> = 2..=6;
const KIND: &str = "WhisperSpec";
/// Bounds memory: the largest model has about 1000.
const MAX_VARIABLES: u32 = 100_000;

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

/// Whether a file begins as CTranslate2's Whisper models do.
pub(super) fn is_ctranslate2(bytes: &[u8]) -> bool {
    let version = bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    version.is_some_and(|version| VERSIONS.contains(&version))
        && bytes.get(6..).is_some_and(|rest| rest.starts_with(KIND.as_bytes()))
}

/// Reads the tensors and the numbers of heads.
pub(super) fn read(file: &Opened) -> Result<Contents, Error> {
    let variables = variables(file)?;
    let mut contents = Contents::default();
    for (side, heads) in [("encoder", &mut contents.encoder_heads), ("decoder", &mut contents.decoder_heads)]
    {
        let Some(variable) = variables.get(&format!("{side}/num_heads")) else { continue };
        let bytes = file.part(variable.offset..variable.offset + variable.length.min(4))?;
        *heads = match variable.kind {
            Kind::Int8 => bytes.first().map(|byte| i32::from(*byte as i8)),
            Kind::Int16 => bytes.first_chunk().map(|bytes| i16::from_le_bytes(*bytes).into()),
            Kind::Int32 => bytes.first_chunk().map(|bytes| i32::from_le_bytes(*bytes)),
            Kind::Float(_) => None,
        }
        .and_then(|number| usize::try_from(number).ok());
    }
    for (name, variable) in &variables {
        let targets = canonical(name);
        if targets.is_empty() {
            continue;
        }
        let Some(&rows) = variable.shape.first() else {
            return Err(file.malformed(format!("{name} is a single number")));
        };
        if rows % targets.len() != 0 {
            return Err(file.malformed(format!("{name} has {rows} rows for {} projections", targets.len())));
        }
        let scales = match variables.get(&format!("{name}_scale")) {
            Some(scale) => read_scales(file, name, scale, rows)?,
            None => Arc::from([1.0]),
        };
        let part_rows = rows / targets.len();
        for (part, target) in targets.iter().enumerate() {
            let Some(target) = target else { continue };
            let mut shape = variable.shape.clone();
            shape[0] = part_rows;
            let part_scales = || match scales.len() {
                1 => Arc::clone(&scales),
                _ => Arc::from(&scales[part * part_rows..(part + 1) * part_rows]),
            };
            let encoding = match variable.kind {
                Kind::Float(dtype) => Encoding::Float(dtype),
                Kind::Int8 => Encoding::Int8(part_scales()),
                Kind::Int16 => Encoding::Int16(part_scales()),
                Kind::Int32 => Encoding::Other("32-bit integers".into()),
            };
            let offset = variable.offset + part * (variable.length / targets.len());
            contents.tensors.insert(target.clone(), file, offset, shape, encoding)?;
        }
    }
    Ok(contents)
}

fn read_scales(file: &Opened, name: &str, scale: &Variable, rows: usize) -> Result<Arc<[f32]>, Error> {
    let Kind::Float(dtype) = scale.kind else {
        return Err(file.malformed(format!("{name}_scale is not made of floats")));
    };
    let scales = floats(dtype, file.part(scale.offset..scale.offset + scale.length)?);
    if scales.len() != 1 && scales.len() != rows {
        return Err(file.malformed(format!("{name}_scale has {} numbers for {rows} rows", scales.len())));
    }
    Ok(scales.into())
}

fn variables(file: &Opened) -> Result<HashMap<String, Variable>, Error> {
    let mut cursor = Cursor::new(file, 0);
    let version = cursor.u32("the version")?;
    if !VERSIONS.contains(&version) {
        return Err(cursor.malformed(format!("version {version} of CTranslate2's format is not known")));
    }
    let kind = name(&mut cursor)?;
    if kind != KIND {
        return Err(cursor.malformed(format!("it is a model of kind {kind}, not {KIND}")));
    }
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
                return Err(cursor.malformed(format!("{alias} stands for {target}, which is not there")));
            };
            variables.insert(alias.to_owned(), variable);
            // The scale of a quantised variable is aliased tacitly.
            if let Some(scale) = variables.get(&format!("{target}_scale")).cloned() {
                variables.insert(format!("{alias}_scale"), scale);
            }
        }
    }
    Ok(variables)
}

fn name<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Error> {
    let length = cursor.u16("the length of a name")?;
    Ok(cursor.text(length.into(), "a name")?.trim_end_matches('\0'))
}

/// Canonical names of a variable's equal parts, row-wise; `None` for a part that is not kept (the bias of the keys, which
/// Whisper does not have, is zeros here). Empty for what is no weight of the network.
fn canonical(name: &str) -> Vec<Option<String>> {
    let parts: Vec<&str> = name.split('/').collect();
    let [side @ ("encoder" | "decoder"), rest @ ..] = parts.as_slice() else { return vec![] };
    let one = |name: String| vec![Some(format!("model.{side}.{name}"))];
    match *rest {
        [conv @ ("conv1" | "conv2"), kind @ ("weight" | "bias")] => one(format!("{conv}.{kind}")),
        ["position_encodings", "encodings"] => one("embed_positions.weight".into()),
        ["embeddings", "weight"] => one("embed_tokens.weight".into()),
        ["projection", "weight"] => vec![Some("proj_out.weight".into())],
        ["layer_norm", kind] => norm(kind).map_or(vec![], |kind| one(format!("layer_norm.{kind}"))),
        [layer, block, "layer_norm", kind] => {
            let norms = match block {
                "self_attention" => "self_attn_layer_norm",
                "attention" => "encoder_attn_layer_norm",
                "ffn" => "final_layer_norm",
                _ => return vec![],
            };
            match (layer.strip_prefix("layer_"), norm(kind)) {
                (Some(layer), Some(kind)) => one(format!("layers.{layer}.{norms}.{kind}")),
                _ => vec![],
            }
        }
        [layer, block, linear, kind @ ("weight" | "bias")] => {
            let Some(layer) = layer.strip_prefix("layer_") else { return vec![] };
            let targets: &[&str] = match (block, linear) {
                ("self_attention", "linear_0") => {
                    &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
                }
                ("self_attention", "linear_1") => &["self_attn.out_proj"],
                ("attention", "linear_0") => &["encoder_attn.q_proj"],
                ("attention", "linear_1") => &["encoder_attn.k_proj", "encoder_attn.v_proj"],
                ("attention", "linear_2") => &["encoder_attn.out_proj"],
                ("ffn", "linear_0") => &["fc1"],
                ("ffn", "linear_1") => &["fc2"],
                _ => return vec![],
            };
            let kept = |target: &&&str| kind == "weight" || !target.ends_with("k_proj");
            let target = |target: &&str| format!("model.{side}.layers.{layer}.{target}.{kind}");
            targets.iter().map(|name| Some(name).filter(kept).map(target)).collect()
        }
        _ => vec![],
    }
}

fn norm(kind: &str) -> Option<&'static str> {
    match kind {
        "gamma" => Some("weight"),
        "beta" => Some("bias"),
        _ => None,
    }
}

//! Safetensors files: a header in JSON, then the numbers.

use std::sync::Arc;

use safetensors::tensor::{Dtype as Stored, SafeTensors};

use super::Dtype;
use super::names::from_hugging_face;
use super::source::{Encoding, Mapped, Tensors};
use crate::Error;

/// Whether a file begins as safetensors do: eight bytes of header length, then the header's brace.
pub(super) fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{') && bytes.get(4..8) == Some(&[0; 4])
}

/// Adds the tensors of a file.
pub(super) fn read(file: &Arc<Mapped>, tensors: &mut Tensors) -> Result<(), Error> {
    let (header, metadata) = SafeTensors::read_metadata(file.bytes())
        .map_err(|reason| file.malformed(format!("safetensors header: {reason}")))?;
    for (name, info) in metadata.tensors() {
        let encoding = match info.dtype {
            Stored::F32 => Encoding::Float(Dtype::F32),
            Stored::F16 => Encoding::Float(Dtype::F16),
            Stored::BF16 => Encoding::Float(Dtype::Bf16),
            other => Encoding::Other(format!("{other:?}")),
        };
        // The numbers begin behind the header, which begins behind its length.
        let offset = 8 + header + info.data_offsets.0;
        tensors.insert(from_hugging_face(&name), file, offset, info.shape.clone(), encoding)?;
    }
    Ok(())
}

//! Safetensors files: a header in JSON, then the numbers.

use safetensors::tensor::{Dtype as Stored, Metadata};

use super::Dtype;
use super::source::{Encoding, Opened, Tensors};
use crate::Error;

/// Bounds memory: the header of the largest model has 160 KB.
const MAX_HEADER_BYTES: usize = 16 << 20;

/// Whether a file begins as safetensors do: eight bytes of header length, then the header's brace.
pub(super) fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{') && bytes.get(4..8) == Some(&[0; 4])
}

/// Adds the tensors of a file; `canonical` makes their names.
pub(super) fn read(
    file: &Opened,
    tensors: &mut Tensors,
    canonical: impl Fn(&str) -> String,
) -> Result<(), Error> {
    let header = file.head()?.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    let header = usize::try_from(header).ok().filter(|header| *header <= MAX_HEADER_BYTES);
    let header = header
        .ok_or_else(|| file.malformed("safetensors header: it claims to be of a size that none has"))?;
    let metadata: Metadata = serde_json::from_slice(file.part(8..8 + header)?)
        .map_err(|reason| file.malformed(format!("safetensors header: {reason}")))?;
    if (8 + header).checked_add(metadata.data_len()) != Some(file.length()) {
        let reason = "safetensors header: the file is shorter or longer than it says";
        return Err(file.malformed(reason));
    }
    for (name, info) in metadata.tensors() {
        let encoding = match info.dtype {
            Stored::F32 => Encoding::Float(Dtype::F32),
            Stored::F16 => Encoding::Float(Dtype::F16),
            Stored::BF16 => Encoding::Float(Dtype::Bf16),
            other => Encoding::Other(format!("{other:?}")),
        };
        // The numbers begin behind the header, which begins behind its length.
        let offset = 8 + header + info.data_offsets.0;
        tensors.insert(canonical(&name), file, offset, info.shape.clone(), encoding)?;
    }
    Ok(())
}

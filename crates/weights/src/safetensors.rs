//! Safetensors files: a header in JSON, then the numbers.

use safetensors::tensor::{Dtype as Stored, Metadata};

use crate::Error;
use crate::opened::Opened;
use crate::tensors::{Dtype, Encoding, Tensors};

/// Bounds memory: the header of the largest model has 160 KB.
const MAX_HEADER_BYTES: usize = 16 << 20;

/// Whether a file begins as safetensors do: eight bytes of header length, then the header's brace.
pub(crate) fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{') && bytes.get(4..8) == Some(&[0; 4])
}

/// Reads the tensors of a file.
pub(crate) fn read(file: &Opened) -> Result<Tensors, Error> {
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
    let mut tensors = Tensors::default();
    for (name, info) in metadata.tensors() {
        let encoding = match info.dtype {
            Stored::F32 => Encoding::Float(Dtype::F32),
            Stored::F16 => Encoding::Float(Dtype::F16),
            Stored::BF16 => Encoding::Float(Dtype::Bf16),
            other => Encoding::Other(format!("{other:?}")),
        };
        // The numbers begin after the header, which begins after its length.
        let offset = 8 + header + info.data_offsets.0;
        tensors.add(name, file, offset, info.shape.clone(), encoding)?;
    }
    Ok(tensors)
}

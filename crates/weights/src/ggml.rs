//! ggml files as written by whisper.cpp.
//!
//! Little endian: u32 magic; eleven u32 numbers, of which the first is the size of the vocabulary; mel filters (u32 bands,
//! u32 bins, f32s); u32 number of tokens, each a u32 length and bytes; then tensors to the end of the file: u32 rank,
//! length of the name and type, u32 sizes with the innermost first, the name, the numbers.

use crate::Error;
use crate::blocks::Block;
use crate::cursor::Cursor;
use crate::opened::Opened;
use crate::tensors::{Dtype, Encoding, Tensors, element_count};

/// Limits memory: Whisper's vocabularies have fewer than 52 000 tokens.
const MAX_VOCABULARY: usize = 1 << 20;

const MAGIC: [u8; 4] = 0x6767_6d6c_u32.to_le_bytes();

/// Metadata of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The numbers as stored. whisper.cpp calls them `n_vocab`, `n_audio_ctx`, `n_audio_state`, `n_audio_head`,
    /// `n_audio_layer`, `n_text_ctx`, `n_text_state`, `n_text_head`, `n_text_layer`, `n_mels` and `ftype`.
    pub numbers: [u32; 11],
    /// The bytes of each token, at most `n_vocab`.
    pub tokens: Vec<Vec<u8>>,
}

/// Whether a file begins like whisper.cpp's.
pub(crate) fn is_ggml(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Reads the header and the tensors.
pub(crate) fn read(file: &Opened) -> Result<(Header, Tensors), Error> {
    let mut cursor = Cursor::new(file, MAGIC.len());
    let header = header(&mut cursor)?;
    let mut tensors = Tensors::default();
    while !cursor.is_at_end() {
        let (rank, name_length) = (cursor.size("a tensor's rank")?, cursor.size("a tensor's name")?);
        let kind = cursor.u32("a tensor's type")?;
        if rank > 4 {
            return Err(cursor.malformed(format!("a tensor has {rank} dimensions")));
        }
        let mut shape: Vec<usize> =
            (0..rank).map(|_| cursor.size("a tensor's size")).collect::<Result<_, _>>()?;
        shape.reverse();
        let name = cursor.text(name_length, "a tensor's name")?;
        let encoding = match kind {
            0 => Encoding::Float(Dtype::F32),
            1 => Encoding::Float(Dtype::F16),
            2 => Encoding::Block(Block::Q4_0),
            3 => Encoding::Block(Block::Q4_1),
            6 => Encoding::Block(Block::Q5_0),
            7 => Encoding::Block(Block::Q5_1),
            8 => Encoding::Block(Block::Q8_0),
            _ => {
                return Err(Error::Unsupported(format!(
                    "tensor {name} of the ggml file has type {kind}; f32, f16, q4_0, q4_1, q5_0, q5_1 and q8_0 are supported"
                )));
            }
        };
        // A row must have whole blocks.
        let count = element_count(&shape);
        let row = shape.last().copied().unwrap_or(1);
        let length = encoding.size(row).and(count).and_then(|count| encoding.size(count));
        let Some(length) = length else {
            return Err(cursor.malformed(format!("tensor {name} of type {kind} cannot have shape {shape:?}")));
        };
        let offset = cursor.at();
        cursor.skip(length, name)?;
        tensors.add(name.to_owned(), file, offset, shape, encoding)?;
    }
    Ok((header, tensors))
}

fn header(cursor: &mut Cursor<'_>) -> Result<Header, Error> {
    let mut numbers = [0; 11];
    for number in &mut numbers {
        *number = cursor.u32("the sizes")?;
    }
    let vocabulary = numbers[0] as usize;
    if vocabulary > MAX_VOCABULARY {
        return Err(cursor.malformed(format!("it claims a vocabulary of {vocabulary} tokens")));
    }
    // Bands and bins of the mel filters, whose numbers are skipped.
    let mel_filters = [cursor.size("the mel filters")?, cursor.size("the mel filters")?];
    let filters = element_count(&mel_filters).and_then(|count| count.checked_mul(4));
    cursor.skip(filters.unwrap_or(usize::MAX), "the mel filters")?;

    let count = cursor.size("the number of tokens")?;
    if count > vocabulary {
        return Err(cursor.malformed(format!("it has {count} tokens for a vocabulary of {vocabulary}")));
    }
    let mut tokens = Vec::new();
    for _ in 0..count {
        let length = cursor.size("the length of a token")?;
        tokens.push(cursor.take(length, "a token")?.to_vec());
    }
    Ok(Header { numbers, tokens })
}

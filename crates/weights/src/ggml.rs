//! whisper.cpp's ggml file.
//!
//! Little endian: u32 magic; eleven u32 sizes; the mel filters (u32 bands, u32 bins, f32s), which we compute ourselves;
//! u32 number of tokens, each a u32 length and bytes; then tensors to the end of the file: u32 rank, length of the name
//! and type, u32 sizes with the innermost first, the name, the numbers.

use mynah_text::whisper_tokenizer::WhisperTokenizer;

use super::blocks::Block;
use super::cursor::Cursor;
use super::names::from_openai;
use super::source::{Encoding, Opened, element_count};
use super::{Contents, Dtype};
use crate::Error;

/// Bounds memory: Whisper's have less than 52 000 tokens.
const MAX_VOCABULARY: usize = 1 << 20;

const MAGIC: [u8; 4] = 0x6767_6d6c_u32.to_le_bytes();

/// Whether a file begins as whisper.cpp's do.
pub(super) fn is_ggml(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Reads the numbers of heads, the vocabulary and the tensors.
pub(super) fn read(file: &Opened) -> Result<Contents, Error> {
    let mut cursor = Cursor::new(file, MAGIC.len());
    let mut sizes = [0; 11];
    for size in &mut sizes {
        *size = cursor.size("the sizes")?;
    }
    let [vocab_size, _, _, encoder_heads, _, _, _, decoder_heads, ..] = sizes;
    if vocab_size > MAX_VOCABULARY {
        return Err(cursor.malformed(format!("it claims a vocabulary of {vocab_size} tokens")));
    }
    let bands = [cursor.size("the mel filters")?, cursor.size("the mel filters")?];
    let filters = element_count(&bands).and_then(|count| count.checked_mul(4));
    cursor.skip(filters.unwrap_or(usize::MAX), "the mel filters")?;

    let mut tokens = Vec::new();
    let count = cursor.size("the number of tokens")?;
    if count > vocab_size {
        return Err(cursor.malformed(format!("it has {count} tokens for a vocabulary of {vocab_size}")));
    }
    for _ in 0..count {
        let length = cursor.size("the length of a token")?;
        tokens.push(cursor.take(length, "a token")?);
    }
    let tokenizer = WhisperTokenizer::from_vocabulary_tokens(&tokens, vocab_size)
        .map_err(|error| cursor.malformed(error.to_string()))?;

    let mut contents = Contents {
        encoder_heads: Some(encoder_heads),
        decoder_heads: Some(decoder_heads),
        tokenizer: Some(tokenizer),
        ..Contents::default()
    };
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
                    "tensor {name} of the ggml file has type {kind}; f32, f16, q4_0, q4_1, q5_0, q5_1 and q8_0 are read"
                )));
            }
        };
        // Blocks lie along rows, which must be whole.
        let count = element_count(&shape);
        let row = shape.last().copied().unwrap_or(1);
        let length = encoding.size(row).and(count).and_then(|count| encoding.size(count));
        let Some(length) = length else {
            return Err(cursor.malformed(format!("tensor {name} of type {kind} cannot have shape {shape:?}")));
        };
        let offset = cursor.at();
        cursor.skip(length, name)?;
        // The biases of the convolutions are columns.
        if let [rows, 1] = shape[..] {
            shape = vec![rows];
        }
        if let Some(name) = from_openai(name) {
            contents.tensors.insert(name, file, offset, shape, encoding)?;
        }
    }
    Ok(contents)
}

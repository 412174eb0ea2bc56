//! Speakers and encoded reference audio as strings: base16384 of a raw LZMA2 stream.

use std::io::Read;

use half::f16;
use lzma_rust2::Lzma2Reader;
use mynah_core::ModelError;

use super::base16384;
use crate::chattts::Codes;

/// Dictionary size that the reference implementation's streams may require.
const DICTIONARY_BYTES: u32 = 1 << 26;
/// Maximum length of reference audio, steps: the model's number of positions.
const MAX_STEPS: usize = 4096;
/// Maximum size of an uncompressed LZMA2 chunk.
const CHUNK_BYTES: usize = 1 << 16;

fn refuse(reason: &str) -> ModelError {
    ModelError::InvalidInput(format!("the speaker string is damaged: {reason}"))
}

/// At most `most` bytes of a raw LZMA2 stream.
fn decompress(stream: &[u8], most: usize) -> Result<Vec<u8>, ModelError> {
    let mut bytes = Vec::new();
    // A short stream needs no large dictionary, as it cannot refer back beyond its own length.
    let dictionary = DICTIONARY_BYTES.min((most as u32).next_power_of_two().max(1 << 16));
    Lzma2Reader::new(stream, dictionary, None)
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|reason| refuse(&format!("it is not an LZMA2 stream ({reason})")))?;
    if bytes.len() > most {
        return Err(refuse("it is too long"));
    }
    Ok(bytes)
}

/// An LZMA2 stream of uncompressed chunks: a byte 1, the size less 1 in big-endian order, the bytes; a byte 0 at the end.
fn store(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Vec::with_capacity(bytes.len() + 8);
    for (i, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
        // The first chunk also resets the dictionary.
        stream.push(if i == 0 { 1 } else { 2 });
        stream.extend_from_slice(&(chunk.len() as u16).wrapping_sub(1).to_be_bytes());
        stream.extend_from_slice(chunk);
    }
    stream.push(0);
    stream
}

/// Decodes a speaker string to an embedding.
///
/// # Errors
/// [`ModelError::InvalidInput`] if the string is invalid or its length is not `width`.
pub(crate) fn decode_speaker(text: &str, width: usize) -> Result<Vec<f16>, ModelError> {
    let stream = base16384::decode(text).ok_or_else(|| refuse("it is not base16384"))?;
    let bytes = decompress(&stream, 2 * width)?;
    if bytes.len() != 2 * width {
        return Err(refuse(&format!("it has {} numbers, not {width}", bytes.len() / 2)));
    }
    Ok(bytes.as_chunks::<2>().0.iter().map(|&pair| f16::from_le_bytes(pair)).collect())
}

/// Encodes a speaker embedding as a string.
pub fn encode_speaker(vector: &[f16]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|v| v.to_le_bytes()).collect();
    base16384::encode(&store(&bytes))
}

/// Decodes a string to the codes of reference audio.
///
/// # Errors
/// [`ModelError::InvalidInput`] if the string or a code is invalid.
pub fn decode_sample(text: &str) -> Result<Vec<Codes>, ModelError> {
    let bytes = base16384::decode(text).ok_or_else(|| refuse("it is not base16384"))?;
    let (head, stream) = bytes.split_first_chunk::<4>().ok_or_else(|| refuse("it is too short"))?;
    let (rows, steps) = (u16::from_le_bytes([head[0], head[1]]), u16::from_le_bytes([head[2], head[3]]));
    let (rows, steps) = (usize::from(rows), usize::from(steps));
    if rows != 4 || steps == 0 || steps > MAX_STEPS {
        return Err(refuse(&format!("it has {rows} codebooks of {steps} steps")));
    }
    let bytes = decompress(stream, 2 * rows * steps)?;
    let codes: Vec<u32> =
        bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair).into()).collect();
    if codes.len() != rows * steps || codes.iter().any(|&code| code >= 625) {
        return Err(refuse("its codes are invalid"));
    }
    Ok((0..steps).map(|t| std::array::from_fn(|k| codes[k * steps + t])).collect())
}

/// Encodes the codes of reference audio as a string.
pub fn encode_sample(codes: &[Codes]) -> String {
    let head = [4_u16, codes.len() as u16];
    let columns = (0..4).flat_map(|k| codes.iter().map(move |codes| codes[k] as u16));
    let bytes: Vec<u8> = columns.flat_map(u16::to_le_bytes).collect();
    let head: Vec<u8> = head.iter().flat_map(|v| v.to_le_bytes()).collect();
    base16384::encode(&[head, store(&bytes)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_strings_can_be_decoded() {
        let vector: Vec<f16> = (0..768).map(|i| f16::from_f32((i as f32 * 0.37).sin() * 8.0)).collect();
        assert_eq!(decode_speaker(&encode_speaker(&vector), 768).unwrap(), vector);
        let codes: Vec<Codes> = (0..300).map(|t| [t, 624 - t, t / 2, 7]).collect();
        assert_eq!(decode_sample(&encode_sample(&codes)).unwrap(), codes);
    }

    #[test]
    fn damaged_strings_are_refused() {
        let vector = vec![f16::ONE; 768];
        let text = encode_speaker(&vector);
        let cut: String = text.chars().take(500).collect();
        for (text, width) in
            [("abc", 768), (text.as_str(), 767), (text.as_str(), 769), (cut.as_str(), 768), ("", 4)]
        {
            assert!(
                matches!(decode_speaker(text, width), Err(ModelError::InvalidInput(_))),
                "{text:.20} {width}"
            );
        }
        for text in ["", "一一一一", &encode_sample(&[[625, 0, 0, 0]]), &encode_sample(&[])] {
            assert!(matches!(decode_sample(text), Err(ModelError::InvalidInput(_))), "{text}");
        }
    }
}

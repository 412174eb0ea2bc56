//! Base16384: bytes as Chinese characters of fourteen bits each, the usual text form of speakers.

/// The character of fourteen zero bits.
const FIRST: u32 = 0x4e00;
/// Base of the final character, which encodes the number of bytes modulo 7.
const TAIL: u32 = 0x3d00;

/// Encodes bytes as text.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    let (mut bits, mut count) = (0_u32, 0);
    let mut push = |value: u32| text.extend(char::from_u32(FIRST + (value & 0x3fff)));
    for &byte in bytes {
        bits = bits << 8 | u32::from(byte);
        count += 8;
        if count >= 14 {
            count -= 14;
            push(bits >> count);
        }
    }
    if count > 0 {
        push(bits << (14 - count));
    }
    let rest = bytes.len() % 7;
    if rest > 0 {
        text.extend(char::from_u32(TAIL + rest as u32));
    }
    text
}

/// Decodes a text; `None` if it has invalid characters or an invalid length.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut characters: Vec<u32> = text.trim().chars().map(u32::from).collect();
    let rest =
        characters.last().and_then(|last| last.checked_sub(TAIL)).filter(|rest| (1..=6).contains(rest));
    if rest.is_some() {
        characters.pop();
    }
    let length = match rest {
        None if characters.len().is_multiple_of(4) => characters.len() / 4 * 7,
        None => return None,
        Some(rest) => characters.len().checked_sub(1)? / 4 * 7 + rest as usize,
    };
    let mut bytes = Vec::with_capacity(length + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for character in characters {
        let value = character.checked_sub(FIRST).filter(|&value| value < 1 << 14)?;
        bits = bits << 14 | value;
        count += 14;
        while count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    if bytes.len() < length {
        return None;
    }
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_bytes_round_trips() {
        for length in 0..40 {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 83 + 7) as u8).collect();
            let text = encode(&bytes);
            assert_eq!(decode(&text).as_deref(), Some(&bytes[..]), "{length} bytes as {text}");
        }
        assert_eq!(encode(&[0; 7]), "一一一一");
        assert_eq!(encode(&[0xff]), "\u{8dc0}\u{3d01}");
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["abc", "一", "一一一", "一一一\u{3d06}", "\u{3d01}", "一一一\u{8e00}", "一一一一\u{3d00}"]
        {
            assert_eq!(decode(text), None, "{text}");
        }
        assert_eq!(decode(""), Some(vec![]));
    }
}

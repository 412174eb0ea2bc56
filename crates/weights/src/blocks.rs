//! ggml's block quantisation: 32 numbers share a scale, and in some types a minimum.

use half::f16;

/// Numbers in a block.
const BLOCK: usize = 32;

/// The block types that whisper.cpp's quantiser writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// 4 bits from -8, times the scale.
    Q4_0,
    /// 4 bits, times the scale, plus the minimum.
    Q4_1,
    /// 5 bits from -16, times the scale.
    Q5_0,
    /// 5 bits, times the scale, plus the minimum.
    Q5_1,
    /// Signed bytes, times the scale.
    Q8_0,
}

impl Block {
    /// Bytes of a block: scale, minimum, fifth bits, then the numbers.
    fn bytes(self) -> usize {
        match self {
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 4 + 16,
            Self::Q5_0 => 2 + 4 + 16,
            Self::Q5_1 => 4 + 4 + 16,
            Self::Q8_0 => 2 + 32,
        }
    }

    /// Bytes of `count` numbers; `None` if they are not whole blocks.
    pub(crate) fn size(self, count: usize) -> Option<usize> {
        if count.is_multiple_of(BLOCK) { (count / BLOCK).checked_mul(self.bytes()) } else { None }
    }

    /// Dequantizes whole blocks.
    pub(crate) fn expand(self, bytes: &[u8]) -> Vec<f32> {
        let mut values = vec![0.0; bytes.len() / self.bytes() * BLOCK];
        for (values, block) in values.as_chunks_mut().0.iter_mut().zip(bytes.chunks_exact(self.bytes())) {
            self.expand_block(block, values);
        }
        values
    }

    fn expand_block(self, block: &[u8], values: &mut [f32; BLOCK]) {
        let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
        let scale = half(0);
        if self == Self::Q8_0 {
            for (value, &byte) in values.iter_mut().zip(&block[2..]) {
                *value = f32::from(byte as i8) * scale;
            }
            return;
        }
        // Symmetric types count from `zero`, the others from the minimum.
        let (zero, minimum, head) = match self {
            Self::Q4_0 => (8, 0.0, 2),
            Self::Q5_0 => (16, 0.0, 2),
            _ => (0, half(2), 4),
        };
        let fifth_bits = match self {
            Self::Q5_0 | Self::Q5_1 => {
                u32::from_le_bytes([block[head], block[head + 1], block[head + 2], block[head + 3]])
            }
            _ => 0,
        };
        // The last 16 bytes have numbers 0 to 15 in their low halves and 16 to 31 in their high halves.
        let nibbles = &block[self.bytes() - 16..];
        for (index, value) in values.iter_mut().enumerate() {
            let low = if index < 16 { nibbles[index] & 15 } else { nibbles[index - 16] >> 4 };
            let number = i32::from(low) | ((fifth_bits >> index & 1) << 4) as i32;
            *value = (number - zero) as f32 * scale + minimum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of the type with scale 0.5, minimum -3, number `index` being `number(index)`.
    fn block(block: Block, number: impl Fn(usize) -> u8) -> Vec<u8> {
        let mut bytes = f16::from_f32(0.5).to_le_bytes().to_vec();
        if matches!(block, Block::Q4_1 | Block::Q5_1) {
            bytes.extend(f16::from_f32(-3.0).to_le_bytes());
        }
        if matches!(block, Block::Q5_0 | Block::Q5_1) {
            let fifth_bits: u32 = (0..32).map(|index| u32::from(number(index) >> 4) << index).sum();
            bytes.extend(fifth_bits.to_le_bytes());
        }
        match block {
            Block::Q8_0 => bytes.extend((0..32).map(number)),
            _ => bytes.extend((0..16).map(|index| number(index) & 15 | (number(index + 16) & 15) << 4)),
        }
        bytes
    }

    #[test]
    fn blocks_expand_to_scale_times_number_plus_minimum() {
        type Number = fn(usize) -> u8;
        let four: Number = |index| (index * 7 % 16) as u8;
        let five: Number = |index| (index * 11 % 32) as u8;
        let eight: Number = |index| (index * 9) as u8;
        for (kind, number, zero, minimum) in [
            (Block::Q4_0, four, 8.0, 0.0),
            (Block::Q4_1, four, 0.0, -3.0),
            (Block::Q5_0, five, 16.0, 0.0),
            (Block::Q5_1, five, 0.0, -3.0),
            (Block::Q8_0, eight, 0.0, 0.0),
        ] {
            let bytes = block(kind, number).repeat(2);
            assert_eq!(kind.size(64), Some(bytes.len()));
            assert_eq!(kind.size(65), None);
            let signed = |index| {
                if kind == Block::Q8_0 { f32::from(number(index) as i8) } else { number(index).into() }
            };
            let expected: Vec<f32> =
                (0..64).map(|index| (signed(index % 32) - zero) * 0.5 + minimum).collect();
            assert_eq!(kind.expand(&bytes), expected, "{kind:?}");
        }
    }
}

//! XXH32, the hash of a voice's name that gives its seed (xxHash specification 0.1.1, seed 0).

const PRIMES: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];

/// The hash of `bytes`.
pub(crate) fn xxh32(bytes: &[u8]) -> u32 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let word = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    let round =
        |lane: u32, word: u32| lane.wrapping_add(word.wrapping_mul(p2)).rotate_left(13).wrapping_mul(p1);
    let (stripes, rest) = bytes.as_chunks::<16>();
    let mut hash = if stripes.is_empty() {
        p5
    } else {
        let mut lanes = [p1.wrapping_add(p2), p2, 0, 0_u32.wrapping_sub(p1)];
        for stripe in stripes {
            for (lane, part) in lanes.iter_mut().zip(stripe.as_chunks::<4>().0) {
                *lane = round(*lane, word(part));
            }
        }
        let turned = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
        turned.fold(0, u32::wrapping_add)
    };
    hash = hash.wrapping_add(bytes.len() as u32);
    let (words, rest) = rest.as_chunks::<4>();
    for part in words {
        hash = hash.wrapping_add(word(part).wrapping_mul(p3)).rotate_left(17).wrapping_mul(p4);
    }
    for &byte in rest {
        hash = hash.wrapping_add(u32::from(byte).wrapping_mul(p5)).rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(p2);
    hash = (hash ^ hash >> 13).wrapping_mul(p3);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_match_existing_servers() {
        for (name, hash) in
            [("", 46_947_589), ("echo", 1_265_306_830), ("alloy", 1_260_509_181), ("2", 205_742_900)]
        {
            assert_eq!(xxh32(name.as_bytes()), hash, "{name}");
        }
        assert_eq!(xxh32("中文女".as_bytes()), 2_298_158_020);
        // Longer than a stripe; the value is the specification's own example.
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition"), 0xe229_3b2f);
    }
}

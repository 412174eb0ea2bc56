//! Byte-level byte pair encoding over an ordered vocabulary.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{LazyLock, OnceLock};

use regex::Regex;

/// GPT-2's pieces. Its rule that white space gives its last character to the next word needs a look-ahead, which
/// [`pieces`] does by hand so that matching stays linear in time.
static PIECE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+")
        .expect("the pattern is valid")
});

/// Ordinary tokens, by id and by bytes.
#[derive(Debug)]
pub(super) struct Vocabulary {
    bytes: Vec<u8>,
    /// Where each token ends in `bytes`.
    ends: Vec<u32>,
    longest: usize,
    /// Ids in the order of their bytes, made by the first encoding.
    sorted: OnceLock<Vec<u32>>,
}

impl Vocabulary {
    /// Takes the tokens in the order of their ids; `None` if one of the 256 single bytes is missing.
    pub(super) fn new<T: AsRef<[u8]>>(tokens: impl IntoIterator<Item = T>) -> Option<Self> {
        let (mut bytes, mut ends, mut longest, mut single) = (Vec::new(), Vec::new(), 0, [false; 256]);
        for token in tokens {
            let token = token.as_ref();
            if let [byte] = token {
                single[usize::from(*byte)] = true;
            }
            longest = longest.max(token.len());
            bytes.extend_from_slice(token);
            ends.push(u32::try_from(bytes.len()).ok()?);
        }
        single.iter().all(|&found| found).then(|| Self { bytes, ends, longest, sorted: OnceLock::new() })
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// Bytes of a token; empty if there is no such token.
    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return &[] };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start as usize..end as usize]
    }

    fn id(&self, token: &[u8]) -> Option<u32> {
        if token.len() > self.longest {
            return None;
        }
        let sorted = self.sorted.get_or_init(|| {
            let mut ids: Vec<u32> = (0..self.len()).collect();
            ids.sort_by_key(|&id| self.bytes(id));
            ids.dedup_by_key(|id| self.bytes(*id));
            ids
        });
        sorted.binary_search_by_key(&token, |&id| self.bytes(id)).ok().map(|index| sorted[index])
    }

    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        for piece in pieces(text) {
            self.encode_piece(piece.as_bytes(), &mut tokens);
        }
        tokens
    }

    /// Merges neighbours, the smallest resulting id first and the leftmost of equals, until no two make a token.
    fn encode_piece(&self, piece: &[u8], tokens: &mut Vec<u32>) {
        if let Some(id) = self.id(piece) {
            tokens.push(id);
            return;
        }
        // Parts are known by where they begin; end 0 says that no part begins there (any more).
        let mut end: Vec<usize> = (1..=piece.len()).collect();
        let mut previous: Vec<usize> = (0..=piece.len()).map(|start| start.saturating_sub(1)).collect();
        let mut candidates = BinaryHeap::new();
        let candidate = |start: usize, middle: usize, end: usize| {
            self.id(&piece[start..end]).map(|id| Reverse((id, start, middle, end)))
        };
        for start in 0..piece.len().saturating_sub(1) {
            candidates.extend(candidate(start, start + 1, start + 2));
        }
        while let Some(Reverse((_, start, middle, stop))) = candidates.pop() {
            if end[start] != middle || end[middle] != stop {
                continue; // one of the two has been merged since
            }
            end[start] = stop;
            end[middle] = 0;
            previous[stop] = start;
            if start > 0 {
                candidates.extend(candidate(previous[start], start, stop));
            }
            if stop < piece.len() {
                candidates.extend(candidate(start, stop, end[stop]));
            }
        }
        let mut start = 0;
        while start < piece.len() {
            tokens.extend(self.id(&piece[start..end[start]]));
            start = end[start];
        }
    }
}

/// Cuts a text into the pieces that are encoded one by one.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let found = PIECE.find_at(text, at)?;
        let piece = found.as_str();
        let mut end = found.end();
        if end < text.len()
            && piece.chars().all(char::is_whitespace)
            && let Some((last, _)) = piece.char_indices().next_back()
            && last > 0
        {
            end = found.start() + last;
        }
        at = end;
        Some(&text[found.start()..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_gives_its_last_character_to_what_follows() {
        let cut = |text| pieces(text).collect::<Vec<_>>();
        assert_eq!(cut("a  b\n\n c  "), ["a", " ", " b", "\n\n", " c", "  "]);
        assert_eq!(cut("a \tb\u{3000}c"), ["a", " ", "\t", "b", "\u{3000}", "c"]);
        assert_eq!(cut("it's 3rd!?"), ["it", "'s", " 3", "rd", "!?"]);
        assert_eq!(cut(""), [""; 0]);
    }

    #[test]
    fn long_pieces_take_time_that_grows_gently() {
        let vocabulary =
            Vocabulary::new((0..=255u8).map(|byte| vec![byte]).chain([b"aa".to_vec(), b"aaaa".to_vec()]));
        let tokens = vocabulary.unwrap().encode(&"a".repeat(400_003));
        assert_eq!(tokens.len(), 100_000 + 2);
        assert_eq!(tokens[99_999..], [257, 256, 97]);
    }
}

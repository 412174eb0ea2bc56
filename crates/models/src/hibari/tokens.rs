//! Token ids of phonemes.

use mynah_core::ModelError;

/// Maximum number of phonemes per utterance.
pub const MAX_PHONEMES: usize = 400;

/// Number of rows in the voices' embeddings.
pub(super) const TOKENS: usize = 178;

/// Token before and after the phonemes.
pub(super) const EDGE: usize = 0;

/// The alphabet of the Kokoro voices, from which these were distilled: the first id of each run, and its
/// characters in order.
const RUNS: [(usize, &str); 30] = [
    (1, ";:,.!?"),
    (9, "—…\"()“” \u{303}ʣʥʦʨᵝ\u{ab67}AI"),
    (31, "O"),
    (33, "Q"),
    (35, "ST"),
    (39, "W"),
    (41, "Yᵊabcdef"),
    (50, "hijklmnopqrstuvwxyzɑɐɒæ"),
    (75, "βɔɕç"),
    (80, "ɖðʤə"),
    (85, "ɚɛɜ"),
    (90, "ɟ"),
    (92, "ɡ"),
    (99, "ɥ"),
    (101, "ɨɪʝ"),
    (110, "ɯɰŋɳɲɴø"),
    (118, "ɸθœ"),
    (123, "ɹ"),
    (125, "ɾɻ"),
    (128, "ʁɽʂʃʈʧ"),
    (135, "ʊʋ"),
    (138, "ʌɣɤ"),
    (142, "χʎ"),
    (147, "ʒʔ"),
    (156, "ˈˌː"),
    (162, "ʰ"),
    (164, "ʲ"),
    (169, "↓"),
    (171, "→↗↘"),
    (177, "ᵻ"),
];

/// The id of a phoneme; `None` for characters outside the alphabet.
fn number(phoneme: char) -> Option<usize> {
    RUNS.iter().find_map(|(first, run)| run.chars().position(|c| c == phoneme).map(|at| first + at))
}

/// Phonemes as token ids.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tokens {
    /// Ids with [`EDGE`] at both ends.
    pub(super) ids: Vec<usize>,
    /// For each character of the phonemes, the index in `ids` at which it starts; characters outside the alphabet have no
    /// id of their own. One more entry for the end of the last.
    pub(super) starts: Vec<usize>,
}

impl Tokens {
    /// Maps phonemes to ids and skips other characters.
    pub(super) fn encode(phonemes: &str) -> Result<Self, ModelError> {
        let length = phonemes.chars().count();
        if length > MAX_PHONEMES {
            return Err(ModelError::InvalidInput(format!(
                "{length} phonemes are too many for one utterance: cut the text so that each part has at most {MAX_PHONEMES}"
            )));
        }
        let mut ids = vec![EDGE];
        let mut starts = Vec::with_capacity(length + 1);
        for phoneme in phonemes.chars() {
            starts.push(ids.len());
            ids.extend(number(phoneme));
        }
        starts.push(ids.len());
        ids.push(EDGE);
        if ids.len() < 3 {
            return Err(ModelError::InvalidInput(
                "the text has nothing that an English voice can speak".into(),
            ));
        }
        Ok(Self { ids, starts })
    }
}

/// Cuts phonemes into parts of at most [`MAX_PHONEMES`]: after the last clause that fits, else after the last word that
/// fits, else at the limit. Only the white space between parts is dropped.
pub fn split_phonemes(phonemes: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = phonemes.trim();
    while let Some((limit, _)) = rest.char_indices().nth(MAX_PHONEMES) {
        // A part may end at the limit if a space follows.
        let spaces: Vec<usize> =
            rest.match_indices(' ').map(|(at, _)| at).take_while(|&at| at <= limit).collect();
        let ends_clause =
            |&&at: &&usize| rest[..at].ends_with([',', ';', ':', '—', '.', '!', '?', '…', ')', '”']);
        let cut = spaces.iter().rev().find(ends_clause).or(spaces.last()).copied().unwrap_or(limit);
        let (part, after) = rest.split_at(if cut == 0 { limit } else { cut });
        parts.push(part.trim_end());
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phonemes_are_mapped_to_ids_between_edges() {
        let tokens = Tokens::encode("həlˈO 7ðˈɛɹ.").unwrap();
        assert_eq!(tokens.ids, [0, 50, 83, 54, 156, 31, 16, 81, 156, 86, 123, 4, 0]);
        // The digit is not a phoneme: its start is that of the next one.
        assert_eq!(tokens.starts, [1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 12]);
        assert_eq!(number('ᵻ'), Some(TOKENS - 1));
    }

    #[test]
    fn too_many_and_no_phonemes_are_refused() {
        assert!(Tokens::encode(&"a".repeat(MAX_PHONEMES)).is_ok());
        let error = Tokens::encode(&"a".repeat(MAX_PHONEMES + 1)).unwrap_err();
        assert!(error.to_string().contains("401 phonemes"), "{error}");
        assert!(matches!(Tokens::encode("你好"), Err(ModelError::InvalidInput(_))));
        assert!(matches!(Tokens::encode(""), Err(ModelError::InvalidInput(_))));
    }

    #[test]
    fn long_text_is_cut_after_clauses_then_words() {
        let clause = format!("{}, ", "ab ".repeat(60).trim_end());
        let long = clause.repeat(7);
        let parts = split_phonemes(&long);
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|p| p.ends_with(',') && p.chars().count() <= MAX_PHONEMES));
        assert_eq!(parts.join(" "), long.trim_end());

        let words = "ˈaə ".repeat(500);
        let parts = split_phonemes(&words);
        assert!(parts.iter().all(|p| p.chars().count() <= MAX_PHONEMES && p.ends_with('ə')));
        assert_eq!(parts.join(" "), words.trim_end());

        let one_word = "ə".repeat(900);
        assert_eq!(
            split_phonemes(&one_word).iter().map(|p| p.chars().count()).collect::<Vec<_>>(),
            [400, 400, 100]
        );
        let exact = format!("{} b", "ə".repeat(MAX_PHONEMES));
        assert_eq!(split_phonemes(&exact), [&"ə".repeat(MAX_PHONEMES), "b"]);
        assert_eq!(split_phonemes("həlˈO"), ["həlˈO"]);
        assert!(split_phonemes("  ").is_empty());
    }
}

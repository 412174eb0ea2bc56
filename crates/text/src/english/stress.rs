//! Stress marks of a phoneme string: where they are, and how a word's place in the sentence changes them.
//!
//! The alphabet is misaki's: one character a phoneme, `ˈ` primary and `ˌ` secondary stress before the vowel.

/// Primary stress mark.
pub(super) const PRIMARY: char = 'ˈ';
/// Secondary stress mark.
pub(super) const SECONDARY: char = 'ˌ';

/// Whether a phoneme is a vowel or a diphthong.
pub(super) fn is_vowel(phoneme: char) -> bool {
    "AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ".contains(phoneme)
}

/// Whether a phoneme is a consonant.
pub(super) fn is_consonant(phoneme: char) -> bool {
    "bdfhjklmnpstvwzðŋɡɹɾʃʒʤʧθ".contains(phoneme)
}

/// Length of a phoneme string in beats: diphthongs and affricates count twice.
pub(super) fn weight(phonemes: &str) -> usize {
    phonemes.chars().map(|c| if "AIOQWYʤʧ".contains(c) { 2 } else { 1 }).sum()
}

/// What a context asks of a word's stress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stress {
    /// Primary becomes secondary; a word without primary stays as it is.
    Reduce,
    /// Exactly secondary: reduce, or mark a word that has no stress.
    Secondary,
    /// A word that has no stress gets a secondary one (capitalised words).
    AtLeastSecondary,
    /// A word without primary stress gets one (words in capitals).
    Primary,
}

/// `phonemes` with its stress changed as asked.
pub(super) fn apply(phonemes: &str, stress: Stress) -> String {
    let has_primary = phonemes.contains(PRIMARY);
    let has_secondary = phonemes.contains(SECONDARY);
    let unmarked = !has_primary && !has_secondary;
    match stress {
        Stress::Reduce | Stress::Secondary if has_primary => {
            phonemes.replace(SECONDARY, "").replace(PRIMARY, SECONDARY.encode_utf8(&mut [0; 4]))
        }
        Stress::Secondary | Stress::AtLeastSecondary if unmarked => mark(phonemes, SECONDARY),
        Stress::Primary if unmarked => mark(phonemes, PRIMARY),
        Stress::Primary if !has_primary => phonemes.replace(SECONDARY, PRIMARY.encode_utf8(&mut [0; 4])),
        _ => phonemes.to_owned(),
    }
}

/// Puts a stress mark before the first vowel; a string without vowels has nothing to stress.
fn mark(phonemes: &str, mark: char) -> String {
    phonemes.find(is_vowel).map_or_else(
        || phonemes.to_owned(),
        |vowel| format!("{}{mark}{}", &phonemes[..vowel], &phonemes[vowel..]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stress_is_changed_as_asked() {
        for (phonemes, stress, expected) in [
            ("hˌæmbˈɜɹɡəɹ", Stress::Reduce, "hæmbˌɜɹɡəɹ"),
            ("ænd", Stress::Reduce, "ænd"),
            ("ænd", Stress::Secondary, "ˌænd"),
            ("stɹit", Stress::AtLeastSecondary, "stɹˌit"),
            ("stɹˈit", Stress::AtLeastSecondary, "stɹˈit"),
            ("stɹit", Stress::Primary, "stɹˈit"),
            ("ˌʌs", Stress::Primary, "ˈʌs"),
            ("ʃ", Stress::Primary, "ʃ"),
        ] {
            assert_eq!(apply(phonemes, stress), expected, "{phonemes} {stress:?}");
        }
    }
}

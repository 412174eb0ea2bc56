//! Joins the texts of two overlapping parts of a recording.

/// Maximum number of repeated words: more than fit into the overlap.
const MAX_REPEATED: usize = 12;

/// `next` without the words at its start that repeat the end of `previous`.
pub(crate) fn without_repeated<'a>(previous: &str, next: &'a str) -> &'a str {
    let before: Vec<String> = previous.split_whitespace().map(bare).collect();
    let after: Vec<String> = next.split_whitespace().map(bare).collect();
    let longest = before.len().min(after.len()).min(MAX_REPEATED);
    let repeated = (1..=longest).rev().find(|&count| before[before.len() - count..] == after[..count]);
    let mut rest = next;
    for _ in 0..repeated.unwrap_or(0) {
        rest = rest.trim_start();
        rest = &rest[rest.find(char::is_whitespace).unwrap_or(rest.len())..];
    }
    rest
}

/// A word in lower case without punctuation, as the two parts may differ in these.
fn bare(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_words_are_removed() {
        for (previous, next, rest) in [
            ("the stale smell of old", "of old beer lingers", " beer lingers"),
            ("the stale smell of Old,", " Of old beer", " beer"),
            ("a dash of", "pepper spoils", "pepper spoils"),
            ("no no no", "no no", ""),
            ("", "anything", "anything"),
            ("anything", "", ""),
        ] {
            assert_eq!(without_repeated(previous, next), rest, "{previous:?} {next:?}");
        }
    }
}

//! Splits long text into pieces of a suitable length for the model: short sentences are joined, long ones are cut at punctuation.

/// Length above which no further sentence is joined to a piece, and above which a sentence is cut, in units of a Chinese
/// character's speaking time.
const JOIN_LIMIT: usize = 40;
const MAX_LENGTH: usize = 120;

/// Length by speaking time: a Latin letter takes about a third of a Chinese character.
fn length(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 3 }).sum::<usize>() / 3
}

/// Pieces of a text, each with at least one character that is not white space. Lines are never joined.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for line in text.lines() {
        let mut piece = String::new();
        for sentence in sentences(line).into_iter().flat_map(cut) {
            if !piece.is_empty() && length(&piece) + length(sentence) > JOIN_LIMIT {
                pieces.push(std::mem::take(&mut piece));
            }
            piece.push_str(sentence);
        }
        pieces.push(piece);
    }
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

/// The sentences of a line, each with its end.
pub(super) fn sentences(line: &str) -> Vec<&str> {
    let ends = |c: char, next: Option<char>| {
        "。！？".contains(c) || ".!?".contains(c) && next.is_some_and(char::is_whitespace)
    };
    pieces(line, ends)
}

/// Cuts a sentence that is too long at commas, else at spaces, else anywhere.
fn cut(sentence: &str) -> Vec<&str> {
    if length(sentence) <= MAX_LENGTH {
        return vec![sentence];
    }
    let parts = pieces(sentence, |c, _| "，、；：,;:".contains(c));
    if parts.len() > 1 {
        return parts.into_iter().flat_map(cut).collect();
    }
    let mut middle = sentence.len() / 2;
    while !sentence.is_char_boundary(middle) {
        middle += 1;
    }
    if let Some(space) = sentence[..middle].rfind(' ').filter(|&space| space > 0) {
        middle = space + 1;
    }
    let (first, second) = sentence.split_at(middle);
    cut(first).into_iter().chain(cut(second)).collect()
}

/// Cuts after the characters for which `ends` is true, including one space after them. Tags are not cut.
fn pieces(text: &str, ends: impl Fn(char, Option<char>) -> bool) -> Vec<&str> {
    let (mut found, mut start) = (Vec::new(), 0);
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let next = characters.peek().map(|&(_, c)| c);
        if ends(c, next) && !next.is_some_and(|next| ends(next, None)) {
            let mut end = at + c.len_utf8();
            if let Some(space) = next.filter(|c| c.is_whitespace()) {
                end += space.len_utf8();
                characters.next();
            }
            found.push(&text[start..end]);
            start = end;
        }
    }
    if start < text.len() {
        found.push(&text[start..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_they_are_closed() {
        assert_eq!(
            sentences("你好。今天 3.5 元！Really? Yes.No. end"),
            ["你好。", "今天 3.5 元！", "Really? ", "Yes.No. ", "end"]
        );
        assert_eq!(sentences("什么？！好。"), ["什么？！", "好。"]);
        assert!(sentences("").is_empty());
    }

    #[test]
    fn pieces_have_a_suitable_length_and_lose_no_text() {
        let text = "你好。".repeat(50) + &"长".repeat(500) + "，" + &"word ".repeat(300);
        let pieces = split(&text);
        assert_eq!(pieces.concat(), text);
        assert!(pieces.iter().all(|piece| length(piece) <= MAX_LENGTH), "{pieces:?}");
        assert!(pieces[..3].iter().all(|piece| length(piece) > JOIN_LIMIT / 2), "{pieces:?}");
        assert_eq!(split("一。\n\n 二。\n"), ["一。", " 二。"]);
        assert!(split(" \n").is_empty());
    }
}

//! Text that remembers, byte by byte, where it came from.

use std::ops::Range;

/// A text made from another one.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapped {
    pub(super) text: String,
    /// For each byte of `text`, its place in the original.
    sources: Vec<(u32, u32)>,
}

impl Mapped {
    /// Appends text that stands for `source` in the original.
    pub(super) fn push(&mut self, text: &str, source: Range<usize>) {
        self.text.push_str(text);
        // Sentences are bounded far below 4 GB.
        self.sources.resize(self.text.len(), (source.start as u32, source.end as u32));
    }

    /// Where a byte range of `text` came from; an empty range came from nowhere in particular.
    pub(super) fn source(&self, range: &Range<usize>) -> Range<usize> {
        match self.sources.get(range.clone()) {
            Some([first, .., last]) => first.0 as usize..last.1.max(first.1) as usize,
            Some([only]) => only.0 as usize..only.1 as usize,
            _ => 0..0,
        }
    }

    /// Whether the text ends in `^` and digits.
    pub(super) fn ends_in_power(&self) -> bool {
        self.text.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with('^')
    }

    /// Takes back spaces at the end.
    pub(super) fn trim_end(&mut self) {
        self.text.truncate(self.text.trim_end().len());
        self.sources.truncate(self.text.len());
    }
}

//! A compact read-only map from strings to their index, as the voice's files hold hundreds of thousands of short keys.

/// Strings in byte order in one buffer, found by bisection.
#[derive(Default)]
pub(super) struct StringTable {
    text: String,
    /// Start of each string in `text`; one more than there are strings.
    starts: Vec<u32>,
}

impl StringTable {
    /// Builds the table; equal strings keep the first of their values. Returns the values in the table's order.
    pub(super) fn build<T>(mut entries: Vec<(String, T)>) -> (Self, Vec<T>) {
        if !entries.is_sorted_by(|a, b| a.0 < b.0) {
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.dedup_by(|b, a| a.0 == b.0);
        }
        let mut text = String::with_capacity(entries.iter().map(|(key, _)| key.len()).sum());
        let mut starts = Vec::with_capacity(entries.len() + 1);
        let mut values = Vec::with_capacity(entries.len());
        starts.push(0);
        for (key, value) in entries {
            text.push_str(&key);
            // Files are limited to far less than 4 GB before they get here.
            starts.push(text.len() as u32);
            values.push(value);
        }
        (Self { text, starts }, values)
    }

    /// String number `index`.
    pub(super) fn get(&self, index: usize) -> &str {
        &self.text[self.starts[index] as usize..self.starts[index + 1] as usize]
    }

    /// Index of `key`.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.starts.len().saturating_sub(1));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_key_and_no_other() {
        let keys = ["b", "", "ab", "é", "abc", "b"];
        let (table, values) =
            StringTable::build(keys.iter().enumerate().map(|(i, k)| ((*k).to_owned(), i)).collect());
        for (key, value) in [("", 1), ("ab", 2), ("abc", 4), ("b", 0), ("é", 3)] {
            assert_eq!(table.find(key).map(|i| values[i]), Some(value), "{key}");
        }
        assert_eq!(table.find("a"), None);
        assert_eq!(table.find("z"), None);
        assert_eq!(StringTable::default().find("a"), None);
    }
}

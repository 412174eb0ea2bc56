//! Reads numbers and strings from a file, with all lengths checked.

use std::ops::Range;

use crate::Error;
use crate::opened::Opened;

/// Bytes per read, if that many are left. Between the tensors of some formats there are a few dozen.
const WINDOW_BYTES: usize = 1 << 10;

/// A position in a file.
pub(crate) struct Cursor<'a> {
    file: &'a Opened,
    at: usize,
    end: usize,
    /// The last bytes read, and their offset.
    window: &'a [u8],
    window_at: usize,
}

macro_rules! numbers {
    ($($name:ident $type:ty),*) => {
        $(pub(crate) fn $name(&mut self, what: &str) -> Result<$type, Error> {
            let bytes = self.take(size_of::<$type>(), what)?;
            Ok(<$type>::from_le_bytes(bytes.try_into().expect("take returns the requested number of bytes")))
        })*
    };
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(file: &'a Opened, at: usize) -> Self {
        Self::within(file, at..file.length())
    }

    /// Reads a range of a file, which must be within it.
    pub(crate) fn within(file: &'a Opened, range: Range<usize>) -> Self {
        let end = range.end.min(file.length());
        Self { file, at: range.start, end, window: &[], window_at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    /// Number of bytes left.
    fn left(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// Returns the next bytes, at most `length`, without advancing.
    pub(crate) fn look(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let length = length.min(self.left());
        let seen =
            self.at.checked_sub(self.window_at).and_then(|from| self.window.get(from..)?.get(..length));
        if let Some(seen) = seen {
            return Ok(seen);
        }
        let window = length.max(WINDOW_BYTES.min(self.left()));
        self.window = self.file.part(self.at..self.at + window)?;
        self.window_at = self.at;
        Ok(&self.window[..length])
    }

    /// Skips the next `length` bytes; `what` describes them in errors.
    pub(crate) fn skip(&mut self, length: usize, what: &str) -> Result<(), Error> {
        if length > self.left() {
            let left = self.left();
            let reason = format!("it ends inside {what}: {length} bytes are needed, {left} are left");
            return Err(self.malformed(reason));
        }
        self.at += length;
        Ok(())
    }

    /// Reads the next `length` bytes; `what` describes them in errors.
    pub(crate) fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], Error> {
        let bytes = self.look(length)?;
        self.skip(length, what)?;
        Ok(bytes)
    }

    numbers!(u8 u8, u16 u16, u32 u32, u64 u64);

    /// Reads a 32-bit size or count.
    pub(crate) fn size(&mut self, what: &str) -> Result<usize, Error> {
        Ok(self.u32(what)? as usize)
    }

    /// Reads `length` bytes of UTF-8.
    pub(crate) fn text(&mut self, length: usize, what: &str) -> Result<&'a str, Error> {
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed(format!("{what} is not UTF-8")))
    }

    /// The error of a file that is damaged at this position.
    pub(crate) fn malformed(&self, reason: impl AsRef<str>) -> Error {
        self.file.malformed(format!("at byte {}: {}", self.at, reason.as_ref()))
    }
}

//! Reading numbers and strings from a mapped file, every length checked.

use std::ops::Range;
use std::sync::Arc;

use super::source::Mapped;
use crate::Error;

/// A place in a file.
pub(super) struct Cursor<'a> {
    file: &'a Arc<Mapped>,
    at: usize,
    end: usize,
}

macro_rules! numbers {
    ($($name:ident $type:ty),*) => {
        $(pub(super) fn $name(&mut self, what: &str) -> Result<$type, Error> {
            let bytes = self.take(size_of::<$type>(), what)?;
            Ok(<$type>::from_le_bytes(bytes.try_into().expect("take gives as many bytes as asked for")))
        })*
    };
}

impl<'a> Cursor<'a> {
    pub(super) fn new(file: &'a Arc<Mapped>, at: usize) -> Self {
        Self::within(file, at..file.bytes().len())
    }

    /// Reads a part of a file, which must lie within it.
    pub(super) fn within(file: &'a Arc<Mapped>, range: Range<usize>) -> Self {
        Self { file, at: range.start, end: range.end }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.file.bytes().get(self.at..self.end).unwrap_or_default()
    }

    /// The next `length` bytes, which are `what`.
    pub(super) fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], Error> {
        let rest = self.rest();
        let bytes = rest.get(..length).ok_or_else(|| {
            self.malformed(format!(
                "it ends inside {what}: {length} bytes are needed, {} are left",
                rest.len()
            ))
        })?;
        self.at += length;
        Ok(bytes)
    }

    numbers!(u8 u8, u16 u16, u32 u32, u64 u64);

    /// A 32-bit size or count.
    pub(super) fn size(&mut self, what: &str) -> Result<usize, Error> {
        Ok(self.u32(what)? as usize)
    }

    /// `length` bytes of UTF-8.
    pub(super) fn text(&mut self, length: usize, what: &str) -> Result<&'a str, Error> {
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed(format!("{what} is not UTF-8")))
    }

    /// The error of a file that is damaged here.
    pub(super) fn malformed(&self, reason: impl AsRef<str>) -> Error {
        self.file.malformed(format!("at byte {}: {}", self.at, reason.as_ref()))
    }
}

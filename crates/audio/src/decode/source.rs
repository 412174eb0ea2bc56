//! The bytes of a file, shared between whoever looks at them, and read within a budget.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::io::MediaSource;

/// What a caller may hand in.
pub(super) trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// A window of a shared source with its own position.
///
/// Several may exist over one file: looking at its head, demuxing it, and copying it elsewhere after the demuxer gave
/// up take one each. A reader that runs in circles (seeking back for ever over crafted offsets) is stopped when it
/// has read several times what the window holds.
pub(super) struct Section {
    source: Arc<Mutex<Box<dyn Source>>>,
    start: u64,
    len: u64,
    /// Bytes presented behind the window, to mend what a demuxer cannot read.
    tail: Vec<u8>,
    pos: u64,
    budget: u64,
    seekable: bool,
}

/// How often a demuxer may read the whole file, and what it may read beyond that.
const BUDGET_PASSES: u64 = 8;
const BUDGET_EXTRA: u64 = 64 << 20;

impl Section {
    /// Takes the whole of `source`.
    pub(super) fn whole(mut source: Box<dyn Source>) -> io::Result<Self> {
        let len = source.seek(SeekFrom::End(0))?;
        Ok(Self::over(Arc::new(Mutex::new(source)), 0, len))
    }

    fn over(source: Arc<Mutex<Box<dyn Source>>>, start: u64, len: u64) -> Self {
        let budget = len.saturating_mul(BUDGET_PASSES).saturating_add(BUDGET_EXTRA);
        Self { source, start, len, tail: Vec::new(), pos: 0, budget, seekable: true }
    }

    /// The same window with more bytes behind it.
    pub(super) fn with_tail(mut self, tail: Vec<u8>) -> Self {
        self.tail = tail;
        self
    }

    /// A window of the file from `start` of `len` bytes, cut to what this one has; positioned at its begin.
    pub(super) fn section(&self, start: u64, len: u64) -> Self {
        let start = start.min(self.len);
        Self::over(Arc::clone(&self.source), self.start + start, len.min(self.len - start))
    }

    /// The same window, to be read from begin to end only.
    pub(super) fn forward_only(mut self) -> Self {
        self.seekable = false;
        self
    }

    /// Bytes to be read in all.
    pub(super) fn len(&self) -> u64 {
        self.len + self.tail.len() as u64
    }

    /// Up to `len` bytes from `start`, fewer at the end; the position stays.
    pub(super) fn peek(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.section(start, len as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Section {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let remaining = self.len().saturating_sub(self.pos);
        let want = remaining.min(buf.len() as u64).min(self.budget) as usize;
        if want == 0 {
            if remaining > 0 && !buf.is_empty() {
                return Err(io::Error::other("the file sends its reader in circles"));
            }
            return Ok(0);
        }
        let read = if let Some(at) = self.pos.checked_sub(self.len) {
            (&self.tail[at as usize..]).read(&mut buf[..want])?
        } else {
            let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            source.seek(SeekFrom::Start(self.start + self.pos))?;
            source.read(&mut buf[..want.min((self.len - self.pos) as usize)])?
        };
        self.pos += read as u64;
        self.budget -= read as u64;
        Ok(read)
    }
}

impl Seek for Section {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let pos = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.pos.checked_add_signed(offset),
        };
        self.pos =
            pos.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a seek before the begin"))?;
        Ok(self.pos)
    }
}

impl MediaSource for Section {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn byte_len(&self) -> Option<u64> {
        self.seekable.then(|| self.len())
    }
}

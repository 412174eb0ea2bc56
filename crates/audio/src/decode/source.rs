//! Shared access to the bytes of a file, with a read budget.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::io::MediaSource;

/// Input of the decoder.
pub(super) trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// A window of a shared source with its own position.
///
/// Several may exist for one file: detecting its format, demuxing it, and copying it for ffmpeg
/// use one each. A reader that loops (seeking back forever because of crafted offsets) is stopped when it
/// has read the window several times.
pub(super) struct Section {
    source: Arc<Mutex<Box<dyn Source>>>,
    start: u64,
    len: u64,
    /// Bytes appended to the window, to repair a file for a demuxer.
    tail: Vec<u8>,
    pos: u64,
    budget: u64,
    seekable: bool,
}

/// Number of times that a demuxer may read the whole file, and the bytes that it may read in addition.
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

    /// The same window with `tail` appended.
    pub(super) fn with_tail(mut self, tail: Vec<u8>) -> Self {
        self.tail = tail;
        self
    }

    /// A window of the file from `start` of `len` bytes, clipped to this one; positioned at its start.
    pub(super) fn section(&self, start: u64, len: u64) -> Self {
        let start = start.min(self.len);
        Self::over(Arc::clone(&self.source), self.start + start, len.min(self.len - start))
    }

    /// The same window, without seeking.
    pub(super) fn forward_only(mut self) -> Self {
        self.seekable = false;
        self
    }

    /// Total number of bytes.
    pub(super) fn len(&self) -> u64 {
        self.len + self.tail.len() as u64
    }

    /// Up to `len` bytes from `start`, fewer at the end; does not change the position.
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
                return Err(io::Error::other("reading the file does not end, as its offsets form a loop"));
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
            pos.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a seek before the start"))?;
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

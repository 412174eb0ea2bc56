/// Splits samples, pushed in any number, into frames of a fixed length.
pub(super) struct Frames {
    length: usize,
    pending: Vec<f32>,
    taken: u64,
}

impl Frames {
    pub(super) fn new(length: usize) -> Self {
        Self { length, pending: Vec::with_capacity(length), taken: 0 }
    }

    /// Samples pushed so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes samples and passes on each complete frame.
    pub(super) fn push<E>(
        &mut self,
        mut samples: &[f32],
        mut each: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.taken += samples.len() as u64;
        while self.pending.len() + samples.len() >= self.length {
            let (part, rest) = samples.split_at(self.length - self.pending.len());
            self.pending.extend_from_slice(part);
            samples = rest;
            each(&self.pending)?;
            self.pending.clear();
        }
        self.pending.extend_from_slice(samples);
        Ok(())
    }

    /// The samples of the incomplete last frame.
    pub(super) fn into_rest(self) -> Vec<f32> {
        self.pending
    }
}

//! Hidden states to samples, piece by piece: what is made of a piece is final, and all pieces are the whole.
//!
//! Every convolution keeps the frames that its later outputs see, so nothing is computed twice; samples come out as soon as
//! all they depend on is there, some 53 steps after the first state.

use super::mel_decoder::{MelDecoder, MelStream};
use super::vocos::{Vocos, VocosStream};

/// One text on its way to samples.
pub(super) struct Voicing<'a> {
    decoder: &'a MelDecoder,
    vocos: &'a Vocos,
    mel: MelStream,
    samples: VocosStream,
}

impl<'a> Voicing<'a> {
    pub(super) fn new(decoder: &'a MelDecoder, vocos: &'a Vocos) -> Self {
        Self { decoder, vocos, mel: decoder.stream(), samples: vocos.stream() }
    }

    /// Takes the next steps' rows; with the last, `end` is true. Returns the samples that are final now.
    pub(super) fn push(&mut self, rows: &[f32], end: bool) -> Vec<f32> {
        let mel = self.decoder.run(&mut self.mel, rows, end, &mut |_| {});
        self.vocos.run(&mut self.samples, &mel, end, &mut |_| {})
    }

    /// Begins another text.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.decoder, self.vocos);
    }
}

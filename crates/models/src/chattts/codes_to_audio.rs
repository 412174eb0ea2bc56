//! Streaming decoder from hidden states to samples. Returned samples are final.
//!
//! Every convolution keeps the frames that its later outputs need, so nothing is computed twice. A sample is returned as soon as
//! everything it depends on is known: the first ones about 53 steps after the first state.

use super::mel_decoder::{MelDecoder, MelStream};
use super::vocos::{Vocos, VocosStream};

/// Decodes one text's hidden states to samples.
pub(super) struct AudioDecoder<'a> {
    decoder: &'a MelDecoder,
    vocos: &'a Vocos,
    mel: MelStream,
    samples: VocosStream,
}

impl<'a> AudioDecoder<'a> {
    pub(super) fn new(decoder: &'a MelDecoder, vocos: &'a Vocos) -> Self {
        Self { decoder, vocos, mel: decoder.stream(), samples: vocos.stream() }
    }

    /// Takes the next steps' rows; `end` is true with the last. Returns the samples that became final.
    pub(super) fn push(&mut self, rows: &[f32], end: bool) -> Vec<f32> {
        let mel = self.decoder.run(&mut self.mel, rows, end, &mut |_| {});
        self.vocos.run(&mut self.samples, &mel, end, &mut |_| {})
    }

    /// Resets the state for another text.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.decoder, self.vocos);
    }
}

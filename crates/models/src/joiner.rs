//! Joins consecutive utterances into one stream of samples.

/// What separates an utterance from the previous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Nothing: a long text was cut here.
    Cut,
    /// The end of a sentence; the voice's own silence around it is enough.
    Sentence,
    /// The end of a paragraph.
    Paragraph,
}

impl Pause {
    /// Silence added to the voice's own.
    fn added_s(self) -> f64 {
        match self {
            Pause::Cut | Pause::Sentence => 0.0,
            Pause::Paragraph => 0.35,
        }
    }
}

/// Length of the fades at the start and end of an utterance.
const FADE_S: f64 = 0.004;

/// Joins utterances without clicks: each fades in and out over a few milliseconds, and pauses are inserted between them. Holds
/// back no more than a fade's length, so audio can be sent before an utterance is complete.
#[derive(Clone, Debug)]
pub struct Joiner {
    sample_rate: u32,
    /// Rising half of a Hann window.
    fade: Vec<f32>,
    /// Samples of this utterance so far.
    received: usize,
    /// The utterance's last samples, not yet returned.
    held: Vec<f32>,
    /// Samples of the stream returned so far.
    emitted: usize,
    started: bool,
}

impl Joiner {
    /// A joiner of utterances at `sample_rate`.
    pub fn new(sample_rate: u32) -> Self {
        let length = (FADE_S * f64::from(sample_rate)) as usize;
        let step = std::f64::consts::PI / (length + 1) as f64;
        let fade = (1..=length).map(|i| (0.5 - 0.5 * (i as f64 * step).cos()) as f32).collect();
        Self { sample_rate, fade, received: 0, held: Vec::new(), emitted: 0, started: false }
    }

    /// Ends the previous utterance, if any, and begins the next. Appends final samples to `out`. Returns the index in the stream
    /// at which the new utterance begins.
    pub fn begin(&mut self, pause: Pause, out: &mut Vec<f32>) -> usize {
        self.end(out);
        if self.started {
            let silence = (pause.added_s() * f64::from(self.sample_rate)) as usize;
            out.resize(out.len() + silence, 0.0);
            self.emitted += silence;
        }
        self.started = true;
        self.emitted
    }

    /// Takes the next samples of the utterance and appends final samples to `out`.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        let first = self.held.len();
        self.held.extend_from_slice(samples);
        let rising = self.fade.get(self.received..).unwrap_or_default();
        self.held[first..].iter_mut().zip(rising).for_each(|(sample, factor)| *sample *= factor);
        self.received += samples.len();
        let ready = self.held.len().saturating_sub(self.fade.len());
        out.extend(self.held.drain(..ready));
        self.emitted += ready;
    }

    /// Ends the last utterance and appends the samples held back to `out`.
    pub fn end(&mut self, out: &mut Vec<f32>) {
        let falling = self.held.iter_mut().rev().zip(&self.fade);
        falling.for_each(|(sample, factor)| *sample *= factor);
        self.emitted += self.held.len();
        out.append(&mut self.held);
        self.received = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(utterances: &[(Pause, usize)], chunk: usize) -> (Vec<f32>, Vec<usize>) {
        let mut joiner = Joiner::new(24_000);
        let (mut out, mut starts) = (Vec::new(), Vec::new());
        for &(pause, length) in utterances {
            starts.push(joiner.begin(pause, &mut out));
            for part in vec![1.0; length].chunks(chunk) {
                joiner.push(part, &mut out);
            }
        }
        joiner.end(&mut out);
        (out, starts)
    }

    #[test]
    fn edges_fade_and_pauses_are_silent() {
        let utterances = [(Pause::Sentence, 3000), (Pause::Sentence, 1000), (Pause::Paragraph, 2000)];
        let (out, starts) = join(&utterances, 700);
        assert_eq!(starts, [0, 3000, 4000 + 8400]);
        assert_eq!(out.len(), starts[2] + 2000);
        assert!(out[4000..starts[2]].iter().all(|&v| v == 0.0));
        let steepest = out.windows(2).map(|w| (w[0] - w[1]).abs()).fold(0.0, f32::max);
        assert!(steepest < 0.02, "{steepest}");
        assert!(out[200] == 1.0 && out[2000] == 1.0 && out[3500] == 1.0);
    }

    #[test]
    fn the_result_does_not_depend_on_the_chunk_size() {
        // The second is shorter than a fade.
        let utterances = [(Pause::Sentence, 500), (Pause::Cut, 50), (Pause::Cut, 0), (Pause::Sentence, 300)];
        let whole = join(&utterances, 1000);
        assert_eq!(whole.0.len(), 850);
        for chunk in [1, 7, 96, 97, 300] {
            assert_eq!(join(&utterances, chunk), whole, "{chunk}");
        }
    }
}

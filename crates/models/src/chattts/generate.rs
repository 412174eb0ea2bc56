//! Autoregressive generation: several texts are prefilled together, then each step gives each text its next token or codes.

use std::sync::Arc;

use mynah_core::{CancelFlag, JobContext, ModelError};

use super::gpt::{Gpt, Sequence};
use super::sampling::{RandomSource, Sampling};
use crate::batching::{BatchState, Participant, StepBatcher};

/// Maximum number of positions of the model.
const MAX_POSITIONS: usize = 4096;

/// Maximum number of retries of the first step if it ends a text.
const MAX_FIRST_STEP_RETRIES: usize = 64;

/// One step of audio: one code per codebook.
pub type Codes = [u32; 4];

/// A text's prompt.
#[derive(Clone, Debug, Default)]
pub(super) struct Prompt {
    /// Ids of text tokens.
    pub(super) ids: Vec<u32>,
    /// The id whose embedding is replaced, and the speaker embedding that replaces it.
    pub(super) speaker: Option<(u32, Arc<[f32]>)>,
    /// Audio to continue.
    pub(super) audio: Arc<[Codes]>,
}

impl Prompt {
    fn positions(&self) -> usize {
        self.ids.len() + self.audio.len()
    }

    /// Embeddings, `[positions, width]`.
    pub(super) fn embed(&self, gpt: &Gpt) -> Vec<f32> {
        let width = gpt.config.width;
        let mut x = vec![0.0; self.positions() * width];
        let mut rows = x.chunks_exact_mut(width);
        for (&id, row) in self.ids.iter().zip(&mut rows) {
            match &self.speaker {
                Some((place, vector)) if *place == id => row.copy_from_slice(vector),
                _ => gpt.embed_text(id, row),
            }
        }
        for (codes, row) in self.audio.iter().zip(&mut rows) {
            gpt.embed_codes(codes, row);
        }
        x
    }
}

/// What is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Text tokens, ended by this one.
    Text { end: u32 },
    /// Audio codes.
    Codes,
}

/// One text of a [`Generation`].
pub(super) struct Row {
    sequence: Sequence,
    /// Normalised hidden state from which the next token is chosen.
    state: Vec<f32>,
    /// Tokens (in the first element) or codes so far.
    pub(super) codes: Vec<Codes>,
    /// The hidden states from which they were chosen, `[steps, width]`; for audio only.
    pub(super) states: Vec<f32>,
    pub(super) finished: bool,
}

/// Texts that are being generated.
pub(super) struct Generation<'a> {
    gpt: &'a Gpt,
    participant: Participant<'a, Step>,
    target: Target,
    sampling: Sampling,
    random: RandomSource,
    pub(super) rows: Vec<Row>,
    step: usize,
    cancel: CancelFlag,
}

impl<'a> Generation<'a> {
    /// Prefills the prompts.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] if a prompt is empty or, with what may follow it, too long for the model.
    pub(super) fn begin(
        gpt: &'a Gpt,
        batcher: &'a StepBatcher<Step>,
        target: Target,
        prompts: &[Prompt],
        sampling: &Sampling,
        random: RandomSource,
        cancel: &CancelFlag,
    ) -> Result<Self, ModelError> {
        let mut sampling = sampling.clone();
        let longest = prompts.iter().map(Prompt::positions).max().unwrap_or(0);
        if longest + 1 >= MAX_POSITIONS {
            return Err(ModelError::InvalidInput(format!(
                "a sentence and its reference audio take {longest} of the model's {MAX_POSITIONS} positions; shorten them"
            )));
        }
        sampling.max_tokens = sampling.max_tokens.min(MAX_POSITIONS - longest);
        let width = gpt.config.width;
        let rows = prompts
            .iter()
            .map(|prompt| {
                let mut sequence = gpt.sequence();
                let mut x = prompt.embed(gpt);
                let count = x.len() / width;
                if count == 0 {
                    return Err(ModelError::InvalidInput("a prompt is empty".into()));
                }
                // One text at a time: a prompt has enough rows to use all cores.
                let state = gpt.forward(&mut x, &mut [&mut sequence], &[count], cancel, &mut |_, _| {})?;
                Ok(Row { sequence, state, codes: vec![], states: vec![], finished: false })
            })
            .collect::<Result<_, ModelError>>()?;
        let participant = batcher.join();
        Ok(Self { gpt, participant, target, sampling, random, rows, step: 0, cancel: cancel.clone() })
    }

    /// Logits of the next token or codes of each row, `[rows, codebooks, tokens]`.
    pub(super) fn logits(&self) -> Vec<f32> {
        let states: Vec<f32> = self.rows.iter().flat_map(|row| &row.state).copied().collect();
        match self.target {
            Target::Text { .. } => self.gpt.text_logits(&states),
            Target::Codes => self.gpt.code_logits(&states),
        }
    }

    /// Number of tokens to choose from, and number of choices per step.
    fn choices(&self) -> (usize, usize) {
        match self.target {
            Target::Text { .. } => (self.gpt.config.text_tokens, 1),
            Target::Codes => (self.gpt.config.audio_tokens, self.gpt.config.codebooks),
        }
    }

    /// Turns logits into probabilities, in place.
    pub(super) fn probabilities(&self, scores: &mut [f32]) {
        let (tokens, codebooks) = self.choices();
        let forbidden = (self.step < self.sampling.min_tokens).then_some(self.end());
        for (i, scores) in scores.chunks_exact_mut(tokens).enumerate() {
            let (row, codebook) = (&self.rows[i / codebooks], i % codebooks);
            if !row.finished {
                let history = row.codes.iter().map(|codes| codes[codebook]);
                self.sampling.probabilities(codebook, scores, history, forbidden);
            }
        }
    }

    /// Chooses every row's next token or codes and computes the next states. Returns whether there is a next step.
    pub(super) fn step(&mut self, context: JobContext<'_>) -> Result<bool, ModelError> {
        if self.is_over() {
            return Ok(false);
        }
        self.cancel.check()?;
        let mut scores = self.logits();
        self.probabilities(&mut scores);
        let (tokens, codebooks) = self.choices();
        let end = self.end();
        let rows = &mut self.rows;
        let mut chosen = self.random.choose(&scores, tokens, |i| !rows[i / codebooks].finished);
        if self.step == 0 && matches!(self.random, RandomSource::Stream(_)) {
            // If a text would end at once, all texts of the batch are drawn again.
            for _ in 0..MAX_FIRST_STEP_RETRIES {
                if !chosen.contains(&end) {
                    break;
                }
                chosen = self.random.choose(&scores, tokens, |_| true);
            }
        }
        for (row, chosen) in rows.iter_mut().zip(chosen.chunks_exact(codebooks)) {
            row.finished |= chosen.contains(&end);
            if !row.finished {
                // A text token fills all elements.
                row.codes.push(std::array::from_fn(|k| chosen[k % codebooks]));
                if self.target == Target::Codes {
                    row.states.extend_from_slice(&row.state);
                }
            }
        }
        self.step += 1;
        if self.step < self.sampling.max_tokens {
            self.advance(context)?;
        }
        Ok(!self.is_over())
    }

    /// Whether generation is finished.
    pub(super) fn is_over(&self) -> bool {
        self.step >= self.sampling.max_tokens || self.rows.iter().all(|row| row.finished)
    }

    /// The token that ends a row.
    fn end(&self) -> u32 {
        match self.target {
            Target::Text { end } => end,
            Target::Codes => self.gpt.config.stop_code(),
        }
    }

    /// Feeds the chosen tokens to the model.
    fn advance(&mut self, context: JobContext<'_>) -> Result<(), ModelError> {
        let width = self.gpt.config.width;
        let mut active: Vec<&mut Row> = self.rows.iter_mut().filter(|row| !row.finished).collect();
        if active.is_empty() {
            return Ok(());
        }
        let mut x = vec![0.0; active.len() * width];
        for (row, x) in active.iter().zip(x.chunks_exact_mut(width)) {
            let Some(codes) = row.codes.last() else { continue };
            match self.target {
                Target::Text { .. } => self.gpt.embed_text(codes[0], x),
                Target::Codes => self.gpt.embed_codes(codes, x),
            }
        }
        let sequences = active.iter_mut().map(|row| std::mem::take(&mut row.sequence)).collect();
        let gpt = self.gpt;
        let step = Step { rows: x, sequences };
        let done = self.participant.step(step, context, |steps| compute(gpt, steps))?;
        let states = done.rows.chunks_exact(width);
        for ((row, state), sequence) in active.iter_mut().zip(states).zip(done.sequences) {
            row.state.copy_from_slice(state);
            row.sequence = sequence;
        }
        Ok(())
    }

    /// Shared steps no longer wait for this request.
    pub(super) fn leave(&mut self) {
        self.participant.leave();
    }

    /// Number of steps done.
    pub(super) fn steps_done(&self) -> usize {
        self.step
    }

    /// The random source in its current state, for what comes next.
    pub(super) fn into_random(self) -> RandomSource {
        self.random
    }
}

/// A request's part of a shared step: embeddings in, hidden states out.
pub(super) struct Step {
    /// `[sequences, width]`: embeddings, then normalised states.
    rows: Vec<f32>,
    sequences: Vec<Sequence>,
}

impl BatchState for Step {
    fn rows(&self) -> usize {
        self.sequences.len()
    }
}

/// Computes a step of several requests.
fn compute(gpt: &Gpt, batch: Vec<Step>) -> Result<Vec<Step>, ModelError> {
    let (mut x, mut sequences, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for step in batch {
        x.extend(step.rows);
        counts.push(step.sequences.len());
        sequences.extend(step.sequences);
    }
    let ones = vec![1; sequences.len()];
    let mut borrowed: Vec<&mut Sequence> = sequences.iter_mut().collect();
    // A cancelled request must not end the others' step; each checks its own flag between steps.
    let states = gpt.forward(&mut x, &mut borrowed, &ones, &CancelFlag::new(), &mut |_, _| {})?;
    let (mut sequences, mut states) = (sequences.into_iter(), states.as_slice());
    let steps = counts.into_iter().map(|count| {
        let (rows, rest) = states.split_at(count * gpt.config.width);
        states = rest;
        Step { rows: rows.to_vec(), sequences: sequences.by_ref().take(count).collect() }
    });
    Ok(steps.collect())
}

//! Implements [`WhisperBackend`] and [`DecoderState`] on top of the encoder and the decoder.

use std::sync::OnceLock;

use mynah_core::{JobContext, ModelError};
use mynah_kernels::attention::Queries;
use mynah_kernels::elementwise;

use super::backend::{Alignment, DecoderState, EncoderContext, WhisperBackend};
use super::decoder::{self, Cache, Cross, Group};
use super::key_values::AudioKeyValues;
use super::padding::{self, PADDING, Padding};
use super::padding_file::PaddingFile;
use super::weights::Weights;
use super::{Config, encoder};
use crate::batching::{BatchState, Participant, StepBatcher};

/// A loaded model: sizes and weights.
pub(super) struct Model {
    pub(super) config: Config,
    pub(super) weights: Weights,
    /// Computed when the first window is trimmed.
    padding: OnceLock<Padding>,
    /// Its cache on disk.
    pub(super) padding_file: Option<PaddingFile>,
    /// One per priority.
    batchers: [StepBatcher<State>; 2],
}

impl Model {
    pub(super) fn new(config: Config, weights: Weights) -> Self {
        Self { config, weights, padding: OnceLock::new(), padding_file: None, batchers: Default::default() }
    }

    fn padding(&self, context: JobContext<'_>) -> Result<&Padding, ModelError> {
        if let Some(padding) = self.padding.get() {
            return Ok(padding);
        }
        // Two jobs may compute this at the same time; their results are equal.
        let kept = self.padding_file.as_ref().and_then(|file| file.read(&self.config));
        let padding = match kept {
            Some(padding) => padding,
            None => {
                let padding = Padding::compute(&self.config, &self.weights, context)?;
                if let Some(file) = &self.padding_file {
                    // A failed write costs only the next process some time.
                    let _ = file.write(&padding);
                }
                padding
            }
        };
        Ok(self.padding.get_or_init(|| padding))
    }
}

/// Rows of logits computed at a time when only one number per row is kept.
const LOGIT_ROWS: usize = 12;

/// A decoder with fewer bytes of weights than this fits into the last-level cache of current processors.
const CACHED_BYTES: usize = 64 << 20;

impl WhisperBackend for Model {
    /// All rows of one kernel tile cost little more than one row, as weights are read once for them. With more rows, a step
    /// whose weights are cached is compute-bound and gains nothing from sharing; one that reads weights from memory is still
    /// memory-bound.
    fn rows_at_once(&self) -> usize {
        if self.weights.decoder.bytes() <= CACHED_BYTES { 6 } else { 20 }
    }

    fn encode<'a>(
        &'a self,
        mel: &[f32],
        encoder_context: EncoderContext,
        context: JobContext<'a>,
    ) -> Result<Box<dyn DecoderState + 'a>, ModelError> {
        let Config { n_mels, audio_positions, .. } = self.config;
        let frames = mel.len() / n_mels;
        if frames == 0 || frames > 2 * audio_positions || frames * n_mels != mel.len() {
            let reason = format!("a window has 1 to {} frames, not {frames}", 2 * audio_positions);
            return Err(ModelError::InvalidInput(reason));
        }
        let trimmed = match encoder_context {
            EncoderContext::Trimmed => padding::trimmed_positions(frames, padding::MARGIN, audio_positions),
            EncoderContext::TrimmedWide => {
                padding::trimmed_positions(frames, padding::WIDE_MARGIN, audio_positions)
            }
            EncoderContext::Full => None,
        };
        let padding = trimmed.map(|_| self.padding(context)).transpose()?;
        let padded_frames = 2 * trimmed.unwrap_or(audio_positions);
        let mut padded = vec![PADDING; n_mels * padded_frames];
        for (padded, band) in padded.chunks_exact_mut(padded_frames).zip(mel.chunks_exact(frames)) {
            padded[..frames].copy_from_slice(band);
        }
        let trailing = padding.map(|padding| &padding.encoder[..]);
        let states = encoder::encode(&self.weights, &self.config, &padded, trailing, None, context)?;
        let state = State {
            cross: decoder::cross_key_values(&self.weights, &self.config, &states, 1, context)?,
            is_trimmed: padding.is_some(),
            cache: Cache::new(self.config.decoder_layers, self.config.width),
            rows: Vec::new(),
            tokens: Vec::new(),
            logits: Vec::new(),
        };
        let participant = self.batchers[context.scheduler.priority() as usize].join();
        Ok(Box::new(Session { model: self, context, participant, state: Some(state) }))
    }
}

/// A window's keys and values, its hypotheses and their logits.
pub(super) struct State {
    cross: Vec<AudioKeyValues>,
    /// The stored padding is used for the positions after the computed ones.
    is_trimmed: bool,
    cache: Cache,
    /// Each row's slots in the cache.
    rows: Vec<Vec<u32>>,
    /// Each row's next token.
    tokens: Vec<u32>,
    /// Logits of the next token, `[rows, vocab_size]`.
    logits: Vec<f32>,
}

impl BatchState for State {
    fn rows(&self) -> usize {
        self.rows.len()
    }
}

/// The audio that a window's rows attend to.
fn cross<'a>(model: &'a Model, own: &'a [AudioKeyValues], is_trimmed: bool) -> Cross<'a> {
    let trailing = model.padding.get().filter(|_| is_trimmed);
    Cross { own, trailing: trailing.map(|padding| &padding.cross[..]) }
}

/// Appends its next token to each row of each state.
fn step(model: &Model, states: &mut [State]) {
    let Model { config, weights, .. } = model;
    let tokens: Vec<u32> = states.iter().flat_map(|state| &state.tokens).copied().collect();
    let mut groups: Vec<Group<'_>> = states
        .iter_mut()
        .map(|state| {
            for row in &mut state.rows {
                row.push(state.cache.allocate());
            }
            Group {
                cross: cross(model, &state.cross, state.is_trimmed),
                cache: &mut state.cache,
                past: state.rows.iter().map(Vec::as_slice).collect(),
            }
        })
        .collect();
    let hidden = decoder::forward(&weights.decoder, config, &tokens, &mut groups, &mut |_, _| {});
    drop(groups);
    if let [state] = states {
        state.logits.resize(tokens.len() * config.vocab_size, 0.0);
        weights.decoder.output().scores(&hidden, tokens.len(), &mut state.logits);
        return;
    }
    let mut logits = vec![0.0; tokens.len() * config.vocab_size];
    weights.decoder.output().scores(&hidden, tokens.len(), &mut logits);
    let mut rest = &logits[..];
    for state in states {
        let own;
        (own, rest) = rest.split_at(state.rows() * config.vocab_size);
        state.logits.clear();
        state.logits.extend_from_slice(own);
    }
}

struct Session<'a> {
    model: &'a Model,
    context: JobContext<'a>,
    participant: Participant<'a, State>,
    /// `None` during a step, and for good if the step fails.
    state: Option<State>,
}

impl Session<'_> {
    fn check_tokens(&self, tokens: &[u32], positions: usize) -> Result<(), ModelError> {
        if positions > self.max_positions() {
            return Err(ModelError::InvalidInput(format!(
                "{positions} tokens are more than {}",
                self.max_positions()
            )));
        }
        match tokens.iter().find(|&&t| t as usize >= self.vocab_size()) {
            Some(token) => Err(ModelError::InvalidInput(format!("token {token} is not in the vocabulary"))),
            None => Ok(()),
        }
    }

    fn state(&mut self) -> Result<&mut State, ModelError> {
        self.state.as_mut().ok_or_else(|| ModelError::InvalidInput("a step of this window failed".to_owned()))
    }

    /// Starts over with `tokens` as the only row; returns the decoder's output at each of them, `[tokens, width]`. `on_queries`
    /// gets the audio's keys and values, the layer and its queries.
    fn feed_row(
        &mut self,
        tokens: &[u32],
        mut on_queries: impl FnMut(&[AudioKeyValues], usize, Queries<'_>),
    ) -> Result<Vec<f32>, ModelError> {
        self.check_tokens(tokens, tokens.len())?;
        let model = self.model;
        let State { cross: own, is_trimmed, cache, rows, .. } = self.state()?;
        cache.retain([].iter());
        let row: Vec<u32> = tokens.iter().map(|_| cache.allocate()).collect();
        let past = (1..=row.len()).map(|len| &row[..len]).collect();
        let group = Group { cross: cross(model, own, *is_trimmed), cache, past };
        let Model { config, weights, .. } = model;
        let hidden =
            decoder::forward(&weights.decoder, config, tokens, &mut [group], &mut |layer, queries| {
                on_queries(own, layer, queries);
            });
        *rows = vec![row];
        Ok(hidden)
    }
}

impl DecoderState for Session<'_> {
    fn vocab_size(&self) -> usize {
        self.model.config.vocab_size
    }

    fn max_positions(&self) -> usize {
        self.model.config.text_positions
    }

    fn is_trimmed(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.is_trimmed)
    }

    fn prefill(&mut self, tokens: &[u32], at: &[usize]) -> Result<Vec<f32>, ModelError> {
        self.participant.leave();
        let _permit = self.context.step()?;
        let states = self.feed_row(tokens, |_, _, _| {})?;
        let width = self.model.config.width;
        let wanted: Vec<f32> =
            at.iter().flat_map(|&i| &states[i * width..(i + 1) * width]).copied().collect();
        let mut logits = vec![0.0; at.len() * self.vocab_size()];
        self.model.weights.decoder.output().scores(&wanted, at.len(), &mut logits);
        Ok(logits)
    }

    fn reorder(&mut self, sources: &[usize]) {
        let Some(State { rows, cache, .. }) = &mut self.state else { return };
        if sources.iter().copied().eq(0..rows.len()) {
            return;
        }
        *rows = sources.iter().map(|&source| rows[source].clone()).collect();
        cache.retain(rows.iter().flatten());
    }

    fn step(&mut self, tokens: &[u32]) -> Result<&[f32], ModelError> {
        let rows = &self.state()?.rows;
        if tokens.len() != rows.len() {
            return Err(ModelError::InvalidInput(format!("{} tokens for {} rows", tokens.len(), rows.len())));
        }
        let positions = rows.first().map_or(0, Vec::len) + 1;
        self.check_tokens(tokens, positions)?;
        self.state()?.tokens = tokens.to_vec();
        let state = self.state.take().expect("checked above");
        let model = self.model;
        let state = self.participant.step(state, self.context, |mut states| {
            step(model, &mut states);
            Ok(states)
        })?;
        Ok(&self.state.insert(state).logits)
    }

    fn leave_batch(&mut self) {
        self.participant.leave();
    }

    fn align(&mut self, tokens: &[u32], frames: usize) -> Result<Alignment, ModelError> {
        self.participant.leave();
        let _permit = self.context.step()?;
        let Model { config, weights, .. } = self.model;
        let computed = self.state()?.cross.first().map_or(1, AudioKeyValues::positions);
        let frames = frames.clamp(1, computed);
        let heads: Vec<(usize, usize)> = if config.alignment_heads.is_empty() {
            let upper = config.decoder_layers / 2..config.decoder_layers;
            upper.flat_map(|layer| (0..config.decoder_heads).map(move |head| (layer, head))).collect()
        } else {
            config.alignment_heads.clone()
        };
        let size = tokens.len() * frames;
        let mut weights_by_head = vec![0.0; heads.len() * size];
        let states = self.feed_row(tokens, |cross, layer, queries| {
            for (out, (_, head)) in
                weights_by_head.chunks_exact_mut(size).zip(&heads).filter(|(_, (l, _))| *l == layer)
            {
                decoder::alignment_weights(config, &cross[layer], queries, *head, frames, out);
            }
        })?;
        let mut next_logprobs = Vec::with_capacity(tokens.len().saturating_sub(1));
        let mut scratch = Vec::new();
        for (first, states) in states.chunks(LOGIT_ROWS * config.width).enumerate() {
            let rows = states.len() / config.width;
            let mut logits = vec![0.0; rows * config.vocab_size];
            let output = weights.decoder.output();
            output.scores(states, rows, &mut logits);
            let next = tokens.iter().skip(first * LOGIT_ROWS + 1);
            let rows = logits.chunks_exact(config.vocab_size).zip(states.chunks_exact(config.width));
            for ((logits, state), &next) in rows.zip(next) {
                let logit = output.score(state, next as usize);
                next_logprobs.push(logit - elementwise::log_sum_exp(logits, &mut scratch));
            }
        }
        Ok(Alignment {
            weights: weights_by_head,
            heads: heads.len(),
            tokens: tokens.len(),
            frames,
            next_logprobs,
        })
    }
}

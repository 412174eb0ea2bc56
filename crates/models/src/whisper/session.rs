//! One window's state: what [`WindowDecoder`] promises, on top of the decoder.

use std::sync::OnceLock;

use mynah_kernels::elementwise;

use super::decoder::{self, Cache, Cross};
use super::key_values::AudioKeyValues;
use super::padding::{self, PADDING, Padding};
use super::padding_file::PaddingFile;
use super::step::{Alignment, Network, WindowDecoder};
use super::weights::Weights;
use super::{Config, encoder};
use crate::{CancelFlag, EncoderWindow, Error};

/// The network: sizes and weights.
pub(super) struct Model {
    pub(super) config: Config,
    pub(super) weights: Weights,
    /// Made when the first window is fitted.
    padding: OnceLock<Padding>,
    /// Where it is kept for the next process.
    pub(super) padding_file: Option<PaddingFile>,
}

impl Model {
    pub(super) fn new(config: Config, weights: Weights) -> Self {
        Self { config, weights, padding: OnceLock::new(), padding_file: None }
    }

    fn padding(&self, cancel: &CancelFlag) -> Result<&Padding, Error> {
        if let Some(padding) = self.padding.get() {
            return Ok(padding);
        }
        // Two jobs may do this at once; they come to the same.
        let kept = self.padding_file.as_ref().and_then(|file| file.read(&self.config));
        let padding = match kept {
            Some(padding) => padding,
            None => {
                let padding = Padding::compute(self, cancel)?;
                if let Some(file) = &self.padding_file {
                    // Only the next process would gain from it.
                    let _ = file.write(&padding);
                }
                padding
            }
        };
        Ok(self.padding.get_or_init(|| padding))
    }
}

/// Rows of logits that are made at a time where only a number of each is kept.
const LOGIT_ROWS: usize = 12;

impl Network for Model {
    fn encode(
        &self,
        mel: &[f32],
        window: EncoderWindow,
        cancel: &CancelFlag,
    ) -> Result<Box<dyn WindowDecoder + '_>, Error> {
        let Config { n_mels, audio_positions, .. } = self.config;
        let frames = mel.len() / n_mels;
        if frames == 0 || frames > 2 * audio_positions || frames * n_mels != mel.len() {
            let reason = format!("a window has 1 to {} frames, not {frames}", 2 * audio_positions);
            return Err(Error::BadInput(reason));
        }
        let fitted = match window {
            EncoderWindow::Fitted => padding::fitted_positions(frames, audio_positions),
            EncoderWindow::Full => None,
        };
        let padding = fitted.map(|_| self.padding(cancel)).transpose()?;
        let padded_frames = 2 * fitted.unwrap_or(audio_positions);
        let mut padded = vec![PADDING; n_mels * padded_frames];
        for (padded, band) in padded.chunks_exact_mut(padded_frames).zip(mel.chunks_exact(frames)) {
            padded[..frames].copy_from_slice(band);
        }
        let behind = padding.map(|padding| &padding.encoder[..]);
        let states = encoder::encode(&self.weights, &self.config, &padded, behind, None, cancel)?;
        Ok(Box::new(Session {
            model: self,
            cross: decoder::cross_key_values(&self.weights, &self.config, &states),
            padding,
            cache: Cache::new(self.config.decoder_layers, self.config.width),
            rows: Vec::new(),
            logits: Vec::new(),
        }))
    }
}

struct Session<'a> {
    model: &'a Model,
    cross: Vec<AudioKeyValues>,
    /// Stands for the positions behind those computed.
    padding: Option<&'a Padding>,
    cache: Cache,
    /// Each row's places in the cache.
    rows: Vec<Vec<u32>>,
    logits: Vec<f32>,
}

impl Session<'_> {
    fn check_tokens(&self, tokens: &[u32], positions: usize) -> Result<(), Error> {
        if positions > self.max_positions() {
            return Err(Error::BadInput(format!(
                "{positions} tokens are more than {}",
                self.max_positions()
            )));
        }
        match tokens.iter().find(|&&t| t as usize >= self.vocab_size()) {
            Some(token) => Err(Error::BadInput(format!("token {token} is not in the vocabulary"))),
            None => Ok(()),
        }
    }

    /// Starts over with `tokens` as the only row; returns the states of all of them.
    fn feed_row(
        &mut self,
        tokens: &[u32],
        on_queries: decoder::OnQueries<'_>,
        cross: &[AudioKeyValues],
    ) -> Result<Vec<f32>, Error> {
        self.check_tokens(tokens, tokens.len())?;
        self.cache.keep([].iter());
        let row: Vec<u32> = tokens.iter().map(|_| self.cache.claim()).collect();
        let past: Vec<&[u32]> = (1..=row.len()).map(|len| &row[..len]).collect();
        let Model { config, weights, .. } = self.model;
        let cross = Cross { own: cross, behind: self.padding.map(|padding| &padding.cross[..]) };
        let states =
            decoder::forward(&weights.decoder, config, cross, &mut self.cache, tokens, &past, on_queries);
        self.rows = vec![row];
        Ok(states)
    }
}

impl WindowDecoder for Session<'_> {
    fn vocab_size(&self) -> usize {
        self.model.config.vocab_size
    }

    fn max_positions(&self) -> usize {
        self.model.config.text_positions
    }

    fn is_fitted(&self) -> bool {
        self.padding.is_some()
    }

    fn prefill(&mut self, tokens: &[u32], at: &[usize]) -> Result<Vec<f32>, Error> {
        let cross = std::mem::take(&mut self.cross);
        let states = self.feed_row(tokens, &mut |_, _| {}, &cross);
        self.cross = cross;
        let states = states?;
        let width = self.model.config.width;
        let wanted: Vec<f32> =
            at.iter().flat_map(|&i| &states[i * width..(i + 1) * width]).copied().collect();
        let mut logits = vec![0.0; at.len() * self.vocab_size()];
        decoder::logits(&self.model.weights.decoder, &wanted, at.len(), &mut logits);
        Ok(logits)
    }

    fn reorder(&mut self, sources: &[usize]) {
        if sources.iter().copied().eq(0..self.rows.len()) {
            return;
        }
        self.rows = sources.iter().map(|&source| self.rows[source].clone()).collect();
        self.cache.keep(self.rows.iter().flatten());
    }

    fn step(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        if tokens.len() != self.rows.len() {
            return Err(Error::BadInput(format!("{} tokens for {} rows", tokens.len(), self.rows.len())));
        }
        let positions = self.rows.first().map_or(0, Vec::len) + 1;
        self.check_tokens(tokens, positions)?;
        for row in &mut self.rows {
            row.push(self.cache.claim());
        }
        let past: Vec<&[u32]> = self.rows.iter().map(Vec::as_slice).collect();
        let Model { config, weights, .. } = self.model;
        let cross = Cross { own: &self.cross, behind: self.padding.map(|padding| &padding.cross[..]) };
        let cache = &mut self.cache;
        let states = decoder::forward(&weights.decoder, config, cross, cache, tokens, &past, &mut |_, _| {});
        self.logits.resize(tokens.len() * config.vocab_size, 0.0);
        decoder::logits(&weights.decoder, &states, tokens.len(), &mut self.logits);
        Ok(&self.logits)
    }

    fn align(&mut self, tokens: &[u32], frames: usize) -> Result<Alignment, Error> {
        let Model { config, weights, .. } = self.model;
        let computed = self.cross.first().map_or(1, AudioKeyValues::positions);
        let frames = frames.clamp(1, computed);
        let heads: Vec<(usize, usize)> = if config.alignment_heads.is_empty() {
            let upper = config.decoder_layers / 2..config.decoder_layers;
            upper.flat_map(|layer| (0..config.decoder_heads).map(move |head| (layer, head))).collect()
        } else {
            config.alignment_heads.clone()
        };
        let size = tokens.len() * frames;
        let mut weights_by_head = vec![0.0; heads.len() * size];
        let cross = std::mem::take(&mut self.cross);
        let states = self.feed_row(
            tokens,
            &mut |layer, queries| {
                for (out, (_, head)) in
                    weights_by_head.chunks_exact_mut(size).zip(&heads).filter(|(_, (l, _))| *l == layer)
                {
                    decoder::alignment_weights(config, &cross[layer], queries, *head, frames, out);
                }
            },
            &cross,
        );
        self.cross = cross;
        let states = states?;
        let mut next_logprobs = Vec::with_capacity(tokens.len().saturating_sub(1));
        let mut scratch = Vec::new();
        for (first, states) in states.chunks(LOGIT_ROWS * config.width).enumerate() {
            let rows = states.len() / config.width;
            let mut logits = vec![0.0; rows * config.vocab_size];
            decoder::logits(&weights.decoder, states, rows, &mut logits);
            let next = tokens.iter().skip(first * LOGIT_ROWS + 1);
            for (row, &next) in logits.chunks_exact(config.vocab_size).zip(next) {
                next_logprobs.push(row[next as usize] - elementwise::log_sum_exp(row, &mut scratch));
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

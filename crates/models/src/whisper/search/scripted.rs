//! A backend that follows a script, for tests of the search and of the code that uses it.

use mynah_core::{CancelFlag, JobContext, ModelError};

use crate::whisper::{Alignment, DecoderState, EncoderContext, WhisperBackend};

/// Returns tokens with their logits after the tokens so far (prompt included); all other tokens get [`FLOOR`].
pub(crate) type Script<'a> = dyn Fn(&Window, &[u32]) -> Vec<(u32, f32)> + Send + Sync + 'a;

/// Logit of tokens that the script does not return.
pub(crate) const FLOOR: f32 = -30.0;

/// Mel bands of a scripted backend.
const N_MELS: usize = 80;

/// A window's properties, which the script can depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Window {
    /// Number of the window in order of encoding: 0, 1, 2...
    pub(crate) index: usize,
    /// Frames of audio in it.
    pub(crate) content_frames: usize,
    /// The requested encoder context.
    pub(crate) encoder_context: EncoderContext,
}

/// A backend with one script for all windows.
pub(crate) struct ScriptedBackend<'a> {
    vocab_size: usize,
    script: Box<Script<'a>>,
    windows: std::sync::Mutex<Vec<Window>>,
    cancel_after: Option<(usize, CancelFlag)>,
    trims: bool,
    rows_at_once: usize,
}

impl<'a> ScriptedBackend<'a> {
    pub(crate) fn new(
        vocab_size: usize,
        script: impl Fn(&Window, &[u32]) -> Vec<(u32, f32)> + Send + Sync + 'a,
    ) -> Self {
        Self {
            vocab_size,
            script: Box::new(script),
            windows: Vec::new().into(),
            cancel_after: None,
            trims: false,
            rows_at_once: 1,
        }
    }

    /// Trims its windows to the audio on request; without this they are always full.
    pub(crate) fn trimming(mut self) -> Self {
        self.trims = true;
        self
    }

    /// Sets [`WhisperBackend::rows_at_once`].
    pub(crate) fn sharing(mut self, rows_at_once: usize) -> Self {
        self.rows_at_once = rows_at_once;
        self
    }

    /// Sets the flag once `windows` windows were encoded.
    pub(crate) fn cancelling(mut self, windows: usize, flag: CancelFlag) -> Self {
        self.cancel_after = Some((windows, flag));
        self
    }

    /// The windows encoded so far.
    pub(crate) fn windows(&self) -> Vec<Window> {
        self.windows.lock().unwrap().clone()
    }
}

impl WhisperBackend for ScriptedBackend<'_> {
    fn rows_at_once(&self) -> usize {
        self.rows_at_once
    }

    fn encode<'a>(
        &'a self,
        mel: &[f32],
        encoder_context: EncoderContext,
        _: JobContext<'a>,
    ) -> Result<Box<dyn DecoderState + 'a>, ModelError> {
        let mut windows = self.windows.lock().unwrap();
        let window = Window { index: windows.len(), content_frames: mel.len() / N_MELS, encoder_context };
        windows.push(window.clone());
        if let Some((after, flag)) = &self.cancel_after
            && windows.len() >= *after
        {
            flag.cancel();
        }
        Ok(Box::new(ScriptedDecoder {
            trimmed: self.trims && encoder_context == EncoderContext::Trimmed,
            ..ScriptedDecoder::new(self.vocab_size, &*self.script, window)
        }))
    }
}

/// One window of a [`ScriptedBackend`], or a decoder for tests of the search alone.
pub(crate) struct ScriptedDecoder<'a> {
    vocab_size: usize,
    script: &'a Script<'a>,
    window: Window,
    trimmed: bool,
    rows: Vec<Vec<u32>>,
    logits: Vec<f32>,
    /// Steps taken since the beginning.
    pub(crate) steps: usize,
}

impl<'a> ScriptedDecoder<'a> {
    pub(crate) fn new(vocab_size: usize, script: &'a Script<'a>, window: Window) -> Self {
        Self { vocab_size, script, window, trimmed: false, rows: Vec::new(), logits: Vec::new(), steps: 0 }
    }

    fn row(&self, tokens: &[u32]) -> Vec<f32> {
        let mut logits = vec![FLOOR; self.vocab_size];
        for (token, logit) in (self.script)(&self.window, tokens) {
            logits[token as usize] = logit;
        }
        logits
    }
}

impl DecoderState for ScriptedDecoder<'_> {
    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn max_positions(&self) -> usize {
        448
    }

    fn is_trimmed(&self) -> bool {
        self.trimmed
    }

    fn prefill(&mut self, tokens: &[u32], at: &[usize]) -> Result<Vec<f32>, ModelError> {
        assert!(tokens.len() <= self.max_positions(), "prompt of {} tokens", tokens.len());
        self.rows = vec![tokens.to_vec()];
        Ok(at.iter().flat_map(|&index| self.row(&tokens[..=index])).collect())
    }

    fn reorder(&mut self, sources: &[usize]) {
        self.rows = sources.iter().map(|&source| self.rows[source].clone()).collect();
    }

    fn step(&mut self, tokens: &[u32]) -> Result<&[f32], ModelError> {
        assert_eq!(tokens.len(), self.rows.len());
        self.steps += 1;
        for (row, &token) in self.rows.iter_mut().zip(tokens) {
            row.push(token);
            assert!(row.len() <= 448);
        }
        self.logits = self.rows.iter().flat_map(|row| self.row(row)).collect();
        Ok(&self.logits)
    }

    /// Each token attends to 0.1 s of its own, one after the other, from 0.5 s on.
    fn align(&mut self, tokens: &[u32], frames: usize) -> Result<Alignment, ModelError> {
        let mut weights = vec![0.0; tokens.len() * frames];
        if frames > 0 {
            for (index, row) in weights.chunks_exact_mut(frames).enumerate() {
                let start = (25 + index * 5).min(frames - 1);
                row[start..(start + 5).min(frames)].fill(0.2);
            }
        }
        let next_logprobs = vec![-0.1; tokens.len().saturating_sub(1)];
        Ok(Alignment { weights, heads: 1, tokens: tokens.len(), frames, next_logprobs })
    }
}

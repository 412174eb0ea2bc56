//! Text to speech: synthesizes the front end's utterances one by one and joins them into one stream.

use std::sync::OnceLock;

use mynah_core::{
    AudioSink, JobContext, ModelError, SpeechCapabilities, SpeechOptions, SpokenWord, Synthesizer,
    TokenCounts,
};
use mynah_text::english::{self, Dialect, G2p, Phonemised};

use super::{CAPABILITIES, Hibari, MAX_PHONEMES, SAMPLE_RATE, Utterance};
use crate::error;
use crate::joiner::{Joiner, Pause};

impl Synthesizer for Hibari {
    fn capabilities(&self) -> SpeechCapabilities {
        CAPABILITIES
    }

    fn sample_rate_hz(&self) -> u32 {
        SAMPLE_RATE
    }

    fn weight_bytes(&self) -> u64 {
        self.bytes() as u64
    }

    /// Synthesizes `text` sentence by sentence: samples are streamed while a sentence is being synthesized, and only one sentence
    /// is in memory. Counts phonemes as input and frames of 12.5 ms as output.
    ///
    /// # Errors
    /// [`ModelError::InvalidOption`] for an unavailable voice, a speed outside its limits, and text without a word;
    /// [`ModelError::Script`] for text in another script, before any audio is returned;
    /// [`ModelError::Cancelled`]; and errors of `sink`.
    fn synthesize(
        &self,
        text: &str,
        options: &SpeechOptions,
        context: JobContext<'_>,
        sink: &mut dyn AudioSink,
    ) -> Result<TokenCounts, ModelError> {
        options.check()?;
        let voice = self.voice(options.voice.as_deref())?;
        let dialect = if voice.is_british() { Dialect::British } else { Dialect::American };
        let utterances = {
            let _permit = context.step()?;
            self.front_end(dialect)?.utterances(text, MAX_PHONEMES).map_err(refused)?
        };
        let mut job = SynthesisJob::new(options, context, sink);
        let mut utterances = utterances.into_iter();
        loop {
            let permit = context.step()?;
            let Some(utterance) = utterances.next() else { break };
            job.speak(self, &utterance.map_err(refused)?)?;
            drop(permit);
        }
        job.finish()
    }
}

impl Hibari {
    fn front_end(&self, dialect: Dialect) -> Result<&G2p, ModelError> {
        let slot: &OnceLock<G2p> = match dialect {
            Dialect::American => &self.american,
            Dialect::British => &self.british,
        };
        match slot.get() {
            Some(front_end) => Ok(front_end),
            None => {
                let opened = G2p::open(&self.folder, dialect).map_err(refused)?;
                Ok(slot.get_or_init(|| opened))
            }
        }
    }
}

fn refused(error: english::Error) -> ModelError {
    match error {
        english::Error::OtherScript { sample, script } => ModelError::Script { script, sample },
        english::Error::NothingToSay => ModelError::InvalidOption { name: "text", reason: error.to_string() },
        english::Error::Io { path, source } => error::io(path, source),
        english::Error::Data { path, reason } => error::malformed(path, reason),
    }
}

/// State of a text's synthesis.
struct SynthesisJob<'a> {
    options: SpeechOptions,
    context: JobContext<'a>,
    sink: &'a mut dyn AudioSink,
    joiner: Joiner,
    pause: Pause,
    /// The last word, which the next utterance may continue.
    word: Option<SpokenWord>,
    counts: TokenCounts,
}

impl<'a> SynthesisJob<'a> {
    fn new(options: &SpeechOptions, context: JobContext<'a>, sink: &'a mut dyn AudioSink) -> Self {
        Self {
            options: options.clone(),
            context,
            sink,
            joiner: Joiner::new(SAMPLE_RATE),
            pause: Pause::Sentence,
            word: None,
            counts: TokenCounts::default(),
        }
    }

    fn speak(&mut self, hibari: &Hibari, text: &english::Utterance) -> Result<(), ModelError> {
        let phonemes = text.phonemes();
        let mut utterance = if self.counts.output == 0 {
            hibari.begin_low_latency(&phonemes, &self.options, self.context.cancel)?
        } else {
            hibari.begin(&phonemes, &self.options, self.context.cancel)?
        };
        // Every utterance has its own noise.
        self.options.seed = self.options.seed.wrapping_add(1);
        let mut ready = Vec::new();
        let start = self.joiner.begin(self.pause, &mut ready);
        self.words(text, &utterance, start);
        while let Some(samples) = utterance.next_chunk(self.context.cancel)? {
            self.joiner.push(&samples, &mut ready);
            self.sink.samples(&ready)?;
            ready.clear();
        }
        self.pause = if text.ends_paragraph { Pause::Paragraph } else { Pause::Sentence };
        self.counts.input += phonemes.chars().count() as u64;
        self.counts.output += (utterance.samples() / super::HOP_LENGTH) as u64;
        self.sink.progress(text.words.last().map_or(0, |word| word.range.end));
        Ok(())
    }

    /// Reports the words of an utterance that begins at sample `start`.
    fn words(&mut self, text: &english::Utterance, utterance: &Utterance, start: usize) {
        let time_s = |sample: usize| (start + sample) as f64 / f64::from(SAMPLE_RATE);
        let mut place = 0;
        for word in &text.words {
            let begin = place;
            place += word.phonemes.chars().count();
            let end = begin + word.phonemes.trim_end().chars().count();
            let boundaries = utterance.boundaries();
            let (Some(&first), Some(&last)) = (boundaries.get(begin), boundaries.get(end)) else { continue };
            if word.is_spoken() {
                self.word(word, time_s(first), time_s(last));
            }
        }
    }

    fn word(&mut self, word: &Phonemised, start_s: f64, end_s: f64) {
        match &mut self.word {
            // The rest of a word that was cut because of its length.
            Some(last) if last.range == word.range => last.end_s = end_s,
            last => {
                let (text, range) = (word.word.clone(), word.range.clone());
                if let Some(last) = last.replace(SpokenWord { text, range, start_s, end_s }) {
                    self.sink.word(last);
                }
            }
        }
    }

    fn finish(mut self) -> Result<TokenCounts, ModelError> {
        let mut ready = Vec::new();
        self.joiner.end(&mut ready);
        if let Some(word) = self.word.take() {
            self.sink.word(word);
        }
        self.sink.samples(&ready)?;
        Ok(self.counts)
    }
}

//! Text to samples: the front end's utterances one after the other through the network, joined to one stream.

use std::sync::OnceLock;

use mynah_text::english::{self, Dialect, G2p, Phonemised};

use super::{Hibari, MAX_PHONEMES, SAMPLE_RATE, Utterance};
use crate::{CancelFlag, Error, Joiner, Listener, Pause, SpeechOptions, SpokenWord, TokenCounts};

impl Hibari {
    /// Reads `text` aloud, sentence by sentence: samples come while a sentence is being made, and no more than one
    /// sentence is in memory. Counts phonemes in and frames of 12.5 ms out.
    ///
    /// # Errors
    /// [`Error::Option`] for a voice that is not there, a pace outside its limits, instructions, and text without a
    /// word; [`Error::Script`] for text in other letters than English ones, before anything is spoken;
    /// [`Error::Cancelled`]; and what `listener` fails with.
    pub fn read_aloud(
        &self,
        text: &str,
        options: &SpeechOptions,
        cancel: &CancelFlag,
        listener: &mut dyn Listener,
    ) -> Result<TokenCounts, Error> {
        options.check()?;
        let cannot = [
            ("instructions", options.instructions.is_some(), "follow instructions"),
            ("prompt_speech", options.recording.is_some(), "copy another voice, as ChatTTS can"),
            ("refine_text", options.refine, "refine a text"),
            ("read_out", !options.read_out, "leave numbers as they are written"),
        ];
        if let Some((name, _, what)) = cannot.into_iter().find(|(_, asked, _)| *asked) {
            return Err(Error::Option {
                name,
                reason: format!("the hibari voices cannot {what}; leave it out"),
            });
        }
        let voice = self.voice(options.voice.as_deref())?;
        listener.turn_begins();
        let dialect = if voice.is_british() { Dialect::British } else { Dialect::American };
        let read = self.front_end(dialect).and_then(|front_end| {
            let utterances = front_end.utterances(text, MAX_PHONEMES).map_err(refused)?;
            let mut reading = Reading::new(options, cancel, listener);
            for utterance in utterances {
                reading.speak(self, &utterance.map_err(refused)?)?;
            }
            reading.finish()
        });
        listener.turn_ends();
        read
    }

    fn front_end(&self, dialect: Dialect) -> Result<&G2p, Error> {
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

fn refused(error: english::Error) -> Error {
    match error {
        english::Error::OtherScript { sample, script } => Error::Script { script, sample },
        english::Error::NothingToSay => Error::Option { name: "text", reason: error.to_string() },
        english::Error::Io { path, source } => Error::io(path, source),
        english::Error::Data { path, reason } => Error::malformed(path, reason),
    }
}

/// A text being read.
struct Reading<'a> {
    options: SpeechOptions,
    cancel: &'a CancelFlag,
    listener: &'a mut dyn Listener,
    joiner: Joiner,
    pause: Pause,
    /// The last word, which the next utterance may go on with.
    word: Option<SpokenWord>,
    counts: TokenCounts,
}

impl<'a> Reading<'a> {
    fn new(options: &SpeechOptions, cancel: &'a CancelFlag, listener: &'a mut dyn Listener) -> Self {
        Self {
            options: options.clone(),
            cancel,
            listener,
            joiner: Joiner::new(SAMPLE_RATE),
            pause: Pause::Sentence,
            word: None,
            counts: TokenCounts::default(),
        }
    }

    fn speak(&mut self, hibari: &Hibari, text: &english::Utterance) -> Result<(), Error> {
        // Others may compute between two utterances.
        self.listener.turn_ends();
        self.listener.turn_begins();
        let phonemes = text.phonemes();
        let mut utterance = if self.counts.output == 0 {
            hibari.begin_soon(&phonemes, &self.options, self.cancel)?
        } else {
            hibari.begin(&phonemes, &self.options, self.cancel)?
        };
        // Every utterance has its own noise.
        self.options.seed = self.options.seed.wrapping_add(1);
        let mut ready = Vec::new();
        let start = self.joiner.begin(self.pause, &mut ready);
        self.words(text, &utterance, start);
        while let Some(samples) = utterance.next_chunk(self.cancel)? {
            self.joiner.push(&samples, &mut ready);
            self.listener.samples(&ready)?;
            ready.clear();
        }
        self.pause = if text.ends_paragraph { Pause::Paragraph } else { Pause::Sentence };
        self.counts.input += phonemes.chars().count() as u64;
        self.counts.output += (utterance.samples() / super::HOP_LENGTH) as u64;
        self.listener.progress(text.words.last().map_or(0, |word| word.range.end));
        Ok(())
    }

    /// Tells the words of an utterance that begins at sample `start`.
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
            // A word so long that it was cut.
            Some(last) if last.range == word.range => last.end_s = end_s,
            last => {
                let (text, range) = (word.word.clone(), word.range.clone());
                if let Some(last) = last.replace(SpokenWord { text, range, start_s, end_s }) {
                    self.listener.word(last);
                }
            }
        }
    }

    fn finish(mut self) -> Result<TokenCounts, Error> {
        let mut ready = Vec::new();
        self.joiner.end(&mut ready);
        if let Some(word) = self.word.take() {
            self.listener.word(word);
        }
        self.listener.samples(&ready)?;
        Ok(self.counts)
    }
}

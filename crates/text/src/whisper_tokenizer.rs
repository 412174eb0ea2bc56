//! Whisper's tokenizer: byte-level BPE, followed by the special tokens.
//!
//! Order of ids: ordinary tokens, `<|endoftext|>`, `<|startoftranscript|>`, one token per language, `<|translate|>`,
//! `<|transcribe|>`, `<|startoflm|>`, `<|startofprev|>`, `<|nospeech|>`, `<|notimestamps|>`, then 1501 timestamps of
//! 20 ms. English-only models have the language and task tokens too, but were not trained to use them.
//!
//! The rank of a merge is the id of the resulting token, so the ordered vocabulary alone defines the encoding; merge
//! lists in files are not read (some copies of whisper-base have lost the first one and split every `" the"`).

mod bpe;
mod load;
mod words;

use std::sync::Arc;

use bpe::Vocabulary;
pub use load::VocabularyError;

use crate::languages::Language;

/// Number of timestamp tokens: 0.00 to 30.00 s in steps of 0.02 s.
pub const TIMESTAMPS: u32 = 1501;

/// Special tokens between the languages and the timestamps: translate, transcribe, startoflm, startofprev, nospeech,
/// notimestamps.
const TASK_TOKENS: u32 = 6;

/// Task of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhisperTask {
    /// Transcribe in the spoken language.
    Transcribe,
    /// Translate to English.
    Translate,
}

/// Vocabulary of one Whisper model. Clones share their tables.
#[derive(Clone, Debug)]
pub struct WhisperTokenizer {
    vocabulary: Arc<Vocabulary>,
    /// Languages in the order of their tokens, which follow `<|startoftranscript|>`.
    languages: Arc<[Language]>,
    multilingual: bool,
}

impl WhisperTokenizer {
    /// Size of the vocabulary, timestamps included: 51864 English-only, 51865 multilingual, 51866 from large-v3 on.
    pub fn vocab_size(&self) -> usize {
        (self.timestamp_begin() + TIMESTAMPS) as usize
    }

    /// Whether the model was trained on several languages and tasks.
    pub fn is_multilingual(&self) -> bool {
        self.multilingual
    }

    /// `<|endoftext|>`, the first special token: every smaller id is text.
    pub fn eot(&self) -> u32 {
        self.vocabulary.len()
    }

    /// `<|startoftranscript|>`.
    pub fn sot(&self) -> u32 {
        self.eot() + 1
    }

    /// `<|translate|>`.
    pub fn translate(&self) -> u32 {
        self.sot() + 1 + self.languages.len() as u32
    }

    /// `<|transcribe|>`.
    pub fn transcribe(&self) -> u32 {
        self.translate() + 1
    }

    /// `<|startoflm|>`.
    pub fn sot_lm(&self) -> u32 {
        self.translate() + 2
    }

    /// `<|startofprev|>`, before the text of earlier windows or the user's prompt.
    pub fn sot_prev(&self) -> u32 {
        self.translate() + 3
    }

    /// `<|nospeech|>`, called `<|nocaptions|>` in older files.
    pub fn no_speech(&self) -> u32 {
        self.translate() + 4
    }

    /// `<|notimestamps|>`.
    pub fn no_timestamps(&self) -> u32 {
        self.translate() + 5
    }

    /// `<|0.00|>`; each following id is a timestamp 20 ms later.
    pub fn timestamp_begin(&self) -> u32 {
        self.translate() + TASK_TOKENS
    }

    /// Time of a timestamp token in seconds; `None` for other tokens.
    pub fn timestamp_seconds(&self, id: u32) -> Option<f32> {
        let steps = id.checked_sub(self.timestamp_begin())?;
        (steps < TIMESTAMPS).then(|| steps as f32 / 50.0)
    }

    /// Languages and their tokens, in the order of the tokens.
    pub fn language_tokens(&self) -> Vec<(&'static str, u32)> {
        self.languages.iter().zip(self.sot() + 1..).map(|(language, id)| (language.code, id)).collect()
    }

    /// Token of a language by its code (`en`).
    pub fn language_token(&self, code: &str) -> Option<u32> {
        let index = self.languages.iter().position(|language| language.code == code)?;
        Some(self.sot() + 1 + index as u32)
    }

    /// Language of a language token.
    pub fn token_language(&self, id: u32) -> Option<Language> {
        self.languages.get(id.checked_sub(self.sot() + 1)? as usize).copied()
    }

    /// Start of a transcript: start token, language, task, and `<|notimestamps|>` unless timestamps are requested. An
    /// English-only model has no language and no task here; a language without a token is left out.
    pub fn sot_sequence(&self, language: Option<&str>, task: WhisperTask, timestamps: bool) -> Vec<u32> {
        let mut sequence = vec![self.sot()];
        if self.multilingual {
            sequence.extend(language.and_then(|code| self.language_token(code)));
            sequence.push(match task {
                WhisperTask::Transcribe => self.transcribe(),
                WhisperTask::Translate => self.translate(),
            });
        }
        if !timestamps {
            sequence.push(self.no_timestamps());
        }
        sequence
    }

    /// Tokens of a text. The names of special tokens in it are encoded as plain text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.vocabulary.encode(text)
    }

    /// Text of a token sequence; special tokens and timestamps are skipped, and bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&id| self.token_bytes(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Bytes of an ordinary token, which can be a part of a character; empty for special tokens and timestamps.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.vocabulary.bytes(id)
    }

    /// Name of a special token or timestamp, such as `<|en|>` or `<|0.00|>`; `None` for ordinary tokens.
    pub fn special_name(&self, id: u32) -> Option<String> {
        if let Some(seconds) = self.timestamp_seconds(id) {
            return Some(format!("<|{seconds:.2}|>"));
        }
        if let Some(language) = self.token_language(id) {
            return Some(format!("<|{}|>", language.code));
        }
        let names = [
            (self.eot(), "<|endoftext|>"),
            (self.sot(), "<|startoftranscript|>"),
            (self.translate(), "<|translate|>"),
            (self.transcribe(), "<|transcribe|>"),
            (self.sot_lm(), "<|startoflm|>"),
            (self.sot_prev(), "<|startofprev|>"),
            (self.no_speech(), "<|nospeech|>"),
            (self.no_timestamps(), "<|notimestamps|>"),
        ];
        names.iter().find(|(special, _)| *special == id).map(|(_, name)| (*name).to_owned())
    }

    /// Tokens of symbols that are not spoken (brackets, notes, dashes of speaker changes), in ascending order: what
    /// openai-whisper suppresses while sampling. Symbols in running text, as in `it's` or `well-known`, stay allowed.
    pub fn non_speech_tokens(&self) -> Vec<u32> {
        const SYMBOLS: &str = "\" # ( ) * + / : ; < = > @ [ \\ ] ^ _ ` { | } ~ 「 」 『 』 \
            << >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪";
        const NOTES: &str = "♩ ♪ ♫ ♬ ♭ ♮ ♯";
        let mut tokens: Vec<u32> = [" -", " '"].iter().map(|text| self.encode(text)[0]).collect();
        for (symbols, even_split) in [(SYMBOLS, false), (NOTES, true)] {
            for symbol in symbols.split(' ') {
                for text in [symbol.to_owned(), format!(" {symbol}")] {
                    // A note of several tokens is suppressed by its first token, which hardly any other text has.
                    let encoded = self.encode(&text);
                    if even_split || encoded.len() == 1 {
                        tokens.push(encoded[0]);
                    }
                }
            }
        }
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// Special tokens that occur only in prompts. Together with [`Self::non_speech_tokens`] they are those that
    /// openai-whisper suppresses by default.
    pub fn prompt_only_tokens(&self) -> [u32; 6] {
        [self.sot(), self.translate(), self.transcribe(), self.sot_lm(), self.sot_prev(), self.no_speech()]
    }

    /// Groups tokens into words, each with its text: by spaces and punctuation, or, in languages written without spaces
    /// (zh, ja, th, lo, my, yue), by whole characters. Special tokens and timestamps are words of their own, with their names as text.
    pub fn split_to_word_tokens(&self, tokens: &[u32], language: Option<&str>) -> Vec<(String, Vec<u32>)> {
        words::split(self, tokens, language)
    }
}

#[cfg(test)]
mod tests;

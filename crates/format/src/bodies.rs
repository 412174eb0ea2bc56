//! Transcripts and words in the shapes of the API.

use mynah_api::{
    DetectedLanguage, Logprob, Segment, SpokenWords, Transcription, Usage, VerboseTranscription, Word,
};
use mynah_core::{DecodingStats, SpokenWord, Task, TokenLogprob, Transcript};
use mynah_text::languages;

/// The body of `response_format=json`. `open_language`: the request left the language open.
pub fn transcription(transcript: &Transcript, with_logprobs: bool, open_language: bool) -> Transcription {
    Transcription {
        text: transcript.text(),
        logprobs: with_logprobs
            .then(|| transcript.segments.iter().flat_map(|segment| logprobs(&segment.logprobs)).collect()),
        languages: detected_languages(transcript, open_language),
        usage: usage(transcript),
    }
}

/// The body of `response_format=verbose_json`.
pub fn verbose_transcription(transcript: &Transcript, segments: bool, words: bool) -> VerboseTranscription {
    // The language of the text, which for a translation is always English.
    let code = if transcript.task == Task::Translate { "en" } else { transcript.language.as_str() };
    VerboseTranscription {
        task: transcript.task.as_str().to_owned(),
        language: languages::find(code).map_or(code, |language| language.name).to_owned(),
        duration: seconds(transcript.duration_s),
        text: transcript.text(),
        segments: segments.then(|| transcript.segments.iter().map(|s| segment(s)).collect()),
        words: words.then(|| transcript.segments.iter().flat_map(|s| &s.words).map(word).collect()),
        usage: usage(transcript),
    }
}

/// Clients expect all of OpenAI's numbers, so a model without statistics of its decoding has neutral ones.
fn segment(segment: &mynah_core::Segment) -> Segment {
    const NEUTRAL: DecodingStats = DecodingStats {
        seek_frames: 0,
        temperature: 0.0,
        avg_logprob: 0.0,
        compression_ratio: 1.0,
        no_speech_prob: 0.0,
    };
    let decoding = segment.decoding.as_ref().unwrap_or(&NEUTRAL);
    Segment {
        id: segment.id,
        seek: decoding.seek_frames,
        start: seconds(segment.start_s),
        end: seconds(segment.end_s),
        text: segment.text.clone(),
        tokens: segment.tokens.clone(),
        temperature: score(decoding.temperature),
        avg_logprob: score(decoding.avg_logprob),
        compression_ratio: score(decoding.compression_ratio),
        no_speech_prob: score(decoding.no_speech_prob),
    }
}

fn word(word: &mynah_core::Word) -> Word {
    // What word alignment ties to its neighbour, before and after.
    const OPENING: &str = "\"'“¿([{-";
    const CLOSING: &str = "\"'.。,，!！?？:：”)]}、";
    let spaced = word.text.trim();
    let bare = spaced.trim_start_matches(|c| OPENING.contains(c)).trim_end_matches(|c| CLOSING.contains(c));
    Word {
        word: if bare.is_empty() { spaced } else { bare }.to_owned(),
        start: seconds(word.start_s),
        end: seconds(word.end_s),
        probability: Some(score(word.probability)),
    }
}

/// A speech's words as a body of their own.
pub fn spoken_body(text: &str, duration_s: f64, words: &[SpokenWord]) -> SpokenWords {
    SpokenWords { text: text.to_owned(), duration: seconds(duration_s), words: spoken_words(words) }
}

/// The words of a speech in the API's form.
pub fn spoken_words(words: &[SpokenWord]) -> Vec<Word> {
    let word = |word: &SpokenWord| Word {
        word: word.text.clone(),
        start: seconds(word.start_s),
        end: seconds(word.end_s),
        probability: None,
    };
    words.iter().map(word).collect()
}

/// Tokens in the API's form.
pub fn logprobs(tokens: &[TokenLogprob]) -> impl Iterator<Item = Logprob> {
    tokens.iter().map(|token| Logprob {
        token: String::from_utf8_lossy(&token.bytes).into_owned(),
        logprob: score(token.logprob),
        bytes: token.bytes.clone(),
    })
}

/// The detected language, where the request left it open.
pub fn detected_languages(transcript: &Transcript, open_language: bool) -> Option<Vec<DetectedLanguage>> {
    open_language.then(|| vec![DetectedLanguage { code: transcript.language.clone() }])
}

/// Seconds of audio, rounded up. OpenAI's translations carry no usage.
pub fn usage(transcript: &Transcript) -> Option<Usage> {
    let seconds = transcript.duration_s.ceil() as u64;
    (transcript.task == Task::Transcribe).then_some(Usage::Duration { seconds })
}

/// Whole milliseconds.
fn seconds(seconds: f64) -> f64 {
    finite((seconds * 1e3).round() / 1e3)
}

/// The few digits that a score has.
fn score(score: f32) -> f64 {
    finite((f64::from(score) * 1e6).round() / 1e6)
}

/// Clients expect numbers, and JSON has no others.
fn finite(number: f64) -> f64 {
    if number.is_finite() { number } else { 0.0 }
}

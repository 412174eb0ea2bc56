//! A transcript as the bodies of the API.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use mynah_api::{
    DetectedLanguage, Logprob, ResponseFormat, Segment, Transcription, Usage, VerboseTranscription, Word,
};
use mynah_models::speech_to_text::TokenLogprob;
use mynah_models::{Task, Transcript};
use mynah_text::languages;
use mynah_text::subtitles::{self, Cue, Layout};

use super::numbers::{score, seconds};
use crate::error::ApiError;
use crate::request::ResponseOptions;

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
const WEB_VTT: &str = "text/vtt; charset=utf-8";

/// The whole answer. `open_language`: the request left the language open.
pub(crate) fn render(
    transcript: &Transcript,
    options: &ResponseOptions,
    open_language: bool,
) -> Result<Response, ApiError> {
    Ok(match options.format {
        ResponseFormat::Json => Json(plain_body(transcript, options.logprobs, open_language)).into_response(),
        ResponseFormat::VerboseJson => {
            Json(verbose_body(transcript, options.segments, options.words)).into_response()
        }
        ResponseFormat::Text => text(PLAIN_TEXT, transcript.text() + "\n"),
        ResponseFormat::Srt => text(PLAIN_TEXT, subtitles::srt(&cues(transcript, options.words))),
        ResponseFormat::Vtt => text(WEB_VTT, subtitles::vtt(&cues(transcript, options.words))),
    })
}

fn text(content_type: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// The body of `response_format=json`. `open_language`: the request left the language open.
pub fn plain_body(transcript: &Transcript, with_logprobs: bool, open_language: bool) -> Transcription {
    Transcription {
        text: transcript.text(),
        logprobs: with_logprobs
            .then(|| transcript.segments.iter().flat_map(|s| logprobs(&s.logprobs)).collect()),
        languages: detected(transcript, open_language),
        usage: usage(transcript),
    }
}

/// The body of `response_format=verbose_json`.
pub fn verbose_body(transcript: &Transcript, segments: bool, words: bool) -> VerboseTranscription {
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

/// Subtitles: a cue a segment, or cues of a few words each where words were asked for.
pub fn cues(transcript: &Transcript, words: bool) -> Vec<Cue> {
    let segments = transcript.segments.iter();
    if words {
        let cue = |w: &mynah_models::Word| Cue { start_s: w.start_s, end_s: w.end_s, text: w.text.clone() };
        let words: Vec<_> = segments.flat_map(|s| &s.words).map(cue).collect();
        return subtitles::cues_of_words(&words, &Layout::default());
    }
    segments.map(|s| Cue { start_s: s.start_s, end_s: s.end_s, text: s.text.clone() }).collect()
}

fn segment(segment: &mynah_models::Segment) -> Segment {
    Segment {
        id: segment.id,
        seek: segment.seek_frames,
        start: seconds(segment.start_s),
        end: seconds(segment.end_s),
        text: segment.text.clone(),
        tokens: segment.tokens.clone(),
        temperature: score(segment.temperature),
        avg_logprob: score(segment.avg_logprob),
        compression_ratio: score(segment.compression_ratio),
        no_speech_prob: score(segment.no_speech_prob),
    }
}

fn word(word: &mynah_models::Word) -> Word {
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

/// Tokens in the API's form.
pub(crate) fn logprobs(tokens: &[TokenLogprob]) -> impl Iterator<Item = Logprob> {
    tokens.iter().map(|token| Logprob {
        token: String::from_utf8_lossy(&token.bytes).into_owned(),
        logprob: score(token.logprob),
        bytes: token.bytes.clone(),
    })
}

/// The language heard, where the request left it open.
pub(crate) fn detected(transcript: &Transcript, open_language: bool) -> Option<Vec<DetectedLanguage>> {
    open_language.then(|| vec![DetectedLanguage { code: transcript.language.clone() }])
}

/// Seconds of audio, rounded up. OpenAI's translations carry no usage.
pub(crate) fn usage(transcript: &Transcript) -> Option<Usage> {
    let seconds = transcript.duration_s.ceil() as u64;
    (transcript.task == Task::Transcribe).then_some(Usage::Duration { seconds })
}

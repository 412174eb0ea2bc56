//! Parameters of `/v1/audio/transcriptions` and `/v1/audio/translations`.
//!
//! OpenAI's parameters, Xinference's `kwargs`, and the decoding options that other Whisper servers accept as extra parts.
//! Unsupported parameters that would change the result are refused; other unknown ones are ignored.

use mynah_api::{Granularity, ResponseFormat};
use mynah_core::{AudioContext, Task, TranscribeOptions, VadOptions};
use mynah_text::languages;
use serde_json::Value;

use super::fields::{Fields, ObjectOrWord, number_within};
use crate::error::ApiError;

/// Maximum pause or padding of voice activity detection.
const MAX_VAD_MS: u64 = 60_000;

/// Supported members of `kwargs`: model options under the names that Python libraries use.
const KWARGS: [&str; 23] = [
    "audio_context",
    "beam_size",
    "best_of",
    "chunking_strategy",
    "compression_ratio_threshold",
    "condition_on_previous_text",
    "hallucination_silence_threshold",
    "hotword",
    "hotwords",
    "initial_prompt",
    "keywords",
    "languages",
    "length_penalty",
    "log_prob_threshold",
    "max_initial_timestamp",
    "no_speech_threshold",
    "patience",
    "seed",
    "suppress_tokens",
    "vad_filter",
    "vad_parameters",
    "without_timestamps",
    "word_timestamps",
];

/// A validated request.
#[derive(Debug)]
pub(crate) struct TranscriptionParams {
    /// Model name or alias from the request.
    pub(crate) model: String,
    /// Options of the model.
    pub(crate) options: TranscribeOptions,
    /// Format of the response.
    pub(crate) response: ResponseOptions,
}

/// Format of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseOptions {
    pub(crate) format: ResponseFormat,
    /// `segments` in `verbose_json`.
    pub(crate) segments: bool,
    /// `words` in `verbose_json`; subtitles are split between words.
    pub(crate) words: bool,
    /// Token log probabilities in `json`.
    pub(crate) logprobs: bool,
    /// Whether to send server-sent events.
    pub(crate) stream: bool,
}

impl TranscriptionParams {
    /// Parses and validates all parameters; `route_task` is the task of the route that was called.
    pub(crate) fn from_fields(mut fields: Fields, route_task: Task) -> Result<Self, ApiError> {
        expand_kwargs(&mut fields)?;
        refuse_speakers(&fields)?;
        let model = fields.text("model")?.ok_or_else(|| {
            ApiError::missing("model", "Name the model in the parameter model, e.g. whisper-base.")
        })?;
        let mut response = response(&fields)?;
        let mut options = decoding(&fields)?;
        options.task = task(&fields, route_task)?;
        (options.language, options.allowed_languages) = spoken_languages(&fields)?;
        options.vad = vad(&fields)?;
        // Other formats have no words.
        response.words &= matches!(
            response.format,
            ResponseFormat::VerboseJson | ResponseFormat::Srt | ResponseFormat::Vtt
        );
        options.word_timestamps = response.words;
        options.logprobs = response.logprobs;
        Ok(Self { model, options, response })
    }
}

fn expand_kwargs(fields: &mut Fields) -> Result<(), ApiError> {
    let kwargs = match fields.object("kwargs")? {
        None => return Ok(()),
        Some(ObjectOrWord::Object(kwargs)) => kwargs,
        Some(ObjectOrWord::Word(_)) => {
            return Err(ApiError::invalid("kwargs", "kwargs must be a JSON object."));
        }
    };
    if let Some(unknown) = kwargs.names().find(|name| !KWARGS.contains(name)) {
        let message =
            format!("kwargs has {unknown}, which is not supported. Supported: {}.", KWARGS.join(", "));
        return Err(ApiError::unsupported("kwargs", message));
    }
    fields.add_missing(kwargs);
    Ok(())
}

fn refuse_speakers(fields: &Fields) -> Result<(), ApiError> {
    for name in ["known_speaker_names", "known_speaker_references"] {
        if fields.has(name) {
            return Err(ApiError::unsupported(
                name,
                format!("{name}: speaker diarization is not supported. Leave the field out."),
            ));
        }
    }
    Ok(())
}

fn task(fields: &Fields, route_task: Task) -> Result<Task, ApiError> {
    match (fields.text("task")?.as_deref(), route_task) {
        (None, task) => Ok(task),
        (Some("transcribe"), Task::Transcribe) => Ok(Task::Transcribe),
        (Some("translate"), _) => Ok(Task::Translate),
        _ => Err(ApiError::invalid(
            "task",
            "task must be transcribe or translate; /v1/audio/translations only translates.",
        )),
    }
}

fn response(fields: &Fields) -> Result<ResponseOptions, ApiError> {
    let format = match fields.text("response_format")?.as_deref() {
        None => ResponseFormat::default(),
        Some("diarized_json") => {
            let message = "response_format diarized_json: speaker diarization is not supported. verbose_json has segments.";
            return Err(ApiError::unsupported("response_format", message));
        }
        Some(name) => {
            *ResponseFormat::ALL.iter().find(|format| format.as_str() == name).ok_or_else(|| {
                let known: Vec<_> = ResponseFormat::ALL.iter().map(|format| format.as_str()).collect();
                let message = format!("response_format must be one of {}.", known.join(", "));
                ApiError::invalid("response_format", message)
            })?
        }
    };
    let mut granularities = Vec::new();
    for name in fields.list("timestamp_granularities", true)? {
        granularities.push(match name.as_str() {
            "word" => Granularity::Word,
            "segment" => Granularity::Segment,
            _ => {
                let message = "timestamp_granularities[] must be word, segment or both.";
                return Err(ApiError::invalid("timestamp_granularities", message));
            }
        });
    }
    let mut words = granularities.contains(&Granularity::Word);
    let segments = !words || granularities.contains(&Granularity::Segment);
    words |= fields.boolean("word_timestamps")?.unwrap_or(false);

    let include = fields.list("include", true)?;
    if let Some(other) = include.iter().find(|item| *item != "logprobs") {
        return Err(ApiError::unsupported(
            "include",
            format!("include[] supports only logprobs, not {other}."),
        ));
    }
    let logprobs = !include.is_empty();
    if logprobs && format != ResponseFormat::Json {
        return Err(ApiError::invalid("include", "include[]=logprobs needs response_format json."));
    }
    let stream = fields.boolean("stream")?.unwrap_or(false);
    if stream && !matches!(format, ResponseFormat::Json | ResponseFormat::Text) {
        let message =
            format!("stream does not support response_format {}: use json or text.", format.as_str());
        return Err(ApiError::unsupported("stream", message));
    }
    Ok(ResponseOptions { format, segments, words, logprobs, stream })
}

/// The spoken language and the languages to choose from, as codes.
fn spoken_languages(fields: &Fields) -> Result<(Option<String>, Vec<String>), ApiError> {
    let language = fields.text("language")?.map(|name| language_code("language", &name)).transpose()?;
    let mut allowed = Vec::new();
    for name in fields.list("languages", true)? {
        allowed.push(language_code("languages", &name)?);
    }
    match &language {
        Some(code) if !allowed.is_empty() && !allowed.contains(code) => Err(ApiError::invalid(
            "languages",
            format!("language is {code}, which languages[] does not list."),
        )),
        _ => Ok((language, allowed)),
    }
}

fn language_code(param: &'static str, name: &str) -> Result<String, ApiError> {
    let name = name.trim();
    let bare = name.strip_prefix("<|").and_then(|rest| rest.strip_suffix("|>")).unwrap_or(name);
    languages::find(bare).map(|language| language.code.to_owned()).ok_or_else(|| {
        let known: Vec<_> = languages::LANGUAGES.iter().map(|language| language.code).collect();
        ApiError::invalid(
            param,
            format!(
                "Unknown language {bare:?}. Use a name such as english, or a code: {}.",
                known.join(", ")
            ),
        )
    })
}

fn vad(fields: &Fields) -> Result<Option<VadOptions>, ApiError> {
    let filter = fields.boolean("vad_filter")?;
    let strategy = match fields.object("chunking_strategy")? {
        None => None,
        Some(ObjectOrWord::Word(word)) if word == "auto" => Some(VadOptions::default()),
        Some(ObjectOrWord::Object(object)) if object.text("type")?.as_deref() == Some("server_vad") => {
            Some(vad_options(&object, "prefix_padding_ms", "silence_duration_ms")?)
        }
        Some(_) => {
            let message = "chunking_strategy must be auto or an object with type server_vad.";
            return Err(ApiError::invalid("chunking_strategy", message));
        }
    };
    let parameters = match fields.object("vad_parameters")? {
        None => None,
        Some(ObjectOrWord::Object(object)) => {
            Some(vad_options(&object, "speech_pad_ms", "min_silence_duration_ms")?)
        }
        Some(ObjectOrWord::Word(_)) => {
            return Err(ApiError::invalid("vad_parameters", "vad_parameters must be a JSON object."));
        }
    };
    match (filter, strategy) {
        (Some(false), Some(_)) => Err(ApiError::invalid(
            "vad_filter",
            "vad_filter is false and chunking_strategy is given: choose one.",
        )),
        (Some(false), None) => Ok(None),
        (Some(true), strategy) => Ok(Some(strategy.or(parameters).unwrap_or_default())),
        (None, strategy) => Ok(strategy),
    }
}

fn vad_options(
    object: &Fields,
    padding: &'static str,
    silence: &'static str,
) -> Result<VadOptions, ApiError> {
    let mut options = VadOptions::default();
    if let Some(threshold) = object.number("threshold", 0.0..=1.0)? {
        options.threshold = threshold as f32;
    }
    if let Some(ms) = object.integer(padding, 0..=MAX_VAD_MS)? {
        options.prefix_padding_ms = ms as u32;
    }
    if let Some(ms) = object.integer(silence, 0..=MAX_VAD_MS)? {
        options.silence_duration_ms = ms as u32;
    }
    Ok(options)
}

/// All other options of the decoder.
fn decoding(fields: &Fields) -> Result<TranscribeOptions, ApiError> {
    let prompt = match fields.text("prompt")? {
        Some(prompt) => Some(prompt),
        None => fields.text("initial_prompt")?,
    };
    let hotwords = fields.list("keywords", false)?;
    let mut options = TranscribeOptions { initial_prompt: prompt, hotwords, ..TranscribeOptions::default() };
    for name in ["hotwords", "hotword"] {
        options.hotwords.extend(fields.list(name, true)?);
    }
    let temperatures = fields.list("temperature", true)?;
    let temperatures = temperatures
        .into_iter()
        .map(|text| {
            number_within("temperature", &Value::String(text), &(0.0..=1.0)).map(|number| number as f32)
        })
        .collect::<Result<Vec<_>, _>>()?;
    // As with OpenAI, 0 means that the server raises the temperature if a window fails.
    if !temperatures.is_empty() && temperatures != [0.0] {
        options.whisper.temperatures = temperatures;
    }
    set(&mut options.whisper.beam_size, fields.integer("beam_size", 1..=16)?.map(|n| n as usize));
    set(&mut options.whisper.best_of, fields.integer("best_of", 1..=16)?.map(|n| n as usize));
    set(&mut options.whisper.patience, fields.number("patience", 0.1..=8.0)?.map(|n| n as f32));
    set(
        &mut options.whisper.length_penalty,
        fields.number("length_penalty", 0.0..=8.0)?.map(|n| Some(n as f32)),
    );
    set(
        &mut options.whisper.compression_ratio_threshold,
        fields.number("compression_ratio_threshold", 0.0..=1000.0)?.map(|n| Some(n as f32)),
    );
    for name in ["logprob_threshold", "log_prob_threshold"] {
        set(
            &mut options.whisper.logprob_threshold,
            fields.number(name, -1000.0..=0.0)?.map(|n| Some(n as f32)),
        );
    }
    set(
        &mut options.whisper.no_speech_threshold,
        fields.number("no_speech_threshold", 0.0..=1.0)?.map(|n| Some(n as f32)),
    );
    set(&mut options.whisper.condition_on_previous_text, fields.boolean("condition_on_previous_text")?);
    set(&mut options.whisper.timestamps, fields.boolean("without_timestamps")?.map(|without| !without));
    set(
        &mut options.whisper.max_initial_timestamp_s,
        fields.number("max_initial_timestamp", 0.0..=30.0)?.map(|n| n as f32),
    );
    set(
        &mut options.whisper.hallucination_silence_s,
        fields.number("hallucination_silence_threshold", 0.0..=3600.0)?.map(|n| Some(n as f32)),
    );
    set(&mut options.seed, fields.integer("seed", 0..=u64::MAX)?);
    set(&mut options.whisper.audio_context, audio_context(fields)?);
    suppressed(fields, &mut options)?;
    Ok(options)
}

/// `audio_context`: what is encoded of a window with less than 30 s of audio.
fn audio_context(fields: &Fields) -> Result<Option<AudioContext>, ApiError> {
    let Some(name) = fields.text("audio_context")? else { return Ok(None) };
    let known = AudioContext::ALL.into_iter().find(|known| known.as_str() == name);
    known.map(Some).ok_or_else(|| {
        let names = AudioContext::ALL.map(AudioContext::as_str).join(", ");
        ApiError::invalid("audio_context", format!("audio_context must be one of {names}."))
    })
}

/// `suppress_tokens`: token ids, where -1 is the checkpoint's own list of non-speech tokens.
fn suppressed(fields: &Fields, options: &mut TranscribeOptions) -> Result<(), ApiError> {
    let ids = fields.list("suppress_tokens", true)?;
    if ids.is_empty() {
        return Ok(());
    }
    options.whisper.suppress_non_speech = false;
    for id in ids {
        match id.parse::<i64>() {
            Ok(-1) => options.whisper.suppress_non_speech = true,
            Ok(id) if (0..1 << 20).contains(&id) => options.whisper.suppress_tokens.push(id as u32),
            _ => {
                return Err(ApiError::invalid(
                    "suppress_tokens",
                    "suppress_tokens must be a list of token ids.",
                ));
            }
        }
    }
    Ok(())
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

//! Parameters of `/v1/audio/speech`: OpenAI's, Xinference's `kwargs`, and this server's own.
//!
//! Unsupported parameters that would change the audio are refused; other unknown ones are ignored.

use mynah_audio::{EncodeOptions, OutputFormat};
use mynah_core::SpeechOptions;

use super::fields::{Fields, ObjectOrWord};
use crate::error::ApiError;

/// Supported members of `kwargs`.
const KWARGS: [&str; 7] = [
    "instructions",
    "sample_rate",
    "seed",
    "timestamp_granularities",
    "prompt_text",
    "refine_text",
    "normalize_text",
];

/// Parameters of voice cloning on other servers that are not supported here.
const REFERENCES: [&str; 3] = ["prompt_latent", "instruct_text", "ref_audio"];

/// A validated request.
#[derive(Debug)]
pub(crate) struct SpeechParams {
    /// Model name or alias from the request.
    pub(crate) model: String,
    /// The text to speak.
    pub(crate) text: String,
    /// Options of the model.
    pub(crate) options: SpeechOptions,
    /// Format of the audio.
    pub(crate) format: OutputFormat,
    pub(crate) encoding: EncodeOptions,
    /// Whether to send server-sent events.
    pub(crate) sse: bool,
    /// Whether the last event has word timestamps.
    pub(crate) words: bool,
    /// Transcript of the reference audio.
    pub(crate) transcript: Option<String>,
}

impl SpeechParams {
    /// Parses and validates all parameters.
    pub(crate) fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        expand_kwargs(&mut fields)?;
        refuse_references(&fields)?;
        let model = fields.text("model")?.ok_or_else(|| {
            ApiError::missing("model", "Name the model in the parameter model, e.g. hibari.")
        })?;
        let text = match fields.text("input")? {
            Some(text) => Some(text),
            None => fields.text("text")?,
        };
        let text =
            text.ok_or_else(|| ApiError::missing("input", "Send the text to speak in the parameter input."))?;
        let sse = sse(&fields)?;
        Ok(Self {
            model,
            text,
            options: SpeechOptions {
                voice: voice(&fields)?,
                instructions: fields.text("instructions")?,
                speed: fields.number("speed", 0.25..=4.0)?.map_or(1.0, |speed| speed as f32),
                seed: seed(&fields)?,
                reference: None,
                refine_text: fields.boolean("refine_text")?.unwrap_or(false),
                normalize_text: fields.boolean("normalize_text")?.unwrap_or(true),
            },
            format: format(&fields)?,
            encoding: EncodeOptions {
                sample_rate_hz: fields.integer("sample_rate", 8_000..=48_000)?.map(|rate| rate as u32),
                bitrate_bps: None,
            },
            sse,
            words: words(&fields, sse)?,
            transcript: fields.text("prompt_text")?,
        })
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
    refuse_references(&kwargs)?;
    if let Some(unknown) = kwargs.names().find(|name| !KWARGS.contains(name)) {
        let message =
            format!("kwargs has {unknown}, which is not supported. Supported: {}.", KWARGS.join(", "));
        return Err(ApiError::unsupported("kwargs", message));
    }
    fields.add_missing(kwargs);
    Ok(())
}

fn refuse_references(fields: &Fields) -> Result<(), ApiError> {
    match REFERENCES.into_iter().find(|name| fields.has(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!(
                "{name} is not supported. Send reference audio in prompt_speech and its transcript in prompt_text."
            );
            Err(ApiError::unsupported(name, message))
        }
    }
}

/// A name, or an object with its `id`.
fn voice(fields: &Fields) -> Result<Option<String>, ApiError> {
    match fields.object("voice")? {
        None => Ok(None),
        Some(ObjectOrWord::Word(name)) => Ok(Some(name)),
        Some(ObjectOrWord::Object(object)) => match object.text("id")? {
            Some(name) => Ok(Some(name)),
            None => {
                let message = "voice must be a name, or an object with the name as its id.";
                Err(ApiError::invalid("voice", message))
            }
        },
    }
}

/// -1, which is a random seed in Xinference, is the default one here.
fn seed(fields: &Fields) -> Result<u64, ApiError> {
    if fields.text("seed")?.is_some_and(|seed| seed.trim() == "-1") {
        return Ok(SpeechOptions::default().seed);
    }
    Ok(fields.integer("seed", 0..=u64::MAX)?.unwrap_or(SpeechOptions::default().seed))
}

/// Names in any case; also file extensions.
fn format(fields: &Fields) -> Result<OutputFormat, ApiError> {
    let Some(name) = fields.text("response_format")? else { return Ok(OutputFormat::Mp3) };
    let name = name.trim().trim_start_matches('.').to_ascii_lowercase();
    let known = match name.as_str() {
        "mpeg" => "mp3",
        "wave" => "wav",
        "ogg" => "opus",
        name => name,
    };
    known.parse().map_err(|_| {
        let names = OutputFormat::ALL.map(OutputFormat::name).join(", ");
        ApiError::invalid("response_format", format!("response_format must be one of {names}."))
    })
}

fn sse(fields: &Fields) -> Result<bool, ApiError> {
    // The audio is always streamed; `stream` is only validated.
    fields.boolean("stream")?;
    match fields.text("stream_format")?.as_deref() {
        None | Some("audio") => Ok(false),
        Some("sse") => Ok(true),
        Some(_) => Err(ApiError::invalid("stream_format", "stream_format must be audio or sse.")),
    }
}

fn words(fields: &Fields, sse: bool) -> Result<bool, ApiError> {
    let granularities = fields.list("timestamp_granularities", true)?;
    if granularities.iter().any(|name| name != "word") {
        let message = "timestamp_granularities[] of speech must be word.";
        return Err(ApiError::invalid("timestamp_granularities", message));
    }
    if !granularities.is_empty() && !sse {
        let message =
            "timestamp_granularities[]=word needs stream_format sse, whose last event has the words.";
        return Err(ApiError::invalid("timestamp_granularities", message));
    }
    Ok(!granularities.is_empty())
}

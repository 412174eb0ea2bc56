//! The command line.

mod client;
mod keys;
mod serve;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use mynah_api::ResponseFormat;
use mynah_audio::OutputFormat;
use mynah_core::{AudioContext, ComputeType};

pub(crate) use client::*;
pub(crate) use keys::*;
pub(crate) use serve::ServeArgs;

/// Speech server in one program: transcribe audio and synthesize speech on this machine
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 success, 1 failure (with several files: at least one), 2 usage error, \
                  3 model unavailable, 130 interrupted.\n\
                  Environment: MYNAH_HOME (models and settings, default ~/.mynah), MYNAH_LOG (log filter, e.g. debug), \
                  HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, XINFERENCE_HOME, XINFERENCE_ENDPOINT, XINFERENCE_MODEL_SRC.\n\
                  Called as `xinference` or `xinference-local` (a link will do), it accepts their command lines."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Log more; give twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Hide progress and log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Transcribe audio files
    #[command(after_help = "Examples:\n  mynah transcribe talk.mp3\n  \
        mynah transcribe --format srt --output-dir subtitles *.mp4\n  \
        ffmpeg -i talk.mkv -f wav - | mynah transcribe --language de -")]
    Transcribe(Box<TranscribeArgs>),
    /// Transcribe and translate to English
    #[command(
        after_help = "Example:\n  mynah translate --language ja --format vtt interview.m4a > interview.vtt"
    )]
    Translate(Box<TranscribeArgs>),
    /// Synthesize speech from text
    #[command(after_help = "Examples:\n  mynah speak \"Hello there.\" -o hello.wav\n  \
        mynah speak --input-file chapter.txt --words srt -o chapter.mp3\n  \
        echo \"Dinner is ready.\" | mynah speak - -o - | aplay")]
    Speak(SpeakArgs),
    /// Serve the audio APIs of OpenAI and Xinference over HTTP
    #[command(after_help = "Example:\n  mynah serve --port 9997 --api-key sk-secret\n  \
        curl -H 'Authorization: Bearer sk-secret' -F model=whisper-base -F file=@talk.mp3 \
        http://127.0.0.1:9997/v1/audio/transcriptions")]
    Serve(Box<ServeArgs>),
    /// List models and what is downloaded
    #[command(after_help = "Examples:\n  mynah models --json | jq -r '.[] | select(.on_disk) | .name'\n  \
        mynah models --check")]
    Models(ModelsArgs),
    /// Download models and print their paths
    #[command(after_help = "Example:\n  mynah pull whisper-base")]
    Pull(NamesArgs),
    /// Delete downloaded models
    #[command(after_help = "Example:\n  mynah rm whisper-base")]
    Rm(NamesArgs),
    /// Manage API keys
    #[command(
        subcommand,
        after_help = "Once there is a key, `mynah serve` refuses requests without one.\n\
        Example:\n  mynah keys add dify --expires 90d"
    )]
    Keys(KeysCommand),
    /// Manage users who log in with a password
    #[command(subcommand, after_help = "Example:\n  mynah users add ann --scope admin")]
    Users(UsersCommand),
    /// Print a shell completion script
    #[command(
        after_help = "Example:\n  mynah completions bash > ~/.local/share/bash-completion/completions/mynah"
    )]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one per command
    #[command(
        after_help = "Examples:\n  mynah man | man -l -\n  mynah man --output-dir ~/.local/share/man/man1"
    )]
    Man(ManArgs),
    #[command(flatten)]
    Client(ClientCommand),
}

/// Precision and threads.
#[derive(Args, Debug)]
pub(crate) struct ComputeArgs {
    /// Precision of the weights at run time
    #[arg(long, value_name = "TYPE", value_parser = compute_type(), default_value_t)]
    pub(crate) compute: ComputeType,

    /// Threads to compute with [default: one per physical core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

/// Parses the name of a precision, and lists all of them in the help.
pub(crate) fn compute_type() -> impl TypedValueParser<Value = ComputeType> {
    let names = ComputeType::ALL.map(ComputeType::as_str);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<ComputeType>())
}

/// Parses the name of an audio context, and lists all of them in the help.
fn audio_context() -> impl TypedValueParser<Value = AudioContext> {
    let named = |name: String| AudioContext::ALL.into_iter().find(|known| known.as_str() == name);
    PossibleValuesParser::new(AudioContext::ALL.map(AudioContext::as_str))
        .try_map(move |name| named(name).ok_or("unknown audio context"))
}

#[derive(Args, Debug)]
pub(crate) struct TranscribeArgs {
    /// Audio or video files; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Model listed by `mynah models`; downloaded if missing
    #[arg(short, long, default_value = "whisper-base", env = "MYNAH_MODEL")]
    pub(crate) model: String,

    /// Local checkpoint instead: a CTranslate2 or Hugging Face folder, a ggml file, an OpenAI .pt file
    #[arg(long, value_name = "PATH", conflicts_with = "model")]
    pub(crate) model_path: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    /// Spoken language, as code or name; several, comma-separated, restrict detection; `list` prints all [default: detect]
    #[arg(short, long, value_name = "LANG", value_delimiter = ',')]
    pub(crate) language: Vec<String>,

    /// Format of the transcript
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = response_format)]
    pub(crate) format: ResponseFormat,

    /// Maximum audio length, seconds; each second takes 64 kB of memory [default: 14400]
    #[arg(long, value_name = "S", value_parser = positive_f64)]
    pub(crate) max_audio_s: Option<f64>,

    /// Write each transcript to a file in this folder, named after its audio file
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,

    /// Add times of words to verbose_json; break subtitles between words
    #[arg(long)]
    pub(crate) word_timestamps: bool,

    /// Text that precedes the audio, or an example of its style and spelling
    #[arg(long, visible_alias = "initial-prompt", value_name = "TEXT")]
    pub(crate) prompt: Option<String>,

    /// Hint words or phrases (hotwords), comma-separated
    #[arg(long, visible_alias = "keywords", value_name = "WORDS", value_delimiter = ',')]
    pub(crate) hotwords: Vec<String>,

    #[command(flatten, next_help_heading = "Voice activity detection")]
    pub(crate) vad: VadArgs,

    #[command(flatten, next_help_heading = "Decoding")]
    pub(crate) decoding: DecodingArgs,
}

#[derive(Args, Debug)]
pub(crate) struct VadArgs {
    /// Remove non-speech before decoding
    #[arg(long)]
    pub(crate) vad: bool,

    /// Speech probability threshold [default: 0.5]
    #[arg(long, value_name = "P", requires = "vad", value_parser = probability)]
    pub(crate) vad_threshold: Option<f32>,

    /// Audio kept before speech, ms [default: 300]
    #[arg(long, value_name = "MS", requires = "vad", value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(crate) vad_padding_ms: Option<u32>,

    /// Silence that ends a speech segment, ms [default: 200]
    #[arg(long, value_name = "MS", requires = "vad", value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(crate) vad_silence_ms: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct DecodingArgs {
    /// Beam size; 1 is greedy search [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) beam_size: Option<u8>,

    /// Samples drawn at temperatures above 0 [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) best_of: Option<u8>,

    /// Beam search patience: finished hypotheses to wait for, as a multiple of the beam size [default: 1]
    #[arg(long, value_name = "X", value_parser = positive)]
    pub(crate) patience: Option<f32>,

    /// Exponent of the length penalty [default: rank by mean log probability]
    #[arg(long, value_name = "X", value_parser = not_negative)]
    pub(crate) length_penalty: Option<f32>,

    /// Temperatures, comma-separated, tried in turn until a window passes the thresholds [default: 0,0.2,0.4,0.6,0.8,1]
    #[arg(long, value_name = "T", value_delimiter = ',', value_parser = probability)]
    pub(crate) temperature: Vec<f32>,

    /// Decode a window again if its compression ratio is higher; `none` disables [default: 2.4]
    #[arg(long, value_name = "X", value_parser = threshold, allow_negative_numbers = true)]
    pub(crate) compression_ratio_threshold: Option<Threshold>,

    /// Decode a window again if its mean log probability is lower; `none` disables [default: -1]
    #[arg(long, value_name = "X", value_parser = threshold, allow_negative_numbers = true)]
    pub(crate) logprob_threshold: Option<Threshold>,

    /// Drop a low-confidence window if its no-speech probability is higher; `none` disables [default: 0.6]
    #[arg(long, value_name = "P", value_parser = threshold, allow_negative_numbers = true)]
    pub(crate) no_speech_threshold: Option<Threshold>,

    /// Do not condition on previous text; long recordings are split at pauses and the chunks decoded in parallel
    #[arg(long, visible_alias = "no-condition-on-previous-text")]
    pub(crate) no_condition: bool,

    /// Predict no timestamps; one segment per window
    #[arg(long, visible_alias = "without-timestamps")]
    pub(crate) no_timestamps: bool,

    /// Maximum first timestamp of a window, seconds [default: 1]
    #[arg(long, value_name = "S", value_parser = not_negative)]
    pub(crate) max_initial_timestamp: Option<f32>,

    /// With word times, skip silence longer than this around text that is probably hallucinated, seconds
    #[arg(long, value_name = "S", value_parser = not_negative)]
    pub(crate) hallucination_silence: Option<f32>,

    /// What is encoded of a 30 s window with less audio: trimmed (the audio and a second after it: fast), full (all of it,
    /// as the model was trained), or auto (trimmed for models whose error rates were measured with it, whisper-base and
    /// whisper-tiny.en; full for the others)
    #[arg(long, value_name = "CONTEXT", value_parser = audio_context(), default_value = "auto", hide_possible_values = true)]
    pub(crate) audio_context: AudioContext,

    /// Token ids to suppress, comma-separated; -1 is the model's own list [default: -1]
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_negative_numbers = true)]
    pub(crate) suppress_tokens: Vec<i32>,

    /// Windows of 30 s used for language detection [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) language_windows: Option<u8>,

    /// Random seed for temperatures above 0 [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct SpeakArgs {
    /// Text to speak; - reads standard input
    #[arg(required_unless_present_any = ["input_file", "list_voices"], value_name = "TEXT")]
    pub(crate) text: Option<String>,

    /// Read the text from this file
    #[arg(short, long, value_name = "FILE", conflicts_with = "text")]
    pub(crate) input_file: Option<PathBuf>,

    /// Output file; - is standard output
    #[arg(short, long, required_unless_present = "list_voices", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Text-to-speech model listed by `mynah models`; downloaded if missing
    #[arg(short, long, default_value = "hibari", env = "MYNAH_SPEECH_MODEL")]
    pub(crate) model: String,

    /// Local checkpoint instead: a folder of hibari voices, or one voice's .onnx file beside its front end
    #[arg(long, value_name = "PATH", conflicts_with = "model")]
    pub(crate) model_path: Option<PathBuf>,

    /// Voice [default: the model's own]
    #[arg(short = 'V', long, value_name = "VOICE")]
    pub(crate) voice: Option<String>,

    /// List the voices of the model: name, language, gender and OpenAI alias
    #[arg(long)]
    pub(crate) list_voices: bool,

    /// wav, mp3, opus, aac, flac or pcm [default: by the name of the output; wav for standard output]
    #[arg(short, long, value_name = "FORMAT", value_parser = output_format)]
    pub(crate) format: Option<OutputFormat>,

    /// Speaking rate, 0.25 to 4
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = pace)]
    pub(crate) speed: f32,

    /// Random seed; the same seed gives the same audio
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// Tone and style, for models that follow instructions
    #[arg(long, value_name = "TEXT")]
    pub(crate) instructions: Option<String>,

    /// Reference audio of a voice to clone, at most a minute (ChatTTS)
    #[arg(long, value_name = "FILE", requires = "reference_text")]
    pub(crate) reference_audio: Option<PathBuf>,

    /// Transcript of the reference audio
    #[arg(long, value_name = "TEXT", requires = "reference_audio")]
    pub(crate) reference_text: Option<String>,

    /// Let the model add pauses and laughter to the text (ChatTTS)
    #[arg(long)]
    pub(crate) refine: bool,

    /// Do not normalize numbers, dates, money and units (ChatTTS)
    #[arg(long)]
    pub(crate) no_text_normalization: bool,

    /// Sample rate, 8000 to 48000 Hz [default: the model's]
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(8_000..=48_000))]
    pub(crate) sample_rate: Option<u32>,

    /// Write the times of words to a file next to the audio
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) words: Option<WordsFormat>,

    /// Threads to compute with [default: one per physical core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

/// Formats for the times of words.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum WordsFormat {
    Json,
    Srt,
    Vtt,
}

#[derive(Args, Debug)]
pub(crate) struct ModelsArgs {
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,

    /// Compare all files that were fetched with their checksums
    #[arg(long, conflicts_with = "json")]
    pub(crate) check: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// Whose script
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Folder for mynah.1 and a page of each command
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct NamesArgs {
    /// Names of `mynah models`, or of a voice, such as hibari/emma
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// A threshold that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Threshold {
    Off,
    At(f32),
}

impl Threshold {
    pub(crate) fn value(self) -> Option<f32> {
        match self {
            Threshold::Off => None,
            Threshold::At(value) => Some(value),
        }
    }
}

fn response_format(name: &str) -> Result<ResponseFormat, String> {
    let known = ResponseFormat::ALL.map(ResponseFormat::as_str);
    ResponseFormat::ALL
        .into_iter()
        .find(|format| format.as_str() == name)
        .ok_or_else(|| format!("use one of {}", known.join(", ")))
}

fn output_format(name: &str) -> Result<OutputFormat, String> {
    name.parse().map_err(|_| format!("use one of {}", OutputFormat::ALL.map(OutputFormat::name).join(", ")))
}

fn pace(text: &str) -> Result<f32, String> {
    number(text, mynah_core::SpeechOptions::SPEEDS)
}

fn threshold(text: &str) -> Result<Threshold, String> {
    if text == "none" { Ok(Threshold::Off) } else { Ok(Threshold::At(number(text, f32::MIN..=f32::MAX)?)) }
}

fn probability(text: &str) -> Result<f32, String> {
    number(text, 0.0..=1.0)
}

fn positive(text: &str) -> Result<f32, String> {
    number(text, f32::MIN_POSITIVE..=1e9)
}

fn positive_f64(text: &str) -> Result<f64, String> {
    positive(text).map(f64::from)
}

fn not_negative(text: &str) -> Result<f32, String> {
    number(text, 0.0..=1e6)
}

fn number(text: &str, range: std::ops::RangeInclusive<f32>) -> Result<f32, String> {
    match text.trim().parse::<f32>() {
        Ok(number) if range.contains(&number) => Ok(number),
        Ok(_) => Err(format!("must be from {} to {}", range.start(), range.end())),
        Err(_) => Err("must be a number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}

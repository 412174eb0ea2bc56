//! `mynah speak`.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use mynah_audio::{EncodeOptions, OutputFormat};
use mynah_core::{ModelError, Registry, SpeechOptions};
use mynah_engine::{
    AudioSource, Engine, Error, ModelRef, ReferenceSource, Settings, SpeakRequest, SpeechEvent, SpeechJob,
    SpeechResult,
};
use mynah_format::subtitles;

use crate::args::{SpeakArgs, WordsFormat};
use crate::exit::Failure;
use crate::interrupt::{Signals, runtime};
use crate::output::{self, TargetFile};
use crate::progress::ProgressBars;

/// Runs the command.
pub(crate) fn run(args: SpeakArgs, registry: Registry, bars: &ProgressBars) -> Result<(), Failure> {
    let mut settings = Settings::from_env()?;
    settings.threads = args.threads.map(usize::from);
    // One speech is all that this process makes.
    settings.speech_cache_bytes = 0;
    let engine = Engine::open(settings, registry)?;
    let model = match &args.model_path {
        Some(path) => ModelRef::Path(path.clone()),
        None => engine.resolve(&args.model)?,
    };
    if args.list_voices {
        return list_voices(&engine, &model);
    }
    let output = args.output.clone().unwrap_or_default();
    let to_stdout = output.as_os_str() == "-";
    let format = format(args.format, &output)?;
    let words = args.words.map(|format| words_file(&output, format)).transpose()?;
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::Usage("cannot write audio to a terminal; name a file with -o".to_owned()));
    }
    let text = text(&args)?;
    let request = SpeakRequest {
        model,
        text: text.clone(),
        options: SpeechOptions {
            voice: args.voice,
            instructions: args.instructions,
            speed: args.speed,
            seed: args.seed,
            reference: None,
            refine_text: args.refine,
            normalize_text: !args.no_text_normalization,
        },
        format,
        encoding: EncodeOptions { sample_rate_hz: args.sample_rate, bitrate_bps: None },
        client: None,
    };
    let job = match (args.reference_audio, args.reference_text) {
        (Some(path), Some(transcript)) => engine
            .speak_with_reference(request, ReferenceSource { audio: AudioSource::Path(path), transcript }),
        _ => engine.speak(request),
    };
    let job = job.map_err(failure)?;
    let mut sink = if to_stdout { Sink::Stdout } else { Sink::File(TargetFile::create(&output)?) };
    let name = output.display().to_string();
    let spoken = runtime()?.block_on(follow(job, &mut sink, &name, text.len(), bars))?;
    if let Sink::File(file) = sink {
        file.finish(&spoken.head)?;
    }
    match words {
        Some((path, format)) => output::write_whole(&path, &words_text(format, &text, &spoken)?),
        None => Ok(()),
    }
}

fn list_voices(engine: &Engine, model: &ModelRef) -> Result<(), Failure> {
    let ModelRef::Named(model) = model else {
        return Err(Failure::Usage("--list-voices needs a model of the catalogue".to_owned()));
    };
    let mut out = io::stdout().lock();
    for status in engine.voices().into_iter().filter(|status| status.model == *model) {
        let voice = status.voice;
        writeln!(
            out,
            "{}\t{}\t{}\t{}",
            voice.name,
            voice.language,
            voice.gender,
            voice.stands_for.join(" ")
        )?;
    }
    Ok(())
}

/// The format asked for, or that of the output's name.
fn format(asked: Option<OutputFormat>, output: &Path) -> Result<OutputFormat, Failure> {
    if let Some(format) = asked {
        return Ok(format);
    }
    if output.as_os_str() == "-" {
        return Ok(OutputFormat::Wav);
    }
    let extension = output.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = match extension.as_str() {
        "ogg" => "opus",
        "raw" => "pcm",
        "wave" => "wav",
        extension => extension,
    };
    name.parse().map_err(|_| {
        let names = OutputFormat::ALL.map(OutputFormat::name).join(", ");
        let name = output.display();
        Failure::Usage(format!("cannot infer the audio format from {name}; use --format with one of {names}"))
    })
}

/// The file for the times of the words.
fn words_file(output: &Path, format: WordsFormat) -> Result<(PathBuf, WordsFormat), Failure> {
    if output.as_os_str() == "-" {
        return Err(Failure::Usage(
            "--words writes a file next to the audio, so -o must name a file".to_owned(),
        ));
    }
    let extension = match format {
        WordsFormat::Json => "json",
        WordsFormat::Srt => "srt",
        WordsFormat::Vtt => "vtt",
    };
    Ok((output.with_extension(extension), format))
}

fn words_text(format: WordsFormat, text: &str, spoken: &SpeechResult) -> Result<String, Failure> {
    Ok(match format {
        WordsFormat::Json => {
            output::line(&mynah_format::spoken_body(text, spoken.duration_s, &spoken.words))?
        }
        WordsFormat::Srt => subtitles::srt(&mynah_format::spoken_cues(text, &spoken.words)),
        WordsFormat::Vtt => subtitles::vtt(&mynah_format::spoken_cues(text, &spoken.words)),
    })
}

/// Reads what is to be said; now, while a signal still ends the program at once.
fn text(args: &SpeakArgs) -> Result<String, Failure> {
    let cannot_read =
        |what: &str, error: io::Error| Failure::Failed(Some(format!("cannot read {what}: {error}")));
    let read_stdin = || {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map_err(|error| cannot_read("standard input", error))?;
        Ok(text)
    };
    match (&args.text, &args.input_file) {
        (_, Some(file)) if file.as_os_str() == "-" => read_stdin(),
        (_, Some(file)) => {
            std::fs::read_to_string(file).map_err(|error| cannot_read(&file.display().to_string(), error))
        }
        (Some(text), None) if text == "-" => read_stdin(),
        (Some(text), None) => Ok(text.clone()),
        (None, None) => Err(Failure::Usage("the text is empty".to_owned())),
    }
}

enum Sink {
    Stdout,
    File(TargetFile),
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                Ok(out.flush()?)
            }
            Sink::File(file) => file.append(bytes),
        }
    }
}

/// Writes the audio as it comes.
async fn follow(
    mut job: SpeechJob,
    sink: &mut Sink,
    name: &str,
    text_bytes: usize,
    bars: &ProgressBars,
) -> Result<SpeechResult, Failure> {
    let mut signals = Signals::new()?;
    let mut bar = bars.add(name);
    let mut signal = None;
    loop {
        let event = tokio::select! {
            event = job.next() => event,
            number = signals.next() => {
                signal = Some(number);
                job.cancel();
                continue;
            }
        };
        match event {
            Some(SpeechEvent::Waiting(progress)) => bar.load(&progress),
            Some(SpeechEvent::Started { .. }) => bar.text(0, text_bytes),
            Some(SpeechEvent::Progress(bytes)) => bar.text(bytes, text_bytes),
            Some(SpeechEvent::FirstStep { .. }) => {}
            Some(SpeechEvent::Audio(bytes)) => sink.write(&bytes)?,
            Some(SpeechEvent::Done(spoken)) => return Ok(spoken),
            Some(SpeechEvent::Failed(error)) => {
                return Err(signal.map_or_else(|| failure(error), Failure::Interrupted));
            }
            None => return Err(Failure::Failed(Some("the work ended without a result".to_owned()))),
        }
    }
}

/// What the model cannot do for the command line is a usage error.
fn failure(error: Error) -> Failure {
    match &error {
        Error::UnknownVoice { .. } | Error::Encode(_) => Failure::Usage(error.to_string()),
        Error::Model(ModelError::UnsupportedOption { .. }) => Failure::Usage(error.to_string()),
        Error::Model(ModelError::InvalidOption { name, .. }) if *name != "text" => {
            Failure::Usage(error.to_string())
        }
        _ => error.into(),
    }
}

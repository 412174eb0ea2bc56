//! `mynah transcribe` and `mynah translate`.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mynah_api::ResponseFormat;
use mynah_core::{Registry, Task, TranscribeOptions, Transcript, VadOptions};
use mynah_engine::{
    AudioSource, Engine, ModelRef, Settings, TranscribeRequest, TranscriptionEvent, TranscriptionJob,
};
use mynah_text::languages;

use crate::args::{DecodingArgs, Threshold, TranscribeArgs, VadArgs};
use crate::exit::{Failure, is_model_fault, print_error};
use crate::interrupt::{Signals, runtime};
use crate::output::{self, Style};
use crate::progress::ProgressBars;

/// Runs either command.
pub(crate) fn run(
    args: TranscribeArgs,
    task: Task,
    registry: Registry,
    bars: &ProgressBars,
) -> Result<(), Failure> {
    if args.language == ["list"] {
        return list_languages();
    }
    let options = options(&args, task)?;
    let style =
        Style { format: args.format, words: args.word_timestamps, open_language: options.language.is_none() };
    let plan = Plan::new(&args, style)?;
    // Now, while a signal still ends the program at once.
    let stdin = if plan.reads_stdin { Some(stdin_to_file()?) } else { None };

    let engine = open_engine(&args, registry)?;
    let model = match &args.model_path {
        Some(path) => ModelRef::Path(path.clone()),
        None => engine.resolve(&args.model)?,
    };
    runtime()?.block_on(transcribe_all(&engine, &model, &options, plan, stdin, bars))
}

/// The engine with the environment's settings and the command line's.
fn open_engine(args: &TranscribeArgs, registry: Registry) -> Result<Engine, Failure> {
    let mut settings = Settings::from_env()?;
    settings.compute = args.compute.compute;
    settings.threads = args.compute.threads.map(usize::from);
    settings.decode_limits.max_duration_s = args.max_audio_s.unwrap_or(settings.decode_limits.max_duration_s);
    Ok(Engine::open(settings, registry)?)
}

fn list_languages() -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for language in languages::LANGUAGES {
        writeln!(out, "{}\t{}", language.code, language.name)?;
    }
    Ok(())
}

/// What goes where.
struct Plan {
    style: Style,
    /// Each input with the file that its transcript goes to, if not standard output.
    items: Vec<(PathBuf, Option<PathBuf>)>,
    reads_stdin: bool,
}

impl Plan {
    fn new(args: &TranscribeArgs, style: Style) -> Result<Self, Failure> {
        let several = args.files.len() > 1;
        let is_stdin = |file: &PathBuf| file.as_os_str() == "-";
        let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
        if args.files.iter().filter(|file| is_stdin(file)).count() > 1 {
            return usage("standard input (-) can be read once only");
        }
        if args.word_timestamps && matches!(args.format, ResponseFormat::Text | ResponseFormat::Json) {
            return usage("--word-timestamps needs --format verbose_json, srt or vtt");
        }
        if several
            && args.output_dir.is_none()
            && matches!(args.format, ResponseFormat::Srt | ResponseFormat::Vtt)
        {
            return usage("several files as subtitles need --output-dir");
        }
        let mut taken = HashMap::new();
        let mut items = Vec::new();
        for file in &args.files {
            let target = args.output_dir.as_ref().map(|folder| {
                let name = if is_stdin(file) { Path::new("stdin") } else { file.as_path() };
                folder.join(
                    Path::new(name.file_stem().unwrap_or(name.as_os_str()))
                        .with_added_extension(mynah_format::extension(style.format)),
                )
            });
            if let Some(target) = &target
                && let Some(other) = taken.insert(target.clone(), file)
            {
                let message = format!(
                    "{} and {} would both go to {}",
                    other.display(),
                    file.display(),
                    target.display()
                );
                return Err(Failure::Usage(message));
            }
            items.push((file.clone(), target));
        }
        if let Some(folder) = &args.output_dir {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::Failed(Some(format!("cannot create {}: {error}", folder.display())))
            })?;
        }
        Ok(Self { style, items, reads_stdin: args.files.iter().any(is_stdin) })
    }
}

fn stdin_to_file() -> Result<tempfile::TempPath, Failure> {
    let copy = || -> io::Result<tempfile::TempPath> {
        let mut file = tempfile::Builder::new().prefix("mynah-stdin-").tempfile()?;
        io::copy(&mut io::stdin().lock(), &mut file)?;
        file.flush()?;
        Ok(file.into_temp_path())
    };
    copy().map_err(|error| Failure::Failed(Some(format!("cannot read standard input: {error}"))))
}

async fn transcribe_all(
    engine: &Engine,
    model: &ModelRef,
    options: &TranscribeOptions,
    plan: Plan,
    mut stdin: Option<tempfile::TempPath>,
    bars: &ProgressBars,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let several = plan.items.len() > 1;
    let mut failed = false;
    for (file, target) in plan.items {
        let name = file.display().to_string();
        let audio = if name == "-"
            && let Some(stdin) = stdin.take()
        {
            AudioSource::TempFile(stdin)
        } else {
            AudioSource::Path(file)
        };
        let request =
            TranscribeRequest { model: model.clone(), audio, options: options.clone(), client: None };
        let live = plan.style.format == ResponseFormat::Text
            && target.is_none()
            && !several
            && io::stdout().is_terminal();
        let outcome = match engine.transcribe(request) {
            Ok(job) => watch(job, &name, live, &mut signals, bars).await?,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(_) if live => {}
            Ok(transcript) => match target {
                Some(target) => output::write_whole(&target, &plan.style.whole(&transcript))?,
                None if several => print(&plan.style.named(&name, &transcript)?)?,
                None => print(&plan.style.whole(&transcript))?,
            },
            Err(error) if is_model_fault(&error) => return Err(error.into()),
            Err(error) => {
                failed = true;
                bars.between(|| print_error(&format!("{name}: {error}")));
            }
        }
    }
    if failed { Err(Failure::Failed(None)) } else { Ok(()) }
}

/// Follows a job to its end. `live`: every segment is printed when it is final.
async fn watch(
    mut job: TranscriptionJob,
    name: &str,
    live: bool,
    signals: &mut Signals,
    bars: &ProgressBars,
) -> Result<Result<Arc<Transcript>, mynah_engine::Error>, Failure> {
    let mut bar = Some(bars.add(name));
    let mut duration = 0.0;
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
            Some(TranscriptionEvent::Waiting(progress)) => {
                if let Some(bar) = &mut bar {
                    bar.load(&progress);
                }
            }
            // The text itself shows how far it is.
            Some(TranscriptionEvent::Started { .. }) if live => bar = None,
            Some(TranscriptionEvent::Started { duration_s }) => {
                duration = duration_s;
                if let Some(bar) = &mut bar {
                    bar.audio(0.0, duration);
                }
            }
            Some(TranscriptionEvent::Progress(done)) => {
                if let Some(bar) = &mut bar {
                    bar.audio(done, duration);
                }
            }
            Some(TranscriptionEvent::Segment(segment)) if live => {
                print(&format!("{}\n", segment.text.trim()))?;
            }
            Some(
                TranscriptionEvent::Segment(_)
                | TranscriptionEvent::Language(..)
                | TranscriptionEvent::FirstStep { .. },
            ) => {}
            Some(TranscriptionEvent::Done(transcript)) => return Ok(Ok(transcript)),
            Some(TranscriptionEvent::Failed(error)) => {
                return match signal {
                    Some(number) => Err(Failure::Interrupted(number)),
                    None => Ok(Err(error)),
                };
            }
            None => return Err(Failure::Failed(Some(format!("{name}: the work ended without a result")))),
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn options(args: &TranscribeArgs, task: Task) -> Result<TranscribeOptions, Failure> {
    let mut codes = Vec::new();
    for name in &args.language {
        let language = languages::find(name).ok_or_else(|| {
            Failure::Usage(format!("unknown language {name:?}; `--language list` prints the known ones"))
        })?;
        codes.push(language.code.to_owned());
    }
    let mut options = TranscribeOptions {
        task,
        initial_prompt: args.prompt.clone(),
        hotwords: args.hotwords.clone(),
        word_timestamps: args.word_timestamps || args.decoding.hallucination_silence.is_some(),
        vad: vad(&args.vad),
        ..TranscribeOptions::default()
    };
    match codes.len() {
        1 => options.language = codes.pop(),
        _ => options.allowed_languages = codes,
    }
    decoding(&args.decoding, &mut options);
    Ok(options)
}

fn vad(args: &VadArgs) -> Option<VadOptions> {
    let default = VadOptions::default();
    args.vad.then(|| VadOptions {
        threshold: args.vad_threshold.unwrap_or(default.threshold),
        prefix_padding_ms: args.vad_padding_ms.unwrap_or(default.prefix_padding_ms),
        silence_duration_ms: args.vad_silence_ms.unwrap_or(default.silence_duration_ms),
    })
}

/// Replaces the defaults with what was given.
fn decoding(args: &DecodingArgs, options: &mut TranscribeOptions) {
    fn set<T>(place: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *place = value;
        }
    }
    set(&mut options.whisper.beam_size, args.beam_size.map(usize::from));
    set(&mut options.whisper.best_of, args.best_of.map(usize::from));
    set(&mut options.whisper.patience, args.patience);
    set(&mut options.whisper.length_penalty, args.length_penalty.map(Some));
    set(
        &mut options.whisper.compression_ratio_threshold,
        args.compression_ratio_threshold.map(Threshold::value),
    );
    set(&mut options.whisper.logprob_threshold, args.logprob_threshold.map(Threshold::value));
    set(&mut options.whisper.no_speech_threshold, args.no_speech_threshold.map(Threshold::value));
    set(&mut options.whisper.max_initial_timestamp_s, args.max_initial_timestamp);
    set(&mut options.whisper.hallucination_silence_s, args.hallucination_silence.map(Some));
    set(&mut options.whisper.language_detection_windows, args.language_windows.map(usize::from));
    set(&mut options.seed, args.seed);
    options.whisper.audio_context = args.audio_context;
    options.whisper.condition_on_previous_text = !args.no_condition;
    options.whisper.timestamps = !args.no_timestamps;
    if !args.temperature.is_empty() {
        options.whisper.temperatures.clone_from(&args.temperature);
    }
    if !args.suppress_tokens.is_empty() {
        options.whisper.suppress_non_speech = args.suppress_tokens.contains(&-1);
        options.whisper.suppress_tokens =
            args.suppress_tokens.iter().filter_map(|id| u32::try_from(*id).ok()).collect();
    }
}

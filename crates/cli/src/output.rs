//! Transcripts as text, and files that appear when they are whole.

use std::fs::{self, File, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mynah_api::ResponseFormat;
use mynah_core::Transcript;
use mynah_format::RenderOptions;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::exit::Failure;

/// How transcripts are written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) format: ResponseFormat,
    pub(crate) words: bool,
    /// The language is detected.
    pub(crate) open_language: bool,
}

impl Style {
    /// A whole transcript, as it is written to a file of its own.
    pub(crate) fn whole(self, transcript: &Transcript) -> String {
        let Self { format, words, open_language } = self;
        let options = RenderOptions { format, segments: true, words, logprobs: false, open_language };
        let text = mynah_format::render(transcript, &options);
        match format {
            ResponseFormat::Json | ResponseFormat::VerboseJson => text + "\n",
            // These have their final line break already; without cues they are empty.
            ResponseFormat::Text | ResponseFormat::Srt | ResponseFormat::Vtt => text,
        }
    }

    /// One line that says which file it is of; for formats that have such a form.
    pub(crate) fn named(self, file: &str, transcript: &Transcript) -> Result<String, Failure> {
        match self.format {
            ResponseFormat::Json => line(&Named {
                file,
                body: mynah_format::transcription(transcript, false, self.open_language),
            }),
            ResponseFormat::VerboseJson => {
                line(&Named { file, body: mynah_format::verbose_transcription(transcript, true, self.words) })
            }
            _ => Ok(format!("{file}: {}\n", transcript.text())),
        }
    }
}

#[derive(Serialize)]
struct Named<'a, T> {
    file: &'a str,
    #[serde(flatten)]
    body: T,
}

/// Writes a file as a whole or not at all.
pub(crate) fn write_whole(target: &Path, text: &str) -> Result<(), Failure> {
    let mut file = TargetFile::create(target)?;
    file.append(text.as_bytes())?;
    file.finish(&[])
}

/// Writes a file that only this user can read, as a whole or not at all.
pub(crate) fn write_secret(target: &Path, text: &str) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        // Temporary files are for their owner alone.
        let mut file = NamedTempFile::new_in(target.parent().unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.persist(target).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| cannot_write(target, &error))
}

/// A file that takes its name when it is whole. What is no plain file (a pipe, a device) is written to as it is.
pub(crate) struct TargetFile {
    target: PathBuf,
    sink: Sink,
}

enum Sink {
    Temporary(NamedTempFile),
    Special(File),
}

impl TargetFile {
    pub(crate) fn create(target: &Path) -> Result<Self, Failure> {
        let open = || -> io::Result<Sink> {
            if fs::metadata(target).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
                return Ok(Sink::Special(File::options().write(true).open(target)?));
            }
            let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
            let mut builder = tempfile::Builder::new();
            // As any new file's; the user's mask is applied.
            builder.prefix(".mynah-").permissions(Permissions::from_mode(0o666));
            Ok(Sink::Temporary(builder.tempfile_in(folder.unwrap_or(Path::new(".")))?))
        };
        let sink = open().map_err(|error| cannot_write(target, &error))?;
        Ok(Self { target: target.to_owned(), sink })
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.sink {
            Sink::Temporary(file) => file.write_all(bytes),
            Sink::Special(file) => file.write_all(bytes),
        };
        written.map_err(|error| cannot_write(&self.target, &error))
    }

    /// Puts `head` over the first bytes and gives the file its name.
    pub(crate) fn finish(self, head: &[u8]) -> Result<(), Failure> {
        let Sink::Temporary(mut file) = self.sink else { return Ok(()) };
        let mut write = || -> io::Result<()> {
            file.rewind()?;
            file.write_all(head)?;
            file.flush()
        };
        write().map_err(|error| cannot_write(&self.target, &error))?;
        file.persist(&self.target).map_err(|error| cannot_write(&self.target, &error.error))?;
        Ok(())
    }
}

fn cannot_write(target: &Path, error: &io::Error) -> Failure {
    Failure::Failed(Some(format!("cannot write {}: {error}", target.display())))
}

/// A JSON line.
pub(crate) fn line(body: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(body).map_err(|error| Failure::Failed(Some(error.to_string())))?;
    Ok(json + "\n")
}

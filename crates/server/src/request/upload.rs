//! Uploaded audio: a small upload stays in memory, a larger one goes to a temporary file.

use mynah_engine::{AudioSource, Reservation};
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::config::Limits;
use crate::error::ApiError;

/// A complete upload. Its temporary file is deleted when it is dropped.
#[derive(Debug)]
pub(crate) enum Upload {
    /// In memory.
    Memory(Vec<u8>),
    /// On disk.
    File(TempPath),
}

impl Upload {
    pub(crate) fn bytes_in_memory(&self) -> u64 {
        match self {
            Upload::Memory(bytes) => bytes.len() as u64,
            Upload::File(_) => 0,
        }
    }
}

impl From<Upload> for AudioSource {
    fn from(upload: Upload) -> Self {
        match upload {
            Upload::Memory(bytes) => AudioSource::Bytes(bytes),
            Upload::File(path) => AudioSource::TempFile(path),
        }
    }
}

/// Stores an upload chunk by chunk.
pub(crate) struct Spool<'a> {
    /// Name of its parameter.
    name: &'static str,
    limits: &'a Limits,
    reservation: &'a mut Reservation,
    memory: Vec<u8>,
    file: Option<(File, TempPath)>,
    length: u64,
}

impl<'a> Spool<'a> {
    pub(crate) fn new(name: &'static str, limits: &'a Limits, reservation: &'a mut Reservation) -> Self {
        Self { name, limits, reservation, memory: Vec::new(), file: None, length: 0 }
    }

    /// Adds a chunk.
    pub(crate) async fn write(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        self.length += piece.len() as u64;
        if self.length > self.limits.max_upload_bytes {
            return Err(too_large(self.name, self.limits));
        }
        if self.file.is_none() {
            if self.memory.len() + piece.len() <= self.limits.upload_memory_threshold_bytes {
                self.reservation.grow(piece.len() as u64)?;
                self.memory.extend_from_slice(piece);
                return Ok(());
            }
            self.file = Some(temporary_file().await.map_err(disk)?);
        }
        if let Some((file, _)) = &mut self.file {
            file.write_all(&std::mem::take(&mut self.memory)).await.map_err(disk)?;
            file.write_all(piece).await.map_err(disk)?;
        }
        Ok(())
    }

    /// Ends the upload.
    pub(crate) async fn finish(self) -> Result<Upload, ApiError> {
        match self.file {
            None if self.memory.is_empty() => {
                Err(ApiError::invalid(self.name, format!("The audio in {} is empty.", self.name)))
            }
            None => Ok(Upload::Memory(self.memory)),
            Some((mut file, path)) => {
                file.flush().await.map_err(disk)?;
                Ok(Upload::File(path))
            }
        }
    }
}

/// The error of an upload over the limit.
pub(crate) fn too_large(name: &'static str, limits: &Limits) -> ApiError {
    let message = format!(
        "The upload is larger than {} bytes (limit: max_upload_bytes, mynah serve --max-upload-bytes).",
        limits.max_upload_bytes
    );
    ApiError::new(axum::http::StatusCode::PAYLOAD_TOO_LARGE, message).param(name)
}

async fn temporary_file() -> std::io::Result<(File, TempPath)> {
    let file =
        tokio::task::spawn_blocking(|| tempfile::Builder::new().prefix("mynah-upload-").tempfile()).await??;
    let (file, path) = file.into_parts();
    Ok((File::from_std(file), path))
}

/// The disk failed or is full, which is a server error.
fn disk(error: std::io::Error) -> ApiError {
    tracing::error!(%error, folder = %std::env::temp_dir().display(), "cannot write an upload to the temporary folder");
    ApiError::new(
        axum::http::StatusCode::INSUFFICIENT_STORAGE,
        "The server cannot store the upload: its disk is full.",
    )
}

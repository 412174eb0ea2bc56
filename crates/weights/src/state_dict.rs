//! Single files of named tensors: parts of models with several files, and files from users.

use std::path::Path;

use crate::opened::Opened;
use crate::weights::not_a_checkpoint;
use crate::{Error, Tensors, safetensors, torch};

/// Opens a safetensors file or one saved by PyTorch: a dictionary of tensors, or a single tensor, whose name is then
/// empty.
///
/// # Errors
/// [`Error::NotACheckpoint`] for other formats, [`Error::Malformed`] for a damaged file, [`Error::Unsupported`] for one
/// saved on a big-endian machine, [`Error::Io`].
pub fn open_state_dict(path: &Path) -> Result<Tensors, Error> {
    read(path, &Opened::open(path)?)
}

/// [`open_state_dict`] for bytes in memory; `name` is used in errors.
///
/// # Errors
/// As [`open_state_dict`].
pub fn read_state_dict(name: &str, bytes: Vec<u8>) -> Result<Tensors, Error> {
    read(Path::new(name), &Opened::from_bytes(name, bytes))
}

fn read(path: &Path, file: &Opened) -> Result<Tensors, Error> {
    let head = file.head()?;
    if safetensors::is_safetensors(head) {
        safetensors::read(file)
    } else if torch::is_torch(head) {
        Ok(torch::read(file)?.1)
    } else {
        Err(not_a_checkpoint(path, "it is neither a safetensors file nor one saved by PyTorch"))
    }
}

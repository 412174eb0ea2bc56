//! Single files of tensors under the names they have: parts of models that keep several, and what users hand in.

use std::path::Path;

use super::source::{Opened, Tensors};
use super::torch::{self, Naming};
use super::{TensorSource, not_a_checkpoint, safetensors};
use crate::Error;

/// Opens a safetensors file or one that PyTorch saved: a dictionary of tensors, or a lone tensor, which gets the empty
/// name.
pub(crate) fn open_file(path: &Path) -> Result<Box<dyn TensorSource>, Error> {
    open(path, &Opened::open(path)?)
}

/// [`open_file`] for bytes in memory; `name` is what errors call them.
pub(crate) fn open_bytes(name: &str, bytes: Vec<u8>) -> Result<Box<dyn TensorSource>, Error> {
    open(Path::new(name), &Opened::from_bytes(name, bytes))
}

fn open(path: &Path, file: &Opened) -> Result<Box<dyn TensorSource>, Error> {
    let head = file.head()?;
    if safetensors::is_safetensors(head) {
        let mut tensors = Tensors::default();
        safetensors::read(file, &mut tensors, str::to_owned)?;
        Ok(Box::new(tensors))
    } else if torch::is_torch(head) {
        Ok(Box::new(torch::read(file, Naming::Plain)?.1.tensors))
    } else {
        Err(not_a_checkpoint(path, "it begins neither as safetensors nor as a file of PyTorch's"))
    }
}

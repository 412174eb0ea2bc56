//! Writers of weight files in all formats, for tests of readers.

use std::io::Write;

use half::{bf16, f16};
use safetensors::tensor::{Dtype as Stored, TensorView};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Name, shape, numbers.
pub type Tensor = (String, Vec<usize>, Vec<f32>);

/// Storage type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// 32-bit floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// bfloat16.
    Bf16,
    /// CTranslate2's signed bytes, one scale per row. Tensors of one dimension are 32-bit floats.
    Int8,
    /// CTranslate2's 16-bit integers with one scale. Tensors of one dimension are 32-bit floats.
    Int16,
}

/// Numbers as little-endian floats.
fn floats(stored: Numbers, values: &[f32]) -> Vec<u8> {
    match stored {
        Numbers::F16 => values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
        Numbers::Bf16 => values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// A safetensors file of floats.
pub fn safetensors(tensors: &[Tensor], stored: Numbers) -> Vec<u8> {
    let dtype = match stored {
        Numbers::F16 => Stored::F16,
        Numbers::Bf16 => Stored::BF16,
        _ => Stored::F32,
    };
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, _, values)| floats(stored, values)).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (name, TensorView::new(dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// A CTranslate2 file.
pub struct CTranslate2<'a> {
    /// Name of the model's specification.
    pub specification: &'a str,
    /// Version of the format.
    pub version: u32,
    /// Single 16-bit numbers.
    pub numbers: &'a [(&'a str, i16)],
    /// Tensors. All numbers should be multiples of 1/4, so that integers with a scale of 4 are exact.
    pub tensors: &'a [Tensor],
    /// Their storage type.
    pub stored: Numbers,
    /// Aliases: another name for a variable, and its name.
    pub aliases: &'a [(&'a str, &'a str)],
}

impl CTranslate2<'_> {
    /// The file's bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut file = self.version.to_le_bytes().to_vec();
        text(&mut file, self.specification);
        file.extend(3u32.to_le_bytes());
        let quantised =
            |shape: &[usize]| shape.len() > 1 && matches!(self.stored, Numbers::Int8 | Numbers::Int16);
        let scales = self.tensors.iter().filter(|(_, shape, _)| quantised(shape)).count();
        let count = self.tensors.len() + scales + self.numbers.len();
        file.extend((count as u32).to_le_bytes());
        for (name, number) in self.numbers {
            self.variable(&mut file, name, &[], (2, 2), &number.to_le_bytes());
        }
        for (name, shape, values) in self.tensors {
            let integers = || values.iter().map(|value| (value * 4.0) as i16);
            let scale = format!("{name}_scale");
            match self.stored {
                Numbers::Int8 if quantised(shape) => {
                    let bytes: Vec<u8> = integers().map(|value| value as u8).collect();
                    self.variable(&mut file, name, shape, (1, 1), &bytes);
                    let scales = floats(Numbers::F32, &vec![4.0; shape[0]]);
                    self.variable(&mut file, &scale, &shape[..1], (0, 4), &scales);
                }
                Numbers::Int16 if quantised(shape) => {
                    let bytes: Vec<u8> = integers().flat_map(i16::to_le_bytes).collect();
                    self.variable(&mut file, name, shape, (2, 2), &bytes);
                    self.variable(&mut file, &scale, &[], (0, 4), &4f32.to_le_bytes());
                }
                Numbers::F16 => {
                    self.variable(&mut file, name, shape, (4, 2), &floats(Numbers::F16, values));
                }
                Numbers::Bf16 => {
                    self.variable(&mut file, name, shape, (5, 2), &floats(Numbers::Bf16, values));
                }
                _ => self.variable(&mut file, name, shape, (0, 4), &floats(Numbers::F32, values)),
            }
        }
        file.extend((self.aliases.len() as u32).to_le_bytes());
        for (alias, name) in self.aliases {
            text(&mut file, alias);
            text(&mut file, name);
        }
        file
    }

    /// A variable; `kind` is its type from version 4 on, and the size of an item before.
    fn variable(&self, file: &mut Vec<u8>, name: &str, shape: &[usize], kind: (u8, u8), bytes: &[u8]) {
        text(file, name);
        file.push(shape.len() as u8);
        u32s(file, shape);
        if self.version >= 4 {
            file.push(kind.0);
            u32s(file, &[bytes.len()]);
        } else {
            file.push(kind.1);
            u32s(file, &[bytes.len() / usize::from(kind.1)]);
        }
        file.extend(bytes);
    }
}

/// CTranslate2's string: a length that includes the final NUL.
fn text(file: &mut Vec<u8>, text: &str) {
    file.extend((text.len() as u16 + 1).to_le_bytes());
    file.extend(text.as_bytes());
    file.push(0);
}

fn u32s(file: &mut Vec<u8>, numbers: &[usize]) {
    file.extend(numbers.iter().flat_map(|&number| (number as u32).to_le_bytes()));
}

/// A ggml file as whisper.cpp writes it: its eleven numbers, empty mel filters of this shape, its tokens, and tensors, which
/// are f16 where `half` says so and f32 elsewhere.
pub fn ggml(
    numbers: [usize; 11],
    mel_filters: [usize; 2],
    tokens: &[&[u8]],
    tensors: &[Tensor],
    half: impl Fn(&Tensor) -> bool,
) -> Vec<u8> {
    let mut file = 0x6767_6d6c_u32.to_le_bytes().to_vec();
    u32s(&mut file, &numbers);
    u32s(&mut file, &mel_filters);
    file.extend(vec![0; 4 * mel_filters[0] * mel_filters[1]]);
    u32s(&mut file, &[tokens.len()]);
    for token in tokens {
        u32s(&mut file, &[token.len()]);
        file.extend(*token);
    }
    for tensor in tensors {
        let (name, shape, values) = tensor;
        let half = half(tensor);
        let shape: Vec<usize> = shape.iter().copied().rev().collect();
        u32s(&mut file, &[shape.len(), name.len(), usize::from(half)]);
        u32s(&mut file, &shape);
        file.extend(name.as_bytes());
        file.extend(floats(if half { Numbers::F16 } else { Numbers::F32 }, values));
    }
    file
}

/// A PyTorch file of a state dict of f16 tensors.
pub fn torch(tensors: &[Tensor]) -> Vec<u8> {
    let mut pickle = vec![0x80, 2];
    pickle_state_dict(&mut pickle, tensors);
    pickle.push(b'.');
    archive_of(&pickle, tensors)
}

/// A PyTorch file of a dictionary with `dims`, named integers below 256, and `model_state_dict`, f16 tensors.
pub fn torch_with_dims(dims: &[(&str, u8)], tensors: &[Tensor]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    pickle_text(&mut pickle, "dims");
    pickle.extend(b"}(");
    for &(name, number) in dims {
        pickle_text(&mut pickle, name);
        pickle.extend([b'K', number]);
    }
    pickle.push(b'u');
    pickle_text(&mut pickle, "model_state_dict");
    pickle_state_dict(&mut pickle, tensors);
    pickle.extend(b"u.");
    archive_of(&pickle, tensors)
}

fn pickle_text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    u32s(pickle, &[text.len()]);
    pickle.extend(text.as_bytes());
}

/// An ordered dictionary of f16 tensors, each with its own storage, whose key is the tensor's index.
fn pickle_state_dict(pickle: &mut Vec<u8>, tensors: &[Tensor]) {
    let int = |pickle: &mut Vec<u8>, number: usize| {
        pickle.push(b'J');
        u32s(pickle, &[number]);
    };
    pickle.extend(b"ccollections\nOrderedDict\n)R(");
    for (number, (name, shape, values)) in tensors.iter().enumerate() {
        pickle_text(pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle_text(pickle, "storage");
        pickle.extend(b"ctorch\nHalfStorage\n");
        pickle_text(pickle, &number.to_string());
        pickle_text(pickle, "cpu");
        int(pickle, values.len());
        pickle.extend(b"tQK\x00(");
        shape.iter().for_each(|&size| int(pickle, size));
        pickle.extend(b"t(");
        (0..shape.len()).for_each(|axis| int(pickle, shape[axis + 1..].iter().product()));
        pickle.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.push(b'u');
}

fn archive_of(pickle: &[u8], tensors: &[Tensor]) -> Vec<u8> {
    let storages = tensors.iter().enumerate();
    let storages =
        storages.map(|(number, (_, _, values))| (number.to_string(), floats(Numbers::F16, values)));
    torch_archive(pickle, storages.collect(), false)
}

/// A zip archive with a pickle and storages by key. PyTorch's are never `compressed`.
pub fn torch_archive(pickle: &[u8], storages: Vec<(String, Vec<u8>)>, compressed: bool) -> Vec<u8> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let method = if compressed { CompressionMethod::Deflated } else { CompressionMethod::Stored };
    let options = SimpleFileOptions::default().compression_method(method);
    let entries = storages.into_iter().map(|(key, bytes)| (format!("archive/data/{key}"), bytes));
    for (name, bytes) in [("archive/data.pkl".to_owned(), pickle.to_vec())].into_iter().chain(entries) {
        archive.start_file(name, options).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

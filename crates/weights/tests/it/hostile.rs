//! Files that are damaged, inconsistent, or modified while they are read.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::LazyLock;

use mynah_testkit::weight_files::{Numbers, safetensors, torch, torch_archive, torch_with_dims};
use mynah_weights::{Error, Weights};
use proptest::prelude::*;

use crate::formats::{ctranslate2, folder, ggml_file, tensors};

/// Why a folder with these files is refused.
fn refusal(files: &[(&str, &[u8])]) -> String {
    match Weights::open(folder(files).path()) {
        Ok(weights) => panic!("{:?} was accepted", weights.metadata),
        Err(error) => error.to_string(),
    }
}

#[test]
fn files_that_are_not_checkpoints_are_refused() {
    assert!(refusal(&[]).contains("the folder has no model.bin"));
    assert!(refusal(&[("a.bin", b""), ("b.pt", b"")]).contains("several files"));
    assert!(refusal(&[("model.bin", b"")]).contains("has none of the formats"));
    assert!(refusal(&[("model.safetensors", b"MZ\x90\0not one")]).contains("has none of the formats"));
    assert!(matches!(Weights::open(Path::new("/nonexistent/model")), Err(Error::Io { .. })));
}

#[test]
fn a_truncated_file_is_an_error_and_a_replaced_one_can_still_be_read() {
    let weights = safetensors(&tensors(), Numbers::F32);
    let folder = folder(&[("model.safetensors", &weights)]);
    let path = folder.path().join("model.safetensors");
    let read = |weights: &Weights| weights.tensors.read_f32("layer/weight");
    let opened = Weights::open(folder.path()).unwrap();
    let before = read(&opened).unwrap();
    std::fs::write(folder.path().join("new"), b"something else").unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    assert_eq!(read(&opened).unwrap(), before, "the old file is whole");

    std::fs::write(&path, &weights).unwrap();
    let opened = Weights::open(folder.path()).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
    let error = read(&opened).unwrap_err().to_string();
    assert!(error.contains("model.safetensors") && error.contains("modified while it was read"), "{error}");
}

#[test]
fn inconsistent_archives_are_refused() {
    let refused = |pickle: &[u8], storages: &[(&str, &[u8])]| {
        let storages = storages.iter().map(|(key, bytes)| ((*key).to_owned(), bytes.to_vec())).collect();
        refusal(&[("pytorch_model.bin", &torch_archive(pickle, storages, false))])
    };
    // One f16 tensor of four numbers from element `offset` on.
    let tensor = |offset: u8, key: u8| {
        let mut pickle = b"\x80\x02}U\x18model.encoder.conv1.bias".to_vec();
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nHalfStorage\nU\x01");
        pickle.extend([key]);
        pickle.extend(b"U\x03cpuK\x04tQK");
        pickle.extend([offset]);
        pickle.extend(b"K\x04\x85K\x01\x85\x89NtRs.");
        pickle
    };
    assert!(
        refused(&tensor(1, b'0'), &[("0", &[0; 8])])
            .contains("elements 1 to 1 + 4 are outside its storage of 8 bytes")
    );
    assert!(refused(&tensor(0, b'0'), &[("0", &[0; 6])]).contains("outside its storage"));
    assert!(refused(&tensor(0, b'1'), &[("0", &[0; 8])]).contains(r#"no storage "1""#));
    assert!(refused(b"\x80\x02K\x01.", &[]).contains("no dictionary of tensors"));
    let deflated = torch_archive(&tensor(0, b'0'), vec![("0".into(), vec![0; 8])], true);
    assert!(refusal(&[("pytorch_model.bin", &deflated)]).contains("is compressed"));
}

/// One dictionary under many names must not take more time than its size in the file.
#[test]
fn numbers_beside_a_state_dict_are_bounded() {
    let count = 40_000;
    let mut pickle = b"\x80\x02}(U\x01a}q\x00(".to_vec();
    for number in 0..count {
        pickle.extend(b"J");
        pickle.extend((number as u32).to_le_bytes());
        pickle.extend(b"K\x01");
    }
    pickle.push(b'u');
    for number in 0..count {
        pickle.extend(b"U\x05");
        pickle.extend(format!("{number:05}").bytes());
        pickle.extend(b"h\x00");
    }
    pickle.extend(b"U\x10model_state_dict}u.");
    let folder = folder(&[("any.pt", &torch_archive(&pickle, vec![], false))]);
    assert_eq!(Weights::open(folder.path()).unwrap().tensors.names().count(), 0);
}

/// Files that open must also be readable without a panic.
fn try_all(path: &Path) {
    if let Ok(weights) = Weights::open(path) {
        for name in weights.tensors.names() {
            let _ = weights.tensors.read_f32(name);
        }
    }
}

/// A file of each format, with its name.
static SAMPLES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let tensors = tensors();
    vec![
        ("model.safetensors", safetensors(&tensors, Numbers::F16)),
        ("model.bin", ctranslate2(&tensors, Numbers::Int8, 6)),
        ("ggml.bin", ggml_file(&tensors)),
        ("pytorch_model.bin", torch(&tensors)),
        ("any.pt", torch_with_dims(&[("heads", 1)], &tensors)),
    ]
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Bytes changed near the head (and, for archives, the tail), where the structure is.
    #[test]
    fn damaged_files_do_no_harm(changes in prop::collection::vec((0usize..6000, any::<u8>(), any::<bool>()), 1..6)) {
        for (name, bytes) in SAMPLES.iter() {
            let mut bytes = bytes.clone();
            let end = bytes.len() - 1;
            for &(at, value, from_end) in &changes {
                let at = at % bytes.len();
                bytes[if from_end { end - at } else { at }] = value;
            }
            let folder = folder(&[(*name, &bytes)]);
            try_all(folder.path());
        }
    }
}

#[test]
fn truncated_files_are_refused() {
    for (name, bytes) in SAMPLES.iter() {
        for length in 0..bytes.len() {
            // ggml's table has no end marker: it may end after any tensor.
            if *name != "ggml.bin" || length < 100 {
                refusal(&[(*name, &bytes[..length])]);
            } else {
                try_all(folder(&[(*name, &bytes[..length])]).path());
            }
        }
    }
}

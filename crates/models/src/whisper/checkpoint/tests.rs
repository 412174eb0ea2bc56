pub(crate) mod files;

use std::path::Path;
use std::sync::LazyLock;

use files::{Tensor, Weights, config, ctranslate2, ggml, model, safetensors, torch, torch_archive};
use proptest::prelude::*;
use tempfile::TempDir;
use zip::CompressionMethod;

use super::*;

/// Names and contents of files.
type Files = Vec<(String, Vec<u8>)>;

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn open(files: &[(&str, &[u8])]) -> Result<Checkpoint, Error> {
    Checkpoint::open(folder(files).path())
}

/// Why a folder with these files is refused.
fn refusal(files: &[(&str, &[u8])]) -> String {
    match open(files) {
        Ok(checkpoint) => panic!("{:?} was accepted", checkpoint.format),
        Err(error) => error.to_string(),
    }
}

/// A committed file that PyTorch wrote, read on its own: it is no whole model.
fn torch_sample(name: &str) -> Result<(Format, Contents), Error> {
    read_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/tests/data/torch").join(name))
}

fn without(name: &str) -> Vec<Tensor> {
    model().into_iter().filter(|(found, ..)| found != name).collect()
}

#[test]
fn every_format_gives_the_same_tensors() {
    let tensors = model();
    let (first, second) = tensors.split_at(tensors.len() / 2);
    let shards = [safetensors(first, Dtype::F32), safetensors(second, Dtype::F32)];
    let torch_shards = [torch(first, false), torch(second, false)];
    let index = |suffix: &str| {
        let place = |(at, (name, ..)): (usize, &Tensor)| {
            (name.clone(), format!("{}.{suffix}", at / first.len().max(1)).into())
        };
        let map: serde_json::Map<String, serde_json::Value> = tensors.iter().enumerate().map(place).collect();
        serde_json::json!({"metadata": {}, "weight_map": map}).to_string()
    };
    let mut cases: Vec<(Format, Files)> = Vec::new();
    let mut add = |format, name: &str, bytes| cases.push((format, vec![(name.into(), bytes)]));
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        add(Format::Safetensors, "model.safetensors", safetensors(&tensors, dtype));
        add(Format::CTranslate2, "model.bin", ctranslate2(&tensors, Weights::Float(dtype), 6));
    }
    add(Format::CTranslate2, "model.bin", ctranslate2(&tensors, Weights::Int8, 6));
    add(Format::CTranslate2, "model.bin", ctranslate2(&tensors, Weights::Int16, 5));
    add(Format::CTranslate2, "model.bin", ctranslate2(&tensors, Weights::Int8, 3));
    add(Format::Ggml, "ggml-tiny.bin", ggml(&tensors, false));
    add(Format::Ggml, "ggml-tiny.bin", ggml(&tensors, true));
    add(Format::PytorchBin, "pytorch_model.bin", torch(&tensors, false));
    add(Format::OpenaiPt, "tiny.pt", torch(&tensors, true));
    for (format, name, suffix, shards) in [
        (Format::Safetensors, "model.safetensors.index.json", "safetensors", shards),
        (Format::PytorchBin, "pytorch_model.bin.index.json", "bin", torch_shards),
    ] {
        let files = shards.into_iter().enumerate().map(|(at, bytes)| (format!("{at}.{suffix}"), bytes));
        cases.push((format, files.chain([(name.to_owned(), index(suffix).into_bytes())]).collect()));
    }

    let mut names: Vec<&str> = tensors.iter().map(|(name, ..)| name.as_str()).collect();
    names.sort_unstable();
    for (format, files) in &cases {
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let what = format!("{format:?} {}", files[0].0);
        let checkpoint = open(&files).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(checkpoint.format, *format, "{what}");
        assert_eq!(checkpoint.tensors.names(), names, "{what}");
        for (name, shape, values) in &tensors {
            assert_eq!(checkpoint.tensors.shape(name).as_ref(), Some(shape), "{what} {name}");
            assert_eq!(checkpoint.tensors.read_f32(name).unwrap(), *values, "{what} {name}");
        }
        let sizes =
            Config { suppress_tokens: vec![], begin_suppress_tokens: vec![], ..checkpoint.config.clone() };
        assert_eq!(sizes, config(), "{what}");
        assert_eq!(checkpoint.config.begin_suppress_tokens, [220, 50256], "{what}");
        assert_eq!(checkpoint.config.suppress_tokens.len(), 84 + 6, "{what}");
    }
}

#[test]
fn a_file_that_is_cut_short_while_it_is_read_is_an_error_and_a_replaced_one_is_read_on() {
    let weights = safetensors(&model(), Dtype::F32);
    let name = "model.decoder.embed_tokens.weight";
    let folder = folder(&[("model.safetensors", &weights)]);
    let path = folder.path().join("model.safetensors");
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let before = checkpoint.tensors.read_f32(name).unwrap();
    std::fs::write(folder.path().join("new"), b"something else").unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    assert_eq!(checkpoint.tensors.read_f32(name).unwrap(), before, "the old file is whole");

    std::fs::write(&path, &weights).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let error = checkpoint.tensors.read_f32(name).unwrap_err().to_string();
    assert!(error.contains("model.safetensors") && error.contains("written to while it was read"), "{error}");
}

#[test]
fn a_file_that_is_cut_short_while_its_table_is_read_is_an_error() {
    let folder = folder(&[("model.bin", &ctranslate2(&model(), Weights::Float(Dtype::F16), 6))]);
    let path = folder.path().join("model.bin");
    let file = Opened::open(&path).unwrap();
    file.head().unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1000).unwrap();
    for error in [file.part(2000..2010).unwrap_err(), file.part(500..510).unwrap_err()] {
        assert!(error.to_string().contains("written to while it was read"), "{error}");
    }
    assert!(file.part(10..usize::MAX).unwrap_err().to_string().contains("lie outside"));
}

#[test]
fn a_table_of_contents_is_bounded() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(200 << 20).unwrap();
    let file = Opened::open(file.path()).unwrap();
    file.part(0..40 << 20).unwrap();
    let error = file.part(0..40 << 20).unwrap_err().to_string();
    assert!(error.contains("table of contents"), "{error}");
}

#[test]
fn stored_numbers_are_given_as_they_are() {
    let tensors = model();
    let checkpoint = open(&[("model.safetensors", &safetensors(&tensors, Dtype::F16))]).unwrap();
    let name = "model.encoder.conv1.bias";
    let (dtype, bytes) = checkpoint.tensors.raw(name).unwrap().unwrap();
    assert_eq!((dtype, checkpoint.tensors.dtype(name)), (Dtype::F16, Some(Dtype::F16)));
    assert_eq!(source::floats(dtype, &bytes), checkpoint.tensors.read_f32(name).unwrap());

    let checkpoint = open(&[("model.bin", &ctranslate2(&tensors, Weights::Int8, 6))]).unwrap();
    let name = "model.decoder.embed_tokens.weight";
    assert_eq!(
        (checkpoint.tensors.raw(name).unwrap(), checkpoint.tensors.dtype(name)),
        (None, Some(Dtype::F32))
    );
    assert!(
        checkpoint
            .tensors
            .read_f32("model.decoder.nothing")
            .unwrap_err()
            .to_string()
            .contains("no such tensor")
    );
}

#[test]
fn an_output_projection_counts_only_if_it_differs_from_the_embedding() {
    let mut tensors = model();
    let embedding = tensors.iter().find(|(name, ..)| name.ends_with("embed_tokens.weight")).unwrap().clone();
    tensors.push(("proj_out.weight".into(), embedding.1, embedding.2));
    let names = |tensors: &[Tensor]| {
        open(&[("model.safetensors", &safetensors(tensors, Dtype::F32))]).unwrap().tensors.names()
    };
    assert!(!names(&tensors).contains(&"proj_out.weight".to_owned()));
    tensors.last_mut().unwrap().2[7] += 1.0;
    assert!(names(&tensors).contains(&"proj_out.weight".to_owned()));
}

#[test]
fn encoder_positions_that_are_not_stored_are_sinusoids() {
    const NAME: &str = "model.encoder.embed_positions.weight";
    let checkpoint = open(&[("model.safetensors", &safetensors(&without(NAME), Dtype::F32))]).unwrap();
    assert_eq!(checkpoint.config.audio_positions, 1500);
    let values = checkpoint.tensors.read_f32(NAME).unwrap();
    assert_eq!(values[..4], [0.0, 1.0, 1f32.sin(), 1f32.cos()]);
    // Of eight channels, the last wavelength is 10000 times the first.
    let values = sinusoids(11, 8);
    assert_eq!(values[8 * 10 + 3], (10.0 / 10_000f64).sin() as f32);
    assert_eq!(values[8 * 10 + 7], (10.0 / 10_000f64).cos() as f32);
}

#[test]
fn files_that_pytorch_wrote_are_read() {
    for (name, format) in [("zip.pt", Format::PytorchBin), ("legacy.pt", Format::PytorchBin)] {
        let (found, Contents { tensors, .. }) = torch_sample(name).unwrap();
        assert_eq!(found, format);
        let read = |name| tensors.read_f32(name).unwrap();
        let tokens = [0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875];
        assert_eq!(tensors.shape("proj_out.weight"), Some(vec![4, 2]), "{name}");
        assert_eq!(read("model.decoder.embed_tokens.weight"), tokens, "{name}");
        assert_eq!(read("model.decoder.layer_norm.bias"), [0.625, 0.75], "{name}");
        assert_eq!(read("model.encoder.conv1.bias"), [1.5, -2.5], "{name}");
        assert_eq!(read("model.encoder.conv2.bias"), [3.0, -0.25], "{name}");
        assert_eq!(tensors.dtype("model.encoder.conv2.bias"), Some(Dtype::Bf16), "{name}");
        assert!(tensors.read_f32("step").unwrap_err().to_string().contains("Long"), "{name}");
    }
    let (format, contents) = torch_sample("openai.pt").unwrap();
    assert_eq!(
        (format, contents.encoder_heads, contents.decoder_heads),
        (Format::OpenaiPt, Some(6), Some(8))
    );
    let names = ["model.decoder.embed_tokens.weight", "model.encoder.layers.0.self_attn.q_proj.bias"];
    assert_eq!(contents.tensors.names(), names);

    let reason = |name| torch_sample(name).err().unwrap().to_string();
    assert!(reason("transposed.pt").contains("not row-major"));
    assert!(
        reason("object.pt")
            .contains(r#""posix" "getcwd", which no tensor checkpoint needs; it was not looked up"#)
    );
}

#[test]
fn side_files_fill_the_lists_and_the_vocabulary() {
    let weights = safetensors(&model(), Dtype::F16);
    let generation =
        br#"{"suppress_tokens": [-1, 7, 60000], "begin_suppress_tokens": null, "alignment_heads": [[1, 0]]}"#;
    let settings =
        br#"{"model_type": "whisper", "begin_suppress_tokens": [220, 5], "d_model": 2, "unknown": {}}"#;
    let files: [(&str, &[u8]); 3] =
        [("model.safetensors", &weights), ("generation_config.json", generation), ("config.json", settings)];
    let config = open(&files).unwrap().config;
    // The file's token and those that only prompts hold.
    assert_eq!(config.suppress_tokens, [7, 50257, 50357, 50358, 50359, 50360, 50361]);
    assert_eq!(config.begin_suppress_tokens, [220, 5]);
    assert_eq!(config.alignment_heads, [(1, 0)]);

    // A list of heads that the model does not have, as distilled models carry.
    let heads = br#"{"alignment_heads": [[1, 0], [7, 0]]}"#;
    let config = open(&[("model.safetensors", &weights), ("generation_config.json", heads)]).unwrap().config;
    assert_eq!(config.alignment_heads, []);
}

#[test]
fn contradictions_and_gaps_are_told_with_their_place() {
    let whole = model();
    let weights = safetensors(&whole, Dtype::F16);
    let with_settings =
        |settings: &str| refusal(&[("model.safetensors", &weights), ("config.json", settings.as_bytes())]);
    assert!(with_settings(r#"{"d_model": 512}"#).contains("config.json says d_model 512, the tensors say 2"));
    assert!(with_settings(r#"{"model_type": "bert"}"#).contains("not a checkpoint"));
    assert!(with_settings(r#"{"activation_function": "relu"}"#).contains("gelu"));
    assert!(
        with_settings(r#"{"encoder_attention_heads": 3}"#)
            .contains("3 encoder heads do not divide the width 2")
    );
    assert!(with_settings(r#"{"encoder_attention_heads": 0}"#).contains("0 encoder heads"));
    assert!(with_settings("{").contains("config.json is damaged"));

    let name = "model.decoder.layers.1.encoder_attn.v_proj.weight";
    let reason = refusal(&[("model.safetensors", &safetensors(&without(name), Dtype::F16))]);
    assert_eq!(reason, format!("tensor {name}: the checkpoint has no such tensor"));
    let mut wrong = whole.clone();
    wrong.iter_mut().find(|(found, ..)| found == name).unwrap().1 = vec![4, 1];
    let reason = refusal(&[("model.safetensors", &safetensors(&wrong, Dtype::F16))]);
    assert_eq!(reason, format!("tensor {name}: its shape is [4, 1] and should be [2, 2]"));

    let vocabulary = serde_json::json!(["a", "b"]).to_string();
    let reason = refusal(&[("model.safetensors", &weights), ("vocabulary.json", vocabulary.as_bytes())]);
    assert!(reason.contains("vocabulary.json is damaged"), "{reason}");
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    assert!(refusal(&[]).contains("the folder has no model.bin"));
    assert!(refusal(&[("a.bin", b""), ("b.pt", b"")]).contains("several files"));
    assert!(refusal(&[("model.bin", b"")]).contains("begins like none of the formats"));
    assert!(
        refusal(&[("model.safetensors", b"MZ\x90\0not one")]).contains("begins like none of the formats")
    );
    assert!(matches!(Checkpoint::open(Path::new("/nonexistent/model")), Err(Error::Io { .. })));
    let index = br#"{"weight_map": {"model.encoder.conv1.bias": "../model.safetensors"}}"#;
    assert!(refusal(&[("model.safetensors.index.json", index)]).contains("no plain file name"));
    let index = br#"{"weight_map": {}}"#;
    assert!(refusal(&[("model.safetensors.index.json", index)]).contains("lists no shard"));
}

#[test]
fn archives_that_lie_are_refused() {
    let refused = |pickle: &[u8], storages: &[(&str, &[u8])]| {
        let storages = storages.iter().map(|(key, bytes)| ((*key).to_owned(), bytes.to_vec())).collect();
        refusal(&[("pytorch_model.bin", &torch_archive(pickle, storages, CompressionMethod::Stored))])
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
            .contains("elements 1 to 1 + 4 lie outside its storage of 8 bytes")
    );
    assert!(refused(&tensor(0, b'0'), &[("0", &[0; 6])]).contains("outside its storage"));
    assert!(refused(&tensor(0, b'1'), &[("0", &[0; 8])]).contains(r#"no storage "1""#));
    assert!(refused(b"\x80\x02K\x01.", &[]).contains("no dictionary of tensors"));
    let deflated =
        torch_archive(&tensor(0, b'0'), vec![("0".into(), vec![0; 8])], CompressionMethod::Deflated);
    assert!(refusal(&[("pytorch_model.bin", &deflated)]).contains("is compressed"));
}

/// What opens must also be read without a panic.
fn try_all(path: &Path) {
    if let Ok(checkpoint) = Checkpoint::open(path) {
        for name in checkpoint.tensors.names() {
            let _ = checkpoint.tensors.read_f32(&name);
        }
    }
}

/// A file of each format, with its name.
static SAMPLES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let tensors = model();
    vec![
        ("model.safetensors", safetensors(&tensors, Dtype::F16)),
        ("model.bin", ctranslate2(&tensors, Weights::Int8, 6)),
        ("ggml.bin", ggml(&tensors, true)),
        ("pytorch_model.bin", torch(&tensors, false)),
        ("tiny.pt", torch(&tensors, true)),
    ]
});

#[test]
fn files_cut_short_are_refused() {
    for (name, bytes) in SAMPLES.iter() {
        for part in (0..40).map(|part| bytes.len() * part / 40).chain([1, 4, 8, 9, 20, 100, bytes.len() - 1])
        {
            refusal(&[(*name, &bytes[..part])]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Bytes changed near the head (and, for archives, the tail), where the structure is.
    #[test]
    fn damaged_files_do_no_harm(changes in prop::collection::vec((0usize..6000, any::<u8>(), any::<bool>()), 1..6)) {
        for (name, bytes) in SAMPLES.iter() {
            let mut bytes = bytes.clone();
            let end = bytes.len() - 1;
            for &(at, value, from_end) in &changes {
                let at = at.min(end);
                bytes[if from_end { end - at } else { at }] = value;
            }
            let folder = folder(&[(*name, &bytes)]);
            try_all(folder.path());
        }
    }
}

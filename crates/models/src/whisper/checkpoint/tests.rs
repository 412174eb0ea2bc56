mod files;

use std::path::Path;
use std::sync::LazyLock;

use mynah_testkit::weight_files::{Numbers, Tensor, safetensors, torch};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

use files::{config, ctranslate2, ggml, model, openai_pt};

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

fn open(files: &[(&str, &[u8])]) -> Result<Checkpoint, ModelError> {
    Checkpoint::open(folder(files).path())
}

/// Why a folder with these files is refused.
fn refusal(files: &[(&str, &[u8])]) -> String {
    match open(files) {
        Ok(checkpoint) => panic!("{:?} was accepted", checkpoint.format),
        Err(error) => error.to_string(),
    }
}

fn without(name: &str) -> Vec<Tensor> {
    model().into_iter().filter(|(found, ..)| found != name).collect()
}

#[test]
fn every_format_gives_the_same_tensors() {
    let tensors = model();
    let (first, second) = tensors.split_at(tensors.len() / 2);
    let shards = [safetensors(first, Numbers::F32), safetensors(second, Numbers::F32)];
    let torch_shards = [torch(first), torch(second)];
    let index = |suffix: &str| {
        let place = |(at, (name, ..)): (usize, &Tensor)| {
            (name.clone(), format!("{}.{suffix}", at / first.len().max(1)).into())
        };
        let map: serde_json::Map<String, serde_json::Value> = tensors.iter().enumerate().map(place).collect();
        serde_json::json!({"metadata": {}, "weight_map": map}).to_string()
    };
    let mut cases: Vec<(Format, Files)> = Vec::new();
    let mut add = |format, name: &str, bytes| cases.push((format, vec![(name.into(), bytes)]));
    for stored in [Numbers::F32, Numbers::F16, Numbers::Bf16] {
        add(Format::Safetensors, "model.safetensors", safetensors(&tensors, stored));
        add(Format::CTranslate2, "model.bin", ctranslate2(&tensors, stored, 6));
    }
    add(Format::CTranslate2, "model.bin", ctranslate2(&tensors, Numbers::Int8, 6));
    add(Format::CTranslate2, "model.bin", ctranslate2(&tensors, Numbers::Int16, 5));
    add(Format::CTranslate2, "model.bin", ctranslate2(&tensors, Numbers::Int8, 3));
    add(Format::Ggml, "ggml-tiny.bin", ggml(&tensors, false));
    add(Format::Ggml, "ggml-tiny.bin", ggml(&tensors, true));
    add(Format::PytorchBin, "pytorch_model.bin", torch(&tensors));
    add(Format::OpenaiPt, "tiny.pt", openai_pt(&tensors));
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
        assert!(checkpoint.tensors.names().eq(names.iter().copied()), "{what}");
        for (name, shape, values) in &tensors {
            assert_eq!(checkpoint.tensors.shape(name), Some(shape.as_slice()), "{what} {name}");
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
fn an_output_projection_counts_only_if_it_differs_from_the_embedding() {
    let mut tensors = model();
    let embedding = tensors.iter().find(|(name, ..)| name.ends_with("embed_tokens.weight")).unwrap().clone();
    tensors.push(("proj_out.weight".into(), embedding.1, embedding.2));
    let has_projection = |tensors: &[Tensor]| {
        let checkpoint = open(&[("model.safetensors", &safetensors(tensors, Numbers::F32))]).unwrap();
        checkpoint.tensors.shape("proj_out.weight").is_some()
    };
    assert!(!has_projection(&tensors));
    tensors.last_mut().unwrap().2[7] += 1.0;
    assert!(has_projection(&tensors));
}

#[test]
fn encoder_positions_that_are_not_stored_are_sinusoids() {
    const NAME: &str = "model.encoder.embed_positions.weight";
    let checkpoint = open(&[("model.safetensors", &safetensors(&without(NAME), Numbers::F32))]).unwrap();
    assert_eq!(checkpoint.config.audio_positions, 1500);
    let values = checkpoint.tensors.read_f32(NAME).unwrap();
    assert_eq!(values[..4], [0.0, 1.0, 1f32.sin(), 1f32.cos()]);
}

#[test]
fn other_pytorch_files_are_refused() {
    let sample = |name: &str| {
        Weights::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/tests/data/torch").join(name))
    };
    let contents = formats::read(sample("openai.pt").unwrap()).unwrap();
    assert_eq!(
        (contents.format, contents.encoder_heads, contents.decoder_heads),
        (Format::OpenaiPt, Some(6), Some(8))
    );
    let names = ["model.decoder.embed_tokens.weight", "model.encoder.layers.0.self_attn.q_proj.bias"];
    assert!(contents.tensors.names().eq(names));
    let error = formats::read(sample("lone.pt").unwrap()).err().unwrap().to_string();
    assert!(error.ends_with("lone.pt is damaged: it has no dictionary of tensors"), "{error}");
}

#[test]
fn side_files_give_the_lists_and_the_vocabulary() {
    let weights = safetensors(&model(), Numbers::F16);
    let generation =
        br#"{"suppress_tokens": [-1, 7, 60000], "begin_suppress_tokens": null, "alignment_heads": [[1, 0]]}"#;
    let settings =
        br#"{"model_type": "whisper", "begin_suppress_tokens": [220, 5], "d_model": 2, "unknown": {}}"#;
    let files: [(&str, &[u8]); 3] =
        [("model.safetensors", &weights), ("generation_config.json", generation), ("config.json", settings)];
    let config = open(&files).unwrap().config;
    // The file's token and those that occur only in prompts.
    assert_eq!(config.suppress_tokens, [7, 50257, 50357, 50358, 50359, 50360, 50361]);
    assert_eq!(config.begin_suppress_tokens, [220, 5]);
    assert_eq!(config.alignment_heads, [(1, 0)]);

    // A list of heads that the model does not have, as in some distilled models.
    let heads = br#"{"alignment_heads": [[1, 0], [7, 0]]}"#;
    let config = open(&[("model.safetensors", &weights), ("generation_config.json", heads)]).unwrap().config;
    assert_eq!(config.alignment_heads, []);
}

#[test]
fn contradictions_and_missing_tensors_are_named_in_errors() {
    let whole = model();
    let weights = safetensors(&whole, Numbers::F16);
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
    let reason = refusal(&[("model.safetensors", &safetensors(&without(name), Numbers::F16))]);
    assert_eq!(reason, format!("tensor {name}: the checkpoint has no such tensor"));
    let mut wrong = whole.clone();
    wrong.iter_mut().find(|(found, ..)| found == name).unwrap().1 = vec![4, 1];
    let reason = refusal(&[("model.safetensors", &safetensors(&wrong, Numbers::F16))]);
    assert_eq!(reason, format!("tensor {name}: its shape is [4, 1] and should be [2, 2]"));

    let vocabulary = serde_json::json!(["a", "b"]).to_string();
    let reason = refusal(&[("model.safetensors", &weights), ("vocabulary.json", vocabulary.as_bytes())]);
    assert!(reason.contains("vocabulary.json is damaged"), "{reason}");
}

#[test]
fn files_that_are_not_checkpoints_are_refused() {
    assert!(refusal(&[]).contains("the folder has no model.bin"));
    assert!(refusal(&[("model.bin", b"")]).contains("has none of the formats"));
    let error = Checkpoint::open(Path::new("/nonexistent/model")).err().unwrap();
    assert!(
        matches!(&error, ModelError::Weights(reason) if reason.starts_with("cannot read /nonexistent/model"))
    );
    let other = ctranslate2(&model(), Numbers::F16, 6);
    let at = other.windows(7).position(|bytes| bytes == b"Whisper").unwrap();
    let other = [&other[..at], b"Chinook", &other[at + 7..]].concat();
    assert!(refusal(&[("model.bin", &other)]).contains("model of kind ChinookSpec, not WhisperSpec"));
}

#[test]
fn fused_projections_have_equal_parts() {
    let mut tensors = model();
    let name = "model.decoder.layers.1.encoder_attn.k_proj.weight";
    let wrong = tensors.iter_mut().find(|(found, ..)| found == name).unwrap();
    (wrong.1, wrong.2) = (vec![1, 2], vec![0.0; 2]);
    let reason = refusal(&[("model.bin", &ctranslate2(&tensors, Numbers::F16, 6))]);
    let expected = "decoder/layer_1/attention/linear_1/weight has 3 rows for 2 projections";
    assert!(reason.contains(expected), "{reason}");
}

/// Files that open must also be readable without a panic.
fn try_all(path: &Path) {
    if let Ok(checkpoint) = Checkpoint::open(path) {
        for name in checkpoint.tensors.names() {
            let _ = checkpoint.tensors.read_f32(name);
        }
    }
}

/// A file of each format, with its name.
static SAMPLES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let tensors = model();
    vec![
        ("model.safetensors", safetensors(&tensors, Numbers::F16)),
        ("model.bin", ctranslate2(&tensors, Numbers::Int8, 6)),
        ("ggml.bin", ggml(&tensors, true)),
        ("pytorch_model.bin", torch(&tensors)),
        ("tiny.pt", openai_pt(&tensors)),
    ]
});

#[test]
fn a_checkpoint_is_whisper_unless_its_configuration_names_another_model() {
    let is_whisper = |path: &Path| is_at(path).unwrap();
    let with_config = |name: &str, bytes: &[u8], config: &str| {
        let folder = folder(&[(name, bytes), ("config.json", config.as_bytes())]);
        (is_whisper(folder.path()), is_whisper(&folder.path().join(name)))
    };
    for (name, bytes) in SAMPLES.iter() {
        let alone = folder(&[(*name, bytes)]);
        assert!(is_whisper(alone.path()) && is_whisper(&alone.path().join(name)), "{name}");
        for config in [r#"{"model_type": "whisper"}"#, r#"{"lang_ids": []}"#, "{"] {
            assert_eq!(with_config(name, bytes, config), (true, true), "{name} {config}");
        }
        // These files are self-contained.
        let is_whole = matches!(*name, "ggml.bin" | "tiny.pt");
        assert_eq!(with_config(name, bytes, r#"{"model_type": "qwen3_asr"}"#), (false, is_whole), "{name}");
    }
    // Files are detected by their first bytes, whatever their name.
    let (name, bytes) = &SAMPLES[2];
    let renamed = folder(&[("weights", bytes)]);
    assert!(is_whisper(&renamed.path().join("weights")), "{name}");
    let other = folder(&[("notes.txt", b"text"), ("config.json", br#"{"model_type": "whisper"}"#)]);
    for path in [other.path().to_owned(), other.path().join("notes.txt"), other.path().join("nothing")] {
        assert!(!is_whisper(&path), "{}", path.display());
    }
}

#[test]
fn truncated_files_are_refused() {
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
    fn damaged_files_do_not_panic(changes in prop::collection::vec((0usize..6000, any::<u8>(), any::<bool>()), 1..6)) {
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

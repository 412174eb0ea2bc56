//! The same tensors in every format, and each format's metadata.

use std::path::Path;

use mynah_testkit::weight_files::{CTranslate2, Numbers, Tensor, ggml, safetensors, torch, torch_with_dims};
use mynah_weights::torch::Root;
use mynah_weights::{Dtype, Error, Metadata, Tensors, Weights, open_state_dict, read_state_dict};
use tempfile::TempDir;

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn open(files: &[(&str, &[u8])]) -> Result<Weights, Error> {
    Weights::open(folder(files).path())
}

/// Quarters from -4 to 4, which every float type holds.
pub(crate) fn tensors() -> Vec<Tensor> {
    let tensor = |name: &str, shape: &[usize]| {
        let values = |index: usize| ((index * 7 + name.len() * 3) % 33) as f32 / 4.0 - 4.0;
        (name.to_owned(), shape.to_vec(), (0..shape.iter().product()).map(values).collect())
    };
    vec![tensor("embedding/weight", &[6, 4]), tensor("layer/bias", &[4]), tensor("layer/weight", &[4, 2, 3])]
}

pub(crate) fn ctranslate2(tensors: &[Tensor], stored: Numbers, version: u32) -> Vec<u8> {
    let numbers = &[("layer/heads", -2)];
    let aliases = &[("output/weight", "embedding/weight")];
    CTranslate2 { specification: "AnySpec", version, numbers, tensors, stored, aliases }.write()
}

pub(crate) fn ggml_file(tensors: &[Tensor]) -> Vec<u8> {
    let numbers = [3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    ggml(numbers, [2, 5], &[b"a", b"\xff", b""], tensors, |(_, shape, _)| shape.len() > 1)
}

fn check(what: &str, found: &Tensors, expected: &[Tensor]) {
    for (name, shape, values) in expected {
        assert_eq!(found.shape(name), Some(shape.as_slice()), "{what} {name}");
        assert_eq!(found.read_f32(name).unwrap(), *values, "{what} {name}");
    }
}

#[test]
fn every_format_gives_the_same_tensors() {
    let tensors = tensors();
    for stored in [Numbers::F32, Numbers::F16, Numbers::Bf16] {
        let weights = open(&[("model.safetensors", &safetensors(&tensors, stored))]).unwrap();
        assert_eq!(weights.metadata, Metadata::Safetensors);
        assert_eq!(weights.tensors.names().count(), tensors.len());
        check("safetensors", &weights.tensors, &tensors);
    }
    for (stored, version) in
        [(Numbers::F16, 6), (Numbers::Bf16, 6), (Numbers::Int8, 6), (Numbers::Int16, 5), (Numbers::Int8, 3)]
    {
        let weights = open(&[("model.bin", &ctranslate2(&tensors, stored, version))]).unwrap();
        let Metadata::CTranslate2(header) = &weights.metadata else { panic!("{:?}", weights.metadata) };
        assert_eq!(header.specification, "AnySpec");
        assert_eq!(header.numbers["layer/heads"], -2);
        check("CTranslate2", &weights.tensors, &tensors);
        assert!(weights.tensors.same("output/weight", "embedding/weight").unwrap());
        assert_eq!(weights.tensors.read_f32("output/weight").unwrap(), tensors[0].2);
        assert_eq!(weights.tensors.read_f32("layer/heads").unwrap(), [-2.0]);
    }
    let weights = open(&[("ggml-any.bin", &ggml_file(&tensors))]).unwrap();
    let Metadata::Ggml(header) = &weights.metadata else { panic!("{:?}", weights.metadata) };
    assert_eq!(header.numbers, [3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(header.tokens, [b"a".as_slice(), b"\xff", b""]);
    check("ggml", &weights.tensors, &tensors);

    for (root, file) in [
        (Root::StateDict, torch(&tensors)),
        (Root::ModelStateDict, torch_with_dims(&[("heads", 6), ("layers", 7)], &tensors)),
    ] {
        let weights = open(&[("any.pt", &file)]).unwrap();
        let Metadata::Torch(header) = &weights.metadata else { panic!("{:?}", weights.metadata) };
        assert_eq!(header.root, root);
        let numbers: Vec<_> = header.numbers.iter().map(|(name, number)| (name.as_str(), *number)).collect();
        let expected =
            if root == Root::StateDict { vec![] } else { vec![("dims.heads", 6), ("dims.layers", 7)] };
        assert_eq!(numbers, expected);
        check("PyTorch", &weights.tensors, &tensors);
        check("PyTorch", &read_state_dict("memory", file).unwrap(), &tensors);
    }
}

#[test]
fn shards_are_combined() {
    let tensors = tensors();
    let (first, second) = tensors.split_at(1);
    let index = |second: &str| {
        let map = [("embedding/weight", "0"), ("layer/bias", second), ("layer/weight", second)];
        serde_json::json!({"metadata": {}, "weight_map": std::collections::BTreeMap::from(map)}).to_string()
    };
    let [first_torch, second_torch] = [torch(first), torch(second)];
    let first = safetensors(first, Numbers::F32);
    let second = safetensors(second, Numbers::F16);
    for (name, shards) in [
        ("model.safetensors.index.json", [&first, &second]),
        ("pytorch_model.bin.index.json", [&first_torch, &second_torch]),
    ] {
        let weights = open(&[(name, index("1").as_bytes()), ("0", shards[0]), ("1", shards[1])]).unwrap();
        assert_eq!(weights.path.file_name().unwrap(), name);
        check(name, &weights.tensors, &tensors);
    }
    let refusal = |index: &str, second: &[u8]| {
        let name = "model.safetensors.index.json";
        open(&[(name, index.as_bytes()), ("0", &first), ("1", second)]).err().unwrap().to_string()
    };
    assert!(refusal(&index("1"), &second_torch).contains("shard 1 has another format"));
    assert!(refusal(&index("0"), &second).contains("tensor layer/bias is not in 0"));
    assert!(refusal(&index("../1"), &second).contains("not a plain file name"));
    assert!(refusal(r#"{"weight_map": {}}"#, &second).contains("lists no shard"));
}

#[test]
fn stored_numbers_are_returned_unchanged() {
    let tensors = tensors();
    let tensors_of = |file: &[u8]| open(&[("model.bin", file)]).unwrap().tensors;
    let found = tensors_of(&safetensors(&tensors, Numbers::F16));
    let (dtype, bytes) = found.raw("layer/bias").unwrap().unwrap();
    assert_eq!((dtype, found.dtype("layer/bias")), (Dtype::F16, Some(Dtype::F16)));
    let values: Vec<f32> =
        bytes.as_chunks().0.iter().map(|&pair| half::f16::from_le_bytes(pair).to_f32()).collect();
    assert_eq!(values, tensors[1].2);

    let found = tensors_of(&ctranslate2(&tensors, Numbers::Int8, 6));
    assert_eq!(found.raw("layer/weight").unwrap(), None);
    assert_eq!(found.dtype("layer/weight"), Some(Dtype::F32));
    assert!(found.read_f32("nothing").unwrap_err().to_string().contains("no such tensor"));
}

#[test]
fn tensors_are_split_renamed_and_added_to() {
    let tensors = tensors();
    for stored in [Numbers::F16, Numbers::Int8, Numbers::Int16] {
        let mut found = open(&[("model.bin", &ctranslate2(&tensors, stored, 6))]).unwrap().tensors;
        let whole = found.remove("embedding/weight").unwrap();
        assert!(whole.split(4).is_none() && whole.split(0).is_none());
        let parts = whole.split(3).unwrap();
        assert_eq!((parts.len(), parts[1].shape()), (3, &[2, 4][..]));
        found.insert("middle".into(), parts[1].clone().with_shape(vec![8]));
        assert_eq!(found.shape("middle"), Some(&[8][..]));
        assert_eq!(found.read_f32("middle").unwrap(), tensors[0].2[8..16]);
        assert_eq!(found.shape("embedding/weight"), None);
    }
    let mut computed = Tensors::default();
    computed.insert_f32("twice".into(), vec![2, 1], &[1.5, -2.0]);
    assert_eq!(computed.read_f32("twice").unwrap(), [1.5, -2.0]);
    let parts = computed.remove("twice").unwrap().split(2).unwrap();
    let parts: Tensors = ["one", "two"].map(str::to_owned).into_iter().zip(parts).collect();
    assert_eq!(parts.read_f32("two").unwrap(), [-2.0]);
}

#[test]
fn files_saved_by_pytorch_are_read() {
    let sample = |name: &str| {
        Weights::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torch").join(name))
    };
    for name in ["zip.pt", "legacy.pt"] {
        let Weights { metadata, tensors, .. } = sample(name).unwrap();
        assert!(matches!(metadata, Metadata::Torch(header) if header.root == Root::StateDict));
        let read = |name| tensors.read_f32(name).unwrap();
        let tokens = [0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875];
        assert_eq!(tensors.shape("proj_out.weight"), Some(&[4, 2][..]), "{name}");
        assert_eq!(read("model.decoder.embed_tokens.weight"), tokens, "{name}");
        assert!(tensors.same("model.decoder.embed_tokens.weight", "proj_out.weight").unwrap());
        assert_eq!(read("model.decoder.layer_norm.bias"), [0.625, 0.75], "{name}");
        assert_eq!(read("model.encoder.conv1.bias"), [1.5, -2.5], "{name}");
        assert_eq!(read("model.encoder.conv2.bias"), [3.0, -0.25], "{name}");
        assert_eq!(tensors.dtype("model.encoder.conv2.bias"), Some(Dtype::Bf16), "{name}");
        assert_eq!(tensors.unreadable("step"), Some("Long"), "{name}");
        assert!(tensors.read_f32("step").unwrap_err().to_string().contains("Long"), "{name}");
    }
    let Weights { metadata, tensors, .. } = sample("openai.pt").unwrap();
    let Metadata::Torch(header) = metadata else { panic!("{metadata:?}") };
    assert_eq!((header.root, header.numbers["dims.n_text_head"]), (Root::ModelStateDict, 8));
    let names = ["decoder.token_embedding.weight", "encoder.blocks.0.attn.query.bias"];
    assert!(tensors.names().eq(names));

    let Weights { metadata, tensors, .. } = sample("lone.pt").unwrap();
    assert!(matches!(metadata, Metadata::Torch(header) if header.root == Root::Tensor));
    assert_eq!(tensors.read_f32("").unwrap()[127], 2.0);

    let reason = |name| sample(name).err().unwrap().to_string();
    assert!(reason("transposed.pt").contains("not row-major"));
    assert!(
        reason("object.pt")
            .contains(r#""posix" "getcwd", which no tensor checkpoint needs; it was not looked up"#)
    );
}

#[test]
fn state_dicts_have_two_formats_only() {
    let tensors = tensors();
    let of = |file: Vec<u8>| read_state_dict("what was sent", file);
    assert!(of(safetensors(&tensors, Numbers::F32)).is_ok());
    for file in [ggml_file(&tensors), ctranslate2(&tensors, Numbers::F16, 6), vec![]] {
        let error = of(file).err().unwrap().to_string();
        assert_eq!(
            error,
            "what was sent is not a checkpoint: it is neither a safetensors file nor one saved by PyTorch"
        );
    }
    assert!(matches!(open_state_dict(Path::new("/nonexistent/file")), Err(Error::Io { .. })));
}

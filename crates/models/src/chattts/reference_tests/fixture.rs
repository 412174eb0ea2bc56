//! The tiny model and what the reference implementation makes of it; see `tools/pack_chattts_fixture.py`.

use std::sync::{Arc, LazyLock};

use half::f16;
use mynah_testkit::chattts::{TINY, write};
use safetensors::SafeTensors;
use tempfile::TempDir;

use super::*;
use crate::chattts::speaker::strings::decode_speaker;

static REFERENCE: &[u8] = include_bytes!("../../../tests/data/chattts/reference.safetensors");
static TEXTS: LazyLock<serde_json::Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../tests/data/chattts/reference.json")).unwrap()
});
pub(super) static VOCABULARY: &[u8] = include_bytes!("../../../tests/data/chattts/tokenizer.json");

/// The checkpoint, with its speaker statistics.
pub(super) fn checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &TINY, VOCABULARY).unwrap();
    std::fs::write(folder.path().join("asset/spk_stat.txt"), texts("spk_stat").as_str().unwrap()).unwrap();
    folder
}

/// The model in 32 bits.
pub(in crate::chattts) fn model() -> &'static ChatTts {
    static MODEL: LazyLock<ChatTts> = LazyLock::new(|| load(ComputeType::F32));
    &MODEL
}

pub(super) fn load(compute: ComputeType) -> ChatTts {
    let folder = checkpoint();
    ChatTts::load(folder.path(), &LoadOptions { compute, ..LoadOptions::default() }).unwrap()
}

/// What the reference was given, by a path such as `/e2e/text`.
pub(super) fn texts(path: &str) -> &'static serde_json::Value {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    TEXTS.pointer(&path).unwrap_or_else(|| panic!("the fixture has no {path}"))
}

pub(super) fn strings(path: &str) -> Vec<String> {
    let values = texts(path).as_array().unwrap();
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

pub(super) fn number(path: &str) -> usize {
    texts(path).as_u64().unwrap() as usize
}

fn bytes(name: &str) -> (Vec<usize>, Vec<u8>) {
    let tensors = SafeTensors::deserialize(REFERENCE).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    (tensor.shape().to_vec(), tensor.data().to_vec())
}

pub(super) fn shape(name: &str) -> Vec<usize> {
    bytes(name).0
}

pub(super) fn floats(name: &str) -> Vec<f32> {
    bytes(name).1.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

pub(super) fn halves(name: &str) -> Vec<f16> {
    bytes(name).1.as_chunks::<2>().0.iter().map(|&b| f16::from_le_bytes(b)).collect()
}

pub(super) fn integers(name: &str) -> Vec<u32> {
    bytes(name).1.as_chunks::<4>().0.iter().map(|&b| i32::from_le_bytes(b) as u32).collect()
}

/// Codes stored with one step per row.
pub(super) fn steps(name: &str) -> Vec<Codes> {
    integers(name).as_chunks::<4>().0.to_vec()
}

/// Codes stored with one codebook per row.
pub(super) fn codebooks(name: &str) -> Vec<Codes> {
    let codes = integers(name);
    let count = codes.len() / 4;
    (0..count).map(|t| std::array::from_fn(|k| codes[k * count + t])).collect()
}

/// The speaker of all stages that have one.
pub(super) fn voice() -> Voice {
    let speaker = decode_speaker(texts("/speaker/spk").as_str().unwrap(), 64).unwrap();
    Voice { speaker: Some(speaker), ..Voice::default() }
}

/// Prompts of texts in a voice.
pub(super) fn prompts(texts: &[String], tags: &str, voice: &Voice) -> Vec<generate::Prompt> {
    let model = model();
    let prompt = |text: &String| prompts::speech_prompt(&model.vocabulary, &model.tokens, text, tags, voice);
    texts.iter().map(prompt).collect()
}

/// The rows of a padded batch without its padding: the batch's texts have different lengths.
pub(super) fn unpadded(name: &str, stage: &str) -> Vec<Vec<f32>> {
    let (shape, mask) = (shape(&format!("{stage}.{name}")), integers(&format!("{stage}.attention_mask")));
    let values = floats(&format!("{stage}.{name}"));
    let row = |b: usize| {
        let live = mask[b * shape[1]..(b + 1) * shape[1]].iter().filter(|&&m| m == 1).count();
        values[((b + 1) * shape[1] - live) * shape[2]..(b + 1) * shape[1] * shape[2]].to_vec()
    };
    (0..shape[0]).map(row).collect()
}

/// Ids of a batch's rows without padding, and the codes after them.
pub(super) fn unpadded_ids(stage: &str) -> Vec<Vec<Codes>> {
    let (shape, ids) = (shape(&format!("{stage}.input_ids")), steps(&format!("{stage}.input_ids")));
    let mask = integers(&format!("{stage}.attention_mask"));
    let row = |b: usize| {
        let rows = ids[b * shape[1]..].iter().zip(&mask[b * shape[1]..(b + 1) * shape[1]]);
        rows.filter(|&(_, &m)| m == 1).map(|(ids, _)| *ids).collect()
    };
    (0..shape[0]).map(row).collect()
}

/// What a prompt shows the model, as the reference's ids: text in all places, then codes.
pub(super) fn ids_of(prompt: &generate::Prompt) -> Vec<Codes> {
    prompt.ids.iter().map(|&id| [id; 4]).chain(prompt.audio.iter().copied()).collect()
}

pub(super) fn sample(codes: Vec<Codes>, text: &str) -> Option<VoiceSample> {
    Some(VoiceSample { codes: Arc::from(codes), text: text.into() })
}

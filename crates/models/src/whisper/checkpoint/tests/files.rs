//! A tiny model, and writers of all formats.

use std::io::Write;

use half::{bf16, f16};
use safetensors::tensor::{Dtype as Stored, TensorView};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::whisper::Config;
use crate::whisper::checkpoint::{Dtype, names};

/// Name, shape, numbers.
pub(crate) type Tensor = (String, Vec<usize>, Vec<f32>);

/// An English-only model of width 2 with an encoder layer and two decoder layers; its lists are empty.
pub(super) fn config() -> Config {
    Config {
        n_mels: 3,
        vocab_size: 51864,
        width: 2,
        ffn_width: 4,
        encoder_layers: 1,
        encoder_heads: 1,
        decoder_layers: 2,
        decoder_heads: 1,
        audio_positions: 3,
        text_positions: 4,
        suppress_tokens: vec![],
        begin_suppress_tokens: vec![],
        alignment_heads: vec![],
    }
}

/// All tensors of the model: quarters from -4 to 4, which every float type holds.
pub(super) fn model() -> Vec<Tensor> {
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let count = shape.iter().product();
        let values =
            (0..count).map(|index: usize| ((index * 7 + name.len() * 3) % 33) as f32 / 4.0 - 4.0).collect();
        (name, shape, values)
    };
    names::expected(&config()).into_iter().map(tensor).collect()
}

fn floats(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    match dtype {
        Dtype::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
        Dtype::Bf16 => values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect(),
    }
}

pub(super) fn safetensors(tensors: &[Tensor], dtype: Dtype) -> Vec<u8> {
    let stored = match dtype {
        Dtype::F32 => Stored::F32,
        Dtype::F16 => Stored::F16,
        Dtype::Bf16 => Stored::BF16,
    };
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, _, values)| floats(dtype, values)).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (name, TensorView::new(stored, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// How a CTranslate2 file stores its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Weights {
    Float(Dtype),
    Int8,
    Int16,
}

/// The model as CTranslate2 lays it out: projections of the same input are fused.
fn fused(tensors: &[Tensor]) -> Vec<Tensor> {
    let config = config();
    let mut variables: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |name: String, parts: &[String]| variables.push((name, parts.to_vec()));
    for kind in ["weight", "bias"] {
        for conv in ["conv1", "conv2"] {
            add(format!("encoder/{conv}/{kind}"), &[format!("model.encoder.{conv}.{kind}")]);
        }
    }
    add("decoder/embeddings/weight".into(), &["model.decoder.embed_tokens.weight".into()]);
    for (side, layers) in [("encoder", config.encoder_layers), ("decoder", config.decoder_layers)] {
        let positions = format!("model.{side}.embed_positions.weight");
        add(format!("{side}/position_encodings/encodings"), &[positions]);
        for (norm, kind) in [("gamma", "weight"), ("beta", "bias")] {
            add(format!("{side}/layer_norm/{norm}"), &[format!("model.{side}.layer_norm.{kind}")]);
        }
        for layer in 0..layers {
            let (to, from) = (format!("{side}/layer_{layer}"), format!("model.{side}.layers.{layer}"));
            let blocks = [
                ("self_attention", "self_attn_layer_norm"),
                ("ffn", "final_layer_norm"),
                ("attention", "encoder_attn_layer_norm"),
            ];
            for (block, name) in &blocks[..if side == "decoder" { 3 } else { 2 }] {
                for (norm, kind) in [("gamma", "weight"), ("beta", "bias")] {
                    add(format!("{to}/{block}/layer_norm/{norm}"), &[format!("{from}.{name}.{kind}")]);
                }
            }
            let linears: [(&str, &[&str]); 7] = [
                ("self_attention/linear_0", &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
                ("self_attention/linear_1", &["self_attn.out_proj"]),
                ("ffn/linear_0", &["fc1"]),
                ("ffn/linear_1", &["fc2"]),
                ("attention/linear_0", &["encoder_attn.q_proj"]),
                ("attention/linear_1", &["encoder_attn.k_proj", "encoder_attn.v_proj"]),
                ("attention/linear_2", &["encoder_attn.out_proj"]),
            ];
            for (linear, parts) in &linears[..if side == "decoder" { 7 } else { 4 }] {
                for kind in ["weight", "bias"] {
                    let parts: Vec<String> =
                        parts.iter().map(|part| format!("{from}.{part}.{kind}")).collect();
                    add(format!("{to}/{linear}/{kind}"), &parts);
                }
            }
        }
    }
    let join = |(name, parts): (String, Vec<String>)| {
        let (mut shape, mut joined) = (vec![0], Vec::new());
        for part in parts {
            // Keys have no bias: zeros stand in its place.
            let no_bias = (String::new(), vec![config.width], vec![0.0; config.width]);
            let (_, size, values) = tensors.iter().find(|(found, ..)| *found == part).unwrap_or(&no_bias);
            shape = [&[shape[0] + size[0]], &size[1..]].concat();
            joined.extend(values);
        }
        (name, shape, joined)
    };
    variables.into_iter().map(join).collect()
}

/// A CTranslate2 file of the given version of the format.
pub(super) fn ctranslate2(tensors: &[Tensor], weights: Weights, version: u32) -> Vec<u8> {
    let variables = fused(tensors);
    let mut file = version.to_le_bytes().to_vec();
    let text = |file: &mut Vec<u8>, text: &str| {
        file.extend((text.len() as u16 + 1).to_le_bytes());
        file.extend(text.as_bytes());
        file.push(0);
    };
    let variable = |file: &mut Vec<u8>, name: &str, shape: &[usize], kind: (u8, u8), bytes: &[u8]| {
        text(file, name);
        file.push(shape.len() as u8);
        file.extend(shape.iter().flat_map(|&size| (size as u32).to_le_bytes()));
        if version >= 4 {
            file.push(kind.0);
            file.extend((bytes.len() as u32).to_le_bytes());
        } else {
            file.push(kind.1);
            file.extend((bytes.len() as u32 / u32::from(kind.1)).to_le_bytes());
        }
        file.extend(bytes);
    };
    text(&mut file, "WhisperSpec");
    file.extend(3u32.to_le_bytes());
    let quantised = |shape: &[usize]| shape.len() > 1 && !matches!(weights, Weights::Float(_));
    let scales = variables.iter().filter(|(_, shape, _)| quantised(shape)).count();
    file.extend((variables.len() as u32 + scales as u32 + 2).to_le_bytes());
    for side in ["encoder", "decoder"] {
        variable(&mut file, &format!("{side}/num_heads"), &[], (2, 2), &1i16.to_le_bytes());
    }
    for (name, shape, values) in &variables {
        let rows = shape[0];
        // All numbers are quarters: a scale of 4 loses nothing.
        let integers = || values.iter().map(|value| (value * 4.0) as i16);
        match weights {
            Weights::Int8 if quantised(shape) => {
                let bytes: Vec<u8> = integers().map(|value| value as u8).collect();
                variable(&mut file, name, shape, (1, 1), &bytes);
                let scales = floats(Dtype::F32, &vec![4.0; rows]);
                variable(&mut file, &format!("{name}_scale"), &[rows], (0, 4), &scales);
            }
            Weights::Int16 if quantised(shape) => {
                let bytes: Vec<u8> = integers().flat_map(i16::to_le_bytes).collect();
                variable(&mut file, name, shape, (2, 2), &bytes);
                variable(&mut file, &format!("{name}_scale"), &[], (0, 4), &4f32.to_le_bytes());
            }
            Weights::Float(Dtype::F16) => {
                variable(&mut file, name, shape, (4, 2), &floats(Dtype::F16, values));
            }
            Weights::Float(Dtype::Bf16) => {
                variable(&mut file, name, shape, (5, 2), &floats(Dtype::Bf16, values));
            }
            _ => variable(&mut file, name, shape, (0, 4), &floats(Dtype::F32, values)),
        }
    }
    file.extend(1u32.to_le_bytes());
    text(&mut file, "decoder/projection/weight");
    text(&mut file, "decoder/embeddings/weight");
    file
}

/// Name of a tensor in openai-whisper's files.
fn openai_name(name: &str) -> String {
    [
        ("model.", ""),
        ("embed_positions.weight", "positional_embedding"),
        ("embed_tokens", "token_embedding"),
        ("layers.", "blocks."),
        ("self_attn_layer_norm", "attn_ln"),
        ("encoder_attn_layer_norm", "cross_attn_ln"),
        ("final_layer_norm", "mlp_ln"),
        ("encoder.layer_norm", "encoder.ln_post"),
        ("decoder.layer_norm", "decoder.ln"),
        ("encoder_attn", "cross_attn"),
        ("self_attn", "attn"),
        ("q_proj", "query"),
        ("k_proj", "key"),
        ("v_proj", "value"),
        ("out_proj", "out"),
        ("fc1", "mlp.0"),
        ("fc2", "mlp.2"),
    ]
    .iter()
    .fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// A ggml file whose weights are f16 or f32, with a vocabulary as whisper.cpp writes it.
pub(super) fn ggml(tensors: &[Tensor], half: bool) -> Vec<u8> {
    let config = config();
    let mut file = 0x6767_6d6c_u32.to_le_bytes().to_vec();
    let numbers = |file: &mut Vec<u8>, numbers: &[usize]| {
        file.extend(numbers.iter().flat_map(|&number| (number as u32).to_le_bytes()));
    };
    let Config { vocab_size, audio_positions, text_positions, width, n_mels, .. } = config;
    numbers(&mut file, &[vocab_size, audio_positions, width, config.encoder_heads, config.encoder_layers]);
    numbers(&mut file, &[text_positions, width, config.decoder_heads, config.decoder_layers, n_mels, 1]);
    numbers(&mut file, &[n_mels, 201]);
    file.extend(vec![0; 4 * n_mels * 201]);
    let tokenizer = mynah_text::whisper_tokenizer::WhisperTokenizer::built_in(vocab_size).unwrap();
    numbers(&mut file, &[tokenizer.eot() as usize]);
    for id in 0..tokenizer.eot() {
        numbers(&mut file, &[tokenizer.token_bytes(id).len()]);
        file.extend(tokenizer.token_bytes(id));
    }
    for (name, shape, values) in tensors {
        let name = openai_name(name);
        let half = half && shape.len() > 1 && !name.ends_with("positional_embedding");
        let is_conv_bias = name.contains("conv") && shape.len() == 1;
        let shape: Vec<usize> = shape.iter().copied().chain(is_conv_bias.then_some(1)).rev().collect();
        numbers(&mut file, &[shape.len(), name.len(), usize::from(half)]);
        numbers(&mut file, &shape);
        file.extend(name.as_bytes());
        file.extend(floats(if half { Dtype::F16 } else { Dtype::F32 }, values));
    }
    file
}

/// The pickle of a state dict of f16 tensors, each with a storage of its own whose key is its number.
fn pickle(tensors: &[Tensor], openai: bool) -> Vec<u8> {
    let mut file = vec![0x80, 2];
    let text = |file: &mut Vec<u8>, text: &str| {
        file.push(b'X');
        file.extend((text.len() as u32).to_le_bytes());
        file.extend(text.as_bytes());
    };
    let int = |file: &mut Vec<u8>, number: usize| {
        file.push(b'J');
        file.extend((number as u32).to_le_bytes());
    };
    if openai {
        file.extend(b"}(");
        text(&mut file, "dims");
        file.extend(b"}(");
        for name in ["n_audio_head", "n_text_head"] {
            text(&mut file, name);
            file.extend(b"K\x01");
        }
        file.push(b'u');
        text(&mut file, "model_state_dict");
    }
    file.extend(b"ccollections\nOrderedDict\n)R(");
    for (number, (name, shape, values)) in tensors.iter().enumerate() {
        text(&mut file, &if openai { openai_name(name) } else { name.clone() });
        file.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut file, "storage");
        file.extend(b"ctorch\nHalfStorage\n");
        text(&mut file, &number.to_string());
        text(&mut file, "cpu");
        int(&mut file, values.len());
        file.extend(b"tQK\x00(");
        shape.iter().for_each(|&size| int(&mut file, size));
        file.extend(b"t(");
        (0..shape.len()).for_each(|axis| int(&mut file, shape[axis + 1..].iter().product()));
        file.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    file.extend(if openai { b"uu.".as_slice() } else { b"u." });
    file
}

/// A zip archive as PyTorch writes it, with f16 tensors under Hugging Face's or openai-whisper's names.
pub(crate) fn torch(tensors: &[Tensor], openai: bool) -> Vec<u8> {
    let storages = tensors.iter().enumerate();
    let storages = storages.map(|(number, (_, _, values))| (number.to_string(), floats(Dtype::F16, values)));
    torch_archive(&pickle(tensors, openai), storages.collect(), CompressionMethod::Stored)
}

/// A zip archive with a pickle and storages.
pub(super) fn torch_archive(
    pickle: &[u8],
    storages: Vec<(String, Vec<u8>)>,
    method: CompressionMethod,
) -> Vec<u8> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    let entries = storages.into_iter().map(|(key, bytes)| (format!("archive/data/{key}"), bytes));
    for (name, bytes) in [("archive/data.pkl".to_owned(), pickle.to_vec())].into_iter().chain(entries) {
        archive.start_file(name, options).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

//! A tiny model, and its files in all formats.

use mynah_testkit::weight_files::{self, CTranslate2, Numbers, Tensor};
use mynah_text::whisper_tokenizer::WhisperTokenizer;

use crate::whisper::Config;
use crate::whisper::checkpoint::names;

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
pub(super) fn ctranslate2(tensors: &[Tensor], stored: Numbers, version: u32) -> Vec<u8> {
    let numbers = &[("encoder/num_heads", 1), ("decoder/num_heads", 1)];
    let aliases = &[("decoder/projection/weight", "decoder/embeddings/weight")];
    let tensors = &fused(tensors);
    CTranslate2 { specification: "WhisperSpec", version, numbers, tensors, stored, aliases }.write()
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

/// The tensors under openai-whisper's names.
fn openai(tensors: &[Tensor]) -> Vec<Tensor> {
    let renamed = |(name, shape, values): &Tensor| (openai_name(name), shape.clone(), values.clone());
    tensors.iter().map(renamed).collect()
}

/// openai-whisper's file.
pub(super) fn openai_pt(tensors: &[Tensor]) -> Vec<u8> {
    weight_files::torch_with_dims(&[("n_audio_head", 1), ("n_text_head", 1)], &openai(tensors))
}

/// A ggml file whose weights are f16 or f32, with a vocabulary as whisper.cpp writes it.
pub(super) fn ggml(tensors: &[Tensor], half: bool) -> Vec<u8> {
    let Config { vocab_size, audio_positions, text_positions, width, n_mels, .. } = config();
    let Config { encoder_heads, encoder_layers, decoder_heads, decoder_layers, .. } = config();
    let encoder = [audio_positions, width, encoder_heads, encoder_layers];
    let decoder = [text_positions, width, decoder_heads, decoder_layers];
    let numbers = [&[vocab_size], &encoder[..], &decoder, &[n_mels, 1]].concat();
    let tokenizer = WhisperTokenizer::built_in(vocab_size).unwrap();
    let tokens: Vec<&[u8]> = (0..tokenizer.eot()).map(|id| tokenizer.token_bytes(id)).collect();
    let mut tensors = openai(tensors);
    // The biases of the convolutions are columns.
    for (name, shape, _) in &mut tensors {
        if name.contains("conv") && shape.len() == 1 {
            shape.push(1);
        }
    }
    let half = |(name, shape, _): &Tensor| {
        half && shape.len() > 1 && shape[1] > 1 && !name.ends_with("positional_embedding")
    };
    weight_files::ggml(numbers.try_into().unwrap(), [n_mels, 201], &tokens, &tensors, half)
}

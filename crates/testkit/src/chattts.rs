//! Writes ChatTTS checkpoints with random weights, in the published layout: tiny ones, for which the tests of
//! `mynah-models` have reference outputs, and full-size ones for benchmarks.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use flate2::Crc;
use safetensors::tensor::{Dtype, TensorView};

use crate::normal::normal;

/// The seed of the tests' reference outputs.
pub const SEED: u32 = 20_240_527;

/// Sizes of a ConvNeXt stack.
#[derive(Clone, Copy, Debug)]
struct Stack {
    inputs: usize,
    outputs: usize,
    hidden: usize,
    bottleneck: usize,
    layers: usize,
}

/// Sizes of a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    hidden: usize,
    intermediate: usize,
    heads: usize,
    layers: usize,
    /// Tokens before the fifty control tokens.
    base_vocabulary: usize,
    decoder: Stack,
    dvae_encoder: Stack,
    dvae_decoder: Stack,
    vocos: usize,
    vocos_intermediate: usize,
    vocos_layers: usize,
}

/// A few hundred thousand weights; codebooks, mel bands and spectra are full-size.
pub const TINY: Sizes = Sizes {
    hidden: 64,
    intermediate: 160,
    heads: 4,
    layers: 2,
    base_vocabulary: 512,
    decoder: Stack { inputs: 32, outputs: 32, hidden: 48, bottleneck: 24, layers: 2 },
    dvae_encoder: Stack { inputs: 40, outputs: 80, hidden: 32, bottleneck: 24, layers: 2 },
    dvae_decoder: Stack { inputs: 40, outputs: 40, hidden: 32, bottleneck: 24, layers: 2 },
    vocos: 48,
    vocos_intermediate: 96,
    vocos_layers: 2,
};

/// The published model's sizes.
pub const FULL: Sizes = Sizes {
    hidden: 768,
    intermediate: 3072,
    heads: 12,
    layers: 20,
    base_vocabulary: 21_128,
    decoder: Stack { inputs: 384, outputs: 384, hidden: 512, bottleneck: 128, layers: 12 },
    dvae_encoder: Stack { inputs: 512, outputs: 1024, hidden: 256, bottleneck: 128, layers: 12 },
    dvae_decoder: Stack { inputs: 512, outputs: 512, hidden: 256, bottleneck: 128, layers: 12 },
    vocos: 512,
    vocos_intermediate: 1536,
    vocos_layers: 8,
};

const CODES: usize = 626;
const CODEBOOKS: usize = 4;
const MELS: usize = 100;
const WINDOW: usize = 1024;
const BINS: usize = WINDOW / 2 + 1;
const CONTROL_TOKENS: usize = 50;
/// Index of `[Ebreak]` among the control tokens.
const END_OF_TEXT: usize = 8;

/// Names and shapes of a file's tensors.
type Table = Vec<(String, Vec<usize>)>;

/// Writes a checkpoint into `folder/asset`. `tokenizer_json` is the tiny model's vocabulary, which is extended for larger
/// ones.
///
/// # Errors
/// The folder cannot be written to, or the vocabulary is not JSON.
pub fn write(folder: &Path, sizes: &Sizes, tokenizer_json: &[u8]) -> io::Result<()> {
    let asset = folder.join("asset");
    for part in ["gpt", "tokenizer"] {
        std::fs::create_dir_all(asset.join(part))?;
    }
    for (file, table) in tables(sizes) {
        let values: BTreeMap<String, (Vec<usize>, Vec<u8>)> = table
            .into_iter()
            .map(|(name, shape)| {
                let numbers = tensor(file, &name, &shape, sizes);
                (name, (shape, numbers.iter().flat_map(|v| v.to_le_bytes()).collect()))
            })
            .collect();
        let views = values.iter().map(|(name, (shape, bytes))| {
            TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.clone(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        let path = asset.join(format!("{file}.safetensors"));
        safetensors::serialize_to_file(views, None, &path).map_err(io::Error::other)?;
    }
    let config = serde_json::json!({
        "architectures": ["LlamaModel"], "hidden_size": sizes.hidden, "intermediate_size": sizes.intermediate,
        "num_attention_heads": sizes.heads, "num_key_value_heads": sizes.heads, "num_hidden_layers": sizes.layers,
        "num_audio_tokens": CODES, "num_text_tokens": sizes.base_vocabulary + CONTROL_TOKENS, "num_vq": CODEBOOKS,
        "rms_norm_eps": 1e-6, "rope_theta": 10_000.0, "rope_scaling": null, "max_position_embeddings": 4096,
    });
    std::fs::write(asset.join("gpt/config.json"), config.to_string())?;
    std::fs::write(asset.join("tokenizer/tokenizer.json"), vocabulary(sizes, tokenizer_json)?)
}

/// The tiny vocabulary, extended to the size in `sizes`.
fn vocabulary(sizes: &Sizes, json: &[u8]) -> io::Result<Vec<u8>> {
    let more = sizes.base_vocabulary - TINY.base_vocabulary;
    let mut file: serde_json::Value = serde_json::from_slice(json)?;
    for token in file["added_tokens"].as_array_mut().into_iter().flatten() {
        if let Some(id) = token["id"].as_u64().filter(|&id| id as usize >= TINY.base_vocabulary) {
            token["id"] = (id as usize + more).into();
        }
    }
    if let Some(tokens) = file["model"]["vocab"].as_object_mut() {
        tokens.extend((0..more).map(|i| (format!("[more{i}]"), (TINY.base_vocabulary + i).into())));
    }
    Ok(file.to_string().into_bytes())
}

fn tables(sizes: &Sizes) -> Vec<(&'static str, Table)> {
    let entry = |name: String, shape: &[usize]| (name, shape.to_vec());
    let mut gpt = vec![entry("norm.weight".into(), &[sizes.hidden])];
    for i in 0..sizes.layers {
        let (h, m) = (sizes.hidden, sizes.intermediate);
        let mut add =
            |part: &str, shape: &[usize]| gpt.push(entry(format!("layers.{i}.{part}.weight"), shape));
        for p in ["q", "k", "v", "o"] {
            add(&format!("self_attn.{p}_proj"), &[h, h]);
        }
        add("mlp.gate_proj", &[m, h]);
        add("mlp.up_proj", &[m, h]);
        add("mlp.down_proj", &[h, m]);
        add("input_layernorm", &[h]);
        add("post_attention_layernorm", &[h]);
    }

    let text = sizes.base_vocabulary + CONTROL_TOKENS;
    let mut embed = vec![entry("emb_text.weight".into(), &[text, sizes.hidden])];
    embed.extend((0..CODEBOOKS).map(|k| entry(format!("emb_code.{k}.weight"), &[CODES, sizes.hidden])));
    let heads = (0..CODEBOOKS).map(|k| (format!("head_code.{k}"), CODES));
    for (head, rows) in heads.chain([("head_text".to_owned(), text)]) {
        let part = |i: usize| format!("{head}.parametrizations.weight.original{i}");
        embed.push(entry(part(0), &[rows, 1]));
        embed.push(entry(part(1), &[rows, sizes.hidden]));
    }

    let mut decoder = vec![entry("coef".into(), &[1, MELS, 1])];
    decoder.extend(stack("decoder", sizes.decoder));
    decoder.push(entry("out_conv.weight".into(), &[MELS, sizes.decoder.outputs, 3]));

    let width = sizes.dvae_decoder.inputs;
    let mut dvae = vec![
        entry("coef".into(), &[1, MELS, 1]),
        entry("downsample_conv.0.weight".into(), &[width, MELS, 3]),
        entry("downsample_conv.0.bias".into(), &[width]),
        entry("downsample_conv.2.weight".into(), &[width, width, 4]),
        entry("downsample_conv.2.bias".into(), &[width]),
        entry("out_conv.weight".into(), &[MELS, sizes.dvae_decoder.outputs, 3]),
    ];
    dvae.extend(mel("preprocessor_mel.mel_spec"));
    dvae.extend(stack("encoder", sizes.dvae_encoder));
    dvae.extend(stack("decoder", sizes.dvae_decoder));
    let group = sizes.dvae_encoder.outputs / 2;
    for g in 0..2 {
        let name = |part: &str| format!("vq_layer.quantizer.rvqs.{g}.{part}");
        dvae.push(entry(name("project_in.weight"), &[4, group]));
        dvae.push(entry(name("project_in.bias"), &[4]));
        dvae.push(entry(name("project_out.weight"), &[group, 4]));
        dvae.push(entry(name("project_out.bias"), &[group]));
    }

    let width = sizes.vocos;
    let mut vocos = mel("feature_extractor.mel_spec");
    let norm = |name: &str| ["weight", "bias"].map(|part| entry(format!("{name}.{part}"), &[width]));
    vocos.push(entry("backbone.embed.weight".into(), &[width, MELS, 7]));
    vocos.push(entry("backbone.embed.bias".into(), &[width]));
    vocos.extend(norm("backbone.norm"));
    vocos.extend(norm("backbone.final_layer_norm"));
    for i in 0..sizes.vocos_layers {
        vocos.extend(block(&format!("backbone.convnext.{i}"), "gamma", width, sizes.vocos_intermediate));
    }
    vocos.push(entry("head.out.weight".into(), &[2 * BINS, width]));
    vocos.push(entry("head.out.bias".into(), &[2 * BINS]));
    vocos.push(entry("head.istft.window".into(), &[WINDOW]));

    vec![("gpt/model", gpt), ("Embed", embed), ("Decoder", decoder), ("DVAE", dvae), ("Vocos", vocos)]
}

fn mel(name: &str) -> Table {
    vec![
        (format!("{name}.spectrogram.window"), vec![WINDOW]),
        (format!("{name}.mel_scale.fb"), vec![BINS, MELS]),
    ]
}

fn block(name: &str, scale: &str, width: usize, hidden: usize) -> Table {
    let entry = |part: &str, shape: &[usize]| (format!("{name}.{part}"), shape.to_vec());
    vec![
        entry(scale, &[width]),
        entry("dwconv.weight", &[width, 1, 7]),
        entry("dwconv.bias", &[width]),
        entry("norm.weight", &[width]),
        entry("norm.bias", &[width]),
        entry("pwconv1.weight", &[hidden, width]),
        entry("pwconv1.bias", &[hidden]),
        entry("pwconv2.weight", &[width, hidden]),
        entry("pwconv2.bias", &[width]),
    ]
}

fn stack(name: &str, s: Stack) -> Table {
    let entry = |part: &str, shape: &[usize]| (format!("{name}.{part}"), shape.to_vec());
    let mut table = vec![
        entry("conv_in.0.weight", &[s.bottleneck, s.inputs, 3]),
        entry("conv_in.0.bias", &[s.bottleneck]),
        entry("conv_in.2.weight", &[s.hidden, s.bottleneck, 3]),
        entry("conv_in.2.bias", &[s.hidden]),
        entry("conv_out.weight", &[s.outputs, s.hidden, 1]),
    ];
    for i in 0..s.layers {
        table.extend(block(&format!("{name}.decoder_block.{i}"), "weight", s.hidden, 4 * s.hidden));
    }
    table
}

/// Random weights that keep the network's signals in range and make it stop occasionally.
fn tensor(file: &str, name: &str, shape: &[usize], sizes: &Sizes) -> Vec<f32> {
    let last = name.rsplit('.').next().unwrap_or(name);
    match last {
        "window" => return hann(),
        "fb" => return mel_filters(),
        _ => {}
    }
    let count: usize = shape.iter().product();
    let mut crc = Crc::new();
    crc.update(format!("{file}:{name}").as_bytes());
    let mut z = normal(crc.sum(), count);
    let row = shape.get(1..).unwrap_or_default().iter().product::<usize>().max(1);
    let mut map = |f: &dyn Fn(f32) -> f32| z.iter_mut().for_each(|v| *v = f(*v));
    let is_norm = name.contains("layernorm") || name.contains("norm.");
    match last {
        _ if name == "coef" => map(&|v| 1.0 + 0.3 * v.tanh()),
        "original0" => {
            map(&|v| 2.5 + 0.5 * v.tanh());
            if name.starts_with("head_code") {
                z[count - 1] = if name.starts_with("head_code.2") { 3.6 } else { 1.0 };
            } else if sizes.hidden == TINY.hidden {
                z[sizes.base_vocabulary + END_OF_TEXT] = 5.5;
            }
        }
        "original1" => {
            for (r, row) in z.chunks_mut(row).enumerate() {
                row.iter_mut().for_each(|v| *v *= 0.5 + 0.1 * (r % 7) as f32);
            }
        }
        "weight" if is_norm => map(&|v| 1.0 + 0.1 * v),
        _ if is_norm => map(&|v| 0.1 * v),
        "gamma" => map(&|v| 0.4 + 0.1 * v),
        "weight" if shape.len() == 1 => map(&|v| 0.4 + 0.1 * v),
        "bias" => {
            map(&|v| 0.1 * v);
            if name == "head.out.bias" {
                z[..count / 2].iter_mut().for_each(|v| *v -= 1.0);
                z[40..43].iter_mut().for_each(|v| *v += 5.0);
            }
        }
        _ if name.starts_with("emb_") => map(&|v| 0.6 * v),
        _ if name.ends_with("project_in.weight") => {
            let root = (row as f64).sqrt() as f32;
            map(&|v| v * 1.2 / root);
        }
        _ => {
            let root = (row as f64).sqrt() as f32;
            map(&|v| v / root);
        }
    }
    z
}

fn hann() -> Vec<f32> {
    let step = std::f64::consts::TAU / WINDOW as f64;
    (0..WINDOW).map(|i| (0.5 - 0.5 * (i as f64 * step).cos()) as f32).collect()
}

/// Triangular filters on the mel scale of HTK up to 12 kHz, `[BINS, MELS]`.
fn mel_filters() -> Vec<f32> {
    const NYQUIST: f64 = 12_000.0;
    let highest = 2595.0 * (1.0 + NYQUIST / 700.0).log10();
    let edge = |i: usize| {
        let mel = highest * i as f64 / (MELS + 1) as f64;
        700.0 * (10.0_f64.powf(mel / 2595.0) - 1.0)
    };
    let mut filters = Vec::with_capacity(BINS * MELS);
    for bin in 0..BINS {
        let frequency = NYQUIST * bin as f64 / (BINS - 1) as f64;
        filters.extend((0..MELS).map(|m| {
            let (low, middle, high) = (edge(m), edge(m + 1), edge(m + 2));
            let (rising, falling) =
                ((frequency - low) / (middle - low), (high - frequency) / (high - middle));
            rising.min(falling).max(0.0) as f32
        }));
    }
    filters
}

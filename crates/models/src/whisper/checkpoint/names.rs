//! Canonical names and shapes of Whisper's tensors, and their names in other formats.

use crate::whisper::Config;

/// Canonical name of a tensor in a Hugging Face file: the same, except for models saved without their language model head.
pub(super) fn from_hugging_face(name: &str) -> String {
    if name.starts_with("encoder.") || name.starts_with("decoder.") {
        format!("model.{name}")
    } else {
        name.to_owned()
    }
}

/// Canonical name of a tensor of openai-whisper or whisper.cpp; `None` if it is not a weight.
pub(super) fn from_openai(name: &str) -> Option<String> {
    let (side, rest) = name.split_once('.')?;
    if !matches!(side, "encoder" | "decoder") {
        return None;
    }
    if rest == "positional_embedding" {
        return Some(format!("model.{side}.embed_positions.weight"));
    }
    let (module, kind) = rest.rsplit_once('.')?;
    let module = match module {
        "conv1" | "conv2" => module.to_owned(),
        "ln_post" | "ln" => "layer_norm".to_owned(),
        "token_embedding" => "embed_tokens".to_owned(),
        _ => {
            let (layer, part) = module.strip_prefix("blocks.")?.split_once('.')?;
            let part = match part {
                "attn_ln" => "self_attn_layer_norm",
                "cross_attn_ln" => "encoder_attn_layer_norm",
                "mlp_ln" => "final_layer_norm",
                "mlp.0" => "fc1",
                "mlp.2" => "fc2",
                "attn.query" => "self_attn.q_proj",
                "attn.key" => "self_attn.k_proj",
                "attn.value" => "self_attn.v_proj",
                "attn.out" => "self_attn.out_proj",
                "cross_attn.query" => "encoder_attn.q_proj",
                "cross_attn.key" => "encoder_attn.k_proj",
                "cross_attn.value" => "encoder_attn.v_proj",
                "cross_attn.out" => "encoder_attn.out_proj",
                _ => return None,
            };
            format!("layers.{layer}.{part}")
        }
    };
    Some(format!("model.{side}.{module}.{kind}"))
}

/// Canonical names of the parts that a CTranslate2 variable splits into, row-wise and equally large; `None` for a part that is
/// dropped (the bias of the keys, which Whisper does not have and CTranslate2 stores as zeros). Empty if it is not a weight.
pub(super) fn from_ctranslate2(name: &str) -> Vec<Option<String>> {
    let parts: Vec<&str> = name.split('/').collect();
    let [side @ ("encoder" | "decoder"), rest @ ..] = parts.as_slice() else { return vec![] };
    let one = |name: String| vec![Some(format!("model.{side}.{name}"))];
    match *rest {
        [conv @ ("conv1" | "conv2"), kind @ ("weight" | "bias")] => one(format!("{conv}.{kind}")),
        ["position_encodings", "encodings"] => one("embed_positions.weight".into()),
        ["embeddings", "weight"] => one("embed_tokens.weight".into()),
        ["projection", "weight"] => vec![Some("proj_out.weight".into())],
        ["layer_norm", kind] => norm(kind).map_or(vec![], |kind| one(format!("layer_norm.{kind}"))),
        [layer, block, "layer_norm", kind] => {
            let norms = match block {
                "self_attention" => "self_attn_layer_norm",
                "attention" => "encoder_attn_layer_norm",
                "ffn" => "final_layer_norm",
                _ => return vec![],
            };
            match (layer.strip_prefix("layer_"), norm(kind)) {
                (Some(layer), Some(kind)) => one(format!("layers.{layer}.{norms}.{kind}")),
                _ => vec![],
            }
        }
        [layer, block, linear, kind @ ("weight" | "bias")] => {
            let Some(layer) = layer.strip_prefix("layer_") else { return vec![] };
            let targets: &[&str] = match (block, linear) {
                ("self_attention", "linear_0") => {
                    &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
                }
                ("self_attention", "linear_1") => &["self_attn.out_proj"],
                ("attention", "linear_0") => &["encoder_attn.q_proj"],
                ("attention", "linear_1") => &["encoder_attn.k_proj", "encoder_attn.v_proj"],
                ("attention", "linear_2") => &["encoder_attn.out_proj"],
                ("ffn", "linear_0") => &["fc1"],
                ("ffn", "linear_1") => &["fc2"],
                _ => return vec![],
            };
            let kept = |target: &&&str| kind == "weight" || !target.ends_with("k_proj");
            let target = |target: &&str| format!("model.{side}.layers.{layer}.{target}.{kind}");
            targets.iter().map(|name| Some(name).filter(kept).map(target)).collect()
        }
        _ => vec![],
    }
}

fn norm(kind: &str) -> Option<&'static str> {
    match kind {
        "gamma" => Some("weight"),
        "beta" => Some("bias"),
        _ => None,
    }
}

/// All tensors that a model of these sizes has, with their shapes. `proj_out.weight` is optional and not listed.
pub(super) fn expected(config: &Config) -> Vec<(String, Vec<usize>)> {
    let (width, ffn) = (config.width, config.ffn_width);
    let mut all = vec![
        ("model.encoder.conv1.weight".to_owned(), vec![width, config.n_mels, 3]),
        ("model.encoder.conv1.bias".to_owned(), vec![width]),
        ("model.encoder.conv2.weight".to_owned(), vec![width, width, 3]),
        ("model.encoder.conv2.bias".to_owned(), vec![width]),
        ("model.encoder.embed_positions.weight".to_owned(), vec![config.audio_positions, width]),
        ("model.decoder.embed_positions.weight".to_owned(), vec![config.text_positions, width]),
        ("model.decoder.embed_tokens.weight".to_owned(), vec![config.vocab_size, width]),
    ];
    let mut norm = |name: String| {
        all.push((format!("{name}.weight"), vec![width]));
        all.push((format!("{name}.bias"), vec![width]));
    };
    for (side, layers) in [("encoder", config.encoder_layers), ("decoder", config.decoder_layers)] {
        norm(format!("model.{side}.layer_norm"));
        for layer in 0..layers {
            let prefix = format!("model.{side}.layers.{layer}");
            norm(format!("{prefix}.self_attn_layer_norm"));
            norm(format!("{prefix}.final_layer_norm"));
            if side == "decoder" {
                norm(format!("{prefix}.encoder_attn_layer_norm"));
            }
        }
    }
    for (side, layers) in [("encoder", config.encoder_layers), ("decoder", config.decoder_layers)] {
        let attentions: &[&str] =
            if side == "decoder" { &["self_attn", "encoder_attn"] } else { &["self_attn"] };
        for layer in 0..layers {
            let prefix = format!("model.{side}.layers.{layer}");
            for attention in attentions {
                for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                    all.push((format!("{prefix}.{attention}.{projection}.weight"), vec![width, width]));
                    if projection != "k_proj" {
                        all.push((format!("{prefix}.{attention}.{projection}.bias"), vec![width]));
                    }
                }
            }
            all.push((format!("{prefix}.fc1.weight"), vec![ffn, width]));
            all.push((format!("{prefix}.fc1.bias"), vec![ffn]));
            all.push((format!("{prefix}.fc2.weight"), vec![width, ffn]));
            all.push((format!("{prefix}.fc2.bias"), vec![width]));
        }
    }
    all
}

//! The encoder: one window of log-mel frames to states that the decoder attends to.

use std::iter;

use mynah_core::{JobContext, ModelError};
use mynah_kernels::Epilogue;
use mynah_kernels::attention::{KeyValues, Queries, Span, attend_spans};

use super::Config;
use super::key_values::{AudioKeyValues, Layout, POOL_ENCODER};
use super::weights::{EncoderLayer, Linear, Weights};

/// Receives each layer's keys and values, in order.
pub(super) type OnKeyValues<'a> = &'a mut dyn FnMut(Layout, &[f32], &[f32]);

/// States of a window, `[frames / 2, width]`: a position for every 20 ms.
///
/// `mel` is `[n_mels, frames]` with an even number of frames, at most two for each of the model's positions. `trailing` has
/// each layer's stored keys and values for the positions after these.
///
/// # Errors
/// [`ModelError::Cancelled`], checked before each step: the convolutions, and each layer's four products.
pub(super) fn encode(
    weights: &Weights,
    config: &Config,
    mel: &[f32],
    trailing: Option<&[AudioKeyValues]>,
    mut keep: Option<OnKeyValues<'_>>,
    context: JobContext<'_>,
) -> Result<Vec<f32>, ModelError> {
    let encoder = &weights.encoder;
    let (width, n_mels) = (config.width, config.n_mels);
    let frames = mel.len() / n_mels;
    let positions = frames / 2;
    let mut x = vec![0.0; positions * width];
    {
        let _permit = context.step()?;
        // Frames in order, with a frame of zeros at either end as the convolutions' padding.
        let mut padded = vec![0.0; (frames + 2) * n_mels];
        for (m, band) in mel.chunks_exact(frames).enumerate() {
            for (t, value) in band.iter().enumerate() {
                padded[(t + 1) * n_mels + m] = *value;
            }
        }
        let mut halfway = vec![0.0; (frames + 2) * width];
        convolve(&encoder.conv1, &padded, frames, n_mels, &mut halfway[width..]);
        convolve(&encoder.conv2, &halfway, positions, 2 * width, &mut x);
    }
    for (x, position) in x.iter_mut().zip(&encoder.positions) {
        *x += position;
    }
    let mut buffers = Buffers {
        normed: vec![0.0; positions * width],
        qkv: vec![0.0; positions * 3 * width],
        hidden: vec![0.0; positions * config.ffn_width],
    };
    for (l, layer) in encoder.layers.iter().enumerate() {
        run_layer(layer, config, positions, trailing.map(|b| &b[l]), &mut x, &mut buffers, context)?;
        if let Some(keep) = &mut keep {
            let head_dim = width / config.encoder_heads;
            let layout =
                Layout { heads: config.encoder_heads, head_dim, positions, stride: 3 * width, pool: 1 };
            let (keys, values) = (&buffers.qkv[width..], &buffers.qkv[2 * width..]);
            keep(layout, keys, values);
        }
    }
    encoder.norm.apply(&x, &mut buffers.normed);
    Ok(buffers.normed)
}

struct Buffers {
    normed: Vec<f32>,
    qkv: Vec<f32>,
    hidden: Vec<f32>,
}

/// GELU of a convolution of width 3: `rows` outputs; consecutive ones read the input `stride` numbers apart.
fn convolve(weights: &Linear, input: &[f32], rows: usize, stride: usize, out: &mut [f32]) {
    let epilogue = Epilogue::bias_gelu(&weights.bias);
    weights.weight.apply_strided(input, rows, stride, out, weights.weight.outputs(), &epilogue);
}

fn run_layer(
    layer: &EncoderLayer,
    config: &Config,
    positions: usize,
    trailing: Option<&AudioKeyValues>,
    x: &mut [f32],
    buffers: &mut Buffers,
    context: JobContext<'_>,
) -> Result<(), ModelError> {
    let (width, heads) = (config.width, config.encoder_heads);
    let head_dim = width / heads;
    let Buffers { normed, qkv, hidden } = buffers;
    {
        let _permit = context.step()?;
        layer.attention.norm.apply(x, normed);
        layer.attention.qkv.apply(normed, positions, qkv);
    }
    {
        let _permit = context.step()?;
        attend(heads, head_dim, positions, trailing, qkv, normed);
        layer.attention.out.apply_add(normed, positions, x);
    }
    {
        let _permit = context.step()?;
        layer.feed_forward.norm.apply(x, normed);
        layer.feed_forward.fc1.apply_gelu(normed, positions, hidden);
    }
    let _permit = context.step()?;
    layer.feed_forward.fc2.apply_add(hidden, positions, x);
    Ok(())
}

/// Attention of `qkv`'s positions, `[positions, 3 * heads * head_dim]`, to themselves and to the `trailing` ones.
fn attend(
    heads: usize,
    head_dim: usize,
    positions: usize,
    trailing: Option<&AudioKeyValues>,
    qkv: &[f32],
    out: &mut [f32],
) {
    let width = heads * head_dim;
    let kv = KeyValues::<f32>::pack(heads, head_dim, positions, &qkv[width..], &qkv[2 * width..], 3 * width);
    let queries = Queries { data: qkv, rows: positions, stride: 3 * width };
    let own = Span { kv: (&kv).into(), positions: 0..positions, count: 1 };
    let trailing = trailing.map(|kv| kv.after(positions, POOL_ENCODER));
    let spans: Vec<Span<'_>> = iter::once(own).chain(trailing).collect();
    attend_spans(queries, (head_dim as f32).sqrt().recip(), &spans, out);
}

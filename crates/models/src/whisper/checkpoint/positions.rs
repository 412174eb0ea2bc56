//! The encoder's positional embedding, for checkpoints that do not store it.

use mynah_weights::Tensors;

/// Encoder positions of every Whisper model: 30 s at 20 ms per position.
const AUDIO_POSITIONS: usize = 1500;
/// Above the width of any model; limits the computation that a damaged file can cause.
const MAX_WIDTH: usize = 1 << 14;

/// Computes the encoder's positional embedding if it is not stored.
pub(super) fn add(tensors: &mut Tensors) {
    const POSITIONS: &str = "model.encoder.embed_positions.weight";
    if tensors.shape(POSITIONS).is_none()
        && let Some(&[width, ..]) = tensors.shape("model.encoder.conv1.weight")
        && width <= MAX_WIDTH
    {
        let values = sinusoids(AUDIO_POSITIONS, width);
        tensors.insert_f32(POSITIONS.into(), vec![AUDIO_POSITIONS, width], &values);
    }
}

/// The encoder's positional embedding, `[positions, width]`: sines, then cosines, of wavelengths from 2 pi to
/// 10000 * 2 pi in geometric progression.
fn sinusoids(positions: usize, width: usize) -> Vec<f32> {
    let half = width / 2;
    let step = f64::ln(10_000.0) / (half.max(2) - 1) as f64;
    let angle =
        |position: usize, index: usize| position as f64 * (-step * (index % half.max(1)) as f64).exp();
    let value = |position, index| match index {
        _ if index < half => angle(position, index).sin() as f32,
        _ => angle(position, index - half).cos() as f32,
    };
    (0..positions).flat_map(|position| (0..width).map(move |index| value(position, index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinusoids_are_of_wavelengths_in_geometric_progression() {
        // Of eight channels, the last wavelength is 10000 times the first.
        let values = sinusoids(11, 8);
        assert_eq!(values[8 * 10 + 3], (10.0 / 10_000f64).sin() as f32);
        assert_eq!(values[8 * 10 + 7], (10.0 / 10_000f64).cos() as f32);
    }
}

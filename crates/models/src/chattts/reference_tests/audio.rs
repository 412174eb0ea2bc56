//! Mel decoder, DVAE and Vocos.

use super::fixture::{codebooks, floats, load, model};
use super::*;
use crate::chattts::mel_decoder::MELS;
use crate::chattts::vocos::BINS;

/// Collects what stages make.
fn collect(stages: &mut Vec<Vec<f32>>) -> impl FnMut(&[f32]) {
    |x| stages.push(x.to_vec())
}

#[test]
fn hidden_states_become_mel_spectra() {
    let model = model();
    let hidden = transposed(&floats("decoder.hidden"), 64);
    let mut stages = Vec::new();
    let mel = model.decoder.run(&mut model.decoder.stream(), &hidden, true, &mut collect(&mut stages));
    for (stage, name) in stages.iter().zip(["conv_in", "block0", "block1"]) {
        let expected = transposed(&floats(&format!("decoder.{name}")), 48);
        assert_close(name, stage, &expected, TOLERANCE);
    }
    assert_close("mel", &mel, &transposed(&floats("decoder.mel"), MELS), TOLERANCE);
}

#[test]
fn mel_spectra_become_samples() {
    let model = model();
    let mel = transposed(&floats("vocos.mel"), MELS);
    let mut stages = Vec::new();
    let samples = model.vocos.run(&mut model.vocos.stream(), &mel, true, &mut collect(&mut stages));
    assert_eq!(stages.len(), 5);
    for (stage, name) in stages.iter().zip(["embed_norm", "block0", "block1"]) {
        assert_close(name, stage, &transposed(&floats(&format!("vocos.{name}")), 48), TOLERANCE);
    }
    assert_close("backbone", &stages[3], &floats("vocos.backbone"), TOLERANCE);
    assert_close("head", &stages[4], &transposed(&floats("vocos.head_out"), 2 * BINS), TOLERANCE);
    assert_close("samples", &samples, &floats("vocos.wav"), TOLERANCE);
}

#[test]
fn codes_become_samples_by_the_dvae() {
    let model = model();
    let codes = codebooks("dvae_decode.codes");
    let dvae = model.dvae_decoder().unwrap();
    let features = dvae.features(&codes);
    assert_close("features", &features, &transposed(&floats("dvae_decode.gfsq"), 80), TOLERANCE);
    let mut stages = Vec::new();
    let mel = dvae.mel.run(&mut dvae.mel.stream(), &features, true, &mut collect(&mut stages));
    assert_close("conv_in", &stages[0], &transposed(&floats("dvae_decode.conv_in"), 32), TOLERANCE);
    assert_close("block1", &stages[2], &transposed(&floats("dvae_decode.block1"), 32), TOLERANCE);
    assert_close("mel", &mel, &transposed(&floats("dvae_decode.mel"), MELS), TOLERANCE);
    assert_close("samples", &model.decode_codes(&codes).unwrap(), &floats("dvae_decode.wav"), TOLERANCE);
    assert!(matches!(model.decode_codes(&[[625, 0, 0, 0]]), Err(ModelError::InvalidInput(_))));
}

#[test]
fn recordings_become_codes() {
    let encoder = model().dvae_encoder().unwrap();
    let mut stages = Vec::new();
    let codes = encoder.encode_stages(&floats("dvae_encode.wav"), &mut collect(&mut stages)).unwrap();
    for (stage, (name, width)) in
        stages.iter().zip([("log_mel", MELS), ("downsampled", 40), ("encoder_out", 80)])
    {
        assert_close(name, stage, &transposed(&floats(&format!("dvae_encode.{name}")), width), TOLERANCE);
    }
    assert_eq!(stages.len(), 3);
    assert_eq!(codes, codebooks("dvae_encode.codes"));
    assert!(matches!(encoder.encode(&[0.0; 1024]), Err(ModelError::InvalidInput(_))));
}

#[test]
fn pieces_of_any_size_are_the_whole() {
    let hidden = transposed(&floats("decoder.hidden"), 64);
    for compute in [ComputeType::F32, ComputeType::Int8] {
        let model = load(compute);
        let whole = model.audio_decoder().push(&hidden, true);
        assert_eq!(whole.len(), 53 * 512 - 256);
        for steps in [1, 5, 16, 52, 53] {
            let mut audio_decoder = model.audio_decoder();
            let count = hidden.len().div_ceil(steps * 64);
            let pieces: Vec<_> = hidden
                .chunks(steps * 64)
                .enumerate()
                .map(|(i, piece)| audio_decoder.push(piece, i + 1 == count))
                .collect();
            let joined = pieces.concat();
            assert_eq!(joined.len(), whole.len());
            let off = joined.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-4, "{compute:?}, {steps} steps at a time: off by {off}");
            // Samples come before the end, if the receptive field allows it.
            assert!(steps > 16 || pieces[..count - 1].iter().any(|piece| !piece.is_empty()));
        }
        // Nothing in gives nothing out.
        assert!(model.audio_decoder().push(&[], true).is_empty());
    }
}

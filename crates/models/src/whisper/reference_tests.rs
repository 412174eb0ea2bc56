//! Compares the forward pass with that of Hugging Face transformers, on tiny random models.

mod tiny_whisper;

use std::cell::RefCell;
use std::sync::LazyLock;

use flate2::Crc;
use mynah_core::{CancelFlag, ComputeType, JobContext, StepScheduler};
use mynah_weights::Dtype;
use tempfile::TempDir;

use super::checkpoint::{Checkpoint, Format};
use super::{Whisper, encoder};
use crate::whisper::EncoderContext;

use tiny_whisper::{Fixture, Variant, fixture};

/// The context of a job that is never cancelled and never waits.
fn unscheduled() -> JobContext<'static> {
    static NEVER: LazyLock<CancelFlag> = LazyLock::new(CancelFlag::new);
    JobContext::unscheduled(&NEVER)
}

fn folder(variant: &Variant) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    variant.write(folder.path());
    folder
}

/// Calls `check` with each model at one precision.
fn each_model(compute: ComputeType, check: impl Fn(&Fixture, &Variant, &Whisper)) {
    let fixture = fixture();
    for variant in &fixture.variants {
        let folder = folder(variant);
        check(&fixture, variant, &Whisper::load(folder.path(), compute).unwrap());
    }
}

/// Fails where `found` is further than `tolerance` from `expected`, naming the worst index.
fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let difference = |index: usize| (found[index] - expected[index]).abs();
    let worst = (0..found.len()).max_by(|&a, &b| difference(a).total_cmp(&difference(b))).unwrap();
    let (found, expected) = (found[worst], expected[worst]);
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: number {worst} is {found} and should be {expected}"
    );
}

/// Every `step`-th number of each row.
fn sampled(values: &[f32], row: usize, step: usize) -> Vec<f32> {
    values.chunks(row).flat_map(|row| row.iter().step_by(step)).copied().collect()
}

fn log_sum_exp(logits: &[f32]) -> f32 {
    logits.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln() as f32
}

#[test]
fn weights_match_those_of_the_reference() {
    for variant in fixture().variants {
        let folder = folder(&variant);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert_eq!(checkpoint.format, Format::Safetensors);
        assert_eq!(checkpoint.tokenizer.vocab_size(), variant.vocab_size);
        assert_eq!(checkpoint.config.ffn_width, variant.ffn_width);
        let mut crc = Crc::new();
        for name in checkpoint.tensors.names() {
            let (dtype, bytes) = checkpoint.tensors.raw(name).unwrap().unwrap();
            // Positions that are not stored are computed, as f32.
            if dtype == Dtype::F16 {
                crc.update(&bytes);
            }
        }
        assert_eq!(crc.sum(), variant.weights_crc32, "{}", variant.name);
    }
}

#[test]
fn encoder_states_match_transformers() {
    each_model(ComputeType::F32, |fixture, variant, whisper| {
        let mel = variant.mel(fixture.frames);
        let states =
            encoder::encode(&whisper.model.weights, &whisper.model.config, &mel, None, None, unscheduled())
                .unwrap();
        let rows: Vec<f32> = fixture
            .positions
            .iter()
            .flat_map(|&position| states[position * variant.width..(position + 1) * variant.width].to_vec())
            .collect();
        let found = sampled(&rows, variant.width, fixture.state_step);
        assert_close(&variant.name, &found, &variant.encoder_states, 2e-4);
    });
}

#[test]
fn logits_match_transformers_at_every_precision() {
    // Logits have a deviation of about 2. The weights are f16 numbers, so that f16 rounds only the cross-attention's
    // keys and values.
    for (compute, tolerance) in
        [(ComputeType::F32, 5e-4), (ComputeType::F16, 5e-3), (ComputeType::Int8, 0.25)]
    {
        each_model(compute, |fixture, variant, whisper| {
            let name = format!("{} {compute:?}", variant.name);
            let mut window = whisper
                .backend()
                .encode(&variant.mel(fixture.frames), EncoderContext::Full, unscheduled())
                .unwrap();
            let all: Vec<usize> = (0..variant.tokens.len()).collect();
            let logits = window.prefill(&variant.tokens, &all).unwrap();
            let found = sampled(&logits, variant.vocab_size, fixture.vocabulary_step);
            assert_close(&name, &found, &variant.logits, tolerance);
            let sums: Vec<f32> = logits.chunks(variant.vocab_size).map(log_sum_exp).collect();
            assert_close(&name, &sums, &variant.log_sum_exp, tolerance / 10.0);
            if compute != ComputeType::Int8 {
                let best =
                    |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32;
                let best: Vec<u32> = logits.chunks(variant.vocab_size).map(best).collect();
                assert_eq!(best, variant.best_tokens, "{name}");
            }
        });
    }
}

#[test]
fn steps_equal_feeding_all_tokens_at_once() {
    each_model(ComputeType::F32, |fixture, variant, whisper| {
        let mut window = whisper
            .backend()
            .encode(&variant.mel(fixture.frames), EncoderContext::Full, unscheduled())
            .unwrap();
        let (prompt, rest) = variant.tokens.split_at(3);
        let mut found = sampled(
            &window.prefill(prompt, &[0, 1, 2]).unwrap(),
            variant.vocab_size,
            fixture.vocabulary_step,
        );
        for (index, &token) in rest.iter().enumerate() {
            // Two equal rows from the second step on; the last is looked at.
            window.reorder(if index == 0 {
                &[0]
            } else if index == 1 {
                &[0, 0]
            } else {
                &[1, 0]
            });
            let rows = if index == 0 { 1 } else { 2 };
            let logits = window.step(&vec![token; rows]).unwrap();
            let last = &logits[(rows - 1) * variant.vocab_size..];
            found.extend(sampled(last, variant.vocab_size, fixture.vocabulary_step));
        }
        assert_close(&variant.name, &found, &variant.logits, 5e-4);
    });
}

#[test]
fn the_scheduler_records_how_many_rows_a_step_has() {
    #[derive(Default)]
    struct Rows(RefCell<Vec<usize>>);

    impl StepScheduler for Rows {
        fn record_step(&self, rows: usize) {
            self.0.borrow_mut().push(rows);
        }
    }

    let (fixture, cancel, scheduler) = (fixture(), CancelFlag::new(), Rows::default());
    let variant = &fixture.variants[0];
    let folder = folder(variant);
    let whisper = Whisper::load(folder.path(), ComputeType::F32).unwrap();
    let context = JobContext { cancel: &cancel, scheduler: &scheduler };
    let mut window =
        whisper.backend().encode(&variant.mel(fixture.frames), EncoderContext::Full, context).unwrap();
    window.prefill(&variant.tokens[..3], &[2]).unwrap();
    scheduler.0.borrow_mut().clear();
    for rows in [1, 3, 2] {
        window.reorder(&vec![0; rows]);
        window.step(&vec![variant.tokens[3]; rows]).unwrap();
    }
    assert_eq!(*scheduler.0.borrow(), [1, 3, 2]);
}

#[test]
fn alignment_matches_transformers() {
    each_model(ComputeType::F32, |fixture, variant, whisper| {
        let mut window = whisper
            .backend()
            .encode(&variant.mel(fixture.frames), EncoderContext::Full, unscheduled())
            .unwrap();
        let alignment = window.align(&variant.tokens, fixture.alignment_frames).unwrap();
        assert_eq!(
            (alignment.heads, alignment.tokens, alignment.frames),
            (variant.alignment_heads, variant.tokens.len(), fixture.alignment_frames)
        );
        let found = sampled(&alignment.weights, alignment.frames, fixture.alignment_step);
        assert_close(&variant.name, &found, &variant.alignment_weights, 1e-5);
        assert_close(&variant.name, &alignment.next_logprobs, &variant.next_logprobs, 5e-4);
    });
}

/// Logits after a few tokens for the audio `mel`.
fn logits(whisper: &Whisper, mel: &[f32], window: EncoderContext, tokens: &[u32]) -> Vec<f32> {
    let mut decoder = whisper.backend().encode(mel, window, unscheduled()).unwrap();
    assert_eq!(decoder.is_trimmed(), window != EncoderContext::Full);
    decoder.prefill(tokens, &[tokens.len() - 1]).unwrap()
}

#[test]
fn a_trimmed_window_of_padding_is_the_full_one() {
    for variant in &fixture().variants {
        let mut whisper = Whisper::load(folder(variant).path(), ComputeType::F32).unwrap();
        // The stored keys and values come from a window of padding, so for a clip of padding they are exact if neighbouring
        // positions are equal, which random positional embeddings are not.
        let positions = &mut whisper.model.weights.encoder.positions;
        for row in 1..positions.len() / variant.width {
            positions.copy_within(..variant.width, row * variant.width);
        }
        for frames in [1, 333, 1000] {
            let mel = vec![super::padding::PADDING; variant.n_mels * frames];
            let [full, trimmed, wide] =
                [EncoderContext::Full, EncoderContext::Trimmed, EncoderContext::TrimmedWide]
                    .map(|window| logits(&whisper, &mel, window, &variant.tokens));
            for part in [trimmed, wide] {
                // At the end of the window the convolutions read zeros, so its last position differs from the others.
                assert_close(&format!("{} with {frames} frames", variant.name), &part, &full, 2e-3);
            }
        }
    }
}

#[test]
fn padding_is_cached_for_the_next_process_and_computed_again_for_another_checkpoint() {
    let fixture = fixture();
    let cache = tempfile::tempdir().unwrap();
    let variant = &fixture.variants[0];
    let checkpoint = folder(variant);
    let load = || {
        let whisper = Whisper::load(checkpoint.path(), ComputeType::F16).unwrap();
        whisper.with_padding_cache(cache.path(), checkpoint.path())
    };
    let mel = vec![0.5; variant.n_mels * 200];
    let logits = |whisper: &Whisper| logits(whisper, &mel, EncoderContext::Trimmed, &variant.tokens);
    let cached = || {
        let files: Vec<_> =
            std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    };

    let computed = logits(&load());
    let first = std::fs::metadata(cached()).unwrap().modified().unwrap();
    assert_eq!(logits(&load()), computed, "read back");
    assert_eq!(std::fs::metadata(cached()).unwrap().modified().unwrap(), first, "not written again");

    // A truncated file is replaced.
    let whole = std::fs::read(cached()).unwrap();
    std::fs::write(cached(), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(logits(&load()), computed);
    assert_eq!(std::fs::read(cached()).unwrap().len(), whole.len());

    // So is one of a checkpoint whose files have changed.
    let added = checkpoint.path().join("notes.txt");
    std::fs::write(added, "changed").unwrap();
    assert_eq!(logits(&load()), computed);
    assert_ne!(std::fs::read(cached()).unwrap(), whole, "another identity");

    // Without a writable cache folder it works as well.
    let whisper = Whisper::load(checkpoint.path(), ComputeType::F16).unwrap();
    let nowhere = cache.path().join("notes.txt/below");
    std::fs::write(cache.path().join("notes.txt"), "").unwrap();
    assert_eq!(logits(&whisper.with_padding_cache(&nowhere, checkpoint.path())), computed);
}

//! A folder as a Whisper checkpoint of any format, sharded or not, with the vocabulary beside it.

use mynah_core::{
    AudioContext, CancelFlag, ComputeType, JobContext, TranscribeOptions, Transcriber, WhisperOptions,
};
use mynah_models::whisper::Whisper;
use mynah_models::whisper::checkpoint::Checkpoint;

/// Number of tensors whose numbers are read.
const MOST_TENSORS: usize = 40;

/// Opens the folder, reads tensors, and transcribes a short noise if the model loads.
pub fn run(input: &[u8]) {
    let folder = super::folder::unpack(input);
    let checkpoint = match Checkpoint::open(folder.path()) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    for name in checkpoint.tensors.names().take(MOST_TENSORS) {
        let shape = checkpoint.tensors.shape(name).expect("a tensor that is listed has a shape");
        if let Ok(values) = checkpoint.tensors.read_f32(name) {
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{name} {shape:?}");
        }
    }
    drop(checkpoint);
    let compute = [ComputeType::Int8, ComputeType::F16, ComputeType::F32][input.len() % 3];
    let Ok(whisper) = Whisper::load(folder.path(), compute) else { return };
    let noise: Vec<f32> =
        (0..1600_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32 / 4096.0 - 0.5).collect();
    let options = TranscribeOptions {
        whisper: WhisperOptions {
            temperatures: vec![0.0],
            beam_size: 2,
            audio_context: AudioContext::Trimmed,
            ..WhisperOptions::default()
        },
        ..TranscribeOptions::default()
    };
    let cancel = CancelFlag::new();
    let _ = whisper.transcribe(noise[..].into(), &options, JobContext::unscheduled(&cancel), &mut ());
}

//! Speech models: one folder per family. Weights are shared and immutable; all state is in sessions.
//!
//! A model is loaded from a checkpoint on disk, runs synchronously on the thread that calls it (its kernels spread over the
//! pool of `mynah-kernels`) and does not depend on queues, downloads or HTTP. It implements a trait of `mynah-core` directly.
//! [`registry`] is the table of all families. `longform` and `batching` are used by any of them.

mod batching;
pub mod chattts;
mod error;
pub mod hibari;
pub mod joiner;
pub mod longform;
pub mod whisper;

use std::sync::Arc;

use mynah_core::{ModelFamily, Registry};

/// All families.
pub fn registry() -> Registry {
    let families: [Arc<dyn ModelFamily>; 3] =
        [Arc::new(chattts::ChatTtsFamily), Arc::new(hibari::HibariFamily), Arc::new(whisper::WhisperFamily)];
    Registry::new(families)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mynah_core::ModelError;
    use mynah_testkit::weight_files::{self, Numbers};

    use super::*;

    /// Names and contents.
    type Files<'a> = &'a [(&'a str, &'a [u8])];

    /// The detected family of `path` in a folder with these files.
    fn family(files: Files<'_>, path: &str) -> Result<Option<&'static str>, ModelError> {
        let folder = tempfile::tempdir().unwrap();
        for (file, bytes) in files {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        let registry = registry();
        let found = registry.detect(&folder.path().join(path));
        found.map(|family| family.map(ModelFamily::name))
    }

    #[test]
    fn every_checkpoint_is_detected_as_its_family() {
        let with_tensor =
            |name: &str| weight_files::safetensors(&[(name.to_owned(), vec![1], vec![0.0])], Numbers::F32);
        let (whisper, other) =
            (with_tensor("model.decoder.embed_tokens.weight"), with_tensor("lm_head.weight"));
        let (whisper, other) = (whisper.as_slice(), other.as_slice());
        let published: Files<'_> = &[("asset/gpt/model.safetensors", b""), ("asset/Embed.safetensors", b"")];
        let older: Files<'_> = &[("asset/GPT.pt", b""), ("asset/Vocos.pt", b"")];
        let of_whisper: &[u8] = br#"{"model_type": "whisper"}"#;
        let of_llama: &[u8] = br#"{"model_type": "llama"}"#;
        let cases: [(Files<'_>, &str, Option<&str>); 12] = [
            (&[("model.safetensors", b""), ("config.json", of_whisper)], "", Some("whisper")),
            (&[("model.safetensors", whisper), ("config.json", b"{}")], "", Some("whisper")),
            (&[("model.safetensors", whisper)], "", Some("whisper")),
            (&[("model.safetensors", whisper), ("config.json", of_llama)], "", None),
            (&[("model.safetensors", other)], "", None),
            (published, "", Some("ChatTTS")),
            (published, "asset", Some("ChatTTS")),
            (older, "", Some("ChatTTS")),
            (older, "asset", Some("ChatTTS")),
            (&[("hibari.onnx", b""), ("g2p.onnx", b"")], "", Some("hibari")),
            (&[("mine.onnx", b"")], "mine.onnx", Some("hibari")),
            (&[("notes.txt", b"")], "", None),
        ];
        for (files, path, expected) in cases {
            let names: Vec<_> = files.iter().map(|(name, _)| name).collect();
            assert_eq!(family(files, path).unwrap(), expected, "{names:?} {path}");
        }
    }

    #[test]
    fn unreadable_weights_are_reported_as_damaged() {
        let refusal = |files, path| family(files, path).unwrap_err().to_string();
        assert!(refusal(&[("model.safetensors", b"")], "").contains("model.safetensors"));
        let two: Files<'_> = &[("ggml-tiny.bin", b""), ("ggml-base.bin", b"")];
        assert!(refusal(two, "").contains("name one of them"));
        assert!(refusal(two, "ggml-tiny.bin").contains("ggml-tiny.bin"));
    }
}

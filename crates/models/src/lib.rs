//! Speech models: one folder a family. Weights are shared and immutable; all state lives in sessions.
//!
//! A model is loaded from a checkpoint on disk, runs synchronously on the thread that calls it (its kernels spread over the
//! pool of `mynah-kernels`) and knows nothing of queues, downloads or HTTP. It implements a trait of `mynah-core` itself.
//! [`registry`] is the table of all families. `longform` and `batching` serve any of them.

#![forbid(unsafe_code)]

mod batching;
pub mod chattts;
mod error;
pub mod hibari;
pub mod joiner;
pub mod longform;
pub mod whisper;

use std::sync::Arc;

use mynah_core::{ModelFamily, Registry};

/// All families, in the order in which they are asked whether a checkpoint is theirs. Whisper's is the last, as weights that
/// nothing else is known of count as its own.
pub fn registry() -> Registry {
    let families: [Arc<dyn ModelFamily>; 3] =
        [Arc::new(chattts::ChatTtsFamily), Arc::new(hibari::HibariFamily), Arc::new(whisper::WhisperFamily)];
    Registry::new(families)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_checkpoint_is_of_its_own_family() {
        for (files, path, family) in [
            (&["model.safetensors", "config.json"][..], "", Some("whisper")),
            (&["ggml-tiny.bin", "ggml-base.bin"], "", Some("whisper")),
            (&["ggml-tiny.bin"], "ggml-tiny.bin", Some("whisper")),
            (&["asset/gpt/model.safetensors", "asset/Embed.safetensors"], "", Some("ChatTTS")),
            (&["asset/gpt/model.safetensors", "asset/Embed.safetensors"], "asset", Some("ChatTTS")),
            (&["asset/GPT.pt", "asset/Vocos.pt"], "", Some("ChatTTS")),
            (&["asset/GPT.pt", "asset/Vocos.pt"], "asset", Some("ChatTTS")),
            (&["hibari.onnx", "g2p.onnx"], "", Some("hibari")),
            (&["mine.onnx"], "mine.onnx", Some("hibari")),
            (&["notes.txt"], "", None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for file in files {
                let file = folder.path().join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "").unwrap();
            }
            let registry = registry();
            let found = registry.detect(&folder.path().join(path)).map(ModelFamily::name);
            assert_eq!(found, family, "{files:?} {path}");
        }
    }
}

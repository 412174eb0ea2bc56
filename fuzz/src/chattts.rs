//! A folder as a ChatTTS checkpoint of either layout, with its side files.

use mynah_models::chattts::{ChatTts, LoadOptions};

/// Loads the folder.
pub fn run(input: &[u8]) {
    let folder = super::folder::unpack(input);
    let options = LoadOptions { voices: Some(folder.path().join("voices")), ..LoadOptions::default() };
    match ChatTts::load(folder.path(), &options) {
        Ok(model) => {
            for voice in ["default", "seed:7", "ann", "bob"] {
                let _ = model.voice(voice);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

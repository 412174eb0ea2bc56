//! Text as the name of a ChatTTS voice (speaker string, base64 of a saved tensor, seed, name), as encoded reference audio, and
//! as text to speak with tags.

use std::sync::LazyLock;

use mynah_core::CancelFlag;
use mynah_models::chattts::{
    ChatTts, LoadOptions, SpeakOptions, decode_sample, encode_sample, encode_speaker,
};

/// Longer text is an encoded speaker.
const LONGEST_NAME: usize = 400;

/// A tiny model with random weights.
static MODEL: LazyLock<ChatTts> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let vocabulary = include_bytes!("../../crates/models/tests/data/chattts/tokenizer.json");
    mynah_testkit::chattts::write(folder.path(), &mynah_testkit::chattts::TINY, vocabulary)
        .expect("a checkpoint");
    ChatTts::load(folder.path(), &LoadOptions::default()).expect("the model loads")
});

/// Takes the text for each of them.
pub fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(codes) = decode_sample(text) {
        assert_eq!(decode_sample(&encode_sample(&codes)).expect("what is written can be read"), codes);
    }
    let voice = MODEL.voice(text).ok();
    if let Some(speaker) = voice.as_ref().and_then(|voice| voice.speaker.as_ref()) {
        // Numbers that are none differ from themselves, hence strings.
        let written = encode_speaker(speaker);
        if written.chars().count() > LONGEST_NAME {
            let again = MODEL.voice(&written).expect("what is written can be read");
            assert_eq!(again.speaker.as_deref().map(encode_speaker), Some(written));
        }
    }
    let options = SpeakOptions { voice: voice.unwrap_or_default(), ..SpeakOptions::default() };
    match MODEL.begin(text, options, &CancelFlag::new()) {
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

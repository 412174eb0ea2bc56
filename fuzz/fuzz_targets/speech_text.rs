#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use mynah_text::english::{Dialect, G2p};

/// The front end of the built-in voice, in the folder that `MYNAH_FUZZ_VOICE` names, with a small letter-to-sound network
/// in the place of its own: that takes most of the time, and what it answers does not matter here. A voice of another
/// dialect or another release would do as well.
static VOICES: LazyLock<[G2p; 2]> = LazyLock::new(|| {
    let original =
        std::env::var_os("MYNAH_FUZZ_VOICE").expect("MYNAH_FUZZ_VOICE names the folder of a hibari voice");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for entry in Path::new(&original).read_dir().expect("the voice's folder") {
        let path = entry.expect("a file of the voice").path();
        let copy = folder.path().join(path.file_name().expect("a name"));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("onnx") => fs::write(copy, mynah_fuzz::letters::network(&path)).expect("a file"),
            _ => std::os::unix::fs::symlink(&path, copy).expect("a link"),
        }
    }
    let open = |dialect| G2p::open(folder.path(), dialect).expect("a voice");
    [open(Dialect::American), open(Dialect::British)]
});

libfuzzer_sys::fuzz_target!(
    // Reading the dictionaries takes longer than an input may.
    init: {
        LazyLock::force(&VOICES);
    },
    |input: &[u8]| mynah_fuzz::speech_text::run(input, &[&VOICES[0], &VOICES[1]])
);

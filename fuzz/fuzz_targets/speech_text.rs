#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use mynah_text::english::{Dialect, G2p};

/// The front end of the built-in voice, in the folder that `MYNAH_FUZZ_VOICE` names; a voice of another dialect or another
/// release would do as well.
static VOICES: LazyLock<[G2p; 2]> = LazyLock::new(|| {
    let folder =
        std::env::var_os("MYNAH_FUZZ_VOICE").expect("MYNAH_FUZZ_VOICE names the folder of a hibari voice");
    let open = |dialect| G2p::open(Path::new(&folder), dialect).expect("a voice");
    [open(Dialect::American), open(Dialect::British)]
});

libfuzzer_sys::fuzz_target!(
    // Reading the dictionaries takes longer than an input may.
    init: {
        LazyLock::force(&VOICES);
    },
    |input: &[u8]| mynah_fuzz::speech_text::run(input, &[&VOICES[0], &VOICES[1]])
);

#![no_main]

use std::panic;

/// Panics inside codec crates are errors to `decode`, which guards against them; ours are not.
fn abort_on_our_own_panics() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|place| place.file().contains("crates/audio")) {
            report(panic);
        }
    }));
}

libfuzzer_sys::fuzz_target!(init: abort_on_our_own_panics(), |input: &[u8]| mynah_fuzz::audio::run(input));

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mynah_fuzz::chattts::run(input));

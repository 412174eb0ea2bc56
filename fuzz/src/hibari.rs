//! A folder as a hibari voice: the network's ONNX file and the files of the English front end.

use std::fs::File;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use mynah_models::hibari::Hibari;
use mynah_text::english::{Dialect, G2p};

/// Opens both. Dictionaries are compressed here: damage to compressed data would only be detected by its checksum.
pub fn run(input: &[u8]) {
    let folder = super::folder::unpack(input);
    for name in ["tagger", "lexicon_us_gold", "lexicon_us_silver", "lexicon_gb_gold", "lexicon_gb_silver"] {
        pack(&folder.path().join(name).with_extension("json"));
    }
    match Hibari::load(folder.path()) {
        Ok(voice) => assert!(voice.voices().count() > 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for dialect in [Dialect::American, Dialect::British] {
        match G2p::open(folder.path(), dialect) {
            Ok(g2p) => {
                for text in ["Hello there, it's 12 o'clock.", "xqzzt", "the A-list read [w](/wˈɜɹd/)"] {
                    let _ = g2p.phonemes(text);
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn pack(path: &Path) {
    let Ok(mut file) = File::open(path) else { return };
    let packed = File::create(path.with_extension("json.gz")).expect("a file");
    let mut encoder = GzEncoder::new(packed, Compression::fast());
    // A folder of that name has nothing to read.
    let _ = std::io::copy(&mut file, &mut encoder);
}

//! English for a voice: sentences, spoken words, phonemes.
//!
//! Text passes three stages. [`sentences()`] cuts it where a reader would breathe; [`normalise()`] writes a sentence the
//! way it is spoken ("$3.50" is "three dollars and fifty cents"); [`G2p`] turns it into phonemes with stress, each
//! word with the place in the text it came from. [`G2p::utterances`] runs all three, piece by piece, within a voice's
//! limit.
//!
//! Dictionaries, part-of-speech weights and the network for unknown words belong to the voice and are read from its
//! folder; nothing of them is in the program. Every input is either spoken or refused with an [`Error`].

mod files;
mod g2p;
mod heteronyms;
mod lexicon;
mod normalise;
mod sentences;
mod stress;
mod table;
mod tagger;
mod tokenise;
mod unknown;
mod utterances;
mod word_lists;

use std::path::PathBuf;

pub use g2p::{G2p, Phonemised};
pub use normalise::spoken as normalise;
pub use sentences::{Sentence, Sentences, sentences};
pub use utterances::{Utterance, Utterances};

/// The English that is spoken: sounds, number words ("one hundred and five") and the order of dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// General American; 3/4 is March the fourth.
    #[default]
    American,
    /// Southern British; 3/4 is the third of April.
    British,
}

/// Why text could not be turned into phonemes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A word in letters that English does not use.
    #[error("the text has {script} letters (\"{sample}\"), which an English voice cannot read")]
    OtherScript {
        /// The word, at most 32 characters of it.
        sample: String,
        /// The script's English name, such as "Cyrillic".
        script: &'static str,
    },
    /// Nothing in the text can be said: it is empty, or holds only marks and pictures.
    #[error("the text has no words to speak")]
    NothingToSay,
    /// A file of the voice could not be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the voice does not hold what it should.
    #[error("{path} is not a front-end file of an English voice: {reason}")]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

//! English with the real dictionaries, tagger and networks of the built-in voice.

use std::sync::OnceLock;

use mynah_text::english::{Dialect, Error, G2p, Phonemised, Utterance};

use crate::voice;

fn american() -> &'static G2p {
    static G2P: OnceLock<G2p> = OnceLock::new();
    G2P.get_or_init(|| G2p::open(voice::folder(), Dialect::American).unwrap())
}

fn british() -> &'static G2p {
    static G2P: OnceLock<G2p> = OnceLock::new();
    G2P.get_or_init(|| G2p::open(voice::folder(), Dialect::British).unwrap())
}

fn said(g2p: &G2p, text: &str) -> String {
    g2p.phonemes(text).unwrap().iter().map(|word| word.phonemes.as_str()).collect()
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

#[test]
fn sentences_sound_as_the_voice_was_taught() {
    let mut failures = Vec::new();
    for row in rows(include_str!("../data/english_phonemes.tsv")) {
        for (g2p, expected) in [(american(), row[1]), (british(), row[2])] {
            let phonemes = said(g2p, row[0]);
            if phonemes != expected {
                failures.push(format!("{}\n  expected {expected}\n  said     {phonemes}", row[0]));
            }
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn heteronyms_sound_by_their_role() {
    let mut failures = Vec::new();
    for row in rows(include_str!("../data/english_heteronyms.tsv")) {
        let (wanted, nth) = row[1].split_once(' ').unwrap();
        let words = american().phonemes(row[0]).unwrap();
        let nth: usize = nth.parse().unwrap();
        let found = words.iter().filter(|word| word.word.eq_ignore_ascii_case(wanted)).nth(nth - 1);
        let phonemes = found.map_or("nothing", |word| word.phonemes.trim());
        if phonemes != row[2] {
            failures.push(format!("{}: {wanted} expected {}, said {phonemes}", row[0], row[2]));
        }
    }
    assert!(failures.is_empty(), "{} wrong:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn words_keep_their_place() {
    let text = "It cost $3.50 — “cheap”, Dr. O’Neil said [Mynah](/mˈInə/).";
    let words = american().phonemes(text).unwrap();
    for word in &words {
        assert_eq!(&text[word.range.clone()], word.word);
    }
    assert!(words.is_sorted_by(|a, b| a.range.end <= b.range.start), "{words:#?}");
    let spoken: Vec<&str> =
        words.iter().filter(|word| word.is_spoken()).map(|word| word.word.as_str()).collect();
    assert_eq!(spoken, ["It", "cost", "$3.50", "cheap", "Dr.", "O’Neil", "said", "Mynah"]);
    let price = words.iter().find(|word| word.word == "$3.50").unwrap();
    assert_eq!(price.phonemes, "θɹˈi dˈɑləɹz ænd fˈɪfti sˈɛnts ");
    assert_eq!(words[words.len() - 2].phonemes, "mˈInə");
}

#[test]
fn unknown_words_of_any_length_are_said() {
    assert_eq!(said(american(), "Blorvikant."), "blˈɔɹvɪkənt.");
    let long = "flurbington".repeat(40);
    let words = american().phonemes(&long).unwrap();
    assert_eq!(words.len(), 1);
    assert!(words[0].phonemes.chars().count() > 300);
    let utterances: Vec<_> = american().utterances(&long, 100).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(utterances.len() > 3);
    assert_eq!(utterances.iter().map(Utterance::phonemes).collect::<String>(), words[0].phonemes);
}

#[test]
fn what_cannot_be_said_is_refused() {
    for (text, expected) in [
        ("Привет, мир", "Cyrillic"),
        ("Hello 東京", "Chinese"),
        ("ありがとう", "Japanese"),
        ("안녕하세요", "Korean"),
        ("مرحبا", "Arabic"),
        ("Γειά σου", "Greek"),
        ("नमस्ते", "Devanagari"),
        ("٣", "Arabic"),
    ] {
        let Err(Error::OtherScript { script, sample }) = american().utterances(text, 400).map(|_| ()) else {
            panic!("{text} was not refused");
        };
        assert_eq!(script, expected, "{text} {sample}");
    }
    for text in ["", "  \n", "...", "🎉🎉", "“”", "*** --- ***", "()"] {
        assert!(matches!(american().utterances(text, 400), Err(Error::NothingToSay)), "{text:?}");
    }
}

#[test]
fn utterances_fit_the_voice_and_cover_the_text() {
    let sentence =
        "The quick brown fox, which had been waiting since 1984, jumps over 27 lazy dogs; nobody minds";
    let text = format!("{sentence}.\n\n{}.\n\nThe end.", [sentence; 12].join(", and "));
    let utterances: Vec<_> = american().utterances(&text, 400).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(utterances.iter().all(|utterance| utterance.phonemes().chars().count() <= 400));
    assert!(utterances.len() > 4);
    assert_eq!(utterances.iter().filter(|utterance| utterance.ends_paragraph).count(), 3);
    let words: Vec<&Phonemised> =
        utterances.iter().flat_map(|utterance| &utterance.words).filter(|word| word.is_spoken()).collect();
    let read: Vec<&str> = words.iter().map(|word| word.word.as_str()).collect();
    let written: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    assert_eq!(read, written);
    assert!(words.iter().all(|word| text[word.range.clone()] == word.word));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(600))]
    #[test]
    fn any_text_is_spoken_or_refused(
        text in "\\PC{0,60}|[ -~\n]{0,120}|[0-9$€£%.,:/'\"°xX+= –—−-]{0,40}|([A-Za-z]{1,3}[.'’-]?[0-9]{0,3} ?){0,20}|[\\[\\]()/a-z ˈə]{0,30}",
        british_voice in proptest::bool::ANY,
    ) {
        let g2p = if british_voice { british() } else { american() };
        match g2p.utterances(&text, 50) {
            Ok(utterances) => {
                let mut end = 0;
                for utterance in utterances {
                    let utterance = utterance.unwrap();
                    proptest::prop_assert!(utterance.words.iter().any(Phonemised::is_spoken));
                    proptest::prop_assert!(utterance.phonemes().chars().count() <= 50);
                    proptest::prop_assert!(!utterance.phonemes().chars().any(|c| c.is_ascii_digit()));
                    for word in &utterance.words {
                        proptest::prop_assert_eq!(&text[word.range.clone()], &word.word);
                        proptest::prop_assert!(word.range.start >= end || word.range.end >= end);
                        end = word.range.end;
                    }
                }
            }
            Err(Error::OtherScript { sample, .. }) => proptest::prop_assert!(!sample.is_ascii()),
            Err(Error::NothingToSay) => {}
            Err(other) => proptest::prop_assert!(false, "{}", other),
        }
    }
}

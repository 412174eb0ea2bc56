//! Sentence to phonemes: tokens, tags, dictionaries, the network for unknown words, and the stress of compounds.
//!
//! The order of work and the rules for compounds are misaki's (hexgrad, Apache-2.0). A sentence is read from its end
//! to its start, as "the", "a", "to" and others sound by what follows them.

use std::ops::Range;
use std::path::Path;

use super::heteronyms::{self, Sense};
use super::lexicon::{Context, Lexicon};
use super::normalise::{self, Normalised, Reading};
use super::stress::{self, Stress};
use super::tagger::Tagger;
use super::tokenise::{Tokeniser, subtokens};
use super::unknown::Unknown;
use super::{Dialect, Error};

/// Marks the voices know as pauses and intonation.
const PAUSES: &str = ";:,.!?—…";
/// Characters that join the parts of a compound without a sound.
const SILENT_JOINTS: &str = "',-._‘’/";

/// A word of the text and how it sounds, or a mark of punctuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phonemised {
    /// The text it was read from, as written.
    pub word: String,
    /// Where that stands in the input, in bytes.
    pub range: Range<usize>,
    /// Phonemes with stress marks, and the space that follows, if one does. All of a sentence in order make up the
    /// string a voice is given.
    pub phonemes: String,
}

impl Phonemised {
    /// Whether it has a sound; otherwise it is punctuation.
    pub fn is_spoken(&self) -> bool {
        self.phonemes.chars().any(char::is_alphabetic)
    }
}

/// Grapheme-to-phoneme conversion for the English voices, in misaki's phoneme alphabet.
pub struct G2p {
    tokeniser: Tokeniser,
    tagger: Tagger,
    lexicon: Lexicon,
    unknown: Unknown,
    dialect: Dialect,
}

/// A piece of a sentence on its way to sound.
#[derive(Clone, Debug)]
struct Token<'t> {
    text: String,
    tag: &'t str,
    /// Whether whitespace follows.
    space: bool,
    phonemes: Option<String>,
    /// Whether a space goes before its phonemes inside a compound.
    apart: bool,
    /// Where it stands in the normalised text.
    range: Range<usize>,
}

impl G2p {
    /// Reads the front-end files in a voice's folder: `lexicon_{us,gb}_{gold,silver}.json.gz`, `tagger.json.gz`,
    /// `tokenizer_exceptions.json`, and `oov.onnx` with `oov.json` (`oov_gb` for British voices).
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`] name the file that is missing or broken.
    pub fn open(folder: &Path, dialect: Dialect) -> Result<Self, Error> {
        let network = match dialect {
            Dialect::American => "oov.onnx",
            Dialect::British => "oov_gb.onnx",
        };
        Ok(Self {
            tokeniser: Tokeniser::open(&folder.join("tokenizer_exceptions.json"))?,
            tagger: Tagger::open(&folder.join("tagger.json.gz"))?,
            lexicon: Lexicon::open(folder, dialect)?,
            unknown: Unknown::open(&folder.join(network))?,
            dialect,
        })
    }

    /// The dialect spoken.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The words of a sentence with their phonemes. A sentence without anything to say gives an empty list.
    ///
    /// # Errors
    /// [`Error::OtherScript`] if a word is not in Latin letters.
    pub fn phonemes(&self, sentence: &str) -> Result<Vec<Phonemised>, Error> {
        let normalised = normalise::normalise(sentence, self.dialect)?;
        let tokens = self.pronounce(self.tokens(&normalised));
        let mut words: Vec<Phonemised> = Vec::new();
        for token in tokens {
            let mut phonemes = playable(token.phonemes.as_deref().unwrap_or_default());
            if token.space {
                phonemes.push(' ');
            }
            let range = normalised.source(&token.range);
            let spoken = phonemes.chars().any(char::is_alphabetic);
            match words.last_mut() {
                // One written word can be read as several ("$5"), which share its place; a sign without a sound
                // leaves only its space.
                Some(last) if !spoken && phonemes.trim().is_empty() => {
                    if !phonemes.is_empty() && !last.phonemes.ends_with(' ') {
                        last.phonemes.push(' ');
                    }
                }
                Some(last) if spoken && last.is_spoken() && range.start < last.range.end => {
                    last.phonemes.push_str(&phonemes);
                    last.range.end = last.range.end.max(range.end);
                }
                None if phonemes.trim().is_empty() => {}
                _ => words.push(Phonemised { word: String::new(), range, phonemes }),
            }
        }
        for word in &mut words {
            sentence[word.range.clone()].clone_into(&mut word.word);
        }
        if let Some(last) = words.last_mut() {
            last.phonemes.truncate(last.phonemes.trim_end().len());
        }
        if words.iter().any(Phonemised::is_spoken) { Ok(words) } else { Ok(Vec::new()) }
    }

    /// Cuts and tags the text; what has its pronunciation already becomes one token.
    fn tokens(&self, normalised: &Normalised) -> Vec<Token<'_>> {
        let text = &normalised.text;
        let mut tokens: Vec<Token<'_>> = Vec::new();
        let mut plain = 0;
        for (range, reading) in &normalised.readings {
            self.add_plain(text, plain..range.start, &mut tokens);
            let phonemes = match reading {
                Reading::Phonemes(phonemes) => Some(phonemes.clone()),
                Reading::Letters => Some(self.spell(&text[range.clone()])),
            };
            tokens.push(Token {
                // Spelled letters stand apart in the text; the tagger knows them as one word.
                text: text[range.clone()].replace(' ', ""),
                tag: "",
                space: text[range.end..].starts_with(' '),
                phonemes,
                apart: false,
                range: range.clone(),
            });
            plain = range.end;
        }
        self.add_plain(text, plain..text.len(), &mut tokens);
        let words: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        let tags = self.tagger.tag(&words);
        let words: Vec<heteronyms::Word<'_>> =
            words.into_iter().zip(&tags).map(|(text, tag)| heteronyms::Word { text, tag }).collect();
        let senses: Vec<Option<Sense>> = (0..words.len())
            .map(|at| heteronyms::sense(&words, at, self.dialect, |word| self.lexicon.varies(word)))
            .collect();
        for ((token, tag), sense) in tokens.iter_mut().zip(tags).zip(senses) {
            token.tag = tag;
            match sense {
                Some(Sense::Tag(tag)) => token.tag = tag,
                Some(Sense::Phonemes(phonemes)) if token.phonemes.is_none() => {
                    token.phonemes = Some(phonemes.to_owned());
                }
                _ => {}
            }
        }
        tokens
    }

    /// Letters with spaces between, and perhaps a plural's or possessive's ending.
    fn spell(&self, letters: &str) -> String {
        let stem = letters.strip_suffix("'s");
        let names = stem.unwrap_or(letters);
        let phonemes = self.lexicon.spelled(names).unwrap_or_else(|| self.unknown.phonemes(names));
        if stem.is_some() { self.lexicon.with_s(phonemes) } else { phonemes }
    }

    fn add_plain(&self, text: &str, range: Range<usize>, tokens: &mut Vec<Token<'_>>) {
        for token in self.tokeniser.tokens(&text[range.clone()]) {
            let token = range.start + token.start..range.start + token.end;
            tokens.push(Token {
                text: text[token.clone()].to_owned(),
                tag: "",
                space: text[token.end..].starts_with(char::is_whitespace),
                phonemes: None,
                apart: false,
                range: token,
            });
        }
    }

    /// Gives every token its phonemes; the parts of compounds come back joined.
    fn pronounce<'t>(&self, tokens: Vec<Token<'t>>) -> Vec<Token<'t>> {
        let mut compounds = compounds(tokens);
        let mut context = Context::default();
        for compound in compounds.iter_mut().rev() {
            if let [token] = compound.as_mut_slice() {
                if token.phonemes.is_none() {
                    token.phonemes = Some(self.word(token, context));
                }
                context = following(context, token);
            } else {
                self.compound(compound, &mut context);
            }
        }
        compounds.into_iter().map(joined).collect()
    }

    fn word(&self, token: &Token<'_>, context: Context) -> String {
        self.lexicon.phonemes(&token.text, token.tag, context).unwrap_or_else(|| self.sound_out(&token.text))
    }

    /// Looks up the longest known runs of a compound's parts, from its end.
    fn compound(&self, parts: &mut [Token<'_>], context: &mut Context) {
        let (mut left, mut right) = (0, parts.len());
        while left < right {
            let run = &parts[left..right];
            let known = if run.iter().any(|part| part.phonemes.is_some()) {
                None
            } else {
                let whole = merged(run);
                let phonemes = self.lexicon.phonemes(&whole.text, whole.tag, *context);
                phonemes.map(|phonemes| Token { phonemes: Some(phonemes), ..whole })
            };
            if let Some(whole) = known {
                *context = following(*context, &whole);
                for part in &mut parts[left..right] {
                    part.phonemes = Some(String::new());
                }
                parts[left].phonemes = whole.phonemes;
                (left, right) = (0, left);
            } else if left + 1 < right {
                left += 1;
            } else {
                right -= 1;
                left = 0;
                let part = &mut parts[right];
                if part.phonemes.is_none() {
                    if !part.text.chars().all(|c| SILENT_JOINTS.contains(c)) {
                        let sounded = self.sound_out(&merged(parts).text);
                        for part in parts.iter_mut() {
                            part.phonemes = Some(String::new());
                        }
                        parts[0].phonemes = Some(sounded);
                        return;
                    }
                    part.phonemes = Some(String::new());
                }
            }
        }
        balance(parts);
    }

    /// Reads an unknown word, or the words that a chunk with marks inside is made of.
    fn sound_out(&self, chunk: &str) -> String {
        let is_inside = |c: char| c.is_alphabetic() || c == '\'' || c == '’';
        let pieces: Vec<String> = chunk
            .split(|c| !is_inside(c))
            .map(|word| self.unknown.phonemes(word.trim_matches(['\'', '’'])))
            .filter(|phonemes| !phonemes.is_empty())
            .collect();
        pieces.join(" ")
    }
}

/// Cuts tokens into parts and groups those that no space divides.
fn compounds(tokens: Vec<Token<'_>>) -> Vec<Vec<Token<'_>>> {
    let mut groups: Vec<Vec<Token<'_>>> = Vec::new();
    // Whether the last group can still grow.
    let mut open = false;
    for token in tokens {
        if token.phonemes.is_some() {
            groups.push(vec![token]);
            open = false;
            continue;
        }
        let parts = subtokens(&token.text);
        let count = parts.len();
        for (i, part) in parts.into_iter().enumerate() {
            let mut part = Token {
                text: token.text[part.clone()].to_owned(),
                space: token.space && i + 1 == count,
                range: token.range.start + part.start..token.range.start + part.end,
                ..token.clone()
            };
            if count == 1 {
                part.phonemes = punctuation(&part.text, part.tag);
            }
            let continues = !part.space;
            if part.phonemes.is_some() {
                open = false;
                groups.push(vec![part]);
            } else if let Some(group) = groups.last_mut().filter(|_| open) {
                group.push(part);
                open = continues;
            } else {
                groups.push(vec![part]);
                open = continues;
            }
        }
    }
    groups
}

/// What a mark of punctuation becomes; none for words and for what joins their parts. Marks are known by themselves,
/// as the tagger is not sure of quotes; hyphens and apostrophes only by their tag.
fn punctuation(text: &str, tag: &str) -> Option<String> {
    match (text, tag) {
        ("-" | "–", ":") => return Some("—".to_owned()),
        ("'" | "''", "``") => return Some("“".to_owned()),
        ("'" | "''", "''") => return Some("”".to_owned()),
        _ => {}
    }
    if text.chars().any(|c| c.is_alphanumeric() || SILENT_JOINTS.contains(c) && c != '.' && c != ',') {
        return None;
    }
    let known = text.chars().filter_map(|c| match c {
        '[' | '{' => Some('('),
        ']' | '}' => Some(')'),
        '"' if tag == "``" => Some('“'),
        '"' | '„' | '«' | '»' => Some('”'),
        '“' | '”' | '(' | ')' => Some(c),
        c if PAUSES.contains(c) => Some(c),
        _ => None,
    });
    Some(known.collect())
}

/// What the word before `token` needs to know of it.
fn following(context: Context, token: &Token<'_>) -> Context {
    let sound = token.phonemes.as_deref().unwrap_or_default().chars().find_map(|c| {
        if PAUSES.contains(c) {
            Some(None)
        } else if stress::is_vowel(c) {
            Some(Some(true))
        } else {
            stress::is_consonant(c).then_some(Some(false))
        }
    });
    Context {
        next_is_vowel: sound.unwrap_or(context.next_is_vowel),
        next_is_to: matches!(token.text.as_str(), "to" | "To")
            || token.text == "TO" && matches!(token.tag, "TO" | "IN"),
    }
}

/// The parts as one token without phonemes; its tag is that of the part with the most capitals and letters.
fn merged<'t>(parts: &[Token<'t>]) -> Token<'t> {
    let mut text = String::new();
    for (i, part) in parts.iter().enumerate() {
        text.push_str(&part.text);
        if part.space && i + 1 < parts.len() {
            text.push(' ');
        }
    }
    let prominence = |token: &Token<'_>| -> usize {
        let is_capital = |c: char| c.to_lowercase().next() != Some(c);
        token.text.chars().map(|c| if is_capital(c) { 2 } else { 1 }).sum()
    };
    let mut head = &parts[0];
    for part in parts {
        if prominence(part) > prominence(head) {
            head = part;
        }
    }
    let last = &parts[parts.len() - 1];
    Token {
        text,
        tag: head.tag,
        space: last.space,
        phonemes: None,
        apart: parts[0].apart,
        range: parts[0].range.start..last.range.end,
    }
}

/// The parts as one token with all their phonemes.
fn joined(parts: Vec<Token<'_>>) -> Token<'_> {
    let mut phonemes = String::new();
    for part in &parts {
        let sound = part.phonemes.as_deref().unwrap_or_default();
        if part.apart && !phonemes.is_empty() && !phonemes.ends_with(' ') && !sound.is_empty() {
            phonemes.push(' ');
        }
        phonemes.push_str(sound);
    }
    Token { phonemes: Some(phonemes.replace('ɾ', "T").replace('ʔ', "t")), ..merged(&parts) }
}

/// The stress of a compound's parts: words joined by more than a hyphen stand apart; in others one half gives way.
fn balance(parts: &mut [Token<'_>]) {
    let text = merged(parts).text;
    let mut kinds = [false; 3];
    for c in text.chars().filter(|c| !SILENT_JOINTS.contains(*c)) {
        kinds[if c.is_alphabetic() {
            0
        } else if c.is_ascii_digit() {
            1
        } else {
            2
        }] = true;
    }
    let apart = text.contains([' ', '/']) || kinds.iter().filter(|kind| **kind).count() > 1;
    for part in parts.iter_mut().skip(1) {
        if part.phonemes.is_some() {
            part.apart = apart;
        }
    }
    if apart {
        return;
    }
    let mut stressed: Vec<(bool, usize, usize)> = parts
        .iter()
        .enumerate()
        .filter_map(|(i, part)| {
            let phonemes = part.phonemes.as_deref().filter(|phonemes| !phonemes.is_empty())?;
            Some((phonemes.contains(stress::PRIMARY), stress::weight(phonemes), i))
        })
        .collect();
    let reduce = |part: &mut Token<'_>| {
        let phonemes = part.phonemes.as_deref().unwrap_or_default();
        part.phonemes = Some(stress::apply(phonemes, Stress::Reduce));
    };
    if let [(_, _, first), (_, _, second)] = stressed[..]
        && parts[first].text.chars().count() == 1
    {
        reduce(&mut parts[second]);
        return;
    }
    let primaries = stressed.iter().filter(|(primary, ..)| *primary).count();
    if stressed.len() < 2 || primaries <= stressed.len().div_ceil(2) {
        return;
    }
    stressed.sort_unstable();
    for (_, _, i) in &stressed[..stressed.len() / 2] {
        reduce(&mut parts[*i]);
    }
}

/// Leaves out what the voices have no symbol for (the network was taught some marks of its teacher's).
fn playable(phonemes: &str) -> String {
    phonemes
        .chars()
        .filter_map(|c| match c {
            'ʀ' => Some('ɹ'),
            '-' | '1' => None,
            c => Some(c),
        })
        .collect()
}

//! Written English to spoken words.
//!
//! A sentence is first made of uniform characters, then read once from left to right. Where a word or a sign starts,
//! the rules are asked in order; the first that knows the text there says it in words, and the rest stays as it is.
//! Every byte of the result remembers the text it came from.

mod abbreviations;
mod calendar;
mod clean;
mod codes;
mod mapped;
mod money;
mod numbers;
mod quantity;
mod roman;
mod spoken;
mod symbols;
mod telephone;
mod units;
mod web;

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

pub(super) use clean::check_script;
use mapped::Mapped;
use spoken::{Place, Rule, Spoken};

use super::{Dialect, Error};

/// Rules for words that start with a digit, a sign or an apostrophe before digits.
const NUMERIC: &[Rule] = &[
    web::address,
    calendar::numeric_date,
    calendar::time,
    calendar::day_month,
    telephone::telephone,
    telephone::dotted,
    money::amount,
    quantity::feet_and_angles,
    quantity::decade,
    quantity::ordinal,
    quantity::fraction,
    quantity::quantity,
    codes::mixed,
    quantity::digits,
];

/// Rules for words that start with a letter.
const VERBAL: &[Rule] = &[
    web::address,
    web::dotted_name,
    calendar::month_day,
    money::amount,
    codes::pair_of_initials,
    codes::mixed,
    roman::numeral,
    abbreviations::abbreviation,
    codes::initials,
    symbols::greek,
];

/// Rules for signs.
const SIGNS: &[Rule] =
    &[web::address, web::tag, money::amount, quantity::quantity, quantity::decade, symbols::sign];

/// `[text](target)` as in Markdown; a target of phonemes between slashes is how the text sounds.
static LINK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^!?\[([^\[\]]+)\]\((/[^()]*/|[^()\s]*)\)").unwrap());
/// Marks of references in encyclopedias.
static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\[(?:\d{1,3}|citation needed)\]").unwrap());
static SMILEY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:[:;=8][-']?[)(DPpOo/|*\]\[]|<3|\^_\^|[xX]D)(?:$|[ .,!?])").unwrap());

/// Phonemes that voices of this family know (Kokoro's inventory).
const PHONEMES: &str =
    "AIOQSTWYabcdefhijklmnopqrstuvwxyzæçðøŋœɐɑɒɔɕɖəɚɛɜɟɡɣɤɥɨɪɯɰɲɳɴɸɹɻɽɾʁʂʃʈʊʋʌʎʒʔʝʣʤʥʦʧʨʰʲˈˌː̃βθχᵊᵝᵻꭧ ";

/// A sentence in spoken words.
#[derive(Debug, Default)]
pub(super) struct Normalised {
    /// Words and punctuation, no digits.
    pub(super) text: String,
    /// The parts of `text` whose sound is settled already, in order.
    pub(super) readings: Vec<(Range<usize>, Reading)>,
    words: Mapped,
    cleaned: Mapped,
}

/// How a part of a normalised text is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Letter by letter; the text has spaces between the letters.
    Letters,
    /// As the writer said.
    Phonemes(String),
}

impl Normalised {
    /// The place in the original sentence of a range of `text`.
    pub(super) fn source(&self, range: &Range<usize>) -> Range<usize> {
        self.cleaned.source(&self.words.source(range))
    }
}

/// The words in which a sentence is spoken, with its punctuation: "$3.50" is "three dollars and fifty cents".
///
/// Letters to be spelled stand apart ("F B I" for "FBI" where the dictionaries cannot know).
///
/// # Errors
/// [`Error::OtherScript`] if a word is not in Latin letters.
pub fn spoken(sentence: &str, dialect: Dialect) -> Result<String, Error> {
    normalise(sentence, dialect).map(|normalised| normalised.text)
}

pub(super) fn normalise(sentence: &str, dialect: Dialect) -> Result<Normalised, Error> {
    check_script(sentence)?;
    let cleaned = clean::clean(sentence);
    let mut output = Output { shouting: is_shouted(&cleaned.text), ..Output::default() };
    read(&cleaned.text, 0, dialect, &mut output);
    Ok(Normalised {
        text: output.words.text.clone(),
        readings: output.readings,
        words: output.words,
        cleaned,
    })
}

/// Reads `text` from byte `at` to its end.
fn read(text: &str, mut at: usize, dialect: Dialect, output: &mut Output) {
    while let Some(first) = text[at..].chars().next() {
        let place = Place { text, at, dialect };
        at += if let Some(len) = link(&place, output).or_else(|| output.optional_plural(&place)) {
            len
        } else if let Some((len, spoken)) = apply(&place, first) {
            output.say(&spoken, at..at + len);
            len
        } else {
            output.keep(&place, first)
        };
    }
}

/// The first rule that knows what stands here.
fn apply(place: &Place<'_>, first: char) -> Option<(usize, Spoken)> {
    let inside_word = place.previous_char().is_some_and(char::is_alphanumeric);
    let smiley = SMILEY.find(place.rest()).filter(|_| !inside_word);
    if let Some(smiley) = smiley {
        let len = smiley.as_str().trim_end_matches([' ', '.', ',', '!', '?']).len();
        return Some((len, Spoken::default()));
    }
    let rules = if first.is_ascii_digit()
        || first == '.' && place.rest()[1..].starts_with(|c: char| c.is_ascii_digit())
    {
        NUMERIC
    } else if first.is_alphabetic() && !"μΩ".contains(first) {
        if inside_word {
            return None;
        }
        VERBAL
    } else if first == '\'' {
        return if inside_word { None } else { quantity::decade(place) };
    } else if first == '(' || first == '+' && !inside_word {
        return telephone::telephone(place).or_else(|| SIGNS.iter().find_map(|rule| rule(place)));
    } else {
        SIGNS
    };
    rules.iter().find_map(|rule| rule(place)).filter(|(len, _)| *len > 0)
}

/// A link or an inline pronunciation.
fn link(place: &Place<'_>, output: &mut Output) -> Option<usize> {
    if !place.rest().starts_with(['[', '!']) {
        return None;
    }
    if let Some(found) = REFERENCE.find(place.rest())
        && place.previous_char().is_some_and(|c| c != ' ')
    {
        return Some(found.len());
    }
    let found = LINK.captures(place.rest())?;
    let label = &found[1];
    let sound = found[2].strip_prefix('/').and_then(|sound| sound.strip_suffix('/'));
    let phonemes = sound.map(str::trim).filter(|sound| {
        !sound.is_empty()
            && sound.chars().all(|c| PHONEMES.contains(c))
            && sound.chars().any(char::is_alphabetic)
    });
    let start = place.at + place.rest().find(label)?;
    output.separate(place.at..place.at + 1);
    let from = output.words.text.len();
    match phonemes {
        Some(phonemes) => {
            output.words.push(label, start..start + label.len());
            output.readings.push((from..output.words.text.len(), Reading::Phonemes(phonemes.to_owned())));
            output.after_words = true;
        }
        None => read(&place.text[..start + label.len()], start, place.dialect, output),
    }
    Some(found[0].len())
}

/// Whether a sentence is written in capitals throughout, so that they do not mean initials.
fn is_shouted(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphabetic() && c != '\'').filter(|word| word.chars().count() > 1);
    let (mut all, mut capitals) = (0, 0);
    for word in words {
        all += 1;
        capitals += usize::from(word == word.to_uppercase());
    }
    all >= 3 && capitals * 10 >= all * 8
}

/// The sentence as far as it has been read.
#[derive(Default)]
struct Output {
    words: Mapped,
    readings: Vec<(Range<usize>, Reading)>,
    /// Whether the last thing was said by a rule, so that letters may not follow directly.
    after_words: bool,
    /// Whether a straight quote is open.
    quoted: bool,
    shouting: bool,
}

impl Output {
    /// Adds what a rule said.
    fn say(&mut self, spoken: &Spoken, source: Range<usize>) {
        if spoken.text.is_empty() {
            // What has no sound still parts words.
            self.after_words = true;
            return;
        }
        if spoken.text.starts_with(char::is_alphanumeric) {
            self.separate(source.start..source.start);
        } else if spoken.text != "—" {
            self.trim_space();
        }
        let offset = self.words.text.len();
        self.words.push(&spoken.text, source);
        self.readings.extend(
            spoken.letters.iter().map(|range| (range.start + offset..range.end + offset, Reading::Letters)),
        );
        self.after_words = spoken.text.ends_with(char::is_alphanumeric);
    }

    /// "character(s)" is read in the plural.
    fn optional_plural(&mut self, place: &Place<'_>) -> Option<usize> {
        let ending = ["(s)", "(es)"].into_iter().find(|ending| place.rest().starts_with(ending))?;
        let after_word = !self.after_words && self.words.text.ends_with(char::is_alphabetic);
        after_word.then(|| {
            self.words.push(ending.trim_matches(['(', ')']), place.at..place.at + ending.len());
            ending.len()
        })
    }

    /// Adds text as it stands, a run of letters or one other character; returns its length.
    fn keep(&mut self, place: &Place<'_>, first: char) -> usize {
        let rest = place.rest();
        if first == ' ' {
            if !self.words.text.is_empty() && !self.words.text.ends_with(' ') {
                self.words.push(" ", place.at..place.at + 1);
            }
            return 1;
        }
        let len = if first.is_alphabetic() {
            rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        if first.is_alphabetic() {
            if self.after_words && !self.words.text.ends_with(['-', '\'']) {
                self.separate(place.at..place.at);
            }
        } else if ",.;:!?…)".contains(first) {
            self.trim_space();
        }
        let kept = &rest[..len];
        for (i, c) in kept.char_indices() {
            let at = place.at + i;
            let mut buffer = [0; 4];
            if self.shouting && kept.chars().nth(1).is_some() {
                let lower: String = c.to_lowercase().collect();
                self.words.push(&lower, at..at + c.len_utf8());
            } else if c == '"' {
                self.quoted = !self.quoted;
                self.words.push(if self.quoted { "“" } else { "”" }, at..at + 1);
            } else {
                self.words.push(c.encode_utf8(&mut buffer), at..at + c.len_utf8());
            }
        }
        self.after_words = false;
        len
    }

    /// A space, unless there is one or nothing stands before.
    fn separate(&mut self, source: Range<usize>) {
        if self.words.text.ends_with(char::is_alphanumeric)
            || self.after_words && !self.words.text.is_empty() && !self.words.text.ends_with(' ')
        {
            self.words.push(" ", source);
        }
    }

    /// Takes back a space before punctuation.
    fn trim_space(&mut self) {
        self.words.trim_end();
    }
}

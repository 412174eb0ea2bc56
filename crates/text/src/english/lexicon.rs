//! Pronunciations of known words: the voice's two dictionaries, the readings that depend on part of speech or on the
//! next sound, and the regular endings -s, -ed and -ing.
//!
//! The rules are those of misaki (hexgrad, Apache-2.0), by whose phonemes this family of voices was trained.

use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::files::{self, Pairs};
use super::stress::{self, PRIMARY, SECONDARY, Stress};
use super::table::StringTable;
use super::{Dialect, Error};

/// Words the voices' dictionaries lack that our own normalisation writes: word, American, British.
const OWN_WORDS: &[(&str, &str, &str)] =
    &[("etcetera", "ɛtsˈɛɾəɹə", "ɛtsˈɛtəɹə"), ("mynah", "mˈInə", "mˈInə")];

/// What a word is to the sentence: as much of it as readings depend on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    /// Whether the next sound is a vowel; none before a pause or the end.
    pub(super) next_is_vowel: Option<bool>,
    /// Whether the next word is "to".
    pub(super) next_is_to: bool,
}

/// One dictionary: word to phonemes, or to phonemes by part of speech.
struct Dictionary {
    words: StringTable,
    entries: Vec<Entry>,
}

enum Entry {
    Always(Box<str>),
    /// Part of speech (or `DEFAULT`, or `None` for "before a pause") and phonemes; an empty string means spelled out.
    ByTag(Box<[(String, String)]>),
}

impl Dictionary {
    fn open(path: &Path) -> Result<Self, Error> {
        let Pairs(entries) = files::json(path)?;
        let (words, entries) = StringTable::build(entries);
        Ok(Self { words, entries })
    }

    /// A word's entry; a lower-case word also finds its capitalised form and the other way round.
    fn get(&self, word: &str) -> Option<&Entry> {
        let find = |word: &str| self.words.find(word).map(|index| &self.entries[index]);
        find(word).or_else(|| {
            let lower = word.to_lowercase();
            let capitalised = capitalise(&lower);
            if word.chars().nth(1).is_none() || capitalised == lower {
                None
            } else if word == lower {
                find(&capitalised)
            } else if word == capitalised {
                find(&lower)
            } else {
                None
            }
        })
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Phonemes;
        impl<'de> Visitor<'de> for Phonemes {
            type Value = Entry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("phonemes, or a map from part of speech to phonemes")
            }

            fn visit_str<E>(self, phonemes: &str) -> Result<Entry, E> {
                Ok(Entry::Always(phonemes.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
                let mut readings = Vec::new();
                while let Some((tag, phonemes)) = map.next_entry::<String, Option<String>>()? {
                    readings.push((tag, phonemes.unwrap_or_default()));
                }
                Ok(Entry::ByTag(readings.into()))
            }
        }
        deserializer.deserialize_any(Phonemes)
    }
}

/// The dictionaries of one dialect and the rules over them.
pub(super) struct Lexicon {
    /// Checked by people.
    gold: Dictionary,
    /// Collected by machine.
    silver: Dictionary,
    british: bool,
}

impl Lexicon {
    /// Reads `lexicon_{us,gb}_{gold,silver}.json.gz` in `folder`.
    pub(super) fn open(folder: &Path, dialect: Dialect) -> Result<Self, Error> {
        let country = match dialect {
            Dialect::American => "us",
            Dialect::British => "gb",
        };
        let open = |metal: &str| Dictionary::open(&folder.join(format!("lexicon_{country}_{metal}.json.gz")));
        Ok(Self { gold: open("gold")?, silver: open("silver")?, british: dialect == Dialect::British })
    }

    /// Phonemes of a token, none if it is unknown. `tag` is its Penn Treebank part of speech.
    pub(super) fn phonemes(&self, token: &str, tag: &str, context: Context) -> Option<String> {
        let word = token.replace(['‘', '’'], "'");
        let stress = if word == word.to_lowercase() {
            None
        } else if word == word.to_uppercase() {
            Some(Stress::Primary)
        } else {
            Some(Stress::AtLeastSecondary)
        };
        if let Some(phonemes) = self.function_word(&word, tag, stress, context) {
            return Some(phonemes);
        }
        let lower = word.to_lowercase();
        let word = if self.is_ordinary_word_in_capitals(&word, &lower, tag, context) { lower } else { word };
        if self.is_known(&word) {
            return self.look_up(&word, tag, stress, context);
        }
        if let Some(stem) = word.strip_suffix("s'") {
            let singular = format!("{stem}'s");
            if self.is_known(&singular) {
                return self.look_up(&singular, tag, stress, context);
            }
        }
        if let Some(stem) = word.strip_suffix('\'').filter(|stem| self.is_known(stem)) {
            return self.look_up(stem, tag, stress, context);
        }
        self.plural(&word, tag, stress, context)
            .or_else(|| self.past(&word, tag, stress, context))
            .or_else(|| self.gerund(&word, tag, stress.or(Some(Stress::AtLeastSecondary)), context))
            .or_else(|| {
                let (_, american, british) =
                    OWN_WORDS.iter().find(|(own, ..)| *own == word.to_lowercase())?;
                Some((*if self.british { british } else { american }).to_owned())
            })
    }

    /// Whether a word sounds by its part of speech.
    pub(super) fn varies(&self, word: &str) -> bool {
        matches!(self.gold.get(word), Some(Entry::ByTag(_)))
    }

    /// The names of the letters of `word`, stressed on the last; none if one has no name here.
    pub(super) fn spelled(&self, word: &str) -> Option<String> {
        let mut names = String::new();
        for letter in word.chars().filter(|c| c.is_alphabetic()) {
            match self.gold.get(&letter.to_uppercase().to_string())? {
                Entry::Always(name) => names.push_str(name),
                Entry::ByTag(_) => return None,
            }
        }
        let names = stress::apply(&names, Stress::Secondary);
        Some(match names.rsplit_once(SECONDARY) {
            Some((head, last)) => format!("{head}{PRIMARY}{last}"),
            None => names,
        })
    }

    /// Words whose reading the next sound or their role decides.
    fn function_word(
        &self,
        word: &str,
        tag: &str,
        stress: Option<Stress>,
        context: Context,
    ) -> Option<String> {
        let gold = |word: &str, wanted: &str| match self.gold.get(word)? {
            Entry::Always(phonemes) => Some(phonemes.to_string()),
            Entry::ByTag(readings) => {
                readings.iter().find(|(tag, _)| tag == wanted).map(|(_, phonemes)| phonemes.clone())
            }
        };
        let spelled_letters = word.trim_matches('.').contains('.')
            && word.chars().all(|c| c == '.' || c.is_alphabetic())
            && word.split('.').all(|part| part.chars().count() < 3);
        if spelled_letters {
            return self.spelled(word);
        }
        match word {
            "%" => self.look_up("percent", "", None, context),
            "&" => self.look_up("and", "", None, context),
            "+" => self.look_up("plus", "", None, context),
            "@" => self.look_up("at", "", None, context),
            "a" | "A" => Some(if tag == "DT" { "ɐ" } else { "ˈA" }.to_owned()),
            "AM" | "Am" | "am" if tag.starts_with("NN") => self.spelled(word),
            "am" if context.next_is_vowel.is_some() && stress.is_none() => Some("ɐm".to_owned()),
            "AM" | "Am" | "am" => gold("am", "DEFAULT"),
            "AN" if tag.starts_with("NN") => self.spelled(word),
            "AN" | "An" | "an" => Some("ɐn".to_owned()),
            "I" if tag == "PRP" => Some(format!("{SECONDARY}I")),
            "BY" | "By" | "by" if parent(tag) == "ADV" => Some("bˈI".to_owned()),
            "TO" if tag != "TO" && tag != "IN" => None,
            "TO" | "To" | "to" => match context.next_is_vowel {
                None => gold("to", "DEFAULT"),
                Some(false) => Some("tə".to_owned()),
                Some(true) => Some("tʊ".to_owned()),
            },
            "IN" if tag == "NNP" => None,
            "IN" | "In" | "in" if context.next_is_vowel.is_none() || tag != "IN" => Some("ˈɪn".to_owned()),
            "IN" | "In" | "in" => Some("ɪn".to_owned()),
            "THE" if tag != "DT" => None,
            "THE" | "The" | "the" if context.next_is_vowel == Some(true) => Some("ði".to_owned()),
            "THE" | "The" | "the" => Some("ðə".to_owned()),
            "USED" | "Used" | "used" if matches!(tag, "VBD" | "JJ") && context.next_is_to => {
                gold("used", "VBD")
            }
            "USED" | "Used" | "used" => gold("used", "DEFAULT"),
            _ if tag == "IN" && matches!(word.trim_end_matches('.').to_lowercase().as_str(), "vs") => {
                self.look_up("versus", "", None, context)
            }
            _ => None,
        }
    }

    /// Whether a word that starts with or is all capitals is to be read as its lower-case self.
    fn is_ordinary_word_in_capitals(&self, word: &str, lower: &str, tag: &str, context: Context) -> bool {
        let mut chars = word.chars();
        let first = chars.next();
        let rest = chars.as_str();
        first.is_some()
            && !rest.is_empty()
            && word.chars().all(|c| c == '\'' || c.is_alphabetic())
            && word != lower
            && (tag != "NNP" || word.chars().count() > 7)
            && self.gold.get(word).is_none()
            && self.silver.get(word).is_none()
            && (word == word.to_uppercase() || rest == rest.to_lowercase())
            && (self.gold.get(lower).is_some()
                || self.silver.get(lower).is_some()
                || self.plural(lower, tag, None, context).is_some()
                || self.past(lower, tag, None, context).is_some()
                || self.gerund(lower, tag, None, context).is_some())
    }

    /// Whether `look_up` has an answer: an entry, or letters to spell.
    fn is_known(&self, word: &str) -> bool {
        if self.gold.get(word).is_some() || self.silver.get(word).is_some() {
            return true;
        }
        let mut chars = word.chars();
        if chars.next().is_none() || !word.bytes().all(|b| b.is_ascii_alphabetic()) {
            return false;
        }
        let rest = chars.as_str();
        (word == word.to_uppercase() && self.gold.get(&word.to_lowercase()).is_some())
            || rest.bytes().all(|b| b.is_ascii_uppercase())
    }

    fn look_up(&self, word: &str, tag: &str, stress: Option<Stress>, context: Context) -> Option<String> {
        let capitals = word == word.to_uppercase() && self.gold.get(word).is_none();
        let lower = word.to_lowercase();
        let word = if capitals { &lower } else { word };
        let is_name = capitals && tag == "NNP";
        let entry = self.gold.get(word).or_else(|| if is_name { None } else { self.silver.get(word) });
        let phonemes = match entry {
            None => "",
            Some(Entry::Always(phonemes)) => phonemes,
            Some(Entry::ByTag(readings)) => {
                let reading = |tag: &str| readings.iter().find(|(known, _)| known == tag);
                let before_pause = if context.next_is_vowel.is_none() { reading("None") } else { None };
                before_pause
                    .or_else(|| reading(tag))
                    .or_else(|| reading(parent(tag)))
                    .or_else(|| reading("DEFAULT"))
                    .map_or("", |(_, phonemes)| phonemes)
            }
        };
        if (phonemes.is_empty() || is_name && !phonemes.contains(PRIMARY))
            && let Some(letters) = self.spelled(word)
        {
            return Some(letters);
        }
        if phonemes.is_empty() {
            return None;
        }
        Some(stress.map_or_else(|| phonemes.to_owned(), |stress| stress::apply(phonemes, stress)))
    }

    fn plural(&self, word: &str, tag: &str, stress: Option<Stress>, context: Context) -> Option<String> {
        let letters = word.chars().count();
        if letters < 3 {
            return None;
        }
        let known = |stem: String| self.is_known(&stem).then_some(stem);
        let without = |suffix: &str| word.strip_suffix(suffix).map(str::to_owned);
        let stem = without("s")
            .filter(|_| !word.ends_with("ss"))
            .and_then(known)
            .or_else(|| without("'s").and_then(known))
            .or_else(|| without("es").filter(|_| letters > 4 && !word.ends_with("ies")).and_then(known))
            .or_else(|| without("ies").filter(|_| letters > 4).and_then(|stem| known(stem + "y")))?;
        let stem = self.look_up(&stem, tag, stress, context)?;
        Some(self.with_s(stem))
    }

    /// The phonemes of a word with the ending of a plural or possessive.
    pub(super) fn with_s(&self, stem: String) -> String {
        let ending = match stem.chars().next_back() {
            None => "",
            Some('p' | 't' | 'k' | 'f' | 'θ') => "s",
            Some('s' | 'z' | 'ʃ' | 'ʒ' | 'ʧ' | 'ʤ') if self.british => "ɪz",
            Some('s' | 'z' | 'ʃ' | 'ʒ' | 'ʧ' | 'ʤ') => "ᵻz",
            Some(_) => "z",
        };
        stem + ending
    }

    fn past(&self, word: &str, tag: &str, stress: Option<Stress>, context: Context) -> Option<String> {
        let letters = word.chars().count();
        if letters < 4 {
            return None;
        }
        let known = |stem: &str| self.is_known(stem).then(|| stem.to_owned());
        let stem =
            word.strip_suffix('d').filter(|_| !word.ends_with("dd")).and_then(known).or_else(|| {
                word.strip_suffix("ed").filter(|_| letters > 4 && !word.ends_with("eed")).and_then(known)
            })?;
        let stem = self.look_up(&stem, tag, stress, context)?;
        let mut back = stem.chars().rev();
        let (last, before) = (back.next()?, back.next());
        Some(match last {
            'p' | 'k' | 'f' | 'θ' | 'ʃ' | 's' | 'ʧ' => stem + "t",
            'd' => stem + if self.british { "ɪd" } else { "ᵻd" },
            't' if self.british || before.is_none() => stem + "ɪd",
            't' if before.is_some_and(flaps_t) => stem[..stem.len() - 1].to_owned() + "ɾᵻd",
            't' => stem + "ᵻd",
            _ => stem + "d",
        })
    }

    fn gerund(&self, word: &str, tag: &str, stress: Option<Stress>, context: Context) -> Option<String> {
        let letters = word.chars().count();
        let root = word.strip_suffix("ing").filter(|_| letters >= 5)?;
        let known = |stem: &str| self.is_known(stem).then(|| stem.to_owned());
        let stem =
            known(root).filter(|_| letters > 5).or_else(|| known(&format!("{root}e"))).or_else(|| {
                let mut back = root.chars().rev();
                let (last, before) = (back.next()?, back.next()?);
                let doubled = last == before && "bcdgklmnprstvxz".contains(last) || root.ends_with("ck");
                (letters > 5 && doubled).then(|| known(&root[..root.len() - 1]))?
            })?;
        let stem = self.look_up(&stem, tag, stress, context)?;
        let mut back = stem.chars().rev();
        let (last, before) = (back.next()?, back.next());
        if self.british {
            // A final schwa or long vowel would need a linking r, which spelling does not show.
            return (!matches!(last, 'ə' | 'ː')).then(|| stem + "ɪŋ");
        }
        Some(if last == 't' && before.is_some_and(flaps_t) {
            stem[..stem.len() - 1].to_owned() + "ɾɪŋ"
        } else {
            stem + "ɪŋ"
        })
    }
}

/// The sounds after which an American t between vowels is a flap.
fn flaps_t(before: char) -> bool {
    "AIOWYiuæɑəɛɪɹʊʌ".contains(before)
}

/// The class of a tag that dictionary entries name.
fn parent(tag: &str) -> &str {
    match tag {
        _ if tag.starts_with("VB") => "VERB",
        _ if tag.starts_with("NN") => "NOUN",
        _ if tag.starts_with("RB") => "ADV",
        _ if tag.starts_with("JJ") => "ADJ",
        _ => tag,
    }
}

fn capitalise(lower: &str) -> String {
    let mut chars = lower.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

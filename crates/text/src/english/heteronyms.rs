//! Words that are spelled alike and sound apart, where the tagger or the dictionary cannot tell: "a lead pipe",
//! "took a bow", "I object". Looks at the words around and corrects the tag, or settles the phonemes.

use super::Dialect;

/// A word in its sentence.
pub(super) struct Word<'a> {
    /// As written.
    pub(super) text: &'a str,
    /// Penn Treebank part of speech.
    pub(super) tag: &'a str,
}

/// What the words around say about a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// Its part of speech is another.
    Tag(&'static str),
    /// It sounds like this.
    Phonemes(&'static str),
}

const SUBJECTS: &[&str] = &["i", "we", "they", "you"];
/// Words behind which only the bare form of a verb stands.
const BEFORE_VERB: &[&str] = &[
    "will", "would", "can", "could", "shall", "should", "may", "might", "must", "'ll", "do", "does", "did",
    "n't", "please", "cannot", "let's",
];
const HABITS: &[&str] =
    &["every", "always", "often", "usually", "sometimes", "rarely", "daily", "regularly", "seldom"];

const LEAD_THINGS: &[&str] = &[
    "pipe",
    "pipes",
    "paint",
    "paints",
    "poisoning",
    "pencil",
    "pencils",
    "acid",
    "weight",
    "weights",
    "bullet",
    "bullets",
    "shot",
    "dust",
    "mine",
    "mines",
    "crystal",
    "levels",
    "solder",
    "exposure",
    "contamination",
    "shield",
];
const LEAD_COMPANY: &[&str] =
    &["of", "contain", "contains", "contained", "containing", "molten", "melted", "melt", "with", "from"];
const FISHING: &[&str] = &[
    "fish",
    "fishing",
    "fished",
    "caught",
    "catch",
    "lake",
    "river",
    "sea",
    "striped",
    "largemouth",
    "smallmouth",
    "angler",
    "anglers",
    "trout",
    "grilled",
    "fillet",
    "chilean",
];
const TINY_THINGS: &[&str] = &[
    "detail",
    "details",
    "amount",
    "amounts",
    "quantity",
    "quantities",
    "particle",
    "particles",
    "difference",
    "differences",
    "trace",
    "traces",
    "change",
    "changes",
    "crystals",
    "organisms",
    "fragments",
    "specks",
    "doses",
    "inspection",
    "examination",
    "variations",
];
const CONTENT_VERBS: &[&str] = &[
    "was",
    "is",
    "are",
    "am",
    "were",
    "be",
    "been",
    "feel",
    "feels",
    "felt",
    "seem",
    "seems",
    "seemed",
    "'m",
    "'s",
    "'re",
    "quite",
    "very",
    "perfectly",
    "not",
    "looks",
    "looked",
];
const TAKE: &[&str] = &["take", "takes", "took", "taken", "taking", "made", "make", "makes"];
/// What follows the verb in "a writer lives in Rome".
const DWELLING: &[&str] = &[
    "in", "at", "on", "with", "near", "here", "there", "alone", "by", "under", "above", "among", "for",
    "next", "upstairs",
];
const BOWS: &[&str] = &["deep", "low", "slight", "polite", "final", "last", "little", "formal"];

/// The sense of word `at`, if the words around it tell more than its tag. `varies` says whether the dictionary has
/// different phonemes for different parts of speech of a word.
pub(super) fn sense(
    words: &[Word<'_>],
    at: usize,
    dialect: Dialect,
    varies: impl Fn(&str) -> bool,
) -> Option<Sense> {
    let lower = |offset: isize| {
        at.checked_add_signed(offset)
            .and_then(|i| words.get(i))
            .map_or(String::new(), |word| word.text.to_lowercase())
    };
    let tag =
        |offset: isize| at.checked_add_signed(offset).and_then(|i| words.get(i)).map_or("", |word| word.tag);
    let anywhere = |list: &[&str]| words.iter().any(|word| list.contains(&word.text.to_lowercase().as_str()));
    let british = dialect == Dialect::British;
    let word = lower(0);
    let (before, after) = (lower(-1), lower(1));
    let noun = tag(0).starts_with("NN");
    let is = |list: &[&str], word: &str| list.contains(&word);
    let pause = |word: &str| word.is_empty() || word.starts_with(|c: char| !c.is_alphanumeric());
    match word.as_str() {
        "lead" if is(LEAD_THINGS, &after) => Some(Sense::Phonemes("lˈɛd")),
        "lead"
            if noun
                && is(LEAD_COMPANY, &before)
                && (pause(&after) || is(&["and", "or", "in", "on"], &after)) =>
        {
            Some(Sense::Phonemes("lˈɛd"))
        }
        "tear" if noun && (before == "and" && lower(-2) == "wear") => Some(Sense::Tag("VB")),
        "tear" if noun && after == "in" && !anywhere(&["eye", "eyes", "voice", "cheek"]) => {
            Some(Sense::Tag("VB"))
        }
        "minute" if noun && is(TINY_THINGS, &after) && tag(-1) != "CD" => Some(Sense::Tag("JJ")),
        "bass" if !anywhere(FISHING) => Some(Sense::Tag("JJ")),
        "bow" if noun && (is(TAKE, &lower(-2)) || is(TAKE, &lower(-3)) || is(BOWS, &before)) => {
            Some(Sense::Tag("VB"))
        }
        "bow" if noun && after == "of" && anywhere(&["ship", "boat", "vessel"]) => Some(Sense::Tag("VB")),
        "content"
            if noun
                && is(CONTENT_VERBS, &before)
                && (pause(&after) || is(&["with", "to", "and", "that"], &after)) =>
        {
            Some(Sense::Tag("JJ"))
        }
        "resume" | "resumes"
            if noun && (tag(-1) == "PRP$" || is(&["a", "the"], &before) || tag(-1).starts_with("JJ")) =>
        {
            Some(Sense::Phonemes(match (word.ends_with('s'), british) {
                (false, false) => "ɹˈɛzəmˌA",
                (false, true) => "ɹˈɛzjʊmˌA",
                (true, false) => "ɹˈɛzəmˌAz",
                (true, true) => "ɹˈɛzjʊmˌAz",
            }))
        }
        "polish"
            if at == 0
                && is(
                    &["the", "your", "my", "his", "her", "their", "our", "it", "them", "a", "and"],
                    &after,
                ) =>
        {
            Some(Sense::Phonemes(if british { "pˈɒlɪʃ" } else { "pˈɑlɪʃ" }))
        }
        "lives"
            if tag(0) == "NNS" && matches!(tag(-1), "NN" | "NNP" | "PRP" | "WP") && is(DWELLING, &after) =>
        {
            Some(Sense::Tag("VBZ"))
        }
        "read" if matches!(tag(0), "VBD" | "VBP") && is(SUBJECTS, &before) && anywhere(HABITS) => {
            Some(Sense::Tag("VB"))
        }
        _ if noun && varies(&word) => {
            let bare_verb = is(BEFORE_VERB, &before) || before == "not" && is(BEFORE_VERB, &lower(-2));
            let subject = is(SUBJECTS, &before) && !is(&["of", "for", "to", "with", "at"], &lower(-2));
            let infinitive = before == "to" && matches!(tag(1), "DT" | "PRP" | "PRP$");
            let plural_subject =
                tag(-1) == "NNS" && is(&["when", "if", "as", "because", "until", "while"], &after);
            (bare_verb || subject || infinitive || plural_subject).then_some(Sense::Tag("VB"))
        }
        _ => None,
    }
}

//! Addresses: web pages, e-mail, files, handles and hashtags, said the way people dictate them.

use std::sync::LazyLock;

use regex::Regex;

use super::numbers;
use super::spoken::{Place, Spoken};

static URL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?i)(?:(?:https?|ftp|wss?)://|www\.|mailto:)\S+").unwrap());
static EMAIL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[\w.+-]+@[\w-]+(?:\.[\w-]+)+").unwrap());
static DOMAIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:[A-Za-z0-9-]+\.)+(?:com|org|net|edu|gov|io|ai|co|uk|de|fr|eu|info|biz|app|dev|tv|me|ly|ca|au|us|nz|in)(?::\d+)?(?:/\S*)?",
    )
    .unwrap()
});
static FILE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^[A-Za-z0-9_-]+\.(?:pdf|txt|docx?|xlsx?|pptx?|csv|json|xml|ya?ml|toml|html?|css|jsx?|tsx?|js|py|rs|rb|go|java|cpp|exe|zip|tar|gz|jpe?g|png|gif|svg|mp[34]|wav|ogg|flac|avi|mov|md|log|sh|ini|cfg|onnx)\b",
    )
    .unwrap()
});
static PATH: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:~|[A-Za-z]:)?(?:[/\\][\w.-]+){2,}[/\\]?|^[A-Za-z]:\\[\w.-]+").unwrap());
static DOTTED_NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z_]\w\w+(?:\.[a-z_]\w*)+").unwrap());
static TAG: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^([@#])([A-Za-z]\w*)").unwrap());

/// Web addresses, e-mail addresses, file names and paths.
pub(super) fn address(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    let chunk = &rest[..rest.find(' ').unwrap_or(rest.len())];
    if !chunk.contains(['.', '/', '\\', '@']) {
        return None;
    }
    if let Some(found) = URL.find(chunk) {
        let found = trimmed(found.as_str());
        let address = found.split_once("://").map_or(found, |(_, address)| address);
        let address = address.strip_prefix("mailto:").unwrap_or(address);
        return Some((found.len(), dictated(address)));
    }
    if let Some(found) = EMAIL.find(chunk) {
        return Some((found.end(), dictated(found.as_str())));
    }
    if let Some(found) = DOMAIN.find(chunk) {
        let found = trimmed(found.as_str());
        // "end.In short" is two sentences without a space.
        let last = found.split('/').next()?.rsplit('.').next()?;
        if place.ends_word(found.len()) && !last.starts_with(|c: char| c.is_uppercase()) {
            return Some((found.len(), dictated(found)));
        }
    }
    if let Some(found) = FILE.find(chunk)
        && place.ends_word(found.end())
    {
        return Some((found.end(), dictated(found.as_str())));
    }
    let path = trimmed(PATH.find(chunk)?.as_str());
    let starts = place.previous_char().is_none_or(|c| c == ' ' || c == '(');
    (starts && place.ends_word(path.len())).then(|| (path.len(), dictated(path)))
}

/// Names with dots inside as programs have them: sys.path, main.c.
pub(super) fn dotted_name(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let found = DOTTED_NAME.find(place.rest())?;
    place.ends_word(found.end()).then(|| (found.end(), dictated(found.as_str())))
}

/// @name and #topic.
pub(super) fn tag(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let found = TAG.captures(place.rest())?;
    let sign = if &found[1] == "@" { "at" } else { "hashtag" };
    Some((found[0].len(), Spoken::from(sign).then(&dictated(&found[2]))))
}

/// Without the marks that belong to the sentence.
fn trimmed(found: &str) -> &str {
    let found = found.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '"', '”', '…', '*', '_']);
    if found.contains('(') { found } else { found.trim_end_matches(')') }
}

fn dictated(address: &str) -> Spoken {
    let mut spoken = Spoken::default();
    let mut rest = address.trim_end_matches('/');
    while let Some(first) = rest.chars().next() {
        let same = |c: char| {
            if first.is_ascii_digit() { c.is_ascii_digit() } else { c.is_alphabetic() }
        };
        if first.is_alphanumeric() {
            let mut end = rest.find(|c: char| !same(c)).unwrap_or(rest.len()).max(first.len_utf8());
            // CamelCase is several words.
            if let Some(hump) = camel_hump(&rest[..end]) {
                end = hump;
            }
            spoken = part(spoken, &rest[..end]);
            rest = &rest[end..];
        } else {
            let name = match first {
                '.' => "dot",
                '/' => "slash",
                '\\' => "backslash",
                '@' => "at",
                '-' => "dash",
                '_' => "underscore",
                ':' => "colon",
                '?' => "question mark",
                '=' => "equals",
                '&' => "and",
                '#' => "hash",
                '%' => "percent",
                '+' => "plus",
                '~' => "tilde",
                _ => "",
            };
            spoken = spoken.say(name);
            rest = &rest[first.len_utf8()..];
        }
    }
    spoken
}

fn camel_hump(word: &str) -> Option<usize> {
    word.char_indices()
        .zip(word.char_indices().skip(1))
        .find(|((_, a), (_, b))| a.is_lowercase() && b.is_uppercase())
        .map(|(_, (at, _))| at)
}

/// One run of letters or digits.
fn part(spoken: Spoken, run: &str) -> Spoken {
    if run.starts_with(|c: char| c.is_ascii_digit()) {
        return spoken.say(&match run.len() {
            1 | 2 if !run.starts_with('0') => numbers::cardinal(run, false),
            4 => numbers::in_pairs(run, false),
            _ => numbers::each_digit(run),
        });
    }
    let lower = run.to_lowercase();
    let sounds = lower.chars().any(|c| "aeiouyéèáóú".contains(c));
    let initials = matches!(
        lower.as_str(),
        "io" | "ai"
            | "uk"
            | "us"
            | "eu"
            | "tv"
            | "edu"
            | "api"
            | "url"
            | "usa"
            | "id"
            | "faq"
            | "exe"
            | "au"
            | "ca"
            | "ui"
            | "py"
            | "ly"
            | "ip"
            | "csv"
            | "de"
            | "usr"
    );
    let capitals = run.chars().count() > 1 && run.chars().count() < 5 && run == run.to_uppercase();
    if run.is_ascii() && (!sounds || initials || capitals || run.len() == 1) && run.len() < 8 {
        spoken.spell(run)
    } else {
        spoken.say(&lower)
    }
}

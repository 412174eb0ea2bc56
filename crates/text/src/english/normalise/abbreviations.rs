//! Shortened words: titles, streets, companies, Latin, days and months.

use super::calendar;
use super::spoken::{Place, Spoken};
use crate::english::sentences::STARTERS;

/// Titles, said in full before a name.
pub(in crate::english) const TITLES: &[(&str, &str)] = &[
    ("Mr", "Mister"),
    ("Mrs", "Missus"),
    ("Ms", "Miz"),
    ("Dr", "Doctor"),
    ("Drs", "Doctors"),
    ("Messrs", "Messieurs"),
    ("Prof", "Professor"),
    ("St", "Saint"),
    ("Mt", "Mount"),
    ("Ft", "Fort"),
    ("Gen", "General"),
    ("Gov", "Governor"),
    ("Sen", "Senator"),
    ("Rep", "Representative"),
    ("Capt", "Captain"),
    ("Lt", "Lieutenant"),
    ("Col", "Colonel"),
    ("Sgt", "Sergeant"),
    ("Cmdr", "Commander"),
    ("Rev", "Reverend"),
    ("Hon", "Honorable"),
    ("Pres", "President"),
    ("Supt", "Superintendent"),
    ("Cpl", "Corporal"),
    ("Pvt", "Private"),
    ("Maj", "Major"),
    ("Adm", "Admiral"),
    ("Fr", "Father"),
    ("Msgr", "Monsignor"),
    ("Atty", "Attorney"),
    ("Insp", "Inspector"),
    ("Det", "Detective"),
];

/// Words behind a name: streets and companies.
const AFTER_NAME: &[(&str, &str)] = &[
    ("St", "Street"),
    ("Dr", "Drive"),
    ("Ave", "Avenue"),
    ("Blvd", "Boulevard"),
    ("Rd", "Road"),
    ("Ln", "Lane"),
    ("Ct", "Court"),
    ("Pl", "Place"),
    ("Sq", "Square"),
    ("Hwy", "Highway"),
    ("Pkwy", "Parkway"),
    ("Mt", "Mount"),
    ("Jr", "Junior"),
    ("Sr", "Senior"),
    ("Inc", "Incorporated"),
    ("Ltd", "Limited"),
    ("Corp", "Corporation"),
    ("Co", "Company"),
    ("Bros", "Brothers"),
    ("Esq", "Esquire"),
];

/// Short for something wherever they stand, with their full stop.
const ANYWHERE: &[(&str, &str)] = &[
    ("e.g.", "for example"),
    ("E.g.", "For example"),
    ("eg.", "for example"),
    ("i.e.", "that is"),
    ("I.e.", "That is"),
    ("ie.", "that is"),
    ("etc.", "etcetera"),
    ("etc", "etcetera"),
    ("vs.", "versus"),
    ("vs", "versus"),
    ("v.", "versus"),
    ("viz.", "namely"),
    ("cf.", "compare"),
    ("ca.", "circa"),
    ("et al.", "et al"),
    ("a.k.a.", "also known as"),
    ("aka", "also known as"),
    ("approx.", "approximately"),
    ("appt.", "appointment"),
    ("dept.", "department"),
    ("Dept.", "Department"),
    ("govt.", "government"),
    ("Govt.", "Government"),
    ("est.", "established"),
    ("Est.", "Established"),
    ("max.", "maximum"),
    ("misc.", "miscellaneous"),
    ("incl.", "including"),
    ("excl.", "excluding"),
    ("tel.", "telephone"),
    ("Tel.", "Telephone"),
    ("ext.", "extension"),
    ("Apt.", "Apartment"),
    ("apt.", "apartment"),
    ("Bldg.", "Building"),
    ("Ste.", "Suite"),
    ("Univ.", "University"),
    ("Assn.", "Association"),
    ("Assoc.", "Associate"),
    ("Asst.", "Assistant"),
    ("Mfg.", "Manufacturing"),
    ("Natl.", "National"),
    ("Intl.", "International"),
    ("w/o", "without"),
    ("w/", "with"),
    ("c/o", "care of"),
    ("b/c", "because"),
    ("n/a", "not applicable"),
    ("N/A", "not applicable"),
    ("and/or", "and or"),
    ("St. Louis", "Saint Louis"),
    ("o'clock", "o'clock"),
    ("No.1", "number one"),
];

/// Short for something only before a number.
const BEFORE_NUMBER: &[(&str, &str)] = &[
    ("No", "number"),
    ("no", "number"),
    ("Nos", "numbers"),
    ("nos", "numbers"),
    ("№", "number"),
    ("Vol", "volume"),
    ("vol", "volume"),
    ("Ch", "chapter"),
    ("ch", "chapter"),
    ("Fig", "figure"),
    ("fig", "figure"),
    ("Figs", "figures"),
    ("Sec", "section"),
    ("sec", "section"),
    ("Eq", "equation"),
    ("eq", "equation"),
    ("pp", "pages"),
    ("p", "page"),
    ("pg", "page"),
    ("Art", "article"),
    ("ver", "version"),
    ("v", "version"),
    ("Hwy", "highway"),
    ("Rte", "route"),
    ("c", "circa"),
    ("Pt", "part"),
];

const DAYS: &[(&str, &str)] = &[
    ("Mon", "Monday"),
    ("Tue", "Tuesday"),
    ("Tues", "Tuesday"),
    ("Wed", "Wednesday"),
    ("Thu", "Thursday"),
    ("Thur", "Thursday"),
    ("Thurs", "Thursday"),
    ("Fri", "Friday"),
    ("Sat", "Saturday"),
    ("Sun", "Sunday"),
];

/// Two-letter states before a ZIP code, as letters otherwise.
const STATES: &[(&str, &str)] = &[
    ("AL", "Alabama"),
    ("AK", "Alaska"),
    ("AZ", "Arizona"),
    ("AR", "Arkansas"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("CT", "Connecticut"),
    ("DE", "Delaware"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("HI", "Hawaii"),
    ("ID", "Idaho"),
    ("IL", "Illinois"),
    ("IN", "Indiana"),
    ("IA", "Iowa"),
    ("KS", "Kansas"),
    ("KY", "Kentucky"),
    ("LA", "Louisiana"),
    ("ME", "Maine"),
    ("MD", "Maryland"),
    ("MA", "Massachusetts"),
    ("MI", "Michigan"),
    ("MN", "Minnesota"),
    ("MS", "Mississippi"),
    ("MO", "Missouri"),
    ("MT", "Montana"),
    ("NE", "Nebraska"),
    ("NV", "Nevada"),
    ("NH", "New Hampshire"),
    ("NJ", "New Jersey"),
    ("NM", "New Mexico"),
    ("NY", "New York"),
    ("NC", "North Carolina"),
    ("ND", "North Dakota"),
    ("OH", "Ohio"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("PA", "Pennsylvania"),
    ("RI", "Rhode Island"),
    ("SC", "South Carolina"),
    ("SD", "South Dakota"),
    ("TN", "Tennessee"),
    ("TX", "Texas"),
    ("UT", "Utah"),
    ("VT", "Vermont"),
    ("VA", "Virginia"),
    ("WA", "Washington"),
    ("WV", "West Virginia"),
    ("WI", "Wisconsin"),
    ("WY", "Wyoming"),
];

fn find(table: &[(&'static str, &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(short, _)| *short == word).map(|(_, full)| *full)
}

/// A shortened word at the start of a word.
pub(super) fn abbreviation(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    let anywhere = ANYWHERE
        .iter()
        .filter(|(short, _)| rest.starts_with(short) && ends(place, short))
        .max_by_key(|(short, _)| short.len());
    if let Some((short, full)) = anywhere
        && (*short != "v."
            || is_capitalised(place.previous_word()) && is_capitalised(place.word_after(short.len())))
    {
        // "for e.g." needs no second "for".
        let full = full.strip_prefix("for ").filter(|_| place.previous_word() == "for").unwrap_or(full);
        return Some((without_final_stop(place, short.len()), Spoken::from(full)));
    }
    let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let word = &rest[..letters];
    let stop = usize::from(rest[letters..].starts_with('.'));
    let len = letters + stop;
    if word.is_empty() || !place.ends_word(len) && !rest[len..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let after = rest[len..].strip_prefix(' ').unwrap_or(&rest[len..]);
    let next = place.word_after(len);
    let before_number = after.starts_with(|c: char| c.is_ascii_digit());
    let done = |full: &str| Some((without_final_stop(place, len), Spoken::from(full)));
    // Without a full stop only what is nothing else counts.
    if before_number
        && let Some(full) = find(BEFORE_NUMBER, word)
        && (stop == 1 || word == "№")
    {
        return done(full);
    }
    if stop == 1
        && (before_number || is_capitalised(next) || after.is_empty() || next == "and")
        && let Some(month) = calendar::month_name(word)
        && month != word
        && (before_number || word != "Mar")
    {
        return done(month);
    }
    if let Some(day) = find(DAYS, word)
        && (stop == 1 || rest[len..].starts_with(','))
        && (before_number
            || rest[len..].starts_with([',', '-', '–'])
            || calendar::month_name(next).is_some()
            || matches!(next, "at" | "and" | "to")
            || find(DAYS, next).is_some())
        && (word.len() > 3 || !matches!(word, "Sun" | "Sat") || before_number || next != "and")
    {
        return done(day);
    }
    if let Some(state) = find(STATES, word)
        && after.len() >= 5
        && after[..].chars().take(5).all(|c| c.is_ascii_digit())
        && after.chars().nth(5).is_none_or(|c| !c.is_ascii_digit())
    {
        return done(state);
    }
    let behind_name = is_capitalised(place.previous_word())
        || place.previous_word().ends_with(|c: char| c.is_ascii_digit());
    let before_name = is_capitalised(next) && !STARTERS.contains(&next);
    if let Some(title) = find(TITLES, word)
        && before_name
        && !rest[len..].starts_with(',')
        && (stop == 1
            || !matches!(
                word,
                "St" | "Mt" | "Ft" | "Gen" | "Rep" | "Col" | "Fr" | "Hon" | "Pres" | "Det" | "Maj"
            )
            || matches!(word, "St" | "Mt" | "Ft" | "Col") && !behind_name)
        && !(matches!(word, "St" | "Dr") && behind_name && !before_name)
    {
        return done(title);
    }
    let company = matches!(word, "Co" | "Inc" | "Ltd" | "Corp" | "Bros" | "Jr" | "Sr" | "Esq");
    if let Some(full) = find(AFTER_NAME, word)
        && (behind_name || word == "Co" && place.before().ends_with("& "))
        && (stop == 1
            || company && word != "Co"
            || matches!(word, "Blvd" | "Ave" | "Rd" | "Pkwy" | "Hwy" | "St") && behind_name)
        && !(word == "Co" && stop == 0)
    {
        return done(full);
    }
    match word {
        "Mr" | "Mrs" | "Ms" | "Dr" => done(find(TITLES, word)?),
        _ if stop == 1 => {
            done(find(AFTER_NAME, word).filter(|_| !matches!(word, "Co" | "Pl" | "Ct" | "Sq"))?)
        }
        _ => None,
    }
}

fn is_capitalised(word: &str) -> bool {
    word.starts_with(char::is_uppercase)
}

/// Whether a fixed abbreviation is a whole word here.
fn ends(place: &Place<'_>, short: &str) -> bool {
    let next = place.rest()[short.len()..].chars().next();
    short.ends_with(['.', '/']) || next.is_none_or(|c| !c.is_alphanumeric() && c != '\'' && c != '-')
}

/// Length without the full stop if it also ends the sentence.
fn without_final_stop(place: &Place<'_>, len: usize) -> usize {
    let ends_sentence = place.rest()[..len].ends_with('.')
        && place.rest()[len..].trim_matches(['"', '”', ')', '\'', ' ']).is_empty();
    if ends_sentence { len - 1 } else { len }
}

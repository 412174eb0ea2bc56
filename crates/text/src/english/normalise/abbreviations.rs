//! Shortened words: titles, streets, companies, Latin, days and months.

use super::calendar;
use super::spoken::{Place, Spoken};
use crate::english::word_lists::{STARTERS, TITLES};

/// Words after a name: streets and companies.
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
    anywhere(place).or_else(|| {
        let short = Short::at(place)?;
        let full = short
            .numbered()
            .or_else(|| short.month())
            .or_else(|| short.weekday())
            .or_else(|| short.state())
            .or_else(|| short.title())
            .or_else(|| short.after_name())?;
        Some((without_final_stop(place, short.len), Spoken::from(full)))
    })
}

fn anywhere(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let (short, full) = ANYWHERE
        .iter()
        .filter(|(short, _)| place.rest().starts_with(short) && ends(place, short))
        .max_by_key(|(short, _)| short.len())?;
    // "Roe v. Wade", but the letter v elsewhere.
    let between_names =
        is_capitalised(place.previous_word()) && is_capitalised(place.word_after(short.len()));
    if *short == "v." && !between_names {
        return None;
    }
    // "for e.g." needs no second "for".
    let full = full.strip_prefix("for ").filter(|_| place.previous_word() == "for").unwrap_or(full);
    Some((without_final_stop(place, short.len()), Spoken::from(full)))
}

/// A word that may be short for another, and what stands around it.
struct Short<'a> {
    word: &'a str,
    /// Whether a full stop follows.
    stop: bool,
    /// Length with the full stop.
    len: usize,
    /// The text after, without one space.
    after: &'a str,
    /// The word after; empty if something else follows.
    next: &'a str,
    before_number: bool,
    /// Whether a name or number stands before.
    after_name: bool,
    /// Whether "&" stands before.
    after_and: bool,
}

impl<'a> Short<'a> {
    fn at(place: &Place<'a>) -> Option<Self> {
        let rest = place.rest();
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let stop = rest[letters..].starts_with('.');
        let len = letters + usize::from(stop);
        let after = &rest[len..];
        if letters == 0 || !place.ends_word(len) && !after.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let after = after.strip_prefix(' ').unwrap_or(after);
        let previous = place.previous_word();
        Some(Self {
            word: &rest[..letters],
            stop,
            len,
            after,
            next: place.word_after(len),
            before_number: after.starts_with(|c: char| c.is_ascii_digit()),
            after_name: is_capitalised(previous) || previous.ends_with(|c: char| c.is_ascii_digit()),
            after_and: place.before().ends_with("& "),
        })
    }

    /// "No. 5": without a full stop these are other words.
    fn numbered(&self) -> Option<&'static str> {
        find(BEFORE_NUMBER, self.word).filter(|_| self.before_number && (self.stop || self.word == "№"))
    }

    fn month(&self) -> Option<&'static str> {
        let month = calendar::month_name(self.word).filter(|month| *month != self.word)?;
        let fits =
            self.before_number || is_capitalised(self.next) || self.after.is_empty() || self.next == "and";
        // "Mar." is also a verb that ends a sentence.
        (self.stop && fits && (self.before_number || self.word != "Mar")).then_some(month)
    }

    /// "Mon., Sept. 5": a star, what one did on a chair and a ritual keep away ("The sun. Sat. Wed.").
    fn weekday(&self) -> Option<&'static str> {
        let day = find(DAYS, self.word)?;
        let comma = self.after.starts_with([',', '-', '–']);
        let after_comma = self.after.trim_start_matches([',', '-', '–', ' ']);
        let next =
            &after_comma[..after_comma.find(|c: char| !c.is_alphabetic()).unwrap_or(after_comma.len())];
        let time_follows = after_comma.starts_with(|c: char| c.is_ascii_digit())
            || calendar::month_name(next).is_some()
            || find(DAYS, next).is_some()
            || matches!(next, "at" | "to")
            || next == "and" && !matches!(self.word, "Sun" | "Sat");
        (time_follows && (self.stop || comma) || self.stop && comma).then_some(day)
    }

    /// A state before its ZIP code.
    fn state(&self) -> Option<&'static str> {
        let digits = self.after.bytes().take_while(u8::is_ascii_digit).count();
        find(STATES, self.word).filter(|_| digits == 5)
    }

    fn title(&self) -> Option<&'static str> {
        let title = find(TITLES, self.word)?;
        if matches!(self.word, "Mr" | "Mrs" | "Ms") {
            return Some(title);
        }
        let before_name =
            is_capitalised(self.next) && !STARTERS.contains(&self.next) && !self.after.starts_with(',');
        // Without its full stop only what is nothing else counts.
        let clear = match self.word {
            "St" | "Mt" | "Ft" | "Col" => !self.after_name,
            "Gen" | "Rep" | "Fr" | "Hon" | "Pres" | "Det" | "Maj" => false,
            _ => true,
        };
        (before_name && (self.stop || clear)).then_some(title)
    }

    /// Streets and companies, and doctors without a name.
    fn after_name(&self) -> Option<&'static str> {
        let full = find(AFTER_NAME, self.word);
        let clear_without_stop = matches!(
            self.word,
            "Inc" | "Ltd" | "Corp" | "Jr" | "Sr" | "Esq" | "Blvd" | "Ave" | "Rd" | "Pkwy" | "Hwy" | "St"
        );
        match self.word {
            "Co" if self.stop && (self.after_name || self.after_and) => full,
            _ if self.after_name && (self.stop || clear_without_stop) => full,
            "Dr" => Some("Doctor"),
            "Co" | "Pl" | "Ct" | "Sq" => None,
            _ => full.filter(|_| self.stop),
        }
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

//! Subtitles as SubRip (`.srt`) and WebVTT (`.vtt`), and how words become cues.

use std::fmt::Write;

/// A text and when it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Cue {
    /// Start, seconds.
    pub start_s: f64,
    /// End, seconds.
    pub end_s: f64,
    /// Text; line breaks are kept, blank lines, which would end the cue, are not.
    pub text: String,
}

/// SubRip: numbered cues, times with a comma. Cues without text are left out.
pub fn srt(cues: &[Cue]) -> String {
    let mut out = String::new();
    for (number, (times, text)) in (1..).zip(shown(cues, ',')) {
        let text = without_arrows(&text);
        let _ = write!(out, "{number}\n{times}\n{text}\n\n");
    }
    out
}

/// The text with every arrow shortened to one dash: arrows are what parsers recognise times by.
fn without_arrows(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '>' && out.ends_with("--") {
            out.truncate(out.trim_end_matches('-').len() + 1);
        }
        out.push(c);
    }
    out
}

/// WebVTT: a header, then cues, times with a point. Cues without text are left out.
pub fn vtt(cues: &[Cue]) -> String {
    let mut out = "WEBVTT\n\n".to_owned();
    for (times, text) in shown(cues, '.') {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace("-->", "--&gt;");
        let _ = write!(out, "{times}\n{text}\n\n");
    }
    out
}

/// Times and text of the cues that have text.
fn shown(cues: &[Cue], point: char) -> impl Iterator<Item = (String, String)> {
    cues.iter().filter_map(move |cue| {
        let lines: Vec<&str> = cue.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let times = format!("{} --> {}", time(cue.start_s, point), time(cue.end_s.max(cue.start_s), point));
        (!lines.is_empty()).then(|| (times, lines.join("\n")))
    })
}

fn time(seconds: f64, point: char) -> String {
    let ms = (seconds.max(0.0) * 1e3).round() as u64;
    format!("{:02}:{:02}:{:02}{point}{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

/// How words are laid out on the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// Characters in a line; a longer word has a line to itself.
    pub line_chars: usize,
    /// Lines in a cue.
    pub lines: usize,
    /// A pause between words from which on a new cue begins, seconds.
    pub pause_s: f64,
}

impl Default for Layout {
    /// Two lines of 42 characters, as broadcasters use for Latin scripts.
    fn default() -> Self {
        Self { line_chars: 42, lines: 2, pause_s: 3.0 }
    }
}

/// Gathers timed words, which carry their own leading spaces, into cues: lines are filled, then cues, and a long pause
/// begins a new one.
pub fn cues_of_words(words: &[Cue], layout: &Layout) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    let (mut line_chars, mut lines) = (0, 0);
    for word in words.iter().filter(|word| !word.text.trim().is_empty()) {
        let chars = word.text.trim_end().chars().count();
        let begins_cue = match cues.last() {
            None => true,
            Some(cue) => {
                let pause = word.start_s - cue.end_s >= layout.pause_s;
                pause || (line_chars + chars > layout.line_chars && lines == layout.lines.max(1))
            }
        };
        let text = word.text.trim_start();
        match cues.last_mut() {
            Some(cue) if !begins_cue => {
                if line_chars + chars > layout.line_chars {
                    cue.text.push('\n');
                    cue.text.push_str(text);
                    (line_chars, lines) = (text.chars().count(), lines + 1);
                } else {
                    cue.text.push_str(&word.text);
                    line_chars += word.text.chars().count();
                }
                cue.end_s = cue.end_s.max(word.end_s);
            }
            _ => {
                cues.push(Cue { text: text.to_owned(), ..word.clone() });
                (line_chars, lines) = (text.chars().count(), 1);
            }
        }
    }
    cues
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start_s: f64, end_s: f64, text: &str) -> Cue {
        Cue { start_s, end_s, text: text.to_owned() }
    }

    #[test]
    fn times_and_lines_are_as_the_formats_want_them() {
        let cues = [
            cue(0.0, 3.32, " The beach."),
            cue(3.32, 3.5, "  \n"),
            cue(3599.9996, 3661.5, " a < b &\n\n c --> d "),
            cue(7.0, 6.0, "back"),
        ];
        assert_eq!(
            srt(&cues),
            "1\n00:00:00,000 --> 00:00:03,320\nThe beach.\n\n\
             2\n01:00:00,000 --> 01:01:01,500\na < b &\nc -> d\n\n\
             3\n00:00:07,000 --> 00:00:07,000\nback\n\n"
        );
        assert_eq!(
            vtt(&cues),
            "WEBVTT\n\n00:00:00.000 --> 00:00:03.320\nThe beach.\n\n\
             01:00:00.000 --> 01:01:01.500\na &lt; b &amp;\nc --&gt; d\n\n\
             00:00:07.000 --> 00:00:07.000\nback\n\n"
        );
        assert_eq!((srt(&[]), vtt(&[])), (String::new(), "WEBVTT\n\n".to_owned()));
    }

    #[test]
    fn no_arrow_is_left_in_the_text() {
        let text = "a --> b ---> c -----> d ->> - -> >";
        assert_eq!(without_arrows(text), "a -> b -> c -> d ->> - -> >");
    }

    #[test]
    fn words_fill_lines_then_cues_and_pauses_part_them() {
        let words: Vec<Cue> = [" one", " two", " three", " four", " extraordinarily", " six"]
            .iter()
            .zip(0..)
            .map(|(text, index)| cue(f64::from(index), f64::from(index) + 0.5, text))
            .chain([cue(20.0, 21.0, " late"), cue(21.0, 21.5, " "), cue(21.5, 22.0, "!")])
            .collect();
        let layout = Layout { line_chars: 9, lines: 2, pause_s: 3.0 };
        let texts: Vec<(f64, f64, String)> = cues_of_words(&words, &layout)
            .into_iter()
            .map(|cue| (cue.start_s, cue.end_s, cue.text))
            .collect();
        assert_eq!(
            texts,
            [
                (0.0, 2.5, "one two\nthree".to_owned()),
                (3.0, 4.5, "four\nextraordinarily".to_owned()),
                (5.0, 5.5, "six".to_owned()),
                (20.0, 22.0, "late!".to_owned()),
            ]
        );
        assert_eq!(cues_of_words(&[], &layout), []);
    }
}

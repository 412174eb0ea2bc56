//! Words with times as subtitles. Each line is a word: start and end in seconds, then the text; `\n` in it is a line break.

use mynah_format::subtitles::{Cue, Layout, cues_of_words, srt, vtt};

/// Writes both formats.
pub fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let words: Vec<Cue> = text.lines().map(word).collect();
    for layout in [
        Layout::default(),
        Layout { line_chars: 5, lines: 1, pause_s: 0.5 },
        Layout { line_chars: 0, lines: 0, pause_s: 0.0 },
    ] {
        check(&cues_of_words(&words, &layout));
    }
    check(&words);
}

fn word(line: &str) -> Cue {
    let mut parts = line.splitn(3, ' ');
    let mut seconds = || parts.next().and_then(|part| part.parse().ok()).unwrap_or_default();
    let (start_s, end_s) = (seconds(), seconds());
    Cue { start_s, end_s, text: parts.next().unwrap_or_default().replace("\\n", "\n") }
}

/// A reader finds as many cues as were written, each with its number, its times and its text.
fn check(cues: &[Cue]) {
    let shown = cues.iter().filter(|cue| !cue.text.trim().is_empty()).count();
    for (subtitles, heading) in [(srt(cues), ""), (vtt(cues), "WEBVTT\n\n")] {
        let body = subtitles.strip_prefix(heading).expect("the heading of the format");
        let blocks: Vec<&str> = body.split_terminator("\n\n").collect();
        assert_eq!(blocks.len(), shown, "{subtitles:?}");
        assert_eq!(subtitles.matches(" --> ").count(), shown, "{subtitles:?}");
        assert!(blocks.iter().all(|block| block.lines().count() >= 2), "{subtitles:?}");
    }
}

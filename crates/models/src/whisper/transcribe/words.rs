//! Word times: groups aligned tokens into words, merges punctuation, and limits the errors of alignment at pauses.
//! Thresholds are those of openai-whisper.

use mynah_core::{ModelError, Word};
use mynah_text::whisper_tokenizer::WhisperTokenizer;

use super::alignment::token_starts_s;
use super::segments::Draft;
use crate::longform::hundredths;
use crate::whisper::{Alignment, DecoderState};

/// Punctuation that belongs to the word after it.
const OPENING: &str = "\"'“¿([{-";
/// Punctuation that belongs to the word before it.
const CLOSING: &str = "\"'.。,，!！?？:：”)]}、";
const SENTENCE_ENDS: &str = ".。!！?？";

/// Upper limit of the median word length, seconds.
const LONGEST_MEDIAN_S: f64 = 0.7;

/// A word within a window. It has no text once it is merged into another.
#[derive(Clone, Debug, PartialEq)]
struct TimedWord {
    text: String,
    tokens: usize,
    /// Seconds from the window's start.
    start_s: f64,
    end_s: f64,
    probability: f32,
}

/// Input of the word alignment of a window.
pub(super) struct WordContext<'a> {
    pub(super) tokenizer: &'a WhisperTokenizer,
    /// Language of the text, which decides how it is split into words.
    pub(super) language: &'a str,
    /// Start of the transcript with `<|notimestamps|>`, as the alignment is computed without timestamps.
    pub(super) start_sequence: &'a [u32],
    /// Start of the window, seconds.
    pub(super) window_start_s: f64,
    /// Frames of 10 ms of audio in the window.
    pub(super) window_frames: usize,
}

/// Aligns the drafts' text, adds their words and moves their start and end to those of the words. `last_speech_s` is the end of
/// the last word before the window.
pub(super) fn add_words(
    decoder: &mut dyn DecoderState,
    context: &WordContext<'_>,
    drafts: &mut [Draft],
    last_speech_s: f64,
) -> Result<(), ModelError> {
    let eot = context.tokenizer.eot();
    let text: Vec<u32> =
        drafts.iter().flat_map(|d| &d.tokens).copied().filter(|&token| token < eot).collect();
    let positions = context.window_frames / 2;
    if text.is_empty() || positions == 0 {
        return Ok(());
    }
    let tokens: Vec<u32> = [context.start_sequence, &text, &[eot]].concat();
    let alignment = decoder.align(&tokens, positions)?;
    let mut words = timed_words(context, &text, &alignment);
    let usual = UsualLength::of(&words);
    usual.limit_at_sentence_ends(&mut words);
    merge_punctuation(&mut words);
    distribute(context, drafts, &words, &usual, last_speech_s);
    Ok(())
}

fn timed_words(context: &WordContext<'_>, text: &[u32], alignment: &Alignment) -> Vec<TimedWord> {
    // A token is predicted at the position before it: times are those of the positions from `<|notimestamps|>` on.
    let first = context.start_sequence.len() - 1;
    let starts_s = token_starts_s(alignment, first);
    let logprobs = &alignment.next_logprobs[first..];
    let mut begin = 0;
    let mut words = Vec::new();
    for (text, tokens) in context.tokenizer.split_to_word_tokens(text, Some(context.language)) {
        let end = begin + tokens.len();
        let sum: f32 = logprobs[begin..end].iter().map(|logprob| logprob.exp()).sum();
        let probability = sum / tokens.len() as f32;
        let (start_s, end_s) = (starts_s[begin], starts_s[end]);
        words.push(TimedWord { text, tokens: tokens.len(), start_s, end_s, probability });
        begin = end;
    }
    words
}

/// Usual length of a window's words.
struct UsualLength {
    median_s: f64,
    max_s: f64,
    any: bool,
}

impl UsualLength {
    fn of(words: &[TimedWord]) -> Self {
        let mut lengths: Vec<f64> = words.iter().map(|w| w.end_s - w.start_s).filter(|&s| s != 0.0).collect();
        lengths.sort_by(f64::total_cmp);
        let middle = lengths.len() / 2;
        let median_s = match lengths.len() {
            0 => 0.0,
            n if n % 2 == 1 => lengths[middle],
            _ => (lengths[middle - 1] + lengths[middle]) / 2.0,
        };
        let median_s = median_s.min(LONGEST_MEDIAN_S);
        Self { median_s, max_s: 2.0 * median_s, any: !lengths.is_empty() }
    }

    /// At the end of a sentence the alignment often includes a pause in the full stop or in the next word.
    fn limit_at_sentence_ends(&self, words: &mut [TimedWord]) {
        if !self.any {
            return;
        }
        for i in 1..words.len() {
            if words[i].end_s - words[i].start_s > self.max_s {
                if SENTENCE_ENDS.contains(&words[i].text) {
                    words[i].end_s = words[i].start_s + self.max_s;
                } else if SENTENCE_ENDS.contains(&words[i - 1].text) {
                    words[i].start_s = words[i].end_s - self.max_s;
                }
            }
        }
    }

    /// After a pause the alignment tends to start the first words of a segment too early.
    fn limit_after_pause(&self, words: &mut [Word], last_speech_s: f64) {
        let Some((first, rest)) = words.split_first_mut() else { return };
        let second = rest.first_mut();
        let too_long = first.end_s - first.start_s > self.max_s
            || second.as_ref().is_some_and(|second| second.end_s - first.start_s > 2.0 * self.max_s);
        if first.end_s - last_speech_s <= 4.0 * self.median_s || !too_long {
            return;
        }
        if let Some(second) = second.filter(|second| second.end_s - second.start_s > self.max_s) {
            let boundary_s = (second.end_s / 2.0).max(second.end_s - self.max_s);
            first.end_s = boundary_s;
            second.start_s = boundary_s;
        }
        first.start_s = (first.end_s - self.max_s).max(0.0);
    }
}

/// Merges opening punctuation into the word after it and closing punctuation into the word before it.
fn merge_punctuation(words: &mut [TimedWord]) {
    let take = |word: &mut TimedWord| (std::mem::take(&mut word.text), std::mem::take(&mut word.tokens));

    let mut following = words.len().saturating_sub(1);
    for previous in (0..following).rev() {
        let text = &words[previous].text;
        if text.starts_with(' ') && OPENING.contains(text.trim()) {
            let (text, tokens) = take(&mut words[previous]);
            words[following].text.insert_str(0, &text);
            words[following].tokens += tokens;
        } else {
            following = previous;
        }
    }

    let mut previous = 0;
    for following in 1..words.len() {
        if !words[previous].text.ends_with(' ') && CLOSING.contains(&words[following].text) {
            let (text, tokens) = take(&mut words[following]);
            words[previous].text.push_str(&text);
            words[previous].tokens += tokens;
        } else {
            previous = following;
        }
    }
}

/// Assigns words to drafts, and moves their start and end to those of the words unless the first or last word is too long.
fn distribute(
    context: &WordContext<'_>,
    drafts: &mut [Draft],
    words: &[TimedWord],
    usual: &UsualLength,
    mut last_speech_s: f64,
) {
    let eot = context.tokenizer.eot();
    let mut words = words.iter();
    for draft in drafts {
        let wanted = draft.tokens.iter().filter(|&&token| token < eot).count();
        let mut taken = 0;
        while taken < wanted {
            let Some(word) = words.next() else { break };
            taken += word.tokens;
            if !word.text.is_empty() {
                draft.words.push(Word {
                    text: word.text.clone(),
                    start_s: hundredths(context.window_start_s + word.start_s),
                    end_s: hundredths(context.window_start_s + word.end_s),
                    probability: word.probability,
                });
            }
        }
        usual.limit_after_pause(&mut draft.words, last_speech_s);

        let Some(first) = draft.words.first_mut() else { continue };
        if draft.start_s < first.end_s && draft.start_s - 0.5 > first.start_s {
            first.start_s = (first.end_s - usual.median_s).min(draft.start_s).max(0.0);
        } else {
            draft.start_s = first.start_s;
        }
        let Some(last) = draft.words.last_mut() else { continue };
        if draft.end_s > last.start_s && draft.end_s + 0.5 < last.end_s {
            last.end_s = (last.start_s + usual.median_s).max(draft.end_s);
        } else {
            draft.end_s = last.end_s;
        }
        last_speech_s = draft.end_s;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, start_s: f64, end_s: f64) -> TimedWord {
        TimedWord { text: text.to_owned(), tokens: 1, start_s, end_s, probability: 0.5 }
    }

    fn texts(words: &[TimedWord]) -> Vec<(&str, usize)> {
        words.iter().filter(|w| !w.text.is_empty()).map(|w| (w.text.as_str(), w.tokens)).collect()
    }

    #[test]
    fn punctuation_goes_to_its_word() {
        let mut words = [" \"", "Hello", ",", " world", "!", "\"", " (", "yes", ")", " -", " no", "."]
            .map(|text| word(text, 0.0, 0.1));
        merge_punctuation(&mut words);
        let want = [(" \"Hello,", 3), (" world!\"", 3), (" (yes)", 3), (" - no.", 3)];
        assert_eq!(texts(&words), want);
        merge_punctuation(&mut []);
        let mut alone = [word(".", 0.0, 0.1)];
        merge_punctuation(&mut alone);
        assert_eq!(texts(&alone), [(".", 1)]);
    }

    #[test]
    fn usual_length_is_the_median_of_nonzero_lengths() {
        let lengths = [0.2, 0.0, 0.4, 0.3].map(|s| word(" a", 1.0, 1.0 + s));
        assert!((UsualLength::of(&lengths).median_s - 0.3).abs() < 1e-9);
        let even = UsualLength::of(&[word(" a", 0.0, 0.2), word(" b", 1.0, 1.4)]);
        assert!((even.median_s - 0.3).abs() < 1e-9 && (even.max_s - 0.6).abs() < 1e-9);
        assert_eq!(UsualLength::of(&[word(" a", 0.0, 9.0)]).median_s, LONGEST_MEDIAN_S);
        assert_eq!(UsualLength::of(&[]).median_s, 0.0);
    }

    #[test]
    fn long_words_at_sentence_ends_are_cut() {
        let usual = UsualLength { median_s: 0.2, max_s: 0.4, any: true };
        let mut words =
            [word(" a", 0.0, 0.2), word(".", 0.2, 3.0), word(" b", 3.0, 6.0), word(" c", 6.0, 9.0)];
        usual.limit_at_sentence_ends(&mut words);
        let times: Vec<(f64, f64)> = words.iter().map(|w| (w.start_s, w.end_s)).collect();
        assert_eq!(times[1], (0.2, 0.6000000000000001), "the full stop");
        assert_eq!(times[2], (5.6, 6.0), "the first word after it");
        assert_eq!(times[3], (6.0, 9.0), "no sentence ends before it");
    }

    #[test]
    fn the_first_word_after_a_pause_is_cut() {
        let usual = UsualLength { median_s: 0.2, max_s: 0.4, any: true };
        let word = |start_s, end_s| Word { text: " a".into(), start_s, end_s, probability: 1.0 };
        let mut words = [word(10.0, 12.0), word(12.0, 12.2)];
        usual.limit_after_pause(&mut words, 9.0);
        assert_eq!((words[0].start_s, words[0].end_s), (11.6, 12.0));
        let mut words = [word(10.0, 11.0), word(11.0, 13.0)];
        usual.limit_after_pause(&mut words, 9.0);
        assert_eq!((words[0].end_s, words[1].start_s), (12.6, 12.6), "the second was too long, too");
        let mut words = [word(10.0, 10.7)];
        usual.limit_after_pause(&mut words, 10.0);
        assert_eq!(words[0].start_s, 10.0, "no pause before it");
    }

    fn context<'a>(tokenizer: &'a WhisperTokenizer, start_sequence: &'a [u32]) -> WordContext<'a> {
        WordContext { tokenizer, language: "en", start_sequence, window_start_s: 30.0, window_frames: 3000 }
    }

    #[test]
    fn drafts_get_their_own_words_and_times() {
        let tokenizer = WhisperTokenizer::built_in(51865).unwrap();
        let text = |text: &str| tokenizer.encode(text);
        let draft = |tokens, start_s, end_s| Draft { tokens, start_s, end_s, ..Draft::default() };
        let mut drafts = [
            draft(text(" One two."), 30.0, 31.0),
            draft(vec![], 31.0, 31.2),
            draft(text(" Three."), 31.2, 33.0),
        ];
        let mut words = [" One", " two", ".", " Three", "."]
            .into_iter()
            .zip([0.1, 0.4, 0.7, 1.5, 1.9, 2.0].windows(2))
            .map(|(text, times)| word(text, times[0], times[1]))
            .collect::<Vec<_>>();
        let usual = UsualLength::of(&words);
        merge_punctuation(&mut words);
        distribute(&context(&tokenizer, &[1]), &mut drafts, &words, &usual, 0.0);
        let texts = |draft: &Draft| draft.words.iter().map(|w| w.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&drafts[0]), [" One", " two."]);
        assert_eq!(texts(&drafts[1]), Vec::<String>::new());
        assert_eq!(texts(&drafts[2]), [" Three."]);
        assert_eq!((drafts[0].start_s, drafts[0].end_s), (30.1, 30.7));
        assert_eq!((drafts[1].start_s, drafts[1].end_s), (31.0, 31.2));
        assert_eq!((drafts[2].start_s, drafts[2].end_s), (31.5, 31.9));
    }

    #[test]
    fn probabilities_are_means_over_tokens() {
        let tokenizer = WhisperTokenizer::built_in(51865).unwrap();
        let text = tokenizer.encode(" supercalifragilistic day");
        let start_sequence = [9, 9, 9, 9];
        let tokens = start_sequence.len() + text.len() + 1;
        let mut next_logprobs = vec![f32::NAN; tokens - 1];
        for (i, logprob) in next_logprobs[3..].iter_mut().enumerate() {
            *logprob = if i == 0 { 0.0 } else { 0.5f32.ln() };
        }
        let alignment =
            Alignment { weights: vec![1.0; tokens * 10], heads: 1, tokens, frames: 10, next_logprobs };
        let words = timed_words(&context(&tokenizer, &start_sequence), &text, &alignment);
        let n = words[0].tokens;
        assert_eq!((words.len(), n + words[1].tokens), (2, text.len()));
        assert!(n > 1);
        let mean = (1.0 + 0.5 * (n - 1) as f32) / n as f32;
        assert!((words[0].probability - mean).abs() < 1e-6 && (words[1].probability - 0.5).abs() < 1e-6);
    }
}

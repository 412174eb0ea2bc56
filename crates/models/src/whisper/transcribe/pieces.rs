//! Windows of a long recording side by side. Where no window is given the text of the one before, all that ties them
//! together is where they begin; so the recording is cut in its pauses into pieces that are walked through each on its own,
//! several at once. What is written does not depend on how many.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use mynah_text::whisper_tokenizer::WhisperTokenizer;

use super::WINDOW_FRAMES;
use super::recording::Recording;
use super::walk::Walk;
use crate::whisper::Config;
use crate::{Control, Error, Observer, Segment, TranscribeOptions, TranscriptEvent};

/// Pieces under way at once, at most: each keeps some megabytes and a thread.
const MOST_AT_ONCE: usize = 4;
/// Frames of 10 ms that a pause is looked for in, at the end of a window.
const SEARCHED_FRAMES: usize = 1500;
/// Frames of the quietest stretch there, in whose middle the cut is. Shorter ones are more often within a sentence: with 250
/// ms for 800 the error rate of two long recordings goes from 20.2 to 20.5 %, and one after the other it is 20.2 %.
const PAUSE_FRAMES: usize = 80;
/// A stretch is a pause if its energy is at most this part of what as much of the piece has at the mean: 13 dB below it.
const PAUSE_ENERGY: f32 = 0.05;

/// Frames of the pieces of a recording, of which `energies` has a number a frame. Each fits a window if there is a pause to
/// cut it at; otherwise it goes on to the next window's.
fn cut(energies: &[f32]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut window_end = WINDOW_FRAMES;
    while window_end < energies.len() {
        let mean = energies[start..window_end].iter().sum::<f32>() / (window_end - start) as f32;
        let from = window_end - SEARCHED_FRAMES;
        let stretches = energies[from..window_end].windows(PAUSE_FRAMES).map(|stretch| stretch.iter().sum());
        let quietest = stretches.enumerate().min_by(|(_, a): &(_, f32), (_, b)| a.total_cmp(b));
        match quietest.filter(|(_, energy)| *energy <= PAUSE_ENERGY * mean * PAUSE_FRAMES as f32) {
            Some((offset, _)) => {
                let end = from + offset + PAUSE_FRAMES / 2;
                pieces.push(start..end);
                start = end;
                window_end = start + WINDOW_FRAMES;
            }
            None => window_end += SEARCHED_FRAMES,
        }
    }
    pieces.push(start..energies.len());
    pieces
}

/// Decodes everything. Segments are told to `observer` in their order, on this thread.
pub(super) fn side_by_side(
    recording: &Recording<'_>,
    config: &Config,
    tokenizer: &WhisperTokenizer,
    options: &TranscribeOptions,
    language: &str,
    control: Control<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Arc<Segment>>, Error> {
    let pieces = &cut(&recording.frame_energies());
    // It stands before the first window only.
    let later_options = &TranscribeOptions { initial_prompt: None, ..options.clone() };
    let next = &AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..recording.windows_at_once(options).clamp(1, MOST_AT_ONCE).min(pieces.len()) {
            let (sender, pace, cancel) = (sender.clone(), control.pace.another(), control.cancel);
            scope.spawn(move || {
                let control = Control { cancel, pace: &*pace };
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(piece) = pieces.get(number)
                {
                    let recording = recording.until(piece.end);
                    let options = if number == 0 { options } else { later_options };
                    let walk = Walk::new(&recording, config, tokenizer, options, language, control);
                    // They are told of once their turn comes.
                    let segments = walk.run(piece.start, None, &mut ());
                    if segments.is_err() {
                        next.store(pieces.len(), Ordering::Relaxed);
                    }
                    if sender.send((number, segments)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        in_order(receiver, recording, pieces, observer)
    })
}

/// What a piece gave, under its number.
type Walked = (usize, Result<Vec<Arc<Segment>>, Error>);

/// The segments of all pieces, told and numbered as their turn comes.
fn in_order(
    walked: Receiver<Walked>,
    recording: &Recording<'_>,
    pieces: &[Range<usize>],
    observer: &mut dyn Observer,
) -> Result<Vec<Arc<Segment>>, Error> {
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    let (mut early, mut told) = (BTreeMap::new(), 0);
    for (number, of_piece) in walked {
        early.insert(number, of_piece?);
        while let Some(of_piece) = early.remove(&told) {
            for mut segment in of_piece {
                Arc::make_mut(&mut segment).id = segments.len();
                observer.event(TranscriptEvent::Segment(Arc::clone(&segment)));
                segments.push(segment);
            }
            let done_s = recording.end_s(pieces[told].end as f64 / 100.0);
            observer.event(TranscriptEvent::Progress(done_s));
            told += 1;
        }
    }
    observer.event(TranscriptEvent::Progress(recording.duration_s()));
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of so many seconds, alternately loud and quiet.
    fn energies(seconds: &[f64]) -> Vec<f32> {
        let frames = |(i, seconds): (usize, &f64)| vec![[1.0, 1e-3][i % 2]; (seconds * 100.0) as usize];
        seconds.iter().enumerate().flat_map(frames).collect()
    }

    #[test]
    fn pieces_end_in_pauses() {
        assert_eq!(cut(&energies(&[20.0])).len(), 1);
        // The pause at 10 s is earlier than need be.
        let pieces = cut(&energies(&[10.0, 1.0, 9.0, 1.0, 19.0, 1.0, 19.0]));
        assert_eq!(pieces, [0..2040, 2040..4040, 4040..6000]);
    }

    #[test]
    fn without_a_pause_a_piece_goes_on() {
        assert_eq!(cut(&energies(&[100.0])).len(), 1);
        let pieces = cut(&energies(&[40.0, 1.0, 40.0]));
        assert_eq!(pieces[0], 0..4040);
        assert_eq!(pieces.last().unwrap().end, 8100);
    }
}

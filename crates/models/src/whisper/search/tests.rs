//! The searches on scripted logits.

use super::scripted::{Script, ScriptedDecoder, Window};
use super::*;

const EOT: u32 = 8;
const VOCAB: usize = 9;

/// LogitsRules without suppression or timestamps.
fn free_rules() -> LogitsRules {
    LogitsRules::new(&RuleOptions {
        eot: EOT,
        timestamp_begin: VOCAB as u32,
        vocab_size: VOCAB,
        suppress: &[],
        begin_suppress: &[EOT],
        max_initial_timestamp: None,
    })
}

fn beam_options(beam_size: usize) -> BeamOptions {
    BeamOptions { beam_size, patience: 1.0, length_penalty: None, max_tokens: 20 }
}

fn ln(probability: f32) -> f32 {
    probability.ln()
}

/// Runs a search after the prompt `[0]`; also returns the number of steps.
fn run(search: Search<'_>, script: &Script<'_>) -> (Hypothesis, usize) {
    let mut decoder = ScriptedDecoder::new(VOCAB, script, Window::default());
    let logits = decoder.prefill(&[0], &[0]).unwrap();
    let best = search.run(&mut decoder, &logits, &CancelFlag::new(), &|_| false).unwrap();
    (best, decoder.steps)
}

/// 1 is more probable than 2 at first, but 2 has the better continuation.
fn garden_path(_: &Window, tokens: &[u32]) -> Vec<(u32, f32)> {
    match &tokens[1..] {
        [] => vec![(1, ln(0.6)), (2, ln(0.4))],
        [1] => vec![(3, ln(0.3)), (4, ln(0.3)), (5, ln(0.3)), (EOT, ln(0.1))],
        [2] => vec![(6, ln(0.9)), (EOT, ln(0.1))],
        _ => vec![(EOT, ln(1.0))],
    }
}

#[test]
fn beam_finds_what_greedy_misses() {
    let rules = free_rules();
    let (greedy, _) = run(Search::beam(&rules, beam_options(1)), &garden_path);
    assert_eq!(greedy.tokens, [1, 3]);
    let (beam, _) = run(Search::beam(&rules, beam_options(2)), &garden_path);
    assert_eq!(beam.tokens, [2, 6]);
    assert!((beam.sum_logprob - ln(0.36)).abs() < 1e-4);
    assert!((beam.avg_logprob() - ln(0.36) / 3.0).abs() < 1e-4, "the end of text counts in the mean");
    assert!((beam.logprobs[0] - ln(0.4)).abs() < 1e-4 && (beam.logprobs[1] - ln(0.9)).abs() < 1e-4);
}

/// A short ending of low probability, or a long one of high probability.
fn late_reward(_: &Window, tokens: &[u32]) -> Vec<(u32, f32)> {
    match tokens.len() {
        1 => vec![(1, ln(0.5)), (2, ln(0.5))],
        2 => vec![(EOT, ln(0.6)), (3, ln(0.4))],
        3..=6 => vec![(3, ln(0.99)), (EOT, ln(0.01))],
        _ => vec![(EOT, ln(1.0))],
    }
}

#[test]
fn patience_waits_for_more_hypotheses() {
    let rules = free_rules();
    let (hasty, hasty_steps) = run(Search::beam(&rules, beam_options(2)), &late_reward);
    assert_eq!(hasty.tokens.len(), 1, "two ends are enough for two beams");
    let patient = BeamOptions { patience: 2.0, ..beam_options(2) };
    let (best, steps) = run(Search::beam(&rules, patient), &late_reward);
    assert!(steps > hasty_steps);
    assert_eq!(best.tokens.len(), 6, "the mean log probability of the long one is better");
}

#[test]
fn length_penalty_weighs_length() {
    let rules = free_rules();
    let with = |length_penalty| {
        let options = BeamOptions { patience: 2.0, length_penalty, ..beam_options(2) };
        run(Search::beam(&rules, options), &late_reward).0.tokens.len()
    };
    assert_eq!(with(None), 6);
    assert_eq!(with(Some(0.0)), 1, "by plain sum the short one wins");
}

#[test]
fn search_ends_at_the_length_limit() {
    let rules = free_rules();
    let endless = |_: &Window, _: &[u32]| vec![(1, 0.0)];
    for beam_size in [1, 3] {
        let (best, steps) = run(Search::beam(&rules, beam_options(beam_size)), &endless);
        assert_eq!((best.tokens.len(), steps), (20, 19));
    }
    let options = sampling_options(1);
    assert_eq!(run(Search::sampling(&rules, options), &endless).0.tokens.len(), 20);
}

#[test]
fn nan_logits_end_the_search() {
    let rules = free_rules();
    let nan = |_: &Window, _: &[u32]| (0..VOCAB as u32).map(|id| (id, f32::NAN)).collect();
    assert!(run(Search::beam(&rules, beam_options(5)), &nan).0.tokens.is_empty());
    assert!(run(Search::sampling(&rules, sampling_options(3)), &nan).0.tokens.len() <= 20);
}

fn sampling_options(seed: u64) -> SamplingOptions {
    SamplingOptions { best_of: 5, temperature: 1.0, length_penalty: None, max_tokens: 20, seed }
}

#[test]
fn samples_repeat_with_the_seed_and_differ_without() {
    let rules = free_rules();
    let even = |_: &Window, tokens: &[u32]| {
        if tokens.len() < 8 { (0..EOT).map(|id| (id, 0.0)).collect() } else { vec![(EOT, 0.0)] }
    };
    let draw = |seed| run(Search::sampling(&rules, sampling_options(seed)), &even).0.tokens;
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_eq!(draw(1).len(), 7);
}

#[test]
fn samples_of_the_same_tokens_share_a_row() {
    let rules = free_rules();
    let options = SamplingOptions { best_of: 8, ..sampling_options(1) };
    let mut sampling = Search::sampling(&rules, options);
    let row = |likely: &[u32]| -> Vec<f32> {
        (0..VOCAB as u32).map(|id| if likely.contains(&id) { 0.0 } else { -50.0 }).collect()
    };
    let next = sampling.feed(&row(&[3])).unwrap();
    assert_eq!((next.sources, next.tokens), (vec![0], vec![3]), "all drew the same");
    let next = sampling.feed(&row(&[1, 2])).unwrap();
    assert_eq!(next.sources, [0, 0]);
    assert_eq!(next.tokens.iter().sum::<u32>(), 3, "some drew 1, the others 2");
    let rows: Vec<f32> = [row(&[4]), row(&[5])].concat();
    let next = sampling.feed(&rows).unwrap();
    assert_eq!((next.sources, next.tokens), (vec![0, 1], vec![4, 5]));
    let best = sampling.into_best().tokens;
    assert!([[3, 1], [3, 2]].contains(&[best[0], best[1]]) && best.len() == 3, "{best:?}");
}

#[test]
fn best_of_the_samples_is_kept() {
    let rules = free_rules();
    let lottery = |_: &Window, tokens: &[u32]| match &tokens[1..] {
        [] => vec![(1, ln(0.5)), (2, ln(0.5))],
        [1] => vec![(EOT, 0.0)],
        _ => vec![(3, ln(0.5)), (4, ln(0.5)), (EOT, ln(1e-3))],
    };
    for seed in 0..20 {
        let many = SamplingOptions { best_of: 20, ..sampling_options(seed) };
        assert_eq!(run(Search::sampling(&rules, many), &lottery).0.tokens, [1]);
    }
}

#[test]
fn a_set_flag_stops_the_search() {
    let rules = free_rules();
    let endless = |_: &Window, _: &[u32]| vec![(1, 0.0)];
    let mut decoder = ScriptedDecoder::new(VOCAB, &endless, Window::default());
    let logits = decoder.prefill(&[0], &[0]).unwrap();
    let cancel = CancelFlag::new();
    cancel.cancel();
    let result = Search::beam(&rules, beam_options(2)).run(&mut decoder, &logits, &cancel, &|_| false);
    assert!(matches!(result, Err(ModelError::Cancelled)));
    assert_eq!(decoder.steps, 0);
}

#[test]
fn a_hopeless_search_is_abandoned() {
    let rules = free_rules();
    let endless = |_: &Window, _: &[u32]| vec![(1, ln(0.9)), (2, ln(0.1))];
    let long = BeamOptions { max_tokens: 1000, ..beam_options(2) };
    let sampling = SamplingOptions { max_tokens: 1000, ..sampling_options(1) };
    for search in [|r, b, _| Search::beam(r, b), |r, _, s| Search::sampling(r, s)] {
        let search: Search<'_> = search(&rules, long, sampling);
        let mut decoder = ScriptedDecoder::new(VOCAB, &endless, Window::default());
        let logits = decoder.prefill(&[0], &[0]).unwrap();
        let is_long = |tokens: &[u32]| tokens.len() > CHECK_INTERVAL_TOKENS;
        let best = search.run(&mut decoder, &logits, &CancelFlag::new(), &is_long).unwrap();
        assert_eq!((best.tokens.len(), best.tokens[0]), (2 * CHECK_INTERVAL_TOKENS, 1));
    }
}

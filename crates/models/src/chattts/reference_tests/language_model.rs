//! Text, prompts, the language model and sampling.

use half::f16;

use super::fixture::*;
use super::*;
use crate::chattts::character_map::{Homophones, Switches, map_characters};
use crate::chattts::generate::{Generation, Prompt, Target};
use crate::chattts::random::Mt19937;
use crate::chattts::speaker::strings::{decode_sample, decode_speaker};
use crate::chattts::speaker::{base16384, normalised};

#[test]
fn texts_are_normalised() {
    let cases = texts("normalise").as_array().unwrap();
    assert!(cases.len() > 30);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let language = match case["lang"].as_str() {
            Some("zh") => Some(Language::Chinese),
            Some("en") => Some(Language::English),
            _ => None,
        };
        let detected = if Language::of(text) == Language::Chinese { "zh" } else { "en" };
        assert_eq!(detected, case["detected"].as_str().unwrap(), "{text}");
        let switches = Switches {
            punctuation: case["do_text_normalization"].as_bool().unwrap(),
            homophones: case["do_homophone_replacement"].as_bool().unwrap(),
        };
        assert_eq!(
            map_characters(text, language, switches, &Homophones::new()),
            case["out"].as_str().unwrap(),
            "{text}"
        );
    }
}

#[test]
fn texts_become_tokens_and_tokens_texts() {
    let vocabulary = &model().vocabulary;
    let ids = |case: &serde_json::Value| -> Vec<u32> {
        case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    for case in texts("/tokens/encode").as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        assert_eq!(vocabulary.encode(text), ids(case), "{text}");
    }
    for case in texts("/tokens/decode").as_array().unwrap() {
        assert_eq!(vocabulary.decode(&ids(case)), case["text"].as_str().unwrap());
    }
    assert_eq!(vocabulary.vocab_size(), number("/tokens/len"));
    assert_eq!(model().tokens.speaker as usize, number("/tokens/spk_emb_id"));
    assert_eq!(model().tokens.first_control_token as usize, number("/tokens/break_0_id"));
    assert_eq!(model().tokens.end_of_text as usize, number("/tokens/eos_text_id"));
}

#[test]
fn speakers_are_read_drawn_and_applied() {
    for case in texts("/speaker/b14").as_array().unwrap() {
        let hex = case["hex"].as_str().unwrap();
        let bytes: Vec<u8> =
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        let text = case["text"].as_str().unwrap();
        assert_eq!(base16384::encode(&bytes), text);
        assert_eq!(base16384::decode(text).unwrap(), bytes);
    }
    // Streams that liblzma compressed.
    let string = |path: &str| texts(path).as_str().unwrap();
    assert_eq!(decode_speaker(string("/speaker/spk"), 64).unwrap(), halves("speaker.spk_f16"));
    assert_eq!(decode_speaker(string("/speaker/full_spk"), 768).unwrap(), halves("speaker.full_spk_f16"));
    assert_eq!(decode_sample(string("/speaker/prompt")).unwrap(), codebooks("speaker.prompt_codes"));
    assert_close(
        "applied",
        &normalised(&halves("speaker.spk_f16")),
        &floats("speaker.spk_applied_f32"),
        1e-6,
    );
    assert_eq!(model().voice("seed:2222").unwrap().speaker.unwrap(), halves("rng.spk_2222"));
    for seed in [2, 2222] {
        assert_eq!(Mt19937::new(seed).normal_f16(768), halves(&format!("rng.randn_f16_{seed}")));
    }
    let mut generator = Mt19937::new(1234);
    let exponential: Vec<f32> = (0..4 * 626).map(|_| generator.exponential()).collect();
    assert_eq!(exponential, floats("rng.exponential_1234"));
    assert!(
        matches!(model().statistics_source(), StatisticsSource::File(path) if path.ends_with("asset/spk_stat.txt"))
    );
}

#[test]
fn scores_become_probabilities() {
    for case in 0..9 {
        let name = |part: &str| format!("sampling.{case}.{part}");
        let [rows, tokens] = shape(&name("logits"))[..] else { panic!("logits are rows") };
        let (mut scores, params) = (floats(&name("logits")), floats(&name("params")));
        let (history, temperature) = (integers(&name("history")), floats(&name("temperature")));
        let past = history.len() / rows;
        for (r, scores) in scores.chunks_exact_mut(tokens).enumerate() {
            let sampling = Sampling {
                temperature: [temperature[r]; 4],
                repetition_penalty: params[0],
                top_p: (params[1] >= 0.0).then_some(params[1]),
                top_k: (params[2] >= 0.0).then_some(params[2] as usize),
                ..Sampling::speech()
            };
            let history = history[r * past..(r + 1) * past].iter().copied();
            sampling.probabilities(0, scores, history, None);
        }
        assert_close(&name("probs"), &scores, &floats(&name("probs")), TOLERANCE);
    }
}

/// Generates greedily or with a stream of random numbers, checks scores and probabilities of the first steps, and what
/// was generated.
fn check_generation(
    stage: &str,
    target: Target,
    prompts: &[Prompt],
    sampling: &Sampling,
    noise: Option<RandomSource>,
) {
    let name = |part: &str| format!("{stage}.{part}");
    let model = model();
    let cancel = CancelFlag::new();
    let is_greedy = noise.is_none();
    let noise = noise.unwrap_or(RandomSource::Greedy);
    let mut generation =
        Generation::begin(&model.gpt, &model.batcher, target, prompts, sampling, noise, &cancel).unwrap();
    let (raw, probabilities) = (floats(&name("raw_logits")), floats(&name("probs")));
    let size = generation.logits().len();
    for (step, expected) in probabilities.chunks_exact(size).enumerate() {
        let mut scores = generation.logits();
        if let Some(raw) = raw.chunks_exact(size).nth(step) {
            assert_close(&format!("{stage}: scores of step {step}"), &scores, raw, TOLERANCE);
        }
        generation.probabilities(&mut scores);
        assert_close(&format!("{stage}: probabilities of step {step}"), &scores, expected, 2e-3);
        assert!(generation.step(unscheduled()).unwrap());
    }
    while generation.step(unscheduled()).unwrap() {}
    for (b, row) in generation.rows.iter().enumerate() {
        match target {
            Target::Text { .. } => {
                let ids: Vec<u32> = row.codes.iter().map(|codes| codes[0]).collect();
                assert_eq!(ids, integers(&name(&format!("ids.{b}"))), "{stage} row {b}");
            }
            Target::Codes => assert_eq!(row.codes, steps(&name(&format!("ids.{b}"))), "{stage} row {b}"),
        }
    }
    if target == Target::Codes && (is_greedy || stage == "code_noise") {
        for (b, row) in generation.rows.iter().enumerate().filter(|(b, _)| is_greedy || *b == 1) {
            let what = format!("{stage}: states of row {b}");
            assert_close(&what, &row.states, &floats(&name(&format!("hiddens.{b}"))), TOLERANCE);
        }
    }
}

#[test]
fn prompts_are_read() {
    let model = model();
    let prompts = prompts(&strings("/code_greedy/texts"), "[speed_5]", &voice());
    assert_eq!(prompts.iter().map(ids_of).collect::<Vec<_>>(), unpadded_ids("code_greedy"));
    let expected =
        ["prefill_emb", "prefill_layer0", "prefill_hidden"].map(|part| unpadded(part, "code_greedy"));
    for (b, prompt) in prompts.iter().enumerate() {
        let mut x = prompt.embed(&model.gpt);
        assert_close("embeddings", &x, &expected[0][b], TOLERANCE);
        let (rows, mut sequence) = (x.len() / 64, model.gpt.sequence());
        let mut first_layer = Vec::new();
        let last = model
            .gpt
            .forward(&mut x, &mut [&mut sequence], &[rows], &CancelFlag::new(), &mut |layer, x| {
                if layer == 0 {
                    first_layer = x.to_vec();
                }
            })
            .unwrap();
        assert_close("first layer", &first_layer, &expected[1][b], TOLERANCE);
        let states = model.gpt.normalise(&x);
        assert_close("states", &states, &expected[2][b], TOLERANCE);
        assert_eq!(last, states[(rows - 1) * 64..]);
    }
}

#[test]
fn codes_are_the_references() {
    let texts = strings("/code_greedy/texts");
    let rules = Sampling { max_tokens: number("/code_greedy/max_new_token"), ..Sampling::speech() };
    check_generation("code_greedy", Target::Codes, &prompts(&texts, "[speed_5]", &voice()), &rules, None);

    let noisy = Sampling {
        temperature: [0.2, 0.3, 0.5, 0.7],
        min_tokens: number("/code_noise/min_new_token"),
        max_tokens: number("/code_noise/max_new_token"),
        ..rules.clone()
    };
    // The reference's noise was drawn by this generator.
    let mut generator = Mt19937::new(7);
    let first: Vec<f32> = (0..2 * 4 * 626).map(|_| generator.exponential()).collect();
    assert_eq!(first, floats("code_noise.noise"));
    let noise = RandomSource::Stream(Mt19937::new(7));
    check_generation(
        "code_noise",
        Target::Codes,
        &prompts(&texts, "[speed_5]", &voice()),
        &noisy,
        Some(noise),
    );
}

#[test]
fn codes_continue_a_sample() {
    let text = texts("/code_prompted/text").as_str().unwrap().to_owned();
    let codes = decode_sample(texts("/code_prompted/spk_smp").as_str().unwrap()).unwrap();
    assert_eq!(codes, codebooks("code_prompted.prompt_codes"));
    let voice = Voice { sample: sample(codes, "你好"), ..Voice::default() };
    let prompts = prompts(&[text], "", &voice);
    assert_eq!(ids_of(&prompts[0]), steps("code_prompted.input_ids"));
    assert_close(
        "embeddings",
        &prompts[0].embed(&model().gpt),
        &floats("code_prompted.prefill_emb"),
        TOLERANCE,
    );
    let rules = Sampling { max_tokens: 16, ..Sampling::speech() };
    check_generation("code_prompted", Target::Codes, &prompts, &rules, None);
}

#[test]
fn seeds_give_the_references_codes() {
    let model = model();
    let prompts = prompts(&strings("/rng/texts"), "[speed_5]", &voice());
    let rules = Sampling { max_tokens: number("/rng/max_new_token"), ..Sampling::speech() };
    let noise = RandomSource::EveryStep(number("/rng/manual_seed") as u64);
    let cancel = CancelFlag::new();
    let mut generation =
        Generation::begin(&model.gpt, &model.batcher, Target::Codes, &prompts, &rules, noise, &cancel)
            .unwrap();
    while generation.step(unscheduled()).unwrap() {}
    for (b, row) in generation.rows.iter().enumerate() {
        assert_eq!(row.codes, steps(&format!("rng.ids.{b}")), "row {b}");
    }
}

#[test]
fn texts_are_refined() {
    let model = model();
    let target = Target::Text { end: model.tokens.end_of_text };
    let rules = Sampling { max_tokens: 24, ..Sampling::refinement() };
    for (stage, tags, noise) in [
        ("refine_greedy", "[oral_2][laugh_0][break_6]", None),
        ("refine_noise", "", Some(RandomSource::Stream(Mt19937::new(5)))),
    ] {
        let given = strings(&format!("/{stage}/texts"));
        let prompts: Vec<Prompt> = given
            .iter()
            .map(|text| Prompt {
                ids: model.vocabulary.encode(&prompts::refinement(text, tags)),
                ..Prompt::default()
            })
            .collect();
        assert_eq!(prompts.iter().map(ids_of).collect::<Vec<_>>(), unpadded_ids(stage));
        check_generation(stage, target, &prompts, &rules, noise.clone());
        let noise = noise.unwrap_or(RandomSource::Greedy);
        let (refined, _) = model.refine(&given, tags, &rules, noise, unscheduled()).unwrap();
        assert_eq!(refined, strings(&format!("/{stage}/refined")));
    }
}

/// How far 8-bit weights move the scores, on the codes that 32-bit weights choose.
#[test]
fn smaller_weights_say_nearly_the_same() {
    let codes = steps("code_greedy.ids.1");
    let text = strings("/code_greedy/texts").remove(1);
    let scores = |model: &ChatTts| model.scores(&text, &voice(), &codes, &CancelFlag::new()).unwrap();
    let exact = scores(model());
    for (compute, least) in [(ComputeType::F16, 0.999_99), (ComputeType::Int8, 0.999)] {
        let rounded = scores(&load(compute));
        let worst = exact.iter().zip(&rounded).map(|(a, b)| correlation(a, b)).fold(1.0, f64::min);
        assert!(worst >= least, "{compute:?}: {worst}");
    }
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |x: &[f32]| x.iter().map(|&v| f64::from(v)).sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    ab / (aa * bb).sqrt()
}

#[test]
fn statistics_are_spread_and_mean() {
    let voices = &model().voices.statistics;
    let drawn = voices.draw(&mut Mt19937::new(2222));
    let noise = Mt19937::new(2222).normal_f16(64);
    let (deviation, mean) = (halves("speaker.spk_std_f16"), halves("speaker.spk_mean_f16"));
    let expected: Vec<f16> =
        noise.iter().zip(deviation.iter().zip(&mean)).map(|(v, (d, m))| v * d + m).collect();
    assert_eq!(drawn, expected);
}

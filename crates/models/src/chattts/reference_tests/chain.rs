//! From text to samples, whole and in chunks.

use mynah_testkit::weight_files::{Tensor, torch};
use mynah_weights::open_state_dict;

use super::fixture::*;
use super::*;
use crate::chattts::generate::{Generation, Target};
use crate::chattts::random::Mt19937;

/// Removes silence, as the reference does.
fn without_silence(samples: &[f32]) -> Vec<f32> {
    samples.iter().copied().filter(|v| v.abs() > 1e-5).collect()
}

fn speak(model: &ChatTts, text: &str, options: &SpeakOptions) -> Vec<Vec<f32>> {
    let cancel = CancelFlag::new();
    let mut speech = model.begin(text, options.clone(), &cancel).unwrap();
    let mut pieces = Vec::new();
    while let Some(piece) = speech.next_chunk(unscheduled()).unwrap() {
        pieces.push(piece);
    }
    pieces
}

fn options() -> SpeakOptions {
    SpeakOptions {
        voice: voice(),
        normalize_text: false,
        split: false,
        seed: Some(Seed::Stream(11)),
        speech: Sampling { max_tokens: number("/e2e/max_new_token"), ..Sampling::speech() },
        ..SpeakOptions::default()
    }
}

#[test]
fn samples_match_the_reference() {
    let pieces = speak(model(), texts("/e2e/text").as_str().unwrap(), &options());
    assert!(pieces.len() > 1);
    // The chain is several networks deep, so rounding errors grow towards its end.
    assert_close("samples", &without_silence(&pieces.concat()), &floats("e2e.plain"), 5e-4);
}

#[test]
fn sentences_continue_the_first_ones_voice() {
    let model = model();
    let text = texts("/e2e_split/text").as_str().unwrap();
    let sentences: Vec<String> = split::sentences(text).into_iter().map(str::to_owned).collect();
    assert_eq!(sentences.len(), 2);
    let rules = Sampling {
        max_tokens: number("/e2e_split/max_new_token"),
        min_tokens: number("/e2e_split/min_new_token"),
        ..Sampling::speech()
    };
    let cancel = CancelFlag::new();
    let generate = |texts: &[String], voice: &Voice| -> Vec<Vec<f32>> {
        let prompts = prompts(texts, "[speed_5]", voice);
        if voice.sample.is_some() {
            assert_eq!(prompts.iter().map(ids_of).collect::<Vec<_>>(), unpadded_ids("e2e_split"));
        }
        let target = Target::Codes;
        let mut generation = Generation::begin(
            &model.gpt,
            &model.batcher,
            target,
            &prompts,
            &rules,
            RandomSource::Greedy,
            &cancel,
        )
        .unwrap();
        while generation.step(unscheduled()).unwrap() {}
        generation.rows.iter().map(|row| row.states.clone()).collect()
    };
    let first = generate(&sentences[..1], &voice()).remove(0);
    let codes = model.dvae_encoder().unwrap().encode(&model.audio_decoder().push(&first, true)).unwrap();
    assert_eq!(codes, codebooks("e2e_split.prompt_codes"));
    let mut states = generate(&sentences, &Voice { sample: sample(codes, &sentences[0]), ..voice() });
    // The reference pads the shorter one with zeros.
    let longest = states.iter().map(Vec::len).max().unwrap();
    states.iter_mut().for_each(|states| states.resize(longest, 0.0));
    let samples: Vec<f32> =
        states.iter().flat_map(|states| without_silence(&model.audio_decoder().push(states, true))).collect();
    assert_close("samples", &samples, &floats("e2e_split.wav"), 5e-3);
}

#[test]
fn long_texts_are_spoken_in_groups_and_are_reproducible() {
    let model = model();
    let text = "[speed_3]你好，世界。今天 the food is good。".repeat(8);
    let options = SpeakOptions {
        split: true,
        refine: true,
        speech: Sampling { max_tokens: 90, min_tokens: 3, ..Sampling::speech() },
        refinement: Sampling { max_tokens: 10, ..Sampling::refinement() },
        ..options()
    };
    let spoken = speak(model, &text, &options).concat();
    assert_eq!(spoken, speak(model, &text, &options).concat());
    let changing = SpeakOptions { keep_voice: false, ..options.clone() };
    assert_ne!(spoken, speak(model, &text, &changing).concat());
    let other = SpeakOptions { seed: Some(Seed::Stream(12)), ..options.clone() };
    assert_ne!(spoken, speak(model, &text, &other).concat());
    assert!(spoken.len() > 3 * 512 && spoken.iter().all(|v| v.is_finite()));
}

#[test]
fn audio_does_not_depend_on_concurrent_requests() {
    let model = model();
    let options = SpeakOptions { voice: model.voice("alloy").unwrap(), seed: None, ..options() };
    let alone = speak(model, "你好，世界", &options).concat();
    let together: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..3).map(|_| scope.spawn(|| speak(model, "你好，世界", &options).concat())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for samples in together {
        assert_close("together", &samples, &alone, 1e-4);
    }
}

#[test]
fn reference_audio_gives_a_voice() {
    let model = model();
    let voice = model.voice_from_reference(&floats("dvae_encode.wav"), "你好").unwrap();
    assert_eq!(voice.sample, sample(codebooks("dvae_encode.codes"), "你好"));
    assert!(!speak(model, "你好", &SpeakOptions { voice, ..options() }).is_empty());
    assert!(matches!(model.voice_from_reference(&[0.0; 100], ""), Err(ModelError::InvalidInput(_))));
    assert!(matches!(
        model.voice_from_reference(&vec![0.0; 61 * 24_000], ""),
        Err(ModelError::InvalidInput(_))
    ));
}

#[test]
fn invalid_input_is_refused() {
    let (model, cancel) = (model(), CancelFlag::new());
    let refused = |text: &str, options: SpeakOptions| {
        matches!(
            model.begin(text, options, &cancel),
            Err(ModelError::InvalidInput(_) | ModelError::InvalidOption { .. })
        )
    };
    for text in ["", " \n", "。。", "[laugh]", "😀"] {
        assert!(refused(text, options()), "{text}");
    }
    let hot = Sampling { temperature: [f32::NAN; 4], ..Sampling::speech() };
    assert!(refused("你好", SpeakOptions { speech: hot, ..options() }));
    let style = Style { speed: Some(10), ..Style::default() };
    assert!(refused("你好", SpeakOptions { style, ..options() }));
    // A prompt with as many positions as the model has.
    let voice = Voice { sample: sample(vec![[0; 4]; 4096], ""), ..Voice::default() };
    let mut speech = model.begin("你好", SpeakOptions { voice, ..options() }, &cancel).unwrap();
    assert!(matches!(speech.next_chunk(unscheduled()), Err(ModelError::InvalidInput(_))));

    let mut speech = model.begin("你好", options(), &cancel).unwrap();
    cancel.cancel();
    assert!(matches!(speech.next_chunk(unscheduled()), Err(ModelError::Cancelled)));
}

/// Whether loading failed for its weights, with this in the reason.
fn weights_refused(loaded: Result<ChatTts, ModelError>, part: &str) -> bool {
    matches!(loaded, Err(ModelError::Weights(reason)) if reason.contains(part))
}

#[test]
fn damaged_checkpoints_are_refused() {
    let load = |folder: &Path| ChatTts::load(folder, &LoadOptions::default());
    let empty = tempfile::tempdir().unwrap();
    assert!(weights_refused(load(empty.path()), "is not a checkpoint"));
    for file in ["gpt/model", "Embed", "Decoder", "Vocos"] {
        let folder = checkpoint();
        let path = folder.path().join(format!("asset/{file}.safetensors"));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(weights_refused(load(folder.path()), "is damaged"), "{file} cut");
        // A renamed tensor counts as missing.
        let at = bytes.windows(7).position(|w| w == b".weight").unwrap();
        let mut renamed = bytes.clone();
        renamed[at..at + 7].copy_from_slice(b".height");
        std::fs::write(&path, renamed).unwrap();
        if file != "Embed" {
            let loaded = load(folder.path());
            assert!(
                matches!(&loaded, Err(ModelError::Unsupported(_))) || weights_refused(loaded, "tensor "),
                "{file} renamed"
            );
        }
    }
    let folder = checkpoint();
    std::fs::remove_file(folder.path().join("asset/tokenizer/tokenizer.json")).unwrap();
    assert!(weights_refused(load(folder.path()), "cannot read"));
}

#[test]
fn synthesis_continues_the_generator_that_drew_the_voice() {
    let model = model();
    let voice = model.voice("seed:5").unwrap();
    let mut generator = Mt19937::new(5);
    drop(model.voices.statistics.draw(&mut generator));
    let next = generator.next_u32();
    // One 32-bit number was drawn per dimension.
    let mut expected = Mt19937::new(5);
    let words: Vec<u32> = (0..65).map(|_| expected.next_u32()).collect();
    assert_eq!(words[64], next);
    assert_eq!(voice.drawn_with, Some(5));
}

/// The layout of the first releases, with 16-bit weights: the audio is the same as with the published layout in 16 bits.
#[test]
fn older_checkpoints_are_read() {
    let published = checkpoint();
    let older = tempfile::tempdir().unwrap();
    let (from, to) = (published.path().join("asset"), older.path().join("asset"));
    std::fs::create_dir_all(to.join("gpt")).unwrap();
    let tensors = |file: &str, prefix: &str| -> Vec<Tensor> {
        let source = open_state_dict(&from.join(file)).unwrap();
        source
            .names()
            .map(|name| {
                let shape = source.shape(name).unwrap().to_vec();
                (format!("{prefix}{name}"), shape, source.read_f32(name).unwrap())
            })
            .collect()
    };
    let mut gpt = tensors("gpt/model.safetensors", "gpt.");
    gpt.extend(tensors("Embed.safetensors", ""));
    // The scale vectors had another name.
    let mut decoder = tensors("Decoder.safetensors", "");
    for (name, shape, _) in &mut decoder {
        if let (Some(block), [_]) =
            (name.strip_suffix(".weight").filter(|name| name.contains("decoder_block")), &shape[..])
            && !block.ends_with("norm")
        {
            *name = format!("{block}.gamma");
        }
    }
    for (name, tensors) in
        [("GPT.pt", gpt), ("Decoder.pt", decoder), ("Vocos.pt", tensors("Vocos.safetensors", ""))]
    {
        std::fs::write(to.join(name), torch(&tensors)).unwrap();
    }
    std::fs::write(to.join("DVAE_full.pt"), torch(&tensors("DVAE.safetensors", ""))).unwrap();
    std::fs::copy(from.join("gpt/config.json"), to.join("gpt/config.json")).unwrap();
    std::fs::write(to.join("spk_stat.pt"), include_bytes!("../../../../weights/tests/data/torch/lone.pt"))
        .unwrap();
    // A pickled tokenizer has its JSON in it as text.
    let json: serde_json::Value = serde_json::from_slice(VOCABULARY).unwrap();
    let text = json.to_string();
    let (first, rest) = (text.find("\"version\"").unwrap(), text.len() - 1);
    let version = "\"version\":\"1.0\"";
    let others = text[1..rest].replace(version, "").replace(",,", ",");
    let others = others.trim_matches(',');
    assert!(first > 0 && others.len() + version.len() + 3 == text.len());
    std::fs::write(to.join("tokenizer.pt"), format!("\u{2}pickle{{{version},{others}}}u.")).unwrap();

    assert!(ChatTts::is_at(older.path()) && ChatTts::is_at(&to));
    let load = |path: &Path| {
        ChatTts::load(path, &LoadOptions { compute: ComputeType::F32, ..LoadOptions::default() }).unwrap()
    };
    let (older, published) = (load(older.path()), load(published.path()));
    assert_eq!(older.config(), published.config());
    assert!(
        matches!(older.statistics_source(), StatisticsSource::File(path) if path.ends_with("spk_stat.pt"))
    );
    let codes = codebooks("dvae_decode.codes");
    let (a, b) = (older.decode_codes(&codes).unwrap(), published.decode_codes(&codes).unwrap());
    assert_close("samples of the DVAE", &a, &b, 0.02);
    let hidden = transposed(&floats("decoder.hidden"), 64);
    assert_close(
        "samples",
        &older.audio_decoder().push(&hidden, true),
        &published.audio_decoder().push(&hidden, true),
        0.02,
    );
    let spoken = |model: &ChatTts| {
        speak(
            model,
            "你好",
            &SpeakOptions {
                speech: Sampling { min_tokens: 20, max_tokens: 20, ..Sampling::speech() },
                ..options()
            },
        )
        .concat()
    };
    assert_eq!(spoken(&older).len(), spoken(&published).len());
}

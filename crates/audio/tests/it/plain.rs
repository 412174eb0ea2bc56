//! Containers of plain samples, in every variant that is found in the wild.

use crate::decode;
use crate::files::{Wav, aiff, au, caf, chunk, s16};
use crate::signal::{snr, sweep};

const RATE: u32 = 16_000;

fn wanted() -> Vec<f32> {
    sweep(RATE)
}

/// Each sample as a signed integer of some bytes, little-endian.
fn ints(samples: &[f32], bytes: usize) -> Vec<u8> {
    let full = 2f64.powi(8 * bytes as i32 - 1) - 1.0;
    samples
        .iter()
        .flat_map(|&x| ((f64::from(x) * full).round() as i64).to_le_bytes().into_iter().take(bytes))
        .collect()
}

fn swapped(bytes: &[u8], size: usize) -> Vec<u8> {
    bytes.chunks(size).flat_map(|sample| sample.iter().rev().copied()).collect()
}

/// The G.711 code nearest to a sample, by trying all of them with the standard's own table.
fn companded(samples: &[f32], expand: impl Fn(u8) -> f32) -> Vec<u8> {
    let levels: Vec<f32> = (0..=255).map(expand).collect();
    let nearest = |x: f32| {
        (0..=255u8).min_by(|&a, &b| {
            (levels[usize::from(a)] - x).abs().total_cmp(&(levels[usize::from(b)] - x).abs())
        })
    };
    samples.iter().map(|&x| nearest(x).expect("a level")).collect()
}

/// Decoder outputs of ITU-T G.711, tables 1a to 2b, from their definition by segments.
fn mu_law(code: u8) -> f32 {
    let code = !code;
    let magnitude = (f32::from(code & 15) * 2.0 + 33.0) * f32::from(1u16 << ((code >> 4) & 7)) - 33.0;
    magnitude / 8192.0 * if code & 0x80 == 0 { 1.0 } else { -1.0 }
}

fn a_law(code: u8) -> f32 {
    let code = code ^ 0x55;
    let step = f32::from(code & 15) * 2.0;
    let magnitude = match (code >> 4) & 7 {
        0 => step + 1.0,
        segment => (step + 33.0) * f32::from(1u16 << (segment - 1)),
    };
    magnitude / 4096.0 * if code & 0x80 == 0 { -1.0 } else { 1.0 }
}

#[test]
fn every_encoding_of_wav_keeps_length_and_sound() {
    let wanted = wanted();
    let unsigned: Vec<u8> = wanted.iter().map(|x| (x * 127.0 + 128.0).round() as u8).collect();
    let f32s: Vec<u8> = wanted.iter().flat_map(|x| x.to_le_bytes()).collect();
    let f64s: Vec<u8> = wanted.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect();
    let high24 =
        wanted.iter().flat_map(|x| (((f64::from(*x) * 8_388_607.0) as i32) << 8).to_le_bytes()).collect();
    let low24 = wanted.iter().flat_map(|x| ((f64::from(*x) * 8_388_607.0) as i32).to_le_bytes()).collect();
    let wide = |bits| Wav { block: 4, ..Wav::new(1, 1, RATE, bits) };
    let cases: [(&str, Wav, Vec<u8>, f64); 12] = [
        ("u8", Wav::new(1, 1, RATE, 8), unsigned, 38.0),
        ("s16", Wav::new(1, 1, RATE, 16), ints(&wanted, 2), 85.0),
        ("s24", Wav::new(1, 1, RATE, 24), ints(&wanted, 3), 130.0),
        ("s32", Wav::new(1, 1, RATE, 32), ints(&wanted, 4), 140.0),
        ("s64", Wav::new(1, 1, RATE, 64), ints(&wanted, 8), 140.0),
        ("f32", Wav::new(3, 1, RATE, 32), f32s.clone(), 280.0),
        ("f64", Wav::new(3, 1, RATE, 64), f64s, 280.0),
        ("mu-law", Wav::new(7, 1, RATE, 8), companded(&wanted, mu_law), 36.0),
        ("A-law", Wav::new(6, 1, RATE, 8), companded(&wanted, a_law), 36.0),
        ("extensible f32", Wav::new(3, 1, RATE, 32).extensible(4), f32s, 280.0),
        ("24 bits in the upper bytes of 32", wide(24).extensible(0), high24, 130.0),
        ("24 bits in the lower bytes of 32", wide(24).extensible(0), low24, 130.0),
    ];
    for (name, wav, data, least) in cases {
        let decoded = decode(wav.file(&data)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.samples.len(), wanted.len(), "{name}");
        let snr = snr(&decoded.samples, &wanted);
        assert!(snr >= least, "{name}: {snr:.1} dB");
        assert_eq!((decoded.info.container.as_str(), decoded.info.sample_rate), ("wav", RATE), "{name}");
    }
}

#[test]
fn sixteen_bit_at_16_khz_passes_through_unchanged() {
    let samples: Vec<i16> =
        (0..40_000).map(|n: i32| (n.wrapping_mul(7919) % 65_536 - 32_768) as i16).collect();
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    let decoded = decode(Wav::new(1, 1, RATE, 16).file(&data)).expect("decodes");
    assert!(decoded.samples.iter().zip(&samples).all(|(got, &x)| *got == f32::from(x) / 32768.0));
    assert_eq!(decoded.samples.len(), samples.len());
}

#[test]
fn size_fields_may_be_wrong_or_missing() {
    let wanted = wanted();
    let wav = Wav::new(1, 1, RATE, 16);
    let data = s16(&wanted);
    let whole = wav.file(&data);
    let mut odd = whole.clone();
    odd.push(7);
    let noisy =
        [&whole[..12], &chunk(b"JUNK", b"odd"), &chunk(b"LIST", b"INFOISFT\x02\0\0\0x\0"), &whole[12..]]
            .concat();
    let cases: [(&str, Vec<u8>, usize); 9] = [
        ("zero", wav.file_claiming(&data, 0), wanted.len()),
        ("all ones", wav.file_claiming(&data, u32::MAX), wanted.len()),
        ("3 GB", wav.file_claiming(&data, 3_000_000_000), wanted.len()),
        ("cut in half", whole[..44 + data.len() / 2].to_vec(), wanted.len() / 2),
        ("a byte too many", odd, wanted.len()),
        ("other chunks first", noisy, wanted.len()),
        ("RF64", wav.rf64(b"RF64", &data), wanted.len()),
        ("BW64", wav.rf64(b"BW64", &data), wanted.len()),
        ("Wave64", wav.wave64(&data), wanted.len()),
    ];
    for (name, file, frames) in cases {
        let decoded = decode(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.samples.len(), frames, "{name}");
        assert!(snr(&decoded.samples, &wanted) > 85.0, "{name}");
    }
}

#[test]
fn au_aiff_and_caf_hold_the_same_sound() {
    let wanted = wanted();
    let frames = wanted.len() as u32;
    let little = s16(&wanted);
    let big = swapped(&little, 2);
    let f32_big: Vec<u8> = wanted.iter().flat_map(|x| x.to_be_bytes()).collect();
    let companded = companded(&wanted, mu_law);
    let hz = f64::from(RATE);
    let cases: [(&str, Vec<u8>, f64); 13] = [
        ("au s16", au(3, RATE, 1, big.len() as u32, &big), 85.0),
        ("au of unknown size", au(3, RATE, 1, u32::MAX, &big), 85.0),
        ("au mu-law", au(1, RATE, 1, frames, &companded), 36.0),
        ("au f32", au(6, RATE, 1, u32::MAX, &f32_big), 280.0),
        ("aiff s16", aiff(None, RATE as u16, 16, frames, &big), 85.0),
        ("aifc sowt", aiff(Some(b"sowt"), RATE as u16, 16, frames, &little), 85.0),
        ("aifc fl32", aiff(Some(b"fl32"), RATE as u16, 32, frames, &f32_big), 280.0),
        ("aifc ulaw", aiff(Some(b"ulaw"), RATE as u16, 16, frames, &companded), 36.0),
        ("caf s16", caf(b"lpcm", 0, hz, 16, big.len() as i64 + 4, &big), 85.0),
        ("caf little-endian", caf(b"lpcm", 2, hz, 16, little.len() as i64 + 4, &little), 85.0),
        ("caf of unknown size", caf(b"lpcm", 0, hz, 16, -1, &big), 85.0),
        ("caf float", caf(b"lpcm", 1, hz, 32, -1, &f32_big), 280.0),
        ("caf mu-law", caf(b"ulaw", 0, hz, 8, -1, &companded), 36.0),
    ];
    for (name, file, least) in cases {
        let decoded = decode(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.samples.len(), wanted.len(), "{name}");
        let snr = snr(&decoded.samples, &wanted);
        assert!(snr >= least, "{name}: {snr:.1} dB");
    }
}

/// A block of IMA ADPCM for two channels, worked out by hand from the standard's tables; both start at index 0.
#[test]
fn ima_adpcm_follows_the_tables() {
    let mut block = vec![0x10, 0, 0, 0, 0x20, 0, 0, 0];
    // Left: codes 7 7 0 0 0 0 0 0; right: code 7 and seven zeros.
    block.extend([0x77, 0, 0, 0, 0x07, 0, 0, 0]);
    let wav = Wav { bits: 4, block: 16, extra: vec![2, 0, 9, 0], ..Wav::new(0x11, 2, RATE, 4) };
    let decoded = decode(wav.file(&block)).expect("decodes");
    // Step 7: 7 + 3 + 1 + 0 = 11. Then index 8, step 16: 16 + 8 + 4 + 2 = 30. Then index 16, step 34: 34 / 8 = 4, and so on
    // with steps 31, 28, 25, 23, 21 that give 3, 3, 3, 2, 2.
    let left = [16, 27, 57, 61, 64, 67, 70, 72, 74];
    // After the same 11, step 16 gives 2, and 14, 13, 12, 11, 10 and 9 give 1 each.
    let right = [32, 43, 45, 46, 47, 48, 49, 50, 51];
    let mixed: Vec<f32> = left.iter().zip(right).map(|(&l, r)| (l + r) as f32 / 65_536.0).collect();
    assert_eq!(decoded.samples, mixed);
}

/// A block of Microsoft ADPCM worked out by hand: predictor 0 repeats the last sample.
#[test]
fn microsoft_adpcm_follows_the_tables() {
    let mut block = vec![0];
    for word in [16i16, 100, 50] {
        block.extend(word.to_le_bytes());
    }
    block.extend([0x1f, 0x40]);
    let mut extra = vec![32, 0, 6, 0, 7, 0];
    for pair in [[256i16, 0], [512, -256], [0, 0], [192, 64], [240, 0], [460, -208], [392, -232]] {
        extra.extend(pair.iter().flat_map(|word| word.to_le_bytes()));
    }
    let wav = Wav { block: 9, extra, ..Wav::new(2, 1, RATE, 4) };
    let decoded = decode(wav.file(&block)).expect("decodes");
    // Code 1 adds 16, the step stays at its least, 16 * 230 / 256 < 16; code 15 takes 16 off; code 4 adds 64 and widens
    // the step to 16 * 768 / 256 = 48; code 0 adds nothing.
    let wanted: Vec<f32> = [50, 100, 116, 100, 164, 164].iter().map(|&x| x as f32 / 32_768.0).collect();
    assert_eq!(decoded.samples, wanted);
}

#[test]
fn wav_may_wrap_mp3() {
    let mp3 = include_bytes!("../data/sweep.mp3");
    let file = Wav { block: 1, extra: vec![0, 0], ..Wav::new(0x55, 1, 44_100, 0) }.file(mp3);
    let decoded = decode(file).expect("decodes");
    assert_eq!(decoded.info.codec, "mp3");
    assert!((decoded.info.duration_s - 0.75).abs() < 0.02, "{}", decoded.info.duration_s);
}

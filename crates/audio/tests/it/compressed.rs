//! Codecs and their containers, with recordings of one sweep.

use mynah_audio::DecodeError;

use crate::decode;
use crate::signal::{best_lag, snr, sweep};

macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../data/", $name)).as_slice()
    };
}

#[test]
fn every_codec_decodes_the_aligned_sweep() {
    let wanted = sweep(16_000);
    // Where nothing says how long the encoder's delay is, it stays. No whole number of samples at 16 kHz, it lets the two
    // agree less well, as does what is left of a sample in Opus.
    // File, container, codec, most samples of lag, least agreement in dB, most difference in length in seconds.
    let cases = [
        ("sweep.mp3", data!("sweep.mp3"), "mpeg audio", "mp3", 0, 25.0, 0.0001),
        ("sweep.m4a", data!("sweep.m4a"), "mp4", "aac", 0, 10.0, 0.024),
        ("sweep.mov", data!("sweep.mov"), "mp4", "aac", 0, 10.0, 0.022),
        ("sweep-fragmented.mp4", data!("sweep-fragmented.mp4"), "mp4", "aac", 342, 3.0, 0.044),
        ("sweep.aac", data!("sweep.aac"), "adts", "aac", 372, 3.0, 0.048),
        ("sweep.ogg", data!("sweep.ogg"), "ogg", "vorbis", 0, 15.0, 0.0001),
        ("sweep.opus", data!("sweep.opus"), "ogg", "opus", 1, 5.0, 0.0001),
        ("sweep-live.webm", data!("sweep-live.webm"), "matroska", "opus", 1, 5.0, 0.02),
        ("sweep.mkv", data!("sweep.mkv"), "matroska", "opus", 1, 5.0, 0.02),
        ("sweep-opus.mp4", data!("sweep-opus.mp4"), "mp4", "opus", 1, 5.0, 0.0001),
        ("sweep-alac.m4a", data!("sweep-alac.m4a"), "mp4", "alac", 0, 80.0, 0.0001),
        ("sweep-alac.caf", data!("sweep-alac.caf"), "caf", "alac", 0, 80.0, 0.0001),
        ("sweep.mp2", data!("sweep.mp2"), "mpeg audio", "mp2", 162, 3.0, 0.02),
    ];
    for (name, bytes, container, codec, most_lag, least, most_longer) in cases {
        let decoded = decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            (decoded.info.container.as_str(), decoded.info.codec.as_str()),
            (container, codec),
            "{name}"
        );
        let longer = decoded.info.duration_s - 0.75;
        assert!((-0.0001..=most_longer).contains(&longer), "{name}: {longer:.4} s longer");
        let (lag, snr) = best_lag(&decoded.samples, &wanted, 400);
        assert!(lag.abs() <= most_lag && snr >= least, "{name}: {snr:.1} dB at a lag of {lag}");
    }
}

#[test]
fn formats_for_ffmpeg_are_decoded_by_it_or_refused() {
    let installed = std::process::Command::new("ffmpeg").arg("-version").output().is_ok();
    match decode(data!("sweep.ac3")) {
        Ok(decoded) => {
            assert!(installed, "decoded without ffmpeg");
            assert!(best_lag(&decoded.samples, &sweep(16_000), 400).1 > 3.0);
        }
        Err(DecodeError::Unsupported { what }) => assert!(!installed && what.contains("AC-3"), "{what}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn chained_streams_play_one_after_the_other() {
    let twice = [data!("sweep.opus"), data!("sweep.ogg")].concat();
    let decoded = decode(twice).expect("decodes");
    assert_eq!(decoded.samples.len(), 2 * 12_000);
    assert!(best_lag(&decoded.samples[12_000..], &sweep(16_000), 1).1 > 15.0);
}

#[test]
fn concatenated_mp3_files_are_not_cut_at_the_count_of_the_first() {
    let decoded = decode([data!("sweep.mp3"), data!("sweep.mp3")].concat()).expect("decodes");
    assert!((decoded.info.duration_s - 1.5).abs() < 0.06, "{}", decoded.info.duration_s);
    // Frames of MPEG-1 layer III at 48 kHz after those at 44.1 kHz.
    let mixed = [data!("sweep.mp3"), &encoded_mp3(24_000)].concat();
    let decoded = decode(mixed).expect("decodes");
    assert!((decoded.info.duration_s - 1.5).abs() < 0.12, "{}", decoded.info.duration_s);
}

fn encoded(format: mynah_audio::OutputFormat, rate: u32) -> Vec<u8> {
    mynah_audio::encode(format, &sweep(rate), rate, &Default::default()).expect("encodes")
}

fn encoded_mp3(rate: u32) -> Vec<u8> {
    encoded(mynah_audio::OutputFormat::Mp3, rate)
}

#[test]
fn high_efficiency_aac_keeps_its_upper_band() {
    let rate = 32_000;
    let pcm = sweep(rate);
    let mut options = syom::EncodeOptions::adts();
    options.he = true;
    options.bitrate_bps = 48_000;
    let bytes = syom::encode_with(&[&pcm], rate, &options).expect("encodes");
    let decoded = decode(bytes).expect("decodes");
    assert_eq!((decoded.info.codec.as_str(), decoded.info.sample_rate), ("aac", rate));
    assert!((decoded.info.duration_s - 0.75).abs() < 0.2, "{}", decoded.info.duration_s);
}

#[test]
fn junk_and_tags_before_mp3_are_skipped() {
    let mp3 = data!("sweep.mp3");
    let junk: Vec<u8> = (0..4096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let huge_tag = [&b"ID3\x03\0\0\x3f\x7f\x7f\x7f"[..], mp3].concat();
    for (name, file) in [("junk", [&junk, mp3].concat()), ("a tag longer than the file", huge_tag)] {
        let decoded = decode(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.info.codec, "mp3", "{name}");
        assert!((decoded.info.duration_s - 0.75).abs() < 0.03, "{name}: {}", decoded.info.duration_s);
    }
}

#[test]
fn flac_survives_damage_before_and_inside_its_frames() {
    let pcm = sweep(16_000);
    let flac = encoded(mynah_audio::OutputFormat::Flac, 16_000);
    let frames = flac.windows(2).position(|two| two == [0xff, 0xf8]).expect("a frame");
    let mut damaged = flac.clone();
    let middle = frames + (flac.len() - frames) / 2;
    damaged[middle] ^= 0x10;
    let mut wrong_length = flac.clone();
    wrong_length[7] = 0xff;
    let cases = [
        ("whole", flac.clone(), 80.0),
        ("no header at all", flac[frames..].to_vec(), 80.0),
        ("a header block of the wrong length", wrong_length, 80.0),
        ("a flipped bit", damaged, 0.0),
    ];
    for (name, file, least) in cases {
        let decoded = decode(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.samples.len(), pcm.len(), "{name}");
        let snr = snr(&decoded.samples, &pcm);
        assert!(snr > least, "{name}: {snr:.1} dB");
    }
}

#[test]
fn truncated_files_are_decoded_up_to_their_end() {
    let cases = [
        ("mp3", data!("sweep.mp3")),
        ("m4a", data!("sweep.m4a")),
        ("live webm", data!("sweep-live.webm")),
        ("mkv", data!("sweep.mkv")),
    ];
    for (name, bytes) in cases {
        let decoded = decode(&bytes[..bytes.len() * 3 / 4]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!((0.2..0.75).contains(&decoded.info.duration_s), "{name}: {}", decoded.info.duration_s);
    }
}

#[test]
fn quicktime_without_a_file_type_is_read() {
    let mut mov = data!("sweep.mov").to_vec();
    assert_eq!(&mov[4..8], b"ftyp");
    mov[4..8].copy_from_slice(b"free");
    let decoded = decode(mov).expect("decodes");
    assert_eq!((decoded.info.container.as_str(), decoded.info.codec.as_str()), ("mp4", "aac"));
}

//! The two ADPCM codecs of wav files, block by block.
//!
//! IMA: "Recommended Practices for Enhancing Digital Audio Compatibility in Multimedia Systems" (IMA, 1992), block
//! layout as in Microsoft's "New Multimedia Data Types and Data Techniques" (1994), which also defines Microsoft's own.

/// Quantiser step sizes of IMA ADPCM.
const IMA_STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88,
    97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658,
    724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660,
    4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818,
    18500, 20350, 22385, 24623, 27086, 29794, 32767,
];
/// Change of the step index, by the magnitude of the code.
const IMA_INDEX: [i32; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

struct Ima {
    sample: i32,
    index: i32,
}

impl Ima {
    fn next(&mut self, code: u8) -> f32 {
        let step = IMA_STEPS[self.index as usize];
        let magnitude = i32::from(code & 7);
        let delta = (step >> 3)
            + if magnitude & 4 != 0 { step } else { 0 }
            + if magnitude & 2 != 0 { step >> 1 } else { 0 }
            + if magnitude & 1 != 0 { step >> 2 } else { 0 };
        let delta = if code & 8 != 0 { -delta } else { delta };
        self.sample = (self.sample + delta).clamp(-32768, 32767);
        self.index = (self.index + IMA_INDEX[magnitude as usize]).clamp(0, 88);
        full_scale(self.sample)
    }
}

fn full_scale(sample: i32) -> f32 {
    sample as f32 / 32768.0
}

/// Decodes one block of IMA ADPCM, complete or truncated, to interleaved samples.
pub(super) fn ima_wav(block: &[u8], channels: usize, out: &mut Vec<f32>) {
    let (heads, _) = block.split_at(block.len().min(4 * channels)).0.as_chunks::<4>();
    if heads.len() < channels {
        return;
    }
    let mut states: Vec<Ima> = heads
        .iter()
        .map(|head| Ima {
            sample: i32::from(i16::from_le_bytes([head[0], head[1]])),
            index: i32::from(head[2]).min(88),
        })
        .collect();
    out.extend(states.iter().map(|state| full_scale(state.sample)));
    // Four bytes of one channel, eight samples, then four of the next.
    for group in block[4 * channels..].chunks_exact(4 * channels) {
        let start = out.len();
        out.resize(start + 8 * channels, 0.0);
        for (channel, (state, bytes)) in states.iter_mut().zip(group.chunks_exact(4)).enumerate() {
            for (at, &byte) in bytes.iter().enumerate() {
                out[start + 2 * at * channels + channel] = state.next(byte & 15);
                out[start + (2 * at + 1) * channels + channel] = state.next(byte >> 4);
            }
        }
    }
}

/// Factor of the step of Microsoft ADPCM, by code, in 256ths.
const MICROSOFT_ADAPT: [i32; 16] =
    [230, 230, 230, 230, 307, 409, 512, 614, 768, 614, 512, 409, 307, 230, 230, 230];
/// Predictor coefficients of every Microsoft ADPCM file, in 256ths.
pub(super) const MICROSOFT_COEFFICIENTS: [[i32; 2]; 7] =
    [[256, 0], [512, -256], [0, 0], [192, 64], [240, 0], [460, -208], [392, -232]];

struct Microsoft {
    coefficients: [i32; 2],
    delta: i32,
    last: i32,
    before: i32,
}

impl Microsoft {
    fn next(&mut self, code: u8) -> f32 {
        let [a, b] = self.coefficients;
        let signed = if code & 8 != 0 { i32::from(code) - 16 } else { i32::from(code) };
        let predicted = (self.last * a + self.before * b) >> 8;
        let sample = predicted.saturating_add(signed.saturating_mul(self.delta)).clamp(-32768, 32767);
        (self.before, self.last) = (self.last, sample);
        self.delta = (MICROSOFT_ADAPT[usize::from(code & 15)].saturating_mul(self.delta) >> 8).max(16);
        full_scale(sample)
    }
}

/// Decodes one block of Microsoft ADPCM, complete or truncated, to interleaved samples.
pub(super) fn microsoft(block: &[u8], channels: usize, coefficients: &[[i32; 2]], out: &mut Vec<f32>) {
    if block.len() < 7 * channels {
        return;
    }
    let word = |field: usize, channel: usize| {
        let at = channels + 2 * (field * channels + channel);
        i32::from(i16::from_le_bytes([block[at], block[at + 1]]))
    };
    let mut states: Vec<Microsoft> = (0..channels)
        .map(|channel| Microsoft {
            coefficients: coefficients.get(usize::from(block[channel])).copied().unwrap_or_default(),
            delta: word(0, channel),
            last: word(1, channel),
            before: word(2, channel),
        })
        .collect();
    out.extend(states.iter().map(|state| full_scale(state.before)));
    out.extend(states.iter().map(|state| full_scale(state.last)));
    let codes = block[7 * channels..].iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (at, code) in codes.enumerate() {
        out.push(states[at % channels].next(code));
    }
    out.truncate(out.len() / channels * channels);
}

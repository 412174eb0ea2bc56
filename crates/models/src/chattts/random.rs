//! PyTorch's random numbers on the CPU, so that a seed gives the same voice and speech as there.
//!
//! The generator is MT19937 (Matsumoto and Nishimura, ACM TOMACS 8(1), 1998), seeded with the low 32 bits of the seed.

use half::f16;

const SIZE: usize = 624;
const SHIFT: usize = 397;

/// The Mersenne Twister.
#[derive(Clone)]
pub(super) struct Mt19937 {
    state: Vec<u32>,
    next: usize,
}

impl Mt19937 {
    pub(super) fn new(seed: u64) -> Self {
        let mut state = vec![seed as u32; SIZE];
        for i in 1..SIZE {
            let before = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: SIZE }
    }

    pub(super) fn next_u32(&mut self) -> u32 {
        if self.next == SIZE {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..SIZE {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % SIZE] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % SIZE] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// A 64-bit number; the high half is drawn first.
    pub(super) fn next_u64(&mut self) -> u64 {
        let high = u64::from(self.next_u32());
        high << 32 | u64::from(self.next_u32())
    }

    /// Skips `count` exponentially distributed numbers.
    pub(super) fn skip_exponentials(&mut self, count: usize) {
        for _ in 0..count {
            self.next_u64();
        }
    }

    /// An exponentially distributed number with mean 1.
    pub(super) fn exponential(&mut self) -> f32 {
        exponential(self.next_u64())
    }

    /// Normally distributed numbers in half precision, with every operation rounded to it, as `torch.randn` in half
    /// precision does for a count that is a multiple of 16: the Box-Muller transform (Annals of Mathematical
    /// Statistics 29, 1958) of eight pairs at a time.
    pub(super) fn normal_f16(&mut self, count: usize) -> Vec<f16> {
        assert!(count.is_multiple_of(16), "numbers come in blocks of sixteen");
        let round = |v: f32| f16::from_f32(v).to_f32();
        let mut out = Vec::with_capacity(count);
        for _ in 0..count / 16 {
            let uniform: [f32; 16] = std::array::from_fn(|_| (self.next_u32() & 0x7ff) as f32 / 2048.0);
            let pairs: [(f32, f32); 8] = std::array::from_fn(|j| {
                let logarithm = round(round(1.0 - uniform[j]).ln());
                let radius = round(round(-2.0 * logarithm).sqrt());
                let angle = round((std::f64::consts::TAU * f64::from(uniform[j + 8])) as f32);
                (round(radius * round(angle.cos())), round(radius * round(angle.sin())))
            });
            out.extend(pairs.iter().map(|(cos, _)| f16::from_f32(*cos)));
            out.extend(pairs.iter().map(|(_, sin)| f16::from_f32(*sin)));
        }
        out
    }
}

fn exponential(word: u64) -> f32 {
    let uniform = (word & ((1 << 53) - 1)) as f64 / (1_u64 << 53) as f64;
    (-(-uniform).ln_1p()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_matches_the_published_generator() {
        // The 10000th output for the seed 5489 is what the C++ standard requires of std::mt19937.
        let mut generator = Mt19937::new(5489);
        let last = (0..10_000).map(|_| generator.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
        assert_eq!(Mt19937::new(5489 | 7 << 32).next_u32(), 3_499_211_612);
    }

    #[test]
    fn skipping_equals_drawing() {
        let (mut one, mut other) = (Mt19937::new(3), Mt19937::new(3));
        let all: Vec<f32> = (0..1000).map(|_| one.exponential()).collect();
        other.skip_exponentials(700);
        assert_eq!(other.exponential(), all[700]);
        let mean = all.iter().sum::<f32>() / 1000.0;
        assert!((mean - 1.0).abs() < 0.1, "{mean}");
    }
}

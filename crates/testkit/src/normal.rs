//! Normally distributed numbers like `torch.randn` on the CPU with a seeded generator, so that a model created
//! with PyTorch can be created here as well. Equal except for the last bits of logarithm, sine and cosine.

use rand_mt::Mt;

/// Numbers per block; shorter tensors are computed differently.
const BLOCK: usize = 16;

/// `count` numbers for the low 32 bits of a seed.
pub(crate) fn normal(seed: u32, count: usize) -> Vec<f32> {
    let mut generator = Mt::new(seed);
    if count < BLOCK {
        return few(&mut generator, count);
    }
    let mut uniform = |_| (generator.next_u32() & 0xff_ffff) as f32 / (1 << 24) as f32;
    let mut values: Vec<f32> = (0..count).map(&mut uniform).collect();
    values.chunks_exact_mut(BLOCK).for_each(turn);
    if !count.is_multiple_of(BLOCK) {
        // The last sixteen are drawn again.
        let last = &mut values[count - BLOCK..];
        last.iter_mut().for_each(|v| *v = uniform(0));
        turn(last);
    }
    values
}

/// Uniform numbers to normal ones, by pairs (Box and Muller, Annals of Mathematical Statistics 29, 1958).
fn turn(block: &mut [f32]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * (1.0 - *a).ln()).sqrt();
        let angle = std::f32::consts::TAU * *b;
        (*a, *b) = (radius * angle.cos(), radius * angle.sin());
    }
}

/// The same in 64 bits, pair by pair.
fn few(generator: &mut Mt, count: usize) -> Vec<f32> {
    let mut values = Vec::new();
    while values.len() < count {
        let mut uniform = || {
            let high = u64::from(generator.next_u32());
            let word = high << 32 | u64::from(generator.next_u32());
            (word & ((1 << 53) - 1)) as f64 / (1_u64 << 53) as f64
        };
        let (turns, spread) = (uniform(), uniform());
        let (radius, angle) = ((-2.0 * (-spread).ln_1p()).sqrt(), std::f64::consts::TAU * turns);
        values.extend([(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]);
    }
    values.truncate(count);
    values
}

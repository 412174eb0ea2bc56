//! Pseudo-random numbers for tests, the same in every run.

/// Whole numbers of 24 bits.
pub(crate) fn words(count: usize, seed: u32) -> impl Iterator<Item = u32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..count).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    })
}

/// Numbers in -2..2.
pub(crate) fn floats(count: usize, seed: u32) -> Vec<f32> {
    words(count, seed).map(|v| v as f32 / (1 << 22) as f32 - 2.0).collect()
}

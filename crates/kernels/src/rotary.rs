//! Rotary position embedding (arXiv:2104.09864).

/// Rotates pairs of a head's dimensions by angles that grow with the position. Dimension `j` of the first half is paired
/// with dimension `j` of the second; its angle is `position * base^(-2 j / head_dim)`.
#[derive(Clone, Debug)]
pub struct Rotary {
    frequencies: Vec<f64>,
}

impl Rotary {
    /// For heads of `head_dim` numbers, which is even.
    pub fn new(head_dim: usize, base: f64) -> Self {
        assert!(head_dim > 0 && head_dim.is_multiple_of(2), "heads of {head_dim} numbers have no halves");
        let frequency = |j: usize| base.powf(-2.0 * j as f64 / head_dim as f64);
        Self { frequencies: (0..head_dim / 2).map(frequency).collect() }
    }

    /// Rotates all heads of one row, which is at `position`, in place.
    pub fn rotate(&self, position: usize, row: &mut [f32]) {
        let half = self.frequencies.len();
        assert!(row.len().is_multiple_of(2 * half), "the row has no whole heads");
        let angles: Vec<(f32, f32)> = self
            .frequencies
            .iter()
            .map(|frequency| {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                (sin as f32, cos as f32)
            })
            .collect();
        for head in row.chunks_exact_mut(2 * half) {
            let (first, second) = head.split_at_mut(half);
            for ((a, b), (sin, cos)) in first.iter_mut().zip(second).zip(&angles) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_rotate_by_their_angles_and_products_depend_only_on_distance() {
        let rotary = Rotary::new(4, 100.0);
        let mut row = [1.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 0.0];
        rotary.rotate(3, &mut row);
        // Angles 3 and 0.3.
        let want = [3.0_f32.cos(), -(0.3_f32.sin()), 3.0_f32.sin(), 0.3_f32.cos()];
        row[..4].iter().zip(want).for_each(|(got, want)| assert!((got - want).abs() < 1e-6, "{row:?}"));
        assert!((row[5] - 2.0 * 0.3_f32.cos()).abs() < 1e-6 && (row[7] - 2.0 * 0.3_f32.sin()).abs() < 1e-6);

        let product = |from: usize, to: usize| {
            let (mut a, mut b) = ([0.3, -1.0, 0.7, 2.0], [1.5, 0.2, -0.4, 0.9]);
            rotary.rotate(from, &mut a);
            rotary.rotate(to, &mut b);
            a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()
        };
        assert!((product(5, 9) - product(105, 109)).abs() < 1e-4);
        assert!((product(5, 9) - product(5, 10)).abs() > 1e-3);
    }
}

//! Dynamic time warping: the monotonic path through a matrix of scores with the largest sum.

/// Column at which the best path through `scores` (`[rows, columns]`) enters each row. The path goes from the first
/// row and column to the last, and every step goes one row down, one column right, or both.
pub(super) fn row_starts(scores: &[f32], rows: usize, columns: usize) -> Vec<usize> {
    assert_eq!(scores.len(), rows * columns, "scores are not [{rows}, {columns}]");
    if rows == 0 || columns == 0 {
        return vec![0; rows];
    }
    let mut steps = vec![Step::Right; rows * columns];
    // Sums of the best paths to the row above and to the current row.
    let mut above = vec![f32::NEG_INFINITY; columns];
    let mut current = vec![0.0; columns];
    for row in 0..rows {
        for column in 0..columns {
            let up = above[column];
            let (left, diagonal) = match column {
                0 => (f32::NEG_INFINITY, if row == 0 { 0.0 } else { f32::NEG_INFINITY }),
                _ => (current[column - 1], above[column - 1]),
            };
            let (best, step) = if diagonal > up && diagonal > left {
                (diagonal, Step::Diagonal)
            } else if up > diagonal && up > left {
                (up, Step::Down)
            } else {
                (left, Step::Right)
            };
            current[column] = best + scores[row * columns + column];
            steps[row * columns + column] = step;
        }
        std::mem::swap(&mut above, &mut current);
    }

    let mut starts = vec![0; rows];
    let (mut row, mut column) = (rows - 1, columns - 1);
    loop {
        starts[row] = column;
        match (row, column, steps[row * columns + column]) {
            (0, 0, _) => return starts,
            (0, ..) => column -= 1,
            (_, 0, _) => row -= 1,
            (_, _, Step::Right) => column -= 1,
            (_, _, Step::Down) => row -= 1,
            (_, _, Step::Diagonal) => (row, column) = (row - 1, column - 1),
        }
    }
}

/// The step by which the path reached an entry.
#[derive(Clone, Copy)]
enum Step {
    Right,
    Down,
    Diagonal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_follows_the_ridge() {
        #[rustfmt::skip]
        let scores = [
            9.0, 9.0, -1.0, -1.0, -1.0, -1.0,
            -1.0, -1.0, 9.0, -1.0, -1.0, -1.0,
            -1.0, -1.0, -1.0, 9.0, 9.0, 9.0,
        ];
        assert_eq!(row_starts(&scores, 3, 6), [0, 2, 3]);
    }

    #[test]
    fn rows_can_share_a_column() {
        let scores = [1.0, 0.0, 1.0, 0.0, 1.0, 5.0];
        assert_eq!(row_starts(&scores, 3, 2), [0, 0, 0]);
        assert_eq!(row_starts(&[0.0; 4], 4, 1), [0; 4]);
    }

    #[test]
    fn a_single_row_starts_at_the_start() {
        assert_eq!(row_starts(&[0.0, 3.0, -1.0], 1, 3), [0]);
    }

    /// The largest sum, by trying every path through a small matrix.
    fn best_sum(scores: &[f32], rows: usize, columns: usize, row: usize, column: usize) -> f32 {
        let here = scores[row * columns + column];
        if (row, column) == (rows - 1, columns - 1) {
            return here;
        }
        let on = [(row + 1, column), (row, column + 1), (row + 1, column + 1)];
        let best = on
            .into_iter()
            .filter(|&(r, c)| r < rows && c < columns)
            .map(|(r, c)| best_sum(scores, rows, columns, r, c))
            .fold(f32::NEG_INFINITY, f32::max);
        here + best
    }

    #[test]
    fn no_path_is_better() {
        let (rows, columns) = (4, 6);
        for seed in 0..50u32 {
            let scores: Vec<f32> = (0..rows * columns)
                .map(|i| (((i as u32 + 31 * seed).wrapping_mul(2_654_435_761)) >> 20) as f32 / 500.0 - 4.0)
                .collect();
            let starts = row_starts(&scores, rows, columns);
            // The path visits all columns of a row up to the next row's start; its last column there is that start or
            // the one before it.
            let sums = (0..1u32 << (rows - 1)).filter_map(|diagonals| {
                let mut sum = 0.0;
                for row in 0..rows {
                    let end = match starts.get(row + 1) {
                        Some(&next) if diagonals >> row & 1 == 1 => next.checked_sub(1)?,
                        Some(&next) => next,
                        None => columns - 1,
                    };
                    if end < starts[row] {
                        return None;
                    }
                    sum += scores[row * columns..][starts[row]..=end].iter().sum::<f32>();
                }
                Some(sum)
            });
            let got = sums.fold(f32::NEG_INFINITY, f32::max);
            let want = best_sum(&scores, rows, columns, 0, 0);
            assert!((got - want).abs() < 1e-4, "seed {seed}: {got} against {want}");
        }
    }

    #[test]
    fn nan_and_empty_input_do_not_panic() {
        assert_eq!(row_starts(&[f32::NAN; 6], 2, 3).len(), 2);
        assert!(row_starts(&[], 0, 3).is_empty());
        assert_eq!(row_starts(&[], 2, 0), [0, 0]);
    }
}

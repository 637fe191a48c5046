//! Dates changes: E-divisive (Matteson and James, 2014, alpha = 1) with Student's t as the test of a split, as Hunter
//! and Apache Otava use it. For reports about the past; tonight is judged by `rule`.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Where a series changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangePoint {
    /// Index of the first value after the change.
    pub index: usize,
    /// Two-sided p of Student's t between the two sides, up to the next change points.
    pub p: f64,
    /// The energy statistic of the split.
    pub q: f64,
}

/// The change points of a series, in order. A split is kept where p ≤ `level`; those with fewer than
/// `least_after` values behind them are dropped at the end, because one odd night looks like a change.
///
/// Time and memory grow with the square of the length: meant for hundreds of values.
#[must_use]
pub fn change_points(values: &[f64], level: f64, least_after: usize) -> Vec<ChangePoint> {
    let distances = Distances::of(values);
    let mut found: Vec<ChangePoint> = Vec::new();
    loop {
        let mut bounds: Vec<usize> = found.iter().map(|point| point.index).collect();
        bounds.extend([0, values.len()]);
        bounds.sort_unstable();
        let best = bounds
            .windows(2)
            .filter_map(|pair| {
                let (index, q) = distances.best_split(pair[0], pair[1])?;
                Some((pair[0], pair[1], index, q))
            })
            .reduce(|best, next| if next.3 > best.3 { next } else { best });
        let Some((start, end, index, q)) = best else { break };
        let p = students_t(&values[start..index], &values[index..end]);
        if p > level {
            break;
        }
        found.push(ChangePoint { index, p, q });
        found.sort_by_key(|point| point.index);
    }
    found.retain(|point| point.index + least_after <= values.len());
    found
}

/// Sums of |x_i − x_j| over rectangles of pairs.
struct Distances {
    sums: Vec<Vec<f64>>,
}

impl Distances {
    fn of(values: &[f64]) -> Self {
        let size = values.len();
        let mut sums = vec![vec![0.0; size + 1]; size + 1];
        for row in 0..size {
            let mut line = 0.0;
            for column in 0..size {
                line += (values[row] - values[column]).abs();
                sums[row + 1][column + 1] = sums[row][column + 1] + line;
            }
        }
        Self { sums }
    }

    fn between(&self, rows: (usize, usize), columns: (usize, usize)) -> f64 {
        let sums = &self.sums;
        sums[rows.1][columns.1] - sums[rows.0][columns.1] - sums[rows.1][columns.0] + sums[rows.0][columns.0]
    }

    /// The split of a section, and where its right side ends, with the largest energy statistic. The
    /// right side may end early, so that a change back does not hide the change.
    fn best_split(&self, start: usize, end: usize) -> Option<(usize, f64)> {
        let mut best: Option<(usize, f64)> = None;
        for split in start + 1..end {
            for right in split + 1..=end {
                let q = self.energy(start, split, right);
                if best.is_none_or(|(_, most)| q > most) {
                    best = Some((split, q));
                }
            }
        }
        best
    }

    fn energy(&self, start: usize, split: usize, end: usize) -> f64 {
        let (left, right) = ((split - start) as f64, (end - split) as f64);
        let cross = self.between((start, split), (split, end));
        let within = |from: usize, to: usize, of: f64, other: f64| {
            if of < 2.0 {
                return 0.0;
            }
            let pairs = self.between((from, to), (from, to)) / 2.0;
            2.0 * other / (left + right) / (of - 1.0) * pairs
        };
        2.0 / (left + right) * cross - within(start, split, left, right) - within(split, end, right, left)
    }
}

/// Two-sided p of Student's t with pooled variance. The deviations divide by n, as Otava's do.
fn students_t(left: &[f64], right: &[f64]) -> f64 {
    let (n, m) = (left.len() as f64, right.len() as f64);
    let freedom = n + m - 2.0;
    let Ok(distribution) = StudentsT::new(0.0, 1.0, freedom) else { return 1.0 };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (mean(left), mean(right));
    let variance = |values: &[f64], mean: f64| {
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
    };
    let pooled = ((n - 1.0) * variance(left, a) + (m - 1.0) * variance(right, b)) / freedom;
    let t = (a - b).abs() / (pooled * (1.0 / n + 1.0 / m)).sqrt();
    match t {
        // All values are equal, and so are the sides.
        _ if t.is_nan() => 1.0,
        // Each side is constant, and they differ.
        _ if t.is_infinite() => 0.0,
        _ => 2.0 * distribution.sf(t),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: [f64; 30] = [
        100.0, 100.9, 99.2, 97.3, 98.6, 97.0, 100.2, 104.0, 98.5, 98.1, 101.5, 101.1, 100.3, 97.2, 99.9,
        102.1, 96.0, 98.6, 94.3, 96.1, 106.5, 111.3, 108.2, 112.8, 112.5, 111.4, 104.4, 110.4, 111.9, 112.3,
    ];
    const THERE_AND_BACK: [f64; 36] = [
        96.9, 99.0, 98.0, 98.4, 102.1, 98.4, 99.9, 101.8, 98.8, 99.8, 100.2, 100.1, 117.5, 120.2, 122.7,
        116.9, 121.7, 120.2, 118.7, 124.0, 121.5, 117.6, 120.1, 121.2, 104.6, 106.4, 104.9, 106.3, 107.9,
        103.6, 105.4, 104.1, 105.3, 102.6, 103.8, 104.6,
    ];
    const STEADY: [f64; 30] = [
        102.7, 103.4, 96.0, 97.6, 101.9, 94.0, 98.6, 99.7, 103.8, 102.1, 99.0, 98.9, 99.2, 104.6, 98.7, 99.1,
        101.1, 99.6, 99.4, 96.7, 100.0, 98.7, 103.5, 102.0, 99.9, 102.0, 99.0, 103.2, 100.0, 101.8,
    ];

    /// Apache Otava 0.8: `ChangePointDetector(TTestSignificanceTester(p), PairDistanceCalculator)`.
    #[test]
    fn agrees_with_otava() {
        type Expected<'a> = &'a [(usize, f64, f64)];
        let cases: [(&[f64], f64, Expected<'_>); 6] = [
            (&STEP, 0.001, &[(20, 109.062_768_031_189_1, 2.164_545_486_706_169e-12)]),
            (
                &STEP,
                0.05,
                &[
                    (16, 9.198_666_666_666_682, 0.003_011_675_121_496_250_2),
                    (20, 109.062_768_031_189_1, 2.164_545_486_706_169e-12),
                ],
            ),
            (
                &THERE_AND_BACK,
                0.001,
                &[
                    (12, 222.763_636_363_636_35, 1.962_662_323_759_093_2e-6),
                    (24, 157.272_727_272_727_22, 4.563_932_309_920_793e-16),
                ],
            ),
            (
                &THERE_AND_BACK,
                0.05,
                &[
                    (4, 5.546_666_666_666_655, 0.011_517_345_861_186_452),
                    (12, 222.763_636_363_636_35, 1.962_662_323_759_093_2e-6),
                    (24, 157.272_727_272_727_22, 4.563_932_309_920_793e-16),
                ],
            ),
            (&STEADY, 0.001, &[]),
            (&STEADY, 0.05, &[]),
        ];
        for (values, level, expected) in cases {
            let found = change_points(values, level, 0);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, (index, q, p)) in found.iter().zip(expected) {
                assert_eq!(found.index, *index);
                assert!((found.q / q - 1.0).abs() < 1e-9, "{found:?}");
                assert!((found.p / p - 1.0).abs() < 1e-6, "{found:?}");
            }
        }
    }

    #[test]
    fn one_odd_night_at_the_end_is_no_change() {
        let mut values = STEADY.to_vec();
        values.extend([130.0, 131.0]);
        assert_eq!(change_points(&values, 0.001, 0).len(), 1);
        assert!(change_points(&values, 0.001, 3).is_empty());
        assert!(change_points(&[], 0.001, 3).is_empty());
        assert!(change_points(&[1.0, 1.0, 1.0, 1.0], 0.001, 0).is_empty());
    }
}

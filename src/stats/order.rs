//! Order statistics: median, nearest-rank percentiles, and noise by the median absolute deviation. A single outlier
//! moves none of them far.

/// The median; of an even number the mean of the middle two. `None` of nothing.
#[must_use]
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper))
}

/// The nearest-rank percentile of sorted values: the least value that at least `percent` of a hundred do
/// not exceed, so always a value that was measured. `None` of nothing.
#[must_use]
pub(crate) fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (percent.min(100) * sorted.len()).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The standard deviation of one night relative to the median of all, as 1.4826 · MAD: for normal
/// noise the two agree. `None` of nothing, and where the median is not above zero.
#[must_use]
pub(crate) fn relative_noise(values: &[f64]) -> Option<f64> {
    let centre = median(values).filter(|centre| *centre > 0.0)?;
    let deviations: Vec<f64> = values.iter().map(|value| (value / centre - 1.0).abs()).collect();
    Some(1.4826 * median(&deviations)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    /// `numpy.percentile(x, q, method="inverted_cdf")`.
    #[test]
    fn percentiles_are_nearest_rank() {
        let sorted = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        for (percent, expected) in [(0, 1), (50, 5), (51, 6), (90, 9), (91, 10), (100, 10), (200, 10)] {
            assert_eq!(percentile(&sorted, percent), Some(expected), "{percent}");
        }
        assert_eq!(percentile(&[7], 50), Some(7));
        assert_eq!(percentile::<u8>(&[], 50), None);
    }

    /// `scipy.stats.median_abs_deviation(x / median(x), scale=1 / 1.4826)`.
    #[test]
    fn noise_is_scipys_and_an_outlier_does_not_move_it() {
        let quiet = [100.0, 103.0, 97.0, 101.0, 99.0, 102.0, 98.0];
        assert!((relative_noise(&quiet).unwrap() - 0.029_652).abs() < 1e-6);
        let spiked = [100.0, 103.0, 97.0, 101.0, 99.0, 102.0, 900.0];
        assert!(relative_noise(&spiked).unwrap() < 0.03);
        assert_eq!(relative_noise(&[0.0, 0.0]), None);
    }
}

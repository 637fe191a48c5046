//! The exact Mann–Whitney test with ties. In-tree because statrs 0.18 and 0.19 return the complement of the exact p
//! where the first sample is the shorter one: a rule of 3 nights against 15 would never alert.

/// The alternative: how the first sample lies against the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// The first sample is larger.
    Greater,
    /// The first sample is smaller.
    Less,
}

/// One-sided p: the share of all ways to choose the first sample from both together that lie at
/// least as far. Exact with ties, because the ranks are those of the data.
///
/// 1 when a sample is empty, because nothing is known then. Memory and time grow as the product of the
/// sizes and the square of their sum: meant for tens of values.
#[must_use]
pub(crate) fn mann_whitney(first: &[f64], second: &[f64], tail: Tail) -> f64 {
    if first.is_empty() || second.is_empty() {
        return 1.0;
    }
    let ranks = doubled_ranks(first, second);
    let observed: usize = ranks[..first.len()].iter().sum();
    let ways = rank_sums(&ranks, first.len());
    let total: f64 = ways.iter().sum();
    let extreme: f64 = match tail {
        Tail::Greater => ways[observed..].iter().sum(),
        Tail::Less => ways[..=observed].iter().sum(),
    };
    extreme / total
}

/// Twice the mid-ranks, so that ties stay integers; the first sample's in front.
fn doubled_ranks(first: &[f64], second: &[f64]) -> Vec<usize> {
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    all.iter()
        .map(|value| {
            let below = all.iter().filter(|other| other.total_cmp(value).is_lt()).count();
            let same = all.iter().filter(|other| other.total_cmp(value).is_eq()).count();
            2 * below + same + 1
        })
        .collect()
}

/// In how many ways `size` of the ranks add up to each sum.
fn rank_sums(ranks: &[usize], size: usize) -> Vec<f64> {
    let most: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0; most + 1]; size + 1];
    ways[0][0] = 1.0;
    for rank in ranks {
        for chosen in (0..size).rev() {
            for sum in 0..=most - rank {
                let found = ways[chosen][sum];
                if found > 0.0 {
                    ways[chosen + 1][sum + rank] += found;
                }
            }
        }
    }
    ways.swap_remove(size)
}

/// The least p that samples of these sizes can have: that of the two lying wholly apart, which is one way of
/// all there are to choose the first sample from both.
#[must_use]
pub(crate) fn least_p(first: usize, second: usize) -> f64 {
    if first == 0 || second == 0 {
        return 1.0;
    }
    (1..=first).map(|place| place as f64 / (second + place) as f64).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.permutation_test` over all permutations of the U statistic, scipy 1.16;
    /// without ties `mannwhitneyu(method="exact")` says the same.
    #[test]
    fn agrees_with_scipy_with_and_without_ties() {
        let prior: Vec<f64> = (1..=15).map(f64::from).collect();
        let cases: [(&[f64], &[f64], f64, f64); 5] = [
            (&[21.0, 22.0, 23.0], &prior, 0.001_225_490_196_078_431_4, 1.0),
            (&[5.0, 14.5, 16.0], &prior, 0.102_941_176_470_588_23, 0.899_509_803_921_568_7),
            (&[1.0, 2.0, 2.0], &[2.0, 2.0, 3.0, 4.0, 5.0, 5.0, 6.0], 1.0, 0.05),
            (
                &[10.0, 10.0, 11.0],
                &[9.0, 9.0, 9.0, 10.0, 10.0, 11.0, 8.0, 8.0],
                0.096_969_696_969_696_97,
                0.975_757_575_757_575_7,
            ),
            (&[3.5, 7.0, 9.0, 11.0], &[1.0, 2.0, 6.0], 0.057_142_857_142_857_14, 0.971_428_571_428_571_4),
        ];
        for (first, second, greater, less) in cases {
            assert!((mann_whitney(first, second, Tail::Greater) - greater).abs() < 1e-12, "{first:?}");
            assert!((mann_whitney(first, second, Tail::Less) - less).abs() < 1e-12, "{first:?}");
        }
        assert!((mann_whitney(&[], &prior, Tail::Greater) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_least_p_is_that_of_samples_that_lie_apart() {
        for (first, second) in [(3_u8, 15_u8), (3, 12), (1, 4), (5, 2)] {
            let low: Vec<f64> = (0..second).map(f64::from).collect();
            let high: Vec<f64> = (100..100 + first).map(f64::from).collect();
            let p = mann_whitney(&high, &low, Tail::Greater);
            assert!((least_p(first.into(), second.into()) - p).abs() < 1e-15, "{first} {second}: {p}");
        }
        assert!((least_p(0, 15) - 1.0).abs() < 1e-15);
        assert!((least_p(3, 0) - 1.0).abs() < 1e-15);
    }
}

//! The one place that puts nights to the rule: verdict, page and `history show` read what it finds.

use super::record::Direction;
use super::rule::{Assessment, assess};
use super::series::{FoldedNight, Series};

/// The metrics that decide. Others are recorded and shown: client times are taken under the
/// profiler, and pairs with mixed steps depend on how requests were batched. Four, because Holm's
/// correction over more than eight could never reject with three nights against fifteen.
pub(super) const JUDGED: [&str; 4] =
    ["gap.decode_to_decode.p50", "gap.prompt_to_decode.p50", "step.decode.p50", "step.prompt.p50"];

/// Judges the nights of one epoch: one entry for each judged metric that the series has, with one place
/// for each night, empty where the night has no timing of it.
pub(super) fn assess_nights(
    series: &Series,
    nights: &[FoldedNight],
) -> Vec<(&'static str, Vec<Option<Assessment>>)> {
    let metrics: Vec<(&'static str, Direction, Vec<Option<f64>>)> = JUDGED
        .into_iter()
        .filter_map(|name| {
            let (direction, _) = series.metrics.get(name)?;
            Some((name, *direction, nights.iter().map(|night| night.timing(name)).collect()))
        })
        .collect();
    let family: Vec<(Direction, &[Option<f64>])> =
        metrics.iter().map(|(_, direction, values)| (*direction, values.as_slice())).collect();
    let judged = assess(&family);
    metrics.iter().map(|(name, ..)| *name).zip(judged).collect()
}

//! Overrun: decodes that the V0 engine runs although the last token is decided, named where frames do not tell them.

use crate::trace::{Step, StepKind, Totals, Trace};

/// A request leaves the batch behind the decode that was its overrun. Told by the sizes of the batches; of
/// one request, by its being the last. Where that does not come to one for each request, nothing is named.
pub(super) fn name_overrun(trace: &mut Trace, requests: u64) {
    if trace.totals.overrun > 0 {
        return;
    }
    let working: Vec<usize> =
        (0..trace.steps.len()).filter(|at| trace.steps[*at].kind != StepKind::Idle).collect();
    let last = working.last().filter(|last| trace.steps[**last].kind == StepKind::Decode);
    let named = match last {
        Some(last) if requests == 1 => vec![(*last, 1)],
        _ => leaving(&trace.steps, &working).unwrap_or_default(),
    };
    if named.iter().map(|(_, count)| count).sum::<u64>() == requests {
        named.into_iter().for_each(|(at, count)| trace.steps[at].overrun = count);
        trace.totals = Totals::of(&trace.steps);
    }
}

/// Decodes behind which the batch is smaller than it would be, and by how much.
fn leaving(steps: &[Step], working: &[usize]) -> Option<Vec<(usize, u64)>> {
    let mut left = Vec::new();
    let mut before: Option<(usize, u64)> = None;
    let mut entered = 0;
    for at in working {
        let step = &steps[*at];
        entered += step.context_requests?;
        let now = step.generation_requests?;
        if step.kind == StepKind::Prompt {
            continue;
        }
        if let Some((decode, had)) = before {
            left.push((decode, (had + entered).saturating_sub(now)));
        }
        (before, entered) = (Some((*at, now)), 0);
    }
    left.extend(before);
    Some(left.into_iter().filter(|(_, count)| *count > 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn named(folder: &str, requests: u64) -> Trace {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces/gaudi-fork-on-cpu").join(folder);
        let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let mut trace = Trace::read(&file);
        name_overrun(&mut trace, requests);
        trace
    }

    #[test]
    fn each_request_leaves_behind_its_overrun() {
        let trace = named("high-level-four-requests", 4);
        let overruns: Vec<u64> = trace.steps.iter().map(|step| step.overrun).collect();
        assert_eq!(overruns, [0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 1]);
        assert_eq!((trace.totals.overrun, trace.totals.generation_tokens), (4, Some(31)));
        assert!(trace.steps[13].is_overrun() && !trace.steps[5].is_overrun());
        assert_eq!(named("high-level-single", 1).steps[7].overrun, 1);
        // What does not come to one for each request names nothing.
        assert_eq!(named("high-level-four-requests", 5).totals.overrun, 0);
    }
}

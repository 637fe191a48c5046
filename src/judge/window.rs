//! A window on a boot that others share: nothing of the window before may colour it.

use super::answer::Answer;
use crate::observe::Observed;
use crate::run::{CacheGuard, SharedBoot};

/// No file of an earlier window appeared in this one, and no prompt was answered from what an earlier one left in the
/// prefix cache.
pub(super) fn by_itself(observed: &Observed) -> Answer {
    let Some(shared) = &observed.record.shared else {
        return Answer::CannotSay("the server served no other window".to_owned());
    };
    let mut complaints = Vec::new();
    let late = &observed.record.window.late_files;
    if !late.is_empty() {
        complaints.push(format!(
            "a trace of an earlier window appeared in this one and was left in {}: {}; the earlier verdict was reached without it",
            shared.directory,
            late.join(", ")
        ));
    }
    let cached: u64 = observed.ledger.requests.iter().map(|served| served.cached_tokens).sum();
    if cached > 0 && shared.window > 1 {
        complaints.push(format!(
            "{cached} prompt tokens were answered from the prefix cache, which an earlier window filled, although {}",
            guard(shared)
        ));
    }
    Answer::from_complaints(&complaints, seen(shared))
}

fn guard(shared: &SharedBoot) -> &'static str {
    match shared.cache {
        Some(CacheGuard::Reset) => "the cache was emptied before",
        Some(CacheGuard::Salt) => "each window has a cache_salt of its own",
        None => "it is the first window of the boot",
    }
}

/// `window 2 of boot-1; each window has a cache_salt of its own`.
fn seen(shared: &SharedBoot) -> String {
    let boot = shared.directory.trim_start_matches("../");
    let replaced = match shared.replaced.as_slice() {
        [] => String::new(),
        reasons => format!("; the server before it was replaced: {}", reasons.join("; ")),
    };
    format!("window {} of {boot}; {}{replaced}", shared.window, guard(shared))
}

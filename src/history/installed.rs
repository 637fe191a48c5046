//! What was installed differently in two nights: the first suspects of a change.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::series::FoldedNight;

/// Something installed that differs between two nights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `vllm`, `driver`, `kernel`, ….
    pub what: String,
    /// Before; `none` where it was not there.
    pub before: String,
    /// After.
    pub after: String,
}

/// What was installed differently on a night than on the one in front of it.
pub(super) fn installed_changes(before: &FoldedNight, after: &FoldedNight) -> Vec<Change> {
    let installed = |night: &FoldedNight| {
        let machine = &night.machine;
        let parts =
            [("driver", &machine.driver), ("kernel", &machine.kernel), ("governor", &machine.governor)];
        let mut all: BTreeMap<String, String> = night.sw.clone();
        all.extend(parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
        all
    };
    let (before, after) = (installed(before), installed(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value = |all: &BTreeMap<String, String>, name: &String| {
        all.get(name).cloned().unwrap_or_else(|| "none".to_owned())
    };
    names
        .into_iter()
        .map(|name| Change { what: name.clone(), before: value(&before, name), after: value(&after, name) })
        .filter(|change| change.before != change.after)
        .collect()
}

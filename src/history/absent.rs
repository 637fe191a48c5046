//! Procedures that did not run: known from earlier nights, and without a record of the night that is judged.

use std::collections::BTreeMap;

use serde::Serialize;

use super::series::Series;

/// A procedure without a record of the night.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// The lane.
    pub lane: String,
    /// The procedure.
    pub procedure: String,
    /// The machine class.
    pub machine_class: String,
    /// The last night that has a record.
    pub last: String,
}

/// The last night of a lane, procedure and machine class, whatever the configuration.
struct Last {
    night: String,
    /// The class was given a name, and not read off the machine.
    named: bool,
    /// An epoch of this very procedure begins after the last night: somebody accepted that it is gone.
    ended: bool,
}

/// What is missing on a night. `all` holds no later ones.
///
/// A machine class that was read off the machine says where a run happened to land: it is missing only
/// where the procedure ran nowhere on that lane. One that was named is expected every night.
pub(super) fn absent(all: &[Series], tonight: &str) -> Vec<Absent> {
    let mut known: BTreeMap<[&str; 3], Last> = BTreeMap::new();
    for series in all {
        let key = &series.key;
        let last = of_series(series, tonight);
        let name = [key.lane.as_str(), key.procedure.as_str(), key.machine_class.as_str()];
        if known.get(&name).is_none_or(|other| other.night < last.night) {
            known.insert(name, last);
        }
    }
    let ran = |lane: &str, procedure: &str| {
        known.iter().any(|(other, last)| (other[0], other[1]) == (lane, procedure) && last.night == tonight)
    };
    known
        .iter()
        .filter(|([lane, procedure, _], last)| {
            last.night != tonight && !last.ended && (last.named || !ran(lane, procedure))
        })
        .map(|([lane, procedure, machine_class], last)| Absent {
            lane: (*lane).to_owned(),
            procedure: (*procedure).to_owned(),
            machine_class: (*machine_class).to_owned(),
            last: last.night.clone(),
        })
        .collect()
}

fn of_series(series: &Series, tonight: &str) -> Last {
    let night = series.last();
    let machine = series.nights.last().map(|night| night.machine.class());
    let ended = series.epochs.iter().any(|epoch| {
        epoch.procedure.is_some() && epoch.from.as_str() > night.as_str() && epoch.from.as_str() <= tonight
    });
    Last { named: machine.is_none_or(|class| class != series.key.machine_class), night, ended }
}

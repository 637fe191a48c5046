//! Operators and runtime calls that cost a wait wherever they appear, known by what they do and not by name, so that
//! a renamed one is the same one.

/// What an event is a sign of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Budget {
    /// A copy from the device to the host.
    D2h,
    /// A copy from the host to the device.
    H2d,
    /// The host waits for the device.
    Sync,
    /// One element of a tensor is read by the host.
    Item,
    /// A recorded or compiled graph is launched.
    GraphCall,
}

impl Budget {
    pub(crate) const ALL: [Self; 5] = [Self::D2h, Self::GraphCall, Self::H2d, Self::Item, Self::Sync];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::D2h => "d2h",
            Self::H2d => "h2d",
            Self::Sync => "sync",
            Self::Item => "item",
            Self::GraphCall => "graph_calls",
        }
    }

    /// Kineto's names (`Memcpy DtoH (…)`, `cudaStreamSynchronize`, `cudaGraphLaunch`), Inductor's
    /// (`## Call CompiledFxGraph … ##`), and those of Gaudi's bridge 1.19 as its sources and published
    /// screenshots have them (`copy_hpu_lazy_D2H`, `synEventSynchronize`, `synLaunchWithExternalEvents`); the last
    /// were never seen in a real trace.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if has(&["DtoH", "D2H"]) {
            Some(Self::D2h)
        } else if has(&["HtoD", "H2D"]) {
            Some(Self::H2d)
        } else if has(&["Synchronize", "Stream Sync"]) {
            Some(Self::Sync)
        } else if name == "aten::item" {
            Some(Self::Item)
        } else if has(&["CompiledFxGraph", "GraphLaunch", "synLaunch"]) {
            Some(Self::GraphCall)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_known_by_what_they_do() {
        for (name, budget) in [
            ("Memcpy DtoH (Device -> Pageable)", Some(Budget::D2h)),
            ("copy_hpu_lazy_D2H", Some(Budget::D2h)),
            ("Memcpy HtoD (Pinned -> Device)", Some(Budget::H2d)),
            ("cudaStreamSynchronize", Some(Budget::Sync)),
            ("hipDeviceSynchronize", Some(Budget::Sync)),
            ("synEventSynchronize", Some(Budget::Sync)),
            ("aten::item", Some(Budget::Item)),
            ("cudaGraphLaunch", Some(Budget::GraphCall)),
            ("synLaunchWithExternalEvents", Some(Budget::GraphCall)),
            ("## Call CompiledFxGraph <H> ##", Some(Budget::GraphCall)),
            ("aten::addmm", None),
            ("SyncTensorsGraphInternal", None),
            ("Memcpy DtoD (Device -> Device)", None),
        ] {
            assert_eq!(Budget::of(name), budget, "{name}");
        }
    }
}

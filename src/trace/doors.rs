//! Doors for the benches and the fuzz targets into what is private otherwise. Not part of the public interface.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use super::annotation::Annotation;
use super::collect::Collector;
use super::defect::DefectKind;
use super::gap::gaps_by_pair;
use super::read::{Sink, read_bytes};
use super::scan::RawEvent;
use super::source::{self, Delivery, HEADROOM, IN_FLIGHT};
use super::step::{RawStep, arrange};
use crate::time::Nanos;

/// What a reading of some bytes yields, for comparison.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    /// Events of any kind.
    pub events: u64,
    /// Start and duration of each step, in nanoseconds.
    pub steps: Vec<(i64, i64)>,
    /// Code, count and offset of each problem.
    pub problems: Vec<(String, u64, u64)>,
}

/// Reads bytes as the inflated text of a trace, handed over in blocks of a size.
#[must_use]
pub fn read(bytes: &[u8], block: usize) -> Facts {
    let mut collector = Collector::default();
    read_bytes(bytes, block, &mut collector);
    let steps = collector.steps.iter().map(|step| (step.start.as_ns(), step.duration.as_ns())).collect();
    let events = collector.events;
    let problems =
        collector.into_problems().into_iter().map(|p| (p.code.code(), p.count, p.offset)).collect();
    Facts { events, steps, problems }
}

/// Reads bytes as the name of a step; whether it is one.
#[must_use]
pub fn annotation(name: &[u8]) -> bool {
    Annotation::parse(name).is_some()
}

/// The stage of inflating alone: bytes of inflated text.
#[must_use]
pub fn inflate(path: &Path) -> usize {
    let (to, from) = sync_channel(IN_FLIGHT);
    let (give_back, spare) = sync_channel(IN_FLIGHT + 1);
    std::thread::scope(|scope| {
        scope.spawn(move || source::pump(path, &to, &spare));
        let mut bytes = 0;
        for delivery in from {
            if let Delivery::Block(block) = delivery {
                bytes += block.len() - HEADROOM;
                // The pump makes a new block when none comes back in time.
                let _ = give_back.try_send(block);
            }
        }
        bytes
    })
}

/// The stage of scanning alone: events in a text.
#[must_use]
pub fn scan(text: &[u8]) -> u64 {
    struct Count(u64);
    impl Sink for Count {
        fn event(&mut self, _event: &RawEvent<'_>, _offset: u64) {
            self.0 += 1;
        }
        fn member(&mut self, _key: &[u8], _value: &[u8]) {}
        fn defect(&mut self, _kind: DefectKind, _offset: u64, _detail: &dyn Fn() -> String) {}
    }
    let mut count = Count(0);
    read_bytes(text, 256 << 10, &mut count);
    count.0
}

/// The stage of putting steps in order and measuring gaps, on `count` decodes.
#[must_use]
pub fn steps(count: i64) -> usize {
    let annotation = Annotation::ContextGeneration {
        context_requests: 0,
        context_tokens: 0,
        generation_requests: 1,
        generation_tokens: 1,
    };
    let step = |index: i64| RawStep {
        batch: annotation.into(),
        start: Nanos::from_micros((index * 7919 % count) * 1_000),
        duration: Nanos::from_micros(900),
        partial: false,
        overrun: 0,
    };
    let steps = arrange((0..count).map(step).collect());
    gaps_by_pair(&steps).len() + steps.len()
}

//! Boot groups: plans whose server is the same play their windows on one boot, one after the other. Asks `run/` for one
//! window at a time, and decides nothing.

mod cost;
mod group;

pub(crate) use group::Session;

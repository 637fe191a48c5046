//! A run directory as facts, read once: plan, record, ledger, traces with their operators, log. Knows no rule.

mod arrivals;
mod observed;
mod overrun;
mod rank;

pub use arrivals::Arrivals;
pub(crate) use arrivals::{arrivals, join};
pub use observed::Observed;
pub(crate) use rank::{Rank, run_lengths, working_steps};

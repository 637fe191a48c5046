//! Nightly records and verdicts over time. Reads run directories and one history file; boots nothing.

mod absent;
mod epoch;
mod error;
mod file;
mod identity;
mod installed;
mod measure;
mod record;
mod rule;
mod series;
mod timings;
mod verdict;
mod view;

pub use absent::Absent;
pub(crate) use epoch::{rebaseline, scope};
pub use error::HistoryError;
pub use file::{Damage, History};
pub use installed::Change;
pub(crate) use measure::client_times;
pub(crate) use measure::{Overrides, medians, record as record_runs};
pub(crate) use record::check_night;
pub use record::{Direction, EpochRecord, NightRecord, Samples, Structural};
pub use rule::{Assessment, Trend, assess};
pub use series::Key;
pub use verdict::{MetricVerdict, Overall, SeriesVerdict, Verdicts, verdicts};
pub(crate) use view::{SeriesView, views};

//! Nightly records and verdicts over time. Reads run directories and one history file; boots nothing.

mod change_point;
mod epoch;
mod error;
mod file;
mod identity;
mod installed;
mod mann_whitney;
mod measure;
mod record;
mod robust;
mod rule;
mod series;
mod verdict;
mod view;

pub use change_point::{ChangePoint, change_points};
pub(crate) use epoch::{rebaseline, scope};
pub use error::HistoryError;
pub use file::{Damage, History};
pub use installed::Change;
pub use mann_whitney::{Tail, holm, mann_whitney};
pub(crate) use measure::client_times;
pub use measure::{Night, Overrides, Recorded, measure, record as record_runs};
pub use record::{Direction, EpochRecord, Line, Metric, NightRecord, Structural};
pub use robust::{median, relative_noise};
pub use rule::{Judged, State, judge};
pub use series::{FoldedNight, Key, Series, fold};
pub use verdict::{MetricVerdict, Overall, SeriesVerdict, Verdicts, verdicts};
pub use view::{Band, EpochView, MetricView, Point, SeriesView, views};

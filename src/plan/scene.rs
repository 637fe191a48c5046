//! What of a procedure the faults of the stand-in can touch.

use tracegate_standin::{Act, Fault, Need, Scene};

use super::model::Course;
use crate::lane::Lane;
use crate::procedure::{BootPolicy, Procedure};

impl Procedure {
    /// What keeps the stand-in from playing a fault in this procedure; `None` where it can.
    /// `windows` is how often it is repeated.
    pub(crate) fn lacks_for(&self, fault: Fault, windows: u32) -> Option<Need> {
        let shares = self.boot == BootPolicy::Shared;
        fault.lacks(&Scene { windows: if shares { windows } else { 1 }, ..self.scene() })
    }

    /// What of this procedure the faults of the stand-in can touch.
    #[doc(hidden)]
    #[must_use]
    pub fn scene(&self) -> Scene {
        let course = Course::of(self);
        Scene {
            act: match course {
                Course::Window => Act::Window,
                Course::FromBoot => Act::FromBoot,
                Course::Script => Act::Script,
                Course::WarmUpStep => Act::WarmUpStep,
            },
            dialect: self.dialect,
            streamed: self.load.bench.is_some(),
            // A script hands over all its requests at once.
            one_by_one: self.load.bench.is_none()
                && (course != Course::Script || self.load.request.len() < 2),
            ranks: self.server.tensor_parallel_size,
            windows: 1,
            bounds_gaps: self.gaps.get(&Lane::Standin).is_some_and(|pairs| !pairs.is_empty()),
            bounds_skew: self.expect.max_rank_skew.is_some(),
            limits_recompiles: self.expect.max_recompiles == Some(0),
        }
    }
}

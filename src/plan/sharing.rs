//! Which plans may share a boot: those whose server is the same.

use std::fmt::Write;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::model::{Course, Plan};
use crate::procedure::BootPolicy;

/// Hexadecimal digits that name a group: enough for a fleet's procedures.
const DIGITS: usize = 8;

impl Plan {
    /// Why this plan needs a boot of its own; `None` where it may share one.
    #[must_use]
    pub fn needs_own_boot(&self) -> Option<String> {
        let reason = match self.course {
            _ if self.boot == BootPolicy::Own => "it asks for a boot of its own (boot = \"own\", --own-boot)",
            Course::Script => "a script takes the server's place and ends by itself",
            Course::WarmUpStep => "the server profiles one step of its warm-up and ends by itself",
            Course::FromBoot => "the profiler records from boot to end, so its file holds one procedure",
            Course::Window if self.bench_command.is_some() => {
                "`vllm bench serve` opens the window itself and sends the same prompts each time"
            }
            Course::Window => return None,
        };
        Some(reason.to_owned())
    }

    /// Names the server: plans with the same text boot the same one. What differs only inside the window
    /// does not count.
    #[must_use]
    pub fn server_id(&self) -> String {
        // The order of keys is that of BTreeMaps and fields, so the text is the same on every machine.
        let server = serde_json::json!({
            "lane": self.lane, "versions": self.versions, "prepare": self.prepare, "server": self.server,
            "port": self.port, "model": self.served_model,
        });
        let mut text = String::new();
        for byte in Sha256::digest(server.to_string()) {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.truncate(DIGITS);
        text
    }
}

/// Plans that share a boot, or one that has its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BootGroup {
    /// Names the server, and with it the group.
    pub id: String,
    /// Procedures in the order in which their windows come: that of their names.
    pub procedures: Vec<String>,
    /// Why it is alone, where it has to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<String>,
}

/// Groups plans by their server, in the order of the first name of each group. The same each time.
#[must_use]
pub fn boot_groups(plans: &[Plan]) -> Vec<BootGroup> {
    let mut sorted: Vec<&Plan> = plans.iter().collect();
    sorted.sort_by(|left, right| left.procedure.cmp(&right.procedure));
    let mut groups: Vec<BootGroup> = Vec::new();
    for plan in sorted {
        let (id, own) = (plan.server_id(), plan.needs_own_boot());
        match groups.iter_mut().find(|group| own.is_none() && group.own.is_none() && group.id == id) {
            Some(group) => group.procedures.push(plan.procedure.clone()),
            None => {
                // Two servers that are the same and do not share are still two groups to name.
                let id = if own.is_some() { format!("{id}-{}", plan.procedure) } else { id };
                groups.push(BootGroup { id, procedures: vec![plan.procedure.clone()], own });
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{Lane, assume};
    use crate::plan::resolve;
    use crate::procedure::builtin;

    #[test]
    fn servers_that_are_the_same_share_a_boot() {
        let site = assume(Lane::VllmCpu, [("vllm".to_owned(), "0.32.0".to_owned())].into());
        let plans: Vec<Plan> =
            builtin().unwrap().iter().filter_map(|procedure| resolve(procedure, &site).ok()).collect();
        let groups = boot_groups(&plans);
        let names: Vec<_> = groups.iter().map(|group| group.procedures.join(" ")).collect();
        assert_eq!(names, ["async_multiple_requests async_single_request", "script"]);
        assert!(groups[1].own.as_ref().unwrap().contains("script"));
        let mut other = plans.clone();
        other.iter_mut().for_each(|plan| plan.boot = BootPolicy::Own);
        assert_eq!(boot_groups(&other).len(), 3);
        // Another flag is another server; another request is not.
        let mut other = plans.clone();
        other[1].server.argv.push("--max-num-seqs=4".to_owned());
        other[0].requests.clear();
        assert_ne!(other[1].server_id(), plans[1].server_id());
        assert_eq!(other[0].server_id(), plans[0].server_id());
    }
}

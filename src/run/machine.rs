//! The machine of a run, read while it runs: a recorded run is decided elsewhere, and must not take that machine's name.

use procfs::Current;
use serde::{Deserialize, Serialize};

/// What a timing depends on besides software. Fields that cannot be read are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Machine {
    /// Model name of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Accelerator, such as `gaudi`; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Version of the accelerator's kernel driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Accelerators, or cores where there is none.
    #[serde(default)]
    pub count: u64,
    /// Release of the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Frequency governor of the first core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governor: Option<String>,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let devices = crate::lane::accelerators();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            cpu: cpu_model(),
            device: (devices > 0).then(|| "gaudi".to_owned()),
            driver: read("/sys/module/habanalabs/version"),
            count: if devices > 0 { devices } else { cores } as u64,
            kernel: read("/proc/sys/kernel/osrelease"),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        }
    }

    /// The class whose timings may be compared: the accelerator or else the processor, and how many.
    /// Drivers and kernels change within a class; a verdict names them as causes.
    #[must_use]
    pub fn class(&self) -> String {
        let part = self.device.as_deref().or(self.cpu.as_deref()).unwrap_or("unknown");
        format!("{part} x{}", self.count)
    }
}

fn read(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(crate::text::inert(text.trim(), 80)).filter(|text| !text.is_empty())
}

fn cpu_model() -> Option<String> {
    let info = procfs::CpuInfo::current().ok()?;
    // Arm has no model name; its implementer and part say as much.
    let field = |name: &str| Some(info.get_field(0, name)?.split_whitespace().collect::<Vec<_>>().join(" "));
    field("model name").or_else(|| Some(format!("cpu {} {}", field("CPU implementer")?, field("CPU part")?)))
}

//! Processes as the kernel lists them, for tests of what is left.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// Processes that belong to a directory, as `NAME (pid N)`: it is in their command line, or they work
/// in it.
pub(crate) fn survivors(directory: &Path) -> Vec<String> {
    let wanted = directory.as_os_str().as_encoded_bytes();
    let holds = |text: &[u8]| text.windows(wanted.len()).any(|part| part == wanted);
    let pids =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    pids.filter(|pid| pid.bytes().all(|b| b.is_ascii_digit()))
        .filter_map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            let ours = holds(&line) || holds(cwd.as_os_str().as_encoded_bytes());
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            ours.then(|| format!("{} (pid {pid})", name.trim()))
        })
        .collect()
}

/// The exit code, or the signal as a negative number.
pub(crate) fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap())
}

/// Waits for something that must come; the limit only keeps a broken program from hanging the test.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(40), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

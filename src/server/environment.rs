//! Which of this process's variables a child gets: a short list, so that no token of the user's ends
//! in a server, its log, or a run directory.

use std::collections::BTreeMap;

/// Variables passed on from this process; everything else comes from the plan. Prefixes end in `_`.
const PASSED_ON: [&str; 18] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "XDG_CACHE_HOME",
    "HF_HOME",
    "PYTHONPATH",
    "HABANA_",
    "PT_HPU_",
    "GC_",
    "OMP_",
];

/// The allowed part of this process's environment.
pub(crate) fn passed_on() -> BTreeMap<String, String> {
    // A variable that is not Unicode cannot be one of these in any sane set-up.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| wanted(name))
        .collect()
}

fn wanted(name: &str) -> bool {
    PASSED_ON.iter().any(|known| name == *known || (known.ends_with('_') && name.starts_with(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_passed_on() {
        for secret in
            ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GITHUB_TOKEN", "VLLM_API_KEY", "AWS_SECRET_ACCESS_KEY"]
        {
            assert!(!wanted(secret), "{secret}");
        }
        assert!(wanted("PATH") && wanted("PT_HPU_LAZY_MODE") && !wanted("PATHS"));
    }
}

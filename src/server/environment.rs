//! Which of this process's variables a child gets: a short list, so that no token of the user's ends
//! in a server, its log, or a run directory.

use std::collections::BTreeMap;

/// Variables passed on from this process, each with what needs it; everything else comes from the plan. Prefixes
/// end in `_`.
const PASSED_ON: [(&str, &str); 36] = [
    ("PATH", "programs"),
    ("HOME", "caches and configuration"),
    ("USER", "caches that are named after it"),
    ("LOGNAME", "the same"),
    ("LANG", "texts"),
    ("LC_ALL", "texts"),
    ("TZ", "times in the log"),
    ("TMPDIR", "Kineto writes the whole trace there first"),
    ("LD_LIBRARY_PATH", "libraries"),
    ("LD_PRELOAD", "an allocator, which vLLM's manual advises on CPUs"),
    ("VIRTUAL_ENV", "the Python environment"),
    ("CONDA_PREFIX", "the same"),
    ("PYTHONPATH", "the same"),
    ("XDG_CACHE_HOME", "caches"),
    ("HF_HOME", "where models lie"),
    ("HF_HUB_CACHE", "where models lie"),
    ("HF_HUB_OFFLINE", "no look-ups where there is no network"),
    ("HF_ENDPOINT", "a mirror of the model hub"),
    ("TRANSFORMERS_OFFLINE", "no look-ups where there is no network"),
    ("TRANSFORMERS_CACHE", "where models lie"),
    ("SSL_CERT_FILE", "a proxy's certificate"),
    ("SSL_CERT_DIR", "a proxy's certificate"),
    ("REQUESTS_CA_BUNDLE", "a proxy's certificate"),
    ("CURL_CA_BUNDLE", "a proxy's certificate"),
    ("HTTP_PROXY", "fetching a model from inside a lab"),
    ("HTTPS_PROXY", "the same"),
    ("ALL_PROXY", "the same"),
    ("NO_PROXY", "what is reached without one"),
    ("http_proxy", "the same in lower case, which is what curl and Python read first"),
    ("https_proxy", "the same"),
    ("all_proxy", "the same"),
    ("no_proxy", "the same"),
    ("HABANA_", "Gaudi's software"),
    ("PT_HPU_", "Gaudi's PyTorch bridge"),
    ("GC_", "Gaudi's graph compiler"),
    ("OMP_", "threads"),
];

/// Variables that change what servers do and are not passed on: a run is what its plan says.
const STEERING: [&str; 10] =
    ["VLLM_", "HF_", "HUGGING_FACE_", "TORCH_", "PYTORCH_", "CUDA_", "HIP_", "NCCL_", "HCCL_", "RAY_"];

/// The allowed part of this process's environment.
pub(crate) fn passed_on() -> BTreeMap<String, String> {
    variables().filter(|(name, _)| wanted(name)).collect()
}

/// Names of variables that would have changed what a server does, and were left out; never their values.
pub(crate) fn left_out() -> Vec<String> {
    let steers = |name: &str| STEERING.iter().any(|start| name.starts_with(start)) && !wanted(name);
    let mut names: Vec<String> = variables().map(|(name, _)| name).filter(|name| steers(name)).collect();
    names.sort();
    names
}

/// A variable that is not Unicode cannot be one of these in any sane set-up.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn wanted(name: &str) -> bool {
    let fits = |known: &str| name == known || (known.ends_with('_') && name.starts_with(known));
    PASSED_ON.iter().any(|(known, _)| fits(known))
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
        // Behind a lab's proxy no model could be fetched, without a word.
        for needed in
            ["HTTPS_PROXY", "no_proxy", "HF_HUB_OFFLINE", "HF_ENDPOINT", "LD_PRELOAD", "SSL_CERT_FILE"]
        {
            assert!(wanted(needed), "{needed}");
        }
        assert!(PASSED_ON.iter().all(|(_, why)| !why.is_empty()));
        assert!(wanted("PATH") && wanted("PT_HPU_LAZY_MODE") && !wanted("PATHS"));
    }
}

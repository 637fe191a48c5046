//! Names of Python frames without what changes from run to run: line numbers and addresses.

/// `file.py(123): fn` as `file.py: fn`, `0x7f19` as `@`.
pub(crate) fn stable(name: &str) -> String {
    without_addresses(&without_line(name))
}

fn without_line(name: &str) -> String {
    if let Some((file, rest)) = name.split_once(".py(")
        && let Some((line, function)) = rest.split_once(')')
        && line.bytes().all(|byte| byte.is_ascii_digit())
    {
        return format!("{file}.py{function}");
    }
    name.to_owned()
}

pub(super) fn without_addresses(name: &str) -> String {
    let mut parts = name.split("0x");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        out.push_str(if rest.len() < part.len() { "@" } else { "0x" });
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_addresses_go() {
        for (name, expected) in [
            (
                "vllm/v1/worker/gpu_worker.py(1300): execute_model",
                "vllm/v1/worker/gpu_worker.py: execute_model",
            ),
            (
                "<built-in method copy_ of Tensor object at 0x7f190a0e5ef0>",
                "<built-in method copy_ of Tensor object at @>",
            ),
            ("<string>(1): <module>", "<string>(1): <module>"),
            ("a.py(x): f", "a.py(x): f"),
            ("0x", "0x"),
        ] {
            assert_eq!(stable(name), expected);
        }
    }
}

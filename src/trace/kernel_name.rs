//! Names of device kernels without what compilers and tuners choose: template arguments, arguments, sizes of tiles,
//! hashes. What is left names what a kernel does.

use super::operator_name;

/// `void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, …>(int, …)` as
/// `at::native::vectorized_elementwise_kernel<>`; `Cijk_Ailk_Bljk_BBS_BH_MT128x64x32_SN` with `MT#x#x#`;
/// `ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_tn` with `#x#`. Everything else is as for operators.
pub(crate) fn stable(name: &str) -> String {
    let name = name.strip_prefix("void ").unwrap_or(name).replace("(anonymous namespace)::", "");
    let name = without_arguments(&name);
    // `Memcpy DtoD (Device -> Device)` is what a copy is called.
    operator_name::stable(&without_tiles(&name))
}

/// Without what stands between `<` and its `>`, and from a `(` directly behind a name on.
fn without_arguments(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut depth = 0usize;
    let mut before = ' ';
    for c in name.chars() {
        match c {
            '(' if depth == 0 && (before.is_alphanumeric() || matches!(before, '_' | '>')) => break,
            // `operator->`, `a->b` and comparisons open nothing.
            '<' => {
                if depth == 0 {
                    out.push('<');
                }
                depth += 1;
            }
            '>' if depth > 0 && before != '-' => {
                depth -= 1;
                if depth == 0 {
                    out.push('>');
                }
            }
            _ if depth == 0 => out.push(c),
            _ => {}
        }
        before = c;
    }
    out
}

/// Numbers joined by `x`, each as `#`.
fn without_tiles(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from.find(|c: char| !c.is_ascii_digit() && c != 'x').unwrap_or(from.len());
        let (run, behind) = from.split_at(end);
        let sizes: Vec<&str> = run.split('x').collect();
        let tile = sizes.len() > 1 && sizes.iter().all(|size| !size.is_empty());
        let marks = sizes.iter().map(|_| "#").collect::<Vec<_>>().join("x");
        out.push_str(if tile { &marks } else { run });
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::stable;

    #[test]
    fn what_compilers_choose_goes() {
        for (name, expected) in [
            (
                "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul> >(int, at::native::CUDAFunctor_add<float>)",
                "at::native::vectorized_elementwise_kernel<>",
            ),
            ("void (anonymous namespace)::softmax_warp<float, 8>(float*)", "softmax_warp<>"),
            ("Cijk_Ailk_Bljk_BBS_BH_MT128x64x32_SN_1LDSB0", "Cijk_Ailk_Bljk_BBS_BH_MT#x#x#_SN_1LDSB0"),
            ("ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_tn", "ampere_bf16_s16816gemm_bf16_#x#_ldg8_f2f_tn"),
            ("Memcpy DtoD (Device -> Device)", "Memcpy DtoD (Device -> Device)"),
            ("Memset (Device)", "Memset (Device)"),
            ("triton_poi_fused_add_12", "triton_poi_fused_add_#"),
            ("fmha_fwd_hdim128<bf16", "fmha_fwd_hdim128<"),
            ("_fwd_kernel", "_fwd_kernel"),
        ] {
            assert_eq!(stable(name), expected);
        }
    }
}

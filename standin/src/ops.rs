//! The operator templates: what runs inside a step, as a forest read from a text table.

use std::sync::LazyLock;

use super::fault::Fault;

/// One operator with the operators it calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) name: &'static str,
    /// Duration in the trace the table was read off.
    pub(crate) ns: i64,
    pub(crate) calls: Vec<Op>,
}

/// The sections of a template.
#[derive(Debug, Default)]
pub(crate) struct Template {
    pub(crate) prepare: Vec<Op>,
    pub(crate) layer: Vec<Op>,
    pub(crate) finish: Vec<Op>,
    /// Run where the batch changed, under [`REFRESH`].
    pub(crate) refresh: Vec<Op>,
    pub(crate) sampler: Vec<Op>,
    pub(crate) sampler_several: Vec<Op>,
    pub(crate) idle: Vec<Op>,
}

/// Layers of the imitated model, as of opt-125m.
pub(crate) const LAYERS: usize = 12;

/// The Python frame under which the sampler's parameters are copied into a batch that changed; no operator. It
/// is there in every step.
pub(crate) const REFRESH: &str = "vllm/v1/worker/gpu_input_batch.py(832): refresh_metadata";

/// What a CPU worker of vLLM 0.32 runs.
pub(crate) static VLLM_032_CPU: LazyLock<Template> =
    LazyLock::new(|| Template::parse(include_str!("ops/vllm-0.32-cpu.txt")));

impl Template {
    /// Reads `[section]` lines and `depth ns name` lines; anything else is passed over.
    fn parse(text: &'static str) -> Self {
        let mut template = Self::default();
        let mut section: Option<&mut Vec<Op>> = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = template.section(name);
            } else if let (Some(section), Some((depth, op))) = (section.as_deref_mut(), read_op(line)) {
                insert(section, depth, op);
            }
        }
        template
    }

    fn section(&mut self, name: &str) -> Option<&mut Vec<Op>> {
        Some(match name {
            "prepare" => &mut self.prepare,
            "layer" => &mut self.layer,
            "finish" => &mut self.finish,
            "refresh" => &mut self.refresh,
            "sampler" => &mut self.sampler,
            "sampler-several" => &mut self.sampler_several,
            "idle" => &mut self.idle,
            _ => return None,
        })
    }

    /// The operators of one step: preparation, the compiled graph with its layers, the logits.
    pub(crate) fn step(&self, changed: bool) -> Vec<Op> {
        let mut ops = self.prepare.clone();
        let calls = if changed { self.refresh.clone() } else { Vec::new() };
        ops.insert(0, Op { name: REFRESH, ns: 20_000, calls });
        if let Some(graph) = ops.iter_mut().find(|op| op.name.starts_with("## Call CompiledFxGraph")) {
            graph.calls = self.layer.iter().cycle().take(self.layer.len() * LAYERS).cloned().collect();
        }
        ops.extend(self.finish.iter().cloned());
        ops
    }
}

fn read_op(line: &'static str) -> Option<(usize, Op)> {
    let mut parts = line.splitn(3, ' ');
    let depth = parts.next()?.parse().ok()?;
    let ns = parts.next()?.parse().ok()?;
    Some((depth, Op { name: parts.next()?, ns, calls: Vec::new() }))
}

fn insert(forest: &mut Vec<Op>, depth: usize, op: Op) {
    match (depth, forest.last_mut()) {
        (1.., Some(parent)) => insert(&mut parent.calls, depth - 1, op),
        _ => forest.push(op),
    }
}

/// One placed operator, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) name: &'static str,
    pub(crate) start: i64,
    pub(crate) duration: i64,
}

/// Spreads a forest over a span, parents around their calls, in call order.
pub(crate) fn place(forest: &[Op], start: i64, span: i64, into: &mut Vec<Placed>) {
    let total: i64 = forest.iter().map(weight).sum::<i64>().max(1);
    let mut at = start;
    for op in forest {
        let share = (i128::from(span) * i128::from(weight(op)) / i128::from(total)) as i64;
        let duration = (share * 9 / 10).max(1);
        into.push(Placed { name: op.name, start: at, duration });
        place(&op.calls, at + duration / 20, duration * 9 / 10, into);
        at += share;
    }
}

/// A parent takes at least as long as what it calls.
fn weight(op: &Op) -> i64 {
    op.ns.max(op.calls.iter().map(weight).sum()).max(1)
}

/// What a fault makes of the operators of a step.
pub(crate) fn spoil_step(ops: &mut Vec<Op>, fault: Fault, decodes: bool) {
    let leaf = |name| Op { name, ns: 2_000, calls: Vec::new() };
    match fault {
        Fault::ChangedOps => {
            let graph = ops.iter_mut().find(|op| op.name.starts_with("## Call CompiledFxGraph"));
            if let Some(op) =
                graph.and_then(|graph| graph.calls.iter_mut().rfind(|op| op.name == "aten::addmm"))
            {
                op.name = "aten::mm";
            }
        }
        Fault::SwappedOps => rename(ops, "aten::addmm", "_C::onednn_mm"),
        Fault::ExtraD2h if decodes => ops.push(leaf("Memcpy DtoH (Device -> Pageable)")),
        Fault::ExtraSync if decodes => ops.push(leaf("cudaDeviceSynchronize")),
        Fault::ExtraItem if decodes => {
            ops.push(Op { calls: vec![leaf("aten::_local_scalar_dense")], ..leaf("aten::item") });
        }
        _ => {}
    }
}

fn rename(ops: &mut [Op], from: &str, to: &'static str) {
    for op in ops {
        if op.name == from {
            op.name = to;
        }
        rename(&mut op.calls, from, to);
    }
}

/// What a fault makes of the sampler: the operators that vLLM 0.32 runs without `temperature: 0`.
pub(crate) fn spoil_sampler(ops: &mut [Op], fault: Fault) {
    if fault != Fault::SamplerSwap {
        return;
    }
    if let Some(op) = ops.iter_mut().find(|op| op.name == "_C::greedy_argmax") {
        let leaf = |name| Op { name, ns: 2_000, calls: Vec::new() };
        op.name = "_C::fused_gumbel_argmax";
        op.calls = ["aten::randint", "aten::random_", "aten::div_"].map(leaf).to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(ops: &[Op], name: &str) -> usize {
        ops.iter().map(|op| usize::from(op.name == name) + count(&op.calls, name)).sum()
    }

    fn size(ops: &[Op]) -> usize {
        ops.iter().map(|op| 1 + size(&op.calls)).sum()
    }

    #[test]
    fn a_step_runs_what_the_real_worker_runs() {
        let decode = VLLM_032_CPU.step(false);
        // Counted in a real vLLM 0.32 CPU trace of a single request.
        for (name, times) in [
            ("aten::addmm", 48),
            ("vllm::unified_attention_with_output", 12),
            ("aten::narrow", 48),
            ("aten::mm", 1),
            ("aten::view", 27),
            ("aten::as_strided", 171),
            ("aten::slice", 120),
            ("Pregraph bytecode", 1),
        ] {
            assert_eq!(count(&decode, name), times, "{name}");
        }
        assert_eq!(size(&decode), 793, "792 and the frame of the refresh");
        assert_eq!(size(&VLLM_032_CPU.step(true)), 799, "six operators and their frame");
        assert_eq!(count(&VLLM_032_CPU.sampler, "_C::greedy_argmax"), 1);
        assert_eq!((size(&VLLM_032_CPU.sampler), size(&VLLM_032_CPU.sampler_several)), (18, 17));
        assert_eq!(size(&VLLM_032_CPU.idle), 6);
    }

    #[test]
    fn placed_operators_nest() {
        let mut placed = Vec::new();
        place(&VLLM_032_CPU.step(false), 1_000, 4_000_000, &mut placed);
        assert_eq!(placed.len(), 793);
        let mut open: Vec<Placed> = Vec::new();
        for op in &placed {
            while open.last().is_some_and(|parent| parent.start + parent.duration <= op.start) {
                open.pop();
            }
            if let Some(parent) = open.last() {
                assert!(op.start + op.duration <= parent.start + parent.duration + 1, "{op:?} in {parent:?}");
            }
            open.push(*op);
        }
        assert!(placed.iter().all(|op| op.start >= 1_000 && op.start + op.duration <= 4_001_000));
    }
}

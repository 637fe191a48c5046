//! Which operators call which inside one step, as lines: bookkeeping left out, repeated blocks written once.

use super::budget::Budget;
use crate::time::Nanos;

/// Levels that are kept; below them are details of a kernel's implementation.
const DEPTH: usize = 3;
/// Longest block of neighbours that is looked for repeated; a decoder layer has some ten operators.
const LONGEST_BLOCK: usize = 48;

/// Operators that only describe, allocate or convert memory. They are counted, and say nothing of the model's shape.
const BOOKKEEPING: [&str; 45] = [
    "_local_scalar_dense",
    "_reshape_alias",
    "_to_copy",
    "_unsafe_view",
    "alias",
    "as_strided",
    "chunk",
    "clone",
    "contiguous",
    "copy_",
    "detach",
    "detach_",
    "empty",
    "empty_like",
    "empty_strided",
    "expand",
    "expand_as",
    "fill_",
    "flatten",
    "item",
    "lift_fresh",
    "movedim",
    "narrow",
    "new_empty",
    "new_zeros",
    "ones",
    "permute",
    "promote_types",
    "reshape",
    "resize_",
    "resolve_conj",
    "resolve_neg",
    "select",
    "set_",
    "slice",
    "split",
    "split_with_sizes",
    "squeeze",
    "t",
    "to",
    "transpose",
    "unsqueeze",
    "view",
    "zero_",
    "zeros",
];

/// True for an operator that stands in call trees. What a budget counts does not, the launch of a graph
/// excepted, which holds the layers.
pub(crate) fn is_shape(name: &str) -> bool {
    if Budget::of(name).is_some_and(|budget| budget != Budget::GraphCall) {
        return false;
    }
    name.strip_prefix("aten::").is_none_or(|operator| BOOKKEEPING.binary_search(&operator).is_err())
}

/// An operator with the time it took, for nesting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    pub(crate) name: &'a str,
    pub(crate) start: Nanos,
    pub(crate) end: Nanos,
}

/// The tree as lines, deeper ones behind two blanks a level. A block of `n` equal neighbours stands once under
/// the line `xN`.
pub(crate) fn lines(mut calls: Vec<Call<'_>>) -> Vec<String> {
    calls.sort_by_key(|call| (call.start, std::cmp::Reverse(call.end)));
    let mut forest: Vec<Node<'_>> = Vec::new();
    for call in &calls {
        insert(&mut forest, call, 1);
    }
    let mut out = Vec::new();
    write(&forest, 0, &mut out);
    out
}

#[derive(Debug, PartialEq, Eq)]
struct Node<'a> {
    name: &'a str,
    end: Nanos,
    calls: Vec<Node<'a>>,
}

fn insert<'a>(forest: &mut Vec<Node<'a>>, call: &Call<'a>, depth: usize) {
    match forest.last_mut() {
        Some(parent) if call.start < parent.end && call.end <= parent.end => {
            if depth < DEPTH {
                insert(&mut parent.calls, call, depth + 1);
            }
        }
        _ => forest.push(Node { name: call.name, end: call.end, calls: Vec::new() }),
    }
}

fn write(forest: &[Node<'_>], depth: usize, out: &mut Vec<String>) {
    let same = |left: &Node<'_>, right: &Node<'_>| is_same(left, right);
    let mut rest = forest;
    while !rest.is_empty() {
        let (length, times) = longest_repetition(rest, &same);
        let indent = "  ".repeat(depth);
        let block = &rest[..length];
        match (times, block) {
            (1, _) => write_block(block, depth, out),
            // One operator says its number itself.
            (_, [one]) => {
                out.push(format!("{indent}{} x{times}", one.name));
                write(&one.calls, depth + 1, out);
            }
            _ => {
                out.push(format!("{indent}x{times}"));
                write_block(block, depth + 1, out);
            }
        }
        rest = &rest[length * times..];
    }
}

/// A block inside of which nothing repeats as a block; runs of one operator are still folded.
fn write_block(block: &[Node<'_>], depth: usize, out: &mut Vec<String>) {
    for run in block.chunk_by(is_same) {
        let times = if run.len() > 1 { format!(" x{}", run.len()) } else { String::new() };
        out.push(format!("{}{}{times}", "  ".repeat(depth), run[0].name));
        write(&run[0].calls, depth + 1, out);
    }
}

fn is_same(left: &Node<'_>, right: &Node<'_>) -> bool {
    left.name == right.name
        && left.calls.len() == right.calls.len()
        && left.calls.iter().zip(&right.calls).all(|(left, right)| is_same(left, right))
}

/// Length and number of the block at the beginning that covers most when repeated; the shortest of
/// those. `(1, 1)` where nothing repeats.
fn longest_repetition<T>(rest: &[T], same: &impl Fn(&T, &T) -> bool) -> (usize, usize) {
    let mut best = (1, 1);
    for length in 1..=LONGEST_BLOCK.min(rest.len() / 2) {
        let repeated = rest[length..].iter().zip(rest).take_while(|(next, first)| same(next, first)).count();
        let times = 1 + repeated / length;
        if times > 1 && length * times > best.0 * best.1 {
            best = (length, times);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, start: i64, end: i64) -> Call<'_> {
        Call { name, start: Nanos::from_ns(start), end: Nanos::from_ns(end) }
    }

    #[test]
    fn layers_are_written_once() {
        let mut calls = vec![call("aten::embedding", 0, 9), call("aten::index_select", 1, 8)];
        for layer in 0..12 {
            let at = 100 + layer * 100;
            calls.push(call("aten::addmm", at, at + 10));
            calls.push(call("vllm::attention", at + 20, at + 60));
            calls.push(call("_C::attention", at + 30, at + 50));
            calls.push(call("aten::addmm", at + 70, at + 80));
            calls.push(call("aten::addmm", at + 81, at + 90));
        }
        calls.push(call("aten::mm", 2_000, 2_100));
        // Order in the file means nothing.
        calls.reverse();
        assert_eq!(
            lines(calls),
            [
                "aten::embedding",
                "  aten::index_select",
                "x12",
                "  aten::addmm",
                "  vllm::attention",
                "    _C::attention",
                "  aten::addmm x2",
                "aten::mm"
            ]
        );
    }

    #[test]
    fn depth_is_limited_and_bookkeeping_is_known() {
        let deep = vec![call("a", 0, 100), call("b", 1, 99), call("c", 2, 98), call("d", 3, 97)];
        assert_eq!(lines(deep), ["a", "  b", "    c"]);
        assert_eq!(lines(Vec::new()), Vec::<String>::new());
        assert!(BOOKKEEPING.is_sorted(), "the search needs it");
        assert!(is_shape("aten::addmm") && is_shape("vllm::view") && !is_shape("aten::view"));
    }
}

//! A decided run, and what `inspect` measures beside steps and gaps, as text for terminals and logs.

use super::traces;
use crate::judge::{Check, Decided, Verdict};
use crate::observe::arrivals;
use crate::text::inert;
use crate::time::Nanos;
use crate::trace::{Census, Device, ExplainedGap, Ranks, Trace};

/// Everything a person wants to see of a decided run.
pub(crate) fn decided(decided: &Decided) -> String {
    let mut text = String::new();
    for trace in &decided.observed.traces {
        text += &traces::text(trace, &arrivals(trace, &decided.observed.ledger));
        text.push('\n');
    }
    let workers: Vec<&Trace> = decided.observed.workers().collect();
    if let Some(together) = ranks(&workers) {
        text += &together;
        text.push('\n');
    }
    let ledger = &decided.observed.ledger;
    text += &format!(
        "ledger  requests {}, context tokens {}, generation tokens {} (output tokens {})\n\n",
        ledger.requests.len(),
        ledger.context_tokens(),
        ledger.generation_tokens(),
        ledger.output_tokens()
    );
    let left_out = &decided.observed.record.left_out;
    if !left_out.is_empty() {
        let names = crate::text::inert(&left_out.join(", "), 300);
        text += &format!(
            "environment  not passed on to the server: {names} (what it needs belongs into [server.env])\n\n"
        );
    }
    text += &checks(&decided.verdict);
    text
}

/// One line per check, failures marked, and the verdict.
pub(crate) fn checks(verdict: &Verdict) -> String {
    lines(&verdict.checks.iter().collect::<Vec<_>>()) + &word(verdict)
}

/// The failed checks and the verdict, for `--quiet`.
pub(crate) fn failures(verdict: &Verdict) -> String {
    lines(&verdict.failed().collect::<Vec<_>>()) + &word(verdict)
}

fn lines(checks: &[&Check]) -> String {
    let line =
        |check: &&Check| format!("{:<5} {:<12} {}\n", check.answer.word(), check.name, check.answer.detail());
    checks.iter().map(line).collect()
}

fn word(verdict: &Verdict) -> String {
    let failed: Vec<&str> = verdict.failed().map(|check| check.name.as_str()).collect();
    match failed.as_slice() {
        [] => "verdict: pass".to_owned(),
        names => format!("verdict: FAIL ({})", names.join(", ")),
    }
}

/// A trace: what it is, its steps, its gaps, its totals, its problems.
pub(crate) fn trace_summary(trace: &Trace) -> String {
    traces::text(trace, &[])
}

/// Frames shown of one gap.
const FRAMES: usize = 5;

/// Several ranks seen together.
pub(crate) fn ranks(workers: &[&Trace]) -> Option<String> {
    let Ranks { count, steps, difference, skew } = Ranks::of(workers)?;
    let same = difference.unwrap_or_else(|| format!("the same {steps} steps on each"));
    let skew = skew.map_or_else(|| "skew unknown".to_owned(), |skew| format!("largest skew {skew}"));
    Some(format!("{count} ranks  {same}, {skew}\n"))
}

/// Which ranks are there, and what stands beside them; a line for each thing that is wrong.
pub(crate) fn census(census: &Census) -> String {
    let numbers = |ranks: &[u32]| ranks.iter().take(RANKS).map(|rank| format!(" {rank}")).collect::<String>();
    let more = |ranks: &[u32]| if ranks.len() > RANKS { ", …" } else { "" };
    let mut text = String::new();
    if let (Some(world), false) = (census.world_size, census.missing.is_empty()) {
        let (missing, there) = (&census.missing, census.present.len());
        text += &format!("ranks  {there} of {world}, missing{}{}\n", numbers(missing), more(missing));
    }
    for twice in &census.duplicated {
        let files = twice.files.iter().map(|file| inert(file, 300)).collect::<Vec<_>>().join(", ");
        text += &format!(
            "rank {} has {} files ({}): {files}\n",
            twice.rank,
            twice.files.len(),
            inert(&twice.because, 200)
        );
    }
    for other in &census.foreign {
        text += &format!("of another run: {} ({})\n", inert(&other.file, 300), inert(&other.because, 200));
    }
    text
}

/// Ranks that are named in a line.
const RANKS: usize = 32;

/// Which frames filled the largest gaps.
pub(crate) fn explained(gaps: &[ExplainedGap]) -> String {
    let mut text = String::new();
    for gap in gaps {
        text += &format!("gap of {} before step {} ({} to {})\n", gap.gap_ns, gap.step, gap.from, gap.to);
        let share = |time: Nanos| 100.0 * time.as_ns() as f64 / gap.gap_ns.as_ns().max(1) as f64;
        for frame in gap.frames.iter().take(FRAMES) {
            let name = crate::text::inert(&frame.name, 100);
            text += &format!(
                "  {:>5.1} % {:>10}  x{:<6} {name}\n",
                share(frame.self_ns),
                frame.self_ns,
                frame.calls
            );
        }
        let rest: Nanos = gap.frames.iter().skip(FRAMES).map(|frame| frame.self_ns).sum();
        text += &format!(
            "  {:>5.1} % {:>10}  in {} other frames\n",
            share(rest),
            rest,
            gap.frames.len().saturating_sub(FRAMES)
        );
        text +=
            &format!("  {:>5.1} % {:>10}  in no frame\n\n", share(gap.unexplained_ns), gap.unexplained_ns);
    }
    text
}

/// The device's side of a trace; a measure of its own, never mixed with the step gaps.
pub(crate) fn device(device: Option<&Device>) -> String {
    let Some(device) = device else {
        return "device-idle gaps: not applicable, the trace has no engine events (hardware tracing was off)\n".to_owned();
    };
    format!(
        "device busy {}, idle {}; device-idle gaps, {} engine events\n{}",
        device.busy_ns,
        device.idle_ns,
        device.events,
        traces::gaps(&device.gaps).text()
    )
}

//! How two snapshots differ: intervals, languages and sets are compared, never texts.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::facts::{RankFacts, Snapshot, StepFacts};
use super::interval::Interval;
use super::table::{Column, Table};

/// What a difference means to a reviewer; in the order of its weight. The words for operators are those of
/// `TraceDiff` of facebookresearch/HolisticTraceAnalysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Group {
    /// Another procedure or lane.
    Owner,
    /// The client saw or the trace tells other numbers of requests or tokens.
    Ledger,
    /// A rank is gone or new.
    Ranks,
    /// Something else told the steps, or the reader found other problems.
    Evidence,
    /// No step of a kind is left.
    MissingPhase,
    /// Steps of a kind that was not there.
    ExtraPhase,
    /// More, fewer or other steps.
    Steps,
    /// More compilations in the window.
    ExtraRecompile,
    /// Fewer compilations in the window.
    FewerRecompiles,
    /// An operator that did not run.
    OpAdded,
    /// An operator that runs no more.
    OpRemoved,
    /// More calls of an operator.
    OpMore,
    /// Fewer calls of an operator.
    OpFewer,
    /// A kernel that the device did not run.
    KernelAdded,
    /// A kernel that the device runs no more.
    KernelRemoved,
    /// More launches of a kernel.
    KernelMore,
    /// Fewer launches of a kernel.
    KernelFewer,
    /// Other operators between the steps.
    Sampler,
    /// Other numbers of copies, waits, graph launches.
    Budget,
    /// Operators call others.
    Tree,
    /// The gap over the step moved by more than one bucket.
    Ratio,
}

impl Group {
    /// The word in front of the group's differences.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Owner => "OTHER PROCEDURE",
            Self::Ledger => "LEDGER",
            Self::Ranks => "RANKS",
            Self::Evidence => "EVIDENCE",
            Self::MissingPhase => "MISSING PHASE",
            Self::ExtraPhase => "EXTRA PHASE",
            Self::Steps => "STEPS",
            Self::ExtraRecompile => "EXTRA RECOMPILE",
            Self::FewerRecompiles => "FEWER RECOMPILES",
            Self::OpAdded => "OP ADDED",
            Self::OpRemoved => "OP REMOVED",
            Self::OpMore => "OP MORE",
            Self::OpFewer => "OP FEWER",
            Self::KernelAdded => "KERNEL ADDED",
            Self::KernelRemoved => "KERNEL REMOVED",
            Self::KernelMore => "KERNEL MORE",
            Self::KernelFewer => "KERNEL FEWER",
            Self::Sampler => "SAMPLER",
            Self::Budget => "BUDGET",
            Self::Tree => "TREE",
            Self::Ratio => "RATIO",
        }
    }
}

/// One fact that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it means.
    pub group: Group,
    /// Kind of step, or size of the sampled batch, where the fact is per one of those.
    pub phase: Option<String>,
    /// The fact.
    pub what: String,
    /// As reviewed.
    pub before: String,
    /// As seen.
    pub after: String,
    /// Ranks on which it differs; empty for what is not per rank.
    pub ranks: Vec<String>,
    /// It differs on every rank there is.
    pub everywhere: bool,
}

/// Differences under construction: those of several ranks become one.
#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, rank: &str, difference: Difference) {
        let same = |known: &&mut Difference| {
            (known.group, &known.phase, &known.what, &known.before, &known.after)
                == (
                    difference.group,
                    &difference.phase,
                    &difference.what,
                    &difference.before,
                    &difference.after,
                )
        };
        match self.0.iter_mut().find(same) {
            Some(known) if known.ranks.iter().any(|one| one == rank) => {}
            Some(known) => known.ranks.push(rank.to_owned()),
            None => self.0.push(Difference { ranks: vec![rank.to_owned()], ..difference }),
        }
    }
}

/// A difference of no phase.
fn plain(group: Group, what: &str, before: impl ToString, after: impl ToString) -> Difference {
    Difference {
        group,
        phase: None,
        what: what.to_owned(),
        before: before.to_string(),
        after: after.to_string(),
        ranks: Vec::new(),
        everywhere: true,
    }
}

impl Snapshot {
    /// Where `seen` is not what this snapshot allows, most important first. Sections that only one of
    /// the two has by its nature (a bare trace has no ledger) are not compared; provenance never is.
    #[must_use]
    pub fn differences(&self, seen: &Self) -> Vec<Difference> {
        let mut found = Found::default();
        if let (Some(before), Some(after)) = (&self.owner, &seen.owner) {
            for (what, before, after) in
                [("procedure", &before.procedure, &after.procedure), ("lane", &before.lane, &after.lane)]
            {
                if before != after {
                    found.0.push(plain(Group::Owner, what, before, after));
                }
            }
        }
        if let (Some(before), Some(after)) = (self.ledger, seen.ledger) {
            for (what, before, after) in [
                ("requests", before.requests, after.requests),
                ("prompt_tokens", before.prompt_tokens, after.prompt_tokens),
                ("output_tokens", before.output_tokens, after.output_tokens),
            ] {
                if before != after {
                    found.0.push(plain(Group::Ledger, what, before, after));
                }
            }
        }
        let bare = self.owner.is_none() || seen.owner.is_none();
        let (before, after) = (by_rank(self), by_rank(seen));
        for rank in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            match (before.get(rank), after.get(rank)) {
                (Some(before), Some(after)) => compare_rank(rank, before, after, bare, &mut found),
                (Some(_), None) => {
                    found.0.push(plain(Group::Ranks, &format!("rank {rank}"), "there", "missing"));
                }
                _ => found.0.push(plain(Group::Ranks, &format!("rank {rank}"), "not there", "there")),
            }
        }
        let mut differences = found.0;
        for difference in &mut differences {
            difference.everywhere = difference.ranks.is_empty() || difference.ranks.len() == after.len();
        }
        // Steps of a kind stay together, and kinds in the order in which they run.
        differences.sort_by_key(|difference| difference.group);
        differences
    }
}

/// What one of the two does not have at all, or neither, so that it was not compared: by the names of the sides.
/// What a run has by its nature and a bare trace has not is left out.
#[must_use]
pub fn not_compared(before: &Snapshot, after: &Snapshot, names: (&str, &str)) -> Vec<String> {
    type Aspect = (&'static str, fn(&RankFacts) -> &Table);
    let aspects: [Aspect; 3] = [
        ("operators", |facts| &facts.operators),
        ("operators behind the steps", |facts| &facts.sampler),
        ("device kernels", |facts| &facts.kernels),
    ];
    let bare = before.owner.is_none() || after.owner.is_none();
    let has = |side: &Snapshot, table: fn(&RankFacts) -> &Table| {
        side.ranks.iter().any(|group| !table(&group.facts).columns.is_empty())
    };
    let said = |(what, table): Aspect| match (has(before, table), has(after, table)) {
        (true, false) => Some(format!("{what}: not recorded in {}", names.1)),
        (false, true) => Some(format!("{what}: not recorded in {}", names.0)),
        (false, false) if bare => Some(format!("{what}: recorded in neither")),
        _ => None,
    };
    aspects.into_iter().filter_map(said).collect()
}

pub(super) fn by_rank(snapshot: &Snapshot) -> BTreeMap<&str, &RankFacts> {
    let groups = snapshot.ranks.iter();
    groups.flat_map(|group| group.ranks.iter().map(|rank| (rank.as_str(), &group.facts))).collect()
}

fn compare_rank(rank: &str, before: &RankFacts, after: &RankFacts, bare: bool, found: &mut Found) {
    let mut add = |difference| found.add(rank, difference);
    if before.evidence != after.evidence {
        add(plain(Group::Evidence, "evidence", &before.evidence, &after.evidence));
    }
    for problem in before.problems.symmetric_difference(&after.problems) {
        let word = |set: &BTreeSet<String>| if set.contains(problem) { "there" } else { "not there" };
        add(plain(Group::Evidence, problem, word(&before.problems), word(&after.problems)));
    }
    all_steps(before, after, bare, &mut add);
    let recompiles = (before.recompiles, after.recompiles);
    if recompiles.0 != recompiles.1 {
        let group = if recompiles.1 > recompiles.0 { Group::ExtraRecompile } else { Group::FewerRecompiles };
        add(plain(group, "recompiles in the window", recompiles.0, recompiles.1));
    }
    tables(&before.operators, &after.operators, of_operator, &mut add);
    let mut add_refresh = |difference: Difference| {
        add(Difference { what: format!("refresh {}", difference.what), ..difference });
    };
    tables(&before.refresh, &after.refresh, |_, _| Group::Sampler, &mut add_refresh);
    tables(&before.sampler, &after.sampler, |_, _| Group::Sampler, &mut add);
    tables(&before.kernels, &after.kernels, of_kernel, &mut add);
    tables(&before.budgets, &after.budgets, |_, _| Group::Budget, &mut add);
    calls(before, after, &mut add);
    if before.ratios.is_empty() && !after.ratios.is_empty() && !bare {
        add(plain(Group::Ratio, "gap/step", "none reviewed", "measured"));
    }
    for (pair, was) in &before.ratios {
        if let Some(is) = after.ratios.get(pair).filter(|is| !was.is_near(**is)) {
            add(plain(Group::Ratio, &format!("{} gap/step", pair.replace('_', " ")), was, is));
        }
    }
}

/// Steps, the tokens that they processed, and phases of which nothing is left.
fn all_steps(before: &RankFacts, after: &RankFacts, bare: bool, add: &mut impl FnMut(Difference)) {
    for difference in steps(&before.steps, &after.steps, bare) {
        add(difference);
    }
    // A bare trace of several requests says how often the engine was idle, and no run promises that.
    if !before.idle.covers(after.idle) && !bare {
        add(plain(Group::Steps, "idle steps", before.idle, after.idle));
    }
    for (what, before, after) in [
        ("context tokens of the trace", &before.context_tokens, &after.context_tokens),
        ("generation tokens of the trace", &before.generation_tokens, &after.generation_tokens),
    ] {
        if before != after {
            add(plain(Group::Ledger, what, before, after));
        }
    }
    // Sequences have said it of themselves; a language says nothing of single phases.
    if matches!(before.steps, StepFacts::Language { .. }) && !after.operators.columns.is_empty() {
        let gone = [Column::Prompt, Column::Decode].into_iter().filter(|column| {
            before.operators.columns.contains(column) && !after.operators.columns.contains(column)
        });
        for column in gone {
            add(plain(Group::MissingPhase, &format!("{column} steps"), "there", "none"));
        }
    }
}

fn of_kernel(before: Interval, after: Interval) -> Group {
    match of_operator(before, after) {
        Group::OpAdded => Group::KernelAdded,
        Group::OpRemoved => Group::KernelRemoved,
        Group::OpMore => Group::KernelMore,
        _ => Group::KernelFewer,
    }
}

fn of_operator(before: Interval, after: Interval) -> Group {
    match (before.high, after.high) {
        (0, _) => Group::OpAdded,
        (_, 0) => Group::OpRemoved,
        (before, after) if after > before => Group::OpMore,
        _ => Group::OpFewer,
    }
}

/// Compares the columns that both tables know. Whether a mixed step, or a sampler over one request,
/// occurs at all is the matter of the steps.
fn tables(
    before: &Table,
    after: &Table,
    group: impl Fn(Interval, Interval) -> Group,
    add: &mut impl FnMut(Difference),
) {
    let names: BTreeSet<&str> = before.names().chain(after.names()).collect();
    // With nothing in common every name would differ, and one line says it.
    let shared = |column: &&Column| before.allowed("", **column).is_some();
    if !before.columns.is_empty() && !after.columns.is_empty() && !after.columns.iter().any(|c| shared(&c)) {
        let list = |table: &Table| table.columns.iter().map(|c| c.name()).collect::<Vec<_>>().join(" ");
        add(plain(group(Interval::NONE, Interval::of(1)), "columns", list(before), list(after)));
    }
    if before.columns.is_empty() != after.columns.is_empty() {
        let word = |table: &Table| if table.columns.is_empty() { "none in the trace" } else { "recorded" };
        let any = |table: &Table| Interval::of(u64::from(!table.columns.is_empty()));
        add(plain(group(any(before), any(after)), "all of them", word(before), word(after)));
        return;
    }
    for column in after.columns.iter().filter(shared) {
        for name in &names {
            let Some(allowed) = before.allowed(name, *column) else { continue };
            let seen = after.get(name, *column);
            if !allowed.covers(seen) {
                let plain = plain(group(allowed, seen), name, allowed, seen);
                add(Difference { phase: Some(column.name().to_owned()), ..plain });
            }
        }
    }
}

fn calls(before: &RankFacts, after: &RankFacts, add: &mut impl FnMut(Difference)) {
    for (column, shapes) in &after.calls {
        let known: BTreeSet<&Vec<String>> = match (before.calls.get(column), column) {
            (Some(known), _) => known.iter().collect(),
            (None, Column::Mixed) => before.calls.values().flatten().collect(),
            // A phase that nobody reviewed is the matter of the steps; one without its calls is a hole.
            (None, _) if !before.operators.columns.contains(column) => continue,
            (None, _) => BTreeSet::new(),
        };
        for shape in shapes.iter().filter(|shape| !known.contains(*shape)) {
            let (was, is) = known.iter().next().map_or_else(Default::default, |was| first_change(was, shape));
            let plain = plain(Group::Tree, "calls", was, is);
            add(Difference { phase: Some(column.name().to_owned()), ..plain });
        }
    }
}

/// The first line that differs, with the lines that it stands under.
fn first_change(before: &[String], after: &[String]) -> (String, String) {
    let at = before.iter().zip(after).take_while(|(before, after)| before == after).count();
    (path(before, at), path(after, at))
}

/// `vllm::attention > _C::attention`, from the lines above that are less deep.
fn path(lines: &[String], at: usize) -> String {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let Some(line) = lines.get(at) else { return "the end".to_owned() };
    let mut names = vec![line.trim_start()];
    let mut level = depth(line);
    for above in lines[..at].iter().rev() {
        if depth(above) < level {
            level = depth(above);
            names.push(above.trim_start());
        }
    }
    names.reverse();
    names.join(" > ")
}

fn steps(before: &StepFacts, after: &StepFacts, bare: bool) -> Vec<Difference> {
    match (before, after) {
        (StepFacts::Sequence(before), StepFacts::Sequence(after)) => sequences(before, after),
        (StepFacts::Language { facts: before }, StepFacts::Language { facts: after }) => {
            let pairs = before.iter().zip(after).filter(|(before, after)| before != after);
            pairs.map(|(before, after)| plain(Group::Steps, "the steps", before, after)).collect()
        }
        // A bare trace has no pattern that it could be within.
        _ if bare => Vec::new(),
        _ => vec![plain(Group::Steps, "the steps", text(before), text(after))],
    }
}

fn text(steps: &StepFacts) -> String {
    match steps {
        StepFacts::Sequence(runs) => run_text(runs),
        StepFacts::Language { facts } => facts.join(", "),
    }
}

fn run_text(runs: &[(String, u64)]) -> String {
    if runs.is_empty() {
        return "none".to_owned();
    }
    runs.iter().map(|(label, times)| format!("{label} x{times}")).collect::<Vec<_>>().join(", ")
}

fn sequences(before: &[(String, u64)], after: &[(String, u64)]) -> Vec<Difference> {
    if before == after {
        return Vec::new();
    }
    let count = |runs: &[(String, u64)]| {
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        for (label, times) in runs {
            let kind = label.split(' ').next().unwrap_or_default();
            *kinds.entry(kind.to_owned()).or_default() += times;
        }
        kinds
    };
    let (had, has) = (count(before), count(after));
    let mut differences = Vec::new();
    for kind in had.keys().chain(has.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (had.get(kind).copied().unwrap_or(0), has.get(kind).copied().unwrap_or(0));
        let group = match (was, is) {
            _ if was == is => continue,
            (_, 0) => Group::MissingPhase,
            (0, _) => Group::ExtraPhase,
            _ => Group::Steps,
        };
        differences.push(plain(group, &format!("{kind} steps"), was, is));
    }
    if differences.is_empty() {
        differences.push(plain(Group::Steps, "the steps", run_text(before), run_text(after)));
    }
    differences
}

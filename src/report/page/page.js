// Puts the page together from the embedded data.
const data = JSON.parse(document.getElementById("data").textContent);
const IMITATION = "The lane standin is an imitation: its results prove the harness, never vLLM.";
const MARKS = { pass: "pass", fail: "FAIL", not_applicable: "n/a" };

// Eight ranks with a thousand steps each make sentences of pages.
function shortened(text) {
  const LIMIT = 260;
  if (text.length <= LIMIT) return text;
  return el("details", {}, el("summary", { class: "plain" }, `${text.slice(0, LIMIT)}…`), text);
}

function checks(run) {
  const rows = run.checks.map((check) => {
    const state = { pass: "pass", fail: "fail", not_applicable: "na" }[check.result];
    return [el("span", { class: `mark ${state}` }, MARKS[check.result]), check.name, shortened(check.detail)];
  });
  const node = table(["", "check", "what was seen"], rows, 9);
  node.querySelectorAll("td:nth-child(3)").forEach((cell) => { cell.className = "wrap"; });
  return section("Checks", node);
}

function gapCharts(run) {
  const pairs = new Map();
  for (const trace of run.traces) {
    for (const [pair, gaps] of Object.entries(trace.gapValues)) pairs.set(pair, (pairs.get(pair) || []).concat(gaps));
  }
  if (!pairs.size) return null;
  const rows = run.traces.flatMap((trace) => Object.entries(trace.gaps).map(([pair, gap]) =>
    [words(pair), trace.rank === null ? "" : `rank ${trace.rank}`, gap.count, time(gap.min_ns), time(gap.p50_ns), time(gap.p90_ns), time(gap.max_ns)]));
  return section("Gaps between steps",
    el("p", { class: "faint" }, "Host-side time from the end of a step to the start of the next one on the same rank. Solid line: median. Dashed: p90. Logarithmic axis."),
    el("div", { class: "charts" }, ...[...pairs].map(([pair, gaps]) => histogram(pair, gaps))),
    table(["pair", "", "count", "min", "p50", "p90", "max"], rows, 2));
}

function ledger(run) {
  if (!run.ledger) return null;
  const rows = run.ledger.rows.map((row) => [row.what, row.client, row.trace, el("span", { class: `mark ${row.equal ? "pass" : "fail"}` }, row.equal ? "equal" : "DIFFERENT")]);
  return section("Ledger against trace", el("p", { class: "faint" }, run.ledger.rule), table(["", "client", "trace", ""], rows));
}

function client(run) {
  if (!run.clientTimes.length) return null;
  const rows = run.clientTimes.map((row) => [row.name, row.count, time(row.min), time(row.p50), time(row.max)]);
  const requests = run.requests.slice(0, 200).map((one) => [one.request, one.promptTokens, one.outputTokens, one.tokens.length ? time(one.tokens[0] - one.sent) : "not streamed", time(one.done - one.sent), one.finish ?? ""]);
  return section("Client latency", el("p", { class: "faint" }, "Measured while the profiler was recording, and so longer than without it."),
    table(["", "count", "min", "median", "max"], rows),
    folded(`Requests (${run.requests.length})`, table(["request", "prompt tokens", "output tokens", "first token", "whole answer", "finish"], requests)));
}

function plan(run) {
  const adaptations = run.plan.adaptations.map((one) => [one.manual, one.planned, one.reason, one.source]);
  const node = adaptations.length ? table(["manual", "planned", "because", "source"], adaptations, 9) : el("p", {}, "As in the manual, without departures.");
  node.querySelectorAll("td").forEach((cell) => { cell.className = "wrap"; });
  return section("Plan", el("p", { class: "faint" }, `Departures from the manual: ${adaptations.length}`), node,
    folded("Commands", el("pre", {}, run.plan.commands.join("\n\n"))),
    folded("Versions and machine", table(["", ""], run.plan.installed, 9)),
    run.phases.length ? folded("Phases of the run", table(["phase", "took"], run.phases.map((phase) => [phase.name, phase.ns === null ? "not ended" : time(phase.ns)]))) : null);
}

function problems(run) {
  const rows = run.traces.flatMap((trace) => trace.problems.map((one) => [one.code, one.count, one.offset, trace.file, one.detail]));
  if (!rows.length) return section("Problems in the traces", el("p", {}, "none"));
  const node = table(["problem", "count", "first at byte", "file", "what was there"], rows, 1);
  node.querySelectorAll("td:nth-child(4), td:nth-child(5)").forEach((cell) => { cell.className = "wrap"; });
  return section("Problems in the traces", node);
}

function snapshot(run) {
  if (!run.snapshot) return null;
  const parts = [];
  if (run.snapshot.diff) {
    const lines = run.snapshot.diff.split("\n").map((line) => el("span", { class: line.startsWith("+") ? "add" : line.startsWith("-") ? "del" : "" }, `${line}\n`));
    parts.push(el("p", {}, `It differs from the reviewed ${run.snapshot.committed}:`), el("pre", {}, ...lines));
  } else {
    parts.push(el("p", {}, run.snapshot.committed ? `Equal to the reviewed ${run.snapshot.committed}.` : "There is no reviewed snapshot to compare it with."));
  }
  return section("Snapshot", ...parts, folded("observed.snap", el("pre", {}, run.snapshot.observed)));
}

// A count, and what was reviewed where it differs.
function cells(row) {
  return row.cells.map((count, at) => (row.before[at] === null ? count : el("span", { class: "mark fail" }, `${row.before[at]} → ${count}`)));
}

function operators(run) {
  if (!run.operators.length) return null;
  const parts = run.operators.flatMap(({ ranks, tables }) => tables.flatMap(({ title, columns, rows }) => {
    const where = run.operators.length > 1 ? `, rank ${ranks}` : "";
    const differing = rows.filter((row) => row.before.some((before) => before !== null));
    const show = (some) => table(["", ...columns], some.map((row) => [row.name, ...cells(row)]));
    const all = folded(`${title}${where} (${rows.length})`, show(rows));
    return differing.length ? [el("p", {}, `${title}${where}: ${counted(differing.length, "name")} not as reviewed`), show(differing), all] : [all];
  }));
  return section("Operators", el("p", { class: "faint" }, "Counted by kind of step on the worker's own thread. An interval where steps of one kind differ."), ...parts);
}

function stepTables(run) {
  const LIMIT = 400;
  const tables = run.traces.filter((trace) => trace.steps.kind.length).map((trace) => {
    const { kind, start, duration, gap, contextRequests, contextTokens, generationRequests, generationTokens } = trace.steps;
    const batch = (requests, tokens) => (requests === null ? "?" : requests ? `${requests} (${tokens ?? "?"})` : "");
    const node = folded(`Steps of ${trace.rank === null ? trace.file : `rank ${trace.rank}`} as a table (${kind.length})`);
    // Made when opened: eight ranks of a thousand steps are slow to lay out unseen.
    node.addEventListener("toggle", () => {
      if (node.childElementCount > 1) return;
      const rows = [...kind].slice(0, LIMIT).map((letter, at) => [at, KINDS[letter], batch(contextRequests[at], contextTokens[at]), batch(generationRequests[at], generationTokens[at]), time(start[at]), time(duration[at]), time(gap[at])]);
      node.append(table(["step", "kind", "context", "generation", "start", "duration", "gap"], rows, 2));
      if (kind.length > LIMIT) node.append(el("p", { class: "faint" }, `${kind.length - LIMIT} more steps: tracegate inspect --format json`));
    });
    return node;
  });
  return tables.length > 2 ? [folded("Steps as tables, rank by rank", ...tables)] : tables;
}

function describeTrace(trace) {
  const parts = [trace.role, trace.rank === null ? "" : `rank ${trace.rank}${trace.worldSize ? ` of ${trace.worldSize}` : ""}`, `${trace.events} events`, `evidence ${trace.evidence}`, trace.totals];
  return el("li", {}, el("code", {}, trace.file), ` ${parts.filter(Boolean).join(", ")}`);
}

function runSection(run) {
  const node = el("section", { class: "run" }, el("h2", {}, `${run.procedure} on lane ${run.lane}`),
    el("p", { class: "faint" }, `${run.title}. Run directory ${run.name}.`));
  if (run.imitation) node.append(el("p", { class: "warn" }, IMITATION));
  if (run.fault) node.append(el("p", { class: "warn" }, `The stand-in was asked to play the fault ${run.fault}.`));
  if (run.error) node.append(el("p", { class: "warn" }, "Infrastructure error, no verdict: ", run.error));
  if (run.checks.length) node.append(checks(run));
  const timeline = run.traces.some((trace) => trace.role === "worker" && trace.steps.kind.length) ? new Timeline(run) : null;
  if (timeline) {
    const notes = [];
    if (timeline.elsewhere) notes.push("The client's times lie outside the trace and are not drawn.");
    if (!timeline.shared) notes.push("The traces share no clock, so each rank starts at its first step.");
    if (timeline.clients.length) notes.push("Rows req: each request from sent to done as the client saw it, with a tick for each token.");
    if (timeline.hiddenRequests > 0) notes.push(`${timeline.hiddenRequests} more requests are not drawn.`);
    node.append(section("Steps", el("p", { class: "faint" }, ["Drag to move, Ctrl and wheel to zoom, arrow keys for steps, G for the largest gap.", ...notes].join(" ")), timeline.root, ...stepTables(run)));
  }
  node.append(...[gapCharts(run), ledger(run), client(run), operators(run), snapshot(run), plan(run), problems(run)].filter(Boolean),
    section("Traces", el("ul", { class: "lines" }, ...run.traces.map(describeTrace))));
  return node;
}

function historySection() {
  const node = el("section", {}, el("h2", {}, "Nights"), el("p", { class: "faint" }, "Circle: median of a night; small dots: its repetitions; hollow circle: too few nights; diamond: suspect; triangle up: regressed; triangle down: improved. Band: three nights inside it do not count as a change. Mark below the axis: the first night of a change."));
  if (data.history.some((series) => series.lane === "standin")) node.append(el("p", { class: "warn" }, IMITATION));
  for (const series of data.history) {
    node.append(el("h3", {}, `${series.procedure} on lane ${series.lane}, ${series.machine_class}`));
    const judged = series.metrics.filter((metric) => metric.band);
    const others = series.metrics.filter((metric) => !metric.band);
    node.append(el("div", { class: "charts wide" }, ...judged.map((metric) => sparkline(metric, series.epochs))));
    if (others.length) node.append(folded(`Recorded and not judged (${others.length})`, el("div", { class: "charts wide" }, ...others.map((metric) => sparkline(metric, series.epochs)))));
    if (series.epochs.length) node.append(el("ul", { class: "lines" }, ...series.epochs.map((epoch) => el("li", {}, `epoch from ${epoch.from}: ${epoch.reason}${epoch.link ? ` (${epoch.link})` : ""}`))));
  }
  return node;
}

const main = document.getElementById("main");
if (data.history.length) main.append(historySection());
main.append(...data.runs.map(runSection));
document.documentElement.dataset.ready = "yes";

// Charts as SVG: the distribution of gaps, and metrics over nights. Each can be read with arrow keys.

// Moves a mark over points with the arrow keys and says what is under it.
function explorable(chart, points, mark) {
  const said = el("div", { class: "said small", "aria-live": "polite" });
  let at = -1;
  const go = (index) => {
    at = Math.max(0, Math.min(points.length - 1, index));
    mark(points[at]);
    said.textContent = points[at].text;
  };
  chart.setAttribute("tabindex", "0");
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    go(at < 0 && step > 0 && step !== Infinity ? 0 : at + step);
  });
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    let best = 0;
    points.forEach((point, index) => { if (Math.abs(point.x - x) < Math.abs(points[best].x - x)) best = index; });
    mark(points[best]);
    showTip(points[best].text, event.clientX, event.clientY);
  });
  chart.addEventListener("pointerleave", hideTip);
  return said;
}

// Gaps of one pair of kinds over all ranks, in bins of equal width on a logarithmic axis.
function histogram(name, gaps) {
  const positive = gaps.filter((gap) => gap > 0).sort((a, b) => a - b);
  const [width, height, floor] = [380, 120, 96];
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Distribution of ${gaps.length} ${words(name)} gaps` });
  const rank = (share) => positive[Math.max(0, Math.ceil(positive.length * share) - 1)];
  const note = gaps.length > positive.length ? ` (${gaps.length - positive.length} not above zero, not drawn)` : "";
  const caption = el("figcaption", {}, `${words(name)} `, el("small", {}, positive.length
    ? `${counted(gaps.length, "gap")}, median ${time(rank(0.5))}, p90 ${time(rank(0.9))}${note}` : `${counted(gaps.length, "gap")}, none above zero`));
  if (positive.length < 2 || positive[0] === positive[positive.length - 1]) return el("figure", {}, caption);
  const low = Math.log10(positive[0]) - 0.02;
  const high = Math.log10(positive[positive.length - 1]) + 0.02;
  const bins = Array.from({ length: 30 }, () => 0);
  positive.forEach((gap) => { bins[Math.min(29, Math.floor(((Math.log10(gap) - low) / (high - low)) * 30))] += 1; });
  const most = Math.max(...bins);
  const x = (ns) => 4 + ((Math.log10(ns) - low) / (high - low)) * (width - 8);
  const mark = svg("rect", { class: "at", visibility: "hidden", width: (width - 8) / 30 });
  const points = bins.map((count, index) => {
    const edge = (at) => 10 ** (low + ((high - low) * at) / 30);
    const tall = count ? Math.max(2, (count / most) * 84) : 0;
    const left = 4 + (index * (width - 8)) / 30;
    chart.append(svg("rect", { class: "bar-mark", x: left + 0.5, y: floor - tall, width: (width - 8) / 30 - 1, height: tall }));
    return { x: left + 6, left, tall, text: `${counted(count, "gap")} of ${time(edge(index))} to ${time(edge(index + 1))}` };
  });
  chart.append(svg("line", { class: "axis", x1: 0, x2: width, y1: floor, y2: floor }),
    svg("line", { class: "mid", x1: x(rank(0.5)), x2: x(rank(0.5)), y1: 6, y2: floor }),
    svg("line", { class: "p90", x1: x(rank(0.9)), x2: x(rank(0.9)), y1: 6, y2: floor }),
    svg("text", { x: 4, y: height - 8 }, time(positive[0])),
    svg("text", { x: width - 4, y: height - 8, "text-anchor": "end" }, time(positive[positive.length - 1])), mark);
  const said = explorable(chart, points, (point) => {
    mark.setAttribute("visibility", "visible");
    mark.setAttribute("x", point.left); mark.setAttribute("y", floor - point.tall); mark.setAttribute("height", point.tall);
  });
  return el("figure", {}, caption, chart, said);
}

const SHAPES = {
  ok: ["ok", 2.6], improved: ["good", 4], insufficient: ["few", 2.6], suspect: ["odd", 4.5], regressed: ["bad", 5],
};

// Circles for quiet nights, a diamond for a suspect one, a triangle for a regressed one: shapes, not only colours.
function nightMark(x, y, state) {
  const [name, size] = SHAPES[state] || ["few", 2.2];
  if (state === "suspect") return svg("path", { class: name, d: `M${x} ${y - size}L${x + size} ${y}L${x} ${y + size}L${x - size} ${y}Z` });
  if (state === "regressed") return svg("path", { class: name, d: `M${x} ${y - size}L${x + size} ${y + size * 0.8}L${x - size} ${y + size * 0.8}Z` });
  if (state === "improved") return svg("path", { class: name, d: `M${x} ${y + size}L${x + size} ${y - size * 0.8}L${x - size} ${y - size * 0.8}Z` });
  return svg("circle", { class: name, cx: x, cy: y, r: size });
}

// One metric over nights, with the band in which a change would not be called one, and epochs.
function sparkline(metric, epochs) {
  const [width, height, left, right, top, floor] = [520, 150, 6, 8, 16, 124];
  const { points, unit } = metric;
  const last = points[points.length - 1];
  const caption = el("figcaption", {}, `${metricTitle(metric.name)} `,
    el("small", {}, last ? `${amount(last.median, unit)} on ${last.night}${last.state ? `, ${last.state}` : ", not judged"}` : "no nights"));
  if (!points.length) return el("figure", {}, caption);
  const values = points.flatMap((point) => [point.median, ...point.values]);
  const low = Math.min(...values, metric.band ? metric.band.low : Infinity);
  const high = Math.max(...values, metric.band ? metric.band.high : -Infinity);
  const pad = (high - low || Math.abs(high) || 1) * 0.06;
  const y = (value) => floor - ((value - low + pad) / (high - low + 2 * pad)) * (floor - top);
  // By date, so that a missing night is a space.
  const days = points.map((point) => Date.parse(`${point.night}T00:00:00Z`) / 864e5);
  const span = Math.max(1, days[days.length - 1] - days[0]);
  const x = (day) => left + 4 + ((day - days[0]) / span) * (width - left - right - 8);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${metricTitle(metric.name)} over ${points.length} nights` });
  if (metric.band) {
    // The band is of the newest epoch.
    const begin = points.findIndex((point) => point.epoch === last.epoch);
    const edge = begin > 0 ? x(days[begin] - 0.5) : left;
    chart.append(svg("rect", { class: "band", x: edge, width: width - edge - right, y: y(metric.band.high), height: Math.max(1, y(metric.band.low) - y(metric.band.high)) }),
      svg("line", { class: "centre", x1: edge, x2: width - right, y1: y(metric.band.centre), y2: y(metric.band.centre) }));
  }
  for (const epoch of epochs) {
    const day = Date.parse(`${epoch.from}T00:00:00Z`) / 864e5;
    if (day < days[0] || day > days[days.length - 1]) continue;
    const at = x(day - 0.5);
    const line = svg("line", { class: "epoch", x1: at, x2: at, y1: top - 4, y2: floor });
    line.append(svg("title", {}, `epoch from ${epoch.from}: ${epoch.reason}`));
    chart.append(line, svg("text", { x: at + 3, y: top - 4 }, `epoch: ${epoch.reason.slice(0, 40)}`));
  }
  points.forEach((point, index) => point.values.forEach((value) => chart.append(svg("circle", { class: "rep", cx: x(days[index]), cy: y(value), r: 1.3 }))));
  let line = "";
  points.forEach((point, index) => { line += `${index && points[index - 1].epoch === point.epoch ? "L" : "M"}${x(days[index]).toFixed(1)} ${y(point.median).toFixed(1)}`; });
  chart.append(svg("path", { class: "run", d: line }));
  points.forEach((point, index) => chart.append(nightMark(x(days[index]), y(point.median), point.state)));
  const mark = svg("circle", { class: "at", visibility: "hidden", r: 7 });
  chart.append(mark, svg("line", { class: "axis", x1: left, x2: width - right, y1: floor, y2: floor }),
    svg("text", { x: left, y: height - 8 }, points[0].night), svg("text", { x: width - right, y: height - 8, "text-anchor": "end" }, last.night));
  for (const night of metric.dated) {
    const at = x(Date.parse(`${night}T00:00:00Z`) / 864e5 - 0.5);
    const tick = svg("path", { class: "dated", d: `M${at} ${floor}l-4 7h8Z` });
    tick.append(svg("title", {}, `changed on ${night}`));
    chart.append(tick);
  }
  const marks = points.map((point, index) => ({
    x: x(days[index]), y: y(point.median),
    text: `${point.night}: ${amount(point.median, unit)}, ${counted(point.values.length, "repetition")}${point.state ? `, ${point.state}` : ""}`,
  }));
  const said = explorable(chart, marks, (point) => { mark.setAttribute("visibility", "visible"); mark.setAttribute("cx", point.x); mark.setAttribute("cy", point.y); });
  return el("figure", {}, caption, chart, said);
}

// The timeline of one run: a row of steps with its gaps for each rank, and the client's tokens, on one time axis.
const KINDS = { P: "prompt", D: "decode", M: "mixed", E: "idle", U: "unclassified" };
// Rare kinds are drawn last, so that a thousand decodes never hide a prompt.
const LAYERS = ["E", "U", "D", "M", "P"];
const ROW = { label: 64, axis: 22, steps: 26, gaps: 22, space: 10, client: 15 };

// Hatching by kind, besides colour: prompt diagonal, mixed crossed, unclassified dotted.
function pattern(context, kind) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.fillStyle = colour(KINDS[kind]);
  pen.fillRect(0, 0, 8, 8);
  pen.strokeStyle = pen.fillStyle = colour("hatch");
  pen.lineWidth = 1;
  const stroke = (...lines) => lines.forEach(([x, y, to, down]) => {
    pen.beginPath(); pen.moveTo(x, y); pen.lineTo(to, down); pen.stroke();
  });
  if (kind === "P") stroke([-2, 10, 10, -2], [-6, 6, 6, -6], [2, 14, 14, 2]);
  if (kind === "M") stroke([-2, 10, 10, -2], [-2, -2, 10, 10]);
  if (kind === "U") pen.fillRect(3, 3, 2, 2);
  return context.createPattern(tile, "repeat");
}

class Timeline {
  constructor(run) {
    this.rows = run.traces.filter((trace) => trace.role === "worker" && trace.steps.kind.length);
    this.requests = (run.requests || []).filter((request) => request.sent !== null).slice(0, 16);
    this.hiddenRequests = (run.requests || []).length - this.requests.length;
    // Ranks share the Unix clock where every trace has one; otherwise each begins at its first step.
    const epochs = this.rows.map((row) => row.offset);
    this.shared = epochs.every((offset) => offset !== null);
    this.offset = (row) => (this.shared ? row.offset : 0);
    const ends = this.rows.map((row) => this.offset(row) + row.end);
    this.most = Math.max(1, ...ends);
    // A client on another clock would press the steps into a corner.
    const near = (request) => request.done > -this.most && request.sent < 2 * this.most;
    this.elsewhere = this.shared && this.requests.length > 0 && !this.requests.some(near);
    this.clients = this.shared ? this.requests.filter(near) : [];
    const reach = this.most;
    this.least = Math.max(-reach, Math.min(0, ...this.clients.map((request) => request.sent)));
    this.most = Math.min(2 * reach, Math.max(reach, ...this.clients.map((request) => request.done)));
    this.maxGap = Math.max(1, ...this.rows.flatMap((row) => row.steps.gap.filter((gap) => gap > 0)));
    [this.from, this.to] = [this.least, this.most];
    this.chosen = null;
    this.canvas = el("canvas", { tabindex: "0", role: "application", "aria-label": this.describe() });
    this.said = el("div", { class: "said", "aria-live": "polite" }, "Hover over a step, or focus the timeline and press an arrow key.");
    this.root = el("div", { class: "timeline" }, this.bar(), this.canvas, this.said);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  describe() {
    const counts = this.rows.map((row) => `rank ${row.rank ?? "unknown"}: ${row.steps.kind.length} steps`);
    return `Timeline of steps. ${counts.join("; ")}. Left and right: steps. Up and down: ranks. Plus, minus, 0: zoom. G: largest gap.`;
  }

  bar() {
    const seen = new Set(this.rows.flatMap((row) => [...row.steps.kind]));
    const keys = Object.keys(KINDS).filter((kind) => seen.has(kind)).map((kind) => {
      const swatch = el("canvas", { width: 26, height: 13, "aria-hidden": "true" });
      const paint = () => { const pen = swatch.getContext("2d"); pen.fillStyle = pattern(pen, kind); pen.fillRect(0, 0, 26, 13); };
      paint();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
      return el("span", { class: "key" }, swatch, KINDS[kind]);
    });
    const swatch = el("canvas", { width: 26, height: 13, "aria-hidden": "true" });
    const pen = swatch.getContext("2d");
    pen.fillStyle = colour("gap");
    [5, 9, 3].forEach((height, index) => pen.fillRect(3 + 8 * index, 13 - height, 5, height));
    keys.push(el("span", { class: "key" }, swatch, `gap (tallest ${time(this.maxGap)})`));
    const button = (text, label, act) => { const node = el("button", { type: "button", "aria-label": label }, text); node.onclick = act; return node; };
    return el("div", { class: "bar" }, el("div", { class: "keys" }, ...keys),
      el("div", {}, button("+", "Zoom in", () => this.zoom(0.5)), " ", button("−", "Zoom out", () => this.zoom(2)), " ",
        button("All", "Show everything", () => this.fit()), " ", button("Largest gap", "Go to the largest gap", () => this.worst())));
  }

  get width() { return this.canvas.clientWidth; }
  get height() { return ROW.axis + this.rows.length * (ROW.steps + ROW.gaps + ROW.space) + this.clients.length * ROW.client + 8; }
  top(row) { return ROW.axis + row * (ROW.steps + ROW.gaps + ROW.space); }
  x(ns) { return ROW.label + ((ns - this.from) / (this.to - this.from)) * (this.width - ROW.label - 8); }
  ns(x) { return this.from + ((x - ROW.label) / (this.width - ROW.label - 8)) * (this.to - this.from); }

  draw() {
    const scale = devicePixelRatio || 1;
    const { width, height } = this;
    if (!width) return;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    this.canvas.style.height = `${height}px`;
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    this.axis(pen, width, height);
    const fills = Object.fromEntries(LAYERS.map((kind) => [kind, pattern(pen, kind)]));
    this.rows.forEach((row, index) => this.rank(pen, row, index, fills));
    this.clients.forEach((request, index) => this.client(pen, request, index));
  }

  axis(pen, width, height) {
    const span = this.to - this.from;
    const rough = span / Math.max(2, (width - ROW.label) / 110);
    const power = 10 ** Math.floor(Math.log10(rough));
    const tick = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    pen.fillStyle = colour("faint");
    pen.strokeStyle = colour("line");
    for (let at = Math.ceil(this.from / tick) * tick; at <= this.to; at += tick) {
      const x = Math.round(this.x(at)) + 0.5;
      pen.beginPath(); pen.moveTo(x, 16); pen.lineTo(x, height); pen.stroke();
      const digits = tick >= 1e6 ? Math.max(0, 6 - Math.floor(Math.log10(tick))) : 3;
      if (x < width - 58) pen.fillText(`${(at / 1e6).toFixed(digits)} ms`, x + 3, 12);
    }
  }

  rank(pen, row, index, fills) {
    const top = this.top(index);
    pen.fillStyle = colour("text");
    pen.fillText(row.rank === null ? "worker" : `rank ${row.rank}`, 8, top + 17);
    pen.fillStyle = colour("faint");
    pen.fillText("gaps", 8, top + ROW.steps + 15);
    pen.save();
    pen.beginPath(); pen.rect(ROW.label, top, this.width - ROW.label - 8, ROW.steps + ROW.gaps + 2); pen.clip();
    const { kind, start, duration } = row.steps;
    const seen = this.visible(row);
    for (const layer of LAYERS) {
      for (let at = seen[0]; at < seen[1]; at += 1) {
        if (kind[at] !== layer) continue;
        const x = this.x(this.offset(row) + start[at]);
        const w = Math.max(1, this.x(this.offset(row) + start[at] + duration[at]) - x);
        pen.fillStyle = w > 5 ? fills[layer] : colour(KINDS[layer]);
        pen.fillRect(x, top, w, ROW.steps);
        if (w > 7) { pen.strokeStyle = colour(layer === "E" ? "faint" : "ground"); pen.strokeRect(x + 0.5, top + 0.5, w - 1, ROW.steps - 1); }
        if (w > 46 && layer !== "P" && layer !== "M") { pen.fillStyle = layer === "D" ? "#15181d" : colour("text"); pen.fillText(KINDS[layer], x + 5, top + 17, w - 8); }
      }
    }
    this.gaps(pen, row, top + ROW.steps, seen);
    if (this.chosen && this.chosen.row === index) {
      const at = this.chosen.step;
      const x = this.x(this.offset(row) + start[at]);
      pen.strokeStyle = colour("focus"); pen.lineWidth = 2;
      pen.strokeRect(x - 1, top + 1, Math.max(3, this.x(this.offset(row) + start[at] + duration[at]) - x) + 2, ROW.steps - 2);
      pen.lineWidth = 1;
    }
    pen.restore();
  }

  // Each gap as a bar: as wide as it lasts, as tall as its part of the largest.
  gaps(pen, row, top, seen) {
    const { start, gap } = row.steps;
    pen.strokeStyle = colour("line");
    pen.beginPath(); pen.moveTo(ROW.label, top + ROW.gaps + 0.5); pen.lineTo(this.width, top + ROW.gaps + 0.5); pen.stroke();
    for (let at = seen[0]; at < seen[1]; at += 1) {
      if (!(gap[at] > 0)) continue;
      const begin = this.x(this.offset(row) + start[at] - gap[at]);
      const w = Math.max(1, this.x(this.offset(row) + start[at]) - begin);
      const tall = Math.max(2, (ROW.gaps - 4) * (gap[at] / this.maxGap));
      pen.fillStyle = colour("gap");
      pen.fillRect(begin, top + ROW.gaps - tall, w, tall);
    }
  }

  client(pen, request, index) {
    const top = this.top(this.rows.length) + index * ROW.client;
    pen.fillStyle = colour("faint");
    pen.fillText(`req ${request.request}`, 8, top + 11);
    pen.save();
    pen.beginPath(); pen.rect(ROW.label, top, this.width - ROW.label - 8, ROW.client); pen.clip();
    pen.strokeStyle = colour("faint");
    pen.beginPath(); pen.moveTo(this.x(request.sent), top + 7.5); pen.lineTo(this.x(request.done), top + 7.5); pen.stroke();
    pen.fillStyle = colour("text");
    for (const token of request.tokens) pen.fillRect(this.x(token) - 1, top + 3, 2, 9);
    pen.restore();
  }

  // Indices of the steps that may be in sight: starts are in order.
  visible(row) {
    const { start } = row.steps;
    const find = (ns) => { let low = 0; let high = start.length; while (low < high) { const middle = (low + high) >> 1; if (start[middle] < ns) low = middle + 1; else high = middle; } return low; };
    return [Math.max(0, find(this.from - this.offset(row)) - 2), Math.min(start.length, find(this.to - this.offset(row)) + 1)];
  }

  listen() {
    const canvas = this.canvas;
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, from: this.from, to: this.to, moved: false }; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointerup", (event) => { const clicked = drag && !drag.moved; drag = null; if (clicked) this.choose(this.under(event)); });
    canvas.addEventListener("pointerleave", hideTip);
    canvas.addEventListener("pointermove", (event) => {
      if (drag) {
        const span = drag.to - drag.from;
        const moved = ((event.clientX - drag.x) / (this.width - ROW.label)) * span;
        if (Math.abs(event.clientX - drag.x) > 3) drag.moved = true;
        if (drag.moved) this.show(drag.from - moved, drag.to - moved);
        return;
      }
      const found = this.under(event);
      if (found) showTip(this.text(found), event.clientX, event.clientY); else hideTip();
    });
    // Plain wheels scroll the page until the timeline has been focused.
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.ns(event.offsetX));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const act = {
      ArrowLeft: () => this.move(-1, 0), ArrowRight: () => this.move(1, 0), ArrowUp: () => this.move(0, -1), ArrowDown: () => this.move(0, 1),
      Home: () => this.pick(0), End: () => this.pick(Infinity), "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), 0: () => this.fit(), g: () => this.worst(),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  }

  pick(step) { const row = this.chosen ? this.chosen.row : 0; this.choose({ row, step: Math.min(step, this.rows[row].steps.start.length - 1) }); }
  move(steps, rows) {
    if (!this.chosen) return this.choose({ row: 0, step: 0 });
    const row = Math.max(0, Math.min(this.rows.length - 1, this.chosen.row + rows));
    const step = Math.max(0, Math.min(this.rows[row].steps.start.length - 1, this.chosen.step + steps));
    return this.choose({ row, step });
  }

  under(event) {
    const index = Math.floor((event.offsetY - ROW.axis) / (ROW.steps + ROW.gaps + ROW.space));
    const row = this.rows[index];
    if (!row || event.offsetX < ROW.label) return null;
    const at = this.ns(event.offsetX) - this.offset(row);
    const slack = (this.to - this.from) / this.width * 3;
    const { start, duration, gap } = row.steps;
    let best = null;
    for (let step = this.visible(row)[0]; step < this.visible(row)[1]; step += 1) {
      const begin = start[step] - Math.max(0, gap[step] || 0);
      if (at >= begin - slack && at <= start[step] + duration[step] + slack) best = { row: index, step };
      if (at >= start[step] && at <= start[step] + duration[step]) return { row: index, step };
    }
    return best;
  }

  text({ row, step }) {
    const trace = this.rows[row];
    const { kind, start, duration, gap, contextRequests, contextTokens, generationRequests, generationTokens } = trace.steps;
    const batch = (name, requests, tokens) => (requests[step] ? `\n${name}: ${requests[step]} requests, ${tokens[step] ?? "?"} tokens` : "");
    return `rank ${trace.rank ?? "?"}, step ${step}: ${KINDS[kind[step]]}\nstart ${time(start[step])}, duration ${time(duration[step])}`
      + (gap[step] === null ? "" : `, gap ${time(gap[step])}`)
      + batch("context", contextRequests, contextTokens) + batch("generation", generationRequests, generationTokens);
  }

  choose(found) {
    if (!found) return;
    this.chosen = found;
    this.said.textContent = this.text(found).replaceAll("\n", "; ");
    const row = this.rows[found.row];
    const begin = this.offset(row) + row.steps.start[found.step];
    const end = begin + row.steps.duration[found.step];
    if (begin < this.from || end > this.to) {
      const span = Math.max(this.to - this.from, (end - begin) * 1.5);
      this.show(begin - span / 2, begin + span / 2);
    } else this.draw();
  }

  worst() {
    let found = null;
    this.rows.forEach((row, index) => row.steps.gap.forEach((gap, step) => {
      if (gap !== null && (!found || gap > this.rows[found.row].steps.gap[found.step])) found = { row: index, step };
    }));
    if (!found) return;
    const row = this.rows[found.row];
    const gap = row.steps.gap[found.step];
    const end = this.offset(row) + row.steps.start[found.step];
    this.show(end - gap * 5, end + gap * 4);
    this.choose(found);
  }

  fit() { this.show(this.least, this.most); }
  zoom(factor, around = (this.from + this.to) / 2) { this.show(around - (around - this.from) * factor, around + (this.to - around) * factor); }
  show(from, to) {
    const span = Math.max(2e3, Math.min(to - from, this.most - this.least));
    this.from = Math.max(this.least, Math.min(from, this.most - span));
    this.to = this.from + span;
    this.draw();
  }
}

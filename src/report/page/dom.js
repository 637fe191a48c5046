// Elements and numbers. Text from traces goes through textContent only: it is never markup.
const SVG = "http://www.w3.org/2000/svg";

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Nanoseconds in the unit a person would choose; the same places as in the terminal.
function time(ns) {
  if (ns === null || ns === undefined) return "";
  const size = Math.abs(ns);
  if (size < 1e3) return `${Math.round(ns)} ns`;
  if (size < 1e6) return `${(ns / 1e3).toFixed(1)} us`;
  if (size < 1e9) return `${(ns / 1e6).toFixed(3)} ms`;
  return `${(ns / 1e9).toFixed(3)} s`;
}

function amount(value, unit) { return unit === "ns" ? time(value) : `${value.toPrecision(4)} ${unit}`; }
function counted(count, word) { return `${count} ${word}${count === 1 ? "" : "s"}`; }
function words(name) { return name.replaceAll("_", " "); }

// `gap.decode_to_decode.p50` as `decode to decode gap, p50`.
function metricTitle(name) {
  const [kind, of, statistic] = name.split(".");
  return statistic ? `${words(of)} ${kind}, ${statistic}` : name;
}

function table(head, rows, numbersFrom = 1) {
  const numeric = (index) => (index >= numbersFrom ? { class: "n" } : {});
  const header = el("tr", {}, ...head.map((text, index) => el("th", { scope: "col", ...numeric(index) }, text)));
  const body = rows.map((row) => el("tr", {}, ...row.map((cell, index) =>
    el("td", numeric(index), cell instanceof Node ? cell : String(cell ?? "")))));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, header), el("tbody", {}, ...body)));
}

function section(title, ...children) {
  return el("section", {}, el("h3", {}, title), ...children);
}

function folded(title, ...children) {
  return el("details", {}, el("summary", {}, title), ...children);
}

const tip = document.getElementById("tip");
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18}px`;
}
function hideTip() { tip.hidden = true; }

function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim(); }

// SPDX-License-Identifier: MIT
// A small line chart as SVG: one or two series over the last minutes, drawn anew at each update. A
// pointer, or the arrow keys, show the values of one moment in the caption.

import { make } from "./parts.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 44, RIGHT = 6, TOP = 8, BOTTOM = 18, HEIGHT = 130;

function svg(tag, attributes, ...inside) {
  const e = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  e.append(...inside);
  return e;
}

// The smallest of 1, 2, 5 times a power of ten that is not below v.
function nice(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 5, 10].map((x) => x * power).find((x) => x >= v * 0.9999);
}

const clock = (t) => new Date(t).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit",
  second: "2-digit", hour12: false });

export class Chart {
  // series: [{ name, column }]; show: number to text
  constructor(title, series, show, least) {
    Object.assign(this, { title, series, show, least, at: null, points: [] });
    this.keys = series.map((s, i) => make("span", { class: i ? "key b" : "key" }));
    this.when = make("span", { class: "quiet" });
    this.svg = svg("svg", { role: "img", tabindex: "0", preserveAspectRatio: "none" });
    this.root = make("figure", { class: "chart" },
      make("figcaption", {}, make("b", {}, title), make("span", {}, ...this.keys.flatMap(
        (k) => [k, " "]), this.when)), this.svg);
    this.svg.addEventListener("pointermove", (e) => this.point(e));
    this.svg.addEventListener("pointerleave", () => { this.at = null; this.draw(); });
    this.svg.addEventListener("blur", () => { this.at = null; this.draw(); });
    this.svg.addEventListener("keydown", (e) => this.key(e));
  }

  point(e) {
    const box = this.svg.getBoundingClientRect();
    const share = (e.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    const n = this.slots - 1;
    this.at = Math.max(0, Math.min(n, Math.round(share * n)));
    this.draw();
  }

  key(e) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (!by) return;
    e.preventDefault();
    const from = this.at ?? this.slots - 1;
    this.at = Math.max(0, Math.min(this.slots - 1, from + by));
    this.draw();
  }

  // history: columns of samples, a step apart, the last one at `until`; slots: how many are shown
  update(history, slots) {
    this.slots = slots;
    this.step = history.step_s * 1000;
    this.until = history.until;
    this.points = this.series.map((s) => {
      const all = history[s.column].slice(-slots);
      return [...Array(slots - all.length).fill(null), ...all];
    });
    this.draw();
  }

  draw() {
    if (!this.slots) return;
    const width = this.svg.clientWidth || 320;
    const top = nice(Math.max(this.least, ...this.points.flat().map((v) => v ?? 0)));
    const x = (i) => LEFT + i / (this.slots - 1) * (width - LEFT - RIGHT);
    const y = (v) => TOP + (1 - v / top) * (HEIGHT - TOP - BOTTOM);
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      parts.push(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(top * share),
        y2: y(top * share) }));
      parts.push(svg("text", { x: LEFT - 6, y: y(top * share) + 4, "text-anchor": "end" },
        this.show(top * share)));
    }
    for (const [share, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
      const t = this.until - (1 - share) * (this.slots - 1) * this.step;
      parts.push(svg("text", { x: x(share * (this.slots - 1)), y: HEIGHT - 3,
        "text-anchor": anchor }, clock(t).slice(0, 5)));
    }
    this.points.forEach((p, n) => parts.push(...this.line(p, n, x, y)));
    if (this.at != null)
      parts.push(svg("line", { class: "at", x1: x(this.at), x2: x(this.at), y1: TOP,
        y2: HEIGHT - BOTTOM }));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(...parts);
    this.tell();
  }

  // What is not there leaves a gap; a sample alone is a dot.
  line(points, n, x, y) {
    let d = "", dots = "", area = "", begun = -1;
    points.forEach((v, i) => {
      if (v == null) { begun = -1; return; }
      if (begun < 0) {
        begun = i;
        d += `M${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
        if (points[i + 1] == null) dots += `M${x(i).toFixed(1)} ${y(v).toFixed(1)}h0.1`;
      } else {
        d += `L${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
      }
      const next = points[i + 1];
      if (next != null)
        area += `M${x(i).toFixed(1)} ${y(0)}V${y(v).toFixed(1)}L${x(i + 1).toFixed(1)} ` +
          `${y(next).toFixed(1)}V${y(0)}Z`;
    });
    const name = n ? "b" : "a";
    const lines = [svg("path", { class: name, d }), svg("path", { class: `${name} dot`, d: dots })];
    return n ? lines : [svg("path", { class: "area", d: area }), ...lines];
  }

  tell() {
    const i = this.at ?? this.slots - 1;
    const texts = this.series.map((s, n) => {
      const v = this.points[n][i];
      return `${s.name} ${v == null ? "–" : this.show(v)}`;
    });
    this.keys.forEach((k, n) => { k.textContent = texts[n]; });
    const t = clock(this.until - (this.slots - 1 - i) * this.step);
    this.when.textContent = this.at == null ? "" : t;
    this.svg.setAttribute("aria-label", `${this.title} at ${t}: ${texts.join(", ")}`);
  }
}

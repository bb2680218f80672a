// SPDX-License-Identifier: MIT
// What the page is put together from: elements, tables, numbers as text.

export function make(tag, attributes = {}, ...inside) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== false && value != null) e.setAttribute(name, value);
  }
  e.append(...inside.filter((x) => x != null));
  return e;
}

// ---- tables ----

// of: [{ title, of(row) -> text, node or null, num, wide, name, key }]; columns that are empty in
// all rows are left out; a table of cards on narrow screens
export function table(of, rows, caption, keys = {}) {
  const columns = of.filter((c) => rows.some((row) => c.of(row) != null));
  const heads = columns.map((c) => make("th", { scope: "col", class: c.num ? "num" : null,
    "aria-sort": keys.sorted === c.title ? keys.direction : null },
  keys.sort && c.key ? make("button", { type: "button", onclick: () => keys.sort(c) }, c.title)
    : c.title));
  const body = rows.map((row) => make("tr", { class: keys.here?.(row) ? "here" : null },
    ...columns.map((c) => {
      const inside = c.of(row);
      return make("td", { class: [c.num && "num", c.wide && "wide", c.name && "name"]
        .filter(Boolean).join(" ") || null, "data-label": c.wide || inside == null ? null
        : c.title }, inside);
    })));
  return make("table", { class: "cards" }, caption ? make("caption", {}, caption) : null,
    make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...body));
}

// ---- numbers as text ----

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
export const count = (v) => (v < 1e6 ? plain.format(v) : short.format(v));
export const several = (v, what) => `${count(v)} ${what}${v === 1 ? "" : "s"}`;
export const small = (v) => (v === 0 ? "0" : v < 10 ? String(Number(v.toPrecision(2))) : count(v));
export const percent = (v) => `${Number((100 * v).toPrecision(v < 0.1 ? 2 : 3))} %`;

export function duration(s) {
  if (s < 0.0995) return `${Math.round(1000 * s)} ms`;
  if (s < 60) return `${Number(s.toPrecision(2))} s`;
  s = Math.round(s);
  const pad = (v) => String(v).padStart(2, "0");
  if (s >= 86400) return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
  if (s >= 3600) return `${Math.floor(s / 3600)}:${pad(Math.floor(s % 3600 / 60))}:${pad(s % 60)}`;
  return `${Math.floor(s / 60)}:${pad(s % 60)}`;
}

export function bytes(v) {
  const unit = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; v >= 1000 && i < 4; i++) v /= 1000;
  return [Number(v.toPrecision(3)), unit[i]];
}

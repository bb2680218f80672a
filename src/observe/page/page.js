// SPDX-License-Identifier: MIT
// The page: asks /api/status again and again, and shows what it says. Charts stand in chart.js,
// what the state store knows in state.js.
import { Chart } from "./chart.js";
import { bytes, count, duration, make, percent, several, small, table } from "./parts.js";
import { show_kept, start_kept } from "./state.js";

const EVERY_MS = 2000, AWAY_MS = 3000, ROWS = 100;
const by_id = (id) => document.getElementById(id);

// ---- asking ----

// What a browser keeps, where it does.
function keep(where, name, value) {
  try {
    if (value === undefined) return window[where].getItem(name);
    if (value) window[where].setItem(name, value);
    else window[where].removeItem(name);
  } catch { /* it may refuse to */ }
  return null;
}

let token = keep("sessionStorage", "token") || "";
let asked_token = false;

async function ask(path, method = "GET") {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { method, headers, cache: "no-store", redirect: "error" })
    .catch(() => { throw new Error("no answer"); });
  const body = await answer.json();
  if (answer.status === 401) want_token(token ? "That token is not right." : "");
  if (!answer.ok)
    throw Object.assign(new Error(body.hint ? `${body.error}: ${body.hint}` : body.error),
      { status: answer.status });
  return body;
}

function want_token(said) {
  by_id("token-open").hidden = false;
  by_id("token-said").textContent = said;
  if (!asked_token && !by_id("token-ask").open) by_id("token-ask").showModal();
  asked_token = true;
}

function use_token(value) {
  token = value.trim();
  keep("sessionStorage", "token", token);
  by_id("token").value = "";
  by_id("token-ask").close();
  asked_token = !token;
  turn();
  if (token) show_kept();
}

// ---- what a status says ----

// Replaces what is inside only if it is another: selections, focus and scrolling stay.
function put(id, key, build) {
  const e = by_id(id), text = JSON.stringify(key);
  if (e.dataset.key === text) return;
  e.dataset.key = text;
  const place = e.querySelector(".scroll")?.scrollTop;
  e.replaceChildren(...[build()].flat().filter(Boolean));
  if (place) e.querySelector(".scroll")?.scrollTo(0, place);
}

class Numbers {
  constructor(series) {
    this.series = series;
    this.by_name = new Map();
    for (const s of series) {
      if (!this.by_name.has(s.name)) this.by_name.set(s.name, []);
      this.by_name.get(s.name).push(s);
    }
  }
  all(name) { return this.by_name.get(name) || []; }
  get(name) { return this.all(name).reduce((sum, s) => sum + (s.value ?? s.sum), 0); }
}

function tile(name, value, unit, more, level) {
  return make("dl", { class: `tile ${level || ""}` }, make("dt", {}, name),
    make("dd", {}, value, unit ? make("small", {}, unit) : null),
    make("dd", { class: "more" }, more || ""));
}

function show_tiles(status, n, newest) {
  const { throughput: t, health: h } = status.summary;
  const [size, unit] = bytes(n.get("written_bytes_total"));
  const aside = n.get("quarantined_total") + n.get("refused_total");
  const lag = n.all("pipeline_lag_seconds")[0];
  const streams = n.get("stream_workers") > 0;
  const errors = t.error_percentage / 100;
  by_id("tiles").replaceChildren(...[
    ["Reading", small(newest?.read ?? t.messages_per_minute / 60), "/s",
      `${small(t.messages_per_minute / 60)}/s over 5 min`],
    ["Committed", count(n.get("messages_committed_total")), "",
      `${count(n.get("messages_extracted_total"))} read`],
    ["Lag, p95", lag?.count ? duration(t.p95_latency) : "–", "",
      streams ? `now ${duration(n.get("stream_lag_seconds"))}`
        : several(n.get("commits_total"), "commit"), t.p95_latency > 60 && "warn"],
    ["Errors", percent(errors), "", `${count(n.get("retries_total"))} retries`,
      errors >= 0.05 ? "bad" : errors >= 0.01 ? "warn" : ""],
    ["Rate limit", percent(h.rate_limit_utilization), "used",
      several(n.get("flood_waits_total"), "flood wait"),
      h.rate_limit_utilization >= 0.95 && "warn"],
    ["Connections", count(h.active_connections), "", several(n.get("accounts"), "account"),
      status.ready && !h.active_connections && "bad"],
    ["Queue", count(h.queue_depth), "batches",
      streams ? `buffer ${percent(n.get("stream_buffer_usage_ratio"))}`
        : `${size} ${unit} written`],
    ["Set aside", count(aside), "", "dead letters, quarantine", aside > 0 && "warn"],
  ].map((row) => tile(...row)));
}

function notices(status, n) {
  const list = [];
  const ended = status.reason === "the run has ended";
  if (!status.ready && !ended)
    list.push(["warn", "Not ready:", status.reason]);
  for (const a of status.alerts || [])
    if (a.state === "firing") list.push(["bad", "Alert:", a.line || a.name]);
  const open = (status.breakers || []).filter((b) => b.state === "open");
  for (const b of open.slice(0, 5))
    list.push(["bad", "Circuit breaker open:", `${whose(b)}: ${b.reason || "it is not asked"}`]);
  if (open.length > 5)
    list.push(["bad", "Circuit breakers open:", `${open.length - 5} more`]);
  const waiting = status.chats.filter((c) => c.flood_wait_s > 0);
  if (waiting.length)
    list.push(["warn", "Flood wait:", `${several(waiting.length, "chat")}, ` +
      `${duration(Math.max(...waiting.map((c) => c.flood_wait_s)))} left at most`]);
  const failed = status.summary.throughput.error_percentage;
  if (failed >= 5)
    list.push(["bad", "Calls fail:", `${percent(failed / 100)} of the attempts of the last ` +
      "5 minutes"]);
  const lost = status.chats.filter((c) => c.state === "lost").length;
  if (lost) list.push(["bad", "Lost:", `${several(lost, "chat")} cannot be read any more`]);
  if (n.get("refused_total") > 0)
    list.push(["warn", "Refused:", `${count(n.get("refused_total"))} rows of this run are dead ` +
      "letters: see below, and tgdata dlq"]);
  if (n.get("quarantined_total") > 0)
    list.push(["warn", "Quarantined:", `${count(n.get("quarantined_total"))} records of this run ` +
      "could not be decoded"]);
  return list;
}

function show_notices(list) {
  put("notices", list, () => list.map(([level, what, text]) =>
    make("p", { class: `notice ${level}` }, make("b", {}, what), ` ${text}`)));
}

// ---- chats ----

let sorted = { key: null, direction: "ascending", title: "" };
let rows_shown = ROWS;

const LEVEL = { reading: "good", watching: "good", lost: "bad", failed: "bad", waiting: "warn",
  done: "" };

function progress(c) {
  if (!(c.expected > 0)) return c.rows == null ? null : count(c.rows);
  const share = Math.min(1, c.rows / c.expected);
  const fill = make("span");
  fill.style.width = `${100 * share}%`;
  const whole = Math.floor(100 * share);
  return make("div", { class: "progress" }, make("div", { class: "bar", role: "progressbar",
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": whole, "aria-label":
    `Progress of ${c.title || c.chat_id}` }, fill), make("span", { class: "sub" },
  `${whole} % of ${count(c.expected)}`));
}

const CHATS = [
  { title: "Chat", wide: true, name: true, key: (c) => (c.title || "").toLowerCase(),
    of: (c) => make("div", {}, make("bdi", {}, c.title || "untitled"), " ",
      make("span", { class: "sub" }, String(c.chat_id))) },
  { title: "State", key: (c) => c.state, of: (c) => make("span", {}, make("span",
    { class: `pill ${c.flood_wait_s > 0 ? "warn" : LEVEL[c.state] ?? ""}` }, c.state), " ",
  make("span", { class: "sub" }, c.flood_wait_s > 0 ? `flood, ${duration(c.flood_wait_s)}`
    : c.waiting_for || "")) },
  { title: "Progress", key: (c) => (c.expected > 0 ? c.rows / c.expected : -1), of: progress },
  { title: "Rate", num: true, key: (c) => c.rows_per_s ?? -1,
    of: (c) => (c.rows_per_s == null ? null : `${small(c.rows_per_s)}/s`) },
  { title: "Left", num: true, key: (c) => c.eta_s ?? -1,
    of: (c) => (c.eta_s >= 0 ? duration(c.eta_s) : null) },
  { title: "Account", key: (c) => c.account || "",
    of: (c) => (c.account ? make("span", { class: "sub" }, c.account.split("/").pop()) : null) },
];

function sort_by(column) {
  const down = sorted.title === column.title && sorted.direction === "ascending";
  sorted = { key: column.key, title: column.title, direction: down ? "descending" : "ascending" };
  if (last) show_chats(last, new Numbers(last.metrics));
}

function show_chats(status, n) {
  const find = by_id("chats-find").value.trim().toLowerCase();
  let rows = status.chats.filter((c) => !find ||
    `${c.title} ${c.chat_id} ${c.state} ${c.account || ""}`.toLowerCase().includes(find));
  if (sorted.key) {
    const by = sorted.direction === "ascending" ? 1 : -1;
    rows = rows.sort((a, b) => {
      const x = sorted.key(a), y = sorted.key(b);
      return by * (x < y ? -1 : x > y ? 1 : 0);
    });
  }
  const all = n.get("chats"), done = n.get("chats_done"), bar = by_id("chats-progress");
  by_id("chats-count").textContent = all ? `${count(n.get("chats_at_work"))} at work, ` +
    `${count(done)} done, ${count(all)} known` : "";
  bar.hidden = !(done > 0 && all > 0);
  bar.setAttribute("aria-valuemax", all);
  bar.setAttribute("aria-valuenow", done);
  bar.firstChild.style.width = `${all ? 100 * done / all : 0}%`;
  const columns = CHATS.filter((c) => c.title !== "Account" || n.get("accounts") > 1);
  put("chats", [rows, sorted.title, sorted.direction, rows_shown], () => {
    if (!rows.length)
      return make("p", { class: "empty" }, find ? "No chat matches." : status.reason ===
        "the run has ended" ? "The run has ended." : "No chat is being read now.");
    const more = rows.length - rows_shown;
    return [make("div", { class: "scroll", tabindex: "0", role: "region",
      "aria-label": "Chats at work" }, table(columns, rows.slice(0, rows_shown), null,
      { sort: sort_by, sorted: sorted.title, direction: sorted.direction })),
    more > 0 ? make("button", { type: "button", class: "more-rows", onclick: () => {
      rows_shown += 10 * ROWS;
      show_chats(last, new Numbers(last.metrics));
    } }, `Show ${count(Math.min(more, 10 * ROWS))} more`) : null];
  });
}

// ---- floods, breakers, calls ----

function card(title, inside) {
  const id = `card-${title.replace(/\W+/g, "-")}`;
  return make("section", { "aria-labelledby": id }, make("h2", { id }, title), inside);
}

// Whose breaker it is; account and destination say so themselves.
function whose(b) {
  return b.kind === "chat" ? `chat ${b.of}` : b.kind === "account" ? b.of.split("/").pop() : b.of;
}

function show_trouble(n, breakers) {
  const waits = n.all("flood_waits_total").map((s) => ({ ...s.labels, n: s.value,
    seconds: n.all("flood_wait_seconds_total").find((t) => t.labels.account === s.labels.account &&
      t.labels.method === s.labels.method)?.value ?? 0 })).sort((a, b) => b.seconds - a.seconds);
  const open = new Map(n.all("circuit_open").map((s) => [s.labels.kind, s.value]));
  const kinds = [...new Set([...open.keys(),
    ...n.all("circuit_changes_total").map((s) => s.labels.kind)])].map((kind) => ({ kind,
    open: open.get(kind) || 0, changes: (state) => n.all("circuit_changes_total").find((s) =>
      s.labels.kind === kind && s.labels.state === state)?.value ?? 0 }));
  const calls = new Map();
  for (const s of n.all("calls_total")) {
    const c = calls.get(s.labels.method) || { method: s.labels.method, n: 0, ok: 0, failed: [] };
    c.n += s.value;
    if (s.labels.outcome === "ok") c.ok += s.value;
    else c.failed.push(`${s.labels.outcome} ${count(s.value)}`);
    calls.set(s.labels.method, c);
  }
  const list = [...calls.values()].sort((a, b) => b.n - a.n);
  const now = breakers.map((b) => ({ ...b, minutes: Math.floor(b.since_s / 60) }));
  const key = [waits, kinds.map((k) => [k, k.changes("open"), k.changes("closed")]), list,
    now.map((b) => [b.kind, b.of, b.state, b.reason, b.minutes])];
  put("trouble", key, () => [
    card("Flood waits", waits.length ? table([
      { title: "Method", wide: true, name: true, of: (w) => w.method },
      { title: "Account", of: (w) => make("span", { class: "sub" }, w.account.split("/").pop()) },
      { title: "Waits", num: true, of: (w) => count(w.n) },
      { title: "In all", num: true, of: (w) => duration(w.seconds) },
    ], waits.slice(0, 12)) : make("p", { class: "empty" }, "The server has named no wait.")),
    card("Circuit breakers", !kinds.length ? make("p", { class: "empty" }, "None has opened.")
      : make("div", {}, now.length ? table([
        { title: "Not closed", wide: true, name: true, of: (b) => make("div", {}, whose(b),
          b.reason ? make("div", { class: "sub" }, b.reason) : null) },
        { title: "State", of: (b) => make("span", { class: `pill ${b.state === "open" ? "bad" :
          "warn"}` }, b.state.replace("_", " ")) },
        { title: "Since", num: true, of: (b) => b.minutes ? `${b.minutes} min` : "now" },
      ], now.slice(0, 12)) : null, table([
      { title: "Kind", of: (k) => k.kind },
      { title: "State", of: (k) => make("span", { class: `pill ${k.open ? "bad" : "good"}` },
        k.open ? `${k.open} open` : "closed") },
      { title: "Opened", num: true, of: (k) => count(k.changes("open")) },
      { title: "Closed", num: true, of: (k) => count(k.changes("closed")) },
    ], kinds))),
    card("Calls", list.length ? table([
      { title: "Method", wide: true, name: true, of: (c) => c.method },
      { title: "Ended", num: true, of: (c) => count(c.n) },
      { title: "Not ok", of: (c) => c.failed.join(", ") || null },
    ], list.slice(0, 12)) : make("p", { class: "empty" }, "None has ended yet.")),
  ]);
}

function show_numbers(n) {
  if (!by_id("numbers").open) return;
  const find = by_id("numbers-find").value.trim().toLowerCase();
  const rows = n.series.map((s) => ({ name: s.name, labels: Object.entries(s.labels || {})
    .map(([k, v]) => `${k}=${v}`).join(" "), value: s.value != null ? String(s.value)
    : `${s.count} observed, mean ${s.count ? duration(s.sum / s.count) : "–"}, ` +
      `p95 ${duration(s.p95)}` })).filter((r) =>
    `${r.name} ${r.labels}`.toLowerCase().includes(find));
  put("metrics", rows, () => table([
    { title: "Metric", wide: true, of: (r) => make("code", {}, `tgdata_${r.name}`) },
    { title: "Labels", wide: true, of: (r) => r.labels || null },
    { title: "Value", num: true, of: (r) => r.value },
  ], rows));
}

// ---- history and charts ----

const COLUMNS = ["read_per_s", "committed_per_s", "lag_s", "error_ratio", "queue_batches",
  "flood_wait_s"];
let history = null, minutes = 5;
const charts = [
  new Chart("Messages a second", [{ name: "read", column: "read_per_s" },
    { name: "committed", column: "committed_per_s" }], small, 1),
  new Chart("Lag of commits", [{ name: "mean", column: "lag_s" }],
    (v) => (v === 0 ? "0" : duration(v)), 0.1),
  new Chart("Errors of calls", [{ name: "share", column: "error_ratio" }],
    (v) => (v === 0 ? "0" : percent(v)), 0.01),
];

async function load_history() {
  const got = await ask(`api/history?from=${history ? history.next : 0}`);
  const begun = history && got.first === history.next ? history : null;
  const merged = { step_s: got.step_s, next: got.next, until: Date.parse(got.until) };
  for (const name of COLUMNS)
    merged[name] = [...(begun ? begun[name] : []), ...got[name]].slice(-720);
  history = merged;
  draw_charts();
}

function show_range(value) {
  minutes = value;
  for (const b of by_id("range").children)
    b.setAttribute("aria-pressed", String(Number(b.dataset.minutes) === value));
  draw_charts();
}

function draw_charts() {
  if (!history) return;
  const slots = Math.min(minutes * 60 / history.step_s, Math.max(24, history.lag_s.length));
  for (const c of charts) c.update(history, slots);
}

// ---- turns ----

let last = null, away_since = null, timer = 0, turning = false;

function show_state(text, level) {
  const e = by_id("state");
  if (e.textContent !== text) e.textContent = text;
  e.className = `pill ${level}`;
}

function show(status) {
  const n = new Numbers(status.metrics);
  if (!last && status.uptime_s > 900) show_range(15);
  last = status;
  by_id("about").textContent = `up ${duration(status.uptime_s)}, version ${status.version}`;
  const ended = status.reason === "the run has ended", watched = status.reason ===
    "no run has begun";
  by_id("job").textContent = watched ? "" : status.job;
  document.title = watched ? "tgdata" : `${status.job} – tgdata`;
  show_state(status.ready ? "ready" : ended ? "ended" : watched ? "no run" : "not ready",
    status.ready ? "good" : ended || watched ? "" : "warn");
  document.body.classList.toggle("idle", watched);
  const newest = history?.read_per_s.length ? { read: history.read_per_s.at(-1) } : null;
  show_tiles(status, n, newest);
  show_notices(watched ? [] : notices(status, n));
  show_chats(status, n);
  show_trouble(n, status.breakers || []);
  show_numbers(n);
  show_kept(status);
}

function show_gone() {
  away_since ??= new Date();
  document.body.classList.add("gone");
  show_state("gone", "bad");
  show_notices([["bad", "The program does not answer", `since ${away_since.toLocaleTimeString([],
    { hour12: false })}: it has ended, or the way to it is cut. What stands here is how it was; ` +
    "it is asked again."]]);
}

async function turn() {
  if (turning) return;
  turning = true;
  clearTimeout(timer);
  const began = performance.now();
  let wait = EVERY_MS;
  try {
    const status = await ask("api/status");
    document.body.classList.remove("gone");
    away_since = null;
    if (!history || last?.uptime_s > status.uptime_s ||
        Date.now() - history.asked > 1000 * history.step_s) {
      if (last?.uptime_s > status.uptime_s) history = null;
      await load_history();
      history.asked = Date.now();
    }
    show(status);
    wait = Math.max(wait, 10 * (performance.now() - began)); // a big run is asked less often
  } catch (e) {
    if (e.status === 401) show_state("token needed", "warn");
    else if (e.status === 403) show_notices([["bad", "Refused:", e.message]]);
    else show_gone();
    wait = AWAY_MS;
  }
  turning = false;
  timer = setTimeout(turn, document.hidden ? 5 * wait : wait);
}

// ---- switches ----

function dark_now() {
  const set = document.documentElement.dataset.theme;
  return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function show_theme() {
  by_id("theme").textContent = dark_now() ? "Light" : "Dark";
  by_id("theme").setAttribute("aria-label", `Switch to ${dark_now() ? "light" : "dark"} colours`);
}

function begin() {
  const kept = keep("localStorage", "theme");
  if (kept) document.documentElement.dataset.theme = kept;
  show_theme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show_theme);
  by_id("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = dark_now() ? "light" : "dark";
    keep("localStorage", "theme", document.documentElement.dataset.theme);
    show_theme();
  });
  by_id("range").addEventListener("click", (e) => {
    if (e.target.dataset.minutes) show_range(Number(e.target.dataset.minutes));
  });
  by_id("token-open").addEventListener("click", () => by_id("token-ask").showModal());
  by_id("token-forget").addEventListener("click", () => use_token(""));
  by_id("token-form").addEventListener("submit", (e) => {
    e.preventDefault();
    use_token(by_id("token").value);
  });
  by_id("chats-find").addEventListener("input", () =>
    last && show_chats(last, new Numbers(last.metrics)));
  by_id("numbers-find").addEventListener("input", () =>
    last && show_numbers(new Numbers(last.metrics)));
  by_id("numbers").addEventListener("toggle", () =>
    last && show_numbers(new Numbers(last.metrics)));
  by_id("charts").append(...charts.map((c) => c.root));
  new ResizeObserver(draw_charts).observe(by_id("charts"));
  document.addEventListener("visibilitychange", () => document.hidden || turn());
  start_kept(ask);
  turn();
}

begin();

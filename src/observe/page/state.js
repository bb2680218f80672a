// SPDX-License-Identifier: MIT
// What the state store knows: jobs, checkpoints of a job's chats, dead letters; going back to a
// checkpoint. The store is asked when the page opens and on request; again and again only while no
// run is shown, and nobody is at something here.
import { count, duration, make, table } from "./parts.js";

const by_id = (id) => document.getElementById(id);
let ask = null; // (path, method) -> the answer's object
let status = null, begun = false, back = null;
let job = null, chat = null; // whose checkpoints are shown

const when = (text) => {
  if (!text) return "never";
  const t = new Date(text);
  return make("time", { datetime: text, title: text }, t.toLocaleString([], { dateStyle: "medium",
    timeStyle: "medium", hour12: false }));
};

function say(text, level = "") {
  const e = by_id("kept-said");
  e.textContent = text;
  e.className = `quiet ${level}`;
}

// The title, where the run knows it; 0 stands for the changes of all chats of a job.
function name_of(id) {
  if (!id) return "changes of all chats";
  return status?.chats.find((c) => c.chat_id === id)?.title || String(id);
}

async function guarded(work) {
  try {
    await work();
  } catch (e) {
    if (e.status !== 401) say(e.message || "no answer", "bad");
  }
}

async function load() {
  await load_schedule();
  const { jobs } = await ask("api/jobs");
  say(jobs.length ? "" : "The state store knows no job yet.");
  by_id("jobs").replaceChildren(jobs.length ? table([
    { title: "Job", wide: true, name: true, of: (j) => make("b", {}, j.job) },
    { title: "Now", of: (j) => make("span", { class: `pill ${j.owner ? "good" : ""}` },
      j.owner ? "running" : j.moved ? "moved away" : "at rest") },
    { title: "Chats", num: true, of: (j) => count(j.chats) },
    { title: "Newest checkpoint", of: (j) => when(j.changed) },
    { title: "", of: (j) => make("button", { type: "button", class: "plain", onclick: () =>
      guarded(() => load_chats(j.job)), "aria-label": `Checkpoints of ${j.job}` },
    "Checkpoints") },
  ], jobs, null, { here: (j) => j.job === job }) : "");
  if (job) await (chat == null ? load_chats(job) : load_history(job, chat));
  await load_letters();
}

// ---- schedules ----

const HOW = { ok: "good", failed: "bad", incomplete: "bad", overtime: "bad", upstream: "warn",
  missed: "warn", cancelled: "warn", skipped: "", merged: "", stopped: "" };

const how = (run) => make("span", { class: `pill ${HOW[run.how] ?? ""}` }, run.how);

let runs_of = null;

function show_runs(j) {
  runs_of = j.job;
  by_id("runs").replaceChildren(make("h3", {}, `Last runs of ${j.job}`), table([
    { title: "Due", of: (r) => when(r.due) },
    { title: "How", of: (r) => make("span", {}, how(r), r.late ? " late" : "") },
    { title: "Took", num: true, of: (r) => (r.took_s == null ? null : duration(r.took_s)) },
    { title: "Messages", num: true, of: (r) => (r.started ? count(r.rows) : null) },
    { title: "In flood waits", num: true, of: (r) => (r.flood_wait_s > 0
      ? duration(r.flood_wait_s) : null) },
    { title: "Why", wide: true, name: true, of: (r) => r.error },
  ], j.runs));
}

async function load_schedule() {
  const { jobs } = await ask("api/schedule");
  if (!jobs.length) return;
  by_id("schedule").replaceChildren(make("h3", {}, "Schedules"), table([
    { title: "Job", wide: true, name: true, of: (j) => make("span", {}, make("b", {}, j.job), " ",
      make("span", { class: "sub" }, [j.schedule, ...j.after.map((a) => `after ${a}`)]
        .filter(Boolean).join(", "))) },
    { title: "Now", of: (j) => make("span", { class: `pill ${j.owner ? "good" : j.paused ? "warn"
      : ""}` }, j.owner ? "running" : j.paused ? "paused" : "waiting") },
    { title: "Next", of: (j) => (j.next ? when(j.next) : null) },
    { title: "Last", of: (j) => (j.runs.length ? how(j.runs[0]) : null) },
    { title: "Messages", num: true, of: (j) => (j.runs[0]?.started ? count(j.runs[0].rows)
      : null) },
    { title: "", of: (j) => (j.runs.length ? make("button", { type: "button", class: "plain",
      onclick: () => show_runs(j), "aria-label": `Runs of ${j.job}` }, "Runs") : null) },
  ], jobs), make("div", { id: "runs" }), make("h3", {}, "State"));
  const shown = jobs.find((j) => j.job === runs_of);
  if (shown) show_runs(shown);
}

// ---- checkpoints ----

async function load_chats(of) {
  job = of;
  chat = null;
  const { checkpoints, more } = await ask(`api/checkpoints?job=${encodeURIComponent(job)}`);
  by_id("checkpoints").replaceChildren(make("h3", {}, `Checkpoints of ${job}`),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label":
      `Newest checkpoints of ${job}` }, table([
      { title: "Chat", wide: true, name: true, of: (c) => make("span", {}, name_of(c.chat_id), " ",
        c.chat_id && name_of(c.chat_id) !== String(c.chat_id)
          ? make("span", { class: "sub" }, String(c.chat_id)) : "") },
      { title: "Messages", num: true, of: (c) => count(c.messages ?? 0) },
      { title: "Last id", num: true, of: (c) => String(c.last_message_id ?? "") || null },
      { title: "Written", of: (c) => when(c.time) },
      { title: "", of: (c) => make("button", { type: "button", class: "plain", onclick: () =>
        guarded(() => load_history(job, c.chat_id)), "aria-label":
        `All checkpoints of ${name_of(c.chat_id)}` }, `All ${c.number}`) },
    ], checkpoints)), more ? make("p", { class: "quiet" }, "There are more: tgdata checkpoints " +
      "list shows all.") : "");
}

async function load_history(of, id) {
  job = of;
  chat = id;
  const { checkpoints } = await ask(`api/checkpoints?job=${encodeURIComponent(job)}&chat=${id}`);
  const newest = Math.max(0, ...checkpoints.map((c) => c.number));
  const rows = [...checkpoints, { number: 0, messages: 0 }];
  by_id("checkpoints").replaceChildren(
    make("h3", {}, `Checkpoints of ${name_of(id)} in ${job}`),
    make("p", {}, make("button", { type: "button", class: "plain", onclick: () =>
      guarded(() => load_chats(job)) }, "Back to all chats"), status?.writable ? ""
      : make("span", { class: "quiet" }, "Read-only: with --listen-token-file, checkpoints can " +
        "be gone back to from here.")),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label":
      `Checkpoints of ${name_of(id)}` }, table([
      { title: "Number", of: (c) => (c.number ? String(c.number) : "0, the beginning") },
      { title: "Written", of: (c) => (c.number ? when(c.time) : null) },
      { title: "Messages", num: true, of: (c) => count(c.messages ?? 0) },
      { title: "Last id", num: true, of: (c) => (c.number ? String(c.last_message_id ?? "")
        : null) },
      { title: "", of: (c) => (c.number === newest ? make("span", { class: "pill good" }, "newest")
        : make("button", { type: "button", class: "plain", disabled: !status?.writable,
          "aria-label": `Roll back to checkpoint ${c.number}`,
          onclick: () => ask_back(c, newest) }, "Roll back")) },
    ], rows, null, { here: (c) => c.number === newest })));
}

async function load_letters() {
  const { letters, more } = await ask("api/letters");
  by_id("letters").replaceChildren(...(letters.length ? [
    make("h3", {}, `Dead letters and quarantine: ${count(letters.length)}` +
      (more ? " or more" : "")),
    make("p", { class: "quiet" }, "tgdata dlq shows, replays and drops them."),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Dead letters" },
      table([
        { title: "Why", wide: true, name: true, of: (l) => l.reason },
        { title: "Kind", of: (l) => make("span", { class: "pill warn" }, l.kind) },
        { title: "Job", of: (l) => l.job },
        { title: "Message", of: (l) => `${name_of(l.chat_id)} / ${l.id || "?"}` },
        { title: "Kept", of: (l) => when(l.at) },
      ], letters.slice(0, 200))),
  ] : []));
}

// ---- going back ----

function ask_back(to, newest) {
  back = { job, chat, number: to.number };
  by_id("back-title").textContent = `Roll back to ${to.number ? `checkpoint ${to.number}`
    : "the beginning"}?`;
  by_id("back-what").textContent = `Job ${job}, ${name_of(chat)}: from checkpoint ${newest} to ` +
    `${to.number}. What the destination got later is removed from it, where it can do that; the ` +
    "next run fetches it anew. A job that is running is not touched.";
  by_id("back-said").textContent = "";
  by_id("back-yes").disabled = false;
  by_id("back-ask").showModal();
  by_id("back-no").focus();
}

async function go_back() {
  by_id("back-yes").disabled = true;
  try {
    await ask(`api/rollback?job=${encodeURIComponent(back.job)}&chat=${back.chat}` +
      `&number=${back.number}`, "POST");
  } catch (e) {
    by_id("back-said").textContent = e.message || "no answer: look again before you repeat it";
    by_id("back-yes").disabled = false;
    return;
  }
  by_id("back-ask").close();
  await load();
  say(`${name_of(back.chat)} stands at ${back.number ? `checkpoint ${back.number}`
    : "the beginning"} again; the next run goes on from there.`, "good");
}

// ---- the page's side ----

const IDLE_MS = 30000;
let loaded_ms = 0;

function may_look_again() {
  return document.body.classList.contains("idle") && !document.hidden &&
    performance.now() - loaded_ms > IDLE_MS && !by_id("kept").contains(document.activeElement) &&
    !document.querySelector("dialog[open]");
}

export function show_kept(now) {
  const first = !begun && now;
  if (now) status = now;
  if (!first && now && !may_look_again()) return;
  begun ||= Boolean(now);
  loaded_ms = performance.now();
  guarded(load);
}

export function start_kept(asks) {
  ask = asks;
  by_id("kept-load").addEventListener("click", () => guarded(load));
  by_id("back-no").addEventListener("click", () => by_id("back-ask").close());
  by_id("back-yes").addEventListener("click", () => guarded(go_back));
}

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rules in files: each finds what a model of it finds, mistakes are told with their lines, and what
looks like a good rule and is none is warned of. Rows that rules set aside: each is kept once, with
its reason and its row, before the commit that passes it, however often runs and replays are killed;
it is shown, written again, dropped."""
import collections
import json
import os
import random
import re
import signal
import time

import kit
from chromium import PROGRAM, Chromium
from test_alerts import Receiver
from test_dashboard import LOW_CONTRAST, SHOTS

SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "20"))
RULE = "validate?field=text&max-length=20&severity=quarantine&name=short"


def key(row):
    return row["chat_id"], row["id"]


def long(row):
    return len(row.get("text", "")) > 20


class Rules(kit.Case):
    rows = None # of the archive, which is made once

    def setUp(self):
        super().setUp()
        self.archive = self.top / "archive"
        if type(self).rows is None:
            done = kit.tgdata("extract", "--all", *self.account_args(self.session()), "--to",
                              f"ndjson:{self.archive}", "--state", f"sqlite:{self.top}/state.db")
            self.assertEqual(done.code, 0, done)
            type(self).rows = kit.rows(self.archive)
        self.state = ["--state", f"sqlite:{self.dir}/state.db"]

    def words(self, *stages, job="clean", more=()):
        return ["transform", f"ndjson:{self.archive}", "--to", f"ndjson:{self.dir}/{job}",
                *self.state, "--job", job, "--progress", "none",
                *[w for s in stages for w in ("--stage", s)], *more]

    def transform(self, *stages, job="clean", more=()):
        return kit.tgdata(*self.words(*stages, job=job, more=more))

    def letters(self, *words):
        done = kit.tgdata("dlq", "list", "--json", *self.state, *words)
        self.assertEqual(done.code, 0, done)
        return done.json()


class Quarantine(Rules):
    def test_kept_shown_written_again_and_dropped(self):
        broken = {key(r): r for r in self.rows if long(r)}
        self.assertGreater(len(broken), 10)
        done = self.transform(RULE, more=["--json"])
        self.assertEqual(done.code, 0, done)
        told = done.json()
        self.assertEqual((told["set_aside"], told["dropped"], told["refused"]),
                         (len(broken), 0, 0))
        self.assertEqual(told["rows"], len(self.rows) - len(broken))
        rule, = told["quality"]["rules"]
        self.assertEqual((rule["severity"], rule["broken"]), ("quarantine", len(broken)))
        self.assertFalse(any(long(r) for r in kit.rows(self.dir / "clean")))

        found = self.letters("--rule", "short")
        self.assertEqual(len(found), len(broken))
        for f in found:
            letter = f["letter"]
            self.assertEqual((letter["rule"], letter["reason"]),
                             ("short", "breaks the rule 'short'"))
            self.assertEqual(letter["row"], broken[key(letter["row"])])
        self.assertEqual(self.letters("--rule", "other"), [])
        shown = kit.tgdata("dlq", "list", *self.state)
        self.assertIn("breaks the rule 'short'", shown.out)

        done = kit.tgdata("dlq", "drop", found[0]["key"], *self.state)
        self.assertEqual(done.code, 0, done)
        done = kit.tgdata("dlq", "replay", *self.state, "--rule", "short", "--json")
        self.assertEqual((done.code, done.json()),
                         (0, {"replayed": len(broken) - 1, "refused": 0, "kept": 0}), done)
        self.assertEqual(self.letters(), [])
        there = collections.Counter(map(key, kit.rows(self.dir / "clean")))
        self.assertEqual(there, collections.Counter(
            key(r) for r in self.rows if key(r) != key(found[0]["letter"]["row"])))

    def replay(self, *stages, code=0):
        done = kit.tgdata("dlq", "replay", *self.state, "--json",
                          *[w for s in stages for w in ("--stage", s)])
        self.assertEqual(done.code, code, done)
        return done if code else done.json()

    def test_written_again_behind_stages(self):
        broken = {key(r): r for r in self.rows if long(r)}
        even = {k for k in broken if k[1] % 2 == 0}
        self.assertEqual(self.transform(RULE).code, 0)
        before = self.letters()
        self.assertIn("no place for the stage 'profile'", self.replay(
            f"profile?to={self.dir}/p.json", code=2).err)
        self.replay("validate?field=text&max-length=20&severity=fail", code=7)
        # what breaks a rule again stays, and so does what a stage drops
        self.assertEqual(self.replay(RULE), {"replayed": 0, "refused": 0, "kept": len(broken)})
        self.assertEqual(self.letters(), before)
        if "lua5.4" not in kit.tgdata("version").out:
            self.skipTest("without Lua")
        mend = "lua?code=row.text = 'mended'"
        self.assertEqual(self.replay("where?expr=id %25 2 == 0", mend, RULE),
                         {"replayed": len(even), "refused": 0, "kept": len(broken) - len(even)})
        self.assertEqual({key(f["letter"]["row"]) for f in self.letters()}, set(broken) - even)
        there = {key(r): r for r in kit.rows(self.dir / "clean")}
        for k in even:
            self.assertEqual(there[k], {**broken[k], "text": "mended"})
        self.assertEqual(len(there), len(self.rows) - len(broken) + len(even))
        # killed between its commit and its letters, a replay with stages goes on as any other
        self.killed(["dlq", "replay", *self.state, "--stage", mend], random.Random(SEED), 5)
        self.assertEqual(self.letters(), [])
        self.assertEqual(sorted(map(key, kit.rows(self.dir / "clean"))),
                         sorted(map(key, self.rows)))

    def test_an_expression_that_fails_tells_why(self):
        done = self.transform("validate?expr=views > 3&severity=quarantine")
        if "lua5.4" not in kit.tgdata("version").out:
            self.skipTest("without Lua")
        self.assertEqual(done.code, 0, done)
        reasons = {f["letter"]["reason"] for f in self.letters() if "views" not in
                   f["letter"]["row"]}
        self.assertTrue(reasons and all("compare" in r for r in reasons), reasons)

    def killed(self, words, dice, n):
        """Runs it, killed at random moments so often, then to its end."""
        while n:
            process = kit.start(*words, stdout=-3, stderr=-3)
            time.sleep(dice.uniform(0, 0.4))
            if process.poll() is not None: # all was done
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            n -= 1
        done = kit.tgdata(*words)
        self.assertEqual(done.code, 0, done)

    def test_killed_at_random_moments(self):
        dice = random.Random(SEED)
        self.killed(self.words(RULE, "replies?severity=quarantine",
                               more=["--batch-size", 20, "--checkpoint-interval", 40]), dice,
                    KILLS // 2)
        broken = sorted(key(r) for r in self.rows if long(r))
        self.assertEqual(sorted(key(f["letter"]["row"]) for f in self.letters("--rule", "short")),
                         broken)
        aside = [key(f["letter"]["row"]) for f in self.letters()]
        there = [key(r) for r in kit.rows(self.dir / "clean")]
        self.assertEqual(sorted(aside + there), sorted(map(key, self.rows)), "each in one place")
        self.killed(["dlq", "replay", *self.state], dice, KILLS // 4)
        self.assertEqual(self.letters(), [])
        self.assertEqual(sorted(key(r) for r in kit.rows(self.dir / "clean")),
                         sorted(map(key, self.rows)))

    def test_changes_of_a_delta(self):
        """On several threads, and from one taker."""
        chat = collections.Counter(r["chat_id"] for r in self.rows).most_common(1)[0][0]
        done = kit.tgdata("delta", chat, *self.account_args(self.session()), "--to",
                          f"ndjson:{self.dir}/log", *self.state, "--job", "delta", "--batch-size",
                          10, "--progress", "none", "--json", "--stage", RULE)
        self.assertEqual(done.code, 0, done)
        rows = [r for r in self.rows if r["chat_id"] == chat]
        broken = {r["id"] for r in rows if long(r)}
        self.assertGreater(len(broken), 3)
        self.assertEqual(done.json()["set_aside"], len(broken))
        self.assertEqual({f["letter"]["row"]["id"] for f in self.letters()}, broken)
        self.assertEqual({r["id"] for r in kit.rows(self.dir / "log")},
                         {r["id"] for r in rows} - broken)


# A rule of a file, and whether a row meets it.
IN_FILES = [
    ("{field: sender_id, required: yes}", lambda r: "sender_id" in r),
    ("{field: text, pattern: \"^%u\"}", lambda r: bool(re.match("[A-Z]", r.get("text", "A")))),
    ("{field: views, min: 1, max: 1000}", lambda r: 1 <= r.get("views", 1) <= 1000),
    ("{field: date, min: 2024-02-01}", lambda r: r["date"] >= "2024-02-01"),
    ("{field: kind, one_of: [message, other]}", lambda r: r["kind"] == "message"),
    ("{field: text, max_length: 20}", lambda r: not long(r)),
    ("{expr: \"len(text) <= 20 and id % 2 == 0\"}", lambda r: not long(r) and r["id"] % 2 == 0),
]

# Lines of a file, and what is told of them; None: the line is in order.
MISTAKES = [
    ("quality:", None),
    ("  severity: quaratine", "'severity' is one of warn|drop|quarantine|fail"),
    ("  stop_on_error: yes", "exclude each other"),
    ("  ruls: []", "did you mean 'rules'?"),
    ("  rules:", None),
    ("  - {feild: date, required: yes}", "did you mean 'field'?"),
    ("  - {field: dat, required: yes}", "there is no field 'dat'"),
    ("  - {field: text, max_length: x}", "takes a number"),
    ("  - {expr: \"date <=\"}", "unexpected symbol"),
    ("  - {field: views, pattern: x}", "is no text"),
    ("  - text", "a rule takes keys with values"),
    ("  - {unique: []}", "'unique' has no value"),
    ("  - {field: text, required: yes, max_length: 3}", "more than one condition"),
    ("  - {field: sender_id, required: yes}", "warning: posts of channels have no sender_id"),
    ("  validation_rules:", None),
    ("    completeness: id", "takes a list of fields"),
    ("    formats: {}", "did you mean 'format'?"),
    ("    business_rules:", None),
    ("      - date <= now", None),
    ("      - len(text or '') < 4096", "warning: texts of 4096 characters are legal"),
    ("  profile: {ot: x}", "did you mean 'to'?"),
]


class Files(Rules):
    def write(self, text, name="rules.yaml"):
        (self.dir / name).write_text(text, encoding="utf-8")
        return self.dir / name

    def with_file(self, text, job="clean"):
        return self.transform(f"validate?rules={self.write(text)}", job=job, more=["--json"])

    def test_each_kind_finds_what_a_model_finds(self):
        done = self.with_file("rules:\n" + "".join(f"  - {rule}\n" for rule, _ in IN_FILES) +
                              "  - {unique: [text, kind], severity: warn}\n"
                              "  - {replies: yes, memory: 1MiB}\n")
        self.assertEqual(done.code, 0, done)
        rules = done.json()["quality"]["rules"]
        self.assertEqual(len(rules), len(IN_FILES) + 2)
        for (text, meets), rule in zip(IN_FILES, rules):
            broken = sum(not meets(r) for r in self.rows)
            self.assertTrue(0 < broken < len(self.rows), text)
            self.assertEqual((rule["severity"], rule["broken"]), ("warn", broken), text)
            fields = {(r["chat_id"], r["id"]): r for r in self.rows}
            for example in rule["examples"]:
                value = fields[example["chat_id"], example["id"]].get(rule["field"])
                told = example["value"]
                self.assertTrue(str(value).startswith(told) if told else not value or
                                not rule["field"], (text, example))
        self.assertEqual([r["kind"] for r in rules[-2:]], ["uniqueness", "reference"])
        texts = [(r["text"], r["kind"]) for r in self.rows if "text" in r]
        self.assertEqual(rules[-2]["broken"], len(texts) - len(set(texts)))

    def test_the_rules_of_the_design(self):
        """Pattern 7 of the ETL design; `len` counts characters, as there."""
        design = ("quality:\n  severity: quarantine\n  validation_rules:\n"
                  "    completeness: [id, date, sender_id]\n"
                  "    format: {date: datetime, id: positive_integer}\n"
                  "    business_rules: [\"date <= now\", \"len(text or '') < 21\"]\n"
                  f"  profile: {{to: {self.dir}/p.json}}\n  enrich_metadata: yes\n"
                  "  deduplicate: {keys: [id, content_hash]}\n")
        done = self.with_file(design)
        self.assertEqual(done.code, 0, done)
        good = [r for r in self.rows if "sender_id" in r and not long(r)]
        kept, seen = [], set()
        for r in good:
            if (r["id"], r["content_hash"]) not in seen:
                kept.append(r)
            seen.add((r["id"], r["content_hash"]))
        self.assertEqual(done.json()["set_aside"], len(self.rows) - len(good))
        self.assertEqual([key(r) for r in kit.rows(self.dir / "clean")], [key(r) for r in kept])
        self.assertTrue(all("word_count" in r for r in kit.rows(self.dir / "clean")))
        self.assertEqual(json.loads((self.dir / "p.json").read_text("utf-8"))["rows"], len(kept))

    def test_stop_on_error(self):
        rules = "rules: [{field: text, max_length: 20, name: short}]\nstop_on_error: "
        done = self.with_file(rules + "yes")
        self.assertEqual(done.code, 7, done)
        self.assertIn("breaks the rule 'short'", done.err)
        self.assertEqual(self.with_file(rules + "no", job="on").code, 0)

    def test_mistakes_each_with_its_line(self):
        file = self.write("\n".join(line for line, _ in MISTAKES) + "\n")
        done = kit.tgdata("config", "check", file)
        self.assertEqual(done.code, 2, done)
        told = re.findall(r"rules\.yaml:(\d+):\d+: (.*)$", done.err, flags=re.M)
        wrong = [(n, says) for n, (_, says) in enumerate(MISTAKES, 1) if says]
        for n, says in wrong:
            self.assertTrue([t for line, t in told if int(line) == n and says in t],
                            f"line {n}: {says}\n{done}")
        self.assertEqual([int(line) for line, _ in told], [n for n, _ in wrong], done)
        done = self.transform(f"validate?rules={file}")
        self.check_fails(done, 2, "rules.yaml:2:")
        done = self.transform(f"validate?rules={self.dir}/none.yaml")
        self.check_fails(done, 2, "none.yaml")

    def test_traps_are_told_and_stop_nothing(self):
        for rule, told in (("{field: text, max_length: 4095}", True),
                           ("{field: text, max_length: 4096}", False),
                           ("{expr: \"#text < 4096\"}", True),
                           ("{expr: utf8.len(text) <= 4095}", True),
                           ("{expr: len(text) <= 4096}", False),
                           ("{expr: len(text) < 40960}", False),
                           ("{expr: post or sender_id ~= nil}", False)):
            file = self.write(f"quality: {{rules: [{rule}]}}\n")
            done = kit.tgdata("config", "check", file)
            self.assertEqual((done.code, "warning" in done.err), (0, told), (rule, done))

    def test_a_job_of_a_file_meets_them(self):
        """Behind its own stages; `show` tells them as such, and can be read again."""
        chat = collections.Counter(r["chat_id"] for r in self.rows).most_common(1)[0][0]
        head = (f"defaults: {{session: {self.session()}, datacenter: {self.sim.file}, state: "
                f"'sqlite:{self.dir}/state.db'}}\n"
                "jobs:\n  - {name: delta, pattern: delta, chats: ["
                f"{chat}], to: 'ndjson:{self.dir}/log', stage: enrich}}\n")
        file = self.write(head + "quality:\n  rules:\n  - {field: sender_id, required: yes}\n"
                          "  - {expr: word_count < 3, severity: quarantine, name: few}\n")
        shown = kit.tgdata("config", "show", file).out
        again = kit.tgdata("config", "show", self.write(shown, "again.yaml")).out
        self.assertIn('["enrich","validate?field=sender_id&required",', shown)
        self.assertEqual(*(re.sub("  # line.*", "", s) for s in (shown, again)))
        done = kit.tgdata("run", file, "--json", "--progress", "none")
        self.assertEqual(done.code, 0, done)
        self.assertIn("warning: posts of channels", done.err)
        rows = [r for r in self.rows if r["chat_id"] == chat]
        few = {r["id"] for r in rows if len(r.get("text", "").split()) < 3}
        self.assertTrue(0 < len(few) < len(rows))
        self.assertEqual({r["id"] for r in kit.rows(self.dir / "log")}, few)
        self.assertEqual(len(self.letters("--rule", "few")), len(rows) - len(few))
        file = self.write(head + "quality: {rules: [{unique: id}]}\n")
        self.check_fails(kit.tgdata("run", file), 2, "must see all rows of a run")


class Drift(Rules):
    def test_is_told_against_the_run_before(self):
        """A run over a channel after one over a group: its posts have no sender."""
        by_chat = collections.Counter(r["chat_id"] for r in self.rows)
        sent = collections.Counter(r["chat_id"] for r in self.rows if "sender_id" in r)
        group = max(sent, key=sent.get)
        channel = max((c for c in by_chat if sent[c] < 0.2 * by_chat[c]), key=by_chat.get)
        self.assertGreater(min(by_chat[group], by_chat[channel]), 150)
        told = []
        for chat in group, channel, None:
            done = self.transform(f"profile?to={self.dir}/p.json&html={self.dir}/p.html",
                                  "validate?field=sender_id&required",
                                  more=["--json", *(["--chat", chat] if chat else [])])
            self.assertEqual(done.code, 0, done)
            page = json.loads((self.dir / "p.json").read_text("utf-8"))
            self.assertEqual(page["quality"], done.json()["quality"])
            told.append((done, (self.dir / "p.html").read_text("utf-8")))
        (first, _), (second, page), _ = told
        self.assertIsNone(first.json()["quality"]["drift"])
        self.assertNotIn("warning", first.err)
        drift = second.json()["quality"]["drift"]
        self.assertEqual(drift["rows"], by_chat[group])
        found, = (d for d in drift["fields"] if (d["field"], d["kind"]) == ("sender_id", "nulls"))
        self.assertAlmostEqual(found["before"], 1 - sent[group] / by_chat[group])
        self.assertAlmostEqual(found["now"], 1 - sent[channel] / by_chat[channel])
        self.assertGreater(found["score"], found["limit"])
        self.assertIn("warning: other than in the run before: ", second.err)
        self.assertRegex(page, "<td>sender_id</td><td>nulls</td>")
        if PROGRAM:
            self.look_at(page)

    def look_at(self, page):
        """In a browser: it asks for nothing, can be read wide and narrow, light and dark."""
        (self.dir / "page.html").write_text(page, encoding="utf-8")
        browser = Chromium()
        self.addCleanup(browser.close)
        for scheme in "light", "dark":
            browser.colours(scheme)
            browser.resize(1280, 900)
            browser.open(f"file://{self.dir}/page.html")
            self.assertEqual(browser.run(LOW_CONTRAST), [], scheme)
            browser.screenshot(SHOTS / f"quality-{scheme}.png")
        for width in 390, 320:
            browser.resize(width, 700, mobile=True)
            self.assertEqual(browser.run("document.documentElement.scrollWidth"), width)
        self.assertIn("differences from the run before", browser.text("body"))
        self.assertGreater(browser.run("document.querySelectorAll('svg rect').length"), 100)
        self.assertEqual(browser.console, [])
        self.assertEqual(set(browser.requests), {f"file://{self.dir}/page.html"})

    def test_fires_an_alert_of_a_delta(self):
        """A chat more than in the run before: its rows are read, and are others."""
        by_chat = collections.Counter(r["chat_id"] for r in self.rows)
        sent = collections.Counter(r["chat_id"] for r in self.rows if "sender_id" in r)
        group = max(sent, key=sent.get)
        channel = max((c for c in by_chat if sent[c] < 0.2 * by_chat[c]), key=by_chat.get)
        hook = Receiver()
        self.addCleanup(hook.close)
        for chats in [group], [group, channel]:
            done = kit.tgdata("delta", *chats, *self.account_args(self.session()), *self.state,
                              "--to", f"ndjson:{self.dir}/log", "--job", "delta", "--json",
                              "--alert-webhook", hook.url,
                              "--stage", f"profile?to={self.dir}/p.json")
            if done.code == 4 and "this build" in done.err:
                self.skipTest("without an HTTP client")
            self.assertEqual(done.code, 0, done)
            self.assertEqual(len(hook.told("profile_drift", "firing")), len(chats) - 1, done)
        self.assertEqual(hook.told("profile_drift", "resolved"), [])
        self.assertIn("alert: profile_drift: ", done.err)
        self.assertTrue(done.json()["quality"]["drift"]["fields"])

    def test_not_where_it_is_not_asked_for(self):
        for _ in range(2):
            done = self.transform(f"profile?drift=0&to={self.dir}/p.json", more=["--json"])
            self.assertEqual((done.code, done.json()["quality"]), (0, None), done)


if __name__ == "__main__":
    kit.main()

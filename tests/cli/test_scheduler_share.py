#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What runs by schedule share: slots, their account's rate and its quiet hours, and the time of a
job whose next run is due."""
import contextlib
import datetime
import json
import pathlib
import re
import sqlite3
import time

from kit import main, rows, tgdata, wait_for
from test_scheduler import Scheduled

ROOT = pathlib.Path(__file__).resolve().parents[2]
BACKFILL = ("--from", "2026-01-01", "--until", "2026-01-02")


def seconds(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


class Shared(Scheduled):
    def document(self, kind, key):
        """The newest version of a document in the store."""
        with contextlib.closing(sqlite3.connect(self.dir / "state.db")) as db:
            text = db.execute("SELECT bytes FROM doc WHERE kind=? AND key LIKE ? "
                              "ORDER BY version DESC LIMIT 1", (kind, key)).fetchone()[0]
        return json.loads(text)

    def teach(self, jobs, **members):
        with contextlib.closing(sqlite3.connect(self.dir / "state.db")) as db:
            for job in jobs:
                doc = {**self.document("schedule", job), **members}
                db.execute("UPDATE doc SET bytes=? WHERE kind='schedule' AND key=?",
                           (json.dumps(doc).encode(), job))
            db.commit()

    def second_account(self, path):
        """An account `other` in the file, with a session of its own."""
        path.write_text(path.read_text().replace(
            "accounts: {", f'accounts: {{other: {{session: "{self.dir}/b.session"}}, '))

    def backfill(self, path, job):
        done = tgdata("schedule", "backfill", path, "--job", job, *BACKFILL, cwd=self.dir)
        self.assertEqual(done.code, 0, done)
        run = self.history(path, job)[-1]
        self.assertEqual(run["how"], "ok", done)
        return run

    def batch_size(self, path, job):
        self.backfill(path, job)
        return self.document("checkpoint", f"{job}/%")["extraction_params"]["batch_size"]


class Rates(Shared):
    def test_batch_size(self):
        """100 requests a second for 10 s are 50 pages of 100 for each of 20 commits."""
        keys = {"schedule": "daily 03:00", "rate": "100", "max_duration": "10s"}
        path = self.write(("plain", keys), ("own", {**keys, "batch_size": "700"}),
                          ("half", {**keys, "rate_limit_buffer": "0.5"}))
        self.assertEqual(self.batch_size(path, "plain"), 5000)
        self.assertEqual(self.batch_size(path, "own"), 700)
        self.assertEqual(self.batch_size(path, "half"), 2500)
        path = self.write(("by_default", keys), ("more", {**keys, "rate_use": "100"}),
                          defaults="  rate_limit_buffer: 0.2")
        self.assertEqual(self.batch_size(path, "by_default"), 1000)
        self.assertEqual(self.batch_size(path, "more"), 5000)

    def test_a_share_of_the_rate(self):
        """A tenth of 20 requests a second are no more than two."""
        path = self.write(("job", {"schedule": "daily 03:00", "rate": "20", "burst": "1",
                                   "rate_limit_buffer": "0.1", "in_flight": "1"}))
        name = "messages.getHistory"
        before = self.sim.stats()["methods"].get(name, {"calls": 0})["calls"]
        run = self.backfill(path, "job")
        pages = self.sim.stats()["methods"][name]["calls"] - before
        self.assertGreater(pages, 2)
        self.assertGreaterEqual(run["seconds"], (pages - 2) / 2)

    def test_no_share(self):
        for value, says in [("0", "1"), ("1.5", "from 0 to 1"), ("80", "from 0 to 1"),
                            ("0.805", "steps"), ("much", "from 0 to 1")]:
            path = self.write(("job", {"schedule": "daily 03:00", "rate_limit_buffer": value}))
            self.check_mistake(path, says)
        self.check_mistake(self.write(("job", {"rate_limit_buffer": "0.8", "rate_use": "80"})),
                           "given twice")
        self.check_mistake(self.write(("job", {"rate_limit_bufer": "0.8"})), "rate_limit_buffer")

    def check_mistake(self, path, says):
        done = tgdata("config", "check", path, cwd=self.dir)
        self.assertEqual(done.code, 2, done)
        self.assertIn(says, done.err)


class Slots(Shared):
    def spans(self):
        """When runs began and ended, in milliseconds."""
        with contextlib.closing(sqlite3.connect(self.dir / "state.db")) as db:
            found = [(json.loads(text), key) for key, text in
                     db.execute("SELECT key, bytes FROM log WHERE kind='run'")]
        return sorted((r["started_ms"], r["ended_ms"], job) for r, job in found
                      if r["how"] == "ok")

    @staticmethod
    def overlapping(spans):
        return [(x, y) for x, y in zip(spans, spans[1:]) if y[0] < x[1] and x[2] != y[2]]

    def test_resources(self):
        """Two jobs of two sessions: one after the other for the one slot, together for two."""
        self.login(self.dir / "b.session")
        for slots in (1, 2):
            path = self.write(
                ("a", {"schedule": "every 1 second", "resources": "[hall]", "account": "me",
                       "rate": "8", "burst": "1", "overlap": "queue", "coalesce": "true"}),
                ("b", {"schedule": "every 1 second", "resources": "[hall]", "account": "other",
                       "rate": "8", "burst": "1", "overlap": "queue", "coalesce": "true"}),
                defaults=f'  resource_slots: ["hall={slots}"]')
            self.second_account(path)
            process = self.begin(path)
            if slots == 1:
                for job in ("a", "b"):
                    self.await_runs(path, job, 3)
                self.assertEqual(self.overlapping(self.spans()), [])
            else:
                self.assertTrue(wait_for(lambda: self.overlapping(self.spans())), self.logs())
            self.end(process)

    def test_cancel(self):
        """The run that is due ends the one before, and goes on where that has stopped."""
        path = self.write(("job", {"schedule": "every 3 seconds", "overlap": "cancel", "rate": "1",
                                   "burst": "1", "in_flight": "1"}))
        process = self.begin(path)
        cancelled = self.await_runs(path, "job", 1, "cancelled")[0]
        self.await_runs(path, "job", 1)
        self.end(process)
        runs = self.history(path, "job", "ok", "cancelled", "failed")
        after = runs[runs.index(cancelled) + 1]
        self.assertGreater(after["due_ms"], cancelled["due_ms"])
        self.assertGreaterEqual(after["started"], cancelled["ended"])
        self.assertEqual({r["how"] for r in runs}, {"ok", "cancelled"})
        self.assertEqual(sum(r["rows"] for r in runs), len(rows(self.dir / "job")))
        self.check_whole(self.chats[:1], out=self.dir / "job")


class Intervals(Shared):
    def test_backfill(self):
        """The documented file: each run brings the messages of its own year, and all bring all;
        one is made again alone."""
        sent = self.all_times()
        first, last = (time.gmtime(t).tm_year for t in (sent[0], sent[-1]))
        doc = (ROOT / "docs/scheduling.md").read_text(encoding="utf-8")
        keys = dict(line.strip().split(": ", 1) for line in
                    re.search(r"( +overlap: queue\n +series.*?)```", doc, re.S)[1].splitlines())
        keys["to"] = keys["to"].replace("ndjson:rows", f"ndjson:{self.dir}/rows")
        path = self.write(("daily", {**keys, "schedule": "'0 0 1 1 *'"}))
        words = ("schedule", "backfill", path, "--job", "daily", "--from", f"{first + 1}-01-01",
                 "--until", f"{last + 1}-01-02")
        done = tgdata(*words, cwd=self.dir)
        self.assertEqual(done.code, 0, done)
        runs = self.history(path, "daily")
        self.assertEqual(len(runs), last + 1 - first)
        self.assertGreater(len(runs), 1)
        self.assertEqual({r["how"] for r in runs}, {"ok"})
        found = []
        for r in runs:
            until = time.gmtime(r["due_ms"] // 1000)
            name = time.strftime("%Y%m%dT%H%M%SZ", until)
            times = [seconds(row["date"]) for row in rows(self.dir / "rows" / name)]
            self.assertEqual(len(times), r["rows"])
            self.assertLessEqual({time.gmtime(t).tm_year for t in times}, {until.tm_year - 1})
            found += times
        self.assertEqual(sorted(found), sent)
        done = tgdata(*words[:5], "--from", f"{last + 1}-01-01", "--until", f"{last + 1}-01-02",
                      "--all", cwd=self.dir)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.history(path, "daily")[-1]["rows"], 0, "it was there, and goes on")

    def all_times(self):
        done = tgdata(*self.extract_args(str(self.chats[0]["id"])))
        self.assertEqual(done.code, 0, done)
        return sorted(seconds(row["date"]) for row in rows(self.dir / "out"))


class Quiet(Shared):
    def test_flexible(self):
        """A run that is due in an hour of floods waits for the next quiet one, if it may."""
        now = time.time()
        due = time.strftime("daily %H:%M", time.gmtime(now - 60))
        jobs = {"now": {"schedule": due}, "later": {"schedule": due, "flexible": "4h"}}
        path = self.write(*jobs.items())
        floods = [0] * 24
        for hour in range(-1, 2):  # a quiet one is an hour away at least
            floods[time.gmtime(now + 3600 * hour).tm_hour] = 900
        process = self.begin(path)
        self.assertTrue(wait_for(lambda: {j["state"] for j in self.ask("list", path)} ==
                                 {"waiting"}), self.logs())
        self.end(process)
        before = int(now * 1000) - 600000
        self.teach(jobs, settled_ms=before, floods=floods)
        process = self.begin(path)
        self.await_runs(path, "now", 1)
        self.end(process)
        self.assertEqual(self.history(path, "later"), [])
        self.teach(jobs, settled_ms=before, floods=[0] * 24)
        process = self.begin(path)
        self.await_runs(path, "later", 1)
        self.end(process)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Jobs that run when they are due: once however many schedulers there are, again after a scheduler
was killed, one after another, paused, made up for, told to hooks."""
import json
import re
import signal
import socket
import time
import urllib.request

from kit import Case, free_ports, main, rows, start, tgdata, wait_for
from test_alerts import SECRET, Receiver


class Scheduled(Case):
    sim_args = ("--chats", "4", "--messages", "300", "--seed", "9")
    env = {}

    def setUp(self):
        super().setUp()
        self.chats = self.sim.chats(self.sim.account())
        self.session()

    def store(self):
        return f"sqlite:{self.dir}/state.db"

    def write(self, *jobs, defaults=""):
        """A file with those jobs: (name, keys)."""
        text = f"""
accounts: {{me: {{session: "{self.dir}/me.session"}}}}
defaults:
  state: "{self.store()}"
  lease: 1s
  run_retry_wait: 100ms
{defaults}
jobs:
"""
        for name, keys in jobs:
            keys = {"to": f'"ndjson:{self.dir}/{name}"', **keys}
            text += f"  - name: {name}\n    chats: [{self.chats[0]['id']}]\n"
            text += "".join(f"    {key}: {value}\n" for key, value in keys.items())
        path = self.dir / "etl.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def begin(self, path, *more):
        log = (self.dir / f"log{len(list(self.dir.glob('log*')))}").open("wb")
        process = start("schedule", "run", path, *more, stderr=log, stdout=log, cwd=self.dir,
                        env=self.env)
        log.close()
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(60), 0, self.logs())

    def logs(self):
        return "".join(p.read_text() for p in sorted(self.dir.glob("log*")))

    def ask(self, word, path, *more):
        done = tgdata("schedule", word, path, "--json", *more, cwd=self.dir, env=self.env)
        self.assertEqual(done.code, 0, done)
        return json.loads(done.out)

    def ask_text(self, word, path):
        return tgdata("schedule", word, path, cwd=self.dir).out

    def history(self, path, job, *hows):
        return [r for r in self.ask("history", path, "--job", job, "--count", "1000")
                if not hows or r["how"] in hows]

    def await_runs(self, path, job, n, *hows):
        self.assertTrue(wait_for(lambda: len(self.history(path, job, *(hows or ("ok",)))) >= n),
                        self.logs())
        return self.history(path, job, *(hows or ("ok",)))


class Runs(Scheduled):
    def test_runs_and_their_history(self):
        path = self.write(("often", {"schedule": "every 1 second", "on_complete":
                                     f"'env >>{self.dir}/hook'", "max_duration": "1m"}),
                          ("then", {"after": "[often]"}),
                          ("never", {"schedule": "'0 0 1 1 *'"}))
        self.assertEqual({j["state"] for j in self.ask("list", path)}, {"new"})
        process = self.begin(path)
        first = self.await_runs(path, "often", 2)
        self.await_runs(path, "then", 1)
        self.assertEqual(first[0]["rows"], len(self.sim.ids(self.chats[0]["id"])))
        self.assertEqual(first[1]["rows"], 0)
        self.assertEqual(first[0]["attempt"], 1)
        for r in first:
            self.assertGreaterEqual(r["started"], r["due"])
        self.assertEqual(len({r["due_ms"] for r in first}), len(first), "no due is run twice")
        self.end(process)
        self.assertEqual(self.history(path, "never"), [])
        then = self.history(path, "then")
        self.assertLessEqual({r["due_ms"] for r in then}, {r["due_ms"] for r in
                                                           self.history(path, "often")})
        hook = (self.dir / "hook").read_text()
        for line in ("TGDATA_RUN_JOB=often", "TGDATA_RUN_OUTCOME=ok", "TGDATA_RUN_ROWS=0",
                     "TGDATA_RUN_LATE=0"):
            self.assertIn(line, hook.splitlines())
        listed = {j["job"]: j for j in self.ask("list", path)}
        self.assertEqual(listed["often"]["state"], "waiting")
        self.assertIsNone(listed["often"]["owner"])
        self.assertTrue(listed["often"]["last_ok"])
        self.assertIsNotNone(listed["never"]["next"])
        self.check_whole(self.chats[:1], out=self.dir / "often")

    def test_what_is_read_is_cleaned_and_proved(self):
        """A transform needs no session; a verify comes with those of the job that it is of."""
        path = self.write(("job", {"schedule": "every 1 second"}))
        path.write_text(path.read_text() + f"""
  - {{name: clean, pattern: transform, from: job, to: 'ndjson:{self.dir}/clean', after: [job],
     filter: kind == 'message', log_format: json}}
  - {{name: proof, pattern: verify, of: job, after: [clean], log_format: json}}
""")
        process = self.begin(path)
        self.await_runs(path, "proof", 1)
        self.end(process)
        found = rows(self.dir / "job")
        self.assertEqual(self.history(path, "proof", "ok")[0]["rows"], len(found))
        self.assertEqual(self.history(path, "clean", "ok")[0]["rows"],
                         len([r for r in found if r["kind"] == "message"]))
        for name in ["job", "clean", "proof"]:
            self.assertEqual(self.history(path, name, "failed"), [])

    def test_a_killed_scheduler_loses_no_run(self):
        path = self.write(("job", {"schedule": "every 1 second", "overlap": "queue"}))
        process = self.begin(path)
        before = self.await_runs(path, "job", 2)
        process.kill()
        process.wait()
        dead_ms = time.time() * 1000
        self.assertTrue(wait_for(lambda: time.time() * 1000 > dead_ms + 2000))
        process = self.begin(path)
        until = before[-1]["due_ms"] + 4000
        self.assertTrue(wait_for(lambda: self.history(path, "job", "ok")[-1]["due_ms"] >= until),
                        self.logs())
        dues = [r["due_ms"] for r in self.history(path, "job", "ok")]
        self.assertEqual(dues, list(range(dues[0], dues[0] + 1000 * len(dues), 1000)))

    def test_two_schedulers_run_a_job_once(self):
        path = self.write(("job", {"schedule": "every 1 second", "overlap": "queue"}))
        processes = [self.begin(path) for _ in range(2)]
        self.await_runs(path, "job", 4)
        for p in processes:
            self.end(p)
        runs = self.history(path, "job", "ok")
        dues = [r["due_ms"] for r in runs]
        self.assertEqual(dues, list(range(dues[0], dues[0] + 1000 * len(dues), 1000)))
        spans = sorted((r["started"], r["ended"]) for r in runs)
        self.assertTrue(all(a[1] <= b[1] for a, b in zip(spans, spans[1:])))


class Care(Scheduled):
    def test_failures_are_tried_again_and_told(self):
        path = self.write(("bad", {"schedule": "every 1 second", "run_retries": "2",
                                   "destination_wait": "0", "on_alert":
                                   f"'echo $TGDATA_RUN_OUTCOME >>{self.dir}/alert'"}),
                          ("then", {"schedule": "every 1 second", "after": "[bad]"}))
        (self.dir / "bad").write_text("a file where a directory should be")
        self.begin(path)
        failed = self.await_runs(path, "bad", 3, "failed")
        self.assertEqual([r["attempt"] for r in failed[:3]], [1, 2, 3])
        self.assertEqual([r["again"] for r in failed[:3]], [True, True, False])
        self.assertEqual(len({r["due_ms"] for r in failed[:3]}), 1)
        self.assertIn("bad", failed[0]["error"])
        self.assertTrue(wait_for((self.dir / "alert").exists))
        self.assertIn("failed", (self.dir / "alert").read_text())
        self.assertTrue(self.await_runs(path, "then", 1, "upstream"))

    def test_without_a_session_a_run_is_not_tried(self):
        path = self.write(("job", {"schedule": "every 1 second", "run_retries": "0"}))
        (self.dir / "me.session").unlink()
        self.begin(path)
        self.assertIn("no session", self.await_runs(path, "job", 1, "failed")[0]["error"])

    def test_webhooks(self):
        """The first post is refused for a while and made again; an alert's one for good."""
        complete, alert = Receiver(503, 200), Receiver(404)
        for hook in (complete, alert):
            self.addCleanup(hook.close)
        (self.dir / "alert.url").write_text(alert.url + "?token=t0ken-41aa\n")
        path = self.write(("job", {"schedule": "every 1 second", "on_complete_webhook":
                                   complete.url}),
                          ("bad", {"schedule": "every 1 second", "run_retries": "1",
                                   "destination_wait": "0", "on_alert_webhook":
                                   f"file:{self.dir}/alert.url"}))
        (self.dir / "bad").write_text("a file where a directory should be")
        process = self.begin(path)
        self.assertTrue(wait_for(lambda: len(complete.taken()) >= 2 and "404" in self.logs()),
                        self.logs())
        self.end(process)
        runs = self.history(path, "job", "ok")
        taken = complete.taken()
        self.assertEqual(complete.posts[0][3], taken[0], "the same again")
        for told, run in zip(taken, runs):
            self.assertEqual({key: told[key] for key in
                              ("job", "due", "started", "ended", "rows", "attempt", "again",
                               "late", "backfill", "error")},
                             {key: run[key] for key in
                              ("job", "due", "started", "ended", "rows", "attempt", "again",
                               "late", "backfill", "error")})
            self.assertEqual((told["event"], told["outcome"]), ("complete", "ok"))
        self.assertEqual(len(taken), len(runs), "one for each run, the last before the end")
        told = alert.posts[0][3]
        self.assertEqual((told["event"], told["outcome"], told["attempt"], told["again"]),
                         ("alert", "failed", 2, False))
        self.assertIn("bad: failed, due ", told["text"])
        self.assertTrue(told["error"])
        self.assertNotIn(SECRET, self.logs())
        self.assertNotIn("t0ken-41aa", self.logs())
        shown = tgdata("config", "show", path, cwd=self.dir)
        self.assertEqual(shown.code, 0, shown)
        self.assertNotIn(SECRET, shown.out + shown.err)
        self.assertNotIn("t0ken-41aa", shown.out + shown.err)

    def test_a_webhook_that_hangs_holds_nothing_up(self):
        with socket.create_server(("127.0.0.1", 0), backlog=64) as deaf:
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}/{SECRET}"
            path = self.write(("job", {"schedule": "every 1 second",
                                       "on_complete_webhook": url}))
            process = self.begin(path)
            self.await_runs(path, "job", 3)
        self.end(process)
        self.assertIn("127.0.0.1", self.logs(), "what was not posted is told at the end")
        self.assertNotIn(SECRET, self.logs())

    def test_pause_and_resume(self):
        path = self.write(("job", {"schedule": "every 1 second"}))
        process = self.begin(path)
        self.await_runs(path, "job", 1)
        self.assertEqual(tgdata("schedule", "pause", path, "--job", "job", cwd=self.dir).code, 0)
        self.assertTrue(wait_for(lambda: self.ask("list", path)[0]["state"] == "paused"))
        paused = len(self.history(path, "job"))
        begun = time.time()
        self.assertTrue(wait_for(lambda: time.time() > begun + 1.5))
        self.assertEqual(len(self.history(path, "job")), paused)
        self.assertEqual(tgdata("schedule", "resume", path, "--job", "job", cwd=self.dir).code, 0)
        resumed_ms = time.time() * 1000
        self.await_runs(path, "job", paused + 2)
        self.end(process)
        for r in self.history(path, "job")[paused:]:
            self.assertGreater(r["due_ms"], resumed_ms - 1000)

    def test_backfill(self):
        path = self.write(("job", {"schedule": "every 1 hour"}))
        words = ("schedule", "backfill", path, "--job", "job", "--from", "2026-01-01", "--until",
                 "2026-01-01T03:00", "--json")
        done = tgdata(*words, cwd=self.dir)
        self.assertEqual(done.code, 0, done)
        runs = self.history(path, "job")
        self.assertEqual([(r["due"], r["how"], r["backfill"]) for r in runs],
                         [(f"2026-01-01T0{h}:00:00Z", "ok", True) for h in range(3)])
        self.assertEqual(len(rows(self.dir / "job")), len(self.sim.ids(self.chats[0]["id"])))
        self.assertEqual(tgdata(*words, cwd=self.dir).code, 0)
        self.assertEqual(len(self.history(path, "job")), 3, "what went well is not run again")
        self.check_fails(tgdata("schedule", "backfill", path, "--job", "job", cwd=self.dir), 2,
                         "from a time on")

    def test_a_run_is_stopped_at_its_longest(self):
        path = self.write(("job", {"schedule": "every 1 second", "rate": "1", "burst": "1",
                                   "max_duration": "1200ms"}))
        self.begin(path)
        run = self.await_runs(path, "job", 1, "overtime")[0]
        self.assertGreaterEqual(run["seconds"], 1)
        self.assertTrue(self.history(path, "job", "skipped"), "what was due meanwhile")

    def test_a_stream_runs_for_its_time(self):
        """It is meant to be stopped: what it has done then counts as done."""
        path = self.write(("job", {"pattern": "stream", "history": "true", "schedule":
                                   "every 1 second", "max_duration": "2s"}))
        process = self.begin(path)
        run = self.await_runs(path, "job", 1)[0]
        self.end(process)
        self.assertGreaterEqual(run["seconds"], 2)
        self.assertEqual(run["rows"], len(rows(self.dir / "job")))
        self.assertEqual(run["rows"], len(self.sim.ids(self.chats[0]["id"])))
        self.assertGreater(run["requests"], 0)
        self.assertEqual(self.history(path, "job", "overtime", "failed"), [])

    def test_reload(self):
        path = self.write(("job", {"schedule": "every 1 second"}))
        process = self.begin(path)
        self.await_runs(path, "job", 1)
        self.write(("other", {"schedule": "every 1 second"}))
        process.send_signal(signal.SIGHUP)
        self.await_runs(path, "other", 1)
        path.write_text("jobs: what", encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        self.assertTrue(wait_for(lambda: "mistake" in self.logs()), self.logs())
        self.write(("other", {"schedule": "every 1 second"}))
        n = len(self.history(path, "other"))
        self.await_runs(path, "other", n + 1)
        self.assertIn("was read again", self.logs())

    def test_a_page_of_its_own(self):
        """Health, readiness, what became of runs; also behind another reading of the file."""
        path = self.write(("job", {"schedule": "every 1 second"}))
        port = free_ports(1)
        process = self.begin(path, "--listen", port)
        self.await_runs(path, "job", 1)

        def get(what):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{what}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        self.assertEqual((get("/healthz")[0], get("/readyz")[0]), (200, 200))
        page = json.loads(get("/api/schedule")[1])["jobs"]
        self.assertEqual([j["job"] for j in page], ["job"])
        self.assertTrue(wait_for(lambda: 'tgdata_scheduled_total{name="job",outcome="ok"}' in
                                 get("/metrics")[1]), get("/metrics"))
        last = re.search(r'tgdata_scheduled_ok_timestamp_seconds{name="job"} (\S+)',
                         get("/metrics")[1])
        self.assertLess(abs(float(last[1]) - time.time()), 600)
        self.assertIn("tgdata_scheduled_running ", get("/metrics")[1])
        self.write(("other", {"schedule": "every 1 second"}))
        process.send_signal(signal.SIGHUP)
        self.await_runs(path, "other", 1)
        self.assertTrue(wait_for(lambda: [j["job"] for j in json.loads(
            get("/api/schedule")[1])["jobs"]] == ["other"]), self.logs())
        self.assertEqual(get("/readyz")[0], 200)
        self.assertTrue(wait_for(lambda: 'tgdata_scheduled_total{name="other",outcome="ok"}' in
                                 get("/metrics")[1]), get("/metrics"))

    def test_the_address_in_the_file_is_the_scheduler_s(self):
        """Runs at the same time do not want it, too."""
        port = free_ports(1)
        keys = {"schedule": "every 1 second", "rate": "20", "batch_size": "20"}
        path = self.write(("one", keys), ("two", {**keys, "account": "other"}),
                          defaults=f"  max_running: 2\n  listen: {port}")
        self.login(self.dir / "other.session", self.sim.accounts[1])
        text = path.read_text().replace("accounts: {", f'accounts: {{other: {{session: "{self.dir}'
                                        '/other.session"}, ')
        path.write_text(text.replace("name: one\n", "name: one\n    account: me\n"))
        self.begin(path)
        self.await_runs(path, "one", 2)
        self.await_runs(path, "two", 2)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            self.assertIn('tgdata_scheduled_total{name="one",outcome="ok"}',
                          answer.read().decode())
        self.assertEqual(self.history(path, "one", "failed") + self.history(path, "two", "failed"),
                         [], self.logs())

    def test_mistakes_in_a_file(self):
        for keys, says in [({"schedule": "every 1 fortnight"}, "unit of time"),
                           ({"schedule": "every 1 hour", "time_zone": "Europe/Nowhere"}, "zone"),
                           ({"schedule": "every 1 hour", "avoid_times": "9-17"}, "avoid"),
                           ({"schedule": "every 1 hour", "after": "[none]"}, "no job 'none'"),
                           ({"after": "[job]"}, "waits for itself"),
                           ({"schedule": "every 1 hour", "resources": "[x]"}, "slots"),
                           ({"schedule": "every 1 hour", "on_alert_webhook": "localhost/x"},
                            "post to"),
                           ({"schedule": "every 1 hour", "max_running": "2"}, "under defaults")]:
            done = tgdata("config", "check", self.write(("job", keys)), cwd=self.dir)
            self.assertEqual(done.code, 2, done)
            self.assertIn(says, done.err)
            self.assertRegex(done.err, r"etl\.yaml:1[0-9]:\d+: ")
        path = self.write(("job", {}))
        self.check_fails(tgdata("schedule", "run", path, cwd=self.dir), 2, "no job of the file")


if __name__ == "__main__":
    main()

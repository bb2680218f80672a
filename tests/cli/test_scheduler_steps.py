#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The steps of a scheduled run: what is looked at before it, what after, and that the history tells
in which one a run has failed."""
import contextlib
import sqlite3
import time

from kit import main, tgdata, wait_for
from test_scheduler_share import Shared

SECOND = {"schedule": "every 1 second", "run_retries": "0"}


class Steps(Shared):
    def fails(self, path, job, how="failed"):
        """The first run of a job that does not go well."""
        process = self.begin(path)
        run = self.await_runs(path, job, 1, how)[0]
        self.end(process)
        return run

    def test_credentials(self):
        """Nobody is logged in, or the file is sealed: it is not tried, and not again."""
        sealed = {"TGDATA_PASSPHRASE": "open sesame"}
        path = self.write(("job", {**SECOND, "run_retries": "5"}))
        session = self.dir / "me.session"
        session.unlink()
        self.login(session, env=sealed)
        run = self.fails(path, "job")
        self.assertEqual((run["step"], run["again"]), ("check_prerequisites", False))
        self.assertIn("sealed", run["error"])
        session.write_bytes(b"no session of ours")
        self.assertEqual(self.fails(path, "job")["step"], "check_prerequisites")
        session.unlink()
        self.login(session, env=sealed)
        path = self.write(("job", {**SECOND, "passphrase": f"file:{self.dir}/secret"}))
        text = path.read_text(encoding="utf-8")
        (self.dir / "secret").write_text("open sesame")
        path.write_text(text, encoding="utf-8")
        process = self.begin(path)
        self.await_runs(path, "job", 1)
        self.end(process)

    def test_load(self):
        path = self.write(("job", {**SECOND, "destination_wait": "0"}))
        (self.dir / "job").write_text("a file where a directory should be")
        self.assertEqual(self.fails(path, "job")["step"], "load")
        self.assertIn("in load: ", self.ask_text("history", path))
        self.assertIn(", in load: ", self.logs())

    def test_validate(self):
        path = self.write(("job", {**SECOND, "run_retries": "5", "verify": "true",
                                   "to": f'"sqlite:{self.dir}/rows.db"', "on_alert":
                                   f"'env >>{self.dir}/alert'"}),
                          ("then", {"after": "[job]"}))
        process = self.begin(path)
        self.await_runs(path, "job", 1)
        self.await_runs(path, "then", 1)
        self.end(process)
        with contextlib.closing(sqlite3.connect(self.dir / "rows.db")) as db:
            db.execute("DELETE FROM messages WHERE id = (SELECT max(id) FROM messages) - 7")
            db.commit()
        run = self.fails(path, "job", "incomplete")
        self.assertEqual((run["step"], run["again"], run["attempt"]), ("validate", False, 1))
        self.assertIn("not complete", run["error"])
        self.assertTrue(wait_for((self.dir / "alert").exists))
        told = (self.dir / "alert").read_text()
        self.assertIn("TGDATA_RUN_OUTCOME=incomplete", told)
        self.assertIn("TGDATA_RUN_STEP=validate", told)
        self.assertNotIn(run["due_ms"], [r["due_ms"] for r in self.history(path, "then")])
        for step, code in (("all", 10), ("extract", 0), ("validate", 10), ("cleanup", 0)):
            done = tgdata("run", path, "--job", "job", "--step", step, cwd=self.dir)
            self.assertEqual(done.code, code, done)

    def test_cleanup(self):
        kept = self.dir / "kept"
        path = self.write(("job", {**SECOND, "archive_checkpoints": f"'{kept}'",
                                   "keep_checkpoints": "1"}))
        process = self.begin(path)
        self.await_runs(path, "job", 2)
        self.end(process)
        files = sorted(kept.iterdir())
        self.assertEqual(len(files), len(self.history(path, "job", "ok")))
        store = f"sqlite:{self.dir}/other.db"
        done = tgdata("state", "restore", files[0], store, "--job", "job")
        self.assertEqual(done.code, 0, done)
        done = tgdata("state", "list", store, "--json")
        self.assertEqual([(j["job"], j["chats"]) for j in done.json()], [("job", 1)])
        (self.dir / "file").write_text("where a directory should be")
        path = self.write(("job", {**SECOND, "archive_checkpoints": f"'{self.dir}/file'"}))
        self.assertEqual(self.fails(path, "job")["step"], "cleanup")


class Limits(Shared):
    def test_a_flood_is_remembered(self):
        """A run that met a flood wait ends; the next begins when that is over, also in a scheduler
        that has not seen it."""
        self.sim.stop()
        self.sim.start("--flood", "messages.getHistory=1/1")
        try:
            keys = {"schedule": "every 1 second", "datacenter": str(self.sim.file)}
            path = self.write(("job", {**keys, "account": "me", "retry_on": "NetworkError"}),
                              ("free", {**keys, "account": "other"}))
            self.login(self.dir / "b.session")
            self.second_account(path)
            process = self.begin(path)
            run = self.await_runs(path, "job", 1, "failed")[0]
            self.assertEqual(run["step"], "extract")
            self.end(process)
            self.assertGreater(self.document("schedule", "job")["flood_until_ms"], run["due_ms"])
            before = self.history(path, "job", "failed", "ok")
            self.teach(["job"], flood_until_ms=int(time.time() * 1000) + 3600000)
            process = self.begin(path)
            self.await_runs(path, "free", len(self.history(path, "free", "ok")) + 2)
            self.end(process)
            self.assertEqual(self.history(path, "job", "failed", "ok"), before)
            self.teach(["job"], flood_until_ms=0)
            process = self.begin(path)
            self.await_runs(path, "job", len(before) + 1, "failed", "ok")
            self.end(process)
        finally:
            self.sim.stop()
            self.sim.start()

    def test_an_hour_without_requests_is_waited_for(self):
        now = time.time()
        path = self.write(("job", {"schedule": time.strftime("daily %H:%M", time.gmtime(now - 60)),
                                   "max_duration": "1s", "rate": "10", "catch_up": "3h"}))
        floods = [0] * 24
        for hour in range(-1, 2):
            floods[time.gmtime(now + 3600 * hour).tm_hour] = 1000
        process = self.begin(path)
        self.assertTrue(wait_for(lambda: self.ask("list", path)[0]["state"] == "waiting"))
        self.end(process)
        self.teach(["job"], settled_ms=int(now * 1000) - 600000, floods=floods)
        process = self.begin(path)
        self.assertTrue(wait_for(lambda: "put_off" in self.logs()), self.logs())
        self.end(process)
        self.assertEqual(self.history(path, "job"), [])


if __name__ == "__main__":
    main()

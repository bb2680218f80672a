#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fallbacks behind an open breaker: exports and archives are delivered beside the live rows."""
import contextlib
import json
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import time
import unittest

import kit

STORM = ("--faults", "500=1,only=messages.getHistory,short=0")
BREAKER = ("--circuit-failures", "3", "--recovery-timeout", "2s",
           "--circuit-open", "fallback")


def message(i, text=None):
    return {"id": i, "type": "message", "date": "2023-01-01T12:00:00",
            "date_unixtime": str(1672574400 + i), "from": "Anna", "from_id": "user111",
            "text": text or f"message {i}", "text_entities": []}


def export_of(chat_id, ids, **more):
    """What Telegram Desktop writes for one supergroup."""
    return {"name": "Exported", "type": "private_supergroup", "id": -chat_id - 10**12,
            "messages": [message(i) for i in ids], **more}


def fallback_rows(out):
    found = []
    for part in sorted(pathlib.Path(out).glob("fallback/chat_*/part-*.ndjson")):
        with part.open(encoding="utf-8") as lines:
            found += [json.loads(line) for line in lines]
    return found


class Fallback(kit.Case):
    sim_args = None

    def setUp(self):
        super().setUp()
        self.begin()

    def begin(self, *args, messages="400"):
        self.sim = kit.Sim(self.dir / "dc", "--chats", "4", "--messages", messages, "--seed", "5",
                           *args)
        self.addCleanup(self.end)
        self.mine = self.dir / "me.session"
        self.login(self.mine)
        self.chat = self.sim.chat("supergroup")["id"]

    def end(self):
        if self.sim.process.poll() is None:
            self.sim.stop()

    def restart(self, *args):
        self.end()
        self.sim.start(*args)

    def write(self, value, name="result.json"):
        path = self.dir / name
        path.write_text(value if isinstance(value, str) else json.dumps(value, indent=1),
                        encoding="utf-8")
        return path

    def args(self, *fallbacks, chats=None, job="job", more=()):
        return self.extract_args(*(chats or [self.chat]), session=self.mine, job=job,
                                 more=["--json", *BREAKER, "--fallback",
                                       ",".join(map(str, fallbacks)), *more])

    def extract(self, *fallbacks, **how):
        return kit.tgdata(*self.args(*fallbacks, **how))

    def learn(self):
        """The session has met its chats, as after any earlier run."""
        done = kit.tgdata("chats", *self.account_args(self.mine))
        self.assertEqual(done.code, 0, done)

    def live_again(self, chats=None):
        """Telegram answers again: the rest comes from there, all of it once."""
        self.restart()
        time.sleep(2.2)
        done = kit.tgdata(*self.extract_args(*(chats or [self.chat]), session=self.mine,
                                             more=["--json"]))
        self.assertEqual(done.code, 0, done)
        live = [r for r in kit.rows(self.dir / "out")]
        for chat in chats or [self.chat]:
            ids = [r["id"] for r in live if r["chat_id"] == chat]
            self.assertEqual(ids, self.sim.ids(chat))
        self.assertFalse([r for r in live if "source" in r])
        done = self.verify(self.mine)
        self.assertEqual(done.code, 0, done)

    def check_fell_back(self, done, rows, last):
        self.assertEqual(done.code, 6, done)
        self.assertEqual(done.json()["status"], "CIRCUIT", done)
        self.assertEqual(done.json()["fallback_rows"], rows, done)
        self.assertRegex(done.err, "circuit breaker.* is open")
        if rows:
            self.assertRegex(done.err, rf"from fallback \(\w+\): {rows} rows, up to id {last}\b")

    def test_two_destinations_that_hold_nothing_yet(self):
        self.learn()
        self.restart(*STORM)
        export = self.write(export_of(self.chat, range(1, 6)))
        done = self.extract(f"export:{export}", more=["--to", f"ndjson:{self.dir}/second"])
        self.check_fell_back(done, 5, 5)
        for out in ("out", "second"):
            self.assertEqual([r["id"] for r in fallback_rows(self.dir / out)], [1, 2, 3, 4, 5])

    def test_export_then_telegram(self):
        self.learn()
        self.restart(*STORM)
        top = max(self.sim.ids(self.chat))
        export = self.write(export_of(self.chat, range(1, top + 100)))
        done = self.extract(f"export:{export}")
        self.check_fell_back(done, top + 99, top + 99)
        found = fallback_rows(self.dir / "out")
        self.assertEqual([r["id"] for r in found], list(range(1, top + 100)))
        self.assertEqual({(r["chat_id"], r["source"]) for r in found}, {(self.chat, "export")})
        self.assertEqual(kit.rows(self.dir / "out"), [])
        manifest = next((self.dir / "out" / "fallback").glob("chat_*/part-*.json"))
        told = json.loads(manifest.read_text(encoding="utf-8"))
        self.assertEqual((told["source"], told["ranges"]), ("export", []))

        done = self.extract(f"export:{export}")  # still open: nothing is asked, nothing comes twice
        self.check_fell_back(done, 0, 0)
        self.assertEqual(done.json()["requests"], 0, done)
        self.assertLess(done.json()["seconds"], 1.5)
        self.assertEqual(fallback_rows(self.dir / "out"), found)
        self.live_again()
        self.assertEqual(fallback_rows(self.dir / "out"), found)

    def test_a_database_keeps_them_apart(self):
        self.learn()
        self.restart(*STORM)
        export = self.write(export_of(self.chat, range(1, 21)))
        to = ["extract", self.chat, *self.account_args(self.mine), "--to",
              f"sqlite:{self.dir}/out.db", "--state", f"sqlite:{self.dir}/state.db", "--json",
              "--progress", "none"]
        for rows in (20, 0):
            done = kit.tgdata(*to, *BREAKER, "--fallback", f"export:{export}")
            self.check_fell_back(done, rows, 20)
        self.restart()
        time.sleep(2.2)
        done = kit.tgdata(*to)
        self.assertEqual(done.code, 0, done)
        with contextlib.closing(sqlite3.connect(self.dir / "out.db")) as db:
            live = db.execute("select id from messages where source is null order by id")
            self.assertEqual([i for i, in live], self.sim.ids(self.chat))
            self.assertEqual(db.execute("select count(*) from messages").fetchone(),
                             (len(self.sim.ids(self.chat)),))
            other = db.execute("select source, count(*), max(id) from messages_fallback")
            self.assertEqual(other.fetchall(), [("export", 20, 20)])

    def test_only_what_lies_beyond_and_in_range(self):
        self.end()
        self.sim.start("--latency-ms", "60", "--faults", "short=0")
        top = max(self.sim.ids(self.chat))
        export = self.write(export_of(self.chat, range(1, top + 50)))
        run = kit.start(*self.args(f"export:{export}", more=[
            "--batch-size", "50", "--checkpoint-interval", "50", "--in-flight", "1", "--max-id",
            str(top + 20)]), stdout=kit.subprocess.PIPE, stderr=kit.subprocess.PIPE)
        self.assertTrue(kit.wait_for(lambda: len(kit.rows(self.dir / "out")) >= 50))
        self.sim.process.kill()  # in the middle of it
        self.sim.process.wait()
        out, err = run.communicate(timeout=60)
        live = [r["id"] for r in kit.rows(self.dir / "out")]
        found = [r["id"] for r in fallback_rows(self.dir / "out")]
        self.assertEqual(run.returncode, 6, err)
        self.assertLess(max(live), top, "it was to be stopped in the middle")
        self.assertEqual(found, list(range(max(live) + 1, top + 21)), err)
        self.assertEqual(json.loads(out)["rows"], len(live))
        self.sim.process.stdout.close()
        self.sim.start()
        time.sleep(2.2)
        done = kit.tgdata(*self.extract_args(self.chat, session=self.mine,
                                             more=["--max-id", str(top + 20)]))
        self.assertEqual(done.code, 0, done)
        self.assertEqual([r["id"] for r in kit.rows(self.dir / "out")], self.sim.ids(self.chat))

    def test_archive_of_another_job(self):
        half = self.sim.ids(self.chat)[150]
        media = ("--media", str(self.dir / "files"), "--media-types", "sticker,voice")
        for job, to, more in (("whole", "ndjson", media), ("half", "csv", ("--max-id", str(half)))):
            done = kit.tgdata("extract", self.chat, *self.account_args(self.mine), "--to",
                              f"{to}:{self.dir}/{job}", "--state", f"sqlite:{self.dir}/state.db",
                              "--job", job, "--progress", "none", *more)
            self.assertEqual(done.code, 0, done)
        self.restart(*STORM)
        done = self.extract("archive:half")
        self.check_fell_back(done, 151, half)
        done = self.extract("archive")
        ids = self.sim.ids(self.chat)
        self.check_fell_back(done, len(ids) - 151, ids[-1])
        found = fallback_rows(self.dir / "out")
        self.assertEqual([r["id"] for r in found], ids)
        self.assertEqual({r.pop("source") for r in found}, {"archive"})
        self.assertEqual(found[151:], kit.rows(self.dir / "whole")[151:])
        self.assertTrue([r for r in found if "media_path" in r], "as the archive tells it")
        self.check_fell_back(self.extract("archive:nobody"), 0, 0)
        self.live_again()

    def test_several_in_order_and_limit(self):
        self.learn()
        self.restart(*STORM)
        first = self.write(export_of(self.chat, range(10, 60)), "first.json")
        other = self.write(export_of(self.chat - 1, range(1, 9)), "other.json")
        both = self.write({"about": "", "personal_information": {"user_id": 1}, "chats": {"list": [
            {"name": "A", "type": "personal_chat", "id": 5, "messages": [message(3)]},
            export_of(self.chat, range(1, 200))]}}, "both.json")
        done = self.extract(f"export:{other}", f"export:{first}", f"export:{both}",
                            more=["--limit", "100", "--min-id", "20"])
        self.check_fell_back(done, 100, 119)
        self.assertEqual([r["id"] for r in fallback_rows(self.dir / "out")], list(range(20, 120)))
        done = self.extract(f"export:{both}", more=["--limit", "100", "--min-id", "20"])
        self.check_fell_back(done, 0, 0)

    def test_a_chat_that_was_never_met(self):
        """An id needs no look-up; a name does."""
        self.restart("--faults", "500=1")
        self.assertEqual(self.extract("archive", chats=["@nobody_knows"]).code, 6)
        export = self.write(export_of(self.chat, range(1, 11)))
        done = self.extract(f"export:{export}", chats=["@nobody_knows", self.chat])
        self.check_fell_back(done, 10, 10)

    def test_all_chats_of_the_job(self):
        """Where the account's list cannot be had, those that the job was asked for before."""
        args = ["extract", "--all", *self.account_args(self.mine), "--state",
                f"sqlite:{self.dir}/state.db", "--json", "--progress", "none"]
        first = kit.tgdata(*args, "--to", f"ndjson:{self.dir}/first", "--job", "first")
        self.assertEqual(first.code, 0, first)
        self.restart(*STORM)
        job = [*args, "--to", f"ndjson:{self.dir}/out", "--job", "job"]
        done = kit.tgdata(*job, *BREAKER[:-1], "fail")
        self.assertEqual((done.code, done.json()["rows"]), (6, 0), done)
        self.restart("--faults", "500=1")
        time.sleep(2.2)
        done = kit.tgdata(*job, *BREAKER, "--fallback", "archive")
        self.assertEqual(done.code, 6, done)
        self.assertEqual(done.json()["fallback_rows"], first.json()["rows"], done)
        found = fallback_rows(self.dir / "out")
        self.assertEqual({r.pop("source") for r in found}, {"archive"})
        self.assertEqual(found, kit.rows(self.dir / "first"))
        done = kit.tgdata(*args, "--to", f"ndjson:{self.dir}/none", "--job", "none", *BREAKER,
                          "--fallback", "archive")
        self.assertEqual((done.code, done.json()["fallback_rows"]), (6, 0), done)

    def test_another_account_goes_first(self):
        """Only what no account can read now is a fallback's."""
        other = self.dir / "other.session"
        self.login(other, [a for a in self.sim.accounts if "phone" in a and "password" not in a][1])
        self.restart(*STORM)
        export = self.write(export_of(self.chat, range(1, 31)))
        run = ["extract", self.chat, "--accounts", f"{self.mine},{other}", "--datacenter",
               self.sim.file, "--to", f"ndjson:{self.dir}/out", "--state",
               f"sqlite:{self.dir}/state.db", "--json", "--progress", "none", *BREAKER,
               "--fallback", f"export:{export}"]
        self.check_fell_back(kit.tgdata(*run), 30, 30)
        self.end()  # nothing answers any more
        self.write(export_of(self.chat, range(1, 41)))
        self.check_fell_back(kit.tgdata(*run), 10, 40)
        self.assertEqual([r["id"] for r in fallback_rows(self.dir / "out")], list(range(1, 41)))

    def test_stopped_in_the_middle(self):
        self.learn()
        self.restart(*STORM)
        top = 60000
        export = self.write(export_of(self.chat, range(1, top + 1)))
        args = self.args(f"export:{export}", more=["--batch-size", "100", "--checkpoint-interval",
                                                   "500"])
        run = kit.start(*args, stdout=kit.subprocess.PIPE, stderr=kit.subprocess.PIPE)
        second = "out/fallback/*/part-000002.json"
        self.assertTrue(kit.wait_for(lambda: list(self.dir.glob(second))))
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=20)
        ids = [r["id"] for r in fallback_rows(self.dir / "out")]
        self.assertEqual(run.returncode, 130, err)
        self.assertLess(len(ids), top, "it was to be stopped in the middle")
        self.assertEqual(ids, list(range(1, len(ids) + 1)))
        self.assertEqual(json.loads(out)["fallback_rows"], len(ids))
        self.check_fell_back(kit.tgdata(*args), top - len(ids), top)

    def test_files_that_cannot_be_read(self):
        self.learn()
        self.check_fails(self.extract("export:" + str(self.dir / "none.json")), 2, "cannot be read")
        self.check_fails(self.extract("tape"), 2, "no fallback 'tape'")
        self.check_fails(kit.tgdata(*self.extract_args(
            self.chat, session=self.mine, more=["--fallback", "archive"])), 2, "never used")
        self.check_fails(kit.tgdata(*self.extract_args(
            self.chat, session=self.mine, more=BREAKER)), 2, "without a fallback")
        self.restart(*STORM)
        whole = json.dumps(export_of(self.chat, range(1, 101)), indent=1)
        for text, rows, words in (
                ("", 0, "expected '{'"),
                ("\0" * 100, 0, "expected '{'"),
                (whole[:len(whole) // 2], 49, "no valid JSON"),
                (whole.replace('"id": 60', '"id": 6'), 59 - 49, "order of their ids"),
                (whole.replace('"id": 80', '"id": "x"'), 79 - 59, "without id")):
            done = self.extract(f"export:{self.write(text)}")
            self.assertEqual(done.json()["fallback_rows"], rows, (text[:40], done))
            self.assertEqual(done.code, 6, done)
            told = [line for line in done.err.splitlines() if "fallback for" in line]
            self.assertEqual(len(told), 1, done)
            self.assertRegex(told[0], r"result\.json: line \d+: .*" + re.escape(words))
        ids = [r["id"] for r in fallback_rows(self.dir / "out")]
        self.assertEqual(ids, list(range(1, 80)))

    def test_rows_that_were_taken_away_do_not_come_again(self):
        self.learn()
        self.restart(*STORM)
        export = self.write(export_of(self.chat, range(1, 51)))
        self.check_fell_back(self.extract(f"export:{export}"), 50, 50)
        shutil.rmtree(self.dir / "out" / "fallback")
        self.check_fell_back(self.extract(f"export:{export}"), 0, 0)
        export = self.write(export_of(self.chat, range(1, 61)))
        self.check_fell_back(self.extract(f"export:{export}"), 10, 60)

    def test_killed_at_any_moment(self):
        """However often a run dies, a fallback's row is there once at most, and live rows once."""
        self.learn()
        self.restart(*STORM)
        seed = random.randrange(1 << 30)
        print("seed", seed)
        rng = random.Random(seed)
        top = 30000
        export = self.write(export_of(self.chat, range(1, top + 1)))
        args = self.args(f"export:{export}", more=["--batch-size", "100", "--checkpoint-interval",
                                                   "250"])
        seen = 0
        for _ in range(12):
            run = kit.start(*args, stdout=kit.subprocess.DEVNULL, stderr=kit.subprocess.DEVNULL)
            time.sleep(rng.uniform(0.02, 0.35))
            run.send_signal(signal.SIGKILL)
            run.wait()
            ids = [r["id"] for r in fallback_rows(self.dir / "out")]
            self.assertEqual(ids, list(range(1, len(ids) + 1)))
            self.assertGreaterEqual(len(ids), seen)
            seen = len(ids)
        done = kit.tgdata(*args)
        self.assertEqual(done.code, 6, done)
        found = fallback_rows(self.dir / "out")
        self.assertEqual([r["id"] for r in found], list(range(1, top + 1)))
        self.assertEqual({r["source"] for r in found}, {"export"})
        self.restart()
        done = kit.tgdata(*self.extract_args(self.chat, session=self.mine, more=[
            "--circuit-failures", "0"]))
        self.assertEqual(done.code, 0, done)
        self.assertEqual([r["id"] for r in kit.rows(self.dir / "out")], self.sim.ids(self.chat))
        self.assertEqual(fallback_rows(self.dir / "out"), found)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Circuit breakers: what is broken stops alone, is told and counted, and is not forgotten."""
import contextlib
import json
import re
import sqlite3
import subprocess
import time

from kit import Case, main, start, tgdata, wait_for

BROKEN = ("--circuit-failures", "3", "--max-backoff", "200ms", "--json")


class Circuit(Case):
    """Four chats, of which the second is broken."""

    sim_args = ("--chats", "8", "--messages", "400", "--seed", "3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        listed = [c for c in cls.sim.chats(cls.sim.account()) if c["kind"] != "group"]
        cls.chats = [c for c in listed if not c["migrated_from"]][:4]
        cls.bad = cls.chats[1]

    def setUp(self):
        super().setUp()
        self.me = self.session()

    def break_it(self, more="", only=True):
        """The data centre goes on with faults; without arguments the chat answers nothing else."""
        self.sim.stop()
        whom = f",chat={self.bad['id']}" if only else ""
        self.sim.start("--faults", f"500=1{whom}{more}")

    def mend(self):
        self.sim.stop()
        self.sim.start()

    def extract(self, *more):
        return tgdata(*self.extract_args(*[c["id"] for c in self.chats], session=self.me,
                                         more=[*BROKEN, *more]))

    def transitions(self, done, whose):
        """What the log tells of one breaker."""
        head = f": circuit breaker of {whose}"
        lines = [line for line in done.err.splitlines() if head in line]
        return [line.split(head)[1].split(": ")[1].split(",")[0] for line in lines]

    def check_counts(self, done, **kinds):
        for kind, counts in done.json()["circuits"].items():
            wanted = kinds.get(kind, (0, 0, 0))
            self.assertEqual((counts["opened"], counts["half_opened"], counts["closed"]), wanted,
                             done)

    def others(self):
        return [c for c in self.chats if c is not self.bad]

    def test_one_broken_chat_fails_and_no_other(self):
        for workers in ("1", "3"):
            with self.subTest(workers=workers):
                self.dir = self.dir / workers
                self.dir.mkdir()
                self.break_it()
                done = self.extract("--circuit-open", "fail", "--workers", workers)
                self.assertEqual(done.code, 6, done)
                self.assertIn(f"tgdata extract: the circuit breaker of chat {self.bad['id']} is "
                              "open; the next try is in 60 s\n  hint: ", done.err)
                self.assertEqual(self.transitions(done, f"chat {self.bad['id']}"),
                                 ["closed to open"])
                self.check_counts(done, chat=(1, 0, 0))
                self.check_whole(self.others())
                self.mend()

    def kept(self, name):
        """What the state says of a breaker."""
        with contextlib.closing(sqlite3.connect(self.dir / "state.db")) as db:
            row = db.execute("SELECT bytes FROM doc WHERE kind = 'circuit' AND key = ? "
                             "ORDER BY version DESC", [f"job/{name}"]).fetchone()
        return json.loads(row[0]) if row else None

    def keep(self, name, text):
        with contextlib.closing(sqlite3.connect(self.dir / "state.db")) as db:
            db.execute("UPDATE doc SET bytes = ? WHERE kind = 'circuit' AND key = ?",
                       [text.encode(), f"job/{name}"])
            db.commit()

    def test_what_is_open_stays_open_after_a_kill(self):
        """For what is left of its time; a time that cannot be is bounded, nonsense is nothing."""
        self.break_it()
        name = f"chat/{self.bad['id']}"
        run = start(*self.extract_args(*[c["id"] for c in self.chats], session=self.me, more=[
            *BROKEN, "--recovery-timeout", "100s"]), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: (self.dir / "state.db").exists() and
                                 self.has_table() and self.kept(name)))
        run.kill()
        run.wait()
        kept = self.kept(name)
        self.assertTrue(kept["open"])
        self.assertAlmostEqual(kept["until_us"] / 1e6, time.time() + 100, delta=20)
        self.mend()
        time.sleep(1.1)
        for until_s, seconds in ((None, range(70, 100)), (1e12, (100,))):
            if until_s:
                self.keep(name, json.dumps({"open": True, "until_us": int(until_s * 1e6)}))
            done = self.extract("--circuit-open", "fail", "--recovery-timeout", "100s")
            self.assertEqual(done.code, 6, done)
            self.check_counts(done)
            wait = re.search(r"next try is in (\d+) s\n  hint", done.err)
            self.assertIn(int(wait[1]), seconds, done)
            self.check_whole(self.others())
        self.keep(name, '{"open":tru')
        done = self.extract("--circuit-open", "fail")
        self.assertEqual(done.code, 0, done)
        self.check_whole(self.chats)

    def has_table(self):
        with contextlib.closing(sqlite3.connect(self.dir / "state.db")) as db:
            return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'doc'").fetchone()

    def test_a_broken_chat_is_waited_for_and_keeps_nobody_waiting(self):
        """It is mended after a while; meanwhile the one worker reads the others."""
        self.break_it(",most=3")
        done = self.extract("--recovery-timeout", "1s")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.transitions(done, f"chat {self.bad['id']}"),
                         ["closed to open", "open to half_open", "half_open to closed"])
        self.check_counts(done, chat=(1, 1, 1))
        self.check_whole(self.chats)
        self.assertFalse(self.kept(f"chat/{self.bad['id']}")["open"])
        self.mend()

    def test_a_chat_that_stays_broken_is_given_up(self):
        self.break_it()
        done = self.extract("--recovery-timeout", "200ms", "--attempts", "5")
        self.assertEqual(done.code, 6, done)
        self.assertIn("channels.getFullChannel", done.err.splitlines()[-2], done)
        self.check_whole(self.others())
        self.assertGreaterEqual(done.json()["circuits"]["chat"]["opened"], 2)
        self.mend()

    def test_an_account_that_is_refused_everything_stops_as_a_whole(self):
        self.break_it(",most=8,only=channels.getFullChannel", only=False)
        done = self.extract("--recovery-timeout", "1s", "--workers", "3")
        self.assertEqual(done.code, 0, done)
        self.check_whole(self.chats)
        self.assertGreaterEqual(done.json()["circuits"]["account"]["opened"], 1, done)
        self.assertEqual(self.transitions(done, "the account")[0], "closed to open")
        self.mend()


if __name__ == "__main__":
    main()

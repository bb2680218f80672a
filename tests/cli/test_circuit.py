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


class Breakers(Case):
    """What runs tell of their breakers, and what the state says."""

    sim_args = None

    def transitions(self, err, whose):
        """What the log tells of one breaker."""
        head = f": circuit breaker of {whose}"
        lines = [line for line in err.splitlines() if head in line]
        return [line.split(head)[1].split(": ")[1].split(",")[0] for line in lines]

    def check_counts(self, done, **kinds):
        for kind, counts in done.json()["circuits"].items():
            wanted = kinds.get(kind, (0, 0, 0))
            self.assertEqual((counts["opened"], counts["half_opened"], counts["closed"]), wanted,
                             done)

    def kept(self, name):
        """What the state says of a breaker."""
        if not (self.dir / "state.db").exists():
            return None
        with contextlib.closing(sqlite3.connect(self.dir / "state.db")) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'doc'").fetchone():
                return None
            row = db.execute("SELECT bytes FROM doc WHERE kind = 'circuit' AND key GLOB ? "
                             "ORDER BY version DESC", [f"job/{name}"]).fetchone()
        return json.loads(row[0]) if row else None

    def keep(self, name, text):
        with contextlib.closing(sqlite3.connect(self.dir / "state.db")) as db:
            db.execute("UPDATE doc SET bytes = ? WHERE kind = 'circuit' AND key = ?",
                       [text.encode(), f"job/{name}"])
            db.commit()


class Circuit(Breakers):
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
                self.assertEqual(self.transitions(done.err, f"chat {self.bad['id']}"),
                                 ["closed to open"])
                self.check_counts(done, chat=(1, 0, 0))
                self.check_whole(self.others())
                self.mend()

    def test_what_is_open_stays_open_after_a_kill(self):
        """For what is left of its time; a time that cannot be is bounded, nonsense is nothing."""
        self.break_it()
        name = f"chat/{self.bad['id']}"
        run = start(*self.extract_args(*[c["id"] for c in self.chats], session=self.me, more=[
            *BROKEN, "--recovery-timeout", "100s"]), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: self.kept(name)))
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

    def test_a_broken_chat_is_waited_for_and_keeps_nobody_waiting(self):
        """It is mended after a while; meanwhile the one worker reads the others."""
        self.break_it(",most=3")
        done = self.extract("--recovery-timeout", "1s")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.transitions(done.err, f"chat {self.bad['id']}"),
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
        self.assertEqual(self.transitions(done.err, "the account")[0], "closed to open")
        self.mend()


class Destination(Breakers):
    """A disk that is full for a while."""

    sim_args = ("--chats", "1", "--messages", "6000", "--seed", "2")

    def setUp(self):
        super().setUp()
        self.chat = self.sim.chat("supergroup")
        self.small = self.dir / "small"
        self.small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", self.small], check=True)
        self.me = self.session()
        self.log = self.dir / "log"

    def tearDown(self):
        subprocess.run(["umount", self.small], check=False)

    def make_room(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "remount,size=64m", "tmpfs", self.small],
                       check=True)

    def words(self, *more):
        return self.extract_args(self.chat["id"], session=self.me,
                                 to=f"ndjson:{self.small}/out", more=[
            "--circuit-failures", "2", "--batch-size", "500", "--checkpoint-interval", "500",
            "--buffer", "1MiB", "--json", *more])

    def start_until_open(self, *more, progress="none"):
        words = self.words(*more)
        words[words.index("none")] = progress
        with self.log.open("wb") as err, (self.dir / "result").open("wb") as out:
            run = start(*words, stderr=err, stdout=out)
        self.assertTrue(wait_for(lambda: self.kept("sink/*")), self.log.read_text(encoding="utf-8"))
        return run

    def test_it_is_waited_for(self):
        run = self.start_until_open("--recovery-timeout", "2s")
        before = self.sim.stats()["queries"]
        time.sleep(1)
        self.assertEqual(self.sim.stats()["queries"], before, "nothing is read meanwhile")
        self.assertTrue(wait_for(lambda: self.transitions(
            self.log.read_text(encoding="utf-8"), "the destination")[1:3] ==
            ["open to half_open", "half_open to open"]))
        self.make_room()
        self.assertEqual(run.wait(60), 0, self.log.read_text(encoding="utf-8"))
        self.check_whole([self.chat], self.small / "out")
        told = self.transitions(self.log.read_text(encoding="utf-8"), "the destination")
        self.assertEqual((told[0], told[-1]), ("closed to open", "half_open to closed"))
        counts = json.loads((self.dir / "result").read_text(encoding="utf-8"))["circuits"]["sink"]
        self.assertEqual(sum(counts.values()), len(told))
        self.assertFalse(self.kept("sink/*")["open"])
        self.assertEqual(self.kept("sink/*")["to"], f"ndjson:{self.small}/out")
        proof = self.verify(self.me)
        self.assertEqual(proof.code, 0, proof)

    def test_it_stays_open_after_a_kill(self):
        run = self.start_until_open("--recovery-timeout", "100s")
        run.kill()
        run.wait()
        time.sleep(1.1)
        self.make_room()
        done = tgdata(*self.words("--recovery-timeout", "100s", "--circuit-open", "fail"))
        self.check_fails(done, 6, "circuit breaker of the destination is open; the next try is in")
        done = tgdata(*self.words("--recovery-timeout", "2s"))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.transitions(done.err, "the destination"),
                         ["open to half_open", "half_open to closed"])
        self.check_counts(done, sink=(0, 1, 1))
        self.check_whole([self.chat], self.small / "out")

    def test_a_locked_database_is_waited_for(self):
        words = self.words("--recovery-timeout", "1s")
        words[words.index("--to") + 1] = f"sqlite:{self.dir}/out.db?busy-timeout=100ms"
        with contextlib.closing(sqlite3.connect(self.dir / "out.db")) as db:
            db.isolation_level = None
            db.execute("BEGIN IMMEDIATE")
            with self.log.open("wb") as err:
                run = start(*words, stderr=err, stdout=subprocess.DEVNULL)
            self.assertTrue(wait_for(lambda: self.kept("sink/*")))
            self.assertIsNone(run.poll())
            db.execute("ROLLBACK")
            log = self.log.read_text(encoding="utf-8")
            self.assertEqual(run.wait(60), 0, log)
            found = db.execute("SELECT id FROM messages ORDER BY id").fetchall()
        self.assertEqual([i for i, in found], self.sim.ids(self.chat["id"]))

    def test_one_of_several_is_named(self):
        """The other's breaker stays closed: what is told, counted and kept is of the full disk."""
        words = self.words("--recovery-timeout", "1s", "--to", f"sqlite:{self.dir}/out.db")
        with self.log.open("wb") as err:
            run = start(*words, stderr=err, stdout=subprocess.DEVNULL)
        whose = f"the destination ndjson:{self.small}/out"
        told = lambda: self.log.read_text(encoding="utf-8")
        self.assertTrue(wait_for(lambda: self.transitions(told(), whose)), told())
        self.make_room()
        self.assertEqual(run.wait(60), 0, told())
        found = self.transitions(told(), whose)
        self.assertEqual((found[0], found[-1]), ("closed to open", "half_open to closed"))
        self.assertEqual(len(found), len(self.transitions(told(), "the destination")))
        self.assertIn(f"{whose} is waited for: ", told())
        self.assertIn(f"{whose} takes rows again, after ", told())
        with contextlib.closing(sqlite3.connect(self.dir / "state.db")) as db:
            self.assertEqual(len(db.execute("SELECT DISTINCT key FROM doc WHERE kind = 'circuit'")
                                 .fetchall()), 1)
        self.check_whole([self.chat], self.small / "out")

    def test_a_stop_does_not_wait(self):
        run = self.start_until_open("--recovery-timeout", "100s", progress="json")
        self.assertTrue(wait_for(lambda: '"waiting_for":"destination"' in
                                 self.log.read_text(encoding="utf-8")))
        run.terminate()
        self.assertIn(run.wait(20), (7, 130))

    def test_open_may_end_the_run(self):
        done = tgdata(*self.words("--circuit-open", "fail"))
        self.assertEqual(done.code, 7, done)
        self.assertIn("No space left on device", done.err)
        self.check_counts(done, sink=(1, 0, 0))
        self.make_room()
        time.sleep(1.1)
        done = tgdata(*self.words("--recovery-timeout", "1s"))
        self.assertEqual(done.code, 0, done)
        self.check_whole([self.chat], self.small / "out")


if __name__ == "__main__":
    main()

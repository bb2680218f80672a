#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Several destinations at once: files, SQLite and PostgreSQL get the same rows, each once, however
often the run is killed; one that is away keeps the others waiting, and loses nothing."""
import json
import os
import random
import sqlite3
import subprocess
import time

from kit import PASSWORD, Case, PostgresServer, Sim, main, rows, start, tgdata, wait_for
from test_destinations import SEED, Postgres, Sqlite

KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "6"))


class Several(Case):
    sim_args = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sim = Sim(cls.top / "dc", "--chats", "4", "--messages", "600", "--seed", "21",
                      "--latency-ms", "10")
        Postgres.server = cls.server = PostgresServer(cls.top / "pg")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        if not self.server.is_up():
            self.server.start()
        self.user, self.sqlite, self.postgres = self.session(), Sqlite(self), Postgres(self)
        self.to = [f"ndjson:{self.dir}/out", self.sqlite.url(), self.postgres.url()]
        self.state = ["--state", f"sqlite:{self.dir}/state.db", "--job", "job"]
        chats = self.sim.chats(self.sim.account())
        grown_from = {c["migrated_from"] for c in chats}
        self.truth = sorted(self.sim.truth([c for c in chats if c["id"] not in grown_from]))

    def words(self, *more, to=None, chats=("--all",)):
        words = self.extract_args(*chats, session=self.user, more=[
            "--batch-size", 100, "--checkpoint-interval", 200, "--in-flight", 2, *more])
        at = words.index("--to")
        words[at:at + 2] = [w for url in to or self.to for w in ("--to", url)]
        return words

    def extract(self, *more, **given):
        done = tgdata(*self.words(*more, **given), env=PASSWORD)
        self.assertEqual(done.code, 0, done)
        return done

    def found(self):
        return [sorted((r["chat_id"], r["id"]) for r in there)
                for there in (rows(self.dir / "out"), self.sqlite.rows(), self.postgres.rows())]

    def check_each_once(self):
        for there in self.found():
            self.assertEqual(there, self.truth)
        proof = tgdata("verify", *self.account_args(self.user), *self.state, "--json",
                       env=PASSWORD)
        self.assertEqual(proof.code, 0, proof)

    def test_each_gets_all_and_keeps_it(self):
        self.extract()
        self.check_each_once()
        self.assertEqual(json.loads(self.extract("--json").out)["rows"], 0)
        with sqlite3.connect(self.dir / "out.db") as db:  # one alone lacks rows: that is told
            db.execute("DELETE FROM messages WHERE id = 5")
        db.close()
        proof = tgdata("verify", *self.account_args(self.user), *self.state, env=PASSWORD)
        self.assertEqual(proof.code, 10, proof)

    def test_killed_again_and_again(self):
        draw = random.Random(SEED)
        for kill in range(KILLS):
            process = start(*self.words(), env=PASSWORD, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)
            try:
                err = process.communicate(timeout=draw.uniform(0, 0.5))[1]
                self.assertEqual(process.returncode, 0, err)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                for there in self.found():
                    self.assertEqual(len(there), len(set(there)), f"kill {kill} of seed {SEED}")
        self.extract()
        self.check_each_once()

    def test_a_rollback_takes_from_each(self):
        chat = self.sim.chat("supergroup")
        self.extract()
        whole = self.found()
        for number in (2, 0):
            done = tgdata("checkpoints", "rollback", "--number", number, *self.state, "--",
                          chat["id"], env=PASSWORD)
            self.assertEqual(done.code, 0, done)
            for before, after in zip(whole, self.found()):
                self.assertLess(len(after), len(before))
        self.extract()
        self.assertEqual(self.found(), whole)
        self.check_each_once()

    def test_one_that_is_away_keeps_the_others_waiting(self):
        log = self.dir / "log"
        with log.open("wb") as err:
            run = start(*self.words("--rate", 3, "--burst", 1),  # not done before it is away
                        env=PASSWORD, stdout=subprocess.DEVNULL, stderr=err)
        try:
            self.assertTrue(wait_for(self.postgres.rows))
            self.server.stop()
            self.assertTrue(wait_for(lambda: "the destination postgres:" in
                                     log.read_text(encoding="utf-8")), log.read_text())
            time.sleep(1)
            self.assertIsNone(run.poll(), log.read_text(encoding="utf-8"))
            self.server.start()
            self.assertEqual(run.wait(60), 0, log.read_text(encoding="utf-8"))
        finally:
            run.kill()
            run.wait()
        self.check_each_once()

    def test_one_that_fails_ends_the_run_and_loses_nothing(self):
        """The table of one is taken away between two runs, and given back."""
        self.extract(chats=[str(self.sim.chat("channel")["id"])])
        with sqlite3.connect(self.dir / "out.db") as db:
            db.execute("ALTER TABLE messages RENAME TO away")
        db.close()
        self.check_fails(tgdata(*self.words(), env=PASSWORD), 7, "out.db")
        with sqlite3.connect(self.dir / "out.db") as db:
            db.execute("ALTER TABLE away RENAME TO messages")
        db.close()
        self.extract()
        self.check_each_once()

    def test_one_refuses_rows_and_the_others_have_them(self):
        self.extract()
        for c in self.sim.chats(self.sim.account()):
            tgdata("checkpoints", "rollback", "--number", 0, *self.state, "--", c["id"],
                   env=PASSWORD)
        self.assertEqual(self.found(), [[], [], []])
        with sqlite3.connect(self.dir / "out.db") as db:
            db.execute("CREATE TRIGGER no BEFORE INSERT ON messages WHEN new.id % 100 = 7"
                       " BEGIN SELECT RAISE(ABORT, 'not that one'); END")
        db.close()
        self.extract()
        files, sqlite, postgres = self.found()
        self.assertEqual((files, postgres), (self.truth, self.truth))
        self.assertEqual(sqlite, [(c, i) for c, i in self.truth if i % 100 != 7])
        letters = tgdata("dlq", "list", *self.state, "--json", env=PASSWORD).json()
        self.assertEqual({f["letter"]["to"] for f in letters}, {self.to[1]})
        with sqlite3.connect(self.dir / "out.db") as db:
            db.execute("DROP TRIGGER no")
        db.close()
        done = tgdata("dlq", "replay", *self.state, env=PASSWORD)
        self.assertEqual(done.code, 0, done)
        self.check_each_once()

    def test_one_more_is_refused_and_one_less_is_not(self):
        self.extract(to=self.to[:2])
        self.check_fails(tgdata(*self.words(), env=PASSWORD), 2, "not to postgres:")
        self.assertEqual(self.postgres.rows(), [])
        self.extract(to=self.to[:1])
        self.assertEqual(self.found()[0], self.truth)
        self.check_fails(tgdata(*self.words(to=[self.to[0]] * 2), env=PASSWORD), 2, "given twice")

    def test_changes_go_to_one(self):
        """Killed between two, one would have changes that no run sees again."""
        chat = self.sim.chat("supergroup")["id"]
        for command in "delta", "stream":
            done = tgdata(command, *self.words(chats=[chat])[1:], env=PASSWORD)
            self.check_fails(done, 2, "to one destination")
        self.assertFalse((self.dir / "out").exists())

    def test_with_a_stream_among_them(self):
        done = tgdata(*self.words(to=[self.to[1], "stdout:"]), env=PASSWORD)
        self.assertEqual(done.code, 0, done)
        told = sorted((r["chat_id"], r["id"]) for r in map(json.loads, done.out.split("\n")[:-1]))
        self.assertEqual(told, self.truth)
        self.assertEqual(self.found()[1], self.truth)
        done = tgdata(*self.words(to=[self.to[1], "stdout:"]), env=PASSWORD)
        self.assertEqual((done.code, done.out), (0, ""), done)


if __name__ == "__main__":
    main()

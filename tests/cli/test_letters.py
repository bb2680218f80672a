#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rows that a destination refuses for good: kept, shown, written again, dropped.

A constraint that the user has added refuses some rows. The run ends well, all others are there,
each refused one is one letter, however often the run or a replay is killed; without the constraint
a replay brings them.
"""
import json
import random
import signal
import sqlite3
import subprocess

from kit import PASSWORD, Case, PostgresServer, Sim, main, start, tgdata
from test_destinations import SEED, Postgres, Sqlite

REFUSED = "id % 100 = 7"


class SqliteThatRefuses(Sqlite):
    def run(self, sql):
        with sqlite3.connect(self.dir / "out.db") as db:
            db.execute(sql)
        db.close()

    def refuse(self):
        self.run(f"CREATE TRIGGER no BEFORE INSERT ON messages WHEN new.{REFUSED}"
                 " BEGIN SELECT RAISE(ABORT, 'not that one'); END")

    def refuse_all(self):
        self.run("CREATE TRIGGER no BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'no'); END")

    def relent(self):
        self.run("DROP TRIGGER no")


class PostgresThatRefuses(Postgres):
    def refuse(self):
        self.server.psql(f"ALTER TABLE {self.table} ADD CONSTRAINT no CHECK (NOT ({REFUSED}))"
                         " NOT VALID")

    def refuse_all(self):
        self.server.psql(f"ALTER TABLE {self.table} ADD COLUMN theirs text NOT NULL")

    def relent(self):
        self.server.psql(f"ALTER TABLE {self.table} DROP CONSTRAINT no")


class Letters:
    """The cases; a class below gives the destination."""

    sim_args = None
    env = PASSWORD

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sim = Sim(cls.top / "dc", "--chats", "4", "--messages", "2500", "--seed", "21")

    def setUp(self):
        super().setUp()
        self.out, self.user = self.destination(self), self.session()
        self.chat = self.sim.chat("channel")
        self.ids = sorted(i for _, i in self.sim.truth([self.chat]))
        self.refused = [i for i in self.ids if i % 100 == 7]
        self.assertGreater(len(self.refused), 5)
        self.state = ["--state", f"sqlite:{self.dir}/state.db"]

    def words(self):
        return self.extract_args(
            str(self.chat["id"]), session=self.user, to=self.out.url(), state=self.state[1],
            more=["--batch-size", 100, "--checkpoint-interval", 300, "--json"])

    def extract(self):
        done = tgdata(*self.words(), env=self.env)
        self.assertEqual(done.code, 0, done)
        return done.json()

    def tables(self):
        """They are there, and hold nothing."""
        self.extract()
        done = tgdata("checkpoints", "rollback", "--number", 0, *self.state, "--job", "job", "--",
                      str(self.chat["id"]), env=self.env)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.out.rows(), [])

    def dlq(self, *words, code=0):
        done = tgdata("dlq", *words, *self.state, env=self.env)
        self.assertEqual(done.code, code, done)
        return done

    def letters(self, *words):
        return self.dlq("list", "--json", *words).json()

    def proves(self, refused):
        proof = tgdata("verify", *self.account_args(self.user), *self.state, "--job", "job",
                       "--json", env=self.env)
        self.assertEqual(proof.code, 0, proof)
        [chat] = proof.json()["chats"]
        self.assertEqual(chat["refused"], refused)

    def there(self):
        return sorted(r["id"] for r in self.out.rows())

    def test_kept_shown_and_written_again(self):
        self.tables()
        self.out.refuse()
        told = self.extract()
        self.assertEqual((told["rows"], told["refused"]), (len(self.ids), len(self.refused)))
        self.assertEqual(self.there(), [i for i in self.ids if i % 100 != 7])
        self.proves(len(self.refused))

        found = self.letters()
        self.assertEqual(sorted(f["letter"]["row"]["id"] for f in found), self.refused)
        for f in found:
            self.assertEqual((f["letter"]["job"], f["letter"]["to"]), ("job", self.out.url()))
            self.assertEqual(f["letter"]["chat_id"], self.chat["id"])
            self.assertRegex(f["letter"]["reason"], "not that one|constraint \"no\"")
        self.assertEqual(self.letters("--job", "other"), [])
        self.assertEqual(self.letters("--to", "sqlite:other"), [])
        shown = self.dlq("show", found[0]["key"])
        self.assertEqual(json.loads(shown.out), found[0]["letter"])
        self.assertIn(found[0]["key"], self.dlq("list").out)
        self.dlq("show", "job/none", code=3)
        self.check_fails(self.dlq("show", "none", "--quarantine", code=3), 3, "no record 'none'",
                         "--quarantine")
        self.dlq("drop", code=2)

        self.dlq("replay", code=7)  # refused again: all stay
        self.assertEqual(len(self.letters()), len(self.refused))
        self.assertEqual(self.dlq("drop", found[0]["key"], "--json").json(), {"dropped": 1})
        self.out.relent()
        self.assertEqual(self.dlq("replay", "--json").json(),
                         {"replayed": len(self.refused) - 1, "refused": 0, "kept": 0})
        self.assertEqual(self.letters(), [])
        lost = found[0]["letter"]["row"]["id"]
        self.assertEqual(self.there(), [i for i in self.ids if i != lost])
        # the first replay's rows were counted, and refused, a second time
        self.proves(2 * len(self.refused))
        self.assertEqual(self.extract()["rows"], 0)

    def kill_at_random(self, words, draw, kills, most_s):
        """Until it comes to its end by itself."""
        while True:
            process = start(*words, env=self.env, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)
            try:
                limit = None if kills <= 0 else draw.uniform(0, most_s)
                err = process.communicate(timeout=limit)[1]
                self.assertEqual(process.returncode, 0, err)
                return
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills -= 1

    def test_killed_again_and_again(self):
        draw = random.Random(SEED)
        self.tables()
        self.out.refuse()
        self.kill_at_random(self.words(), draw, 6, 0.3)
        self.assertEqual(sorted(f["letter"]["row"]["id"] for f in self.letters()), self.refused)
        self.assertEqual(self.there(), [i for i in self.ids if i % 100 != 7])
        self.out.relent()
        self.kill_at_random(["dlq", "replay", *self.state], draw, 10, 0.12)
        self.assertEqual(self.letters(), [])
        self.assertEqual(self.there(), self.ids)
        self.proves(len(self.refused))

    def test_a_table_that_takes_nothing_ends_the_run(self):
        self.tables()
        self.out.refuse_all()
        self.check_fails(tgdata(*self.words(), env=self.env), 7, "refuses most rows")
        self.assertEqual(self.there(), [])


class InSqlite(Letters, Case):
    destination = SqliteThatRefuses

    def test_state_and_rows_in_one_file(self):
        """A letter is written while nothing else is open there."""
        self.state = ["--state", self.out.url()]
        self.tables()
        self.out.refuse()
        self.assertEqual(self.extract()["refused"], len(self.refused))
        self.dlq("replay", code=7)
        self.assertEqual(len(self.letters()), len(self.refused))
        self.out.relent()
        self.dlq("replay")
        self.assertEqual((self.letters(), self.there()), ([], self.ids))


class InPostgres(Letters, Case):
    destination = PostgresThatRefuses

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        Postgres.server = PostgresServer(cls.top / "pg")

    @classmethod
    def tearDownClass(cls):
        Postgres.server.stop()
        super().tearDownClass()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""State as a whole, as a user moves it: lists, copies between stores of every kind, backups.

A job that was half done goes on from the copy and leaves each row once; a copy that is killed at
random moments can be made again; newer or other state, and a job that is being run, are refused
with nothing changed.
"""
import json
import os
import random
import re
import subprocess

from kit import PASSWORD, Case, PostgresServer, Redis, main, rows, start, tgdata, wait_for
from s3 import S3, Dynamodb

KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "20"))
SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
BUILT_IN = tgdata("version").out


class StateCase(Case):
    sim_args = ("--chats", "8", "--messages", "1500", "--seed", "21")
    env = PASSWORD

    def setUp(self):
        super().setUp()
        self.session_file = self.session()

    def sqlite(self, name="state.db"):
        return f"sqlite:{self.dir}/{name}"

    def extract(self, *chats, state, job="job", code=0, more=()):
        words = self.extract_args(*chats, session=self.session_file, state=state, job=job,
                                  more=["--batch-size", 100, "--checkpoint-interval", 200,
                                        "--in-flight", 2, *more])
        done = tgdata(*words, env=self.env)
        self.assertEqual(done.code, code, done)
        return done

    def state(self, *words, code=0):
        done = tgdata("state", *words, env=self.env)
        self.assertEqual(done.code, code, done)
        return done

    def refused(self, code, told, *words):
        done = tgdata("state", *words, env=self.env)
        self.check_fails(done, code, told)
        return done

    def listed(self, state):
        return {job["job"]: job for job in self.state("list", state, "--json").json()}

    def items(self, state):
        """What a store holds, as a backup has it, but for the tokens."""
        file = self.dir / f"items-{random.random()}"
        self.state("backup", state, file)
        lines = file.read_text(encoding="utf-8").splitlines()
        return sorted(line for line in lines[1:-1] if not line.startswith('{"lease"'))

    def checkpoints(self, state):
        done = tgdata("checkpoints", "list", "--state", state, "--json", env=self.env)
        self.assertEqual(done.code, 0, done)
        return done.json()

    def proves(self, state):
        done = tgdata("verify", *self.account_args(self.session_file), "--state", state, "--job",
                      "job", "--json", env=self.env)
        self.assertEqual(done.code, 0, done)

    def all_chats(self):
        chats = self.sim.chats(self.sim.account())
        grown_from = {c["migrated_from"] for c in chats}
        return [c for c in chats if c["id"] not in grown_from]

    def names(self):
        return [str(c["id"]) for c in self.all_chats()]


class Copies(StateCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.redis = Redis(cls.top / "redis") if "hiredis" in BUILT_IN else None
        cls.postgres = PostgresServer(cls.top / "pg") if "libpq" in BUILT_IN else None
        there = S3.is_installed() and "store s3" in BUILT_IN
        cls.s3 = S3(cls.top / "s3") if there else None
        there = Dynamodb.program.exists() and "store dynamodb" in BUILT_IN
        cls.dynamodb = Dynamodb(cls.top / "dynamodb") if there else None

    @classmethod
    def tearDownClass(cls):
        for server in (cls.redis, cls.postgres, cls.s3, cls.dynamodb):
            if server:
                server.stop()
        super().tearDownClass()

    def stores(self):
        """One of each kind, by a name that is this test's."""
        name = re.sub(r"\W", "_", self.id().rsplit(".", 1)[-1])[:40]
        found = [self.sqlite(), self.sqlite("second.db")]
        if self.redis:
            found.append(f"{self.redis.url()}?prefix={name}")
        if self.postgres:
            found.append(f"postgres:{self.postgres.address()}?prefix={name}")
        if self.s3:
            found.append(f"s3://bucket/{name}?endpoint={self.s3.endpoint}")
        if self.dynamodb:
            found.append(f"dynamodb://{name}?create=yes&endpoint={self.dynamodb.endpoint}")
        return found

    def test_a_job_goes_round_all_stores(self):
        """A chat is read with each store, the next with the next; at the end all are whole."""
        stores, names = self.stores(), self.names()
        round_trip = [*stores, stores[0]]
        for i, state in enumerate(round_trip):
            self.extract(names[i], state=state)
            before = self.checkpoints(state)
            if i + 1 == len(round_trip):
                break
            there = round_trip[i + 1]
            want = self.items(state)
            told = self.state("copy", state, there).out
            self.assertIn("1 job", told)
            self.assertEqual(self.items(there), want)
            self.assertEqual(self.checkpoints(there), before)
            moved = self.extract(names[i], state=state, code=9)
            self.check_fails(moved, 9, "moved to", "tgdata state copy")
            self.assertIn(there.split("?")[0], self.listed(state)["job"]["moved_to"])
            self.assertIsNone(self.listed(there)["job"]["moved_to"])
        self.extract("--all", state=stores[0])
        self.check_whole(self.all_chats())
        self.proves(stores[0])

    def test_killed_again_and_again(self):
        """The copy goes on where it was, from any store to any other."""
        stores, draw, kills = self.stores(), random.Random(SEED), 0
        self.extract("--all", state=stores[0], more=["--keep-checkpoints", 50])
        want = self.items(stores[0])
        at = 0
        while kills < KILLS:
            here, there = stores[at % len(stores)], stores[(at + 1) % len(stores)]
            process = start("state", "copy", here, there, env=self.env, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)
            try:
                err = process.communicate(timeout=draw.uniform(0, 0.15))[1]
                self.assertEqual(process.returncode, 0, err)
                self.assertEqual(self.items(there), want)
                at += 1
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                if self.listed(here)["job"]["moved_to"]:
                    self.assertEqual(self.items(there), want, f"kill {kills} of seed {SEED}")
                    at += 1
        last = stores[at % len(stores)]
        self.extract("--all", state=last)
        self.check_whole(self.all_chats())
        self.proves(last)

    def test_a_job_that_is_being_run(self):
        for state in self.stores():
            with self.subTest(state=state):
                words = self.extract_args(
                    "--all", session=self.session_file, to=f"ndjson:{self.dir}/{hash(state)}",
                    state=state, job="running", more=["--rate", "3"])
                run = start(*words, env=self.env, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
                try:
                    self.assertTrue(wait_for(lambda: self.is_run(state)))
                    self.refused(9, "is being run", "copy", state, self.sqlite("never.db"))
                    saved = self.dir / f"saved-{hash(state)}"
                    self.state("backup", state, saved)  # that may be made
                    self.refused(9, "is being run", "restore", saved, state)
                finally:
                    run.kill()
                    run.wait()
                self.state("copy", state, self.sqlite(f"copy-{hash(state)}.db"))

    def is_run(self, state):
        done = tgdata("state", "list", state, "--json", env=self.env)
        return done.code == 0 and any(job["owner"] for job in done.json())


class OneJob(StateCase):
    def test_newer_and_other_state_are_refused(self):
        first, second, names = self.sqlite(), self.sqlite("second.db"), self.names()
        self.extract(names[0], state=first)
        self.state("copy", first, second, "--keep")
        before = self.items(second)
        self.extract(names[0], state=first)  # adds nothing, but a checkpoint may be newer
        self.extract(names[1], state=first)
        self.refused(9, "state of", "copy", second, first)
        self.state("copy", first, second)
        self.assertNotEqual(self.items(second), before)

        other = self.sqlite("other.db")
        words = self.extract_args(names[0], session=self.session_file, state=other,
                                  to=f"ndjson:{self.dir}/elsewhere")
        self.assertEqual(tgdata(*words).code, 0)
        before = self.items(other)
        self.refused(9, "state of", "copy", second, other)
        self.assertEqual(self.items(other), before)
        self.assertIsNone(self.listed(second)["job"]["moved_to"])

    def test_a_job_stays_moved_where_a_copy_back_is_refused(self):
        first, second, other, names = self.sqlite(), self.sqlite("2.db"), self.sqlite("3.db"), \
            self.names()
        self.extract(names[0], state=first)
        self.state("copy", first, second)
        words = self.extract_args(names[1], session=self.session_file, state=other,
                                  to=f"ndjson:{self.dir}/elsewhere")
        self.assertEqual(tgdata(*words).code, 0)
        self.refused(9, "other state", "copy", other, first)
        self.assertEqual(self.listed(first)["job"]["moved_to"], second)
        self.extract(names[0], state=first, code=9)
        self.state("copy", second, first)
        self.extract(names[0], state=first)

    def test_one_of_several_jobs(self):
        first, second, names = self.sqlite(), self.sqlite("second.db"), self.names()
        for job in ("one", "two", "one.more"):
            words = self.extract_args(names[0], session=self.session_file, job=job,
                                      to=f"ndjson:{self.dir}/{job}")
            self.assertEqual(tgdata(*words).code, 0)
        self.state("copy", first, second, "--job", "one")
        self.assertEqual(set(self.listed(second)), {"one"})
        self.refused(3, "no state of job 'three'", "copy", first, second, "--job", "three")
        done = self.state("copy", first, second, "--json").json()
        self.assertEqual(done["jobs"], 2, "one was there")
        self.assertIn("already", self.state("copy", first, second).out)
        self.assertEqual(set(self.listed(second)), {"one", "two", "one.more"})
        self.assertEqual({j["moved_to"] for j in self.listed(first).values()}, {second})

    def test_a_backup_of_long_ago(self):
        """The destination has seen greater tokens since: the restored job goes on all the same."""
        state, file, names = self.sqlite(), self.dir / "saved", self.names()
        self.extract(names[0], state=state)
        chats = len(self.checkpoints(state))
        self.assertEqual(self.state("backup", state, file, "--json").json()["documents"], chats)
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        for name in names[1:4]:
            self.extract(name, state=state)
        restored = self.sqlite("restored.db")
        for _ in range(2):
            self.state("restore", file, restored)
        self.extract("--all", state=restored)
        self.check_whole(self.all_chats())
        self.proves(restored)
        self.refused(9, "is there already", "backup", state, file)
        self.refused(9, "state of", "restore", file, state)

    def test_files_that_are_damaged(self):
        state, file, names = self.sqlite(), self.dir / "saved", self.names()
        self.extract(names[0], state=state)
        self.state("backup", state, file)
        whole, draw = file.read_bytes(), random.Random(SEED)
        lines = whole.splitlines(keepends=True)
        bad = [b"", b"\n", whole[:-1], whole + b"\n", whole + lines[1], b"".join(lines[:-1]),
               b"".join(lines[1:]), b"".join([lines[0], *lines[2:]]), whole * 2,
               b"".join([lines[0], lines[2], lines[1], *lines[3:]]), b"x" * (4 << 20),
               whole.replace(b'"number"', b'"numbers"', 1)]
        for _ in range(40):
            at = draw.randrange(len(whole))
            bad.append(whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at + 1:])
        for i, damaged in enumerate(bad):
            with self.subTest(i=i):
                file.write_bytes(damaged)
                into = self.dir / f"{i}.db"
                done = tgdata("state", "restore", file, f"sqlite:{into}")
                self.check_fails(done, 8, "saved")
                self.assertFalse(into.exists(), "nothing was restored")
        file.write_bytes(whole.replace(b'"tgdata_state":1', b'"tgdata_state":2', 1))
        self.refused(8, "this program knows", "restore", file, self.sqlite("x.db"))

    def test_what_is_wrong_is_told(self):
        state = self.sqlite()
        self.extract(self.names()[0], state=state)
        for code, told, *words in (
                (2, "cannot 'move'", "move", state),
                (2, "takes 2 names", "copy", state),
                (2, "takes 1 name", "list", state, state),
                (2, "same state", "copy", state, state),
                (2, "no NOWHERE", "list", "env:NOWHERE"),
                (3, "none.db", "copy", self.sqlite("none.db"), self.sqlite("x.db")),
                (3, "none.db", "list", self.sqlite("none.db")),
                (3, "nofile", "restore", self.dir / "nofile", state),
                (2, "no name of a file", "backup", state, f"{self.dir}/"),
                (2, "job name", "copy", state, self.sqlite("x.db"), "--job", "a/b")):
            with self.subTest(words=words):
                self.refused(code, told, *words)
        self.assertFalse((self.dir / "x.db").exists())

    def test_the_environment_holds_a_url(self):
        state = self.sqlite()
        self.extract(self.names()[0], state=state)
        done = tgdata("state", "list", "env:MINE", env={"MINE": state})
        self.assertEqual(done.code, 0, done)
        self.assertIn("job", done.out)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Destinations that take rows and cursor in one transaction, as a user meets them.

The rows are those of the NDJSON files, field by field; a run that is killed at random moments,
again and again, leaves each row once; verify proves it, a rollback takes it back.
"""
import json
import os
import random
import sqlite3
import subprocess
import unittest

from kit import Case, Sim, main, rows, start, tgdata

KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "40"))
SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
TRUTH_VALUES = ("outgoing", "post", "silent", "pinned", "protected")
OF_THE_JOB = ("job_chat_id", "job_commit")


class Destination:
    """Where rows go, and how an independent reader sees them: as the JSON lines tell them."""

    def __init__(self, directory):
        self.dir = directory

    def url(self, **more):
        raise NotImplementedError

    def rows(self):
        raise NotImplementedError


class Sqlite(Destination):
    def url(self, **more):
        options = "&".join(f"{k}={v}" for k, v in more.items())
        return f"sqlite:{self.dir}/out.db" + (f"?{options}" if options else "")

    def read(self, sql):
        with sqlite3.connect(f"file:{self.dir}/out.db?mode=ro", uri=True) as db:
            db.row_factory = sqlite3.Row
            found = [dict(r) for r in db.execute(sql)]
        db.close()
        return found

    def rows(self):
        return self.read("SELECT * FROM messages") if (self.dir / "out.db").exists() else []


def as_json_line(row):
    """Without what is absent, and JSON read."""
    row = {k: v for k, v in row.items() if v is not None and k not in OF_THE_JOB}
    for name in TRUTH_VALUES:
        if row.pop(name):
            row[name] = True
    for name in ("entities", "media", "reactions", "action_data", "raw"):
        if name in row:
            row[name] = json.loads(row[name])
    return row


def in_order(found):
    return sorted(found, key=lambda r: (r["chat_id"], r.get("owner", 0), r["id"]))


class Contract:
    """The cases; a class below gives the destination."""

    sim_args = None
    destination = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sim = Sim(cls.top / "dc", "--chats", "8", "--messages", "1500", "--seed", "21",
                      "--latency-ms", "10")

    def setUp(self):
        super().setUp()
        self.out = self.destination(self.dir)

    def words(self, *chats, session=None, to=None, more=()):
        words = self.extract_args(*chats, session=session, more=[
            "--batch-size", 100, "--checkpoint-interval", 200, "--in-flight", 2, *more])
        words[words.index("--to") + 1] = to or self.out.url()
        return words

    def extract(self, *chats, code=0, **more):
        done = tgdata(*self.words(*chats, **more))
        self.assertEqual(done.code, code, done)
        return done

    def all_chats(self):
        chats = self.sim.chats(self.sim.account())
        grown_from = {c["migrated_from"] for c in chats}
        return [c for c in chats if c["id"] not in grown_from]

    def check_each_once(self):
        found = [(r["chat_id"], r["id"]) for r in self.out.rows()]
        self.assertEqual(sorted(found), sorted(self.sim.truth(self.all_chats())))

    def test_rows_are_those_of_the_files(self):
        session = self.session()
        self.extract("--all", session=session)
        done = tgdata(*self.extract_args("--all", session=session, job="files"))
        self.assertEqual(done.code, 0, done)
        self.check_each_once()
        self.assertEqual(in_order(map(as_json_line, self.out.rows())),
                         in_order(rows(self.dir / "out")))
        proof = self.verify(session)
        self.assertEqual(proof.code, 0, proof)

    def test_killed_again_and_again(self):
        session, draw, kills = self.session(), random.Random(SEED), 0
        while kills < KILLS:
            process = start(*self.words("--all", session=session), stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)
            try:
                err = process.communicate(timeout=draw.uniform(0, 0.4))[1]
                self.assertEqual(process.returncode, 0, err)
                self.check_each_once()
                self.dir = self.dir / "next"
                self.dir.mkdir()
                self.out = self.destination(self.dir)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                found = [(r["chat_id"], r["id"]) for r in self.out.rows()]
                self.assertEqual(len(found), len(set(found)), f"kill {kills} of seed {SEED}")
        self.extract("--all", session=session)
        self.check_each_once()
        proof = self.verify(session)
        self.assertEqual(proof.code, 0, proof)

    def test_a_rollback_takes_rows_back(self):
        session, chat = self.session(), self.sim.chat("supergroup")
        name = str(chat["id"])
        self.extract(name, session=session)
        whole = len(self.out.rows())
        state = ["--state", f"sqlite:{self.dir}/state.db", "--job", "job"]
        done = tgdata("checkpoints", "rollback", "--number", 2, *state, "--", name)
        self.assertEqual(done.code, 0, done)
        self.assertLess(len(self.out.rows()), whole)
        self.assertGreater(len(self.out.rows()), 0)
        self.extract(name, session=session)
        self.assertEqual(len(self.out.rows()), whole)

    def test_another_job_is_refused(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        self.extract(name, session=session)
        before = self.out.rows()
        words = self.words(name, session=session)
        words[words.index("--job") + 1] = "another"
        self.check_fails(tgdata(*words), 2, "job")
        self.assertEqual(self.out.rows(), before)


class ToSqlite(Contract, Case):
    destination = Sqlite

    def test_the_columns_are_useful(self):
        self.extract("--all", session=self.session())
        [row] = self.out.read("SELECT count(*) AS n, min(unixepoch(date)) AS first,"
                              " count(DISTINCT chat_id) AS chats FROM messages")
        self.assertEqual(row["n"], len(self.sim.truth(self.all_chats())))
        self.assertGreater(row["first"], 1_000_000_000)
        self.assertGreater(row["chats"], 4)

    def test_what_is_wrong_is_told(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        (self.dir / "no.db").write_bytes(b"this is no database, " * 100)
        for to, code, words in (
                ("sqlite:", 2, ["no file"]),
                ("sqlite:x.db?table=a-b", 2, ["'a-b' is no name"]),
                (f"sqlite:{self.dir}/none/x.db", 7, ["none"]),
                (f"sqlite:{self.dir}/no.db", 8, ["no.db"])):
            with self.subTest(to=to):
                self.check_fails(tgdata(*self.words(name, session=session, to=to)), code, *words)

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_a_file_that_may_not_be_written(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        self.extract(name, session=session)
        (self.dir / "out.db").chmod(0o444)
        self.check_fails(tgdata(*self.words(name, session=session)), 7, "may not be written")


if __name__ == "__main__":
    main()

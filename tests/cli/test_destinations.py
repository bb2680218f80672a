#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Destinations other than NDJSON files, as a user meets them.

The rows are those of the NDJSON files, field by field; a run that is killed at random moments,
again and again, leaves each row once; verify proves it, a rollback takes it back.
"""
import base64
import csv
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import time
import unittest

import duck
from kafka_kit import KafkaServer, rows_that_count
from kit import PASSWORD, Case, PostgresServer, Sim, main, rows, start, tgdata, wait_for
from s3 import S3

KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "0"))  # 0: as many as the class says
SERVER_KILLS = int(os.environ.get("TGDATA_TEST_SERVER_KILLS", "0"))
SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
TRUTH_VALUES = ("outgoing", "post", "silent", "pinned", "protected", "has_media")
OF_THE_JOB = ("job_chat_id", "job_commit", "job_note")


class Sqlite:
    """Where rows go, and how a reader of its own sees them."""

    def __init__(self, case):
        self.dir = case.dir

    def url(self):
        return f"sqlite:{self.dir}/out.db"

    def read(self, sql):
        # one that was killed while it began leaves a journal, which a reader must be able to undo
        with sqlite3.connect(f"file:{self.dir}/out.db?mode=rw", uri=True) as db:
            db.row_factory = sqlite3.Row
            found = [dict(r) for r in db.execute(sql)]
        db.close()
        return found

    def rows(self):
        if not (self.dir / "out.db").exists():
            return []
        made = self.read("SELECT 1 FROM sqlite_master WHERE name = 'messages'")
        return self.read("SELECT * FROM messages") if made else []  # killed before it had tables


class Csv:
    """Read by the grammar of RFC 4180, strictly, which tells no value and empty text apart."""

    FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n)')
    TYPES = {f["name"]: f["type"] for f in tgdata("schema", "--json").json()["fields"]}
    AS = {"integer": int, "boolean": {"true": True, "false": False}.get, "json": json.loads}

    def __init__(self, case):
        self.dir = case.dir
        self.newline = case.newline

    def url(self):
        return f"csv:{self.dir}/csv" + ("?newline=lf" if self.newline == "\n" else "")

    def parts(self):
        return sorted((self.dir / "csv").glob("chat_*/part-*.csv"))

    def records(self, part):
        text, at, record = part.read_bytes().decode("utf-8"), 0, []
        while at < len(text):
            found = self.FIELD.match(text, at)
            assert found, f"{part} is no CSV at {at}"
            quoted, plain, end = found.groups()
            record.append(plain or None if quoted is None else quoted.replace('""', '"'))
            at = found.end()
            if end != ",":
                assert end == self.newline, f"{part} ends a line otherwise at {at}"
                yield record
                record = []

    def rows(self):
        found = []
        for part in self.parts():
            names, *records = self.records(part)
            for record in records:
                assert len(record) == len(names), record
                row = {k: v for k, v in zip(names, record) if v is not None}
                found.append({k: self.AS.get(self.TYPES[k], str)(v) for k, v in row.items()}
                             | {k: k in row for k in TRUTH_VALUES})
        return found


class Parquet:
    """Read by DuckDB."""

    options = ""

    def __init__(self, case):
        self.dir = case.dir

    def url(self):
        return f"parquet:{self.dir}/parquet{self.options}"

    def parts(self):
        return sorted((self.dir / "parquet").glob("chat_*/part-*.parquet"))

    def read(self, sql):
        return duck.Duck.ask(sql.replace("FILES", f"'{self.dir}/parquet/chat_*/*.parquet'"))

    def rows(self):
        return self.read("select * from FILES") if self.parts() else []


class Duckdb:
    def __init__(self, case):
        self.dir = case.dir

    def url(self):
        return f"duckdb:{self.dir}/out.duckdb"

    def read(self, sql):
        return duck.Duck.ask(sql, self.dir / "out.duckdb")

    def rows(self):
        if not (self.dir / "out.duckdb").exists():
            return []
        made = self.read("select 1 as made from duckdb_tables() where table_name = 'messages'")
        return self.read("select * from messages") if made else []


class Postgres:
    server, made = None, 0  # the server is its class's

    def __init__(self, case):
        type(self).made += 1
        self.table = f"t{self.made}"

    def url(self):
        return f"postgres:{self.server.address()}?table={self.table}"

    def rows(self):
        if self.server.psql(f"select to_regclass('{self.table}')") == "\n":
            return []
        names = ", ".join(["date", "edit_date", "forward_date"])
        found = json.loads(self.server.psql(
            f"select coalesce(json_agg(to_jsonb(m)), '[]') from {self.table} m"))
        for row in found:
            for name in names.split(", "):
                if row[name]:
                    row[name] = row[name].replace("+00:00", "Z")
        return found


class Kafka:
    server, made = None, 0  # the server is its class's

    def __init__(self, case):
        type(self).made += 1
        self.topic = f"t{self.made}"

    def url(self):
        return f"kafka://127.0.0.1:{self.server.port}/{self.topic}?create=3&timeout=5s"

    def messages(self):
        return self.server.messages(self.topic)

    def rows(self):
        return [dict.fromkeys(TRUTH_VALUES, False) | json.loads(m["payload"])
                for m in rows_that_count(self.messages())]


def as_json_line(row):
    """Without what is absent, and JSON read."""
    row = {k: v for k, v in row.items() if v is not None and k not in OF_THE_JOB}
    for name in TRUTH_VALUES:
        if row.pop(name):
            row[name] = True
    for name in ("entities", "media", "reactions", "action_data", "raw"):
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    return row


def in_order(found):
    return sorted(found, key=lambda r: (r["chat_id"], r.get("owner", 0), r["id"]))


class S3Objects:
    """Read as documented: the files that manifests name, whose digests are right."""

    server, made = None, 0  # the server is its class's
    of = "ndjson"

    def __init__(self, case):
        S3Objects.made += 1
        self.prefix = f"out{self.made}"

    def url(self):
        format_of = "" if self.of == "ndjson" else f"&format={self.of}"
        return f"s3://bucket/{self.prefix}?endpoint={self.server.endpoint}{format_of}"

    def files(self):
        """Manifests, and the bytes that each names."""
        objects = self.server.read(self.prefix + "/")
        for key, text in objects.items():
            if not key.endswith(".json"):
                continue
            manifest = json.loads(text.splitlines()[-1])
            if "file" not in manifest:
                continue  # a claim, perhaps with a cursor
            data = objects[f"{key.rsplit('/', 1)[0]}/{manifest['file']}"]
            data = data.encode() if self.of == "ndjson" else base64.b64decode(data)
            assert hashlib.sha256(data).hexdigest() == manifest["sha256"]
            yield manifest, data

    def rows(self):
        found = []
        for manifest, data in self.files():
            lines = data.decode().split("\n")[:-1]
            assert len(lines) == manifest["rows"]
            for row in map(json.loads, lines):
                found.append(row | {k: k in row for k in TRUTH_VALUES})
        return found


class S3Parquet(S3Objects):
    """The same as Parquet, read by DuckDB."""

    of = "parquet"

    def __init__(self, case):
        super().__init__(case)
        self.dir = case.dir

    def rows(self):
        found = []
        for manifest, data in self.files():
            copy = self.dir / "part.parquet"
            copy.write_bytes(data)
            rows_of_it = duck.Duck.ask(f"select * from '{copy}'")
            assert len(rows_of_it) == manifest["rows"]
            found += rows_of_it
        return found


class Contract:
    """The cases; a class below gives the destination."""

    sim_args = None
    destination = None
    default_kills = 20
    kill_within_s = 0.4
    begin_s = None  # that a run takes until it asks for messages
    merges = False  # changes: it has one row of a message
    env = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sim = Sim(cls.top / "dc", "--chats", "8", "--messages", "1500", "--seed", "21",
                      "--latency-ms", "10")

    def setUp(self):
        super().setUp()
        self.out = self.destination(self)

    def words(self, *chats, session=None, to=None, more=()):
        words = self.extract_args(*chats, session=session, more=[
            "--batch-size", 100, "--checkpoint-interval", 200, "--in-flight", 2, *more])
        words[words.index("--to") + 1] = to or self.out.url()
        return words

    def extract(self, *chats, code=0, **more):
        done = tgdata(*self.words(*chats, **more), env=self.env)
        self.assertEqual(done.code, code, done)
        return done

    def proves(self, session):
        proof = tgdata("verify", *self.account_args(session), "--state",
                       f"sqlite:{self.dir}/state.db", "--job", "job", "--json", env=self.env)
        self.assertEqual(proof.code, 0, proof)

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
        self.proves(session)

    def kill_time(self, draw):
        """Some before anything was asked, most while rows are written, on a busy machine too."""
        if self.begin_s is None:
            begun = time.monotonic()
            self.assertEqual(tgdata("chats", *self.account_args()).code, 0)
            type(self).begin_s = time.monotonic() - begun
        return draw.uniform(0, self.begin_s + self.kill_within_s)

    def finish(self, session):
        """The run goes on to its end; then with an empty place."""
        self.extract("--all", session=session)
        self.check_each_once()
        self.proves(session)
        self.fresh_dir()
        self.out = self.destination(self)

    def was_cut(self, session, kill):
        """@return whether the kill had left something to write"""
        found = [(r["chat_id"], r["id"]) for r in self.out.rows()]
        self.assertEqual(len(found), len(set(found)), f"kill {kill} of seed {SEED}")
        whole = len(found) == len(self.sim.truth(self.all_chats()))
        if whole:
            self.finish(session)
        return not whole

    def test_killed_again_and_again(self):
        draw, kills = random.Random(SEED), 0
        self.kill_time(draw)
        session = self.session()
        while kills < (KILLS or self.default_kills):
            process = start(*self.words("--all", session=session), env=self.env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                err = process.communicate(timeout=self.kill_time(draw))[1]
                self.assertEqual(process.returncode, 0, err)
                self.finish(session)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += self.was_cut(session, kills)
        self.finish(session)

    def test_a_rollback_takes_rows_back(self):
        session, chat = self.session(), self.sim.chat("supergroup")
        name = str(chat["id"])
        self.extract(name, session=session)
        whole = len(self.out.rows())
        state = ["--state", f"sqlite:{self.dir}/state.db", "--job", "job"]
        done = tgdata("checkpoints", "rollback", "--number", 2, *state, "--", name,
                      env=self.env)
        self.assertEqual(done.code, 0, done)
        self.assertLess(len(self.out.rows()), whole)
        self.assertGreater(len(self.out.rows()), 0)
        self.extract(name, session=session)
        self.assertEqual(len(self.out.rows()), whole)

    # ---- changes ----

    def live(self):
        """A world of this test, in which changes happen when it wants them. @return the words that
        every run needs"""
        self.sim = Sim(self.dir / "live", "--chats", "6", "--messages", "150", "--seed", "21",
                       "--live", "0/burst=200,mass=3")
        self.addCleanup(self.sim.stop)
        session = self.dir / "live.session"
        self.login(session)
        return [*self.account_args(session), "--job", "job", "--lease", "1s", "--progress", "none"]

    def happen(self):
        def lines():
            return (self.sim.dir / "changes.txt").read_text(encoding="ascii").count("\n")

        before = lines()
        self.sim.process.send_signal(signal.SIGUSR2)
        self.assertTrue(wait_for(lambda: lines() >= before + 200))

    def ask(self, *words, code=0):
        done = tgdata(*words, env=self.env)
        self.assertEqual(done.code, code, done)
        return done

    def check_present(self, ids, words, n):
        """What the rows come to is what an extraction of now has."""
        last = {}
        for row in map(as_json_line, self.out.rows()):
            key = row["chat_id"], row.get("owner", 0), row["id"]
            if key not in last or last[key]["change_seq"] <= row["change_seq"]:
                last[key] = row
        files = f"{self.dir}/read{n}"
        self.ask("extract", *ids, *words, "--to", f"ndjson:{files}",
                 "--state", f"sqlite:{files}.db")
        self.assertEqual(*[sorted((r["chat_id"], r["id"], r["content_hash"], r.get("edit_date", ""),
                                   json.dumps(r.get("reactions"), sort_keys=True))
                                  for r in found if r["chat_id"] in ids)
                           for found in ([r for r in last.values() if r.get("change") != "deleted"],
                                         rows(pathlib.Path(files)))])

    def test_changes_come_to_what_is_there(self):
        words = self.live()
        ids = [c["id"] for c in self.all_chats()]
        state = ["--state", f"sqlite:{self.dir}/state.db"]
        delta = ["delta", *ids, *words, *state, "--to", self.out.url()]
        for n in range(3):
            self.ask(*delta)
            self.check_present(ids, words, n)
            self.happen()
        of_job = [*state, "--job", "job"]
        numbers = [c["tgdata"]["number"] for c in self.ask(
            "checkpoints", "show", "changes", *of_job, "--json").json()]
        back = ["checkpoints", "rollback", "changes", *of_job, "--number"]
        self.ask(*back, numbers[-2], code=2 if self.merges else 0)
        for n, number in ((3, None), (4, 0)):
            if number is not None:
                self.ask(*back, number)
            self.ask(*delta)
            self.check_present(ids, words, n)
        self.ask("verify", *words[:4], *of_job)

    def test_changes_killed_again_and_again(self):
        """Between the commit of a destination and what the job remembers, too."""
        words, draw = self.live(), random.Random(SEED)
        ids = [c["id"] for c in self.all_chats()]
        delta = ["delta", *ids, *words, "--state", f"sqlite:{self.dir}/state.db", "--to",
                 self.out.url(), "--batch-size", 40]
        for kill in range(KILLS or self.default_kills // 2):
            process = start(*delta, env=self.env, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)
            try:
                err = process.communicate(timeout=draw.uniform(0, 0.2 + self.kill_within_s))[1]
                self.assertEqual(process.returncode, 0, f"kill {kill} of seed {SEED}: {err}")
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            if draw.random() < 0.5:
                self.happen()
        self.ask(*delta)
        self.check_present(ids, words, 0)
        self.ask("verify", *words[:4], "--state", f"sqlite:{self.dir}/state.db", "--job", "job")

    def test_another_job_is_refused(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        self.extract(name, session=session)
        before = self.out.rows()
        words = self.words(name, session=session)
        words[words.index("--job") + 1] = "another"
        self.check_fails(tgdata(*words, env=self.env), 2, "job")
        self.assertEqual(self.out.rows(), before)


class ToSqlite(Contract, Case):
    destination, merges = Sqlite, True

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


class ToCsv(Contract, Case):
    destination, newline = Csv, "\r\n"

    def test_others_read_the_same(self):
        """Python's csv module and the sqlite3 program, for which no value is an empty text."""
        self.extract("--all", session=self.session())
        for part in self.out.parts():
            want = [["" if v is None else v for v in r] for r in self.out.records(part)]
            with part.open(encoding="utf-8", newline="") as text:
                self.assertEqual(list(csv.reader(text, strict=True)), want)
            shown = subprocess.run(["sqlite3", "-batch", ":memory:", ".mode json",
                                    f".import --csv '{part}' m", "select * from m"],
                                   check=True, capture_output=True, text=True)
            self.assertEqual(shown.stderr, "")
            self.assertEqual([list(r.values()) for r in json.loads(shown.stdout)], want[1:])

    def test_what_is_wrong_is_told(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        for to, code, words in (
                ("csv:", 2, ["no directory", "csv:DIR"]),
                ("csv:x?newline=cr", 2, ["newline", "crlf"]),
                ("csv://x", 2, ["no path"])):
            with self.subTest(to=to):
                self.check_fails(tgdata(*self.words(name, session=session, to=to)), code, *words)

    def test_files_of_another_format_are_kept(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        files = f"ndjson:{self.dir}/csv"
        self.extract(name, session=session, to=files)
        before = {p: p.read_bytes() for p in (self.dir / "csv").glob("*/*")}
        words = self.words(name, session=session)
        words[words.index("--state") + 1] = f"sqlite:{self.dir}/other.db"
        self.check_fails(tgdata(*words), 2, "another format")
        self.assertEqual({p: p.read_bytes() for p in (self.dir / "csv").glob("*/*")}, before)


@unittest.skipUnless(duck.there(), "tests/interop/setup readers installs it")
class ToParquet(Contract, Case):
    destination = Parquet

    @classmethod
    def tearDownClass(cls):
        duck.Duck.end()
        super().tearDownClass()

    def test_the_columns_are_useful(self):
        self.extract("--all", session=self.session())
        [row] = self.out.read("select count(*) as n, min(epoch(date)) as first, count(distinct"
                              " chat_id) as chats, any_value(typeof(date)) as time,"
                              " any_value(typeof(entities)) as json from FILES")
        self.assertEqual(row["n"], len(self.sim.truth(self.all_chats())))
        self.assertGreater(row["first"], 1_000_000_000)
        self.assertGreater(row["chats"], 4)
        self.assertEqual((row["time"], row["json"]), ("TIMESTAMP WITH TIME ZONE", "JSON"))

    def test_others_read_the_same(self):
        """Arrow, pandas and polars, which share no code with DuckDB."""
        self.extract("--all", session=self.session())
        want = in_order(map(as_json_line, self.out.rows()))
        for name in ("arrow", "pandas", "polars"):
            with self.subTest(reader=name):
                found = json.loads(duck.run(OTHERS, name, self.dir / "parquet").stdout)
                self.assertEqual(in_order(map(as_json_line, found)), want)

    def test_row_groups_are_bounded(self):
        self.out.options = "?row-group=50&compress=none"
        self.extract("--all", session=self.session())
        self.check_each_once()
        [row] = self.out.read("select max(row_group_num_rows) as most, count(distinct compression)"
                              " as codecs, any_value(compression) as codec"
                              " from parquet_metadata(FILES)")
        self.assertEqual(row, {"most": 50, "codecs": 1, "codec": "UNCOMPRESSED"})

    def test_what_is_wrong_is_told(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        for to, code, words in (
                ("parquet:", 2, ["no directory", "parquet:DIR"]),
                ("parquet:x?compress=lzo", 2, ["compress", "zstd"]),
                ("parquet:x?row-group=0", 2, ["row-group", "1"])):
            with self.subTest(to=to):
                self.check_fails(tgdata(*self.words(name, session=session, to=to)), code, *words)

    def test_a_part_that_was_changed_is_told(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        self.extract(name, session=session)
        part = self.out.parts()[0]
        part.write_bytes(part.read_bytes()[:-9])
        proof = tgdata("verify", *self.account_args(session), "--state",
                       f"sqlite:{self.dir}/state.db", "--job", "job")
        self.assertEqual(proof.code, 10, proof)
        self.assertIn(f"{part.name}' has another size", proof.out)


@unittest.skipUnless(duck.there() and duck.LIBRARY.exists(),
                     "tests/interop/setup readers duckdb installs them")
class ToDuckdb(Contract, Case):
    destination, env, merges = Duckdb, {"TGDATA_DUCKDB": str(duck.LIBRARY)}, True

    @classmethod
    def tearDownClass(cls):
        duck.Duck.end()
        super().tearDownClass()

    def test_the_columns_are_useful(self):
        self.extract("--all", session=self.session())
        [row] = self.out.read("select count(*) as n, min(epoch(date)) as first, count(distinct"
                              " chat_id) as chats, any_value(typeof(reactions)) as json,"
                              " count(*) filter (entities->>'$[0].type' = 'bold') as bold"
                              " from messages")
        self.assertEqual(row["n"], len(self.sim.truth(self.all_chats())))
        self.assertGreater(row["first"], 1_000_000_000)
        self.assertGreater(row["chats"], 4)
        self.assertEqual(row["json"], "JSON")
        self.assertGreater(row["bold"], 0)

    def test_a_file_that_another_process_has_is_waited_for(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        self.extract(name, session=session)
        holder = subprocess.Popen(
            [duck.READERS, "-c", "import duckdb, sys; db = duckdb.connect(sys.argv[1]);"
             "print('open', flush=True); sys.stdin.read()", self.dir / "out.duckdb"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(holder.stdout.close)
        holder.stdout.readline()
        try:
            words = self.words("--all", session=session,
                               to=self.out.url() + "?busy-timeout=200ms")
            self.check_fails(tgdata(*words, env=self.env), 7, "Could not set lock", "one process")
            run = start(*self.words("--all", session=session), env=self.env,
                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        finally:
            holder.stdin.close()
            holder.wait()
        err = run.communicate(timeout=120)[1]
        self.assertEqual(run.returncode, 0, err)
        self.check_each_once()

    def test_what_is_wrong_is_told(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        (self.dir / "no.db").write_bytes(b"this is no database, " * 1000)
        (self.dir / "no.so").write_bytes(b"this is no library")
        libc = subprocess.run(["ldd", duck.LIBRARY], check=True, capture_output=True, text=True)
        libc = re.search(r"libc\.so\.6 => (\S+)", libc.stdout)[1]
        for to, library, code, words in (
                ("duckdb:", None, 2, ["no file"]),
                ("duckdb:x.db?table=a-b", None, 2, ["'a-b' is no name"]),
                (f"duckdb:{self.dir}/none/x.db", None, 7, ["none"]),
                (f"duckdb:{self.dir}/no.db", None, 8, ["no.db"]),
                (f"duckdb:{self.dir}/x.db", f"{self.dir}/none.so", 4,
                 ["cannot be loaded", "none.so", "TGDATA_DUCKDB"]),
                (f"duckdb:{self.dir}/x.db", f"{self.dir}/no.so", 4, ["cannot be loaded", "no.so"]),
                (f"duckdb:{self.dir}/x.db", libc, 4, ["is no library of DuckDB", "libc.so.6"])):
            with self.subTest(to=to, library=library):
                env = {"TGDATA_DUCKDB": library} if library else self.env
                done = tgdata(*self.words(name, session=session, to=to), env=env)
                self.check_fails(done, code, *words)


OTHERS = """
import datetime, json, sys, glob
reader, files = sys.argv[1], sorted(glob.glob(sys.argv[2] + "/chat_*/*.parquet"))
if reader == "arrow":
    import pyarrow.parquet as pq
    found = [r for f in files for r in pq.read_table(f).to_pylist()]
elif reader == "pandas":
    import pandas as pd
    all = pd.concat([pd.read_parquet(f, dtype_backend="pyarrow") for f in files])
    found = all.astype(object).where(all.notna(), None).to_dict("records")
else:
    import polars as pl
    found = pl.concat([pl.read_parquet(f) for f in files]).to_dicts()
def plain(v):
    if isinstance(v, datetime.datetime):
        return v.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return v.decode() if isinstance(v, bytes) else v  # JSON in polars
json.dump([{k: plain(v) for k, v in r.items()} for r in found], sys.stdout)
"""


TEXTS = ['"', '""', '","', "a,b", 'a"b', '"a"', "a\nb", "a\r\nb", "a\rb", "\n", ",", " a", "a ",
         "\ta", "'a'", "\\", '\\"', "\\n", "NULL", "👍,\"é\"\n👩‍👩‍👧", "\u2028", "x" * 4000 + '"\n',
         "1", "true", "=1+1", "\ufeffa"]  # NUL: tests/unit/sink_csv.c


DUCKDB = """
select * replace (chat_id::bigint as chat_id, id::bigint as id, owner::bigint as owner)
from read_csv('FILES', all_varchar = true, allow_quoted_nulls = false)
"""


def as_texts(row):
    """A row of NDJSON as CSV has it, but for the three numbers that it is known by."""
    def text(name, value):
        if name in ("chat_id", "id", "owner") or isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return {k: text(k, v) for k, v in row.items()}


class CsvOfAnyText(Case):
    """Texts that need quotes, through the wire, as others read them."""

    @classmethod
    def setUpClass(cls):
        cls.sim_args = None
        super().setUpClass()
        messages = [{"id": i, "type": "message", "date": "2024-01-15T10:30:00",
                     "date_unixtime": "1705314600", "from": 'Anna "A", B', "from_id": "user111",
                     "text": text, "text_entities": [{"type": "plain", "text": text}]}
                    for i, text in enumerate(TEXTS, 1)]
        export = cls.top / "result.json"
        export.write_text(json.dumps({"name": "Texts", "type": "private_supergroup", "id": 98,
                                      "messages": messages}), encoding="utf-8")
        cls.sim = Sim(cls.top / "dc", "--chats", "2", "--messages", "10", "--import", export)

    @classmethod
    def tearDownClass(cls):
        duck.Duck.end()
        super().tearDownClass()

    def extract(self):
        session = self.session()
        for to in (f"ndjson:{self.dir}/out", f"csv:{self.dir}/csv",
                   f"csv:{self.dir}/lf?newline=lf"):
            words = self.extract_args("--all", session=session, job=to[:3] + to[-2:])
            words[words.index("--to") + 1] = to
            done = tgdata(*words)
            self.assertEqual(done.code, 0, done)

    def test_they_arrive_as_they_are(self):
        self.extract()
        want = {(r["chat_id"], r["id"]): (r.get("text", ""), r.get("sender_name", ""))
                for r in rows(self.dir / "out")}
        self.assertLessEqual(set(TEXTS), {text for text, _ in want.values()})
        for out in ("csv", "lf"):
            found = {}
            for part in (self.dir / out).glob("chat_*/part-*.csv"):
                with part.open(encoding="utf-8", newline="") as text:
                    for r in csv.DictReader(text, strict=True):
                        found[int(r["chat_id"]), int(r["id"])] = (r["text"], r["sender_name"])
            self.assertEqual(found, want)


    @unittest.skipUnless(duck.there(), "tests/interop/setup readers installs it")
    def test_duckdb_reads_the_same_rows(self):
        self.extract()
        for out in ("csv", "lf"):
            read = duck.Duck.ask(DUCKDB.replace("FILES", f"{self.dir}/{out}/chat_*/*.csv"))
            found = [{k: v for k, v in r.items() if v is not None} for r in read]
            self.assertEqual(in_order(found), in_order(map(as_texts, rows(self.dir / "out"))))


class ToCsvOfUnix(ToCsv, Case):
    newline = "\n"
    test_killed_again_and_again = test_files_of_another_format_are_kept = None


class OfAServer:
    """The cases of a destination that is a server, which may be killed."""

    default_server_kills = 4

    def test_the_server_is_killed_again_and_again(self):
        draw, kills = random.Random(SEED + 1), 0
        self.kill_time(draw)
        session = self.session()
        while kills < (SERVER_KILLS or self.default_server_kills):
            process = start(*self.words("--all", session=session), env=self.env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                err = process.communicate(timeout=0.1 + self.kill_time(draw))[1]
                self.assertEqual(process.returncode, 0, err)
                self.finish(session)
            except subprocess.TimeoutExpired:
                self.server.kill()
                kills += 1
                self.server.start()
                process.communicate(timeout=120)
                self.was_cut(session, kills)
        self.finish(session)

    def test_a_server_that_is_away_for_a_while_is_waited_for(self):
        session, log = self.session(), self.dir / "log"
        with log.open("wb") as err:
            run = start(*self.words("--all", session=session, more=[
                "--circuit-failures", 2, "--recovery-timeout", "1s", "--workers", 3, "--rate", 8]),
                        env=self.env, stdout=subprocess.DEVNULL, stderr=err)
        try:
            self.assertTrue(wait_for(self.out.rows))
            self.server.kill()
            self.assertTrue(wait_for(lambda: "of the destination: closed to open"
                                     in log.read_text(encoding="utf-8")))
            self.assertIsNone(run.poll(), log.read_text(encoding="utf-8"))
            self.server.start()
            self.assertEqual(run.wait(120), 0, log.read_text(encoding="utf-8"))
            self.assertIn("half_open to closed", log.read_text(encoding="utf-8"))
        finally:
            run.kill()
            run.wait()
            if not self.server.is_up():
                self.server.start()
        self.check_each_once()
        self.proves(session)


class ToPostgres(OfAServer, Contract, Case):
    destination, env, merges = Postgres, PASSWORD, True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Postgres.server = PostgresServer(cls.top / "pg")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def test_state_and_rows_in_one_database(self):
        session = self.session()
        words = self.words("--all", session=session)
        state = f"postgres:{self.server.address()}"
        words[words.index("--state") + 1] = state
        for _ in range(8):
            process = start(*words, env=self.env, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
            try:
                process.communicate(timeout=0.4)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        done = tgdata(*words, env=self.env)
        self.assertEqual(done.code, 0, done)
        self.check_each_once()
        proof = tgdata("verify", *self.account_args(session), "--state", state, "--job", "job",
                       env=self.env)
        self.assertEqual(proof.code, 0, proof)
        told = tgdata("checkpoints", "list", "--state", state, env=self.env)
        self.assertEqual(told.code, 0, told)
        self.assertIn("job", told.out)

    def test_what_is_wrong_is_told(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        at = f"127.0.0.1:{self.server.port}"
        for to, code, words in (
                (f"postgres://tg:secret@{at}/test", 2, ["password"]),
                (f"postgres://tg@{at}/nowhere", 7, ["nowhere"]),
                (f"postgres://nobody@{at}/test", 7, ["authentication", "PGPASSWORD"]),
                (f"postgres://tg@{at}/test?schema=nowhere", 7, ["nowhere"])):
            with self.subTest(to=to):
                done = tgdata(*self.words(name, session=session, to=to), env=self.env)
                self.check_fails(done, code, *words)
                self.assertNotIn("secret", done.err.replace(to, ""))


class ToKafka(OfAServer, Contract, Case):
    destination = Kafka

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Kafka.server = KafkaServer(cls.top / "kafka")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def test_an_older_run_with_a_state_of_its_own_is_shut_out(self):
        """Two runs of one job that know nothing of each other: the later one goes on, once each."""
        session = self.session()
        older = self.words("--all", session=session, more=["--rate", 4])
        older[older.index("--state") + 1] = f"sqlite:{self.dir}/older.db"
        log = self.dir / "log"
        with log.open("wb") as err:
            run = start(*older, stdout=subprocess.DEVNULL, stderr=err)
        try:
            self.assertTrue(wait_for(self.out.rows))
            session = self.dir / "two.session"
            self.login(session)
            self.extract("--all", session=session)
            self.assertEqual(run.wait(120), 9, log.read_text(encoding="utf-8"))
        finally:
            run.kill()
            run.wait()
        self.assertIn("taken over by another run", log.read_text(encoding="utf-8"))
        self.check_each_once()
        self.proves(session)

    def test_what_is_wrong_is_told(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        at = f"127.0.0.1:{self.server.port}"
        for to, code, words in (
                (f"kafka://tg:secret@{at}/x", 2, ["password", "KAFKA_USERNAME"]),
                (f"kafka://{at}", 2, ["topic", "HOST:PORT"]),
                (f"kafka://{at}/nowhere", 7, ["nowhere", "create="]),
                (f"kafka://{at}/x?format=csv", 2, ["format", "debezium"]),
                (f"kafka://127.0.0.1:{self.server.tls_port}/x?tls&sasl=plain", 2,
                 ["KAFKA_PASSWORD"])):
            with self.subTest(to=to):
                done = tgdata(*self.words(name, session=session, to=to), env=self.env)
                self.check_fails(done, code, *words)
                self.assertNotIn("secret", done.err.replace(to, ""))

    def test_letters_written_again_are_no_duplicates(self):
        """They stand behind the rows that came after them."""
        session, chat = self.session(), self.sim.chat("channel")
        state = ["--state", f"sqlite:{self.dir}/state.db"]
        self.server.restart(message_max_bytes=3960)
        self.extract(str(chat["id"]), session=session)
        kept = len(self.out.rows())
        self.assertIn(kept, range(chat["messages"] // 2, chat["messages"]))
        self.server.restart(message_max_bytes=1048588)
        done = tgdata("dlq", "replay", *state)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(sorted((r["chat_id"], r["id"]) for r in self.out.rows()),
                         sorted(self.sim.truth([chat])))
        self.proves(session)

    def test_a_chat_stands_in_order_in_one_partition(self):
        self.extract("--all", session=self.session())
        chats = {}
        for m in self.out.messages():
            chats.setdefault(m["key"], []).append(m)
        self.assertGreater(len(chats), 4)
        self.assertGreater(len({m["partition"] for c in chats.values() for m in c}), 1)
        for key, messages in chats.items():
            self.assertEqual(len({m["partition"] for m in messages}), 1)
            commits = [int(m["headers"]["tgdata.commit"]) for m in messages]
            self.assertEqual(commits, sorted(commits))
            for row, m in ((json.loads(m["payload"]), m) for m in messages):
                owner, chat, number, _ = m["headers"]["tgdata.key"].split(":")
                self.assertEqual((int(owner), int(chat), int(number)),
                                 (row.get("owner", 0), row["chat_id"], row["id"]))
            ids = [json.loads(m["payload"])["id"] for m in messages
                   if json.loads(m["payload"])["chat_id"] == int(key)]
            self.assertEqual(ids, sorted(ids))


@unittest.skipUnless(S3.is_installed(), "tests/interop/setup seaweed installs its server")
class ToS3(OfAServer, Contract, Case):
    destination, kill_within_s = S3Objects, 0.8

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = S3Objects.server = S3(cls.top / "s3")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def test_nothing_is_left_over(self):
        """What a run that was killed has left is gone behind the next one."""
        session = self.session()
        for _ in range(2):
            process = start(*self.words("--all", session=session), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
            try:
                process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        self.extract("--all", session=session)
        objects = self.server.read(self.out.prefix + "/")
        named = {f"{k.rsplit('/', 1)[0]}/{json.loads(t.splitlines()[-1]).get('file')}"
                 for k, t in objects.items() if k.endswith(".json")}
        self.assertLessEqual({k for k in objects if not k.endswith(".json")}, named)
        self.check_each_once()

    def test_what_is_wrong_is_told(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        for to, keys, code, words in (
                ("s3:", {}, 2, ["s3://BUCKET/PREFIX"]),
                (self.out.url() + "&format=xml", {}, 2, ["ndjson|csv|parquet"]),
                (self.out.url().replace("bucket", "nowhere"), {}, 7, ["'nowhere'"]),
                (self.out.url(), {"AWS_SECRET_ACCESS_KEY": "wr0ng"}, 7, ["SignatureDoesNotMatch"]),
                (self.out.url(), {"AWS_ACCESS_KEY_ID": "ROKEY",
                                  "AWS_SECRET_ACCESS_KEY": "ROSECRET"}, 7, ["AccessDenied"]),
                (self.out.url(), {"AWS_ACCESS_KEY_ID": ""}, 2, ["no AWS credentials"]),
                ("s3://bucket/x?endpoint=http://127.0.0.1:1", {}, 7, ["127.0.0.1:1"])):
            with self.subTest(to=to, keys=keys):
                done = tgdata(*self.words(name, session=session, to=to), env=keys)
                self.assertEqual(done.code, code, done)
                for word in words:
                    self.assertIn(word, done.err)
                self.assertNotIn("wr0ng", done.err)


@unittest.skipUnless(S3.is_installed(), "tests/interop/setup seaweed installs its server")
class ToS3Parquet(ToS3, Case):
    destination = S3Parquet

    @classmethod
    def tearDownClass(cls):
        duck.Duck.end()
        super().tearDownClass()

    # The rest is as in NDJSON.
    default_kills, default_server_kills = 5, 1
    test_a_server_that_is_away_for_a_while_is_waited_for = None
    test_what_is_wrong_is_told = test_nothing_is_left_over = None


if __name__ == "__main__":
    for case, library in (("ToS3", "libcurl"), ("ToS3Parquet", "libcurl"), ("ToKafka", "rdkafka"),
                          ("ToPostgres", "libpq")):
        if library not in tgdata("version").out:
            globals()[case] = unittest.skip(f"a build without {library}")(globals()[case])
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What can be wrong with a destination or a state store: one clear line, and nothing lost.

Each fault is a row: of what, its name, how it comes about, the exit code, words of the line. A chat
is extracted before, so that there is something to lose; then the fault is there and the run of all
chats is refused or stops; then it is gone, the run is made again, and every row is there once.

How a fault comes about is a function that gets the place, makes the fault, yields what the run is
given instead of the usual (`to`, `state`, `env`, `user`), and takes the fault away again. Another
destination or store is a class with `url`, `count`, and its rows in FAULTS.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import duck
import test_destinations as places
from kit import PASSWORD, Case, PostgresServer, Redis, main, rows, tgdata

NOBODY = 65534
BUILT_IN = tgdata("version").out


def may_mount():
    with tempfile.TemporaryDirectory() as path:
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], stderr=subprocess.DEVNULL,
                          check=False).returncode:
            return False
        subprocess.run(["umount", path], check=True)
        return True


# ---- places ----

class Place:
    """Rows go to `to`, state to `state`; a subclass changes one of them."""

    env = {}

    def __init__(self, case):
        self.case, self.dir = case, case.dir
        self.to, self.state = f"ndjson:{self.dir}/out", f"sqlite:{self.dir}/state.db"

    def ids(self):
        return [(r["chat_id"], r["id"]) for r in rows(self.dir / "out")]


class Ndjson(Place):
    files = "ndjson"

    def __init__(self, case):
        super().__init__(case)
        self.folder = self.dir / "out"
        self.to = f"{self.files}:{self.folder}"


class Csv(Ndjson):
    files = "csv"

    def ids(self):
        found = []
        for part in self.folder.glob("chat_*/part-*.csv"):
            with part.open(encoding="utf-8", newline="") as text:
                found += [(int(r["chat_id"]), int(r["id"])) for r in places.csv.DictReader(text)]
        return found


class Parquet(Ndjson):
    files = "parquet"

    def ids(self):
        if not list(self.folder.glob("chat_*/*.parquet")):
            return []
        return [(r["chat_id"], r["id"]) for r in duck.Duck.ask(
            f"select chat_id, id from '{self.folder}/chat_*/*.parquet'")]


class Sqlite(Place):
    def __init__(self, case):
        super().__init__(case)
        self.folder = self.dir / "out"
        self.folder.mkdir()
        self.file = self.folder / "out.db"
        self.to = f"sqlite:{self.file}?busy-timeout=1s"

    def sql(self, sql):
        with contextlib.closing(places.sqlite3.connect(self.file)) as db, db:
            return db.execute(sql).fetchall()

    def ids(self):
        return self.sql("select chat_id, id from messages")


class Duckdb(Place):
    env, disk = {"TGDATA_DUCKDB": str(duck.LIBRARY)}, "32m"

    def __init__(self, case):
        super().__init__(case)
        self.folder = self.dir / "out"
        self.folder.mkdir()
        self.file = self.folder / "out.duckdb"
        self.to = f"duckdb:{self.file}?busy-timeout=200ms"

    def sql(self, sql):
        duck.run("import duckdb, sys; duckdb.connect(sys.argv[1]).execute(sys.argv[2])", self.file,
                 sql)

    def ids(self):
        return [(r["chat_id"], r["id"]) for r in duck.Duck.ask(
            "select chat_id, id from messages", self.file)]


class SqliteState(Place):
    def __init__(self, case):
        super().__init__(case)
        self.folder = self.dir / "st"
        self.folder.mkdir()
        self.file = self.folder / "state.db"
        self.state = f"sqlite:{self.file}?busy-timeout=1s"


class OfServer(Place):
    made = 0

    def __init__(self, case):
        super().__init__(case)
        OfServer.made += 1
        self.name = f"x{self.made}"


class Postgres(OfServer):
    env = PASSWORD

    def __init__(self, case):
        super().__init__(case)
        self.server, self.sql = case.postgres(), case.postgres().psql
        self.sql(f"create schema {self.name}")
        self.table = f"{self.name}.messages"
        self.to = self.url()

    def url(self, user="tg", database="test", port=None, **options):
        words = "&".join(f"{k}={v}" for k, v in {"schema": self.name, "timeout": "5s",
                                                 **options}.items())
        return (f"postgres://{user}@127.0.0.1:{port or self.server.port}/{database}?{words}")

    def ids(self):
        return [tuple(map(int, line.split("|")))
                for line in self.sql(f"select chat_id, id from {self.table}").splitlines()]


class PostgresState(Postgres):
    def __init__(self, case):
        super().__init__(case)
        self.to, self.state = f"ndjson:{self.dir}/out", self.url()

    ids = Place.ids


class RedisState(OfServer):
    def __init__(self, case):
        super().__init__(case)
        self.server = case.redis()
        self.state = self.url()

    def url(self, password="", user="", port=None, database=0):
        who = f"{user}:{password}@" if password else ""
        return (f"redis://{who}127.0.0.1:{port or self.server.port}/{database}"
                f"?prefix={self.name}&timeout=2s")


# ---- faults ----

def given(**what):
    """Nothing is changed; the run is given something else."""
    @contextlib.contextmanager
    def fault(place):
        yield {k: v(place) if callable(v) else v for k, v in what.items()}
    return fault


@contextlib.contextmanager
def full_disk(place):
    """What is there is moved to a file system that is full."""
    kept = place.folder.with_name("kept")
    shutil.copytree(place.folder, kept)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={getattr(place, 'disk', '1m')}", "tmpfs",
                    place.folder], check=True)
    try:
        shutil.copytree(kept, place.folder, dirs_exist_ok=True)
        with contextlib.suppress(OSError), (place.folder / "ballast").open("wb") as ballast:
            while True:
                ballast.write(b"x" * 4096)
                ballast.flush()
        yield {}
        (place.folder / "ballast").unlink()
        shutil.rmtree(kept)
        shutil.copytree(place.folder, kept)
    finally:
        subprocess.run(["umount", place.folder], check=True)
    shutil.copytree(kept, place.folder, dirs_exist_ok=True)


@contextlib.contextmanager
def not_allowed(place):
    """Somebody else may read, but not write."""
    for path in (place.dir, *place.dir.rglob("*")):
        if path != place.folder and place.folder not in path.parents:
            os.chown(path, NOBODY, NOBODY)
    place.dir.chmod(0o777)
    try:
        yield {"user": NOBODY}
    finally:
        for path in (place.dir, *place.dir.rglob("*")):
            os.chown(path, 0, 0)


@contextlib.contextmanager
def gone(place):
    away = place.folder.rename(place.folder.with_name("away"))
    yield {}
    away.rename(place.folder)


def noise_in(name):
    @contextlib.contextmanager
    def fault(place):
        file = name(place)
        for more in file.parent.glob(file.name + "-*"):
            more.unlink()
        whole = file.read_bytes()
        file.write_bytes(b"this is no database, " * 500)
        yield {}
        file.write_bytes(whole)
    return fault


def sql(make, undo, **what):
    """{t} is the table, {s} its schema, {n} a name of the test's own."""
    @contextlib.contextmanager
    def fault(place):
        names = {"t": getattr(place, "table", "messages"), "s": getattr(place, "name", ""),
                 "n": f"u_{getattr(place, 'name', '')}"}
        for line in make:
            place.sql(line.format(**names))
        try:
            yield {k: v(place) for k, v in what.items()}
        finally:
            for line in undo:
                place.sql(line.format(**names))
    return fault


@contextlib.contextmanager
def locked(place):
    with contextlib.closing(places.sqlite3.connect(place.file, isolation_level=None)) as db:
        db.execute("begin exclusive")
        yield {}
        db.execute("rollback")


@contextlib.contextmanager
def held(place):
    """Another process has the file open."""
    holder = subprocess.Popen(
        [duck.READERS, "-c", "import duckdb, sys; db = duckdb.connect(sys.argv[1]);"
         "print('open', flush=True); sys.stdin.read()", place.file], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        yield {}
    finally:
        holder.communicate()


@contextlib.contextmanager
def tablespace(place):
    """The table is moved to a file system that is full."""
    small = place.case.top / f"small-{place.name}"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small], check=True)
    try:
        os.chown(small, pathlib.Path(place.server.dir).stat().st_uid, -1)
        place.sql(f"create tablespace {place.name} location '{small}'")
        place.sql(f"alter table {place.table} set tablespace {place.name}")
        with contextlib.suppress(OSError), (small / "ballast").open("wb") as ballast:
            while True:
                ballast.write(b"x" * 4096)
                ballast.flush()
        yield {}
        (small / "ballast").unlink()
        place.sql(f"alter table {place.table} set tablespace pg_default")
        place.sql(f"drop tablespace {place.name}")
    finally:
        subprocess.run(["umount", small], check=True)


@contextlib.contextmanager
def table_lock(place):
    """As a migration holds it."""
    holder = subprocess.Popen(
        ["psql", "-X", "-q", "postgresql:" + place.server.address()], stdin=subprocess.PIPE,
        env={**os.environ, **PASSWORD}, text=True)
    try:
        holder.stdin.write(f"begin; lock table {place.table};\n")
        holder.stdin.flush()
        places.wait_for(lambda: place.sql(
            f"select 1 from pg_locks where relation = '{place.table}'::regclass and granted"
            " and mode = 'AccessExclusiveLock'"))
        yield {}
    finally:
        holder.stdin.close()
        holder.wait()


def redis(make, undo, **what):
    @contextlib.contextmanager
    def fault(place):
        for words in make:
            place.server.cli(*words)
        try:
            yield {k: v(place) for k, v in what.items()}
        finally:
            for words in undo:
                place.server.cli(*words)
    return fault


USER = ("create role {n} login password 'secret'", "grant usage on schema {s} to {n}",
        "grant select on all tables in schema {s} to {n}")
NO_USER = ("drop owned by {n}", "drop role {n}")
AS_USER = {"to": lambda p: p.url(user=f"u_{p.name}")}
STATE_AS_USER = {"state": lambda p: p.url(user=f"u_{p.name}")}
SMALL = ("alter table {t} alter column text type {type}",)

FAULTS = (
    # of what, what is wrong, how, code, words; "" in place of the code: the run goes well
    *((place, name, how, code, words) for place in (Ndjson, Csv, Parquet)
      for name, how, code, words in (
          ("no name", given(to=lambda p: f"{p.files}:"), 2, ["no directory"]),
          ("a file in the way", given(to=lambda p: f"{p.files}:{p.dir}/state.db"), 7,
           ["state.db", "ot a directory"]),
          ("full disk", full_disk, 7, ["o space"]),
          ("no permission", not_allowed, 7, ["ermission"]))),

    (Sqlite, "no name", given(to="sqlite:"), 2, ["no file"]),
    (Sqlite, "a folder that is gone", gone, 10, ["holds 0 messages", "out.db"]),
    (Sqlite, "no name of a table", given(to=lambda p: f"sqlite:{p.file}?table=a-b"), 2,
     ["'a-b' is no name"]),
    (Sqlite, "no database", noise_in(lambda p: p.file), 8, ["out.db"]),
    (Sqlite, "full disk", full_disk, 7, ["out.db", "no space left"]),
    (Sqlite, "no permission", not_allowed, 7, ["out.db"]),
    (Sqlite, "locked by another program", locked, 7, ["out.db", "locked"]),
    (Sqlite, "the key was renamed", sql(
        ["alter table messages rename column id to ident"],
        ["alter table messages rename column ident to id"]), 7, ["messages", "no column 'id'"]),
    (Sqlite, "a table of that name is another's", sql(
        ["alter table messages rename to kept", "create table messages(x)"],
        ["drop table messages", "alter table kept rename to messages"]), 7,
     ["messages", "no column"]),

    (Duckdb, "no name", given(to="duckdb:"), 2, ["no file"]),
    (Duckdb, "no name of a table", given(to=lambda p: f"duckdb:{p.file}?table=a-b"), 2,
     ["'a-b' is no name"]),
    (Duckdb, "no library", given(env={"TGDATA_DUCKDB": "/none/libduckdb.so"}), 4,
     ["cannot be loaded", "/none/libduckdb.so"]),
    (Duckdb, "no library of DuckDB", given(env={"TGDATA_DUCKDB": "libm.so.6"}), 4,
     ["libm.so.6", "no library of DuckDB"]),
    (Duckdb, "a folder that is gone", gone, 10, ["holds 0 messages", "out.duckdb"]),
    (Duckdb, "no database", noise_in(lambda p: p.file), 8, ["out.duckdb"]),
    (Duckdb, "full disk", full_disk, 7, ["out.duckdb", "o space left"]),
    (Duckdb, "no permission", not_allowed, 7, ["out.duckdb", "ermission denied"]),
    (Duckdb, "another process has it", held, 7, ["out.duckdb", "lock"]),
    (Duckdb, "a column of another type", sql(
        ["alter table {t} rename column views to kept", "alter table {t} add column views varchar"],
        ["alter table {t} drop column views", "alter table {t} rename column kept to views"]), 7,
     ["views", "VARCHAR", "BIGINT"]),

    (SqliteState, "no name", given(state="sqlite:"), 2, ["no file"]),
    (SqliteState, "no database", noise_in(lambda p: p.file), 8, ["state.db"]),
    (SqliteState, "full disk", full_disk, 7, ["state.db", "no space left"]),
    (SqliteState, "no permission", not_allowed, 8, ["state.db"]),
    (SqliteState, "locked by another program", locked, 8, ["state.db", "locked"]),
    (SqliteState, "a folder that is not there", given(state=lambda p: f"sqlite:{p.dir}/none/x"), 8,
     ["none"]),

    (Postgres, "wrong password", given(env={"PGPASSWORD": "hunter2"}), 7, ["authentication"]),
    (Postgres, "a password in the address", given(
        to=lambda p: p.url(user="tg:hunter2")), 2, ["password"]),
    (Postgres, "no such user", given(to=lambda p: p.url(user="nobody")), 7, ["authentication"]),
    (Postgres, "no such database", given(to=lambda p: p.url(database="none")), 7, ['"none"']),
    (Postgres, "another schema than before", given(to=lambda p: p.url(schema="none")), 2,
     ["not to", "schema=none"]),
    (Postgres, "the schema is gone", sql(["alter schema {s} rename to {n}"],
                                         ["alter schema {n} rename to {s}"]), 10,
     ["holds 0 messages"]),
    (Postgres, "the key was renamed", sql(["alter table {t} rename column id to ident"],
                                          ["alter table {t} rename column ident to id"]), 7,
     ["messages", "no column 'id'"]),
    (Postgres, "no server", given(to=lambda p: p.url(port=1)), 7, ["127.0.0.1:1"]),
    (Postgres, "no permission to write", sql(USER, NO_USER, **AS_USER), 7, ["ermission denied"]),
    (Postgres, "a column of another type", sql(
        ["alter table {t} rename column text to kept", "alter table {t} add column text bigint"],
        ["alter table {t} drop column text", "alter table {t} rename column kept to text"]), 7,
     ["text", "bigint"]),
    (Postgres, "a column is gone and comes back", sql(
        ["alter table {t} rename column views to kept"],
        ["alter table {t} drop column views", "alter table {t} rename column kept to views"]), "",
     []),
    (Postgres, "a column that must have a value", sql(
        ["alter table {t} add column mine int not null default 5",
         "alter table {t} alter column mine drop default"],
        ["alter table {t} drop column mine"]), 7, ["mine"]),
    (Postgres, "full disk", tablespace, 7, ["o space"]),
    (Postgres, "others have the table", table_lock, 7, ["lock"]),

    (PostgresState, "wrong password", given(env={"PGPASSWORD": "hunter2"}), 8, ["authentication"]),
    (PostgresState, "no such database", given(state=lambda p: p.url(database="none")), 8,
     ['"none"']),
    (PostgresState, "no such schema", given(state=lambda p: p.url(schema="none")), 8, ["none"]),
    (PostgresState, "no name for a prefix", given(state=lambda p: p.url(prefix="a-b")), 2,
     ["'a-b'"]),
    (PostgresState, "no server", given(state=lambda p: p.url(port=1)), 8, ["127.0.0.1:1"]),
    (PostgresState, "no permission to write", sql(USER, NO_USER, **STATE_AS_USER), 8,
     ["ermission denied"]),
    (PostgresState, "a table is gone", sql(
        ["alter table {s}.tgdata_doc rename to kept"],
        ["alter table {s}.kept rename to tgdata_doc"]), 8, ["tgdata_doc"]),
    (PostgresState, "of a newer version", sql(
        ["update {s}.tgdata_version set version = 9"],
        ["update {s}.tgdata_version set version = 1"]), 8, ["version 9"]),

    (RedisState, "a password is needed", redis(
        [("config", "set", "requirepass", "hunter2")],
        [("-a", "hunter2", "config", "set", "requirepass", "")]), 8, ["assword"]),
    (RedisState, "wrong password", redis(
        [("config", "set", "requirepass", "hunter2")],
        [("-a", "hunter2", "config", "set", "requirepass", "")],
        state=lambda p: p.url(password="hunter3")), 8, ["assword"]),
    (RedisState, "no permission to write", redis(
        [("acl", "setuser", "reader", "on", ">secret", "~*", "+@read", "+@connection")],
        [("acl", "deluser", "reader")], state=lambda p: p.url(user="reader", password="secret")),
     8, ["ermission"]),
    (RedisState, "no server", given(state=lambda p: p.url(port=1)), 8, ["127.0.0.1:1"]),
    (RedisState, "no such database", given(state=lambda p: p.url(database=99)), 8, ["too high"]),
    (RedisState, "full", redis(
        [("config", "set", "maxmemory", "1")], [("config", "set", "maxmemory", "0")]), 8,
     ["maxmemory"]),
    (RedisState, "a cache that throws away", redis(
        [("config", "set", "maxmemory", "100mb"),
         ("config", "set", "maxmemory-policy", "allkeys-lru")],
        [("config", "set", "maxmemory", "0"),
         ("config", "set", "maxmemory-policy", "noeviction")]), 8, ["allkeys-lru"]),
    (RedisState, "a replica", redis(
        [("replicaof", "127.0.0.1", "1")], [("replicaof", "no", "one")]), 8, ["replica"]),
)


NEED_ROOT = (full_disk, not_allowed, tablespace)


class Faults:
    """The cases of some places; a class below says which, and has their servers."""

    sim_args = ("--chats", "3", "--messages", "1200", "--seed", "4")
    of = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.servers = {}
        cls.mounts = os.geteuid() == 0 and may_mount()

    @classmethod
    def tearDownClass(cls):
        for server in cls.servers.values():
            server.stop()
        super().tearDownClass()

    def postgres(self):
        if "pg" not in self.servers:
            self.servers["pg"] = PostgresServer(self.top / "pg")
        return self.servers["pg"]

    def redis(self):
        if "redis" not in self.servers:
            self.servers["redis"] = Redis(self.top / "redis")
        return self.servers["redis"]

    def run_it(self, place, *chats, to=None, state=None, env=None, user=None):
        words = self.extract_args(
            *chats, session=self.dir / "me.session", to=to or place.to, state=state or place.state,
            more=["--batch-size", 100, "--checkpoint-interval", 200, "--destination-wait", 0])
        return tgdata(*words, env=place.env | (env or {}), user=user)

    def all_chats(self):
        chats = self.sim.chats(self.sim.account())
        grown_from = {c["migrated_from"] for c in chats}
        return [c for c in chats if c["id"] not in grown_from]

    def check(self, place, how, code, words):
        first = str(self.all_chats()[0]["id"])
        self.session()
        begun = self.run_it(place, first)
        self.assertEqual(begun.code, 0, begun)
        with how(place) as changed:
            done = self.run_it(place, "--all", **changed)
            if code:
                self.check_fails(done, code, *words)
            self.assertNotIn("hunter", done.err.replace(changed.get("to", "?"), ""))
        done = self.run_it(place, "--all")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(sorted(place.ids()), sorted(self.sim.truth(self.all_chats())))

    def test_each_is_told_and_nothing_is_lost(self):
        for place, name, how, code, words in FAULTS:
            if place not in self.of:
                continue
            with self.subTest(f"{place.__name__}: {name}"):
                if how in NEED_ROOT and not self.mounts:
                    self.skipTest("it takes the rights to mount")
                self.setUp()
                self.check(place(self), how, code, words)


class Files(Faults, Case):
    of = (Ndjson, Csv)


@unittest.skipUnless(duck.there() and duck.LIBRARY.exists(),
                     "tests/interop/setup readers duckdb installs them")
class InColumns(Faults, Case):
    of = (Parquet, Duckdb)

    @classmethod
    def tearDownClass(cls):
        duck.Duck.end()
        super().tearDownClass()


class InSqlite(Faults, Case):
    of = (Sqlite, SqliteState)


class InPostgres(Faults, Case):
    of = (Postgres, PostgresState)


class InRedis(Faults, Case):
    of = (RedisState,)


if __name__ == "__main__":
    for case, library in (("InPostgres", "libpq"), ("InRedis", "hiredis")):
        if library not in BUILT_IN:
            del globals()[case]
    main()

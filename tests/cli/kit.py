# SPDX-License-Identifier: MIT
"""What the tests of the program share: a simulated data centre, and runs of the program."""
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

TGDATA = os.environ.get("TGDATA") or str(
    pathlib.Path(__file__).resolve().parents[2] / "build" / "tgdata")
TIMEOUT = 240


def free_ports(n):
    """The first of n in a row, below those that outgoing connections get: any of these could take a
    server's port while that is down."""
    while True:
        with contextlib.ExitStack() as stack:
            first = random.randrange(20000, 31000)
            try:
                for port in range(first, first + n):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                return first
            except OSError:
                continue


def clean_env(**more):
    ours = ("TGDATA", "OTEL_", "TRACEPARENT")
    env = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    env.update(LC_ALL="C.UTF-8", TERM="xterm", **more)
    return env


class Result:
    """How one run ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def tgdata(*args, env=None, stdin=subprocess.DEVNULL, timeout=TIMEOUT, **more):
    """Runs the program without a terminal and waits for its end."""
    done = subprocess.run([TGDATA, *map(str, args)], env=clean_env(**(env or {})), stdin=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          start_new_session=True, check=False, **more)
    return Result(done.returncode, done.stdout.decode("utf-8", "replace"),
                  done.stderr.decode("utf-8", "replace"))


def start(*args, env=None, **more):
    return subprocess.Popen([TGDATA, *map(str, args)], env=clean_env(**(env or {})),
                            stdin=subprocess.DEVNULL, start_new_session=True, **more)


class Sim:
    """A running `tgdata sim`."""

    def __init__(self, directory, *args):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.args = args
        self.stats_file = self.dir / "stats.json"
        self.process = None
        self.start()

    def start(self, *more):
        self.process = start("sim", "--dir", self.dir, "--truth", "--stats", self.stats_file,
                             *self.args, *more, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulator ended with {self.process.wait()}")
        self.file = self.dir / "datacenter.json"
        self.world = json.loads((self.dir / "world.json").read_text(encoding="utf-8"))
        self.accounts = json.loads(self.file.read_text(encoding="utf-8"))["accounts"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process.stdout.close()

    def stats(self):
        """What it has counted so far."""
        self.stats_file.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        if not wait_for(lambda: self.stats_file.exists()
                        and self.stats_file.read_text(encoding="ascii").endswith("}\n")):
            raise RuntimeError("the simulator writes no statistics")
        return json.loads(self.stats_file.read_text(encoding="ascii"))

    def account(self, password=False, bot=False):
        for a in self.accounts:
            if bot == ("bot_token" in a) and password == ("password" in a):
                return a
        raise KeyError("no such account")

    def chats(self, account, kept_out=("left", "protected")):
        """The entries of world.json that the account can list."""
        return [c for c in self.world["chats"]
                if account["user_id"] in c["members"] and c["kind"] not in kept_out]

    def chat(self, kind):
        return next(c for c in self.world["chats"] if c["kind"] == kind)

    def ids(self, chat_id):
        text = (self.dir / f"ids-{chat_id}.txt").read_text(encoding="ascii")
        return [int(line.split()[0]) for line in text.splitlines()]

    def comments(self, chat_id):
        """Of a discussion group: the post that each message is a comment on, where it is one."""
        text = (self.dir / f"ids-{chat_id}.txt").read_text(encoding="ascii")
        return {i: post for i, post in (map(int, line.split()) for line in text.splitlines())
                if post}

    def truth(self, chats):
        """All (chat, id) of those entries, with the groups they grew from, each once."""
        wanted = {i for c in chats for i in (c["migrated_from"], c["id"]) if i}
        return [(chat_id, i) for chat_id in wanted for i in self.ids(chat_id)]


def rows(out):
    """All rows below a destination, part by part."""
    found = []
    for part in sorted(pathlib.Path(out).glob("chat_*/part-*.ndjson")):
        with part.open(encoding="utf-8") as lines:
            found += [json.loads(line) for line in lines]
    return found


class Case(unittest.TestCase):
    """A test with a directory of its own, and one data centre for its class."""

    sim_args = ("--chats", "8", "--messages", "300", "--seed", "3")
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.top = pathlib.Path(tempfile.mkdtemp(prefix="tgdata-test-"))
        cls.top.chmod(0o755)
        cls.sim = Sim(cls.top / "dc", *cls.sim_args) if cls.sim_args is not None else None
        cls.made = None

    @classmethod
    def tearDownClass(cls):
        if cls.sim:
            cls.sim.stop()
        shutil.rmtree(cls.top, ignore_errors=True)

    def setUp(self):
        self.fresh_dir()

    def fresh_dir(self):
        """On in an empty directory."""
        self.dir = pathlib.Path(tempfile.mkdtemp(dir=self.top))

    def login(self, session, account=None, datacenter=None, **more):
        a = account or self.sim.account()
        args = ["login", "--session", session, "--datacenter", datacenter or self.sim.file,
                "--api-id", "1", "--api-hash", "aa"]
        if "bot_token" in a:
            args += ["--bot-token", a["bot_token"]]
        else:
            args += ["--phone", a["phone"], "--code", a["code"]]
        if "password" in a:
            args += ["--password", a["password"]]
        done = tgdata(*args, **more)
        self.assertEqual(done.code, 0, done)
        return done

    def session(self):
        """A session that is logged in: made once a class, copied for each test."""
        if type(self).made is None:
            type(self).made = self.top / "made.session"
            self.login(self.made)
        mine = self.dir / "me.session"
        shutil.copy(self.made, mine)
        return mine

    def account_args(self, session=None):
        return ["--session", session or self.session(), "--datacenter", self.sim.file]

    def extract_args(self, *chats, session=None, to=None, state=None, job="job", more=()):
        return ["extract", *chats, *self.account_args(session), "--to",
                to or f"ndjson:{self.dir}/out", "--state", state or f"sqlite:{self.dir}/state.db",
                "--job", job, "--lease", "1s", "--progress", "none", *more]

    def verify(self, session=None, job="job"):
        return tgdata("verify", *self.account_args(session), "--state",
                      f"sqlite:{self.dir}/state.db", "--job", job, "--json")

    def check_fails(self, done, code, *words):
        """One clear line, a hint, and the documented exit code."""
        self.assertEqual(done.code, code, done)
        lines = [line for line in done.err.splitlines() if line.startswith("tgdata")
                 and ": warning" not in line]
        self.assertEqual(len(lines), 1, done)
        for word in words:
            self.assertIn(word, done.err, done)
        self.assertIn("  hint: ", done.err, done)

    def check_whole(self, chats, out=None):
        """The rows on disk are the world's: none lost, none twice, in order."""
        found = [(r["chat_id"], r["id"]) for r in rows(out or self.dir / "out")]
        self.assertEqual(sorted(found), sorted(self.sim.truth(chats)))
        for chat_id in {c for c, _ in found}:
            ids = [i for c, i in found if c == chat_id]
            self.assertEqual(ids, sorted(ids), "rows of a chat stand in order")


class Redis:
    """A redis-server of the test's own, on a free port, that loses nothing when it is stopped."""

    def __init__(self, directory, *args):
        self.dir, self.args = pathlib.Path(directory), args
        self.dir.mkdir()
        self.port = free_ports(1)
        self.start()

    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "yes", "--appendfsync", "always", "--dir", str(self.dir), *self.args],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        if not wait_for(self.is_up):
            raise RuntimeError("redis-server does not start")

    def is_up(self):
        return self.cli("ping").startswith(("PONG", "NOAUTH"))

    def cli(self, *words):
        return subprocess.run(["redis-cli", "-p", str(self.port), *map(str, words)], check=False,
                              capture_output=True, text=True).stdout.strip()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(30)


PASSWORD = {"PGPASSWORD": "secret"}


class PostgresServer:
    """tests/postgres_server on a free port."""

    def __init__(self, directory):
        self.dir, self.process = directory, None
        self.port = free_ports(1)
        self.start()

    def start(self):
        if not wait_for(self.try_start, 60):
            raise RuntimeError("the PostgreSQL server does not start")

    def try_start(self):
        """One that was killed leaves processes behind, and until they are gone none starts."""
        if not self.process or self.process.poll() is not None:
            program = pathlib.Path(__file__).parent.parent / "postgres_server"
            self.process = subprocess.Popen([program, self.dir, str(self.port)])
        return self.is_up()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()

    def address(self):
        return f"//tg@127.0.0.1:{self.port}/test"

    def psql(self, sql, check=True):
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql,
                               "postgresql:" + self.address()], env={**os.environ, **PASSWORD},
                              capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout if done.returncode == 0 else None

    def is_up(self):
        return self.psql("select 1", check=False) is not None


def wait_for(test, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if test():
            return True
        time.sleep(0.02)
    return False


def main(redis=False):
    """@param redis: the tests need one, and a program that has its client"""
    if redis and "hiredis" not in tgdata("version").out:
        sys.exit(77)
    unittest.main(verbosity=2)

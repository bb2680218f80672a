#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""State that several machines can share, as a user meets it: in Redis, in PostgreSQL, in objects of
S3, in DynamoDB, in MongoDB.

Rows go to NDJSON parts. A run that is killed again and again, its server too, leaves each row once;
checkpoints can be listed and taken back; of two workers, one takes over what the other had.
"""
import contextlib
import http.server
import os
import random
import signal
import subprocess
import threading
import time
import unittest

from kit import PASSWORD, Case, PostgresServer, Redis, Sim, main, rows, start, tgdata, wait_for
from mongo import Mongodb
from s3 import S3, Dynamodb

KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "20"))
SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))


class Shared:
    """The cases; a class below gives the server."""

    sim_args = None
    server = None
    env = {}
    server_kills = 6
    kill_within_s = 0.4

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sim = Sim(cls.top / "dc", "--chats", "8", "--messages", "1500", "--seed", "21",
                      "--latency-ms", "10")
        cls.server = cls.make(cls.top / "server")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.session_file = self.session()
        self.prefix = self.id().rsplit(".", 1)[-1]

    def words(self, *chats, session=None, state=None, more=()):
        return self.extract_args(
            *chats, session=session or self.session_file, state=state or self.state(), more=[
                "--batch-size", 100, "--checkpoint-interval", 200, "--in-flight", 2, *more])

    def extract(self, *chats, **more):
        done = tgdata(*self.words(*chats, **more), env=self.env)
        self.assertEqual(done.code, 0, done)
        return done

    def all_chats(self):
        chats = self.sim.chats(self.sim.account())
        grown_from = {c["migrated_from"] for c in chats}
        return [c for c in chats if c["id"] not in grown_from]

    def proves(self):
        done = tgdata("verify", *self.account_args(self.session_file), "--state", self.state(),
                      "--job", "job", "--json", env=self.env)
        self.assertEqual(done.code, 0, done)

    def checkpoints(self, *words, code=0):
        done = tgdata("checkpoints", words[0], "--state", self.state(), "--job", "job", *words[1:],
                      env=self.env)
        self.assertEqual(done.code, code, done)
        return done

    def test_killed_again_and_again(self):
        draw, kills = random.Random(SEED), 0
        while kills < KILLS:
            process = start(*self.words("--all"), env=self.env, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)
            try:
                err = process.communicate(timeout=draw.uniform(0, self.kill_within_s))[1]
                self.assertEqual(process.returncode, 0, err)
                self.check_whole(self.all_chats())
                self.prefix += "x"
                self.fresh_dir()
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
        self.extract("--all")
        self.check_whole(self.all_chats())
        self.proves()

    def test_the_server_is_killed_again_and_again(self):
        draw, kills = random.Random(SEED + 1), 0
        while kills < self.server_kills:
            process = start(*self.words("--all", more=["--rate", "20"]),
                            env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                process.communicate(timeout=draw.uniform(0.1, 0.8))
                self.prefix += "x"
                self.fresh_dir()
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.start()
                kills += 1
                err = process.communicate(timeout=120)[1].decode()
                self.assertIn(process.returncode, (0, 8), err)
        self.extract("--all")
        self.check_whole(self.all_chats())
        self.proves()

    def test_checkpoints(self):
        name = str(self.sim.chat("supergroup")["id"])
        self.extract(name)
        whole = len(rows(self.dir / "out"))
        self.assertIn(name, self.checkpoints("list").out)
        self.assertIn("2", self.checkpoints("show", "--", name).out)
        self.checkpoints("rollback", "--number", 2, "--", name)
        self.extract(name)
        self.assertEqual(len(rows(self.dir / "out")), whole)
        self.proves()

    def test_what_has_no_state_is_told(self):
        self.check_fails(self.checkpoints("list", code=3), 3, "holds no state")

    def test_a_run_that_is_asleep_is_taken_over(self):
        name, other = str(self.sim.chat("supergroup")["id"]), self.dir / "other.session"
        self.login(other)
        sleeper = start(*self.words(name, more=["--rate", "2"]), env=self.env,
                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(sleeper.kill)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        self.check_fails(tgdata(*self.words(name, session=other), env=self.env), 9, "'job",
                         "in use by")
        sleeper.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        self.extract(name, session=other)
        self.check_whole([self.sim.chat("supergroup")])
        sleeper.send_signal(signal.SIGCONT)
        err = sleeper.communicate(timeout=60)[1].decode()
        self.assertEqual(sleeper.returncode, 9, err)
        self.assertIn("taken over", err)
        self.check_whole([self.sim.chat("supergroup")])
        self.proves()


class InRedis(Shared, Case):
    make = Redis

    def state(self):
        return f"{self.server.url()}?prefix={self.prefix}&timeout=2s"

    def test_workers_share_a_state(self):
        users = [a for a in self.sim.accounts if "bot_token" not in a][:2]
        both = {a["user_id"] for a in users}
        chats = [c for c in self.sim.chats(users[0]) if both <= set(c["members"])
                 and c["kind"] in ("supergroup", "forum", "channel") and not c["migrated_from"]]
        queue = f"{self.server.url()}?queue=q&visibility=2s&max-deliveries=100"
        run = []

        def begin(i):
            return start("worker", "--session", self.dir / f"w{i}", "--queue", queue, "--to",
                         f"ndjson:{self.dir}/out", "--state", self.state(), "--job", "job",
                         "--lease", "1s", "--progress", "none", "--batch-size", "50",
                         "--checkpoint-interval", "100", "--rate", "10", "--until-empty",
                         stderr=subprocess.DEVNULL)

        done = tgdata("enqueue", *[c["id"] for c in chats], "--queue", queue)
        self.assertEqual(done.code, 0, done)
        for i, user in enumerate(users):
            self.login(self.dir / f"w{i}", user)
            run.append(begin(i))
        draw, kills = random.Random(SEED), 0
        while kills < 6 and any(r.poll() is None for r in run):
            time.sleep(draw.uniform(0.3, 0.8))
            i = draw.randrange(2)
            if run[i].poll() is None:
                run[i].kill()
                run[i].wait()
                kills += 1
                run[i] = begin(i)
        self.assertEqual([r.wait(120) for r in run], [0, 0])
        self.assertGreater(kills, 2)
        self.check_whole(chats)

    def test_a_server_that_forgets_is_warned_of(self):
        name = str(self.sim.chat("channel")["id"])
        forgetful = Redis(self.dir / "forgetful", "--appendonly", "no")
        state = forgetful.url()
        try:
            done = self.extract(name, state=state)
            self.assertIn("warning: a crash of Redis", done.err)
            forgetful.process.kill()
            forgetful.process.wait()
            forgetful.start()
            self.extract(name, state=state)  # the destination remembers
            self.check_whole([self.sim.chat("channel")])
            forgetful.cli("config", "set", "maxmemory", "100mb")
            forgetful.cli("config", "set", "maxmemory-policy", "allkeys-lru")
            self.check_fails(tgdata(*self.words(name, state=state)), 8, "allkeys-lru")
        finally:
            forgetful.stop()

    def test_what_is_wrong_is_told(self):
        name = str(self.sim.chat("channel")["id"])
        locked = Redis(self.dir / "locked", "--requirepass", "s3cret")
        at = f"127.0.0.1:{locked.port}"
        try:
            for state, code, words in (
                    (f"redis://{at}", 8, ["NOAUTH"]),
                    (f"redis://:wr0ng@{at}", 8, ["WRONGPASS", "user and password"]),
                    (f"redis://:s3cret@{at}?prefix=a:b", 2, ["'a:b'"]),
                    ("redis://127.0.0.1:1", 8, ["127.0.0.1:1"]),
                    (f"redis://:s3cret@{at}/x", 2, ["URL"]),
                    (f"rediss://{at}", 4, ["TLS"])):
                with self.subTest(state=state):
                    done = tgdata(*self.words(name, state=state))
                    self.check_fails(done, code, *words)
                    self.assertNotIn("s3cret", done.err)
                    self.assertNotIn("wr0ng", done.err)
            state = f"redis://:s3cret@{at}"
            self.extract(name, state=state)
            for command in (["checkpoints", "list"], ["verify", *self.account_args()]):
                done = tgdata(*command, "--state", state, "--job", "another")
                self.check_fails(done, 3, "another", f"redis://:***@{at}")
                self.assertNotIn("s3cret", done.err)
        finally:
            locked.stop()


@unittest.skipUnless(S3.is_installed(), "tests/interop/setup seaweed installs its server")
class InPostgres(Shared, Case):
    make, env = PostgresServer, PASSWORD

    def state(self):
        return f"postgres:{self.server.address()}?prefix={self.prefix}"

    def test_what_is_wrong_is_told(self):
        name = str(self.sim.chat("channel")["id"])
        at = f"127.0.0.1:{self.server.port}"
        for state, code, words in (
                (f"postgres://tg:s3cret@{at}/test", 2, ["password"]),
                (f"postgres://tg@{at}/nowhere", 8, ["nowhere"]),
                (f"postgres://nobody@{at}/test", 8, ["authentication"]),
                (f"postgres://tg@{at}/test?schema=nowhere", 8, ["nowhere"])):
            with self.subTest(state=state):
                done = tgdata(*self.words(name, state=state), env=self.env)
                self.check_fails(done, code, *words)
                self.assertNotIn("s3cret", done.err)


class InS3(Shared, Case):
    make, server_kills, kill_within_s = S3, 2, 0.8

    def state(self, place=None):
        return f"s3://{place or 'bucket/' + self.prefix}?endpoint={self.server.endpoint}"

    def test_a_server_without_conditional_writes_is_refused(self):
        name = str(self.sim.chat("channel")["id"])
        with answering((200, b"")) as (endpoint, _):  # whatever it was asked to look at first
            self.check_fails(tgdata(*self.words(name, state=f"s3://bucket/x?endpoint={endpoint}")),
                             4, "If-None-Match", "conditional writes")

    def test_what_is_wrong_is_told(self):
        name = str(self.sim.chat("channel")["id"])
        for state, keys, code, words in (
                (self.state("nowhere/x"), {}, 3, ["'nowhere'"]),
                (self.state("b/x"), {}, 2, ["s3://BUCKET/PREFIX"]),
                (self.state(), {"AWS_SECRET_ACCESS_KEY": "wr0ng"}, 8, ["SignatureDoesNotMatch"]),
                (self.state(), {"AWS_ACCESS_KEY_ID": ""}, 2, ["no AWS credentials"]),
                ("s3://bucket/x?endpoint=http://127.0.0.1:1", {}, 8, ["127.0.0.1:1"])):
            with self.subTest(state=state, keys=keys):
                done = tgdata(*self.words(name, state=state), env=keys)
                self.check_fails(done, code, *words)
                self.assertNotIn("wr0ng", done.err)


@unittest.skipUnless(Dynamodb.program.exists(), "tests/interop/setup moto installs its server")
class InDynamodb(Shared, Case):
    make, kill_within_s = Dynamodb, 0.8
    test_the_server_is_killed_again_and_again = None  # it has nothing then

    def state(self, more="&create=yes"):
        return f"dynamodb://{self.prefix}?endpoint={self.server.endpoint}{more}"

    def test_what_has_no_state_is_told(self):
        self.check_fails(self.checkpoints("list", code=3), 3, "no table", self.prefix)

    def test_what_is_wrong_is_told(self):
        name = str(self.sim.chat("channel")["id"])
        for state, keys, code, words in (
                (self.state(""), {}, 3, ["no table", self.prefix]),
                ("dynamodb://a/b", {}, 2, ["dynamodb://TABLE"]),
                (self.state(), {"AWS_ACCESS_KEY_ID": ""}, 2, ["no AWS credentials"]),
                ("dynamodb://abc?endpoint=http://127.0.0.1:1", {}, 8, ["127.0.0.1:1"])):
            with self.subTest(state=state, keys=keys):
                self.check_fails(tgdata(*self.words(name, state=state), env=keys), code, *words)


@unittest.skipUnless(Mongodb.jars.exists(), "tests/interop/setup mongo installs its server")
class InMongodb(Shared, Case):
    make = Mongodb
    test_the_server_is_killed_again_and_again = None  # it has no journal

    def state(self):
        return (f"mongodb://127.0.0.1:{self.server.port}/state?collection={self.prefix}"
                "&timeout=3s")

    def test_what_is_wrong_is_told(self):
        name = str(self.sim.chat("channel")["id"])
        for state, code, words in (
                ("mongodb://host", 2, ["needs a host and a database"]),
                ("mongodb://me:s3cret@host/db", 2, ["has a password", "MONGODB_PASSWORD"]),
                ("mongodb://127.0.0.1:1/db?timeout=1s", 8, ["127.0.0.1:1"])):
            with self.subTest(state=state):
                done = tgdata(*self.words(name, state=state))
                self.check_fails(done, code, *words)
                self.assertNotIn("s3cret", done.err)


@contextlib.contextmanager
def answering(*answers):
    """A server that answers so, the last again and again. Yields its address, and how often it was
    asked so far."""
    left, asked = list(answers), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            asked.append(self.path)
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        do_DELETE = do_GET = do_POST = do_PUT

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


class Answers(Case):
    """What servers of S3 and DynamoDB may say."""

    sim_args = None
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_REGION": "eu-west-1"}
    form = b"tgdata state 1\n"

    def test_they_are_told(self):
        error = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>why</Message></Error>"
        s3, dynamodb = "s3://bucket/x", "dynamodb://table"
        for state, answers, asked, words in (
                (s3, [(503, error % b"SlowDown")], 3, ["SlowDown: why", "try again later"]),
                (s3, [(403, error % b"RequestTimeTooSkewed")], 1, ["set the clock"]),
                (s3, [(403, error % b"AccessDenied")], 1, ["permission"]),
                (s3, [(301, error % b"PermanentRedirect")], 1, ["another region"]),
                (s3, [(200, b"x" * 5000)], 1, ["cannot be read"]),
                (s3, [(200, self.form), (200, b"<ListBucketResult><Contents>")], 2,
                 ["none of S3"]),
                (s3, [(200, self.form), (200, b"<a>" * 50)], 2, ["none of S3"]),
                (s3, [(200, self.form), (200, b"<html></html>")], 2, ["none of S3"]),
                (dynamodb, [(400, b'{"__type": "x#ProvisionedThroughputExceededException"}')], 3,
                 ["ProvisionedThroughputExceededException", "try again later"]),
                (dynamodb, [(400, b'{"__type": "InvalidSignatureException"}')], 1,
                 ["credentials"]),
                (dynamodb, [(200, b"{")], 1, ["none of DynamoDB"]),
                (dynamodb, [(200, b'{"Item": {"b": {"B": "!"}, "m": {"S": "1"}}}')], 1,
                 ["none of DynamoDB"]),
                (dynamodb, [(200, b'{"Item": {"b": {"B": "eA=="}}}')], 1, ["none of DynamoDB"])):
            with self.subTest(answers=answers), answering(*answers) as (endpoint, paths):
                done = tgdata("checkpoints", "list", "--state", f"{state}?endpoint={endpoint}",
                              env=self.keys)
                self.check_fails(done, 8, *words)
                self.assertEqual(len(paths), asked)
                self.assertNotIn("s3cret", done.err)


if __name__ == "__main__":
    if "hiredis" not in tgdata("version").out:
        del InRedis
    if "libcurl" not in tgdata("version").out:
        del InS3, InDynamodb, Answers
    if "libmongoc" not in tgdata("version").out:
        del InMongodb
    main()

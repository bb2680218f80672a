#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Destinations that are streams, as a user meets them: the messages are the rows of the NDJSON
files, however often a run or the server is killed; what comes twice has the same key and is the
same."""
import json
import os
import random
import ssl
import subprocess
import time
import unittest

import streams
from kit import Case, Sim, main, rows, start, tgdata, wait_for

KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "8"))
SERVER_KILLS = int(os.environ.get("TGDATA_TEST_SERVER_KILLS", "1"))
SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
INTERVAL, BATCH = 200, 100
AT_ONCE = ["--destination-wait", "0s"]  # what may pass ends the run, too


def place(row):
    return row["chat_id"], row["owner"], row["id"]


class Streams:
    """The cases; a class below gives the receiver."""

    receiver = want = None
    sim_args = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sim = Sim(cls.top / "dc", "--chats", "8", "--messages", "600", "--seed", "21",
                      "--latency-ms", "10")
        cls.server = cls.receiver(cls.top / "server")

    @classmethod
    def tearDownClass(cls):
        cls.server.end()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.to = self.server.fresh()

    def words(self, *chats, session, to=None, more=()):
        return self.extract_args(*chats, session=session, to=to or self.to, more=[
            "--batch-size", BATCH, "--checkpoint-interval", INTERVAL, "--in-flight", 2, *more])

    def extract(self, *chats, **more):
        done = tgdata(*self.words(*chats, **more), env=self.server.client_env)
        self.assertEqual(done.code, 0, done)

    def files(self):
        """The rows as files have them, extracted once."""
        if self.want is None:
            done = tgdata(*self.extract_args("--all", session=self.session(), job="files"))
            self.assertEqual(done.code, 0, done)
            type(self).want = {place(r): r for r in rows(self.dir / "out")}
        return self.want

    def check_none_lost(self, found, want):
        """@param found  (key, body) of all messages: each of them, and equal ones for equal keys"""
        seen = {}
        for key, body in found:
            row = json.loads(body)
            self.assertTrue(key is None or key.startswith(":".join(
                str(row[name]) for name in ("owner", "chat_id", "id"))), key)
            self.assertEqual(seen.setdefault(place(row), (key, row)), (key, row))
        self.assertEqual({k: row for k, (_, row) in seen.items()}, want)

    def test_messages_are_the_rows_of_the_files(self):
        session = self.session()
        self.extract("--all", session=session)
        found = self.server.drain()
        self.check_none_lost(found, self.files())
        self.assertEqual(len(found), len(self.files()), "none twice")
        for chat in {json.loads(body)["chat_id"] for _, body in found}:
            ids = [r["id"] for r in (json.loads(body) for _, body in found)
                   if r["chat_id"] == chat]
            self.assertEqual(ids, sorted(ids), "messages of a chat come in order")
        self.extract("--all", session=session)
        self.assertEqual(self.server.drain(), [])

    def test_change_events(self):
        session, chat = self.session(), self.sim.chat("channel")["id"]
        self.extract(str(chat), session=session, to=self.server.fresh(format="debezium"))
        found = [json.loads(body) for _, body in self.server.drain()]
        self.assertEqual([e["after"]["id"] for e in found], self.sim.ids(chat))
        self.assertEqual({(e["op"], e["source"]["name"]) for e in found}, {("r", "job")})

    def test_killed_again_and_again(self):
        """Of a run that is killed at most an interval and a batch of each chat comes twice."""
        session, draw, kills, runs, found = self.session(), random.Random(SEED), 0, 1, []
        while kills < KILLS:
            process = start(*self.words("--all", session=session), env=self.server.client_env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                err = process.communicate(timeout=draw.uniform(0.1, 0.6))[1]
                self.assertEqual(process.returncode, 0, err)
                found += self.server.drain()
                self.check_none_lost(found, self.files())
                runs, found = 1, []
                self.fresh_dir()
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                runs += 1
        self.extract("--all", session=session)
        found += self.server.drain()
        want = self.files()
        self.check_none_lost(found, want)
        self.assertLessEqual(len(found), len(want) + runs * 8 * (INTERVAL + BATCH))

    def test_the_server_is_killed_again_and_again(self):
        session, draw, kills = self.session(), random.Random(SEED + 1), 0
        time.sleep(self.server.unwritten)
        while kills < SERVER_KILLS:
            process = start(*self.words("--all", session=session), env=self.server.client_env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                process.communicate(timeout=draw.uniform(0.1, 0.6))
                self.check_none_lost(self.server.drain(), self.files())
                self.fresh_dir()
            except subprocess.TimeoutExpired:
                self.server.kill()
                kills += 1
                self.server.start()
                process.communicate(timeout=120)
        self.extract("--all", session=session)
        self.check_none_lost(self.server.drain(), self.files())

    def test_a_server_that_is_away_for_a_while_is_waited_for(self):
        session, log = self.session(), self.dir / "log"
        with log.open("wb") as err:
            run = start(*self.words("--all", session=session, more=[
                "--circuit-failures", 2, "--recovery-timeout", "1s", "--workers", 3, "--rate", 10]),
                        env=self.server.client_env, stdout=subprocess.DEVNULL, stderr=err)

        def says(text):
            return text in log.read_text(encoding="utf-8")

        try:
            self.assertTrue(wait_for(self.server.has_some))
            self.server.stop()
            self.assertTrue(wait_for(lambda: says("of the destination: closed to open")))
            self.assertIsNone(run.poll(), log.read_text(encoding="utf-8"))
            self.server.start()
            self.assertEqual(run.wait(120), 0, log.read_text(encoding="utf-8"))
            self.assertTrue(says("half_open to closed"))
        finally:
            run.kill()
            run.wait()
        self.check_none_lost(self.server.drain(), self.files())

    def check_told(self, to, code, *words, env=None, more=AT_ONCE):
        with self.subTest(to=to):
            done = tgdata(*self.words(str(self.sim.chat("channel")["id"]),
                                      session=self.session(), to=to, more=more),
                          env=env or self.server.client_env)
            self.check_fails(done, code, *words)
            self.assertNotIn("hunter2", done.err)


class ToRabbit(Streams, Case):
    receiver = streams.Rabbit

    def test_what_is_wrong_is_told(self):
        at = f"127.0.0.1:{self.server.port}"
        address = self.server.address()
        self.check_told(f"amqp://guest:pw@{at}", 2, "password")
        self.check_told("amqp:", 2, "address")
        self.check_told(f"{address}?format=csv", 2, "json")
        self.check_told(f"{address}?routing-key=nowhere", 7, "no queue 'nowhere'")
        self.check_told(f"{address}?exchange=nowhere", 7, "no exchange 'nowhere'")
        self.check_told(f"{address}/nowhere?routing-key=q", 7, "vhost nowhere not found")
        self.check_told(f"{address}?exchange=amq.topic", 7, "gave message '0:", "NO_ROUTE")
        self.check_told(f"{address}?password-file={self.dir}/none", 7, "none")
        self.check_told(self.to, 7, "ACCESS_REFUSED", env={"AMQP_PASSWORD": "hunter2"})
        for more in ((), AT_ONCE, ["--to", f"sqlite:{self.dir}/beside.db"]):
            self.check_told("amqp://guest@127.0.0.1:1", 7, "127.0.0.1:1", "socket", more=more)

    def test_a_password_in_a_file_and_keys_by_chat(self):
        session, chat = self.session(), self.sim.chat("channel")["id"]
        (self.dir / "password").write_text("guest\n", encoding="ascii")
        self.server.pika(f"channel.queue_bind({self.server.queue!r}, 'amq.topic', 'chat.{chat}.x')")
        to = (f"{self.server.address()}?exchange=amq.topic&routing-key=chat.{{chat_id}}.x"
              f"&password-file={self.dir}/password")
        done = tgdata(*self.words(str(chat), session=session, to=to))
        self.assertEqual(done.code, 0, done)
        self.assertEqual([json.loads(body)["id"] for _, body in self.server.drain()],
                         self.sim.ids(chat))

    def test_tls_is_verified(self):
        session, chat = self.session(), self.sim.chat("channel")["id"]
        to = f"amqps://guest@localhost:{self.server.tls_port}{self.to[self.to.index('?'):]}"
        trusting = f"{to}&ca-file={self.server.cert}"
        self.check_told(to, 7, "SSL", "ca-file")
        self.check_told(trusting.replace("localhost", "127.0.0.1"), 7, "hostname")
        self.assertEqual(self.server.drain(), [])
        done = tgdata(*self.words(str(chat), session=session, to=trusting),
                      env=self.server.client_env)
        self.assertEqual(done.code, 0, done)
        self.assertEqual([json.loads(body)["id"] for _, body in self.server.drain()],
                         self.sim.ids(chat))

    def test_a_queue_that_is_full_is_told(self):
        """It refuses what it cannot hold (nack); what it took before is not lost."""
        self.server.pika("channel.queue_declare('full', durable=True, arguments={"
                         "'x-max-length': 300, 'x-overflow': 'reject-publish'})")
        self.check_told(f"{self.server.address()}?routing-key=full", 7, "nack")


class ToWebhook(Streams, Case):
    receiver = streams.Webhook

    def one(self, answer, code=0, **options):
        """Extracts a channel to a service that answers so. @return ids of the rows it took, and how
        the run ended"""
        to = self.server.fresh(**options)
        self.server.answer = answer
        self.fresh_dir()
        done = tgdata(*self.words(str(self.sim.chat("channel")["id"]), session=self.session(),
                                  to=to, more=AT_ONCE), env=self.server.client_env)
        self.assertEqual(done.code, code, done)
        return [json.loads(body)["id"] for _, body in self.server.drain()], done

    def ids(self):
        return self.sim.ids(self.sim.chat("channel")["id"])

    def test_posts_are_bounded_and_of_either_form(self):
        for options in ({"body": "lines", "batch_rows": 7}, {"batch_rows": 1},
                        {"batch_bytes": "1KiB"}):
            sizes = []

            def note(_, headers, body):
                sizes.append((len(body), headers["content-type"].count("ndjson") and
                              body.count(b"\n") or len(json.loads(body))))
                return 200, {}

            self.assertEqual(self.one(note, **options)[0], self.ids())
            self.assertTrue(all(n <= options.get("batch_rows", 500) for _, n in sizes), sizes)
            if "batch_bytes" in options:
                self.assertTrue(all(size <= 1024 + 2 or n == 1 for size, n in sizes), sizes)

    def test_what_may_pass_is_tried_again(self):
        """Throttling, failures, and answers that are lost: then the same post comes again."""
        at = []

        def trouble(number, *_):
            at.append(time.monotonic())
            if number == 1:
                return 429, {"Retry-After": "1"}
            return {2: (503, {}), 4: (500, {}), 6: (None, {})}.get(number, (200, {}))

        found, _ = self.one(trouble, batch_rows=20)
        self.assertGreaterEqual(at[1] - at[0], 1.0)
        self.assertEqual(sorted(set(found)), self.ids())
        self.assertEqual(len(found), len(self.ids()) + 20, "one answer was lost")

    def test_one_that_is_down_for_long_is_told(self):
        for answer in ((503, {}), (429, {"Retry-After": "3600"}), (None, {})):
            _, done = self.one(lambda *_, answer=answer: answer, code=7, tries=2)
            self.check_fails(done, 7, "127.0.0.1")

    def test_a_post_that_is_too_large_is_halved(self):
        def small(_, headers, body):
            return 413 if len(json.loads(body)) > 10 else 200, {}

        self.assertEqual(self.one(small)[0], self.ids())

    def test_a_row_that_is_never_taken_is_a_dead_letter(self):
        bad = self.ids()[5]

        def picky(_, headers, body):
            return 422 if bad in [row["id"] for row in json.loads(body)] else 200, {}

        self.assertEqual(self.one(picky)[0], [i for i in self.ids() if i != bad])
        told = tgdata("dlq", "list", "--state", f"sqlite:{self.dir}/state.db", "--job", "job")
        self.assertIn("422: refused by the test", told.out, told)
        self.assertIn(str(bad), told.out, told)

    def test_what_is_wrong_is_told(self):
        at = f"127.0.0.1:{self.server.port}"
        self.check_told("webhook:ftp://x", 2, "address")
        self.check_told(f"webhook:http://a:b@{at}/in/x", 2, "without user and password")
        self.check_told(self.to, 7, "answers 401: refused",
                        env={"TGDATA_WEBHOOK_SECRET": "hunter2"})
        for more in ((), AT_ONCE):
            self.check_told("webhook:http://127.0.0.1:1/", 7, "127.0.0.1", more=more)
        for status in (302, 404, 410):
            _, done = self.one(lambda *_, status=status: (status, {}), code=7)
            self.check_fails(done, 7, f"answers {status}")
            self.assertEqual(self.server.number, 1, "it is final")
        _, done = self.one(lambda *_: (422, {}), code=7)
        self.check_fails(done, 7, "most rows")

    def test_tls_is_verified(self):
        cert, key = streams.certificate(self.dir)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server = streams.Webhook(self.dir, context)
        self.addCleanup(server.stop)
        self.check_told(server.fresh(), 7, "certificate")
        self.assertEqual(server.number, 0)
        done = tgdata(*self.words(str(self.sim.chat("channel")["id"]), session=self.session(),
                                  to=server.fresh(ca_file=cert)), env=self.server.client_env)
        self.assertEqual(done.code, 0, done)
        self.assertEqual([json.loads(body)["id"] for _, body in server.drain()], self.ids())


class ToKinesis(Streams, Case):
    receiver = streams.Kinesis
    test_the_server_is_killed_again_and_again = None  # it keeps nothing when it is killed

    def busy(self, refuses, code=0, **options):
        server = streams.BusyKinesis(self.dir)
        self.addCleanup(server.stop)
        to = server.fresh(refuses, **options)
        self.fresh_dir()
        done = tgdata(*self.words(str(self.sim.chat("channel")["id"]), session=self.session(),
                                  to=to, more=AT_ONCE), env=self.server.client_env)
        self.assertEqual(done.code, code, done)
        return server, done

    def ids(self):
        return self.sim.ids(self.sim.chat("channel")["id"])

    def test_only_what_was_not_taken_is_sent_again(self):
        """A shard that is busy takes some records of each call: each arrives, and once."""
        draw = random.Random(SEED)

        def busy(*_):
            return "ProvisionedThroughputExceededException" if draw.random() < 0.4 else None

        server, _ = self.busy(busy)
        self.assertEqual(sorted(r["id"] for r in server.rows), self.ids())
        self.assertGreater(len(server.sizes), len(self.ids()) // INTERVAL + 1)
        server, done = self.busy(lambda *_: "InternalFailure", code=7, tries=3)
        self.check_fails(done, 7, "InternalFailure: Rate exceeded", "busy")
        self.assertEqual((server.rows, server.number), ([], 3))

    def test_rows_by_their_own_keys(self):
        self.extract(str(self.sim.chat("channel")["id"]), session=self.session(),
                     to=self.server.fresh(partition_key="row"))
        found = self.server.records()
        self.assertEqual(len({shard for shard, _, _ in found}), 2)
        self.assertEqual(sorted(json.loads(body)["id"] for _, _, body in found), self.ids())
        for _, key, body in found:
            row = json.loads(body)
            self.assertTrue(key.startswith(f"{row['owner']}:{row['chat_id']}:{row['id']}:"), key)

    def test_what_is_wrong_is_told(self):
        self.check_told("kinesis:", 2, "name")
        self.check_told("kinesis:a/b", 2, "a/b")
        self.check_told(self.server.address("nowhere"), 7, "nowhere", "ResourceNotFoundException")
        self.check_told("kinesis:x?endpoint=http://127.0.0.1:1", 7, "127.0.0.1:1")
        self.check_told("kinesis:x?endpoint=ftp://x", 2, "ftp")
        self.server.set_keys(self.server.keys[0], "hunter2")
        self.check_told(self.to, 7, "Signature")
        self.server.set_keys(*self.server.no_right)
        self.check_told(self.to, 7, "AccessDenied")
        self.server.set_keys(*self.server.keys)


if __name__ == "__main__":
    if not streams.PYTHON.exists():
        raise SystemExit("tests/interop/setup messages installs what reads the messages")
    for case, library in (("ToRabbit", "librabbitmq"), ("ToWebhook", "libcurl"),
                          ("ToKinesis", "libcurl")):
        if library not in tgdata("version").out:
            globals()[case] = unittest.skip(f"a build without {library}")(globals()[case])
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Destinations that are streams, as a user meets them: the messages are the rows of the NDJSON
files, however often a run or the server is killed; what comes twice has the same key and is the
same."""
import json
import os
import random
import subprocess

import streams
from kit import Case, Sim, main, rows, start, tgdata, wait_for

KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "8"))
SERVER_KILLS = int(os.environ.get("TGDATA_TEST_SERVER_KILLS", "1"))
SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
INTERVAL, BATCH = 200, 100


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
        words = self.extract_args(*chats, session=session, more=[
            "--batch-size", BATCH, "--checkpoint-interval", INTERVAL, "--in-flight", 2, *more])
        words[words.index("--to") + 1] = to or self.to
        return words

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
        self.assertEqual(len(found), len({key for key, _ in found}), "none twice")
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
                self.dir = self.dir / "next"
                self.dir.mkdir()
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
        if not self.server.dies:
            self.skipTest("it keeps nothing when it is killed")
        session, draw, kills = self.session(), random.Random(SEED + 1), 0
        while kills < SERVER_KILLS:
            process = start(*self.words("--all", session=session), env=self.server.client_env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                process.communicate(timeout=draw.uniform(0.1, 0.6))
                self.check_none_lost(self.server.drain(), self.files())
                self.dir = self.dir / "next"
                self.dir.mkdir()
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

    def check_told(self, to, code, *words, env=None):
        with self.subTest(to=to):
            done = tgdata(*self.words(str(self.sim.chat("channel")["id"]),
                                      session=self.session(), to=to),
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
        self.check_told("amqp://guest@127.0.0.1:1", 7, "127.0.0.1:1", "socket")

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

    def test_a_queue_that_is_full_is_told(self):
        """It refuses what it cannot hold (nack); what it took before is not lost."""
        self.server.pika("channel.queue_declare('full', durable=True, arguments={"
                         "'x-max-length': 300, 'x-overflow': 'reject-publish'})")
        self.check_told(f"{self.server.address()}?routing-key=full", 7, "nack")


if __name__ == "__main__":
    if not streams.PYTHON.exists():
        raise SystemExit("tests/interop/setup messages installs what reads the messages")
    for case, library in (("ToRabbit", "librabbitmq"),):
        if library not in tgdata("version").out:
            del globals()[case]
    main()

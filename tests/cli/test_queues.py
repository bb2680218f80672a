#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What queue/broker.h promises, kept by every broker: a client of each (broker_client.c) is led
through it step by step."""
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

from brokers import CLIENT, Client, Rabbit, Redis, Sqs
from kit import main, tgdata

VISIBILITY = 2


class Contract(unittest.TestCase):
    broker_class = None
    suffix = ""
    needs = ""

    @classmethod
    def setUpClass(cls):
        if cls.needs not in tgdata("version").out:
            raise unittest.SkipTest(f"this build has no {cls.needs}")
        cls.top = pathlib.Path(tempfile.mkdtemp(prefix="tgdata-test-"))
        cls.top.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.top, ignore_errors=True)
        cls.broker = cls.broker_class(cls.top / "broker")
        cls.addClassCleanup(cls.broker.end)
        cls.broker.suffix = cls.suffix
        cls.n = 0

    def setUp(self):
        type(self).n += 1
        self.name = f"q{self.n}"
        self.options = {"visibility": f"{VISIBILITY}s"}

    def client(self, who="a"):
        made = Client(self.broker.queue_url(self.name, **self.options), who)
        self.addCleanup(lambda: made.process.poll() is None and made.end(kill=True))
        return made

    def check(self, answer, word="ok"):
        self.assertEqual(answer.split()[0], word, answer)

    def test_a_task_comes_back_as_it_was(self):
        a = self.client()
        for body in ('{"chat": "@a"}', '{"q": "\\"\\\\ \u00e4\u20ac\U0001f600 <&>\'"}', "x",
                     "y" * (64 << 10)):
            self.check(a.ask("put", body))
            number, deliveries, attempts, got = a.take()
            self.assertEqual((deliveries, attempts, got), (1, 0, body))
            self.check(a.ask("ack", number))
            self.assertIsNone(a.take(0))
        self.assertEqual(a.depth(), (0, 0, 0))
        self.check(a.ask("big", (64 << 10) + 1), "LIMIT")

    def test_what_others_put_may_be_longer(self):
        a = self.client()
        for n in (100_000, 1_000_000):
            if not self.broker.put_raw(self.name, "x" * n):
                self.skipTest("needs another client")
            number, _, _, body = a.take()
            self.assertEqual(body, "x" * n)
            self.check(a.ask("bury", number, "too long"))
        self.assertEqual(a.depth(), (0, 0, 2))

    def test_retries_wait_and_are_counted(self):
        a = self.client()
        self.check(a.ask("put", "t"))
        number, _, _, _ = a.take()
        self.check(a.ask("retry", number, 2000, 1))
        started = time.monotonic()
        number, deliveries, attempts, _ = a.take(20000)
        self.assertGreater(time.monotonic() - started, 0.9)
        self.assertEqual((deliveries, attempts), (1, 1))
        self.check(a.ask("retry", number, 1000, 0))
        number, deliveries, attempts, _ = a.take(20000)
        self.assertEqual((deliveries, attempts), (1, 1))
        self.check(a.ask("ack", number))
        self.assertEqual(a.depth(), (0, 0, 0))

    def test_what_is_given_back_was_never_taken(self):
        a = self.client()
        self.check(a.ask("put", "t"))
        for _ in range(8):
            number, deliveries, attempts, body = a.take()
            self.assertEqual((deliveries, attempts, body), (1, 0, "t"))
            self.check(a.ask("back", number))
        number, _, _, _ = a.take()
        self.check(a.ask("ack", number))
        self.assertEqual(a.depth(), (0, 0, 0))

    def test_the_silent_lose_their_tasks(self):
        a, b = self.client("a"), self.client("b")
        self.check(a.ask("put", "t"))
        first, _, _, _ = a.take()
        self.assertIsNone(b.take(0))
        number, deliveries, _, _ = b.take(20000)
        self.assertEqual(deliveries, 2)
        for verb in (("keep", first), ("ack", first), ("retry", first, 1, 1), ("back", first),
                     ("bury", first, "why")):
            answer = a.ask(*verb)
            if answer.startswith("NET "):  # it finds out that its connection is gone
                answer = a.ask(*verb)
            self.check(answer, "CONFLICT")
        self.check(b.ask("keep", number))
        self.check(b.ask("ack", number))
        self.assertIsNone(a.take(int(1500 * VISIBILITY)))
        self.assertEqual(a.depth(), (0, 0, 0))

    def test_who_keeps_a_task_has_it(self):
        a, b = self.client("a"), self.client("b")
        self.check(a.ask("put", "t"))
        number, _, _, _ = a.take()
        end = time.monotonic() + 3 * VISIBILITY
        while time.monotonic() < end:
            self.check(a.ask("keep", number))
            self.assertIsNone(b.take(0))
            time.sleep(VISIBILITY / 5)
        self.check(a.ask("ack", number))

    def test_the_dead_lose_theirs_and_poison_is_buried(self):
        self.options["max_deliveries"] = 2
        a = self.client()
        self.check(a.ask("put", "poison"))
        for n in (1, 2):
            victim = self.client(f"v{n}")
            _, deliveries, _, _ = victim.take(20000)
            self.assertEqual(deliveries, n)
            victim.end(kill=True)
        self.assertIsNone(a.take(int(2500 * VISIBILITY)))
        self.assertEqual(a.depth(), (0, 0, 1))

    def test_burying(self):
        a = self.client()
        self.check(a.ask("put", "t"))
        number, _, _, _ = a.take()
        self.check(a.ask("bury", number, "it has  no\x01 hope \u00e4"))
        self.assertIsNone(a.take(0))
        self.assertEqual(a.depth(), (0, 0, 1))
        dead = self.broker.dead(self.name)
        if dead is not None:
            self.assertIn("hope", dead)

    def test_each_of_many_tasks_once(self):
        clients = [self.client(f"c{i}") for i in range(4)]
        wanted = [f"task {i}" for i in range(60)]
        for i, body in enumerate(wanted):
            self.check(clients[i % 4].ask("put", body))
        got = []
        while len(got) < len(wanted):
            for c in clients:
                task = c.take(1000)
                if task:
                    got.append(task[3])
                    self.check(c.ask("ack", task[0]))
        self.assertEqual(sorted(got), sorted(wanted))
        self.assertEqual(clients[0].depth(), (0, 0, 0))


class OnRedis(Contract):
    broker_class, needs = Redis, "hiredis"


class OnRabbit(Contract):
    broker_class, needs = Rabbit, "librabbitmq"


class OnSqs(Contract):
    broker_class, needs = Sqs, "libcurl"

    @classmethod
    def setUpClass(cls):
        if not (Sqs.bin / "moto_server").exists():
            raise unittest.SkipTest("tests/interop/setup moto installs what this needs")
        super().setUpClass()

    def test_a_delay_that_is_longer_than_sqs_has(self):
        a = self.client()
        self.check(a.ask("put", "t"))
        number, _, _, _ = a.take()
        self.check(a.ask("retry", number, 2_000_000, 1))
        self.assertIsNone(a.take(0))
        self.assertEqual(a.depth()[1], 0 if self.suffix else 1)


class OnFifo(OnSqs):
    suffix = ".fifo"

    def test_equal_tasks_wait_for_each_other(self):
        a = self.client()
        for body in ("same", "same", "other"):
            self.check(a.ask("put", body))
        one, two = a.take(), a.take()
        self.assertEqual((one[3], two[3]), ("same", "other"))
        self.assertIsNone(a.take(0))
        self.check(a.ask("ack", one[0]))
        self.assertEqual(a.take()[3], "same")


del Contract  # the abstract one is no test

if __name__ == "__main__":
    if not CLIENT.exists():
        sys.exit(77)
    main()

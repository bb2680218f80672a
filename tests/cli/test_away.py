#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A destination that is away for a while: a PostgreSQL server that crashes and comes back.

The run waits and says so once; the source goes on reading into a temporary file of a bounded size;
whoever is killed and when, each row is there once afterwards.
"""
import pathlib
import re
import subprocess
import time

from kit import PASSWORD, Case, PostgresServer, Sim, main, rows, start, tgdata, wait_for
from test_destinations import Postgres

MESSAGES = 12000
MEMORY_KIB = 64 << 10


class Away(Case):
    sim_args = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sim = Sim(cls.top / "dc", "--chats", "1", "--messages", str(MESSAGES), "--seed", "5",
                      "--latency-ms", "60")
        cls.chat = cls.sim.chat("supergroup")
        Postgres.server = cls.server = PostgresServer(cls.top / "pg")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        if not self.server.is_up():
            self.server.start()
        self.out, self.user = Postgres(self), self.session()
        self.log = self.dir / "log"

    def words(self, *more):
        return self.extract_args(self.chat["id"], session=self.user, to=self.out.url(), more=[
            "--batch-size", 100, "--checkpoint-interval", 300, "--buffer", "1MiB", "--in-flight", 2,
            *more])

    def start(self, *more):
        with self.log.open("wb") as err:
            return start(*self.words(*more), env=PASSWORD, stdout=subprocess.DEVNULL, stderr=err)

    def start_and_crash_server(self, *more):
        run = self.start(*more)
        self.assertTrue(wait_for(self.out.rows))
        self.server.stop()  # all of it at once, as in a crash
        self.assertTrue(wait_for(lambda: "is waited for" in self.told()), self.told())
        return run

    def told(self):
        return self.log.read_text(encoding="utf-8")

    def requests(self):
        return self.sim.stats()["queries"]

    def read_on(self):
        """How many requests are made until none is for a while."""
        first = last = self.requests()
        while True:
            time.sleep(1)
            now = self.requests()
            if now == last:
                return now - first
            last = now

    def check_each_once(self):
        self.assertEqual(sorted(r["id"] for r in self.out.rows()), self.sim.ids(self.chat["id"]))
        proof = tgdata("verify", *self.account_args(self.user), "--state",
                       f"sqlite:{self.dir}/state.db", "--job", "job", env=PASSWORD)
        self.assertEqual(proof.code, 0, proof)

    def test_the_source_goes_on_reading(self):
        run = self.start_and_crash_server()
        try:
            self.assertGreater(self.read_on(), 20)
            self.assertIsNone(run.poll(), self.told())
            status = pathlib.Path(f"/proc/{run.pid}/status").read_text(encoding="ascii")
            self.assertLess(int(re.search(r"VmHWM:\s+(\d+)", status)[1]), MEMORY_KIB)
            self.server.start()
            self.assertEqual(run.wait(60), 0, self.told())
        finally:
            run.kill()
            run.wait()
        self.assertEqual(self.told().count("is waited for"), 1, self.told())
        self.assertEqual(self.told().count("takes rows again"), 1, self.told())
        self.check_each_once()

    def test_without_room_it_stops_reading(self):
        run = self.start_and_crash_server("--spill", "0")
        try:
            self.assertLess(self.read_on(), 60)
            self.server.start()
            self.assertEqual(run.wait(60), 0, self.told())
        finally:
            run.kill()
            run.wait()
        self.check_each_once()

    def test_killed_while_it_waits(self):
        run = self.start_and_crash_server()
        time.sleep(0.5)
        run.kill()
        run.wait()
        self.server.start()
        done = tgdata(*self.words(), env=PASSWORD)
        self.assertEqual(done.code, 0, done)
        self.check_each_once()

    def test_with_stages(self):
        """Rows that were spilled go through them when they are read back, rows that are written
        again do not; killed while it waits, the next run goes on with what stages remember."""
        stages = ["--stage", "validate?field=id&format=positive_integer&severity=drop", "--stage",
                  "validate?field=text&max-length=600&severity=quarantine", "--stage",
                  "dedup?keys=text", "--stage", "enrich"]
        run = self.start_and_crash_server(*stages)
        try:
            self.assertGreater(self.read_on(), 20)
            run.kill()
            run.wait()
            self.server.start()
            there = len(self.out.rows())
            run = self.start(*stages)
            self.assertTrue(wait_for(lambda: len(self.out.rows()) > there))
            self.server.stop()
            self.assertTrue(wait_for(lambda: "is waited for" in self.told()), self.told())
            self.server.start()
            self.assertEqual(run.wait(60), 0, self.told())
        finally:
            run.kill()
            run.wait()
        plain = self.extract_args(self.chat["id"], session=self.user, job="plain",
                                  to=f"ndjson:{self.dir}/plain")
        self.assertEqual(tgdata(*plain).code, 0)
        wanted, aside, texts = [], [], set()
        for row in rows(self.dir / "plain"):
            text = row.get("text")
            if len(text or "") > 600:
                aside.append(row["id"])
            elif text is None or text not in texts:
                wanted.append(row["id"])
                texts.add(text)
        self.assertTrue(0 < len(wanted) < len(wanted) + len(aside) < MESSAGES)
        self.assertEqual(sorted(r["id"] for r in self.out.rows()), wanted)
        found = tgdata("dlq", "list", "--json", "--state", f"sqlite:{self.dir}/state.db").json()
        self.assertEqual(sorted(f["letter"]["row"]["id"] for f in found), aside)

    def test_stopped_while_it_waits(self):
        run = self.start_and_crash_server()
        run.terminate()
        self.assertEqual(run.wait(20), 7, self.told())
        self.server.start()
        done = tgdata(*self.words(), env=PASSWORD)
        self.assertEqual(done.code, 0, done)
        self.check_each_once()

    def test_given_up_in_time(self):
        run = self.start_and_crash_server("--destination-wait", "2s")
        self.assertEqual(run.wait(30), 7, self.told())
        self.assertIn("it was waited for 2 s (--destination-wait)", self.told())

    def test_not_there_at_the_start(self):
        """That is told at once, unless a time is given to wait."""
        self.server.stop()
        self.check_fails(tgdata(*self.words(), env=PASSWORD), 7, "PostgreSQL", "refused")
        run = self.start("--destination-wait", "60s")
        self.assertTrue(wait_for(lambda: "is waited for" in self.told()), self.told())
        self.server.start()
        self.assertEqual(run.wait(60), 0, self.told())
        self.check_each_once()


if __name__ == "__main__":
    main()

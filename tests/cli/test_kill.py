#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A real run against a real server, killed and stopped at random moments.

Two hundred SIGKILLs in one chain of resumes; a run that is stopped past its lease, overtaken, and
woken up again. At the end the files hold the world's ids, each once, and the simulator tells that
no more was fetched again than what was not committed.
"""
import hashlib
import os
import pathlib
import random
import signal
import subprocess
import time

from kit import Case, Sim, main, rows, start, tgdata, wait_for

KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "200"))
SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
BATCH, IN_FLIGHT, PAGE = 100, 2, 100
BATCHES_MAX = 8  # src/etl/pipeline.c: credit


def digests(out):
    """Every data file with its digest: what must never change once it is there."""
    return {p: hashlib.sha256(p.read_bytes()).hexdigest()
            for p in pathlib.Path(out).glob("chat_*/part-*.ndjson")}


class Stopped(Case):
    sim_args = None
    latency_ms = 10

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sim = Sim(cls.top / "dc", "--chats", "8", "--messages", "5000", "--seed", "21",
                      "--latency-ms", cls.latency_ms)

    def stats(self):
        return self.sim.stats()

    def words(self, session, *more):
        return self.extract_args("--all", session=session, more=[
            "--batch-size", BATCH, "--checkpoint-interval", BATCH, "--in-flight", IN_FLIGHT, *more])

    def begin(self, session, *more):
        return start(*self.words(session, *more), stdout=subprocess.DEVNULL,
                     stderr=subprocess.PIPE)

    def all_chats(self):
        chats = self.sim.chats(self.sim.account())
        grown_from = {c["migrated_from"] for c in chats}  # read with what they became
        return [c for c in chats if c["id"] not in grown_from]


class Kill(Stopped):
    latency_ms = 35  # so that 200 kills come before the end

    def test_two_hundred_kills_in_one_chain(self):
        session, draw = self.session(), random.Random(SEED)
        kept, ends, before = {}, 0, self.stats()
        kills = 0
        while kills < KILLS:
            process = self.begin(session)
            try:
                # most land after the first commits, some before anything was asked
                err = process.communicate(timeout=draw.choice([draw.uniform(0, 0.15),
                                                               draw.uniform(0.1, 0.5)]))[1]
                self.assertEqual(process.returncode, 0, err)
                ends += 1
                self.check_whole(self.all_chats())
                self.fresh_dir()  # all is there: on with a fresh destination
                kept = {}
                continue
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            kills += 1
            if kills % 10 == 0:
                now = digests(self.dir / "out")
                for part, digest in kept.items():
                    self.assertEqual(now.get(part), digest, f"kill {kills} of seed {SEED}")
                kept = now
        done = tgdata(*self.words(session))
        self.assertEqual(done.code, 0, done)
        self.check_whole(self.all_chats())
        proof = self.verify(session)
        self.assertEqual(proof.code, 0, proof)
        again = self.stats()["messages"] - before["messages"]
        again -= (ends + 1) * len(self.sim.truth(self.all_chats()))
        # what a killed run can have had in hand, and what each run asks to learn where it stands
        lost = (BATCHES_MAX + 2) * BATCH + IN_FLIGHT * PAGE
        asks = 3 * len(self.all_chats())
        print(f"{kills} kills in {ends + 1} chain(s), {again} messages fetched again: "
              f"{again / kills:.0f} a kill, at most {lost}", flush=True)
        self.assertLess(again, kills * (lost + asks))


class Sleep(Stopped):
    def stop_between_transactions(self, draw, old, second):
        """Stopped inside a transaction of the state store it keeps everybody out: tried again."""
        words = self.words(second)
        words[words.index("--state") + 1] += "?busy-timeout=200ms"
        for _ in range(20):
            time.sleep(draw.uniform(0, 0.2))
            old.send_signal(signal.SIGSTOP)
            refused = tgdata(*words)
            if not (refused.code == 8 and "locked by another process" in refused.err):
                break
            old.send_signal(signal.SIGCONT)
        return refused

    def overtake(self, draw, first, second):
        old = self.begin(first)  # with the lease of all tests, 1 s
        try:
            self.overtake_running(draw, old, second)
        finally:
            old.kill()
            old.communicate()

    def overtake_running(self, draw, old, second):
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        refused = self.stop_between_transactions(draw, old, second)
        self.check_fails(refused, 9, "job 'job'" if "job 'job'" in refused.err else "job/job")
        time.sleep(1.1)
        done = tgdata(*self.words(second))
        self.assertEqual(done.code, 0, done)
        self.check_whole(self.all_chats())
        whole = digests(self.dir / "out")
        old.send_signal(signal.SIGCONT)
        err = old.communicate(timeout=60)[1].decode()
        self.assertEqual(old.returncode, 9, err)
        lines = [line for line in err.splitlines() if line.startswith("tgdata")]
        self.assertEqual(len(lines), 1, err)
        self.assertIn("taken over by another run", lines[0])
        self.assertIn("  hint: ", err)
        self.assertEqual(digests(self.dir / "out"), whole)
        left = [p.name for p in (self.dir / "out").rglob("*")
                if p.name.endswith(".tmp") or p.name.startswith("_writer")]
        self.assertEqual(left, [])
        proof = self.verify(second)
        self.assertEqual(proof.code, 0, proof)

    def test_a_run_that_slept_past_its_lease_stops_by_itself(self):
        draw = random.Random(SEED)
        first, second = self.session(), self.dir / "second.session"
        self.login(second)
        top = self.dir
        for i in range(int(os.environ.get("TGDATA_TEST_STOPS", "6"))):
            self.dir = top / str(i)
            self.dir.mkdir()
            with self.subTest(seed=SEED, time=i):
                self.overtake(draw, first, second)


class DataCentre(Case):
    sim_args = None

    def test_it_can_be_stopped_the_moment_it_listens(self):
        for i in range(12):
            Sim(self.dir / str(i), "--chats", "1", "--messages", "1").stop()  # waits for the end

    def test_it_can_be_asked_the_moment_it_listens(self):
        for i in range(12):
            sim = Sim(self.dir / str(i), "--chats", "1", "--messages", "1")
            self.assertIn("methods", sim.stats())
            sim.stop()


if __name__ == "__main__":
    main()

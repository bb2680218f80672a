#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Workers that share an account's limits through a real Redis: four processes, each with a login of
its own, against a server that counts them as one. Together they use the limit and never hit it; a
killed one's share is taken over; with Redis gone each keeps to its part, and comes back."""
import signal
import subprocess
import time

import kit

RATE, WORKERS = 40, 4
METHOD = "messages.getHistory"


class Shared(kit.Case):
    sim_args = None

    def setUp(self):
        super().setUp()
        self.redis = kit.Redis(self.dir / "redis", "--appendonly", "no")
        self.sim = kit.Sim(self.dir / "dc", "--chats", "1", "--messages", "200000", "--seed", "5",
                           "--latency-ms", "10", "--faults", "short=0", "--flood",
                           f"{METHOD}={RATE}/{RATE}")
        self.chat = str(self.sim.chat("supergroup")["id"])
        self.workers, self.more = [], ()
        for i in range(WORKERS):
            self.login(self.dir / f"w{i}.session")

    def tearDown(self):
        for worker in self.workers:
            worker.kill()
            worker.wait(30)
            worker.stderr.close()
        self.sim.stop()
        self.redis.stop()

    def begin(self, i, *more):
        out = self.dir / f"w{i}"
        out.mkdir(exist_ok=True)
        log = (out / "log").open("wb")
        worker = kit.start(
            "extract", self.chat, "--session", self.dir / f"w{i}.session", "--coordinate",
            self.redis.url(), "--to", f"ndjson:{out}/out", "--state", f"sqlite:{out}/state",
            "--progress", "none", "--in-flight", "8", *self.more, *more,
            stdout=subprocess.DEVNULL, stderr=log)
        worker.stderr = log
        self.workers.append(worker)
        return worker

    def begin_all(self, warm_s):
        """All at work for so long that blocks are dealt out among them."""
        for i in range(WORKERS):
            self.begin(i)
        self.assertTrue(kit.wait_for(lambda: all("connected" in self.log(i)
                                                 for i in range(WORKERS))))
        time.sleep(warm_s)

    def log(self, i):
        return (self.dir / f"w{i}" / "log").read_text()

    def calls(self):
        """What the server let pass so far, its floods, and when that was."""
        begun = time.monotonic()
        stats = self.sim.stats()
        method = stats["methods"].get(METHOD, {"calls": 0, "errors": 0, "floods": 0})
        self.assertEqual(stats["early_repeats"], 0)
        return method["calls"] - method["errors"], method["floods"], (begun + time.monotonic()) / 2

    def rate(self, seconds):
        """Calls a second that pass from now on, and how many floods there are meanwhile."""
        before = self.calls()
        time.sleep(seconds)
        after = self.calls()
        rate = (after[0] - before[0]) / (after[2] - before[2])
        print(f"{self.id().rsplit('.', 1)[1]}: {rate:.2f} calls/s of {RATE}, "
              f"{after[1] - before[1]} flood waits", flush=True)
        return rate, after[1] - before[1]

    def check_rate(self, seconds, least=0.98):
        rate, floods = self.rate(seconds)
        self.assertEqual(floods, 0, [self.log(i) for i in range(WORKERS)])
        self.assertGreaterEqual(rate, RATE * least)
        self.assertLessEqual(rate, RATE * 1.02)


class Configured(Shared):
    def setUp(self):
        super().setUp()
        self.more = ("--rate", str(RATE))

    def test_four_workers_a_kill_and_a_newcomer(self):
        self.begin_all(4)
        self.check_rate(12)
        for i in range(WORKERS):
            self.assertNotIn("flood", self.log(i))
        self.workers[1].kill()
        time.sleep(5)
        self.check_rate(8)
        self.begin(1, "--lease", "1s")
        time.sleep(4)
        self.check_rate(8)
        self.workers[2].send_signal(signal.SIGTERM)  # gives back what it holds
        time.sleep(3)
        self.check_rate(8)

    def test_redis_gone_and_back(self):
        self.begin_all(4)
        self.check_rate(8)
        self.redis.stop()
        time.sleep(4)
        self.check_rate(8, least=0.95)
        for i in range(WORKERS):
            self.assertIn("limits are not shared now", self.log(i))
            self.assertIn("one of 4 workers", self.log(i))
            self.assertNotIn("shared again", self.log(i))
        self.redis.start()
        time.sleep(8)
        self.check_rate(8)
        for i in range(WORKERS):
            self.assertIn("limits are shared again", self.log(i))
        self.redis.process.send_signal(signal.SIGSTOP)  # there, but silent
        time.sleep(4)
        self.check_rate(8, least=0.95)
        self.redis.process.send_signal(signal.SIGCONT)
        time.sleep(6)
        self.check_rate(8)


class Learned(Shared):
    def test_one_learns_for_all(self):
        self.begin_all(60)
        rate, floods = self.rate(20)
        self.assertGreaterEqual(rate, RATE * 0.95)
        self.assertLessEqual(rate, RATE * 1.02)
        self.assertLessEqual(floods, 2)


class Errors(kit.Case):
    sim_args = ("--chats", "1", "--messages", "10", "--seed", "5")

    def extract(self, url):
        return kit.tgdata(*self.extract_args(str(self.sim.chat("supergroup")["id"]),
                                             more=("--coordinate", url)))

    def test_what_cannot_work_is_told_at_once(self):
        self.check_fails(self.extract("http://x"), 2, "redis://")
        self.check_fails(self.extract("rediss://x"), 4, "TLS")
        self.assertIn("refused", self.extract("redis://127.0.0.1:1").err)
        self.assertEqual(self.extract("redis://127.0.0.1:1").code, 6)
        redis = kit.Redis(self.dir / "redis", "--requirepass", "right")
        try:
            wrong = self.extract(f"redis://:wrong@127.0.0.1:{redis.port}")
            self.check_fails(wrong, 8, "WRONGPASS")
            self.assertNotIn("wrong@", wrong.err)
            done = self.extract(f"redis://:right@127.0.0.1:{redis.port}")
            self.assertEqual(done.code, 0, done)
            self.check_whole([self.sim.chat("supergroup")])
        finally:
            redis.stop()


if __name__ == "__main__":
    kit.main(redis=True)

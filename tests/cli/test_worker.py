#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Workers on one queue: every row once, whoever is killed, stopped or gone for a while."""
import json
import pathlib
import random
import signal
import socket
import subprocess
import time

from kit import Case, main, rows, start, tgdata, wait_for


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Redis:
    """A redis-server of the test's own."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir()
        self.port = free_port()
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "yes", "--appendfsync", "always", "--dir", str(self.dir)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        if not wait_for(self.is_up):
            raise RuntimeError("redis-server does not start")

    def is_up(self):
        return self.cli("ping") == "PONG"

    def cli(self, *words):
        return subprocess.run(["redis-cli", "-p", str(self.port), *map(str, words)], check=False,
                              capture_output=True, text=True).stdout.strip()

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Worker(Case):
    sim_args = ("--chats", "100", "--messages", "250", "--seed", "17", "--latency-ms", "3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.redis = Redis(cls.top / "redis")
        cls.session_files = []

    @classmethod
    def tearDownClass(cls):
        cls.redis.stop()
        super().tearDownClass()

    def users(self):
        return [a for a in self.sim.accounts if "bot_token" not in a][:4]

    def sessions(self):
        """One for each of four accounts, made once."""
        if not type(self).session_files:
            for i, account in enumerate(self.users()):
                self.login(self.top / f"w{i}.session", account)
                type(self).session_files.append(self.top / f"w{i}.session")
        return type(self).session_files

    def shared(self):
        """What all four can read."""
        ids = {a["user_id"] for a in self.users()}
        return [c for c in self.sim.chats(self.users()[0]) if ids <= set(c["members"])
                and c["kind"] in ("supergroup", "forum", "channel") and not c["migrated_from"]]

    def queue(self, **more):
        options = "&".join(f"{k.replace('_', '-')}={v}" for k, v in more.items())
        return (f"redis://127.0.0.1:{self.redis.port}/0?queue={self.dir.name}"
                + (f"&{options}" if options else ""))

    def enqueue(self, *chats, more=()):
        done = tgdata("enqueue", *chats, "--queue", self.queue(), "--json", *more)
        self.assertEqual(done.code, 0, done)
        return done.json()

    def look(self):
        return self.enqueue()

    def worker_args(self, session, queue, more=()):
        return ["worker", "--session", session, "--queue", queue, "--to",
                f"ndjson:{self.dir}/out", "--state", f"sqlite:{self.dir}/state.db", "--job", "job",
                "--lease", "1s", "--progress", "none", "--workers", "3", "--batch-size", "50",
                "--checkpoint-interval", "100", *more]

    def test_a_queue_is_worked_off(self):
        chats = self.shared()[:8]
        told = self.enqueue(*[c["id"] for c in chats])
        self.assertEqual((told["waiting"], told["taken"], told["dead"]), (8, 0, 0))
        done = tgdata(*self.worker_args(self.sessions()[0], self.queue(),
                                        ["--until-empty", "--json"]))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.json()["chats"], 8, done)
        self.check_whole(chats)
        self.assertEqual(self.look(), {"waiting": 0, "taken": 0, "later": 0, "dead": 0})

    def test_four_workers_killed_at_random(self):
        chats = self.shared()[:40]
        self.assertEqual(len(chats), 40)
        self.enqueue(*[c["id"] for c in chats])
        rng = random.Random(5)
        queue = self.queue(visibility="2s", max_deliveries=100)
        args = [self.worker_args(s, queue, ["--until-empty", "--rate", "8"])
                for s in self.sessions()]
        run = [start(*a, stderr=subprocess.DEVNULL) for a in args]
        kills = 0
        end = time.monotonic() + 150
        while time.monotonic() < end and any(r.poll() is None for r in run):
            time.sleep(rng.uniform(0.2, 0.8))
            i = rng.randrange(4)
            if kills < 25 and run[i].poll() is None:
                run[i].send_signal(signal.SIGKILL)
                run[i].wait()
                kills += 1
                run[i] = start(*args[i], stderr=subprocess.DEVNULL)
        self.assertEqual([r.wait(60) for r in run], [0, 0, 0, 0])
        self.assertGreaterEqual(kills, 15)
        self.check_whole(chats)
        self.assertEqual(self.look(), {"waiting": 0, "taken": 0, "later": 0, "dead": 0})

    def test_a_worker_that_sleeps_past_its_lease_writes_no_more(self):
        chats = self.shared()[:1]
        self.enqueue(chats[0]["id"])
        queue = self.queue(visibility="2s")
        sleeper = start(*self.worker_args(self.sessions()[0], queue,
                                          ["--rate", "2", "--in-flight", "1"]),
                        stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        sleeper.send_signal(signal.SIGSTOP)
        done = tgdata(*self.worker_args(self.sessions()[1], queue, ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)
        sleeper.send_signal(signal.SIGCONT)
        time.sleep(3)
        sleeper.send_signal(signal.SIGTERM)
        sleeper.wait(30)
        self.check_whole(chats)

    def test_sigterm_gives_back_what_is_not_done(self):
        chats = self.shared()[:3]
        self.enqueue(*[c["id"] for c in chats])
        run = start(*self.worker_args(self.sessions()[0], self.queue(), ["--rate", "1"]),
                    stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: self.look()["taken"] == 3))
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(30), 130)
        self.assertEqual(self.look()["waiting"], 3)
        done = tgdata(*self.worker_args(self.sessions()[1], self.queue(), ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)

    def test_hopeless_tasks_are_buried_and_others_go_on(self):
        chats = self.shared()[:2]
        self.enqueue(chats[0]["id"], "@nobody_has_this_name", chats[1]["id"])
        self.redis.cli("XADD", f"{{tgdata:{self.dir.name}}}:tasks", "*", "body", "nonsense")
        done = tgdata(*self.worker_args(self.sessions()[0], self.queue(), ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)
        self.assertEqual(self.look()["dead"], 2)
        dead = self.redis.cli("XRANGE", f"{{tgdata:{self.dir.name}}}:dead", "-", "+")
        self.assertIn("nobody_has_this_name", dead)
        self.assertIn("no JSON object", dead)

    def test_a_broker_that_is_gone_for_a_while(self):
        chats = self.shared()[:6]
        self.enqueue(*[c["id"] for c in chats])
        run = start(*self.worker_args(self.sessions()[0], self.queue(visibility="3s"),
                                      ["--rate", "6", "--until-empty"]), stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        self.redis.stop()
        time.sleep(2)
        self.redis.start()
        self.assertEqual(run.wait(90), 0)
        self.check_whole(chats)

    def test_bad_queues(self):
        session = self.sessions()[0]
        for queue, code, word in [("redis://127.0.0.1:1/0", 6, "127.0.0.1:1"),
                                  ("nosuch://x", 2, "nosuch"),
                                  ("redis://127.0.0.1:1/0?x=1", 2, "x")]:
            done = tgdata(*self.worker_args(session, queue))
            self.check_fails(done, code, word)
        done = tgdata("worker", "--session", session, "--to", "ndjson:x")
        self.check_fails(done, 2, "queue")
        done = tgdata("enqueue", "@a", "--queue", "redis://127.0.0.1:1/0")
        self.check_fails(done, 6, "127.0.0.1:1")


if __name__ == "__main__":
    main()

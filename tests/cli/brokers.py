# SPDX-License-Identifier: MIT
"""Brokers of a test's own, and what must hold of workers on any of them: every row once, whoever is
killed, stopped or gone for a while."""
import getpass
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

import kit
from kit import Case, rows, start, tgdata, wait_for


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Redis(kit.Redis):
    """A redis-server."""

    counts_taken = True

    def put_raw(self, queue, body):
        self.cli("XADD", f"{{tgdata:{queue}}}:tasks", "*", "body", body)
        return True

    def dead(self, queue):
        return self.cli("XRANGE", f"{{tgdata:{queue}}}:dead", "-", "+")


class Rabbit:
    """A rabbitmq-server, with an epmd of its own."""

    counts_taken = False
    bin = pathlib.Path("/usr/lib/rabbitmq/bin")

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir()
        self.port, self.dist, self.epmd = free_port(), free_port(), free_port()
        (self.dir / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nvm_memory_high_watermark.absolute = 1GB\n"
            "disk_free_limit.absolute = 10MB\n", encoding="ascii")
        (self.dir / "enabled_plugins").write_text("[].\n", encoding="ascii")
        self.env = {
            **os.environ, "HOME": str(self.dir), "RABBITMQ_NODENAME": f"tg{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": f"{self.dir}/mnesia", "RABBITMQ_LOG_BASE": f"{self.dir}/log",
            "RABBITMQ_CONFIG_FILE": f"{self.dir}/rabbitmq.conf",
            "RABBITMQ_DIST_PORT": str(self.dist), "ERL_EPMD_PORT": str(self.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_PID_FILE": f"{self.dir}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self.dir}/enabled_plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "USER": getpass.getuser()}
        self.start()

    def is_up(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def start(self):
        self.process = subprocess.Popen([self.bin / "rabbitmq-server"], env=self.env,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        if not wait_for(self.is_up, 90):
            raise RuntimeError("rabbitmq-server does not start")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(60)
        wait_for(lambda: not self.is_up())
        subprocess.run(["epmd", "-port", str(self.epmd), "-kill"], env=self.env, check=False,
                       capture_output=True)

    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

    def put_raw(self, queue, body):
        """Needs another client; unit/queue_amqp has that case."""
        return False

    def dead(self, queue):
        return None


class Workers(Case):
    """What holds on every broker; a test file names the one it is about."""

    broker_class = None
    sim_args = ("--chats", "100", "--messages", "250", "--seed", "17", "--latency-ms", "3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.broker = cls.broker_class(cls.top / "broker")
        cls.session_files = []

    @classmethod
    def tearDownClass(cls):
        cls.broker.stop()
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
        return (f"{self.broker.url()}?queue={self.dir.name}"
                + (f"&{options}" if options else ""))

    def enqueue(self, *chats, queue=None):
        done = tgdata("enqueue", *chats, "--queue", queue or self.queue(), "--json")
        self.assertEqual(done.code, 0, done)
        return done.json()

    def look(self, queue=None):
        return self.enqueue(queue=queue)

    def worker_args(self, session, queue, more=()):
        return ["worker", "--session", session, "--queue", queue, "--to",
                f"ndjson:{self.dir}/out", "--state", f"sqlite:{self.dir}/state.db", "--job", "job",
                "--lease", "1s", "--progress", "none", "--workers", "3", "--batch-size", "50",
                "--checkpoint-interval", "100", *more]

    def test_a_queue_is_worked_off(self):
        chats = self.shared()[:8]
        told = self.enqueue(*[c["id"] for c in chats])
        self.assertEqual((told["waiting"], told["taken"], told["dead"]), (8, 0, 0))
        done = tgdata(*self.worker_args(self.sessions()[0], self.queue(visibility="2s"),
                                        ["--until-empty", "--json"]))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.json()["chats"], 8, done)
        self.check_whole(chats)
        self.assertEqual(self.look(), {"waiting": 0, "taken": 0, "later": 0, "dead": 0})

    def test_four_workers_killed_at_random(self):
        chats = self.shared()[:40]
        self.assertEqual(len(chats), 40)
        rng = random.Random(5)
        queue = self.queue(visibility="2s", max_deliveries=100)
        self.enqueue(*[c["id"] for c in chats], queue=queue)
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
        self.assertEqual(self.look(queue), {"waiting": 0, "taken": 0, "later": 0, "dead": 0})

    def test_a_worker_that_sleeps_past_its_lease_writes_no_more(self):
        chats = self.shared()[:1]
        self.enqueue(chats[0]["id"])
        queue = self.queue(visibility="2s")
        sleeper = start(*self.worker_args(self.sessions()[0], queue,
                                          ["--rate", "2", "--in-flight", "1"]),
                        stderr=subprocess.DEVNULL)
        self.addCleanup(sleeper.kill)
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
        self.assertTrue(wait_for(lambda: self.look()["waiting"] == 0))
        if self.broker.counts_taken:
            self.assertEqual(self.look()["taken"], 3)
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(30), 130)
        self.assertEqual(self.look()["waiting"], 3)
        done = tgdata(*self.worker_args(self.sessions()[1], self.queue(visibility="2s"),
                                        ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)

    def test_hopeless_tasks_are_buried_and_others_go_on(self):
        chats = self.shared()[:2]
        self.enqueue(chats[0]["id"], "@nobody_has_this_name", chats[1]["id"])
        more = self.broker.put_raw(self.dir.name, "nonsense")
        done = tgdata(*self.worker_args(self.sessions()[0], self.queue(visibility="2s"),
                                        ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)
        self.assertEqual(self.look()["dead"], 1 + more)
        dead = self.broker.dead(self.dir.name)
        if dead is not None:
            self.assertIn("nobody_has_this_name", dead)
            self.assertIn("no JSON object", dead)

    def test_a_broker_that_is_gone_for_a_while(self):
        chats = self.shared()[:6]
        self.enqueue(*[c["id"] for c in chats])
        run = start(*self.worker_args(self.sessions()[0], self.queue(visibility="3s"),
                                      ["--rate", "6", "--until-empty"]), stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        self.broker.stop()
        time.sleep(2)
        self.broker.start()
        self.assertEqual(run.wait(90), 0)
        self.check_whole(chats)

    def test_bad_queues(self):
        session = self.sessions()[0]
        gone = self.broker.url().replace(str(self.broker.port), "1")
        for queue, code, word in [(gone, 6, "127.0.0.1:1"), ("nosuch://x", 2, "nosuch"),
                                  (gone + "?x=1", 2, "x")]:
            done = tgdata(*self.worker_args(session, queue))
            self.check_fails(done, code, word)
        done = tgdata("worker", "--session", session, "--to", "ndjson:x")
        self.check_fails(done, 2, "queue")
        done = tgdata("enqueue", "@a", "--queue", gone)
        self.check_fails(done, 6, "127.0.0.1:1")

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/workers in the workers of Celery and RQ that tests/interop/setup installs."""
import json
import os
import pathlib
import signal
import subprocess
import sys

from brokers import Redis
from kit import Case, TGDATA, main, rows, wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]
VENV = pathlib.Path(os.environ.get("TG_DEPS", TOP / ".deps")) / "workers" / "bin"
EXAMPLES = TOP / "examples" / "workers"


class TaskQueues(Case):
    sim_args = ("--chats", "40", "--messages", "400", "--seed", "17", "--latency-ms", "3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.redis = Redis(cls.top / "redis")

    @classmethod
    def tearDownClass(cls):
        cls.redis.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        users = [a for a in self.sim.accounts if "bot_token" not in a][:2]
        self.chats = [c for c in self.sim.chats(users[0]) if users[1]["user_id"] in c["members"]
                      and c["kind"] in ("supergroup", "channel") and not c["migrated_from"]][:8]
        self.sessions = [self.dir / f"{i}.session" for i in range(2)]
        for session, account in zip(self.sessions, users):
            self.login(session, account)

    def env(self, session, **more):
        return {**os.environ, "PYTHONPATH": str(EXAMPLES), "TGDATA": TGDATA,
                "TGDATA_SESSION": str(session), "TGDATA_TO": f"ndjson:{self.dir}/out",
                "TGDATA_STATE": f"sqlite:{self.dir}/state.db", "LC_ALL": "C.UTF-8",
                "PYTHONDONTWRITEBYTECODE": "1", **more}

    def start(self, *args, env):
        run = subprocess.Popen([str(a) for a in args], env=env, cwd=self.dir,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
        self.addCleanup(self.end, run)
        return run

    def end(self, run):
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait(30)

    def all_there(self):
        return len(rows(self.dir / "out")) == len(self.sim.truth(self.chats))

    def test_celery(self):
        broker = self.redis.url()
        more = {"CELERY_BROKER": broker, "CELERY_VISIBILITY": "4", "TGDATA_RATE": "20"}
        workers = [self.start(VENV / "celery", "-A", "celery_app", "worker", "--pool", "solo",
                              "-n", f"w{i}@%h", env=self.env(s, **more))
                   for i, s in enumerate(self.sessions)]
        code = ("import sys, json; from celery_app import extract\n"
                "[extract.delay(c) for c in json.loads(sys.argv[1])]")
        done = subprocess.run([VENV / "python", "-c", code,
                               json.dumps([str(c["id"]) for c in self.chats])],
                              env=self.env(self.sessions[0], **more), cwd=self.dir, check=False,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out"), 60))
        os.killpg(workers[0].pid, signal.SIGKILL)  # with the program that it runs
        self.assertTrue(wait_for(self.all_there, 300))
        self.check_whole(self.chats)

    def test_rq(self):
        url = self.redis.url().replace("/0", "/1")
        for session in self.sessions:
            self.start(VENV / "rq", "worker", "--url", url, "tgdata", env=self.env(session))
        names = [str(c["id"]) for c in self.chats]
        done = subprocess.run([VENV / "python", EXAMPLES / "rq_enqueue.py", url, *names],
                              env=self.env(self.sessions[0]), cwd=self.dir, check=False,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(wait_for(self.all_there, 300))
        self.check_whole(self.chats)


if __name__ == "__main__":
    if not (VENV / "celery").exists():
        print("tests/interop/setup workers installs what this needs")
        sys.exit(77)
    main()

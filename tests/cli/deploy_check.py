#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""deploy/orchestrators in the real Airflow, Prefect and Temporal that tests/interop/setup installs,
the steps of deploy/Dockerfile in a fresh Debian 12, and what the units of systemd forbid: on
demand, `./dev deploy-check`."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest

from kit import Case, TGDATA, main, rows

TOP = pathlib.Path(__file__).resolve().parents[2]
DEPS = pathlib.Path(os.environ.get("TG_DEPS", TOP / ".deps"))
EXAMPLES = TOP / "deploy" / "orchestrators"

# An activity and a workflow without a server: Temporal's own environment for activities runs the
# former, a worker is where the latter is checked.
TEMPORAL = """
import asyncio, sys
from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Replayer
import temporal_worker as t

async def main():
    beats = []
    env = ActivityEnvironment()
    env.on_heartbeat = lambda *a: beats.append(a)
    print(await env.run(t.extract, sys.argv[1]))
    await env.run(t.verify, sys.argv[1])
    assert beats, "no heartbeat"
    try:
        await env.run(t.extract, "@there_is_no_such_chat")
    except ApplicationError as error:
        assert error.non_retryable, error
    else:
        raise AssertionError("a chat that is not there is no success")
    Replayer(workflows=[t.ExtractChat])

asyncio.run(main())
"""


class Orchestrators(Case):
    sim_args = ("--chats", "4", "--messages", "1500", "--seed", "17")

    def setUp(self):
        super().setUp()
        self.chat = self.sim.chat("channel")
        self.name = "@" + self.chat["username"]

    def python(self, venv):
        program = DEPS / venv / "bin" / "python"
        if not program.exists():
            self.skipTest(f"tests/interop/setup {venv} was not run")
        return program

    def run_it(self, words, **env):
        begun = time.monotonic()
        done = subprocess.run(
            [str(w) for w in words], cwd=self.dir, check=False, text=True, capture_output=True,
            timeout=900, env={**os.environ, "PYTHONPATH": str(EXAMPLES), "TGDATA": TGDATA,
                              "TGDATA_SESSION": str(self.session()), "LC_ALL": "C.UTF-8",
                              "TGDATA_TO": f"ndjson:{self.dir}/out", "HOME": str(self.dir),
                              "TGDATA_STATE": f"sqlite:{self.dir}/state.db",
                              "PYTHONDONTWRITEBYTECODE": "1", **env})
        print(f"{time.monotonic() - begun:.0f} s: {' '.join(str(w) for w in words)[:90]}",
              file=sys.stderr)
        return done

    def ids(self, out):
        return sorted(r["id"] for r in rows(self.dir / out))

    def test_airflow(self):
        python = self.python("airflow")
        dags = self.dir / "dags"
        dags.mkdir()
        for name in ("airflow_dag.py", "tgdata_step.py"):
            shutil.copy(EXAMPLES / name, dags)
        env = {"AIRFLOW_HOME": str(self.dir / "airflow"), "TGDATA_CHAT": self.name,
               "TGDATA_DIR": str(self.dir / "etl"), "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
               "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PYTHONPATH": str(dags)}
        airflow = python.parent / "airflow"
        done = self.run_it([airflow, "db", "migrate"], **env)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        for _ in range(2):  # the second run finds nothing new, and is as good
            done = self.run_it([airflow, "dags", "test", "tgdata_nightly"], **env)
            self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)[-5000:])
            self.assertIn("state=success", done.stdout + done.stderr)
        self.assertEqual(self.ids("etl/raw"), self.sim.ids(self.chat["id"]))
        count = subprocess.run(["sqlite3", self.dir / "etl/warehouse.db",
                                "select count(distinct id), count(*) from messages"],
                               capture_output=True, text=True, check=True).stdout
        n = len(self.sim.ids(self.chat["id"]))
        self.assertEqual(count.strip(), f"{n}|{n}")
        self.assertEqual(len(list((self.dir / "etl").glob("checkpoints-*"))), 2)

    def test_airflow_ends_at_once_where_no_other_try_helps(self):
        python = self.python("airflow")
        done = self.run_it([python, "-c", "\n".join([
            "from airflow.sdk.exceptions import AirflowFailException", "import airflow_dag",
            "try:", "    airflow_dag.hopeless('extract', '@there_is_no_such_chat', '--to',"
            " 'ndjson:x', '--quiet')",
            "except AirflowFailException as e:", "    print('ended', e)"])])
        self.assertIn("ended tgdata extract: exit code 3", done.stdout, done.stderr[-3000:])

    def test_prefect(self):
        python = self.python("prefect")
        done = self.run_it([python, EXAMPLES / "prefect_flow.py", self.name],
                           PREFECT_HOME=str(self.dir / "prefect"),
                           PREFECT_SERVER_ANALYTICS_ENABLED="false",
                           PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="600")
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)[-5000:])
        ids = self.sim.ids(self.chat["id"])
        self.assertEqual(done.stdout.strip().splitlines()[-1], str(len(ids)))
        self.assertEqual(self.ids("out"), ids)

    def test_temporal(self):
        python = self.python("temporal")
        done = self.run_it([python, "-c", TEMPORAL, self.name])
        self.assertEqual(done.returncode, 0, done.stderr[-5000:])
        ids = self.sim.ids(self.chat["id"])
        self.assertEqual(done.stdout.strip().splitlines()[-1], str(len(ids)))
        self.assertEqual(self.ids("out"), ids)


class Units(Case):
    """What a run calls of the kernel is allowed by the units of systemd."""

    sim_args = ("--chats", "3", "--messages", "800")

    def allowed(self, name):
        told = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, text=True,
                              capture_output=True).stdout.splitlines()[1:]
        words = {line.strip() for line in told if line.strip() and "#" not in line}
        inner = [self.allowed(w) for w in words if w.startswith("@")]
        return {w for w in words if not w.startswith("@")}.union(*inner)

    def test_system_calls(self):
        if os.geteuid() or not shutil.which("strace") or not shutil.which("systemd-analyze"):
            self.skipTest("root, strace and systemd-analyze are needed")
        (self.dir / "etl.yaml").write_text(
            f"accounts: {{main: {{session: {self.session()}}}}}\n"
            f"defaults: {{state: 'sqlite:{self.dir}/state.db'}}\n"
            "jobs:\n"
            f"  - {{name: a, chats: all, to: ['ndjson:{self.dir}/a', 'sqlite:{self.dir}/a.db']}}\n"
            f"  - {{name: b, pattern: delta, chats: ['@{self.sim.chat('channel')['username']}'], "
            f"to: 'parquet:{self.dir}/b', filter: 'id > 3'}}\n", encoding="utf-8")
        program = shutil.copy(TGDATA, self.dir)
        for path in [self.top, self.dir, *self.dir.iterdir()]:
            os.chown(path, 10001, 10001)  # root's SQLite would call fchown
        trace = self.dir / "trace.txt"
        done = subprocess.run(["strace", "-f", "-o", trace, program, "run",
                               self.dir / "etl.yaml", "--progress", "none"], check=False, text=True,
                              capture_output=True, user=10001, group=10001, extra_groups=[])
        self.assertEqual(done.returncode, 0, done.stderr)
        called = set(re.findall(r"(?m)^\d+ +([a-z_0-9]+)\(", trace.read_text("utf-8", "replace")))
        self.assertGreater(len(called), 30)
        unit = (TOP / "deploy/systemd/tgdata@.service").read_text(encoding="utf-8")
        allowed = set()
        for names in re.findall(r"(?m)^SystemCallFilter=(.*)", unit):
            groups = set().union(*(self.allowed(n) for n in names.strip("~").split()))
            allowed = allowed - groups if names.startswith("~") else allowed | groups
        self.assertEqual(called - allowed, set())


def stages():
    """The RUN lines of each stage of the Dockerfile, and what its last stage takes over."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (TOP / "deploy/Dockerfile").read_text(encoding="utf-8"))
    text = re.sub(r"\\\n", " ", text)
    return [re.findall(r"(?m)^RUN (.*)", part) for part in re.split(r"(?m)^FROM .*", text)[1:]]


class Dockerfile(unittest.TestCase):
    """Its commands, as they stand, in a Debian 12 that debootstrap makes: no daemon is needed."""

    def setUp(self):
        if os.geteuid() or not shutil.which("debootstrap"):
            self.skipTest("root and debootstrap are needed")
        self.roots = pathlib.Path("/var/tmp") / f"tgdata-dockerfile-{os.getpid()}"
        self.addCleanup(shutil.rmtree, self.roots, True)

    def root(self, name):
        root = self.roots / name
        made = self.roots / "made"
        if not made.exists():
            subprocess.run(["debootstrap", "--variant=minbase", "bookworm", made,
                            "http://deb.debian.org/debian"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cp", "-a", made, root], check=True)
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        for settings in pathlib.Path("/etc/apt/apt.conf.d").glob("*proxy*"):
            shutil.copy(settings, root / "etc/apt/apt.conf.d")
        return root

    def in_root(self, root, command, where="/"):
        done = subprocess.run(["chroot", root, "/bin/bash", "-ec", f"cd {where}; {command}"],
                              check=False, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout[-3000:]}")
        return done.stdout

    def test_it_builds_what_runs(self):
        (packages, build), (runtime,) = stages()
        first = self.root("build")
        self.in_root(first, packages)
        (first / "src").mkdir()
        files = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, check=True,
                               capture_output=True).stdout
        subprocess.run(["cpio", "-0pdm", "--quiet", first / "src"], cwd=TOP, input=files,
                       check=True)
        self.in_root(first, build, "/src")
        second = self.root("runtime")
        self.in_root(second, runtime)
        shutil.copy(first / "out/usr/bin/tgdata", second / "usr/bin/tgdata")
        user = "setpriv --reuid=10001 --clear-groups tgdata "
        version = self.in_root(second, user + "version", "/data")
        for part in json.loads(subprocess.run([TGDATA, "version", "--json"], check=True,
                                              capture_output=True).stdout)["parts"]:
            self.assertIn(part.split(" ")[0], version)
        self.assertIn("CET", self.in_root(
            second, user + "schedule next @daily --tz Europe/Berlin --from 2027-01-01 --count 1"))


if __name__ == "__main__":
    main()

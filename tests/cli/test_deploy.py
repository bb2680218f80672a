#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""deploy/: every command line there is one that the program takes; the Dockerfile has the packages
of ./dev and those that the program is linked with; each file passes the checker of those who read
it. What needs Airflow, Prefect, Temporal or a fresh Debian is in deploy_check.py."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml

from brokers import Redis
from kit import Case, TGDATA, clean_env, main, tgdata

TOP = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = TOP / "deploy"
DEPS = pathlib.Path(os.environ.get("TG_DEPS", TOP / ".deps"))
TOOLS = DEPS / "deploy" / "bin"

# boto3's own model of the service, and a server that takes the definition.
ECS = """
import json, sys, boto3, moto
with moto.mock_aws():
    made = boto3.client("ecs", region_name="eu-west-1").register_task_definition(
        **json.load(open(sys.argv[1], encoding="utf-8")))
    print(made["taskDefinition"]["taskDefinitionArn"])
"""


def read(name):
    return (DEPLOY / name).read_text(encoding="utf-8")


def documents(name):
    return [d for d in yaml.safe_load_all(read(name)) if d]


def pods(document):
    """The pod templates in an object of Kubernetes."""
    spec = document.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    return [spec["template"]] if "template" in spec else []


def command_lines():
    """(file, words) of every call of the program."""
    for name, service in documents("compose.yaml")[0]["services"].items():
        if name != "redis":
            yield "compose.yaml", service["command"]
    for file in DEPLOY.glob("kubernetes/*.yaml"):
        for document in documents(file):
            for pod in pods(document):
                for container in pod["spec"]["containers"]:
                    yield file.name, container["args"]
    for container in json.loads(read("ecs/task-definition.json"))["containerDefinitions"]:
        yield "task-definition.json", container["command"]
    for file in DEPLOY.glob("systemd/*.service"):
        for line in re.findall(r"(?m)^Exec\w+=/usr/bin/tgdata (.*)", file.read_text("utf-8")):
            yield file.name, line.split()


def run(*words, **more):
    return subprocess.run([str(w) for w in words], check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **more)


class Deploy(Case):
    sim_args = None

    def tool(self, name):
        program = shutil.which(name, path=f"{TOOLS}:{os.environ['PATH']}")
        if not program:
            self.skipTest(f"{name} is not there")
        return program

    def check(self, *words, **more):
        done = run(*words, **more)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    # ---- what the program says ----

    def test_command_lines(self):
        seen = 0
        for file, words in command_lines():
            with self.subTest(file=file, words=words):
                done = tgdata(*words, *([] if words == ["help"] else ["--help"]))
                self.assertEqual(done.code, 0, done)
                seen += 1
        self.assertGreaterEqual(seen, 9)

    def test_the_configuration(self):
        for more in ({}, {"NIGHTLY_TO": "parquet:out", "TGDATA_LISTEN": "0.0.0.0:9464"}):
            done = tgdata("config", "check", DEPLOY / "etl.yaml", env=more)
            self.assertEqual((done.code, done.err), (0, ""), done)
        jobs = set(re.findall(r"(?m)^  - name: (\w+)", read("etl.yaml")))
        named = {words[words.index("--job") + 1] for _, words in command_lines()
                 if "--job" in words}
        self.assertEqual(named, jobs)

    def test_exit_codes_that_no_other_try_helps(self):
        """They are the same everywhere, and not those that the steps try again."""
        sys.path.insert(0, str(DEPLOY / "orchestrators"))
        sys.dont_write_bytecode = True
        from tgdata_step import TRY_AGAIN  # pylint: disable=import-outside-toplevel
        codes = {int(c) for c in re.findall(r"(?m)^ +(\d+)  ", tgdata("version", "--help").out)}
        hopeless = codes - TRY_AGAIN - {0, 1}
        for file in DEPLOY.glob("systemd/*.service"):
            line = re.search(r"(?m)^RestartPreventExitStatus=(.*)", file.read_text("utf-8"))[1]
            self.assertEqual({int(c) for c in line.split()}, hopeless, file)
        rules = documents("kubernetes/cronjob.yaml")[0]["spec"]["jobTemplate"]["spec"]
        never = rules["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"]
        self.assertEqual(set(never), hopeless)

    def test_the_depth_that_is_scaled_by(self):
        """KEDA looks at the length of a stream: it is what `tgdata enqueue` has put there."""
        kinds = {d["kind"]: d for d in documents("kubernetes/workers.yaml")}
        worker, scaled = kinds["StatefulSet"], kinds["ScaledObject"]
        self.assertEqual(scaled["spec"]["scaleTargetRef"],
                         {"kind": worker["kind"], "name": worker["metadata"]["name"]})
        trigger = scaled["spec"]["triggers"][0]["metadata"]
        env = {e["name"]: e["value"] for e in pods(worker)[0]["spec"]["containers"][0]["env"]}
        queue = env["TGDATA_QUEUE"]
        at = f"redis://{trigger['address']}/{trigger['databaseIndex']}"
        self.assertTrue(queue.startswith(at))
        redis = Redis(self.dir / "redis")
        try:
            queue = queue.replace(trigger["address"], f"127.0.0.1:{redis.port}")
            done = tgdata("enqueue", "@a", "@b", "@c", "--queue", queue)
            self.assertEqual(done.code, 0, done)
            words = ["-n", trigger["databaseIndex"], "xlen", trigger["stream"]]
            self.assertEqual(redis.cli(*words), "3")
        finally:
            redis.stop()

    # ---- the image ----

    def stages(self):
        text = re.sub(r"(?m)^#.*\n", "", read("Dockerfile")).replace("\\\n", " ")
        return [set(re.search(r"--no-install-recommends(.*?)&&", part)[1].split())
                for part in text.split("\nFROM ")[0:2] if "install" in part]

    def test_the_image_has_the_packages(self):
        build, runtime = self.stages()
        dev = (TOP / "dev").read_text(encoding="utf-8")
        core = set(re.search(r"core_packages=\((.*?)\)", dev, re.S)[1].split())
        self.assertEqual(build, core | {"libc6-dev"})
        linked = re.findall(r"NEEDED +(\S+)", self.check("objdump", "-p", TGDATA))
        linked += ["libmongoc-1.0.so.0"] if "mongodb" in tgdata("version").out else []
        self.assertGreater(len(linked), 10)
        where = {line.split(" => ")[0].strip(): line.split(" => ")[1].split(" (")[0]
                 for line in self.check("ldd", TGDATA).splitlines() if " => /" in line}
        paths = {os.path.realpath(where[n] if n in where else
                                  next(pathlib.Path("/usr/lib").glob(f"*/{n}"))) for n in linked}
        # on a merged /usr one of two names is told
        told = run("dpkg", "-S", *paths, *(p.removeprefix("/usr") for p in paths)).stdout
        owner = {line.split(": ")[1].removeprefix("/usr"): line.split(":")[0]
                 for line in told.splitlines() if not line.startswith("dpkg-query")}
        for path in paths:
            self.assertIn(owner[path.removeprefix("/usr")], runtime | {"libc6"}, path)

    def test_hadolint(self):
        self.check(self.tool("hadolint"), "--no-color", DEPLOY / "Dockerfile")

    def test_what_is_left_out_of_the_image(self):
        for name in (TOP / ".dockerignore").read_text(encoding="utf-8").split():
            if "*" not in name and name != ".git":
                self.assertIn(name, (TOP / ".gitignore").read_text(encoding="utf-8"))

    # ---- those who read it ----

    def test_compose(self):
        self.check(self.tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec",
                   DEPLOY / "compose.yaml")

    def test_kubernetes(self):
        program = self.tool("kubernetes-validate")
        kinds, plain = [], []
        for file in sorted(DEPLOY.glob("kubernetes/**/*.yaml")):
            for i, document in enumerate(documents(file)):
                kinds.append(document["kind"])
                path = self.dir / f"{i}-{file.parent.name}-{file.name}"
                path.write_text(yaml.safe_dump(document), encoding="utf-8")
                if document["kind"] != "ScaledObject":
                    plain.append(path)
                    continue
                crd = DEPS / "deploy" / "scaledobjects.yaml"
                spec = yaml.safe_load(crd.read_text(encoding="utf-8"))["spec"]
                schema = self.dir / "schema.json"
                schema.write_text(json.dumps(spec["versions"][0]["schema"]["openAPIV3Schema"]),
                                  encoding="utf-8")
                self.check(self.tool("check-jsonschema"), "--schemafile", schema, path)
        self.check(program, "--strict", *plain)
        self.assertEqual(sorted(set(kinds)), [
            "CronJob", "Deployment", "HorizontalPodAutoscaler", "PersistentVolumeClaim",
            "ScaledObject", "Service", "StatefulSet"])

    def test_both_autoscalers_want_the_same(self):
        """One may stand in for the other; `kubectl apply -f deploy/kubernetes` takes KEDA's."""
        kinds = {d["kind"]: d for d in documents("kubernetes/workers.yaml")}
        keda = kinds["ScaledObject"]["spec"]
        [hpa] = documents("kubernetes/hpa/workers.yaml")
        spec = hpa["spec"]
        self.assertEqual({k: spec["scaleTargetRef"][k] for k in ("kind", "name")},
                         keda["scaleTargetRef"])
        self.assertEqual((spec["maxReplicas"], spec["minReplicas"]), (keda["maxReplicaCount"], 1))
        trigger = keda["triggers"][0]["metadata"]
        self.assertEqual(spec["metrics"][0]["external"]["target"]["averageValue"],
                         trigger["streamLength"])
        text = (DEPLOY / "kubernetes/hpa/workers.yaml").read_text(encoding="utf-8")
        self.assertIn(f'redis_stream_length{{stream="{trigger["stream"]}"}}', text)
        self.assertIn(f"name: {{as: {spec['metrics'][0]['external']['metric']['name']}}}", text)

    def test_ecs(self):
        python = DEPS / "moto" / "bin" / "python"
        if not python.exists():
            self.skipTest("tests/interop/setup moto was not run")
        made = self.check(python, "-c", ECS, DEPLOY / "ecs" / "task-definition.json")
        self.assertIn("task-definition/tgdata-worker:1", made)

    def test_systemd(self):
        program = self.tool("systemd-analyze")
        for file in DEPLOY.glob("systemd/*"):
            text = file.read_text(encoding="utf-8").replace("/usr/bin/tgdata", TGDATA)
            (self.dir / file.name.replace("@.", "@x.")).write_text(text, encoding="utf-8")
        env = clean_env(SYSTEMD_UNIT_PATH=f"{self.dir}:/usr/lib/systemd/system")
        for unit in sorted(p.name for p in self.dir.iterdir()):
            said = self.check(program, "verify", "--man=no", unit, env=env, cwd=self.dir)
            self.assertNotIn("tgdata", said)
        for unit in self.dir.glob("*.service"):
            said = self.check(program, "security", "--offline=true", "--threshold=20", unit,
                              env=env)
            self.assertIn("OK", said.splitlines()[-1])

    def test_orchestrators_are_python(self):
        for file in DEPLOY.glob("orchestrators/*.py"):
            compile(file.read_text(encoding="utf-8"), file, "exec")


if __name__ == "__main__":
    main()

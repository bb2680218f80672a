#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is told to others, read back from those others: ./dev peers

A journald of the test's own, in namespaces of its own, keeps records and gives them back.
OpenTelemetry's collector, which tests/interop/setup makes, takes traces and passes them on;
Jaeger shows those that it is asked for.
"""
import collections
import json
import os
import pathlib
import shutil
import subprocess
import unittest
import urllib.parse
import urllib.request

import test_traces
from kit import TGDATA, clean_env, free_ports, main, tgdata, wait_for
from s3 import is_open

DEPS = test_traces.DEPS
COLLECTOR = DEPS / "otelcol" / "otelcol"
JAEGER = DEPS / "jaeger" / "jaeger"
JOURNALD = pathlib.Path("/lib/systemd/systemd-journald")


def end_with_us(process, add_cleanup):
    """A process that would outlive a killed test, and hold open what it got from its caller, ends
    when this program does, however that comes. The guard that sees to it ends in a cleanup."""
    guard = subprocess.Popen(
        ["sh", "-c", 'read -r _; kill -9 "$1"', "guard", str(process.pid)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True)
    add_cleanup(guard.communicate)
    add_cleanup(guard.kill)  # before that


class Traced(test_traces.Traced):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        end_with_us(cls.sim.process, cls.addClassCleanup)

    def stream(self, *words, **more):
        process = super().stream(*words, **more)
        end_with_us(process, self.addCleanup)
        return process

    def serve(self, name, *command, port):
        """Until the test ends."""
        log = self.dir / f"{name}.log"
        with log.open("wb") as out:
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                      env=clean_env(), cwd=self.dir)
        end_with_us(server, self.addCleanup)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        wait_for(lambda: server.poll() is not None or is_open(port), 60)
        self.assertIsNone(server.poll(), log.read_text())
        self.assertTrue(is_open(port), log.read_text())

    def have_all(self, done, spans):
        """An extraction's summary says how many there are."""
        told = done.json()
        want = 1 + told["chats"] + told["batches"] + told["checkpoints"] + told["requests"]
        self.assertTrue(wait_for(lambda: len(spans()) >= want), (len(spans()), want))
        self.assertEqual(len(spans()), want)


# With a /run of its own; the records go to stdout when the command has ended.
JOURNAL = """
mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/log/journal
"$JOURNALD" >&2 &
for i in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
"$@" >&2
code=$?
journalctl --sync
journalctl --directory="$(echo /run/log/journal/*)" --output=json --no-pager $FIND
exit $code
"""


@unittest.skipIf(os.geteuid() or not JOURNALD.exists() or not shutil.which("journalctl"),
                 "root and systemd are needed")
class Journal(Traced):
    """A running journald knows the protocol best; what it took is found by journalctl."""

    def run_in_it(self, *words, find):
        done = subprocess.run(  # when it is killed, all in the namespace is
            ["unshare", "--mount-proc", "--pid", "--fork", "--kill-child", "bash", "-c", JOURNAL,
             "journal", TGDATA, *map(str, words)], env=clean_env(JOURNALD=str(JOURNALD), FIND=find),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
            check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done

    def test_records_are_read_back(self):
        words = self.extract_args("--all", more=("--log-format", "journald", "--traces",
                                                 self.otlp()))
        code, found, done = self.run_in_it(*words, find="TGDATA_JOB=job")
        self.assertEqual(code, 0, done)
        self.assertTrue(found, done)
        self.assertEqual({r["SYSLOG_IDENTIFIER"] for r in found}, {"tgdata"})
        up = next(r for r in found if r.get("TGDATA_EVENT") == "connected")
        self.assertEqual((up["PRIORITY"], up["_TRANSPORT"], up["_COMM"]),
                         ("6", "journal", "tgdata"))
        span = self.collector.spans()[up["SPAN_ID"]]
        self.assertEqual((span["name"], span["traceId"]), ("job", up["TRACE_ID"]))

    def test_a_failure_is_found(self):
        words = self.extract_args("@nobody_of_that_name", more=("--log-format", "journald"))
        code, found, done = self.run_in_it(*words, find="TGDATA_JOB=job -p err")
        self.assertEqual(code, 3, done)
        [last] = found
        self.assertEqual((last["PRIORITY"], last["TGDATA_CODE"], last["TGDATA_EVENT"]),
                         ("3", "NOT_FOUND", "failed"))
        self.assertIn("tgdata chats", last["TGDATA_HINT"])


def without_empty(value):
    """OTLP as JSON may leave out what is empty, or not."""
    if isinstance(value, list):
        return [without_empty(v) for v in value]
    if isinstance(value, dict):
        return {k: without_empty(v) for k, v in value.items() if v not in ("", [], {}, None)}
    return value


class Told(test_traces.Collector):
    """What the other collector passes on."""

    def spans(self):
        return {key: {"status": {}, "events": [], **without_empty(span)}
                for key, span in super().spans().items()}


@unittest.skipUnless(COLLECTOR.exists(), "tests/interop/setup otelcol makes it")
class Collected(Traced):
    """Runs tell OpenTelemetry's collector, which tells a collector of the test's."""

    def setUp(self):
        super().setUp()
        self.told = Told()
        self.addCleanup(self.told.stop)
        self.port = free_ports(1)
        config = self.dir / "otelcol.yaml"
        config.write_text(json.dumps({
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.port}"}}}},
            "exporters": {"otlp_http": {"endpoint": f"http://127.0.0.1:{self.told.port}",
                                        "encoding": "json", "compression": "none"}},
            "service": {"telemetry": {"metrics": {"level": "none"}},
                        "pipelines": {"traces": {"receivers": ["otlp"],
                                                 "exporters": ["otlp_http"]}}}}), encoding="utf-8")
        self.serve("otelcol", COLLECTOR, "--config", config, port=self.port)

    def to_it(self):
        return f"otlp:http://127.0.0.1:{self.port}/v1/traces"


class Collector(Collected):
    """It takes all that it is told."""

    def check_extraction(self, *more, env=None):
        done = tgdata(*self.extract_args("--all", more=("--batch-size", "100", "--json", *more)),
                      env=env)
        self.assertEqual((done.code, done.err.count("traces cannot")), (0, 0), done)
        self.have_all(done, self.told.spans)
        root = self.check_tree(self.told.spans())
        self.assertEqual(int(root["facts"]["tgdata.rows"]), done.json()["rows"])

    def test_an_extraction(self):
        self.check_extraction("--traces", self.to_it())

    def test_by_the_environment(self):
        self.check_extraction(env={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
                                   "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                                   "OTEL_SERVICE_NAME": "archive"})
        resource = self.told.posts[-1][1]["resourceSpans"][0]["resource"]["attributes"]
        self.assertIn({"key": "service.name", "value": {"stringValue": "archive"}}, resource)

    def test_a_failure(self):
        done = tgdata(*self.extract_args("@nobody_of_that_name", more=("--traces", self.to_it())))
        self.assertEqual(done.code, 3, done)
        self.assertTrue(wait_for(lambda: "job" in {s["name"] for s in self.told.spans().values()}))
        root = self.check_tree(self.told.spans())
        self.assertEqual((root["status"]["code"], root["facts"]["error.type"]), (2, "NOT_FOUND"))

    def test_a_stream(self):
        """Each batch a trace that links to the job's, passed on while the stream goes on."""
        chat = self.sim.chats(self.sim.account())[0]["id"]
        process = self.stream([chat], "--traces", self.to_it(), "--batch-size", "100")
        try:
            self.assertTrue(wait_for(lambda: sum(
                int(s["facts"]["tgdata.rows"]) for s in self.told.spans().values()
                if s["name"] == "batch") == self.rows_of([chat])))
            self.assertNotIn("job", {s["name"] for s in self.told.spans().values()})
        finally:
            self.finish(process)
        self.assertTrue(wait_for(lambda: "job" in {s["name"] for s in self.told.spans().values()}))
        tops = self.check_trees(self.told.spans(), "live", "stream")
        self.assertGreater(len(tops), 2)


class Fields(Collected):
    sim_args = ("--chats", "1", "--messages", "200", "--seed", "5", "--flood",
                "messages.getHistory=3/1")

    def test_all_mean_the_same_to_it(self):
        """What the test's own collector was told is posted to it, and comes out as it was."""
        self.assertEqual(self.extract("--in-flight", "4").code, 0)
        self.assertEqual(self.extract(chats=("@nobody_of_that_name",)).code, 3)
        process = self.stream(["--all"], "--traces", self.otlp())
        try:
            self.assertTrue(wait_for(lambda: any(
                s["name"] == "poll" for s in list(self.collector.spans().values()))))
        finally:
            self.finish(process)
        for _, body in self.collector.posts:
            post = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/traces",
                                          json.dumps(body).encode(),
                                          {"content-type": "application/json"})
            with urllib.request.urlopen(post, timeout=30) as answer:
                self.assertEqual(json.load(answer), {"partialSuccess": {}})
        want = {key: {"status": {}, "events": [], **without_empty(span)}
                for key, span in self.collector.spans().items()}
        self.assertTrue(wait_for(lambda: len(self.told.spans()) == len(want)))
        self.assertEqual(self.told.spans(), want)
        self.assertEqual({s["kind"] for s in want.values()}, {1, 3})
        self.assertTrue(all(any(s.get(field) for s in want.values())
                            for field in ("events", "links", "status", "parentSpanId")))


def as_otlp(span):
    """A span of Jaeger in the terms of OTLP."""
    begun = span["startTime"] * 1000
    found = {**span, "spanId": span["spanID"], "traceId": span["traceID"],
             "name": span["operationName"], "startTimeUnixNano": begun,
             "endTimeUnixNano": begun + span["duration"] * 1000,
             "facts": {t["key"]: t["value"] for t in span["tags"]}}
    for r in span["references"]:
        if r["refType"] == "CHILD_OF":
            found["parentSpanId"] = r["spanID"]
        else:
            found.setdefault("links", []).append({"traceId": r["traceID"], "spanId": r["spanID"]})
    return found


@unittest.skipUnless(JAEGER.exists(), "tests/interop/setup jaeger makes it")
class Asked(Traced):
    """Runs tell Jaeger, which is asked as its page asks it."""

    def setUp(self):
        super().setUp()
        self.port = free_ports(3)
        otlp, query, grpc = ({"endpoint": f"127.0.0.1:{self.port + i}"} for i in range(3))
        config = self.dir / "jaeger.yaml"
        config.write_text(json.dumps({
            "receivers": {"otlp": {"protocols": {"http": otlp}}},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
            "extensions": {
                "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 1000}}}},
                "jaeger_query": {"storage": {"traces": "memory"}, "http": query, "grpc": grpc}},
            "service": {"extensions": ["jaeger_storage", "jaeger_query"],
                        "telemetry": {"metrics": {"level": "none"}},
                        "pipelines": {"traces": {"receivers": ["otlp"],
                                                 "exporters": ["jaeger_storage_exporter"]}}}}),
                          encoding="utf-8")
        self.serve("jaeger", JAEGER, "--config", config, port=self.port)

    def otlp(self):
        return f"otlp:http://127.0.0.1:{self.port}/v1/traces"

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port + 1}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def spans(self, job):
        """As docs/monitoring.md says that all of a job is found."""
        traces = self.ask("/api/traces", service="tgdata", limit=1000, lookback="1h",
                          tags=json.dumps({"tgdata.job": job}))
        return {s["spanID"]: as_otlp(s) for trace in traces for s in trace["spans"]}

    def ended(self, job):
        self.assertTrue(wait_for(lambda: "job" in {s["name"] for s in self.spans(job).values()}))
        return self.spans(job)


class Jaeger(Asked):
    def test_an_extraction(self):
        done = self.extract("--json")
        self.assertEqual((done.code, done.err.count("traces cannot")), (0, 0), done)
        self.have_all(done, lambda: self.spans("job"))
        spans, told = self.spans("job"), done.json()
        root = self.check_tree(spans)
        self.assertEqual(root["facts"]["tgdata.rows"], told["rows"])
        names = collections.Counter(s["name"] for s in spans.values())
        self.assertEqual((names["job"], names["chat"], names["batch"], names["commit"]),
                         (1, told["chats"], told["batches"], told["checkpoints"]))
        kinds = collections.Counter(s["facts"]["span.kind"] for s in spans.values())
        self.assertEqual(kinds["client"], told["requests"])
        self.assertEqual(self.ask("/api/services"), ["tgdata"])

    def test_a_failure(self):
        self.assertEqual(self.extract(chats=("@nobody_of_that_name",)).code, 3)
        root = self.check_tree(self.ended("job"))
        self.assertEqual((root["facts"]["error"], root["facts"]["otel.status_code"],
                          root["facts"]["error.type"]), (True, "ERROR", "NOT_FOUND"))

    def test_a_stream(self):
        """Each batch is found while the stream goes on; its link leads to the job."""
        chats = [c["id"] for c in self.sim.chats(self.sim.account())[:2]]
        process = self.stream(chats, "--traces", self.otlp(), "--batch-size", "100")
        try:
            self.assertTrue(wait_for(lambda: sum(
                s["facts"]["tgdata.rows"] for s in self.spans("live").values()
                if s["name"] == "batch") == self.rows_of(chats)))
            self.assertNotIn("job", {s["name"] for s in self.spans("live").values()})
        finally:
            self.finish(process)
        tops = self.check_trees(self.ended("live"), "live", "stream")
        self.assertGreater(len(tops), 2)


class JaegerWaits(Asked):
    sim_args = ("--chats", "1", "--messages", "200", "--seed", "5", "--flood",
                "messages.getHistory=3/1")

    def test_they_are_events(self):
        done = self.extract("--in-flight", "4", "--json")
        self.assertEqual(done.code, 0, done)
        events = [{f["key"]: f["value"] for f in log["fields"]}
                  for s in self.ended("job").values() for log in s["logs"]]
        waits = [e for e in events if e["event"] == "flood_wait"]
        self.assertGreater(len(waits), 0)
        self.assertEqual(len(waits), done.json()["flood_waits"])
        self.assertTrue(all(e["tgdata.wait_ms"] > 0 for e in waits), waits)


del Traced, Collected, Asked  # are no tests
if __name__ == "__main__":
    main()

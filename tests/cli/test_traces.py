#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Traces: the spans of a run form one tree, from the job to its calls and commits, or a tree for
each piece of work if it goes on for long; they go on a trace that was begun elsewhere; a collector
that is away costs a run nothing."""
import collections
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.request

from kit import Case, Redis, free_ports, main, start, tgdata, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPS = pathlib.Path(os.environ.get("TG_DEPS") or ROOT / ".deps")
ZIPKIN = DEPS / "zipkin" / "zipkin-server-3.4.2-slim.jar"
PYTHON = DEPS / "otlp" / "bin" / "python"  # with OpenTelemetry's own messages
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """Takes what is posted to it; `status` says how it answers."""

    def __init__(self, port=0):
        mine = self
        self.posts, self.status, self.headers, self.tried = [], 200, [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                mine.headers.append(dict(self.headers))
                mine.tried.append(body)
                if mine.status == 200:
                    mine.posts.append((self.path, json.loads(body)))
                self.send_response(mine.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def spans(self):
        """All spans so far: id to span, with its attributes as a dictionary."""
        found = {}
        for path, body in self.posts:
            assert path == "/v1/traces", path
            for resource in body["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        assert span["spanId"] not in found
                        found[span["spanId"]] = {**span, "facts": {
                            a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}}
        return found


class Traced(Case):
    sim_args = ("--chats", "5", "--messages", "600", "--seed", "9")

    def setUp(self):
        super().setUp()
        self.collector = Collector()
        self.addCleanup(self.collector.stop)

    def otlp(self):
        return f"otlp:http://127.0.0.1:{self.collector.port}"

    def extract(self, *more, chats=("--all",), env=None):
        return tgdata(*self.extract_args(*chats, more=(
            "--traces", self.otlp(), "--batch-size", "100", *more)), env=env)

    def check_within(self, spans, tops):
        """No span outside its parent's time, in another trace, or without its parent."""
        want = {"chat": {"job"}, "batch": {"chat", "job"}, "poll": {"job"},
                "commit": {"batch", "chat", "job"}}
        for s in spans.values():
            begun, ended = int(s["startTimeUnixNano"]), int(s["endTimeUnixNano"])
            self.assertLessEqual(begun, ended)
            if s in tops:
                continue
            parent = spans[s["parentSpanId"]]
            self.assertEqual(s["traceId"], parent["traceId"])
            self.assertNotIn("links", s)
            self.assertIn(parent["name"], want.get(s["name"], {"job", "batch", "poll"}), s)
            self.assertGreaterEqual(begun, int(parent["startTimeUnixNano"]) - 10**6, (s, parent))
            self.assertLessEqual(ended, int(parent["endTimeUnixNano"]) + 10**6, (s, parent))

    def check_tree(self, spans, root=None):
        """One trace, one root."""
        self.assertEqual(len({s["traceId"] for s in spans.values()}), 1)
        tops = [s for s in spans.values() if s.get("parentSpanId") == root]
        self.assertEqual([s["name"] for s in tops], ["job"])
        self.check_within(spans, tops)
        return tops[0]

    def check_trees(self, spans, job, pattern):
        """A trace for each root, which has a link to the job and tells which that is."""
        tops = [s for s in spans.values() if "parentSpanId" not in s]
        self.assertEqual(len({s["traceId"] for s in tops}), len(tops))
        self.check_within(spans, tops)
        links = {json.dumps(s["links"], sort_keys=True) for s in tops if s["name"] != "job"}
        self.assertEqual(len(links), 1)
        link = json.loads(links.pop())[0]
        self.assertEqual({(s["facts"]["tgdata.job"], s["facts"]["tgdata.pattern"]) for s in tops},
                         {(job, pattern)})
        found = [s for s in tops if s["name"] == "job"]
        if found:
            self.assertEqual(link, {"traceId": found[0]["traceId"], "spanId": found[0]["spanId"]})
        return [s for s in tops if s["name"] != "job"]

    def stream(self, chats, *more, log=subprocess.DEVNULL):
        return start("stream", *chats, *self.account_args(), "--to", f"ndjson:{self.dir}/out",
                     "--state", f"sqlite:{self.dir}/state.db", "--job", "live", "--history",
                     "--linger", "50ms", *more, stderr=log, stdout=subprocess.DEVNULL)

    def rows_of(self, chats):
        return sum(len(self.sim.ids(chat)) for chat in chats)

    def finish(self, process, code=0):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), code)


class Runs(Traced):
    def test_an_extraction(self):
        done = self.extract("--json")
        self.assertEqual((done.code, done.err.count("warning")), (0, 0), done)
        spans = self.collector.spans()
        root = self.check_tree(spans)
        names = collections.Counter(s["name"] for s in spans.values())
        told = done.json()
        self.assertEqual(names["chat"], told["chats"])
        self.assertEqual(names["batch"], told["batches"])
        self.assertEqual(names["commit"], told["checkpoints"])
        calls = [s for s in spans.values() if s["kind"] == 3]
        self.assertEqual(len(calls), told["requests"])
        self.assertEqual({s["name"] for s in spans.values()} - set(s["name"] for s in calls),
                         {"job", "chat", "batch", "commit"})
        self.assertIn("messages.getHistory", names)
        self.assertEqual(root["facts"]["tgdata.job"], "job")
        self.assertEqual(int(root["facts"]["tgdata.rows"]), told["rows"])
        for kind in ("batch", "chat"):
            self.assertEqual(sum(int(s["facts"]["tgdata.rows"]) for s in spans.values()
                                 if s["name"] == kind), told["rows"])
        of = {s["name"] for s in calls if spans[s["parentSpanId"]]["name"] == "batch"}
        self.assertIn("messages.getHistory", of)

    def test_a_trace_that_was_begun_elsewhere_goes_on(self):
        chat = self.sim.chats(self.sim.account())[0]["id"]
        done = self.extract(chats=(chat,), env={"TRACEPARENT": f"00-{TRACE}-{PARENT}-01"})
        self.assertEqual(done.code, 0, done)
        root = self.check_tree(self.collector.spans(), PARENT)
        self.assertEqual(root["traceId"], TRACE)
        self.collector.posts.clear()
        # who began it does not tell it: nobody does
        done = self.extract(chats=(chat,), env={"TRACEPARENT": f"00-{TRACE}-{PARENT}-00"})
        self.assertEqual((done.code, self.collector.posts), (0, []), done)
        # what is no traceparent is none
        for text in ("", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01",
                     f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more"):
            self.collector.posts.clear()
            done = self.extract(chats=(chat,), env={"TRACEPARENT": text})
            self.assertEqual(done.code, 0, done)
            self.assertNotEqual(self.check_tree(self.collector.spans())["traceId"], TRACE)

    def test_a_share_is_told(self):
        done = self.extract("--traces-sample", "0", "--json")
        self.assertEqual(done.code, 0, done)
        spans = self.collector.spans()
        self.check_tree(spans)
        self.assertEqual({s["name"] for s in spans.values()}, {"job", "chat"})
        self.assertEqual(len(spans), 1 + done.json()["chats"])

    def test_what_failed_is_told_as_such(self):
        done = self.extract(chats=("@nobody_of_that_name",))
        self.assertEqual(done.code, 3, done)
        root = self.check_tree(self.collector.spans())
        self.assertEqual((root["status"]["code"], root["facts"]["error.type"]), (2, "NOT_FOUND"))

    def test_in_a_file(self):
        config = self.dir / "etl.yaml"
        config.write_text(json.dumps({
            "monitoring": {"traces": self.otlp(), "traces_sample": 100},
            "jobs": [{"name": "nightly", "chats": [self.sim.chats(self.sim.account())[0]["id"]],
                      "session": str(self.session()), "datacenter": str(self.sim.file),
                      "to": f"ndjson:{self.dir}/out", "state": f"sqlite:{self.dir}/state.db"}]}),
            encoding="utf-8")
        done = tgdata("run", config)
        self.assertEqual(done.code, 0, done)
        root = self.check_tree(self.collector.spans())
        self.assertEqual(root["facts"]["tgdata.job"], "nightly")

    def test_where_they_go(self):
        for to in ("http://127.0.0.1:4318", "otlp:", "otlp:ftp://x", "jaeger:http://x", "zipkin:x",
                   "otlp:http://"):
            done = tgdata(*self.extract_args("--all", more=("--traces", to)))
            self.check_fails(done, 2, "cannot be brought", "otlp:http://")
        done = tgdata(*self.extract_args("--all", more=("--traces", self.otlp(),
                                                        "--traces-header", "nonsense")))
        self.check_fails(done, 2, "NAME: VALUE")
        done = self.extract("--traces-header", "authorization: Bearer of-the-test",
                            chats=(self.sim.chats(self.sim.account())[0]["id"],))
        self.assertEqual(done.code, 0, done)
        self.assertEqual({h["authorization"] for h in self.collector.headers},
                         {"Bearer of-the-test"})
        self.assertNotIn("of-the-test", done.err)


class Environment(Traced):
    """OpenTelemetry's variables, where no option says otherwise."""
    sim_args = ("--chats", "1", "--messages", "150", "--seed", "9")

    def run_with(self, *more, **env):
        done = tgdata(*self.extract_args("--all", more=more), env=env)
        self.assertEqual(done.code, 0, done)
        return done

    def facts(self):
        """Of the resource that was told last."""
        resource = self.collector.posts[-1][1]["resourceSpans"][0]["resource"]
        return {a["key"]: next(iter(a["value"].values())) for a in resource["attributes"]}

    def test_where_to_and_as_what(self):
        url = f"http://127.0.0.1:{self.collector.port}"
        secret = "of the-environment"
        done = self.run_with("--verbose", OTEL_EXPORTER_OTLP_ENDPOINT=url,
                             OTEL_EXPORTER_OTLP_HEADERS="api-key=of%20the-environment,x-tenant=7",
                             OTEL_SERVICE_NAME="archive", OTEL_RESOURCE_ATTRIBUTES=
                             "deployment.environment=prod,host.name=elsewhere")
        self.assertNotIn("warning", done.err)
        self.assertNotIn(secret, done.err)
        self.check_tree(self.collector.spans())
        self.assertEqual({(h["api-key"], h["x-tenant"]) for h in self.collector.headers},
                         {(secret, "7")})
        facts = self.facts()
        self.assertEqual((facts["service.name"], facts["deployment.environment"],
                          facts["host.name"]), ("archive", "prod", "elsewhere"))

    def test_an_option_wins(self):
        """And who is named by it does not get the headers of another."""
        self.run_with("--traces", self.otlp(), OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
                      OTEL_SDK_DISABLED="true", OTEL_EXPORTER_OTLP_HEADERS="api-key=secret",
                      OTEL_SERVICE_NAME="archive")
        self.check_tree(self.collector.spans())
        self.assertEqual(self.facts()["service.name"], "archive")
        self.assertFalse([h for h in self.collector.headers if "api-key" in h])

    def test_what_turns_it_off(self):
        url = f"http://127.0.0.1:{self.collector.port}"
        for env in ({}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"},
                    {"OTEL_TRACES_SAMPLER": "always_off"}):
            at = {"OTEL_EXPORTER_OTLP_ENDPOINT": url} if env else {"OTEL_SERVICE_NAME": "x"}
            self.run_with(**at, **env)
            self.assertEqual(self.collector.tried, [], env)

    def test_what_cannot_be_ends_no_run(self):
        for env, says in (({"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://x"}, "cannot be brought"),
                          ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER")):
            done = self.run_with(**env)
            self.assertEqual(done.err.count(says), 1, done)

    def test_another_form_is_told_of_once(self):
        url = f"http://127.0.0.1:{self.collector.port}"
        done = self.run_with(OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
                             OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
        self.assertEqual(done.err.count("asks for grpc: traces go as http/json"), 1, done)
        self.assertEqual({s["name"] for s in self.collector.spans().values()}, {"job", "chat"})


class Long(Traced):
    """Runs that go on for long: what has ended of their work is told whole while they do."""

    def rows_told(self, name):
        return sum(int(s["facts"]["tgdata.rows"]) for s in list(self.collector.spans().values())
                   if s["name"] == name)

    def test_a_stream(self):
        chats = [c["id"] for c in self.sim.chats(self.sim.account())[:2]]
        want = self.rows_of(chats)
        process = self.stream(chats, "--traces", self.otlp(), "--batch-size", "100")
        try:
            self.assertTrue(wait_for(lambda: self.rows_told("batch") == want))
            before = self.collector.spans()
            self.assertNotIn("job", {s["name"] for s in before.values()})
            tops = self.check_trees(before, "live", "stream")
            self.assertEqual({s["name"] for s in tops}, {"batch", "poll"})
        finally:
            self.finish(process)
        spans = self.collector.spans()
        tops = self.check_trees(spans, "live", "stream")
        batches = [s for s in tops if s["name"] == "batch"]
        self.assertGreater(len(batches), 2)
        seen = {int(v["intValue"]) for s in batches
                for v in s["facts"].get("tgdata.chat_ids", {"values": []})["values"]}
        self.assertEqual(seen, set(chats))
        for s in batches:  # each with the commit that made it durable, and nothing that failed
            below = [c["name"] for c in spans.values() if c.get("parentSpanId") == s["spanId"]]
            self.assertEqual(below.count("commit"), 1, below)
            self.assertEqual((s["facts"]["tgdata.taken"], s["status"]), ("yes", {}))
        self.assertTrue(any(c["name"] == "messages.getHistory" and
                            spans[c["parentSpanId"]]["name"] == "batch" for c in spans.values()
                            if c["kind"] == 3))
        self.assertEqual([s["name"] for s in spans.values()].count("job"), 1)

    def test_a_delta_is_one_trace(self):
        """It ends, and whoever started it wants to see it whole."""
        chat = self.sim.chats(self.sim.account())[0]["id"]
        done = tgdata("delta", chat, *self.account_args(), "--to", f"ndjson:{self.dir}/out",
                      "--state", f"sqlite:{self.dir}/state.db", "--job", "changes",
                      "--traces", self.otlp(), env={"TRACEPARENT": f"00-{TRACE}-{PARENT}-01"})
        self.assertEqual(done.code, 0, done)
        spans = self.collector.spans()
        root = self.check_tree(spans, PARENT)
        self.assertEqual(root["facts"]["tgdata.pattern"], "delta")
        self.assertEqual(self.rows_told("batch"), self.rows_of([chat]))

    def test_a_worker(self):
        if "hiredis" not in tgdata("version").out:
            self.skipTest("this build has no client of Redis")
        redis = Redis(self.dir / "redis")
        self.addCleanup(redis.stop)
        chats = [c["id"] for c in self.sim.chats(self.sim.account())]
        queue = f"{redis.url()}?queue=q"
        self.assertEqual(tgdata("enqueue", *chats, "--queue", queue).code, 0)
        with (self.dir / "log").open("wb") as log:
            process = start("worker", *self.account_args(), "--queue", queue, "--to",
                            f"ndjson:{self.dir}/out", "--state", f"sqlite:{self.dir}/state.db",
                            "--job", "pool", "--traces", self.otlp(), stderr=log,
                            stdout=subprocess.DEVNULL)
        try:
            self.assertTrue(wait_for(lambda: self.rows_told("chat") == self.rows_of(chats)),
                            (self.dir / "log").read_text())
            tops = self.check_trees(self.collector.spans(), "pool", "worker")
            self.assertEqual(sorted(int(s["facts"]["tgdata.chat_id"]) for s in tops
                                    if s["name"] == "chat"), sorted(chats))
        finally:
            self.finish(process, 130)
        self.check_trees(self.collector.spans(), "pool", "worker")


class Logged(Traced):
    """Records of the log tell which span they belong to."""
    sim_args = ("--chats", "1", "--messages", "200", "--seed", "5", "--flood",
                "messages.getHistory=3/1")

    def records(self, done):
        return [json.loads(line) for line in done.err.splitlines()]

    def test_as_json(self):
        done = self.extract("--log-format", "json", "--in-flight", "4", "--json")
        self.assertEqual(done.code, 0, done)
        spans, records = self.collector.spans(), self.records(done)
        root = self.check_tree(spans)
        floods = [r for r in records if r.get("event") == "flood wait"]
        self.assertTrue(floods, records)
        for r in [*floods, *[r for r in records if r.get("event") == "connected"]]:
            self.assertEqual(r["trace_id"], root["traceId"])
            self.assertEqual(spans[r["span_id"]]["name"], "chat" if "chat" in r else "job")

    def test_of_a_chat(self):
        chat = self.sim.chats(self.sim.account())[0]["id"]
        done = self.extract("--log-format", "json", "--min-id", "2000000000", chats=(chat,))
        self.assertEqual(done.code, 0, done)
        spans = self.collector.spans()
        told = [r for r in self.records(done) if r.get("chat") == chat]
        self.assertTrue(told)
        for r in told:
            self.assertIn(spans[r["span_id"]]["name"], ("chat", "job"))

    def test_what_is_told_behind_the_end(self):
        done = self.extract("--log-format", "json", chats=("@nobody_of_that_name",),
                            env={"TRACEPARENT": f"00-{TRACE}-{PARENT}-01"})
        self.assertEqual(done.code, 3, done)
        root = self.check_tree(self.collector.spans(), PARENT)
        last = self.records(done)[-1]
        self.assertEqual((last["event"], last["trace_id"], last["span_id"]),
                         ("failed", TRACE, root["spanId"]))

    def test_in_the_journal(self):
        path = self.dir / "journal"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.bind(str(path))
            got = []
            reader = threading.Thread(target=lambda: got.extend(iter(
                lambda: journal.recv(1 << 16), b"")))
            reader.start()
            done = self.extract("--log-format", "journald", "--journal-socket", path)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.sendto(b"", str(path))
            reader.join()
        self.assertEqual(done.code, 0, done)
        found = [dict(line.split("=", 1) for line in entry.decode().splitlines() if "=" in line)
                 for entry in got]
        spans = self.collector.spans()
        up = next(e for e in found if e.get("TGDATA_EVENT") == "connected")
        self.assertEqual((spans[up["SPAN_ID"]]["name"], spans[up["SPAN_ID"]]["traceId"]),
                         ("job", up["TRACE_ID"]))

    def test_without_traces_there_are_none(self):
        done = tgdata(*self.extract_args("--all", more=("--log-format", "json")))
        self.assertEqual(done.code, 0, done)
        self.assertNotIn("trace_id", done.err)


class Troubled(Traced):
    sim_args = ("--chats", "1", "--messages", "200", "--seed", "5", "--flood",
                "messages.getHistory=3/1")

    def test_waits_are_events_and_told_whatever_the_share(self):
        done = self.extract("--in-flight", "4", "--traces-sample", "0", "--json")
        self.assertEqual(done.code, 0, done)
        self.assertGreater(done.json()["flood_waits"], 0)
        spans = self.collector.spans()
        self.check_tree(spans)
        waits = [e for s in spans.values() for e in s["events"] if e["name"] == "flood_wait"]
        self.assertEqual(len(waits), done.json()["flood_waits"])
        calls = [s for s in spans.values() if s["kind"] == 3]
        self.assertTrue(all(s["facts"].get("tgdata.flood_waits") for s in calls), calls)
        self.assertTrue(all(s["events"] for s in calls))
        for s in calls:
            begun, ended = int(s["startTimeUnixNano"]), int(s["endTimeUnixNano"])
            self.assertGreaterEqual(ended - begun,
                                    int(s["facts"]["tgdata.flood_wait_s"]) * 10**9 * 0.9)
            for e in s["events"]:
                self.assertTrue(begun <= int(e["timeUnixNano"]) <= ended)


READ = """
import base64, json, sys
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
for body in json.load(sys.stdin):
    # OTLP writes ids as hexadecimal digits, where other messages write bytes in base64
    for resource in body["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in [t for s in scope["spans"] for t in (s, *s.get("links", []))]:
                for key in ("traceId", "spanId", "parentSpanId"):
                    if key in span:
                        span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    message = json_format.ParseDict(body, service.ExportTraceServiceRequest(),
                                    ignore_unknown_fields=False)
    for resource in message.resource_spans:
        facts = {a.key: a.value.string_value for a in resource.resource.attributes}
        assert facts["service.name"] == "tgdata", facts
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert len(span.trace_id) == 16 and len(span.span_id) == 8, span
                assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, span
                assert span.kind in (1, 3) and span.name, span
                for link in span.links:
                    assert len(link.trace_id) == 16 and len(link.span_id) == 8, span
                    assert link.trace_id != span.trace_id, span
                print(span.name, len(span.links))
"""


class ReadBack(Traced):
    """By those who know the forms best."""

    @unittest.skipUnless(PYTHON.exists(), "tests/interop/setup traces installs it")
    def test_by_the_messages_of_opentelemetry(self):
        done = self.extract("--json")
        self.assertEqual(done.code, 0, done)
        chat = self.sim.chats(self.sim.account())[0]["id"]
        process = self.stream([chat], "--traces", self.otlp())
        self.assertTrue(wait_for(lambda: any(s["facts"].get("tgdata.chat_ids")
                                             for s in list(self.collector.spans().values()))))
        self.finish(process)
        bodies = [body for _, body in self.collector.posts]
        read = subprocess.run([PYTHON, "-c", READ], input=json.dumps(bodies), text=True,
                              capture_output=True, check=False)
        self.assertEqual(read.returncode, 0, read.stderr)
        self.assertEqual(sorted(read.stdout.splitlines()),
                         sorted(f"{s['name']} {len(s.get('links', []))}"
                                for s in self.collector.spans().values()))

    @unittest.skipUnless(ZIPKIN.exists(), "tests/interop/setup traces installs it")
    def test_by_a_real_zipkin(self):
        port = free_ports(1)
        with (self.dir / "zipkin.log").open("wb") as log:
            server = subprocess.Popen(
                ["java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", ZIPKIN,
                 "--armeria.ports[0].ip=127.0.0.1", f"--armeria.ports[0].port={port}",
                 "--armeria.ports[0].protocols[0]=http"], stdout=log, stderr=log)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)

        def ask(path):
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                    return json.load(answer)
        self.assertTrue(wait_for(lambda: ask("/health"), 120),
                        (self.dir / "zipkin.log").read_text())
        done = tgdata(*self.extract_args("--all", more=(
            "--traces", f"zipkin:http://127.0.0.1:{port}", "--batch-size", "100", "--json")),
            env={"TRACEPARENT": f"00-{TRACE}-{PARENT}-01"})
        self.assertEqual(done.code, 0, done)
        told = done.json()
        want = 1 + told["chats"] + told["batches"] + told["checkpoints"] + told["requests"]

        def trace():  # what it took it shows a moment later
            found = ask(f"/api/v2/trace/{TRACE}")
            return found if found and len(found) >= want else None
        self.assertTrue(wait_for(trace), ask(f"/api/v2/trace/{TRACE}"))
        found = trace()
        self.assertEqual(len(found), want)
        names = collections.Counter(s["name"] for s in found)
        self.assertEqual((names["job"], names["chat"], names["batch"], names["commit"]),
                         (1, told["chats"], told["batches"], told["checkpoints"]))
        by = {s["id"]: s for s in found}
        self.assertEqual({by[s["parentId"]]["name"] if s["parentId"] in by else s["parentId"]
                          for s in found}, {"job", "chat", "batch", PARENT})
        calls = [s for s in found if s.get("kind") == "CLIENT"]
        self.assertEqual(len(calls), told["requests"])
        self.assertEqual({s["tags"]["rpc.system"] for s in calls}, {"mtproto"})
        self.assertEqual(ask("/api/v2/services"), ["tgdata"])
        self.check_a_stream(f"zipkin:http://127.0.0.1:{port}", ask)

    def check_a_stream(self, to, ask):
        """A trace of each batch, found while the stream goes on."""
        chat = self.sim.chats(self.sim.account())[0]["id"]
        process = self.stream([chat], "--traces", to)

        def batches():
            found = ask("/api/v2/traces?limit=100&spanName=batch&annotationQuery=tgdata.job%3Dlive")
            return found if sum(int(s["tags"]["tgdata.rows"]) for trace in found or []
                                for s in trace if s["name"] == "batch") == want else None
        want = self.rows_of([chat])
        self.assertTrue(wait_for(batches))
        for trace in batches():
            roots = [s for s in trace if "parentId" not in s]
            self.assertEqual([s["name"] for s in roots], ["batch"])
            self.assertIn("commit", [s["name"] for s in trace])
            self.assertEqual(roots[0]["tags"]["tgdata.chat_ids"], f"[{chat}]")
        link = roots[0]["tags"]
        self.finish(process)

        def job():
            with contextlib.suppress(OSError):
                return ask(f"/api/v2/trace/{link['tgdata.job_trace']}")
        self.assertTrue(wait_for(job))
        self.assertEqual([(s["name"], s["id"]) for s in job()], [("job", link["tgdata.job_span"])])


class Away(Traced):
    """A run and its rows are the same whatever its collector does."""

    def whole(self, done):
        self.assertEqual(done.code, 0, done)
        self.check_whole(self.sim.chats(self.sim.account()))

    def test_nobody_is_there(self):
        done = tgdata(*self.extract_args("--all", more=(
            "--traces", f"otlp:http://127.0.0.1:{free_ports(1)}", "--batch-size", "10")))
        self.whole(done)

    def test_it_takes_connections_and_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as hole:
            at = time.monotonic()
            done = tgdata(*self.extract_args("--all", more=(
                "--traces", f"otlp:http://127.0.0.1:{hole.getsockname()[1]}")))
        self.whole(done)
        self.assertGreater(time.monotonic() - at, 2)  # it was waited for, and then no more

    def test_it_refuses(self):
        self.collector.status = 400
        self.whole(self.extract())
        tried = self.collector.tried
        self.assertTrue(tried)
        self.assertEqual(len(set(tried)), len(tried))  # nothing is sent again

    def test_it_is_busy_then_takes_all(self):
        """What it did not take comes again, once."""
        self.collector.status = 503
        port = free_ports(1)
        chat = self.sim.chats(self.sim.account())[0]["id"]
        with (self.dir / "log").open("wb") as log:
            run = self.stream([chat], "--listen", port, "--traces", self.otlp(), log=log)
        try:
            self.assertTrue(wait_for(lambda: "traces cannot be pushed" in
                                     (self.dir / "log").read_text()))
            self.collector.status = 200
            self.assertTrue(wait_for(lambda: "traces are pushed again" in
                                     (self.dir / "log").read_text()))
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as c:
                c.request("GET", "/metrics")
                text = c.getresponse().read().decode()
        finally:
            self.finish(run)
        sent = re.search(r'tgdata_trace_spans_total\{outcome="sent"\} (\d+)', text)
        self.assertGreater(int(sent[1]), 0)
        self.assertNotIn('outcome="dropped"', text)
        spans = self.collector.spans()
        self.check_trees(spans, "live", "stream")
        self.assertIn("commit", {s["name"] for s in spans.values()})


if __name__ == "__main__":
    main()

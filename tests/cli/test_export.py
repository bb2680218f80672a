#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Metrics brought to StatsD and to CloudWatch: what arrives adds up to what the run says."""
import collections
import datetime
import json
import os
import socket
import subprocess
import sys
import threading
import unittest

from kit import Case, free_ports, main, start, tgdata, wait_for
from s3 import S3, is_open


class Agent:
    """What a StatsD has of the datagrams that come: sums of counters, gauges as they are."""

    def __init__(self, port=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.counters, self.gauges = collections.Counter(), {}
        self.lines, self.longest = [], 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            self.longest = max(self.longest, len(data))
            for line in data.decode().splitlines():
                name, _, rest = line.partition(":")
                value, kind, *tags = rest.split("|")
                key = (name, tags[0] if tags else "")
                if kind == "c":
                    self.counters[key] += float(value)
                else:
                    self.gauges[key] = float(value)
                self.lines.append(line)


class Statsd(Case):
    sim_args = ("--chats", "6", "--messages", "1200", "--seed", "21")

    def setUp(self):
        super().setUp()
        self.agent = Agent()
        self.addCleanup(self.agent.socket.close)

    def extract(self, *more):
        done = tgdata(*self.extract_args("--all", more=[
            "--statsd", self.agent.port, "--export-interval", "100ms", "--json", *more]))
        self.assertEqual(done.code, 0, done)
        self.assertNotIn("cannot be pushed", done.err)
        # The kernel has all that was sent before the end; the thread may not have read it yet.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end:1|c", ("127.0.0.1", self.agent.port))
        self.assertTrue(wait_for(lambda: self.agent.counters["end", ""]))
        return done.json()

    def test_plain(self):
        got = self.extract("--rate", "30", "--burst", "1", "--batch-size", "100")
        c, g = self.agent.counters, self.agent.gauges
        self.assertEqual(c["tgdata.job.messages_committed_total", ""], got["rows"])
        self.assertEqual(c["tgdata.job.written_bytes_total", ""], got["bytes_out"])
        self.assertEqual(c["tgdata.job.commits_total", ""], got["checkpoints"])
        self.assertEqual(c["tgdata.job.pipeline_lag_seconds.count", ""], got["checkpoints"])
        self.assertGreater(c["tgdata.job.calls_total.messages_getHistory.ok", ""], 0)
        self.assertEqual(g["tgdata.job.ready", ""], 0)
        self.assertIn(("tgdata.job.pipeline_lag_seconds.p95", ""), g)
        self.assertGreater(c["tgdata.job.metrics_pushes_total.statsd.ok", ""], 1)
        for line in self.agent.lines:
            self.assertRegex(line, r"^[\w.-]+:[0-9.e+-]+\|[cg]$")
        self.assertLessEqual(self.agent.longest, 1432)

    def test_dogstatsd(self):
        got = self.extract("--statsd-format", "dogstatsd")
        c = self.agent.counters
        self.assertEqual(c["tgdata.messages_committed_total", "#job:job"], got["rows"])
        self.assertGreater(
            c["tgdata.calls_total", "#job:job,method:messages.getHistory,outcome:ok"], 0)

    def test_an_agent_that_is_not_there(self):
        """It is told of once, and what was not sent is sent when it is there again."""
        port = free_ports(1)
        chat = self.sim.chats(self.sim.account())[0]
        log = self.dir / "log"
        with log.open("wb") as to:
            process = start("stream", chat["id"], *self.account_args(), "--to",
                            f"ndjson:{self.dir}/out", "--state", f"sqlite:{self.dir}/state.db",
                            "--job", "job", "--history", "--statsd", port, "--export-interval",
                            "100ms", stderr=to, stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.assertTrue(wait_for(lambda: "cannot be pushed: StatsD on 127.0.0.1: Connection refused"
                                 in log.read_text()), log.read_text())
        agent = Agent(port)
        self.addCleanup(agent.socket.close)
        want = len(self.sim.truth([chat]))
        name = ("tgdata.job.messages_committed_total", "")
        self.assertTrue(wait_for(lambda: agent.counters[name] >= want), (want, agent.counters))
        self.assertTrue(wait_for(lambda: "metrics are pushed again" in log.read_text()))
        self.assertEqual(agent.counters[name], want)
        self.assertEqual(log.read_text().count("cannot be pushed"), 1)

    def test_what_is_refused(self):
        for where in ["statsd", "host:0", "host:70000", "::1:8125", ":8125", ""]:
            with self.subTest(where):
                done = tgdata(*self.extract_args("--all", more=["--statsd", where]))
                self.check_fails(done, 2, "no address of StatsD")


@unittest.skipUnless((S3.deps / "moto/bin/moto_server").exists(),
                     "tests/interop/setup moto installs its server")
class Cloudwatch(Case):
    sim_args = ("--chats", "6", "--messages", "1200", "--seed", "21")
    READER = """
import boto3, json, sys
cw = boto3.client("cloudwatch", endpoint_url=sys.argv[1], region_name="eu-west-1")
found = []
for page in cw.get_paginator("list_metrics").paginate(Namespace="tg/test"):
    for m in page["Metrics"]:
        got = cw.get_metric_statistics(Namespace="tg/test", MetricName=m["MetricName"],
            Dimensions=m["Dimensions"], StartTime=sys.argv[2], EndTime=sys.argv[3], Period=3600,
            Statistics=["Sum", "SampleCount"])["Datapoints"]
        found.append([m["MetricName"], {d["Name"]: d["Value"] for d in m["Dimensions"]},
                      sum(p["Sum"] for p in got), sum(p["SampleCount"] for p in got),
                      got[0]["Unit"] if got else None])
print(json.dumps(found))
"""

    def serve(self):
        port = free_ports(1)
        process = subprocess.Popen(
            [S3.deps / "moto/bin/moto_server", "-H", "127.0.0.1", "-p", str(port)],
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait, 30)
        self.addCleanup(process.terminate)
        self.assertTrue(wait_for(lambda: is_open(port), 60))
        return f"http://127.0.0.1:{port}"

    def test_what_arrives(self):
        endpoint = self.serve()
        keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "s3cr3t-key",
                "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL_CLOUDWATCH": endpoint}
        done = tgdata(*self.extract_args("--all", more=[
            "--rate", "30", "--burst", "1", "--batch-size", "100", "--cloudwatch", "tg/test",
            "--export-interval", "300ms", "--json"]), env=keys)
        self.assertEqual(done.code, 0, done)
        self.assertNotIn("cannot be pushed", done.err)
        now = datetime.datetime.now(datetime.timezone.utc)
        read = subprocess.run(
            [S3.deps / "moto/bin/python", "-W", "ignore", "-c", self.READER, endpoint,
             *((now + datetime.timedelta(hours=h)).isoformat() for h in (-1, 1))],
            capture_output=True, text=True, check=False, env={**os.environ, **keys})
        self.assertEqual(read.returncode, 0, read.stderr)
        found = {(name, *(f"{k}={v}" for k, v in sorted(labels.items()))): rest
                 for name, labels, *rest in json.loads(read.stdout)}
        got = done.json()
        self.assertEqual(found["messages_committed_total", "job=job"][0], got["rows"])
        self.assertEqual(found["messages_committed_total", "job=job"][2], "Count")
        self.assertEqual(found["written_bytes_total", "job=job"][::2], [got["bytes_out"], "Bytes"])
        self.assertEqual(found["pipeline_lag_seconds", "job=job"][1:],
                         [got["checkpoints"], "Seconds"])
        self.assertGreater(found["calls_total", "job=job", "method=messages.getHistory",
                                 "outcome=ok"][0], 0)

    def test_what_is_refused(self):
        none = {"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
                "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "eu-west-1"}
        for space, says in [("AWS/EC2", "no namespace"), ("a b", "no namespace"),
                            ("tgdata", "credentials")]:
            with self.subTest(says):
                done = tgdata(*self.extract_args("--all", more=["--cloudwatch", space]), env=none)
                self.check_fails(done, 2, says)


if __name__ == "__main__":
    if "libcurl" not in tgdata("version").out:
        sys.exit(77)
    main()

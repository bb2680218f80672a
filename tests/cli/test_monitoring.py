#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Metrics over HTTP: what they say, that Prometheus' own tools read them, and that nobody who holds
connections open or sends nonsense keeps others from being answered."""
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

from kit import Case, free_ports, main, start, tgdata, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BAD = int(os.environ.get("TGDATA_TEST_BAD_CONNECTIONS", "10000"))
SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))


def get(port, path, method="GET", timeout=20):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(c):
        c.request(method, path)
        answer = c.getresponse()
        return answer.status, answer.read().decode(), answer.headers


def metrics(port):
    """Of each series, its value."""
    text = get(port, "/metrics")[1]
    return {m[1]: float(m[2]) for m in re.finditer(r"(?m)^(tgdata_\S+(?: [^{}]*\})?) (\S+)$", text)}


class Monitored(Case):
    sim_args = ("--chats", "6", "--messages", "1200", "--seed", "21", "--latency-ms", "5")

    def run_one(self, *words):
        """A run in the background, and its port."""
        port = free_ports(1)
        with (self.dir / "log").open("wb") as log:
            process = start(*words, "--listen", port, stderr=log, stdout=subprocess.DEVNULL)
        self.addCleanup(self.end, process)

        def answers():
            with contextlib.suppress(OSError):
                return get(port, "/healthz")[:2] == (200, "ok\n")
        self.assertTrue(wait_for(answers), (self.dir / "log").read_text())
        return process, port

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def stream(self, *more):
        chat = self.sim.chats(self.sim.account())[0]
        return ["stream", chat["id"], *self.account_args(), "--to", f"ndjson:{self.dir}/out",
                "--state", f"sqlite:{self.dir}/state.db", "--job", "job", "--history", *more]


class Pages(Monitored):
    def test_an_extraction(self):
        fifo = self.dir / "rows"
        os.mkfifo(fifo)
        held = os.open(fifo, os.O_RDWR)  # takes 64 KiB, then the run stands
        self.addCleanup(os.close, held)
        words = self.extract_args("--all", to="stdout:", more=["--batch-size", "50"])
        port = free_ports(1)
        with fifo.open("wb") as out:
            process = start(*words, "--listen", port, stdout=out, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def reading():
            with contextlib.suppress(OSError):
                return json.loads(get(port, "/api/status")[1])["chats"]
        self.assertTrue(wait_for(reading))
        status = json.loads(get(port, "/api/status")[1])
        self.assertTrue(status["ready"], status)
        self.assertTrue(status["chats"], status)
        self.assertEqual(set(status["chats"][0]), {
            "chat_id", "title", "account", "state", "rows", "expected", "rows_per_s", "eta_s",
            "flood_wait_s", "waiting_for"})
        found = metrics(port)
        self.assertEqual(found["tgdata_accounts"], 1)
        self.assertGreaterEqual(found["tgdata_active_connections"], 1)
        self.assertGreater(found['tgdata_calls_total{method="messages.getHistory",outcome="ok"}'],
                           0)
        self.assertGreater(found["tgdata_call_duration_seconds_count"], 0)
        self.assertGreater(found["tgdata_received_bytes_total"], 1000)
        summary = json.loads(get(port, "/api/metrics")[1])
        self.assertEqual({k: set(v) for k, v in summary.items()}, {
            "throughput": {"messages_per_minute", "p95_latency", "error_percentage"},
            "health": {"rate_limit_utilization", "active_connections", "queue_depth"}})
        self.assertGreater(summary["throughput"]["messages_per_minute"], 0)
        self.assertEqual(get(port, "/readyz")[:2], (200, "ready\n"))

    def test_the_numbers_of_a_stream_are_those_of_its_summary(self):
        process, port = self.run_one(*self.stream())

        def caught_up():
            found = metrics(port)
            return (found["tgdata_messages_committed_total"] > 0
                    and found["tgdata_messages_committed_total"]
                    == found["tgdata_messages_extracted_total"]
                    and found["tgdata_stream_lag_seconds"] == 0)
        self.assertTrue(wait_for(caught_up), metrics(port))
        want = len(self.sim.truth([self.sim.chats(self.sim.account())[0]]))
        self.assertTrue(wait_for(lambda: metrics(port)["tgdata_messages_committed_total"] == want),
                        (want, metrics(port)))
        found = metrics(port)
        self.assertGreater(found["tgdata_pipeline_lag_seconds_count"], 0)
        self.assertEqual(found["tgdata_commits_total"],
                         found["tgdata_pipeline_lag_seconds_count"])
        self.assertEqual(found["tgdata_chats_at_work"], 1)
        self.assertEqual(found["tgdata_ready"], 1)
        self.assertEqual(json.loads(get(port, "/api/status")[1])["chats"][0]["state"], "watching")
        self.sim.stop()
        try:
            self.assertTrue(wait_for(lambda: metrics(port)["tgdata_active_connections"] == 0))
            self.assertGreater(metrics(port)["tgdata_connections_lost_total"], 0)
        finally:
            self.sim.start()

    def test_what_is_asked_wrongly(self):
        port = self.run_one(*self.stream())[1]
        table = [("GET", "/nothing", 404), ("GET", "/metrics/", 404), ("POST", "/metrics", 405),
                 ("DELETE", "/api/status", 405), ("GET", "/../etc/passwd", 404),
                 ("HEAD", "/metrics", 200), ("GET", "/metrics?x=1", 200)]
        for method, path, status in table:
            with self.subTest(f"{method} {path}"):
                got, _, headers = get(port, path, method)
                self.assertEqual(got, status)
                self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
                self.assertEqual("Allow" in headers, status == 405)

    def test_where_it_cannot_listen(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
            for where, code, word in [(port, 7, "in use"), ("nonsense", 2, "no address"),
                                      ("host.invalid:1", 2, "no address"),
                                      ("127.0.0.1:70000", 2, "no address")]:
                with self.subTest(where):
                    done = tgdata(*self.stream("--listen", where))
                    self.check_fails(done, code, word)

    def test_loopback_is_the_default(self):
        port = self.run_one(*self.stream())[1]
        table = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True,
                               check=False).stdout if shutil.which("ss") else None
        if table is None:
            self.skipTest("no ss")
        self.assertIn(f"127.0.0.1:{port}", table)
        self.assertNotIn("0.0.0.0:" + str(port), table)


class Documented(Case):
    """The program's table of metrics, and what is written in its names."""
    sim_args = None

    def rows(self):
        """Name, type, labels, help."""
        table = (ROOT / "src/observe/metrics.h").read_text(encoding="utf-8")
        table = table.split("#define TG_METRICS")[1].split("enum tg_metric {")[0]
        table = table.replace("\\\n", "")
        rows = re.findall(r'X\(\w+,\s*"(\w+)",\s*(\w+),\s*(NULL|"\w+"),\s*(NULL|"\w+"),'
                          r'((?:\s*"[^"]*")+)\s*\)', table)
        self.assertGreater(len(rows), 25)
        self.assertEqual(len(rows), table.count("X("))
        for name, kind, *labels, text in rows:
            yield (f"tgdata_{name}", kind.lower(),
                   [label.strip('"') for label in labels if label != "NULL"],
                   "".join(re.findall(r'"([^"]*)"', text)))

    def test_the_page_has_each_metric(self):
        page = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
        rows = [*self.rows()]
        for name, kind, labels, text in rows:
            self.assertIn(f"| `{name}` | {kind} | {', '.join(labels)} | {text} |\n", page)
        self.assertEqual(page.count("\n| `tgdata_"), len(rows))

    def check_expression(self, text):
        """Its metrics are the program's, and so are their labels."""
        series = {}
        for name, kind, labels, _ in self.rows():
            ends = ["_bucket", "_sum", "_count"] if kind == "histogram" else [""]
            series.update({name + end: {*labels, "job", "instance", "le"} for end in ends})
        found = re.findall(r"\btgdata_\w+", text)
        for name in found:
            self.assertIn(name, series, text)
        named = {word for words in re.findall(r"\b(?:by|on) \(([^)]*)\)", text)
                 for word in words.split(", ")} | {*re.findall(r"(\w+)(?:=~|!~|!=|=)\"", text)}
        for label in named:
            self.assertTrue(any(label in series[name] for name in found) or found == [],
                            f"{label} in {text}")
        return found

    def promtool(self, *words):
        if not shutil.which("promtool"):
            self.skipTest("no promtool")
        done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_rules(self):
        where = ROOT / "deploy/prometheus"
        text = (where / "tgdata.rules.yml").read_text(encoding="utf-8")
        rules = re.findall(r"(?ms)^  - alert: (\w+)\n    expr: (.*?)(?=^    (?:for|labels):)", text)
        self.assertEqual(len(rules), text.count("- alert:"))
        tested = (where / "tgdata_test.yml").read_text(encoding="utf-8")
        for name, expr in rules:
            self.assertIn(f'alertname="{name}"', tested)
            self.assertTrue(self.check_expression(expr) or name == "TgdataDown", name)
        self.promtool("check", "rules", where / "tgdata.rules.yml")
        self.promtool("test", "rules", where / "tgdata_test.yml")

    def test_the_dashboard(self):
        dashboard = json.loads((ROOT / "deploy/grafana/tgdata.json").read_text(encoding="utf-8"))
        panels, shown, rules = dashboard["panels"], set(), []
        self.assertEqual(len({p["id"] for p in panels}), len(panels))
        taken = set()
        for panel in panels:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(at["x"] + at["w"], 24)
            taken |= cells
            for target in panel.get("targets", []):
                shown.update(self.check_expression(target["expr"]))
                for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                    self.assertRegex(target["expr"], rf"by \([^)]*\b{label}\b")
                rules.append(target["expr"].replace("$__rate_interval", "5m"))
        for query in re.findall(r"label_values\([^)]*\)", json.dumps(dashboard)):
            self.check_expression(query)
        shown = {re.sub("_bucket$", "", name) for name in shown}
        self.assertEqual(shown, {name for name, *_ in self.rows()})
        (self.dir / "rules.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": [
            {"record": f"x{n}", "expr": expr} for n, expr in enumerate(rules)]}]}),
            encoding="ascii")
        self.promtool("check", "rules", self.dir / "rules.yml")


class Prometheus(Monitored):
    def prometheus(self, config, *more):
        """A real one: its port, and a function that asks it for a value."""
        if not shutil.which("prometheus"):
            self.skipTest("no prometheus")
        port = free_ports(1)
        (self.dir / "p.yml").write_text(config)
        server = subprocess.Popen(
            ["prometheus", f"--config.file={self.dir}/p.yml", f"--storage.tsdb.path={self.dir}/p",
             f"--web.listen-address=127.0.0.1:{port}", *more], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait, 30)
        self.addCleanup(server.terminate)

        def value(expression):
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                query = urllib.parse.quote(expression)
                found = json.loads(get(port, f"/api/v1/query?query={query}")[1])["data"]["result"]
                return float(found[0]["value"][1]) if found else None
        return port, value

    def test_remote_write_to_a_real_prometheus(self):
        """Named as the ETL design names it, without a path; and with one."""
        port, value = self.prometheus("{}", "--web.enable-remote-write-receiver")
        self.assertTrue(wait_for(lambda: value("vector(1)") == 1))
        for n, path in enumerate(["", "/api/v1/write"]):
            done = tgdata(*self.extract_args(
                "--all", job=f"j{n}", to=f"ndjson:{self.dir}/{n}", more=[
                    "--metrics-endpoint", f"http://127.0.0.1:{port}{path}", "--json"]))
            self.assertEqual(done.code, 0, done)
            self.assertNotIn("cannot be pushed", done.err)
            got, job = done.json(), f'job="j{n}"'
            self.assertEqual(value(f"tgdata_messages_committed_total{{{job}}}"), got["rows"])
            self.assertEqual(value(f"tgdata_pipeline_lag_seconds_count{{{job}}}"),
                             got["checkpoints"])
            self.assertEqual(value(f'tgdata_pipeline_lag_seconds_bucket{{{job},le="+Inf"}}'),
                             got["checkpoints"])
            self.assertGreater(value(f'tgdata_calls_total{{{job},outcome="ok",method='
                                     '"messages.getHistory"}'), 0)
            self.assertEqual(value(f"tgdata_ready{{{job}}}"), 0)

    def test_a_prometheus_that_takes_nothing_says_why(self):
        port, value = self.prometheus("{}")
        self.assertTrue(wait_for(lambda: value("vector(1)") == 1))
        self.run_one(*self.stream("--metrics-endpoint", f"http://127.0.0.1:{port}",
                                  "--export-interval", "200ms"))
        self.assertTrue(wait_for(lambda: "status 404: remote write receiver"
                                 in (self.dir / "log").read_text()))

    def test_promtool_has_nothing_to_say(self):
        if not shutil.which("promtool"):
            self.skipTest("no promtool")
        port = self.run_one(*self.stream())[1]
        self.assertTrue(wait_for(lambda: metrics(port)["tgdata_messages_committed_total"] > 0))
        done = subprocess.run(["promtool", "check", "metrics"], capture_output=True, check=False,
                              input=get(port, "/metrics")[1], text=True)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_a_real_prometheus_scrapes_it(self):
        port = self.run_one(*self.stream())[1]
        value = self.prometheus(
            "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: tgdata\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n")[1]
        want = len(self.sim.truth([self.sim.chats(self.sim.account())[0]]))
        self.assertTrue(wait_for(lambda: value("tgdata_messages_committed_total") == want))
        self.assertEqual(value("up"), 1)
        self.assertEqual(value("tgdata_ready"), 1)


class Pushgateway(Monitored):
    def gateway(self, port):
        server = subprocess.Popen(["prometheus-pushgateway",
                                   f"--web.listen-address=127.0.0.1:{port}"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait, 30)
        self.addCleanup(server.terminate)

    def pushed(self, port):
        """What the gateway has of the run's numbers: by name and instance."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            text = get(port, "/metrics")[1]
            return {m[1]: (float(m[3]), m[2]) for m in re.finditer(
                r'(?m)^(tgdata_\w+)\{instance="([^"]+)",job="job"\} (\S+)$', text)}
        return {}

    def setUp(self):
        super().setUp()
        if not shutil.which("prometheus-pushgateway"):
            self.skipTest("no pushgateway")

    def test_a_run_is_in_the_gateway_at_its_end(self):
        port = free_ports(1)
        self.gateway(port)
        self.assertTrue(wait_for(lambda: self.is_up(port)))
        done = tgdata(*self.extract_args("--all", more=[
            "--metrics-endpoint", f"http://127.0.0.1:{port}/", "--json"]))
        self.assertEqual(done.code, 0, done)
        found = self.pushed(port)
        self.assertEqual(found["tgdata_messages_committed_total"][0], done.json()["rows"])
        self.assertEqual(found["tgdata_commits_total"][0], done.json()["checkpoints"])
        self.assertEqual(found["tgdata_written_bytes_total"][0], done.json()["bytes_out"])
        self.assertEqual(found["tgdata_ready"][0], 0)
        self.assertRegex(found["tgdata_ready"][1], "^[A-Za-z0-9.-]+$")

    def is_up(self, port):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return get(port, "/-/ready")[0] == 200

    def test_a_gateway_that_comes_late(self):
        port = free_ports(1)
        self.run_one(*self.stream("--metrics-endpoint",
                                  f"http://127.0.0.1:{port}", "--export-interval", "200ms"))
        log = self.dir / "log"
        self.assertTrue(wait_for(lambda: "metrics cannot be pushed" in log.read_text()))
        time.sleep(1)
        self.gateway(port)
        self.assertTrue(wait_for(lambda: self.pushed(port).get("tgdata_ready", (0,))[0] == 1))
        self.assertTrue(wait_for(lambda: "metrics are pushed again" in log.read_text()))
        self.assertEqual(log.read_text().count("metrics cannot be pushed"), 1)

    def test_what_is_no_gateway(self):
        self.check_fails(tgdata(*self.stream("--metrics-endpoint", "prometheus:9090")), 2,
                         "cannot be pushed")


class Bad(Monitored):
    """Connections that are slow, idle, broken or nonsense: 10,000 of them."""

    def send(self, r, port, held):
        kind = r.randrange(6)
        s = socket.socket()
        s.settimeout(5)
        try:
            s.connect(("127.0.0.1", port))
            if kind == 0:  # says nothing, and stays
                held.append(s)
                return
            if kind == 1:  # begins a request, and stays
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ")
                held.append(s)
                return
            if kind == 2:
                s.sendall(r.randbytes(r.randrange(1, 3000)))
            elif kind == 3:  # headers without end
                s.sendall(b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * 20000 + b"\r\n")
            elif kind == 4:
                s.sendall(r.choice([b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"\r\n\r\n",
                                    b"GET /metrics HTTP/9.9\r\n\r\n", b"\0\0\0\0",
                                    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999"
                                    b"999999999\r\n\r\n"]))
            else:  # asks properly, and resets
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        except OSError:
            pass  # it need not be polite
        s.close()

    def memory(self, process):
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])

    def test_ten_thousand(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        process, port = self.run_one(*self.stream())
        self.assertTrue(wait_for(lambda: metrics(port)["tgdata_ready"] == 1))
        r = random.Random(SEED)
        held, before, worst = [], self.memory(process), 0
        for i in range(BAD):
            self.send(r, port, held)
            while len(held) > 1000:  # more than there are places
                held.pop(r.randrange(len(held))).close()
            if i % 500 == 499:
                began = time.monotonic()
                self.assertEqual(get(port, "/healthz")[0], 200)
                worst = max(worst, time.monotonic() - began)
        grown = self.memory(process) - before
        print(f"{BAD} bad connections: the slowest answer between took {worst:.2f} s, "
              f"{grown} KiB more memory")
        self.assertLess(worst, 5)
        self.assertLess(grown, 32 << 10)
        self.assertEqual(metrics(port)["tgdata_ready"], 1)
        # Who only waits is gone after the deadline, however many they are.
        began = time.monotonic()
        self.assertTrue(wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) < 100))
        self.assertLess(time.monotonic() - began, 30)
        for s in held:
            s.close()
        self.end(process)
        self.assertEqual(process.returncode, 0, (self.dir / "log").read_text())


if __name__ == "__main__":
    if "HTTP server" in tgdata("stream", "1", "--listen", "0", "--to", "stdout:").err:
        print("this build has no HTTP server")
        raise SystemExit(77)
    main()

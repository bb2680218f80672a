#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Alerts: each threshold fires and is resolved, in the log, at a webhook, in status and metrics,
with the ETL design's own file; what a service is told that was away; and that secrets stay so."""
import contextlib
import http.client
import http.server
import json
import pathlib
import shutil
import signal
import subprocess
import threading

from kit import Case, free_ports, main, start, tgdata, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEED = (ROOT / "examples/etl_config.yaml").read_text(encoding="utf-8")
SECRET = "s3cr3t-path-9f2c"
TOKEN = "t0ken-41aa"
QUICK = {"alert_interval": "100ms", "alert_hold": "0"}


class Receiver:
    """A service that keeps what it is posted; it answers with each `status`, the last for good."""

    def __init__(self, *status, path=f"/hook/{SECRET}"):
        self.status, self.posts, self.path = [*status] or [200], [], path
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = outer.status.pop(0) if len(outer.status) > 1 else outer.status[0]
                outer.posts.append((status, self.path, dict(self.headers), body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}{path}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def taken(self):
        return [body for status, _, _, body in self.posts if status == 200]

    def told(self, name, status):
        """The alerts of that name in that status, as they were taken."""
        return [a for body in self.taken() for a in body["alerts"]
                if a["labels"]["alertname"] == f"tgdata_{name}" and a["status"] == status]


def get(port, path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(c):
        c.request("GET", path)
        return c.getresponse().read().decode()


class Alerts(Case):
    """What the tests share."""

    def receiver(self, *status, **more):
        made = Receiver(*status, **more)
        self.addCleanup(made.close)
        return made

    def file(self, **settings):
        """The design's file as it is, and a job."""
        chat = max(self.sim.chats(self.sim.account()), key=lambda c: len(self.sim.ids(c["id"])))
        job = {"name": "nightly", "chats": [chat["id"]], "to": f"ndjson:{self.dir}/out",
               "session": str(self.session()), "datacenter": str(self.sim.file), "lease": "1s",
               "state": f"sqlite:{self.dir}/state.db", "burst": 1, "recovery_timeout": "100ms",
               "batch_size": 100, "attempts": 100, "max_backoff": "50ms",
               "metrics_endpoint": "http://127.0.0.1:9", **QUICK, **settings}
        job = {key: value for key, value in job.items() if value is not None}
        text = SEED + "\njobs:\n  - " + json.dumps(job) + "\n"
        (self.dir / "etl.yaml").write_text(text, encoding="utf-8")
        return self.dir / "etl.yaml"

    def run_file(self, *more, **settings):
        """Runs it in the background; its log is in self.log."""
        self.log = self.dir / "log"
        with self.log.open("wb") as log:
            process = start("run", self.file(**settings), *more, stderr=log,
                            stdout=subprocess.DEVNULL, cwd=self.dir)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


class Errors(Alerts):
    """Of a data centre that fails every second request for history."""
    sim_args = ("--chats", "3", "--messages", "20000", "--seed", "5", "--faults",
                "500=0.5,only=messages.getHistory")

    def test_error_rate(self):
        hook, port = self.receiver(), free_ports(1)
        process = self.run_file(rate=20, alert_webhook=hook.url, alert_token=TOKEN,
                                listen=str(port), metrics_endpoint=None,
                                alert_error_rate=2.5)
        self.assertTrue(wait_for(lambda: hook.told("error_rate", "firing")), self.log.read_text())
        _, path, headers, body = hook.posts[0]
        self.assertEqual((path, headers["authorization"], headers["content-type"]),
                         (hook.path, f"Bearer {TOKEN}", "application/json"))
        self.assertEqual((body["version"], body["status"], body["groupLabels"]),
                         ("4", "firing", {"job": "nightly"}))
        told = body["alerts"][0]
        self.assertEqual(set(told), {"status", "labels", "annotations", "startsAt", "endsAt",
                                     "generatorURL", "fingerprint"})
        self.assertEqual((told["labels"]["job"], told["labels"]["severity"]),
                         ("nightly", "warning"))
        self.assertGreater(float(told["annotations"]["value"]), 0.05)
        self.assertEqual(told["annotations"]["threshold"], "0.025")
        self.assertRegex(told["annotations"]["summary"], "^error_rate: .*more than 2.5$")
        self.assertRegex(told["startsAt"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        status = {a["name"]: a for a in json.loads(get(port, "/api/status"))["alerts"]}
        self.assertEqual(set(status), {"error_rate", "extraction_rate_drop", "destination_away"})
        self.assertEqual((status["error_rate"]["state"], status["error_rate"]["threshold"]),
                         ("firing", 0.025))
        self.assertIn('tgdata_alert_firing{alert="error_rate"} 1\n', get(port, "/metrics"))
        self.assertTrue(wait_for(lambda: "alert: error_rate: " in self.log.read_text()))
        self.end(process)  # and with it what fires
        self.assertTrue(hook.told("error_rate", "resolved"))
        fired, resolved = hook.told("error_rate", "firing"), hook.told("error_rate", "resolved")
        self.assertEqual(fired[0]["fingerprint"], resolved[0]["fingerprint"])
        self.assertLessEqual(fired[0]["startsAt"], resolved[0]["endsAt"])
        for secret in (SECRET, TOKEN):
            self.assertNotIn(secret, self.log.read_text())

    def test_a_service_that_is_away_is_told_later(self):
        hook = self.receiver(503, 404, 200)
        process = self.run_file(rate=20, alert_webhook=hook.url, alert_token=TOKEN)
        self.assertTrue(wait_for(lambda: hook.told("error_rate", "firing")), self.log.read_text())
        self.assertEqual([status for status, *_ in hook.posts[:3]], [503, 404, 200])
        self.assertTrue(wait_for(lambda: "alerts are pushed again" in self.log.read_text()))
        log = self.log.read_text()
        self.assertEqual(log.count("alerts cannot be pushed"), 1)
        self.assertIn("status 503", log)
        for secret in (SECRET, TOKEN):
            self.assertNotIn(secret, log)
        self.end(process)

    def test_a_real_alertmanager(self):
        if not shutil.which("prometheus-alertmanager"):
            self.skipTest("no Alertmanager")
        port = free_ports(1)
        (self.dir / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n",
                                         encoding="ascii")
        server = subprocess.Popen(
            ["prometheus-alertmanager", f"--config.file={self.dir}/am.yml",
             f"--storage.path={self.dir}/am", f"--web.listen-address=127.0.0.1:{port}",
             "--cluster.listen-address="], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait, 30)
        self.addCleanup(server.terminate)

        def active():
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                return {a["labels"]["alertname"]: a
                        for a in json.loads(get(port, "/api/v2/alerts"))}
        self.assertTrue(wait_for(lambda: active() == {}))
        process = self.run_file(rate=20, alert_webhook=f"http://127.0.0.1:{port}/api/v2/alerts")
        self.assertTrue(wait_for(active), self.log.read_text())
        found = active()["tgdata_error_rate"]
        self.assertEqual((found["labels"]["job"], found["status"]["state"]), ("nightly", "active"))
        self.end(process)
        self.assertTrue(wait_for(lambda: active() == {}), self.log.read_text())

    def test_what_alertmanager_takes(self):
        """A list."""
        hook = self.receiver(path="/api/v2/alerts")
        process = self.run_file(rate=20, alert_webhook=hook.url)
        self.assertTrue(wait_for(lambda: hook.taken()), self.log.read_text())
        self.end(process)
        fired = hook.taken()[0][0]
        self.assertEqual(set(fired), {"labels", "annotations", "startsAt", "endsAt",
                                      "generatorURL"})
        self.assertEqual(fired["labels"]["alertname"], "tgdata_error_rate")
        self.assertLess(fired["startsAt"], fired["endsAt"])
        self.assertLess(hook.taken()[-1][0]["endsAt"], fired["endsAt"])


class Rates(Alerts):
    sim_args = ("--chats", "3", "--messages", "60000", "--seed", "5")

    def judged(self, port):
        """Whether there is a verdict on all that is looked at."""
        with contextlib.suppress(OSError):
            return all(alert["value"] is not None or alert["state"] == "firing"
                       for alert in json.loads(get(port, "/api/status"))["alerts"]
                       if alert["name"] != "destination_away")

    def test_rates(self):
        """A data centre that stands still; scores are off by themselves."""
        hook, port = self.receiver(), free_ports(1)
        self.run_file(rate=20, alert_webhook=hook.url, listen=str(port), alert_anomaly=2,
                      alert_interval="200ms")
        self.assertTrue(wait_for(lambda: self.judged(port)), self.log.read_text())
        before = len(hook.told("extraction_rate_drop", "resolved"))
        self.sim.process.send_signal(signal.SIGSTOP)
        try:
            for name, n in [("extraction_rate_drop", before), ("extraction_rate_anomaly", 0)]:
                self.assertTrue(wait_for(lambda name=name, n=n: len(hook.told(name, "firing")) > n),
                                self.log.read_text())
        finally:
            self.sim.process.send_signal(signal.SIGCONT)
        self.assertTrue(wait_for(lambda: len(hook.told("extraction_rate_drop", "resolved"))
                                 > before))
        self.assertTrue(wait_for(lambda: "alert is over: extraction_rate_drop"
                                 in self.log.read_text()))
        self.assertIn("alert: extraction_rate_drop: rows come slower", self.log.read_text())

    def test_a_service_that_is_not_there_does_not_hold_the_end(self):
        done = tgdata("run", self.file(rate=0, limit=500, alert_webhook="http://127.0.0.1:9/x",
                                       alert_error_rate=100), cwd=self.dir)
        self.assertEqual(done.code, 0, done)

    def test_what_is_refused(self):
        for words, says in [(["--alert-webhook", "http://127.0.0.1:9/x"], "no alert"),
                            (["--alert-webhook", "localhost/" + SECRET, "--alert-error-rate", "5"],
                             "cannot be posted"),
                            (["--alert-error-rate", "101"], "from 0 to 100, not '101'"),
                            (["--alert-error-rate", "0.00001"], "such as 5 or 0.25"),
                            (["--alert-hold", "soon"], "alert-hold")]:
            with self.subTest(says):
                done = tgdata(*self.extract_args("--all", more=words))
                self.check_fails(done, 2, says)
                self.assertNotIn(SECRET, done.err)


class Away(Alerts):
    sim_args = ("--chats", "3", "--messages", "60000", "--seed", "5")

    def alert(self, port, name):
        return next(a for a in json.loads(get(port, "/api/status"))["alerts"] if a["name"] == name)

    def test_a_destination_that_is_away_is_an_alert_of_its_own(self):
        """And the rate of rows, which is what it is because of that, is none."""
        hook, rows, port = self.receiver(), Receiver(200, path="/rows"), free_ports(1)
        self.addCleanup(rows.close)
        process = self.run_file(rate=20, to=f"webhook:{rows.url}", alert_webhook=hook.url,
                                listen=str(port), alert_interval="200ms", recovery_timeout="1s",
                                circuit_failures=2)
        self.assertTrue(wait_for(lambda: len(rows.taken()) > 20), self.log.read_text())
        self.assertEqual(json.loads(get(port, "/api/status"))["breakers"], [])
        rows.status = [503]
        self.assertTrue(wait_for(lambda: hook.told("destination_away", "firing")),
                        self.log.read_text())
        drops = len(hook.told("extraction_rate_drop", "firing"))
        self.assertTrue(wait_for(lambda: self.alert(port, "destination_away")["value"] > 4))
        self.assertIsNone(self.alert(port, "extraction_rate_drop")["value"])
        self.assertEqual(len(hook.told("extraction_rate_drop", "firing")), drops)
        told = hook.told("destination_away", "firing")[0]
        self.assertRegex(told["annotations"]["summary"],
                         "^destination_away: the destination is waited for: .*503")
        breakers = wait_for(lambda: json.loads(get(port, "/api/status"))["breakers"])
        self.assertTrue(breakers)
        found = json.loads(get(port, "/api/status"))["breakers"]
        self.assertEqual([(b["kind"], b["of"]) for b in found], [("sink", "the destination")])
        self.assertIn(found[0]["state"], ("open", "half_open"))
        self.assertIn("503", found[0]["reason"])
        rows.status = [200]
        self.assertTrue(wait_for(lambda: hook.told("destination_away", "resolved")))
        self.assertTrue(wait_for(lambda: not json.loads(get(port, "/api/status"))["breakers"]))
        self.assertIn("alert: destination_away: ", self.log.read_text())
        self.end(process)


class Streams(Alerts):
    sim_args = ("--chats", "3", "--messages", "4000", "--seed", "5")

    def test_a_stream_that_has_caught_up_has_no_drop(self):
        port = free_ports(1)
        self.log = self.dir / "log"
        chat = min(self.sim.chats(self.sim.account()), key=lambda c: len(self.sim.ids(c["id"])))
        with self.log.open("wb") as log:
            process = start("stream", chat["id"], *self.account_args(), "--history", "--to",
                            f"ndjson:{self.dir}/out", "--state", f"sqlite:{self.dir}/state.db",
                            "--linger", "50ms", "--rate", "20", "--burst", "1",
                            "--buffer-size", "500", "--alert-rate-drop", "50", "--alert-hold", "0",
                            "--alert-interval", "50ms", "--listen", port, stderr=log,
                            stdout=subprocess.DEVNULL)
        self.addCleanup(self.end, process)

        def caught_up():
            with contextlib.suppress(OSError):
                return "tgdata_stream_caught_up 1\n" in get(port, "/metrics")
        self.assertTrue(wait_for(caught_up), self.log.read_text())
        self.assertTrue(wait_for(lambda: [(a["state"], a["value"]) for a in json.loads(
            get(port, "/api/status"))["alerts"] if a["name"] != "destination_away"]
            == [("resolved", None)]))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The page that a run serves: who may ask it for what, what its API says, and how it is in a real
browser. Screenshots of it go to TG_BUILD/screenshots."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import unittest
import urllib.parse

from chromium import PROGRAM, Chromium
from kit import Case, Sim, free_ports, main, start, tgdata, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHOTS = pathlib.Path(os.environ.get("TG_BUILD") or ROOT / "build-test") / "screenshots"
TOKEN = "a-token-of-the-test-4711"

# Cards out of which something hangs.
OUTSIDE = """[...document.querySelectorAll("section")].filter((e) => !e.querySelector(".scroll") &&
  e.scrollWidth > e.clientWidth).map((e) => e.innerText)"""


class Served(Case):
    sim_args = ("--chats", "5", "--messages", "400", "--seed", "9")

    def serve(self, *words, log="log", **more):
        """The program in the background until the test ends; its port."""
        port = free_ports(1)
        where = words[words.index("--listen") + 1] if "--listen" in words else ""
        words = [w.replace("PORT", str(port)) if isinstance(w, str) else w for w in words]
        with (self.dir / log).open("wb") as err:
            process = start(*words, *([] if where else ["--listen", port]), stderr=err,
                            stdout=subprocess.DEVNULL, **more)
        self.addCleanup(self.end, process)

        def answers():
            with contextlib.suppress(OSError):
                return self.get(port, "/healthz")[0] == 200
            return process.poll() is not None
        self.assertTrue(wait_for(answers))
        self.assertIsNone(process.poll(), (self.dir / log).read_text())
        self.process = process
        return port

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def get(self, port, path, method="GET", token=None, body=None, **headers):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with contextlib.closing(c):
            c.request(method, path, body=body, headers=headers)
            answer = c.getresponse()
            return answer.status, answer.read().decode(), answer.headers

    def json(self, port, path, **more):
        status, body, _ = self.get(port, path, **more)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def token_file(self):
        file = self.dir / "token"
        file.write_text(TOKEN + "\n", encoding="ascii")
        return file

    def state(self):
        return f"sqlite:{self.dir}/state.db"

    def extracted(self, job="nightly"):
        """A job at rest whose chats have several checkpoints each."""
        done = tgdata(*self.extract_args("--all", job=job, more=[
            "--limit", "300", "--batch-size", "100", "--checkpoint-interval", "100"]))
        self.assertEqual(done.code, 0, done)

    def stream(self, *more):
        chat = self.sim.chats(self.sim.account())[0]
        return ["stream", chat["id"], *self.account_args(), "--to", f"ndjson:{self.dir}/live",
                "--state", self.state(), "--job", "live", "--history", *more]


class Guarded(Served):
    def test_other_hosts_and_other_methods(self):
        port = self.serve("dashboard", "--state", self.state())
        rollback = "/api/rollback?job=nightly&chat=1&number=0"
        table = [
            ("GET", "/", {}, 200), ("HEAD", "/", {}, 200), ("GET", "/page.js", {}, 200),
            ("GET", "/", {"Host": "evil.example"}, 403),
            ("GET", "/api/status", {"Host": f"evil.example:{port}"}, 403),
            ("GET", "/healthz", {"Host": "127.0.0.1.evil.example"}, 403),
            ("GET", "/api/status", {"Host": f"localhost:{port}"}, 200),
            ("GET", "/api/status", {"Host": f"[::1]:{port}"}, 200),
            ("POST", "/", {}, 405), ("POST", "/api/status", {}, 405),
            ("OPTIONS", "/api/rollback", {}, 405), ("GET", rollback, {}, 405),
            ("POST", rollback, {}, 403),
            ("POST", rollback, {"Authorization": "Bearer "}, 403),
            ("GET", "/api/history?from=x", {}, 400), ("GET", "/api/history?from=-1", {}, 400),
            ("GET", "/api/checkpoints?chat=1", {}, 400),
            ("GET", "/api/checkpoints?job=a&chat=b", {}, 400),
            ("GET", "/api/checkpoints?job=" + "a" * 128, {}, 400),
        ]
        for method, path, headers, want in table:
            with self.subTest(f"{method} {path} {headers}"):
                status, body, got = self.get(port, path, method, **headers)
                self.assertEqual(status, want, body)
                self.assertNotIn("Access-Control-Allow-Origin", got)
                self.assertEqual(got["X-Frame-Options"], "DENY")
                self.assertIn("default-src 'none'", got["Content-Security-Policy"])
                self.assertNotIn("unsafe", got["Content-Security-Policy"])

    def test_paths_lead_nowhere_else(self):
        port = self.serve("dashboard", "--state", self.state())
        for path in ("/../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
                     "//etc/passwd", "/page/../page.css", "/./page.css", "/page.css/",
                     "/page.css%2f..", "/..\\..\\etc\\passwd", "/page", "/api", "/api/",
                     "/PAGE.CSS", "/state.db", "/src/observe/page/page.css",
                     "http://127.0.0.1/etc/passwd"):
            with self.subTest(path), socket.create_connection(("127.0.0.1", port), 20) as s:
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                answer = b"".join(iter(lambda s=s: s.recv(65536), b""))
                self.assertRegex(answer.split(b"\r\n")[0], rb"^HTTP/1.1 40[04] ")
                self.assertNotIn(b"root:", answer)

    def test_a_token_is_needed_for_all_but_the_page(self):
        self.extracted()
        for words, env in [(["--listen-token-file", self.token_file()], {}),
                           ([], {"TGDATA_LISTEN_TOKEN": TOKEN})]:
            port = self.serve("dashboard", "--state", self.state(), *words, env=env)
            for path in ("/", "/page.css", "/parts.js", "/icon.svg", "/healthz"):
                self.assertEqual(self.get(port, path)[0], 200)
            self.assertEqual(self.get(port, "/readyz")[:2], (503, "no run has begun\n"))
            for path in ("/metrics", "/api/metrics", "/api/status", "/api/history", "/api/jobs",
                         "/api/checkpoints", "/api/letters"):
                with self.subTest(path):
                    status, body, headers = self.get(port, path)
                    self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"))
                    self.assertNotIn("nightly", body)
                    self.assertEqual(self.get(port, path, token=TOKEN[:-1])[0], 401)
                    self.assertEqual(self.get(port, path + "?token=" + TOKEN)[0], 401)
                    self.assertEqual(self.get(port, path, token=TOKEN)[0], 200)
            self.assertTrue(self.json(port, "/api/status", token=TOKEN)["writable"])
            self.end(self.process)

    def test_only_the_own_page_changes_anything(self):
        self.extracted()
        port = self.serve("dashboard", "--state", self.state(), "--listen-token-file",
                          self.token_file())
        first = self.json(port, "/api/checkpoints?job=nightly", token=TOKEN)["checkpoints"][0]
        path = f"/api/rollback?job=nightly&chat={first['chat_id']}&number=1"
        table = [({}, 401), ({"Origin": "http://evil.example"}, 401),
                 ({"token": TOKEN, "Origin": "http://evil.example"}, 403),
                 ({"token": TOKEN, "Origin": "null"}, 403),
                 ({"token": TOKEN, "Origin": f"http://127.0.0.1:{port + 1}"}, 403),
                 ({"token": TOKEN, "body": "x=1"}, 413)]
        for more, want in table:
            with self.subTest(str(more)):
                self.assertEqual(self.get(port, path, "POST", **more)[0], want)
        now = self.json(port, "/api/checkpoints?job=nightly", token=TOKEN)["checkpoints"][0]
        self.assertEqual(now["number"], first["number"])
        status, body, _ = self.get(port, path, "POST", token=TOKEN,
                                   Origin=f"http://127.0.0.1:{port}")
        self.assertEqual(status, 200, body)

    def test_beyond_this_machine_somebody_must_have_said_so(self):
        words = ["dashboard", "--state", self.state(), "--listen"]
        self.check_fails(tgdata(*words, "0.0.0.0:0"), 2, "everybody", "--listen-token-file",
                         "--listen-open")
        self.check_fails(tgdata(*words, "[::]:0"), 2, "everybody")
        self.check_fails(tgdata(*words, "0", "--listen-token-file", "nothing"), 7, "token's file")
        self.check_fails(tgdata(*words, "0", env={"TGDATA_LISTEN_TOKEN": "short"}), 2, "no token")
        port = self.serve(*words, "0.0.0.0:PORT", "--listen-open")
        self.assertEqual(self.get(port, "/api/status", Host="etl.example")[0], 200)
        self.assertEqual(self.get(port, "/api/rollback", "POST")[0], 403)
        self.end(self.process)
        port = self.serve(*words, "0.0.0.0:PORT", "--listen-token-file", self.token_file())
        self.assertEqual(self.get(port, "/api/status", Host="etl.example")[0], 401)
        self.assertEqual(self.get(port, "/api/status", Host="etl.example", token=TOKEN)[0], 200)


class Api(Served):
    def test_jobs_and_checkpoints_as_the_command_tells_them(self):
        port = self.serve("dashboard", "--state", self.state())
        self.assertEqual(self.json(port, "/api/jobs"), {"jobs": [], "more": False})
        self.extracted()
        job = self.json(port, "/api/jobs")["jobs"][0]
        self.assertEqual((job["job"], job["owner"], job["moved"]), ("nightly", None, False))
        want = tgdata("checkpoints", "list", "--state", self.state(), "--json").json()
        got = self.json(port, "/api/checkpoints")["checkpoints"]
        self.assertEqual(job["chats"], len(want))
        self.assertEqual([(w["group_id"], w["tgdata"]["number"], w["last_message_id"],
                           w["total_messages_processed"], w["last_checkpoint_time"])
                          for w in want],
                         [(g["chat_id"], g["number"], g["last_message_id"], g["messages"],
                           g["time"]) for g in got])
        chat = got[0]["chat_id"]
        got = self.json(port, f"/api/checkpoints?job=nightly&chat={chat}")["checkpoints"]
        self.assertEqual([g["number"] for g in got], [3, 2, 1])
        self.assertEqual(self.json(port, "/api/letters"), {"letters": [], "more": False})

    def test_going_back(self):
        self.extracted()
        port = self.serve("dashboard", "--state", self.state(), "--listen-token-file",
                          self.token_file())
        chat = self.json(port, "/api/checkpoints", token=TOKEN)["checkpoints"][0]["chat_id"]

        def back(job, number, chat=chat):
            status, body, _ = self.get(port, "/api/rollback?" + urllib.parse.urlencode(
                {"job": job, "chat": chat, "number": number}), "POST", token=TOKEN)
            return status, json.loads(body)
        self.assertEqual(back("nightly", 1), (200, {"job": "nightly", "chat_id": chat,
                                                    "rolled_back_to": 1}))
        for args, want in [(("nightly", 99), 404), (("other", 1), 404), (("nightly", "x"), 400),
                           (("../x", 1), 400), (("nightly", 1, ""), 400),
                           (("nightly", -1), 400)]:
            with self.subTest(str(args)):
                status, body = back(*args)
                self.assertEqual(status, want, body)
                self.assertTrue(body["error"])
        got = self.json(port, f"/api/checkpoints?job=nightly&chat={chat}", token=TOKEN)
        self.assertEqual([g["messages"] for g in got["checkpoints"]], [100, 300, 200, 100])
        self.end(self.process)
        self.extracted()
        done = self.verify(job="nightly")
        self.assertEqual(done.code, 0, done)

    def test_a_job_that_runs_is_not_touched(self):
        port = self.serve(*self.stream("--listen-token-file", self.token_file()))
        self.assertTrue(wait_for(lambda: self.json(port, "/api/checkpoints?job=live",
                                                   token=TOKEN)["checkpoints"]))
        job = self.json(port, "/api/jobs", token=TOKEN)["jobs"][0]
        self.assertEqual(job["job"], "live")
        self.assertIn(str(self.process.pid), job["owner"])
        status, body, _ = self.get(port, "/api/rollback?job=live&chat=0&number=0", "POST",
                                   token=TOKEN)
        self.assertEqual((status, json.loads(body)["code"]), (409, "BUSY"), body)
        got = self.json(port, "/api/history", token=TOKEN)
        self.assertEqual(got["next"] - got["first"], len(got["read_per_s"]))


    def test_a_state_that_does_not_answer_holds_nothing_up(self):
        if "hiredis" not in tgdata("version").out:
            self.skipTest("no client of Redis")
        with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as hole:
            port = self.serve("dashboard", "--state",
                              f"redis://127.0.0.1:{hole.getsockname()[1]}/0")
            with concurrent.futures.ThreadPoolExecutor(12) as pool:
                asked = [pool.submit(self.get, port, "/api/jobs") for _ in range(12)]
                # Eight wait, and one is being made, if it was begun before the ninth came.
                self.assertTrue(wait_for(lambda: sum(a.done() for a in asked) >= 3))
                self.assertEqual({a.result()[0] for a in asked if a.done()}, {503})
                for path in ("/", "/healthz", "/metrics", "/api/status", "/api/history"):
                    self.assertEqual(self.get(port, path)[0], 200)
                self.process.send_signal(signal.SIGTERM)
                hole.settimeout(0.05)
                while self.process.poll() is None:  # each connection to the state is cut
                    with contextlib.suppress(OSError):
                        hole.accept()[0].close()
                self.assertEqual(self.process.returncode, 0)
                late = [a for a in asked if not a.exception() and a.result()[0] != 503]
                self.assertTrue(all(a.result()[0] == 500 for a in late))


@unittest.skipUnless(PROGRAM, "no chromium")
class Page(Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Chromium()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        super().tearDownClass()

    def look(self, port, name):
        """What must hold of each view, wide and narrow, light and dark; screenshots of them."""
        b = self.browser
        for scheme in ("light", "dark"):
            b.colours(scheme)
            b.resize(1280, 900)
            ground = b.run("getComputedStyle(document.body).backgroundColor")
            light = sum(map(int, re.findall(r"\d+", ground)[:3])) > 3 * 128
            self.assertEqual(light, scheme == "light", ground)
            self.assertEqual(b.run(LOW_CONTRAST), [], scheme)
            self.assertEqual(b.run(OUTSIDE), [], scheme)
            b.screenshot(SHOTS / f"{name}-{scheme}.png")
        self.assertEqual(b.run(UNLABELLED), [])
        b.resize(390, 844, mobile=True)
        b.screenshot(SHOTS / f"{name}-phone.png")
        for width in (390, 320):
            b.resize(width, 700, mobile=True)
            self.assertEqual(b.run("document.documentElement.scrollWidth"), width)
        b.resize(1280, 900)
        b.colours("light")
        self.assertEqual(b.console, [])
        other = [u for u in b.requests if not u.startswith(f"http://127.0.0.1:{port}/")]
        self.assertEqual(other, [])

    def open(self, port):
        self.browser.open("about:blank")  # the page of the test before asks no more
        self.browser.requests.clear()
        self.browser.console.clear()
        self.browser.open(f"http://127.0.0.1:{port}/")

    def test_a_run_and_its_end(self):
        b, port = self.browser, self.serve(*self.stream())
        self.open(port)
        self.assertTrue(b.wait("document.querySelector('#state').innerText === 'ready'"))
        want = f"{len(self.sim.truth([self.sim.chats(self.sim.account())[0]])):,}"
        self.assertTrue(b.wait("document.querySelector('#tiles').innerText.includes("
                               f"'Committed\\n{want}')"), b.text("#tiles"))
        self.assertIn("live", b.text("h1"))
        self.assertIn("watching", b.text("#chats"))
        self.assertIn("messages.getHistory", b.text("#trouble"))
        self.assertTrue(b.wait("document.querySelectorAll('.chart path.area').length === 3"))
        b.click("#numbers summary")
        self.assertTrue(b.wait("document.querySelector('#metrics')?.innerText.includes("
                               "'tgdata_commits_total')"))
        b.run("document.querySelector('#numbers-find').value = 'pushes'; document.querySelector("
              "'#numbers-find').dispatchEvent(new Event('input'))")
        self.assertNotIn("tgdata_commits_total", b.text("#metrics"))
        b.click("#kept-load")
        self.assertTrue(b.wait("document.querySelector('#jobs').innerText.includes('running')"))
        self.look(port, "run")

        b.click("#theme")
        self.assertEqual(b.run("getComputedStyle(document.documentElement).colorScheme"), "dark")
        b.open(f"http://127.0.0.1:{port}/")
        self.assertEqual(b.run("getComputedStyle(document.documentElement).colorScheme"), "dark")
        b.run("localStorage.clear()")
        b.open(f"http://127.0.0.1:{port}/")
        self.assertTrue(b.wait("document.querySelectorAll('.tile').length > 0"))
        b.key("Tab", 9)
        self.assertEqual(b.run("document.activeElement.className"), "skip")

        self.end(self.process)
        self.assertTrue(b.wait("document.querySelector('#state').innerText === 'gone'"))
        self.assertIn("does not answer since", b.text("#notices"))
        self.assertIn(want, b.text("#tiles"))
        b.screenshot(SHOTS / "gone.png")

    def test_an_open_breaker_says_why(self):
        sim = Sim(self.dir / "dc", "--chats", "3", "--messages", "50", "--faults", "500=0.5")
        self.addCleanup(sim.stop)
        session = self.dir / "other.session"
        self.login(session, sim.account(), sim.file)
        b, port = self.browser, self.serve(
            "extract", "--all", "--session", session, "--to", f"ndjson:{self.dir}/out", "--state",
            self.state(), "--circuit-failures", "1", "--recovery-timeout", "5m", "--rate", "20")
        self.open(port)
        self.assertTrue(b.wait("document.querySelector('#trouble').innerText.includes("
                               "'Not closed')"))
        self.assertIn("(500)", b.text("#trouble"))
        self.assertIn("Circuit breaker open", b.text("#notices"))
        self.look(port, "breaker")

    def test_going_back_with_a_token(self):
        self.extracted()
        b, port = self.browser, self.serve("dashboard", "--state", self.state(),
                                           "--listen-token-file", self.token_file())
        self.open(port)
        self.assertTrue(b.wait("document.querySelector('#token-ask').open"))
        self.assertEqual(b.text("#jobs"), "")
        use = ("document.querySelector('#token').value = '%s'; "
               "document.querySelector('#token-form').requestSubmit()")
        b.run(use % "a-token-that-is-wrong")
        self.assertTrue(b.wait("document.querySelector('#token-said').innerText.includes("
                               "'not right')"))
        b.screenshot(SHOTS / "token.png")
        b.run(use % TOKEN)
        self.assertTrue(b.wait("document.querySelector('#jobs').innerText.includes('nightly')"))
        b.console.clear()  # of requests that were refused
        b.click("#jobs button")
        self.assertTrue(b.wait("document.querySelectorAll('#checkpoints tbody tr').length > 2"))
        b.click("#checkpoints tbody tr button")
        self.assertTrue(b.wait("document.querySelector('#checkpoints').innerText.includes("
                               "'the beginning')"), b.text("#checkpoints"))
        self.look(port, "checkpoints")
        b.run("[...document.querySelectorAll('#checkpoints button')].find((e) => "
              "e.ariaLabel === 'Roll back to checkpoint 2').click()")
        self.assertIn("from checkpoint 3 to 2", b.text("#back-ask"))
        b.screenshot(SHOTS / "rollback.png")
        self.assertEqual(b.run("document.activeElement.id"), "back-no")
        b.click("#back-yes")
        self.assertTrue(b.wait("document.querySelector('#kept-said').innerText.includes("
                               "'stands at checkpoint 2 again')"), b.text("#back-ask"))
        self.assertTrue(b.wait("document.querySelectorAll('#checkpoints tbody tr').length === 5"))
        self.assertEqual(b.console, [])

    def test_the_schedules_of_a_file(self):
        self.session()
        file = self.dir / "etl.yaml"
        file.write_text(
            f'accounts: {{me: {{session: "{self.dir}/me.session"}}}}\n'
            f'defaults: {{state: "{self.state()}", lease: 1s}}\njobs:\n'
            f'- {{name: seconds, chats: [{self.sim.chats(self.sim.account())[0]["id"]}], '
            f'to: "ndjson:{self.dir}/a", schedule: every 1 s}}\n'
            f'- {{name: monthly, chats: all, to: "ndjson:{self.dir}/b", schedule: "@monthly"}}\n'
            f'- {{name: rest, chats: all, to: "ndjson:{self.dir}/c", after: seconds}}\n')
        with (self.dir / "runs").open("wb") as log:
            runs = start("schedule", "run", file, stderr=log, stdout=log, cwd=self.dir)
        self.addCleanup(self.end, runs)
        b, port = self.browser, self.serve("dashboard", file)

        def ran():
            jobs = {j["job"]: j for j in self.json(port, "/api/schedule")["jobs"]}
            return jobs["rest"]["runs"] and jobs
        self.assertTrue(wait_for(ran, 120), (self.dir / "runs").read_text())
        self.end(runs)
        jobs = ran()
        self.assertEqual(jobs["monthly"]["schedule"], "@monthly")
        self.assertRegex(jobs["monthly"]["next"], r"^\d{4}-\d\d-01T00:00:00Z$")
        self.assertEqual((jobs["monthly"]["runs"], jobs["rest"]["next"]), ([], None))
        self.assertEqual(jobs["rest"]["after"], ["seconds"])
        first = jobs["seconds"]["runs"][-1]
        self.assertEqual(first["how"], "ok")
        self.open(port)
        self.assertTrue(b.wait("document.querySelector('#schedule').innerText.includes('@monthly')"
                               " && document.querySelector('#jobs').innerText.includes('rest')"))
        b.click("#schedule tbody tr button")
        self.assertIn("Last runs of seconds", b.text("#runs"))
        self.look(port, "schedules")

    def test_without_a_token_there_is_nothing_to_press(self):
        self.extracted()
        b, port = self.browser, self.serve("dashboard", "--state", self.state())
        self.open(port)
        self.assertTrue(b.wait("!!document.querySelector('#jobs button')"))
        b.click("#jobs button")
        self.assertTrue(b.wait("!!document.querySelector('#checkpoints tbody tr button')"))
        b.click("#checkpoints tbody tr button")
        self.assertTrue(b.wait("document.querySelector('#checkpoints').innerText.includes("
                               "'Read-only')"))
        self.assertEqual(b.run("[...document.querySelectorAll('#checkpoints tbody button')]"
                               ".every((e) => e.disabled)"), True)
        self.assertEqual(b.console, [])


# Texts whose contrast with what is behind them is below 4.5 to 1.
LOW_CONTRAST = """(() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92
    : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
    return [255, 255, 255]; };
  const low = [];
  for (const e of document.querySelectorAll('body *')) {
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!text || !e.checkVisibility() || e.disabled || e.closest('svg, .skip, dialog')) continue;
    const a = light(parse(getComputedStyle(e).color).slice(0, 3));
    const b = light(ground(e).slice(0, 3));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${e.className} ${e.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return low;
})()"""

# What can be used, and has no name to be told by.
UNLABELLED = """[...document.querySelectorAll('button, input, a, [role=region], figure svg')]
  .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) =>
  e.outerHTML.slice(0, 80))"""


if __name__ == "__main__":
    if "HTTP server" in tgdata("dashboard", "--listen", "nonsense").err:
        print("this build has no HTTP server")
        raise SystemExit(77)
    main()

# SPDX-License-Identifier: MIT
"""A headless Chromium, driven over its DevTools pipe: no network port, no other package."""
import base64
import fcntl
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = shutil.which("chromium")


class Chromium:
    """A browser with one page, which notes each request and each word on its console."""

    def __init__(self, timeout=60):
        self.timeout, self.n = timeout, 0
        self.requests, self.console, self.events = [], [], []
        self.profile = tempfile.mkdtemp(prefix="tgdata-chromium-")
        ends = [*os.pipe(), *os.pipe()]  # out of the way of descriptors 3 and 4
        to_read, self.to, self.answers, to_write = [fcntl.fcntl(e, fcntl.F_DUPFD_CLOEXEC, 10)
                                                    for e in ends]
        for e in ends:
            os.close(e)
        words = [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update",
                 "--disable-dev-shm-usage", "--disable-extensions", "--disable-sync",
                 f"--user-data-dir={self.profile}", "--remote-debugging-pipe", "about:blank"]
        # Its two ends of the pipe are descriptors 3 and 4, whatever ours are called.
        script = f'exec 3<&{to_read} 4>&{to_write}; exec "$@"'
        self.process = subprocess.Popen(["bash", "-c", script, "-", *words], close_fds=True,
                                        pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        os.close(to_read)
        os.close(to_write)
        self.bytes, self.session = b"", None
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(domain + ".enable")

    def close(self):
        self.session = None
        try:
            self.ask("Browser.close")
        except OSError:
            pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.answers)
        shutil.rmtree(self.profile, ignore_errors=True)

    def next_message(self, end):
        while b"\0" not in self.bytes:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.answers], [], [], left)[0]:
                raise TimeoutError("Chromium does not answer")
            more = os.read(self.answers, 1 << 20)
            if not more:
                raise ConnectionError("Chromium has ended")
            self.bytes += more
        message, self.bytes = self.bytes.split(b"\0", 1)
        return json.loads(message)

    def note(self, event):
        kind, what = event.get("method"), event.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif kind == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(a.get("value", a)) for a in what["args"]))
        elif kind == "Runtime.exceptionThrown":
            self.console.append(json.dumps(what["exceptionDetails"]))
        elif kind == "Log.entryAdded":
            self.console.append(f"{what['entry']['level']}: {what['entry']['text']} "
                                f"{what['entry'].get('url', '')}")
        elif kind == "Page.loadEventFired":
            self.events.append(kind)

    def ask(self, method, **params):
        self.n += 1
        message = {"id": self.n, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + self.timeout
        while True:
            got = self.next_message(end)
            if got.get("id") == self.n:
                if "error" in got:
                    raise RuntimeError(f"{method}: {got['error']}")
                return got["result"]
            self.note(got)

    # ---- pages ----

    def open(self, url):
        self.events.clear()
        self.ask("Page.navigate", url=url)
        end = time.monotonic() + self.timeout
        while not self.events:
            self.note(self.next_message(end))

    def run(self, expression):
        """The value of a JavaScript expression, of a promise what it comes to."""
        got = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True,
                       returnByValue=True)
        if "exceptionDetails" in got:
            raise RuntimeError(json.dumps(got["exceptionDetails"]))
        return got["result"].get("value")

    def wait(self, expression, seconds=60):
        """Waits until it is true; @return what it was last."""
        end = time.monotonic() + seconds
        while True:
            got = self.run(expression)
            if got or time.monotonic() > end:
                return got
            time.sleep(0.05)

    def text(self, selector="body"):
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText || ''")

    def click(self, selector):
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def resize(self, width, height, mobile=False):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=2 if mobile else 1, mobile=mobile)

    def colours(self, scheme):
        """@param scheme: "dark" or "light", as the system asks for it"""
        self.ask("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": scheme}])

    def key(self, key, code=0):
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                     windowsVirtualKeyCode=code)

    def screenshot(self, path):
        """The whole page, for people to look at."""
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

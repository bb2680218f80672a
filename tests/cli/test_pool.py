#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Accounts whose connection or login is lost in the middle: their chats go on with the others."""
import json
import pathlib
import shutil
import socket
import threading
import time

from kit import Case, main, start, tgdata, wait_for


class Relay:
    """The way to one DC, for one account: it can be cut off, or fall silent."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.open, self.down, self.silent = [], False, False
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                conn, _ = self.server.accept()
                if self.down:
                    conn.close()
                    continue
                to = socket.create_connection(self.target)
            except OSError:
                return
            self.open += [conn, to]
            for pair in ((conn, to), (to, conn)):
                threading.Thread(target=self.pour, args=pair, daemon=True).start()

    def pour(self, a, b):
        try:
            while data := a.recv(65536):
                while self.silent:
                    time.sleep(0.1)
                b.sendall(data)
        except OSError:
            pass
        shut(a, b)

    def cut(self):
        self.down = True
        shut(*self.open)

    def close(self):
        shut(self.server)
        self.server.close()
        shut(*self.open)


def shut(*sockets):
    for s in sockets:
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Pool(Case):
    sim_args = ("--chats", "12", "--messages", "6000", "--seed", "21", "--flood",
                "messages.getHistory=40/40")

    def setUp(self):
        super().setUp()
        users = [a for a in self.sim.accounts if "bot_token" not in a]
        self.first, self.second = users[:2]
        self.shared = [c for c in self.sim.world["chats"] if c["username"]
                       and c["kind"] in ("supergroup", "forum", "channel")
                       and {a["user_id"] for a in users[:2]} <= set(c["members"])][:4]
        self.assertGreaterEqual(len(self.shared), 2)
        self.mine = self.dir / "mine"
        self.mine.mkdir()
        for name, account in (("a", self.first), ("b", self.second)):
            self.login(self.mine / f"{name}.session", account)

    def run_chats(self, *more, sessions="a,b"):
        """The run, and the lines that its progress wrote so far."""
        self.log = self.dir / "log"
        accounts = ",".join(f"{self.mine}/{n}.session" for n in sessions.split(","))
        with self.log.open("wb") as err:
            return start("extract", *["@" + c["username"] for c in self.shared], "--accounts",
                         accounts, "--to", f"ndjson:{self.dir}/all", "--state",
                         f"sqlite:{self.dir}/all.db", "--progress", "json", "--batch-size",
                         "100", "--checkpoint-interval", "100", *more, stderr=err)

    def events(self):
        text = self.log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def at_work(self):
        """Chats at work, by account."""
        found = {}
        for e in self.events():
            if e.get("event") == "progress":
                found = {}
                for c in e["chats_at_work"]:
                    found.setdefault(pathlib.Path(c["account"]).name, []).append(c)
        return found

    def both_read(self):
        return all(any(c["rows"] for c in self.at_work().get(n, []))
                   for n in ("a.session", "b.session"))

    def check_done(self, run, seconds, code=0):
        begun = time.monotonic()
        self.assertEqual(run.wait(100), code, self.log.read_text(encoding="utf-8"))
        self.assertLess(time.monotonic() - begun, seconds)
        self.check_whole(self.shared, self.dir / "all")


class Network(Pool):
    def setUp(self):
        super().setUp()
        where = json.loads(self.sim.file.read_text(encoding="utf-8"))
        self.relays = []
        for dc in where["dcs"]:
            self.relays.append(Relay(dc["host"], dc["port"]))
            dc["port"] = self.relays[-1].port
            self.addCleanup(self.relays[-1].close)
        relayed = self.dir / "relayed.json"
        relayed.write_text(json.dumps(where), encoding="utf-8")
        (self.mine / "a.session").unlink()
        self.login(self.mine / "a.session", self.first, datacenter=relayed)

    def test_chats_of_an_account_whose_network_fails_go_on_with_another(self):
        """At once: with five minutes between tries the account would not come back in time."""
        run = self.run_chats("--max-backoff", "5m")
        self.assertTrue(wait_for(self.both_read), self.log.read_text(encoding="utf-8"))
        for relay in self.relays:
            relay.cut()
        self.assertTrue(wait_for(lambda: "a.session" not in self.at_work(), 8),
                        self.log.read_text(encoding="utf-8"))
        self.check_done(run, 60)

    def test_chats_of_an_account_that_falls_silent_go_on_with_another(self):
        """Nothing heard for 30 s, a question without an answer for 15 s: its chats move, long
        before its own client would give its calls up."""
        run = self.run_chats("--call-timeout", "5m")
        self.assertTrue(wait_for(self.both_read), self.log.read_text(encoding="utf-8"))
        for relay in self.relays:
            relay.silent = True
        self.check_done(run, 75)

    def test_an_account_comes_back(self):
        run = self.run_chats()
        self.assertTrue(wait_for(self.both_read), self.log.read_text(encoding="utf-8"))
        for relay in self.relays:
            relay.cut()
        self.assertTrue(wait_for(lambda: "a.session" not in self.at_work(), 8),
                        self.log.read_text(encoding="utf-8"))
        for relay in self.relays:
            relay.down = False
        self.assertTrue(wait_for(lambda: "a.session" in self.at_work(), 10),
                        self.log.read_text(encoding="utf-8"))
        self.check_done(run, 60)

    def test_nothing_is_lost_when_all_are_cut(self):
        run = self.run_chats(sessions="a")
        self.assertTrue(wait_for(lambda: self.at_work().get("a.session")))
        for relay in self.relays:
            relay.cut()
        time.sleep(2)
        for relay in self.relays:
            relay.down = False
        self.check_done(run, 60)


class Login(Pool):
    def test_chats_of_an_account_that_is_logged_out_go_on_with_another(self):
        """Another connection with its key, while it reads: both end for good."""
        copy = self.dir / "copy.session"
        shutil.copy(self.mine / "a.session", copy)
        run = self.run_chats()
        self.assertTrue(wait_for(self.both_read), self.log.read_text(encoding="utf-8"))
        other = tgdata(*self.extract_args("@" + self.shared[0]["username"], session=copy))
        self.check_done(run, 60, 5)
        self.assertEqual(other.code, 5, other)
        self.assertIn("AUTH_KEY_DUPLICATED", other.err)
        self.assertIn("a.session' is set aside", self.log.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Logs for programs: every line on stderr is a JSON object, or an entry of the journal, that says
what is known, and no secret."""
import datetime
import json
import pathlib
import socket
import struct
import threading

from kit import Case, main, tgdata

SECRETS = ("hunter2-passphrase", "hunter2-proxy", "0123456789abcdef0123456789abcdef")


def entry(datagram):
    """The fields of an entry of the journal."""
    found, at = {}, 0
    while at < len(datagram):
        end = datagram.index(b"\n", at)
        name, equals, value = datagram[at:end].partition(b"=")
        at = end + 1
        if not equals:
            size = struct.unpack_from("<Q", datagram, at)[0]
            value = datagram[at + 8:at + 8 + size]
            at += 8 + size + 1
        found[name.decode()] = value.decode()
    return found


class Logged(Case):
    def lines(self, done):
        found = [json.loads(line) for line in done.err.split("\n")[:-1]]
        for record in found:
            at = datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00"))
            self.assertLess(abs(at.timestamp() - datetime.datetime.now().timestamp()), 300)
            self.assertIn(record["level"], ("error", "warning", "info"))
            self.assertEqual(record["job"], "job")
            self.assertTrue(record["message"])
            self.assertNotIn("\n", record["message"])
        return found

    def extract(self, *more, chat=None, **kwargs):
        chat = chat or self.sim.chats(self.sim.account())[0]["id"]
        return tgdata(*self.extract_args(chat, more=more), **kwargs)


class Floods(Logged):
    sim_args = ("--chats", "1", "--messages", "200", "--seed", "5", "--flood",
                "messages.getHistory=3/1")

    def test_a_run_as_json(self):
        session = self.session()
        words = self.extract_args("--all", session=session, more=(
            "--log-format", "json", "--in-flight", "4"))
        words[words.index("--progress") + 1] = "auto"
        done = tgdata(*words)
        self.assertEqual(done.code, 0, done)
        found = self.lines(done)
        events = {r.get("event") for r in found}
        self.assertLessEqual({"connecting", "connected", "flood wait", "progress"}, events)
        flood = next(r for r in found if r.get("event") == "flood wait")
        self.assertEqual((flood["code"], flood["account"], flood["level"]),
                         ("FLOOD", str(session), "info"))
        self.assertGreater(flood["wait_s"], 0)
        self.assertIn("messages.getHistory", flood["message"])


class Logs(Logged):
    sim_args = ("--chats", "4", "--messages", "300", "--seed", "5")

    def test_a_failure_has_code_and_hint(self):
        done = self.extract("--log-format", "json", chat="@nobody_of_that_name")
        self.assertEqual(done.code, 3, done)
        last = self.lines(done)[-1]
        self.assertEqual((last["level"], last["code"], last["event"]),
                         ("error", "NOT_FOUND", "failed"))
        self.assertIn("tgdata chats", last["hint"])

    def test_a_verification(self):
        session = self.session()
        done = self.extract(chat="--all")
        self.assertEqual(done.code, 0, done)
        done = tgdata("verify", "--job", "job", *self.account_args(session), "--state",
                      f"sqlite:{self.dir}/state.db", "--log-format", "json", "--json")
        self.assertEqual(done.code, 0, done)
        found = [json.loads(line) for line in done.err.splitlines()]
        self.assertIn("connected", {r.get("event") for r in found})

    def test_what_concerns_a_chat_names_it(self):
        chat = self.sim.chats(self.sim.account())[0]["id"]
        done = self.extract("--log-format", "json", "--min-id", "2000000000", chat=chat)
        self.assertEqual(done.code, 0, done)
        self.assertIn(chat, [r.get("chat") for r in self.lines(done)])

    def test_levels(self):
        for level, wanted in (("error", set()), ("warning", {"warning"}),
                              ("info", {"warning", "info"})):
            # a passphrase on a plain session is told of as a warning
            done = self.extract("--log-format", "json", "--log-level", level, "--passphrase",
                                SECRETS[0])
            with self.subTest(level):
                self.assertEqual(done.code, 0, done)
                self.assertEqual({r["level"] for r in self.lines(done)}, wanted)
        done = self.extract("--log-level", "error", "--passphrase", SECRETS[0])
        self.assertEqual((done.code, done.err), (0, ""), done)
        done = self.extract("--log-format", "json", "--quiet", "--passphrase", SECRETS[0])
        self.assertEqual({r["level"] for r in self.lines(done)}, {"warning"})

    def test_no_secret_is_logged(self):
        told = self.extract("--log-format", "json", "--passphrase", SECRETS[0], "--api-hash",
                            SECRETS[2]).err
        told += self.extract("--log-format", "json", "--attempts", "1", "--proxy",
                             f"socks5://me:{SECRETS[1]}@127.0.0.1:1").err
        self.assertIn("127.0.0.1", told)
        for secret in SECRETS:
            self.assertNotIn(secret, told)

    def test_the_journal(self):
        path = self.dir / "journal"
        found = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.bind(str(path))

            def read():
                while datagram := journal.recv(1 << 16):
                    found.append(entry(datagram))
            reader = threading.Thread(target=read)
            reader.start()
            for chat, code in ((None, 0), ("@nobody_of_that_name", 3)):
                done = self.extract("--log-format", "journald", "--journal-socket", path,
                                    "--in-flight", "4", chat=chat)
                self.assertEqual((done.code, done.err), (code, ""), done)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.sendto(b"", str(path))
            reader.join()
        last = found[-1]
        self.assertTrue(all(e["SYSLOG_IDENTIFIER"] == "tgdata" and e["TGDATA_JOB"] == "job"
                            and e["MESSAGE"] for e in found), found)
        up = next(e for e in found if e["TGDATA_EVENT"] == "connected")
        self.assertEqual((up["PRIORITY"], "TGDATA_CODE" in up), ("6", False))
        self.assertIn("me.session", up["TGDATA_ACCOUNT"])
        self.assertEqual((last["PRIORITY"], last["TGDATA_CODE"]), ("3", "NOT_FOUND"))

    def test_without_a_journal_stderr_has_it(self):
        done = self.extract("--log-format", "journald", "--journal-socket", self.dir / "nothing")
        self.assertEqual(done.code, 0, done)
        lines = done.err.splitlines()
        self.assertIn("the journal takes nothing", lines[0])
        self.assertEqual(done.err.count("the journal takes nothing"), 1)
        self.assertTrue(any("connected" in line for line in lines), done)

    def test_in_a_file(self):
        config = self.dir / "etl.yaml"
        config.write_text(json.dumps({"jobs": [{
            "name": "job", "chats": [self.sim.chats(self.sim.account())[0]["id"]],
            "session": str(self.session()), "datacenter": str(self.sim.file),
            "to": f"ndjson:{self.dir}/out", "state": f"sqlite:{self.dir}/state.db",
            "log_format": "json"}]}), encoding="utf-8")
        done = tgdata("run", config)
        self.assertEqual(done.code, 0, done)
        self.assertGreater(len(self.lines(done)), 2)
        config.write_text(config.read_text(encoding="utf-8").replace('"json"', '"yson"'),
                          encoding="utf-8")
        done = tgdata("config", "check", config)
        self.assertEqual(done.code, 2, done)
        self.assertIn("text, json, journald", done.err.replace("|", ", "))

    def test_rows_on_stdout_leave_the_log_to_stderr(self):
        chat = self.sim.chats(self.sim.account())[0]["id"]
        done = tgdata(*self.extract_args(chat, to="stdout:", more=("--log-format", "json")))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(len([json.loads(line) for line in done.out.split("\n")[:-1]]),
                         len(self.sim.truth([self.sim.chats(self.sim.account())[0]])))
        self.assertEqual(self.lines(done)[-1]["event"], "summary")

    def test_the_page_names_the_options(self):
        page = (pathlib.Path(__file__).resolve().parents[2] / "docs/monitoring.md").read_text(
            encoding="utf-8")
        for option in ("--log-format", "--log-level", "--journal-socket"):
            self.assertIn(option, page)
            self.assertIn(option, tgdata("help", "extract").out)


if __name__ == "__main__":
    main()

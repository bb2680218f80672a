#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whatever is wrong around the program: one clear line, the documented code, nothing lost."""
import os
import pathlib
import shutil
import socket
import subprocess

from kit import Case, Sim, free_ports, main, rows, start, tgdata, wait_for

NOBODY = 65534


class BadInput(Case):
    def test_unknown_chat(self):
        for name in ["@nobody_has_this", "-1009999999999", "123456789012", "https://t.me/nope_"]:
            with self.subTest(name):
                last = name.split("/")[-1].strip("@")
                self.check_fails(tgdata(*self.extract_args(name)), 3, last)

    def test_malformed_chat(self):
        for name in ["@", "not a name", "https://example.com/x"]:
            with self.subTest(name):
                done = tgdata(*self.extract_args(name))
                self.assertIn(done.code, (2, 3), done)

    def test_a_bad_chat_does_not_keep_the_good_ones(self):
        chat = self.sim.chat("supergroup")
        self.check_fails(tgdata(*self.extract_args("@nobody_has_this", chat["id"])), 3)
        self.check_whole([chat])

    def test_protected_chat(self):
        chat = self.sim.chat("protected")
        self.check_fails(tgdata(*self.extract_args(chat["id"])), 4, "--allow-protected")
        self.assertEqual(rows(self.dir / "out"), [])
        done = tgdata(*self.extract_args(chat["id"], more=["--allow-protected"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole([chat])

    def test_not_logged_in(self):
        for command in [["chats"], ["logout"], ["export-session", "telethon"], ["verify"],
                        ["extract", "--all", "--to", f"ndjson:{self.dir}/out"]]:
            with self.subTest(command[0]):
                done = tgdata(*command, "--session", self.dir / "none", "--datacenter",
                              self.sim.file, cwd=self.dir)
                self.check_fails(done, 5, "login")

    def test_unreachable_data_centre(self):
        with socket.socket() as s:  # bound but not listening: refused
            s.bind(("127.0.0.1", 0))
            port = str(s.getsockname()[1])
            text = self.sim.file.read_text(encoding="utf-8")
            for dc in self.sim_ports():
                text = text.replace(f'"port":{dc}', f'"port":{port}')
            there = self.dir / "datacenter.json"
            there.write_text(text, encoding="utf-8")
            done = tgdata("chats", "--session", self.session(), "--datacenter", there, "--attempts",
                          "2", timeout=120)
        self.check_fails(done, 6)

    def sim_ports(self):
        import json
        return [dc["port"] for dc in json.loads(self.sim.file.read_text(encoding="utf-8"))["dcs"]]

    def test_bad_files(self):
        good = self.session()
        empty, noise, other = self.dir / "empty", self.dir / "noise", self.dir / "noise.json"
        empty.write_bytes(b"")
        noise.write_bytes(bytes(range(256)) * 20)
        other.write_text('{"dcs":[]}', encoding="ascii")
        cut = self.dir / "cut.session"
        cut.write_bytes(good.read_bytes()[:-7])
        table = [
            (["--session", noise, "--datacenter", self.sim.file], 8),
            (["--session", cut, "--datacenter", self.sim.file], 8),
            (["--session", good, "--datacenter", noise], 2),
            (["--session", good, "--datacenter", other], 2),
            (["--session", good, "--datacenter", self.dir / "missing"], 2),
            (["--session", self.dir / "no" / "where", "--datacenter", self.sim.file], None),
        ]
        for words, code in table:
            with self.subTest(words):
                before = [pathlib.Path(w).read_bytes() for w in words[1::2]
                          if pathlib.Path(w).exists()]
                done = tgdata("chats", *words)
                self.assertNotIn(done.code, (0, 1), done)
                self.assertEqual(len(done.err.splitlines()) <= 2, True, done)
                if code:
                    self.assertEqual(done.code, code, done)
                after = [pathlib.Path(w).read_bytes() for w in words[1::2]
                         if pathlib.Path(w).exists()]
                self.assertEqual(before, after, "a file that is not understood stays as it is")

    def test_corrupt_state(self):
        chat = self.sim.chat("supergroup")
        session = self.session()
        self.assertEqual(tgdata(*self.extract_args(chat["id"], session=session)).code, 0)
        state = self.dir / "state.db"
        for wal in self.dir.glob("state.db-*"):
            wal.unlink()
        good = state.read_bytes()
        noise = bytes(range(256)) * 64
        for bad in [noise, good[:4096] + noise * 2, b"SQLite format 3\0"]:
            state.write_bytes(bad)
            for command in [self.extract_args(chat["id"], session=session),
                            ["checkpoints", "list", "--state", f"sqlite:{state}"]]:
                done = tgdata(*command)
                self.assertEqual(done.code, 8, done)
                self.assertIn("  hint: ", done.err)
        self.check_whole([chat])

    def test_malformed_urls(self):
        session = self.session()
        chat = self.sim.chat("supergroup")["id"]
        table = [("--to", "parchment:x", "ndjson"), ("--to", "ndjson", "NAME:TARGET"),
                 ("--to", "ndjson:", "directory"), ("--state", "stone:x", "sqlite"),
                 ("--to", "ndjson://out", "without '//'"),
                 ("--state", "sqlite://s", "without '//'"),
                 ("--state", "sqlite:", "no file is named"), ("--to", "ndjson:x?speed=9", "speed"),
                 ("--job", "a/b", "job"), ("--proxy", "carrier://x", "socks5")]
        for name, value, says in table:
            with self.subTest(value):
                words = self.extract_args(chat, session=session)
                if name in words:
                    words[words.index(name) + 1] = value
                else:
                    words += [name, value]
                self.check_says_usage(tgdata(*words, cwd=self.dir), says)
        done = tgdata("extract", chat, *self.account_args(session), cwd=self.dir)
        self.check_fails(done, 2, "--to ndjson:DIR")

    def test_files_that_are_not_there(self):
        missing, session = self.dir / "missing", self.session()
        listing = ["chats", *self.account_args(session)]
        table = [([*listing, "--schema", missing], 2, "--schema names"),
                 (["chats", "--session", session, "--datacenter", missing], 2,
                  "--datacenter names"),
                 (["sim", "--dir", self.dir / "dc", "--schema", missing], 2, "--schema names"),
                 (["sim", "--dir", self.dir / "dc", "--import", missing], 2, "--import names"),
                 (["sim", "--dir", self.dir / "dc", "--import", missing / "x"], 2,
                  "--import names")]
        for words, code, says in table:
            with self.subTest(words):
                done = tgdata(*words)
                self.check_fails(done, code, str(missing), says)
                self.assertNotIn("tgdata chats lists", done.err)

    def test_looking_makes_and_changes_nothing(self):
        """Commands that only look at the state: also one that a killed run left behind."""
        chat, session = self.sim.chat("supergroup"), self.session()
        state, empty = self.dir / "state.db", self.dir / "empty.db"
        empty.touch()
        for url in [state, empty, self.dir / "no" / "where.db"]:
            which = ["--state", f"sqlite:{url}"]
            for words in [["checkpoints", "list"], ["checkpoints", "show", "5"],
                          ["checkpoints", "rollback", "5", "--number", "1"],
                          ["verify", *self.account_args(session)]]:
                done = tgdata(*words, *which)
                self.check_fails(done, 3, str(url), "--state")
                self.assertNotIn("tgdata chats lists", done.err)
        self.assertFalse(state.exists())
        self.assertEqual(empty.stat().st_size, 0)
        self.assertEqual([p.name for p in self.dir.glob("*.db*")], ["empty.db"])
        words = self.extract_args(chat["id"], session=session)
        self.assertEqual(tgdata(*words).code, 0)
        self.check_looks(session, chat)
        shutil.rmtree(self.dir / "out")
        state.unlink()
        process = start(*self.extract_args(chat["id"], session=session, more=[
            "--batch-size", "20", "--checkpoint-interval", "20", "--rate", "2"]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # the second commit comes behind the checkpoint of the first
        self.assertTrue(wait_for(lambda: len(rows(self.dir / "out")) > 20))
        process.kill()
        process.wait()
        self.assertGreater((self.dir / "state.db-wal").stat().st_size, 0)
        self.check_looks(session, chat)
        self.assertEqual(tgdata(*words).code, 0)
        self.check_whole([chat])

    def check_looks(self, session, chat):
        def files():
            return {p.name: p.read_bytes() for p in self.dir.glob("state.db*")
                    if not p.name.endswith("-shm")}
        before, which = files(), ["--state", f"sqlite:{self.dir}/state.db"]
        self.assertEqual(tgdata("checkpoints", "list", *which).code, 0)
        self.assertEqual(tgdata("checkpoints", "list", *which, "--job", "job").code, 0)
        self.check_fails(tgdata("checkpoints", "list", *which, "--job", "none"), 3, "'none'",
                         "without --job")
        self.assertEqual(tgdata("checkpoints", "show", chat["id"], *which, "--job", "job").code, 0)
        for words in [["show", "5", "--job", "job"], ["show", chat["id"], "--job", "none"]]:
            done = tgdata("checkpoints", *words, *which)
            self.check_fails(done, 3, "checkpoints list")
        self.assertIn(self.verify(session).code, (0, 10))
        self.check_fails(self.verify(session, job="none"), 3, "'none'", "checkpoints list")
        self.assertEqual(files(), before)

    def check_says_usage(self, done, says):
        self.assertEqual(done.code, 2, done)
        self.assertIn(says, done.err, done)

    def test_read_only_directory(self):
        chat = self.sim.chat("supergroup")
        session = self.session()
        locked = self.dir / "locked"
        locked.mkdir()
        locked.chmod(0o555)
        more = {}
        if os.getuid() == 0:  # root writes everywhere: run as somebody else
            for path in [self.dir, session]:
                os.chown(path, NOBODY, NOBODY)
            more = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        table = [("--to", f"ndjson:{locked}/out", 7), ("--state", f"sqlite:{locked}/state.db", 8)]
        for name, value, code in table:
            words = self.extract_args(chat["id"], session=session)
            words[words.index(name) + 1] = value
            self.check_fails(tgdata(*words, **more), code, str(locked))
        done = tgdata("login", "--session", locked / "new.session", "--datacenter", self.sim.file,
                      "--api-id", "1", "--api-hash", "aa", "--phone",
                      self.sim.account()["phone"], "--code", "1", **more)
        self.assertEqual(done.code, 7, done)


class Expired(Case):
    """The server forgets the login: the session file is of no use any more."""

    sim_args = None

    def test_expired_session(self):
        sim = type(self).sim = Sim(self.dir / "dc", "--chats", "2", "--messages", "50", "--listen",
                                   f"127.0.0.1:{free_ports(8)}")
        session = self.dir / "me.session"
        self.login(session)
        sim.stop()
        keys = sim.dir / "keys"
        shutil.rmtree(keys) if keys.is_dir() else keys.unlink()
        sim.start()
        done = tgdata("chats", "--session", session, "--datacenter", sim.file)
        self.check_fails(done, 5, "login")


if __name__ == "__main__":
    main()

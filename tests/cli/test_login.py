#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Logging in and out: each way in, where secrets come from, and what is refused."""
import os
import pty
import select
import signal
import stat
import subprocess
import termios
import time

from kit import Case, Sim, TGDATA, clean_env, main, start, tgdata, wait_for

API = ["--api-id", "1", "--api-hash", "aa"]


class Login(Case):
    sim_args = ("--chats", "3", "--messages", "20")

    def base(self, name="me.session"):
        return ["login", "--session", self.dir / name, "--datacenter", self.sim.file, *API]

    def check_works(self, name="me.session", **more):
        done = tgdata("chats", "--json", "--session", self.dir / name, "--datacenter",
                      self.sim.file, **more)
        self.assertEqual(done.code, 0, done)
        return done.json()

    def test_phone_code(self):
        a = self.sim.account()
        done = tgdata(*self.base(), "--phone", a["phone"], "--code", a["code"], "--json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.json()["user_id"], a["user_id"])
        mode = stat.S_IMODE(os.stat(self.dir / "me.session").st_mode)
        self.assertEqual(mode, 0o600)
        self.assertEqual({c["id"] for c in self.check_works()},
                         {c["id"] for c in self.sim.chats(a, kept_out=("left",))})

    def test_what_the_file_says_of_accounts(self):
        """Scripts take the first one, or any: each has phone and code; bots come last."""
        for a in self.sim.accounts:
            self.assertRegex(a["phone"], r"^\d{10}$")
            self.assertRegex(a["code"], r"^\d{5}$")
        self.assertNotIn("password", self.sim.accounts[0])
        self.assertNotIn("bot_token", self.sim.accounts[0])
        bots = ["bot_token" in a for a in self.sim.accounts]
        self.assertEqual(bots, sorted(bots))
        self.assertTrue(bots[-1] and not all(bots))

    def test_every_account_of_the_file(self):
        for i, a in enumerate(self.sim.accounts):
            with self.subTest(a):
                self.login(self.dir / f"{i}.session", a)
                if "bot_token" in a:  # its number and code are its owner's
                    owner = {k: v for k, v in a.items() if k != "bot_token"}
                    self.login(self.dir / f"{i}.owner", owner)

    def test_password_from_the_environment(self):
        a = self.sim.account(password=True)
        done = tgdata(*self.base(), "--phone", a["phone"],
                      env={"TGDATA_CODE": a["code"], "TGDATA_PASSWORD": a["password"]})
        self.assertEqual(done.code, 0, done)

    def test_secrets_from_descriptors(self):
        a = self.sim.account(password=True)
        fds = []
        for secret in (a["code"], a["password"]):
            read, write = os.pipe()
            os.write(write, secret.encode() + b"\n")
            os.close(write)
            fds.append(read)
        done = tgdata(*self.base(), "--phone", a["phone"], "--code-fd", fds[0], "--password-fd",
                      fds[1], pass_fds=fds)
        for fd in fds:
            os.close(fd)
        self.assertEqual(done.code, 0, done)
        self.assertNotIn(a["password"], done.out + done.err)

    def test_bot_token(self):
        a = self.sim.account(bot=True)
        done = tgdata(*self.base(), env={"TGDATA_BOT_TOKEN": a["bot_token"]})
        self.assertEqual(done.code, 0, done)

    def test_what_is_missing_is_named(self):
        a, strict = self.sim.account(), self.sim.account(password=True)
        table = [([], "--phone"), (["--phone", a["phone"]], "--code"),
                 (["--phone", strict["phone"], "--code", strict["code"]], "--password")]
        for words, says in table:
            done = tgdata(*self.base(), *words)
            self.check_fails(done, 2, says)
        done = tgdata("login", "--session", self.dir / "x", "--datacenter", self.sim.file,
                      "--phone", a["phone"])
        self.check_fails(done, 2, "--api-id", "--api-hash")

    def test_api_id_and_hash_are_checked(self):
        good = "0123456789abcdefABCDEF0123456789"
        base = ["login", "--session", self.dir / "x", "--phone", "+15550100", "--attempts", "1",
                "--proxy", "socks5://127.0.0.1:1"]
        for number in ("0", "-1", "2147483648", "12x", ""):
            done = tgdata(*base, "--api-id", number, "--api-hash", good)
            self.check_fails(done, 2, "api-id")
        for text in ("", "aa", good[1:], good + "0", good[:-1] + "g", "0x" + good[2:]):
            done = tgdata(*base, "--api-id", "1", "--api-hash", text)
            self.check_fails(done, 2, "api hash", "32")
            if text:
                self.assertNotIn(f"'{text}'", done.err)  # it is a secret
        self.check_fails(tgdata(*base, "--api-id", "2147483647", "--api-hash", good), 6)
        # servers that are not Telegram's take what they like, within bounds
        done = tgdata(*base, "--datacenter", self.sim.file, "--api-id", "1", "--api-hash",
                      "a" * 65)
        self.check_fails(done, 2, "api hash")

    def test_no_litter_and_no_stale_lock(self):
        path, lock = self.dir / "me.session", self.dir / "me.session.lock"
        self.login(path)
        self.check_works()
        self.check_fails(tgdata(*self.base("other"), "--phone", "12"), 2)
        self.assertEqual({p.name for p in self.dir.iterdir()} - {"other"}, {"me.session"})
        process = start(*self.base("killed"), "--qr", stderr=subprocess.PIPE)
        while b"tg://login?token=" not in process.stderr.readline():
            pass
        held = self.dir / "killed.lock"
        self.assertEqual(held.read_text(encoding="ascii"), f"{process.pid}\n")
        self.check_fails(tgdata(*self.base("killed")), 9, f"process {process.pid}")
        process.kill()
        process.wait()
        process.stderr.close()
        self.assertTrue(held.exists())
        self.login(self.dir / "killed")
        self.assertFalse(held.exists() or lock.exists())

    def test_wrong_code(self):
        done = tgdata(*self.base(), "--phone", self.sim.account()["phone"], "--code", "00000")
        self.check_fails(done, 5, "code")

    def test_wrong_password(self):
        a = self.sim.account(password=True)
        done = tgdata(*self.base(), "--phone", a["phone"], "--code", a["code"], "--password", "no")
        self.check_fails(done, 5, "password")

    def test_wrong_bot_token(self):
        self.check_fails(tgdata(*self.base(), "--bot-token", "1:nonsense"), 5, "token")

    def test_unknown_phone(self):
        for phone, code in [("+15005550006", 5), ("12", 2)]:
            done = tgdata(*self.base(), "--phone", phone, "--code", "1")
            self.check_fails(done, code)

    def test_passphrase(self):
        a = self.sim.account()
        self.login(self.dir / "me.session", a, env={"TGDATA_PASSPHRASE": "open sesame"})
        self.check_works(env={"TGDATA_PASSPHRASE": "open sesame"})
        for env in [{}, {"TGDATA_PASSPHRASE": "wrong"}]:
            done = tgdata("chats", "--session", self.dir / "me.session", "--datacenter",
                          self.sim.file, env=env)
            self.check_fails(done, 5, "passphrase")

    def test_only_a_login_seals(self):
        path = self.dir / "me.session"
        phrase = {"TGDATA_PASSPHRASE": "open sesame"}
        self.login(path)
        done = tgdata("chats", "--session", path, env=phrase)  # writes what it learned
        self.assertEqual(done.code, 0, done)
        self.assertIn("warning: session", done.err)
        self.assertIn("is not sealed", done.err)
        done = tgdata("chats", "--session", path)
        self.assertEqual(done.code, 0, done)
        self.assertNotIn("sealed", done.err)
        done = tgdata("login", "--session", path, env=phrase)
        self.assertIn("Already logged in", done.out)
        self.assertNotIn("warning", done.err)
        self.check_fails(tgdata("chats", "--session", path), 5, "passphrase")
        done = tgdata("chats", "--session", path, env=phrase)
        self.assertEqual(done.code, 0, done)
        self.assertNotIn("warning", done.err)
        self.check_fails(tgdata("chats", "--session", path), 5, "passphrase")  # it stays sealed

    def test_logout(self):
        self.login(self.dir / "me.session")
        copy = (self.dir / "me.session").read_bytes()
        done = tgdata("logout", "--session", self.dir / "me.session", "--datacenter", self.sim.file)
        self.assertEqual(done.code, 0, done)
        self.assertFalse((self.dir / "me.session").exists())
        (self.dir / "copy.session").write_bytes(copy)
        done = tgdata("chats", "--session", self.dir / "copy.session", "--datacenter",
                      self.sim.file)
        self.check_fails(done, 5, "log in")

    def test_a_login_that_works_is_kept(self):
        a, other = [x for x in self.sim.accounts if not {"password", "bot_token"} & set(x)][:2]
        path = self.dir / "me.session"
        self.login(path, a)
        before = path.read_bytes()
        bot = self.sim.account(bot=True)
        for words in ([], ["--phone", "+" + a["phone"], "--code", "0"], ["--qr"]):
            done = tgdata(*self.base(), *words)
            self.assertEqual(done.code, 0, done)
            self.assertIn("Already logged in as ", done.out)
            self.assertIn(str(a["user_id"]), done.out)
        done = tgdata("login", "--session", path, "--json")  # no api id is needed to be told
        self.assertEqual(done.code, 0, done)
        self.assertTrue(done.json()["already_logged_in"])
        self.assertEqual(done.json()["phone"], a["phone"])
        for words in (["--phone", other["phone"]], ["--bot-token", bot["bot_token"]]):
            self.check_fails(tgdata(*self.base(), *words), 2, str(a["user_id"]), "--force")
        self.check_fails(tgdata(*self.base(), "--force", "--phone", other["phone"], "--code", "0"),
                         5, "code")
        self.assertEqual(path.read_bytes(), before)
        done = tgdata(*self.base(), "--force", "--phone", other["phone"], "--code", other["code"])
        self.assertEqual(done.code, 0, done)
        self.assertIn(str(other["user_id"]), done.out)
        done = tgdata("login", "--session", path, "--json")
        self.assertEqual(done.json()["user_id"], other["user_id"])

    def test_a_login_that_has_ended_is_replaced(self):
        a, path, copy = self.sim.account(), self.dir / "me.session", self.dir / "copy"
        self.login(path)
        copy.write_bytes(path.read_bytes())
        self.assertEqual(tgdata("logout", "--session", copy).code, 0)
        done = self.login(path, a)
        self.assertIn("Logged in as ", done.out)
        self.assertNotIn("Already", done.out)
        self.check_works()

    def test_the_session_knows_its_servers(self):
        self.login(self.dir / "me.session")
        mine = ["--session", self.dir / "me.session"]
        state = ["--state", f"sqlite:{self.dir}/st", "--job", "j"]
        chats = tgdata("chats", *mine, "--json")
        self.assertEqual(chats.code, 0, chats)
        for words in (["extract", chats.json()[0]["id"], "--to", f"ndjson:{self.dir}/out", *state],
                      ["verify", *state, "--json"], ["export-session", "telethon"], ["logout"]):
            done = tgdata(*words, *mine)
            self.assertEqual(done.code, 0, done)
        self.assertFalse((self.dir / "me.session").exists())

    def test_the_same_servers_elsewhere(self):
        """Restarted on another port: the file is given once more, and then known."""
        sim = Sim(self.dir / "moved", *self.sim_args)
        mine = ["--session", self.dir / "me.session"]
        try:
            a = sim.account()
            done = tgdata("login", *mine, *API, "--datacenter", sim.file, "--phone", a["phone"],
                          "--code", a["code"])
            self.assertEqual(done.code, 0, done)
            before = sim.file.read_text(encoding="utf-8")
            sim.stop()
            sim.start()
            self.assertNotEqual(before, sim.file.read_text(encoding="utf-8"), "the same ports")
            done = tgdata("chats", *mine, "--attempts", "1")
            self.check_fails(done, 6, "cannot be reached")
            for more in (["--datacenter", sim.file], []):
                done = tgdata("chats", *mine, *more)
                self.assertEqual(done.code, 0, done)
        finally:
            sim.stop()

    def test_other_servers_are_refused(self):
        self.login(self.dir / "me.session")
        before = (self.dir / "me.session").read_bytes()
        other = Sim(self.dir / "other", *self.sim_args, "--seed", "9")
        other.stop()
        for words in (["--datacenter", other.file], ["--test-dc"]):
            done = tgdata("chats", "--session", self.dir / "me.session", *words)
            self.check_fails(done, 2, "me.session", words[0])
        self.assertEqual((self.dir / "me.session").read_bytes(), before)
        self.check_works()

    def test_session_strings_go_out_and_come_back(self):
        self.login(self.dir / "me.session")
        for kind in ("telethon", "pyrogram"):
            done = tgdata("export-session", kind, "--session", self.dir / "me.session",
                          "--datacenter", self.sim.file)
            self.assertEqual(done.code, 0, done)
            self.check_works(f"{kind}.session", env={
                "TGDATA_SESSION_STRING": done.out.strip(), "TGDATA_API_ID": "1",
                "TGDATA_API_HASH": "aa"})
        done = tgdata("export-session", "signal", "--session", self.dir / "me.session",
                      "--datacenter", self.sim.file)
        self.assertEqual(done.code, 2, done)

    def exported(self, kind, name="me.session"):
        done = tgdata("export-session", kind, "--session", self.dir / name)
        self.assertEqual(done.code, 0, done)
        return done.out.strip()

    def test_login_by_session_string(self):
        """Each format by each way in; what goes in comes out again."""
        a = self.sim.account()
        self.login(self.dir / "me.session", a)
        for kind in ("telethon", "pyrogram"):
            string = self.exported(kind)
            for way in ("environment", "descriptor", "stdin", "word"):
                with self.subTest(kind=kind, way=way):
                    name, more, words = f"{kind}-{way}", {}, []
                    read, write = os.pipe()
                    os.write(write, string.encode() + b"\n")
                    os.close(write)
                    if way == "environment":
                        more = {"env": {"TGDATA_SESSION_STRING": string}}
                    elif way == "descriptor":
                        words, more = ["--session-string-fd", read], {"pass_fds": [read]}
                    elif way == "stdin":
                        words, more = ["--session-string-fd", "0"], {"stdin": read}
                    else:
                        words = ["--session-string", string]
                    done = tgdata(*self.base(name), *words, "--json", **more)
                    os.close(read)
                    self.assertEqual(done.code, 0, done)
                    self.assertEqual(done.json()["user_id"], a["user_id"])
                    self.assertEqual(done.json()["phone"], a["phone"])
                    self.assertFalse(done.json()["already_logged_in"])
                    self.assertNotIn(string, done.out + done.err)
                    self.assertEqual(self.exported(kind, name), string)
                    self.assertTrue(tgdata("chats", "--json", "--session",
                                           self.dir / name).json())

    def test_a_session_string_that_cannot_be_used(self):
        self.login(self.dir / "me.session")
        other = next(x for x in self.sim.accounts[1:] if not {"password", "bot_token"} & set(x))
        self.login(self.dir / "other", other)
        good, revoked = self.exported("pyrogram"), self.exported("pyrogram", "other")
        mine = (self.dir / "me.session").read_bytes()
        self.assertEqual(tgdata("logout", "--session", self.dir / "other").code, 0)
        table = [("nonsense", 2, "no session string"), (good[:-3], 2, "no session string"),
                 (revoked, 5, "log in")]
        for string, code, says in table:  # a failure leaves no file
            done = tgdata(*self.base("new"), env={"TGDATA_SESSION_STRING": string})
            self.check_fails(done, code, says)
            self.assertFalse((self.dir / "new").exists())
        # a login that works is not replaced, unless told to, by a string that works
        for words, code in (([], 2), (["--force"], 5)):
            done = tgdata(*self.base(), *words, env={"TGDATA_SESSION_STRING": revoked})
            self.check_fails(done, code)
            self.assertEqual((self.dir / "me.session").read_bytes(), mine)
        self.login(self.dir / "new", other)
        done = tgdata(*self.base("new"), "--force", "--json", env={"TGDATA_SESSION_STRING": good})
        self.assertEqual(done.json()["user_id"], self.sim.account()["user_id"], done)
        done = tgdata(*self.base("new"), "--json", env={"TGDATA_SESSION_STRING": good})
        self.assertTrue(done.json()["already_logged_in"], done)

    def test_qr(self):
        phone = self.sim.account()["phone"]
        process = start(*self.base(), "--qr", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        link = b""
        while b"tg://login?token=" not in link:
            link = process.stderr.readline()
            self.assertTrue(link, "no link was shown")
        (self.sim.dir / "accept-login").write_text(phone, encoding="ascii")
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn(b"Logged in", out)
        self.check_works()

    def test_secrets_do_not_stay_in_the_list_of_processes(self):
        a = self.sim.account(password=True)
        process = start(*self.base(), "--qr", "--password", a["password"],
                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while b"tg://login?token=" not in process.stderr.readline():
            pass
        with open(f"/proc/{process.pid}/cmdline", "rb") as f:
            self.assertNotIn(a["password"].encode(), f.read())
        process.terminate()
        self.assertEqual(process.wait(30), 130)
        process.stderr.close()


class Terminal(Case):
    """What a person sees: questions on the terminal, secrets not echoed."""
    sim_args = ("--chats", "3", "--messages", "20")

    def talk(self, words, answers):
        """Runs the program on a terminal. @return exit code, all that was shown"""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(TGDATA, [TGDATA, *map(str, words)], clean_env())
        shown, sent, end = b"", 0, time.monotonic() + 60
        while time.monotonic() < end:
            if not select.select([fd], [], [], 0.2)[0]:
                continue
            try:
                got = os.read(fd, 4096)
            except OSError:
                break
            if not got:
                break
            shown += got
            if sent < len(answers) and answers[sent][0].encode() in shown:
                if answers[sent][0].startswith("Pass"):  # hidden by the time it is asked for
                    self.assertFalse(termios.tcgetattr(fd)[3] & termios.ECHO)
                os.write(fd, answers[sent][1].encode() + b"\n")
                sent += 1
        if time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        os.close(fd)
        return os.waitstatus_to_exitcode(status), shown.decode("utf-8", "replace")

    def test_all_three_questions(self):
        a = self.sim.account(password=True)
        code, shown = self.talk(
            ["login", "--session", self.dir / "s", "--datacenter", self.sim.file, *API],
            [("Phone number", a["phone"]), ("Login code", a["code"]),
             ("Password", a["password"])])
        self.assertEqual(code, 0, shown)
        self.assertIn("Logged in", shown)
        self.assertNotIn(a["password"], shown)

    def test_a_mistyped_code_is_asked_for_again(self):
        a = self.sim.account()
        code, shown = self.talk(
            ["login", "--session", self.dir / "s", "--datacenter", self.sim.file, *API, "--phone",
             a["phone"]],
            [("Login code", "00000"), ("00000", a["code"])])
        self.assertEqual(code, 0, shown)

    def test_a_passphrase_is_asked_for(self):
        self.login(self.dir / "s", env={"TGDATA_PASSPHRASE": "open sesame"})
        code, shown = self.talk(["chats", "--session", self.dir / "s", "--datacenter",
                                 self.sim.file], [("Passphrase", "open sesame")])
        self.assertEqual(code, 0, shown)
        self.assertNotIn("open sesame", shown)

    def test_the_progress_line_is_redrawn(self):
        self.login(self.dir / "s")
        code, shown = self.talk(["extract", "--all", "--session", self.dir / "s", "--datacenter",
                                 self.sim.file, "--to", f"ndjson:{self.dir}/out", "--state",
                                 f"sqlite:{self.dir}/st"], [])
        self.assertEqual(code, 0, shown)
        self.assertIn("\r\x1b[K", shown)
        self.assertRegex(shown, r"messages of \d+ chats in 0:")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The session file: who may read it, what a broken or dead one says; and the QR code as drawn."""
import os
import pty
import re
import select
import stat
import time

from kit import Case, TGDATA, clean_env, main, tgdata

FINDER = ["#######", "#.....#", "#.###.#", "#.###.#", "#.###.#", "#.....#", "#######"]


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class SessionFile(Case):
    sim_args = ("--chats", "3", "--messages", "20")

    def test_only_the_owner_may_read_it(self):
        for umask, before in ((0, None), (0o077, None), (0o277, None), (0, 0o644), (0o022, 0o666)):
            with self.subTest(umask=oct(umask), before=before and oct(before)):
                path = self.dir / f"{umask}-{before}"
                if before:  # of an earlier login, opened up since
                    self.login(path)
                    path.chmod(before)
                else:
                    self.login(path, umask=umask)
                done = tgdata("chats", "--session", path, umask=umask)  # replaces the file
                self.assertEqual(done.code, 0, done)
                self.assertEqual(mode(path), 0o600)

    def test_a_broken_file_is_refused_and_kept(self):
        good = self.session().read_bytes()
        path = self.dir / "broken"
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 1
        for blob in (b"", b"x" * 100, good[:-1], good[:40], good + b"x", bytes(flipped),
                     good[:7] + b"\x09" + good[8:]):
            path.write_bytes(blob)
            for command in ("chats", "login", "logout", "export-session"):
                words = ["telethon"] if command == "export-session" else []
                done = tgdata(command, *words, "--session", path)
                self.check_fails(done, 8, "session", "log in again")
            self.assertEqual(path.read_bytes(), blob)

    def test_a_sealed_file(self):
        path = self.dir / "sealed"
        self.login(path, env={"TGDATA_PASSPHRASE": "open sesame"})
        before = path.read_bytes()
        self.assertNotIn(self.sim.account()["phone"].encode(), before)
        for env, says in (({}, "sealed"), ({"TGDATA_PASSPHRASE": "wrong"}, "wrong passphrase")):
            for command in ("chats", "login", "logout"):
                self.check_fails(tgdata(command, "--session", path, env=env), 5, says)
        self.assertEqual(path.read_bytes(), before)
        read, write = os.pipe()
        os.write(write, b"open sesame\n")
        os.close(write)
        done = tgdata("chats", "--session", path, "--passphrase-fd", read, pass_fds=[read])
        os.close(read)
        self.assertEqual(done.code, 0, done)

    def test_a_login_that_the_server_has_ended(self):
        """AUTH_KEY_UNREGISTERED: each command says in one line what to do, and so does the next."""
        self.login(self.dir / "first")
        blob = (self.dir / "first").read_bytes()
        self.assertEqual(tgdata("logout", "--session", self.dir / "first").code, 0)
        chat = self.sim.chat("supergroup")["id"]
        for i, words in enumerate((["chats"],
                                   ["extract", chat, "--to", f"ndjson:{self.dir}/out", "--state",
                                    f"sqlite:{self.dir}/st"], ["logout"])):
            path = self.dir / f"dead{i}"
            path.write_bytes(blob)
            done = tgdata(*words, "--session", path)
            if words == ["logout"]:  # that it is over is what was asked for
                self.assertEqual(done.code, 0, done)
                continue
            self.check_fails(done, 5, "AUTH_KEY_UNREGISTERED", "tgdata login")
            self.check_fails(tgdata(*words, "--session", path), 5, "tgdata login")


class Drawn(Case):
    """The QR code on a terminal, read back from what was shown."""
    sim_args = ("--chats", "3", "--messages", "20")

    def show(self, **env):
        """Runs a login by QR on a terminal. @return what stood there when it was done"""
        words = [TGDATA, "login", "--qr", "--session", str(self.dir / "s"), "--datacenter",
                 str(self.sim.file), "--api-id", "1", "--api-hash", "aa"]
        env = {**clean_env(), **env}
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(TGDATA, words, env)
        shown, end, accepted = b"", time.monotonic() + 60, False
        while time.monotonic() < end:
            if not select.select([fd], [], [], 0.2)[0]:
                continue
            try:
                got = os.read(fd, 65536)
            except OSError:
                break
            shown += got
            if not accepted and re.search(rb"tg://login\?token=\S+\s", shown):
                accepted = True
                (self.sim.dir / "accept-login").write_text(self.sim.account()["phone"],
                                                           encoding="ascii")
        status = os.waitpid(pid, 0)[1]
        os.close(fd)
        text = shown.decode()
        self.assertEqual(os.waitstatus_to_exitcode(status), 0, text)
        self.assertIn("Logged in as", text)
        return text

    def check_finders(self, grid):
        """Three corners have the pattern that a camera looks for, and around all is a margin."""
        dark = [y for y, row in enumerate(grid) if "#" in row]
        grid = grid[dark[0]:dark[-1] + 1]
        left = min(row.index("#") for row in grid if "#" in row)
        right = max(row.rindex("#") for row in grid) + 1
        self.assertGreaterEqual(left, 2)
        grid = [row[left:right] for row in grid]
        self.assertEqual(len(grid), right - left, "a square")
        self.assertEqual((len(grid) - 17) % 4, 0, "of a size that QR codes have")
        for y, x in ((0, 0), (0, -7), (-7, 0)):
            x, y = x % len(grid), y % len(grid)
            self.assertEqual([row[x:x + 7] for row in grid[y:y + 7]], FINDER)

    def lines(self, text):
        found = re.findall(r"\x1b\[30;107m(.*?)\x1b\[0m", text)
        self.assertGreater(len(found), 10, "dark on light, whatever the terminal's colours are")
        return found

    def test_half_blocks(self):
        grid = []
        for line in self.lines(self.show()):
            grid.append("".join("#" if c in "▀█" else "." for c in line))
            grid.append("".join("#" if c in "▄█" else "." for c in line))
        self.check_finders(grid)

    def test_a_terminal_without_utf8(self):
        grid = [line[::2].replace(" ", ".") for line in self.lines(self.show(LC_ALL="C"))]
        self.check_finders(grid)


if __name__ == "__main__":
    main()

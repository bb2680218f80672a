#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Extraction through proxies: SOCKS5 with and without a login, MTProto with its secret, and proxies
that refuse, talk nonsense, hang up or do not answer."""
import socket
import struct
import threading

import kit


def read(conn, n):
    data = b""
    while len(data) < n:
        more = conn.recv(n - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


class Socks:
    """A SOCKS5 proxy of a few lines. `mood` says how it misbehaves."""

    def __init__(self, user=None, password=None, mood=None):
        self.user, self.password, self.mood = user, password, mood
        self.targets = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                conn, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def login(self, conn):
        _, n = read(conn, 2)
        methods = read(conn, n)
        if self.user is None:
            conn.sendall(b"\5\0")
            return True
        if 2 not in methods:
            conn.sendall(b"\5\xff")
            return False
        conn.sendall(b"\5\2")
        _, n = read(conn, 2)
        user = read(conn, n)
        password = read(conn, read(conn, 1)[0])
        good = (user, password) == (self.user.encode(), self.password.encode())
        conn.sendall(b"\1\0" if good else b"\1\1")
        return good

    def serve(self, conn):
        try:
            with conn:
                self.talk(conn)
        except OSError:
            pass

    def talk(self, conn):
        if self.mood == "garbage":
            conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        if self.mood == "closes":
            return
        if not self.login(conn):
            return
        head = read(conn, 4)
        assert head == b"\5\1\0\3", head
        host = read(conn, read(conn, 1)[0]).decode()
        port = struct.unpack(">H", read(conn, 2))[0]
        self.targets.append((host, port))
        if self.mood == "refuses":
            conn.sendall(b"\5\5\0\1" + bytes(6))
            return
        with socket.create_connection((host, port)) as to:
            conn.sendall(b"\5\0\0\1" + bytes(6))
            back = threading.Thread(target=pour, args=(to, conn), daemon=True)
            back.start()
            pour(conn, to)
            back.join(5)

    def close(self):
        if self.server.fileno() >= 0:
            self.server.shutdown(socket.SHUT_RDWR)  # wakes the one who waits in accept
        self.server.close()


def pour(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data:
                break
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Socks5(kit.Case):
    def run_through(self, proxy, *, user="", more=()):
        chat = self.sim.chat("supergroup")
        url = f"socks5://{user}127.0.0.1:{proxy.port}"
        return chat, kit.tgdata(*self.extract_args("@" + chat["username"],
                                                   more=("--proxy", url, *more)))

    def check_through(self, proxy, **how):
        chat, done = self.run_through(proxy, **how)
        self.assertEqual(done.code, 0, done)
        self.check_whole([chat])
        self.assertTrue(proxy.targets)
        proxy.close()

    def test_without_login(self):
        self.check_through(Socks())

    def test_with_login(self):
        self.check_through(Socks("me", "se:cr@t"), user="me:se:cr@t@")

    def test_login_not_asked_for(self):
        self.check_through(Socks(), user="me:secret@")

    def check_not_through(self, proxy, *words, **how):
        _, done = self.run_through(proxy, **how)
        self.check_fails(done, 6, *words)
        proxy.close()

    def test_wrong_password(self):
        self.check_not_through(Socks("me", "secret"), "refused user name or password",
                               user="me:wrong@")

    def test_login_is_missing(self):
        self.check_not_through(Socks("me", "secret"), "wants a user name")

    def test_refuses(self):
        self.check_not_through(Socks(mood="refuses"), "connection refused")

    def test_garbage(self):
        self.check_not_through(Socks(mood="garbage"), "does not speak SOCKS5")

    def test_hangs_up(self):
        self.check_not_through(Socks(mood="closes"))

    def test_nobody_there(self):
        proxy = Socks()
        proxy.close()
        self.check_not_through(proxy, "could not connect")

    def test_malformed(self):
        chat = self.sim.chat("supergroup")
        done = kit.tgdata(*self.extract_args("@" + chat["username"],
                                             more=("--proxy", "socks4://127.0.0.1:1")))
        self.check_fails(done, 2, "proxy")


class Mtproto(kit.Case):
    secret = "00112233445566778899aabbccddeeff"
    sim_args = (*kit.Case.sim_args, "--proxy-secret", secret)

    def setUp(self):
        super().setUp()
        # A proxy is one address for all data centres: the first one's port takes every one.
        self.port = kit.json.loads(self.sim.file.read_text())["dcs"][0]["port"]

    def url(self, secret):
        return f"mtproto://{secret}@127.0.0.1:{self.port}"

    def login_through(self, secret, transport=()):
        a = self.sim.account()
        return kit.tgdata("login", "--session", self.dir / "s", "--datacenter", self.sim.file,
                          "--api-id", "1", "--api-hash", "aa", "--phone", a["phone"], "--code",
                          a["code"], "--proxy", self.url(secret), *transport)

    def test_secrets(self):
        chat = self.sim.chat("supergroup")
        for secret in (self.secret, "dd" + self.secret):
            with self.subTest(secret):
                done = self.login_through(secret)
                self.assertEqual(done.code, 0, done)
                self.assertNotIn(self.secret, done.err + done.out)
                (self.dir / "s").rename(self.dir / ("s" + secret))
                words = self.extract_args(
                    "@" + chat["username"], session=self.dir / ("s" + secret), job="j" + secret,
                    to=f"ndjson:{self.dir}/{secret}", more=("--proxy", self.url(secret)))
                done = kit.tgdata(*words)
                self.assertEqual(done.code, 0, done)
                self.check_whole([chat], self.dir / secret)

    def test_wrong_secret(self):
        done = self.login_through("ff" * 16)
        self.check_fails(done, 6)


if __name__ == "__main__":
    kit.main()

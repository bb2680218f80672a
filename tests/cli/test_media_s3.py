#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files of messages as objects of S3: whole, once, and there before their rows, whatever is killed.
The objects are read by AWS's own library."""
import os
import signal
import subprocess
import time
import unittest

import kit
from kit import tgdata
from s3 import S3
from test_media import MediaCase


@unittest.skipUnless(S3.is_installed(), "tests/interop/setup moto and seaweed install a server")
class ToS3(MediaCase):
    # some files are put at once, some in pieces
    sim_args = ("--chats", "3", "--messages", "40", "--seed", "7", "--file-max", "24MiB",
                "--truth-files", "--files-empty", "30", "--latency-ms", "3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = S3(cls.top / "s3")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.prefix = self.id().rsplit(".", 1)[-1].replace("_", "-")

    def place(self, bucket="bucket", endpoint=None):
        return (f"s3://{bucket}/{self.prefix}?work={self.dir}/work"
                f"&endpoint={endpoint or self.server.endpoint}")

    def media_args(self, *chats, more=(), place=None, to="out", **args):
        made = self.extract_args(*chats, more=("--media", place or self.place(), "--json", *more),
                                 **args)
        made[made.index("--to") + 1] = f"ndjson:{self.dir}/{to}"
        return made

    def objects(self):
        """Path below the prefix -> SHA-256, each as its name says."""
        top = self.prefix + "/"
        there = {k[len(top):]: sha for k, sha in self.server.hash(top).items()}
        for path, sha in there.items():
            self.assertEqual(path[3:].split(".")[0], sha, "no object is half")
        return there

    def check_all(self, chats):
        there, told, large = self.objects(), set(), 0
        for row in kit.rows(self.dir / "out"):
            if "media_path" in row:
                _, size, sha = self.truth(row["chat_id"])[row["id"]]
                self.assertEqual((row["media_size"], row["media_sha256"]), (size, sha))
                self.assertEqual(there.get(row["media_path"]), sha, row)
                told.add(row["media_path"])
                large += size > 16 << 20
        self.assertGreater(len(told), 30)
        self.assertGreater(large, 0)
        self.assertEqual(told, set(there))
        self.check_whole(chats)
        self.assertEqual(self.server.uploads(self.prefix), [])
        left = [p for p in (self.dir / "work").glob(".tgdata-*/*")
                if p.name not in ("index", "lock")]
        self.assertEqual(left, [], "nothing half-done stays behind")

    def verify_media(self):
        return tgdata("verify", *self.account_args(), "--state", f"sqlite:{self.dir}/state.db",
                      "--job", "job", "--media", self.place(), "--json")

    def test_every_row_comes_with_its_object(self):
        chats = self.sim.chats(self.sim.account())
        first = self.extract("--all")
        self.assertEqual(first["media_missing"], 0)
        self.check_all(chats)
        again = self.extract("--all", job="again", to="again")
        self.assertEqual(again["media_files"], 0, "what is there is not fetched again")
        self.assertEqual(self.verify_media().code, 0)
        self.server.ask("drop", self.prefix + "/" + sorted(self.objects())[0])
        bad = self.verify_media()
        self.assertEqual(bad.code, 10, bad)
        self.assertIn("there is no file", bad.out)

    def test_killed_at_any_moment(self):
        chats = self.sim.chats(self.sim.account())
        args = self.media_args("--all", session=self.session(),
                               more=("--batch-size", "20", "--checkpoint-interval", "20"))
        kills = 0
        for n in range(int(os.environ.get("TGDATA_TEST_KILLS", "5"))):
            before = len(self.objects())
            process = kit.start(*args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            kit.wait_for(lambda: len(self.objects()) > before or process.poll() is not None)
            time.sleep(n % 5 * 0.05)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait(30)
            there = self.objects()
            for row in kit.rows(self.dir / "out"):
                if "media_path" in row:
                    self.assertIn(row["media_path"], there)
            time.sleep(1.1)  # the lease
        done = tgdata(*args)
        self.assertEqual(done.code, 0, done)
        self.check_all(chats)
        self.assertGreater(kills, 1)

    def test_a_server_that_is_killed_is_waited_for(self):
        chats = self.sim.chats(self.sim.account())
        process = kit.start(*self.media_args("--all", session=self.session()),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1)
        self.server.end_reader()
        self.server.kill()
        time.sleep(3)
        self.server.start()
        _, told = process.communicate(timeout=kit.TIMEOUT)
        self.assertEqual(process.returncode, 0, told)
        self.assertIn(b"files wait", told)
        self.check_all(chats)

    def test_what_is_wrong_is_told(self):
        chat, session = str(self.sim.chat("supergroup")["id"]), self.session()
        for place, keys, code, words in (
                (self.place(bucket="nowhere"), {}, 7, "no bucket 'nowhere'"),
                (self.place(endpoint="http://127.0.0.1:1"), {}, 7, "127.0.0.1:1"),
                (self.place() + "&colour=red", {}, 2, "colour"),
                ("s3://", {}, 2, "s3://BUCKET/PREFIX"),
                (self.place(), {"AWS_SECRET_ACCESS_KEY": "wr0ng"}, 7, "SignatureDoesNotMatch"),
                (self.place(), {"AWS_ACCESS_KEY_ID": "ROKEY",
                                "AWS_SECRET_ACCESS_KEY": "ROSECRET"}, 7, "AccessDenied"),
                (self.place(), {"AWS_ACCESS_KEY_ID": ""}, 2, "no AWS credentials")):
            with self.subTest(place=place, keys=keys):
                done = tgdata(*self.media_args(chat, session=session, place=place), env=keys)
                self.assertEqual(done.code, code, done)
                self.assertIn(words, done.err)
                self.assertNotIn("wr0ng", done.err)


if __name__ == "__main__":
    if "libcurl" not in tgdata("version").out:
        ToS3 = unittest.skip("a build without libcurl")(ToS3)
    kit.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Disks that are full, read-only or limited, and state that is damaged or gone: one clear line, the
documented exit code, and afterwards nothing is missing and nothing is there twice."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

from kit import Case, main, rows, tgdata


def limited(size):
    """Files of the program may not grow beyond that size, as with `ulimit -f`."""
    def before():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return before


class Disk(Case):
    sim_args = ("--chats", "1", "--messages", "6000", "--seed", "2")

    def setUp(self):
        super().setUp()
        self.chat = self.sim.chat("supergroup")
        self.mounted = []

    def tearDown(self):
        for path in self.mounted:
            subprocess.run(["umount", path], check=False)

    def tiny(self, name, size):
        """A file system of its own."""
        path = self.dir / name
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
        self.mounted.append(path)
        return path

    def remount(self, path, options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"remount,{options}", "tmpfs", path],
                       check=True)

    def words(self, session, to=None, state=None, interval=500):
        return self.extract_args(self.chat["id"], session=session, to=to and f"ndjson:{to}",
                                 state=state and f"sqlite:{state}", more=[
                                     "--batch-size", 500, "--checkpoint-interval", interval])

    def rollback(self, number):
        return tgdata("checkpoints", "rollback", self.chat["id"], "--state",
                      f"sqlite:{self.dir}/state.db", "--job", "job", "--number", number)

    def parts(self, out):
        return {p: p.read_bytes() for p in pathlib.Path(out).glob("chat_*/part-*.ndjson")}

    def check_kept(self, parts):
        for part, text in parts.items():
            self.assertEqual(part.read_bytes(), text)

    def check_complete(self, words, out):
        done = tgdata(*words)
        self.assertEqual(done.code, 0, done)
        self.check_whole([self.chat], out)
        left = [p.name for p in pathlib.Path(out).rglob("*") if ".tmp" in p.name]
        self.assertEqual(left, [])
        state = words[words.index("--state") + 1]
        proof = tgdata("verify", *self.account_args(words[words.index("--session") + 1]),
                       "--state", state, "--job", "job")
        self.assertEqual(proof.code, 0, proof)

    def test_full_again_and_again(self):
        """It fills up at another place each time; each part that was committed stays as it is."""
        small, session = self.tiny("small", "300k"), self.session()
        words = self.words(session, to=small / "out")
        kept = {}
        for kib in range(300, 3000, 190):
            self.remount(small, f"size={kib}k")
            done = tgdata(*words)
            if done.code == 0:
                break
            self.check_fails(done, 7, "No space left on device", "nothing committed is lost")
            self.check_kept(kept)
            kept = self.parts(small / "out")
            ids = [r["id"] for r in rows(small / "out")]
            self.assertEqual(ids, self.sim.ids(self.chat["id"])[:len(ids)])
        self.assertGreater(len(kept), 2)
        self.remount(small, "size=64m")
        self.check_complete(words, small / "out")

    def test_full_with_output_and_state(self):
        small, session = self.tiny("small", "600k"), self.session()
        words = self.words(session, to=small / "out", state=small / "state.db")
        for kib in range(600, 4000, 400):
            self.remount(small, f"size={kib}k")
            done = tgdata(*words)
            if done.code == 0:
                break
            self.check_fails(done, 7, "pace left")
        self.remount(small, "size=64m")
        self.check_complete(words, small / "out")

    def test_a_limit_on_file_sizes(self):
        session = self.session()
        words = self.words(session, interval=6000)
        done = tgdata(*words, preexec_fn=limited(1 << 20))
        self.check_fails(done, 7, "File too large", "ulimit -f")
        self.assertEqual(rows(self.dir / "out"), [])
        self.check_complete(words, self.dir / "out")

    def test_read_only_in_the_middle(self):
        small, session = self.tiny("small", "64m"), self.session()
        words = self.words(session, to=small / "out")
        self.assertEqual(tgdata(*words).code, 0)
        self.assertGreater(len(self.parts(small / "out")), 4)
        self.assertEqual(self.rollback(3).code, 0)
        self.remount(small, "ro")
        self.check_fails(tgdata(*words), 7, "Read-only file system", "read-only")
        self.check_fails(self.rollback(1), 7, "Read-only file system")
        self.remount(small, "rw")
        self.check_complete(words, small / "out")

    def test_state_that_is_damaged_or_gone(self):
        """The destination knows how far it is: a new state file goes on from there."""
        session = self.session()
        words = self.words(session)
        self.assertEqual(tgdata(*words).code, 0)
        self.assertEqual(self.rollback(4).code, 0)
        kept = self.parts(self.dir / "out")
        self.assertEqual(len(kept), 4)
        state = self.dir / "state.db"
        whole = state.read_bytes()
        for noise in (b"\x00" * len(whole), whole[:300], whole[:100] + b"\xa5" * 8000):
            state.write_bytes(noise)
            for more in self.dir.glob("state.db-*"):
                more.unlink()
            self.check_fails(tgdata(*words), 8, "state.db")
            self.check_kept(kept)
        state.unlink()
        self.check_complete(words, self.dir / "out")
        self.check_kept(kept)

    def test_a_killed_run_with_another_state_is_told_how_to_go_on(self):
        """A new state file counts its tokens from the beginning; the directory knows a newer."""
        session = self.session()
        words = self.words(session)
        self.assertEqual(tgdata(*words).code, 0)
        chat = next((self.dir / "out").glob("chat_*"))
        (chat / "_writer.9-00000000").touch()  # as a killed run leaves it
        (self.dir / "state.db").unlink()
        self.check_fails(tgdata(*words), 9, "_writer.9-00000000", "remove")
        (chat / "_writer.9-00000000").unlink()
        self.check_complete(words, self.dir / "out")

    def test_a_damaged_part_is_neither_repaired_nor_deleted(self):
        session = self.session()
        words = self.words(session)
        self.assertEqual(tgdata(*words).code, 0)
        last = max(self.parts(self.dir / "out"))
        whole = last.read_bytes()
        bad = whole[:-20] + b"x" * 19 + b"\n"
        last.write_bytes(bad)
        self.check_fails(tgdata(*words), 8, last.name)
        self.assertEqual(last.read_bytes(), bad)
        last.write_bytes(whole)
        self.check_complete(words, self.dir / "out")

    def test_rows_that_are_gone_are_told_before_anything_is_read(self):
        session = self.session()
        words, kept = self.words(session), self.dir / "kept"
        self.assertEqual(tgdata(*words).code, 0)
        shutil.copytree(self.dir / "out", kept)
        asked = self.sim.stats()["messages"]
        last = max(self.parts(self.dir / "out"))
        last.unlink()
        done = tgdata(*words)
        self.check_fails(done, 10, "of chat", "6000 were delivered there", "rollback --number 0")
        shutil.rmtree(self.dir / "out")  # gone altogether
        self.check_fails(tgdata(*words), 10, "holds 0 messages")
        other = self.words(session, to=self.dir / "other")
        self.check_fails(tgdata(*other), 2, f"ndjson:{self.dir}/out", "another --job")
        self.assertFalse(list((self.dir / "other").glob("chat_*/part*")))
        self.assertEqual(self.sim.stats()["messages"], asked, "no history was asked for")
        self.check_complete(self.words(session, to=kept), kept)  # moved: it goes on there
        self.assertEqual(self.rollback(0).code, 0)
        self.check_complete(words, self.dir / "out")  # and from the beginning again


def may_mount():
    with tempfile.TemporaryDirectory() as path:
        done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], stderr=subprocess.DEVNULL,
                              check=False)
        return done.returncode == 0 and subprocess.run(["umount", path], check=False) is not None


if __name__ == "__main__":
    # Small file systems are mounted. Who may not do that is root in a namespace of his own; where
    # that is forbidden as well the tests fail: a full disk that is not tried is not tested.
    if not may_mount() and "TG_NAMESPACE" not in os.environ:
        os.environ["TG_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--user", "--map-root-user", "--mount", "--",
                              sys.executable, *sys.argv])
    main()

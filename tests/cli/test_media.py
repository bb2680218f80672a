#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files of messages: rows and files agree with the simulated data centre's truth, whatever befalls
the run, and every row comes with its file."""
import hashlib
import os
import pathlib
import signal
import time

import kit
from kit import tgdata

KINDS = ("photo", "video", "document", "audio", "voice", "sticker", "round_video", "animation")


class MediaCase(kit.Case):
    sim_args = ("--chats", "3", "--messages", "90", "--seed", "7", "--file-max", "2200KiB",
                "--truth-files")

    def truth(self, chat_id, sim=None):
        """Message id -> (file id, size, SHA-256)."""
        text = ((sim or self.sim).dir / f"files-{chat_id}.txt").read_text(encoding="ascii")
        return {int(m): (int(f), int(size), sha)
                for m, f, size, sha in map(str.split, text.splitlines())}

    def media_args(self, *chats, more=(), to=None, **args):
        made = self.extract_args(*chats, more=("--media", self.dir / "files", "--json", *more),
                                 **args)
        if to:
            made[made.index("--to") + 1] = f"ndjson:{self.dir}/{to}"
        return made

    def extract(self, *chats, more=(), **args):
        done = tgdata(*self.media_args(*chats, more=more, **args))
        self.assertEqual(done.code, 0, done)
        return done.json()

    def files(self):
        """Path below the directory -> SHA-256, of all complete files."""
        top = self.dir / "files"
        return {str(p.relative_to(top)): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in top.glob("[0-9a-f][0-9a-f]/*")}

    def check(self, chats, kinds=KINDS, size_max=1 << 40, missing=(), sim=None):
        """Each row has its file, each file its content, and none is there that no row tells of."""
        there, told = self.files(), set()
        for row in kit.rows(self.dir / "out"):
            truth = self.truth(row["chat_id"], sim).get(row["id"])
            wanted = (truth and row.get("media_kind") in kinds
                      and truth[1] <= size_max and row["id"] not in missing)
            if not wanted:
                self.assertNotIn("media_path", row)
                continue
            self.assertEqual((row["media_id"], row["media_size"], row.get("media_sha256")), truth)
            self.assertEqual(there.get(row["media_path"]), truth[2], row)
            told.add(row["media_path"])
        self.assertEqual(told, set(there))
        for path, sha in there.items():
            self.assertEqual(path[3:].split(".")[0], sha)
        self.check_whole(chats)
        left = list((self.dir / "files").glob(".tgdata-*/*.part"))
        self.assertEqual(left, [], "nothing half-done stays behind")
        return told


class Media(MediaCase):
    def test_every_row_comes_with_its_file(self):
        chats = self.sim.chats(self.sim.account())
        done = self.extract("--all")
        told = self.check(chats)
        self.assertGreater(len(told), 50)
        self.assertEqual(done["media_files"], len(told))
        self.assertEqual(done["media_missing"], 0)
        self.assertGreater(len({pathlib.PurePath(p).suffix for p in told}), 3)

    def test_what_is_there_is_not_fetched_again(self):
        chat = self.sim.chat("supergroup")
        first = self.extract(str(chat["id"]))
        again = self.extract(str(chat["id"]), job="again", to="again")
        self.assertGreater(first["media_files"], 10)
        self.assertEqual(again["media_files"], 0)
        victim = sorted(self.files())[0]
        good = self.verify_media()
        self.assertEqual(good.code, 0, good)
        self.assertGreaterEqual(good.json()["chats"][0]["media_files"], first["media_files"])
        path = self.dir / "files" / victim
        path.write_bytes(b"x" + path.read_bytes()[1:])
        self.assert_bad("another content")
        path.unlink()
        self.assert_bad("no file")
        third = self.extract(str(chat["id"]), job="third", to="third")
        self.assertEqual(third["media_files"], 1)
        self.assertIn(victim, self.files())

    def verify_media(self):
        return tgdata("verify", *self.account_args(), "--state", f"sqlite:{self.dir}/state.db",
                      "--job", "job", "--media", self.dir / "files", "--json")

    def assert_bad(self, words):
        """Whoever reads the files again sees that one is not as it was."""
        done = self.verify_media()
        self.assertEqual(done.code, 10, done)
        chat = done.json()["chats"][0]
        self.assertGreaterEqual(chat["media_bad"], 1)
        self.assertFalse(chat["complete"])
        self.assertIn(words, chat["error"])
        self.check_fails(done, 10, "--media")

    def test_kinds_and_sizes(self):
        chat = self.sim.chat("supergroup")
        done = self.extract(str(chat["id"]), more=("--media-types", "photo,document",
                                                   "--media-max-size", "100KiB"))
        self.check([chat], kinds=("photo", "document"), size_max=100 << 10)
        told = [r for r in kit.rows(self.dir / "out") if "media_error" in r]
        self.assertTrue(told)
        self.assertEqual(done["media_missing"], len(told))
        for row in told:
            self.assertIn("--media-max-size", row["media_error"])
            self.assertGreater(row["media_size"], 100 << 10)
        wrong = self.media_args(str(chat["id"]), more=("--media-types", "photos"))
        self.check_fails(tgdata(*wrong), 2, "photos")

    def test_a_job_keeps_its_rows_alike(self):
        chat = self.sim.chat("supergroup")
        self.extract(str(chat["id"]))
        done = tgdata(*self.extract_args(str(chat["id"])))
        self.check_fails(done, 2, "media")


class Trouble(MediaCase):
    """The same through faults of the server."""

    def run_through(self, faults, *more, sim_args=()):
        sim = kit.Sim(self.dir / "dc", *self.sim_args, "--faults", faults, *sim_args)
        self.addCleanup(sim.stop)
        session = self.dir / "mine.session"
        a = sim.account()
        done = tgdata("login", "--session", session, "--datacenter", sim.file, "--api-id", "1",
                      "--api-hash", "aa", "--phone", a["phone"], "--code", a["code"])
        self.assertEqual(done.code, 0, done)
        done = tgdata("extract", "--all", "--session", session, "--datacenter", sim.file,
                      "--to", f"ndjson:{self.dir}/out", "--state", f"sqlite:{self.dir}/state.db",
                      "--lease", "1s", "--progress", "none", "--json", "--media",
                      self.dir / "files", *more)
        self.assertEqual(done.code, 0, done)
        return sim, done.json()

    def test_references_that_end(self):
        sim, _ = self.run_through("file-reference=0.06")
        self.check(sim.chats(sim.account()))
        stats = sim.stats()
        self.assertGreater(stats["faults"]["file-reference"], 2)
        # login, then: home, the other DC, and two connections to the media DC of each
        self.assertEqual((stats["connections"], stats["duplicated"]), (7, 0))

    def test_references_that_end_by_time(self):
        sim, done = self.run_through("reference-life=1", "--media-parts", "2", "--workers", "1",
                                     sim_args=("--latency-ms", "60"))
        self.check(sim.chats(sim.account()))
        self.assertEqual(done["media_missing"], 0)
        methods = sim.stats()["methods"]
        asked = sum(methods.get(m, {}).get("calls", 0) for m in
                    ("channels.getMessages", "messages.getMessages"))
        self.assertGreater(asked, 0)
        self.assertLess(2 * asked, done["media_files"], "many are renewed at a time")

    def test_references_of_comments_that_the_account_cannot_ask_for(self):
        sim, done = self.run_through("file-reference=0.06,short=0", "--include-replies",
                                     sim_args=("--discussions", "closed"))
        groups = [c["id"] for c in sim.world["chats"] if c["kind"] == "discussion"]
        rows = [r for r in kit.rows(self.dir / "out")
                if r["chat_id"] in groups and r.get("media_kind") in KINDS]
        truth = {c: self.truth(c, sim) for c in groups}
        self.assertGreater(sum(r["id"] in truth[r["chat_id"]] for r in rows), 10)
        self.assertEqual([r["media_error"] for r in rows if "media_error" in r], [])
        self.assertEqual({(r["chat_id"], r["id"]): r["media_sha256"] for r in rows
                          if "media_path" in r},
                         {(r["chat_id"], r["id"]): truth[r["chat_id"]][r["id"]][2] for r in rows
                          if r["id"] in truth[r["chat_id"]]})
        self.assertEqual(done["media_missing"], 0)
        self.assertGreater(sim.stats()["faults"]["file-reference"], 2)

    def test_files_without_bytes(self):
        sim, done = self.run_through("", sim_args=("--files-empty", "100", "--cdn", "50"))
        chats = sim.chats(sim.account())
        self.check(chats, sim=sim)
        self.assertEqual(done["media_missing"], 0)
        self.assertGreater(sum(size == 0 for c in chats for _, size, _ in
                               self.truth(c["id"], sim).values()), 2)

    def test_network_and_server_trouble(self):
        sim, _ = self.run_through("drop=0.01,500=0.02,garbage=0.005,dup=0.02,only=upload.getFile")
        self.check(sim.chats(sim.account()))

    def test_a_cdn_that_lacks_files_lies_and_forgets(self):
        sim, done = self.run_through("cdn-lie=0.1,cdn-token=0.1", sim_args=("--cdn", "70"))
        self.check(sim.chats(sim.account()))
        stats = sim.stats()
        self.assertGreater(stats["methods"]["upload.getCdnFile"]["calls"], 50)
        self.assertGreater(stats["methods"]["upload.reuploadCdnFile"]["calls"], 10)
        self.assertGreater(stats["faults"]["cdn-lie"], 3)
        self.assertGreater(stats["faults"]["cdn-token"], 3)
        self.assertEqual(done["media_missing"], 0)

    def test_a_server_that_gives_little_at_once(self):
        sim, done = self.run_through("part-max=262144")
        self.check(sim.chats(sim.account()))
        self.assertEqual(done["media_missing"], 0)
        failed = sim.stats()["methods"]["upload.getFile"].get("errors", 0)
        self.assertLess(failed, 60, "what was refused once is not asked for again")

    def test_floods(self):
        sim, done = self.run_through("flood=0.02,most=5,only=upload.getFile")
        self.check(sim.chats(sim.account()))
        self.assertGreater(done["flood_waits"], 0)


class Kills(MediaCase):
    sim_args = (*MediaCase.sim_args, "--latency-ms", "20")

    def test_kills_lose_no_file_and_leave_none_half(self):
        chats = self.sim.chats(self.sim.account())
        session = self.session()
        args = self.media_args("--all", session=session, more=("--batch-size", "20",
                                                               "--checkpoint-interval", "20"))
        kills = 0
        for n in range(int(os.environ.get("TGDATA_TEST_KILLS", "5"))):
            before = len(self.files())
            process = kit.start(*args, stdout=kit.subprocess.DEVNULL,
                                stderr=kit.subprocess.DEVNULL)
            kit.wait_for(lambda: len(self.files()) > before or process.poll() is not None)
            time.sleep(n % 5 * 0.03)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait(30)
            for path, sha in self.files().items():
                self.assertEqual(path[3:].split(".")[0], sha, "no file is half")
            for row in kit.rows(self.dir / "out"):
                if "media_path" in row:
                    self.assertTrue((self.dir / "files" / row["media_path"]).exists(), row)
            time.sleep(1.1)  # the lease
        done = tgdata(*args)
        self.assertEqual(done.code, 0, done)
        self.check(chats)
        self.assertGreater(kills, 1)


if __name__ == "__main__":
    kit.main()

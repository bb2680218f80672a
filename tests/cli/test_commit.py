#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What tg_batch_commit reported as committed is never delivered again and never lost: a program
that embeds the library is killed at random moments, over and over, until it reaches the end."""
import os
import pathlib
import random
import subprocess
import time

from kit import Case, clean_env, main, rows, tgdata

KILLS = 30
SEED = int(os.environ.get("TG_SEED", "1"))


class Client(Case):
    def begin(self, session, to, chats, *settings):
        program = pathlib.Path(os.environ["TG_BUILD"]) / "tests" / "commit_client"
        words = [program, session, self.sim.file, f"sqlite:{self.dir}/state.db",
                 self.dir / "journal", to, ",".join(str(c) for c in chats), *settings]
        return subprocess.Popen([str(w) for w in words], env=clean_env(),
                                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def lines(self):
        return [line.split() for line in (self.dir / "journal").read_text("ascii").splitlines()]


class Commit(Client):
    sim_args = ("--chats", "6", "--messages", "3000", "--seed", "9", "--latency-ms", "25")

    def journal(self):
        return [(w[0], int(w[1]), int(w[2])) for w in self.lines() if w[0] != "B"]

    def check_journal(self, chats):
        """Delivered: every id of the world. Committed: never delivered again."""
        delivered, committed, again = set(), {}, 0
        for kind, chat, i in self.journal():
            if kind == "C":
                committed[chat] = i
                continue
            self.assertGreater(i, committed.get(chat, 0), f"chat {chat}, seed {SEED}")
            again += (chat, i) in delivered
            delivered.add((chat, i))
        self.assertEqual(sorted(delivered), sorted(self.sim.truth(chats)))
        return again

    def run_until_the_end(self, to, chats):
        session, draw, kills = self.session(), random.Random(SEED), 0
        while True:
            process = self.begin(session, to, [c["id"] for c in chats])
            try:
                wait = draw.uniform(0.02, 0.3) if kills < KILLS else 120
                err = process.communicate(timeout=wait)[1].decode()
                self.assertEqual(process.returncode, 0, err)
                return kills
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1

    def test_a_callback_alone(self):
        chats = [c for c in self.sim.chats(self.sim.account()) if not c["migrated_from"]][:3]
        kills = self.run_until_the_end("-", chats)
        again = self.check_journal(chats)
        print(f"{kills} kills, {again} rows delivered again", flush=True)
        self.assertGreater(kills, 5)

    def test_a_callback_and_files(self):
        chats = [c for c in self.sim.chats(self.sim.account()) if not c["migrated_from"]][:2]
        kills = self.run_until_the_end(f"ndjson:{self.dir}/out", chats)
        self.check_journal(chats)
        self.check_whole(chats)
        self.assertEqual(self.verify().code, 0)
        self.assertGreater(kills, 5)
        written = {(r["chat_id"], r["id"]) for r in rows(self.dir / "out")}
        self.assertEqual(written, {(c, i) for kind, c, i in self.journal() if kind == "D"})


class About(Client):
    """What a batch and its checkpoint tell about how it came to be."""

    sim_args = None
    NAMES = ("chat", "id", "rows", "started", "ended", "requests", "floods", "flood_s",
             "remaining", "last", "circuit", "success", "response_us")

    def batches(self, chats, *settings, session=None):
        process = self.begin(session or self.session(), "-", [c["id"] for c in chats], *settings)
        err = process.communicate(timeout=120)[1].decode()
        self.assertEqual(process.returncode, 0, err)
        return [dict(zip(self.NAMES, map(int, w[1:]))) for w in self.lines() if w[0] == "B"]


class Health(About):
    sim_args = ("--chats", "6", "--messages", "2500", "--seed", "9", "--latency-ms", "5")

    def test_how_calls_went(self):
        """Of the chat and its account: what fails about one chat is not told with another's."""
        chats = [c for c in self.sim.chats(self.sim.account())
                 if c["kind"] in ("supergroup", "channel", "forum")][:3]
        bad = chats[1]["id"]
        session = self.session()
        self.sim.stop()
        self.sim.start("--faults", f"500=0.4,chat={bad},only=messages.getHistory")
        for failures, states in ((1000, {0}), (2, {0, 1, 2})):
            batches = self.batches(chats, f"circuit-failures={failures}", "max-backoff=50ms",
                                   "recovery-timeout=100ms", "attempts=100", session=session)
            for b in batches:
                self.assertGreater(b["response_us"], 5000, b)
                self.assertLess(b["response_us"], 2000000, b)
                if b["chat"] == bad:
                    self.assertIn(b["circuit"], states, b)
                else:
                    self.assertEqual((b["circuit"], b["success"]), (0, 1000), b)
            told = [b for b in batches if b["chat"] == bad]
            self.assertTrue(0 < min(b["success"] for b in told) < 1000, told)
            self.assertEqual(sum(b["rows"] for b in told), len(self.sim.ids(bad)))
            self.dir = self.dir / "again"
            self.dir.mkdir()
            self.assertTrue(failures > 2 or {b["circuit"] for b in told} & {1, 2}, told)


class Limited(About):
    sim_args = ("--chats", "2", "--messages", "2500", "--seed", "9", "--latency-ms", "5",
                "--flood", "messages.getHistory=12/6")
    BURST = 4

    def test_requests_that_are_left(self):
        """A rate that is given keeps below the server's: no flood, and the bucket is told."""
        chat = self.sim.chats(self.sim.account())[0]
        time.sleep(1)  # until the server's bucket is full again after other tests
        batches = self.batches([chat], "rate=6", f"burst={self.BURST}", "in-flight=1")
        left = [b["remaining"] for b in batches]
        self.assertEqual(sum(b["floods"] for b in batches), 0)
        self.assertLessEqual(set(left), set(range(self.BURST + 1)))
        self.assertGreater(left[0], left[-1], left)

    def test_batches(self):
        chats = [c for c in self.sim.chats(self.sim.account()) if not c["migrated_from"]][:2]
        self.session()
        names, earlier = self.NAMES, self.sim.stats()["methods"].get("messages.getHistory")
        before = time.time()
        batches = self.batches(chats, "in-flight=3")
        after = time.time()
        history = self.sim.stats()["methods"]["messages.getHistory"]
        for key in history:
            history[key] -= earlier[key] if earlier else 0
        total = {n: sum(b[n] for b in batches) for n in names}
        # each answer is counted once; those without rows (newest id, end of a chat) are in no batch
        answers = history["calls"] - history["errors"]
        self.assertGreaterEqual(total["requests"], total["rows"] / 100)
        self.assertLessEqual(total["requests"], answers)
        self.assertGreaterEqual(total["requests"], answers - 4 * len(chats))
        self.assertGreater(total["floods"], 0)
        self.assertLessEqual(total["floods"], history["floods"])
        self.assertGreaterEqual(total["floods"], history["floods"] - 2 * len(chats))
        for chat in chats:
            mine = [b for b in batches if b["chat"] == chat["id"]]
            self.assertEqual([b["id"] for b in mine], list(range(1, len(mine) + 1)))
            self.assertEqual([b["last"] for b in mine], [0] * (len(mine) - 1) + [1])
            self.assertEqual(sum(b["rows"] for b in mine), len(self.sim.ids(chat["id"])))
        for b in batches:
            self.assertLessEqual(before - 0.01, b["started"] / 1e6)
            self.assertLessEqual(b["started"], b["ended"])
            self.assertLessEqual(b["ended"] / 1e6, after + 0.01)
            self.assertGreaterEqual(b["flood_s"], b["floods"])  # whole seconds, at least one each
            self.assertEqual(b["flood_s"] > 0, b["floods"] > 0)
            self.assertGreaterEqual(b["remaining"], -1)
            if b["floods"]:
                self.assertGreaterEqual(b["ended"] - b["started"], 1e6, b)
        self.assertEqual([b["ended"] for b in batches], sorted(b["ended"] for b in batches))
        self.check_record(chats[0]["id"], [b for b in batches if b["chat"] == chats[0]["id"]])

    def check_record(self, chat, batches):
        shown = tgdata("checkpoints", "show", chat, "--state", f"sqlite:{self.dir}/state.db",
                       "--job", "job", "--json").json()
        told = [b for c in reversed(shown) for b in c["tgdata"]["batches"]]
        kept = {b["id"]: b for b in batches}
        self.assertTrue(told)
        for b in told:
            self.assertEqual(b["status"], "committed")
            self.assertEqual(b["rows"], kept[b["id"]]["rows"])
            self.assertAlmostEqual(b["started"], kept[b["id"]]["started"] / 1e6, 3)
            self.assertAlmostEqual(b["ended"], kept[b["id"]]["ended"] / 1e6, 3)
        newest = shown[0]
        self.assertEqual(newest["batches_completed"], len(batches))
        for name, kind in [("job_id", str), ("group_id", int), ("last_message_id", int),
                           ("last_message_date", str), ("batches_completed", int),
                           ("total_messages_processed", int), ("last_checkpoint_time", str),
                           ("extraction_params", dict)]:
            self.assertIs(type(newest[name]), kind, name)
        self.assertEqual(newest["extraction_params"], {"batch_size": 60})


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Export sessions: every call wrapped, left channels read, the delay waited for, ended on every
exit. And bots: what they may read is read, the rest is refused in one line."""
import signal
import time

import kit


class Counted(kit.Case):
    """A data centre of its own for each test, with its counters."""

    sim_args = None
    faults = ()

    def setUp(self):
        super().setUp()
        self.sim = None

    def tearDown(self):
        if self.sim:
            self.sim.stop()

    def begin(self, *args):
        self.sim = kit.Sim(self.dir / "dc", *kit.Case.sim_args, *args)
        self.me = self.dir / "me"

    def session(self):
        if not self.me.exists():
            self.login(self.me)
        return self.me

    def stats(self):
        return self.sim.stats()

    def check_ended(self, times=1):
        stats = self.stats()
        finish = stats["methods"]["account.finishTakeoutSession"]
        self.assertEqual((finish["calls"], finish["errors"]), (times, 0))
        self.assertEqual(stats["takeout_unwrapped"], 0, stats["unwrapped_methods"])
        return stats


class Takeout(Counted):
    def test_all_chats(self):
        self.begin()
        done = kit.tgdata(*self.extract_args("--all", more=("--takeout",)))
        self.assertEqual(done.code, 0, done)
        stats = self.check_ended()
        left = [c for c in self.sim.world["chats"] if c["kind"] == "left"]
        self.assertTrue(left)
        found = {(r["chat_id"], r["id"]) for r in kit.rows(self.dir / "out")}
        for chat in left:
            self.assertTrue({(chat["id"], i) for i in self.sim.ids(chat["id"])} <= found)
        for chat in self.sim.chats(self.sim.account()):
            self.assertTrue({(chat["id"], i) for i in self.sim.ids(chat["id"])} <= found, chat)
        self.assertEqual(len(found), len(kit.rows(self.dir / "out")))
        self.assertEqual(stats["methods"]["messages.getSplitRanges"]["calls"], 1)

    def test_the_delay_is_waited_for(self):
        self.begin("--faults", "takeout-delay=4")
        chat = self.sim.chat("private")
        self.session()
        begun = time.monotonic()
        done = kit.tgdata(*self.extract_args(str(chat["id"]), more=("--takeout",)))
        self.assertEqual(done.code, 0, done)
        self.assertGreaterEqual(time.monotonic() - begun, 4)
        self.assertIn("only after a delay", done.err)
        self.check_whole([chat])
        stats = self.check_ended()
        self.assertEqual(stats["methods"]["account.initTakeoutSession"]["calls"], 2)
        self.assertEqual(stats["early_repeats"], 0)

    def test_stopped_while_waiting(self):
        self.begin("--faults", "takeout-delay=3600")
        run = kit.start(*self.extract_args(str(self.sim.chat("private")["id"]),
                                           more=("--takeout",)), stderr=kit.subprocess.PIPE)
        line = b""
        while b"delay" not in line:
            line = run.stderr.readline()
            self.assertTrue(line)
        run.send_signal(signal.SIGINT)
        self.assertEqual(run.wait(20), 130)
        run.stderr.close()

    def test_stopped_while_reading(self):
        self.begin("--latency-ms", "150", "--flood", "messages.getHistory=2/2")
        chat = self.sim.chat("private")
        args = self.extract_args(str(chat["id"]), "@" + self.sim.chat("channel")["username"],
                                 more=("--takeout", "--batch-size", "50"))
        run = kit.start(*args, stdout=kit.subprocess.DEVNULL,
                        stderr=kit.subprocess.DEVNULL)
        self.assertTrue(kit.wait_for(lambda: kit.rows(self.dir / "out") or self.stats()["methods"]
                                     .get("messages.getHistory", {}).get("calls", 0) > 3))
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(30), 130)
        self.check_ended()
        self.sim.stop()
        self.sim.start()
        done = kit.tgdata(*self.extract_args(
            str(chat["id"]), "@" + self.sim.chat("channel")["username"],
            more=("--takeout", "--batch-size", "50")))
        self.assertEqual(done.code, 0, done)
        self.check_whole([chat, self.sim.chat("channel")])

    def test_ended_after_a_failure(self):
        self.begin()
        done = kit.tgdata(*self.extract_args("@nobody_has_this_name", more=("--takeout",)))
        self.check_fails(done, 3, "nobody has the name")
        self.check_ended()

    def test_one_missing_chat_keeps_no_other_back(self):
        self.begin()
        chat = self.sim.chat("supergroup")
        done = kit.tgdata(*self.extract_args("@nobody_has_this_name", "@" + chat["username"],
                                             more=("--takeout",)))
        self.check_fails(done, 3, "left out '@nobody_has_this_name'")
        self.check_whole([chat])
        self.check_ended()


class Bots(kit.Case):
    def session(self):
        mine = self.dir / "bot"
        if not mine.exists():
            self.login(mine, self.sim.account(bot=True))
        return mine

    def test_channels(self):
        chats = [self.sim.chat(kind) for kind in ("supergroup", "channel", "forum")]
        done = kit.tgdata(*self.extract_args("@" + chats[0]["username"],
                                             *(str(c["id"]) for c in chats[1:])))
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)
        verified = self.verify(self.dir / "bot")
        self.assertEqual(verified.code, 0, verified)

    def test_what_bots_may_not(self):
        private, group = self.sim.chat("private"), self.sim.chat("group")
        args = ["--session", self.session(), "--datacenter", self.sim.file]
        self.check_fails(kit.tgdata("chats", *args), 4, "no bot list its chats")
        self.check_fails(kit.tgdata(*self.extract_args("--all")), 4, "no bot list its chats")
        self.check_fails(kit.tgdata(*self.extract_args("@x_y_z_w", more=("--takeout",))), 4,
                         "export sessions")
        for chat in (private, group):
            done = kit.tgdata(*self.extract_args(job="j" + str(abs(chat["id"]))), "--",
                              str(chat["id"]))
            self.check_fails(done, 4, "a bot cannot read")


if __name__ == "__main__":
    kit.main()

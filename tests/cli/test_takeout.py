#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Export sessions: every call wrapped, left channels read, the delay waited for, ended on every
exit. And bots: what they may read is read, the rest is refused in one line."""
import resource
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
        return self.check_none_left(stats)

    def check_none_left(self, stats=None):
        stats = stats or self.stats()
        self.assertEqual(stats["takeout_unwrapped"], 0, stats["unwrapped_methods"])
        self.assertEqual((stats["takeout_open"], stats["takeout_unfinished"]), (0, 0))
        return stats

    def calls(self, method):
        return self.stats()["methods"].get(method, {}).get("calls", 0)


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
        self.check_none_left()

    def test_stopped_at_any_moment(self):
        """With an answer on its way to whatever was asked."""
        self.begin("--latency-ms", "60")
        self.session()
        chat = "@" + self.sim.chat("channel")["username"]
        top = self.dir
        for i in range(24):
            self.dir = top / str(i)
            self.dir.mkdir()
            run = kit.start(*self.extract_args(chat, more=("--takeout",)),
                            stdout=kit.subprocess.DEVNULL, stderr=kit.subprocess.DEVNULL)
            time.sleep(i * 0.04)
            run.send_signal(signal.SIGTERM if i % 2 else signal.SIGINT)
            self.assertIn(run.wait(30), (0, 130, -signal.SIGINT, -signal.SIGTERM))
            self.check_none_left()
        self.assertGreater(self.calls("account.finishTakeoutSession"), 3)

    def test_stopped_by_a_limit(self):
        self.begin()
        done = kit.tgdata(*self.extract_args("@" + self.sim.chat("channel")["username"],
                                             more=("--takeout", "--limit", "20")))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(len(kit.rows(self.dir / "out")), 20)
        self.check_ended()

    def test_ended_when_files_may_not_grow(self):
        def limited():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))

        self.begin()
        self.session()
        done = kit.tgdata(*self.extract_args("@" + self.sim.chat("channel")["username"],
                                             more=("--takeout",)), preexec_fn=limited)
        self.check_fails(done, 7, "File too large")
        self.check_ended()

    def test_ended_when_a_flood_lasts_too_long(self):
        self.begin("--faults", "flood=1,only=messages.getHistory")
        done = kit.tgdata(*self.extract_args("@" + self.sim.chat("channel")["username"],
                                             more=("--takeout", "--call-deadline", "2s")))
        self.assertEqual(done.code, 6, done)
        self.check_ended()

    def test_ended_when_another_run_took_over(self):
        self.begin("--latency-ms", "20", "--flood", "messages.getHistory=2/2")
        chat, second = "@" + self.sim.chat("channel")["username"], self.dir / "second"
        self.login(second)
        run = kit.start(*self.extract_args(chat, more=("--takeout", "--batch-size", "50")),
                        stdout=kit.subprocess.DEVNULL, stderr=kit.subprocess.PIPE)
        try:
            self.assertTrue(kit.wait_for(lambda: self.calls("messages.getHistory") > 2))
            run.send_signal(signal.SIGSTOP)
            time.sleep(1.2)
            done = kit.tgdata(*self.extract_args(chat, session=second,
                                                 more=("--batch-size", "50")))
            self.assertEqual(done.code, 0, done)
            run.send_signal(signal.SIGCONT)
            err = run.communicate(timeout=60)[1].decode()
            self.assertEqual(run.returncode, 9, err)
        finally:
            run.kill()
        self.check_ended()

    def test_a_killed_run_locks_nobody_out(self):
        self.begin("--latency-ms", "150", "--flood", "messages.getHistory=2/2")
        chat = self.sim.chat("channel")
        name = "@" + chat["username"]
        run = kit.start(*self.extract_args(name, more=("--takeout", "--batch-size", "50")),
                        stdout=kit.subprocess.DEVNULL, stderr=kit.subprocess.DEVNULL)
        self.assertTrue(kit.wait_for(lambda: self.calls("messages.getHistory") > 2))
        run.kill()
        run.wait(30)
        self.assertEqual(self.stats()["takeout_open"], 1)
        time.sleep(1.1)  # its lease
        top, self.dir = self.dir, self.dir / "plain"
        self.dir.mkdir()
        done = kit.tgdata(*self.extract_args(name, more=("--limit", "20")))
        self.dir = top
        self.assertEqual(done.code, 0, done)
        done = kit.tgdata(*self.extract_args(name, more=("--takeout", "--batch-size", "50")))
        self.assertEqual(done.code, 0, done)
        stats = self.stats()
        self.assertEqual(stats["takeout_unwrapped"], 0, stats["unwrapped_methods"])
        self.assertEqual((stats["takeout_open"], stats["takeout_unfinished"]), (0, 1))

    def test_connections_that_are_lost(self):
        """A call that comes again is wrapped again; an end whose answer was lost is one."""
        self.begin()
        self.session()
        chat, top = self.sim.chat("channel"), self.dir
        for seed in range(6):
            self.sim.stop()
            self.sim.start("--faults", f"drop=0.15,reset=0.05,seed={seed}" if seed else
                           "drop#1,only=account.finishTakeoutSession")
            self.dir = top / str(seed)
            self.dir.mkdir()
            done = kit.tgdata(*self.extract_args("@" + chat["username"],
                                                 more=("--takeout", "--batch-size", "50")))
            self.assertEqual(done.code, 0, done)
            self.assertNotIn("did not end", done.err)
            self.check_none_left()

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

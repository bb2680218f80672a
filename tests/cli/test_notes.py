#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a run tells on stderr while it works: lost connections, flood waits, hints that are true."""
import re
import signal
import subprocess

from kit import Case, Sim, main, rows, start, tgdata, wait_for


class Notes(Case):
    sim_args = None

    def begin(self, *args):
        self.sim = type(self).sim = Sim(self.dir / "dc", *args)
        self.me = self.dir / "me.session"
        self.login(self.me)

    def tearDown(self):
        if self.sim.process.poll() is None:
            self.sim.stop()
        type(self).sim = None

    def test_flood_waits_are_told_together(self):
        self.begin("--chats", "1", "--messages", "4000", "--flood", "messages.getHistory=8/4")
        words = self.extract_args(self.sim.chat("supergroup")["id"], session=self.me)
        done = tgdata(*words, "--json")
        self.assertEqual(done.code, 0, done)
        floods = done.json()["flood_waits"]
        told = [line for line in done.err.splitlines() if " flood wait " in line]
        self.assertGreater(floods, 3)
        self.assertGreater(len(told), 0)
        self.assertLessEqual(len(told), 1 + done.json()["seconds"] / 10)
        for line in told:
            self.assertRegex(
                line, r"Z flood wait [\d.]+ s: messages\.getHistory( \(and \d+ more .*)?$")

    def test_a_lost_connection(self):
        self.begin("--chats", "2", "--messages", "9000", "--latency-ms", "30")
        words = self.extract_args("--all", session=self.me, more=[
            "--checkpoint-interval", "200", "--batch-size", "200", "--in-flight", "1"])
        process = start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        self.sim.process.kill()
        self.sim.process.wait()
        lines = []
        while not any("connection lost" in line for line in lines):
            line = process.stderr.readline().decode()
            self.assertTrue(line, lines)
            lines.append(line)
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=60)[1].decode()
        self.assertEqual(process.returncode, 130, rest)
        self.assertRegex(lines[-1], r"Z connection lost: .+; next try (in [\d.]+ s|at once)$")
        self.assertIn("run the same command again", rest)

    def test_only_an_extraction_goes_on_where_it_stopped(self):
        self.begin("--chats", "1", "--messages", "50")
        self.sim.stop()
        for words in [["chats"], ["logout"]]:
            done = tgdata(*words, *self.account_args(self.me), "--attempts", "2")
            self.check_fails(done, 6, "check the network")
            self.assertFalse(re.search("same command|go on", done.err), done)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a delta costs in a long chat: ./dev delta-cost

    delta_cost.py [MESSAGES] [CHANGES]      1000000 1000

A supergroup of MESSAGES is read once. Then CHANGES happen anywhere in it, and

    while the server still tells them     at most CHANGES/100 + 1 differences, no history
    once it is too long ago               new/100 + ids/100 pages, and confirmations of what seems
                                          to be deleted

The state must take less than 24 bytes a message. Exit code 1: something is not as it must be.
"""
import math
import sqlite3
import sys
import time
import unittest

import change_model
from live_kit import PAGE, SLICE, LiveCase, NdjsonOut

STATE_BYTES = 24


class Cost(LiveCase):
    n, n_changes = 1000000, 1000
    chats = 1

    def runTest(self):
        self.messages = self.n
        self.measure("told", f"0/burst={self.n_changes},reach=0,mass=10", self.check_told)
        self.measure("too long ago", f"0/burst={self.n_changes},reach=0,mass=10,early=1",
                     self.check_too_long)

    def measure(self, name, live, check):
        self.fresh_dir()
        self.world(live)
        self.chat = self.sim.watchable(("supergroup",))[0]
        out = NdjsonOut(self.dir)
        begun = time.monotonic()
        first = self.delta(out, chats=[self.chat])
        print(f"{name}: {first['read']} messages read in {time.monotonic() - begun:.1f} s: "
              f"{first['requests']}", flush=True)
        self.tell_state(first)
        self.sim.burst(self.n_changes)
        changes = change_model.Truth(self.sim).changes({self.chat})
        begun = time.monotonic()
        told = self.delta(out, chats=[self.chat])
        print(f"{name}: {len(changes)} changes ({sum(len(c.ids) for c in changes)} counts) in "
              f"{time.monotonic() - begun:.1f} s: {told['requests']}, "
              f"{told['new']} new, {told['edited']} edited, {told['reactions']} reactions, "
              f"{told['deleted']} deleted, {told['read']} read", flush=True)
        check(told, changes)
        state = change_model.state_of(out.rows())
        wrong = change_model.compare(state, self.sim.truth().state([self.chat]))
        print(f"{name}: {len(state)} messages compared, {len(wrong)} wrong", *wrong[:10], sep="\n",
              flush=True)
        self.assertEqual(wrong, [])
        self.verified()
        self.sim.stop()
        self.sim = None

    def tell_state(self, told):
        with sqlite3.connect(self.dir / "state.db") as db:
            stored = db.execute("SELECT kind, count(*), sum(length(bytes)) FROM doc GROUP BY kind "
                                "UNION ALL SELECT 'log ' || kind, count(*), sum(length(bytes)) "
                                "FROM log GROUP BY kind ORDER BY 3 DESC").fetchall()
        db.close()
        n = told["state_messages"]
        in_store = sum(size for _, _, size in stored)
        print(f"state: {n} messages, {told['state_bytes'] / n:.1f} bytes each in memory, "
              f"{in_store / n:.1f} in the store {stored[:4]}", flush=True)
        self.assertLess(told["state_bytes"] / n, STATE_BYTES)
        self.assertLess(in_store / n, STATE_BYTES)

    def check_told(self, told, changes):
        counts = sum(len(c.ids) for c in changes)
        self.assertLessEqual(told["requests"]["channel_difference"], math.ceil(counts / SLICE) + 1)
        self.assertLessEqual(told["requests"]["difference"], 2)
        self.assertEqual(told["requests"]["history"], 0)
        self.assertEqual(told["requests"]["confirm"], 0)

    def check_too_long(self, told, changes):
        new = sum(c.kind == "posted" for c in changes)
        gone = sum(len(c.ids) for c in changes if c.kind == "deleted")
        top = max(c["top_id"] for c in self.sim.world["chats"] if c["id"] == self.chat)
        pages = math.ceil(new / PAGE) + math.ceil(top / PAGE)
        print(f"too long ago: {told['requests']['history']} pages for {new} new of {top} ids "
              f"(new/{PAGE} + ids/{PAGE} = {pages}), {told['requests']['confirm']} confirmations "
              f"of {gone} deletions", flush=True)
        self.assertLessEqual(told["requests"]["history"], pages * 1.03 + 10)  # 1 % come short
        self.assertLessEqual(told["requests"]["confirm"], gone)


def main():
    words = [int(w) for w in sys.argv[1:3]] + [1000000, 1000][len(sys.argv[1:3]):]
    Cost.n, Cost.n_changes = words
    result = unittest.TextTestRunner(verbosity=0).run(unittest.TestSuite([Cost()]))
    raise SystemExit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
